//! What a conference costs a participant, and a recording: real UDP on loopback against the pool's own worker, CPU by the
//! kernel's count of its thread.
//!
//!     cargo bench -p media --bench conference
//!
//! Beside it in the same run stands the bare work: the same decoders, mixer and encoders on one thread without sockets,
//! jitter buffers or pool. Two hundred are in a room, either all of them sending or three; then a hundred calls are recorded.

#[path = "../common.rs"]
mod common;

use common::{Crowd, RATE_HZ, caller, cpu, flow, machine, median, packets, pool};
use media::codec::{Codec, Decoder};
use media::mixer::{self, Heard, RoomSpec};
use media::recorder::{Recorder, RecordingSpec};
use media::sound::Mouth;
use media::{Payload, Recorded, Recording, Room, RoomSounds, Side, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const GUESTS: usize = 200;
const CALLS: usize = 100;
const ROUNDS: usize = 5;
const SECONDS: u64 = 4;
const SPEC: RoomSpec = RoomSpec { rate_hz: RATE_HZ, participants_max: GUESTS, talkers_max: 6 };
const PCMU: Payload = Payload { pt: 0, codec: Codec::Pcmu, clock_hz: 8000, events: false };
const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };

fn main() {
    machine();
    println!("{GUESTS} in a room of {RATE_HZ} Hz, µs of CPU a participant and 20 ms, median of {ROUNDS} x {SECONDS} s");
    println!("| codec | sending | pool | bare mix and encode | ratio | cores for all | sent of due |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for payload in [PCMU, G722] {
        for sending in [GUESTS, 3] {
            let rounds = (0..ROUNDS).map(|_| (in_the_pool(payload, sending), bare(payload, sending)));
            let (pool, bare): (Vec<_>, Vec<_>) = rounds.unzip();
            let sent = pool.iter().map(|(_, sent)| *sent).fold(1.0, f64::min);
            let pool = median(pool.into_iter().map(|(us, _)| us).collect());
            let bare = median(bare);
            println!(
                "| {:?} | {sending} | {pool:.2} | {bare:.2} | {:.2} | {:.2} | {:.1} % |",
                payload.codec,
                pool / bare,
                pool * GUESTS as f64 / 20_000.0,
                100.0 * sent
            );
        }
    }
    println!();
    println!("{CALLS} voice recordings at once, one side each, PCMU to 16-bit WAV of 8 kHz, {} s", 3 * SECONDS);
    println!("| worker, % of a core | writer, % of a core | recorded | samples lost | failed |");
    println!("| --- | --- | --- | --- | --- |");
    recordings();
}

/// A room in the pool: µs a participant and turn, and the share of the due packets that came.
fn in_the_pool(payload: Payload, sending: usize) -> (f64, f64) {
    let (pool, thread) = pool(2 * GUESTS);
    let room = Room::new(0, SPEC, RoomSounds::default());
    let mut sockets = Vec::new();
    for _ in 0..GUESTS {
        let flow = flow(&pool);
        sockets.push(caller(&flow, Side::A, payload));
        flow.hear(Side::A, Source::Room(room.member())).unwrap();
        flow.wake();
    }
    let crowd = Crowd::new(sockets, sending);
    std::thread::sleep(Duration::from_secs(1));
    let (before, heard, turns) = (cpu(Some("rtp-0")), crowd.received.load(Relaxed), room.figures().turns);
    std::thread::sleep(Duration::from_secs(SECONDS));
    let used = cpu(Some("rtp-0")) - before;
    let (heard, turns) = (crowd.received.load(Relaxed) - heard, room.figures().turns - turns);
    drop(crowd);
    pool.stop_worker(0);
    thread.join();
    let due = SECONDS * 50 * GUESTS as u64;
    (used.as_secs_f64() * 1e6 / (turns as f64 * GUESTS as f64), heard as f64 / due as f64)
}

/// The same decoding, mixing and encoding without anything around it.
fn bare(payload: Payload, sending: usize) -> f64 {
    let packets: Vec<Vec<Vec<u8>>> = (0..sending).map(|at| packets(payload, at)).collect();
    let mut room = mixer::Room::new(SPEC);
    let seats: Vec<_> = (0..GUESTS).map(|_| room.join().unwrap()).collect();
    let mut ears: Vec<_> = (0..sending).map(|_| Ear::new(payload)).collect();
    let mut mouths: Vec<Mouth> = (0..GUESTS).map(|_| Mouth::new(&payload, RATE_HZ, 20).unwrap()).collect();
    let mut shared = Mouth::new(&payload, RATE_HZ, 20).unwrap();
    let mut bytes = 0;
    let before = cpu(None);
    let turns = SECONDS * 50;
    for turn in 0..turns {
        for ((ear, packets), seat) in ears.iter_mut().zip(&packets).zip(&seats) {
            let packet = &packets[turn as usize % packets.len()];
            ear.hear(&packet[12..], room.frame(*seat).unwrap());
        }
        room.turn();
        shared.speak(room.mix(), |spoken| bytes += spoken.payload.len());
        for (seat, mouth) in seats.iter().zip(&mut mouths) {
            if let heard @ Heard::AllBut(_) = room.heard(*seat) {
                mouth.speak(room.listen(heard), |spoken| bytes += spoken.payload.len());
            }
        }
    }
    assert!(bytes > 0);
    (cpu(None) - before).as_secs_f64() * 1e6 / (turns as f64 * GUESTS as f64)
}

struct Ear {
    decoder: Decoder,
    resampler: Option<media::sound::Resampler>,
    samples: Vec<i16>,
}

impl Ear {
    fn new(payload: Payload) -> Ear {
        let decoder = Decoder::new(&payload, RATE_HZ).unwrap();
        let resampler =
            media::sound::Resampler::new(decoder.rate_hz(), RATE_HZ).filter(|_| decoder.rate_hz() != RATE_HZ);
        Ear { samples: vec![0; decoder.samples_max()], decoder, resampler }
    }

    fn hear(&mut self, payload: &[u8], frame: &mut [i16]) {
        let count = self.decoder.decode(payload, &mut self.samples).unwrap();
        match &mut self.resampler {
            None => frame.copy_from_slice(&self.samples[..count]),
            Some(resampler) => drop(resampler.process(&self.samples[..count], frame)),
        }
    }
}

fn recordings() {
    let (pool, thread) = pool(2 * GUESTS);
    let recorder = Recorder::default();
    let writer = recorder.start_writer_watched(|_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ended, seconds) = (Arc::new(AtomicU64::new(0)), 3 * SECONDS);
    let mut sockets = Vec::new();
    let mut tapes = Vec::new();
    for at in 0..CALLS {
        let flow = flow(&pool);
        sockets.push(caller(&flow, Side::A, PCMU));
        let spec = RecordingSpec {
            path: folder.path().join(format!("{at}.wav")),
            encoding: media::wav::Encoding::Linear,
            rate_hz: 8000,
            longest: Duration::from_secs(3600),
            silence: None,
            stop_keys: "#",
            fax_ends: false,
        };
        let told = Arc::clone(&ended);
        let tape = recorder.record(spec, move |end| {
            told.fetch_add(end.length.as_millis() as u64, Relaxed);
        });
        let tape = tape.unwrap();
        flow.record(Some(Recording { of: Recorded::One(Side::A), tape: Arc::clone(&tape) })).unwrap();
        flow.wake();
        tapes.push(tape);
    }
    let crowd = Crowd::new(sockets, CALLS);
    std::thread::sleep(Duration::from_secs(1));
    let before = (cpu(Some("rtp-0")), cpu(Some("recorder")));
    std::thread::sleep(Duration::from_secs(seconds));
    let used = (cpu(Some("rtp-0")) - before.0, cpu(Some("recorder")) - before.1);
    tapes.iter().for_each(|tape| tape.stop());
    while recorder.figures().running > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let figures = recorder.figures();
    let share = |used: Duration| 100.0 * used.as_secs_f64() / seconds as f64;
    println!(
        "| {:.1} | {:.1} | {:.1} s each | {} | {} |",
        share(used.0),
        share(used.1),
        ended.load(Relaxed) as f64 / 1000.0 / CALLS as f64,
        figures.lost_samples,
        figures.failed
    );
    assert_eq!((figures.begun, figures.failed), (CALLS as u64, 0));
    // What is in a file is the caller's tone.
    let file = std::fs::read(folder.path().join("7.wav")).unwrap();
    let (format, sound) = media::wav::parse(&file).unwrap();
    let samples = media::wav::decode(format.encoding, sound);
    let found = media::tone::measure(&samples[samples.len() / 2..], 8000).unwrap();
    assert!((found.hz - 370.0).abs() < 2.0, "{found:?}");
    drop(crowd);
    recorder.stop_writer();
    writer.join().unwrap();
    pool.stop_worker(0);
    thread.join();
}
