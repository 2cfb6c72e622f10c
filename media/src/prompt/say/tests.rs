use super::super::Prompts;
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// What is said, as text: the texts of the prompts, joined.
fn text(language: Language, what: Say<'_>) -> String {
    let texts: HashMap<&str, &str> = Prompts::texts(language).collect();
    let names = say(language, what);
    let words: Vec<&str> = names.iter().map(|name| texts[name.as_str()]).collect();
    words.join(" ")
}

const ENGLISH: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Reads an English cardinal, as a listener does who has never seen the rules.
fn hear_english(text: &str) -> u32 {
    let (mut total, mut group) = (0, 0);
    for word in text.split(' ') {
        if let Some(value) = ENGLISH.iter().position(|known| *known == word) {
            group += value as u32;
        } else if let Some(value) = TENS.iter().skip(2).position(|known| *known == word) {
            group += 10 * (value as u32 + 2);
        } else {
            match word {
                "hundred" => group *= 100,
                "thousand" => (total, group) = (total + group * 1000, 0),
                "million" => (total, group) = (total + group * 1_000_000, 0),
                _ => panic!("{word:?} is no word of a number"),
            }
        }
    }
    total + group
}

/// Reads an Italian cardinal from the left, letter by letter, whatever joins are written.
fn hear_italian(text: &str) -> u32 {
    const ONES: [&str; 20] = [
        "zero",
        "uno",
        "due",
        "tre",
        "quattro",
        "cinque",
        "sei",
        "sette",
        "otto",
        "nove",
        "dieci",
        "undici",
        "dodici",
        "tredici",
        "quattordici",
        "quindici",
        "sedici",
        "diciassette",
        "diciotto",
        "diciannove",
    ];
    const TENS: [&str; 8] = ["vent", "trent", "quarant", "cinquant", "sessant", "settant", "ottant", "novant"];
    let letters: String = text.replace('é', "e").split(' ').collect();
    let (mut rest, mut total, mut group) = (letters.as_str(), 0, 0u32);
    while !rest.is_empty() {
        let elides = text_elides(rest);
        let mut take = |word: &str| rest.strip_prefix(word).map(|after| rest = after).is_some();
        if take("milioni") || take("milione") {
            (total, group) = (total + group * 1_000_000, 0);
        } else if take("mille") {
            total += 1000;
        } else if take("mila") {
            (total, group) = (total + group * 1000, 0);
        } else if take(if elides { "cent" } else { "cento" }) {
            group = 100 * group.max(1);
        } else if let Some(tens) = TENS.iter().position(|word| take(word)) {
            group += 10 * (tens as u32 + 2);
            // The vowel of the tens is heard, unless one of the two that swallow it follows.
            if !(rest.starts_with("uno") || rest.starts_with("otto")) {
                let mut take = |word: &str| rest.strip_prefix(word).map(|after| rest = after).is_some();
                assert!(take("i") || take("a"), "{text}");
            }
        } else if let Some(ones) = (0..20).rev().find(|n| take(ONES[*n])) {
            group += ones as u32;
        } else if take("un") {
            group += 1;
        } else {
            panic!("{rest:?} of {text:?} is no part of a number");
        }
    }
    total + group
}

/// Before *otto* and *ottanta* the hundred has lost its vowel.
fn text_elides(rest: &str) -> bool {
    rest.starts_with("centott")
}

fn hear(language: Language, text: &str) -> u32 {
    match language {
        Language::English => hear_english(text),
        Language::Italian => hear_italian(text),
    }
}

#[test]
fn every_number_up_to_twenty_thousand_is_heard_as_what_it_is() {
    for language in Language::ALL {
        for number in (0..20_000).chain([NUMBER_MAX, 1_000_000, 1_001_000, 21_000_000, 100_008_180]) {
            let said = text(language, Say::Number(number, Counting::Nothing));
            assert_eq!(hear(language, &said), number, "{said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn any_number_is_heard_as_what_it_is(number in 0..=NUMBER_MAX) {
        for language in Language::ALL {
            let said = text(language, Say::Number(number, Counting::Nothing));
            prop_assert_eq!(hear(language, &said), number, "{}", said);
        }
    }

    #[test]
    fn whatever_is_said_has_its_prompts(
        (year, month, day) in (0u16..=9999, 0u8..=14, 0u8..=33), weekday in proptest::option::of(0u8..=8),
        (hour, minute) in (0u8..=25, 0u8..=61), (new, saved) in (0u32..3000, 0u32..3000), digits in "[0-9*#a-z ]{0,12}",
    ) {
        for language in Language::ALL {
            for what in [
                Say::Date { year, month, day, weekday }, Say::Time { hour, minute }, Say::Messages { new, saved },
                Say::Digits(&digits), Say::Number(new, Counting::Feminine), Say::Number(saved, Counting::Masculine),
            ] {
                for name in say(language, what) {
                    prop_assert!(Prompts::shipped().has(language, &name), "{:?} {}", language, name);
                }
            }
        }
    }
}

#[test]
fn a_number_too_large_to_be_said_is_read_digit_by_digit() {
    let said = text(Language::English, Say::Number(1_000_000_000, Counting::Nothing));
    assert_eq!(said, "one zero zero zero zero zero zero zero zero zero");
}

#[test]
fn italian_joins_elides_and_counts_by_gender() {
    let number = |value, counting| text(Language::Italian, Say::Number(value, counting));
    for (value, said) in [
        (21, "ventuno"),
        (28, "ventotto"),
        (33, "trentatré"),
        (100, "cento"),
        (108, "cent otto"),
        (181, "cent ottantuno"),
        (1000, "mille"),
        (2000, "due mila"),
        (21_000, "ventuno mila"),
        (1_000_000, "un milione"),
        (2_000_300, "due milioni trecento"),
    ] {
        assert_eq!(number(value, Counting::Nothing), said);
    }
    assert_eq!(number(1, Counting::Nothing), "uno");
    assert_eq!(number(1, Counting::Masculine), "un");
    assert_eq!(number(1, Counting::Feminine), "una");
}

#[test]
fn messages_are_counted_in_whole_sentences() {
    for (new, saved, english, italian) in [
        (3, 0, "you have three new messages", "avete tre nuovi messaggi"),
        (1, 0, "you have one new message", "avete un nuovo messaggio"),
        (0, 0, "you have no new messages", "avete nessun nuovo messaggio"),
        (0, 2, "you have two saved messages", "avete due messaggi salvati"),
        (1, 1, "you have one new message and one saved message", "avete un nuovo messaggio e un messaggio salvato"),
    ] {
        let what = Say::Messages { new, saved };
        assert_eq!((text(Language::English, what), text(Language::Italian, what)), (english.into(), italian.into()));
    }
}

#[test]
fn days_and_times_are_said_as_people_say_them() {
    let date = |year, month, day, weekday| Say::Date { year, month, day, weekday };
    for (what, english, italian) in [
        (
            date(2026, 11, 24, Some(2)),
            "Tuesday November twenty fourth twenty twenty six",
            "martedì ventiquattro novembre due mila ventisei",
        ),
        (date(2005, 1, 1, None), "January first two thousand five", "primo gennaio due mila cinque"),
        (date(1905, 8, 31, None), "August thirty first nineteen oh five", "trentuno agosto mille novecento cinque"),
        (date(1900, 5, 3, None), "May third nineteen hundred", "tre maggio mille novecento"),
        (Say::Time { hour: 0, minute: 0 }, "twelve o'clock a m", "ore zero"),
        (Say::Time { hour: 15, minute: 5 }, "three oh five p m", "ore quindici e cinque"),
        (Say::Time { hour: 1, minute: 30 }, "one thirty a m", "ore una e trenta"),
    ] {
        assert_eq!(text(Language::English, what), english);
        assert_eq!(text(Language::Italian, what), italian);
    }
}

#[test]
fn digits_are_read_one_by_one() {
    assert_eq!(text(Language::English, Say::Digits("50-0*#")), "five zero zero star pound");
    assert_eq!(text(Language::Italian, Say::Digits("1#")), "uno cancelletto");
}
