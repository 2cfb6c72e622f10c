//! The state machines of RFC 3261 section 17 and RFC 6026, row by row: what comes in, what goes out.
mod support;

use sip::transaction::Counts;
use sip::{Message, Protocol};
use support::party::*;
use support::{answer, request};

/// Steps: `> name` a message arrives, `! name` the user sends one, `@ ms` time passes to there; `= words` is what has
/// been said since the last step.
fn walk(mut party: Party, steps: &str) -> Party {
    let mut server = None;
    let mut client = None;
    let mut said = String::new();
    for step in steps.lines().map(str::trim).filter(|s| !s.is_empty()) {
        let (kind, name) = step.split_once(' ').unwrap_or((step, ""));
        let out = match kind {
            ">" => party.receive(&message(name)),
            "!" if message(name).is_request() => {
                client = Some(party.send(&message(name)));
                std::mem::take(&mut party.out)
            }
            "!" => party.respond(server.unwrap(), &message(name)),
            "ack" => {
                let ack = ack_2xx(name);
                let hop = party.hop;
                party.layer.ack(client.unwrap(), name.as_bytes(), ack.raw().clone(), hop, &mut party.out);
                std::mem::take(&mut party.out)
            }
            "cancel" => {
                party.layer.cancel(party.now, client.unwrap(), None, &mut party.out);
                std::mem::take(&mut party.out)
            }
            "@" => party.until(name.parse().unwrap()).into_iter().map(|(_, o)| o).collect(),
            "=" => {
                assert_eq!(said, name, "after {step:?} of:\n{steps}");
                continue;
            }
            other => panic!("step {other}"),
        };
        for o in &out {
            if let sip::transaction::Output::Request { server: s, .. } = o {
                server = Some(*s);
            }
        }
        said = words(&out);
    }
    party
}

fn message(name: &str) -> Message {
    let cancel = || request("CANCEL", "call", 1, "z9hG4bKinvite", "");
    match name {
        "INVITE" => invite(),
        "OPTIONS" => options(),
        "CANCEL" => cancel(),
        "ACK" => ack_refusal("bob"),
        "ACK2" => ack_2xx("bob"),
        "cancel-200" => answer(&cancel(), 200, "bob"),
        "options-100" => answer(&options(), 100, "bob"),
        "options-200" => answer(&options(), 200, "bob"),
        "200-carol" => answer(&invite(), 200, "carol"),
        code => answer(&invite(), code.parse().unwrap(), "bob"),
    }
}

fn idle(party: Party) {
    assert_eq!(party.layer.counts(), Counts::default());
    assert!(party.is_idle());
}

#[test]
fn an_invite_client_over_udp_follows_figure_5() {
    idle(walk(
        Party::caller(Protocol::Udp),
        "
        ! INVITE
        = INVITE
        @ 500
        = INVITE
        > 100
        = <100>
        @ 60000
        =
        > 180
        = <180>
        > 486
        = ACK <486>
        > 486
        = ACK
        > 180
        =
        > 200
        =
        @ 92001
        =
        > 486
        = <stray>",
    ));
}

#[test]
fn an_invite_client_over_tcp_does_not_retransmit_and_ends_with_the_refusal() {
    idle(walk(
        Party::caller(Protocol::Tcp),
        "
        ! INVITE
        = INVITE
        @ 20000
        =
        > 486
        = ACK <486>",
    ));
}

#[test]
fn an_accepted_invite_client_keeps_forks_apart_and_acknowledges_each_again() {
    idle(walk(
        Party::caller(Protocol::Udp),
        "
        ! INVITE
        > 200
        = <200>
        > 200
        =
        ack bob
        = ACK
        > 200
        = ACK
        > 200-carol
        = <200>
        > 200-carol
        =
        > 180
        =
        > 486
        =
        @ 32000
        =
        > 200
        = <stray>",
    ));
}

#[test]
fn an_invite_client_without_answer_times_out() {
    idle(walk(
        Party::caller(Protocol::Udp),
        "
        ! INVITE
        @ 31999
        = INVITE INVITE INVITE INVITE INVITE INVITE
        @ 32000
        = <Timeout>",
    ));
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    idle(walk(
        Party::caller(Protocol::Udp),
        "
        ! INVITE
        cancel
        =
        @ 500
        = INVITE
        > 100
        = CANCEL <100>
        cancel
        =
        > cancel-200
        =
        > 487
        = ACK <487>
        @ 40000
        =",
    ));
}

#[test]
fn a_cancelled_invite_without_final_response_ends_after_64_t1() {
    idle(walk(
        Party::caller(Protocol::Tcp),
        "
        ! INVITE
        > 180
        @ 10000
        cancel
        = CANCEL
        > cancel-200
        @ 41999
        =
        @ 42000
        = <Timeout>",
    ));
}

#[test]
fn a_late_cancel_sends_nothing() {
    walk(
        Party::caller(Protocol::Udp),
        "
        ! INVITE
        > 200
        = <200>
        cancel
        =",
    );
}

#[test]
fn another_client_over_udp_follows_figure_6() {
    idle(walk(
        Party::caller(Protocol::Udp),
        "
        ! OPTIONS
        = OPTIONS
        @ 1500
        = OPTIONS OPTIONS
        > options-100
        = <100>
        @ 3500
        = OPTIONS
        @ 7499
        =
        @ 7500
        = OPTIONS
        > options-200
        = <200>
        > options-200
        =
        @ 12500
        =
        > options-200
        = <stray>",
    ));
}

#[test]
fn another_client_over_tcp_ends_with_the_answer_or_timer_f() {
    idle(walk(
        Party::caller(Protocol::Tcp),
        "
        ! OPTIONS
        = OPTIONS
        > options-200
        = <200>",
    ));
    idle(walk(
        Party::caller(Protocol::Tcp),
        "
        ! OPTIONS
        @ 31999
        =
        @ 32000
        = <Timeout>",
    ));
}

#[test]
fn an_invite_server_that_refuses_over_udp_follows_figure_7() {
    idle(walk(
        Party::callee(Protocol::Udp),
        "
        > INVITE
        = <request>
        > INVITE
        =
        @ 199
        =
        @ 200
        = 100
        > INVITE
        = 100
        ! 180
        = 180
        > INVITE
        = 180
        ! 486
        = 486
        ! 200
        =
        > INVITE
        = 486
        @ 700
        = 486
        > ACK
        =
        > INVITE
        =
        > ACK
        =
        @ 5700
        =",
    ));
}

#[test]
fn an_invite_server_over_tcp_sends_a_refusal_once_and_ends_with_its_ack() {
    idle(walk(
        Party::callee(Protocol::Tcp),
        "
        > INVITE
        ! 486
        = 486
        @ 5000
        =
        > ACK
        =",
    ));
}

#[test]
fn a_refusal_without_ack_ends_with_timer_h() {
    idle(walk(
        Party::callee(Protocol::Tcp),
        "
        > INVITE
        ! 486
        @ 31999
        =
        @ 32000
        = <NoAck>",
    ));
}

#[test]
fn a_2xx_is_sent_again_until_its_ack_on_every_transport() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        idle(walk(
            Party::callee(protocol),
            "
            > INVITE
            ! 200
            = 200
            > INVITE
            =
            @ 1500
            = 200 200
            > ACK2
            = <acked>
            > ACK2
            =
            > INVITE
            =
            @ 31999
            =
            @ 32000
            =
            > ACK2
            = <ack>",
        ));
    }
}

#[test]
fn a_2xx_without_ack_is_reported() {
    idle(walk(
        Party::callee(Protocol::Udp),
        "
        > INVITE
        ! 200
        @ 31999
        = 200 200 200 200 200 200 200 200 200 200
        @ 32000
        = <NoAck>",
    ));
}

#[test]
fn another_server_over_udp_follows_figure_8() {
    idle(walk(
        Party::callee(Protocol::Udp),
        "
        > OPTIONS
        = <request>
        > OPTIONS
        =
        ! options-100
        = 100
        > OPTIONS
        = 100
        ! options-200
        = 200
        > OPTIONS
        = 200
        @ 31999
        =
        @ 32000
        =",
    ));
}

#[test]
fn another_server_that_its_user_forgets_ends_when_the_client_gives_up() {
    idle(walk(
        Party::callee(Protocol::Udp),
        "
        > OPTIONS
        @ 32000
        = <Unanswered>",
    ));
}

#[test]
fn a_cancel_is_answered_by_the_layer_and_the_invite_by_the_user() {
    idle(walk(
        Party::callee(Protocol::Udp),
        "
        > INVITE
        ! 180
        > CANCEL
        = 200 <cancel>
        > CANCEL
        = 200
        ! 487
        = 487
        > CANCEL
        = 200
        > ACK
        =
        @ 40000
        =",
    ));
}

#[test]
fn a_cancel_that_matches_nothing_gets_481_and_a_late_one_200_without_effect() {
    walk(
        Party::callee(Protocol::Udp),
        "
        > CANCEL
        = 481",
    );
    walk(
        Party::callee(Protocol::Udp),
        "
        > INVITE
        ! 200
        > CANCEL
        = 200
        > ACK2
        = <acked>",
    );
}
