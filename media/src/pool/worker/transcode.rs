//! Sound between two sides that share no codec: what one sends is heard by an ear, and said again to the other in a stream of
//! our own, at the worker's beat.

use super::super::counters::{SideCounters, Vitals};
use super::super::vocabulary::Side;
use super::entry::{Entry, Lane, SideState};
use super::play::{begin_stream, note_progress, send_payload};
use super::{BEAT, CATCH_UP_BEATS_MAX};
use crate::codec::{Payload, opus};
use crate::dtmf::Event;
use crate::rtp::{HEADER_BYTES, Header};
use crate::sound::{Ear, Heard, Mouth};
use crate::srtp::OVERHEAD_BYTES_MAX;
use smallvec::SmallVec;
use std::time::Duration;

/// Samples of a beat at the highest rate.
const SAMPLES_MAX: usize = 960;

/// What a side hears of the other one, made anew.
pub struct Made {
    ear: Ear,
    mouth: Mouth,
    /// Between the two.
    rate_hz: u32,
    to: Payload,
    /// The last packet of the other side was such that it has to be made anew.
    pub active: bool,
    /// The timestamp of the key that is being passed on, theirs and ours.
    key: Option<(u32, u32)>,
}

impl Made {
    /// From all that a side may send to what the other wants to hear.
    fn new(from: &[Payload], to: Payload, ptime_ms: u32) -> Option<Made> {
        // At the rate of what is written, so that only the reading end resamples; Opus takes any.
        let widest = from.iter().filter_map(Payload::sound_hz).max()?;
        let rate_hz = if to.codec == crate::Codec::Opus { opus::rate_for(widest) } else { to.sound_hz()? };
        Some(Made {
            ear: Ear::new(from, rate_hz)?,
            mouth: Mouth::new(&to, rate_hz, ptime_ms)?,
            rate_hz,
            to,
            active: false,
            key: None,
        })
    }
}

impl SideState {
    /// Whether what this side hears of the other is made anew at present.
    #[inline]
    pub fn is_made(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.active)
    }
}

/// A packet that came from a side.
pub struct Came<'a> {
    pub lane: Lane,
    pub header: &'a Header,
    pub bytes: &'a [u8],
    pub now: Duration,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: it passes as it is.
    Pass,
    /// It was heard.
    Made,
    /// Nobody can make anything of it.
    Unmapped,
}

/// Takes a packet of `me` that `other` does not understand as it is, or whose stream is being made anew. `counters` are those
/// of `other`.
pub fn take(me: &SideState, other: &mut SideState, came: &Came<'_>, counters: &SideCounters, vitals: &Vitals) -> Taken {
    let Came { lane, header, bytes, now } = *came;
    if lane.sound && lane.across.is_some() {
        // The side has come back to a codec that both have.
        if let Some(made) = &mut other.made {
            made.active = false;
        }
        other.own.flowing = false;
        other.marker_due = true;
        return Taken::Pass;
    }
    if lane.payload.events {
        return pass_key_on(other, came, counters, vitals);
    }
    if !lane.heard {
        return Taken::Unmapped;
    }
    if other.made.is_none() {
        let (Some(voice), Some(route)) = (other.voice, other.route) else { return Taken::Unmapped };
        let from: SmallVec<[Payload; 8]> = me.lanes.iter().map(|lane| lane.payload).collect();
        other.made = Made::new(&from, voice, route.ptime_ms).map(Box::new);
    }
    let Some(made) = &mut other.made else { return Taken::Unmapped };
    made.active = true;
    made.ear.packet(header, header.payload(bytes), now);
    Taken::Made
}

/// A telephone-event inside a stream that is made anew has a place in that stream: our source, our numbers, and the clock of
/// the other side's events.
fn pass_key_on(other: &mut SideState, came: &Came<'_>, counters: &SideCounters, vitals: &Vitals) -> Taken {
    let Came { lane, header, bytes, now } = *came;
    let (Some(keys), Some(event)) = (other.keys, Event::parse(header.payload(bytes))) else { return Taken::Unmapped };
    let next_timestamp = other.own.next_timestamp;
    let Some(made) = other.made.as_mut().filter(|made| made.active) else { return Taken::Unmapped };
    // The ear shall not take the number for a loss.
    made.ear.packet(header, &[], now);
    let known = made.key.filter(|(theirs, _)| *theirs == header.timestamp);
    let (_, timestamp) = known.unwrap_or((header.timestamp, next_timestamp));
    made.key = Some((header.timestamp, timestamp));
    let scaled = u64::from(event.duration) * u64::from(keys.clock_hz) / u64::from(lane.payload.clock_hz.max(1));
    let event = Event { duration: u16::try_from(scaled).unwrap_or(u16::MAX), ..event };
    let bytes = event.to_bytes();
    let mut buffer = [0; HEADER_BYTES + 4 + OVERHEAD_BYTES_MAX];
    let (head, payload) = buffer.split_at_mut(HEADER_BYTES);
    let out = Header {
        payload_type: keys.pt,
        marker: known.is_none(),
        sequence: other.own.next_sequence,
        timestamp,
        ssrc: other.own.ssrc,
        payload_start: HEADER_BYTES,
        payload_end: HEADER_BYTES + bytes.len(),
    };
    if let (Ok(head), Some(place)) = (head.try_into(), payload.get_mut(..bytes.len())) {
        out.write(head);
        place.copy_from_slice(&bytes);
    }
    other.own.next_sequence = out.sequence.wrapping_add(1);
    other.own.packets = other.own.packets.wrapping_add(1);
    other.own.octets = other.own.octets.wrapping_add(4);
    other.send(&mut buffer, out.payload_end, counters, vitals);
    Taken::Made
}

/// One wake of the beat for a side that hears the other made anew.
pub fn speak_on(entry: &mut Entry, side: Side, beats: u64, now: Duration, vitals: &Vitals) {
    let record = &*entry.record;
    let state = entry.sides.get_mut(side);
    let Some(mut made) = state.made.take() else { return };
    if state.route.is_some_and(|route| route.hears()) {
        let made_up = beats.min(CATCH_UP_BEATS_MAX);
        let mut samples = [0; SAMPLES_MAX];
        let frame = samples.get_mut(..(made.rate_hz / 50) as usize).unwrap_or_default();
        for beat in 0..made_up {
            // What a late wake makes up for was due a beat earlier each.
            let due = BEAT * u32::try_from(made_up - 1 - beat).unwrap_or(0);
            if made.ear.pull(now.saturating_sub(due), frame) == Heard::Nothing {
                state.own.flowing = false;
                made.mouth.pause();
                continue;
            }
            begin_stream(state, made.to.clock_hz, now);
            let counters = record.counters.get(side);
            let pt = made.to.pt;
            made.mouth.speak(frame, |spoken| send_payload(state, pt, spoken, now, counters, vitals));
        }
        note_progress(record, side, state);
    } else {
        state.own.flowing = false;
    }
    state.made = Some(made);
}
