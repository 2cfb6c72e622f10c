//! A call for a mailbox that goes elsewhere: to the node that keeps the mailbox, to who takes faxes, or from a user's forwarding to
//! the user's own mailbox.

mod support;

use serde_json::json;
use support::carrier::Place;
use support::config::Config;
use support::party::{Party, SDP, idle};
use support::phone::Phone;
use support::switch::Switch;
use support::wire::{header, status};
use support::{PATIENCE, until};

/// The lab with mailboxes, of which those of the policy `far` are at the gateway `node-2`.
fn with_home(node: &Place, pbx: &Place, front: &str) -> Config {
    let far =
        format!("[[mailbox_policy]]\nname = \"far\"\nhome = \"node-2\"\nhome_pilot = \"5000\"\nfront = {front:?}\n");
    let user = "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1010\"\nmailbox = \"far\"\n";
    Config::with_mailboxes()
        .entry(&far)
        .entry(user)
        .entry(&node.entry("node-2", "call_history = true"))
        .entry(&pbx.entry("pbx", ""))
}

#[test]
fn a_caller_is_sent_to_the_node_that_keeps_the_mailbox() {
    let (node, pbx) = (Place::at(2), Place::at(3));
    let at = node.address();
    let switch = Switch::start(with_home(&node, &pbx, "redirect"));
    let mut pbx = pbx.party(&switch);
    // From a gateway, which says whom the call was for.
    let diverted = "Diversion: <sip:1010@example.com>;reason=user-busy\n";
    let asked = pbx.request("INVITE", "sip:5000@example.com", 1, 91_500, diverted, SDP);
    pbx.wire.send(&asked);
    let answer = pbx.heard(&asked);
    assert_eq!(status(&answer), Some(302), "{answer}");
    assert_eq!(header(&answer, "Contact"), Some(&*format!("<sip:5000@{at}>")), "{answer}");
    assert_eq!(header(&answer, "Diversion"), None, "{answer}");
    // From within: the switch says it.
    let mut alice = Party::registered(&switch, "alice");
    let asked = alice.call("1010", "");
    let answer = alice.heard(&asked);
    assert_eq!(status(&answer), Some(302), "{answer}");
    assert_eq!(header(&answer, "Contact"), Some(&*format!("<sip:5000@{at}>")), "{answer}");
    let diversion = header(&answer, "Diversion").unwrap_or_default();
    assert!(diversion.starts_with("<sip:1010@example.com>;reason=no-answer"), "{answer}");
    // This node keeps nothing of it.
    assert_eq!(switch.get("/api/mailboxes/erin").0, 404);
    idle(&switch);
}

#[test]
fn a_call_goes_through_to_the_node_that_keeps_the_mailbox() {
    let (node, pbx) = (Place::at(2), Place::at(3));
    let switch = Switch::start(with_home(&node, &pbx, "proxy"));
    let mut node = node.party(&switch);
    let mut alice = Party::registered(&switch, "alice");
    let asked = alice.call("1010", "");
    let invite = node.wire.receive("INVITE");
    assert!(invite.starts_with("INVITE sip:5000@127.0.0.2"), "{invite}");
    let diversion = header(&invite, "Diversion").unwrap_or_default();
    assert!(diversion.contains("1010@example.com>;reason=no-answer"), "{invite}");
    node.reply(&invite, "486 Busy Here", "", "");
    node.wire.receive("ACK");
    assert_eq!(status(&alice.heard(&asked)), Some(486));
    idle(&switch);
}

#[test]
fn a_fax_machine_is_connected_with_who_takes_faxes_and_forwarding_to_voice_access_leads_to_the_own_mailbox() {
    let switch = Switch::start(Config::with_mailboxes().mailbox_policy("fax", "\"1002\""));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    // carol sends all her calls to 5000, which is her mailbox then and asks for no PIN.
    let (code, answer) = switch.send("POST", "/api/features/carol", &json!({ "forward_all": "5000" }));
    assert_eq!(code, 200, "{answer}");
    let call = alice.call("1003");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");
    // ITU-T T.30: half a second of each three and a half.
    alice.play_cadence(call, 1100, 500, 3000);
    let fax = bob.pick_up();
    bob.expect_media(fax, "active");
    bob.hears_tone(fax, 1100.0);
    bob.hang_up(fax);
    alice.expect_state(call, "disconnected");
    let record = until(PATIENCE, || {
        let record = switch.get("/api/calls?ended=1").1["calls"][0].clone();
        record["mail"].is_object().then_some(record)
    });
    let record = record.expect("a record");
    let mail = &record["mail"];
    let told = (&mail["kind"], &mail["result"], &mail["reason"], &mail["callee_mailbox"]);
    let wanted = (&json!("fax"), &json!("redirected"), &json!("divert_forward"), &json!("carol"));
    assert_eq!(told, wanted, "{record}");
    let (_, answer) = switch.get("/api/mailboxes/carol");
    assert_eq!(answer["mailbox"]["messages"], json!([]), "{answer}");
}
