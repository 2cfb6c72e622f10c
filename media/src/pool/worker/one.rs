//! One stream for a browser, whatever it hears: the other party, music, a tone.
//!
//! A browser plays the stream of the source that it has met last, and a source that comes back it does not play again (as of
//! Chromium 156, where no source is announced). So all that such a side hears has one source, our own, and numbers that go on.

use super::super::book::FlowRecord;
use super::super::vocabulary::Side;
use super::entry::SideState;
use crate::rtcp::Translation;
use crate::rtp::reception::in_clock_units;
use crate::rtp::{self, Header};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What a packet is taken to last where only the next worker could know.
const PACKETS_A_SECOND: u32 = 50;

/// How the stream that is relayed to a side is changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct One {
    /// Its source, once a packet was relayed.
    from: Option<u32>,
    sequence: u16,
    timestamp: u32,
    /// What our own stream would have gone on with: when it is elsewhere now, something else was heard in between.
    next: u16,
}

impl SideState {
    /// Makes a packet that is relayed to the side the next of its one stream; other sides get it as it was sent.
    pub fn unify(
        &mut self,
        record: &FlowRecord,
        side: Side,
        buffer: &mut [u8],
        header: &Header,
        clock_hz: u32,
        now: Duration,
    ) {
        let Some(web) = &mut self.web else { return };
        let (one, own) = (&mut web.one, &mut self.own);
        if one.from != Some(header.ssrc) || one.next != own.next_sequence {
            let gap = own.last.map_or(0, |(_, at)| in_clock_units(now.saturating_sub(at), clock_hz));
            let timestamp = own.last.map_or(own.next_timestamp, |(timestamp, _)| timestamp.wrapping_add(gap.max(1)));
            *one = One {
                from: Some(header.ssrc),
                sequence: own.next_sequence.wrapping_sub(header.sequence),
                timestamp: timestamp.wrapping_sub(header.timestamp),
                next: own.next_sequence,
            };
            self.marker_due = true;
        }
        let sequence = header.sequence.wrapping_add(one.sequence);
        let timestamp = header.timestamp.wrapping_add(one.timestamp);
        rtp::set_ssrc(buffer, own.ssrc);
        rtp::set_sequence(buffer, sequence);
        rtp::set_timestamp(buffer, timestamp);
        // Packets that come late are before what goes on.
        if sequence.wrapping_sub(one.next) < 0x8000 {
            one.next = sequence.wrapping_add(1);
            own.next_sequence = one.next;
            own.next_timestamp = timestamp.wrapping_add(clock_hz / PACKETS_A_SECOND);
            own.last = Some((timestamp, now));
            own.clock_hz = clock_hz;
            let marks = record.marks.get(side);
            marks.stream.store(u64::from(one.next) << 32 | u64::from(own.next_timestamp), Relaxed);
        }
    }

    /// What became of the stream that is relayed to the side; `None` where it is as it was sent.
    pub fn translation(&self) -> Option<Translation> {
        let one = self.web.as_ref()?.one;
        let (from, to) = (one.from?, self.own.ssrc);
        Some(Translation { from, to, sequence: one.sequence, timestamp: one.timestamp })
    }
}
