//! Two PJSIP phones in a standing call, each with its tone.

use super::phone::{Heard, Phone};

/// What each plays, and the others must hear.
pub const ALICE_HZ: u16 = 440;
pub const BOB_HZ: u16 = 900;
pub const CAROL_HZ: u16 = 1_300;

/// Alice calls bob at 1002, both play their tones and hear the other's: the call of each, and how alice hears, then bob.
pub fn talk(alice: &mut Phone, bob: &mut Phone) -> (u64, u64, [Heard; 2]) {
    let from = alice.call("1002");
    let at = bob.pick_up();
    alice.expect_state(from, "confirmed");
    alice.expect_media(from, "active");
    bob.expect_media(at, "active");
    alice.play_tone(from, ALICE_HZ);
    bob.play_tone(at, BOB_HZ);
    let heard = [alice.hears_tone(from, f64::from(BOB_HZ)), bob.hears_tone(at, f64::from(ALICE_HZ))];
    (from, at, heard)
}

/// Alice holds bob, who hears music, and comes back; twice, because the second time nothing is new.
pub fn is_held_and_resumed(alice: &mut Phone, from: u64, bob: &mut Phone, at: u64) {
    for _ in 0..2 {
        alice.hold(from);
        alice.expect_media(from, "local_hold");
        bob.hears(at, "music", |heard| !heard.is_tone(f64::from(ALICE_HZ)) && heard.dbm0 > -40.0);

        alice.unhold(from);
        alice.expect_media(from, "active");
        bob.hears_tone(at, f64::from(ALICE_HZ));
        alice.hears_tone(from, f64::from(BOB_HZ));
    }
}
