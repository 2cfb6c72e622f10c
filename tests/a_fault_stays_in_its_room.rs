//! A hundred calls with media are up while one actor of each kind dies: no call loses a dialog or a packet.

mod support;

use serde_json::{Value, json};
use support::house::{CALLS, house};
use support::{PATIENCE, until};

/// Actors whose death must not be heard by anybody. The root takes five restarts in a minute.
const UNHEARD: [&str; 23] = [
    "/switch/media/handshakes",
    "/switch/shard-0/admission",
    "/switch/shard-0/registrar",
    "/switch/shard-0/messages",
    "/switch/shard-0/subscriptions",
    "/switch/shard-0/signalling",
    "/switch/shard-1/signalling",
    "/switch/shard-0/calls",
    "/switch/shard-1/calls",
    "/switch/store",
    "/switch/limits",
    "/switch/mail/boxes",
    "/switch/mail/outbox",
    "/switch/mail/transcriber",
    "/switch/mail/postmaster",
    "/switch/mail/lamplighter",
    "/switch/plan/planner",
    "/switch/plan/dial-plans/office",
    "/switch/plan/hunt-groups/reception",
    "/switch/plan/dial-plans",
    "/switch/records",
    "/switch/housekeeping",
    "/switch/http",
];

fn nobody_hears_of_it(how: &str) {
    let mut house = house();

    for path in UNHEARD {
        house.end(path, how);
        house.all_dialogs_live(path);
        house.all_hear(2 * CALLS);
        assert_eq!(house.gaps(), [], "after {path}");
    }
    house.clear();
}

#[test]
fn an_actor_of_each_kind_panics_and_no_call_loses_a_dialog_or_a_packet() {
    nobody_hears_of_it("panic");
}

#[test]
fn an_actor_of_each_kind_is_killed_and_no_call_loses_a_dialog_or_a_packet() {
    nobody_hears_of_it("kill");
}

#[test]
fn a_whole_shard_is_killed_and_its_calls_go_on() {
    let mut house = house();

    for path in ["/switch/shard-0", "/switch/shard-1"] {
        house.end(path, "kill");
        house.all_dialogs_live(path);
        house.all_hear(2 * CALLS);
        assert_eq!(house.gaps(), [], "after {path}");
    }
    house.clear();
}

#[test]
fn the_writer_of_call_records_dies_while_calls_end_and_each_call_has_its_record() {
    let mut house = house();

    let ids: std::collections::BTreeSet<String> = house.dialogs.iter().map(|dialog| dialog.call_id.clone()).collect();
    for (number, dialog) in std::mem::take(&mut house.dialogs).into_iter().enumerate() {
        house.alice.hang_up(dialog);
        if number % (CALLS / 4) == 0 {
            let how = if number % (CALLS / 2) == 0 { "panic" } else { "kill" };
            house.switch.post("/api/kill", &json!({ "path": "/switch/records", "how": how }));
        }
    }
    let file = house.switch.data().join("calls.jsonl");
    let mut found = Vec::new();
    let all = until(PATIENCE, || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines.filter_map(|line| line["sip_call_id"].as_str().map(str::to_owned)).collect();
        found.sort();
        found.iter().eq(&ids).then_some(())
    });
    assert!(all.is_some(), "{} records of {CALLS} calls\n{}", found.len(), house.switch.log_tail());
    house.clear();
}
