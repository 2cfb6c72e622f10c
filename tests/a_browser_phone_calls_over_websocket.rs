//! A phone in a browser (RFC 7118): it registers, calls and is called over its WebSocket connection.

mod support;

use support::PATIENCE;
use support::agent::{Agent, description};
use support::config::Config;
use support::switch::Switch;
use support::until;
use support::voices::Voices;
use support::wire::{Wire, status};

/// Packets that prove that a voice is heard: 200 ms.
const PROOF_PACKETS: u64 = 10;

fn all_hear(voices: &Voices) {
    voices.begin_anew();
    let heard =
        until(PATIENCE, || voices.heard().iter().all(|(_, heard)| heard.packets >= PROOF_PACKETS).then_some(()));
    assert!(heard.is_some(), "{:?}", voices.heard());
}

fn browser(switch: &Switch) -> Agent {
    Agent::new(Wire::websocket(switch.http(), "/sip"), "alice")
}

#[test]
fn it_registers_and_its_binding_says_ws() {
    let switch = Switch::start(Config::lab());
    let mut alice = browser(&switch);

    alice.register(600);

    let (_, list) = switch.get("/api/registrations");
    let binding = &list["registrations"][0];
    assert_eq!((&binding["aor"], &binding["transport"]), (&"alice@example.com".into(), &"ws".into()), "{list}");
    assert_eq!(binding["received"], alice.wire.local().to_string(), "{list}");
}

#[test]
fn it_calls_the_echo_and_hears_itself() {
    let switch = Switch::start(Config::lab());
    let voices = Voices::new(1);
    let mut alice = browser(&switch).with_voices(&voices, &voices.addresses());

    let dialog = alice.call("5500");
    all_hear(&voices);
    alice.hang_up(dialog);
}

#[test]
fn it_is_called_by_a_phone_on_udp_and_each_hears_the_other() {
    let switch = Switch::start(Config::lab().set("node", "shards", "2"));
    let voices = Voices::new(2);
    let [of_alice, of_bob] = voices.addresses().try_into().expect("two");
    let mut alice = browser(&switch).with_voices(&voices, &[of_alice]);
    alice.register(600);
    let alice = alice.serve();
    let mut bob = Agent::new(Wire::udp(switch.sip("udp")), "bob").with_voices(&voices, &[of_bob]);

    let dialog = bob.call("1001");
    all_hear(&voices);
    bob.hang_up(dialog);
    alice.back().expect("BYE");
}

#[test]
fn it_calls_a_phone_on_tcp_and_is_hung_up_by_it() {
    let switch = Switch::start(Config::lab());
    let mut bob = Agent::new(Wire::tcp(switch.sip("tcp")), "bob");
    bob.register(600);
    let bob = bob.serve();
    let mut alice = browser(&switch);

    alice.call("1002");
    let mut bob = bob.back();
    let invite = bob.expect("INVITE");
    let dialog = bob.taken(&invite);
    let served = alice.serve();
    bob.hang_up(dialog);
    served.back().expect("BYE");
}

#[test]
fn a_lost_connection_makes_its_binding_useless_and_breaks_nothing() {
    let switch = Switch::start(Config::lab());
    let mut alice = browser(&switch);
    alice.register(600);
    drop(alice);
    let gone = until(PATIENCE, || (switch.get("/api/status").1["websockets"] == 0).then_some(()));
    assert!(gone.is_some(), "{}", switch.get("/api/status").1);
    let mut bob = Agent::new(Wire::udp(switch.sip("udp")), "bob");

    let extra = "Content-Type: application/sdp\n";
    let request = bob.request("INVITE", "sip:1001@example.com", extra, &description(None, "sendrecv"));
    let answer = bob.ask_as_user(&request);
    assert!(status(&answer).is_some_and(|code| (400..600).contains(&code)), "{answer}");

    // It connects again: the new binding works beside the dead one.
    let mut alice = browser(&switch);
    alice.register(600);
    let alice = alice.serve();
    let dialog = bob.call("1001");
    bob.hang_up(dialog);
    alice.back().expect("BYE");
}
