//! Settings of voice mail: addresses of e-mail, PINs, keys of attendants.

use serde_json::json;

use super::Words;
use super::words::fault;
use crate::config::error::quoted;
use crate::config::values::{AttendantKey, KeyTarget, Secret};

/// An address of e-mail.
pub const ADDRESS: Words<String> = Words {
    words: "an e-mail address such as \"alice@example.com\"",
    parse: |text| {
        let right = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains(|c| c != '@'));
        let plain =
            text.len() <= 254 && text.is_ascii() && !text.contains(|c: char| c.is_whitespace() || "<>,;\"".contains(c));
        let remedy = "write it as \"alice@example.com\"";
        if right && plain { Ok(text.to_owned()) } else { Err(fault(text, "no e-mail address", remedy)) }
    },
    json: |text| json!(text),
};

/// A PIN; it never appears in messages.
pub const PIN: Words<Secret> = Words {
    words: "a PIN of 4 to 24 digits",
    parse: |text| match (4..=24).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit()) {
        true => Ok(Secret::new(text.to_owned())),
        false => Err(("this is no PIN".to_owned(), "write 4 to 24 digits".to_owned())),
    },
    json: |_| json!("(secret)"),
};

const TARGET_WORDS: &str = "a number, \"mailbox:USER\", \"say:FILE.wav\", \"find\" or \"repeat\"";

/// Where a key of an attendant leads.
pub const KEY_TARGET: Words<KeyTarget> = Words {
    words: "a number, \"mailbox:USER\", \"say:FILE.wav\", \"find\" or \"repeat\"",
    parse: target,
    json: |target| json!(shown(target)),
};

/// A key of an attendant.
pub const ATTENDANT_KEY: Words<AttendantKey> = Words {
    words: "a key from 1 to 9, where it leads and what it is called, such as \"1 1001 Sales\", \"2 mailbox:bob Bob\", \"3 say:where.wav Our address\" or \"4 find People\"",
    parse: |text| {
        let remedy = || format!("write it as \"1 1001 Sales\": a key from 1 to 9, {TARGET_WORDS}, and a name");
        let mut words = text.splitn(3, ' ');
        let (Some(key), Some(to), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Err((format!("{} is no key with its target and name", quoted(text)), remedy()));
        };
        let mut digits = key.chars();
        match (digits.next(), digits.next()) {
            (Some(key @ '1'..='9'), None) if !name.trim().is_empty() && name.len() <= 64 => {
                Ok(AttendantKey { key, target: target(to)?, name: name.trim().to_owned() })
            }
            _ => Err((format!("{} is no key with its target and name", quoted(text)), remedy())),
        }
    },
    json: |key| json!(format!("{} {} {}", key.key, shown(&key.target), key.name)),
};

fn target(text: &str) -> Result<KeyTarget, super::Fault> {
    let is_number = (1..=20).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit() || b"*#".contains(&c));
    match text.split_once(':') {
        Some(("mailbox", user)) if !user.is_empty() => Ok(KeyTarget::Mailbox(user.to_owned())),
        Some(("say", file)) if !file.is_empty() => Ok(KeyTarget::Say(file.into())),
        None if text == "find" => Ok(KeyTarget::Find),
        None if text == "repeat" => Ok(KeyTarget::Repeat),
        None if is_number => Ok(KeyTarget::Number(text.to_owned())),
        _ => Err(fault(text, "nothing that a key leads to", &format!("write {TARGET_WORDS}"))),
    }
}

fn shown(target: &KeyTarget) -> String {
    match target {
        KeyTarget::Number(number) => number.clone(),
        KeyTarget::Mailbox(user) => format!("mailbox:{user}"),
        KeyTarget::Say(file) => format!("say:{}", file.display()),
        KeyTarget::Find => "find".to_owned(),
        KeyTarget::Repeat => "repeat".to_owned(),
    }
}
