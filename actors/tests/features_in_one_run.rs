//! Call features on simulated time: how long phones ring before a call goes on, who begins to ring when, how long a call is
//! parked; and that nothing is left when parts die meanwhile.

mod simulated;

use std::time::Duration;

use actors::routing::hours::{Hours, Opening, State};
use actors::routing::spec::{Scope, Switches, VoicePolicy};
use actors::settings::Settings;
use simulated::calls::{ALICE_AT, BOB_AT, set};
use simulated::phone::{Phone, header};
use simulated::{World, both, run_with, seeds};
use sip::net::sim::Weather;
use tokio::time::{Instant, sleep, timeout};

const CAROL_AT: &str = "192.0.2.13:5060";

/// Users may park at 5900 and 5901.
fn parking(settings: &mut Settings) {
    let switches = Switches { park: true, ..Switches::default() };
    let policy = VoicePolicy { name: "all".into(), transfer: true, switches, ..VoicePolicy::default() };
    settings.routing.policies = vec![policy];
    settings.routing.global = Scope { policy: Some("all".into()), ..Scope::default() };
    settings.routing.parking = Some(("5900".into(), "5901".into()));
}

async fn three(world: &World) -> (Phone, Phone, Phone) {
    let phones = [("alice", ALICE_AT), ("bob", BOB_AT), ("carol", CAROL_AT)];
    let [alice, bob, carol] = phones.map(|(name, at)| Phone::at(&world.net, name, at));
    both(alice.register(), both(bob.register(), carol.register())).await;
    (alice, bob, carol)
}

#[test]
fn a_call_goes_on_after_the_users_time_and_who_is_next_has_a_time_of_its_own() {
    run_with(
        1,
        Weather::FAIR,
        |_| {},
        async |world: &World| {
            let (alice, bob, carol) = three(world).await;
            set(world, "bob", |features| {
                (features.forward_no_answer, features.ring_s) = (Some("1003".into()), Some(35))
            })
            .await;
            let begun = Instant::now();
            let answers = async {
                let at_bob = bob.incoming().await;
                bob.ring(&at_bob);
                let at_carol = carol.incoming().await;
                assert_eq!(begun.elapsed().as_secs(), 35);
                assert!(header(&at_carol, "Diversion").is_some_and(|who| who.contains("no-answer")), "{at_carol}");
                carol.ring(&at_carol);
                // Longer than bob's time, which is not hers.
                sleep(Duration::from_secs(60)).await;
                carol.pick_up(&at_carol).expect("the caller waits")
            };
            let (from, at) = both(alice.call("1002"), answers).await;
            both(alice.hang_up(&from.expect("answered")), carol.ended(&at)).await;
            world.has_settled().await;
            assert_eq!(world.records()[0]["to"], "carol@example.com");
        },
    );
}

#[test]
fn the_team_begins_to_ring_after_its_delay_within_the_time_of_all_together() {
    run_with(
        2,
        Weather::FAIR,
        |_| {},
        async |world: &World| {
            let (alice, bob, carol) = three(world).await;
            set(world, "bob", |features| {
                (features.team, features.team_after_s) = (vec!["carol".into()], 10);
                (features.forward_no_answer, features.ring_s) = (Some("1001".into()), Some(30));
            })
            .await;
            // To herself the call does not come back: she hears that nobody answers.
            let begun = Instant::now();
            let rings = async {
                let at_bob = bob.incoming().await;
                bob.ring(&at_bob);
                let at_carol = carol.incoming().await;
                assert_eq!(begun.elapsed().as_secs(), 10);
                carol.ring(&at_carol);
                let at_alice = alice.incoming().await;
                assert_eq!(begun.elapsed().as_secs(), 30, "for both together");
                alice.refuse(&at_alice, "486 Busy Here");
            };
            let (refused, ()) = both(alice.call("1002"), rings).await;
            assert_eq!(refused.err(), Some(486));
        },
    );
}

#[test]
fn a_parked_call_rings_its_parker_after_ninety_seconds_and_ends_when_nobody_comes() {
    run_with(3, Weather::FAIR, parking, async |world: &World| {
        let (alice, bob, _) = three(world).await;
        let (from, at) = simulated::calls::talk(&alice, &bob).await;
        assert_eq!(bob.transfer(&at, "5900").await, Some(202));
        let parked = Instant::now();
        assert_eq!(world.shared.parked.len(), 1);
        let at_bob = bob.incoming().await;
        assert_eq!(parked.elapsed().as_secs(), 90);
        bob.ring(&at_bob);
        // It rings for twenty seconds, waits ninety more, and ends.
        let ended = timeout(Duration::from_secs(200), alice.ended(&from)).await;
        assert!(ended.is_ok());
        assert_eq!(parked.elapsed().as_secs(), 90 + 20 + 90);
        assert_eq!(world.shared.parked.len(), 0);
    });
}

#[test]
fn whatever_dies_in_whatever_weather_a_call_that_goes_on_is_answered_and_leaves_nothing() {
    const ACTORS: [&str; 4] = ["CALL", "calls", "signalling", "registrar"];
    for seed in seeds(40) {
        run_with(
            seed,
            Weather::FOUL,
            |_| {},
            async move |world: &World| {
                let (alice, bob, carol) = three(world).await;
                set(world, "bob", |features| {
                    (features.forward_no_answer, features.ring_s) = (Some("1003".into()), Some(5));
                })
                .await;
                let actor = ACTORS[seed as usize % ACTORS.len()];
                let fault = async {
                    sleep(Duration::from_millis(seed / 4 * 800)).await;
                    let nodes = world.tree.snapshot();
                    let call = nodes.iter().find(|node| node.path.starts_with("/switch/shard-0/calls/"));
                    match actor {
                        "CALL" => call.is_none_or(|call| world.hurt(&call.path)),
                        name => world.hurt(&format!("/switch/shard-0/{name}")),
                    }
                };
                let answers = async {
                    let at_bob = bob.incoming().await;
                    bob.ring(&at_bob);
                    loop {
                        let at_carol = carol.incoming().await;
                        if let Some(dialog) = carol.pick_up(&at_carol) {
                            return dialog;
                        }
                    }
                };
                let (hurt, (from, at)) = both(fault, both(alice.call("1002"), answers)).await;
                assert!(hurt, "{actor} lives");
                let from = from.expect("answered");
                sleep(Duration::from_secs(2)).await;
                both(alice.hang_up(&from), carol.ended(&at)).await;
                world.has_settled().await;
                let records = world.records();
                assert_eq!(records.len(), 1, "{actor}: {records:?}");
                assert_eq!(records[0]["sip_status"], 200, "{actor}: {records:?}");
            },
        );
    }
}

#[test]
fn a_line_goes_with_the_party_that_talks_and_is_free_when_it_has_left() {
    let one_of_carol = |settings: &mut Settings| {
        parking(settings);
        settings.users.iter_mut().filter(|user| user.name == "carol").for_each(|carol| carol.max_calls = Some(1));
    };
    run_with(5, Weather::FAIR, one_of_carol, async |world: &World| {
        let (alice, bob, carol) = three(world).await;
        let lines = || ["alice", "bob", "carol"].map(|user| world.shared.lines.of(&format!("{user}@example.com")));
        let (from, at) = simulated::calls::talk(&alice, &bob).await;
        assert_eq!(lines(), [1, 1, 0]);

        // Blind: whoever comes has a line while it rings, whoever goes has none.
        let rings = async {
            let invite = carol.incoming().await;
            carol.ring(&invite);
            assert_eq!(lines(), [1, 1, 1]);
            carol.pick_up(&invite).expect("alice waits")
        };
        let (said, at_carol) = both(bob.transfer(&at, "1003"), rings).await;
        assert_eq!(said, Some(202));
        bob.ended(&at).await;
        assert_eq!(lines(), [1, 0, 1]);

        // She has one line: neither a call nor a transfer reaches her, and who was to be transferred stays.
        assert_eq!(bob.call("1003").await.err(), Some(486));
        let second = async {
            let invite = alice.incoming().await;
            alice.pick_up(&invite).expect("bob waits")
        };
        let (of_bob, at_alice) = both(bob.call("1001"), second).await;
        assert_eq!(alice.transfer(&at_alice, "1003").await, Some(202));
        sleep(Duration::from_secs(10)).await;
        assert_eq!((lines(), at_alice.has_ended()), ([2, 1, 1], false));
        both(bob.hang_up(&of_bob.expect("answered")), alice.ended(&at_alice)).await;
        assert_eq!(lines(), [1, 0, 1]);

        // A party that goes to another call has its line there, as with pickup and attended transfer.
        assert_eq!(carol.transfer(&at_carol, "5900").await, Some(202));
        carol.ended(&at_carol).await;
        assert_eq!(lines(), [1, 0, 0]);
        let of_bob = bob.call("5900").await.expect("alice comes over");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(lines(), [1, 1, 0]);
        both(bob.hang_up(&of_bob), alice.ended(&from)).await;
        assert_eq!(lines(), [0, 0, 0]);
    });
}

#[test]
fn forwarding_during_hours_holds_while_they_are_open_and_no_longer() {
    let hours = |settings: &mut Settings| {
        let open = ["Mon-Sun 08:00-18:00"].map(|text| Opening::parse(text).expect("a time"));
        settings.routing.hours =
            vec![Hours { name: "office".into(), zone: jiff::tz::TimeZone::UTC, open: open.into(), holidays: vec![] }];
    };
    run_with(6, Weather::FAIR, hours, async |world: &World| {
        let (alice, bob, carol) = three(world).await;
        set(world, "bob", |features| {
            (features.forward_all, features.during) = (Some("1003".into()), Some("office".into()));
        })
        .await;
        let directory = world.shared.directory().clone();
        let office = directory.routing().hours_named("office").expect("hours");
        for _ in 0..2 {
            let (rings, other) = match office.at(actors::outside::now()) {
                State::Open => (&carol, &bob),
                State::Closed | State::Holiday => (&bob, &carol),
            };
            let before = other.came("INVITE");
            let answers = async {
                let invite = rings.incoming().await;
                rings.pick_up(&invite).expect("the caller waits")
            };
            let (from, at) = both(alice.call("1002"), answers).await;
            both(alice.hang_up(&from.expect("answered")), rings.ended(&at)).await;
            assert_eq!(other.came("INVITE"), before);
            // The other half of the day.
            let turns = office.next_turn(actors::outside::now()).expect("they turn");
            sleep(turns.duration_since(actors::outside::now()).unsigned_abs() + Duration::from_secs(60)).await;
            both(alice.register(), both(bob.register(), carol.register())).await;
        }
    });
}
