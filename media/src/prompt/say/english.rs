//! English.

use super::{Names, Say, numbered};
use smol_str::format_smolstr;

pub fn say(what: Say<'_>, names: &mut Names) {
    match what {
        Say::Number(value, _) => number(value, names),
        Say::Date { year, month, day, weekday } => {
            names.extend(weekday.and_then(|weekday| numbered("weekday", weekday, 7)));
            names.extend(numbered("month", month, 12));
            names.extend(numbered("ordinal", day, 31));
            self::year(year, names);
        }
        Say::Time { hour, minute } if hour < 24 && minute < 60 => time(hour, minute, names),
        Say::Messages { new, saved } => messages(new, saved, names),
        Say::Prompt(_) | Say::Digits(_) | Say::Time { .. } => {}
    }
}

fn number(value: u32, names: &mut Names) {
    if value == 0 {
        return names.push("number-0".into());
    }
    for (unit, name) in [(1_000_000, Some("million")), (1_000, Some("thousand")), (1, None)] {
        let group = value / unit % 1000;
        if group > 0 {
            below_thousand(group, names);
            names.extend(name.map(Into::into));
        }
    }
}

fn below_thousand(value: u32, names: &mut Names) {
    if value >= 100 {
        names.push(format_smolstr!("number-{}", value / 100));
        names.push("hundred".into());
    }
    below_hundred(value % 100, names);
}

fn below_hundred(value: u32, names: &mut Names) {
    let (tens, ones) = if value < 20 { (0, value) } else { (value / 10 * 10, value % 10) };
    names.extend([tens, ones].iter().filter(|part| **part > 0).map(|part| format_smolstr!("number-{part}")));
}

/// 1905 is "nineteen oh five", 2005 "two thousand five", 2026 "twenty twenty six".
fn year(year: u16, names: &mut Names) {
    let (century, rest) = (u32::from(year) / 100, u32::from(year) % 100);
    if century < 10 || century % 10 == 0 && rest < 10 {
        return number(year.into(), names);
    }
    below_hundred(century, names);
    match rest {
        0 => names.push("hundred".into()),
        1..=9 => {
            names.push("oh".into());
            below_hundred(rest, names);
        }
        _ => below_hundred(rest, names),
    }
}

fn time(hour: u8, minute: u8, names: &mut Names) {
    let clock = u32::from(hour) % 12;
    below_hundred(if clock == 0 { 12 } else { clock }, names);
    match minute {
        0 => names.push("o-clock".into()),
        1..=9 => {
            names.push("oh".into());
            below_hundred(minute.into(), names);
        }
        _ => below_hundred(minute.into(), names),
    }
    names.push(if hour < 12 { "a-m".into() } else { "p-m".into() });
}

fn messages(new: u32, saved: u32, names: &mut Names) {
    let kind = |count: u32, one: &str, many: &str, names: &mut Names| {
        match count {
            0 => names.push("no".into()),
            _ => number(count, names),
        }
        names.push(if count == 1 { one.into() } else { many.into() });
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
