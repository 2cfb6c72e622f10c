//! Where calls go: asked of a running switch, changed while it runs, and taken back.

mod support;

use serde_json::{Value, json};
use support::config::Config;
use support::party::{Party, idle, standing};
use support::switch::Switch;
use support::wire::status;
use support::{PATIENCE, until};

/// A plan with outside lines behind 9, by a carrier and another behind it.
fn office() -> Config {
    Config::lab().set("routing", "dial_plan", "\"office\"").set("routing", "voice_policy", "\"staff\"").entry(
        r#"
[[dial_plan]]
name = "office"
extension_digits = 4
country_code = "39"
international_prefix = "00"
access_code = "9"
[[voice_policy]]
name = "staff"
usages = ["national"]
[[gateway]]
name = "carrier"
address = "127.0.0.2:5080"
called_out = [{ name = "bare", pattern = '^\+(\d+)$', to = "$1" }]
[[gateway]]
name = "spare"
address = "127.0.0.3:5080"
[[route]]
name = "italy"
pattern = '^\+39\d+$'
usages = ["national"]
gateways = ["carrier", "spare"]
hours = "day"
[[hours]]
name = "day"
time_zone = "Europe/Rome"
open = ["Mon-Fri 08:00-18:00"]
holidays = ["12-25"]
[[hunt_group]]
name = "reception"
gateway = "carrier"
dial_plan = "office"
pilots = ["+390391234567"]
to = "1001"
"#,
    )
}

fn said(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What `strowger route` answers as JSON.
#[track_caller]
fn asked(switch: &Switch, arguments: &[&str]) -> Value {
    let output = switch.command(&[&["route", "--json"][..], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

const OPEN: &str = "2026-11-24T12:00+01:00";

#[test]
fn a_question_tells_every_rule_and_every_target_in_order() {
    let switch = Switch::start(office());

    let told = said(&switch.command(&["route", "90391234567", "--from", "alice", "--at", OPEN]));
    for line in [
        "of the country code: 90391234567 becomes +390391234567",
        "staff: the global one",
        "is open at Tue 2026-11-24 12:00 CET",
        "Goes outside by carrier, then spare.",
        "1. carrier: 390391234567, shown 1001; route italy of usage national",
        "2. spare: +390391234567 (+39 039 123 4567, IT), shown 1001; route italy of usage national",
        "spare is next; another refusal ends the call",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }

    let closed = asked(&switch, &["90391234567", "--from", "1001", "--at", "2026-12-25T18:05"]);
    assert_eq!((closed["outcome"].as_str(), closed["status"].as_u64()), (Some("closed"), Some(480)), "{closed}");
    let unknown = asked(&switch, &["0391234567", "--from", "alice"]);
    assert_eq!(unknown["outcome"], "no_route");
    assert!(unknown["destination"].as_str().unwrap().ends_with("outside numbers begin with 9"), "{unknown}");
    let pilot = asked(&switch, &["+390391234567", "--gateway", "carrier", "--caller", "+390612345678"]);
    assert_eq!(pilot["destination"], "user alice", "{pilot}");
    let fraud = asked(&switch, &["+390612345678", "--gateway", "spare"]);
    assert_eq!(fraud["outcome"], "not_allowed", "{fraud}");
}

#[test]
fn a_question_about_nobody_is_refused_with_a_remedy() {
    let switch = Switch::start(office());
    for (path, code) in [
        ("/api/route?number=1&from=eve", 404),
        ("/api/route?number=1&gateway=other", 404),
        ("/api/route?number=1", 400),
        ("/api/route?number=1&from=alice&gateway=carrier", 400),
        ("/api/route?number=1&from=alice&at=noon", 400),
        ("/api/route?from=alice", 400),
        ("/api/route?number=1&from=alice&x=1", 400),
    ] {
        let (status, answer) = switch.get(path);
        assert_eq!(status, code, "{path} {answer}");
        assert!(answer["remedy"].is_string(), "{answer}");
    }
    assert_eq!(switch.get_as_stranger("/api/route?number=1&from=alice").0, 401);
}

#[test]
fn another_plan_is_applied_while_a_call_is_up_and_taken_back() {
    let switch = Switch::start(office());
    let (mut bob, mut alice) = (Party::registered(&switch, "bob"), Party::new(&switch, "alice"));
    let (mut mine, _theirs) = standing(&mut alice, &mut bob);
    let file = switch.config_file();
    let path = file.to_str().unwrap();
    let before = std::fs::read_to_string(&file).unwrap();
    let after = before.replace("[\"carrier\", \"spare\"]", "[\"spare\"]").replace("name = \"dave\"", "name = \"eve\"");
    std::fs::write(&file, &after).unwrap();

    let dry = said(&switch.command(&["apply", path, "--dry-run"]));
    assert!(dry.contains("~ route italy: gateways: [\"carrier\",\"spare\"] becomes [\"spare\"]"), "{dry}");
    assert!(dry.contains("- user dave") && dry.contains("+ user eve") && dry.contains("dry run"), "{dry}");
    let goes = || asked(&switch, &["90391234567", "--from", "alice", "--at", OPEN])["destination"].clone();
    assert_eq!(goes(), "outside by carrier, then spare");

    let applied = said(&switch.command(&["apply", path]));
    assert!(applied.contains("Version 2 is in force: 3 changes"), "{applied}");
    assert_eq!(goes(), "outside by spare");
    assert_eq!(asked(&switch, &["dave", "--from", "alice"])["outcome"], "unknown");
    assert_eq!(asked(&switch, &["eve", "--from", "alice"])["destination"], "user eve");
    let again = said(&switch.command(&["apply", path]));
    assert!(again.contains("Nothing changes"), "{again}");

    let (_, versions) = switch.get("/api/config/versions");
    let versions = versions["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!((&versions[0]["by"], &versions[1]["number"]), (&json!("start"), &json!(2)));
    assert_eq!(versions[1]["changes"].as_array().unwrap().len(), 3);
    let shown = said(&switch.command(&["versions", "2"]));
    assert!(shown.contains("~ route italy: gateways"), "{shown}");

    let back = said(&switch.command(&["rollback"]));
    assert!(back.contains("Version 3 is in force"), "{back}");
    assert_eq!(goes(), "outside by carrier, then spare");
    let first = said(&switch.command(&["rollback"]));
    assert!(first.contains("there is no version before this one"), "{first}");
    let forth = said(&switch.command(&["rollback", "2"]));
    assert!(forth.contains("Version 4 is in force"), "{forth}");
    assert_eq!(goes(), "outside by spare");

    // The call that began before all of this is up, and ends as calls do.
    let (_, calls) = switch.get("/api/calls");
    assert_eq!(calls["calls"].as_array().unwrap().len(), 1, "{calls}");
    alice.say(&mut mine, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn what_a_running_switch_cannot_change_is_said_and_nothing_is_changed() {
    let switch = Switch::start(office());
    let file = switch.config_file();
    let before = std::fs::read_to_string(&file).unwrap();
    let after = before.replace("ports = \"0\"", "ports = \"30000-30999\"").replace("name = \"dave\"", "name = \"eve\"");
    std::fs::write(&file, after).unwrap();

    let refused = switch.command(&["apply", file.to_str().unwrap()]);

    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("a running switch cannot change [media] ports: restart the switch"),
        "{}",
        said(&refused)
    );
    assert_eq!(asked(&switch, &["eve", "--from", "alice"])["outcome"], "unknown");
    std::fs::write(&file, before.replace("usages = [\"national\"]\ngateways", "usages = [\"abroad\"]\ngateways"))
        .unwrap();
    let wrong = switch.command(&["apply", file.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    let (code, told) = switch.post("/api/config", &json!({ "file": "x", "base": "/", "text": "[node]", "by": "test" }));
    assert_eq!((code, told["ok"].as_bool()), (422, Some(false)), "{told}");
    assert_eq!(switch.get("/api/config/versions").1["versions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_watched_is_applied_when_it_changes() {
    let switch = Switch::start(office().set("node", "watch", "true"));
    let file = switch.config_file();
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, before.replace("name = \"dave\"", "name = \"davide\"")).unwrap();

    let found = until(PATIENCE, || {
        (asked(&switch, &["davide", "--from", "alice"])["destination"] == "user davide").then_some(())
    });

    assert!(found.is_some(), "{}", switch.log_tail());
    let (_, tree) = switch.get("/api/tree");
    let node = tree["nodes"].as_array().unwrap().iter().find(|node| node["path"] == "/switch/configuration").cloned();
    assert!(node.unwrap()["description"].as_str().unwrap().contains("2 changes were applied"), "{tree}");
}

#[test]
fn who_may_not_call_a_number_hears_so_and_the_record_says_why() {
    let switch = Switch::start(office().entry("[[emergency]]\nnumber = \"112\"\nusage = \"national\"\n"));
    let mut alice = Party::new(&switch, "alice");
    for (dialled, code, why) in [
        ("9003312345678", 404, "no route leads to +3312345678"),
        ("0391234567", 404, "outside numbers begin with 9"),
        ("112", 404, "no route of usage national leads to 112"),
        ("nobody", 404, "no user, number or service has this address"),
    ] {
        alice.call(dialled, "");
        let answer = alice.answer_to("INVITE", 200);
        assert_eq!(status(&answer), Some(code), "{dialled} {answer}");
        let reason = support::wire::header(&answer, "Reason").unwrap_or_default().to_owned();
        assert!(reason.contains(why), "{reason}");
    }
    idle(&switch);
}
