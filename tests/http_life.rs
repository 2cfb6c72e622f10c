//! A switch starts, stops, and finds its data again.

mod support;

use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::{PATIENCE, until};

/// Runs the program to its end with a configuration in a folder of its own.
fn run(config: &Config, data: &std::path::Path) -> Output {
    let room = tempfile::TempDir::new().expect("a folder");
    let file = room.path().join("strowger.toml");
    std::fs::write(&file, config.text(data)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.arg("run").arg("--config").arg(&file).stdin(Stdio::null()).output().expect("the program runs")
}

#[test]
fn ctrl_c_stops_in_order_and_takes_the_announcement_back() {
    let mut switch = Switch::start(Config::lab());
    assert!(switch.data().join("switch.json").exists());

    switch.signal("INT");
    let ended = until(PATIENCE, || (!switch.data().join("switch.json").exists()).then_some(()));
    assert!(ended.is_some(), "{}", switch.log_tail());
    assert_eq!(switch.ended(), Some(0), "{}", switch.log_tail());
    assert!(switch.log().contains("stopped"), "{}", switch.log_tail());
}

#[test]
fn a_second_start_finds_registrations_token_and_certificate() {
    let mut switch = Switch::start(Config::for_sipp());
    let keep = |switch: &Switch, file: &str| std::fs::read(switch.data().join(file)).expect(file);
    SippRun::new("uas_answer", switch.sip("udp")).registered_as("bob").start().stop();
    let (token, certificate) = (keep(&switch, "admin.token"), keep(&switch, "tls/dev-cert.pem"));
    let before = switch.get("/api/registrations").1["registrations"][0]["contact"].clone();
    assert!(before.is_string());

    switch.restart();
    assert_eq!(switch.get("/api/registrations").1["registrations"][0]["contact"], before);
    assert_eq!((keep(&switch, "admin.token"), keep(&switch, "tls/dev-cert.pem")), (token, certificate));
    assert!(switch.log().contains("1 bindings of the last run"), "{}", switch.log_tail());
}

#[test]
fn an_ended_call_is_found_by_its_id_and_old_ones_leave_past_their_bound() {
    let mut switch = Switch::start(Config::for_sipp().set("store", "records_max", "1"));
    SippRun::new("uac_call", switch.sip("udp")).by_user("alice").service("5500").calls(3, 10).run();
    let all = until(PATIENCE, || (switch.get("/api/status").1["store"]["calls"] == 3).then_some(()));
    assert!(all.is_some(), "{}", switch.get("/api/status").1);
    let lines = std::fs::read_to_string(switch.data().join("calls.jsonl")).expect("call records");
    let last: Value = serde_json::from_str(lines.lines().last().expect("a record")).expect("JSON");
    let id = last["id"].as_str().expect("an id");
    let (status, found) = switch.get(&format!("/api/calls/{id}"));
    assert_eq!((status, &found["ended"]), (200, &last));

    // The bound is looked at once a minute, and at the start.
    switch.restart();
    let one = until(PATIENCE, || (switch.get("/api/status").1["store"]["calls"] == 1).then_some(()));
    assert!(one.is_some(), "{}", switch.get("/api/status").1);
}

#[test]
fn a_switch_that_was_killed_leaves_no_lock_behind() {
    let mut switch = Switch::start(Config::lab());
    switch.kill9();
    switch.restart();
    assert_eq!(switch.get("/api/status").1["state"], "ready");
}

#[test]
fn a_second_switch_on_the_same_data_is_refused() {
    let switch = Switch::start(Config::lab());

    let refused = run(&Config::lab(), &switch.data());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("another switch runs on") && said.contains("--data"), "{said}");
    assert_eq!(switch.get("/api/status").1["state"], "ready");
}

#[test]
fn a_second_switch_on_the_same_sip_port_is_refused_although_shards_share_it() {
    let switch = Switch::start(Config::lab());
    let other = tempfile::TempDir::new().expect("a folder");

    let taken = format!("[\"{}\"]", switch.sip("udp"));
    let refused = run(&Config::lab().set("sip", "udp", &taken), other.path());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on udp") && said.contains("sip.udp"), "{said}");
}

#[test]
fn a_taken_http_port_is_refused_with_its_key() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let data = tempfile::TempDir::new().expect("a folder");

    let at = format!("\"{}\"", holder.local_addr().expect("bound"));
    let refused = run(&Config::lab().set("http", "listen", &at), data.path());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("http.listen"), "{said}");
}

#[test]
fn a_drain_without_calls_ends_the_switch() {
    let mut switch = Switch::start(Config::lab());

    let drained = switch.command(&["drain", "--deadline", "30s"]);
    assert!(drained.status.success(), "{drained:?}");
    assert!(String::from_utf8_lossy(&drained.stdout).contains("Drained."), "{drained:?}");
    assert_eq!(switch.ended(), Some(0), "{}", switch.log_tail());

    let gone = switch.command(&["tree"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no switch is running"), "{gone:?}");
}

#[test]
fn a_draining_switch_is_not_ready_and_ends_its_calls_at_the_deadline() {
    let mut switch = Switch::start(Config::for_sipp());
    // A caller that listens to music until the switch hangs up.
    let call = SippRun::new("uac_called_bye", switch.sip("udp")).by_user("alice").service("5503").start();
    let up = until(PATIENCE, || (switch.get("/api/calls").1["calls"][0]["state"] == "up").then_some(()));
    assert!(up.is_some(), "{}", switch.get("/api/calls").1);

    let (status, progress) = switch.post("/api/drain", &json!({ "deadline_s": 2 }));
    assert_eq!((status, &progress["calls_left"]), (200, &json!(1)), "{progress}");
    let (status, answer) = switch.get_as_stranger("/readyz");
    assert_eq!(status, 503, "{answer}");
    assert!(answer["reasons"][0].as_str().is_some_and(|reason| reason.starts_with("draining")), "{answer}");
    call.finish();
    assert_eq!(switch.ended(), Some(0), "{}", switch.log_tail());
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let mut switch = Switch::start(Config::for_sipp());
    let call = SippRun::new("uac_called_bye", switch.sip("udp")).by_user("alice").service("5503").start();
    let up = until(PATIENCE, || (switch.get("/api/calls").1["calls"][0]["state"] == "up").then_some(()));
    assert!(up.is_some(), "{}", switch.get("/api/calls").1);

    switch.signal("INT");
    let draining = until(PATIENCE, || (switch.get_as_stranger("/readyz").0 == 503).then_some(()));
    assert!(draining.is_some(), "{}", switch.log_tail());
    switch.signal("INT");
    assert_eq!(switch.ended(), Some(130), "{}", switch.log_tail());
    call.stop();
}

#[test]
fn a_certificate_is_read_again_at_sighup_and_a_broken_one_leaves_the_old() {
    let switch = Switch::start(Config::lab());
    let chain = switch.data().join("tls/dev-cert.pem");
    let good = std::fs::read(&chain).expect("the certificate");

    std::fs::write(&chain, "no certificate").expect("written");
    switch.signal("HUP");
    let kept = until(PATIENCE, || switch.log().contains("the old certificate stays").then_some(()));
    assert!(kept.is_some(), "{}", switch.log_tail());
    support::wire::Wire::tls(switch.sip("tls")).send("\n\n");

    std::fs::write(&chain, good).expect("written");
    switch.signal("HUP");
    let taken = until(PATIENCE, || switch.log().contains("the certificate was read again").then_some(()));
    assert!(taken.is_some(), "{}", switch.log_tail());
}

#[test]
fn a_root_that_gives_up_ends_the_process_with_70() {
    let mut switch = Switch::start(Config::lab());

    switch.command(&["kill", "switch"]);
    assert_eq!(switch.ended(), Some(70), "{}", switch.log_tail());
    assert!(switch.log().contains("the switch gave up: killed by operator"), "{}", switch.log_tail());
    UdpSocket::bind(switch.sip("udp")).expect("its port is free again");
}
