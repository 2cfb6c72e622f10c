//! `strowger trial`: plans are run with the real SIPp against a real switch, and the report says what held.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::project;
use tempfile::TempDir;

/// A call between two users of the lab.
const PARTIES: &str = r#"
caller_user = { name = "alice", password = "alice-secret" }
callee = "uas_answer.xml"
callee_user = { name = "bob", password = "bob-secret" }
"#;

fn trial(plan: &Path, out: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strowger"))
        .arg("trial")
        .arg(plan)
        .arg("--out")
        .arg(out)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// A plan of one's own in a folder, beside the project's scenarios.
fn plan(folder: &TempDir, text: &str) -> PathBuf {
    for scenario in ["uac_call.xml", "uas_answer.xml", "uac_busy.xml"] {
        std::fs::copy(project("scenarios/sipp").join(scenario), folder.path().join(scenario)).expect("a copy");
    }
    let file = folder.path().join("plan.toml");
    std::fs::write(&file, text).expect("the plan");
    file
}

fn step(name: &str, caller: &str, more: &str) -> String {
    format!(
        "[[step]]\nname = \"{name}\"\npurpose = \"Shows it.\"\nclause = \"RFC 3261\"\ncaller = \"{caller}\"\n{PARTIES}{more}\n"
    )
}

fn report(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

/// What a real Chromium makes of the page.
fn seen(out: &Path) -> Value {
    let home = std::env::var_os("STROWGER_BROWSER").map_or_else(|| project("target/browser"), PathBuf::from);
    let done = Command::new("node")
        .arg(project("tests/support/browser/page.mjs"))
        .arg(home)
        .arg(format!("file://{}", out.join("report.html").display()))
        .output()
        .expect("node runs: tests/setup installs it");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_carrier_acceptance_suite_passes_and_its_sheet_can_be_read() {
    let out = TempDir::new().expect("a folder");

    let done = trial(&project("scenarios/acceptance.toml"), out.path(), &[]);

    println!("{}", text(&done.stdout));
    assert_eq!(done.status.code(), Some(0), "{}\n{}", text(&done.stdout), text(&done.stderr));
    let report = report(out.path());
    let steps = report["steps"].as_array().expect("steps");
    assert!(steps.len() >= 35 && steps.iter().all(|step| step["verdict"] == "passed"));
    let junit = std::fs::read_to_string(out.path().join("junit.xml")).expect("JUnit");
    assert!(junit.contains(&format!("tests=\"{}\"", steps.len())) && junit.contains("failures=\"0\""), "{junit}");
    let page = seen(out.path());
    assert_eq!(page["errors"], serde_json::json!([]), "{page}");
    assert_eq!(page["title"], "Carrier acceptance");
    assert!(page["charts"].as_u64() >= Some(20), "{page}");
    let html = std::fs::read_to_string(out.path().join("report.html")).expect("the page");
    for chart in [
        "Calls begun in a second",
        "Calls at a time",
        "Answer delay, ms",
        "Messages that the caller repeated",
        "CPU, percent of a core",
        "Resident memory, MiB",
        "RTP loss of each stream, percent",
        "Jitter of each stream, ms",
        "MOS of each stream",
    ] {
        assert!(html.contains(chart), "{chart}");
    }
}

#[test]
fn calls_outlive_the_parts_that_a_plan_kills() {
    let out = TempDir::new().expect("a folder");

    let done = trial(&project("scenarios/faults.toml"), out.path(), &[]);

    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stdout));
    let report = report(out.path());
    for step in report["steps"].as_array().expect("steps") {
        let told = step["faults"][0]["what"].as_str().expect("the fault came");
        assert!(told.contains("was killed") || told.contains("was made to panic"), "{told}");
    }
}

#[test]
fn calls_to_the_outside_find_a_carrier_and_sipps_own_scenarios_run_unchanged() {
    for plan in ["trunks", "stock"] {
        let out = TempDir::new().expect("a folder");

        let done = trial(&project(&format!("scenarios/{plan}.toml")), out.path(), &[]);

        assert_eq!(done.status.code(), Some(0), "{}\n{}", text(&done.stdout), text(&done.stderr));
        let steps = report(out.path())["steps"].as_array().cloned().expect("steps");
        // SIPp's scenarios that have no switch between them stand on the sheet with the reason.
        let (not_run, run): (Vec<&Value>, Vec<&Value>) =
            steps.iter().partition(|step| step["verdict"] == "not_applicable");
        assert!(run.len() >= 3 && run.iter().all(|step| step["verdict"] == "passed"), "{plan}");
        let names: Vec<&str> = not_run.iter().filter_map(|step| step["name"].as_str()).collect();
        assert_eq!(names, if plan == "stock" { vec!["branchc and branchs", "3pcc"] } else { vec![] });
    }
}

#[test]
fn a_switch_without_media_ports_fails_its_trial_and_the_ladder_shows_where() {
    let folder = TempDir::new().expect("a folder");
    let lab = std::fs::read_to_string(project("src/config/lab.toml")).expect("the lab");
    let free = ["5060\"", "5061\"", "8080\""].iter().fold(lab, |text, port| text.replace(&format!(":{port}"), ":0\""));
    // Two calls need four pairs: the second one finds none.
    let (first, last) = (30_000, 30_003);
    let starved = free.replace("[media]\n", &format!("[media]\nports = \"{first}-{last}\"\n"));
    std::fs::write(folder.path().join("starved.toml"), starved).expect("the configuration");
    let head = "name = \"Starved\"\npurpose = \"Ports run out.\"\n[switch]\nconfig = \"starved.toml\"\n";
    let plan = plan(&folder, &format!("{head}{}", step("two calls", "uac_call.xml", "calls = 2\npause = \"2s\"")));
    let out = folder.path().join("out");

    let done = trial(&plan, &out, &[]);

    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stdout));
    let report = report(&out);
    let step = &report["steps"][0];
    assert_eq!((&step["verdict"], &step["caller"]["failed"]), (&"failed".into(), &1.into()), "{step:#}");
    assert!(step["reasons"][0].as_str().is_some_and(|told| told.contains("1 of 2 calls failed")), "{step:#}");
    let page = seen(&out);
    assert_eq!(page["errors"], serde_json::json!([]));
    assert!(page["ladders"].as_u64() >= Some(1), "{page}");
    let html = std::fs::read_to_string(out.join("report.html")).expect("the page");
    assert!(html.contains(">503 INVITE</text>") && html.contains("No Media Port Free"), "the ladder shows the refusal");
}

#[test]
fn sound_that_a_network_loses_fails_its_step_and_the_charts_and_the_ladder_show_it() {
    let folder = TempDir::new().expect("a folder");
    let step = r#"
name = "Lossy"
purpose = "Packets are lost."
[[step]]
name = "two calls"
purpose = "Nothing may be lost."
clause = "RFC 3550"
load = { rate = 2, length = "1s", talk = "1s", threshold = "30s", callers = [{ name = "alice", password = "alice-secret" }], callees = [{ name = "bob", password = "bob-secret" }] }
[[step.fault]]
at = "0s"
lasts = "1m"
network = { loss = 20 }
"#;
    let file = folder.path().join("plan.toml");
    std::fs::write(&file, step).expect("the plan");
    let out = folder.path().join("out");

    let done = trial(&file, &out, &[]);

    assert_eq!(done.status.code(), Some(1), "{}{}", text(&done.stdout), text(&done.stderr));
    let step = &report(&out)["steps"][0];
    assert!(step["story"].as_str().is_some_and(|story| story.contains("sound: packets lost")), "{step:#}");
    let streams = step["streams"].as_array().expect("streams");
    assert!(streams.iter().any(|stream| stream["loss_percent"].as_f64() > Some(2.0)), "{streams:?}");
    let html = std::fs::read_to_string(out.join("report.html")).expect("the page");
    for shown in ["⚡ on purpose: the network: loss 20%, seed 0", "♪ ", "RTP loss of each stream", "MOS of each stream"]
    {
        assert!(html.contains(shown), "{shown}");
    }
}

#[test]
fn a_caller_that_expects_otherwise_fails_its_step_and_no_other() {
    let folder = TempDir::new().expect("a folder");
    let steps = step("busy, it thinks", "uac_busy.xml", "") + &step("a call", "uac_call.xml", "");
    let plan = plan(&folder, &format!("name = \"Two\"\npurpose = \"One fails.\"\n{steps}"));
    let out = folder.path().join("out");

    let done = trial(&plan, &out, &["--json"]);

    assert_eq!(done.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let verdicts: Vec<&Value> = told["steps"].as_array().expect("steps").iter().map(|step| &step["verdict"]).collect();
    assert_eq!(verdicts, ["failed", "passed"], "{told:#}");
    assert!(told["steps"][0]["story"].as_str().is_some_and(|story| story.contains("200 OK")), "{told:#}");
}

#[test]
fn a_plan_with_a_mistake_is_refused_before_anything_runs() {
    let folder = TempDir::new().expect("a folder");
    let plan = plan(&folder, &format!("name = \"x\"\npurpose = \"y\"\n{}", step("s", "none.xml", "")));
    let out = folder.path().join("out");

    let done = trial(&plan, &out, &[]);

    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("plan.toml:4:8: step \"s\": no scenario none.xml"), "{}", text(&done.stderr));
    assert!(!out.exists());
}
