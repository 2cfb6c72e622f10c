//! What the switch has said yes to is there after `kill -9` (design law 5): registrations and kept messages.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::PATIENCE;
use support::agent::{Agent, credentials};
use support::config::Config;
use support::switch::Switch;
use support::wire::{Wire, header, status};

const USERS: usize = 1_000;
/// Requests on their way at once: what a socket's buffer holds with ease.
const WINDOW: usize = 100;
/// Power cuts.
const ROUNDS: u64 = 3;
/// After a power cut: how long answers that were sent before it may take through loopback.
const LAST_WORDS: Duration = Duration::from_millis(300);

fn thousand_users() -> Config {
    let config = Config::bare()
        .set("node", "shards", "2")
        .set("auth", "algorithms", r#"["MD5"]"#)
        .set("admission", "per_source_rate", "100000")
        .set("admission", "per_source_burst", "100000");
    (0..USERS).fold(config, |config, number| {
        config.user(&format!("user{number}"), &format!("user{number}-secret"), &format!("{}", 10_000 + number))
    })
}

/// Registers all users at once; what each binding is known by comes back with it.
struct Crowd {
    wire: Wire,
    round: u64,
    next: usize,
    on_their_way: usize,
    /// The requests without answer to their challenge.
    asked: HashMap<String, (usize, String)>,
    accepted: BTreeSet<usize>,
    refused: Vec<String>,
}

impl Crowd {
    fn new(switch: &Switch, round: u64) -> Self {
        let wire = Wire::udp(switch.sip("udp"));
        let (asked, accepted, refused) = (HashMap::new(), BTreeSet::new(), Vec::new());
        Self { wire, round, next: 0, on_their_way: 0, asked, accepted, refused }
    }

    fn contact(&self, number: usize) -> String {
        format!("sip:user{number}@127.0.0.1:5999;round={}", self.round)
    }

    /// Lets as many begin as there is room on the way.
    fn begin(&mut self) {
        while self.next < USERS && self.on_their_way < WINDOW {
            let (number, call_id) = (self.next, format!("crowd-{}-{}", self.round, self.next));
            let request = format!(
                "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bK-{call_id}-CSEQ\n\
                 From: <sip:user{number}@example.com>;tag={number}\nTo: <sip:user{number}@example.com>\n\
                 Call-ID: {call_id}\nCSeq: CSEQ REGISTER\nMax-Forwards: 70\nContact: <{}>\nExpires: 3600\n\
                 Content-Length: 0\n\n",
                self.contact(number)
            );
            self.wire.send(&request.replace("CSEQ", "1"));
            self.asked.insert(call_id, (number, request));
            self.next += 1;
            self.on_their_way += 1;
        }
    }

    /// Takes one answer; false when none came within this time.
    fn hear(&mut self, patience: Duration) -> bool {
        let Some(answer) = self.wire.receive_within(patience) else { return false };
        let Some((number, request)) = header(&answer, "Call-ID").and_then(|id| self.asked.get(id)) else { return true };
        let user = format!("user{number}");
        match status(&answer) {
            Some(401) => {
                let credentials = credentials(request, &answer, &user, &format!("{user}-secret"));
                let again = request.replace("CSEQ", "2");
                let again = again.replacen("Max-Forwards", &format!("Authorization: {credentials}\nMax-Forwards"), 1);
                self.wire.send(&again);
            }
            Some(200) => {
                self.on_their_way -= 1;
                self.accepted.insert(*number);
            }
            _ => {
                self.on_their_way -= 1;
                self.refused.push(answer);
            }
        }
        true
    }
}

/// The contacts that the switch knows.
fn contacts(switch: &Switch) -> BTreeSet<String> {
    let (_, list) = switch.get("/api/registrations");
    let bindings = list["registrations"].as_array().expect("a list");
    bindings.iter().filter_map(|binding| binding["contact"].as_str().map(str::to_owned)).collect()
}

#[test]
fn every_registration_that_was_acknowledged_outlives_kill_9() {
    let mut switch = Switch::start(thousand_users());

    for round in 0..ROUNDS {
        let last = StdRng::seed_from_u64(round).random_range(20..USERS - 20);
        let mut crowd = Crowd::new(&switch, round);
        while crowd.accepted.len() < last {
            crowd.begin();
            assert!(crowd.hear(PATIENCE), "{} were accepted; {:?}", crowd.accepted.len(), crowd.refused);
        }
        switch.kill9();
        while crowd.hear(LAST_WORDS) {}
        assert!(crowd.refused.is_empty(), "{:?}", crowd.refused);

        switch.restart();
        let there = contacts(&switch);
        let lost: Vec<_> = crowd.accepted.iter().filter(|number| !there.contains(&crowd.contact(**number))).collect();
        assert!(lost.is_empty(), "round {round}: of {} acknowledged these are lost: {lost:?}", crowd.accepted.len());
    }
}

#[test]
fn a_registrar_that_dies_amid_a_thousand_registrations_leaves_none_unanswered() {
    let switch = Switch::start(thousand_users());
    let mut crowd = Crowd::new(&switch, 0);
    let mut kills = 0;

    while crowd.accepted.len() + crowd.refused.len() < USERS {
        crowd.begin();
        assert!(crowd.hear(PATIENCE), "{} were accepted\n{}", crowd.accepted.len(), switch.log_tail());
        if crowd.accepted.len() > 300 * (kills + 1) {
            switch.post("/api/kill", &json!({ "path": format!("/switch/shard-{}/registrar", kills % 2) }));
            kills += 1;
        }
    }
    assert!(crowd.refused.is_empty(), "{:?}", crowd.refused);
    let mut again = Crowd::new(&switch, 1);
    while again.accepted.len() < USERS {
        again.begin();
        assert!(again.hear(PATIENCE), "{} were accepted again\n{}", again.accepted.len(), switch.log_tail());
    }
    let there = contacts(&switch);
    assert!((0..USERS).all(|number| there.contains(&again.contact(number))), "{} are there", there.len());
}

#[test]
fn messages_that_were_kept_outlive_kill_9_and_come_once_in_order_at_the_next_registration() {
    let mut switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    for number in 0..10 {
        let text = format!("message {number}");
        let message = alice.request("MESSAGE", "sip:dave@example.com", "Content-Type: text/plain\n", &text);
        let answer = alice.ask_as_user(&message);
        assert_eq!(status(&answer), Some(202), "{answer}");
    }

    switch.kill9();
    switch.restart();

    let mut dave = Agent::new(Wire::udp(switch.sip("udp")), "dave");
    dave.register(3_600);
    for number in 0..10 {
        let message = dave.expect("MESSAGE");
        assert!(message.ends_with(&format!("message {number}")), "{message}");
    }
    // At the next registration nothing comes again: what comes next is new.
    dave.register(3_600);
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let sender = std::thread::spawn(move || {
        let message = alice.request("MESSAGE", "sip:dave@example.com", "Content-Type: text/plain\n", "the end");
        alice.ask_as_user(&message)
    });
    let message = dave.expect("MESSAGE");
    assert!(message.ends_with("the end"), "{message}");
    // Delivered to the phone itself, or kept for a moment behind the last removal.
    let answer = sender.join().expect("sent");
    assert!(matches!(status(&answer), Some(200 | 202)), "{answer}");
}
