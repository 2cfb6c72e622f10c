//! A caller who meets a rule of the mailbox's owner, key by key.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{SETTLED, World, greet, rules, situation};
use crate::talk::rule::CallerBook;
use crate::talk::words::{Answer, Caller, Input, Output};
use crate::talk::{MenuId, Mode, Next, Talk};

/// A world in which the owner has a rule with keys.
fn ruled(interruptible: bool) -> (World, Talk) {
    let mut world = World::new();
    let text = format!(
        r#"{{"rules": [{{"name": "all", "interruptible": {interruptible}, "keys": [
            {{"key": "1", "text": "urgent", "does": {{"find_me": [{{"number": "1002"}}, {{"number": "1004", "ring_s": 9}}]}}}},
            {{"key": "2", "text": "Bob", "does": {{"voicemail": "bob"}}}},
            {{"key": "3", "text": "office", "does": {{"transfer": "1004"}}}},
            {{"key": "4", "text": "message", "does": "message"}}]}}]}}"#
    );
    let book: CallerBook = serde_json::from_str(&text).unwrap();
    world.view.callers = Arc::new(book);
    let mut talk =
        Talk::answering(rules(), Caller { number: "1002".into(), ..Caller::default() }, "alice".into(), situation());
    let outputs = talk.begin();
    world.settle(&mut talk, outputs);
    (world, talk)
}

/// Whom a key of the rule leads to.
fn reached(world: &mut World, talk: &mut Talk, first: Vec<Output>) -> Option<(String, Option<u64>, bool)> {
    let mut todo: VecDeque<Output> = first.into();
    for _ in 0..SETTLED {
        match todo.pop_front() {
            Some(Output::Reach { number, of, ring, asks }) => {
                assert_eq!(of, "alice");
                return Some((number, ring.map(|ring| ring.as_secs()), asks));
            }
            Some(Output::Play(..)) => todo.extend(talk.take(Input::Played)),
            Some(Output::Ask(ask)) => {
                todo.extend(world.answer(ask).into_iter().flat_map(|a| talk.take(Input::Answer(a))))
            }
            Some(_) => {}
            None => return None,
        }
    }
    None
}

#[test]
fn numbers_of_a_rule_are_tried_one_after_the_other_and_then_its_keys_are_told_again() {
    let (mut world, mut talk) = ruled(true);
    assert_eq!(talk.mode, Mode::Ruled);
    let outputs = talk.take(Input::Key('1', Duration::ZERO));
    assert_eq!(reached(&mut world, &mut talk, outputs), Some(("1002".into(), Some(20), true)));
    let outputs = talk.take(Input::Answer(Answer::Failed));
    assert_eq!(reached(&mut world, &mut talk, outputs), Some(("1004".into(), Some(9), true)));
    // A key cuts the words short that nobody was there, and counts.
    let outputs = talk.take(Input::Answer(Answer::Failed));
    assert!(
        matches!(outputs.as_slice(), [.., Output::Play(..)]) && talk.mode == Mode::Saying(Next::Ruled),
        "{outputs:?}"
    );
    let outputs = talk.take(Input::Key('3', Duration::ZERO));
    assert_eq!(reached(&mut world, &mut talk, outputs), Some(("1004".into(), None, false)));
}

#[test]
fn every_key_of_a_rule_and_silence_lead_to_somebody_or_to_a_message() {
    for key in ["2", "4", "#"] {
        let (mut world, mut talk) = ruled(true);
        world.press(&mut talk, key);
        assert!(world.said.contains("after-the-tone"), "{key}: {:?}", world.said);
        assert_eq!(talk.mode, Mode::Menu(MenuId::Recorded), "{key}");
    }
    let (mut world, mut talk) = ruled(true);
    world.press(&mut talk, "*");
    assert_eq!(talk.mode, Mode::Menu(MenuId::Elsewhere));
    let (mut world, mut talk) = ruled(true);
    world.press(&mut talk, "0");
    assert!(world.transferred);
    // Silence: the keys once more, then a message.
    let (mut world, mut talk) = ruled(true);
    for _ in 0..2 {
        assert_eq!(talk.mode, Mode::Ruled);
        let outputs = talk.take(Input::Due);
        world.settle(&mut talk, outputs);
    }
    assert_eq!(talk.mode, Mode::Menu(MenuId::Recorded));
    // A key that is none counts as a failure, and the last leads to help.
    let (mut world, mut talk) = ruled(true);
    for _ in 0..3 {
        world.press(&mut talk, "9");
    }
    assert!(world.transferred && world.said.contains("not-an-option"));
}

#[test]
fn a_greeting_that_must_be_heard_takes_no_key() {
    let mut world = World::new();
    let (view, mut talk) = {
        let (ruled, _) = ruled(false);
        (
            ruled.view,
            Talk::answering(rules(), Caller { number: "7".into(), ..Caller::default() }, "alice".into(), situation()),
        )
    };
    world.view = view;
    greet(&mut world, &mut talk);
    assert!(talk.take(Input::Key('3', Duration::ZERO)).is_empty());
    let outputs = talk.take(Input::Played);
    world.settle(&mut talk, outputs);
    assert_eq!(talk.mode, Mode::Ruled);
}
