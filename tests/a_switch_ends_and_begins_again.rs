//! The end of a switch and its next life: drain, Ctrl-C, and what it leaves behind of its calls.

mod support;

use serde_json::{Value, json};
use support::agent::{Agent, description};
use support::config::Config;
use support::switch::Switch;
use support::voices::Voices;
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

/// Packets that prove that a voice is heard: 200 ms.
const PROOF_PACKETS: u64 = 10;

fn agent(switch: &Switch, name: &str) -> Agent {
    Agent::new(Wire::udp(switch.sip("udp")), name)
}

fn invite(agent: &mut Agent, number: &str) -> String {
    let extra = "Content-Type: application/sdp\n";
    agent.request("INVITE", &format!("sip:{number}@example.com"), extra, &description(None, "sendrecv"))
}

/// The call records, once there are so many.
fn records(switch: &Switch, count: usize) -> Vec<Value> {
    let file = switch.data().join("calls.jsonl");
    let found = until(PATIENCE, || {
        let text = std::fs::read_to_string(&file).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= count).then_some(lines)
    });
    found.unwrap_or_else(|| panic!("fewer than {count} records: {:?}", std::fs::read_to_string(&file)))
}

#[test]
fn a_drain_refuses_new_calls_and_lets_those_that_are_up_finish() {
    let mut switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");
    let dialog = alice.call("5500");

    let (status_code, progress) = switch.post("/api/drain", &json!({ "deadline_s": 60 }));
    assert_eq!((status_code, &progress["calls_left"]), (200, &json!(1)), "{progress}");
    let request = invite(&mut alice, "5501");
    let answer = alice.ask_as_user(&request);
    assert_eq!(status(&answer), Some(503), "{answer}");
    assert!(header(&answer, "Retry-After").is_some(), "{answer}");
    alice.hang_up(dialog);

    assert_eq!(switch.ended(), Some(0), "{}", switch.log_tail());
    assert_eq!(records(&switch, 1)[0]["hung_up_by"], "caller");
}

#[test]
fn ctrl_c_ends_with_0_and_the_next_life_knows_the_registrations_and_the_calls() {
    let mut switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");
    alice.register(3_600);
    let (_, before) = switch.get("/api/registrations");
    let dialog = alice.call("5500");
    alice.hang_up(dialog);
    let record = records(&switch, 1).remove(0);

    switch.signal("INT");
    assert_eq!(switch.ended(), Some(0), "{}", switch.log_tail());
    switch.restart();

    let (_, after) = switch.get("/api/registrations");
    assert_eq!(after["registrations"][0]["contact"], before["registrations"][0]["contact"], "{after}");
    let (_, found) = switch.get(&format!("/api/calls/{}", record["id"].as_str().expect("an id")));
    assert_eq!(found["ended"]["sip_call_id"], record["sip_call_id"], "{found}");
}

#[test]
fn answered_calls_are_recorded_with_who_hung_up_and_the_packets_of_both() {
    let switch = Switch::start(Config::lab());
    let voices = Voices::new(4);
    let all = voices.addresses();
    let (of_alice, of_bob) = all.split_at(2);
    let mut alice = agent(&switch, "alice").with_voices(&voices, of_alice);
    let mut bob = agent(&switch, "bob").with_voices(&voices, of_bob);
    bob.register(600);
    let heard = |at: usize| {
        let enough = until(PATIENCE, || {
            let heard = voices.heard();
            [at, at + 2].iter().all(|at| heard[*at].1.packets >= PROOF_PACKETS).then_some(())
        });
        assert!(enough.is_some(), "{:?}", voices.heard());
    };

    let serving = bob.serve();
    let dialog = alice.call("1002");
    heard(0);
    alice.hang_up(dialog);
    let mut bob = serving.back();
    bob.expect("BYE");
    bob.expect("INVITE");
    let first = records(&switch, 1).remove(0);

    let serving = bob.serve();
    alice.call("1002");
    heard(1);
    let mut bob = serving.back();
    let of_call = bob.expect("INVITE");
    let dialog = bob.taken(&of_call);
    let waiting = alice.serve();
    bob.hang_up(dialog);
    waiting.back().expect("BYE");
    let second = records(&switch, 2).remove(1);

    for (record, who) in [(first, "caller"), (second, "callee")] {
        assert_eq!((&record["hung_up_by"], &record["q850"]), (&json!(who), &json!(16)), "{record}");
        assert_eq!((&record["from"], &record["to"]), (&json!("alice@example.com"), &json!("bob@example.com")));
        assert_eq!(record["sip_status"], 200, "{record}");
        assert_eq!((&record["codec_a"], &record["codec_b"]), (&json!("PCMU"), &json!("PCMU")), "{record}");
        for side in ["media_a", "media_b"] {
            assert!(record[side]["packets"].as_u64() >= Some(PROOF_PACKETS), "{record}");
            assert_eq!((&record[side]["lost"], &record[side]["strangers"]), (&json!(0), &json!(0)), "{record}");
        }
        assert!(record["answered"].is_string() && record["talk_ms"].as_i64() > Some(0), "{record}");
    }
}

#[test]
fn calls_that_nobody_took_are_recorded_with_their_cause() {
    let switch = Switch::start(Config::lab().set("sip", "max_ringing", "\"10s\""));
    let mut alice = agent(&switch, "alice");
    let mut busy = agent(&switch, "bob").saying("486 Busy Here");
    busy.register(600);
    let mut silent = agent(&switch, "carol").ringing();
    silent.register(600);
    let (busy, silent) = (busy.serve(), silent.serve());

    let request = invite(&mut alice, "1002");
    assert_eq!(status(&alice.ask_as_user(&request)), Some(486));
    let request = invite(&mut alice, "1003");
    let unanswered = status(&alice.ask_as_user(&request));
    assert!(matches!(unanswered, Some(408 | 480)), "{unanswered:?}");
    let request = invite(&mut alice, "1999");
    assert_eq!(status(&alice.ask_as_user(&request)), Some(404));
    let request = invite(&mut alice, "1004");
    assert_eq!(status(&alice.ask_as_user(&request)), Some(480), "dave has no phone");

    // Q.850 (RFC 3398 section 8.2.6.1): busy 17, no answer 19 or nobody responds 18, unallocated 1, absent 20 or 18.
    let records = records(&switch, 4);
    let seen: Vec<(u64, u64)> = records
        .iter()
        .map(|record| (record["sip_status"].as_u64().unwrap_or(0), record["q850"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!(seen[0], (486, 17), "{records:?}");
    assert!(matches!(seen[1], (408 | 480, 18 | 19)), "{records:?}");
    assert_eq!(seen[2], (404, 1), "{records:?}");
    assert!(matches!(seen[3], (480, 18 | 20)), "{records:?}");
    for record in &records {
        assert!(record["answered"].is_null() && record["talk_ms"] == 0, "{record}");
    }
    busy.back();
    silent.back();
}

#[test]
fn a_cancelled_call_is_recorded_as_given_up_by_the_caller() {
    let switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");
    let mut bob = agent(&switch, "bob").ringing();
    bob.register(600);
    let bob = bob.serve();
    let request = invite(&mut alice, "1002");
    let challenge = alice.ask(&request);
    let invite = alice.signed(&request, &challenge, "alice-secret");
    alice.wire.send(&invite);
    alice.wire.receive("SIP/2.0 180");

    let head = invite.split("Content-Type").next().expect("a head");
    alice.wire.send(&format!("{}Content-Length: 0\n\n", head.replace("INVITE", "CANCEL")));
    alice.wire.receive("SIP/2.0 487");

    let record = records(&switch, 1).remove(0);
    assert_eq!((&record["sip_status"], &record["hung_up_by"]), (&json!(487), &json!("caller")), "{record}");
    assert!(matches!(record["q850"].as_u64(), Some(16 | 31 | 127)), "{record}");
    bob.back();
}
