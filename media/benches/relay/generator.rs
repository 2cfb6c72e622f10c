//! What the phones of a measurement do: every stream sends 50 packets a second of 172 bytes from a socket of its own, and
//! everything that comes back is looked at. It never waits on a socket, so that no relay pays for waking it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Between two packets of a stream.
const PTIME: Duration = Duration::from_millis(20);
/// The generator wakes no more often than this: as an interrupt of a network card, it brings what came meanwhile at once.
pub const GATHER: Duration = Duration::from_micros(100);
/// What is under way at the end of a run arrives within this time.
const SETTLE: Duration = Duration::from_millis(40);
const PACKET_BYTES: usize = 172;

/// What was sent and what came of it.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub sent: u64,
    /// Came to the right socket, in order, with equal bytes.
    pub right: u64,
    /// Came, but to another socket, out of order or changed.
    pub wrong: u64,
    /// Packets that left more than a period late: the machine was busy with something else.
    pub late: u64,
}

/// Two streams a flow: stream 2n speaks for the caller of flow n, 2n + 1 for its callee.
pub struct Generator {
    streams: Vec<Stream>,
    /// Streams by their place in the period.
    order: Vec<usize>,
    count: Count,
}

struct Stream {
    socket: UdpSocket,
    packet: [u8; PACKET_BYTES],
    sequence: u16,
    /// The number that comes next from the other side.
    expected: u16,
    phase: Duration,
}

impl Generator {
    pub fn new(flows: usize) -> Generator {
        let count = 2 * flows;
        let streams: Vec<_> = (0..count)
            .map(|stream| {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                socket.set_nonblocking(true).expect("set");
                // Spread over the period by the golden ratio: neighbours in number are far apart in time.
                let phase = PTIME.mul_f64((stream as f64 * 0.618_033_988_75).fract());
                Stream { socket, packet: packet_of(stream), sequence: 0, expected: 0, phase }
            })
            .collect();
        let mut order: Vec<_> = (0..count).collect();
        order.sort_by_key(|stream| streams[*stream].phase);
        Generator { streams, order, count: Count::default() }
    }

    /// The ports of the phones, caller and callee of each flow.
    pub fn ports(&self) -> Vec<(u16, u16)> {
        let port = |stream: &Stream| stream.socket.local_addr().expect("bound").port();
        self.streams.chunks(2).map(|flow| (port(&flow[0]), port(&flow[1]))).collect()
    }

    /// Where the relay hears each phone.
    pub fn aim(&self, relay: &[(u16, u16)]) {
        assert_eq!(relay.len() * 2, self.streams.len(), "the relay opened as many flows as it was asked for");
        for (stream, port) in self.streams.iter().zip(relay.iter().flat_map(|(a, b)| [a, b])) {
            stream.socket.connect(SocketAddr::from(([127, 0, 0, 1], *port))).expect("connected");
        }
    }

    /// Lets all streams speak for so long.
    pub fn run(&mut self, duration: Duration) -> Count {
        self.count = Count::default();
        let start = Instant::now();
        let mut beginning = Duration::ZERO;
        while beginning < duration {
            for place in 0..self.order.len() {
                let stream = self.order[place];
                let due = beginning + self.streams[stream].phase;
                loop {
                    let now = start.elapsed();
                    if due <= now {
                        self.count.late += u64::from(now - due > PTIME);
                        break;
                    }
                    std::thread::sleep((due - now).max(GATHER));
                }
                self.receive(stream);
                self.send(stream);
            }
            beginning += PTIME;
        }
        std::thread::sleep(SETTLE);
        (0..self.streams.len()).for_each(|stream| self.receive(stream));
        self.count
    }

    fn send(&mut self, stream: usize) {
        let Stream { socket, packet, sequence, .. } = &mut self.streams[stream];
        stamp(packet, *sequence);
        *sequence = sequence.wrapping_add(1);
        // A port that is closed is reported here and is a loss like others.
        let _refused = socket.send(packet);
        self.count.sent += 1;
    }

    fn receive(&mut self, stream: usize) {
        let mut buffer = [0; 2048];
        // The other side of its flow is what it hears.
        let mut wanted = self.streams[stream ^ 1].packet;
        while let Ok(length) = self.streams[stream].socket.recv(&mut buffer) {
            let expected = &mut self.streams[stream].expected;
            let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
            let ahead = sequence.wrapping_sub(*expected);
            stamp(&mut wanted, sequence);
            if ahead < u16::MAX / 2 && buffer[..length] == wanted {
                *expected = sequence.wrapping_add(1);
                self.count.right += 1;
            } else {
                self.count.wrong += 1;
            }
        }
    }
}

/// A packet that no other stream sends: PCMU, its number as SSRC, its sound of its number.
fn packet_of(stream: usize) -> [u8; PACKET_BYTES] {
    let number = u32::try_from(stream).expect("few");
    let mut packet = [number.to_le_bytes()[0]; PACKET_BYTES];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[8..12].copy_from_slice(&(0x5000_0000 + number).to_be_bytes());
    packet
}

fn stamp(packet: &mut [u8; PACKET_BYTES], sequence: u16) {
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
}
