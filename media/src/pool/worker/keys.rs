//! Keys across a flow. A side that has agreed to telephone-events sends its keys as packets; to one that has not the worker
//! listens, where somebody wants to know. Each is told once to the call and the recording, and said to the other side in the
//! form that it has agreed to: as an event, as a tone, or not at all where the call tells it by SIP.
//!
//! Nobody listens where both sides have telephone-events, nor where neither has: what they send passes as it is.

use super::super::book::FlowRecord;
use super::super::vocabulary::{MediaEvent, Recording, Side};
use super::Worker;
use super::entry::{Entry, Lane, SideState};
use super::play::Playing;
use super::transcode;
use crate::codec::g711::{A_SILENCE, MU_SILENCE};
use crate::codec::{Codec, Decoder, Payload};
use crate::dtmf::{Detector, END_TIMEOUT, RATE_HZ, Turn};
use crate::rtp::Header;
use crate::sound::{Heard, Resampler};
use smallvec::SmallVec;
use std::time::Duration;

/// Samples of the longest packet at the highest rate.
const SAMPLES_MAX: usize = 5760;
/// Samples of that at the detector's rate.
const SLOW_SAMPLES_MAX: usize = 960;

/// A key is over when so many frames of 20 ms have not come: [`END_TIMEOUT`].
const ABSENT_FRAMES_MAX: u32 = 10;

/// What one packet or frame can tell; more of them would be many events in a packet.
pub type Turns = SmallVec<[Turn; 4]>;

/// Listens to a side for tones that are keys.
pub struct Listener {
    detector: Detector,
    /// The other side, or the room, shall not hear the tone: it is told the key otherwise.
    pub mutes: bool,
    /// Where what comes has to be decoded for it.
    decoder: Option<(Payload, Decoder)>,
    resampler: Option<(u32, Resampler)>,
    /// The number that comes next.
    next: Option<u16>,
    /// Frames since one came.
    absent: u32,
}

impl Listener {
    fn new(mutes: bool) -> Listener {
        Listener { detector: Detector::default(), mutes, decoder: None, resampler: None, next: None, absent: 0 }
    }

    /// Whether what came last has to be muted.
    pub fn suspects(&self) -> bool {
        self.mutes && self.detector.suspects()
    }

    /// Listens to a packet of a stream whose packets come in order.
    fn packet(&mut self, payload: &Payload, header: &Header, bytes: &[u8], turns: &mut Turns) {
        if self.next.is_some_and(|next| next != header.sequence) {
            self.detector.gap();
        }
        self.next = Some(header.sequence.wrapping_add(1));
        if self.decoder.as_ref().is_none_or(|(known, _)| known != payload) {
            self.decoder = Decoder::new(payload, RATE_HZ).map(|decoder| (*payload, decoder));
        }
        let Some((_, decoder)) = &mut self.decoder else { return };
        let mut samples = [0; SAMPLES_MAX];
        match decoder.decode(bytes, &mut samples) {
            Ok(count) => {
                let rate_hz = decoder.rate_hz();
                self.listen(samples.get(..count).unwrap_or_default(), rate_hz, turns);
            }
            Err(_) => self.detector.gap(),
        }
    }

    /// Listens to a frame and mutes it if it holds a key. A frame that has not come is no pause in a key.
    pub fn frame(&mut self, frame: &mut [i16], heard: Heard, rate_hz: u32, turns: &mut Turns) {
        match heard {
            Heard::Sound => {
                self.absent = 0;
                self.listen(frame, rate_hz, turns);
            }
            Heard::Concealed | Heard::Nothing => {
                self.absent = self.absent.saturating_add(1);
                if self.absent == ABSENT_FRAMES_MAX {
                    self.detector.end(|turn| turns.push(turn))
                } else {
                    self.detector.gap()
                }
            }
        }
        if self.suspects() {
            frame.fill(0);
        }
    }

    fn listen(&mut self, samples: &[i16], rate_hz: u32, turns: &mut Turns) {
        let tell = |turn| turns.push(turn);
        if rate_hz == RATE_HZ {
            return self.detector.listen(samples, tell);
        }
        if self.resampler.as_ref().is_none_or(|(known, _)| *known != rate_hz) {
            self.resampler = Resampler::new(rate_hz, RATE_HZ).map(|resampler| (rate_hz, resampler));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            let mut slow = [0; SLOW_SAMPLES_MAX];
            let count = resampler.process(samples, &mut slow);
            self.detector.listen(slow.get(..count).unwrap_or_default(), tell);
        }
    }

    /// Nothing comes any more.
    fn end(&mut self, turns: &mut Turns) {
        self.detector.end(|turn| turns.push(turn));
        self.next = None;
    }
}

impl SideState {
    /// Whether the side is told keys in its media.
    pub fn takes_keys(&self) -> bool {
        self.keys.is_some() && !self.told_keys
    }

    /// Whether it is relayed what the other side says.
    fn is_relayed_to(&self) -> bool {
        matches!(self.playing, Playing::Peer) && self.route.is_some()
    }
}

impl Worker<'_> {
    /// Has the sides of a flow listened to that have to be, and passes on what was pressed by other ways. To be called after
    /// every change of a flow.
    pub(super) fn settle_keys(&mut self, slot: u32) {
        let Some(entry) = self.entry(slot) else { return };
        for side in [Side::A, Side::B] {
            let recorded = entry.recording.is_some();
            let (me, other) = entry.sides.split_mut(side);
            let relayed = other.is_relayed_to();
            let converted = relayed && (other.keys.is_some() || other.told_keys);
            let listens = me.keys.is_none() && me.voice.is_some() && (!relayed || converted || recorded);
            let mutes = converted || matches!(me.playing, Playing::Room(_));
            match &mut me.listener {
                Some(listener) if listens => listener.mutes = mutes,
                place => *place = listens.then(|| Box::new(Listener::new(mutes))),
            }
        }
        let presses = std::mem::take(&mut entry.record.wanted.lock().presses);
        for press in presses {
            let turn = Turn::Up { key: press.key, duration_ms: press.duration_ms };
            if let Some(recording) = &entry.recording {
                recording.tape.key(press.key.digit());
            }
            let (me, other) = entry.sides.split_mut(press.by);
            if other.is_relayed_to() && !other.told_keys {
                transcode::say_keys(me, other, &[turn]);
            }
        }
        self.list_if_playing(slot);
    }
}

/// Tells the call and the recording what keys a side has pressed.
pub fn tell(record: &FlowRecord, recording: Option<&Recording>, side: Side, turns: &[Turn]) {
    for turn in turns {
        if let Turn::Up { key, duration_ms } = *turn {
            if let Some(recording) = recording {
                recording.tape.key(key.digit());
            }
            record.tell(MediaEvent::Dtmf { side, digit: key.digit(), duration_ms });
        }
    }
}

/// Listens to a packet of sound that nobody else decodes. A packet that holds a key is silent afterwards.
pub fn overhear(
    me: &mut SideState,
    other: &mut SideState,
    lane: &Lane,
    header: &Header,
    packet: &mut [u8],
    in_order: bool,
) -> Turns {
    let mut turns = Turns::new();
    let converts = other.is_relayed_to();
    let elsewhere = matches!(me.playing, Playing::Room(_)) || converts && other.is_made();
    let Some(listener) = me.listener.as_mut().filter(|_| lane.sound && !elsewhere) else { return turns };
    if in_order {
        listener.packet(&lane.payload, header, header.payload(packet), &mut turns);
    }
    let silence = match lane.payload.codec {
        Codec::Pcmu => MU_SILENCE,
        Codec::Pcma => A_SILENCE,
        // Whoever shall not hear a tone in another codec hears all made anew.
        _ => return turns,
    };
    if converts && listener.suspects() {
        if other.takes_keys() && !turns.is_empty() {
            transcode::say_keys(me, other, &turns);
        }
        // From the key on the ear has it, which is listened to as well: silence would end the key there.
        if !other.is_made() {
            let place = packet.get_mut(header.payload_start..header.payload_end).unwrap_or_default();
            place.fill(silence);
        }
    }
    turns
}

/// Lets keys go whose end does not come.
pub fn release(entry: &mut Entry, now: Duration) {
    for side in [Side::A, Side::B] {
        let (me, other) = entry.sides.split_mut(side);
        let mut turns = Turns::new();
        if me.events.is_pressed() {
            me.events.timeout(now, |turn| turns.push(turn));
        }
        let silent = now.saturating_sub(me.quiet_since) >= END_TIMEOUT;
        if let Some(listener) = me.listener.as_mut().filter(|_| silent) {
            listener.end(&mut turns);
        }
        if let Some(made) = other.made.as_mut().filter(|made| made.active) {
            made.turn_keys(&turns);
        }
        tell(&entry.record, entry.recording.as_ref(), side, &turns);
    }
}
