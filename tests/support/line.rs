//! One end of one call, on one thread: SIP over UDP, sound and keys every 20 ms, an ear for tones. The switch at the other end may
//! be killed at any moment: then what was waited for does not come, and the line says that it is [`Gone`].

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::agent::{ack_of_refusal, credentials};
use super::config::DOMAIN;
use super::tone::{FRAME_SAMPLES, from_mu_law, share_of_tone};
use super::wire::{Wire, header, media_address, status};

/// Between two packets.
const FRAME: Duration = Duration::from_millis(20);
/// A request without an answer is repeated after this long (RFC 3261 section 17.1.1.2, T1).
const REPEAT: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Frames that the ear looks at when it listens for a tone.
const EAR_FRAMES: usize = 4;
/// After so many frames without a packet there is silence.
const STARVED: u32 = 3;
/// Payload type of keys (RFC 4733).
const KEY_TYPE: u8 = 101;
/// Packets of a key before its end, which is said three times (RFC 4733 section 2.5.1.4).
const KEY_PACKETS: u16 = 5;

/// The call is over, or what was waited for did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Which of its lives the switch is in: whoever kills it counts on.
pub type Life = Arc<AtomicU64>;

/// See the module.
pub struct Line {
    wire: Wire,
    socket: UdpSocket,
    peer: SocketAddr,
    /// The dialog: Call-ID, From, To, target.
    dialog: [String; 4],
    life: (Life, u64),
    next: Instant,
    sequence: u16,
    timestamp: u32,
    heard: VecDeque<Vec<i16>>,
    /// Frames in a row in which nothing came: a switch that says nothing sends nothing.
    starved: u32,
    hung_up: bool,
}

impl Line {
    /// Calls `number` as the user `name`, whose password is that of the lab. Answered calls alone are lines.
    pub fn call(switch: SocketAddr, life: &Life, name: &str, number: &str) -> Result<Self, Gone> {
        Self::call_on(Wire::udp(switch), life, name, number, "")
    }

    /// As [`Line::call`], from a place of its own, with these headers besides, each with its line end.
    pub fn call_on(mut wire: Wire, life: &Life, name: &str, number: &str, headers: &str) -> Result<Self, Gone> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let born = life.load(Ordering::Relaxed);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = socket.local_addr().expect("bound").port();
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 {KEY_TYPE}\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:{KEY_TYPE} telephone-event/8000\r\na=sendrecv\r\n"
        );
        let request = |cseq: u32, credentials: &str| {
            format!(
                "INVITE sip:{number}@{DOMAIN} SIP/2.0\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{id}-{cseq};rport\n\
                 Max-Forwards: 70\nFrom: <sip:{name}@{DOMAIN}>;tag={id}\nTo: <sip:{number}@{DOMAIN}>\nCall-ID: {id}\n\
                 CSeq: {cseq} INVITE\nContact: <sip:{name}@{{local}}>\n{headers}{credentials}Content-Type: application/sdp\n\
                 Content-Length: {}\n\n{body}",
                "{local}",
                body.len()
            )
        };
        let first = request(1, "");
        let mut answer = ask(&mut wire, life, born, &first)?;
        let mut cseq = 1;
        if status(&answer) == Some(401) {
            wire.send(&ack_of_refusal(&first, &answer));
            let credentials = credentials(&first, &answer, name, &format!("{name}-secret"));
            cseq = 2;
            let again = request(cseq, &format!("Authorization: {credentials}\n"));
            answer = ask(&mut wire, life, born, &again)?;
            if status(&answer) >= Some(300) {
                wire.send(&ack_of_refusal(&again, &answer));
            }
        }
        if status(&answer) != Some(200) {
            return Err(Gone);
        }
        let of = |name: &str| header(&answer, name).unwrap_or_default().to_owned();
        let target = of("Contact").split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let dialog = [id, of("From"), of("To"), target];
        let peer = media_address(&answer).ok_or(Gone)?;
        let (life, next) = ((Arc::clone(life), born), Instant::now());
        let (sequence, timestamp, heard) = (1, 0, VecDeque::new());
        let mut line =
            Self { wire, socket, peer, dialog, life, next, sequence, timestamp, heard, starved: 0, hung_up: false };
        line.send("ACK", cseq);
        Ok(line)
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> &str {
        &self.dialog[0]
    }

    /// A request inside the dialog.
    fn send(&mut self, method: &str, cseq: u32) {
        let [id, from, to, target] = &self.dialog;
        self.wire.send(&format!(
            "{method} {target} SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bK-{id}-{method}{cseq};rport\nMax-Forwards: 70\n\
             From: {from}\nTo: {to}\nCall-ID: {id}\nCSeq: {cseq} {method}\nContent-Length: 0\n\n"
        ));
    }

    /// Hangs up. Whether the other end has said so.
    pub fn hang_up(mut self) -> bool {
        if self.hung_up {
            return true;
        }
        self.send("BYE", 100);
        let until = Instant::now() + ANSWER_WITHIN;
        let mut repeat = Instant::now() + REPEAT;
        while Instant::now() < until && self.is_alive() {
            match self.wire.receive_within(Duration::from_millis(20)) {
                Some(answer) if header(&answer, "CSeq") == Some("100 BYE") => return true,
                Some(_) => {}
                None if Instant::now() >= repeat => {
                    self.send("BYE", 100);
                    repeat += REPEAT;
                }
                None => {}
            }
        }
        false
    }

    /// Whether the switch lives in the life in which this call began.
    fn is_alive(&self) -> bool {
        self.life.0.load(Ordering::Relaxed) == self.life.1
    }

    /// Whether the other end has hung up.
    pub fn is_over(&self) -> bool {
        self.hung_up
    }

    /// 20 ms: a packet goes out, what comes is heard.
    fn frame(&mut self, kind: u8, timestamp: u32, payload: &[u8]) -> Result<(), Gone> {
        let mut packet = vec![0x80, kind];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(u32::from(self.socket.local_addr().expect("bound").port()).to_be_bytes());
        packet.extend(payload);
        // A port that is closed meanwhile answers with an error of its own.
        let _ = self.socket.send_to(&packet, self.peer);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        self.next += FRAME;
        self.starved += 1;
        loop {
            let left = self.next.saturating_duration_since(Instant::now()).max(Duration::from_micros(100));
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let mut packet = [0; 2_048];
            match self.socket.recv(&mut packet) {
                Ok(length) if length > 12 && packet[0] >> 6 == 2 && packet[1] & 0x7f == 0 => {
                    self.starved = 0;
                    self.heard.push_back(packet[12..length].iter().map(|byte| from_mu_law(*byte)).collect());
                    if self.heard.len() > EAR_FRAMES {
                        self.heard.pop_front();
                    }
                }
                _ if !self.is_alive() => return Err(Gone),
                _ => {}
            }
            if Instant::now() >= self.next {
                break;
            }
        }
        while let Some(message) = self.wire.receive_within(Duration::from_micros(200)) {
            if message.starts_with("BYE") {
                let copied = ["Via", "From", "To", "Call-ID", "CSeq"]
                    .map(|name| format!("{name}: {}\n", header(&message, name).unwrap_or_default()));
                self.wire.send(&format!("SIP/2.0 200 OK\n{}Content-Length: 0\n\n", copied.concat()));
                self.hung_up = true;
            }
        }
        match self.hung_up {
            true => Err(Gone),
            false => Ok(()),
        }
    }

    /// Says this frame.
    pub fn say(&mut self, frame: &[u8; FRAME_SAMPLES]) -> Result<(), Gone> {
        self.frame(0, self.timestamp, frame)
    }

    /// Says nothing for a frame.
    pub fn quiet(&mut self) -> Result<(), Gone> {
        self.say(&[0xff; FRAME_SAMPLES])
    }

    /// Presses keys, with a gap after each.
    pub fn press(&mut self, keys: &str) -> Result<(), Gone> {
        for key in keys.chars() {
            let event = "0123456789*#".find(key).and_then(|at| u8::try_from(at).ok()).expect("a key");
            let begun = self.timestamp;
            for packet in 1..=KEY_PACKETS + 3 {
                let end = if packet > KEY_PACKETS { 0x80 } else { 0 };
                let lasted = packet.min(KEY_PACKETS) * FRAME_SAMPLES as u16;
                let [high, low] = lasted.to_be_bytes();
                let kind = if packet == 1 { KEY_TYPE | 0x80 } else { KEY_TYPE };
                self.frame(kind, begun, &[event, end | 10, high, low])?;
            }
            for _ in 0..3 {
                self.quiet()?;
            }
        }
        Ok(())
    }

    /// Waits until `fits` of what was heard last, silent meanwhile.
    fn wait(&mut self, patience: Duration, mut fits: impl FnMut(&Self) -> bool) -> Result<(), Gone> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            self.quiet()?;
            if fits(self) {
                return Ok(());
            }
        }
        Err(Gone)
    }

    /// Waits for a tone.
    pub fn hears_tone(&mut self, hz: f64, patience: Duration) -> Result<(), Gone> {
        self.wait(patience, |line| line.heard.len() == EAR_FRAMES && share_of_tone(&line.last(), hz) > 0.8)
    }

    /// Waits for so many frames in a row that are no silence.
    pub fn hears_sound(&mut self, frames: usize, patience: Duration) -> Result<(), Gone> {
        let mut row = 0;
        self.wait(patience, |line| {
            row = if line.is_loud() { row + 1 } else { 0 };
            row >= frames
        })
    }

    /// Waits for so many frames in a row of silence.
    pub fn hears_silence(&mut self, frames: usize, patience: Duration) -> Result<(), Gone> {
        let mut row = 0;
        self.wait(patience, |line| {
            row = if line.is_loud() { 0 } else { row + 1 };
            row >= frames
        })
    }

    fn last(&self) -> Vec<i16> {
        self.heard.iter().flatten().copied().collect()
    }

    fn is_loud(&self) -> bool {
        let Some(frame) = self.heard.back().filter(|_| self.starved < STARVED) else { return false };
        frame.iter().map(|sample| u64::from(sample.unsigned_abs())).sum::<u64>() > 100 * frame.len() as u64
    }
}

/// Sends an INVITE until it has a final answer.
fn ask(wire: &mut Wire, life: &Life, born: u64, request: &str) -> Result<String, Gone> {
    let until = Instant::now() + ANSWER_WITHIN;
    let mut repeat = Instant::now();
    while Instant::now() < until && life.load(Ordering::Relaxed) == born {
        if Instant::now() >= repeat {
            wire.send(request);
            repeat = Instant::now() + REPEAT;
        }
        if let Some(answer) = wire.receive_within(Duration::from_millis(50)) {
            match status(&answer) {
                Some(code) if code >= 200 && header(&answer, "CSeq") == header(request, "CSeq") => return Ok(answer),
                _ => repeat = Instant::now() + REPEAT,
            }
        }
    }
    Err(Gone)
}
