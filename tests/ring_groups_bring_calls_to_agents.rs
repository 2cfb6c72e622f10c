//! Ring groups: a number behind which several people answer, and a queue before them.

mod support;

use serde_json::{Value, json};

use support::config::Config;
use support::party::{End, Party, SDP, callee_end, end_of, hangs_up, idle, is_quiet, kill_the_call, talks};
use support::switch::Switch;
use support::wire::{header, media_address, status};
use support::{PATIENCE, until};

/// The lab with the group 1100 of bob and carol, and these settings of it besides.
fn lab(more: &str) -> Config {
    let rest = if more.contains("rest =") { "" } else { "rest = \"1s\"" };
    Config::lab().entry(&format!(
        "[[ring_group]]\nname = \"desk\"\nnumber = \"1100\"\nagents = [\"bob\", \"carol\"]\n{rest}\n{more}\n"
    ))
}

/// What `GET /api/groups/desk` says.
fn group(switch: &Switch) -> Value {
    let (code, group) = switch.get("/api/groups/desk");
    assert_eq!(code, 200, "{group}");
    group
}

/// The group is so, soon.
#[track_caller]
fn becomes(switch: &Switch, is_so: impl Fn(&Value) -> bool) -> Value {
    let found = until(PATIENCE, || Some(group(switch)).filter(&is_so));
    found.unwrap_or_else(|| panic!("the group has not become so: {}", group(switch)))
}

/// An agent's state.
fn state(group: &Value, agent: &str) -> String {
    let agents = group["agents"].as_array().expect("agents");
    let found = agents.iter().find(|one| one["name"] == agent).expect("an agent");
    found["state"].as_str().expect("a state").to_owned()
}

/// The caller is answered with music, and acknowledges it.
fn waits(caller: &mut Party) -> End {
    let answer = caller.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    assert!(media_address(&answer).is_some(), "{answer}");
    let mut end = end_of(&answer);
    caller.say(&mut end, "ACK", "", "");
    end
}

/// All calls are over, and the group and its agents are as before.
fn all_idle(switch: &Switch) {
    idle(switch);
    becomes(switch, |group| group["calls"] == json!([]) && group["waiting"] == 0);
}

#[test]
fn all_who_are_free_ring_the_first_who_answers_has_the_call_and_the_others_hear_who_won() {
    let switch = Switch::start(lab(""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let (at_bob, at_carol) = (bob.wire.receive("INVITE"), carol.wire.receive("INVITE"));
    bob.reply(&at_bob, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
    let rings = group(&switch);
    assert_eq!((state(&rings, "bob"), state(&rings, "carol")), ("ringing".into(), "ringing".into()));

    carol.reply(&at_carol, "200 OK", "", SDP);
    carol.wire.receive("ACK");
    bob.let_go(&at_bob);
    let mut of_alice = waits(&mut alice);
    let mut of_carol = callee_end(&carol, &at_carol);
    talks(&mut alice, &mut of_alice, &mut carol);
    talks(&mut carol, &mut of_carol, &mut alice);
    let talk = group(&switch);
    assert_eq!((state(&talk, "bob"), state(&talk, "carol")), ("free".into(), "busy".into()));
    assert_eq!(talk["calls"][0]["agent"], "carol");

    hangs_up(&mut alice, &mut of_alice, &mut carol);
    all_idle(&switch);
    let after = group(&switch);
    assert_eq!((&after["came"], &after["answered"], &after["abandoned"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(state(&after, "carol"), "free");
    let record = until(PATIENCE, || switch.get("/api/calls?ended=1").1["calls"].get(0).cloned()).expect("a record");
    assert_eq!((&record["dialled"], &record["to"]), (&json!("1100"), &json!("carol@example.com")), "{record}");
}

#[test]
fn agents_of_a_serial_group_ring_one_after_the_other_and_who_refuses_is_passed_over_at_once() {
    let switch = Switch::start(lab("method = \"serial\"\nalert = \"5s\""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
    assert!(is_quiet(&mut carol));

    // For himself alone, whatever the class of his refusal.
    bob.reply(&at_bob, "603 Decline", "", "");
    let at_carol = carol.wire.receive("INVITE");
    // Nobody answers for the time of the alert: the next has its turn again.
    carol.reply(&at_carol, "180 Ringing", "", "");
    carol.let_go(&at_carol);

    bob.wire.receive("ACK");
    let mut of_bob = bob.pick_up();
    let mut of_alice = waits(&mut alice);
    talks(&mut bob, &mut of_bob, &mut alice);
    hangs_up(&mut bob, &mut of_bob, &mut alice);
    let _ = &mut of_alice;
    all_idle(&switch);
}

#[test]
fn who_finds_nobody_free_waits_with_music_and_gets_the_agent_who_is_free_first() {
    let switch = Switch::start(lab("method = \"longest-idle\""));
    let (mut bob, mut dave) =
        (Party::registered(&switch, "bob"), Party::at(support::wire::Wire::udp(switch.sip("udp")), "dave"));
    dave.from = "sip:dave@example.com";
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let mut of_alice = waits(&mut alice);

    dave.call("1100", "");
    let mut of_dave = waits(&mut dave);
    let queue = becomes(&switch, |group| group["waiting"] == 1);
    assert_eq!((&queue["calls"][1]["position"], &queue["calls"][1]["from"]), (&json!(1), &json!("dave@example.com")));
    let shown = switch.command(&["groups"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("dave@example.com waits at place 1") && shown.contains("bob busy"), "{shown}");

    hangs_up(&mut alice, &mut of_alice, &mut bob);
    let _ = &mut of_bob;
    let mut of_bob = bob.pick_up();
    talks(&mut dave, &mut of_dave, &mut bob);
    talks(&mut bob, &mut of_bob, &mut dave);
    hangs_up(&mut bob, &mut of_bob, &mut dave);
    all_idle(&switch);
}

#[test]
fn a_caller_who_hangs_up_in_the_queue_is_gone_from_it_and_the_others_move_up() {
    let switch = Switch::start(lab(""));
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let _of_alice = waits(&mut alice);
    let (mut first, mut second) = (Party::new(&switch, "carol"), Party::new(&switch, "carol"));
    first.call("1100", "");
    let mut of_first = waits(&mut first);
    second.call("1100", "");
    let mut of_second = waits(&mut second);
    becomes(&switch, |group| group["calls"][2]["position"] == 2);

    first.say(&mut of_first, "BYE", "", "");
    assert_eq!(status(&first.answer_to("BYE", 200)), Some(200));
    becomes(&switch, |group| group["calls"][1]["position"] == 1 && group["abandoned"] == 1);

    hangs_up(&mut bob, &mut of_bob, &mut alice);
    let mut of_bob = bob.pick_up();
    talks(&mut second, &mut of_second, &mut bob);
    hangs_up(&mut bob, &mut of_bob, &mut second);
    all_idle(&switch);
}

#[test]
fn an_agent_whose_phone_dies_while_it_rings_costs_the_caller_nothing() {
    let switch = Switch::start(lab("method = \"serial\"\nalert = \"5s\""));
    let (bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    // Nobody listens there any more.
    drop(bob);
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_carol = carol.pick_up();
    let mut of_alice = waits(&mut alice);
    talks(&mut carol, &mut of_carol, &mut alice);
    hangs_up(&mut alice, &mut of_alice, &mut carol);
    all_idle(&switch);
}

#[test]
fn calls_past_what_may_wait_go_on_and_who_waits_too_long_goes_on_as_well() {
    let more = "waiting_max = 1\noverflow_to = \"5500\"\nwait_max = \"10s\"\ntimeout_to = \"1004\"";
    let switch = Switch::start(lab(more));
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let _of_alice = waits(&mut alice);

    let (mut first, mut second) = (Party::new(&switch, "carol"), Party::new(&switch, "carol"));
    first.call("1100", "");
    let mut of_first = waits(&mut first);
    second.call("1100", "");
    let mut of_second = waits(&mut second);
    let echo = becomes(&switch, |group| group["overflowed"] == 1);
    assert_eq!(echo["waiting"], 1, "it is with the echo, not in the queue: {echo}");
    second.say(&mut of_second, "BYE", "", "");
    assert_eq!(status(&second.answer_to("BYE", 200)), Some(200));

    // Who waits is answered already; dave rings for it all the same.
    let mut dave = Party::at(support::wire::Wire::udp(switch.sip("udp")), "dave");
    dave.from = "sip:dave@example.com";
    dave.register("");
    let mut of_dave = dave.pick_up();
    talks(&mut first, &mut of_first, &mut dave);
    talks(&mut dave, &mut of_dave, &mut first);
    hangs_up(&mut dave, &mut of_dave, &mut first);
    hangs_up(&mut bob, &mut of_bob, &mut alice);
    all_idle(&switch);
    assert_eq!(group(&switch)["overflowed"], 2);
}

#[test]
fn a_group_with_nobody_there_sends_its_calls_on_or_refuses_them() {
    let switch = Switch::start(lab(""));
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let refused = alice.answer_to("INVITE", 200);
    assert_eq!(status(&refused), Some(480), "{refused}");
    assert!(header(&refused, "Reason").is_some_and(|why| why.contains("no agent is there")), "{refused}");
    all_idle(&switch);

    let switch = Switch::start(lab("nobody_to = \"1004\""));
    let mut dave = Party::at(support::wire::Wire::udp(switch.sip("udp")), "dave");
    dave.from = "sip:dave@example.com";
    dave.register("");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_dave = dave.pick_up();
    let mut of_alice = waits(&mut alice);
    talks(&mut alice, &mut of_alice, &mut dave);
    hangs_up(&mut dave, &mut of_dave, &mut alice);
    all_idle(&switch);
}

#[test]
fn agents_sign_in_and_out_and_a_restart_of_the_switch_and_the_death_of_the_actor_find_them_as_they_were() {
    // Who has refused does not ring again while the test lasts.
    let mut switch = Switch::start(lab("sign_in = true\nrest = \"60s\""));
    let order = |switch: &Switch, what: &str, agent: &str| {
        switch.post("/api/groups/desk", &json!({ "do": what, "agent": agent }))
    };
    {
        let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
        let mut alice = Party::new(&switch, "alice");
        alice.call("1100", "");
        assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(480), "nobody has signed in");
        let said = switch.command(&["groups", "sign-in", "1100", "carol"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(order(&switch, "sign-in", "dave").0, 404, "no agent of it");
        alice.call("1100", "");
        let at_carol = carol.wire.receive("INVITE");
        assert!(is_quiet(&mut bob));
        carol.reply(&at_carol, "486 Busy Here", "", "");
        carol.wire.receive("ACK");
        let mut of_alice = waits(&mut alice);
        let (code, answer) = order(&switch, "sign-out", "carol");
        assert_eq!(code, 200, "{answer}");
        // Nobody is left to wait for.
        let bye = alice.wire.receive("BYE");
        alice.reply(&bye, "200 OK", "", "");
        let _ = &mut of_alice;
        assert_eq!(order(&switch, "sign-in", "bob").0, 200);
        all_idle(&switch);
    }
    switch.kill9();
    switch.restart();
    assert_eq!(state(&group(&switch), "carol"), "signed-out");
    assert_ne!(state(&group(&switch), "bob"), "signed-out", "it was acknowledged");

    let killed = kill_the_group(&switch);
    assert!(killed, "the group is in the tree and comes back");
    assert_ne!(state(&group(&switch), "bob"), "signed-out");
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let mut of_alice = waits(&mut alice);
    talks(&mut alice, &mut of_alice, &mut bob);
    hangs_up(&mut bob, &mut of_bob, &mut alice);
    all_idle(&switch);
}

/// Kills the actor of the group, and sees it back.
fn kill_the_group(switch: &Switch) -> bool {
    let node = || {
        let tree = switch.get("/api/tree").1;
        tree["nodes"].as_array()?.iter().find(|node| node["kind"] == "group").cloned()
    };
    let before = node().expect("the group is in the tree");
    let path = before["path"].as_str().expect("a path").to_owned();
    assert!(switch.command(&["kill", &path]).status.success());
    let restarts = before["restarts"].as_u64().expect("a number");
    let back = |node: &Value| node["restarts"].as_u64() > Some(restarts) && node["state"] == "running";
    until(PATIENCE, || node().filter(&back)).is_some()
}

#[test]
fn who_waits_keeps_its_place_while_the_group_its_supervisor_and_the_calls_die() {
    let switch = Switch::start(lab(""));
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let _of_alice = waits(&mut alice);
    let mut carol = Party::new(&switch, "carol");
    carol.call("1100", "");
    let mut of_carol = waits(&mut carol);
    becomes(&switch, |group| group["waiting"] == 1);

    assert!(kill_the_group(&switch));
    let tree = switch.get("/api/tree").1.to_string();
    let supervisor = tree.split('"').find(|word| word.ends_with("/groups")).expect("in the tree").to_owned();
    assert!(switch.command(&["kill", &supervisor]).status.success());
    kill_the_call(&switch);
    let waits_still = becomes(&switch, |group| group["calls"].as_array().is_some_and(|calls| calls.len() == 2));
    assert_eq!(waits_still["calls"][1]["position"], 1, "{waits_still}");

    hangs_up(&mut bob, &mut of_bob, &mut alice);
    let mut of_bob = bob.pick_up();
    talks(&mut carol, &mut of_carol, &mut bob);
    hangs_up(&mut bob, &mut of_bob, &mut carol);
    all_idle(&switch);
}

#[test]
fn a_call_whose_actor_dies_while_agents_ring_goes_on_with_them() {
    let switch = Switch::start(lab("method = \"serial\"\nalert = \"60s\""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
    kill_the_call(&switch);
    bob.reply(&at_bob, "486 Busy Here", "", "");
    let mut of_carol = carol.pick_up();
    let mut of_alice = waits(&mut alice);
    talks(&mut alice, &mut of_alice, &mut carol);
    hangs_up(&mut carol, &mut of_carol, &mut alice);
    all_idle(&switch);
}

#[test]
fn a_running_switch_gets_groups_changes_them_and_lets_them_go_with_their_calls() {
    let switch = Switch::start(Config::lab());
    let file = switch.config_file();
    let plain = std::fs::read_to_string(&file).expect("a file");
    let with = |more: &str| {
        let group = "\n[[ring_group]]\nname = \"desk\"\nnumber = \"1100\"\nagents = [\"bob\"]\nnobody_to = \"5500\"\n";
        std::fs::write(&file, format!("{plain}{group}{more}")).expect("written");
        let applied = switch.command(&["apply", file.to_str().expect("a path")]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    };
    with("");
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "");
    let mut of_bob = bob.pick_up();
    let mut of_alice = waits(&mut alice);
    let mut carol = Party::new(&switch, "carol");
    carol.call("1100", "");
    let mut of_carol = waits(&mut carol);
    with("waiting_max = 7\n");
    assert_eq!(group(&switch)["waiting_max"], 7);

    std::fs::write(&file, &plain).expect("written");
    assert!(switch.command(&["apply", file.to_str().expect("a path")]).status.success());
    // Who waited is with the echo now; who talked talks on.
    let gone = until(PATIENCE, || (!switch.get("/api/tree").1.to_string().contains("/groups/desk")).then_some(()));
    assert!(gone.is_some(), "its actor has ended");
    talks(&mut alice, &mut of_alice, &mut bob);
    carol.say(&mut of_carol, "BYE", "", "");
    assert_eq!(status(&carol.answer_to("BYE", 200)), Some(200));
    hangs_up(&mut bob, &mut of_bob, &mut alice);
    idle(&switch);
}

#[test]
fn a_question_tells_which_agents_would_ring_and_where_the_call_goes_when_none_does() {
    let switch = Switch::start(lab("wait_max = \"60s\"\ntimeout_to = \"5502\"\nnobody_to = \"5500\""));
    let asked = || {
        let output = switch.command(&["route", "1100", "--from", "alice"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let nobody = asked();
    assert!(nobody.contains("no agent is there: the call goes to 5500"), "{nobody}");
    let _bob = Party::registered(&switch, "bob");
    let one = asked();
    for part in ["bob: agent of desk: free", "carol: agent of desk: away", "after 60 s", "Goes ring group desk"] {
        assert!(one.contains(part), "{part} is missing in\n{one}");
    }
}

#[test]
fn an_invite_that_runs_out_in_the_group_ends_with_487_and_one_that_was_answered_does_not() {
    let switch = Switch::start(lab(""));
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.call("1100", "Expires: 1\n");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "180 Ringing", "", "");
    let refused = alice.answer_to("INVITE", 487);
    assert_eq!(status(&refused), Some(487), "{refused}");
    bob.let_go(&at_bob);
    all_idle(&switch);
}
