//! A hundred calls with media are up while one actor of each kind dies: no other call loses a dialog or a packet, and the
//! call that was hit goes on.

mod support;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use support::agent::{Agent, Dialog, Serving};
use support::config::Config;
use support::switch::Switch;
use support::voices::{Heard, Voices};
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

const CALLS: usize = 100;
/// Packets that each voice must hear after a fault, so that its way is known to be whole again: 100 ms.
const PROOF_PACKETS: u64 = 5;
/// What a voice may miss of the calls whose media worker died: 1 s.
const GAP_PACKETS_MAX: u64 = 50;

/// One such house at a time: the packets are timed.
static ALONE: Mutex<()> = Mutex::new(());

struct House {
    switch: Switch,
    voices: Voices,
    alice: Agent,
    dialogs: Vec<Dialog>,
    bob: Serving,
    dave: Agent,
    /// Media addresses of calls that were hit themselves.
    hit: Vec<SocketAddr>,
}

/// A hundred calls from alice to bob.
fn house() -> House {
    let config = Config::lab()
        .set("node", "shards", "2")
        .set("admin", "allow_faults", "true")
        // Transactions end after 64 x T1 (RFC 3261 section 17): 3.2 s.
        .set("sip", "t1", "\"50ms\"")
        .set("admission", "per_source_rate", "100000")
        .set("admission", "per_source_burst", "100000");
    let switch = Switch::start(config);
    let voices = Voices::new(2 * CALLS + 1);
    let all = voices.addresses();
    let (of_alice, others) = all.split_at(CALLS);
    let (of_bob, of_dave) = others.split_at(CALLS);
    let udp = || Wire::udp(switch.sip("udp"));
    let mut alice = Agent::new(udp(), "alice").with_voices(&voices, of_alice);
    let mut bob = Agent::new(udp(), "bob").with_voices(&voices, of_bob);
    let mut dave = Agent::new(udp(), "dave").with_voices(&voices, of_dave);
    bob.register(3_600);
    dave.register(3_600);
    let bob = bob.serve();
    let dialogs = (0..CALLS).map(|_| alice.call("1002")).collect();
    let house = House { switch, voices, alice, dialogs, bob, dave, hit: Vec::new() };
    house.all_hear(2 * CALLS);
    house.voices.begin_anew();
    house.all_hear(2 * CALLS);
    house
}

impl House {
    fn node(&self, path: &str) -> Option<Value> {
        let tree = self.switch.try_get("/api/tree")?;
        tree["nodes"].as_array()?.iter().find(|node| node["path"] == path).cloned()
    }

    /// Ends an actor, waits until it is back, and checks that the tree tells why it had to be restarted.
    fn end(&self, path: &str, how: &str) {
        let before = self.node(path).unwrap_or_else(|| panic!("{path} is not in the tree"));
        let (status, answer) = self.switch.post("/api/kill", &json!({ "path": path, "how": how }));
        assert_eq!(status, 200, "{path}: {answer}");
        let restarts = before["restarts"].as_u64().map(|restarts| restarts + 1);
        let back = until(PATIENCE, || {
            self.node(path).filter(|node| node["state"] == "running" && node["restarts"].as_u64() >= restarts)
        });
        let back = back.unwrap_or_else(|| panic!("{path} is not back: {:?}\n{}", self.node(path), self.switch.log()));
        let cause = back["last_cause"].as_str().unwrap_or_default();
        let told = if how == "panic" { "panic asked by operator" } else { "killed by operator" };
        // The thread of a face that panicked may still be on its way out when the next one wants to start: one more try.
        let is_second_try = path == "/switch/store" && cause.contains("its thread did not start");
        assert!(cause.contains(told) || is_second_try, "{path}: {back}");
    }

    /// Waits until so many voices have heard enough.
    fn all_hear(&self, voices: usize) {
        let heard = || self.voices.heard();
        let before: std::collections::HashMap<_, _> = heard().into_iter().collect();
        let enough = until(PATIENCE, || {
            let on = heard().iter().filter(|(at, now)| now.packets >= before[at].packets + PROOF_PACKETS).count();
            (on >= voices).then_some(())
        });
        assert!(enough.is_some(), "{:?}\n{}", heard(), self.switch.log_tail());
    }

    /// The voices that have missed packets, those of the calls that were hit left out.
    fn gaps(&self) -> Vec<(SocketAddr, Heard)> {
        let heard = self.voices.heard();
        heard.into_iter().filter(|(at, heard)| !self.hit.contains(at) && heard.missing > 0).collect()
    }

    /// Every call passes an INFO from end to end: both of its dialogs live.
    fn all_dialogs_live(&mut self, after: &str) {
        for (number, dialog) in self.dialogs.iter_mut().enumerate() {
            let answer = self.alice.inside(dialog, "INFO", "Content-Type: text/plain\n", "still there?");
            assert_eq!(
                status(&answer),
                Some(200),
                "after {after}, call {number}: {answer}\n{}",
                self.switch.log_tail()
            );
        }
    }

    /// The path of a call in the tree.
    fn path_of(&self, dialog: &Dialog) -> String {
        let (_, calls) = self.switch.get("/api/calls");
        let found = calls["calls"].as_array().and_then(|c| c.iter().find(|c| c["sip_call_id"] == *dialog.call_id));
        let call = found.unwrap_or_else(|| panic!("{} is not among {calls}", dialog.call_id));
        format!("/switch/shard-{}/calls/{}", call["shard"], call["id"].as_str().expect("an id"))
    }

    /// All hang up, and nothing is left.
    fn clear(mut self) {
        for dialog in std::mem::take(&mut self.dialogs) {
            self.alice.hang_up(dialog);
        }
        let status = || self.switch.get("/api/status").1;
        let sum = |status: &Value, of: &str| -> u64 {
            let shards = status["shards"].as_array().expect("shards");
            shards.iter().map(|shard| shard["load"][of].as_u64().expect("a count")).sum()
        };
        let idle = until(PATIENCE, || {
            let status = status();
            let flows: u64 = status["media"].as_array()?.iter().filter_map(|worker| worker["flows"].as_u64()).sum();
            let left = sum(&status, "calls") + sum(&status, "dialogs") + sum(&status, "transactions");
            (status["calls"] == 0 && flows == 0 && left == 0).then_some(())
        });
        assert!(idle.is_some(), "{:#}\n{}", status(), self.switch.log_tail());
        let (_, tree) = self.switch.get("/api/tree");
        let calls: Vec<_> = tree["nodes"].as_array().expect("nodes").iter().filter(|n| n["kind"] == "call").collect();
        assert!(calls.is_empty(), "{calls:?}");
        self.bob.back();
    }
}

/// Actors whose death must not be heard by anybody. The root takes five restarts in a minute.
const UNHEARD: [&str; 17] = [
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
    "/switch/mail/postmaster",
    "/switch/records",
    "/switch/housekeeping",
    "/switch/http",
];

fn nobody_hears_of_it(how: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
fn a_call_whose_actor_dies_is_held_resumed_transferred_and_hung_up() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut house = house();
    let path = house.path_of(&house.dialogs[0]);

    house.end(&path, "panic");
    house.all_dialogs_live(&path);
    house.all_hear(2 * CALLS);
    assert_eq!(house.gaps(), [], "its own media does not stop either");

    let mut dialog = house.dialogs.remove(0);
    let answer = house.alice.redirect(&mut dialog, "sendonly");
    assert!(answer.contains("a=recvonly"), "{answer}");
    house.hit.extend(dialog.media);
    house.end(&path, "kill");
    let answer = house.alice.redirect(&mut dialog, "sendrecv");
    assert!(!answer.contains("a=recvonly"), "{answer}");

    house.end(&path, "panic");
    let refer = "Refer-To: <sip:1004@example.com>\nReferred-By: <sip:alice@example.com>\n";
    let answer = house.alice.inside(&mut dialog, "REFER", refer, "");
    assert_eq!(status(&answer), Some(202), "{answer}");
    let invite = house.dave.expect("INVITE");
    house.end(&path, "kill");
    let report = loop {
        let notify = house.alice.expect("NOTIFY");
        if header(&notify, "Subscription-State").is_some_and(|state| state.starts_with("terminated")) {
            break notify;
        }
    };
    assert!(report.contains("SIP/2.0 200"), "{report}");
    // The switch hangs up for a transferor that does not.
    house.alice.expect("BYE");
    let of_dave = house.dave.taken(&invite);
    let before = house.voices.heard();
    let packets = |heard: &[(SocketAddr, Heard)]| {
        heard.iter().find(|(at, _)| Some(*at) == of_dave.media).map_or(0, |(_, heard)| heard.packets)
    };
    let hears = until(PATIENCE, || (packets(&house.voices.heard()) > packets(&before)).then_some(()));
    assert!(hears.is_some(), "dave hears bob");
    house.dave.hang_up(of_dave);

    // Bob's voice of the transferred call has heard music, dave and nothing in between.
    let fault = |house: &House| house.voices.heard().iter().filter(|(_, heard)| heard.missing > 0).count();
    assert!(fault(&house) <= 2, "only the transferred call has gaps: {:?}", house.voices.heard());
    house.clear();
}

#[test]
fn the_writer_of_call_records_dies_while_calls_end_and_each_call_has_its_record() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

#[test]
fn a_media_worker_dies_and_its_calls_go_on_after_a_gap() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut house = house();

    for (path, how) in
        [("/switch/media/worker-0", "panic"), ("/switch/media/worker-0", "kill"), ("/switch/media", "kill")]
    {
        house.voices.begin_anew();
        house.end(path, how);
        house.all_hear(2 * CALLS);
        let heard = house.voices.heard();
        let most = heard.iter().map(|(_, heard)| heard.missing).max().unwrap_or(0);
        assert!(most <= GAP_PACKETS_MAX, "after {path}: {heard:?}");
        house.voices.begin_anew();
        house.all_hear(2 * CALLS);
        assert_eq!(house.gaps(), [], "after the gap of {path} there is no other");
        house.all_dialogs_live(path);
    }
    house.clear();
}
