//! A real Chromium with JsSIP on our WebSocket: it hears the switch, phones without any of its protocols, and is heard by them.

mod support;

use support::browser::Browser;
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::{PATIENCE, until};

use serde_json::json;

const ALICE_HZ: u16 = 700;
const BOB_HZ: u16 = 1_100;
const CAROL_HZ: u16 = 1_700;

/// JsSIP knows MD5 alone.
fn lab() -> Config {
    Config::lab().set("auth", "algorithms", r#"["MD5"]"#)
}

/// The one call's record, with all that was decided.
fn record(switch: &Switch) -> String {
    let (_, calls) = switch.get("/api/calls");
    let id = calls["calls"][0]["id"].as_str().expect("a call").to_owned();
    switch.get(&format!("/api/calls/{id}")).1.to_string()
}

#[test]
fn a_browser_registers_calls_the_tone_and_hears_1_khz() {
    let switch = Switch::start(lab());
    let mut alice = Browser::registered(&switch, "alice");
    alice.call("5501");
    alice.expect_state("confirmed");
    alice.hears_tone(1_000.0);
    let facts = alice.facts();
    assert!(facts["srtp"].is_string() && facts["dtls"] == "connected", "{facts}");
    let record = record(&switch);
    assert!(record.contains("DTLS-SRTP") && record.contains("keys agreed"), "{record}");
    alice.does("hangup");
    alice.expect_state("disconnected");
}

#[test]
fn a_browser_calls_a_phone_that_knows_rtp_alone_and_each_hears_the_other() {
    let switch = Switch::start(lab());
    let mut alice = Browser::registered(&switch, "alice");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    alice.play_tone(ALICE_HZ);
    alice.call("1002");
    let at = bob.pick_up();
    alice.expect_state("confirmed");
    bob.expect_media(at, "active");
    bob.play_tone(at, BOB_HZ);
    alice.hears_tone(f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(ALICE_HZ));
    assert!(bob.suite(at).is_none());
    bob.hang_up(at);
    alice.expect_state("disconnected");
}

#[test]
fn a_browser_is_called_by_a_phone_holds_it_restarts_ice_and_outlives_its_media_worker() {
    let switch = Switch::start(lab().set("admin", "allow_faults", "true").set("media", "workers", "1"));
    let mut alice = Browser::registered(&switch, "alice");
    let mut bob = Phone::with_srtp(&switch, "bob", "tls", "required", &[]);
    alice.play_tone(ALICE_HZ);
    let from = bob.call("1001");
    alice.pick_up();
    bob.expect_media(from, "active");
    bob.play_tone(from, BOB_HZ);
    alice.hears_tone(f64::from(BOB_HZ));
    bob.hears_tone(from, f64::from(ALICE_HZ));
    assert!(bob.suite(from).is_some());

    // It holds: the phone hears music, and then the browser again.
    alice.does("hold");
    bob.hears(from, "music", |heard| !heard.is_tone(f64::from(ALICE_HZ)) && heard.dbm0 > -40.0);
    alice.does("unhold");
    bob.hears_tone(from, f64::from(ALICE_HZ));
    alice.hears_tone(f64::from(BOB_HZ));

    // It is held, and hears music.
    bob.hold(from);
    bob.expect_media(from, "local_hold");
    alice.hears("music", |hz, purity, db| db > -60.0 && !((hz - f64::from(BOB_HZ)).abs() < 12.0 && purity > 0.7));
    bob.unhold(from);
    bob.expect_media(from, "active");
    alice.hears_tone(f64::from(BOB_HZ));

    // New credentials, the same association.
    alice.does("reinvite");
    alice.expect("call", |event| event["state"] == "renegotiated");
    alice.play_tone(CAROL_HZ);
    bob.hears_tone(from, f64::from(CAROL_HZ));
    alice.hears_tone(f64::from(BOB_HZ));

    // The worker dies; neither end shakes hands again.
    for death in 1..=2 {
        let fault = json!({ "path": "/switch/media/worker-0", "how": "panic" });
        assert_eq!(switch.post("/api/kill", &fault).0, 200);
        let metrics = || switch.get("/metrics").1.to_string();
        let counted = format!("strowger_media_restarts_total{{worker=\\\"0\\\"}} {death}");
        assert!(until(PATIENCE, || metrics().contains(&counted).then_some(())).is_some(), "{}", metrics());
        alice.play_tone(ALICE_HZ + death);
        bob.hears_tone(from, f64::from(ALICE_HZ + death));
        alice.hears_tone(f64::from(BOB_HZ));
    }
    assert_eq!(record(&switch).matches("keys agreed").count(), 1);
    bob.hang_up(from);
    alice.expect_state("disconnected");
}

#[test]
fn two_browsers_see_and_hear_each_other_and_a_phone_without_eyes_talks_with_one() {
    let switch = Switch::start(lab());
    let mut alice = Browser::registered(&switch, "alice");
    let mut bob = Browser::registered(&switch, "bob");
    alice.play_tone(ALICE_HZ);
    bob.play_tone(BOB_HZ);
    alice.draw(200);
    bob.draw(60);
    alice.call("1002");
    bob.pick_up();
    alice.expect_state("confirmed");
    alice.sees(60);
    bob.sees(200);
    bob.draw(120);
    alice.sees(120);
    alice.hears_tone(f64::from(BOB_HZ));
    bob.hears_tone(f64::from(ALICE_HZ));
    alice.does("hangup");
    bob.expect_state("disconnected");

    let mut carol = Phone::registered(&switch, "carol", "udp");
    alice.call("1003");
    let at = carol.pick_up();
    alice.expect_state("confirmed");
    carol.play_tone(at, CAROL_HZ);
    alice.hears_tone(f64::from(CAROL_HZ));
    carol.hears_tone(at, f64::from(ALICE_HZ));
}

#[test]
fn a_browser_comes_into_anothers_call_by_transfer_with_its_association() {
    let switch = Switch::start(lab());
    let mut alice = Browser::registered(&switch, "alice");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let mut carol = Phone::registered(&switch, "carol", "udp");
    alice.play_tone(ALICE_HZ);
    // Bob talks with carol, asks alice, and puts the two together.
    let from = bob.call("1003");
    let at_carol = carol.pick_up();
    bob.expect_state(from, "confirmed");
    carol.play_tone(at_carol, CAROL_HZ);
    bob.hold(from);
    bob.expect_media(from, "local_hold");
    let asked = bob.call("1001");
    alice.pick_up();
    bob.expect_state(asked, "confirmed");
    bob.hears_tone(asked, f64::from(ALICE_HZ));

    bob.attended_transfer(from, asked);
    bob.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.hears_tone(at_carol, f64::from(ALICE_HZ));
    alice.hears_tone(f64::from(CAROL_HZ));
}

#[test]
fn a_browser_for_which_srtp_is_switched_off_is_refused_in_words() {
    let user = "[[user]]\nname = \"alice\"\npassword = \"alice-secret\"\nextension = \"1001\"\nsrtp = \"never\"\n";
    let config = Config::bare().service("5501", "tone").entry(user).set("auth", "algorithms", r#"["MD5"]"#);
    let switch = Switch::start(config);
    let mut alice = Browser::registered(&switch, "alice");
    alice.call("5501");
    let end = alice.expect_state("disconnected");
    assert_eq!((&end["code"], &end["reason"]), (&488.into(), &"SRTP Policy".into()), "{end}");
}
