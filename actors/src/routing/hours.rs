//! Time conditions: business hours and holidays in a time zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use smol_str::SmolStr;

/// Minutes of a day.
const DAY_MIN: u16 = 24 * 60;
/// How far ahead is looked for the next opening: a year.
const LOOK_AHEAD_DAYS: u16 = 366;
/// The words for the days of a week, Monday first.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// When something is open.
#[derive(Clone, Debug)]
pub struct Hours {
    /// Its name.
    pub name: SmolStr,
    /// Whose clock.
    pub zone: TimeZone,
    /// The times; none is always.
    pub open: Vec<Opening>,
    /// The days on which it is closed all the same.
    pub holidays: Vec<Holiday>,
}

/// A time of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// A bit for each day on which it begins, Monday lowest.
    days: u8,
    from_min: u16,
    /// Not above `from_min`: on the day after.
    until_min: u16,
    text: SmolStr,
}

/// Days that come once or every year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holiday {
    /// From a date to another, both included.
    Once(Date, Date),
    /// A day of each year: month and day.
    Yearly(i8, i8),
}

/// What a time condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Within its hours.
    Open,
    /// Outside of them.
    Closed,
    /// On a holiday.
    Holiday,
}

impl Hours {
    /// What holds at a time.
    pub fn at(&self, at: Timestamp) -> State {
        let local = self.local(at);
        if self.holidays.iter().any(|holiday| holiday.has(local.date())) {
            return State::Holiday;
        }
        match self.open.is_empty() || self.open.iter().any(|opening| opening.has(&local)) {
            true => State::Open,
            false => State::Closed,
        }
    }

    /// When it opens or closes next: the first time after `at` at which another word holds for the door. `None` where that does not
    /// happen within a year.
    pub fn next_turn(&self, at: Timestamp) -> Option<Timestamp> {
        let is_open = |at| self.at(at) == State::Open;
        let (now, today) = (is_open(at), self.local(at).date());
        let mut minutes: Vec<u16> =
            self.open.iter().flat_map(|opening| [opening.from_min, opening.until_min % DAY_MIN]).chain([0]).collect();
        minutes.sort_unstable();
        minutes.dedup();
        let mut day = today;
        for _ in 0..=LOOK_AHEAD_DAYS {
            for minute in &minutes {
                let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
                let turn = day.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).ok()?.timestamp();
                if turn > at && is_open(turn) != now {
                    return Some(turn);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The time on its clock.
    pub fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }
}

impl Opening {
    /// Reads `Mon-Fri 08:00-18:00`; days may be listed with commas, and an end that is not after the beginning is on the next
    /// day.
    pub fn parse(text: &str) -> Option<Self> {
        let (days_text, times) = text.split_once(' ')?;
        let day = |name: &str| DAYS.iter().position(|known| known.eq_ignore_ascii_case(name));
        let mut days = 0_u8;
        for part in days_text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let mut at = first;
            loop {
                days |= 1 << at;
                if at == last {
                    break;
                }
                at = (at + 1) % DAYS.len();
            }
        }
        let (from, until) = times.trim().split_once('-')?;
        let (from_min, until_min) = (minute(from)?, minute(until)?);
        (from_min < DAY_MIN && until_min > 0).then(|| Self { days, from_min, until_min, text: text.into() })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a time on the clock that is meant is within it.
    pub fn has(&self, local: &Zoned) -> bool {
        let time = local.time();
        let now = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0);
        let on = |weekday: Weekday| self.days >> weekday.to_monday_zero_offset() & 1 == 1;
        let today = local.date().weekday();
        if self.from_min < self.until_min {
            return on(today) && (self.from_min..self.until_min).contains(&now);
        }
        let began_today = on(today) && now >= self.from_min;
        began_today || on(today.previous()) && now < self.until_min
    }
}

impl Holiday {
    /// Reads `2026-12-25`, `2026-08-10..2026-08-21` or, for each year, `12-25`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((first, last)) = text.split_once("..") {
            let (first, last): (Date, Date) = (first.parse().ok()?, last.parse().ok()?);
            return (first <= last).then_some(Self::Once(first, last));
        }
        if let Ok(date) = text.parse::<Date>() {
            return Some(Self::Once(date, date));
        }
        let (month, day) = text.split_once('-')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
        let (month, day) = (two(month)?, two(day)?);
        // A leap year has every day there is.
        Date::new(2024, month, day).ok()?;
        Some(Self::Yearly(month, day))
    }

    /// As it is written.
    pub fn text(&self) -> String {
        match self {
            Self::Once(first, last) if first == last => first.to_string(),
            Self::Once(first, last) => format!("{first}..{last}"),
            Self::Yearly(month, day) => format!("{month:02}-{day:02}"),
        }
    }

    fn has(&self, date: Date) -> bool {
        match self {
            Self::Once(first, last) => (*first..=*last).contains(&date),
            Self::Yearly(month, day) => (date.month(), date.day()) == (*month, *day),
        }
    }
}

/// Reads `08:30`; `24:00` is the end of a day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60 || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
}

/// A time as people write it for a zone: `2026-12-25T18:05`, with seconds or without, or with an offset of its own.
pub fn parse_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// The day after a time, for tests of what comes.
#[cfg(test)]
fn tomorrow(at: Timestamp) -> Timestamp {
    at.checked_add(jiff::ToSpan::hours(24)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(open: &[&str], holidays: &[&str]) -> Hours {
        Hours {
            name: "office".into(),
            zone: TimeZone::get("Europe/Rome").unwrap(),
            open: open.iter().map(|text| Opening::parse(text).unwrap()).collect(),
            holidays: holidays.iter().map(|text| Holiday::parse(text).unwrap()).collect(),
        }
    }

    fn at(hours: &Hours, local: &str) -> State {
        hours.at(parse_time(local, &hours.zone).unwrap())
    }

    #[test]
    fn hours_are_those_of_their_time_zone() {
        let office = hours(&["Mon-Fri 08:00-18:00", "Sat 09:00-12:30"], &["2026-12-25", "01-06"]);
        // 2026-12-24 is a Thursday.
        assert_eq!(at(&office, "2026-12-24T08:00"), State::Open);
        assert_eq!(at(&office, "2026-12-24T18:00"), State::Closed);
        assert_eq!(at(&office, "2026-12-24T07:59:59"), State::Closed);
        assert_eq!(at(&office, "2026-12-25T10:00"), State::Holiday);
        assert_eq!(at(&office, "2026-12-26T12:29"), State::Open);
        assert_eq!(at(&office, "2026-12-27T10:00"), State::Closed);
        assert_eq!(at(&office, "2027-01-06T10:00"), State::Holiday);
        // 07:30 in London is 08:30 in Rome.
        assert_eq!(office.at("2026-12-24T07:30:00Z".parse().unwrap()), State::Open);
        // In summer Rome is two hours ahead.
        assert_eq!(office.at("2026-07-02T06:00:00Z".parse().unwrap()), State::Open);
        assert_eq!(office.at("2026-07-02T05:59:00Z".parse().unwrap()), State::Closed);
    }

    #[test]
    fn a_night_belongs_to_the_day_that_it_begins_on() {
        let night = hours(&["Fri-Mon 22:00-06:00"], &[]);
        assert_eq!(at(&night, "2026-12-25T23:00"), State::Open);
        assert_eq!(at(&night, "2026-12-26T05:59"), State::Open);
        assert_eq!(at(&night, "2026-12-26T06:00"), State::Closed);
        assert_eq!(at(&night, "2026-12-29T05:00"), State::Open);
        assert_eq!(at(&night, "2026-12-30T05:00"), State::Closed);
        assert_eq!(at(&hours(&[], &[]), "2026-12-30T05:00"), State::Open);
        let first = parse_time("2026-12-25T23:00", &night.zone).unwrap();
        assert_eq!(night.at(tomorrow(first)), State::Open);
    }

    #[test]
    fn the_next_turn_is_the_first_time_at_which_it_opens_or_closes() {
        let office = hours(&["Mon-Fri 08:00-18:00", "Sat 22:00-02:00"], &["2026-12-25", "2026-12-28..2027-01-06"]);
        let next = |local: &str| {
            let turn = office.next_turn(parse_time(local, &office.zone).unwrap()).unwrap();
            office.local(turn).strftime("%Y-%m-%dT%H:%M").to_string()
        };
        // 2026-12-24 is a Thursday.
        assert_eq!(next("2026-12-24T07:00"), "2026-12-24T08:00");
        assert_eq!(next("2026-12-24T08:00"), "2026-12-24T18:00");
        // The 25th is a holiday, the 26th a Saturday.
        assert_eq!(next("2026-12-24T18:00"), "2026-12-26T22:00");
        assert_eq!(next("2026-12-26T23:00"), "2026-12-27T02:00");
        assert_eq!(next("2026-12-27T03:00"), "2027-01-07T08:00");
        // The night in which clocks go forward has no half past two.
        let night = hours(&["Sun 02:30-05:00"], &[]);
        let turn = night.next_turn(parse_time("2026-03-29T00:00", &night.zone).unwrap()).unwrap();
        assert_eq!((night.at(turn), turn.to_string().as_str()), (State::Open, "2026-03-29T01:30:00Z"));
        assert_eq!(hours(&[], &[]).next_turn(turn), None);
        let yearly = hours(&[], &["12-25"]);
        let next = yearly.next_turn(parse_time("2026-12-26T10:00", &yearly.zone).unwrap()).unwrap();
        assert_eq!(yearly.local(next).date().to_string(), "2027-12-25");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for wrong in
            ["Mon", "Mon 8:00-9:00", "Foo 08:00-09:00", "Mon 25:00-26:00", "Mon 24:00-24:00", "Mon 08:00-00:00"]
        {
            assert_eq!(Opening::parse(wrong), None, "{wrong}");
        }
        for wrong in ["2026-13-01", "02-30", "2026-12-25..2026-12-24", "x"] {
            assert_eq!(Holiday::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Holiday::parse("2026-08-10..2026-08-21").unwrap().text(), "2026-08-10..2026-08-21");
        assert_eq!(Holiday::parse("02-29").unwrap().text(), "02-29");
    }
}
