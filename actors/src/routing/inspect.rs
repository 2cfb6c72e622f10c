//! What is wrong with rules that are right one by one: those that can never match, and those that undo each other.

use ahash::AHashSet;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start::Config;
use regex_automata::util::syntax;
use regex_automata::{Anchored, MatchKind};
use std::collections::VecDeque;

use super::number::E164;
use super::pattern::Pattern;
use super::rewrite::{Rewrite, first};

/// Characters of what can be dialled.
const ALPHABET: &[u8] = b"0123456789*#+;=.-_abcdefghijklmnopqrstuvwxyz";
/// Pairs of states that are looked at for a rule; what has more is not judged.
const PAIRS_MAX: usize = 20_000;
/// What an automaton may take, bytes; a larger one is not judged.
const DFA_BYTES_MAX: usize = 4 << 20;
/// Times that a number is normalised again before it counts as going round.
const ROUNDS_MAX: usize = 16;

/// What the rules before it leave for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// This is one of the numbers that come to it.
    Some(String),
    /// Nothing that can be dialled matches it.
    Nothing,
    /// The rules before it take everything.
    Shadowed,
    /// It could not be told within bounds.
    Unknown,
}

/// For each pattern of a list in which the first match stops: whether a number can come to it.
pub fn left(patterns: &[&str]) -> Vec<Left> {
    patterns
        .iter()
        .enumerate()
        .map(|(at, pattern)| {
            let before = patterns.get(..at).unwrap_or_default();
            let Some(own) = automaton(&[pattern]) else { return Left::Unknown };
            match example(&own, None) {
                Found::No => Left::Nothing,
                Found::Unknown => Left::Unknown,
                Found::Yes(number) if before.is_empty() => Left::Some(number),
                Found::Yes(_) => match automaton(before).map(|before| example(&own, Some(&before))) {
                    Some(Found::Yes(number)) => Left::Some(number),
                    Some(Found::No) => Left::Shadowed,
                    Some(Found::Unknown) | None => Left::Unknown,
                },
            }
        })
        .collect()
}

/// Whether anything that can be dialled matches a pattern; also true where that cannot be told.
pub fn can_match(pattern: &Pattern) -> bool {
    let by_automaton = || automaton(&[pattern.text()]).is_none_or(|own| !matches!(example(&own, None), Found::No));
    pattern.can_match(ALPHABET).unwrap_or_else(by_automaton)
}

/// How a number goes round when it is normalised again and again, as clients and switch do one after the other; `None` when
/// it comes to rest.
pub fn going_round(rules: &[Rewrite], number: &str) -> Option<Vec<String>> {
    let mut seen = vec![number.to_owned()];
    for _ in 0..ROUNDS_MAX {
        let last = seen.last()?;
        if E164::parse(last).is_some() {
            return None;
        }
        let next = first(rules, last)?.1;
        if next == *last {
            return None;
        }
        if let Some(at) = seen.iter().position(|before| *before == next) {
            seen.push(next);
            return Some(seen.split_off(at));
        }
        seen.push(next);
    }
    Some(seen)
}

enum Found {
    Yes(String),
    No,
    Unknown,
}

fn automaton(patterns: &[&str]) -> Option<dense::DFA<Vec<u32>>> {
    dense::Builder::new()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Unanchored)
                .dfa_size_limit(Some(DFA_BYTES_MAX))
                .determinize_size_limit(Some(DFA_BYTES_MAX)),
        )
        .build_many(patterns)
        .ok()
}

/// Where an automaton is, and whether it has matched on the way.
type Place = (StateID, bool);

/// The shortest text of the alphabet that one automaton matches and another does not.
fn example(own: &dense::DFA<Vec<u32>>, before: Option<&dense::DFA<Vec<u32>>>) -> Found {
    let start = |dfa: &dense::DFA<Vec<u32>>| dfa.start_state(&Config::new().anchored(Anchored::No)).ok();
    let step = |dfa: &dense::DFA<Vec<u32>>, (state, matched): Place, c: u8| {
        let next = dfa.next_state(state, c);
        (next, matched || dfa.is_match_state(next))
    };
    let ends =
        |dfa: &dense::DFA<Vec<u32>>, (state, matched): Place| matched || dfa.is_match_state(dfa.next_eoi_state(state));
    let Some(first) = start(own) else { return Found::Unknown };
    let Some(other) = before.map(start).unwrap_or(Some(StateID::ZERO)) else { return Found::Unknown };
    let mut queue = VecDeque::from([((first, false), (other, false), String::new())]);
    let mut seen = AHashSet::from([((first, false), (other, false))]);
    while let Some((mine, theirs, text)) = queue.pop_front() {
        let taken = before.is_some_and(|dfa| ends(dfa, theirs));
        if ends(own, mine) && !taken && !text.is_empty() {
            return Found::Yes(text);
        }
        for c in ALPHABET {
            let mine = step(own, mine, *c);
            let theirs = before.map_or(theirs, |dfa| step(dfa, theirs, *c));
            // Whatever goes on from here is taken already, or never matches.
            if theirs.1 || own.is_dead_state(mine.0) && !mine.1 {
                continue;
            }
            if seen.len() >= PAIRS_MAX {
                return Found::Unknown;
            }
            if seen.insert((mine, theirs)) {
                let mut longer = text.clone();
                longer.push(char::from(*c));
                queue.push_back((mine, theirs, longer));
            }
        }
    }
    Found::No
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rule_behind_rules_that_take_all_of_its_numbers_can_never_match() {
        let found = left(&[r"^(\d{4})$", r"^5(\d{3})$", r"^5(\d{4})$", r"^\d+$", r"^0$", r"^$"]);
        assert_eq!(found[1], Left::Shadowed, "every 5xxx has four digits");
        assert!(matches!(&found[2], Left::Some(number) if number.len() == 5), "{found:?}");
        assert!(matches!(&found[3], Left::Some(_)), "{found:?}");
        assert_eq!(found[4], Left::Shadowed);
        assert_eq!(found[5], Left::Nothing, "nothing is dialled");
    }

    #[test]
    fn rules_together_can_take_all_of_the_numbers_of_another() {
        let found = left(&["^[0-4]", "^[5-9]", r"^\d{3}$", r"^\*"]);
        assert_eq!(found[2], Left::Shadowed);
        assert_eq!(found[3], Left::Some("*".into()));
        let can = |text| can_match(&Pattern::new(text).unwrap());
        assert!(!can("^[A-Z]+$") && !can("[A-Z]"), "nobody dials these");
        assert!(!can("^$") && !can("(^)$"), "nor nothing");
        assert!(can("7") && can("^7") && can(r"^\+"));
    }

    #[test]
    fn a_number_that_two_rules_send_back_and_forth_goes_round() {
        let rule = |pattern, to| Rewrite::new("", pattern, to).unwrap();
        let rules = [rule(r"^5(\d{3})$", "8$1"), rule(r"^8(\d{3})$", "5$1"), rule(r"^(\d{3})$", "1$1")];
        assert_eq!(going_round(&rules, "5000"), Some(vec!["5000".into(), "8000".into(), "5000".into()]));
        assert_eq!(going_round(&rules, "100"), None);
        assert_eq!(going_round(&[rule(r"^(\d+)$", "0$1")], "1").map(|way| way.len()), Some(ROUNDS_MAX + 1));
        assert_eq!(going_round(&[rule(r"^(\d+)$", "+39$1")], "1"), None, "a public number rests");
        assert_eq!(going_round(&[rule(r"^(\d{5})$", "$1")], "10001"), None);
    }

    proptest! {
        /// What is said to come to a rule does match it, and none before it.
        #[test]
        fn the_example_comes_to_its_rule(texts in proptest::collection::vec("\\^[0-3]{0,2}(\\\\d\\{[1-3]\\}|\\\\d\\*|)\\$?", 1..5)) {
            let patterns: Vec<&str> = texts.iter().map(String::as_str).collect();
            let engines: Vec<_> = patterns.iter().map(|p| super::super::pattern::compile(p).unwrap()).collect();
            for (at, found) in left(&patterns).into_iter().enumerate() {
                if let Left::Some(number) = found {
                    let matches: Vec<bool> = engines.iter().map(|e| e.is_match(number.as_bytes())).collect();
                    prop_assert!(matches[at] && !matches[..at].contains(&true), "{:?} {} {:?}", patterns, number, matches);
                }
            }
        }
    }
}
