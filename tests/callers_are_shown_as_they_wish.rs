//! Who calls is told to whom it may be told: number and name, privacy, asserted identities, and who has sent the call on.

mod support;

use support::carrier::{Place, lab};
use support::config::Config;
use support::party::{Party, SDP, callee_end, end_of, idle};
use support::switch::Switch;
use support::wire::{header, status};
use support::{PATIENCE, until};

const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Somebody with two public numbers, and a name.
const ZOE: &str = "[[user]]\nname = \"zoe\"\ndisplay = \"Zoë\"\npassword = \"zoe-secret\"\nextension = \"1009\"\n\
                   tel = [\"+390612345\", \"+390612346\"]\n";

fn from(invite: &str) -> String {
    let from = header(invite, "From").expect("From");
    from.split(";tag=").next().expect("a value").to_owned()
}

fn all<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    let fields = message.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| *field == name).map(|(_, value)| value.trim_end()).collect()
}

/// A carrier with these settings, and a switch that knows it.
fn with(settings: &str) -> (Switch, Party) {
    with_config(settings, |config| config)
}

fn with_config(settings: &str, change: impl Fn(Config) -> Config) -> (Switch, Party) {
    let place = Place::at(2);
    let switch = Switch::start(change(lab(&[place.entry("carrier", settings)]).entry(ZOE)));
    let carrier = place.party(&switch);
    (switch, carrier)
}

/// The carrier's INVITE for 1002, with these header lines.
fn invite(carrier: &mut Party, id: u32, more: &str) {
    let request = carrier.request("INVITE", "sip:1002@example.com", 1, id, more, SDP);
    carrier.wire.send(&request);
}

/// What the carrier gets of a call of this user with these header lines; the call is refused then.
fn heard_outside(switch: &Switch, carrier: &mut Party, user: &'static str, more: &str) -> String {
    let mut caller = Party::new(switch, user);
    caller.call("90391234567", more);
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "404 Not Found", "", "");
    assert_eq!(status(&caller.answer_to("INVITE", 300)), Some(404));
    invite
}

/// What bob's phone gets of the carrier's call with these header lines; the call is refused then.
fn heard_inside(carrier: &mut Party, bob: &mut Party, id: u32, more: &str) -> String {
    invite(carrier, id, more);
    let heard = bob.wire.receive("INVITE");
    bob.reply(&heard, "486 Busy Here", "", "");
    assert_eq!(status(&carrier.answer_to("INVITE", 200)), Some(486));
    heard
}

#[test]
fn a_caller_that_wishes_so_is_anonymous_outside_and_known_to_who_is_trusted() {
    let (first, second) = (Place::at(2), Place::at(3));
    let entries = [first.entry("first", "trusted = true\nnames = \"out\""), second.entry("second", "")];
    let switch = Switch::start(lab(&entries).entry(ZOE));
    let (mut trusted, mut other) = (first.party(&switch), second.party(&switch));
    let mut zoe = Party::new(&switch, "zoe");

    zoe.call("90391234567", "Privacy: id\n");
    let invite = trusted.wire.receive("INVITE");
    assert_eq!(from(&invite), ANONYMOUS);
    assert_eq!(all(&invite, "P-Asserted-Identity"), ["\"Zoë\" <sip:+390612345@example.com>"]);
    assert_eq!(all(&invite, "Privacy"), ["id"]);
    trusted.reply(&invite, "503 Service Unavailable", "", "");

    let invite = other.wire.receive("INVITE");
    assert_eq!(from(&invite), ANONYMOUS);
    assert_eq!(all(&invite, "P-Asserted-Identity"), Vec::<&str>::new());
    assert_eq!(all(&invite, "Privacy"), ["id"]);
    assert!(!invite.contains("+390612345") && !invite.contains("zoe"), "{invite}");
    other.reply(&invite, "404 Not Found", "", "");
    assert_eq!(status(&zoe.answer_to("INVITE", 300)), Some(404));
    idle(&switch);
}

#[test]
fn a_caller_chooses_among_its_own_numbers_and_among_no_others() {
    let (switch, mut carrier) = with("trusted = true");

    let plain = heard_outside(&switch, &mut carrier, "zoe", "");
    let chosen = heard_outside(&switch, &mut carrier, "zoe", "P-Preferred-Identity: <sip:+390612346@example.com>\n");
    let foreign = heard_outside(&switch, &mut carrier, "zoe", "P-Preferred-Identity: <tel:+390699999>\n");
    let asserted = heard_outside(&switch, &mut carrier, "zoe", "P-Asserted-Identity: <tel:+390699999>\n");

    // Names of users go to nobody whose `names` does not say so.
    assert_eq!(from(&plain), "<sip:+390612345@example.com>");
    assert_eq!(from(&chosen), "<sip:+390612346@example.com>");
    assert_eq!(all(&chosen, "P-Asserted-Identity"), ["<sip:+390612346@example.com>"]);
    assert_eq!(from(&foreign), from(&plain));
    assert_eq!(from(&asserted), from(&plain));
    assert_eq!(all(&asserted, "P-Asserted-Identity"), ["<sip:+390612345@example.com>"]);
}

#[test]
fn a_gateway_may_be_shown_nobody_and_has_addresses_of_its_own_domain() {
    let (switch, mut carrier) = with("anonymous = true\ntrusted = true\ndomain = \"carrier.example\"");

    let heard = heard_outside(&switch, &mut carrier, "zoe", "Privacy: none\n");

    assert_eq!(from(&heard), ANONYMOUS);
    assert_eq!(all(&heard, "P-Asserted-Identity"), ["<sip:+390612345@carrier.example>"]);
}

#[test]
fn what_a_trusted_gateway_asserts_is_shown_inside() {
    let (switch, mut carrier) = with("trusted = true\ncaller_in = [{ pattern = \"^0039(.+)$\", to = \"+39$1\" }]");
    let mut bob = Party::registered(&switch, "bob");

    let asserted = "P-Asserted-Identity: \"Carla\" <sip:00390655555;verstat=TN-Validation-Passed@carrier.example>\n";
    let heard = heard_inside(&mut carrier, &mut bob, 91_001, asserted);
    assert_eq!(from(&heard), "\"Carla\" <sip:+390655555;verstat=TN-Validation-Passed@example.com>");

    let hidden = format!("{asserted}Privacy: id\n");
    let heard = heard_inside(&mut carrier, &mut bob, 91_002, &hidden);
    assert_eq!(from(&heard), ANONYMOUS);
    assert!(!heard.contains("0655555") && !heard.contains("Carla"), "{heard}");
    idle(&switch);
    // The operator sees who it was.
    let record = until(PATIENCE, || {
        let record = switch.get("/api/calls/corner-91002").1;
        record["ended"].is_object().then_some(record)
    });
    assert_eq!(record.expect("the call's record")["ended"]["from"], "+390655555@example.com");
}

#[test]
fn what_another_gateway_asserts_is_not_believed() {
    let (switch, mut carrier) = with("");
    let mut bob = Party::registered(&switch, "bob");

    let asserted = "P-Asserted-Identity: \"Carla\" <sip:+390655555;verstat=TN-Validation-Passed@carrier.example>\n";
    let heard = heard_inside(&mut carrier, &mut bob, 92_001, asserted);

    assert_eq!(from(&heard), "<sip:carol@example.com>");
    assert!(!heard.contains("0655555") && !heard.contains("Carla") && !heard.contains("verstat"), "{heard}");
}

#[test]
fn a_watcher_does_not_learn_who_is_hidden() {
    let (switch, mut carrier) = with("");
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    alice.begin("SUBSCRIBE", "sip:bob@example.com", "Event: dialog\nExpires: 600\n", "");
    let notify = alice.wire.receive("NOTIFY");
    alice.reply(&notify, "200 OK", "", "");

    invite(&mut carrier, 93_001, "Privacy: id\n");
    let heard = bob.wire.receive("INVITE");
    bob.reply(&heard, "180 Ringing", "", "");
    let told = loop {
        let notify = alice.wire.receive("NOTIFY");
        alice.reply(&notify, "200 OK", "", "");
        if notify.contains("<dialog ") {
            break notify;
        }
    };

    assert!(told.contains("anonymous@anonymous.invalid") && !told.contains("carol"), "{told}");
    bob.reply(&heard, "486 Busy Here", "", "");
    assert_eq!(status(&carrier.answer_to("INVITE", 200)), Some(486));
}

#[test]
fn a_phone_that_sends_its_call_outside_is_named_where_the_gateway_is_told_such_things() {
    for tells in [true, false] {
        let (switch, mut carrier) = with(&format!("call_history = {tells}"));
        let mut bob = Party::registered(&switch, "bob");
        let mut alice = Party::new(&switch, "alice");

        alice.call("1002", "");
        let rings = bob.wire.receive("INVITE");
        bob.reply_with_contact(&rings, "302 Moved Temporarily", "sip:90391234567@example.com");
        bob.wire.receive("ACK");
        let heard = carrier.wire.receive("INVITE");

        if tells {
            let there = carrier.wire.local();
            assert_eq!(from(&heard), "<sip:1001@example.com>", "the caller's own number");
            assert_eq!(all(&heard, "Diversion"), ["<sip:1002@example.com>;reason=deflection;counter=1"]);
            assert_eq!(
                all(&heard, "History-Info"),
                [
                    "<sip:1002@example.com?Reason=SIP%3Bcause%3D302>;index=1".to_owned(),
                    format!("<sip:0391234567@{there};cause=480>;index=1.1;mp=1"),
                ]
            );
        } else {
            assert_eq!(from(&heard), "<sip:1002@example.com>", "the number of who pays");
            assert!(all(&heard, "Diversion").is_empty() && all(&heard, "History-Info").is_empty(), "{heard}");
        }
        carrier.reply(&heard, "404 Not Found", "", "");
        assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(404));
    }
}

#[test]
fn a_call_that_is_transferred_outside_says_who_has_sent_it() {
    let (switch, mut carrier) = with("call_history = true");
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    let (mut of_alice, mut of_bob) = support::party::standing(&mut alice, &mut bob);

    bob.say(&mut of_bob, "REFER", "Refer-To: <sip:90391234567@example.com>\n", "");
    assert_eq!(status(&bob.answer_to("REFER", 200)), Some(202));
    let heard = carrier.wire.receive("INVITE");

    assert_eq!(from(&heard), "<sip:1001@example.com>");
    assert_eq!(all(&heard, "Diversion"), ["<sip:1002@example.com>;reason=deflection;counter=1"]);
    assert_eq!(all(&heard, "Referred-By"), ["<sip:1002@example.com>"]);
    carrier.reply(&heard, "200 OK", "", SDP);
    carrier.wire.receive("ACK");
    let mut far = callee_end(&carrier, &heard);
    bob.notified("200 OK");
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    support::party::talks(&mut alice, &mut of_alice, &mut carrier);
    carrier.say(&mut far, "BYE", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_call_that_passes_through_keeps_its_signature_and_its_history() {
    let (first, second) = (Place::at(2), Place::at(3));
    let entries = [
        first.entry("first", "usages = [\"out\"]\ncalled_in = [{ pattern = \"^77(.+)$\", to = \"9$1\" }]"),
        second.entry("second", "call_history = true"),
    ];
    let switch = Switch::start(lab(&entries));
    let (mut one, mut two) = (first.party(&switch), second.party(&switch));
    let more = "Identity: abc.def.sig;info=<https://carrier.example/c.pem>;alg=ES256;ppt=shaken\n\
                Diversion: <sip:+390650000@carrier.example>;reason=user-busy\n\
                History-Info: <sip:+390650000@carrier.example>;index=1, <sip:770391234567@example.com>;index=1.1\n";

    let request = one.request("INVITE", "sip:770391234567@example.com", 1, 94_001, more, SDP);
    one.wire.send(&request);
    let heard = two.wire.receive("INVITE");

    let there = two.wire.local();
    assert!(heard.starts_with(&format!("INVITE sip:0391234567@{there} ")), "{heard}");
    assert_eq!(all(&heard, "Identity"), ["abc.def.sig;info=<https://carrier.example/c.pem>;alg=ES256;ppt=shaken"]);
    assert_eq!(all(&heard, "Diversion"), ["<sip:+390650000@carrier.example>;reason=user-busy"]);
    assert_eq!(
        all(&heard, "History-Info"),
        [
            "<sip:+390650000@carrier.example>;index=1".to_owned(),
            "<sip:770391234567@example.com>;index=1.1".to_owned(),
            format!("<sip:0391234567@{there}>;index=1.1.1"),
        ]
    );
    two.reply(&heard, "200 OK", "", SDP);
    let answer = one.answer_to("INVITE", 200);
    let mut end = end_of(&answer);
    one.say(&mut end, "ACK", "", "");
    two.wire.receive("ACK");
    one.say(&mut end, "BYE", "", "");
    let bye = two.wire.receive("BYE");
    two.reply(&bye, "200 OK", "", "");
    idle(&switch);
}
