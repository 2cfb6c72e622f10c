//! What differs between two configurations, and whether a running switch can change it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::Config;

/// Settings of sections that are written once and that a running switch reads anew each time.
const LIVE: [(&str, &[&str]); 9] = [
    ("registrar", &["expires_default", "expires_min", "expires_max", "contacts_max"]),
    ("sip", &["user_agent", "session_expires", "min_se", "max_call_duration", "max_ringing", "ring_step", "max_forks"]),
    ("admission", &["retry_after", "calls_max"]),
    ("media", &["codecs", "srtp", "srtp_over_plain_sip", "srtp_lifetime"]),
    ("store", &["message_expires"]),
    (
        "voicemail",
        &[
            "language",
            "answer_after",
            "call_max",
            "recording_max",
            "recording_silence",
            "recording_min",
            "greeting_max",
            "format",
            "failures_max",
            "wrong_pins_max",
            "key_within",
            "next_key_within",
            "skip",
            "extension_digits",
            "operator",
            "attendant",
        ],
    ),
    ("hep", &["host", "port", "agent", "key"]),
    ("smtp", &["host", "port", "security", "ca", "username", "password", "from", "give_up"]),
    ("transcripts", &["command", "longest", "patience", "at_once", "confidence_low", "confidence_min"]),
];
/// The sections of where calls go, and of what users switch, are live as a whole.
const PLAN: [&str; 2] = ["routing", "features"];
/// A difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What: `user eve`, `route italy: gateways`, `[sip] udp`.
    pub what: String,
    /// What it was; null where it was not there.
    pub before: Value,
    /// What it is; null where it is not there any more.
    pub after: Value,
    /// A running switch can change it.
    pub live: bool,
}

/// The differences from one configuration to another, in the order of the file.
pub fn changes(from: &Config, to: &Config) -> Vec<Change> {
    let mut all = Vec::new();
    let (before, after) = (from.effective(), to.effective());
    let (Value::Object(before), Value::Object(after)) = (&before, &after) else { return all };
    for (section, was) in before {
        match (was, after.get(section)) {
            (Value::Object(was), Some(Value::Object(is))) => once(section, was, is, &mut all),
            (Value::Array(was), Some(Value::Array(is))) => listed(section, was, is, &mut all),
            _ => {}
        }
    }
    secrets(from, to, &mut all);
    all
}

fn once(section: &str, was: &Map<String, Value>, is: &Map<String, Value>, all: &mut Vec<Change>) {
    let keys = LIVE.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| keys);
    for (key, before) in was {
        let after = is.get(key).cloned().unwrap_or(Value::Null);
        if *before != after {
            let live = PLAN.contains(&section) || keys.contains(&key.as_str());
            all.push(Change { what: format!("[{section}] {key}"), before: before.clone(), after, live });
        }
    }
}

/// Entries are told apart by their names; where order decides, a new order is a difference too.
fn listed(section: &str, was: &[Value], is: &[Value], all: &mut Vec<Change>) {
    let change = |what: String, before: &Value, after: &Value| Change {
        before: before.clone(),
        after: after.clone(),
        live: true,
        what,
    };
    let (old, new) = (named(section, was), named(section, is));
    for (name, before) in &old {
        match new.iter().find(|(other, _)| other == name) {
            None => all.push(change(format!("{section} {name}"), before, &Value::Null)),
            Some((_, after)) => {
                let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { continue };
                for (key, value) in before {
                    let now = after.get(key).unwrap_or(&Value::Null);
                    if value != now {
                        all.push(change(format!("{section} {name}: {key}"), value, now));
                    }
                }
            }
        }
    }
    for (name, after) in new.iter().filter(|(name, _)| !old.iter().any(|(other, _)| other == name)) {
        all.push(change(format!("{section} {name}"), &Value::Null, after));
    }
    let order = |of: &[(String, &Value)], other: &[(String, &Value)]| -> Vec<String> {
        let both = of.iter().filter(|(name, _)| other.iter().any(|(known, _)| known == name));
        both.map(|(name, _)| name.clone()).collect()
    };
    let (before, after) = (order(&old, &new), order(&new, &old));
    if before != after {
        all.push(change(format!("{section}: order"), &before.into(), &after.into()));
    }
}

/// The entries of a section with the names that tell them apart; those without a name by what they say.
fn named<'v>(section: &str, list: &'v [Value]) -> Vec<(String, &'v Value)> {
    let mut all: Vec<(String, &Value)> = Vec::with_capacity(list.len());
    for entry in list {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let rule = || Some(format!("{} {} {}", text("dial_plan")?, text("group")?, text("mask")?));
        let name = text("name").or_else(rule).or_else(|| text("number")).or_else(|| text("numbers"));
        let mut name = name.unwrap_or_else(|| section.to_owned());
        if all.iter().any(|(known, _)| *known == name) {
            name = format!("{name} ({})", all.len());
        }
        all.push((name, entry));
    }
    all
}

/// Secrets are not shown, and count all the same.
fn secrets(from: &Config, to: &Config, all: &mut Vec<Change>) {
    let hidden = || Value::from("(secret)");
    let change = |what: String, live| Change { what, before: hidden(), after: hidden(), live };
    for user in &from.users {
        let Some(now) = to.users.iter().find(|other| other.name == user.name) else { continue };
        if user.password != now.password && user.password.is_some() == now.password.is_some() || user.ha1 != now.ha1 {
            all.push(change(format!("user {}: credentials", user.name), true));
        }
    }
    for gateway in &from.gateways {
        let Some(now) = to.gateways.iter().find(|other| other.name == gateway.name) else { continue };
        if gateway.password != now.password && gateway.password.is_some() == now.password.is_some() {
            all.push(change(format!("gateway {}: password", gateway.name), true));
        }
    }
    if from.hep.key != to.hep.key && from.hep.key.is_some() == to.hep.key.is_some() {
        all.push(change("[hep] key".into(), true));
    }
    if from.admin.token != to.admin.token && from.admin.token.is_some() == to.admin.token.is_some() {
        all.push(change("[admin] token".into(), false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, lab, parse};
    use std::path::Path;

    fn edited(from: &str, to: &str) -> Vec<(String, bool)> {
        let before = lab().unwrap();
        let text = before.source.expose().replace(from, to);
        assert_ne!(text, before.source.expose(), "{from} is not in the lab");
        let after = parse("new", Path::new(""), &text, Origin::Lab).unwrap();
        changes(&before, &after).into_iter().map(|change| (change.what, change.live)).collect()
    }

    #[test]
    fn what_differs_is_named_with_whether_a_running_switch_can_change_it() {
        assert_eq!(edited("display = \"Dave\"", "display = \"David\""), [("user dave: display".into(), true)]);
        assert_eq!(edited("dave-secret", "dave-other-secret"), [("user dave: credentials".into(), true)]);
        assert_eq!(edited("ip = \"127.0.0.1\"", "ip = \"127.0.0.9\""), [("[media] ip".into(), false)]);
        assert_eq!(edited("[media]\n", "[media]\nsrtp = \"never\"\n"), [("[media] srtp".into(), true)]);
        let renamed = edited("name = \"dave\"", "name = \"eve\"");
        assert_eq!(renamed, [("user dave".into(), true), ("user eve".into(), true)]);
    }

    #[test]
    fn another_order_of_entries_is_a_difference() {
        let before = lab().unwrap();
        let mut after = before.clone();
        after.users.swap(0, 1);
        let all = changes(&before, &after);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].what, "user: order");
        assert!(changes(&before, &before).is_empty());
    }
}
