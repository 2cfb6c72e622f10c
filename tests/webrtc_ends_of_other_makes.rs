//! WebRTC ends that are no browsers: aiortc, over a WebSocket of ours, and baresip with ICE and DTLS-SRTP, over plain SIP.

mod support;

use serde_json::json;
use support::agent::Agent;
use support::aiortc::Aiortc;
use support::baresip::Baresip;
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::wire::{Wire, status};
use support::{PATIENCE, until};

const ALICE_HZ: u16 = 440;
const BOB_HZ: u16 = 900;

fn lab() -> Config {
    Config::lab().set("auth", "algorithms", r#"["MD5"]"#)
}

/// The body of a message.
fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// An INVITE of aiortc's, and its voice.
fn aiortc_invites(alice: &mut Agent, number: &str) -> (Aiortc, String) {
    let mut peer = Aiortc::start();
    let sdp = peer.ask(json!({ "do": "offer", "hz": ALICE_HZ }))["sdp"].as_str().expect("an offer").to_owned();
    let to = format!("sip:{number}@example.com");
    let invite = alice.request("INVITE", &to, "Content-Type: application/sdp\n", &sdp);
    (peer, invite)
}

#[test]
fn aiortc_calls_the_tone_and_hears_it() {
    let switch = Switch::start(lab());
    let mut alice = Agent::new(Wire::websocket(switch.http(), "/sip"), "alice");
    let (mut peer, invite) = aiortc_invites(&mut alice, "5501");
    let answer = alice.ask_as_user(&invite);
    assert_eq!(status(&answer), Some(200), "{answer}");
    peer.ask(json!({ "do": "take", "sdp": body(&answer) }));
    peer.hears_tone(1000);
}

#[test]
fn aiortc_calls_a_phone_and_each_hears_the_other() {
    let switch = Switch::start(lab());
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let mut alice = Agent::new(Wire::websocket(switch.http(), "/sip"), "alice");
    let (mut peer, invite) = aiortc_invites(&mut alice, "1002");
    let ringing = std::thread::spawn(move || (alice.ask_as_user(&invite), alice));
    let at = bob.pick_up();
    let (answer, mut alice) = ringing.join().expect("an answer");
    assert_eq!(status(&answer), Some(200), "{answer}");
    peer.ask(json!({ "do": "take", "sdp": body(&answer) }));
    bob.play_tone(at, BOB_HZ);
    peer.hears_tone(BOB_HZ);
    bob.hears_tone(at, f64::from(ALICE_HZ));
    bob.hang_up(at);
    alice.expect("BYE");
}

#[test]
fn aiortc_comes_to_its_keys_although_the_thread_of_handshakes_dies_meanwhile() {
    let switch = Switch::start(lab().set("admin", "allow_faults", "true"));
    let path = "/switch/media/handshakes";
    let node = || {
        let (_, tree) = switch.get("/api/tree");
        tree["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["path"] == path).cloned())
    };
    for (deaths, how) in [(1, "kill"), (2, "panic")] {
        let mut alice = Agent::new(Wire::websocket(switch.http(), "/sip"), "alice");
        let (mut peer, invite) = aiortc_invites(&mut alice, "5501");
        let answer = alice.ask_as_user(&invite);
        assert_eq!(status(&answer), Some(200), "{answer}");
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(switch.post("/api/kill", &json!({ "path": path, "how": how })).0, 200));
            peer.ask(json!({ "do": "take", "sdp": body(&answer) }));
            peer.hears_tone(1000);
        });
        let back = || node().filter(|node| node["restarts"] == deaths && node["state"] == "running");
        let back = until(PATIENCE, back).unwrap_or_else(|| panic!("{:?}", node()));
        let cause = back["last_cause"].as_str().unwrap_or_default();
        assert!(cause.contains(if how == "kill" { "killed" } else { "panic" }), "{back}");
    }
}

/// Debian's baresip 1.0: browsers have not had such certificates for years, and the library does not know them.
#[test]
fn a_phone_with_a_certificate_of_rsa_has_no_call_rather_than_a_plain_one() {
    let switch = Switch::start(lab());
    let mut alice = Baresip::with_srtp(&switch, "alice", "tls", ALICE_HZ, "dtls_srtp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    alice.dial("1002");
    let at = bob.pick_up();
    bob.expect_state(at, "disconnected");
    alice.expect("CALL_CLOSED");
}

#[test]
fn a_phone_that_takes_keys_with_feedback_alone_is_called() {
    let switch = Switch::start(lab());
    let mut alice = Baresip::with_srtp(&switch, "alice", "tls", ALICE_HZ, "srtp-mandf");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let from = bob.call("1001");
    alice.pick_up();
    bob.expect_media(from, "active");
    bob.play_tone(from, BOB_HZ);
    alice.hears_tone(BOB_HZ);
    bob.hears_tone(from, f64::from(ALICE_HZ));
}
