//! Sound between two sides that share no codec, or not the form of their keys, or not the length of packets that they can take: what one sends is heard by an ear, and said again
//! to the other in a stream of our own, at the worker's beat.

use super::super::counters::{SideCounters, Vitals};
use super::super::vocabulary::Side;
use super::entry::{Entry, Lane, SideState};
use super::keys::{self, Turns};
use super::play::{begin_stream, note_progress, send_payload};
use super::{BEAT, CATCH_UP_BEATS_MAX};
use crate::codec::{Codec, Payload, opus};
use crate::dtmf::{Due, EVENT_BYTES, Keying, Report, Turn};
use crate::rtp::{HEADER_BYTES, Header, reception::in_clock_units};
use crate::sound::{Ear, Heard, Mouth, Silence};
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
    /// Once a key had to be made anew all is, so that the side does not hear two streams in turn.
    lasting: bool,
    keying: Keying,
    /// The timestamp of the key that is being said.
    key_begins: u32,
}

impl Made {
    /// From all that a side may send to what the other wants to hear.
    fn new(from: &[Payload], to: Payload, ptime_ms: u32, silence: Silence) -> Option<Made> {
        // At the rate of what is written, so that only the reading end resamples; Opus takes any.
        let widest = from.iter().filter_map(Payload::sound_hz).max()?;
        let rate_hz = if to.codec == Codec::Opus { opus::rate_for(widest) } else { to.sound_hz()? };
        Some(Made {
            ear: Ear::new(from, rate_hz)?,
            mouth: Mouth::new(&to, rate_hz, ptime_ms)?.with_silence(silence),
            rate_hz,
            to,
            active: false,
            lasting: false,
            keying: Keying::default(),
            key_begins: 0,
        })
    }

    /// What listens to the other side.
    pub fn ear(&self) -> &Ear {
        &self.ear
    }

    /// Has the side told what becomes of keys.
    pub fn turn_keys(&mut self, turns: &[Turn]) {
        turns.iter().for_each(|turn| self.keying.turn(*turn));
    }
}

impl SideState {
    /// Whether what this side hears of the other is made anew at present.
    #[inline]
    pub fn is_made(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.active)
    }

    /// What makes anew for this side what `me` sends; absent where one of them speaks nothing that the pool codes.
    fn made_of(&mut self, me: &SideState) -> Option<&mut Made> {
        if self.made.is_none() {
            let (voice, route) = self.voice.zip(self.route)?;
            let from: SmallVec<[Payload; 8]> = me.lanes.iter().map(|lane| lane.payload).collect();
            self.made = Made::new(&from, voice, route.ptime_ms, self.silence.0).map(Box::new);
        }
        self.made.as_deref_mut()
    }
}

/// A packet that came from a side.
pub struct Came<'a> {
    pub lane: Lane,
    pub header: &'a Header,
    pub bytes: &'a [u8],
    /// What becomes of keys with it.
    pub turns: &'a [Turn],
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

/// Whether a packet of `me` needs a look of [`take`]: `other` does not understand it as it is, or hears it made anew, or shall not
/// hear the keys in it and they cannot be muted in the packet.
#[inline]
pub fn concerns(me: &SideState, other: &SideState, lane: &Lane, payload: &[u8]) -> bool {
    lane.across.is_none() || other.is_made() || is_listened_through(me, lane) || is_too_long(other, lane, payload)
}

/// Whether a packet is longer than `other` can take.
#[inline]
fn is_too_long(other: &SideState, lane: &Lane, payload: &[u8]) -> bool {
    let longest_ms = other.route.map_or(0, |route| route.max_ptime_ms);
    longest_ms != 0 && lane.payload.length_us(payload).is_some_and(|length| length > 1000 * longest_ms)
}

fn is_listened_through(me: &SideState, lane: &Lane) -> bool {
    let muted_in_place = matches!(lane.payload.codec, Codec::Pcmu | Codec::Pcma);
    me.listener.as_ref().is_some_and(|listener| listener.mutes) && lane.sound && !muted_in_place
}

/// Takes a packet of `me` that [`concerns`] its way to `other`.
pub fn take(me: &SideState, other: &mut SideState, came: &Came<'_>) -> Taken {
    let Came { lane, header, bytes, turns, now } = *came;
    if lane.payload.events {
        if other.told_keys {
            // The call tells it. The ear shall not take the number for a loss.
            if let Some(made) = other.made.as_mut().filter(|made| made.active) {
                made.ear.packet(header, &[], now);
            }
            return Taken::Made;
        }
        if !say_keys(me, other, turns) {
            return Taken::Unmapped;
        }
        if let Some(made) = &mut other.made {
            made.ear.packet(header, &[], now);
        }
        return Taken::Made;
    }
    let lasting = other.made.as_ref().is_some_and(|made| made.lasting)
        || is_listened_through(me, &lane)
        || is_too_long(other, &lane, header.payload(bytes));
    if lane.sound && lane.across.is_some() && !lasting {
        // The side has come back to a codec that both have.
        if let Some(made) = &mut other.made {
            made.active = false;
        }
        other.own.flowing = false;
        other.marker_due = true;
        return Taken::Pass;
    }
    if !lane.heard {
        return Taken::Unmapped;
    }
    let Some(made) = other.made_of(me) else {
        return if lane.across.is_some() { Taken::Pass } else { Taken::Unmapped };
    };
    made.active = true;
    made.ear.packet(header, header.payload(bytes), now);
    Taken::Made
}

/// Says keys of `me` to `other` in its own form: all that it hears is made anew from now on. False if that cannot be.
pub fn say_keys(me: &SideState, other: &mut SideState, turns: &[Turn]) -> bool {
    let Some(made) = other.made_of(me) else { return false };
    (made.active, made.lasting) = (true, true);
    made.turn_keys(turns);
    true
}

/// Sends an event in our stream to a side: it has its place among the numbers, and the time at which the key began.
fn send_event(
    state: &mut SideState,
    keys: &Payload,
    begins: u32,
    report: &Report,
    counters: &SideCounters,
    vitals: &Vitals,
) {
    let mut buffer = [0; HEADER_BYTES + EVENT_BYTES + OVERHEAD_BYTES_MAX];
    let (head, payload) = buffer.split_at_mut(HEADER_BYTES);
    let out = Header {
        payload_type: keys.pt,
        marker: report.first,
        sequence: state.own.next_sequence,
        timestamp: begins.wrapping_add(report.ahead),
        ssrc: state.own.ssrc,
        payload_start: HEADER_BYTES,
        payload_end: HEADER_BYTES + EVENT_BYTES,
    };
    if let (Ok(head), Some(place)) = (head.try_into(), payload.get_mut(..EVENT_BYTES)) {
        out.write(head);
        place.copy_from_slice(&report.event.to_bytes());
    }
    state.own.next_sequence = out.sequence.wrapping_add(1);
    state.own.packets = state.own.packets.wrapping_add(1);
    state.own.octets = state.own.octets.wrapping_add(4);
    state.send(&mut buffer, out.payload_end, counters, vitals);
}

/// One wake of the beat for a side that hears the other made anew.
pub fn speak_on(entry: &mut Entry, side: Side, beats: u64, now: Duration, vitals: &Vitals) {
    let record = &*entry.record;
    let (state, speaker) = entry.sides.split_mut(side);
    let Some(mut made) = state.made.take() else { return };
    if state.route.is_some_and(|route| route.hears()) {
        let made_up = beats.min(CATCH_UP_BEATS_MAX);
        let mut samples = [0; SAMPLES_MAX];
        let frame = samples.get_mut(..(made.rate_hz / 50) as usize).unwrap_or_default();
        let keys = state.keys.filter(|_| !state.told_keys);
        let counters = record.counters.get(side);
        for beat in 0..made_up {
            // What a late wake makes up for was due a beat earlier each.
            let due = BEAT * u32::try_from(made_up - 1 - beat).unwrap_or(0);
            let heard = made.ear.pull(now.saturating_sub(due), frame);
            if let Some(listener) = &mut speaker.listener {
                let mut turns = Turns::new();
                listener.frame(frame, heard, made.rate_hz, &mut turns);
                if listener.mutes && keys.is_some() {
                    made.turn_keys(&turns);
                }
                keys::tell(record, entry.recording.as_ref(), side.other(), &turns);
            }
            let due = made.keying.beat(keys.map(|keys| keys.clock_hz), frame);
            if heard == Heard::Nothing && due == Due::Sound {
                state.own.flowing = false;
                made.mouth.pause();
                continue;
            }
            begin_stream(state, made.to.clock_hz, now);
            if let (Due::Event(report) | Due::Again(report), Some(keys)) = (due, &keys) {
                if report.first {
                    made.mouth.pause();
                    made.key_begins = state.own.next_timestamp;
                }
                send_event(state, keys, made.key_begins, &report, counters, vitals);
            }
            if let Due::Event(_) = due {
                // In place of sound, whose time goes on.
                let units = in_clock_units(BEAT, made.to.clock_hz);
                state.own.next_timestamp = state.own.next_timestamp.wrapping_add(units);
                continue;
            }
            let pt = made.to.pt;
            made.mouth.speak(frame, |spoken| send_payload(state, pt, spoken, now, counters, vitals));
        }
        note_progress(record, side, state);
    } else {
        state.own.flowing = false;
    }
    state.made = Some(made);
}
