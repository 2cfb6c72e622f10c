//! Generated media: what a side hears that is not the other side.

use super::super::book::{ENDED, FlowRecord};
use super::super::counters::{SideCounters, Vitals};
use super::super::room::MemberRecord;
use super::super::vocabulary::{MediaEvent, Repeat, Side, Source};
use super::entry::{Entry, SideState};
use super::{BEAT, CATCH_UP_BEATS_MAX, Worker, transcode};
use crate::codec::Payload;
use crate::prompt::{self, Audio};
use crate::rtp::{HEADER_BYTES, Header, reception::in_clock_units};
use crate::sound::{As, Mouth, PAYLOAD_BYTES_MAX, Spoken};
use crate::srtp::OVERHEAD_BYTES_MAX;
use crate::tone::Sine;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Samples of the longest packet: 60 ms at 8 kHz.
const SAMPLES_MAX: usize = 480;
/// Samples in a millisecond.
const SAMPLES_PER_MS: u32 = 8;

/// What a side hears, at work.
pub enum Playing {
    Peer,
    Echo,
    Silence,
    Tone(Sine),
    Audio(Player),
    /// The others of a room: see `room`.
    Room(Arc<MemberRecord>),
    /// A prompt that is over.
    Nothing,
}

/// A recording being played.
pub struct Player {
    audio: Arc<Audio>,
    at: usize,
    rounds_played: u32,
    /// `None`: without end.
    rounds: Option<u32>,
}

impl Playing {
    /// Sets a source up; `played` is how far a predecessor came ([`super::super::book::Marks::played`]).
    pub fn new(source: &Source, played: u64) -> Playing {
        let player = |audio: Arc<Audio>, rounds: Option<u32>| {
            if played == ENDED || audio.samples().is_empty() {
                return Playing::Nothing;
            }
            let [r0, r1, r2, r3, p0, p1, p2, p3] = played.to_be_bytes();
            Playing::Audio(Player {
                audio,
                at: u32::from_be_bytes([p0, p1, p2, p3]) as usize,
                rounds_played: u32::from_be_bytes([r0, r1, r2, r3]),
                rounds,
            })
        };
        match source {
            Source::Peer => Playing::Peer,
            Source::Echo => Playing::Echo,
            Source::Silence => Playing::Silence,
            Source::Tone { hz, dbm0 } => Playing::Tone(Sine::new(*hz, *dbm0, prompt::RATE_HZ)),
            Source::Prompt(audio, Repeat::Once) => player(Arc::clone(audio), Some(1)),
            Source::Prompt(audio, Repeat::Times(times)) => player(Arc::clone(audio), Some((*times).max(1))),
            Source::Prompt(audio, Repeat::Forever) => player(Arc::clone(audio), None),
            Source::Room(member) => Playing::Room(Arc::clone(&member.0)),
            Source::MusicOnHold => player(prompt::music_on_hold(), None),
        }
    }

    /// Whether the worker's beat drives it.
    pub fn is_generated(&self) -> bool {
        matches!(self, Playing::Silence | Playing::Tone(_) | Playing::Audio(_))
    }

    /// Writes the next samples; true when the source ended within them.
    fn fill(&mut self, out: &mut [i16]) -> bool {
        match self {
            Playing::Tone(sine) => sine.fill(out),
            Playing::Audio(player) => return player.fill(out),
            Playing::Silence | Playing::Peer | Playing::Echo | Playing::Room(_) | Playing::Nothing => out.fill(0),
        }
        false
    }

    fn played(&self) -> u64 {
        match self {
            Playing::Audio(player) => {
                u64::from(player.rounds_played) << 32 | u64::from(u32::try_from(player.at).unwrap_or(u32::MAX))
            }
            Playing::Nothing => ENDED,
            _ => 0,
        }
    }
}

impl Player {
    fn fill(&mut self, mut out: &mut [i16]) -> bool {
        loop {
            let rest = self.audio.samples().get(self.at..).unwrap_or_default();
            let take = rest.len().min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(take);
            now.copy_from_slice(rest.get(..take).unwrap_or_default());
            self.at += take;
            out = later;
            if self.at < self.audio.samples().len() {
                return false;
            }
            self.at = 0;
            self.rounds_played = self.rounds_played.saturating_add(1);
            if self.rounds.is_some_and(|rounds| self.rounds_played >= rounds) {
                out.fill(0);
                return true;
            }
            if out.is_empty() {
                return false;
            }
        }
    }
}

impl Worker<'_> {
    /// Puts a flow on the beat if one of its sides hears something generated.
    pub(super) fn list_if_playing(&mut self, slot: u32) {
        let Some(entry) = self.entry(slot) else {
            return;
        };
        if entry.listed || !is_playing(entry) {
            return;
        }
        entry.listed = true;
        self.playing.push(slot);
        self.keep_beat();
    }

    /// One wake of the timer, worth `beats` of 20 ms.
    pub(super) fn play(&mut self, beats: u64, now: Duration) {
        let mut index = 0;
        while let Some(slot) = self.playing.get(index).copied() {
            self.seat.serving.store(slot, Relaxed);
            match self.flows.get_mut(slot as usize).and_then(Option::as_deref_mut).filter(|entry| is_playing(entry)) {
                Some(entry) => {
                    play_side(entry, Side::A, beats, now, &self.seat.vitals);
                    play_side(entry, Side::B, beats, now, &self.seat.vitals);
                    index += 1;
                }
                None => {
                    if let Some(entry) = self.entry(slot) {
                        entry.listed = false;
                    }
                    self.playing.swap_remove(index);
                }
            }
        }
    }
}

fn is_playing(entry: &Entry) -> bool {
    let side = |state: &SideState| state.route.is_some() && (state.playing.is_generated() || state.made.is_some());
    side(&entry.sides.a) || side(&entry.sides.b)
}

/// What says to a side what the pool plays.
pub struct Speaker {
    voice: Payload,
    mouth: Mouth,
}

fn play_side(entry: &mut Entry, side: Side, beats: u64, now: Duration, vitals: &Vitals) {
    let record = &*entry.record;
    let state = entry.sides.get_mut(side);
    if matches!(state.playing, Playing::Peer) && state.is_made() {
        return transcode::speak_on(entry, side, beats, now, vitals);
    }
    if !state.playing.is_generated() {
        return;
    }
    let Some(route) = state.route.filter(|route| route.hears()) else {
        state.own.flowing = false;
        return;
    };
    if state.speaker.is_none() {
        let speaker = state.voice.and_then(|voice| {
            let mouth = Mouth::new(&voice, prompt::RATE_HZ, route.ptime_ms)?.with_silence(state.silence.0);
            Some(Box::new(Speaker { voice, mouth }))
        });
        state.speaker = speaker;
    }
    let Some(mut speaker) = state.speaker.take() else {
        record.counters.get(side).ungenerated.add(beats);
        return;
    };
    let made_up = beats.min(CATCH_UP_BEATS_MAX);
    let clock_hz = speaker.voice.clock_hz;
    begin_stream(state, clock_hz, now);
    let beat_ms = u32::try_from(BEAT.as_millis()).unwrap_or(20);
    let skipped = u32::try_from(beats - made_up).unwrap_or(u32::MAX);
    let skipped_units = skipped.saturating_mul(beat_ms).wrapping_mul(clock_hz / 1000);
    state.own.next_timestamp = state.own.next_timestamp.wrapping_add(skipped_units);
    state.own.credit_ms += u32::try_from(made_up).unwrap_or(0) * beat_ms;
    let packet_ms = speaker.mouth.packet_ms();
    let mut ended = false;
    while !ended && state.own.credit_ms >= packet_ms {
        state.own.credit_ms -= packet_ms;
        let mut samples = [0; SAMPLES_MAX];
        let samples = samples.get_mut(..(packet_ms * SAMPLES_PER_MS) as usize).unwrap_or_default();
        ended = state.playing.fill(samples);
        let (pt, counters) = (speaker.voice.pt, record.counters.get(side));
        speaker.mouth.speak(samples, |spoken| send_payload(state, pt, spoken, now, counters, vitals));
    }
    if ended {
        state.playing = Playing::Nothing;
        state.own.flowing = false;
    }
    state.speaker = Some(speaker);
    note_progress(record, side, state);
    if ended {
        record.tell(MediaEvent::SourceEnded(side));
    }
}

/// Readies our stream to a side for its next packet, whose codec has the clock.
pub fn begin_stream(state: &mut SideState, clock_hz: u32, now: Duration) {
    if !state.own.flowing {
        // A new talkspurt: the clock went on while nothing was sent (RFC 3550 section 5.1).
        if let Some((timestamp, at)) = state.own.last {
            let gap = in_clock_units(now.saturating_sub(at), clock_hz);
            state.own.next_timestamp = timestamp.wrapping_add(gap);
        }
        (state.own.flowing, state.own.credit_ms, state.marker_due) = (true, 0, true);
    }
    state.own.clock_hz = clock_hz;
}

/// Sends the next packet of our stream to a side; `pt` is the number of sound. Silence that is not said takes its time all the same.
pub fn send_payload(
    state: &mut SideState,
    pt: u8,
    spoken: Spoken<'_>,
    now: Duration,
    counters: &SideCounters,
    vitals: &Vitals,
) {
    let Some((pt, marker)) = number(spoken.as_what, pt, state.silence.1, &mut state.marker_due) else {
        state.own.next_timestamp = state.own.next_timestamp.wrapping_add(spoken.units);
        return;
    };
    let mut packet = [0; HEADER_BYTES + PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX];
    let (head, payload) = packet.split_at_mut(HEADER_BYTES);
    let header = Header {
        payload_type: pt,
        marker,
        sequence: state.own.next_sequence,
        timestamp: state.own.next_timestamp,
        ssrc: state.own.ssrc,
        payload_start: HEADER_BYTES,
        payload_end: HEADER_BYTES + spoken.payload.len(),
    };
    if let (Ok(head), Some(place)) = (head.try_into(), payload.get_mut(..spoken.payload.len())) {
        header.write(head);
        place.copy_from_slice(spoken.payload);
    }
    state.own.next_sequence = header.sequence.wrapping_add(1);
    state.own.next_timestamp = header.timestamp.wrapping_add(spoken.units);
    state.send_own(&mut packet, header.payload_end, header.timestamp, now, counters, vitals);
}

/// The payload type and the marker of what is sent, `None` for nothing. `due` is whether the next packet of sound begins a talkspurt,
/// which the marker says (RFC 3551 section 4.1): the first one after silence does.
pub fn number(as_what: As, sound: u8, noise: Option<u8>, due: &mut bool) -> Option<(u8, bool)> {
    match as_what {
        As::Sound => Some((sound, std::mem::take(due))),
        As::Noise | As::Nothing => {
            *due = true;
            noise.filter(|_| as_what == As::Noise).map(|noise| (noise, false))
        }
    }
}

/// Leaves in the book where a successor of this worker would go on.
pub fn note_progress(record: &FlowRecord, side: Side, state: &SideState) {
    let marks = record.marks.get(side);
    let stream = u64::from(state.own.next_sequence) << 32 | u64::from(state.own.next_timestamp);
    marks.stream.store(stream, Relaxed);
    marks.played.store(state.playing.played(), Relaxed);
    marks.played_serial.store(state.source_serial, Relaxed);
}
