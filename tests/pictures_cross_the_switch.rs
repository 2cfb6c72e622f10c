//! Lines beside the sound: pictures pass both ways with what asks for them anew, come and go in a call, and are refused by what
//! has no eyes.

mod support;

use std::net::{SocketAddr, UdpSocket};

use serde_json::{Value, json};
use support::agent::Agent;
use support::aiortc::Aiortc;
use support::config::Config;
use support::party::{End, Party, callee_end, end_of, idle, kill_the_call, talks};
use support::switch::Switch;
use support::wire::{Wire, status};
use support::{PATIENCE, until};

fn lab() -> Config {
    Config::lab().set("media", "workers", "1").set("auth", "algorithms", r#"["MD5"]"#)
}

/// Where a phone takes its picture.
fn eye() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("bound").port()
}

/// A description with sound, a picture at `picture` in VP8 under this number, and no data channel.
fn description(version: u32, picture: u16, number: u8, direction: &str) -> String {
    // Two parties at one address would not be told apart on a port that they share.
    let sound = 40_000 + 2 * u16::from(number);
    format!(
        "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {sound} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n\
         m=video {picture} RTP/AVPF {number}\r\na=rtpmap:{number} VP8/90000\r\na=rtcp-fb:{number} nack pli\r\na=rtcp-mux\r\n\
         a={direction}\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    )
}

/// The `m=` lines of a message, without their ports but where those are 0.
fn lines(message: &str) -> Vec<String> {
    let shown = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words[1] != "0" {
            words.remove(1);
        }
        words.join(" ")
    };
    message.lines().filter(|line| line.starts_with("m=")).map(shown).collect()
}

/// Where a message wants the picture to be sent.
fn picture_at(message: &str) -> SocketAddr {
    let line = message.lines().find(|line| line.starts_with("m=video ")).expect("a picture");
    let port = line.split(' ').nth(1).and_then(|port| port.parse().ok()).expect("a port");
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn flows(switch: &Switch, wanted: usize) {
    let text = || switch.get("/metrics").1.to_string();
    let line = format!("strowger_media_flows{{worker=\\\"0\\\"}} {wanted}");
    assert!(until(PATIENCE, || text().contains(&line).then_some(())).is_some(), "{}", text());
}

/// A packet of a picture, with a number in it.
fn packet(number: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | number];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 1, 2, 3, 0xca, 0xfe, 0, 1]);
    packet.extend([sequence as u8; 900]);
    packet
}

const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 7, 0xca, 0xfe, 0, 1];

/// A call with a picture between alice, who numbers it 96, and bob, who numbers it 120.
struct Seen {
    switch: Switch,
    alice: Party,
    bob: Party,
    end: End,
    of_bob: End,
    alices: (UdpSocket, SocketAddr),
    bobs: (UdpSocket, SocketAddr),
    sequence: u16,
}

impl Seen {
    fn new() -> Self {
        let switch = Switch::start(lab());
        let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
        let (alices, bobs) = (eye(), eye());
        let offer = description(1, port(&alices), 96, "sendrecv").replace("m=application 0", "m=application 9");
        alice.begin("INVITE", "sip:bob@example.com", "", &offer);
        let invite = bob.wire.receive("INVITE");
        let (application, sound) = ("m=application 0 UDP/DTLS/SCTP webrtc-datachannel", lines(&invite)[0].clone());
        assert!(sound.starts_with("m=audio RTP/AVP 0"), "{sound}");
        assert_eq!(lines(&invite)[1..], ["m=video RTP/AVPF 96", application]);
        assert!(invite.contains("a=rtcp-fb:96 nack pli"), "{invite}");
        bob.reply(&invite, "200 OK", "", &description(1, port(&bobs), 120, "sendrecv"));
        bob.wire.receive("ACK");
        let answer = alice.answer_to("INVITE", 200);
        assert_eq!(lines(&answer), ["m=audio RTP/AVP 0", "m=video RTP/AVPF 96", application], "{answer}");
        let mut end = end_of(&answer);
        alice.say(&mut end, "ACK", "", "");
        flows(&switch, 2);
        let (at_a, at_b) = (picture_at(&answer), picture_at(&invite));
        let of_bob = callee_end(&bob, &invite);
        Self { switch, alice, bob, end, of_bob, alices: (alices, at_a), bobs: (bobs, at_b), sequence: 0 }
    }

    /// The picture passes both ways, and so does what asks for it anew.
    fn passes(&mut self) {
        for (from, to, sent, came) in [(&self.alices, &self.bobs, 96, 120), (&self.bobs, &self.alices, 120, 96)] {
            let mut buffer = [0; 2048];
            self.sequence += 1;
            from.0.send_to(&packet(sent, self.sequence), from.1).expect("sent");
            let length = to.0.recv(&mut buffer).expect("the picture");
            assert_eq!(buffer[..length], packet(came, self.sequence));
            to.0.send_to(&PLI, to.1).expect("sent");
            let length = from.0.recv(&mut buffer).expect("the request");
            assert_eq!(buffer[..length], PLI);
        }
    }

    /// Alice changes the call; the answer.
    fn changes(&mut self, body: &str) -> String {
        self.alice.say(&mut self.end, "INVITE", "", body);
        self.answered()
    }

    fn answered(&mut self) -> String {
        let answer = self.alice.answer_to("INVITE", 200);
        assert_eq!(status(&answer), Some(200), "{answer}");
        self.alice.say(&mut self.end, "ACK", "", "");
        answer
    }

    /// Bob is asked, and says this.
    fn bob_is_asked(&mut self, answer: &str, body: &str) -> String {
        let asked = self.bob.wire.receive("INVITE");
        self.bob.reply(&asked, answer, "", body);
        self.bob.wire.receive("ACK");
        asked
    }
}

#[test]
fn a_picture_is_held_ended_added_again_and_outlives_the_actor_of_its_call() {
    let mut call = Seen::new();
    call.passes();

    let (alices, bobs) = (port(&call.alices.0), port(&call.bobs.0));
    let held = call.changes(&description(2, alices, 96, "sendonly"));
    assert_eq!(held.matches("a=recvonly").count(), 2, "{held}");
    call.changes(&description(3, alices, 96, "sendrecv"));
    call.passes();

    let ended = call.changes(&description(4, 0, 96, "sendrecv"));
    assert!(lines(&ended)[1].starts_with("m=video 0 "), "{ended}");
    let asked = call.bob_is_asked("200 OK", &description(2, 0, 120, "sendrecv"));
    assert!(lines(&asked)[1].starts_with("m=video 0 ") && lines(&asked).len() == 3, "{asked}");
    flows(&call.switch, 1);

    call.alice.say(&mut call.end, "INVITE", "", &description(5, alices, 96, "sendrecv"));
    let asked = call.bob_is_asked("200 OK", &description(3, bobs, 120, "sendrecv"));
    assert_eq!(lines(&asked)[1], "m=video RTP/AVPF 96");
    let answer = call.answered();
    assert_eq!(lines(&answer)[1], "m=video RTP/AVPF 96");
    (call.alices.1, call.bobs.1) = (picture_at(&answer), picture_at(&asked));
    call.passes();

    kill_the_call(&call.switch);
    call.passes();
    talks(&mut call.alice, &mut call.end, &mut call.bob);
    call.bob.say(&mut call.of_bob, "BYE", "", "");
    let bye = call.alice.wire.receive("BYE");
    call.alice.reply(&bye, "200 OK", "", "");
    idle(&call.switch);
    flows(&call.switch, 0);
}

#[test]
fn a_picture_that_the_other_party_does_not_take_leaves_the_call_as_it_is() {
    let mut call = Seen::new();
    let alices = port(&call.alices.0);
    call.changes(&description(2, 0, 96, "sendrecv"));
    call.bob_is_asked("200 OK", &description(2, 0, 120, "sendrecv"));

    for (version, no) in [(3, "488 Not Acceptable Here"), (4, "491 Request Pending")] {
        call.alice.say(&mut call.end, "INVITE", "", &description(version, alices, 96, "sendrecv"));
        call.bob_is_asked(no, "");
        let answer = call.answered();
        assert!(
            lines(&answer)[0].starts_with("m=audio RTP") && lines(&answer)[1].starts_with("m=video 0 "),
            "{answer}"
        );
        flows(&call.switch, 1);
    }
    talks(&mut call.alice, &mut call.end, &mut call.bob);

    // Who hangs up while the other is asked has its answer.
    call.alice.say(&mut call.end, "INVITE", "", &description(5, alices, 96, "sendrecv"));
    call.bob.wire.receive("INVITE");
    call.alice.say(&mut call.end, "BYE", "", "");
    let (mut bye, mut invite) = (None, None);
    while bye.is_none() || invite.is_none() {
        let answer = call.alice.wire.receive("SIP/2.0");
        let place = if answer.contains(" BYE\r\n") { &mut bye } else { &mut invite };
        *place = status(&answer).filter(|code| *code >= 200).or(*place);
    }
    assert_eq!((bye, invite), (Some(200), Some(487)));
}

#[test]
fn what_has_no_eyes_answers_a_picture_with_port_0() {
    let switch = Switch::start(lab());
    let mut alice = Party::new(&switch, "alice");
    alice.begin("INVITE", "sip:5500@example.com", "", &description(1, 40_002, 96, "sendrecv"));
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    assert_eq!(lines(&answer)[1..], ["m=video 0 RTP/AVPF 96", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"]);
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    flows(&switch, 1);
}

/// Who shows back what it sees: a plain end, which counts the pictures that begin anew.
fn mirror(socket: UdpSocket, to: SocketAddr, begins: fn(&[u8]) -> bool) -> std::sync::mpsc::Receiver<u32> {
    let (told, news) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            let Some(packet) = buffer.get(..length).filter(|packet| !(192..=223).contains(&packet[1])) else {
                continue;
            };
            let _ = socket.send_to(packet, to);
            let source = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
            if begins(&packet[payload_at(packet)..]) && told.send(source).is_err() {
                return;
            }
        }
    });
    news
}

/// Where the payload of a packet begins (RFC 3550 section 5.1).
fn payload_at(packet: &[u8]) -> usize {
    let sources = 12 + 4 * usize::from(packet[0] & 15);
    match packet[0] & 0x10 {
        0 => sources,
        _ => sources + 4 + 4 * usize::from(u16::from_be_bytes([packet[sources + 2], packet[sources + 3]])),
    }
}

/// A VP8 payload descriptor (RFC 7741 section 4.2) before the first bytes of a key frame.
fn vp8_begins(payload: &[u8]) -> bool {
    let starts = payload[0] & 0x17 == 0x10;
    let mut at = 1;
    if payload[0] & 0x80 != 0 {
        let more = payload[1];
        at += 1;
        if more & 0x80 != 0 {
            at += if payload[2] & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(more & 0x40 != 0) + usize::from(more & 0x30 != 0);
    }
    starts && payload.get(at).is_some_and(|first| first & 1 == 0)
}

/// A sequence parameter set, alone or first in an aggregate (RFC 6184 sections 5.4 and 5.7.1): a decoder can begin here.
fn h264_begins(payload: &[u8]) -> bool {
    match payload[0] & 31 {
        7 => true,
        24 => payload.get(3).is_some_and(|inner| inner & 31 == 7),
        _ => false,
    }
}

/// aiortc, by DTLS-SRTP, sees its own picture of a codec in a mirror that speaks plain RTP, and draws it anew when asked.
fn sees_itself(codec: &str, begins: fn(&[u8]) -> bool) {
    let switch = Switch::start(lab());
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Agent::new(Wire::websocket(switch.http(), "/sip"), "alice");
    let mut peer = Aiortc::start();
    let offer = peer.ask(json!({ "do": "offer", "hz": 440, "video": codec, "light": 200 }));
    let offer = offer["sdp"].as_str().expect("an offer");
    let request = alice.request("INVITE", "sip:1002@example.com", "Content-Type: application/sdp\n", offer);
    let ringing = std::thread::spawn(move || (alice.ask_as_user(&request), alice));
    let invite = bob.wire.receive("INVITE");
    assert!(lines(&invite)[1].starts_with("m=video RTP/AVP "), "no feedback profile is forced on a phone: {invite}");
    let map = invite.lines().find(|line| line.starts_with("a=rtpmap:") && line.contains(codec)).expect("the codec");
    let number = map["a=rtpmap:".len()..].split(' ').next().expect("a number");
    let parameters = invite.lines().find(|line| line.starts_with(&format!("a=fmtp:{number} "))).unwrap_or("a=x-none");
    let ear = eye();
    let (socket, at) = (eye(), picture_at(&invite));
    bob.reply(
        &invite,
        "200 OK",
        "",
        &format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n\
             m=video {} RTP/AVP {number}\r\n{map}\r\n{parameters}\r\na=rtcp-fb:{number} nack pli\r\na=rtcp-mux\r\n",
            port(&ear),
            port(&socket),
        ),
    );
    let asks = socket.try_clone().expect("a handle");
    let news = mirror(socket, at, begins);
    let (answer, _alice) = ringing.join().expect("an answer");
    assert_eq!(status(&answer), Some(200), "{answer}");
    assert!(!answer.contains("a=group:BUNDLE"), "two lines have two ports: {answer}");
    peer.ask(json!({ "do": "take", "sdp": answer.split_once("\r\n\r\n").expect("a body").1 }));
    sees(&mut peer, 200);
    peer.ask(json!({ "do": "draw", "light": 60 }));
    sees(&mut peer, 60);

    // One picture is complete in itself at the beginning; the next only when it is asked for.
    let source = news.recv_timeout(PATIENCE).expect("a first picture");
    while news.try_recv().is_ok() {}
    let mut pli = PLI;
    pli[8..].copy_from_slice(&source.to_be_bytes());
    asks.send_to(&pli, at).expect("sent");
    assert_eq!(news.recv_timeout(PATIENCE).ok(), Some(source), "a picture is drawn anew");
}

/// Waits until aiortc sees a picture of this lightness, and one that moves.
fn sees(peer: &mut Aiortc, light: i64) {
    let mut last = Value::Null;
    let seen = until(PATIENCE, || {
        last = peer.ask(json!({ "do": "see" }));
        let near = last["light"].as_f64().is_some_and(|seen| (seen - light as f64).abs() < 12.0);
        (near && last["frames"].as_u64() > Some(10)).then_some(())
    });
    assert!(seen.is_some(), "{light}: {last}");
}

#[test]
fn vp8_arrives_between_dtls_srtp_and_plain_rtp_and_is_drawn_anew_when_asked() {
    sees_itself("VP8", vp8_begins);
}

#[test]
fn h264_arrives_between_dtls_srtp_and_plain_rtp_and_is_drawn_anew_when_asked() {
    sees_itself("H264", h264_begins);
}
