//! Rooms in the pool: phones in different codecs hear each other through real sockets, whatever dies meanwhile.

mod common;

use common::*;
use media::codec::Decoder;
use media::mixer::RoomSpec;
use media::recorder::{Recorder, RecordingSpec};
use media::rtp::Header;
use media::sound::Mouth;
use media::tone::{Sine, measure};
use media::{Audio, Codec, Flow, FlowSpec, Member, Payload, Pool, Recorded, Recording, Room, RoomSounds, Side, Source};
use std::sync::Arc;
use std::time::Duration;

const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };
const L16: Payload = Payload { pt: 97, codec: Codec::L16, clock_hz: 16_000, events: false };

/// Somebody in a room who whistles a tone, a packet for each that it gets: the room's beat is its clock.
struct Guest {
    flow: Flow,
    member: Member,
    phone: Phone,
    payload: Payload,
    mouth: Mouth,
    sine: Sine,
    hz: f64,
    decoder: Decoder,
    heard: Vec<i16>,
    headers: Vec<Header>,
}

impl Guest {
    fn new(pool: &Pool, room: &Room, payload: Payload, hz: f64, dbm0: f64) -> Guest {
        let (owner, _events) = owner(7);
        let flow = pool.open(owner, FlowSpec { worker: Some(room.worker()), ..FlowSpec::default() }).unwrap();
        let phone = Phone::new(u32::try_from(hz as i64).unwrap());
        flow.connect(Side::A, phone.remote(&[payload, events(101)])).unwrap();
        let member = room.member();
        flow.hear(Side::A, Source::Room(member.clone())).unwrap();
        flow.wake();
        Guest {
            flow,
            member,
            phone,
            payload,
            mouth: Mouth::new(&payload, 16_000, 20).unwrap(),
            sine: Sine::new(hz, dbm0, 16_000),
            hz,
            decoder: Decoder::new(&payload, 16_000).unwrap(),
            heard: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Hears one packet and says one.
    fn turn(&mut self) {
        let received = self.phone.receive();
        assert_eq!(received.header.payload_type, self.payload.pt);
        let mut samples = vec![0; self.decoder.samples_max()];
        let count = self.decoder.decode(&received.payload, &mut samples).unwrap();
        self.heard.extend_from_slice(&samples[..count]);
        self.headers.push(received.header);
        let mut frame = [0; 320];
        self.sine.fill(&mut frame);
        let to = self.flow.local(Side::A);
        let (phone, pt) = (&mut self.phone, self.payload.pt);
        self.mouth.speak(&frame, |spoken| {
            let timestamp = phone.timestamp;
            phone.send(to, pt, spoken.payload);
            phone.timestamp = timestamp.wrapping_add(spoken.units);
        });
    }

    /// How strongly a frequency is heard in the last half second, dBm0.
    fn level(&self, hz: f64) -> f64 {
        let rate = f64::from(self.decoder.rate_hz());
        let samples = &self.heard[self.heard.len().saturating_sub(self.decoder.rate_hz() as usize / 2)..];
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let window = 1.0 - (std::f64::consts::TAU * (n as f64 + 0.5) / samples.len() as f64).cos();
            let phase = std::f64::consts::TAU * hz * n as f64 / rate;
            re += f64::from(*sample) * window * phase.cos();
            im += f64::from(*sample) * window * phase.sin();
        }
        20.0 * (2.0 * (re * re + im * im).sqrt() / samples.len() as f64 / 22_656.4).max(1e-6).log10()
    }
}

fn room(rate_hz: u32, sounds: RoomSounds) -> Room {
    Room::new(0, RoomSpec { rate_hz, participants_max: 16, talkers_max: 8 }, sounds)
}

fn turns(guests: &mut [Guest], count: usize) {
    for _ in 0..count {
        guests.iter_mut().for_each(Guest::turn);
    }
}

fn all_hear_the_others(guests: &[Guest]) {
    for (at, listener) in guests.iter().enumerate() {
        for (other, talker) in guests.iter().enumerate() {
            let level = listener.level(talker.hz);
            match at == other {
                true => assert!(level < -45.0, "{:?} hears itself at {level}", listener.payload),
                false => {
                    assert!((level + 20.0).abs() < 3.0, "{:?} hears {:?} at {level}", listener.payload, talker.payload)
                }
            }
        }
    }
}

#[test]
fn guests_in_five_codecs_hear_each_other_and_never_themselves() {
    let (pool, _threads) = running(config());
    for rate_hz in [8000, 16_000, 48_000] {
        let room = room(rate_hz, RoomSounds::default());
        let codecs = [(PCMU, 440.0), (PCMA, 700.0), (G722, 1100.0), (OPUS, 1500.0), (L16, 2100.0)];
        let mut guests: Vec<Guest> =
            codecs.into_iter().map(|(payload, hz)| Guest::new(&pool, &room, payload, hz, -20.0)).collect();
        turns(&mut guests, 75);
        all_hear_the_others(&guests);
        assert!(guests.iter().all(|guest| guest.member.is_talking() && (guest.member.level_dbm0() + 20.0).abs() < 3.0));
        guests.iter().for_each(|guest| guest.flow.close());
        until(|| room.figures().present == 0);
    }
}

#[test]
fn streams_to_a_guest_have_no_gap_while_it_begins_and_ceases_to_talk() {
    let (pool, _threads) = running(config());
    let room = room(16_000, RoomSounds::default());
    let mut guests = vec![Guest::new(&pool, &room, PCMU, 500.0, -20.0), Guest::new(&pool, &room, PCMU, 900.0, -20.0)];
    for dbm0 in [-20.0, -90.0, -20.0, -90.0] {
        guests[0].sine = Sine::new(500.0, dbm0, 16_000);
        turns(&mut guests, 60);
    }
    for pair in guests[0].headers.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160);
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
}

#[test]
fn a_guest_is_muted_and_made_softer_at_once() {
    let (pool, _threads) = running(config());
    let room = room(16_000, RoomSounds::default());
    let mut guests = vec![
        Guest::new(&pool, &room, PCMU, 500.0, -20.0),
        Guest::new(&pool, &room, G722, 900.0, -20.0),
        Guest::new(&pool, &room, PCMA, 1300.0, -20.0),
    ];
    turns(&mut guests, 50);
    guests[0].member.set_muted(true);
    guests[1].member.set_gain_db(-10.0);
    turns(&mut guests, 60);
    assert!(guests[2].level(500.0) < -45.0);
    assert!((guests[2].level(900.0) + 30.0).abs() < 2.0, "{}", guests[2].level(900.0));
    assert!((guests[0].level(1300.0) + 20.0).abs() < 2.0);
    assert!(!guests[0].member.is_talking());
}

#[test]
fn who_only_listens_shares_its_encoding_with_all_who_do() {
    let (pool, _threads) = running(config());
    let room = room(16_000, RoomSounds::default());
    let mut guests: Vec<Guest> = (0..10).map(|n| Guest::new(&pool, &room, PCMU, 500.0 + f64::from(n), -90.0)).collect();
    guests[0].sine = Sine::new(500.0, -20.0, 16_000);
    turns(&mut guests, 40);
    let before = room.figures();
    turns(&mut guests, 50);
    let after = room.figures();
    let (turns, encodings) = (after.turns - before.turns, after.encodings - before.encodings);
    // One for the talker, one for all others.
    assert!(encodings <= 2 * turns + 2, "{encodings} encodings in {turns} turns");
    assert!(after.packets - before.packets >= 10 * (turns - 1), "{after:?} {before:?}");
}

#[test]
fn who_is_alone_hears_the_music_until_somebody_comes_and_again_afterwards() {
    let tone = |hz, ms: usize| {
        let mut samples = vec![0; 8 * ms];
        Sine::new(hz, -20.0, 8000).fill(&mut samples);
        Some(Arc::new(Audio::from_samples(samples)))
    };
    let sounds = RoomSounds {
        alone: tone(600.0, 100),
        music: tone(800.0, 200),
        entry: tone(1600.0, 400),
        exit: tone(2000.0, 400),
    };
    let (pool, _threads) = running(config());
    let room = room(16_000, sounds);
    let mut guests = vec![Guest::new(&pool, &room, PCMU, 300.0, -90.0)];
    turns(&mut guests, 60);
    assert!(guests[0].level(800.0) > -22.0);
    guests.push(Guest::new(&pool, &room, PCMA, 310.0, -90.0));
    turns(&mut guests, 20);
    assert!(guests[0].level(1600.0) > -30.0 && guests[1].level(1600.0) > -30.0);
    turns(&mut guests, 40);
    assert!(guests[0].level(800.0) < -60.0 && guests[0].level(1600.0) < -60.0);
    room.announce(tone(1200.0, 1000).unwrap());
    turns(&mut guests, 30);
    assert!(guests[0].level(1200.0) > -25.0 && guests[1].level(1200.0) > -25.0);
    guests.pop().unwrap().flow.close();
    turns(&mut guests, 120);
    assert!(guests[0].level(800.0) > -22.0);
}

#[test]
fn a_worker_that_dies_mixes_on_with_the_same_guests_streams_and_mutes() {
    let (pool, _threads) = running(config());
    let room = room(16_000, RoomSounds::default());
    let mut guests: Vec<Guest> = [(PCMU, 500.0), (G722, 900.0), (PCMA, 1300.0)]
        .into_iter()
        .map(|(payload, hz)| Guest::new(&pool, &room, payload, hz, -20.0))
        .collect();
    turns(&mut guests, 50);
    let ssrc = guests[0].headers[0].ssrc;
    pool.ask_panic(0);
    until(|| !pool.health(0).running);
    let _successor = pool.start_worker(0).unwrap();
    turns(&mut guests, 100);
    all_hear_the_others(&guests);
    assert!(guests[0].headers.iter().all(|header| header.ssrc == ssrc));
    assert_eq!(room.figures().present, 3);
    guests[1].member.set_muted(true);
    pool.ask_panic(0);
    until(|| !pool.health(0).running);
    let _successor = pool.start_worker(0).unwrap();
    turns(&mut guests, 100);
    assert!(guests[0].level(900.0) < -45.0 && guests[0].level(1300.0) > -23.0);
}

#[test]
fn a_guest_on_hold_is_neither_heard_nor_sent_to_and_comes_back() {
    let (pool, _threads) = running(config());
    let room = room(16_000, RoomSounds::default());
    let mut guests: Vec<Guest> = [(PCMU, 500.0), (PCMA, 900.0), (PCMU, 1300.0)]
        .into_iter()
        .map(|(payload, hz)| Guest::new(&pool, &room, payload, hz, -20.0))
        .collect();
    turns(&mut guests, 50);
    let held = guests.pop().unwrap();
    let mut remote = held.phone.remote(&[held.payload]);
    (remote.send, remote.receive) = (false, false);
    held.flow.connect(Side::A, remote).unwrap();
    held.flow.wake();
    settle(&pool, &held.flow);
    turns(&mut guests, 80);
    assert!(guests[0].level(1300.0) < -60.0);
    held.flow.connect(Side::A, held.phone.remote(&[held.payload])).unwrap();
    held.flow.wake();
    guests.push(held);
    turns(&mut guests, 120);
    all_hear_the_others(&guests);
}

#[test]
fn the_mix_of_a_room_and_the_sides_of_a_flow_are_recorded() {
    let (pool, _threads) = running(config());
    let recorder = Recorder::default();
    let writer = recorder.start_writer_watched(|_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, rate_hz, stop_keys| {
        let (send, ends) = std::sync::mpsc::channel();
        let spec = RecordingSpec {
            path: folder.path().join(name),
            encoding: media::wav::Encoding::Linear,
            rate_hz,
            longest: Duration::from_secs(60),
            silence: None,
            stop_keys,
            fax_ends: false,
        };
        (recorder.record(spec, move |end| send.send(end).unwrap()).unwrap(), ends)
    };
    let sound = |name: &str| {
        let file = std::fs::read(folder.path().join(name)).unwrap();
        let (format, bytes) = media::wav::parse(&file).unwrap();
        let samples = media::wav::decode(format.encoding, bytes);
        measure(&samples[samples.len() / 3..], format.rate_hz).unwrap()
    };
    let room = room(16_000, RoomSounds::default());
    let (tape, ends) = record("room.wav", 16_000, "");
    let mut guests = vec![Guest::new(&pool, &room, PCMU, 500.0, -20.0), Guest::new(&pool, &room, PCMA, 900.0, -40.0)];
    room.record(Some(Arc::clone(&tape)));
    turns(&mut guests, 100);
    tape.stop();
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert!(end.length > Duration::from_millis(1500) && end.lost_samples == 0, "{end:?}");
    let found = sound("room.wav");
    assert!((found.hz - 500.0).abs() < 2.0 && (found.dbm0 + 20.0).abs() < 2.0, "{found:?}");

    // A call that is relayed: the caller hears the callee, whose key ends the recording.
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMU, events(101)], &[PCMU, events(101)]);
    let (tape, ends) = record("call.wav", 8000, "#");
    flow.record(Some(Recording { of: Recorded::One(Side::B), tape })).unwrap();
    flow.wake();
    settle(&pool, &flow);
    let mut sine = Sine::new(1000.0, -15.0, 8000);
    for _ in 0..60 {
        let (mut samples, mut bytes) = ([0; 160], [0; 160]);
        sine.fill(&mut samples);
        media::codec::g711::Law::Mu.encode(&samples, &mut bytes);
        callee.send(flow.local(Side::B), 0, &bytes);
        caller.receive();
        caller.send(flow.local(Side::A), 0, &[0xff; 160]);
        callee.receive();
    }
    for _ in 0..3 {
        callee.send(flow.local(Side::B), 101, &[11, 0x80, 3, 0x20]);
    }
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(end.why, media::recorder::Why::Key('#'));
    recorder.stop_writer();
    writer.join().unwrap();
}
