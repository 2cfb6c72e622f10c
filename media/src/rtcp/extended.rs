//! What we say ourselves of the sound that we hear, to who has asked for it: extended reports (RFC 3611).

use super::voip_metrics::{UNKNOWN, VOIP_METRICS, VOIP_METRICS_WORDS};
use super::{EXTENDED_REPORT, Pen, VoipMetrics};
use crate::quality::{GMIN, Losses};
use crate::rtp::Summary;

/// Type of a statistics summary (RFC 3611 section 4.6).
const STATISTICS_SUMMARY: u8 = 6;
const STATISTICS_SUMMARY_WORDS: u16 = 9;

/// Enough for any packet that [`Extended::write`] writes.
pub const EXTENDED_BYTES_MAX: usize = 84;

/// The blocks that a party wants to be told about the sound that it sends (RFC 3611 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// VoIP metrics.
    pub metrics: bool,
    /// Statistics summary: what was lost,
    pub loss: bool,
    /// what came twice,
    pub duplicates: bool,
    /// and the jitter.
    pub jitter: bool,
}

impl Wanted {
    /// Whether a statistics summary is wanted.
    pub fn summary(&self) -> bool {
        self.loss || self.duplicates || self.jitter
    }
}

/// The blocks of one extended report.
#[derive(Clone, Debug, Default)]
pub struct Extended {
    /// What became of the packets of the last interval, with what is wanted of it.
    pub summary: Option<(Summary, Wanted)>,
    /// How the sound is since the call's beginning.
    pub metrics: Option<VoipMetrics>,
}

/// What VoIP metrics are made of.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// The source that is told of.
    pub ssrc: u32,
    /// Its losses and how they lie together.
    pub losses: Losses,
    /// Packets that came, but too late to be heard.
    pub discarded: u64,
    /// Mean length of a burst of losses and of what lies between two, ms.
    pub burst_ms: f64,
    /// See `burst_ms`.
    pub gap_ms: f64,
    /// Round trip, ms; 0 if it is not known.
    pub round_trip_ms: f64,
    /// What we add to the delay, ms.
    pub here_ms: f64,
    /// R and MOS-CQ; `None` if nobody knows.
    pub rating: Option<crate::quality::Rating>,
    /// MOS-LQ: without what the delay costs.
    pub listening_mos: Option<f64>,
    /// How long sound waits at present and at most, ms; `None` where nothing waits, because nothing is made audible.
    pub buffer_ms: Option<(f64, f64)>,
}

impl VoipMetrics {
    /// A block that says this (RFC 3611 section 4.7).
    pub fn of(told: &Metrics) -> VoipMetrics {
        let losses = &told.losses;
        let expected = losses.expected.max(1) as f64;
        let score = |value: Option<f64>| value.map_or(UNKNOWN, byte);
        let [s0, s1, s2, s3] = told.ssrc.to_be_bytes();
        let [b0, b1] = half(told.burst_ms);
        let [g0, g1] = half(told.gap_ms);
        let [r0, r1] = half(told.round_trip_ms);
        let [e0, e1] = half(told.here_ms);
        // Our ear conceals a loss by what was before it, and its buffer adapts (section 4.7.6).
        const ENHANCED_CONCEALMENT: u8 = 2 << 6;
        const ADAPTIVE: u8 = 3 << 4;
        let configuration = told.buffer_ms.map_or(0, |_| ENHANCED_CONCEALMENT | ADAPTIVE);
        let (now_ms, most_ms) = told.buffer_ms.unwrap_or_default();
        let ([n0, n1], [m0, m1]) = (half(now_ms), half(most_ms));
        let [loss, discarded] = [losses.ratio(), told.discarded as f64 / expected].map(fraction);
        let [burst, gap] = [losses.burst_density(), losses.gap_density()].map(fraction);
        let (r, conversation) = (told.rating.map(|rating| rating.r), told.rating.map(|rating| 10.0 * rating.mos));
        let (r, listening, conversation) =
            (score(r), score(told.listening_mos.map(|mos| 10.0 * mos)), score(conversation));
        let gmin = u8::try_from(GMIN).unwrap_or(u8::MAX);
        VoipMetrics([
            s0,
            s1,
            s2,
            s3,
            loss,
            discarded,
            burst,
            gap,
            b0,
            b1,
            g0,
            g1,
            r0,
            r1,
            e0,
            e1,
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            gmin,
            r,
            UNKNOWN,
            listening,
            conversation,
            configuration,
            0,
            n0,
            n1,
            m0,
            m1,
            m0,
            m1,
        ])
    }
}

impl Extended {
    /// Writes the packet of the source `ssrc`, to stand behind a report in one datagram; returns its length, 0 if it has no block.
    /// `None` if `out` is shorter than needed ([`EXTENDED_BYTES_MAX`] always suffices).
    pub fn write(&self, ssrc: u32, out: &mut [u8]) -> Option<usize> {
        let pen = &mut Pen { out, at: 0 };
        let words = |there: bool, words: u16| if there { 1 + words } else { 0 };
        let length =
            words(self.summary.is_some(), STATISTICS_SUMMARY_WORDS) + words(self.metrics.is_some(), VOIP_METRICS_WORDS);
        if length == 0 {
            return Some(0);
        }
        pen.head(0, EXTENDED_REPORT, 1 + length)?;
        pen.words(&[ssrc])?;
        if let Some((summary, wanted)) = &self.summary {
            write_summary(summary, wanted, pen)?;
        }
        if let Some(VoipMetrics(block)) = &self.metrics {
            let [high, low] = VOIP_METRICS_WORDS.to_be_bytes();
            pen.bytes(&[VOIP_METRICS, 0, high, low])?;
            pen.bytes(block)?;
        }
        Some(pen.at)
    }
}

fn write_summary(summary: &Summary, wanted: &Wanted, pen: &mut Pen<'_>) -> Option<()> {
    const LOSS: u8 = 0x80;
    const DUPLICATES: u8 = 0x40;
    const JITTER: u8 = 0x20;
    let jitter = summary.jitter.figures().filter(|_| wanted.jitter);
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    let flags = flag(wanted.loss, LOSS) | flag(wanted.duplicates, DUPLICATES) | flag(jitter.is_some(), JITTER);
    let [high, low] = STATISTICS_SUMMARY_WORDS.to_be_bytes();
    pen.bytes(&[STATISTICS_SUMMARY, flags, high, low])?;
    pen.words(&[summary.ssrc])?;
    pen.bytes(&summary.numbers.start.to_be_bytes())?;
    pen.bytes(&summary.numbers.end.to_be_bytes())?;
    let counted = |wanted: bool, count: u32| if wanted { count } else { 0 };
    pen.words(&[counted(wanted.loss, summary.lost), counted(wanted.duplicates, summary.duplicates)])?;
    pen.words(&jitter.unwrap_or_default())?;
    // The kernel does not tell us their times to live.
    pen.words(&[0])
}

/// A part of a whole in 256ths.
fn fraction(part: f64) -> u8 {
    byte(256.0 * part)
}

/// The nearest byte: a float past either end becomes that end.
fn byte(value: f64) -> u8 {
    value.round() as u8
}

fn half(value: f64) -> [u8; 2] {
    (value.round() as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{Part, REPORT_BYTES_MAX, Report, parse};
    use super::*;
    use crate::quality::Rating;
    use crate::rtp::Reception;
    use ::rtcp::extended_report::ExtendedReport;
    use ::rtcp::extended_report::ssr::StatisticsSummaryReportBlock;
    use ::rtcp::extended_report::vm::VoIPMetricsReportBlock;
    use std::time::Duration;

    const ALL: Wanted = Wanted { metrics: true, loss: true, duplicates: true, jitter: true };

    fn metrics() -> Metrics {
        let losses = Losses { expected: 1000, lost: 100, runs: 30, bursts: 10, burst_packets: 120, burst_lost: 60 };
        Metrics {
            ssrc: 5,
            losses,
            discarded: 50,
            burst_ms: 240.0,
            gap_ms: 1600.4,
            round_trip_ms: 90.0,
            here_ms: 60.0,
            rating: Some(Rating { r: 80.6, mos: 4.04 }),
            listening_mos: Some(4.13),
            buffer_ms: Some((40.0, 1280.0)),
        }
    }

    /// A stream that skips two numbers, repeats one and has ways of 0, 8, 0 and 24 units more than the one before.
    fn summary() -> Summary {
        let mut stream = Reception::default();
        stream.tally();
        for (sequence, late_units) in [(65_534u16, 0), (65_535, 8), (65_535, 8), (2, 8), (3, 32)] {
            stream.packet(9, sequence);
            let timestamp = 160 * u32::from(sequence.wrapping_sub(65_534));
            let at = Duration::from_micros(u64::from(timestamp + late_units) * 125);
            stream.timing(timestamp, 8000, at);
        }
        let summary = stream.summary().unwrap();
        assert_eq!(stream.summary(), None);
        stream.packet(9, 4);
        assert_eq!(stream.summary().unwrap().numbers, 4..5);
        summary
    }

    fn written(extended: &Extended) -> Vec<u8> {
        let mut wire = [0; REPORT_BYTES_MAX + EXTENDED_BYTES_MAX];
        let report = Report { ssrc: 1, sender: None, block: None, cname: "a-switch", bye: false };
        let length = report.write(&mut wire).unwrap();
        let more = extended.write(1, &mut wire[length..]).unwrap();
        wire[..length + more].to_vec()
    }

    /// The packet as another implementation reads it.
    fn read(wire: &[u8]) -> ExtendedReport {
        let packets = ::rtcp::packet::unmarshal(&mut &*wire).unwrap();
        let found = packets.iter().find_map(|packet| packet.as_any().downcast_ref::<ExtendedReport>().cloned());
        found.expect("an extended report")
    }

    #[test]
    fn metrics_are_read_by_others_as_they_were_meant_and_by_us_as_well() {
        let wire = written(&Extended { summary: None, metrics: Some(VoipMetrics::of(&metrics())) });
        let report = read(&wire);
        let block = report.reports[0].as_any().downcast_ref::<VoIPMetricsReportBlock>().unwrap();
        assert_eq!((report.sender_ssrc, block.ssrc), (1, 5));
        assert_eq!((block.loss_rate, block.discard_rate, block.burst_density, block.gap_density), (26, 13, 128, 12));
        assert_eq!((block.burst_duration, block.gap_duration), (240, 1600));
        assert_eq!((block.round_trip_delay, block.end_system_delay), (90, 60));
        assert_eq!((block.signal_level, block.noise_level, block.rerl, block.gmin), (127, 127, 127, 16));
        assert_eq!((block.rfactor, block.ext_rfactor, block.mos_lq, block.mos_cq), (81, 127, 41, 40));
        assert_eq!((block.rx_config, block.jb_nominal, block.jb_maximum, block.jb_abs_max), (0xb0, 40, 1280, 1280));

        let parts: Vec<_> = parse(&wire).unwrap().collect();
        let Some(Part::Extended(Some(ours))) = parts.iter().find(|part| matches!(part, Part::Extended(_))) else {
            panic!("{parts:?}")
        };
        assert_eq!((ours.r(), ours.mos(), ours.delays_ms()), (Some(81), (Some(4.1), Some(4.0)), (90, 60)));
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let none = Metrics { rating: None, listening_mos: None, buffer_ms: None, ..metrics() };
        let report = read(&written(&Extended { summary: None, metrics: Some(VoipMetrics::of(&none)) }));
        let block = report.reports[0].as_any().downcast_ref::<VoIPMetricsReportBlock>().unwrap();
        assert_eq!((block.rfactor, block.mos_lq, block.mos_cq, block.rx_config), (127, 127, 127, 0));
    }

    #[test]
    fn a_summary_tells_what_was_asked_of_the_numbers_since_the_last_one() {
        let report = read(&written(&Extended { summary: Some((summary(), ALL)), metrics: None }));
        let block = report.reports[0].as_any().downcast_ref::<StatisticsSummaryReportBlock>().unwrap();
        assert!(block.loss_reports && block.duplicate_reports && block.jitter_reports);
        assert_eq!((block.ssrc, block.begin_seq, block.end_seq), (9, 65_534, 4));
        assert_eq!((block.lost_packets, block.dup_packets), (2, 1));
        // 8, 0, 0 and 24: their mean square less the square of their mean is 96.
        assert_eq!((block.min_jitter, block.max_jitter, block.mean_jitter, block.dev_jitter), (0, 24, 8, 10));

        let loss = Wanted { loss: true, ..Wanted::default() };
        let report = read(&written(&Extended { summary: Some((summary(), loss)), metrics: None }));
        let block = report.reports[0].as_any().downcast_ref::<StatisticsSummaryReportBlock>().unwrap();
        assert!(block.loss_reports && !block.duplicate_reports && !block.jitter_reports);
        assert_eq!((block.lost_packets, block.dup_packets, block.max_jitter), (2, 0, 0));
    }

    #[test]
    fn both_blocks_fit_with_all_the_rest() {
        let both = Extended { summary: Some((summary(), ALL)), metrics: Some(VoipMetrics::of(&metrics())) };
        assert_eq!(read(&written(&both)).reports.len(), 2);
        assert_eq!(Extended::default().write(1, &mut []), Some(0));
        assert_eq!(both.write(1, &mut [0; EXTENDED_BYTES_MAX - 1]), None);
    }
}
