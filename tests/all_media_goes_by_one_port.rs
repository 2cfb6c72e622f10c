//! All media of a worker on one port: real phones and browsers talk, and what others have said of calls is said again.
#![allow(clippy::duplicate_mod)] // each of the files has the module that all of them share

#[path = "a_call_outlives_its_actor_and_its_worker.rs"]
mod a_call_outlives_its_actor_and_its_worker;
#[path = "baresip_phones_talk_through_the_switch.rs"]
mod baresip_phones_talk_through_the_switch;
#[path = "browsers_talk_with_phones.rs"]
mod browsers_talk_with_phones;
#[path = "callers_of_a_conference_hear_each_other.rs"]
mod callers_of_a_conference_hear_each_other;
#[path = "phones_talk_in_srtp.rs"]
mod phones_talk_in_srtp;
#[path = "phones_talk_through_the_switch.rs"]
mod phones_talk_through_the_switch;
#[path = "phones_without_a_common_codec_talk.rs"]
mod phones_without_a_common_codec_talk;
#[path = "pictures_cross_the_switch.rs"]
mod pictures_cross_the_switch;
#[path = "the_quality_of_a_call_is_told.rs"]
mod the_quality_of_a_call_is_told;
#[path = "webrtc_ends_of_other_makes.rs"]
mod webrtc_ends_of_other_makes;

mod support;

use std::net::{SocketAddr, UdpSocket};

use support::PATIENCE;
use support::config::Config;
use support::party::{End, Party, end_of, sdp};
use support::switch::Switch;
use support::wire::{media_address, status};

fn lab() -> Config {
    Config::lab().set("media", "workers", "1")
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("bound").port()
}

/// As a phone behind a NAT writes it, that knows no address but its own.
fn private(text: &str) -> String {
    text.replace("127.0.0.1", "10.9.9.9")
}

fn rtp(sequence: u16, ssrc: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([0, 0, 0, ssrc]);
    packet.extend([ssrc; 160]);
    packet
}

/// What one says the other hears.
fn is_heard(from: &UdpSocket, at: SocketAddr, to: &UdpSocket, sequence: u16) {
    let packet = rtp(sequence, 7);
    from.send_to(&packet, at).expect("sent");
    let mut heard = [0; 2_048];
    let length = to.recv(&mut heard).expect("what was said is heard");
    assert_eq!(heard[..length], packet[..]);
}

/// Alice calls bob, who answers as told; the INVITE that he got, the answer that she got, and her end.
fn call(alice: &mut Party, bob: &mut Party, offer: &str, answer: &str) -> (String, String, End) {
    alice.begin("INVITE", "sip:bob@example.com", "", offer);
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", answer);
    bob.wire.receive("ACK");
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    (invite, answer, end)
}

#[test]
fn every_party_is_told_the_one_port_and_that_reports_go_there_too() {
    let switch = Switch::start(lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut told = Vec::new();
    for _ in 0..3 {
        let (caller, callee) = (socket(), socket());
        let (offer, answer) = (sdp(1, port(&caller), &[0], "sendrecv"), sdp(1, port(&callee), &[0], "sendrecv"));
        let (invite, answer, _end) = call(&mut alice, &mut bob, &offer, &answer);
        for message in [&invite, &answer] {
            let at = media_address(message).expect("a media address");
            assert!(message.contains(&format!("a=rtcp:{}\r\n", at.port())), "{message}");
            told.push(at);
        }
        assert!(invite.contains("a=rtcp-mux\r\n"), "{invite}");
        is_heard(&caller, told[0], &callee, 1);
        is_heard(&callee, told[0], &caller, 1);
    }
    assert!(told.iter().all(|at| *at == told[0]), "{told:?}");
}

#[test]
fn a_caller_behind_a_nat_is_answered_with_a_port_of_its_own() {
    let switch = Switch::start(lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (caller, callee) = (socket(), socket());
    let offer = private(&sdp(1, 40_000, &[0], "sendrecv"));
    let (invite, answer, _end) = call(&mut alice, &mut bob, &offer, &sdp(1, port(&callee), &[0], "sendrecv"));
    let (shared, own) = (media_address(&invite).expect("an address"), media_address(&answer).expect("an address"));
    assert_ne!(shared, own);
    is_heard(&caller, own, &callee, 1);
    is_heard(&callee, shared, &caller, 1);
}

#[test]
fn a_callee_that_shows_only_in_its_answer_that_it_is_behind_a_nat_is_told_a_port_of_its_own() {
    let switch = Switch::start(lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (caller, callee) = (socket(), socket());
    let behind = |version| private(&sdp(version, 40_000, &[0], "sendrecv"));
    let offer = sdp(1, port(&caller), &[0], "sendrecv");
    let (invite, answer, _end) = call(&mut alice, &mut bob, &offer, &behind(1));
    let (shared, first) = (media_address(&answer).expect("an address"), media_address(&invite).expect("an address"));
    assert_eq!(first, shared);
    let again = bob.wire.receive("INVITE");
    let own = media_address(&again).expect("an address");
    assert_ne!(own, shared);
    bob.reply(&again, "200 OK", "", &behind(1));
    bob.wire.receive("ACK");
    is_heard(&callee, own, &caller, 1);
    is_heard(&caller, shared, &callee, 1);
}

/// A description with a picture beside the sound.
fn with_picture(sound: u16, picture: u16) -> String {
    sdp(1, sound, &[0], "sendrecv")
        + &format!("m=video {picture} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=rtcp-mux\r\n")
}

/// Where a message wants the picture to be sent.
fn picture_at(message: &str) -> SocketAddr {
    let line = message.lines().find_map(|line| line.strip_prefix("m=video ")).expect("a picture");
    let port = line.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
    SocketAddr::new(media_address(message).expect("an address").ip(), port)
}

#[test]
fn a_picture_whose_party_shows_only_in_its_answer_that_it_is_behind_a_nat_is_told_a_port_of_its_own() {
    let switch = Switch::start(lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (caller, callee, eye, far_eye) = (socket(), socket(), socket(), socket());
    let seen_from_home = "RTP/AVP 96\r\nc=IN IP4 10.9.9.9\r\n";
    let behind = with_picture(port(&callee), 41_000).replace("RTP/AVP 96\r\n", seen_from_home);
    let (invite, answer, _end) = call(&mut alice, &mut bob, &with_picture(port(&caller), port(&eye)), &behind);
    let shared = media_address(&invite).expect("an address");
    assert_eq!((picture_at(&invite), picture_at(&answer)), (shared, shared));
    let again = bob.wire.receive("INVITE");
    let own = picture_at(&again);
    assert_ne!(own, shared);
    assert_eq!(media_address(&again), Some(shared), "the sound stays where it is");
    bob.reply(&again, "200 OK", "", &behind);
    bob.wire.receive("ACK");
    let seen = |from: &UdpSocket, at: SocketAddr, to: &UdpSocket| {
        let mut packet = rtp(1, 9);
        packet[1] = 96;
        from.send_to(&packet, at).expect("sent");
        let mut came = [0; 2_048];
        let length = to.recv(&mut came).expect("the picture is seen");
        assert_eq!(came[..length], packet[..]);
    };
    seen(&far_eye, own, &eye);
    seen(&eye, shared, &far_eye);
    is_heard(&caller, shared, &callee, 1);
    is_heard(&callee, shared, &caller, 1);
}

#[test]
fn a_phone_with_one_media_address_for_two_calls_is_heard_in_both() {
    let switch = Switch::start(lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (caller, one, two) = (socket(), socket(), socket());
    let offer = sdp(1, port(&caller), &[0], "sendrecv");
    let (_, first, _end) = call(&mut alice, &mut bob, &offer, &sdp(1, port(&one), &[0], "sendrecv"));
    let (_, second, _end) = call(&mut alice, &mut bob, &offer, &sdp(1, port(&two), &[0], "sendrecv"));
    let (first, second) = (media_address(&first).expect("an address"), media_address(&second).expect("an address"));
    assert_ne!(first, second);
    is_heard(&caller, first, &one, 1);
    is_heard(&caller, second, &two, 1);
}

#[test]
fn with_one_published_port_calls_are_carried_but_for_a_caller_that_needs_one_of_its_own() {
    let free = || Some(socket().local_addr().ok()?.port()).filter(|port| port % 2 == 0 && *port > 1024);
    let one = (0..100).find_map(|_| free()).expect("an even port");
    let switch = Switch::start(lab().set("media", "ports", &format!("\"{one}-{one}\"")));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", "", &private(&sdp(1, 40_000, &[0], "sendrecv")));
    let refusal = alice.answer_to("INVITE", 200);
    assert!(refusal.starts_with("SIP/2.0 503 No Media Port Free"), "{refusal}");
    let (caller, callee) = (socket(), socket());
    let (offer, answer) = (sdp(1, port(&caller), &[0], "sendrecv"), sdp(1, port(&callee), &[0], "sendrecv"));
    let (invite, ..) = call(&mut alice, &mut bob, &offer, &answer);
    let at = media_address(&invite).expect("an address");
    assert_eq!(at.port(), one);
    is_heard(&caller, at, &callee, 1);
    is_heard(&callee, at, &caller, 1);
    // A callee of which only the answer says so is not heard, and the call's record tells why.
    let offer = sdp(1, port(&socket()), &[0], "sendrecv");
    call(&mut alice, &mut bob, &offer, &private(&answer));
    let (_, calls) = switch.get("/api/calls");
    let ids = calls["calls"].as_array().expect("a list").iter().filter_map(|call| call["id"].as_str());
    let told =
        |id: &str| switch.get(&format!("/api/calls/{id}")).1.to_string().contains("needs a media port of its own");
    assert_eq!(ids.filter(|id| told(id)).count(), 1);
}
