//! Real phones register with the switch and talk through it: each hears the other's tone, by frequency, both ways.

mod support;

use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::talk::{ALICE_HZ, BOB_HZ, CAROL_HZ};

/// A standing call: the two phones, and the number that each has for it.
struct Talk {
    alice: Phone,
    from: u64,
    bob: Phone,
    at: u64,
}

fn talk(switch: &Switch, alice_over: &str, bob_over: &str) -> Talk {
    let mut alice = Phone::registered(switch, "alice", alice_over);
    let mut bob = Phone::registered(switch, "bob", bob_over);
    let (from, at, _) = support::talk::talk(&mut alice, &mut bob);
    Talk { alice, from, bob, at }
}

fn both_hear_each_other(talk: &mut Talk) {
    talk.bob.hears_tone(talk.at, f64::from(ALICE_HZ));
    talk.alice.hears_tone(talk.from, f64::from(BOB_HZ));
}

#[test]
fn phones_on_udp_hear_each_other() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "udp", "udp");

    both_hear_each_other(&mut talk);

    talk.alice.hang_up(talk.from);
    talk.bob.expect_state(talk.at, "disconnected");
}

#[test]
fn phones_on_tcp_hear_each_other() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "tcp", "tcp");

    both_hear_each_other(&mut talk);

    talk.bob.hang_up(talk.at);
    talk.alice.expect_state(talk.from, "disconnected");
}

#[test]
fn phones_on_tls_hear_each_other() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "tls", "tls");

    both_hear_each_other(&mut talk);

    talk.alice.hang_up(talk.from);
    talk.bob.expect_state(talk.at, "disconnected");
}

#[test]
fn a_phone_on_tls_and_a_phone_on_udp_hear_each_other() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "tls", "udp");

    both_hear_each_other(&mut talk);
}

#[test]
fn held_phones_do_not_hear_the_holder_and_hear_it_again_afterwards() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "udp", "udp");
    both_hear_each_other(&mut talk);

    talk.alice.hold(talk.from);
    talk.alice.expect_media(talk.from, "local_hold");
    talk.bob.hears(talk.at, "no tone of the holder", |heard| !heard.is_tone(f64::from(ALICE_HZ)));

    talk.alice.unhold(talk.from);
    talk.alice.expect_media(talk.from, "active");
    both_hear_each_other(&mut talk);
}

#[test]
fn digits_dialled_in_a_call_arrive_as_telephone_events() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "udp", "udp");
    both_hear_each_other(&mut talk);

    talk.alice.dtmf(talk.from, "15#");

    for digit in ["1", "5", "#"] {
        talk.bob.expect("dtmf", |event| event["digit"] == digit);
    }
}

#[test]
fn a_blind_transfer_connects_the_other_two() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "udp", "udp");
    let mut carol = Phone::registered(&switch, "carol", "udp");
    both_hear_each_other(&mut talk);

    talk.alice.blind_transfer(talk.from, "1003");
    let at_carol = carol.pick_up();
    talk.alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.play_tone(at_carol, CAROL_HZ);
    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    talk.bob.hears_tone(talk.at, f64::from(CAROL_HZ));
}

#[test]
fn an_attended_transfer_connects_the_other_two() {
    let switch = Switch::start(Config::lab());
    let mut talk = talk(&switch, "udp", "udp");
    let mut carol = Phone::registered(&switch, "carol", "udp");
    both_hear_each_other(&mut talk);
    talk.alice.hold(talk.from);
    talk.alice.expect_media(talk.from, "local_hold");
    let asked = talk.alice.call("1003");
    let at_carol = carol.pick_up();
    talk.alice.expect_state(asked, "confirmed");
    carol.play_tone(at_carol, CAROL_HZ);

    talk.alice.attended_transfer(talk.from, asked);
    talk.alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    talk.bob.hears_tone(talk.at, f64::from(CAROL_HZ));
}

#[test]
fn a_caller_who_gives_up_ends_the_ringing() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let from = alice.call("bob");
    let at = bob.incoming();
    bob.answer(at, 180);
    alice.expect_state(from, "early");

    alice.hang_up(from);

    assert_eq!(alice.expect_state(from, "disconnected")["code"], 487);
    bob.expect_state(at, "disconnected");
}

#[test]
fn a_busy_phone_is_told_as_busy() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let from = alice.call("bob");
    let at = bob.incoming();

    bob.answer(at, 486);

    assert_eq!(alice.expect_state(from, "disconnected")["code"], 486);
}

#[test]
fn a_number_that_nobody_has_is_not_found() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");

    let from = alice.call("1999");

    assert_eq!(alice.expect_state(from, "disconnected")["code"], 404);
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let from = alice.call("bob");
    let at = bob.incoming();
    bob.answer(at, 183);
    alice.expect_media(from, "active");

    bob.play_tone(at, BOB_HZ);

    alice.hears_tone(from, f64::from(BOB_HZ));
    bob.answer(at, 200);
    alice.expect_state(from, "confirmed");
    alice.hears_tone(from, f64::from(BOB_HZ));
}

#[test]
fn of_all_phones_that_ring_the_first_to_answer_wins_and_the_others_stop() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut desk = Phone::registered(&switch, "bob", "udp");
    let mut mobile = Phone::registered(&switch, "bob", "tcp");
    let from = alice.call("bob");
    let at_desk = desk.incoming();
    let at_mobile = mobile.incoming();

    mobile.answer(at_mobile, 200);

    alice.expect_state(from, "confirmed");
    mobile.expect_state(at_mobile, "confirmed");
    desk.expect_state(at_desk, "disconnected");
}

#[test]
fn an_instant_message_arrives() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");

    alice.message("bob", "Are you there?");

    bob.expect("message", |event| event["text"] == "Are you there?");
    assert_eq!(alice.expect("message_status", |_| true)["code"], 200);
}

#[test]
fn the_echo_number_sends_back_what_it_hears() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let call = alice.call("5500");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");

    alice.play_tone(call, ALICE_HZ);

    alice.hears_tone(call, f64::from(ALICE_HZ));
}

#[test]
fn the_tone_number_plays_one_kilohertz_at_minus_ten_dbm0() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let call = alice.call("5501");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");

    alice.hears(call, "1,000 Hz at -10 dBm0", |heard| heard.is_tone(1_000.0) && (heard.dbm0 + 10.0).abs() < 0.5);
}

#[test]
fn the_announcement_and_the_music_are_heard() {
    let switch = Switch::start(Config::lab());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    for number in ["5502", "5503"] {
        let call = alice.call(number);
        alice.expect_state(call, "confirmed");
        alice.expect_media(call, "active");

        alice.hears(call, "speech or music", |heard| heard.dbm0 > -40.0);

        alice.hang_up(call);
        alice.expect_state(call, "disconnected");
    }
}
