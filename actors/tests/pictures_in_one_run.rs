//! A picture is added to a call over a simulated network. A failure tells its seed, as in `the_whole_switch_in_one_run`.

mod simulated;

use std::time::Duration;

use simulated::calls::{alice_and_bob, talk};
use simulated::{World, both, run, seeds};
use sip::net::sim::Weather;
use tokio::time::sleep;

#[test]
fn a_picture_is_added_or_not_and_whatever_happens_meanwhile_the_call_ends_in_order() {
    for seed in seeds(80) {
        let weather = if seed % 2 == 0 { Weather::FOUL } else { Weather::FAIR };
        run(seed, weather, async move |world: &World| {
            let (alice, bob) = alice_and_bob(world).await;
            let (from, at) = talk(&alice, &bob).await;
            let takes = seed / 2 % 2 == 0;
            if takes {
                bob.opens_its_eyes();
            }
            // Undisturbed; the call's actor dies meanwhile; who is asked hangs up meanwhile; so does who asks.
            let disturbed = seed / 4 % 4;
            let disturb = async {
                sleep(Duration::from_millis(seed * 7)).await;
                match disturbed {
                    1 => {
                        let nodes = world.tree.snapshot();
                        let call = nodes.iter().find(|node| node.path.starts_with("/switch/shard-0/calls/"));
                        assert!(world.hurt(&call.expect("a call").path), "it lives");
                    }
                    2 => drop(bob.hang_up(&at).await),
                    3 => drop(alice.hang_up(&from).await),
                    _ => {}
                }
            };
            let ((), shown) = both(disturb, alice.shows(&from)).await;

            if disturbed == 0 {
                assert_eq!(shown, Ok(takes));
            }
            both(alice.hang_up(&from), bob.ended(&at)).await;
            alice.ended(&from).await;
            world.has_settled().await;
            let records = world.records();
            assert_eq!(records.len(), 1, "{records:?}");
            let flows: usize = (0..world.shared.pool.worker_count()).map(|n| world.shared.pool.health(n).flows).sum();
            assert_eq!(flows, 0, "media paths are left");
        });
    }
}
