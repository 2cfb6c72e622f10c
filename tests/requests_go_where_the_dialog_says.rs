//! RFC 3261 section 12.2.1.1: a request inside a dialog goes to the first Route, or else to the target, which may move; and
//! back the way that the peer came where the peer's address means nothing here.

mod support;

use std::net::UdpSocket;
use support::config::Config;
use support::party::{Party, SDP, callee_end, end_of, sdp, standing};
use support::switch::Switch;
use support::wire::{Wire, header, status};

/// Another place than the parties': an address of loopback of its own.
fn elsewhere(switch: &Switch) -> Wire {
    let socket = UdpSocket::bind("127.0.0.2:0").expect("all of 127/8 is loopback");
    Wire::udp_from(socket, switch.sip("udp"))
}

/// Alice calls bob, who picks up; their ends.
fn call(alice: &mut Party, bob: &mut Party, more: &str) -> (support::party::End, support::party::End) {
    alice.call("bob", more);
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    (end, callee_end(bob, &invite))
}

/// Takes the next request of this method at `place` and answers it as `party`.
fn taken(place: &mut Wire, party: &mut Party, method: &str) -> String {
    let request = place.receive(method);
    // Whoever is there answers; the switch finds the transaction by its branch.
    std::mem::swap(place, &mut party.wire);
    party.reply(&request, "200 OK", "", "");
    std::mem::swap(place, &mut party.wire);
    request
}

#[test]
fn a_bye_goes_to_the_proxy_that_has_recorded_its_route() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut proxy, phone) = (elsewhere(&switch), elsewhere(&switch));
    let target = format!("sip:alice@{}", phone.local());
    alice.contact = Some(target.clone());
    let route = format!("<sip:{};lr>", proxy.local());
    let (_, mut of_bob) = call(&mut alice, &mut bob, &format!("Record-Route: {route}\n"));
    bob.wire.receive("ACK");

    bob.say(&mut of_bob, "BYE", "", "");

    let bye = taken(&mut proxy, &mut alice, "BYE");
    assert!(bye.starts_with(&format!("BYE {target} ")), "{bye}");
    assert_eq!(header(&bye, "Route"), Some(route.as_str()));
}

#[test]
fn without_a_recorded_route_requests_go_straight_to_the_contact() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut at_alice, mut at_bob) = (elsewhere(&switch), elsewhere(&switch));
    alice.contact = Some(format!("sip:alice@{}", at_alice.local()));
    bob.contact = Some(format!("sip:bob@{}", at_bob.local()));

    let (mut of_alice, _) = call(&mut alice, &mut bob, "");

    at_bob.receive("ACK");
    alice.say(&mut of_alice, "INFO", "Info-Package: test\n", "");
    taken(&mut at_bob, &mut bob, "INFO");
    assert_eq!(status(&alice.answer_to("INFO", 200)), Some(200));
    let ended = switch.post("/api/drain", &serde_json::json!({ "deadline_s": 0 }));
    assert!(ended.0 < 300, "{ended:?}");
    taken(&mut at_bob, &mut bob, "BYE");
    taken(&mut at_alice, &mut alice, "BYE");
}

#[test]
fn a_contact_that_moves_takes_the_requests_that_follow_with_it() {
    let switch = Switch::start(Config::lab());
    for method in ["INVITE", "UPDATE"] {
        let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
        let (mut of_alice, mut of_bob) = standing(&mut alice, &mut bob);
        let mut moved = elsewhere(&switch);
        bob.contact = Some(format!("sip:bob@{}", moved.local()));

        bob.say(&mut of_bob, method, "", &sdp(2, 40_002, &[0], "sendrecv"));
        assert_eq!(status(&bob.answer_to(method, 200)), Some(200));
        if method == "INVITE" {
            bob.say(&mut of_bob, "ACK", "", "");
        }

        alice.say(&mut of_alice, "INFO", "Info-Package: test\n", "");
        taken(&mut moved, &mut bob, "INFO");
        assert_eq!(status(&alice.answer_to("INFO", 200)), Some(200), "{method}");
        alice.say(&mut of_alice, "BYE", "", "");
        taken(&mut moved, &mut bob, "BYE");
        // The binding of this round must not ring in the next.
        bob.contact = None;
        bob.register("Expires: 0\n");
    }
}

#[test]
fn phones_behind_a_nat_are_spoken_to_by_the_way_that_they_came() {
    let switch = Switch::start(Config::lab());
    let mut bob = Party::new(&switch, "bob");
    bob.contact = Some("sip:bob@10.11.12.13:5060".into());
    bob.register("");
    let mut alice = Party::new(&switch, "alice");
    alice.contact = Some("sip:alice@192.168.3.4".into());

    let (mut of_alice, mut of_bob) = call(&mut alice, &mut bob, "");

    bob.wire.receive("ACK");
    alice.say(&mut of_alice, "INFO", "Info-Package: test\n", "");
    let info = bob.wire.receive("INFO");
    assert!(info.starts_with("INFO sip:bob@10.11.12.13:5060 "), "{info}");
    bob.reply(&info, "200 OK", "", "");
    bob.say(&mut of_bob, "BYE", "", "");
    let bye = alice.wire.receive("BYE");
    assert!(bye.starts_with("BYE sip:alice@192.168.3.4 "), "{bye}");
}

#[test]
fn a_phone_that_comes_from_elsewhere_behind_its_nat_is_followed_there() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    bob.contact = Some("sip:bob@10.11.12.13:5060".into());
    let (mut of_alice, mut of_bob) = call(&mut alice, &mut bob, "");
    bob.wire.receive("ACK");

    // From one network into another, whose addresses mean as little here.
    bob.wire = elsewhere(&switch);
    bob.say(&mut of_bob, "INVITE", "", &sdp(2, 40_002, &[0], "sendrecv"));
    assert_eq!(status(&bob.answer_to("INVITE", 200)), Some(200));
    bob.say(&mut of_bob, "ACK", "", "");

    alice.say(&mut of_alice, "BYE", "", "");
    bob.wire.receive("BYE");
}

#[test]
fn notifications_go_to_the_contact_of_the_watcher() {
    let switch = Switch::start(Config::lab());
    let mut alice = Party::new(&switch, "alice");
    let (mut at_alice, mut moved) = (elsewhere(&switch), elsewhere(&switch));
    alice.contact = Some(format!("sip:alice@{}", at_alice.local()));

    alice.begin("SUBSCRIBE", "sip:alice@example.com", "Event: reg\nExpires: 600\n", "");
    let answer = alice.answer_to("SUBSCRIBE", 200);
    taken(&mut at_alice, &mut alice, "NOTIFY");

    alice.contact = Some(format!("sip:alice@{}", moved.local()));
    alice.say(&mut end_of(&answer), "SUBSCRIBE", "Event: reg\nExpires: 600\n", "");
    taken(&mut moved, &mut alice, "NOTIFY");
}
