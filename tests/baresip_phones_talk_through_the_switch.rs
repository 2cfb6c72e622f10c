//! A second make of real phone, baresip: each hears the other's tone, by frequency, both ways. It takes our answers apart in
//! ways of its own: it knows no `sips`, MD5 alone, and sends its media from where it likes.

mod support;

use support::baresip::Baresip;
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;

/// What the one plays, and the other must hear.
const ALICE_HZ: u16 = 440;
const BOB_HZ: u16 = 900;
const CAROL_HZ: u16 = 1_300;

/// baresip 1.0 gives up at a challenge that names another algorithm than MD5.
fn switch() -> Switch {
    Switch::start(Config::lab().set("auth", "algorithms", r#"["MD5"]"#))
}

/// Alice and bob, on baresip, in a standing call.
fn talk(switch: &Switch, transport: &str) -> (Baresip, Baresip) {
    let mut alice = Baresip::registered(switch, "alice", transport, ALICE_HZ);
    let mut bob = Baresip::registered(switch, "bob", transport, BOB_HZ);
    alice.dial("1002");
    bob.pick_up();
    alice.expect("CALL_ESTABLISHED");
    bob.hears_tone(ALICE_HZ);
    alice.hears_tone(BOB_HZ);
    (alice, bob)
}

#[test]
fn baresip_phones_on_udp_hear_each_other() {
    let switch = switch();

    let (mut alice, mut bob) = talk(&switch, "udp");

    alice.hang_up();
    bob.expect("CALL_CLOSED");
}

#[test]
fn baresip_phones_on_tcp_hear_each_other() {
    let switch = switch();

    let (mut alice, mut bob) = talk(&switch, "tcp");

    bob.hang_up();
    alice.expect("CALL_CLOSED");
}

#[test]
fn baresip_phones_on_tls_hear_each_other() {
    let switch = switch();

    let (mut alice, mut bob) = talk(&switch, "tls");

    alice.hang_up();
    bob.expect("CALL_CLOSED");
}

#[test]
fn a_baresip_phone_and_a_pjsip_phone_hear_each_other() {
    let switch = switch();
    let mut alice = Baresip::registered(&switch, "alice", "udp", ALICE_HZ);
    let mut bob = Phone::registered(&switch, "bob", "udp");

    let from = bob.call("1001");
    alice.pick_up();
    bob.expect_media(from, "active");
    bob.play_tone(from, BOB_HZ);

    alice.hears_tone(BOB_HZ);
    bob.hears_tone(from, f64::from(ALICE_HZ));
    bob.hang_up(from);
    alice.expect("CALL_CLOSED");
}

#[test]
fn a_baresip_phone_that_holds_is_not_heard_and_is_heard_again_afterwards() {
    let switch = switch();
    let (mut alice, bob) = talk(&switch, "udp");

    alice.hold();
    bob.hears_another_than(ALICE_HZ);

    alice.resume();
    bob.hears_tone(ALICE_HZ);
}

#[test]
fn a_blind_transfer_by_a_baresip_phone_connects_the_other_two() {
    let switch = switch();
    let mut carol = Baresip::registered(&switch, "carol", "udp", CAROL_HZ);
    let (mut alice, bob) = talk(&switch, "udp");

    alice.blind_transfer("1003");
    carol.pick_up();
    alice.expect("CALL_CLOSED");

    carol.hears_tone(BOB_HZ);
    bob.hears_tone(CAROL_HZ);
}
