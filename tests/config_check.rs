//! `strowger check` and the configuration of `strowger run`, with the real program.

use std::path::Path;
use std::process::{Command, Output};

fn strowger(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.args(arguments).current_dir(folder).env_remove("STROWGER_CONFIG").env_remove("STROWGER_DATA");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const BROKEN: &str = "\
[node]
domains = [\"example.com\"]
[sip]
udp = [\"localhost:5060\"]
[[user]]
name = \"alice\"
password = \"alice-secret\"
extention = \"1001\"
";

const BROKEN_SHOWN: &str = "\
s.toml:4:8: `localhost:5060` is no IP address and port; write it as \"127.0.0.1:5060\" or \"[::1]:5060\"
    4 | udp = [\"localhost:5060\"]
      |        ^^^^^^^^^^^^^^^^
s.toml:8:1: unknown key `extention` in `[[user]]`; did you mean `extension`?
    8 | extention …
      | ^^^^^^^^^
2 errors
";

#[test]
fn a_broken_configuration_shows_every_mistake_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), BROKEN).unwrap();
    for arguments in [&["check", "s.toml"][..], &["run", "--config", "s.toml"][..], &["--config", "s.toml"][..]] {
        let done = strowger(arguments, folder.path());
        assert_eq!(done.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&done.stderr), BROKEN_SHOWN, "{arguments:?}");
        assert_eq!(text(&done.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_broken_configuration_is_told_to_a_program_as_json() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), BROKEN).unwrap();
    let done = strowger(&["check", "s.toml", "--json"], folder.path());
    assert_eq!(done.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let wanted = serde_json::json!({ "ok": false, "errors": [
        { "file": "s.toml", "line": 4, "column": 8, "key": "sip.udp[0]", "also": [],
          "what": "`localhost:5060` is no IP address and port",
          "remedy": "write it as \"127.0.0.1:5060\" or \"[::1]:5060\"" },
        { "file": "s.toml", "line": 8, "column": 1, "key": "user[0].extention", "also": [],
          "what": "unknown key `extention` in `[[user]]`", "remedy": "did you mean `extension`?" },
    ] });
    assert_eq!(told, wanted);
}

#[test]
fn a_right_configuration_shows_its_settings_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let right = BROKEN.replace("localhost", "127.0.0.1").replace("extention", "extension");
    std::fs::write(folder.path().join("s.toml"), right).unwrap();
    let done = strowger(&["check", "s.toml"], folder.path());
    assert_eq!(
        (done.status.code(), text(&done.stdout)),
        (Some(0), "s.toml is right: 1 user, 0 gateways, 0 services.\n")
    );
    let done = strowger(&["check", "s.toml", "--json"], folder.path());
    assert_eq!(done.status.code(), Some(0));
    assert!(!text(&done.stdout).contains("alice-secret"));
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["config"]["user"][0]["extension"], "1001");
    assert_eq!(told["config"]["auth"]["realm"], "example.com");
    assert_eq!(told["config"]["sip"]["t1"], "500ms");
}

#[test]
fn a_configuration_that_is_absent_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let done = strowger(&["check", "none.toml"], folder.path());
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).starts_with("none.toml:1:1: this file cannot be read: "), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("write one with `strowger init`"), "{}", text(&done.stderr));
}

#[test]
fn a_question_without_a_switch_fails_with_1_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = "no switch is running on ./data: start one with `strowger run`, or name its data folder with --data";
    let questions = [
        &["tree"][..],
        &["calls"][..],
        &["registrations"][..],
        &["ladder", "c"][..],
        &["top"][..],
        &["kill", "p"][..],
        &["drain"][..],
    ];
    for question in questions {
        let done = strowger(question, folder.path());
        assert_eq!(done.status.code(), Some(1), "{question:?}");
        assert_eq!(text(&done.stderr), format!("strowger: {wanted}\n"), "{question:?}");
        let done = strowger(&[question, &["--json"]].concat(), folder.path());
        assert_eq!(done.status.code(), Some(1), "{question:?}");
        let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(told, serde_json::json!({ "ok": false, "error": wanted }), "{question:?}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "init", "check", "tree", "calls", "ladder", "top", "registrations", "kill", "drain"] {
        let done = strowger(&[command, "--help"], folder.path());
        assert_eq!(done.status.code(), Some(0), "{command}");
        let examples = ["Example", "Examples"].map(|word| format!("{word}: strowger {command}"));
        let told = text(&done.stdout);
        assert!(examples.iter().any(|example| told.contains(example)), "{command}: {told}");
        assert!(text(&done.stdout).contains("--json"), "{command}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["fly"][..], &["kill"][..], &["drain", "--deadline", "60"][..], &["tree", "--admin", "http://x"][..]]
    {
        assert_eq!(strowger(arguments, folder.path()).status.code(), Some(2), "{arguments:?}");
    }
}
