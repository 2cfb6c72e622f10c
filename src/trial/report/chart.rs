//! Charts of a step over its time, as SVG.

use plotters::prelude::*;

use super::super::step::Sample;

const SIZE: (u32, u32) = (560, 220);
/// Fewer points tell nothing over time.
const POINTS_MIN: usize = 3;

/// A chart with its caption; `None` where there is too little to draw.
pub fn draw(caption: &str, samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Option<String> {
    let points: Vec<(f64, f64)> = samples.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect();
    if points.len() < POINTS_MIN {
        return None;
    }
    let end = points.last().map_or(1.0, |point| point.0).max(0.1);
    let top = points.iter().map(|point| point.1).fold(0.0, f64::max).max(1.0) * 1.1;
    let mut svg = String::new();
    drawn(&mut svg, caption, &points, (end, top)).ok()?;
    Some(svg)
}

fn drawn(
    svg: &mut String,
    caption: &str,
    points: &[(f64, f64)],
    (end, top): (f64, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("s").x_labels(8).y_labels(5).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), RGBColor(10, 99, 201).stroke_width(2)))?;
    area.present()?;
    drop(chart);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_line_and_too_few_points_have_none() {
        let sample = |at: u32| Sample {
            at_s: f64::from(at),
            calls: Some(u64::from(at)),
            cpu_percent: None,
            memory_mib: None,
            rate: 1.0,
            retransmissions: 0,
        };
        let samples: Vec<Sample> = (0..5).map(sample).collect();
        let svg = draw("Calls", &samples, |sample| sample.calls.map(super::super::super::step::whole)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{svg}");
        assert_eq!(draw("CPU", &samples, |sample| sample.cpu_percent), None);
    }
}
