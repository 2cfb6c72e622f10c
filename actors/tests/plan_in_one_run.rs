//! The objects of the plan on simulated time: what they count and bound, when their hours turn, and that their actors may die.

mod simulated;

use std::time::Duration;

use actors::plan::Kind;
use actors::routing::hours::{Hours, Opening};
use actors::routing::spec::{DialPlan, Scope};
use actors::settings::Settings;
use simulated::calls::{alice_and_bob, talk};
use simulated::{World, both, run_with};
use sip::net::sim::Weather;
use tokio::time::sleep;

const OFFICE: &str = "/switch/plan/dial-plans/office";

fn office(calls_max: u32) -> DialPlan {
    DialPlan { name: "office".into(), extension_digits: 4, calls_max: Some(calls_max), ..DialPlan::default() }
}

fn one_call(settings: &mut Settings) {
    settings.routing.dial_plans = vec![office(1)];
    settings.routing.global = Scope { dial_plan: Some("office".into()), ..Scope::default() };
}

async fn until(world: &World, runs: bool, path: &str) {
    while world.is_running(&[path.to_owned()]) != runs {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_dial_plan_holds_as_many_calls_as_it_may_and_its_actors_death_costs_none() {
    run_with(1, Weather::FAIR, one_call, async |world: &World| {
        let (alice, bob) = alice_and_bob(world).await;
        until(world, true, OFFICE).await;
        let (from, at) = talk(&alice, &bob).await;
        let desk = world.shared.plans.get(Kind::DialPlan, "office").expect("a desk");
        assert_eq!((desk.up(), desk.counts().calls), (1, 1));

        for path in [OFFICE, "/switch/plan/dial-plans", "/switch/plan/planner", "/switch/plan"] {
            assert!(world.hurt(path), "{path} lives");
            until(world, true, OFFICE).await;
            until(world, true, "/switch/plan/planner").await;
            assert_eq!(desk.up(), 1, "after {path}");
            assert_eq!(bob.call("1001").await.err(), Some(503), "the plan is full, after {path}");
        }
        assert_eq!(desk.counts().refused, 4);

        both(alice.hang_up(&from), bob.ended(&at)).await;
        let (from, at) = talk(&alice, &bob).await;
        both(alice.hang_up(&from), bob.ended(&at)).await;
        assert_eq!((desk.up(), desk.counts().calls), (0, 2));
        // What was counted is written down.
        sleep(Duration::from_secs(11)).await;
        let known = actors::plan::known(&world.shared.store);
        assert_eq!(known.get("dial-plan office").map(|counts| (counts.calls, counts.refused)), Some((2, 4)));
    });
}

#[test]
fn actors_of_the_plan_come_and_go_with_the_configuration_and_calls_stay() {
    run_with(2, Weather::FAIR, one_call, async |world: &World| {
        let (alice, bob) = alice_and_bob(world).await;
        let (from, at) = talk(&alice, &bob).await;
        until(world, true, OFFICE).await;

        let mut settings = (**world.shared.settings()).clone();
        settings.routing.dial_plans = vec![DialPlan { name: "other".into(), ..office(1) }];
        settings.routing.global.dial_plan = Some("other".into());
        world.shared.replace(settings.clone());
        until(world, false, OFFICE).await;
        until(world, true, "/switch/plan/dial-plans/other").await;
        assert!(!from.has_ended() && !at.has_ended());

        // Back again: it has forgotten what it had carried, and the call of before counts among none.
        settings.routing.dial_plans = vec![office(1)];
        settings.routing.global.dial_plan = Some("office".into());
        world.shared.replace(settings);
        until(world, true, OFFICE).await;
        let desk = world.shared.plans.get(Kind::DialPlan, "office").expect("a desk");
        assert_eq!((desk.up(), desk.counts().calls), (0, 0));
        both(alice.hang_up(&from), bob.ended(&at)).await;
    });
}

#[test]
fn hours_turn_at_their_minute() {
    let hours = |settings: &mut Settings| {
        let open = ["Mon-Sun 08:00-18:00"].map(|text| Opening::parse(text).expect("a time"));
        settings.routing.hours =
            vec![Hours { name: "office".into(), zone: jiff::tz::TimeZone::UTC, open: open.into(), holidays: vec![] }];
    };
    run_with(3, Weather::FAIR, hours, async |world: &World| {
        until(world, true, "/switch/plan/hours/office").await;
        let desk = world.shared.plans.get(Kind::Hours, "office").expect("a desk");
        let before = desk.view();
        let until: jiff::Timestamp = before.until.expect("it turns").parse().expect("a time");
        let left = until.duration_since(actors::outside::now()).unsigned_abs();

        sleep(left - Duration::from_secs(1)).await;
        assert_eq!((desk.view().open, desk.counts().turns), (before.open, 0));
        sleep(Duration::from_secs(2)).await;
        assert_eq!((desk.view().open, desk.counts().turns), (before.open.map(|open| !open), 1));
        // A clerk that comes back knows that already.
        assert!(world.hurt("/switch/plan/hours/office"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(desk.counts().turns, 1);
    });
}
