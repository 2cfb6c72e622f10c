//! Raw sockets: SIP text as a test writes it, over UDP, TCP, TLS and WebSocket, and RTP packets with a tone in them. For
//! malformed input, and for peers that behave as no phone does.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tokio_tungstenite::tungstenite;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocket;

use super::PATIENCE;
use super::tone::{FRAME_SAMPLES, Tone, from_mu_law};

/// The longest message that is received.
const MESSAGE_BYTES_MAX: usize = 65_536;

/// The fixed part of an RTP header (RFC 3550 section 5.1).
const RTP_HEADER_BYTES: usize = 12;

/// Where SIP text goes out and comes in.
pub struct Wire {
    line: Line,
    local: SocketAddr,
    received: Vec<u8>,
    /// The requests that [`Wire::receive`] has returned, and those that it left out.
    taken: HashSet<String>,
}

enum Line {
    Udp(UdpSocket, SocketAddr),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    WebSocket(Box<WebSocket<TcpStream>>),
}

impl Wire {
    /// A UDP socket on loopback that talks with one address, but hears any.
    pub fn udp(peer: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let local = socket.local_addr().expect("bound");
        Self { line: Line::Udp(socket, peer), local, received: Vec::new(), taken: HashSet::new() }
    }

    /// As [`Wire::udp`], from a socket of the test's own.
    pub fn udp_from(socket: UdpSocket, peer: SocketAddr) -> Self {
        let local = socket.local_addr().expect("bound");
        Self { line: Line::Udp(socket, peer), local, received: Vec::new(), taken: HashSet::new() }
    }

    /// The same UDP socket, talking with another address.
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        match self.line {
            Line::Udp(socket, _) => Self { line: Line::Udp(socket, peer), ..self },
            _ => panic!("a stream has one peer"),
        }
    }

    /// A TCP connection.
    pub fn tcp(peer: SocketAddr) -> Self {
        let stream = connect(peer);
        let local = stream.local_addr().expect("connected");
        Self { line: Line::Tcp(stream), local, received: Vec::new(), taken: HashSet::new() }
    }

    /// A TCP connection that was taken.
    pub fn tcp_taken(stream: TcpStream) -> Self {
        let local = stream.local_addr().expect("connected");
        Self { line: Line::Tcp(stream), local, received: Vec::new(), taken: HashSet::new() }
    }

    /// A TLS connection that takes whatever certificate comes.
    pub fn tls(peer: SocketAddr) -> Self {
        Self::tls_proved(peer, None)
    }

    /// As [`Wire::tls`], with a certificate of its own and its key.
    pub fn tls_proved(peer: SocketAddr, own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>) -> Self {
        let stream = connect(peer);
        let local = stream.local_addr().expect("connected");
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate));
        let config = match own {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a pair"),
            None => config.with_no_client_auth(),
        };
        let name = ServerName::from(peer.ip());
        let connection = ClientConnection::new(Arc::new(config), name).expect("a TLS client");
        Self {
            line: Line::Tls(Box::new(StreamOwned::new(connection, stream))),
            local,
            received: Vec::new(),
            taken: HashSet::new(),
        }
    }

    /// A WebSocket connection with the subprotocol `sip` (RFC 7118 section 4) to a path of the HTTP address.
    pub fn websocket(peer: SocketAddr, path: &str) -> Self {
        let stream = connect(peer);
        let local = stream.local_addr().expect("connected");
        let mut request = format!("ws://{peer}{path}").into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().expect("a header"));
        let (socket, answer) = tungstenite::client(request, stream).expect("the switch takes the WebSocket");
        let chosen = answer.headers().get("Sec-WebSocket-Protocol").and_then(|value| value.to_str().ok());
        assert_eq!(chosen, Some("sip"), "RFC 7118 section 4: the server answers with the subprotocol sip");
        Self { line: Line::WebSocket(Box::new(socket)), local, received: Vec::new(), taken: HashSet::new() }
    }

    /// The address that this end sends from.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The transport's name as a Via says it.
    pub fn transport(&self) -> &'static str {
        match self.line {
            Line::Udp(..) => "UDP",
            Line::Tcp(_) => "TCP",
            Line::Tls(_) => "TLS",
            Line::WebSocket(_) => "WS",
        }
    }

    /// Sends text written with bare line ends; `{transport}`, `{local}`, `{ip}` and `{port}` are replaced by this end's.
    pub fn send(&mut self, template: &str) {
        let text = template
            .replace("{transport}", self.transport())
            .replace("{local}", &self.local.to_string())
            .replace("{ip}", &self.local.ip().to_string())
            .replace("{port}", &self.local.port().to_string())
            .replace("\r\n", "\n")
            .replace('\n', "\r\n");
        self.send_bytes(text.as_bytes());
    }

    /// Sends bytes to a stream that the other side may close meanwhile.
    pub fn try_send(&mut self, text: &str) {
        if let Line::Tcp(stream) = &mut self.line {
            // Whether it was read to its end or not, what follows is looked at.
            let _ = stream.write_all(text.replace('\n', "\r\n").as_bytes());
        } else {
            self.send(text);
        }
    }

    /// Sends bytes as they are: one datagram, a piece of a stream, or one WebSocket message.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.line {
            Line::Udp(socket, peer) => {
                socket.send_to(bytes, *peer).expect("sent");
            }
            Line::Tcp(stream) => stream.write_all(bytes).expect("sent"),
            Line::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()).expect("sent"),
            Line::WebSocket(socket) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                socket.send(tungstenite::Message::text(text)).expect("sent");
            }
        }
    }

    /// The next message that starts with this text, others left out; panics when none came in time. A datagram that came
    /// before is left out too: on a machine that is busy for T1 the switch repeats what it asks (RFC 3261 section 17.1),
    /// and the answer to that has been given. [`Wire::receive_within`] sees repetitions.
    pub fn receive(&mut self, start: &str) -> String {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while let Some(message) = self.next_before(deadline) {
            if self.is_repeated(&message) {
                continue;
            }
            if message.starts_with(start) {
                return message;
            }
            seen.push(message);
        }
        panic!("no message came that starts with {start:?}; these came:\n{}", seen.join("\n----\n"))
    }

    /// Whether a request came by UDP before, byte for byte. An ACK tells that a 200 came, each time that it does.
    fn is_repeated(&mut self, message: &str) -> bool {
        let can_be = matches!(self.line, Line::Udp(..))
            && !["SIP/2.0", "ACK"].iter().any(|start| message.starts_with(start))
            && message.contains("\r\n\r\n");
        can_be && !self.taken.insert(message.to_owned())
    }

    /// The next message, or nothing when none comes within this time.
    pub fn receive_within(&mut self, patience: Duration) -> Option<String> {
        self.next_before(Instant::now() + patience)
    }

    /// Whether the other side has closed the stream, within the usual patience.
    pub fn is_closed(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.next_before(deadline).is_some() {}
        Instant::now() < deadline
    }

    /// One message before the deadline; nothing at the deadline, or when the stream is closed.
    fn next_before(&mut self, deadline: Instant) -> Option<String> {
        loop {
            if let Some(message) = self.cut() {
                return Some(message);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            let mut buffer = vec![0; MESSAGE_BYTES_MAX];
            let read = match &mut self.line {
                Line::Udp(socket, _) => {
                    socket.set_read_timeout(Some(left)).expect("a timeout");
                    match socket.recv(&mut buffer) {
                        Ok(read) => {
                            return Some(String::from_utf8_lossy(&buffer[..read]).into_owned());
                        }
                        Err(error) => Err(error),
                    }
                }
                Line::Tcp(stream) => {
                    stream.set_read_timeout(Some(left)).expect("a timeout");
                    stream.read(&mut buffer)
                }
                Line::Tls(stream) => {
                    stream.sock.set_read_timeout(Some(left)).expect("a timeout");
                    stream.read(&mut buffer)
                }
                Line::WebSocket(socket) => {
                    socket.get_mut().set_read_timeout(Some(left)).expect("a timeout");
                    match socket.read() {
                        Ok(message) if message.is_text() || message.is_binary() => {
                            return Some(String::from_utf8_lossy(&message.into_data()).into_owned());
                        }
                        Ok(message) if !message.is_close() => continue,
                        Ok(_) => Ok(0),
                        Err(tungstenite::Error::Io(error)) => Err(error),
                        Err(_) => Ok(0),
                    }
                }
            };
            match read {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Cuts one message off a stream's bytes by its Content-Length (RFC 3261 section 18.3). Keep-alives (RFC 5626 section
    /// 4.4.1) are messages of their own.
    fn cut(&mut self) -> Option<String> {
        if self.received.starts_with(b"\r\n") {
            let count = if self.received.starts_with(b"\r\n\r\n") { 4 } else { 2 };
            return Some(String::from_utf8_lossy(&self.received.drain(..count).collect::<Vec<_>>()).into_owned());
        }
        let head = self.received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.received[..head]).into_owned();
        let body = header(&text, "Content-Length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
        if self.received.len() < head + body {
            return None;
        }
        Some(String::from_utf8_lossy(&self.received.drain(..head + body).collect::<Vec<_>>()).into_owned())
    }
}

fn connect(peer: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&peer, PATIENCE).unwrap_or_else(|error| panic!("{peer}: {error}"));
    stream.set_nodelay(true).expect("a socket option");
    stream
}

/// The first value of a header of a message, by its long name.
pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The status of an answer.
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The address of the first audio line of a message's description: `c=` and `m=`.
pub fn media_address(message: &str) -> Option<SocketAddr> {
    let line = |start: &str| message.lines().find_map(|line| line.strip_prefix(start));
    let ip = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?.trim().parse().ok()?;
    let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// An RTP end with PCMU: sends a tone packet by packet, and keeps what it receives.
pub struct Rtp {
    socket: UdpSocket,
    tone: Tone,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

/// What was received in a while.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// How many RTP packets came.
    pub packets: usize,
    /// The sum of the gaps in their sequence numbers.
    pub missing: usize,
    /// Their PCMU payloads as samples.
    pub samples: Vec<i16>,
}

impl Rtp {
    /// A socket on loopback that plays this tone.
    pub fn new(hz: f64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        Self { socket, tone: Tone::new(hz), sequence: 1, timestamp: 0, ssrc: 0x5354_524f }
    }

    /// The address for the `c=` and `m=` lines.
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Sends the next packet of 20 ms.
    pub fn send(&mut self, peer: SocketAddr) {
        let mut packet = Vec::with_capacity(RTP_HEADER_BYTES + FRAME_SAMPLES);
        packet.extend([0x80, 0]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(self.tone.frame());
        self.socket.send_to(&packet, peer).expect("sent");
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
    }

    /// Sends one packet and waits for one, again and again: so the other side's clock, or its echo, sets the pace. Ends
    /// after this many rounds, or when nothing comes for the usual patience.
    pub fn talk(&mut self, peer: SocketAddr, rounds: usize) -> Received {
        let mut received = Received::default();
        let mut last: Option<u16> = None;
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        for _ in 0..rounds {
            self.send(peer);
            let mut packet = [0; 2_048];
            let Ok(length) = self.socket.recv(&mut packet) else {
                break;
            };
            // RFC 3550 section 5.1: version 2, and no RTCP (RFC 5761 section 4).
            if length < RTP_HEADER_BYTES || packet[0] >> 6 != 2 || (192..=223).contains(&packet[1]) {
                continue;
            }
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            if let Some(last) = last {
                received.missing += usize::from(sequence.wrapping_sub(last).wrapping_sub(1));
            }
            last = Some(sequence);
            received.packets += 1;
            received.samples.extend(packet[RTP_HEADER_BYTES..length].iter().map(|&byte| from_mu_law(byte)));
        }
        received
    }
}
