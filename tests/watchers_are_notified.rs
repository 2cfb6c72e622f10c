//! Who watches a user's registrations (RFC 3680) or calls (RFC 4235) is told of every change, in XML that can be read.

mod support;

use support::agent::{Agent, Dialog, description};
use support::config::Config;
use support::switch::Switch;
use support::wire::{Wire, header, status};

fn agent(switch: &Switch, name: &str) -> Agent {
    Agent::new(Wire::udp(switch.sip("udp")), name)
}

fn subscribe(agent: &mut Agent, to: &str, event: &str, expires_s: u32) -> String {
    let extra = format!("Event: {event}\nExpires: {expires_s}\n");
    let request = agent.request("SUBSCRIBE", &format!("sip:{to}@example.com"), &extra, "");
    agent.ask_as_user(&request)
}

/// The document of a NOTIFY, with every element closed in order.
fn document(notify: &str) -> &str {
    let body = notify.split_once("\r\n\r\n").map(|(_, body)| body).expect("a body");
    let mut open = Vec::new();
    for tag in body.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{body}"),
            None if tag.starts_with('?') || tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().expect("a name")),
        }
    }
    assert!(open.is_empty() && body.starts_with("<?xml version=\"1.0\"?>"), "{body}");
    body
}

fn state(notify: &str) -> &str {
    header(notify, "Subscription-State").expect("RFC 6665 section 8.2.3")
}

/// NOTIFYs until one whose document contains this.
fn told(agent: &mut Agent, what: &str) -> String {
    loop {
        let notify = agent.expect("NOTIFY");
        if document(&notify).contains(what) {
            return notify;
        }
    }
}

#[test]
fn a_user_watches_its_own_registrations() {
    let switch = Switch::start(Config::lab());
    let mut desk = agent(&switch, "alice");

    let answer = subscribe(&mut desk, "alice", "reg", 600);
    assert_eq!((status(&answer), header(&answer, "Expires")), (Some(200), Some("600")), "{answer}");
    let first = desk.expect("NOTIFY");
    assert!(document(&first).contains("state=\"init\"") && document(&first).contains("version=\"0\""), "{first}");
    assert!(state(&first).starts_with("active;expires="), "{first}");
    assert_eq!(
        (header(&first, "Event"), header(&first, "Content-Type")),
        (Some("reg"), Some("application/reginfo+xml"))
    );

    let mut mobile = agent(&switch, "alice");
    mobile.register(600);
    let there = told(&mut desk, "state=\"active\"");
    assert!(document(&there).contains(&format!("sip:alice@{}", mobile.wire.local())), "{there}");
    assert!(document(&there).contains("version=\"1\""), "{there}");

    mobile.register(0);
    let gone = told(&mut desk, "version=\"2\"");
    assert!(!document(&gone).contains("state=\"active\""), "{gone}");
}

#[test]
fn registrations_of_others_are_nobodys_business() {
    let switch = Switch::start(Config::lab());

    let answer = subscribe(&mut agent(&switch, "alice"), "bob", "reg", 600);
    assert_eq!(status(&answer), Some(403), "{answer}");
}

#[test]
fn a_lamp_shows_ringing_talking_and_dark() {
    let switch = Switch::start(Config::lab().set("node", "shards", "2"));
    let mut bob = agent(&switch, "bob").ringing();
    bob.register(600);
    let bob = bob.serve();
    let mut dave = agent(&switch, "dave");
    let answer = subscribe(&mut dave, "bob", "dialog", 600);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let dark = dave.expect("NOTIFY");
    assert!(!document(&dark).contains("<dialog "), "{dark}");
    assert!(document(&dark).contains("entity=\"sip:bob@example.com\""), "{dark}");
    assert_eq!(header(&dark, "Content-Type"), Some("application/dialog-info+xml"));

    let mut alice = agent(&switch, "alice");
    let extra = "Content-Type: application/sdp\n";
    let request = alice.request("INVITE", "sip:1002@example.com", extra, &description(None, "sendrecv"));
    let challenge = alice.ask(&request);
    let invite = alice.signed(&request, &challenge, "alice-secret");
    alice.wire.send(&invite);
    let early = told(&mut dave, "<state>early</state>");
    assert!(document(&early).contains("direction=\"recipient\""), "{early}");
    assert!(document(&early).contains("sip:alice@example.com"), "{early}");

    let mut bob = bob.back();
    let at_bob = bob.expect("INVITE");
    let (ok, body) = ("Content-Type: application/sdp\n", description(None, "sendrecv"));
    bob.reply(&at_bob, "200 OK", ok, &body);
    let of_bob: Dialog = bob.taken(&at_bob);
    alice.wire.receive("SIP/2.0 200");
    told(&mut dave, "<state>confirmed</state>");

    let serving = alice.serve();
    bob.hang_up(of_bob);
    serving.back();
    let over = loop {
        let notify = dave.expect("NOTIFY");
        if !document(&notify).contains("<state>confirmed</state>") {
            break notify;
        }
    };
    assert!(!document(&over).contains("<state>early</state>"), "{over}");
}

#[test]
fn a_lamp_shows_a_user_who_calls_a_service_number() {
    let switch = Switch::start(Config::lab());
    let mut dave = agent(&switch, "dave");
    subscribe(&mut dave, "alice", "dialog", 600);
    let mut alice = agent(&switch, "alice");

    let dialog = alice.call("5500");
    let lit = told(&mut dave, "<state>confirmed</state>");
    assert!(document(&lit).contains("direction=\"initiator\""), "{lit}");
    alice.hang_up(dialog);
    loop {
        let notify = dave.expect("NOTIFY");
        if !document(&notify).contains("<state>confirmed</state>") {
            break;
        }
    }
}

#[test]
fn a_package_that_the_switch_does_not_have_gets_489_with_those_that_it_has() {
    let switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");

    let answer = subscribe(&mut alice, "bob", "presence", 600);
    assert_eq!(status(&answer), Some(489), "{answer}");
    let packages = header(&answer, "Allow-Events").unwrap_or_default();
    assert!(packages.contains("reg") && packages.contains("dialog"), "{answer}");
}

#[test]
fn a_subscription_that_is_too_short_gets_423() {
    let switch = Switch::start(Config::lab());

    let answer = subscribe(&mut agent(&switch, "alice"), "alice", "reg", 5);
    assert_eq!(status(&answer), Some(423), "{answer}");
    assert!(header(&answer, "Min-Expires").is_some(), "{answer}");
}

#[test]
fn a_subscription_is_refreshed_and_ended_with_expires_0() {
    let switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");
    let answer = subscribe(&mut alice, "alice", "reg", 600);
    alice.expect("NOTIFY");
    let mut dialog = alice.watched(&answer);

    let refreshed = alice.inside(&mut dialog, "SUBSCRIBE", "Event: reg\nExpires: 900\n", "");
    assert_eq!((status(&refreshed), header(&refreshed, "Expires")), (Some(200), Some("900")), "{refreshed}");
    let notify = alice.expect("NOTIFY");
    assert!(state(&notify).starts_with("active;expires="), "{notify}");

    let ended = alice.inside(&mut dialog, "SUBSCRIBE", "Event: reg\nExpires: 0\n", "");
    assert_eq!(status(&ended), Some(200), "{ended}");
    let last = alice.expect("NOTIFY");
    assert!(state(&last).starts_with("terminated"), "{last}");
    let nothing = alice.inside(&mut dialog, "SUBSCRIBE", "Event: reg\nExpires: 900\n", "");
    assert_eq!(status(&nothing), Some(481), "{nothing}");
}

#[test]
fn a_watcher_who_is_gone_is_forgotten_when_it_says_481() {
    let switch = Switch::start(Config::lab());
    let mut alice = agent(&switch, "alice");
    let answer = subscribe(&mut alice, "alice", "reg", 600);
    alice.expect("NOTIFY");
    let mut dialog = alice.watched(&answer);

    // The next NOTIFY meets a phone that has forgotten its subscription (RFC 6665 section 4.2.2).
    let mut mobile = agent(&switch, "alice");
    mobile.register(600);
    let notify = alice.wire.receive("NOTIFY");
    alice.reply(&notify, "481 Subscription Does Not Exist", "", "");
    let gone = support::until(support::PATIENCE, || {
        let answer = alice.inside(&mut dialog, "SUBSCRIBE", "Event: reg\nExpires: 900\n", "");
        (status(&answer) == Some(481)).then_some(())
    });
    assert!(gone.is_some(), "the subscription is still there");
}
