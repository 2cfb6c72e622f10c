//! Rooms at work: each beat every member's ear is pulled, the room is mixed, and what each hears is encoded and sent.
//!
//! Who hears the same in the same codec and packet length gets the same payload, encoded once; who talks has a mouth of its own.

mod packets;

use super::super::counters::Vitals;
use super::super::room::{MemberRecord, RoomRecord};
use super::super::vocabulary::{PAYLOADS_MAX, Side};
use super::entry::{Entry, SideState};
use super::keys::{self, Turns};
use super::play::{Playing, number};
use super::{BEAT, Worker};
use crate::codec::Payload;
use crate::mixer::{self, FRAME_MS, Heard, Seat};
use crate::prompt::{self, Audio};
use crate::recorder::Tape;
use crate::rtp::{HEADER_BYTES, Header, reception::in_clock_units};
use crate::sound::{Ear, Mouth, PAYLOAD_BYTES_MAX, Resampler, Silence};
use crate::srtp::OVERHEAD_BYTES_MAX;
use packets::Packets;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Samples of a frame at the highest rate.
const FRAME_SAMPLES_MAX: usize = 48 * FRAME_MS as usize;
/// Samples of a frame of a recording.
const PROMPT_SAMPLES: usize = (prompt::RATE_HZ / 1000 * FRAME_MS) as usize;

/// A room at work.
pub struct RoomAtWork {
    pub record: Arc<RoomRecord>,
    mixer: mixer::Room,
    house: House,
    tape: Option<Arc<Tape>>,
    places: Vec<Place>,
    voices: Vec<SharedVoice>,
    /// For who talks; kept for its memory.
    own: Packets,
}

/// A member in its place.
struct Place {
    slot: u32,
    side: Side,
    seat: Seat,
    member: Arc<MemberRecord>,
    remote_serial: u32,
    gain_db: f32,
    muted: bool,
    /// How it is spoken to; absent when it has no codec that the switch speaks.
    voice: Option<Voice>,
}

struct Voice {
    payload: Payload,
    /// Which of the room's shared voices it hears while it does not talk.
    shared: usize,
    own: Mouth,
    /// It was spoken to by its own mouth in the last turn.
    by_own: bool,
    /// RTP time of the end of what has been mixed for it.
    mixed_until: u32,
    marker_due: bool,
}

/// A voice of all who hear the same in the same way.
struct SharedVoice {
    payload: Payload,
    ptime_ms: u32,
    silence: Silence,
    users: usize,
    mouth: Mouth,
    packets: Packets,
}

/// What the room itself lets be heard.
struct House {
    waiting: VecDeque<Arc<Audio>>,
    playing: Option<(Arc<Audio>, usize)>,
    /// What is played now goes on without end: the music of who is alone.
    forever: bool,
    resampler: Option<Resampler>,
}

impl House {
    fn new(rate_hz: u32) -> House {
        let resampler = (rate_hz != prompt::RATE_HZ).then(|| Resampler::new(prompt::RATE_HZ, rate_hz)).flatten();
        House { waiting: VecDeque::with_capacity(16), playing: None, forever: false, resampler }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        (self.playing, self.forever) = (None, false);
    }

    /// Writes the next frame; false if there is nothing to be heard.
    fn fill(&mut self, frame: &mut [i16]) -> bool {
        let mut samples = [0; PROMPT_SAMPLES];
        let mut at = 0;
        while let Some(room) = samples.get_mut(at..).filter(|room| !room.is_empty()) {
            if self.playing.is_none() {
                self.playing = self.waiting.pop_front().map(|audio| (audio, 0));
            }
            let Some((audio, from)) = &mut self.playing else { break };
            let rest = audio.samples().get(*from..).unwrap_or_default();
            let count = rest.len().min(room.len());
            room.iter_mut().zip(rest).for_each(|(place, sample)| *place = *sample);
            *from += count;
            at += count;
            if *from >= audio.samples().len() {
                let again = self.forever && self.waiting.is_empty() && !audio.samples().is_empty();
                self.playing = if again { self.playing.take().map(|(audio, _)| (audio, 0)) } else { None };
            }
        }
        if at == 0 {
            return false;
        }
        match &mut self.resampler {
            None => frame.iter_mut().zip(samples).for_each(|(place, sample)| *place = sample),
            Some(resampler) => {
                let written = resampler.process(&samples, frame);
                frame.get_mut(written..).unwrap_or_default().fill(0);
            }
        }
        true
    }
}

impl Worker<'_> {
    /// Gives the sides of a flow that hear a room their places there, and takes others away. To be called after every change
    /// of a flow, and before it is forgotten.
    pub(super) fn settle_rooms(&mut self, slot: u32, closing: bool) {
        let mut entry = self.flows.get_mut(slot as usize).and_then(Option::as_deref_mut);
        let wants = |entry: &Entry| {
            let hears_room = |side| matches!(entry.sides.get(side).playing, Playing::Room(_));
            hears_room(Side::A) || hears_room(Side::B)
        };
        match entry.as_deref_mut() {
            Some(entry) if !entry.in_room && !wants(entry) => return,
            Some(entry) => entry.in_room = wants(entry),
            None => {}
        }
        entry = entry.filter(|_| !closing);
        for side in [Side::A, Side::B] {
            let wanted = entry.as_ref().and_then(|entry| match &entry.sides.get(side).playing {
                Playing::Room(member) => Some(Arc::clone(member)),
                _ => None,
            });
            for room in &mut self.rooms {
                room.leave_unless(slot, side, wanted.as_ref());
            }
            let (Some(member), Some(entry)) = (wanted, entry.as_deref_mut()) else { continue };
            if member.room.worker != self.seat.number {
                tracing::error!(flow = ?entry.record.id, "a side hears a room of another worker: it hears nothing");
                continue;
            }
            let at = match self.rooms.iter().position(|room| Arc::ptr_eq(&room.record, &member.room)) {
                Some(at) => at,
                None => {
                    self.rooms.push(RoomAtWork::new(Arc::clone(&member.room)));
                    self.rooms.len() - 1
                }
            };
            if let Some(room) = self.rooms.get_mut(at) {
                room.seat(slot, side, entry.sides.get_mut(side), member);
            }
        }
        self.rooms.retain(|room| !room.places.is_empty());
        self.keep_beat();
    }

    /// Turns all rooms, `beats` of 20 ms each.
    pub(super) fn turn_rooms(&mut self, beats: u64, now: Duration) {
        for room in &mut self.rooms {
            for _ in 0..beats {
                room.turn(&mut self.flows, now, &self.seat.vitals, &self.seat.serving);
            }
        }
    }
}

impl RoomAtWork {
    fn new(record: Arc<RoomRecord>) -> RoomAtWork {
        record.changed.store(true, SeqCst);
        RoomAtWork {
            mixer: mixer::Room::new(record.spec),
            house: House::new(record.spec.rate_hz),
            tape: None,
            places: Vec::new(),
            voices: Vec::new(),
            own: Packets::new(),
            record,
        }
    }

    /// Takes the place of a side away, unless it is still its member's.
    fn leave_unless(&mut self, slot: u32, side: Side, wanted: Option<&Arc<MemberRecord>>) {
        let has = |place: &Place| place.slot == slot && place.side == side;
        let Some(at) = self.places.iter().position(has) else { return };
        let same = |place: &Place| wanted.is_some_and(|wanted| Arc::ptr_eq(wanted, &place.member));
        if self.places.get(at).is_some_and(same) {
            return;
        }
        let place = self.places.swap_remove(at);
        self.mixer.leave(place.seat);
        self.release(place.voice.as_ref());
        place.member.present.store(false, SeqCst);
        place.member.talking.store(false, Relaxed);
        self.moved(self.record.sounds.exit.clone());
    }

    /// Gives a side its place, or its new voice where it has one.
    fn seat(&mut self, slot: u32, side: Side, state: &mut SideState, member: Arc<MemberRecord>) {
        let has = |place: &Place| place.slot == slot && place.side == side;
        let at = match self.places.iter().position(has) {
            Some(at) => at,
            None => {
                let Some(seat) = self.mixer.join() else {
                    tracing::error!(slot, ?side, "a room has more members than seats: one hears nothing");
                    return;
                };
                let tone = (!member.announced.swap(true, SeqCst)).then(|| self.record.sounds.entry.clone()).flatten();
                member.present.store(true, SeqCst);
                self.places.push(Place {
                    slot,
                    side,
                    seat,
                    member,
                    remote_serial: state.remote_serial.wrapping_sub(1),
                    gain_db: 0.0,
                    muted: false,
                    voice: None,
                });
                self.moved(tone);
                self.places.len() - 1
            }
        };
        let Some(place) = self.places.get_mut(at).filter(|place| place.remote_serial != state.remote_serial) else {
            return;
        };
        place.remote_serial = state.remote_serial;
        let before = place.voice.take();
        self.release(before.as_ref());
        let rate_hz = self.record.spec.rate_hz;
        state.ear = Ear::new(state.payloads.get(..PAYLOADS_MAX).unwrap_or(&state.payloads), rate_hz).map(Box::new);
        state.eared = 0;
        let ptime_ms = state.route.map_or(20, |route| route.ptime_ms);
        let payloads = state.payloads.clone();
        let silence = state.silence.0;
        let chosen = payloads.iter().find_map(|payload| {
            let own = Mouth::new(payload, rate_hz, ptime_ms)?.with_silence(silence);
            Some((*payload, self.share(payload, ptime_ms, silence)?, own))
        });
        if let (Some(place), Some((payload, shared, own))) = (self.places.get_mut(at), chosen) {
            let mixed_until = state.own.next_timestamp;
            place.voice = Some(Voice { payload, shared, own, by_own: false, mixed_until, marker_due: true });
            state.own.flowing = false;
        }
    }

    /// The shared voice for a payload, made where there is none.
    fn share(&mut self, payload: &Payload, ptime_ms: u32, silence: Silence) -> Option<usize> {
        let same = |voice: &SharedVoice| {
            (voice.ptime_ms, voice.silence) == (ptime_ms, silence)
                && voice.payload.codec == payload.codec
                && voice.payload.clock_hz == payload.clock_hz
        };
        if let Some(at) = self.voices.iter().position(same) {
            self.voices.get_mut(at)?.users += 1;
            return Some(at);
        }
        let mouth = Mouth::new(payload, self.record.spec.rate_hz, ptime_ms)?.with_silence(silence);
        let packets = Packets::new();
        self.voices.push(SharedVoice { payload: *payload, ptime_ms, silence, users: 1, mouth, packets });
        Some(self.voices.len() - 1)
    }

    fn release(&mut self, voice: Option<&Voice>) {
        // A voice without users stays for the next one: there are no more than codecs times packet lengths, twice.
        if let Some(shared) = voice.and_then(|voice| self.voices.get_mut(voice.shared)) {
            shared.users = shared.users.saturating_sub(1);
        }
    }

    /// Somebody has come or gone: who is alone now hears that, and music.
    fn moved(&mut self, tone: Option<Arc<Audio>>) {
        self.record.present.store(u32::try_from(self.places.len()).unwrap_or(u32::MAX), Relaxed);
        let sounds = &self.record.sounds;
        if self.places.len() == 1 {
            self.house.clear();
            self.house.waiting.extend(sounds.alone.clone());
            self.house.waiting.extend(sounds.music.clone());
            self.house.forever = sounds.music.is_some();
        } else {
            if self.house.forever {
                self.house.clear();
            }
            self.house.waiting.extend(tone);
        }
    }

    /// Takes over what was asked of the room.
    fn look(&mut self) {
        if self.record.changed.swap(false, SeqCst) {
            let notices: SmallVec<[Arc<Audio>; 8]> = self.record.notices.lock().drain(..).collect();
            // Before the music, where somebody is alone with it.
            for notice in notices.into_iter().rev() {
                self.house.waiting.push_front(notice);
            }
            self.tape = self.record.tape.lock().clone();
        }
    }

    fn turn(
        &mut self,
        flows: &mut [Option<Box<Entry>>],
        now: Duration,
        vitals: &Vitals,
        serving: &std::sync::atomic::AtomicU32,
    ) {
        self.look();
        for place in &mut self.places {
            serving.store(place.slot, Relaxed);
            let Some(Some(entry)) = flows.get_mut(place.slot as usize) else { continue };
            listen(place, entry, &mut self.mixer, now);
        }
        let house = self.mixer.house();
        let mut frame = [0; FRAME_SAMPLES_MAX];
        let samples = self.mixer.frame_samples();
        let frame = frame.get_mut(..samples).unwrap_or_default();
        if self.house.fill(frame)
            && let Some(room) = self.mixer.frame(house)
        {
            room.copy_from_slice(frame);
        }
        self.mixer.turn();
        if let Some(tape) = &self.tape {
            tape.put(self.mixer.mix());
        }
        let mut encodings = 0;
        for voice in self.voices.iter_mut().filter(|voice| voice.users > 0) {
            voice.packets.fill(&mut voice.mouth, self.mixer.mix());
            encodings += voice.packets.encoded() as u64;
        }
        let mut packets = 0;
        let mut own = std::mem::take(&mut self.own);
        for place in &mut self.places {
            serving.store(place.slot, Relaxed);
            let figures = self.mixer.figures(place.seat);
            place.member.level_dbm0.store(figures.level_dbm0.to_bits(), Relaxed);
            place.member.talking.store(figures.talking, Relaxed);
            let Some(Some(entry)) = flows.get_mut(place.slot as usize) else { continue };
            let Some(voice) = &mut place.voice else {
                entry.record.counters.get(place.side).ungenerated.add(1);
                continue;
            };
            let payloads = match self.mixer.heard(place.seat) {
                Heard::All => {
                    voice.by_own = false;
                    self.voices.get(voice.shared).map(|shared| &shared.packets)
                }
                but @ Heard::AllBut(_) => {
                    if !std::mem::replace(&mut voice.by_own, true) {
                        voice.own.pause();
                    }
                    own.fill(&mut voice.own, self.mixer.listen(but));
                    encodings += own.encoded() as u64;
                    Some(&own)
                }
            };
            if let Some(payloads) = payloads {
                packets += speak(voice, payloads, entry, place.side, now, vitals);
            }
        }
        self.own = own;
        self.record.turns.fetch_add(1, Relaxed);
        self.record.encodings.fetch_add(encodings, Relaxed);
        self.record.packets.fetch_add(packets, Relaxed);
    }
}

/// Fills a member's frame with what it says.
fn listen(place: &mut Place, entry: &mut Entry, mixer: &mut mixer::Room, now: Duration) {
    let state = entry.sides.get_mut(place.side);
    let gain_db = f32::from_bits(place.member.gain_db.load(Relaxed));
    if gain_db.to_bits() != place.gain_db.to_bits() {
        place.gain_db = gain_db;
        mixer.set_gain(place.seat, gain_db);
    }
    let muted = place.member.muted.load(Relaxed);
    if muted != place.muted {
        place.muted = muted;
        mixer.set_mute(place.seat, muted);
    }
    let sends = state.route.is_some_and(|route| route.send);
    let Some(ear) = state.ear.as_mut().filter(|_| sends) else { return };
    let rate_hz = place.member.room.spec.rate_hz;
    if let Some(frame) = mixer.frame(place.seat) {
        let heard = ear.pull(now, frame);
        if let Some(listener) = &mut state.listener {
            let mut turns = Turns::new();
            listener.frame(frame, heard, rate_hz, &mut turns);
            keys::tell(&entry.record, entry.recording.as_ref(), place.side, &turns);
        }
    }
}

/// Sends a member the packets of this turn; returns how many.
fn speak(voice: &mut Voice, payloads: &Packets, entry: &mut Entry, side: Side, now: Duration, vitals: &Vitals) -> u64 {
    let record = &*entry.record;
    let state = entry.sides.get_mut(side);
    let clock_hz = voice.payload.clock_hz;
    let beat_units = in_clock_units(BEAT, clock_hz);
    if !state.own.flowing {
        // A new talkspurt: the clock went on while nothing was sent (RFC 3550 section 5.1).
        if let Some((timestamp, at)) = state.own.last {
            voice.mixed_until = timestamp.wrapping_add(in_clock_units(now.saturating_sub(at), clock_hz));
        }
        (state.own.flowing, voice.marker_due) = (true, true);
    }
    voice.mixed_until = voice.mixed_until.wrapping_add(beat_units);
    if !state.route.is_some_and(|route| route.hears()) {
        state.own.flowing = false;
        return 0;
    }
    state.own.clock_hz = clock_hz;
    let mut timestamp = voice.mixed_until.wrapping_sub(payloads.units());
    let mut packets = 0;
    for (what, payload) in payloads.iter() {
        let due = &mut voice.marker_due;
        let Some((payload_type, marker)) = number(what.as_what, voice.payload.pt, state.silence.1, due) else {
            timestamp = timestamp.wrapping_add(what.units);
            state.own.next_timestamp = timestamp;
            continue;
        };
        let mut packet = [0; HEADER_BYTES + PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX];
        let (head, body) = packet.split_at_mut(HEADER_BYTES);
        body.iter_mut().zip(payload).for_each(|(place, byte)| *place = *byte);
        let header = Header {
            payload_type,
            marker,
            sequence: state.own.next_sequence,
            timestamp,
            ssrc: state.own.ssrc,
            payload_start: HEADER_BYTES,
            payload_end: HEADER_BYTES + payload.len(),
        };
        if let Ok(head) = head.try_into() {
            header.write(head);
        }
        timestamp = timestamp.wrapping_add(what.units);
        state.own.next_sequence = header.sequence.wrapping_add(1);
        state.own.next_timestamp = timestamp;
        state.send_own(&mut packet, header.payload_end, header.timestamp, now, record.counters.get(side), vitals);
        packets += 1;
    }
    super::play::note_progress(record, side, state);
    packets
}
