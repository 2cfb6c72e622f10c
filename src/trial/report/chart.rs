//! Charts of a step, as SVG.

use plotters::prelude::*;

const SIZE: (u32, u32) = (560, 220);
/// Fewer points make no line.
const POINTS_MIN: usize = 3;
const INK: RGBColor = RGBColor(10, 99, 201);
const FAULT: RGBColor = RGBColor(201, 52, 10);

/// What is drawn.
pub struct Chart<'a> {
    /// What the figure is.
    pub caption: &'a str,
    /// What the points are over: `s`.
    pub over: &'a str,
    /// x and y of each.
    pub points: Vec<(f64, f64)>,
    /// Whether the points are one thing over time, and so are joined; otherwise each is a thing of its own.
    pub joined: bool,
    /// Where something was broken on purpose.
    pub faults: &'a [f64],
}

/// The picture; `None` where there is too little to draw.
pub fn draw(chart: &Chart<'_>) -> Option<String> {
    let least = if chart.joined { POINTS_MIN } else { 1 };
    if chart.points.len() < least {
        return None;
    }
    let end = chart.points.iter().map(|point| point.0).fold(0.1, f64::max);
    let top = chart.points.iter().map(|point| point.1).fold(0.0, f64::max).max(1.0) * 1.1;
    let mut svg = String::new();
    drawn(&mut svg, chart, (end, top)).ok()?;
    Some(svg)
}

fn drawn(svg: &mut String, chart: &Chart<'_>, (end, top): (f64, f64)) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut axes = ChartBuilder::on(&area)
        .caption(chart.caption, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    axes.configure_mesh().light_line_style(WHITE).x_desc(chart.over).x_labels(8).y_labels(5).draw()?;
    let points = chart.points.iter().copied();
    if chart.joined {
        axes.draw_series(LineSeries::new(points, INK.stroke_width(2)))?;
    } else {
        axes.draw_series(points.map(|point| Circle::new(point, 2, INK.filled())))?;
    }
    for at in chart.faults.iter().filter(|at| **at <= end) {
        axes.draw_series(LineSeries::new([(*at, 0.0), (*at, top)], FAULT.stroke_width(1)))?;
    }
    area.present()?;
    drop(axes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: u32, joined: bool) -> Option<String> {
        let points = (0..points).map(|at| (f64::from(at), 1.0)).collect();
        draw(&Chart { caption: "Calls", over: "s", points, joined, faults: &[1.0] })
    }

    #[test]
    fn a_chart_has_its_line_and_too_few_points_have_none() {
        let svg = chart(5, true).unwrap();
        let faults = svg.matches("#C9340A").count();
        assert!(svg.starts_with("<svg") && svg.contains("#0A63C9") && faults == 1, "its line, and the fault: {svg}");
        assert_eq!(chart(2, true), None);
    }

    #[test]
    fn streams_are_points_of_their_own() {
        assert_eq!(chart(2, false).unwrap().matches("<circle").count(), 2);
        assert_eq!(chart(0, false), None);
    }
}
