//! `strowger capture`: what tshark, Wireshark at the command line, makes of the file.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use tempfile::TempDir;

/// Starts a capture, and returns when the first packet could come.
fn capture(switch: &Switch, file: &Path, more: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .arg("capture")
        .arg(file)
        .args(["--for", "60s", "--data"])
        .arg(switch.data())
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut line = String::new();
    let told = BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line);
    assert!(told.is_ok() && line.starts_with("capturing into"), "{line}");
    child
}

/// Ends it as Ctrl-C does: what it says.
fn end(capture: Child) -> String {
    let asked = Command::new("kill").args(["-INT", &capture.id().to_string()]).status();
    assert!(asked.is_ok_and(|status| status.success()));
    let done = capture.wait_with_output().expect("it ends");
    assert!(done.status.success());
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn calls(switch: &Switch, from: &str, to: &str, rate: &str) {
    let (caller, callee) = (format!("{from}:{from}-secret"), format!("{to}:{to}-secret"));
    load(switch, &["--caller", &caller, "--callee", &callee], rate);
}

fn load(switch: &Switch, parties: &[&str], rate: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["load", &switch.sip("udp").to_string()])
        .args(parties)
        .args(["--rate", rate, "--for", "1s", "--talk", "600ms"])
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

fn tshark(file: &Path, arguments: &[&str]) -> String {
    let done =
        Command::new("tshark").arg("-r").arg(file).args(arguments).output().expect("tests/setup installs tshark");
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    // Whoever runs it as root is warned, and nothing else is said.
    assert!(done.status.success() && !told.contains("cut short") && !told.contains("isn't a capture"), "{told}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The dialogs that INVITEs began.
fn dialogs(file: &Path) -> BTreeSet<String> {
    let ids = tshark(file, &["-Y", "sip.CSeq.method == \"INVITE\"", "-T", "fields", "-e", "sip.Call-ID"]);
    ids.lines().map(str::to_owned).collect()
}

/// The streams, each as packets and packets lost.
fn streams(file: &Path) -> Vec<(u64, u64)> {
    let table = tshark(file, &["-q", "-z", "rtp,streams"]);
    let rows = table.lines().filter(|line| line.contains("g711U"));
    rows.map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "g711U").expect("a codec");
        (words[at + 1].parse().expect("packets"), words[at + 2].parse().expect("lost"))
    })
    .collect()
}

#[test]
fn every_leg_is_a_dialog_and_every_direction_a_stream() {
    let switch = Switch::start(Config::lab());
    let room = TempDir::new().expect("a folder");
    let file = room.path().join("all.pcapng");
    let capture = capture(&switch, &file, &[]);

    calls(&switch, "alice", "bob", "3");

    let told = end(capture);
    assert!(told.contains("with SIP") && told.contains("with sound"), "{told}");
    assert_eq!(dialogs(&file).len(), 6, "three calls of two legs");
    let streams = streams(&file);
    assert_eq!(streams.len(), 12, "{streams:?}");
    assert!(streams.iter().all(|(packets, lost)| *packets >= 25 && *lost == 0), "{streams:?}");
    // Nothing of it is damaged.
    assert_eq!(tshark(&file, &["-Y", "_ws.malformed"]), "");
}

#[test]
fn of_one_call_both_legs_are_there_and_nothing_of_others() {
    let switch = Switch::start(Config::lab());
    let room = TempDir::new().expect("a folder");
    let file = room.path().join("one.pcapng");
    let capture = capture(&switch, &file, &["--call", "<sip:carol@example.com>"]);

    calls(&switch, "alice", "bob", "2");
    calls(&switch, "carol", "dave", "1");

    end(capture);
    assert_eq!(dialogs(&file).len(), 2);
    assert_eq!(streams(&file).len(), 4);
    let others = tshark(&file, &["-Y", "sip contains \"alice\" or sip contains \"bob\""]);
    assert_eq!(others, "");
}

#[test]
fn it_ends_at_its_bound() {
    let switch = Switch::start(Config::lab());
    let room = TempDir::new().expect("a folder");
    let file = room.path().join("few.pcapng");
    let capture = capture(&switch, &file, &["--packets", "20"]);

    calls(&switch, "alice", "bob", "1");

    let done = capture.wait_with_output().expect("it ends by itself");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && told.contains("20 packets"), "{told}");
    assert_eq!(tshark(&file, &[]).lines().count(), 20);
}

/// Plays a capture against a lab of its own: the exit code and what it tells as JSON.
fn replay(file: &Path, room: &TempDir, more: &[&str]) -> (Option<i32>, serde_json::Value) {
    let done = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .arg("replay")
        .arg(file)
        .args(["--json", "--out"])
        .arg(room.path().join("replayed"))
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let told = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|wrong| panic!("{wrong}\n{}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), told)
}

#[test]
fn captured_calls_are_played_again_and_what_is_otherwise_is_told() {
    let switch = Switch::start(Config::for_sipp());
    let room = TempDir::new().expect("a folder");
    let file = room.path().join("calls.pcapng");
    let capture = capture(&switch, &file, &[]);
    calls(&switch, "alice", "bob", "1");
    let sipp = |caller: &str, callee: &str, tcp: bool| {
        let callee = SippRun::new(callee, switch.sip("udp")).registered_as("bob").by_user("bob").start();
        let caller = match tcp {
            true => SippRun::new(caller, switch.sip("tcp")).tcp(),
            false => SippRun::new(caller, switch.sip("udp")),
        };
        caller.by_user("alice").run();
        callee.stop();
    };
    // Re-INVITEs both ways of hold; a call that comes to nothing; PRACK; a stream.
    for (caller, callee, tcp) in [
        ("uac_hold", "uas_answer", false),
        ("uac_cancel", "uas_no_answer", false),
        ("uac_busy", "uas_busy", false),
        ("uac_prack", "uas_prack", false),
        ("uac_call", "uas_answer", true),
    ] {
        sipp(caller, callee, tcp);
    }
    load(&switch, &["--caller", "alice:alice-secret", "--to", "5501", "--hear", "1000"], "1");
    end(capture);

    let (code, told) = replay(&file, &room, &[]);

    let steps = told["steps"].as_array().expect("steps");
    assert_eq!((code, steps.len()), (Some(0), 7), "{told:#}");
    for step in steps {
        assert!(step["replayed"]["matched"].as_u64() >= Some(3), "{step:#}");
    }
    let sound = steps[0]["replayed"]["sound"].as_array().expect("both ends");
    assert!(sound.iter().all(|end| end["heard_now"].as_u64() >= Some(25) && end["lost"] == 0), "{sound:?}");

    // The older format, and a switch that does not have the number.
    let old = room.path().join("calls.pcap");
    let converted = Command::new("editcap").args(["-F", "pcap"]).args([&file, &old]).status();
    assert!(converted.is_ok_and(|status| status.success()));
    let config = room.path().join("other.toml");
    let other = Config::bare().user("alice", "alice-secret", "1001");
    std::fs::write(&config, other.text(&room.path().join("data"))).expect("the configuration");
    let config = config.to_str().expect("a path");

    let (code, told) = replay(&old, &room, &["--call", "5501", "--user", "alice:alice-secret", "--config", config]);

    let reasons = &told["steps"][0]["reasons"];
    assert_eq!((code, told["steps"].as_array().map(Vec::len)), (Some(1), Some(1)), "{told:#}");
    assert_eq!(reasons[0], "caller: 404 INVITE came, 200 INVITE then", "{told:#}");
    let page = std::fs::read_to_string(room.path().join("replayed/report.html")).expect("the page");
    assert!(page.contains("404"), "the ladder of the refusal");
}
