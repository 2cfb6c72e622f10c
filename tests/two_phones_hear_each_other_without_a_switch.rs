//! The bench itself is sound: two phones that call each other directly hear each other's tone. When this fails, the
//! phones are at fault and not the switch.

mod support;

use std::collections::HashSet;

use serde_json::json;
use support::phone::Phone;
use support::ports::Port;
use support::tone::{CLOCK_RATE_HZ, Tone, from_mu_law, share_of_tone, to_mu_law};
use support::wire::{Wire, header};

fn on_its_own(name: &str) -> Phone {
    let mut phone = Phone::start(name);
    phone.register(&json!({
        "user": name, "password": "", "registrar": "127.0.0.1:9", "domain": "127.0.0.1", "register": false, "direct": true,
    }));
    phone
}

#[test]
fn two_phones_that_call_each_other_directly_hear_each_others_tone() {
    let mut alice = on_its_own("alice");
    let mut bob = on_its_own("bob");
    let to = format!("sip:bob@127.0.0.1:{}", bob.udp_port());

    let from_alice = alice.call(&to);
    let at_bob = bob.pick_up();
    alice.expect_state(from_alice, "confirmed");
    alice.expect_media(from_alice, "active");
    bob.expect_media(at_bob, "active");
    alice.play_tone(from_alice, 440);
    bob.play_tone(at_bob, 1_200);

    bob.hears_tone(at_bob, 440.0);
    alice.hears_tone(from_alice, 1_200.0);

    bob.play_silence(at_bob);
    alice.hears_silence(from_alice);
    alice.dtmf(from_alice, "5");
    bob.expect("dtmf", |event| event["digit"] == "5");

    alice.hang_up(from_alice);
    bob.expect_state(at_bob, "disconnected");
}

#[test]
fn a_raw_wire_gets_a_phones_answer() {
    let bob = on_its_own("bob");
    let port = bob.udp_port();
    let mut wire = Wire::udp(([127, 0, 0, 1], port).into());

    wire.send(&format!(
        "OPTIONS sip:bob@127.0.0.1:{port} SIP/2.0\nVia: SIP/2.0/{{transport}} {{local}};branch=z9hG4bK-wire;rport\n\
         From: <sip:wire@{{ip}}>;tag=1\nTo: <sip:bob@127.0.0.1>\nCall-ID: wire@{{ip}}\nCSeq: 1 OPTIONS\n\
         Max-Forwards: 70\nContent-Length: 0\n\n"
    ));

    let answer = wire.receive("SIP/2.0 200");
    assert!(header(&answer, "Allow").is_some_and(|methods| methods.contains("INVITE")), "{answer}");
}

#[test]
fn the_detector_finds_the_tone_that_was_played_and_no_other() {
    let mut tone = Tone::new(1_000.0);
    let samples: Vec<i16> = (0..25).flat_map(|_| tone.frame()).map(from_mu_law).collect();

    assert!(share_of_tone(&samples, 1_000.0) > 0.98);
    assert!(share_of_tone(&samples, 1_200.0) < 0.01);
    assert_eq!(share_of_tone(&vec![0; CLOCK_RATE_HZ as usize], 1_000.0), 0.0);
}

#[test]
fn every_mu_law_byte_comes_back_as_itself() {
    for byte in 0..=255_u8 {
        let back = to_mu_law(from_mu_law(byte));
        // 0x7f and 0xff are both zero (ITU-T G.711 table 2a).
        assert!(back == byte || byte == 0x7f && back == 0xff, "{byte:#x} came back as {back:#x}");
    }
}

#[test]
fn a_port_that_is_held_is_not_given_again() {
    let ports: Vec<Port> = (0..50).map(|_| Port::free()).collect();
    let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
    assert_eq!(numbers.len(), ports.len());
    assert!(numbers.iter().all(|&number| Port::hold(number).is_none()), "held twice");

    drop(ports);

    // Another test may have taken one of them by now.
    assert!(numbers.iter().any(|&number| Port::hold(number).is_some()), "not given back");
}
