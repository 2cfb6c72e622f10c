//! Settings of the dial plan: patterns, rules that rewrite, masks, times.

use actors::routing::hours::{Holiday, Opening};
use actors::routing::mask::{Format, Mask};
use actors::routing::pattern::Pattern;
use actors::routing::rewrite::Rewrite;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::words::fault;
use super::{Kind, Words};
use crate::config::error::quoted;
use crate::config::read::At;

/// A pattern of numbers.
pub const PATTERN: Words<Pattern> = Words {
    words: "a regular expression of numbers such as \"^\\\\+39\\\\d+$\", without back-references and look-around",
    parse: |text| Pattern::new(text).map_err(|error| (format!("{}: {error}", quoted(text)), error.remedy().to_owned())),
    json: |pattern| json!(pattern.text()),
};

/// A number mask.
pub const MASK: Words<Mask> = Words {
    words: "a mask such as \"91425xxxxxxx\" or \"91*\": digits, `x` for one digit, `*` at the end for all others",
    parse: |text| {
        Mask::new(text).map_err(|error| (format!("{}: {error}", quoted(text)), "write it as \"91425xxxxxxx\"".into()))
    },
    json: |mask| json!(mask.text()),
};

/// A number format.
pub const FORMAT: Words<Format> = Words {
    words: "a number format such as \"020xxxxxxx\": digits, and `x` for the last digits of the number",
    parse: |text| {
        Format::new(text).map_err(|error| (format!("{}: {error}", quoted(text)), "write it as \"020xxxxxxx\"".into()))
    },
    json: |format| json!(format.text()),
};

/// A prefix or code that is dialled.
pub const CODE: Words<String> = Words {
    words: "1 to 16 digits, `*` and `#`, in quotation marks",
    parse: |text| {
        let right = (1..=16).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit() || b"*#".contains(&c));
        if right { Ok(text.to_owned()) } else { Err(fault(text, "no code", "write 1 to 16 digits, `*` and `#`")) }
    },
    json: |text| json!(text),
};

/// A feature code.
pub const FEATURE: Words<String> = Words {
    words: "`*` and 1 to 8 digits in quotation marks, or \"\" for no code",
    parse: |text| {
        let digits = text.strip_prefix('*').unwrap_or_default();
        let right = text.is_empty() || (1..=8).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
        if right { Ok(text.to_owned()) } else { Err(fault(text, "no feature code", "write it as \"*21\"")) }
    },
    json: |text| json!(text),
};

/// A country code or prefix of the public network.
pub const PREFIX: Words<String> = Words {
    words: "1 to 4 digits in quotation marks",
    parse: |text| {
        let right = (1..=4).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        if right { Ok(text.to_owned()) } else { Err(fault(text, "no prefix", "write 1 to 4 digits")) }
    },
    json: |text| json!(text),
};

/// What is called: a number or a name.
pub const CALLED: Words<String> = Words {
    words: "a number or name that is called, of 1 to 64 characters",
    parse: |text| {
        let right =
            (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+*#-_.".contains(&c));
        let remedy = "write letters, digits, `+`, `*`, `#`, `-`, `_` and `.`, 1 to 64 in all";
        if right { Ok(text.to_ascii_lowercase()) } else { Err(fault(text, "no number or name", remedy)) }
    },
    json: |text| json!(text),
};

/// A number that is shown to whom is called.
pub const SHOWN: Words<String> = Words {
    words: "a number of 1 to 20 digits, with `+` before it or without",
    parse: |text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let right = (1..=20).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
        if right { Ok(text.to_owned()) } else { Err(fault(text, "no number to show", "write it as \"+390612345678\"")) }
    },
    json: |text| json!(text),
};

/// A time zone by its name in the IANA database.
pub const ZONE: Words<TimeZone> = Words {
    words: "a time zone such as \"Europe/Rome\" or \"UTC\"",
    parse: |text| {
        let remedy = "write a name of the IANA database, such as \"Europe/Rome\"";
        TimeZone::get(text).map_err(|_| fault(text, "no time zone that is known here", remedy))
    },
    json: |zone| json!(zone.iana_name()),
};

/// A time of some days of the week.
pub const OPENING: Words<Opening> = Words {
    words: "days and times such as \"Mon-Fri 08:00-18:00\"; an end that is not after the beginning is on the next day",
    parse: |text| {
        let remedy = "write \"Mon-Fri 08:00-18:00\" or \"Sat,Sun 22:00-06:00\"";
        Opening::parse(text).ok_or_else(|| fault(text, "no opening time", remedy))
    },
    json: |opening| json!(opening.text()),
};

/// Days on which something is closed.
pub const HOLIDAY: Words<Holiday> = Words {
    words: "a date such as \"2026-04-06\", dates such as \"2026-08-10..2026-08-21\", or \"12-25\" for every year",
    parse: |text| {
        let remedy = "write \"2026-04-06\", \"2026-08-10..2026-08-21\" or \"12-25\"";
        Holiday::parse(text).ok_or_else(|| fault(text, "no date", remedy))
    },
    json: |holiday| json!(holiday.text()),
};

/// A rule that rewrites numbers: a table with `pattern`, `to` and perhaps `name`.
pub struct RewriteRule;

impl Kind for RewriteRule {
    type Value = Rewrite;

    fn read(&self, at: &mut At<'_, '_>) -> Option<Rewrite> {
        let wanted = self.words();
        let entries = at.entries(&wanted, |key, at| {
            if !["name", "pattern", "to"].contains(&key) {
                at.wrong(format!("unknown key {} in a rule", quoted(key)), "its keys are name, pattern, to");
                return None;
            }
            let Some(text) = at.value().as_str() else {
                at.wrong_type("a text");
                return None;
            };
            Some((key.to_owned(), text.to_owned()))
        })?;
        let get = |wanted: &str| entries.iter().find(|(key, _)| key == wanted).map(|(_, text)| text.as_str());
        let (Some(pattern), Some(to)) = (get("pattern"), get("to")) else {
            at.wrong("a rule without `pattern` or `to`", format!("write {wanted}"));
            return None;
        };
        match Rewrite::new(get("name").unwrap_or_default(), pattern, to) {
            Ok(rule) => Some(rule),
            Err(error) => {
                at.wrong(error.to_string(), error.remedy());
                None
            }
        }
    }

    fn words(&self) -> String {
        r#"a rule such as { pattern = "^0(\\d+)$", to = "+39$1", name = "national" }; `$1` is the first group"#
            .to_owned()
    }

    fn json(&self, rule: &Rewrite) -> Value {
        json!({ "name": rule.name, "pattern": rule.pattern(), "to": rule.written() })
    }
}
