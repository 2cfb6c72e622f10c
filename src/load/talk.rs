//! One end of a call's sound: speaks a tone, and knows what it should hear.
//!
//! Each caller asks with a tone of its own choice among sixteen. A callee of ours says a waiting tone until it has heard a
//! question, and from then on the answer to it, which is `ANSWER_ABOVE_HZ` higher. So a caller that hears its answer knows that
//! both directions work and that nobody else's call is in its ear; one that hears the waiting tone knows that only one does.
//! All tones have whole periods in 20 ms: a packet is a table row, and hearing is one bin of a Fourier transform.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use media::codec::{Codec, Decoder, Encoder, Payload, opus};
use media::quality::{Conditions, Impairment};
use media::rtp::{self, HEADER_BYTES, Header, Reception};
use media::srtp::{Key, MasterKey, OVERHEAD_BYTES_MAX, Opener, Sealer};
use media::tone::Sine;
use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

use super::describe::own_pt;

/// Samples of a packet: 20 ms of the telephone's rate.
const SAMPLES: usize = 160;
const RATE_HZ: u32 = 8_000;
const PACKETS_PER_S: u32 = 50;
/// The widest rate of a codec, in telephone rates.
const WIDEST: usize = 6;
const PTIME: Duration = Duration::from_millis(20);
/// Between two tones: one bin of a transform over a packet.
const STEP_HZ: u32 = 50;
/// How many tones callers choose from, and the lowest.
const QUESTIONS: u32 = 16;
const QUESTION_HZ: u32 = 400;
/// How much higher the answer is.
const ANSWER_ABOVE_HZ: u32 = 1_400;
/// What a callee says that has heard nothing yet.
const WAITING_HZ: u32 = 1_500;
/// The highest tone there is.
const TONE_HZ_MAX: u32 = 3_400;
/// How loud, and how much of the power must be in the tone for it to be heard.
const LEVEL_DBM0: f64 = -10.0;
const TONE_SHARE: f64 = 0.6;
/// Root mean square of silence at most, in samples.
const SILENCE: f64 = 40.0;
/// Of the packets since the right tone was first heard so many must have it.
const RIGHT_SHARE: f64 = 0.9;
/// From mouth to ear on a test bench, for the MOS.
const DELAY_MS: f64 = 40.0;
/// The largest datagram that is looked at.
const DATAGRAM_BYTES: usize = 2_048;

/// What this end of the call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Asks, and expects the answer of a callee of ours.
    Asks(u32),
    /// Says one tone, and expects another.
    Tone {
        /// What it says, Hz.
        says_hz: u32,
        /// What it expects, Hz.
        hears_hz: u32,
    },
    /// Asks, and takes whatever comes.
    Listens(u32),
    /// Answers what it is asked.
    Answers,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What should be heard.
    Right,
    /// As it should be, but with more packets lost than may be.
    Lossy,
    /// The callee speaks, and does not hear us.
    OneWay,
    /// Something else.
    Wrong,
    /// Not a packet with sound in it.
    Nothing,
}

impl Verdict {
    /// In words, as a failure.
    pub const fn failure(self) -> Option<&'static str> {
        match self {
            Self::Right => None,
            Self::Lossy => Some("sound: packets lost"),
            Self::OneWay => Some("sound: one way, the callee does not hear"),
            Self::Wrong => Some("sound: not what should be heard"),
            Self::Nothing => Some("sound: nothing heard"),
        }
    }
}

/// What one end heard, in figures.
#[derive(Clone, Copy, Debug)]
pub struct Hearing {
    /// Judged.
    pub verdict: Verdict,
    /// Packets that it sent.
    pub sent: u64,
    /// Packets that came.
    pub received: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Mean opinion score by the E-model.
    pub mos: f64,
}

/// Keys of a call with SRTP.
pub struct Keys {
    /// Ours.
    pub ours: MasterKey,
    /// The peer's.
    pub theirs: MasterKey,
}

/// One end of a call's sound. It ends when this is dropped.
pub struct Talk {
    shared: Rc<Shared>,
    port: u16,
    task: Option<AbortHandle>,
}

struct Shared {
    socket: UdpSocket,
    remote: Cell<Option<SocketAddr>>,
    state: RefCell<State>,
}

struct State {
    part: Part,
    payload: Payload,
    began: Instant,
    speaks_hz: u32,
    seal: Option<Sealer>,
    open: Option<Opener>,
    header: Header,
    sent: u64,
    reception: Reception,
    received: u64,
    /// What makes its packets, of a codec whose packets hang together.
    voice: Option<Voice>,
    decoder: Option<Decoder>,
    samples: Vec<i16>,
    /// Windows with the right tone; all since the first of them; with the waiting tone; with any sound.
    right: u64,
    since_right: u64,
    waiting: u64,
    sounding: u64,
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Talk {
    /// Takes a port of `ip`. Nothing is sent before [`Talk::begin`].
    ///
    /// # Errors
    /// No port or descriptor is free.
    pub fn open(ip: IpAddr, part: Part, codec: Codec) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        let clock_hz = if codec == Codec::Opus { opus::CLOCK_HZ } else { RATE_HZ };
        let payload = Payload::new(own_pt(codec), codec, clock_hz);
        let speaks_hz = match part {
            Part::Asks(question) | Part::Listens(question) | Part::Tone { says_hz: question, .. } => question,
            Part::Answers => WAITING_HZ,
        };
        let header = Header {
            payload_type: payload.pt,
            marker: true,
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
            payload_start: HEADER_BYTES,
            payload_end: HEADER_BYTES + SAMPLES,
        };
        let state = State {
            part,
            payload,
            began: Instant::now(),
            speaks_hz,
            seal: None,
            open: None,
            header,
            sent: 0,
            reception: Reception::default(),
            received: 0,
            voice: Voice::of(&payload, speaks_hz),
            decoder: Decoder::new(&payload, RATE_HZ),
            samples: Vec::with_capacity(2 * SAMPLES),
            right: 0,
            since_right: 0,
            waiting: 0,
            sounding: 0,
        };
        let shared = Shared { socket: UdpSocket::from_std(socket)?, remote: Cell::new(None), state: state.into() };
        Ok(Self { shared: Rc::new(shared), port, task: None })
    }

    /// Where it is heard.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Speaks to `remote` from now on, which knows our codec by `pt`. A change of mind (re-INVITE) comes here too.
    pub fn begin(&mut self, remote: SocketAddr, pt: u8, keys: Option<Keys>) {
        self.shared.remote.set(Some(remote));
        self.shared.state.borrow_mut().header.payload_type = pt;
        if let Some(Keys { ours, theirs }) = keys {
            let mut state = self.shared.state.borrow_mut();
            state.seal = Sealer::new(&Arc::new(Key::new(ours)));
            state.open = Opener::new(&Arc::new(Key::new(theirs)));
        }
        if self.task.is_none() {
            self.task = Some(spawn_local(talk(Rc::clone(&self.shared))).abort_handle());
        }
    }

    /// What was heard until now; `loss_max` (0 to 1) is how much may be lost.
    pub fn hearing(&self, loss_max: f64) -> Hearing {
        self.shared.state.borrow().hearing(loss_max)
    }
}

/// The question of the call with this number.
pub fn question(call: u64) -> u32 {
    QUESTION_HZ + STEP_HZ * u32::try_from(call % u64::from(QUESTIONS)).unwrap_or(0)
}

async fn talk(shared: Rc<Shared>) {
    let mut beat = interval(PTIME);
    // A late beat is made up for: the peer's stream has no holes because this machine was busy.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut datagram = [0; DATAGRAM_BYTES];
    loop {
        tokio::select! {
            _ = beat.tick() => {
                let packet = shared.state.borrow_mut().speak(&mut datagram);
                if let (Some(length), Some(remote)) = (packet, shared.remote.get()) {
                    // What the kernel does not take is lost, as on any network.
                    let _ = shared.socket.try_send_to(datagram.get(..length).unwrap_or_default(), remote);
                }
            }
            came = shared.socket.recv_from(&mut datagram) => {
                if let Ok((length, _)) = came {
                    shared.state.borrow_mut().hear(datagram.get_mut(..length).unwrap_or_default());
                }
            }
        }
    }
}

impl State {
    /// Writes the next packet; its length.
    fn speak(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let body = datagram.get_mut(HEADER_BYTES..)?;
        let bytes = match &mut self.voice {
            Some(voice) => voice.speak(self.speaks_hz, body)?,
            None => {
                let sound = spoken(self.payload.codec, self.speaks_hz)?;
                body.get_mut(..sound.len())?.copy_from_slice(sound);
                sound.len()
            }
        };
        let length = HEADER_BYTES + bytes;
        self.header.write(datagram.first_chunk_mut()?);
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(self.payload.clock_hz / PACKETS_PER_S);
        self.sent += 1;
        match &mut self.seal {
            Some(seal) => seal.rtp(datagram.get_mut(..length + OVERHEAD_BYTES_MAX)?, length).ok(),
            None => Some(length),
        }
    }

    fn hear(&mut self, datagram: &mut [u8]) {
        if rtp::is_rtcp(datagram) {
            return;
        }
        let length = match &mut self.open {
            Some(open) => open.rtp(datagram).unwrap_or(0),
            None => datagram.len(),
        };
        let Some(packet) = datagram.get(..length) else { return };
        let Ok(header) = Header::parse(packet) else { return };
        // Who answers may know the codec by another number (RFC 3264 section 6.1).
        if header.payload_type != self.payload.pt && header.payload_type != self.header.payload_type {
            return;
        }
        self.received += 1;
        self.reception.packet(header.ssrc, header.sequence);
        self.reception.timing(header.timestamp, self.payload.clock_hz, self.began.elapsed());
        let mut sound = [0; WIDEST * 2 * SAMPLES];
        let decoded = self.decoder.as_mut().and_then(|decoder| decoder.decode(header.payload(packet), &mut sound).ok());
        // Our tones are far below half of the telephone's rate: of a wider one every second sample, or sixth, tells as much.
        let every = self.decoder.as_ref().map_or(1, |decoder| decoder.rate_hz() / RATE_HZ).max(1);
        let every = usize::try_from(every).unwrap_or(1);
        self.samples.extend(sound.iter().take(decoded.unwrap_or(0)).step_by(every));
        while self.samples.len() >= SAMPLES {
            let rest = self.samples.split_off(SAMPLES);
            let window = std::mem::replace(&mut self.samples, rest);
            self.listen(&window);
        }
    }

    /// Judges a packet's worth of sound.
    fn listen(&mut self, window: &[i16]) {
        let power: f64 = window.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        if power < SILENCE * SILENCE * 160.0 {
            self.since_right += u64::from(self.right > 0);
            return;
        }
        self.sounding += 1;
        let has = |hz: u32| share(window, hz, power) >= TONE_SHARE;
        let right = match self.part {
            Part::Asks(question) => {
                self.waiting += u64::from(has(WAITING_HZ));
                has(question + ANSWER_ABOVE_HZ)
            }
            Part::Tone { hears_hz, .. } => has(hears_hz),
            Part::Listens(_) => true,
            Part::Answers if self.speaks_hz == WAITING_HZ => {
                let asked = (0..QUESTIONS).map(|step| QUESTION_HZ + STEP_HZ * step).find(|hz| has(*hz));
                if let Some(asked) = asked {
                    self.speaks_hz = asked + ANSWER_ABOVE_HZ;
                }
                asked.is_some()
            }
            Part::Answers => has(self.speaks_hz - ANSWER_ABOVE_HZ),
        };
        self.right += u64::from(right);
        self.since_right += u64::from(self.right > 0);
    }

    fn hearing(&self, loss_max: f64) -> Hearing {
        let losses = self.reception.pattern().losses();
        let lost = self.reception.lost();
        let expected = self.received + lost;
        let loss = super::measure::float(lost) / super::measure::float(expected.max(1));
        let verdict = if self.right > 0 {
            let share = super::measure::float(self.right) / super::measure::float(self.since_right.max(1));
            match share < RIGHT_SHARE {
                true => Verdict::Wrong,
                false if loss > loss_max => Verdict::Lossy,
                false => Verdict::Right,
            }
        } else if self.waiting > 0 {
            Verdict::OneWay
        } else if self.sounding > 0 {
            Verdict::Wrong
        } else {
            Verdict::Nothing
        };
        let conditions = Conditions { loss, burst_ratio: losses.burst_ratio(), delay_ms: DELAY_MS };
        Hearing {
            verdict,
            sent: self.sent,
            received: self.received,
            lost,
            jitter_ms: f64::from(self.reception.jitter()) * 1_000.0 / f64::from(self.payload.clock_hz),
            mos: Impairment::of(&self.payload).map_or(0.0, |impairment| impairment.rate(&conditions).mos),
        }
    }
}

/// A tone by a codec that keeps a state from packet to packet.
struct Voice {
    encoder: Encoder,
    sine: Sine,
    hz: u32,
}

impl Voice {
    /// `None` of a codec whose packets stand alone: theirs are in a table.
    fn of(payload: &Payload, hz: u32) -> Option<Self> {
        if matches!(payload.codec, Codec::Pcmu | Codec::Pcma) {
            return None;
        }
        let encoder = Encoder::new(payload, RATE_HZ)?;
        let sine = Sine::new(f64::from(hz), LEVEL_DBM0, encoder.rate_hz());
        Some(Self { encoder, sine, hz })
    }

    /// Writes the next packet; its bytes.
    fn speak(&mut self, hz: u32, bytes: &mut [u8]) -> Option<usize> {
        if hz != self.hz {
            self.sine = Sine::new(f64::from(hz), LEVEL_DBM0, self.encoder.rate_hz());
            self.hz = hz;
        }
        let count = usize::try_from(self.encoder.rate_hz() / PACKETS_PER_S).ok()?;
        let mut samples = [0; WIDEST * SAMPLES];
        let samples = samples.get_mut(..count)?;
        self.sine.fill(samples);
        self.encoder.encode(samples, bytes)
    }
}

/// How much of a window's power is in a tone, 0 to 1: one bin of a transform (Goertzel).
fn share(window: &[i16], hz: u32, power: f64) -> f64 {
    let turn = std::f64::consts::TAU * f64::from(hz) / f64::from(RATE_HZ);
    let twice_cos = 2.0 * turn.cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in window {
        (one, two) = (f64::from(*sample) + twice_cos * one - two, one);
    }
    let bin = one * one + two * two - twice_cos * one * two;
    2.0 * bin / (power * 160.0)
}

/// A packet's payload of a tone.
fn spoken(codec: Codec, hz: u32) -> Option<&'static [u8]> {
    static MU: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    static A: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let table = if codec == Codec::Pcma { &A } else { &MU };
    let rows = table.get_or_init(|| (0..=TONE_HZ_MAX / STEP_HZ).map(|step| encoded(codec, step * STEP_HZ)).collect());
    rows.get(usize::try_from(hz / STEP_HZ).ok()?).map(Vec::as_slice)
}

fn encoded(codec: Codec, hz: u32) -> Vec<u8> {
    let payload = Payload::new(0, codec, RATE_HZ);
    let (mut samples, mut bytes) = ([0; SAMPLES], vec![0; SAMPLES]);
    Sine::new(f64::from(hz), LEVEL_DBM0, RATE_HZ).fill(&mut samples);
    let written = Encoder::new(&payload, RATE_HZ).and_then(|mut encoder| encoder.encode(&samples, &mut bytes));
    bytes.truncate(written.unwrap_or(0));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(hz: u32) -> Vec<i16> {
        let mut samples = vec![0; SAMPLES];
        let mut decoder = Decoder::new(&Payload::new(0, Codec::Pcmu, RATE_HZ), RATE_HZ).unwrap();
        decoder.decode(spoken(Codec::Pcmu, hz).unwrap(), &mut samples).unwrap();
        samples
    }

    #[test]
    fn a_tone_is_heard_in_its_own_bin_and_in_no_other() {
        let heard = window(1_000);
        let power = heard.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        assert!(share(&heard, 1_000, power) > 0.95);
        for other in (300..=3_400).step_by(50).filter(|hz| *hz != 1_000) {
            assert!(share(&heard, other, power) < 0.05, "{other} Hz");
        }
    }

    #[test]
    fn no_question_is_an_answer_and_neither_is_the_waiting_tone() {
        let questions: Vec<u32> = (0..u64::from(QUESTIONS)).map(question).collect();
        let answers: Vec<u32> = questions.iter().map(|hz| hz + ANSWER_ABOVE_HZ).collect();
        assert!(questions.iter().all(|hz| !answers.contains(hz)));
        assert!(!questions.contains(&WAITING_HZ) && !answers.contains(&WAITING_HZ));
        assert!(answers.iter().all(|hz| *hz <= TONE_HZ_MAX));
    }
}
