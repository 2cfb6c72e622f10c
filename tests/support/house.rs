//! A hundred calls with media, amid which actors are ended.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::agent::{Agent, Dialog, Serving};
use super::config::Config;
use super::switch::Switch;
use super::voices::{Heard, Voices};
use super::wire::{Wire, status};
use super::{PATIENCE, until};

pub const CALLS: usize = 100;
/// The objects of a plan that calls go by.
const PLAN: &str = "[[dial_plan]]\nname = \"office\"\nextension_digits = 4\n\
    [[gateway]]\nname = \"carrier\"\naddress = \"127.0.0.9:9\"\nprobe = \"0s\"\n\
    [[hunt_group]]\nname = \"reception\"\ngateway = \"carrier\"\ndial_plan = \"office\"\npilots = [\"5900\"]\nto = \"1001\"\n";
/// Packets that each voice must hear after a fault, so that its way is known to be whole again: 100 ms.
const PROOF_PACKETS: u64 = 5;

/// One such house at a time: the packets are timed.
static ALONE: Mutex<()> = Mutex::new(());

/// See the module.
pub struct House {
    pub switch: Switch,
    pub voices: Voices,
    pub alice: Agent,
    pub dialogs: Vec<Dialog>,
    bob: Serving,
    pub dave: Agent,
    /// Media addresses of calls that were hit themselves.
    pub hit: Vec<SocketAddr>,
    _alone: MutexGuard<'static, ()>,
}

/// A hundred calls from alice to bob.
pub fn house() -> House {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let config = Config::lab()
        .set("node", "shards", "2")
        .set("admin", "allow_faults", "true")
        // Transactions end after 64 x T1 (RFC 3261 section 17): 3.2 s.
        .set("sip", "t1", "\"50ms\"")
        .set("routing", "dial_plan", "\"office\"")
        .entry(PLAN)
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
    let house = House { switch, voices, alice, dialogs, bob, dave, hit: Vec::new(), _alone: alone };
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
    pub fn end(&self, path: &str, how: &str) {
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
    pub fn all_hear(&self, voices: usize) {
        let heard = || self.voices.heard();
        let before: std::collections::HashMap<_, _> = heard().into_iter().collect();
        let enough = until(PATIENCE, || {
            let on = heard().iter().filter(|(at, now)| now.packets >= before[at].packets + PROOF_PACKETS).count();
            (on >= voices).then_some(())
        });
        assert!(enough.is_some(), "{:?}\n{}", heard(), self.switch.log_tail());
    }

    /// The voices that have missed packets, those of the calls that were hit left out.
    pub fn gaps(&self) -> Vec<(SocketAddr, Heard)> {
        let heard = self.voices.heard();
        heard.into_iter().filter(|(at, heard)| !self.hit.contains(at) && heard.missing > 0).collect()
    }

    /// Every call passes an INFO from end to end: both of its dialogs live.
    pub fn all_dialogs_live(&mut self, after: &str) {
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
    pub fn path_of(&self, dialog: &Dialog) -> String {
        let (_, calls) = self.switch.get("/api/calls");
        let found = calls["calls"].as_array().and_then(|c| c.iter().find(|c| c["sip_call_id"] == *dialog.call_id));
        let call = found.unwrap_or_else(|| panic!("{} is not among {calls}", dialog.call_id));
        format!("/switch/shard-{}/calls/{}", call["shard"], call["id"].as_str().expect("an id"))
    }

    /// All hang up, and nothing is left.
    pub fn clear(mut self) {
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
