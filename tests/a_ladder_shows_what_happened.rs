//! `strowger ladder`: the record of a call that is up, and of one that has ended, as a picture that people read.

mod support;

use serde_json::Value;
use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::{PATIENCE, until};

fn text(switch: &Switch, arguments: &[&str]) -> String {
    let done = switch.command(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn a_call_whose_actor_died_is_drawn_while_it_is_up_and_after_its_end() {
    let switch = Switch::start(Config::for_sipp().set("admin", "allow_faults", "true"));
    let callee = SippRun::new("uas_answer", switch.sip("udp")).registered_as("bob").start();
    let caller = SippRun::new("uac_call", switch.sip("udp")).by_user("alice").pause_ms(3_000).start();
    let up = until(PATIENCE, || {
        let calls: Value = serde_json::from_str(&text(&switch, &["calls", "--json"])).ok()?;
        let call = calls["calls"].get(0)?.clone();
        (call["state"] == "up").then_some(call)
    });
    let id = up.expect("the call stands")["id"].as_str().expect("its name").to_owned();
    text(&switch, &["kill", &format!("/switch/shard-0/calls/{id}"), "--panic"]);

    let drawn = until(PATIENCE, || Some(text(&switch, &["ladder", &id])).filter(|drawn| drawn.contains('⚡')));

    let drawn = drawn.expect("the fault is in its record");
    assert!(drawn.contains("alice@example.com → bob@example.com, up for"), "{drawn}");
    assert!(drawn.contains("│──────── INVITE ────────▶│"), "{drawn}");
    caller.finish();
    callee.finish();
    let ended = until(PATIENCE, || {
        let drawn = text(&switch, &["ladder", &id]);
        drawn.contains("200, ended by caller").then_some(drawn)
    });
    let ended = ended.expect("its detail record comes");
    assert!(ended.contains('⚡') && ended.contains("■ ended by caller"), "{ended}");
    let list = text(&switch, &["calls", "--ended", "5"]);
    assert!(list.contains(&id) && list.contains("200"), "{list}");
    // By the Call-ID of either leg, which is what a phone's log has.
    let record: Value = serde_json::from_str(&text(&switch, &["ladder", &id, "--json"])).expect("JSON");
    let call_id = record["ended"]["sip_call_id"].as_str().expect("a Call-ID");
    assert_eq!(text(&switch, &["ladder", call_id]), ended);
    let picture = switch.data().join("call.svg");
    text(&switch, &["ladder", &id, "--svg", picture.to_str().expect("a path")]);
    let svg = std::fs::read_to_string(picture).expect("the picture");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains(">200 INVITE</text>"));
}

#[test]
fn a_call_that_is_not_known_is_said_to_be_unknown() {
    let switch = Switch::start(Config::for_sipp());

    let done = switch.command(&["ladder", "nobody"]);

    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(told.contains("no such call is up or among the last that ended"), "{told}");
}
