//! Keys that a party presses reach the other in the form that it knows: as telephone-events, as tones, or by SIP INFO; and a
//! service is told of them in each.

mod support;

use support::PATIENCE;
use support::agent::Agent;
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::wire::{Wire, header, status};

use std::time::{Duration, Instant};

/// Three keys of 100 ms, their pauses, and as much again.
const DIALLED: Duration = Duration::from_millis(1_200);

/// All that the records of the calls that are up say of media.
fn noted(switch: &Switch) -> Vec<String> {
    let (_, calls) = switch.get("/api/calls");
    let ids = calls["calls"].as_array().expect("a list").iter().map(|call| call["id"].as_str().expect("an id"));
    let mut all = Vec::new();
    for id in ids {
        let (_, record) = switch.get(&format!("/api/calls/{id}"));
        collect(&record, &mut all);
    }
    all
}

/// Every text under a key called `what`.
fn collect(value: &serde_json::Value, all: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    serde_json::Value::String(text) if name == "what" => all.push(text.clone()),
                    other => collect(other, all),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        _ => {}
    }
}

/// The keys of side A that the call has been told, in order.
fn told(switch: &Switch) -> String {
    let noted = noted(switch);
    let keys = noted.iter().filter_map(|what| what.strip_prefix("key ")).filter(|rest| rest.contains("side A"));
    keys.filter_map(|rest| rest.chars().next()).collect()
}

/// Waits until the call has been told just these.
fn expect_told(switch: &Switch, digits: &str) {
    let in_time = support::until(PATIENCE, || (told(switch) == digits).then_some(()));
    assert!(in_time.is_some(), "{digits} was pressed, told are {:?}", noted(switch));
}

/// A standing call from alice to bob.
fn talk(alice: &mut Phone, bob: &mut Phone) -> (u64, u64) {
    let from = alice.call("1002");
    let at = bob.pick_up();
    alice.expect_state(from, "confirmed");
    alice.expect_media(from, "active");
    bob.expect_media(at, "active");
    (from, at)
}

#[test]
fn tones_of_a_phone_without_events_are_events_at_the_other_and_its_events_are_tones_there() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    alice.forget_events();
    for codecs in [["PCMU"], ["PCMA"], ["G722"]] {
        alice.speak(&codecs);
        let (from, at) = talk(&mut alice, &mut bob);
        alice.play_tone(from, 440);
        bob.hears_tone(at, 440.0);
        alice.play_silence(from);
        alice.dial_tones(from, "159#");
        bob.expect_keys("159#", "event");
        // Of the key 6 the frequency of 1477 Hz is the louder one.
        let deadline = Instant::now() + PATIENCE;
        loop {
            bob.dtmf(at, "6");
            let heard = alice.listen(from, 300);
            if (heard.hz - 1477.0).abs() < 4.0 && heard.dbm0 > -20.0 {
                break;
            }
            assert!(Instant::now() < deadline, "{codecs:?}: {heard:?}");
        }
        alice.hang_up(from);
        bob.expect_state(at, "disconnected");
    }
}

#[test]
fn info_of_a_phone_is_an_event_for_one_that_has_events() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let (from, at) = talk(&mut alice, &mut bob);
    alice.info_dtmf(from, "0*7");
    bob.expect_keys("0*7", "event");
    // Events still pass as they are.
    alice.dtmf(from, "83");
    bob.expect_keys("83", "event");
    expect_told(&switch, "0*783");
    bob.dtmf(at, "5");
    alice.expect_keys("5", "event");
}

#[test]
fn a_user_who_wants_info_is_told_all_keys_by_it() {
    let bob = "[[user]]\nname = \"bob\"\npassword = \"bob-secret\"\nextension = \"1002\"\ndtmf = \"info\"\n";
    let switch = Switch::start(Config::bare().user("alice", "alice-secret", "1001").entry(bob));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let (from, _at) = talk(&mut alice, &mut bob);
    alice.dtmf(from, "47");
    bob.expect_keys("47", "info");
    alice.info_dtmf(from, "#1");
    bob.expect_keys("#1", "info");
}

#[test]
fn a_phone_without_events_that_sends_info_is_told_keys_by_it_too() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    alice.forget_events();
    alice.speak(&["PCMU"]);
    let (from, at) = talk(&mut alice, &mut bob);
    alice.info_dtmf(from, "2");
    bob.expect_keys("2", "event");
    bob.dtmf(at, "9D");
    alice.expect_keys("9D", "info");
}

#[test]
fn a_service_and_a_conference_are_told_keys_in_every_form() {
    let switch = Switch::start(Config::lab().entry("[[conference]]\nnumbers = \"5200-5299\"\n"));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    for number in ["5500", "5200"] {
        let call = alice.call(number);
        alice.expect_state(call, "confirmed");
        alice.expect_media(call, "active");
        alice.dtmf(call, "12");
        expect_told(&switch, "12");
        alice.info_dtmf(call, "34");
        expect_told(&switch, "1234");
        alice.hang_up(call);
        assert!(support::until(PATIENCE, || noted(&switch).is_empty().then_some(())).is_some());
    }
    alice.forget_events();
    for (number, codec) in [("5500", "PCMA"), ("5200", "PCMU"), ("5200", "G722")] {
        alice.speak(&[codec]);
        let call = alice.call(number);
        alice.expect_state(call, "confirmed");
        alice.expect_media(call, "active");
        // A machine that is too busy to play 100 ms of a tone in one piece has more tries.
        let heard = support::until(3 * PATIENCE, || {
            alice.dial_tones(call, "56*");
            support::until(DIALLED, || told(&switch).ends_with("56*").then_some(()))
        });
        assert!(heard.is_some(), "{codec} in {number}: {:?}", noted(&switch));
        alice.hang_up(call);
        assert!(support::until(PATIENCE, || noted(&switch).is_empty().then_some(())).is_some());
    }
}

#[test]
fn info_has_the_answers_of_its_rules() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    alice.register(600);
    let mut dialog = alice.call("5500");
    let mut info = |extra: &str, body: &str| alice.inside(&mut dialog, "INFO", extra, body);
    let relay = "Content-Type: application/dtmf-relay\n";
    assert_eq!(status(&info(relay, "Signal=5\nDuration=160\n")), Some(200));
    assert_eq!(status(&info("Content-Type: application/dtmf\n", "6")), Some(200));
    // Nothing in it is a keep-alive (RFC 2976).
    assert_eq!(status(&info("", "")), Some(200));
    assert_eq!(status(&info(relay, "Duration=160\n")), Some(400));
    let unknown = info("Content-Type: text/plain\n", "hello?");
    assert_eq!(status(&unknown), Some(415));
    assert_eq!(header(&unknown, "Accept"), Some("application/dtmf-relay, application/dtmf"));
    let packaged = info("Info-Package: nonsense\nContent-Type: application/dtmf-relay\n", "Signal=5\n");
    assert_eq!((status(&packaged), header(&packaged, "Recv-Info")), (Some(469), Some("")));
    expect_told(&switch, "56");
    alice.hang_up(dialog);
}
