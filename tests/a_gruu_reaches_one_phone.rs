//! GRUUs (RFC 5627): names that reach one phone of a user, the temporary ones for as long as its registration goes on.

mod support;

use support::config::Config;
use support::party::{Party, SDP};
use support::switch::Switch;
use support::wire::{header, status};

const DESK: &str = "urn:uuid:00000000-0000-1000-8000-000000000001";
const MOBILE: &str = "urn:uuid:00000000-0000-1000-8000-000000000002";

/// A phone of Bob's, registered.
fn phone(switch: &Switch, instance: &'static str) -> (Party, String) {
    let mut phone = Party::new(switch, "bob");
    phone.instance = Some(instance);
    let answer = phone.register("Supported: gruu\n");
    let gruu = gruu_of(&answer, "temp-gruu", instance);
    (phone, gruu)
}

/// The GRUU of this kind that a 200 gives an instance.
fn gruu_of(answer: &str, kind: &str, instance: &str) -> String {
    let contact = answer.lines().find(|line| line.starts_with("Contact:") && line.contains(instance));
    let value = contact.and_then(|line| line.split_once(&format!(";{kind}=\""))).expect("a GRUU of this kind");
    value.1.split('"').next().expect("its end").to_owned()
}

/// Calls a GRUU: the phone that has it rings, and says busy; the caller hears it, so no other phone is still asked.
fn rings_alone(caller: &mut Party, gruu: &str, rings: &mut Party) {
    caller.begin("INVITE", gruu, "", SDP);
    let invite = rings.wire.receive("INVITE");
    rings.reply(&invite, "486 Busy Here", "", "");
    rings.wire.receive("ACK");
    assert_eq!(status(&caller.answer_to("INVITE", 200)), Some(486));
}

#[test]
fn a_temporary_gruu_reaches_its_phone_alone_and_says_nothing_of_its_owner() {
    let switch = Switch::start(Config::lab());
    let ((mut desk, of_desk), (mut mobile, of_mobile)) = (phone(&switch, DESK), phone(&switch, MOBILE));
    let mut alice = Party::new(&switch, "alice");
    assert!(of_desk.starts_with("sip:tgruu.") && of_desk.ends_with("@example.com;gr"), "{of_desk}");
    assert!(!of_desk.contains("bob") && !of_desk.contains("1002"), "{of_desk}");

    rings_alone(&mut alice, &of_desk, &mut desk);
    rings_alone(&mut alice, &of_mobile, &mut mobile);

    alice.begin("MESSAGE", &of_mobile, "", "for the mobile");
    let message = mobile.wire.receive("MESSAGE");
    mobile.reply(&message, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(200));

    // What had come for the desk besides would lie before its next call.
    alice.begin("MESSAGE", &of_desk, "", "for the desk");
    loop {
        let next = desk.wire.receive("");
        if next.starts_with("MESSAGE") {
            assert!(next.ends_with("for the desk"), "{next}");
            return;
        }
        assert!(next.starts_with("SIP/2.0"), "a call or text of the mobile's came to the desk: {next}");
    }
}

#[test]
fn a_temporary_gruu_ends_with_the_call_id_of_its_registration_and_not_with_the_switch() {
    let mut switch = Switch::start(Config::lab());
    let (mut desk, first) = phone(&switch, DESK);

    switch.kill9();
    switch.restart();
    let mut alice = Party::new(&switch, "alice");
    desk.wire = desk.wire.with_peer(switch.sip("udp"));
    rings_alone(&mut alice, &first, &mut desk);

    // Another Call-ID (RFC 5627 section 3.1.2), as after a restart of the phone.
    let second = gruu_of(&desk.register("Supported: gruu\n"), "temp-gruu", DESK);
    for method in ["INVITE", "MESSAGE"] {
        alice.begin(method, &first, "", SDP);
        assert_eq!(status(&alice.answer_to(method, 200)), Some(404), "{method}");
    }
    rings_alone(&mut alice, &second, &mut desk);
}

#[test]
fn a_made_up_temporary_gruu_is_not_found() {
    let switch = Switch::start(Config::lab());
    let (_desk, gruu) = phone(&switch, DESK);
    let mut alice = Party::new(&switch, "alice");
    let forged = gruu.replace("sip:tgruu.", "sip:tgruu.AAAA");

    alice.begin("INVITE", &forged, "", SDP);

    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(404), "{answer}");
    assert!(header(&answer, "Reason").is_some_and(|reason| reason.contains("temporary")), "{answer}");
}

#[test]
fn a_text_for_a_phone_that_has_left_is_not_kept_for_the_others() {
    let switch = Switch::start(Config::lab());
    let mut desk = Party::new(&switch, "bob");
    desk.instance = Some(DESK);
    let public = gruu_of(&desk.register("Supported: gruu\n"), "pub-gruu", DESK);
    desk.register("Supported: gruu\nExpires: 0\n");
    let mut alice = Party::new(&switch, "alice");

    alice.begin("MESSAGE", &public, "", "for the desk");

    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(480));
}
