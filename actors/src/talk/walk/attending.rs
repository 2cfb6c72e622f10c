//! A caller of an attendant, by the part of its day: what is said first, which keys there are, who helps.

use std::sync::Arc;
use std::time::Duration;

use super::{World, attendant, rules};
use crate::talk::words::{Caller, Input, Item, Output};
use crate::talk::{Attendant, AttendantKey, KeyDoes, Period, Talk};

/// A sound that is known by its length.
fn sound(samples: usize) -> Arc<media::Audio> {
    Arc::new(media::Audio::from_samples(vec![1; samples]))
}

fn key(key: char, number: &str) -> AttendantKey {
    AttendantKey { key, name: number.into(), sound: None, does: KeyDoes::Number(number.into()) }
}

/// Greetings of its own, nine keys by day and one by night, an operator by day alone.
fn office() -> Attendant {
    Attendant {
        greeting: Some(sound(100)),
        closed_greeting: Some(sound(200)),
        holiday_greeting: Some(sound(300)),
        keys: ('1'..='9').map(|digit| key(digit, &format!("100{digit}"))).collect(),
        closed_keys: vec![key('1', "5101")],
        closed_on_silence: Some(KeyDoes::Number("1009".into())),
        call_people: false,
        ..(*attendant()).clone()
    }
}

/// The dialogue after `keys`, what was said first, and where the caller is led, if anywhere.
fn visit(attendant: Attendant, period: Period, keys: &str) -> (Vec<Item>, Option<String>, World) {
    let mut talk = Talk::attendant(rules(), Caller::default(), Arc::new(attendant), period);
    let mut world = World::new();
    let outputs = talk.begin();
    let first = outputs.iter().find_map(|output| match output {
        Output::Play(items, _) => Some(items.clone()),
        _ => None,
    });
    world.settle(&mut talk, outputs);
    let mut led = None;
    for pressed in keys.chars() {
        // A dot is a caller who presses nothing.
        let input = if pressed == '.' { Input::Due } else { Input::Key(pressed, Duration::ZERO) };
        let mut outputs = talk.take(input);
        if matches!(outputs.last(), Some(Output::Play(..))) {
            outputs.extend(talk.take(Input::Played));
        }
        led = led.or(outputs.iter().find_map(|output| match output {
            Output::Transfer(number) => Some(number.clone()),
            _ => None,
        }));
        world.settle(&mut talk, outputs);
    }
    (first.unwrap_or_default(), led, world)
}

#[test]
fn each_part_of_the_day_has_its_greeting_its_keys_and_its_help() {
    let greets = |period| visit(office(), period, "").0;
    assert_eq!(greets(Period::Open), [Item::Sound(sound(100))]);
    assert_eq!(greets(Period::Closed), [Item::Sound(sound(200))]);
    assert_eq!(greets(Period::Holiday), [Item::Sound(sound(300))]);
    // A holiday without words of its own is a closed day.
    let plain = Attendant { holiday_greeting: None, ..office() };
    assert_eq!(visit(plain, Period::Holiday, "").0, [Item::Sound(sound(200))]);

    let leads = |period, keys: &str| visit(office(), period, keys).1;
    for digit in '1'..='9' {
        assert_eq!(leads(Period::Open, &digit.to_string()), Some(format!("100{digit}")), "{digit}");
    }
    // By night the one key leads to another attendant, and silence to the porter.
    for period in [Period::Closed, Period::Holiday] {
        assert_eq!(leads(period, "1").as_deref(), Some("5101"));
        assert_eq!(leads(period, ".").as_deref(), Some("1009"));
        assert_eq!(leads(period, "2"), None);
    }
    // 0 is the operator's by day; * leads to voice access at any time.
    assert_eq!(leads(Period::Open, "0").as_deref(), Some("1001"));
    assert_eq!(leads(Period::Open, "*").as_deref(), Some("5000"));
    assert_eq!(leads(Period::Closed, "*").as_deref(), Some("5000"));
    let (_, led, world) = visit(office(), Period::Closed, "0");
    assert!(led.is_none() && world.said.contains("no-operator"), "{led:?} {:?}", world.said);
}

#[test]
fn an_announcement_comes_after_the_greeting_and_before_the_keys() {
    let mut talk = Talk::attendant(
        rules(),
        Caller::default(),
        Arc::new(Attendant { announcement: Some(sound(400)), ..office() }),
        Period::Open,
    );
    let mut said = Vec::new();
    let mut outputs = talk.begin();
    for _ in 0..3 {
        for output in std::mem::take(&mut outputs) {
            if let Output::Play(items, _) = output {
                said.push(items);
            }
        }
        outputs = talk.take(Input::Played);
    }
    assert_eq!(said.first().map(Vec::as_slice), Some([Item::Sound(sound(100))].as_slice()));
    assert_eq!(said.get(1).map(Vec::as_slice), Some([Item::Sound(sound(400))].as_slice()));
    assert!(said.get(2).is_some_and(|items| items.contains(&Item::Spell("1009".into()))), "{said:?}");
}
