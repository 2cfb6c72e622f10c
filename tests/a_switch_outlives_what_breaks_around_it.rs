//! `scenarios/outages.toml` against a real switch: each fault comes, and what must hold does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn trial(plan: &Path, more: &[&str]) -> (Output, Value) {
    let out = TempDir::new().expect("a folder");
    let done = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .arg("trial")
        .arg(plan)
        .args(["--json", "--out"])
        .arg(out.path())
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let told = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|wrong| panic!("{wrong}\n{}", String::from_utf8_lossy(&done.stderr)));
    (done, told)
}

#[test]
fn what_breaks_around_the_switch_costs_no_more_than_the_plan_says() {
    let (done, told) = trial(&project("scenarios/outages.toml"), &[]);

    assert_eq!(done.status.code(), Some(0), "{told:#}");
    let steps = told["steps"].as_array().expect("steps");
    assert!(steps.len() >= 14, "{}", steps.len());
    for step in steps {
        assert_eq!(step["verdict"], "passed", "{step:#}");
    }
    let happened = |name: &str| {
        let step = steps.iter().find(|step| step["name"].as_str().is_some_and(|found| found.contains(name)));
        step.and_then(|step| step["faults"][0]["what"].as_str()).unwrap_or_default().to_owned()
    };
    for (step, what) in [
        ("shard stalls", "was stalled for 1.5s"),
        ("hangs", "frozen"),
        ("power cut", "killed and started again"),
        ("Garbage", "1000 connections"),
        ("network loses", "loss 5%"),
        ("delays, doubles", "duplicate 5%, reorder 10%, delay 30ms"),
        ("disk is full", "the disk is full"),
        ("disk is slow", "500ms longer"),
        ("clock", "+30m"),
        ("certificate", "expired"),
        ("server is silent", "silent"),
        ("ports of media run out", "ports of media that were free"),
    ] {
        assert!(happened(step).contains(what), "{step}: {}", happened(step));
    }
    // Those who called while nobody answered waited for it: what was stalled was the switch.
    let delay = |name: &str| {
        let step = steps.iter().find(|step| step["name"].as_str().is_some_and(|found| found.contains(name)));
        step.and_then(|step| step["answer_delay_ms"]["max"].as_f64()).unwrap_or_default()
    };
    assert!(delay("shard stalls") > 500.0 && delay("hangs") > 1_000.0);
    let starved = steps.iter().find(|step| step["name"] == "The ports of media run out").expect("it is there");
    assert!(starved["caller"]["failed"].as_u64() >= Some(1), "{starved:#}");
    assert!(starved["load"]["figures"]["refusals"]["503"].as_u64() >= Some(1), "{starved:#}");
    let slow = steps.iter().find(|step| step["name"] == "The disk is slow").expect("it is there");
    assert!(slow["load"]["figures"]["rrd_ms"]["max"].as_f64() > Some(500.0), "{slow:#}");
}

#[test]
fn a_peer_that_misbehaves_harms_its_own_call_alone() {
    let (done, told) = trial(&project("scenarios/peers.toml"), &[]);

    assert_eq!(done.status.code(), Some(0), "{told:#}");
    let steps = told["steps"].as_array().expect("steps");
    assert!(steps.len() >= 3 && steps.iter().all(|step| step["verdict"] == "passed"), "{told:#}");
}

#[test]
fn a_fault_of_the_command_line_comes_in_each_step_and_a_wrong_one_is_told() {
    let plan = project("scenarios/acceptance.toml");
    let fault = "{ at = '100ms', actor = 'call', how = 'panic' }";

    let (done, told) = trial(&plan, &["--step", "Hold", "--fault", fault]);

    let steps = told["steps"].as_array().expect("steps");
    assert_eq!(done.status.code(), Some(0), "{told:#}");
    assert!(steps.iter().all(|step| step["faults"][0]["what"].as_str().is_some_and(|what| what.contains("panic"))));

    for (fault, remedy) in [
        ("{ at = '1s' }", "a fault is one of `actor`, `switch`"),
        ("{ at = '1s', clock = 'noon' }", "`noon` is no jump of a clock"),
        ("{ at = 1 }", "invalid type"),
    ] {
        let (done, told) = trial(&plan, &["--step", "Hold", "--fault", fault]);
        assert_eq!(done.status.code(), Some(1));
        assert!(told["error"].as_str().is_some_and(|error| error.contains(remedy)), "{told:#}");
    }
}
