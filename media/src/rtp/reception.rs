//! What a receiver knows about one stream: sequence (RFC 3550 appendix A.1), loss (A.3) and jitter (A.8).

use super::summary::{Spread, Summary};
use crate::quality::LossPattern;
use std::time::Duration;

/// A jump forward of up to this many numbers is loss (RFC 3550 A.1).
const DROPOUT_MAX: u16 = 3000;
/// A packet at most this far behind the newest is late, not a restart (RFC 3550 A.1).
const MISORDER_MAX: u16 = 100;
/// Numbers of which is remembered whether they came: what is later than that counts as lost in the pattern.
const WINDOW: u8 = 64;
/// A packet lasts no longer than this part of a second; past it the sender was silent in between.
const PACKETS_PER_SECOND_MIN: u32 = 8;
/// One past the highest sequence number.
const SEQUENCE_MODULUS: u32 = 1 << 16;

/// How a packet stands to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or one after a gap.
    InOrder,
    /// Older than the newest, and not seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// The first of a stream: a new source, or one that started its numbers again.
    Restarted,
    /// Far out of order once; taken as a restart if its successor follows (RFC 3550 A.1).
    Suspect,
}

/// Loss between two reports (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportInterval {
    /// Lost in the interval as a fraction of 256.
    pub fraction_lost: u8,
    /// Lost since the start; negative with duplicates. Fits 24 bits.
    pub cumulative_lost: i32,
    /// Cycles in the upper, newest sequence number in the lower half.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
}

/// The state of one received stream. Starts with [`Reception::default`]; the first packet initialises it.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    ssrc: Option<u32>,
    base: u16,
    newest: u16,
    cycles: u32,
    /// The number that would confirm a restart.
    suspect_next: Option<u16>,
    /// Bit n: `newest - n` was received.
    window: u64,
    /// How many places of the window belong to the stream.
    window_places: u8,
    /// What became of the numbers that have left the window, over all streams of the flow.
    pattern: LossPattern,
    received: u64,
    duplicates: u64,
    /// Losses of streams that came before on the same flow.
    lost_before: i64,
    expected_at_report: u64,
    received_at_report: u64,
    transit: Option<u32>,
    /// A.8's estimate, scaled by 16.
    jitter_16: u32,
    /// The packet counted last followed its predecessor at once.
    consecutive: bool,
    timestamp: u32,
    packet_units: u32,
    /// What is counted from summary to summary, where somebody wants that.
    tally: Option<Tally>,
}

/// What had been counted at the last summary, and the jitter since.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    expected: u64,
    came: u64,
    duplicates: u64,
    jitter: Spread,
}

impl Reception {
    /// A stream of a flow that has lost packets before, and in what pattern, so that its loss goes on from there.
    pub fn after(lost_before: u64, pattern: LossPattern) -> Reception {
        Reception { lost_before: i64::try_from(lost_before).unwrap_or(i64::MAX), pattern, ..Reception::default() }
    }

    /// Counts a packet. A new `ssrc` starts a new stream; losses of the old one stay counted.
    #[inline]
    pub fn packet(&mut self, ssrc: u32, sequence: u16) -> Arrival {
        if self.ssrc != Some(ssrc) {
            self.restart(ssrc, sequence);
            return Arrival::Restarted;
        }
        let ahead = sequence.wrapping_sub(self.newest);
        self.consecutive = ahead == 1;
        if ahead != 0 && ahead < DROPOUT_MAX {
            if sequence < self.newest {
                self.cycles = self.cycles.wrapping_add(SEQUENCE_MODULUS);
            }
            self.settle(ahead);
            self.window = self.window.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.newest = sequence;
            self.received += 1;
            self.suspect_next = None;
            return Arrival::InOrder;
        }
        let behind = self.newest.wrapping_sub(sequence);
        if behind > MISORDER_MAX {
            if self.suspect_next == Some(sequence) {
                self.restart(ssrc, sequence);
                return Arrival::Restarted;
            }
            self.suspect_next = Some(sequence.wrapping_add(1));
            return Arrival::Suspect;
        }
        self.received += 1;
        // Past the window nobody remembers: a packet that late was most likely delayed, not repeated.
        let bit = 1u64.checked_shl(u32::from(behind)).unwrap_or(0);
        if self.window & bit != 0 {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        self.window |= bit;
        Arrival::Late
    }

    /// Updates the jitter (RFC 3550 A.8) with a packet's timestamp and its time of arrival on any fixed clock.
    #[inline]
    pub fn timing(&mut self, timestamp: u32, clock_hz: u32, now: Duration) {
        let transit = in_clock_units(now, clock_hz).wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let step = transit.wrapping_sub(last);
            let distance = step.min(step.wrapping_neg());
            if let Some(tally) = &mut self.tally {
                tally.jitter.add(distance);
            }
            let decay = (self.jitter_16.saturating_add(8)) >> 4;
            self.jitter_16 = self.jitter_16.saturating_add(distance).saturating_sub(decay);
        }
        let step = timestamp.wrapping_sub(std::mem::replace(&mut self.timestamp, timestamp));
        if self.consecutive && step != 0 && step <= clock_hz / PACKETS_PER_SECOND_MIN {
            self.packet_units = step;
        }
    }

    /// The source that is being counted.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Packets of the stream that never came, over all streams of the flow; duplicates do not hide them.
    pub fn lost(&self) -> u64 {
        let missing = i64::try_from(self.expected()).unwrap_or(i64::MAX)
            - i64::try_from(self.received.saturating_sub(self.duplicates)).unwrap_or(i64::MAX);
        u64::try_from(missing.max(0).saturating_add(self.lost_before)).unwrap_or(0)
    }

    /// Jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter_16 >> 4
    }

    /// How long a packet lasts, in timestamp units, by the last two that came one behind the other; 0 while that is unknown.
    pub fn packet_units(&self) -> u32 {
        self.packet_units
    }

    /// What became of the packets of all streams that are old enough for it to be known.
    pub fn pattern(&self) -> &LossPattern {
        &self.pattern
    }

    /// The newest packets, as [`LossPattern::window`] takes them: which of them have come so far, and how many they are.
    pub fn window(&self) -> (u64, u8) {
        (self.window, self.window_places)
    }

    /// What the next report block says; starts a new interval (RFC 3550 A.3). `None` before the first packet.
    pub fn report(&mut self) -> Option<ReportInterval> {
        self.ssrc?;
        let expected = self.expected();
        let expected_now = expected.saturating_sub(self.expected_at_report);
        let received_now = self.received.saturating_sub(self.received_at_report);
        self.expected_at_report = expected;
        self.received_at_report = self.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let lost = i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(self.received).unwrap_or(i64::MAX);
        Some(ReportInterval {
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest_sequence: self.cycles.wrapping_add(u32::from(self.newest)),
            jitter: self.jitter(),
        })
    }

    /// Counts from now on what [`Reception::summary`] tells.
    pub fn tally(&mut self) {
        self.tally.get_or_insert_default();
    }

    /// What has become of the packets since the last summary; starts a new interval. `None` if it is not counted, and where nothing
    /// has come since.
    pub fn summary(&mut self) -> Option<Summary> {
        let (expected, duplicates, ssrc) = (self.expected(), self.duplicates, self.ssrc?);
        let came = self.received.saturating_sub(duplicates);
        let before = self.tally.filter(|before| expected > before.expected)?;
        self.tally = Some(Tally { expected, came, duplicates, jitter: Spread::default() });
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let [.., b0, b1] = before.expected.to_be_bytes();
        let lost = (expected - before.expected).saturating_sub(came.saturating_sub(before.came));
        Some(Summary {
            ssrc,
            numbers: self.base.wrapping_add(u16::from_be_bytes([b0, b1]))..self.newest.wrapping_add(1),
            lost: small(lost),
            duplicates: small(duplicates.saturating_sub(before.duplicates)),
            jitter: before.jitter,
        })
    }

    fn expected(&self) -> u64 {
        if self.ssrc.is_none() {
            return 0;
        }
        (u64::from(self.cycles) + u64::from(self.newest)).saturating_sub(u64::from(self.base)) + 1
    }

    /// Judges the numbers that leave the window when it moves on by `ahead`.
    #[inline]
    fn settle(&mut self, ahead: u16) {
        if ahead == 1 && self.window_places == WINDOW && self.window >> (WINDOW - 1) == 1 {
            return self.pattern.received(1);
        }
        let places = u16::from(self.window_places) + ahead;
        let leaving = places.saturating_sub(u16::from(WINDOW));
        // What was in the window is the older part; of a jump past all of it the rest is lost.
        let known = u8::try_from(leaving).unwrap_or(u8::MAX).min(self.window_places);
        let stays = self.window_places - known;
        self.pattern.window(self.window.checked_shr(u32::from(stays)).unwrap_or(0), known);
        self.pattern.lost(u64::from(leaving - u16::from(known)));
        self.window_places = u8::try_from(places).unwrap_or(WINDOW).min(WINDOW);
    }

    fn restart(&mut self, ssrc: u32, sequence: u16) {
        self.pattern.window(self.window, self.window_places);
        let lost_before = i64::try_from(self.lost()).unwrap_or(i64::MAX);
        *self = Reception {
            ssrc: Some(ssrc),
            base: sequence,
            newest: sequence,
            window: 1,
            window_places: 1,
            pattern: self.pattern,
            received: 1,
            lost_before,
            jitter_16: self.jitter_16,
            packet_units: self.packet_units,
            tally: self.tally.map(|_| Tally::default()),
            ..Reception::default()
        };
    }
}

/// A time in units of an RTP clock, modulo 2^32 as timestamps are.
pub(crate) fn in_clock_units(now: Duration, clock_hz: u32) -> u32 {
    let seconds = now.as_secs().wrapping_mul(u64::from(clock_hz));
    let part = u64::from(now.subsec_nanos()) * u64::from(clock_hz) / 1_000_000_000;
    let [_, _, _, _, b0, b1, b2, b3] = seconds.wrapping_add(part).to_be_bytes();
    u32::from_be_bytes([b0, b1, b2, b3])
}
