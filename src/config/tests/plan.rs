//! What is found in the sections that say where calls go.

use super::*;

/// A plan that is right, behind [`RIGHT`].
const PLAN: &str = r#"
[routing]
dial_plan = "office"
voice_policy = "staff"
[[dial_plan]]
name = "office"
extension_digits = 4
country_code = "39"
access_code = "9"
normalise = [
  { name = "short", pattern = '^8(\d{2})$', to = "+39039123$1" },
  { name = "long", pattern = '^8(\d{4})$', to = "+3903912$1" },
]
[[voice_policy]]
name = "staff"
usages = ["national"]
[[gateway]]
name = "carrier"
address = "127.0.0.2"
[[route]]
name = "italy"
pattern = '^\+39\d+$'
usages = ["national"]
gateways = ["carrier"]
[[hunt_group]]
name = "reception"
gateway = "carrier"
dial_plan = "office"
pilots = ["+390391234567"]
to = "1001"
"#;

/// The mistakes of the plan with `from` replaced, without their places.
#[track_caller]
fn plan_with(from: &str, to: &str) -> Vec<String> {
    assert!(PLAN.contains(from), "nothing to replace: {from}");
    let text = format!("{RIGHT}{}", PLAN.replace(from, to));
    let told = read_text(&text).err().unwrap_or_default();
    for error in &told {
        assert!(error.to_string().contains(&format!("t.toml:{}", error.line)), "{error}");
    }
    mistakes(&text).iter().map(|line| line.splitn(4, ':').nth(3).unwrap_or_default().trim().to_owned()).collect()
}

#[track_caller]
fn finds(from: &str, to: &str, wanted: &[&str]) {
    let told = plan_with(from, to);
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.contains(wanted), "{wanted}\nnot in\n{told}");
    }
}

#[test]
fn a_plan_that_is_right_has_no_mistakes() {
    assert_eq!(mistakes(&format!("{RIGHT}{PLAN}")), Vec::<String>::new());
}

#[test]
fn references_into_nothing_are_told_with_what_there_is() {
    finds(
        "dial_plan = \"office\"\nvoice",
        "dial_plan = \"ofice\"\nvoice",
        &["there is no dial plan `ofice`; name a dial plan that exists: `office`"],
    );
    finds("voice_policy = \"staff\"", "voice_policy = \"stuff\"", &["there is no voice policy `stuff`"]);
    finds("gateways = [\"carrier\"]", "gateways = [\"carrier\", \"other\"]", &["there is no gateway `other`"]);
    finds(
        "usages = [\"national\"]\ngateways",
        "hours = \"day\"\nusages = [\"national\"]\ngateways",
        &["there is no time condition `day`; there is no time condition at all"],
    );
}

#[test]
fn usages_without_routes_and_routes_that_nobody_can_take_are_told() {
    finds(
        "usages = [\"national\"]\n[[gateway]]",
        "usages = [\"national\", \"mobile\"]\n[[gateway]]",
        &["usage `mobile` has no route"],
    );
    finds(
        "usages = [\"national\"]\ngateways",
        "usages = [\"abroad\"]\ngateways",
        &["usage `national` has no route", "nobody can take route `italy`"],
    );
}

#[test]
fn rules_that_can_never_match_are_told() {
    finds(
        r"'^8(\d{4})$'",
        r"'^8(\d{2})$'",
        &["rule `long` can never match: the rules before it take all of its numbers"],
    );
    finds(r"'^8(\d{4})$'", r"'^([A-Z]+)$'", &["rule `long` can never match: nothing that can be dialled is like this"]);
    finds(r"'^\+39\d+$'", r"'^[A-Z]$'", &["route `italy` can never match"]);
}

#[test]
fn numbers_that_go_round_are_told() {
    finds(r#"'^8(\d{2})$', to = "+39039123$1""#, r#"'^8(\d{2})$', to = "8$1""#, &[]);
    finds(
        r#"'^8(\d{2})$', to = "+39039123$1" },"#,
        r#"'^8(\d{2})$', to = "7$1" }, { pattern = '^7(\d{2})$', to = "8$1" },"#,
        &["numbers go round: 800 becomes 700 becomes 800", "numbers go round: 700 becomes 800 becomes 700"],
    );
}

#[test]
fn patterns_that_are_wrong_or_too_costly_are_told() {
    finds(r"'^\+39\d+$'", r"'^(\+39'", &["unclosed group"]);
    finds(r"'^\+39\d+$'", r"'^(?!\+39)\d+$'", &["look-around cannot be tested in linear time"]);
    finds(r"'^\+39\d+$'", r"'^((\d{1,90}){1,90}){1,90}x?$'", &["too costly"]);
    finds("+3903912$1", "+3903912$2", &["`$2` names a group that the pattern has not: it has 1"]);
}

#[test]
fn a_hunt_group_that_leads_nowhere_is_told() {
    finds("to = \"1001\"", "to = \"1009\"", &["hunt group `reception` leads nowhere: nobody here has `1009`"]);
    finds("to = \"1001\"\n", "", &["hunt group `reception` cannot be reached: nobody here has `+390391234567`"]);
    finds("to = \"1001\"\n", "to = \"1001\"\nclosed_to = \"1001\"\n", &["hunt group `reception` is never closed"]);
}

#[test]
fn numbers_with_two_meanings_or_another_length_are_told() {
    finds(
        "[routing]",
        "[[emergency]]\nnumber = \"1001\"\nusage = \"national\"\n[routing]",
        &["`1001` is a number here, which nobody could call any more"],
    );
    finds(
        "extension_digits = 4",
        "extension_digits = 3",
        &["extension `1001` has not the 3 digits of dial plan `office`"],
    );
    finds(
        "[routing]",
        "[[hunt_group]]\nname = \"other\"\ngateway = \"carrier\"\ndial_plan = \"office\"\npilots = [\"+390391234567\"]\nto = \"1001\"\n[routing]",
        &["is already a pilot"],
    );
}

#[test]
fn a_time_zone_that_is_missing_and_times_that_are_none_are_told() {
    let hours = |zone: &str, open: &str| {
        format!("[[hours]]\nname = \"day\"\ntime_zone = \"{zone}\"\nopen = [\"{open}\"]\n[routing]")
    };
    finds("[routing]", &hours("Europe/Rome", "Mon-Fri 08:00-18:00"), &[]);
    finds(
        "[routing]",
        &hours("Europe/Roma", "Mon-Fri 08:00-18:00"),
        &["`Europe/Roma` is no time zone that is known here"],
    );
    finds("[routing]", &hours("UTC", "Mon-Fry 08:00-18:00"), &["is no opening time"]);
}

#[test]
fn dialling_rules_must_have_the_wildcards_of_their_mask_and_groups_must_exist() {
    let rule = |mask: &str, dialled: &str| {
        format!(
            "[[dialling_rule]]\ndial_plan = \"office\"\ngroup = \"local\"\nmask = \"{mask}\"\ndialled = \"{dialled}\"\n[routing]"
        )
    };
    finds("[routing]", &rule("9xxxxxxx", "9xxxxxxx"), &[]);
    finds("[routing]", &rule("9xxxxxxx", "9xxxxxx"), &["has not the wildcards of the mask"]);
    finds("[routing]", &rule("9*1", "9*1"), &["a mask has digits", "a mask has digits"]);
    finds(
        "access_code = \"9\"",
        "access_code = \"9\"\nallowed_in_country = [\"local\"]",
        &["dial plan `office` has no in-country group `local`"],
    );
}

#[test]
fn a_route_to_a_gateway_that_takes_no_calls_is_told() {
    let with = |key: &str| format!("address = \"127.0.0.2\"\n{key} = false");
    finds(
        "address = \"127.0.0.2\"",
        &with("enabled"),
        &[
            "route `italy` leads to gateway `carrier`, which is disabled",
            "hunt group `reception` cannot be reached: gateway `carrier` is disabled",
        ],
    );
    finds(
        "address = \"127.0.0.2\"",
        &with("outbound"),
        &["route `italy` leads to gateway `carrier`, which takes no calls out"],
    );
}

#[test]
fn ring_groups_that_cannot_work_are_told_with_their_remedy() {
    let group = |more: &str| {
        let group = "[[ring_group]]\nname = \"desk\"\nnumber = \"1100\"\nagents = [\"alice\"]\n";
        let text = format!("{}\n{group}{more}", lab().unwrap().source.expose().replace("\"1100\"", "\"1199\""));
        let text = text.replacen("name = \"desk\"", "name = \"other\"", 1);
        let found = super::super::parse("t", Path::new(""), &text, Origin::Lab).err().unwrap_or_default();
        found.into_iter().map(|error| format!("{}: {}", error.key, error.what)).collect::<Vec<_>>()
    };
    assert_eq!(group(""), Vec::<String>::new());
    let one = |more: &str| {
        let found = group(more);
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        found.into_iter().next().unwrap()
    };
    assert_eq!(
        one("nobody_to = \"nobody\""),
        "ring_group[1].nobody_to: ring group `desk` leads nowhere: nobody here has `nobody`"
    );
    assert_eq!(
        one("timeout_to = \"1001\""),
        "ring_group[1].timeout_to: ring group `desk` lets calls wait for as long as they like"
    );
    assert_eq!(one("closed_to = \"5502\""), "ring_group[1].closed_to: ring group `desk` is never closed");
    assert_eq!(one("hours = \"night\""), "ring_group[1].hours: there is no time condition `night`");
    assert_eq!(
        one("overflow_to = \"1100\""),
        "ring_group[1].overflow_to: calls of ring group `desk` go round by `overflow_to`"
    );
    assert_eq!(one("voice_policy = \"none\""), "ring_group[1].voice_policy: there is no voice policy `none`");
    assert_eq!(group("overflow_to = \"+390612345678\""), Vec::<String>::new(), "outside, by the lab's policy");
    assert_eq!(one("[[service]]\nnumber = \"1100\"\nkind = \"echo\"").split(':').next(), Some("ring_group[1].number"));
    let agents = group("[[ring_group]]\nname = \"x\"\nnumber = \"1101\"\nagents = [\"alice\", \"alice\", \"zoe\"]\n");
    assert_eq!(agents.len(), 2, "{agents:?}");
}
