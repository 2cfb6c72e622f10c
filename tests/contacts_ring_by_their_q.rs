//! Contacts of one q ring together; those of a lower q ring when the ones before them have failed or had their time
//! (RFC 3261 section 16.6).

mod support;

use support::config::Config;
use support::party::{Party, SDP, end_of, idle, is_quiet, kill_the_call, standing, talks};
use support::switch::Switch;
use support::wire::status;

/// A switch on which a group rings for a second, and bob's phones: one of high q and one of low.
fn two_phones() -> (Switch, Party, Party, Party) {
    let switch = Switch::start(Config::lab().set("sip", "ring_step", r#""1s""#));
    let (desk, cabin) = (Party::registered_at(&switch, "bob", "0.9"), Party::registered_at(&switch, "bob", "0.2"));
    let alice = Party::new(&switch, "alice");
    (switch, alice, desk, cabin)
}

/// As [`two_phones`], where a group rings for longer than any test lasts.
fn two_patient_phones() -> (Switch, Party, Party, Party) {
    let switch = Switch::start(Config::lab().set("sip", "ring_step", r#""1h""#));
    let (desk, cabin) = (Party::registered_at(&switch, "bob", "0.9"), Party::registered_at(&switch, "bob", "0.2"));
    let alice = Party::new(&switch, "alice");
    (switch, alice, desk, cabin)
}

#[test]
fn a_lower_q_rings_when_all_of_the_higher_have_refused_and_the_best_refusal_of_all_counts() {
    let (switch, mut alice, mut desk, mut cabin) = two_patient_phones();
    let mut mobile = Party::registered_at(&switch, "bob", "0.9");
    alice.call("bob", "");
    let (at_desk, at_mobile) = (desk.wire.receive("INVITE"), mobile.wire.receive("INVITE"));
    desk.reply(&at_desk, "486 Busy Here", "", "");
    desk.wire.receive("ACK");
    assert!(is_quiet(&mut cabin), "one of the higher q rings still");

    mobile.reply(&at_mobile, "480 Temporarily Unavailable", "", "");
    let at_cabin = cabin.wire.receive("INVITE");
    cabin.reply(&at_cabin, "404 Not Found", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(486));
    idle(&switch);
}

#[test]
fn a_group_that_has_had_its_time_is_cancelled_and_the_next_rings_instead() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    desk.let_go(&at_desk);
    let mut of_bob = cabin.pick_up();

    let mut end = end_of(&alice.answer_to("INVITE", 200));
    alice.say(&mut end, "ACK", "", "");
    talks(&mut alice, &mut end, &mut cabin);
    cabin.say(&mut of_bob, "BYE", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_phone_that_picks_up_while_its_cancel_is_on_the_way_has_the_call() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    let at_cabin = cabin.wire.receive("INVITE");
    cabin.reply(&at_cabin, "180 Ringing", "", "");
    let cancel = desk.wire.receive("CANCEL");
    desk.reply(&cancel, "200 OK", "", "");

    desk.reply(&at_desk, "200 OK", "", SDP);

    desk.wire.receive("ACK");
    let mut end = end_of(&alice.answer_to("INVITE", 200));
    alice.say(&mut end, "ACK", "", "");
    cabin.let_go(&at_cabin);
    talks(&mut alice, &mut end, &mut desk);
    alice.say(&mut end, "BYE", "", "");
    let bye = desk.wire.receive("BYE");
    desk.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_phone_that_declines_for_all_leaves_nobody_a_turn() {
    let (switch, mut alice, mut desk, mut cabin) = two_patient_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");

    desk.reply(&at_desk, "603 Decline", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(603));
    idle(&switch);
    assert!(is_quiet(&mut cabin));
}

#[test]
fn a_phone_that_declines_for_all_after_its_turn_ends_the_ringing_of_the_next() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    let at_cabin = cabin.wire.receive("INVITE");
    cabin.reply(&at_cabin, "180 Ringing", "", "");

    desk.reply(&at_desk, "603 Decline", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(603));
    cabin.let_go(&at_cabin);
    idle(&switch);
}

#[test]
fn a_caller_that_gives_up_leaves_nobody_a_turn() {
    let (switch, mut alice, mut desk, mut cabin) = two_patient_phones();
    let invite = alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    alice.cancel(&invite);

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    desk.let_go(&at_desk);
    idle(&switch);
    assert!(is_quiet(&mut cabin));
}

#[test]
fn a_caller_that_gives_up_between_two_groups_ends_both() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    let mut attic = Party::registered_at(&switch, "bob", "0.1");
    let invite = alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    let at_cabin = cabin.wire.receive("INVITE");
    cabin.reply(&at_cabin, "180 Ringing", "", "");

    alice.cancel(&invite);

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    desk.let_go(&at_desk);
    cabin.let_go(&at_cabin);
    idle(&switch);
    assert!(is_quiet(&mut attic));
}

#[test]
fn a_group_that_nobody_answers_and_one_that_is_busy_are_busy_together() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    let at_cabin = cabin.wire.receive("INVITE");

    cabin.reply(&at_cabin, "486 Busy Here", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(486));
    desk.let_go(&at_desk);
    idle(&switch);
}

#[test]
fn a_call_whose_actor_dies_between_two_groups_rings_the_next() {
    let (switch, mut alice, mut desk, mut cabin) = two_patient_phones();
    let mut attic = Party::registered_at(&switch, "bob", "0.1");
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    kill_the_call(&switch);
    desk.reply(&at_desk, "486 Busy Here", "", "");
    let at_cabin = cabin.wire.receive("INVITE");
    kill_the_call(&switch);
    cabin.reply(&at_cabin, "486 Busy Here", "", "");

    attic.pick_up();
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn the_time_of_a_group_outlives_the_actor() {
    let (switch, mut alice, mut desk, mut cabin) = two_phones();
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");
    desk.reply(&at_desk, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    kill_the_call(&switch);

    cabin.pick_up();
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
    desk.let_go(&at_desk);
}

#[test]
fn no_more_contacts_ring_than_a_call_may_have() {
    let switch = Switch::start(Config::lab().set("sip", "max_forks", "2"));
    let (mut desk, mut cabin) =
        (Party::registered_at(&switch, "bob", "0.9"), Party::registered_at(&switch, "bob", "0.2"));
    let mut attic = Party::registered_at(&switch, "bob", "0.1");
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    for phone in [&mut desk, &mut cabin] {
        let invite = phone.wire.receive("INVITE");
        phone.reply(&invite, "480 Temporarily Unavailable", "", "");
    }

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(480));
    idle(&switch);
    assert!(is_quiet(&mut attic));
}

#[test]
fn a_phone_that_diverts_gives_its_turn_to_the_phones_of_another() {
    let (switch, mut alice, mut desk, mut cabin) = two_patient_phones();
    let (mut office, mut home) =
        (Party::registered_at(&switch, "carol", "1.0"), Party::registered_at(&switch, "carol", "0.5"));
    alice.call("bob", "");
    let at_desk = desk.wire.receive("INVITE");

    desk.reply_with_contact(&at_desk, "302 Moved Temporarily", "sip:1003@example.com");
    let at_office = office.wire.receive("INVITE");
    office.reply(&at_office, "486 Busy Here", "", "");
    let at_home = home.wire.receive("INVITE");
    assert!(is_quiet(&mut cabin), "the phones of carol come before the next of bob");
    home.reply(&at_home, "486 Busy Here", "", "");

    cabin.pick_up();
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn the_target_of_a_transfer_rings_by_its_q() {
    let switch = Switch::start(Config::lab().set("sip", "ring_step", r#""1h""#));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut desk, mut cabin) =
        (Party::registered_at(&switch, "carol", "0.9"), Party::registered_at(&switch, "carol", "0.2"));
    let (mut end, mut of_bob) = standing(&mut alice, &mut bob);

    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let at_desk = desk.wire.receive("INVITE");
    assert!(is_quiet(&mut cabin));
    desk.reply(&at_desk, "486 Busy Here", "", "");

    cabin.pick_up();
    alice.notified("200");
    talks(&mut bob, &mut of_bob, &mut cabin);
}
