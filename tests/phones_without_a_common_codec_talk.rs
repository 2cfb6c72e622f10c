//! Real phones that share no codec hear each other through the switch, which makes one of the other: frequency and level are
//! what they were, in RTP and in SRTP, held and resumed and transferred.

mod support;

use support::baresip::Baresip;
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::talk::{ALICE_HZ, BOB_HZ, CAROL_HZ, is_held_and_resumed, talk};
use support::{PATIENCE, until};

use serde_json::json;

/// What the tone of a PJSIP phone is heard at without transcoding, in dBm0.
const TONE_DBM0: f64 = -8.7;

fn phone(switch: &Switch, user: &str, codec: &str) -> Phone {
    let mut phone = Phone::registered(switch, user, "udp");
    phone.speak(&[codec]);
    phone
}

/// Both hear the other's tone as loud as it is said. Where it begins within what is listened to, that is told as softer.
fn hear_at_level(alice: &mut Phone, from: u64, bob: &mut Phone, at: u64) {
    for (phone, call, hz) in [(alice, from, BOB_HZ), (bob, at, ALICE_HZ)] {
        phone.hears(call, &format!("{hz} Hz at {TONE_DBM0} dBm0"), |heard| {
            heard.is_tone(f64::from(hz)) && (heard.dbm0 - TONE_DBM0).abs() < 1.0
        });
    }
}

#[test]
fn pcmu_and_g722_and_pcma_hear_each_other_at_the_same_level() {
    let switch = Switch::start(Config::lab());
    for (one, other) in [("PCMU", "G722"), ("G722", "PCMA"), ("PCMA", "PCMU")] {
        let (mut alice, mut bob) = (phone(&switch, "alice", one), phone(&switch, "bob", other));

        let (from, at, _) = talk(&mut alice, &mut bob);
        hear_at_level(&mut alice, from, &mut bob, at);
        alice.hang_up(from);
        bob.expect_state(at, "disconnected");
        for phone in [&mut alice, &mut bob] {
            phone.unregister();
            phone.next_of(&["unregistered"]);
        }
    }
}

#[test]
fn opus_and_pcmu_hear_each_other_whoever_calls() {
    let switch = Switch::start(Config::lab().set("auth", "algorithms", r#"["MD5"]"#));
    let mut alice = phone(&switch, "alice", "PCMU");
    let mut bob = Baresip::with_codecs(&switch, "bob", "udp", BOB_HZ, "opus/48000/2");

    let from = alice.call("1002");
    bob.pick_up();
    alice.expect_state(from, "confirmed");
    alice.play_tone(from, ALICE_HZ);
    bob.hears_tone(ALICE_HZ);
    let heard = alice.hears_tone(from, f64::from(BOB_HZ));
    assert!((heard.dbm0 - TONE_DBM0).abs() < 6.0, "{heard:?}");
    alice.hang_up(from);
    bob.expect("CALL_CLOSED");

    bob.dial("1001");
    let at = alice.pick_up();
    bob.expect("CALL_ESTABLISHED");
    alice.play_tone(at, ALICE_HZ);
    bob.hears_tone(ALICE_HZ);
    alice.hears_tone(at, f64::from(BOB_HZ));
}

#[test]
fn srtp_in_one_codec_and_rtp_in_another_hear_each_other() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    alice.speak(&["G722"]);
    let mut bob = phone(&switch, "bob", "PCMU");

    let (from, at, _) = talk(&mut alice, &mut bob);
    hear_at_level(&mut alice, from, &mut bob, at);
    assert!(alice.suite(from).is_some() && bob.suite(at).is_none());
}

#[test]
fn a_call_between_two_codecs_is_held_with_music_and_resumed() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (phone(&switch, "alice", "G722"), phone(&switch, "bob", "PCMU"));
    let (from, at, _) = talk(&mut alice, &mut bob);
    is_held_and_resumed(&mut alice, from, &mut bob, at);
}

#[test]
fn an_attended_transfer_puts_two_codecs_together() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (phone(&switch, "alice", "PCMU"), phone(&switch, "bob", "PCMU"));
    let mut carol = phone(&switch, "carol", "G722");
    let (from, at, _) = talk(&mut alice, &mut bob);
    alice.hold(from);
    alice.expect_media(from, "local_hold");
    let asked = alice.call("1003");
    let at_carol = carol.pick_up();
    alice.expect_state(asked, "confirmed");
    carol.play_tone(at_carol, CAROL_HZ);
    alice.hears_tone(asked, f64::from(CAROL_HZ));

    alice.attended_transfer(from, asked);
    alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);
    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(CAROL_HZ));
}

#[test]
fn a_blind_transfer_puts_two_codecs_together() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (phone(&switch, "alice", "G722"), phone(&switch, "bob", "G722"));
    let mut carol = phone(&switch, "carol", "PCMA");
    let (from, at, _) = talk(&mut alice, &mut bob);

    alice.blind_transfer(from, "1003");
    let at_carol = carol.pick_up();
    alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.play_tone(at_carol, CAROL_HZ);
    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(CAROL_HZ));
}

#[test]
fn service_numbers_are_heard_in_g722_and_opus() {
    let switch = Switch::start(Config::lab().set("auth", "algorithms", r#"["MD5"]"#));
    let mut alice = phone(&switch, "alice", "G722");
    let tone = alice.call("5501");
    alice.expect_media(tone, "active");
    alice.hears(tone, "1,000 Hz at -10 dBm0", |heard| heard.is_tone(1_000.0) && (heard.dbm0 + 10.0).abs() < 0.5);
    alice.hang_up(tone);
    alice.expect_state(tone, "disconnected");
    let echo = alice.call("5500");
    alice.expect_media(echo, "active");
    alice.play_tone(echo, ALICE_HZ);
    alice.hears_tone(echo, f64::from(ALICE_HZ));

    let mut bob = Baresip::with_codecs(&switch, "bob", "udp", BOB_HZ, "opus/48000/2");
    bob.dial("5501");
    bob.expect("CALL_ESTABLISHED");
    bob.hears_tone(1_000);
}

#[test]
fn a_worker_that_dies_leaves_a_call_between_two_codecs_whole() {
    let switch = Switch::start(Config::lab().set("media", "workers", "1").set("admin", "allow_faults", "true"));
    let (mut alice, mut bob) = (phone(&switch, "alice", "G722"), phone(&switch, "bob", "PCMU"));
    let (from, at, _) = talk(&mut alice, &mut bob);

    let (status, answer) = switch.post("/api/kill", &json!({ "path": "/switch/media/worker-0", "how": "panic" }));
    assert_eq!(status, 200, "{answer}");
    let back = until(PATIENCE, || {
        let tree = switch.try_get("/api/tree")?;
        let worker = tree["nodes"].as_array()?.iter().find(|node| node["path"] == "/switch/media/worker-0").cloned()?;
        (worker["state"] == "running" && worker["restarts"].as_u64() >= Some(1)).then_some(())
    });
    assert!(back.is_some(), "the worker is not back\n{}", switch.log_tail());

    bob.hears_tone(at, f64::from(ALICE_HZ));
    alice.hears_tone(from, f64::from(BOB_HZ));
}
