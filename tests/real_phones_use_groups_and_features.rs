//! Ring groups, pickup and park with PJSIP phones: what each hears, by its tone, also where two have no codec in common.

mod support;

use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::talk::{ALICE_HZ, BOB_HZ, CAROL_HZ};

/// Users of one pickup group who may park, and a group of bob alone.
fn switch() -> Switch {
    let mut config = Config::bare()
        .set("features", "park_numbers", "\"5900\"")
        .set("routing", "voice_policy", "\"all\"")
        .entry("[[voice_policy]]\nname = \"all\"\ncall_park = true\n")
        .entry("[[ring_group]]\nname = \"desk\"\nnumber = \"1100\"\nagents = [\"bob\"]\nannounce = \"10s\"\n");
    for (name, extension) in [("alice", "1001"), ("bob", "1002"), ("carol", "1003")] {
        config = config.entry(&format!(
            "[[user]]\nname = {name:?}\npassword = \"{name}-secret\"\nextension = {extension:?}\npickup_group = \"desk\"\n"
        ));
    }
    Switch::start(config)
}

#[test]
fn who_waits_for_an_agent_hears_music_and_then_the_agent_though_they_have_no_codec_in_common() {
    let switch = switch();
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| Phone::registered(&switch, name, "udp"));
    bob.speak(&["PCMA"]);
    carol.speak(&["G722"]);
    let from = alice.call("1100");
    let at = bob.pick_up();
    alice.expect_state(from, "confirmed");

    let waiting = carol.call("1100");
    carol.expect_state(waiting, "confirmed");
    carol.expect_media(waiting, "active");
    carol.hears(waiting, "music", |heard| heard.dbm0 > -40.0);
    alice.hang_up(from);
    bob.expect_state(at, "disconnected");

    let at = bob.pick_up();
    bob.expect_media(at, "active");
    bob.play_tone(at, BOB_HZ);
    carol.play_tone(waiting, CAROL_HZ);
    carol.hears_tone(waiting, f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(CAROL_HZ));
    carol.hang_up(waiting);
    bob.expect_state(at, "disconnected");
}

#[test]
fn a_call_that_is_picked_up_then_parked_and_taken_again_is_heard_each_time() {
    let switch = switch();
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| Phone::registered(&switch, name, "udp"));
    carol.speak(&["G722"]);
    let from = alice.call("1002");
    let rings = bob.incoming();
    bob.answer(rings, 180);

    let taken = carol.call("*81002");
    carol.expect_state(taken, "confirmed");
    bob.expect_state(rings, "disconnected");
    alice.expect_state(from, "confirmed");
    alice.play_tone(from, ALICE_HZ);
    carol.play_tone(taken, CAROL_HZ);
    carol.hears_tone(taken, f64::from(ALICE_HZ));
    alice.hears_tone(from, f64::from(CAROL_HZ));

    carol.blind_transfer(taken, "5900");
    carol.expect_state(taken, "disconnected");
    alice.hears(from, "music", |heard| !heard.is_tone(f64::from(CAROL_HZ)) && heard.dbm0 > -40.0);
    let again = bob.call("5900");
    bob.expect_state(again, "confirmed");
    bob.play_tone(again, BOB_HZ);
    bob.hears_tone(again, f64::from(ALICE_HZ));
    alice.hears_tone(from, f64::from(BOB_HZ));
    alice.hang_up(from);
    bob.expect_state(again, "disconnected");
}
