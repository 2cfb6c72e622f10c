//! A walk through every menu, key by key: each leaf is reached, each has words in every language, each has a way out, by `*` and
//! by silence.

mod attending;
mod ruled;

use media::prompt::{Language, Prompts};
use media::recorder::{RecordingEnd, Why};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::{Voice, VoiceKind};

use super::rule::Situation;
use super::words::{Answer, Ask, Caller, Input, Item, Output, Person, PinAnswer, Purpose, Rules, View};
use super::{Attendant, AttendantKey, Digits, KeyDoes, Menu, MenuId, Mode, Period, Talk};
use crate::mail::Draft;

/// Steps after which a dialogue has come to rest.
const SETTLED: usize = 60;

fn rules() -> Arc<Rules> {
    Arc::new(Rules { operator: Some("1001".into()), ..Rules::default() })
}

fn situation() -> Situation {
    let at = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    Situation { at, open: Vec::new(), busy: false, dialled: "1001".into() }
}

fn voice(number: u64) -> Voice {
    Voice {
        number,
        kind: VoiceKind::Answered,
        from: "1002".into(),
        sender: Some("bob".into()),
        length_ms: 90_000,
        urgent: number == 1,
        heard: number == 3,
        ..Voice::default()
    }
}

/// A mailbox that says yes.
struct World {
    view: View,
    said: BTreeSet<&'static str>,
    over: bool,
    transferred: bool,
}

impl World {
    fn new() -> World {
        let view = View {
            messages: vec![voice(1), voice(2), voice(3)],
            has_pin: true,
            away: true,
            welcomed: true,
            private: true,
            anonymous: true,
            extension: Some("1001".into()),
            ..View::default()
        };
        World { view, said: BTreeSet::new(), over: false, transferred: false }
    }

    fn answer(&mut self, ask: Ask) -> Option<Answer> {
        let sound = || Arc::new(media::Audio::from_samples(vec![1; 800]));
        let people = || {
            vec![Person {
                user: "bob".into(),
                display: "Bob B".into(),
                extension: Some("1002".into()),
                has_mailbox: true,
            }]
        };
        Some(match ask {
            Ask::Greeting(_) => Answer::Sound(None, false),
            Ask::Load { from, .. } => Answer::Sound(Some(sound()), from < Duration::from_secs(60)),
            Ask::Listen(_) => Answer::Sound(Some(sound()), false),
            Ask::CheckPin(..) => Answer::Pin(PinAnswer::Right, Some(Arc::new(self.view.clone()))),
            Ask::SetPin(..) => Answer::PinSet(Ok(())),
            Ask::Draft { mailbox, purpose, .. } => {
                Answer::Draft(Ok(Arc::new(Draft::new(&mailbox, voice(9), purpose, "9.draft".into()))))
            }
            Ask::Deliver { .. } | Ask::Send { .. } => Answer::Delivered(true),
            Ask::Drop(_) => Answer::Done,
            Ask::Who(_) | Ask::Spell(_) => Answer::People(people()),
            Ask::Mark(_, number, step) => {
                for voice in self.view.messages.iter_mut().filter(|voice| voice.number == number) {
                    match step {
                        super::Step::Heard(heard) => voice.heard = heard,
                        super::Step::Flagged(flagged) => voice.flagged = flagged,
                        super::Step::Deleted(deleted) => voice.deleted_ms = deleted.then_some(1),
                    }
                }
                Answer::View(Arc::new(self.view.clone()))
            }
            Ask::Away(_, away) => {
                self.view.away = away;
                Answer::View(Arc::new(self.view.clone()))
            }
            Ask::Welcomed(_) => return None,
            Ask::Open(_) | Ask::Install(..) | Ask::Clock(..) | Ask::Language(..) => {
                Answer::View(Arc::new(self.view.clone()))
            }
        })
    }

    /// Does what a dialogue wants until it waits for the caller.
    fn settle(&mut self, talk: &mut Talk, outputs: Vec<Output>) {
        let prompts = Prompts::shipped();
        let mut todo: VecDeque<Output> = outputs.into();
        let mut playing = false;
        for _ in 0..SETTLED {
            let Some(output) = todo.pop_front() else {
                let waits = matches!(talk.mode, Mode::Menu(_) | Mode::Attending | Mode::Digits(_));
                if !std::mem::take(&mut playing) || waits && !matches!(talk.mode, Mode::Menu(MenuId::Message)) {
                    return;
                }
                todo.extend(talk.take(Input::Played));
                continue;
            };
            match output {
                Output::Play(items, _) => {
                    assert!(!items.is_empty());
                    for item in &items {
                        if let Item::Prompt(name) = item {
                            for language in Language::ALL {
                                assert!(prompts.has(language, name), "{name} has no words in {}", language.tag());
                            }
                            self.said.insert(name);
                        }
                    }
                    playing = true;
                }
                Output::Hush => playing = false,
                Output::Ask(ask) => {
                    if let Some(answer) = self.answer(ask) {
                        todo.extend(talk.take(Input::Answer(answer)));
                    }
                }
                Output::Record { .. } => {
                    let end = RecordingEnd {
                        path: "9.draft".into(),
                        length: Duration::from_secs(3),
                        sounded: Duration::from_secs(3),
                        why: Why::Key('#'),
                        lost_samples: 0,
                    };
                    todo.extend(talk.take(Input::Recorded(end)));
                }
                Output::Transfer(_) | Output::Reach { .. } => self.transferred = true,
                Output::End(_) => self.over = true,
                Output::Wake(_) | Output::Sleep | Output::Missed(_) | Output::Note(_) | Output::Leave(_) => {}
            }
        }
        panic!("the dialogue does not come to rest: {:?}", talk.mode);
    }

    fn press(&mut self, talk: &mut Talk, keys: &str) {
        for key in keys.chars() {
            let outputs = talk.take(Input::Key(key, Duration::from_secs(2)));
            self.settle(talk, outputs);
        }
        if !talk.keys.is_empty() {
            let outputs = talk.take(Input::Due);
            self.settle(talk, outputs);
        }
    }
}

/// The dialogues in which menus are.
fn beginnings() -> Vec<fn() -> Talk> {
    fn of_caller() -> Caller {
        Caller { number: "1002".into(), mailbox: Some("bob".into()), ..Caller::default() }
    }
    vec![
        || Talk::answering(rules(), of_caller(), "alice".into(), situation()),
        || Talk::access(rules(), of_caller(), None),
        || Talk::attendant(rules(), of_caller(), attendant(), Period::Open),
    ]
}

fn attendant() -> Arc<Attendant> {
    Arc::new(Attendant {
        name: "reception".into(),
        numbers: vec!["5100".into()],
        language: Language::English,
        hours: None,
        greeting: None,
        closed_greeting: None,
        holiday_greeting: None,
        announcement: None,
        prompt: None,
        closed_prompt: None,
        keys: vec![
            AttendantKey { key: '1', name: "Sales".into(), sound: None, does: KeyDoes::Number("1001".into()) },
            AttendantKey { key: '2', name: "Bob".into(), sound: None, does: KeyDoes::Message("bob".into()) },
            AttendantKey { key: '4', name: "People".into(), sound: None, does: KeyDoes::Find },
        ],
        closed_keys: Vec::new(),
        on_silence: None,
        closed_on_silence: None,
        operator: Some("1001".into()),
        operator_open: true,
        operator_closed: false,
        call_people: true,
        message_people: true,
        by_name: true,
        any_extension: false,
        voice_access: Some("5000".into()),
    })
}

/// Rows that lead on where digits are wanted.
fn row(digits: Digits) -> &'static str {
    match digits {
        Digits::Extension => "1001",
        Digits::Pin => "2580#",
        Digits::NewPin | Digits::NewPinAgain => "258046#",
        Digits::Spell => "262#",
        Digits::Choose => "1",
    }
}

fn begin(make: fn() -> Talk, path: &[String]) -> (World, Talk) {
    let (mut world, mut talk) = (World::new(), make());
    let outputs = talk.begin();
    world.settle(&mut talk, outputs);
    for keys in path {
        world.press(&mut talk, keys);
    }
    (world, talk)
}

#[test]
fn every_leaf_of_every_menu_is_reached_with_words_and_a_way_out() {
    let mut pressed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut said = BTreeSet::new();
    for make in beginnings() {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut paths: VecDeque<Vec<String>> = VecDeque::from([Vec::new()]);
        while let Some(path) = paths.pop_front() {
            let (world, talk) = begin(make, &path);
            said.extend(world.said.iter().copied());
            way_out(make, &path);
            if path.len() > 9 {
                continue;
            }
            let mut go_on = |keys: &str| {
                let mut longer = path.clone();
                longer.push(keys.to_owned());
                paths.push_back(longer);
            };
            // A menu is the same wherever it is come from, but for what can be done in it.
            let place = format!("{:?} {}", talk.mode, there(&talk));
            match talk.mode {
                _ if !seen.insert(place) => {}
                Mode::Menu(id) => {
                    for entry in id.menu().keys.iter().filter(|entry| talk.there(entry.act)) {
                        pressed.insert((id.menu().name, entry.keys));
                        go_on(entry.keys);
                    }
                }
                Mode::Digits(digits) => {
                    go_on(row(digits));
                    go_on("*");
                    if digits == Digits::Extension {
                        go_on("#");
                    }
                }
                Mode::Attending => ["1002", "1", "2", "4", "#", "0", "*"].into_iter().for_each(go_on),
                _ => {}
            }
        }
    }
    // The greeting is cut short by a key: that is where callers who want somebody else go.
    let (mut world, mut talk) =
        (World::new(), Talk::answering(rules(), Caller::default(), "alice".into(), situation()));
    greet(&mut world, &mut talk);
    for key in ["*", "1", "262#", "*"] {
        world.press(&mut talk, key);
    }
    for keys in ["0", "1", "2", "*"] {
        let (mut world, mut talk) =
            (World::new(), Talk::answering(rules(), Caller::default(), "alice".into(), situation()));
        greet(&mut world, &mut talk);
        world.press(&mut talk, "*");
        assert_eq!(talk.mode, Mode::Menu(MenuId::Elsewhere));
        world.press(&mut talk, keys);
        pressed.insert(("elsewhere", keys));
        said.extend(world.said);
    }
    let all: BTreeSet<(&str, &str)> =
        MenuId::ALL.iter().flat_map(|id| id.menu().keys.iter().map(|entry| (id.menu().name, entry.keys))).collect();
    let missing: Vec<_> = all.difference(&pressed).collect();
    assert!(missing.is_empty(), "never pressed: {missing:?}");
    let told =
        MenuId::ALL.iter().flat_map(|id| id.menu().keys.iter().filter(|entry| entry.told).map(|entry| entry.line));
    let silent: Vec<_> = told.filter(|line| !said.contains(line)).collect();
    assert!(silent.is_empty(), "never said: {silent:?}");
}

/// Lets the greeting begin, and no more.
fn greet(world: &mut World, talk: &mut Talk) {
    let mut todo: VecDeque<Output> = talk.begin().into();
    while let Some(output) = todo.pop_front() {
        if let Output::Ask(ask) = output
            && let Some(answer) = world.answer(ask)
        {
            todo.extend(talk.take(Input::Answer(answer)));
        }
    }
}

fn there(talk: &Talk) -> String {
    match talk.mode {
        Mode::Menu(id) => {
            let keys = id.menu().keys.iter().filter(|entry| talk.there(entry.act)).map(|entry| entry.keys);
            format!("{} {}", keys.collect::<Vec<_>>().join(" "), talk.hearing.is_some())
        }
        _ => String::new(),
    }
}

/// From where a path leads the call comes to an end by `*`, and by silence.
fn way_out(make: fn() -> Talk, path: &[String]) {
    for by_silence in [false, true] {
        let (mut world, mut talk) = begin(make, path);
        for _ in 0..24 {
            if world.over || world.transferred {
                break;
            }
            let outputs = match by_silence {
                true => talk.take(Input::Due),
                false => talk.take(Input::Key('*', Duration::ZERO)),
            };
            world.settle(&mut talk, outputs);
        }
        assert!(world.over || world.transferred, "no way out of {path:?} (silence: {by_silence}): {:?}", talk.mode);
    }
}

#[test]
fn the_words_of_a_key_name_that_key() {
    const NAMES: [(char, &str); 12] = [
        ('0', "zero"),
        ('1', "one"),
        ('2', "two"),
        ('3', "three"),
        ('4', "four"),
        ('5', "five"),
        ('6', "six"),
        ('7', "seven"),
        ('8', "eight"),
        ('9', "nine"),
        ('*', "star"),
        ('#', "pound"),
    ];
    let texts: std::collections::HashMap<&str, &str> = Prompts::texts(Language::English).collect();
    for menu in MenuId::ALL.map(MenuId::menu) {
        let Menu { name, keys, .. } = menu;
        for entry in keys.iter().filter(|entry| entry.told) {
            let spoken: Vec<&str> =
                entry.keys.chars().map(|key| NAMES.iter().find(|(known, _)| *known == key).unwrap().1).collect();
            let text = texts[entry.line];
            assert!(text.ends_with(&format!("press {}.", spoken.join(" "))), "{name} {}: {text}", entry.keys);
        }
    }
}

#[test]
fn a_caller_who_presses_nothing_after_a_message_has_left_it() {
    let (mut world, mut talk) = begin(|| Talk::answering(rules(), Caller::default(), "alice".into(), situation()), &[]);
    assert_eq!(talk.mode, Mode::Menu(MenuId::Recorded));
    let mut delivered = false;
    for _ in 0..12 {
        let outputs = talk.take(Input::Due);
        delivered |= outputs.iter().any(|output| matches!(output, Output::Ask(Ask::Deliver { .. })));
        world.settle(&mut talk, outputs);
    }
    assert!(delivered && world.over && world.said.contains("message-sent"));
}

#[test]
fn silence_alone_is_no_message() {
    let (mut world, mut talk) =
        (World::new(), Talk::answering(rules(), Caller::default(), "alice".into(), situation()));
    greet(&mut world, &mut talk);
    let outputs = talk.take(Input::Played);
    assert!(matches!(outputs.last(), Some(Output::Record { .. })), "{outputs:?}");
    let end = RecordingEnd {
        path: "9.draft".into(),
        length: Duration::from_millis(300),
        sounded: Duration::ZERO,
        why: Why::Silence,
        lost_samples: 0,
    };
    let outputs = talk.take(Input::Recorded(end));
    world.settle(&mut talk, outputs);
    assert!(world.over && world.said.contains("nothing-recorded") && !world.said.contains("message-sent"));
    assert!(talk.leaves().is_some_and(|draft| draft.purpose == Purpose::Message));
}

#[test]
fn a_caller_who_waits_for_a_slow_mailbox_is_told_so_until_it_takes_too_long() {
    let mut talk = Talk::answering(rules(), Caller::default(), "alice".into(), situation());
    assert!(matches!(talk.begin().last(), Some(Output::Ask(Ask::Open(_)))));
    for _ in 0..4 {
        let outputs = talk.take(Input::Due);
        let told = |item: &Item| *item == Item::Prompt("please-hold");
        assert!(matches!(outputs.first(), Some(Output::Play(items, _)) if items.iter().all(told)), "{outputs:?}");
        assert!(talk.take(Input::Played).is_empty(), "it goes on waiting");
    }
    let mut world = World::new();
    let outputs = talk.take(Input::Due);
    world.settle(&mut talk, outputs);
    assert!(world.over && world.said.contains("cannot-record"));
}

#[test]
fn a_fax_machine_is_connected_with_who_takes_faxes_and_leaves_no_message() {
    let (mut world, mut talk) =
        (World::new(), Talk::answering(rules(), Caller::default(), "alice".into(), situation()));
    world.view.fax = Some("5800".into());
    greet(&mut world, &mut talk);
    assert!(talk.hears_faxes());
    talk.take(Input::Played);
    let end = RecordingEnd {
        path: "9.draft".into(),
        length: Duration::from_millis(700),
        sounded: Duration::from_millis(500),
        why: Why::Fax,
        lost_samples: 0,
    };
    let outputs = talk.take(Input::Recorded(end));
    let Some(Output::Ask(Ask::Drop(draft))) = outputs.last() else { panic!("{outputs:?}") };
    let dropped = world.answer(Ask::Drop(Arc::clone(draft))).unwrap();
    let outputs = talk.take(Input::Answer(dropped));
    let reached =
        outputs.iter().any(|output| matches!(output, Output::Reach { number, asks: false, .. } if number == "5800"));
    assert!(reached && talk.leaves().is_none(), "{outputs:?}");
    assert_eq!(talk.report().kind, crate::mail::MailCall::Fax);
    // Nobody is there.
    let outputs = talk.take(Input::Answer(Answer::Failed));
    assert!(matches!(outputs.last(), Some(Output::End(_))), "{outputs:?}");
}
