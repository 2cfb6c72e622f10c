//! Real calls by the plan: out by its routes, in by its hunt groups, and from outside to nowhere else.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use support::carrier::Place;
use support::config::Config;
use support::party::{Party, SDP, end_of, idle, standing};
use support::switch::Switch;
use support::wire::{header, status};

/// An office with two carriers: the first is cheap and for Italy, the second for all the world, and the first's spare.
fn office(first: &Place, second: &Place, more: &str) -> Config {
    let plan = r#"
[[dial_plan]]
name = "office"
uri_type = "sip"
extension_digits = 4
country_code = "39"
international_prefix = "00"
access_code = "9"
number_formats = ["39061234xxxx"]
[[voice_policy]]
name = "staff"
usages = ["national", "world"]
[[voice_policy]]
name = "lobby"
usages = ["national"]
call_transfer = false
[[route]]
name = "italy"
pattern = '^\+39\d+$'
usages = ["national"]
gateways = ["first"]
[[route]]
name = "world"
pattern = '^\+\d+$'
exclude = ['^\+39899']
usages = ["world"]
gateways = ["second"]
[[route]]
name = "rescue"
pattern = '^112$'
usages = ["emergency"]
gateways = ["second"]
[[emergency]]
number = "112"
usage = "emergency"
[[hunt_group]]
name = "reception"
gateway = "first"
dial_plan = "office"
pilots = ["+390612340000"]
to = "1002"
"#;
    let lobby =
        "[[user]]\nname = \"lobby\"\npassword = \"lobby-secret\"\nextension = \"1009\"\nvoice_policy = \"lobby\"\n";
    let bare = "called_out = [{ pattern = '^\\+(\\d+)$', to = \"$1\" }]";
    Config::lab()
        .set("routing", "dial_plan", "\"office\"")
        .set("routing", "voice_policy", "\"staff\"")
        .set("routing", "blocked", "['^\\+3989']")
        .entry(lobby)
        .entry(&first.entry("first", bare))
        .entry(&second.entry("second", more))
        .entry(plan)
}

/// What the record of the call that has ended last says was decided.
fn decided(switch: &Switch, call_id: &str) -> String {
    let (code, record) = switch.get(&format!("/api/calls/{call_id}"));
    assert_eq!(code, 200, "{record}");
    record.to_string()
}

/// A call of a carrier: its INVITE.
fn call(carrier: &mut Party, number: &str, more: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(91_000);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let request = carrier.request("INVITE", &format!("sip:{number}@example.com"), 1, id, more, SDP);
    carrier.wire.send(&request);
    request
}

fn refused(carrier: &mut Party, invite: &str, answer: &str) {
    carrier.reply(invite, answer, "", "");
    carrier.wire.receive("ACK");
}

#[test]
fn the_next_usage_has_its_turn_when_the_gateway_of_the_first_fails_and_the_record_says_why() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("90612345678", "");
    let cheap = first.wire.receive("INVITE");
    assert!(cheap.starts_with("INVITE sip:390612345678@127.0.0.2"), "translated for this gateway: {cheap}");
    let from = header(&cheap, "From").unwrap();
    assert!(from.starts_with("<sip:390612341001@"), "the public number of extension 1001: {from}");
    refused(&mut first, &cheap, "503 Service Unavailable");
    let dear = second.wire.receive("INVITE");
    assert!(dear.starts_with("INVITE sip:+390612345678@127.0.0.3"), "{dear}");
    second.reply(&dear, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    second.wire.receive("ACK");
    let record = decided(&switch, &end.call_id);
    for step in [
        "rule of the country code: 90612345678 becomes +390612345678",
        "voice policy staff: the global one",
        "route italy: usage national",
        "gateway first: is sent 390612345678",
        "route world of usage world",
    ] {
        assert!(record.contains(step), "{step}\n{record}");
    }
    alice.say(&mut end, "BYE", "", "");
    let bye = second.wire.receive("BYE");
    second.reply(&bye, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    idle(&switch);
}

#[test]
fn a_policy_a_block_and_an_exclusion_hold_a_call_back_and_nothing_holds_back_an_emergency() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let (_first, mut second) = (first.party(&switch), second.party(&switch));
    let mut lobby = Party::new(&switch, "lobby");
    for (dialled, code, why) in [
        ("9003312345678", 403, "voice policy lobby has no usage of route world"),
        ("9899123456", 403, "is on the block list"),
    ] {
        let invite = lobby.call(dialled, "");
        let answer = lobby.heard(&invite);
        assert_eq!(status(&answer), Some(code), "{answer}");
        assert!(header(&answer, "Reason").unwrap().contains(why), "{answer}");
    }

    let emergency = lobby.call("9112", "");
    let invite = second.wire.receive("INVITE");

    assert!(invite.starts_with("INVITE sip:112@127.0.0.3"), "{invite}");
    refused(&mut second, &invite, "486 Busy Here");
    assert_eq!(status(&lobby.heard(&emergency)), Some(486));
    idle(&switch);
}

#[test]
fn a_call_of_a_carrier_reaches_its_hunt_group_and_leaves_by_no_other_carrier() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut bob = Party::registered(&switch, "bob");

    let asked = call(&mut first, "+390612340000", "");
    let invite = bob.wire.receive("INVITE");
    refused(&mut bob, &invite, "486 Busy Here");
    assert_eq!(status(&first.heard(&asked)), Some(486));

    for (number, more, code, why) in [
        ("1001", "", 404, "no hunt group of gateway first has pilot 1001"),
        ("+3312345678", "", 404, "has pilot +3312345678"),
        ("+390612340000", "Diversion: <tel:1001>;reason=no-answer\n", 404, "alice has no mailbox here"),
        (
            "+390612340000",
            "History-Info: <sip:1001@h>;index=1, <sip:+390612340000@h>;index=1.1\n",
            404,
            "alice has no mailbox",
        ),
    ] {
        let asked = call(&mut first, number, more);
        let answer = first.heard(&asked);
        assert_eq!(status(&answer), Some(code), "{answer}");
        assert!(header(&answer, "Reason").unwrap().contains(why), "{answer}");
    }
    // A gateway without hunt groups has the global plan, whose users it reaches, and nothing outside.
    let asked = call(&mut second, "1002", "");
    let invite = bob.wire.receive("INVITE");
    refused(&mut bob, &invite, "486 Busy Here");
    assert_eq!(status(&second.heard(&asked)), Some(486));
    for number in ["+390612345678", "90612345678", "5500"] {
        let asked = call(&mut second, number, "");
        let answer = second.heard(&asked);
        assert_eq!(status(&answer), Some(403), "{answer}");
    }
    idle(&switch);
}

#[test]
fn a_carrier_that_says_a_users_name_is_not_shown_as_that_user() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let mut second = second.party(&switch);
    let mut bob = Party::registered(&switch, "bob");
    let asked = second.request("INVITE", "sip:1002@example.com", 1, 91_900, "", SDP);
    let own = header(&asked, "From").expect("From").to_owned();
    let claimed = asked.replace(&own, "<sip:alice@example.com>;tag=claimed");

    second.wire.send(&claimed);

    let invite = bob.wire.receive("INVITE");
    let shown = header(&invite, "From").expect("From").to_owned();
    assert!(shown.starts_with("<sip:alice@example.com>") && !shown.contains("Alice"), "{shown}");
    refused(&mut bob, &invite, "486 Busy Here");
    assert_eq!(status(&second.heard(&claimed)), Some(486));
    idle(&switch);
}

#[test]
fn a_carrier_with_usages_of_its_own_passes_calls_on_to_another() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, "usages = [\"national\", \"world\"]"));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));

    let asked = call(&mut second, "+390612345678", "");

    let invite = first.wire.receive("INVITE");
    assert!(invite.starts_with("INVITE sip:390612345678@127.0.0.2"), "{invite}");
    refused(&mut first, &invite, "503 Service Unavailable");
    assert_eq!(status(&second.heard(&asked)), Some(500), "it does not go back where it came from");
    idle(&switch);
}

#[test]
fn a_phone_that_diverts_outside_does_so_with_its_users_policy() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let (mut first, _second) = (first.party(&switch), second.party(&switch));
    let mut lobby = Party::registered(&switch, "lobby");
    let mut alice = Party::new(&switch, "alice");

    alice.call("1009", "");
    let invite = lobby.wire.receive("INVITE");
    lobby.reply_with_contact(&invite, "302 Moved Temporarily", "sip:90612345678@example.com");
    let outside = first.wire.receive("INVITE");
    assert!(outside.starts_with("INVITE sip:390612345678@"), "{outside}");
    first.reply(&outside, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    first.wire.receive("ACK");
    alice.say(&mut end, "BYE", "", "");
    let bye = first.wire.receive("BYE");
    first.reply(&bye, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));

    // alice may call the world; the lobby's phone may not send her there.
    let asked = alice.call("1009", "");
    let invite = lobby.wire.receive("INVITE");
    lobby.reply_with_contact(&invite, "302 Moved Temporarily", "sip:9003312345678@example.com");
    assert_eq!(status(&alice.heard(&asked)), Some(480));
    idle(&switch);
}

#[test]
fn a_policy_without_transfer_refuses_refer() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(office(&first, &second, ""));
    let (mut bob, mut lobby) = (Party::registered(&switch, "bob"), Party::new(&switch, "lobby"));
    let (mut end, _theirs) = standing(&mut lobby, &mut bob);

    lobby.say(&mut end, "REFER", "Refer-To: <sip:1003@example.com>\n", "");

    let answer = lobby.answer_to("REFER", 200);
    assert_eq!(status(&answer), Some(403), "{answer}");
    lobby.say(&mut end, "BYE", "", "");
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    assert_eq!(status(&lobby.answer_to("BYE", 200)), Some(200));
    idle(&switch);
}
