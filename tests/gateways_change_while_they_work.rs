//! Gateways come, change and go with `strowger apply`, while the calls that are up stay as they are.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::carrier::{Place, entry, lab};
use support::config::Config;
use support::party::{End, Party, SDP, callee_end, end_of, formats, hangs_up, idle, sdp, talks};
use support::switch::Switch;
use support::wire::{header, status};
use support::{PATIENCE, until};

const ACCOUNT: &str = "username = \"0391234567\"\npassword = \"carrier-secret\"\nregister = true";

fn gateways(switch: &Switch) -> Vec<Value> {
    switch.get("/api/gateways").1["gateways"].as_array().cloned().expect("a list")
}

fn gateway(switch: &Switch, name: &str) -> Value {
    gateways(switch).into_iter().find(|one| one["name"] == name).unwrap_or(Value::Null)
}

fn apply(switch: &Switch, config: &Config) -> String {
    let file = switch.data().join("next.toml");
    // Ports that the kernel has chosen are ports of before.
    std::fs::write(&file, config.text(&switch.data())).expect("the file is written");
    let done = switch.command(&["apply", file.to_str().expect("a path")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Alice's call by the carrier: her end, and the carrier's.
fn call(alice: &mut Party, carrier: &mut Party) -> (End, End) {
    alice.call("955", "");
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "200 OK", "", SDP);
    let mut end = end_of(&alice.answer_to("INVITE", 200));
    alice.say(&mut end, "ACK", "", "");
    carrier.wire.receive("ACK");
    let far = callee_end(carrier, &invite);
    (end, far)
}

/// The carrier's keeper is in the tree.
fn is_kept(switch: &Switch, name: &str) -> bool {
    let tree = switch.command(&["tree", "--json"]);
    String::from_utf8_lossy(&tree.stdout).contains(&format!("/gateways/{name}\""))
}

#[test]
fn a_limit_that_changes_counts_the_calls_that_are_up() {
    let place = Place::at(2);
    let address = place.address();
    let with = |more: &str| lab(&[entry("carrier", address, more)]);
    let switch = Switch::start(with(""));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));
    let (mut near, mut far) = call(&mut alice, &mut carrier);

    let told = apply(&switch, &with("channels_max = 1"));
    assert!(told.contains("channels_max"), "{told}");

    let now = gateway(&switch, "carrier");
    assert_eq!((&now["channels"], &now["channels_max"], &now["state"]), (&json!(1), &json!(1), &json!("busy")));
    let mut bob = Party::new(&switch, "bob");
    bob.call("955", "");
    assert_eq!(status(&bob.answer_to("INVITE", 300)), Some(503));
    talks(&mut alice, &mut near, &mut carrier);
    hangs_up(&mut carrier, &mut far, &mut alice);
    idle(&switch);
    assert_eq!(gateway(&switch, "carrier")["channels"], 0);
}

#[test]
fn a_gateway_that_is_taken_out_keeps_its_call_and_no_keeper() {
    let (first, second) = (Place::at(2), Place::at(3));
    let both = lab(&[first.entry("first", ""), second.entry("second", "")]);
    let one = lab(&[second.entry("second", "")]);
    let switch = Switch::start(both);
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");
    let (mut near, _) = call(&mut alice, &mut first);

    apply(&switch, &one);

    until(PATIENCE, || (!is_kept(&switch, "first")).then_some(())).expect("its keeper has ended");
    assert!(is_kept(&switch, "second"));
    assert_eq!(gateways(&switch).len(), 1);
    // A stranger now; but its dialog stands.
    let request = first.request("INVITE", "sip:1002@example.com", 1, 95_001, "", SDP);
    first.wire.send(&request);
    assert_eq!(status(&first.answer_to("INVITE", 200)), Some(401));
    talks(&mut alice, &mut near, &mut first);
    let mut bob = Party::new(&switch, "bob");
    let (mut other, _) = call(&mut bob, &mut second);
    hangs_up(&mut alice, &mut near, &mut first);
    hangs_up(&mut bob, &mut other, &mut second);
    idle(&switch);
}

#[test]
fn a_gateway_that_comes_registers_and_takes_its_binding_back_when_it_goes_elsewhere() {
    let (old, new) = (Place::at(2), Place::at(3));
    let (at_old, at_new) = (old.address(), new.address());
    let switch = Switch::start(lab(&[entry("other", Place::at(4).address(), "")]));
    let (mut old, mut new) = (old.party(&switch), new.party(&switch));
    let registered = |carrier: &mut Party| {
        let asked = carrier.wire.receive("REGISTER");
        let contact = header(&asked, "Contact").expect("Contact").to_owned();
        carrier.reply(&asked, "200 OK", &format!("Contact: {contact};expires=600\n"), "");
        until(PATIENCE, || (gateway(&switch, "carrier")["registered"] == true).then_some(())).expect("registered");
    };

    apply(&switch, &lab(&[entry("carrier", at_old, ACCOUNT)]));
    registered(&mut old);
    assert!(!is_kept(&switch, "other"));

    apply(&switch, &lab(&[entry("carrier", at_new, ACCOUNT)]));
    let taken_back = old.wire.receive("REGISTER");
    assert_eq!(header(&taken_back, "Expires"), Some("0"), "{taken_back}");
    old.reply(&taken_back, "200 OK", "", "");
    registered(&mut new);

    // What the operator has ordered of it stands, when something else of it changes.
    assert!(switch.command(&["gateways", "drain", "carrier"]).status.success());
    apply(&switch, &lab(&[entry("carrier", at_new, &format!("{ACCOUNT}\nchannels_max = 5"))]));
    let now = gateway(&switch, "carrier");
    assert_eq!(
        (&now["state"], &now["registered"], &now["channels_max"]),
        (&json!("draining"), &json!(true), &json!(5))
    );
}

#[test]
fn a_switch_that_drains_tells_its_carriers_at_once() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", ACCOUNT)]));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));
    let asked = carrier.wire.receive("REGISTER");
    let contact = header(&asked, "Contact").expect("Contact").to_owned();
    carrier.reply(&asked, "200 OK", &format!("Contact: {contact};expires=600\n"), "");
    until(PATIENCE, || (gateway(&switch, "carrier")["registered"] == true).then_some(())).expect("registered");
    let (mut near, _) = call(&mut alice, &mut carrier);

    switch.post("/api/drain", &json!({ "deadline_s": 60 }));

    let taken_back = carrier.wire.receive("REGISTER");
    assert_eq!(header(&taken_back, "Expires"), Some("0"), "{taken_back}");
    carrier.reply(&taken_back, "200 OK", "", "");
    talks(&mut alice, &mut near, &mut carrier);
    hangs_up(&mut alice, &mut near, &mut carrier);
}

#[test]
fn a_gateway_that_is_given_up_has_its_channel_free_for_the_next_call() {
    let place = Place::at(2);
    // Half a minute until its transaction ends.
    let config = lab(&[place.entry("carrier", "silence = \"300ms\"\nchannels_max = 1")]).set("sip", "t1", "\"500ms\"");
    let switch = Switch::start(config);
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));

    alice.call("955", "");
    let silent = carrier.wire.receive("INVITE");
    assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(408));
    assert_eq!(gateway(&switch, "carrier")["channels"], 0);

    let mut bob = Party::new(&switch, "bob");
    bob.call("955", "");
    let other = |carrier: &mut Party| loop {
        let invite = carrier.wire.receive("INVITE");
        if header(&invite, "Call-ID") != header(&silent, "Call-ID") {
            break invite;
        }
    };
    let invite = other(&mut carrier);
    carrier.reply(&invite, "486 Busy Here", "", "");
    assert_eq!(status(&bob.answer_to("INVITE", 300)), Some(486));
}

#[test]
fn a_gateway_is_named_its_codecs_and_no_others() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", "codecs = [\"PCMA\"]")]));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));
    let mut bob = Party::registered(&switch, "bob");

    // Alice has PCMU alone: what the gateway is offered is what the switch makes of it.
    alice.call("955", "");
    let invite = carrier.wire.receive("INVITE");
    let codecs: Vec<u8> = formats(&invite).into_iter().filter(|format| *format < 96).collect();
    assert_eq!(codecs, [8], "{invite}");
    carrier.reply(&invite, "200 OK", "", &sdp(1, 40_002, &[8], "sendrecv"));
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(formats(&answer), [0], "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    carrier.wire.receive("ACK");
    hangs_up(&mut alice, &mut end, &mut carrier);

    // It offers two, and is answered with the one.
    let request =
        carrier.request("INVITE", "sip:1002@example.com", 1, 96_001, "", &sdp(1, 40_002, &[0, 8], "sendrecv"));
    carrier.wire.send(&request);
    let rings = bob.wire.receive("INVITE");
    bob.reply(&rings, "200 OK", "", &sdp(1, 40_000, &[0], "sendrecv"));
    let answer = carrier.answer_to("INVITE", 200);
    assert_eq!(formats(&answer), [8], "{answer}");
    let mut end = end_of(&answer);
    carrier.say(&mut end, "ACK", "", "");
    bob.wire.receive("ACK");
    hangs_up(&mut carrier, &mut end, &mut bob);
    idle(&switch);
}

#[test]
fn a_keeper_that_dies_costs_no_call_and_comes_back() {
    let place = Place::at(2);
    let config = lab(&[place.entry("carrier", "channels_max = 2")]).set("admin", "allow_faults", "true");
    let switch = Switch::start(config);
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));
    let (mut near, _) = call(&mut alice, &mut carrier);
    let tree = switch.command(&["tree", "--json"]);
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let paths = ["/gateways/carrier", "/gateways"].map(|end| {
        tree.split('"').find(|word| word.ends_with(end)).unwrap_or_else(|| panic!("{end} is in the tree")).to_owned()
    });

    for path in paths {
        let killed = switch.command(&["kill", &path]);
        assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
        until(PATIENCE, || is_kept(&switch, "carrier").then_some(())).expect("the keeper is back");
        let obeys = || switch.command(&["gateways", "enable", "carrier"]).status.success().then_some(());
        until(PATIENCE, obeys).expect("it does what it is told");
        assert_eq!(gateway(&switch, "carrier")["channels"], 1);
        talks(&mut alice, &mut near, &mut carrier);
    }
    hangs_up(&mut alice, &mut near, &mut carrier);
    idle(&switch);
    assert_eq!(
        until(Duration::from_secs(5), || (gateway(&switch, "carrier")["channels"] == 0).then_some(())),
        Some(())
    );
}
