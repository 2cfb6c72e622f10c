//! Italian.
//!
//! Numbers are one word: up to 99 each has its own prompt, in which tens lose their vowel before *uno* and *otto*
//! (*ventuno*, *ventotto*). So does *cento* before *otto* and *ottanta* (*centotto*, *duecentottanta*). One is *un* before what
//! is masculine, *una* before what is feminine; *mille* becomes *mila* after a number, *milione* is a noun.

use super::{Counting, Names, Say, numbered};
use smol_str::format_smolstr;

pub fn say(what: Say<'_>, names: &mut Names) {
    match what {
        Say::Number(value, counting) => number(value, counting, names),
        Say::Date { year, month, day, weekday } => {
            names.extend(weekday.and_then(|weekday| numbered("weekday", weekday, 7)));
            match day {
                1 => names.push("ordinal-1".into()),
                _ => names.extend(numbered("number", day, 31)),
            }
            names.extend(numbered("month", month, 12));
            number(year.into(), Counting::Nothing, names);
        }
        Say::Time { hour, minute } if hour < 24 && minute < 60 => {
            names.push("hours".into());
            number(hour.into(), Counting::Feminine, names);
            if minute > 0 {
                names.push("and".into());
                number(minute.into(), Counting::Nothing, names);
            }
        }
        Say::Messages { new, saved } => messages(new, saved, names),
        Say::Prompt(_) | Say::Digits(_) | Say::Time { .. } => {}
    }
}

fn number(value: u32, counting: Counting, names: &mut Names) {
    match (value, counting) {
        (0, _) => return names.push("number-0".into()),
        (1, Counting::Masculine) => return names.push("number-un".into()),
        (1, Counting::Feminine) => return names.push("number-una".into()),
        _ => {}
    }
    let (millions, thousands, rest) = (value / 1_000_000, value / 1000 % 1000, value % 1000);
    match millions {
        0 => {}
        1 => names.extend(["number-un".into(), "million".into()]),
        _ => {
            below_thousand(millions, names);
            names.push("millions".into());
        }
    }
    match thousands {
        0 => {}
        1 => names.push("thousand".into()),
        _ => {
            below_thousand(thousands, names);
            names.push("thousands".into());
        }
    }
    below_thousand(rest, names);
}

fn below_thousand(value: u32, names: &mut Names) {
    let (hundreds, rest) = (value / 100 * 100, value % 100);
    if hundreds > 0 {
        let elided = if rest == 8 || rest / 10 == 8 { "-elided" } else { "" };
        names.push(format_smolstr!("number-{hundreds}{elided}"));
    }
    if rest > 0 {
        names.push(format_smolstr!("number-{rest}"));
    }
}

fn messages(new: u32, saved: u32, names: &mut Names) {
    let kind = |count: u32, one: &str, many: &str, names: &mut Names| {
        match count {
            0 => names.push("none".into()),
            _ => number(count, Counting::Masculine, names),
        }
        // "Nessun messaggio": none is singular.
        names.push(if count < 2 { one.into() } else { many.into() });
    };
    names.push("you-have".into());
    match (new, saved) {
        (0, 1..) => kind(saved, "saved-message", "saved-messages", names),
        _ => kind(new, "new-message", "new-messages", names),
    }
    if new > 0 && saved > 0 {
        names.push("and".into());
        kind(saved, "saved-message", "saved-messages", names);
    }
}
