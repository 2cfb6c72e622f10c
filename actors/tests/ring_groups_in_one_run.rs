//! Ring groups on simulated time: how long who rings, waits and rests, and that nothing is left when parts die meanwhile.

mod simulated;

use std::sync::Arc;
use std::time::Duration;

use actors::group::{Method, Plan};
use actors::settings::Settings;
use simulated::calls::{ALICE_AT, BOB_AT};
use simulated::phone::Phone;
use simulated::{World, both, run_with, seeds};
use sip::net::sim::Weather;
use tokio::time::{Instant, sleep, timeout};

const CAROL_AT: &str = "192.0.2.13:5060";

/// The group 1100 of bob and carol.
fn group(change: impl FnOnce(&mut Plan)) -> impl FnOnce(&mut Settings) {
    let mut plan = Plan {
        name: "desk".into(),
        number: "1100".into(),
        method: Method::Serial,
        agents: vec!["bob".into(), "carol".into()],
        ..Plan::default()
    };
    change(&mut plan);
    move |settings: &mut Settings| settings.groups = vec![Arc::new(plan)]
}

/// Alice, bob and carol; bob and carol are registered.
async fn three(world: &World) -> (Phone, Phone, Phone) {
    let alice = Phone::at(&world.net, "alice", ALICE_AT);
    let (bob, carol) = (Phone::at(&world.net, "bob", BOB_AT), Phone::at(&world.net, "carol", CAROL_AT));
    both(bob.register(), carol.register()).await;
    (alice, bob, carol)
}

#[test]
fn each_agent_rings_for_its_time_and_then_the_next_until_the_caller_is_answered_with_music_after_a_minute() {
    run_with(1, Weather::FAIR, group(|_| {}), async |world: &World| {
        let (alice, bob, carol) = three(world).await;
        let begun = Instant::now();
        let agents = async {
            let mut rung = Vec::new();
            for phone in [&bob, &carol, &bob, &carol] {
                let invite = phone.incoming().await;
                rung.push(begun.elapsed().as_secs());
                phone.ring(&invite);
                if rung.len() == 4 {
                    return (rung, phone.pick_up(&invite).expect("the caller is there"));
                }
            }
            unreachable!("the fourth picks up");
        };
        let caller = async {
            let dialog = alice.call("1100").await.expect("answered");
            (dialog, begun.elapsed().as_secs())
        };
        let ((rung, at), (from, answered)) = both(agents, caller).await;
        assert_eq!(rung, [0, 20, 40, 60], "20 s each");
        assert!((60..=62).contains(&answered), "{answered}");
        carol.hang_up(&at).await;
        alice.ended(&from).await;
        world.has_settled().await;
        let records = world.records();
        assert_eq!(records[0]["to"], "carol@example.com", "{records:?}");
    });
}

#[test]
fn who_has_waited_for_as_long_as_it_may_goes_on_to_the_second() {
    let plan = |plan: &mut Plan| {
        (plan.wait_max, plan.timeout_to) = (Some(Duration::from_secs(300)), Some("1003".into()));
        (plan.agents, plan.announce) = (vec!["bob".into()], Some(Duration::from_secs(30)));
    };
    run_with(2, Weather::FAIR, group(plan), async |world: &World| {
        let (alice, bob, carol) = three(world).await;
        let first = Phone::at(&world.net, "carol", "192.0.2.14:5060");
        let (talks, at) = both(first.call("1100"), async {
            let invite = bob.incoming().await;
            bob.pick_up(&invite).expect("the caller waits")
        })
        .await;
        let talks = talks.expect("answered");
        let begun = Instant::now();
        let from = alice.call("1100").await.expect("answered with music");
        assert!(begun.elapsed() < Duration::from_secs(1));
        let invite = carol.incoming().await;
        assert_eq!(begun.elapsed().as_secs(), 300);
        let at_carol = carol.pick_up(&invite).expect("the caller waits");
        sleep(Duration::from_secs(5)).await;
        assert!(!from.has_ended());
        both(alice.hang_up(&from), carol.ended(&at_carol)).await;
        both(bob.hang_up(&at), first.ended(&talks)).await;
    });
}

#[test]
fn an_agent_is_left_alone_after_a_call_and_after_one_that_it_did_not_answer() {
    let plan = |plan: &mut Plan| {
        (plan.wrap_up, plan.rest) = (Duration::from_secs(45), Duration::from_secs(15));
        plan.agents = vec!["bob".into()];
    };
    run_with(3, Weather::FAIR, group(plan), async |world: &World| {
        let (alice, bob, _) = three(world).await;
        let (from, at) = both(alice.call("1100"), async {
            let invite = bob.incoming().await;
            bob.pick_up(&invite).expect("the caller waits")
        })
        .await;
        both(bob.hang_up(&at), alice.ended(&from.expect("answered"))).await;
        let begun = Instant::now();
        let from = alice.call("1100").await.expect("answered with music");
        let invite = bob.incoming().await;
        assert_eq!(begun.elapsed().as_secs(), 45, "he writes down what was said");
        bob.refuse(&invite, "486 Busy Here");
        let refused = Instant::now();
        let invite = bob.incoming().await;
        assert_eq!(refused.elapsed().as_secs(), 15);
        let at = bob.pick_up(&invite).expect("the caller waits");
        both(alice.hang_up(&from), bob.ended(&at)).await;
    });
}

#[test]
fn whatever_dies_in_whatever_weather_a_call_to_a_group_comes_to_an_agent_and_leaves_nothing() {
    const ACTORS: [&str; 6] = ["groups/desk", "groups", "CALL", "calls", "signalling", "registrar"];
    for seed in seeds(60) {
        run_with(seed, Weather::FOUL, group(|plan| plan.method = Method::LongestIdle), async move |world: &World| {
            let (alice, bob, carol) = three(world).await;
            let actor = ACTORS[seed as usize % ACTORS.len()];
            let fault = async {
                sleep(Duration::from_millis(seed / 6 * 700)).await;
                let path = match actor {
                    "CALL" => {
                        let nodes = world.tree.snapshot();
                        let call = nodes.iter().find(|node| node.path.starts_with("/switch/shard-0/calls/"));
                        call.map(|node| node.path.to_string())
                    }
                    name => Some(format!("/switch/shard-0/{name}")),
                };
                path.is_none_or(|path| world.hurt(&path))
            };
            // The first refuses, the second picks up, whoever that is.
            let answers = async |phone: &Phone, refuses: bool| {
                loop {
                    let invite = phone.incoming().await;
                    phone.ring(&invite);
                    sleep(Duration::from_secs(1)).await;
                    if refuses {
                        phone.refuse(&invite, "486 Busy Here");
                    } else if let Some(dialog) = phone.pick_up(&invite) {
                        return dialog;
                    }
                }
            };
            let call = async {
                let from = alice.call("1100").await.expect("answered");
                sleep(Duration::from_secs(3)).await;
                from
            };
            let agent = async {
                tokio::select! {
                    at = answers(&bob, seed % 2 == 0) => (&bob, at),
                    at = answers(&carol, seed % 2 == 1) => (&carol, at),
                }
            };
            let (hurt, (from, (phone, at))) = both(fault, both(call, agent)).await;
            assert!(hurt, "{actor} lives");
            assert!(timeout(Duration::from_secs(60), alice.hang_up(&from)).await.is_ok());
            phone.ended(&at).await;
            world.has_settled().await;
            let records = world.records();
            assert_eq!(records.len(), 1, "{actor}: {records:?}");
            assert_eq!(records[0]["sip_status"], 200, "{actor}: {records:?}");
        });
    }
}
