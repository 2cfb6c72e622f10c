//! Gateways on simulated time: how long one may be silent, how its health goes, what its minutes cost, and what becomes of a call
//! whose carrier is gone.

mod simulated;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{Gateway, Host, KeeperMsg, State, Wanted};
use actors::limits::{Class, Limit};
use actors::routing::pattern::Pattern;
use actors::routing::spec::{Route, Scope, Spec, VoicePolicy};
use actors::settings::Settings;
use simulated::calls::{ALICE_AT, BOB_AT, set};
use simulated::phone::Phone;
use simulated::{SESSION_EXPIRES, World, both, run_with, seeds};
use sip::net::sim::Weather;
use tokio::time::{Instant, sleep, timeout};

const FIRST_AT: &str = "192.0.2.21:5060";
const SECOND_AT: &str = "192.0.2.22:5060";

/// Two carriers, which take every number that begins with 0; they are asked for nothing unless the test wants it.
fn carriers(change: impl FnOnce(&mut Settings) + Send + 'static) -> impl FnOnce(&mut Settings) + Send + 'static {
    let gateway = |name: &str, at: &str| {
        let at: SocketAddr = at.parse().expect("an address");
        let mut gateway = Gateway { port: Some(at.port()), ..Gateway::new(name, Host::Ip(at.ip())) };
        gateway.probing.every = None;
        gateway
    };
    let gateways = vec![gateway("first", FIRST_AT), gateway("second", SECOND_AT)];
    move |settings: &mut Settings| {
        settings.gateways = gateways;
        settings.routing = Spec {
            global: Scope { dial_plan: None, policy: Some("staff".into()) },
            policies: vec![VoicePolicy {
                name: "staff".into(),
                usages: vec!["out".into()],
                transfer: true,
                limit: Some("staff".into()),
                ..VoicePolicy::default()
            }],
            routes: vec![Route {
                name: "out".into(),
                pattern: Pattern::new("^0").expect("a pattern"),
                exclude: Vec::new(),
                usages: vec!["out".into()],
                gateways: vec!["first".into(), "second".into()],
                caller: None,
                hours: None,
            }],
            ..Spec::default()
        };
        change(settings);
    }
}

fn three(world: &World) -> (Phone, Phone, Phone) {
    let at = |name, at| Phone::at(&world.net, name, at);
    (at("alice", ALICE_AT), at("carol", FIRST_AT), at("carol", SECOND_AT))
}

/// Nothing gets to a carrier and nothing comes from it.
fn cut_off(world: &World, carrier: &str) {
    let gone: SocketAddr = carrier.parse().expect("an address");
    world.net.set_censor(move |sent| sent.from != gone && sent.to != gone);
}

#[test]
fn a_gateway_may_be_silent_for_four_seconds_and_without_ringing_for_ten() {
    for tries in [false, true] {
        run_with(1, Weather::FAIR, carriers(|_| {}), async move |world: &World| {
            let (alice, first, second) = three(world);
            if !tries {
                cut_off(world, FIRST_AT);
            }
            let begun = Instant::now();
            let taken = async {
                let waits = async {
                    let invite = first.incoming().await;
                    first.tries(&invite);
                };
                let takes = async {
                    let invite = second.incoming().await;
                    (begun.elapsed().as_millis(), second.pick_up(&invite).expect("the caller is there"))
                };
                match tries {
                    true => both(waits, takes).await.1,
                    false => takes.await,
                }
            };
            let (from, (after, at)) = both(alice.call("0391"), taken).await;
            let wanted = if tries { 10_000 } else { 4_000 };
            assert!((wanted..wanted + 300).contains(&after), "after {after} ms");
            both(alice.hang_up(&from.expect("answered")), second.ended(&at)).await;
        });
    }
}

#[test]
fn a_call_whose_carrier_answers_and_dies_is_ended_by_its_session_timer() {
    for seed in seeds(10) {
        let asks = |settings: &mut Settings| settings.gateways.iter_mut().for_each(|one| one.session_timer = true);
        run_with(seed, Weather::FAIR, carriers(asks), async move |world: &World| {
            let (alice, first, _) = three(world);
            let (from, _) = both(alice.call("0391"), async {
                let invite = first.incoming().await;
                first.pick_up(&invite).expect("the caller is there")
            })
            .await;
            let from = from.expect("answered");
            sleep(Duration::from_secs(seed)).await;
            cut_off(world, FIRST_AT);

            let noticed = timeout(2 * SESSION_EXPIRES, alice.ended(&from)).await;

            assert!(noticed.is_ok(), "the call was not ended");
            world.has_settled().await;
            let standing = world.shared.gateways.get("first").expect("configured");
            assert_eq!(standing.channels(), 0);
        });
    }
}

#[test]
fn a_minute_costs_when_it_begins_and_the_call_ends_before_one_that_cannot_be_paid() {
    for seed in seeds(5) {
        let five = |settings: &mut Settings| {
            let pattern = Pattern::new("^0").expect("a pattern");
            settings.routing.classes = vec![Class { name: "all".into(), patterns: vec![pattern], call: 10, minute: 4 }];
            let limit = Limit { name: "staff".into(), day_max: Some(30), cuts: true, ..Limit::default() };
            settings.routing.limits = vec![Arc::new(limit)];
        };
        run_with(seed, Weather::FAIR, carriers(five), async move |world: &World| {
            let (alice, first, _) = three(world);
            let (from, at) = both(alice.call("0391"), async {
                let invite = first.incoming().await;
                first.pick_up(&invite).expect("the caller is there")
            })
            .await;
            let (from, begun) = (from.expect("answered"), Instant::now());
            if seed % 2 == 1 {
                // The writer's death forgets nothing; the call's neither, and its minute begins anew.
                assert!(world.hurt("/switch/limits"));
            }
            both(alice.ended(&from), first.ended(&at)).await;

            // 10 + 4 at once, 4 a minute: 30 are spent with the fourth of them, and the fifth is not to be had.
            assert_eq!(begun.elapsed().as_secs(), 300);
            assert_eq!(alice.call("0391").await.err(), Some(403));
            let spent = world.shared.limits.all(actors::shared::unix_now());
            assert_eq!((spent.len(), spent[0].day, spent[0].calls), (1, 30, 0), "{spent:?}");
            world.has_settled().await;
            let kept = world.shared.store.facts().all("spent").expect("readable").0;
            assert!(kept.len() == 1 && kept[0].0 == "user:alice" && kept[0].1.contains("30"), "{kept:?}");
        });
    }
}

#[test]
fn a_gateway_is_gone_after_three_misses_and_back_after_two_answers_also_when_its_keeper_dies_meanwhile() {
    for seed in seeds(6) {
        let probes = |settings: &mut Settings| {
            settings.gateways.iter_mut().for_each(|one| one.probing.every = Some(Duration::from_secs(10)));
        };
        run_with(seed, Weather::FAIR, carriers(probes), async move |world: &World| {
            let (_, first, second) = three(world);
            let state = |name: &str| world.shared.gateways.get(name).expect("configured").state();
            sleep(Duration::from_secs(30)).await;
            assert!(first.came("OPTIONS") >= 2 && state("first") == State::InService);

            cut_off(world, FIRST_AT);
            let begun = Instant::now();
            while state("first") == State::InService {
                sleep(Duration::from_millis(100)).await;
                assert!(begun.elapsed() < Duration::from_secs(60), "it is not missed");
            }
            // Three times a rest of 10 s, a tenth more or less, and 4 s of patience; the first rest has begun before.
            assert!((30..=45).contains(&begun.elapsed().as_secs()), "after {:?}", begun.elapsed());
            assert_eq!(state("second"), State::InService);
            if seed % 2 == 1 {
                assert!(world.hurt("/switch/shard-0/gateways/first"));
                assert!(seed % 4 == 1 || world.hurt("/switch/shard-0/gateways"));
                sleep(Duration::from_secs(10)).await;
                assert_eq!(state("first"), State::Failed, "what was known of it is known");
            }

            world.net.set_censor(|_| true);
            let begun = Instant::now();
            while state("first") != State::InService {
                sleep(Duration::from_millis(100)).await;
                assert!(begun.elapsed() < Duration::from_secs(90), "it is not found again");
            }
            // No probe is on its way when the run ends.
            for name in ["first", "second"] {
                let standing = world.shared.gateways.get(name).expect("configured");
                let order = |reply| KeeperMsg::Want(Wanted::Disabled, reply);
                standing.seat().ask(order, Duration::from_secs(5)).await.expect("its keeper is there");
            }
            drop((first, second));
        });
    }
}

#[test]
fn a_number_outside_that_rings_as_well_is_tried_by_the_next_gateway_when_the_first_fails() {
    for silent in [false, true] {
        run_with(7, Weather::FAIR, carriers(|_| {}), async move |world: &World| {
            let (alice, first, second) = three(world);
            let bob = Phone::at(&world.net, "bob", BOB_AT);
            both(alice.register(), bob.register()).await;
            set(world, "bob", |features| features.also_ring = vec!["0391".into()]).await;
            if silent {
                cut_off(world, FIRST_AT);
            }
            let taken = async {
                let at_bob = bob.incoming().await;
                bob.ring(&at_bob);
                if !silent {
                    let invite = first.incoming().await;
                    first.refuse(&invite, "503 Service Unavailable");
                }
                let invite = second.incoming().await;
                second.pick_up(&invite).expect("the caller is there")
            };
            let (from, at) = both(alice.call("1002"), taken).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(bob.came("CANCEL"), 1);
            both(alice.hang_up(&from.expect("answered")), second.ended(&at)).await;
        });
    }
}

#[test]
fn what_the_gateway_of_a_number_that_rings_as_well_has_judged_is_not_asked_of_another() {
    run_with(8, Weather::FAIR, carriers(|_| {}), async |world: &World| {
        let (alice, first, second) = three(world);
        let bob = Phone::at(&world.net, "bob", BOB_AT);
        both(alice.register(), bob.register()).await;
        set(world, "bob", |features| features.also_ring = vec!["0391".into()]).await;
        let taken = async {
            let at_bob = bob.incoming().await;
            bob.ring(&at_bob);
            let invite = first.incoming().await;
            first.refuse(&invite, "404 Not Found");
            sleep(Duration::from_secs(15)).await;
            bob.pick_up(&at_bob).expect("the caller is there")
        };
        let (from, at) = both(alice.call("1002"), taken).await;
        assert_eq!(second.came("INVITE"), 0);
        both(alice.hang_up(&from.expect("answered")), bob.ended(&at)).await;
    });
}
