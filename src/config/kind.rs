//! The kinds of settings: how each is written, what is accepted, and how it is shown.

mod mail;
mod plan;
mod words;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

pub use mail::{ADDRESS, ATTENDANT_KEY, KEY_TARGET, PIN};
pub use plan::{CALLED, CODE, FEATURE, FORMAT, HOLIDAY, MASK, OPENING, PATTERN, PREFIX, RewriteRule, SHOWN, ZONE};
pub use words::{
    ALGORITHM, ARGUMENT, CODEC, DIALLED, GATEWAY_ADDRESS, HOST, IP, LABEL, LISTEN, LOG_FILTER, NAME, NAMESERVER,
    NUMBERS, PASSWORD, PORTS, TEL, TOKEN,
};

use super::error::quoted;
use super::read::At;
use super::units;
use super::values::{Algorithm, Secret};

/// One way to write a setting.
pub trait Kind {
    /// What is read.
    type Value;

    /// Reads the value; collects what is wrong with it and returns `None`.
    fn read(&self, at: &mut At<'_, '_>) -> Option<Self::Value>;

    /// What may be written, in words.
    fn words(&self) -> String;

    /// The value for the effective configuration, without secrets.
    fn json(&self, value: &Self::Value) -> Value;

    /// The value of an optional setting that was not given; only [`Optional`] has one.
    fn absent(&self) -> Option<Self::Value> {
        None
    }
}

/// What may be written for a setting of type `T`; the type picks the kind's own.
pub fn words_of<T>(kind: &impl Kind<Value = T>) -> String {
    kind.words()
}

/// What is wrong with a text: the mistake and the remedy.
pub type Fault = (String, String);

/// A setting written as a string.
pub struct Words<T> {
    /// What may be written.
    pub words: &'static str,
    /// Reads it.
    pub parse: fn(&str) -> Result<T, Fault>,
    /// Shows it.
    pub json: fn(&T) -> Value,
}

impl<T> Kind for Words<T> {
    type Value = T;

    fn read(&self, at: &mut At<'_, '_>) -> Option<T> {
        let Some(text) = at.value().as_str() else {
            at.wrong_type(self.words);
            return None;
        };
        match (self.parse)(text) {
            Ok(value) => Some(value),
            Err((what, remedy)) => {
                at.wrong(what, remedy);
                None
            }
        }
    }

    fn words(&self) -> String {
        self.words.to_owned()
    }

    fn json(&self, value: &T) -> Value {
        (self.json)(value)
    }
}

/// A setting that may be left out.
pub struct Optional<K>(pub K);

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn read(&self, at: &mut At<'_, '_>) -> Option<Self::Value> {
        self.0.read(at).map(Some)
    }

    fn words(&self) -> String {
        self.0.words()
    }

    fn json(&self, value: &Self::Value) -> Value {
        value.as_ref().map_or(Value::Null, |value| self.0.json(value))
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(None)
    }
}

/// A list with a least and a greatest length.
pub struct List<K> {
    /// What each element is.
    pub of: K,
    /// The lengths that are accepted.
    pub lengths: RangeInclusive<usize>,
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn read(&self, at: &mut At<'_, '_>) -> Option<Self::Value> {
        let wanted = self.words();
        let list = at.each(&wanted, |element| self.of.read(element))?;
        if !self.lengths.contains(&list.len()) {
            at.wrong(format!("a list of {}", list.len()), format!("write {wanted}"));
            return None;
        }
        Some(list)
    }

    fn words(&self) -> String {
        format!("a list of {} to {}: {}", self.lengths.start(), self.lengths.end(), self.of.words())
    }

    fn json(&self, value: &Self::Value) -> Value {
        value.iter().map(|element| self.of.json(element)).collect()
    }
}

/// A whole number in a range.
pub struct Count<T> {
    range: RangeInclusive<u64>,
    number: PhantomData<T>,
}

impl<T> Count<T> {
    /// Accepts `least` to `greatest`, both included; both fit into `T`.
    pub const fn new(least: u64, greatest: u64) -> Self {
        Self { range: least..=greatest, number: PhantomData }
    }
}

impl<T: TryFrom<u64> + Serialize> Kind for Count<T> {
    type Value = T;

    fn read(&self, at: &mut At<'_, '_>) -> Option<T> {
        let Some(integer) = at.value().as_integer() else {
            at.wrong_type(&self.words());
            return None;
        };
        let shown = integer.to_string();
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| self.range.contains(number)).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            at.wrong(format!("{} is out of range", quoted(&shown)), format!("write {}", self.words()));
        }
        number
    }

    fn words(&self) -> String {
        format!("a whole number from {} to {}", self.range.start(), self.range.end())
    }

    fn json(&self, value: &T) -> Value {
        json!(value)
    }
}

/// A duration in a range, written with its unit.
pub struct Period(pub RangeInclusive<Duration>);

impl Kind for Period {
    type Value = Duration;

    fn read(&self, at: &mut At<'_, '_>) -> Option<Duration> {
        ranged(at, &self.0, &self.words(), "duration", units::duration)
    }

    fn words(&self) -> String {
        let (least, most) = (units::duration_words(*self.0.start()), units::duration_words(*self.0.end()));
        format!("a duration from \"{least}\" to \"{most}\"")
    }

    fn json(&self, value: &Duration) -> Value {
        json!(units::duration_words(*value))
    }
}

/// A size in bytes in a range, written with its unit.
pub struct Size(pub RangeInclusive<u64>);

impl Kind for Size {
    type Value = u64;

    fn read(&self, at: &mut At<'_, '_>) -> Option<u64> {
        ranged(at, &self.0, &self.words(), "size", units::size)
    }

    fn words(&self) -> String {
        let (least, most) = (units::size_words(*self.0.start()), units::size_words(*self.0.end()));
        format!("a size from \"{least}\" to \"{most}\"")
    }

    fn json(&self, value: &u64) -> Value {
        json!(units::size_words(*value))
    }
}

fn ranged<T: PartialOrd>(
    at: &mut At<'_, '_>,
    range: &RangeInclusive<T>,
    wanted: &str,
    noun: &str,
    parse: fn(&str) -> Option<T>,
) -> Option<T> {
    let Some(text) = at.value().as_str() else {
        at.wrong_type(wanted);
        return None;
    };
    let (shown, value) = (quoted(text), parse(text));
    match value {
        Some(value) if range.contains(&value) => Some(value),
        Some(_) => {
            at.wrong(format!("{shown} is out of range"), format!("write {wanted}"));
            None
        }
        None => {
            at.wrong(format!("{shown} is no {noun}"), format!("write {wanted}, a whole number with its unit"));
            None
        }
    }
}

/// One of a few words.
pub struct OneOf<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for OneOf<T> {
    type Value = T;

    fn read(&self, at: &mut At<'_, '_>) -> Option<T> {
        let Some(text) = at.value().as_str() else {
            at.wrong_type(&self.words());
            return None;
        };
        let found = self.0.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let what = format!("{} is none of the choices", quoted(text));
            at.wrong(what, format!("write {}", self.words()));
        }
        found
    }

    fn words(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(" or ")
    }

    fn json(&self, value: &T) -> Value {
        json!(self.0.iter().find(|(_, known)| known == value).map(|(name, _)| name))
    }
}

/// Yes or no.
pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn read(&self, at: &mut At<'_, '_>) -> Option<bool> {
        let flag = at.value().as_bool();
        if flag.is_none() {
            at.wrong_type(&self.words());
        }
        flag
    }

    fn words(&self) -> String {
        "true or false".to_owned()
    }

    fn json(&self, value: &bool) -> Value {
        json!(value)
    }
}

/// A path; a relative one counts from the folder of the configuration.
pub struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn read(&self, at: &mut At<'_, '_>) -> Option<PathBuf> {
        let Some(text) = at.value().as_str() else {
            at.wrong_type(&self.words());
            return None;
        };
        if text.is_empty() || text.contains('\0') {
            at.wrong("this is no path", format!("write {}", self.words()));
            return None;
        }
        let path = Path::new(text);
        // "./data" keeps its look where the configuration lies in the working folder.
        Some(if at.base().as_os_str().is_empty() { path.to_owned() } else { at.base().join(path) })
    }

    fn words(&self) -> String {
        "a path; relative ones count from this file's folder".to_owned()
    }

    fn json(&self, value: &PathBuf) -> Value {
        json!(value.display().to_string())
    }
}

/// Digest HA1 values by algorithm (RFC 8760).
pub struct Ha1Table;

impl Kind for Ha1Table {
    type Value = BTreeMap<Algorithm, Secret>;

    fn read(&self, at: &mut At<'_, '_>) -> Option<Self::Value> {
        let wanted = self.words();
        let table = at.entries(&wanted, |name, at| {
            let Some((_, algorithm)) = Algorithm::NAMES.iter().find(|(known, _)| *known == name) else {
                at.wrong(format!("{} is no digest algorithm", quoted(name)), format!("write {}", ALGORITHM.words()));
                return None;
            };
            let digits = algorithm.hex_digits();
            let hex =
                at.value().as_str().filter(|hex| hex.len() == digits && hex.bytes().all(|c| c.is_ascii_hexdigit()));
            let secret = hex.map(|hex| Secret::new(hex.to_ascii_lowercase()));
            if secret.is_none() {
                // The value is a credential: it is not repeated.
                let remedy = format!("write {digits} hexadecimal digits: {name}(user:realm:password)");
                at.wrong(format!("this is no {name} HA1"), remedy);
            }
            secret.map(|secret| (*algorithm, secret))
        })?;
        Some(table.into_iter().collect())
    }

    fn words(&self) -> String {
        "a table from algorithm to hexadecimal H(user:realm:password)".to_owned()
    }

    fn json(&self, value: &Self::Value) -> Value {
        value.keys().map(|algorithm| ALGORITHM.json(algorithm)).collect()
    }
}
