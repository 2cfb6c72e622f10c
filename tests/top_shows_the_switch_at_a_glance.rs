//! `strowger top`: one picture as text, and the live one in a terminal.

mod support;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::{PATIENCE, until};

fn picture(switch: &Switch) -> String {
    let done = switch.command(&["top", "--once", "--interval", "100ms"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn one_picture_has_the_calls_that_are_up_and_what_was_restarted() {
    let switch = Switch::start(Config::for_sipp().set("admin", "allow_faults", "true"));
    let caller = SippRun::new("uac_call", switch.sip("udp")).by_user("alice").service("5500").pause_ms(3_000).start();
    assert!(switch.command(&["kill", "/switch/shard-0/registrar", "--panic"]).status.success());

    let seen = until(PATIENCE, || Some(picture(&switch)).filter(|picture| picture.contains("Calls up: 1")));

    let seen = seen.expect("the call is up");
    assert!(seen.contains("alice@example.com") && seen.contains("Calls, the newest first: 1"), "{seen}");
    assert!(seen.contains("/switch/shard-0/registrar") && seen.contains("ready"), "{seen}");
    caller.finish();
}

#[test]
fn in_a_terminal_it_is_drawn_until_q() {
    let switch = Switch::start(Config::for_sipp());
    let program = env!("CARGO_BIN_EXE_strowger");
    // A terminal that nobody looks at has no size by itself.
    let live = format!("stty rows 40 cols 120; exec {program} top --interval 100ms --data {}", switch.data().display());
    // util-linux's script gives it a terminal.
    let mut child = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &live, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut shown = child.stdout.take().expect("piped");
    let (mut seen, mut part) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&seen).contains("RTP workers") {
        let len = shown.read(&mut part).expect("its screen");
        assert!(len > 0, "it ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..len]);
    }

    child.stdin.take().expect("piped").write_all(b"q").expect("a key");
    // What it still draws is taken, so that it is not held up.
    std::thread::spawn(move || std::io::copy(&mut shown, &mut std::io::sink()));
    let ended = until(PATIENCE, || child.try_wait().expect("our own child"));

    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let switch = Switch::start(Config::for_sipp());

    let done = switch.command(&["top"]);

    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("`strowger top --once` prints one picture"));
}
