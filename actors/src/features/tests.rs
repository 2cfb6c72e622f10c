//! Codes, rules and bounds, without a call.

use proptest::prelude::*;
use std::time::Duration;

use super::rules::{Now, Outcome, also, incoming, ring, unanswered};
use super::{Action, Codes, Features};
use crate::call::Why;
use crate::routing::Trail;
use crate::routing::spec::Switches;

fn codes() -> Codes {
    let all = [
        ("*21", Action::ForwardAll),
        ("*61", Action::ForwardNoAnswer),
        ("*8", Action::Pickup),
        ("*86", Action::DoNotDisturb),
        ("", Action::Trace),
    ];
    Codes::new(all.map(|(code, action)| (code.to_owned(), action)))
}

#[test]
fn a_code_switches_on_and_with_a_hash_off_and_a_number_and_seconds_may_follow() {
    let of = |dialled: &str| codes().wish(dialled).map(|wish| (wish.action, wish.on, wish.number, wish.seconds));
    let wish = |action, on, number: &str, seconds| Some((action, on, number.to_owned(), seconds));
    assert_eq!(of("*211002"), wish(Action::ForwardAll, true, "1002", None));
    assert_eq!(of("*21*1002#"), wish(Action::ForwardAll, true, "1002", None));
    assert_eq!(of("*21+390612345678"), wish(Action::ForwardAll, true, "+390612345678", None));
    assert_eq!(of("#21"), wish(Action::ForwardAll, false, "", None));
    assert_eq!(of("#21#"), wish(Action::ForwardAll, false, "", None));
    assert_eq!(of("*61*1002*30#"), wish(Action::ForwardNoAnswer, true, "1002", Some(30)));
    assert_eq!(of("*61*1002*x#"), None, "seconds that are none");
    assert_eq!(of("*8"), wish(Action::Pickup, true, "", None));
    assert_eq!(of("*81002"), wish(Action::Pickup, true, "1002", None));
    assert_eq!(of("*86"), wish(Action::DoNotDisturb, true, "", None), "the longest code");
    for other in ["", "*", "#", "*9", "1002", "21", "**21"] {
        assert_eq!(of(other), None, "{other}: a feature without a code is no feature of whatever begins with `*`");
    }
}

const CALLERS: [&str; 2] = ["alice", "+390612345678"];

fn now() -> Now<'static> {
    Now { user: "bob", callers: &CALLERS, hidden: false, lines: 0, lines_max: 2, ring: Duration::from_secs(20) }
}

fn outcome(features: &Features, now: &Now<'_>) -> Outcome {
    incoming(features, &Switches::default(), now, &mut Trail::full())
}

fn code(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Refuse(refused) => refused.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_refused_comes_before_what_is_sent_on_and_that_before_do_not_disturb_and_busy() {
    let mut features = Features { do_not_disturb: true, ..Features::default() };
    assert_eq!(code(&outcome(&features, &now())), 480);
    features.forward_busy = Some("1004".into());
    assert_eq!(outcome(&features, &now()), Outcome::SendOn("1004".into(), Why::DoNotDisturb));
    features.forward_all = Some("1003".into());
    assert_eq!(outcome(&features, &now()), Outcome::SendOn("1003".into(), Why::Unconditional));
    features.reject = vec!["0612345678".into()];
    assert_eq!(outcome(&features, &now()), Outcome::SendOn("1003".into(), Why::Unconditional), "another number");
    features.reject = vec!["+39 0612345678".replace(' ', "")];
    assert_eq!(code(&outcome(&features, &now())), 603);
    features.reject_anonymous = true;
    assert_eq!(code(&outcome(&features, &Now { hidden: true, ..now() })), 433);
}

#[test]
fn another_call_waits_up_to_the_bound_or_is_busy() {
    let mut features = Features::default();
    assert_eq!(outcome(&features, &Now { lines: 1, ..now() }), Outcome::Ring);
    assert_eq!(code(&outcome(&features, &Now { lines: 2, ..now() })), 486);
    features.call_waiting = false;
    assert_eq!(code(&outcome(&features, &Now { lines: 1, ..now() })), 486);
    features.forward_busy = Some("1004".into());
    assert_eq!(outcome(&features, &Now { lines: 1, ..now() }), Outcome::SendOn("1004".into(), Why::Busy));
}

#[test]
fn what_the_policy_takes_away_does_not_act_though_it_was_switched_before() {
    let features = Features {
        forward_all: Some("1003".into()),
        forward_busy: Some("1003".into()),
        forward_no_answer: Some("1003".into()),
        also_ring: vec!["1003".into()],
        team: vec!["carol".into()],
        delegates: vec!["dave".into()],
        delegates_ring: true,
        ..Features::default()
    };
    let all = Switches::default();
    assert_eq!(also(&features, &all).len(), 3);
    let none = Switches { forwarding: false, simultaneous: false, delegation: false, team_call: false, ..all };
    assert_eq!(incoming(&features, &none, &now(), &mut Trail::full()), Outcome::Ring);
    assert_eq!(code(&incoming(&features, &none, &Now { lines: 2, ..now() }, &mut Trail::full())), 486);
    assert!(also(&features, &none).is_empty());
    for why in [Why::Busy, Why::NoAnswer, Why::Unavailable, Why::DoNotDisturb] {
        assert_eq!(unanswered(&features, &all, why).as_deref(), Some("1003"));
        assert_eq!(unanswered(&features, &none, why), None);
    }
    assert_eq!(unanswered(&features, &all, Why::Deflection), None, "the phone has said where to");
}

#[test]
fn the_time_to_ring_is_the_users_own_or_that_of_the_configuration() {
    let twenty = Duration::from_secs(20);
    assert_eq!(ring(&Features::default(), twenty), twenty);
    assert_eq!(ring(&Features { ring_s: Some(35), ..Features::default() }, twenty), Duration::from_secs(35));
}

#[test]
fn features_past_their_bounds_are_wrong() {
    let wrong = |change: fn(&mut Features)| {
        let mut features = Features::default();
        change(&mut features);
        features.wrong()
    };
    assert_eq!(wrong(|_| {}), None);
    assert!(wrong(|f| f.ring_s = Some(4)).is_some() && wrong(|f| f.ring_s = Some(181)).is_some());
    assert!(wrong(|f| f.ring_s = Some(5)).is_none());
    assert!(wrong(|f| f.team_after_s = 61).is_some());
    assert!(wrong(|f| f.reject = vec!["1".into(); 21]).is_some());
    assert!(wrong(|f| f.forward_all = Some("a b".into())).is_some());
    assert!(wrong(|f| f.forward_all = Some(String::new())).is_some());
    assert!(wrong(|f| f.forward_all = Some("delegates".into())).is_some(), "there are none");
    let with_delegates = |f: &mut Features| {
        (f.forward_all, f.delegates) = (Some("delegates".into()), vec!["carol".into()]);
    };
    assert_eq!(wrong(with_delegates), None);
}

#[test]
fn features_of_a_later_release_are_not_read_as_others() {
    let read = |text: &str| serde_json::from_str::<Features>(text);
    assert_eq!(read("{}").unwrap(), Features::default());
    assert!(read("{\"no_such\":1}").is_err());
}

proptest! {
    /// Whatever is dialled is a wish or is none; a wish has nothing in its number that could leave an address.
    #[test]
    fn whatever_is_dialled_is_a_wish_or_none(dialled in "\\PC{0,40}|[*#0-9]{0,20}") {
        if let Some(wish) = codes().wish(&dialled) {
            prop_assert!(dialled.starts_with(['*', '#']));
            prop_assert!(wish.number.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-_.".contains(&c)), "{:?}", wish);
        }
    }
}
