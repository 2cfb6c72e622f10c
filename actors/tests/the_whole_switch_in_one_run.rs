//! Calls over a simulated network that loses, doubles and reorders: whatever happens, every call ends, leaves one record and
//! nothing else. A failure tells its seed; `STROWGER_SEED=7 cargo test -p actors --test the_whole_switch_in_one_run` replays it.

mod simulated;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use simulated::calls::{ALICE_AT, BOB_AT, alice_and_bob, talk};
use simulated::phone::{Phone, T1, header, status};
use simulated::{SESSION_EXPIRES, World, both, run, seeds, switch_address};
use sip::net::sim::{Sent, Weather};
use tokio::time::{Instant, sleep};

#[test]
fn in_any_weather_a_call_ends_on_both_sides_and_leaves_one_record() {
    for seed in seeds(100) {
        run(seed, Weather::FOUL, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let (from, at) = talk(&alice, &bob).await;
            sleep(Duration::from_secs(seed % 7)).await;

            if seed % 2 == 0 {
                alice.hang_up(&from).await;
                bob.ended(&at).await;
            } else {
                bob.hang_up(&at).await;
                alice.ended(&from).await;
            }

            world.has_settled().await;
            let records = world.records();
            assert_eq!(records.len(), 1, "{records:?}");
            assert_eq!(records[0]["sip_status"], 200);
            assert_eq!(records[0]["hung_up_by"], if seed % 2 == 0 { "caller" } else { "callee" });
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run_packet_for_packet() {
    let calls = |seed| {
        run(seed, Weather::FOUL, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            for _ in 0..3 {
                let (from, at) = talk(&alice, &bob).await;
                both(alice.hang_up(&from), bob.ended(&at)).await;
            }
        })
    };
    let (one, again, other) = (calls(1), calls(1), calls(2));

    assert!(one.len() > 50, "a run of {} packets", one.len());
    for (before, after) in one.iter().map(without_ports).zip(again.iter().map(without_ports)) {
        assert_eq!(before, after);
    }
    assert_eq!(one.len(), again.len());
    assert_ne!(one.first(), other.first());
}

/// The ports of media are the kernel's choice.
fn without_ports(sent: &Sent) -> (Duration, Vec<Duration>, String) {
    let text = String::from_utf8_lossy(&sent.bytes);
    let masked =
        |line: &str| line.starts_with("m=") || line.starts_with("a=rtcp:") || line.starts_with("Content-Length");
    let text = text.lines().filter(|line| !masked(line)).collect::<Vec<_>>().join("\n");
    (sent.at, sent.arrives.clone(), text)
}

#[test]
fn a_call_lasts_for_hours_and_is_refreshed_meanwhile() {
    run(0, Weather::FAIR, async |world: &World| {
        let (alice, bob) = alice_and_bob(world).await;
        let (from, at) = talk(&alice, &bob).await;

        sleep(6 * Duration::from_secs(3_600)).await;

        assert!(!from.has_ended() && !at.has_ended());
        let refreshes = 6 * 3_600 / (SESSION_EXPIRES.as_secs() / 2);
        let came = alice.came("UPDATE") + alice.came("INVITE");
        assert!((refreshes - 2..=refreshes + 1).contains(&(came as u64)), "{came} refreshes in six hours");
        alice.hang_up(&from).await;
        bob.ended(&at).await;
        world.has_settled().await;
        assert_eq!(world.records()[0]["talk_ms"].as_i64().map(|ms| ms / 60_000), Some(360));
    });
}

#[test]
fn a_phone_that_vanishes_amid_a_call_is_noticed_by_its_session_timer() {
    for seed in seeds(20) {
        run(seed, Weather::FAIR, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            if seed % 4 == 2 {
                // No refresh of ours goes unanswered: the session runs out.
                bob.promises_to_refresh();
            }
            let (from, at) = talk(&alice, &bob).await;
            let (gone, stays, left) = if seed % 2 == 0 { (BOB_AT, &alice, &from) } else { (ALICE_AT, &bob, &at) };
            let gone: std::net::SocketAddr = gone.parse().expect("an address");

            world.net.set_censor(move |sent| sent.from != gone && sent.to != gone);
            let noticed = tokio::time::timeout(2 * SESSION_EXPIRES, stays.ended(left)).await;

            assert!(noticed.is_ok(), "the call was not ended");
            world.has_settled().await;
            let records = world.records();
            assert_eq!(records.len(), 1);
            assert_eq!(records[0]["hung_up_by"], "switch", "{records:?}");
        });
    }
}

#[test]
fn whichever_actor_panics_amid_a_call_the_call_goes_on() {
    const ACTORS: [&str; 8] =
        ["registrar", "messages", "subscriptions", "admission", "calls", "signalling", "CALL", "../records"];
    for seed in seeds(80) {
        run(seed, Weather::FOUL, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let actor = ACTORS[seed as usize % ACTORS.len()];
            let after = Duration::from_millis(seed / 8 * 300);
            // A fault while the call is set up, while it stands, or while it ends.
            let fault = async {
                sleep(after).await;
                let path = match actor {
                    "CALL" => {
                        let nodes = world.tree.snapshot();
                        let call = nodes.iter().find(|node| node.path.starts_with("/switch/shard-0/calls/"));
                        call.map(|node| node.path.to_string())
                    }
                    "../records" => Some("/switch/records".to_owned()),
                    name => Some(format!("/switch/shard-0/{name}")),
                };
                if let Some(path) = &path {
                    assert!(world.hurt(path), "it lives");
                }
                path
            };
            let call = async {
                let (from, at) = talk(&alice, &bob).await;
                sleep(Duration::from_secs(1)).await;
                both(alice.hang_up(&from), bob.ended(&at)).await;
            };
            let (path, ()) = both(fault, call).await;

            world.has_settled().await;
            if actor != "CALL" {
                let nodes = world.tree.snapshot();
                let node = nodes.iter().find(|node| Some(&*node.path) == path.as_deref()).expect("it is back");
                assert_eq!(node.restarts, 1, "{node:?}");
            }
            let records = world.records();
            assert_eq!(records.len(), 1, "{actor} after {after:?}: {records:?}");
            assert_eq!(records[0]["sip_status"], 200, "{actor} after {after:?}: {records:?}");
        });
    }
}

#[test]
fn what_waits_behind_the_fault_of_a_call_is_for_its_successor_and_need_not_be_said_again() {
    // At the moment at which the BYE arrives, before or behind it.
    for first in [false, true] {
        run(1, Weather::FAIR, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let (from, at) = talk(&alice, &bob).await;
            sleep(Duration::from_secs(1)).await;
            let nodes = world.tree.snapshot();
            let call = nodes.iter().find(|node| node.path.starts_with("/switch/shard-0/calls/")).expect("a call");
            let fault = async {
                sleep(Weather::FAIR.latency_min).await;
                assert!(world.hurt(&call.path), "it lives");
            };
            let begun = Instant::now();
            let ends = async {
                assert_eq!(alice.hang_up(&from).await, Some(200));
                begun.elapsed()
            };
            let answered = if first { both(fault, ends).await.1 } else { both(ends, fault).await.0 };

            bob.ended(&at).await;
            assert!(answered < T1, "the BYE was said again: {answered:?}");
            assert_eq!((alice.came("BYE"), bob.came("BYE")), (0, 1));
        });
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_the_call_on_both_sides() {
    for seed in seeds(100) {
        let weather = if seed % 2 == 0 { Weather::FOUL } else { Weather::FAIR };
        run(seed, weather, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let calling = async {
                let mut calling = alice.begin("1002").await.expect("challenged");
                alice.rings(&mut calling).await;
                sleep(Duration::from_millis(200)).await;
                alice.cancel(&calling).await;
                match alice.wait(&mut calling).await {
                    // She has cancelled it, and hangs up.
                    Ok(dialog) => drop(alice.hang_up(&dialog).await),
                    Err(refused) => assert_eq!(refused, 487),
                }
            };
            let answering = async {
                let invite = bob.incoming().await;
                bob.ring(&invite);
                // From well before the CANCEL to well after it.
                sleep(Duration::from_millis(150 + seed * 2)).await;
                let at = bob.pick_up(&invite)?;
                bob.ended(&at).await;
                Some(())
            };
            let ended = tokio::time::timeout(Duration::from_secs(200), both(calling, answering)).await;

            assert!(ended.is_ok(), "the call did not end on both sides");
            world.has_settled().await;
            assert_eq!(world.records().len(), 1);
        });
    }
}

/// Loses the first `count` requests of a method that go from one to another.
fn lose(world: &World, method: &'static str, from: &str, to: &str, mut count: usize) {
    let (from, to) = (from.parse().expect("an address"), to.parse().expect("an address"));
    world.net.set_censor(move |sent: &Sent| {
        let is_meant = (sent.from, sent.to) == (from, to) && sent.bytes.starts_with(method.as_bytes());
        let is_lost = is_meant && count > 0;
        count -= usize::from(is_lost);
        !is_lost
    });
}

fn switch() -> String {
    switch_address().to_string()
}

#[test]
fn an_ack_that_is_lost_three_times_costs_nothing_but_repetitions() {
    for seed in seeds(20) {
        run(seed, Weather::FAIR, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let callers = seed % 2 == 0;
            // The caller's ACK of the 401 is left alone: it comes before.
            let answering = async {
                let invite = bob.incoming().await;
                if callers {
                    lose(world, "ACK", ALICE_AT, &switch(), 3);
                } else {
                    lose(world, "ACK", &switch(), BOB_AT, 3);
                }
                (bob.pick_up(&invite).expect("the caller waits"), invite)
            };
            let (from, (at, invite)) = both(alice.call("1002"), answering).await;
            let from = from.expect("answered");

            sleep(Duration::from_secs(40)).await;

            assert!(!from.has_ended() && !at.has_ended() && bob.was_acknowledged(&invite));
            both(bob.hang_up(&at), alice.ended(&from)).await;
            world.has_settled().await;
            assert_eq!(world.records().len(), 1);
        });
    }
}

#[test]
fn a_caller_whose_ack_never_comes_is_hung_up_and_so_is_the_callee() {
    run(0, Weather::FAIR, async |world: &World| {
        let (alice, bob) = alice_and_bob(world).await;
        let answering = async {
            let invite = bob.incoming().await;
            lose(world, "ACK", ALICE_AT, &switch(), usize::MAX);
            bob.pick_up(&invite).expect("the caller waits")
        };
        let (from, at) = both(alice.call("1002"), answering).await;
        let from = from.expect("answered");

        // 64 × T1 (RFC 3261 section 13.3.1.4).
        let ends = both(alice.ended(&from), bob.ended(&at));
        tokio::time::timeout(Duration::from_secs(35), ends).await.expect("both are hung up");

        world.has_settled().await;
        assert_eq!(world.records().len(), 1);
    });
}

#[test]
fn a_bye_that_is_lost_is_repeated_and_one_that_never_arrives_leaves_nothing_at_the_switch() {
    for seed in seeds(12) {
        run(seed, Weather::FAIR, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let (from, at) = talk(&alice, &bob).await;
            let (to_the_switch, count) = (seed % 2 == 0, if seed % 3 == 0 { usize::MAX } else { 3 });
            if to_the_switch {
                lose(world, "BYE", ALICE_AT, &switch(), count);
            } else {
                lose(world, "BYE", &switch(), BOB_AT, count);
            }

            let code = alice.hang_up(&from).await;

            if count == 3 {
                assert_eq!(code, Some(200));
                bob.ended(&at).await;
            } else if to_the_switch {
                assert_eq!(code, None, "her BYE never arrived");
                // Nobody knows that she has gone, but she answers no refresh.
                tokio::time::timeout(2 * SESSION_EXPIRES, bob.ended(&at)).await.expect("noticed by the session timer");
            } else {
                assert_eq!(code, Some(200));
                assert!(!at.has_ended());
            }
            world.has_settled().await;
            assert_eq!(world.records().len(), 1);
        });
    }
}

#[test]
fn both_may_hang_up_at_once() {
    for seed in seeds(60) {
        let weather = if seed % 2 == 0 { Weather::FOUL } else { Weather::FAIR };
        run(seed, weather, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let (from, at) = talk(&alice, &bob).await;

            let bobs = async {
                sleep(Duration::from_millis(seed)).await;
                bob.hang_up(&at).await
            };
            let codes = both(alice.hang_up(&from), bobs).await;

            for code in [codes.0, codes.1] {
                assert!(matches!(code, None | Some(200 | 481)), "{codes:?}");
            }
            world.has_settled().await;
            assert_eq!(world.records().len(), 1);
        });
    }
}

#[test]
fn a_binding_is_in_the_store_before_its_200_leaves() {
    for seed in seeds(20) {
        run(seed, Weather::FOUL, async move |world: &World| {
            let store = world.shared.store.clone();
            let seen: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
            let noted = Arc::clone(&seen);
            // A panic here would be the registrar's.
            world.net.set_censor(move |sent| {
                let text = String::from_utf8_lossy(&sent.bytes);
                let registers = header(&text, "CSeq").is_some_and(|cseq| cseq.ends_with("REGISTER"));
                if registers && status(&text) == Some(200) {
                    let to = header(&text, "To").unwrap_or_default().to_owned();
                    let is_kept = store.locations().iter().filter_map(Result::ok).any(|one| to.contains(&one.aor));
                    noted.lock().expect("not poisoned").push((to, is_kept));
                }
                true
            });

            alice_and_bob(world).await;

            let seen = seen.lock().expect("not poisoned");
            assert!(seen.len() >= 2 && seen.iter().all(|(_, is_kept)| *is_kept), "{seen:?}");
        });
    }
}

#[test]
fn whatever_three_phones_do_to_each_other_while_actors_panic_nothing_is_left_of_it() {
    for seed in seeds(40) {
        run(seed, Weather::FOUL, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let carol = Phone::at(&world.net, "carol", "192.0.2.13:5060");
            carol.register().await;
            let chance = RefCell::new(StdRng::seed_from_u64(seed));
            let up_to = |ms: u64| Duration::from_millis(chance.borrow_mut().random_range(0..ms));
            let one_in = |n: u32| chance.borrow_mut().random_range(0..n) == 0;
            let (begun, doubtful) = (&Cell::new(0), &Cell::new(0));
            let count = |cell: &Cell<usize>| cell.set(cell.get() + 1);

            let calls = |phone: Phone, others: [&'static str; 2]| async move {
                for round in 0..6 {
                    sleep(up_to(3_000)).await;
                    let Ok(mut calling) = phone.begin(others[round % 2]).await else {
                        count(doubtful);
                        continue;
                    };
                    if one_in(3) {
                        phone.rings(&mut calling).await;
                        sleep(up_to(1_500)).await;
                        phone.cancel(&calling).await;
                    }
                    match phone.wait(&mut calling).await {
                        Ok(dialog) => {
                            count(begun);
                            sleep(up_to(4_000)).await;
                            phone.hang_up(&dialog).await;
                        }
                        // A call whose actor dies before it has read its INVITE leaves no record.
                        Err(401 | 408 | 500 | 503) => count(doubtful),
                        Err(_) => count(begun),
                    }
                }
            };
            let answers = |phone: Phone| async move {
                loop {
                    let invite = phone.incoming().await;
                    if one_in(4) {
                        phone.refuse(&invite, "486 Busy Here");
                        continue;
                    }
                    phone.ring(&invite);
                    sleep(up_to(2_000)).await;
                    let Some(dialog) = phone.pick_up(&invite) else { continue };
                    let phone = phone.clone();
                    let talks = one_in(2).then(|| up_to(3_000));
                    tokio::task::spawn_local(async move {
                        match talks {
                            Some(time) => {
                                sleep(time).await;
                                phone.hang_up(&dialog).await;
                            }
                            None => phone.ended(&dialog).await,
                        }
                    });
                }
            };
            let faults = async {
                for _ in 0..10 {
                    sleep(up_to(3_000)).await;
                    let nodes = world.tree.snapshot();
                    let below: Vec<_> = nodes.iter().filter(|node| node.path.starts_with("/switch/shard-0/")).collect();
                    let node = below[chance.borrow_mut().random_range(0..below.len())];
                    // One that is just being started again is let be.
                    world.hurt(&node.path);
                }
            };
            let callers = join_all([
                calls(alice.clone(), ["1002", "1003"]),
                calls(bob.clone(), ["1003", "1001"]),
                calls(carol.clone(), ["1001", "1002"]),
            ]);
            let callees = join_all([answers(alice), answers(bob), answers(carol)]);
            let work = both(callers, faults);
            tokio::select! {
                _ = work => {}
                _ = callees => unreachable!("they answer for ever"),
            }

            world.has_settled().await;
            let records = world.records().len();
            let sure = begun.get();
            assert!((sure..=sure + doubtful.get()).contains(&records), "{records} records of {sure} calls");
        });
    }
}
