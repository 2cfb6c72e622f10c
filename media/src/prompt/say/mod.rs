//! Say-rules: from a value (a number, a date, a count of messages) to the names of the prompts that say it, in order.
//!
//! Pure: what comes out are names of [`super::Prompts`], which joins their sound. Each language is a file, because languages
//! differ in more than words: Italian joins what English says apart, and its numbers have a gender.

mod english;
mod italian;

#[cfg(test)]
mod tests;

use smallvec::SmallVec;
use smol_str::{SmolStr, format_smolstr};

/// The largest number that is said; beyond it its digits are read.
pub const NUMBER_MAX: u32 = 999_999_999;

/// A language that prompts ship in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English as in North America: "three hundred four", 12-hour clock.
    #[default]
    English,
    /// Italian: 24-hour clock.
    Italian,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 2] = [Language::English, Language::Italian];

    /// Its tag (RFC 5646), which is its word in the configuration and the name of its folder.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Italian => "it",
        }
    }
}

/// What a number counts, where the language asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Nothing: the number itself ("uno").
    Nothing,
    /// Something masculine ("un messaggio").
    Masculine,
    /// Something feminine ("una chiamata").
    Feminine,
}

/// Something to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say<'a> {
    /// A prompt by its name.
    Prompt(&'a str),
    /// A cardinal number up to [`NUMBER_MAX`].
    Number(u32, Counting),
    /// Digits one by one, with `*` and `#`; other characters are not said.
    Digits(&'a str),
    /// A day: year (0 to 9999), month (1 to 12), day (1 to 31), weekday (1 Monday to 7 Sunday).
    Date {
        /// The year.
        year: u16,
        /// The month.
        month: u8,
        /// The day.
        day: u8,
        /// The day of the week, said first where it is given.
        weekday: Option<u8>,
    },
    /// A time of day: hour (0 to 23), minute (0 to 59).
    Time {
        /// The hour.
        hour: u8,
        /// The minute.
        minute: u8,
    },
    /// How many messages there are: "you have three new messages and one saved message".
    Messages {
        /// Not heard yet.
        new: u32,
        /// Heard and kept.
        saved: u32,
    },
}

/// Names of prompts in the order in which they are played.
pub type Names = SmallVec<[SmolStr; 16]>;

/// The prompts that say something in a language. What is out of its range (month 13) is left out.
pub fn say(language: Language, what: Say<'_>) -> Names {
    let mut names = Names::new();
    match what {
        Say::Prompt(name) => names.push(name.into()),
        Say::Digits(digits) => say_digits(digits, &mut names),
        Say::Number(number, _) if number > NUMBER_MAX => say_digits(&number.to_string(), &mut names),
        _ => match language {
            Language::English => english::say(what, &mut names),
            Language::Italian => italian::say(what, &mut names),
        },
    }
    names
}

fn say_digits(digits: &str, names: &mut Names) {
    names.extend(digits.chars().filter_map(|digit| match digit {
        '0'..='9' => Some(format_smolstr!("number-{digit}")),
        '*' => Some("digit-star".into()),
        '#' => Some("digit-pound".into()),
        _ => None,
    }));
}

/// A name with a number in it, if the number is one that there is.
fn numbered(prefix: &str, number: u8, most: u8) -> Option<SmolStr> {
    (1..=most).contains(&number).then(|| format_smolstr!("{prefix}-{number}"))
}
