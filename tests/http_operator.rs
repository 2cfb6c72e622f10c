//! What an operator sees of a running switch over HTTP, and what a stranger does not.

mod support;

use serde_json::{Value, json};
use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::wire::Wire;
use support::{PATIENCE, until};

/// The node of the tree at `path`.
fn node(switch: &Switch, path: &str) -> Option<Value> {
    let (status, tree) = switch.get("/api/tree");
    assert_eq!(status, 200, "{tree}");
    tree["nodes"].as_array()?.iter().find(|node| node["path"] == path).cloned()
}

/// Waits until the actor at `path` runs again with this many restarts.
fn restarted(switch: &Switch, path: &str, restarts: u64) -> Value {
    until(PATIENCE, || node(switch, path).filter(|node| node["restarts"] == restarts && node["state"] == "running"))
        .unwrap_or_else(|| panic!("{path} did not come back: {:?}", node(switch, path)))
}

#[test]
fn a_stranger_sees_health_and_figures_and_nothing_else() {
    let switch = Switch::start(Config::lab());

    assert_eq!(switch.get_as_stranger("/healthz"), (200, json!({ "ok": true })));
    assert_eq!(switch.get_as_stranger("/readyz"), (200, json!({ "ready": true, "reasons": [] })));
    let (status, metrics) = switch.get_as_stranger("/metrics");
    let text = metrics.as_str().expect("text");
    assert_eq!(status, 200);
    for name in ["strowger_calls_alive", "strowger_actor_alive", "strowger_media_running", "strowger_store_writable"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    for path in ["/api/tree", "/api/calls", "/api/calls/1", "/api/registrations", "/api/status", "/api/drain", "/api/x"]
    {
        let (status, refusal) = switch.get_as_stranger(path);
        assert_eq!(status, 401, "{path}");
        assert!(refusal["error"].is_string() && refusal["remedy"].is_string(), "{refusal}");
    }
}

#[test]
fn a_wrong_token_is_refused_with_a_challenge() {
    let switch = Switch::start(Config::lab());

    for token in ["Bearer wrong", "Bearer ", "Basic YTpi", "Bearer"] {
        let request = ureq::get(format!("http://{}/api/tree", switch.http())).header("Authorization", token);
        let answer = request.config().http_status_as_error(false).build().call().expect("an answer");
        assert_eq!(answer.status(), 401, "{token}");
        let challenge = answer.headers().get("WWW-Authenticate").and_then(|value| value.to_str().ok());
        assert!(challenge.is_some_and(|challenge| challenge.starts_with("Bearer ")), "{token}: {challenge:?}");
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused_in_json() {
    let switch = Switch::start(Config::lab());

    for (status, refusal) in [switch.get_as_stranger("/nix"), switch.get("/api/nix"), switch.get("/api/calls/nix")] {
        assert_eq!(status, 404);
        assert!(refusal["error"].is_string() && refusal["remedy"].is_string(), "{refusal}");
    }
    assert_eq!(switch.get("/api/kill").0, 405);
    assert_eq!(switch.post("/api/tree", &json!({})).0, 405);
    assert_eq!(switch.post("/api/kill", &json!({ "way": "/switch" })).0, 400);
    assert_eq!(switch.post("/api/kill", &json!({ "path": "/switch/nix" })).0, 404);
    let long = "x".repeat(32 << 10);
    assert_eq!(switch.post("/api/kill", &json!({ "path": long })).0, 413);
}

#[test]
fn https_serves_the_same_as_http() {
    let switch = Switch::start(Config::lab().set("http", "tls_listen", "\"127.0.0.1:0\""));
    let announced = std::fs::read(switch.data().join("switch.json")).expect("the announcement");
    let announced: Value = serde_json::from_slice(&announced).expect("JSON");
    let address = announced["https"].as_str().and_then(|at| at.parse().ok()).expect("an address of HTTPS");

    let mut wire = Wire::tls(address);
    wire.send("GET /readyz HTTP/1.1\nHost: {ip}\n\n");
    let answer = wire.receive("HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"ready\":true"), "{answer}");
}

#[test]
fn the_console_is_one_page_that_runs_nothing_but_itself() {
    let switch = Switch::start(Config::lab());

    let mut answer = ureq::get(format!("http://{}/", switch.http())).call().expect("the console");
    let policy = answer.headers()["Content-Security-Policy"].to_str().expect("text").to_owned();
    let page = answer.body_mut().read_to_string().expect("a page");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "its script and its style have the nonce");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_tree_shows_every_branch_with_state_and_mailbox() {
    let switch = Switch::start(Config::lab().set("node", "shards", "2"));

    for path in [
        "/switch",
        "/switch/store",
        "/switch/records",
        "/switch/media/handshakes",
        "/switch/media/worker-0",
        "/switch/shard-0/registrar",
        "/switch/shard-1/signalling",
        "/switch/shard-1/calls",
        "/switch/http",
        "/switch/housekeeping",
    ] {
        let node = node(&switch, path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(node["state"], "running", "{node}");
        assert_eq!(node["restarts"], 0, "{node}");
        assert!(node["mailbox_capacity"].as_u64() >= Some(1), "{node}");
    }
}

#[test]
fn a_killed_actor_comes_back_and_the_tree_says_why_it_ended() {
    let switch = Switch::start(Config::lab());

    for path in ["/switch/shard-0/registrar", "/switch/shard-0/signalling", "/switch/media/worker-0"] {
        assert_eq!(switch.post("/api/kill", &json!({ "path": path, "how": "kill" })), (200, json!({ "killed": path })));
        let back = restarted(&switch, path, 1);
        assert_eq!(back["last_cause"], "killed by operator", "{back}");
    }
    SippRun::new("options", switch.sip("udp")).run();
}

#[test]
fn an_end_of_the_store_or_of_the_records_ends_no_call() {
    let switch = Switch::start(Config::for_sipp());
    let call = SippRun::new("uac_called_bye", switch.sip("udp")).by_user("alice").service("5503").start();
    let up = || (switch.get("/api/calls").1["calls"][0]["state"] == "up").then_some(());
    assert!(until(PATIENCE, up).is_some(), "{}", switch.get("/api/calls").1);

    for path in ["/switch/store", "/switch/records", "/switch/housekeeping"] {
        assert_eq!(switch.post("/api/kill", &json!({ "path": path })).0, 200);
        restarted(&switch, path, 1);
    }
    for path in ["/switch/shard-0", "/switch/media", "/switch/media/worker-0"] {
        assert_eq!(node(&switch, path).expect("it lives")["restarts"], 0, "{path}");
    }
    assert!(up().is_some(), "{}", switch.get("/api/calls").1);
    call.stop();
}

#[test]
fn the_http_face_comes_back_on_the_same_port() {
    let switch = Switch::start(Config::lab());

    let output = switch.command(&["kill", "switch/http"]);
    assert!(output.status.success(), "{output:?}");
    let back = until(PATIENCE, || {
        let answer = ureq::get(format!("http://{}/readyz", switch.http())).call().ok()?;
        (answer.status() == 200).then(|| node(&switch, "/switch/http")).flatten().filter(|node| node["restarts"] == 1)
    });
    assert!(back.is_some(), "{}", switch.log_tail());
}

#[test]
fn a_panic_is_injected_only_where_the_configuration_allows_it() {
    let path = "/switch/shard-0/messages";
    let real = Switch::start(Config::lab());
    let (status, refusal) = real.post("/api/kill", &json!({ "path": path, "how": "panic" }));
    assert_eq!(status, 409, "{refusal}");
    assert!(refusal["remedy"].as_str().is_some_and(|remedy| remedy.contains("allow_faults")), "{refusal}");
    assert_eq!(node(&real, path).expect("it lives")["restarts"], 0);

    let lab = Switch::start(Config::lab().set("admin", "allow_faults", "true"));
    assert_eq!(lab.post("/api/kill", &json!({ "path": path, "how": "panic" })).0, 200);
    let back = restarted(&lab, path, 1);
    assert!(back["last_cause"].as_str().is_some_and(|cause| cause.starts_with("panicked")), "{back}");
}

#[test]
fn a_registration_is_listed_with_its_way_back() {
    let switch = Switch::start(Config::for_sipp());

    let phone = SippRun::new("uas_answer", switch.sip("udp")).registered_as("bob").start();
    let (status, list) = switch.get("/api/registrations");
    let bob = &list["registrations"][0];
    assert_eq!(status, 200);
    assert_eq!((&bob["aor"], &bob["transport"]), (&json!("bob@example.com"), &json!("udp")), "{list}");
    assert_eq!(bob["received"], format!("127.0.0.1:{}", phone.port()), "{list}");
    assert!(bob["expires_in_s"].as_u64().is_some_and(|left| left > 0), "{list}");
    phone.stop();

    let shown = switch.command(&["registrations"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("bob@example.com"), "{shown:?}");
}
