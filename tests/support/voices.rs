//! Many RTP ends at once, each with a packet every 20 ms, and what each has missed of the other's.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two packets of a voice.
const PACKET: Duration = Duration::from_millis(20);
/// PCMU samples of a packet.
const SAMPLES: u32 = 160;
/// The fixed part of an RTP header (RFC 3550 section 5.1).
const HEADER_BYTES: usize = 12;

/// Handle of the voices; when the last is dropped they fall silent.
#[derive(Clone)]
pub struct Voices(Arc<Inner>);

struct Inner {
    voices: Arc<Mutex<Vec<Voice>>>,
    /// Dropped first: the thread's clock notices.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Voice {
    socket: UdpSocket,
    own: SocketAddr,
    peer: Option<SocketAddr>,
    sequence: u16,
    timestamp: u32,
    last: Option<u16>,
    heard: Heard,
}

/// What a voice has heard since [`Voices::begin_anew`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Packets.
    pub packets: u64,
    /// Packets that never came, by their sequence numbers; one that is overtaken is not missing.
    pub missing: u64,
    /// Packets that came after a later one, or twice.
    pub late: u64,
}

impl Voices {
    /// So many voices on free ports of loopback.
    pub fn new(count: usize) -> Self {
        let voices = (0..count)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
                socket.set_nonblocking(true).expect("a socket option");
                let own = socket.local_addr().expect("bound");
                let (peer, last) = (None, None);
                Voice { socket, own, peer, sequence: 1, timestamp: 0, last, heard: Heard::default() }
            })
            .collect();
        let voices: Arc<Mutex<Vec<Voice>>> = Arc::new(Mutex::new(voices));
        let (stop, clock) = channel();
        let speaking = Arc::clone(&voices);
        let thread = std::thread::spawn(move || speak(&speaking, &clock));
        Self(Arc::new(Inner { voices, stop: Some(stop), thread: Some(thread) }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Voice>> {
        lock(&self.0.voices)
    }

    /// Their addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().iter().map(|voice| voice.own).collect()
    }

    /// Lets the voice at `own` speak to `peer`.
    pub fn connect(&self, own: SocketAddr, peer: SocketAddr) {
        if let Some(voice) = self.lock().iter_mut().find(|voice| voice.own == own) {
            voice.peer = Some(peer);
        }
    }

    /// Forgets what was heard.
    pub fn begin_anew(&self) {
        for voice in &mut *self.lock() {
            (voice.last, voice.heard) = (None, Heard::default());
        }
    }

    /// What each has heard, by its address.
    pub fn heard(&self) -> Vec<(SocketAddr, Heard)> {
        self.lock().iter().map(|voice| (voice.own, voice.heard)).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(voices: &Mutex<Vec<Voice>>) -> MutexGuard<'_, Vec<Voice>> {
    voices.lock().unwrap_or_else(PoisonError::into_inner)
}

fn speak(voices: &Mutex<Vec<Voice>>, clock: &Receiver<()>) {
    let mut next = Instant::now();
    loop {
        next += PACKET;
        match clock.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
        for voice in &mut *lock(voices) {
            voice.listen();
            voice.say();
        }
    }
}

impl Voice {
    fn say(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut packet = [0xff; HEADER_BYTES + SAMPLES as usize];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&u32::from(self.own.port()).to_be_bytes());
        // A port that is closed for a moment answers with an error on the next call: that packet is then missing.
        let _ = self.socket.send_to(&packet, peer);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES);
    }

    fn listen(&mut self) {
        let mut packet = [0; 2_048];
        loop {
            match self.socket.recv(&mut packet) {
                Ok(length) if length >= HEADER_BYTES && packet[0] >> 6 == 2 && !(192..=223).contains(&packet[1]) => {
                    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                    // Half of the numbers are ahead, half behind (RFC 3550 appendix A.1).
                    let ahead = self.last.map_or(1, |last| sequence.wrapping_sub(last));
                    if (1..0x8000).contains(&ahead) {
                        self.heard.missing += u64::from(ahead - 1);
                        self.last = Some(sequence);
                    } else {
                        self.heard.late += 1;
                        self.heard.missing = self.heard.missing.saturating_sub(1);
                    }
                    self.heard.packets += 1;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // ICMP's news of an earlier packet, once.
                Err(_) => {}
            }
        }
    }
}
