//! `strowger load`: the generator against a real switch, over real sockets, with real sound.

mod support;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::{PATIENCE, until};

const ALICE: [&str; 2] = ["--caller", "alice:alice-secret"];
const BOB: [&str; 2] = ["--callee", "bob:bob-secret"];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.arg("load").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a load against a switch: its exit code and what it tells as JSON.
fn load(switch: &Switch, transport: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let address = match transport {
        "ws" => switch.http(),
        "wss" => switch.get("/api/status").1["http"][1].as_str().and_then(|at| at.parse().ok()).expect("an address"),
        other => switch.sip(other),
    };
    let ca = switch.data().join("tls/dev-cert.pem").display().to_string();
    let address = address.to_string();
    let all = [&[address.as_str(), "--transport", transport, "--ca", &ca, "--json"], arguments].concat();
    told(command(&all).output().expect("the program runs"))
}

fn told(done: Output) -> (Option<i32>, Value) {
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code(), serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}\n{error}")))
}

fn idle(switch: &Switch) {
    let done = until(PATIENCE, || (switch.get("/api/status").1["calls"] == 0).then_some(()));
    assert!(done.is_some(), "calls are left");
}

#[test]
fn calls_over_every_transport_are_set_up_and_both_ends_hear_the_other() {
    let switch = Switch::start(Config::lab().set("http", "tls_listen", r#""127.0.0.1:0""#));
    for (transport, sound) in [("udp", "rtp"), ("tcp", "rtp"), ("tls", "srtp"), ("ws", "rtp"), ("wss", "srtp")] {
        let how = ["--rate", "10", "--for", "1s", "--talk", "600ms", "--sound", sound];

        let (code, outcome) = load(&switch, transport, &[&how[..], &ALICE, &BOB].concat());

        let figures = &outcome["tried"][0]["figures"];
        assert_eq!(code, Some(0), "{transport}: {outcome:#}");
        assert_eq!(figures["sessions_completed"], 10, "{transport}: {figures:#}");
        // Both ends of each call, and each caller has heard the answer to its own question.
        assert_eq!(figures["sound"]["verdicts"], serde_json::json!({ "right": 20 }), "{transport}: {figures:#}");
        assert_eq!((&figures["ser_percent"], &figures["isa_percent"]), (&100.0.into(), &0.0.into()), "{transport}");
        // No message waits for the acknowledgement of the one before it, which TCP delays by 40 ms.
        assert!(figures["srd_ms"]["p50"].as_f64() < Some(40.0), "{transport}: {figures:#}");
        assert!(figures["srd_ms"]["p50"].as_f64() > Some(0.0) && figures["sdd_ms"]["count"] == 10, "{figures:#}");
        idle(&switch);
        let phones = switch.get("/api/registrations").1;
        assert!(!phones.to_string().contains("bob@"), "the callee is withdrawn: {phones}");
    }
}

#[test]
fn registrations_are_counted_and_withdrawn() {
    let switch = Switch::start(Config::lab());
    let arguments = ["--measure", "registrations", "--rate", "20", "--for", "1s", "--caller", "bob:bob-secret"];

    let (code, outcome) = load(&switch, "udp", &[&arguments[..], &ALICE].concat());

    let figures = &outcome["tried"][0]["figures"];
    assert_eq!(code, Some(0), "{outcome:#}");
    assert_eq!((&figures["registrations"], &figures["ira_percent"]), (&20.into(), &0.0.into()), "{figures:#}");
    assert_eq!(switch.get("/api/status").1["registered"], 0);
}

#[test]
fn the_highest_rate_is_found_and_is_told_from_the_generators_own() {
    // A call is two requests of the caller's source and more of the callee's: some twenty of them a second.
    let limited = Config::lab().set("admission", "per_source_rate", "100").set("admission", "per_source_burst", "40");
    let switch = Switch::start(limited);
    let how = ["--sound", "none", "--talk", "0ms", "--step", "1s", "--from", "10", "--up-to", "200"];

    let (code, outcome) = load(&switch, "udp", &[&how[..], &ALICE, &BOB].concat());

    assert_eq!(code, Some(0), "{outcome:#}");
    let rate = outcome["rate"].as_f64().expect("a rate");
    assert!((5.0..100.0).contains(&rate), "{rate}: {outcome:#}");
    assert_eq!((&outcome["limit"], &outcome["ceiling"]["transport"]), (&"switch".into(), &"udp".into()));
    assert_eq!(outcome["ceiling"]["rate"], 200.0, "the generator by itself takes all of the search");
    let tried = outcome["tried"].as_array().expect("rates");
    let failed = tried.iter().find(|one| one["passed"] == false).expect("a rate that failed");
    assert!(failed["rate"].as_f64() > Some(rate), "{failed:#}");
    assert!(failed["figures"]["failures"].to_string().contains("503"), "{failed:#}");
}

#[test]
fn a_switch_that_stalls_is_seen_to_stall_by_every_call_that_was_planned_meanwhile() {
    let switch = Switch::start(Config::lab());
    let address = switch.sip("udp").to_string();
    let how = [
        &[address.as_str(), "--json", "--rate", "100", "--for", "3s", "--sound", "none", "--talk", "0ms"],
        &["--threshold", "32s"][..],
        &ALICE,
        &BOB,
    ];
    let loading = command(&how.concat()).spawn().expect("the program runs");
    let began = until(PATIENCE, || (switch.get("/api/status").1["calls"].as_u64() > Some(0)).then_some(()));
    assert!(began.is_some(), "calls came");

    switch.signal("STOP");
    // The stall itself.
    std::thread::sleep(Duration::from_secs(1));
    switch.signal("CONT");

    let (code, outcome) = told(loading.wait_with_output().expect("it ends"));
    let figures = &outcome["tried"][0]["figures"];
    assert_eq!(code, Some(0), "{outcome:#}");
    // A hundred of the three hundred were planned for the second in which nobody answered: 90 of them waited 100 ms or more.
    // Who waits for an answer before he begins the next call would have seen one.
    let delays = &figures["srd_ms"];
    assert!(delays["max"].as_f64() > Some(900.0) && delays["p95"].as_f64() > Some(500.0), "{delays:#}");
    assert_eq!(figures["sessions_completed"], 300, "{figures:#}");
}

#[test]
fn what_is_heard_is_judged() {
    let switch = Switch::start(Config::lab());
    let one = ["--rate", "5", "--for", "2s", "--talk", "600ms"];
    let sound = |to: &str, hear: &str| {
        let (code, outcome) = load(&switch, "udp", &[&one[..], &ALICE, &["--to", to, "--hear", hear]].concat());
        (code, outcome["tried"][0]["figures"]["sound"]["verdicts"].clone(), outcome)
    };

    let (code, heard, outcome) = sound("5501", "1000");
    assert_eq!((code, heard), (Some(0), serde_json::json!({ "right": 10 })), "{outcome:#}");
    let (code, heard, _) = sound("5503", "any");
    assert_eq!((code, heard), (Some(0), serde_json::json!({ "right": 10 })));

    let (code, heard, outcome) = sound("5501", "1400");
    assert_eq!((code, heard), (Some(1), serde_json::json!({ "wrong": 10 })), "{outcome:#}");
    assert_eq!(outcome["tried"][0]["figures"]["failures"]["sound: not what should be heard"], 10);
}

#[test]
fn a_callee_that_is_silent_is_a_failure() {
    let switch = Switch::start(Config::for_sipp());
    let callee = SippRun::new("uas_answer", switch.sip("udp")).by_user("bob").calls(3, 10).registered_as("bob").start();
    let how = ["--rate", "3", "--for", "1s", "--talk", "600ms", "--to", "1002"];

    let (code, outcome) = load(&switch, "udp", &[&how[..], &ALICE].concat());

    callee.stop();
    let figures = &outcome["tried"][0]["figures"];
    assert_eq!(code, Some(1), "{outcome:#}");
    assert_eq!(figures["sound"]["verdicts"], serde_json::json!({ "nothing": 3 }), "{figures:#}");
    assert_eq!(figures["sessions_established"], 3);
}

#[test]
fn refusals_count_as_rfc_6076_counts_them() {
    let switch = Switch::start(Config::lab());
    let how = ["--rate", "5", "--for", "2s", "--sound", "none", "--to", "carol"];

    // Nobody is registered as carol: 480.
    let (code, outcome) = load(&switch, "udp", &[&how[..], &ALICE].concat());

    let figures = &outcome["tried"][0]["figures"];
    assert_eq!((code, &figures["refusals"]), (Some(1), &serde_json::json!({ "480": 10 })), "{outcome:#}");
    assert_eq!((&figures["ser_percent"], &figures["seer_percent"]), (&0.0.into(), &100.0.into()));
}

#[test]
fn a_wrong_password_ends_the_load_before_it_begins() {
    let switch = Switch::start(Config::lab());

    let (code, outcome) = load(&switch, "udp", &[&ALICE[..], &["--callee", "bob:wrong", "--rate", "1"]].concat());

    let error = outcome["error"].as_str().unwrap_or_default();
    assert_eq!(code, Some(1));
    assert!(error.contains("bob could not register: the credentials were refused"), "{error}");
}

#[test]
fn mistakes_of_usage_are_told() {
    for (arguments, told) in [
        (vec!["127.0.0.1:5060"], "Name --caller NAME:PASSWORD"),
        (vec!["127.0.0.1:5060", "--caller", "a:b"], "who is called?"),
        (vec!["--talk", "100ms"], "nothing can be heard in less than 500ms"),
        (vec!["--rate", "0"], "a rate is from 0.01 to 100000"),
        (vec!["127.0.0.1:5060", "--caller", "a", "--to", "1", "--hear", "12"], "`12` is no tone"),
    ] {
        let done = command(&arguments).output().expect("the program runs");
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{error}");
        assert!(error.contains(told), "{error}");
    }
}
