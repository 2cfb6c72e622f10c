//! Keys between sides that send and take them in different forms: telephone-events, tones, and what the call tells by SIP.

mod common;

use common::*;
use media::codec::{Decoder, Encoder};
use media::dtmf::{Detector, DualTone, Event, EventReceiver, Key, RATE_HZ, Turn};
use media::mixer::RoomSpec;
use media::tone::{Sine, measure};
use media::{
    Codec, Flow, FlowSpec, MediaEvent, Payload, Pool, Press, Remote, Room, RoomSounds, Side, Source, WorkerThread,
};
use std::sync::mpsc::Receiver;
use std::time::Duration;

const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };

fn opus_events() -> Payload {
    Payload::new(96, Codec::TelephoneEvent, 48_000)
}

fn key(digit: char) -> Key {
    Key::of_digit(digit).unwrap()
}

/// The beat of the pool, which is the beat of the test: packets of 20 ms that come in real time.
struct Beat {
    ear: Phone,
    _flow: Flow,
}

impl Beat {
    fn new(pool: &Pool) -> Beat {
        let (flow, _none) = open(pool);
        let ear = Phone::new(0xe);
        flow.connect(Side::A, ear.remote(&[PCMU])).unwrap();
        flow.hear(Side::A, Source::Silence).unwrap();
        flow.wake();
        Beat { ear, _flow: flow }
    }

    fn wait(&self) {
        self.ear.receive();
    }
}

/// What somebody says, packet by packet.
struct Mouth {
    payload: Payload,
    encoder: Encoder,
}

impl Mouth {
    fn new(payload: Payload) -> Mouth {
        Mouth { payload, encoder: Encoder::new(&payload, RATE_HZ).unwrap() }
    }

    /// Says 20 ms that `fill` makes at the rate that it is told.
    fn say(&mut self, phone: &mut Phone, flow: &Flow, side: Side, fill: impl FnOnce(u32, &mut [i16])) {
        let rate_hz = self.encoder.rate_hz();
        let mut samples = vec![0; rate_hz as usize / 50];
        fill(rate_hz, &mut samples);
        let mut bytes = [0; 1000];
        let length = self.encoder.encode(&samples, &mut bytes).unwrap();
        phone.send(flow.local(side), self.payload.pt, &bytes[..length]);
        phone.timestamp = phone.timestamp.wrapping_add(self.payload.clock_hz / 50).wrapping_sub(160);
    }
}

/// What somebody hears.
struct Ear {
    decoder: Decoder,
    pt: u8,
    events: Vec<Payload>,
    receiver: EventReceiver,
    turns: Vec<Turn>,
    samples: Vec<i16>,
    packets: Vec<Received>,
}

impl Ear {
    fn new(payloads: &[Payload]) -> Ear {
        Ear {
            decoder: Decoder::new(&payloads[0], RATE_HZ).unwrap(),
            pt: payloads[0].pt,
            events: payloads[1..].to_vec(),
            receiver: EventReceiver::default(),
            turns: Vec::new(),
            samples: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Takes what has come.
    fn hear(&mut self, phone: &Phone) {
        phone.rtp.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2048];
        while let Ok(length) = phone.rtp.recv(&mut buffer) {
            let bytes = buffer[..length].to_vec();
            let header = media::rtp::Header::parse(&bytes).unwrap();
            let payload = header.payload(&bytes).to_vec();
            if let Some(events) = self.events.iter().find(|events| events.pt == header.payload_type) {
                let (turns, now) = (&mut self.turns, Duration::ZERO);
                let of = (header.ssrc, header.timestamp);
                self.receiver.packet(of, &payload, events.clock_hz, now, |turn| turns.push(turn));
            } else {
                assert_eq!(header.payload_type, self.pt);
                let mut room = vec![0; self.decoder.samples_max()];
                let count = self.decoder.decode(&payload, &mut room).unwrap();
                self.samples.extend_from_slice(&room[..count]);
            }
            self.packets.push(Received { header, payload, bytes });
        }
        phone.rtp.set_nonblocking(false).unwrap();
    }

    /// The keys that came as events.
    fn digits(&self) -> String {
        digits(&self.turns)
    }

    /// The keys that can be heard, at the rate of what decodes them.
    fn tones(&self) -> String {
        let rate_hz = self.decoder.rate_hz();
        let mut samples = self.samples.clone();
        if rate_hz != RATE_HZ {
            let mut resampler = media::sound::Resampler::new(rate_hz, RATE_HZ).unwrap();
            let mut slow = vec![0; resampler.output_max(samples.len())];
            let count = resampler.process(&samples, &mut slow);
            samples = slow[..count].to_vec();
        }
        let (mut detector, mut turns) = (Detector::default(), Vec::new());
        detector.listen(&samples, |turn| turns.push(turn));
        digits(&turns)
    }
}

fn digits(turns: &[Turn]) -> String {
    turns.iter().filter_map(|turn| if let Turn::Down(key) = turn { Some(key.digit()) } else { None }).collect()
}

/// A flow between two phones that speak and listen in the beat.
struct Bed {
    flow: Flow,
    events: Receiver<(u64, MediaEvent)>,
    caller: Phone,
    callee: Phone,
    at_caller: Ear,
    at_callee: Ear,
    mouth: Mouth,
    beat: Beat,
    pool: Pool,
    _workers: Vec<WorkerThread>,
}

impl Bed {
    fn new(a: &[Payload], b: &[Payload]) -> Bed {
        let (pool, workers) = running(config());
        let (flow, caller, callee, events) = call(&pool, a, b);
        let beat = Beat::new(&pool);
        let (at_caller, at_callee, mouth) = (Ear::new(a), Ear::new(b), Mouth::new(a[0]));
        Bed { flow, events, caller, callee, at_caller, at_callee, mouth, beat, pool, _workers: workers }
    }

    fn hear(&mut self) {
        self.at_caller.hear(&self.caller);
        self.at_callee.hear(&self.callee);
    }

    /// The caller says this for that many beats.
    fn say(&mut self, beats: usize, mut fill: impl FnMut(u32, &mut [i16])) {
        for _ in 0..beats {
            self.beat.wait();
            self.mouth.say(&mut self.caller, &self.flow, Side::A, &mut fill);
            self.hear();
        }
    }

    fn be_silent(&mut self, beats: usize) {
        self.say(beats, |_, frame| frame.fill(0));
    }

    /// The caller presses keys as tones of 100 ms with as much of pause.
    fn dial(&mut self, digits: &str) {
        for digit in digits.chars() {
            let mut tone = None;
            self.say(5, |rate_hz, frame| {
                tone.get_or_insert_with(|| DualTone::new(key(digit), rate_hz).unwrap()).fill(frame);
            });
            self.be_silent(5);
        }
    }

    /// Nobody says anything for that many beats.
    fn wait(&mut self, beats: usize) {
        for _ in 0..beats {
            self.beat.wait();
            self.hear();
        }
    }

    /// Somebody presses a key as events, packet by packet in the beat.
    fn press_events(&mut self, side: Side, payload: Payload, digit: char) {
        let local = self.flow.local(side);
        for n in 1..=7u16 {
            self.beat.wait();
            let phone = if side == Side::A { &mut self.caller } else { &mut self.callee };
            let (starts, step) = (phone.timestamp, u16::try_from(payload.clock_hz / 50).unwrap());
            let event = Event { code: key(digit).code(), end: n >= 5, volume: 10, duration: step * n.min(5) };
            phone.send(local, payload.pt, &event.to_bytes());
            phone.timestamp = if n == 7 { starts.wrapping_add(u32::from(step) * 5) } else { starts };
            self.hear();
        }
    }

    /// The keys that the call is told of.
    fn told(&self) -> String {
        let keys = self.events.try_iter().filter_map(|(_, event)| match event {
            MediaEvent::Dtmf { digit, duration_ms, .. } => {
                assert!((60..=200).contains(&duration_ms), "{duration_ms}");
                Some(digit)
            }
            _ => None,
        });
        keys.collect()
    }
}

#[test]
fn a_tone_of_a_side_without_events_is_an_event_for_a_side_that_has_them_and_is_not_heard_there() {
    for (a, b) in [
        (PCMU, vec![PCMU, events(101)]),
        (PCMA, vec![PCMA, events(101)]),
        (PCMU, vec![G722, events(101)]),
        (G722, vec![G722, events(101)]),
        (PCMU, vec![OPUS, opus_events()]),
        (OPUS, vec![OPUS, opus_events()]),
    ] {
        let what = format!("{:?} to {:?}", a.codec, b[0].codec);
        let mut bed = Bed::new(&[a], &b);
        bed.be_silent(10);
        bed.dial("159#D");
        bed.be_silent(20);
        assert_eq!(bed.at_callee.digits(), "159#D", "{what}");
        assert_eq!(bed.at_callee.tones(), "", "{what}");
        assert_eq!(bed.told(), "159#D", "{what}");
        // The stream with the events is one: numbers without a gap.
        let ours = bed.at_callee.packets.iter().filter(|packet| packet.header.ssrc != bed.caller.ssrc);
        let numbers: Vec<u16> = ours.map(|packet| packet.header.sequence).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{what}: {numbers:?}");
    }
}

#[test]
fn what_a_side_says_is_relayed_untouched_until_it_presses_a_key_and_is_heard_after_it() {
    let mut bed = Bed::new(&[PCMU], &[PCMU, events(101)]);
    let mut sine = Sine::new(440.0, -10.0, RATE_HZ);
    bed.say(50, |_, frame| sine.fill(frame));
    bed.wait(5);
    assert_eq!(bed.at_callee.packets.len(), 50);
    assert!(bed.at_callee.packets.iter().all(|packet| packet.header.ssrc == bed.caller.ssrc));
    bed.dial("7");
    let before = bed.at_callee.samples.len();
    for _ in 0..20 {
        bed.say(50, |_, frame| sine.fill(frame));
        let found = measure(&bed.at_callee.samples[bed.at_callee.samples.len() - 4000..], RATE_HZ).unwrap();
        if (found.hz - 440.0).abs() < 1.0 && (found.dbm0 + 10.0).abs() < 1.0 && found.purity > 0.9 {
            assert!(bed.at_callee.samples.len() > before);
            return;
        }
    }
    panic!("the tone is not heard after a key");
}

#[test]
fn where_neither_side_or_both_have_events_nothing_is_listened_to_and_all_passes_as_it_is() {
    let mut bed = Bed::new(&[PCMU], &[PCMU]);
    bed.dial("12");
    bed.wait(5);
    assert_eq!((bed.at_callee.tones().as_str(), bed.told().as_str()), ("12", ""));
    assert!(bed.at_callee.packets.iter().all(|packet| packet.header.ssrc == bed.caller.ssrc));
    let mut bed = Bed::new(&[PCMU, events(101)], &[PCMU, events(96)]);
    bed.press_events(Side::A, events(101), '4');
    bed.dial("3");
    bed.wait(5);
    assert_eq!((bed.at_callee.digits().as_str(), bed.at_callee.tones().as_str()), ("4", "3"));
    assert_eq!(bed.told(), "4");
    assert!(bed.at_callee.packets.iter().all(|packet| packet.header.ssrc == bed.caller.ssrc));
}

#[test]
fn events_are_heard_as_tones_by_a_side_that_has_none() {
    for (a, b) in [(PCMU, PCMU), (PCMA, G722), (G722, OPUS), (OPUS, PCMU)] {
        let keys = if b.codec == Codec::Opus { opus_events() } else { events(101) };
        let what = format!("{:?} of {:?}", a.codec, b.codec);
        let mut bed = Bed::new(&[a], &[b, keys]);
        for digit in "0*8".chars() {
            bed.press_events(Side::B, keys, digit);
            bed.wait(8);
        }
        bed.wait(10);
        assert_eq!(bed.at_caller.tones(), "0*8", "{what}");
        assert_eq!(bed.told(), "0*8", "{what}");
    }
}

#[test]
fn a_key_that_was_pressed_by_sip_is_an_event_or_a_tone_also_while_nobody_speaks() {
    let press = |by, digit| Press { by, key: key(digit), duration_ms: 120 };
    let mut bed = Bed::new(&[PCMU], &[PCMU, events(101)]);
    for digit in "91".chars() {
        bed.flow.press(press(Side::A, digit)).unwrap();
        bed.flow.press(press(Side::B, digit)).unwrap();
    }
    bed.flow.wake();
    bed.wait(40);
    assert_eq!((bed.at_callee.digits().as_str(), bed.at_callee.tones().as_str()), ("91", ""));
    assert_eq!(bed.at_caller.tones(), "91");
    // Who told the pool is not told by it.
    assert_eq!(bed.told(), "");
    let length = |turn: &Turn| if let Turn::Up { duration_ms, .. } = turn { Some(*duration_ms) } else { None };
    let lengths: Vec<u32> = bed.at_callee.turns.iter().filter_map(length).collect();
    assert_eq!(lengths, [120, 120]);
}

#[test]
fn a_side_that_is_told_keys_by_sip_neither_hears_nor_gets_them() {
    let (pool, _workers) = running(config());
    let (flow, events_of) = open(&pool);
    let (caller, callee) = (Phone::new(0xa), Phone::new(0xb));
    flow.connect(Side::A, caller.remote(&[PCMU])).unwrap();
    flow.connect(Side::B, Remote { told_keys: true, ..callee.remote(&[PCMU]) }).unwrap();
    settle(&pool, &flow);
    let beat = Beat::new(&pool);
    let (at_caller, at_callee, mouth) = (Ear::new(&[PCMU]), Ear::new(&[PCMU]), Mouth::new(PCMU));
    let mut bed = Bed { flow, events: events_of, caller, callee, at_caller, at_callee, mouth, beat, pool, _workers };
    bed.be_silent(5);
    bed.dial("6A");
    bed.wait(5);
    assert_eq!((bed.at_callee.tones().as_str(), bed.told().as_str()), ("", "6A"));
    // What is muted is muted in place: the stream stays the caller's.
    assert!(bed.at_callee.packets.iter().all(|packet| packet.header.ssrc == bed.caller.ssrc));
    // Events go the same way.
    bed.flow.connect(Side::A, bed.caller.remote(&[PCMU, events(101)])).unwrap();
    bed.flow.connect(Side::B, Remote { told_keys: true, ..bed.callee.remote(&[PCMU, events(101)]) }).unwrap();
    settle(&bed.pool, &bed.flow);
    bed.press_events(Side::A, events(101), '2');
    bed.wait(5);
    assert_eq!(bed.told(), "2");
    assert_eq!((bed.at_callee.digits().as_str(), bed.at_callee.tones().as_str()), ("", ""));
}

#[test]
fn a_service_is_told_the_tones_of_a_caller_without_events_in_any_codec() {
    for codec in [PCMU, PCMA, G722, OPUS] {
        let (pool, _workers) = running(config());
        let (flow, events) = open(&pool);
        let (caller, callee) = (Phone::new(0xa), Phone::new(0xb));
        flow.connect(Side::A, caller.remote(&[codec])).unwrap();
        flow.hear(Side::A, Source::Echo).unwrap();
        settle(&pool, &flow);
        let beat = Beat::new(&pool);
        let (at_caller, at_callee, mouth) = (Ear::new(&[codec]), Ear::new(&[PCMU]), Mouth::new(codec));
        let mut bed = Bed { flow, events, caller, callee, at_caller, at_callee, mouth, beat, pool, _workers };
        bed.be_silent(5);
        bed.dial("1234567890");
        bed.be_silent(5);
        assert_eq!(bed.told(), "1234567890", "{:?}", codec.codec);
    }
}

#[test]
fn a_caller_who_falls_silent_in_the_middle_of_a_tone_has_let_the_key_go() {
    let (pool, _workers) = running(config());
    let (flow, events) = open(&pool);
    let (caller, callee) = (Phone::new(0xa), Phone::new(0xb));
    flow.connect(Side::A, caller.remote(&[PCMU])).unwrap();
    flow.hear(Side::A, Source::Silence).unwrap();
    settle(&pool, &flow);
    let beat = Beat::new(&pool);
    let (at_caller, at_callee, mouth) = (Ear::new(&[PCMU]), Ear::new(&[PCMU]), Mouth::new(PCMU));
    let mut bed = Bed { flow, events, caller, callee, at_caller, at_callee, mouth, beat, pool, _workers };
    let mut tone = DualTone::new(key('0'), RATE_HZ).unwrap();
    bed.say(6, |_, frame| tone.fill(frame));
    loop {
        if let MediaEvent::Dtmf { digit, .. } = next(&bed.events) {
            assert_eq!(digit, '0');
            break;
        }
    }
}

#[test]
fn a_key_of_somebody_in_a_room_is_told_and_not_heard_by_the_others() {
    let (pool, _workers) = running(config());
    let spec = RoomSpec { rate_hz: 16_000, participants_max: 4, talkers_max: 3 };
    let room = Room::new(0, spec, RoomSounds::default());
    let mut flows = Vec::new();
    for (n, payloads) in [vec![PCMU], vec![G722]].into_iter().enumerate() {
        let (owner, told) = owner(7);
        let flow = pool.open(owner, FlowSpec { worker: Some(0), ..FlowSpec::default() }).unwrap();
        let phone = Phone::new(n as u32 + 1);
        flow.connect(Side::A, phone.remote(&payloads)).unwrap();
        flow.hear(Side::A, Source::Room(room.member())).unwrap();
        flow.wake();
        flows.push((flow, phone, told, Ear::new(&payloads)));
    }
    let beat = Beat::new(&pool);
    let mut mouth = Mouth::new(PCMU);
    let mut said = |beats: usize, fill: &mut dyn FnMut(&mut [i16])| {
        for _ in 0..beats {
            beat.wait();
            let (flow, phone, _, _) = &mut flows[0];
            mouth.say(phone, flow, Side::A, |_, frame| fill(frame));
            for (_, phone, _, ear) in &mut flows {
                ear.hear(phone);
            }
        }
    };
    said(10, &mut |frame| frame.fill(0));
    for digit in "42".chars() {
        let mut tone = DualTone::new(key(digit), RATE_HZ).unwrap();
        said(6, &mut |frame| tone.fill(frame));
        said(6, &mut |frame| frame.fill(0));
    }
    // What is no key is heard.
    let mut sine = Sine::new(600.0, -10.0, RATE_HZ);
    said(60, &mut |frame| sine.fill(frame));
    let (_, _, told, _) = &flows[0];
    let keys: String = told
        .try_iter()
        .filter_map(|(_, event)| if let MediaEvent::Dtmf { digit, .. } = event { Some(digit) } else { None })
        .collect();
    assert_eq!(keys, "42");
    let (.., ear) = &flows[1];
    assert_eq!(ear.tones(), "");
    let heard = &ear.samples[ear.samples.len() - 8000..];
    assert!((measure(heard, 16_000).unwrap().hz - 600.0).abs() < 2.0);
}
