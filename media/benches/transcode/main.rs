//! What a call costs whose sides share no codec: real UDP on loopback against the pool's own worker, CPU by the kernel's count of
//! its thread, both directions.
//!
//!     cargo bench -p media --bench transcode
//!
//! Beside it in the same run stands the bare work, which is the physical limit: the same decoders and encoders at their own rates,
//! without sockets, jitter buffers and resampling. Beside Opus stands the reference in C, where Debian's libopus is installed.

#[path = "../common.rs"]
mod common;
mod libopus;

use common::{Crowd, caller, cpu, flow, machine, median, packets, pool};
use media::codec::{Codec, Decoder, Encoder, opus};
use media::tone::Sine;
use media::{Payload, Side};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const CALLS: usize = 8;
const ROUNDS: usize = 5;
const SECONDS: u64 = 4;
const PCMU: Payload = Payload { pt: 0, codec: Codec::Pcmu, clock_hz: 8000, events: false };
const PCMA: Payload = Payload { pt: 8, codec: Codec::Pcma, clock_hz: 8000, events: false };
const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };

fn main() {
    machine();
    println!("{CALLS} calls, µs of CPU a call and second, both directions, median of {ROUNDS} x {SECONDS} s");
    println!("| between | pool | codecs alone | ratio | calls a core | packets of due |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (one, other) in [(OPUS, PCMU), (G722, PCMA), (OPUS, G722), (PCMU, PCMA)] {
        let rounds = (0..ROUNDS).map(|_| (in_the_pool(one, other), bare(one, other)));
        let (pool, bare): (Vec<_>, Vec<_>) = rounds.unzip();
        let came = pool.iter().map(|(_, came)| *came).fold(1.0, f64::min);
        let pool = median(pool.into_iter().map(|(us, _)| us).collect());
        let bare = median(bare);
        println!(
            "| {:?}, {:?} | {pool:.0} | {bare:.0} | {:.2} | {:.0} | {:.1} % |",
            one.codec,
            other.codec,
            pool / bare,
            1e6 / pool,
            100.0 * came
        );
    }
    println!();
    println!("Opus alone, µs of CPU for a second of one direction, beside the reference in C at the same settings");
    println!("| | ours | {} | ratio |", libopus::version().as_deref().unwrap_or("libopus is not installed"));
    println!("| --- | --- | --- | --- |");
    for rate_hz in [8000, 16_000, 48_000] {
        let ours = (0..ROUNDS).map(|_| (encode(rate_hz), decode(rate_hz)));
        let (encoding, decoding): (Vec<_>, Vec<_>) = ours.unzip();
        for (what, ours, theirs) in [
            ("encode", median(encoding), libopus::encode(rate_hz, &tone(rate_hz), ROUNDS)),
            ("decode", median(decoding), libopus::decode(rate_hz, &encoded(rate_hz), ROUNDS)),
        ] {
            match theirs {
                Some(theirs) => {
                    println!("| {what}, {rate_hz} Hz | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
                }
                None => println!("| {what}, {rate_hz} Hz | {ours:.0} | | |"),
            }
        }
    }
}

/// Calls in the pool: µs a call and second, and the share of the due packets that came.
fn in_the_pool(one: Payload, other: Payload) -> (f64, f64) {
    let (pool, thread) = pool(2 * CALLS);
    let mut callers = Vec::new();
    for _ in 0..CALLS {
        let flow = flow(&pool);
        callers.push(caller(&flow, Side::A, one));
        callers.push(caller(&flow, Side::B, other));
        flow.wake();
    }
    let crowd = Crowd::new(callers, 2 * CALLS);
    std::thread::sleep(Duration::from_secs(1));
    let (before, heard) = (cpu(Some("rtp-0")), crowd.received.load(Relaxed));
    std::thread::sleep(Duration::from_secs(SECONDS));
    let used = cpu(Some("rtp-0")) - before;
    let heard = crowd.received.load(Relaxed) - heard;
    drop(crowd);
    pool.stop_worker(0);
    thread.join();
    let due = SECONDS * 50 * 2 * CALLS as u64;
    (used.as_secs_f64() * 1e6 / (SECONDS * CALLS as u64) as f64, heard as f64 / due as f64)
}

/// The same decoding and encoding of one call without anything around it. Opus runs at the rate of the other, as in the pool.
fn bare(one: Payload, other: Payload) -> f64 {
    let mut ways: Vec<_> = [(one, other), (other, one)].into_iter().map(|(from, to)| Way::new(from, to)).collect();
    let before = cpu(None);
    for turn in 0..SECONDS * 50 {
        for way in &mut ways {
            way.turn(turn as usize);
        }
    }
    let used = cpu(None) - before;
    assert!(ways.iter().all(|way| way.bytes > 0));
    used.as_secs_f64() * 1e6 / SECONDS as f64
}

struct Way {
    packets: Vec<Vec<u8>>,
    decoder: Decoder,
    encoder: Encoder,
    samples: Vec<i16>,
    /// What is encoded: as many samples as the encoder wants.
    frame: Vec<i16>,
    bytes: usize,
}

impl Way {
    fn new(from: Payload, to: Payload) -> Way {
        let rate_hz = match to.codec {
            Codec::Opus => opus::rate_for(from.sound_hz().unwrap()),
            _ => to.sound_hz().unwrap(),
        };
        let decoder = Decoder::new(&from, rate_hz).unwrap();
        let encoder = Encoder::new(&to, rate_hz).unwrap();
        let mut frame = vec![0; (encoder.rate_hz() / 50) as usize];
        Sine::new(440.0, -20.0, encoder.rate_hz()).fill(&mut frame);
        Way { packets: packets(from, 1), samples: vec![0; decoder.samples_max()], decoder, encoder, frame, bytes: 0 }
    }

    fn turn(&mut self, turn: usize) {
        let packet = &self.packets[turn % self.packets.len()];
        self.decoder.decode(&packet[12..], &mut self.samples).unwrap();
        let mut bytes = [0; 1440];
        self.bytes += self.encoder.encode(&self.frame, &mut bytes).unwrap();
    }
}

/// A second of a tone with a second one, which no codec finds as easy as a single one.
fn tone(rate_hz: u32) -> Vec<i16> {
    let (mut one, mut other) = (vec![0; rate_hz as usize], vec![0; rate_hz as usize]);
    Sine::new(310.0, -20.0, rate_hz).fill(&mut one);
    Sine::new(1730.0, -26.0, rate_hz).fill(&mut other);
    one.iter().zip(other).map(|(one, other)| one + other).collect()
}

fn encoded(rate_hz: u32) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(rate_hz).unwrap();
    let frames = tone(rate_hz);
    let frames = frames.chunks((rate_hz / 50) as usize);
    frames
        .map(|frame| {
            let mut bytes = [0; 1440];
            let length = encoder.encode(frame, &mut bytes).unwrap();
            bytes[..length].to_vec()
        })
        .collect()
}

fn encode(rate_hz: u32) -> f64 {
    let (mut encoder, samples) = (opus::Encoder::new(rate_hz).unwrap(), tone(rate_hz));
    let (mut bytes, before) = ([0; 1440], cpu(None));
    for _ in 0..SECONDS {
        for frame in samples.chunks((rate_hz / 50) as usize) {
            encoder.encode(frame, &mut bytes).unwrap();
        }
    }
    (cpu(None) - before).as_secs_f64() * 1e6 / SECONDS as f64
}

fn decode(rate_hz: u32) -> f64 {
    let (mut decoder, packets) = (opus::Decoder::new(rate_hz).unwrap(), encoded(rate_hz));
    let (mut samples, before) = ([0; 5760], cpu(None));
    for _ in 0..SECONDS {
        for packet in &packets {
            decoder.decode(packet, &mut samples).unwrap();
        }
    }
    (cpu(None) - before).as_secs_f64() * 1e6 / SECONDS as f64
}
