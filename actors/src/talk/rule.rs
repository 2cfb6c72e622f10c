//! Call answering rules: what the owner of a mailbox has written about callers (reference, unified messaging, 2.9, 3.6).
//!
//! The first rule whose conditions all hold has the caller, who hears its keys: a number, several numbers that are tried one after
//! the other and asked whether they want the call, the mailbox of somebody else, or the message that would have been left anyway.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use super::words::Caller;
use crate::routing::hours::Opening;

/// Most rules of a mailbox, and keys of a rule.
const RULES_MAX: usize = 9;
const KEYS_MAX: usize = 10;
/// Most callers, numbers dialled and times of a rule.
const LISTED_MAX: usize = 50;
/// Most numbers that are tried behind one key.
const FIND_ME_MAX: usize = 6;
/// Most contacts of a mailbox, and numbers of one.
const CONTACTS_MAX: usize = 500;
const NUMBERS_MAX: usize = 10;
const NAME_BYTES_MAX: usize = 255;
/// The words for a key, which are spelled.
const TEXT_CHARS_MAX: usize = 40;
const RING_S: std::ops::RangeInclusive<u32> = 5..=120;
/// From how many digits on a number may lack what comes before it.
const DIGITS_ALIKE: usize = 7;

/// What the owner of a mailbox has written about callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerBook {
    /// The rules, the most important first.
    #[serde(default)]
    pub rules: Vec<AnsweringRule>,
    /// People by their numbers.
    #[serde(default)]
    pub contacts: Vec<Contact>,
}

/// Somebody whom the owner knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The numbers.
    pub numbers: Vec<String>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweringRule {
    /// Its name.
    pub name: String,
    /// Whether it counts.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Numbers or users who may be calling; empty with `contacts` off: anybody.
    #[serde(default)]
    pub callers: Vec<String>,
    /// Anybody of the contacts may be calling.
    #[serde(default)]
    pub contacts: bool,
    /// Times such as `Mon-Fri 08:00-12:00`; empty: always.
    #[serde(default)]
    pub times: Vec<String>,
    /// A time condition of the configuration that must be open.
    #[serde(default)]
    pub open: Option<String>,
    /// One that must not be open.
    #[serde(default)]
    pub closed: Option<String>,
    /// Whether the owner has another call.
    #[serde(default)]
    pub busy: Option<bool>,
    /// Whether the away greeting is on.
    #[serde(default)]
    pub away: Option<bool>,
    /// Numbers that may have been dialled; empty: any.
    #[serde(default)]
    pub dialled: Vec<String>,
    /// Whether keys count while the greeting plays.
    #[serde(default = "yes")]
    pub interruptible: bool,
    /// The keys; without any the caller leaves a message.
    #[serde(default)]
    pub keys: Vec<RuleKey>,
}

/// A key of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleKey {
    /// `0` to `9`.
    pub key: char,
    /// What it is for; callers hear it spelled.
    pub text: String,
    /// What it does.
    pub does: RuleDoes,
}

/// What a key of a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleDoes {
    /// Connects with a number.
    Transfer(String),
    /// Tries numbers, one after the other; who answers is asked.
    FindMe(Vec<FindMe>),
    /// A message for another user.
    Voicemail(String),
    /// A message for the owner.
    Message,
}

/// A number that is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindMe {
    /// The number.
    pub number: String,
    /// For how long it rings, s.
    #[serde(default = "ring_s")]
    pub ring_s: u32,
}

/// How things stand when a caller comes to a mailbox.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The time on the clock of the switch.
    pub at: jiff::Zoned,
    /// Time conditions of the configuration that are open.
    pub open: Vec<String>,
    /// Whether the owner has another call.
    pub busy: bool,
    /// What was dialled.
    pub dialled: String,
}

const fn yes() -> bool {
    true
}

const fn ring_s() -> u32 {
    20
}

impl CallerBook {
    /// The rule that a caller meets.
    pub fn rule_for(&self, caller: &Caller, away: bool, situation: &Situation) -> Option<&AnsweringRule> {
        self.rules.iter().find(|rule| rule.enabled && rule.holds(self, caller, away, situation))
    }

    /// Who has a number, by the contacts.
    pub fn contact(&self, number: &str) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.numbers.iter().any(|own| is_alike(own, number)))
    }

    /// What is wrong with it, in words; `has_hours` knows the time conditions of the configuration.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(&self, has_hours: impl Fn(&str) -> bool) -> Result<(), String> {
        most("rules", self.rules.len(), RULES_MAX)?;
        most("contacts", self.contacts.len(), CONTACTS_MAX)?;
        for contact in &self.contacts {
            named("a contact", &contact.name)?;
            most(&format!("numbers of {}", contact.name), contact.numbers.len(), NUMBERS_MAX)?;
            contact.numbers.iter().try_for_each(|number| is_number(number))?;
        }
        let mut names = BTreeSet::new();
        for rule in &self.rules {
            named("a rule", &rule.name)?;
            if !names.insert(&rule.name) {
                return Err(format!("two rules are called {:?}", rule.name));
            }
            rule.check(&has_hours).map_err(|why| format!("rule {:?}: {why}", rule.name))?;
        }
        Ok(())
    }
}

impl AnsweringRule {
    fn holds(&self, book: &CallerBook, caller: &Caller, away: bool, situation: &Situation) -> bool {
        let listed = |known: &String| is_alike(known, &caller.number) || caller.mailbox.as_ref() == Some(known);
        let anybody = self.callers.is_empty() && !self.contacts;
        let by_caller = anybody
            || self.callers.iter().any(listed)
            || self.contacts && !caller.number.is_empty() && book.contact(&caller.number).is_some();
        let openings = || self.times.iter().filter_map(|text| Opening::parse(text));
        let is_open = |name: &String| situation.open.contains(name);
        by_caller
            && (self.times.is_empty() || openings().any(|opening| opening.has(&situation.at)))
            && self.open.as_ref().is_none_or(is_open)
            && !self.closed.as_ref().is_some_and(is_open)
            && self.busy.is_none_or(|busy| busy == situation.busy)
            && self.away.is_none_or(|wanted| wanted == away)
            && (self.dialled.is_empty() || self.dialled.iter().any(|number| is_alike(number, &situation.dialled)))
    }

    fn check(&self, has_hours: &impl Fn(&str) -> bool) -> Result<(), String> {
        most("callers", self.callers.len(), LISTED_MAX)?;
        most("numbers dialled", self.dialled.len(), LISTED_MAX)?;
        most("times", self.times.len(), LISTED_MAX)?;
        most("keys", self.keys.len(), KEYS_MAX)?;
        if let Some(text) = self.times.iter().find(|text| Opening::parse(text).is_none()) {
            return Err(format!("{text:?} is no time: write it as \"Mon-Fri 08:00-12:00\""));
        }
        if let Some(name) = self.open.iter().chain(&self.closed).find(|name| !has_hours(name)) {
            return Err(format!("there are no [[hours]] called {name:?}"));
        }
        let mut keys = BTreeSet::new();
        for RuleKey { key, text, does } in &self.keys {
            if !key.is_ascii_digit() || !keys.insert(*key) {
                return Err(format!("key {key:?} is none from 0 to 9, or there twice"));
            }
            if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
                return Err(format!("the text of key {key} has 1 to {TEXT_CHARS_MAX} characters"));
            }
            match does {
                RuleDoes::Transfer(number) => is_number(number)?,
                RuleDoes::FindMe(numbers) => {
                    most(&format!("numbers behind key {key}"), numbers.len(), FIND_ME_MAX)?;
                    if numbers.is_empty() {
                        return Err(format!("key {key} tries no number"));
                    }
                    for one in numbers {
                        is_number(&one.number)?;
                        if !RING_S.contains(&one.ring_s) {
                            return Err(format!("{} rings for {} to {} s", one.number, RING_S.start(), RING_S.end()));
                        }
                    }
                }
                RuleDoes::Voicemail(user) => named("a user", user)?,
                RuleDoes::Message => {}
            }
        }
        Ok(())
    }
}

/// Whether two ways to write a number mean the same: a country's or an area's digits may be missing in one of them.
fn is_alike(one: &str, other: &str) -> bool {
    if one == other {
        return !one.is_empty();
    }
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "+-. ()/".contains(c));
    if !is_number(one) || !is_number(other) {
        return false;
    }
    let (one, other) = (digits(one), digits(other));
    let national = |digits: &str| digits.trim_start_matches('0').to_owned();
    let (short, long) = match (national(&one), national(&other)) {
        (a, b) if a.len() <= b.len() => (a, b),
        (a, b) => (b, a),
    };
    one == other && !one.is_empty() || short.len() >= DIGITS_ALIKE && long.ends_with(&short)
}

fn is_number(text: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_alphanumeric() || "+*#.-_ ()".contains(c);
    match (1..=64).contains(&text.len()) && text.chars().all(right) {
        true => Ok(()),
        false => Err(format!("{text:?} is no number")),
    }
}

fn named(what: &str, name: &str) -> Result<(), String> {
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control) {
        true => Ok(()),
        false => Err(format!("the name of {what} has 1 to {NAME_BYTES_MAX} bytes")),
    }
}

fn most(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{count} {what}, and {most} are the most")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(text: &str) -> CallerBook {
        serde_json::from_str(text).unwrap()
    }

    fn caller(number: &str) -> Caller {
        Caller { number: number.into(), ..Caller::default() }
    }

    fn at(text: &str) -> Situation {
        let at = text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        Situation { at, open: vec!["office".into()], busy: false, dialled: "1001".into() }
    }

    fn met<'a>(book: &'a CallerBook, number: &str, situation: &Situation) -> Option<&'a str> {
        book.rule_for(&caller(number), false, situation).map(|rule| rule.name.as_str())
    }

    #[test]
    fn the_first_rule_whose_conditions_all_hold_has_the_caller() {
        let book = book(
            r#"{"rules": [
                {"name": "off", "enabled": false},
                {"name": "boss in the morning", "callers": ["+39 02 1234567"], "times": ["Tue 08:00-12:00"]},
                {"name": "friends", "contacts": true, "open": "office"},
                {"name": "busy", "busy": true},
                {"name": "closed", "closed": "office"},
                {"name": "second line", "dialled": ["1009"]}
            ], "contacts": [{"name": "Anna", "numbers": ["0612345678", "1002"]}]}"#,
        );
        // A Tuesday, and a Wednesday.
        let (tuesday, wednesday) = (at("2026-11-24T09:00"), at("2026-11-25T09:00"));
        assert_eq!(met(&book, "021234567", &tuesday), Some("boss in the morning"));
        assert_eq!(met(&book, "021234567", &wednesday), None);
        assert_eq!(met(&book, "+39612345678", &wednesday), Some("friends"));
        assert_eq!(met(&book, "1002", &wednesday), Some("friends"));
        // An extension is no end of another number.
        assert_eq!(met(&book, "+3981002", &wednesday), None);
        assert_eq!(met(&book, "", &wednesday), None);
        assert_eq!(met(&book, "7", &Situation { busy: true, ..wednesday.clone() }), Some("busy"));
        assert_eq!(met(&book, "1002", &Situation { open: Vec::new(), ..wednesday.clone() }), Some("closed"));
        assert_eq!(met(&book, "7", &Situation { dialled: "1009".into(), ..wednesday }), Some("second line"));
    }

    #[test]
    fn a_book_with_a_mistake_is_refused_in_words() {
        let wrong = |text: &str| book(text).check(|name| name == "office").expect_err("it is wrong");
        assert!(wrong(r#"{"rules": [{"name": "a"}, {"name": "a"}]}"#).contains("two rules"));
        assert!(wrong(r#"{"rules": [{"name": "a", "times": ["noon"]}]}"#).contains("no time"));
        assert!(wrong(r#"{"rules": [{"name": "a", "open": "shop"}]}"#).contains("[[hours]]"));
        let key = |key: &str| format!(r#"{{"rules": [{{"name": "a", "keys": [{key}]}}]}}"#);
        assert!(wrong(&key(r#"{"key": "x", "text": "t", "does": "message"}"#)).contains("key"));
        assert!(wrong(&key(r#"{"key": "1", "text": "", "does": "message"}"#)).contains("text"));
        assert!(wrong(&key(r#"{"key": "1", "text": "t", "does": {"find_me": []}}"#)).contains("no number"));
        assert!(wrong(&key(r#"{"key": "1", "text": "t", "does": {"transfer": "a@b"}}"#)).contains("no number"));
        assert!(
            wrong(&key(r#"{"key": "1", "text": "t", "does": {"find_me": [{"number": "1", "ring_s": 500}]}}"#))
                .contains("rings")
        );
        let ten: Vec<String> = (0..10).map(|n| format!(r#"{{"name": "{n}"}}"#)).collect();
        assert!(wrong(&format!(r#"{{"rules": [{}]}}"#, ten.join(","))).contains("most"));
        assert!(serde_json::from_str::<CallerBook>(r#"{"rules": [{"name": "a", "unknown": 1}]}"#).is_err());
        let right = key(r#"{"key": "1", "text": "urgent", "does": {"find_me": [{"number": "1002"}]}}"#);
        assert_eq!(book(&right).check(|_| false), Ok(()));
    }
}
