//! Calls of users leave by gateways: in their order, the next when one is silent, refuses with 5xx or cannot be reached.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::carrier::{Place, entry, lab, sipp, sipp_entry};
use support::dns::Zone;
use support::party::{Party, SDP, callee_end, end_of, idle};
use support::sipp::SippRun;
use support::switch::Switch;
use support::wire::{Wire, header, status};

/// Both carriers take what is dialled behind 9, the first of them first.
fn two(first: &Place, second: &Place, of_first: &str) -> Switch {
    Switch::start(lab(&[first.entry("first", of_first), second.entry("second", "")]))
}

/// The carrier picks up, the two hang up, and nothing is left.
fn carries(switch: &Switch, alice: &mut Party, carrier: &mut Party, invite: &str) {
    carrier.reply(invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    carrier.wire.receive("ACK");
    alice.say(&mut end, "BYE", "", "");
    let bye = carrier.wire.receive("BYE");
    carrier.reply(&bye, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    idle(switch);
}

#[test]
fn a_hundred_calls_leave_by_the_gateway_that_their_route_names() {
    let carrier = sipp("uas_answer", 2).calls(100, 50);
    // SIPp takes a repetition for a fault: on a busy machine a small T1 makes some.
    let switch = Switch::start(lab(&[sipp_entry("carrier", &carrier, "")]).set("sip", "t1", "\"500ms\""));
    let carrier = carrier.start();

    let caller = SippRun::new("uac_call", switch.sip("udp")).by_user("alice").service("90391234567");
    let figures = caller.calls(100, 50).run();

    assert_eq!(figures.successful, 100);
    assert_eq!(carrier.finish().successful, 100);
}

#[test]
fn the_access_code_does_not_leave_and_the_inside_is_not_seen_outside() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", "")]));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));

    alice.call("90391234567", "");
    let invite = carrier.wire.receive("INVITE");

    let there = carrier.wire.local();
    assert!(invite.starts_with(&format!("INVITE sip:0391234567@{there} SIP/2.0")), "{invite}");
    assert_eq!(header(&invite, "To"), Some(format!("<sip:0391234567@{there}>").as_str()));
    assert!(header(&invite, "From").is_some_and(|from| from.starts_with("<sip:1001@example.com>")), "{invite}");
    assert!(!invite.contains("corner-"), "the caller's Call-ID is seen outside");
    carries(&switch, &mut alice, &mut carrier, &invite);
}

#[test]
fn a_gateway_that_says_nothing_gives_way_within_its_time() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "silence = \"600ms\"");
    let (mut silent, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    silent.wire.receive("INVITE");
    let began = Instant::now();
    let invite = second.wire.receive("INVITE");

    let took = began.elapsed();
    assert!(took < Duration::from_millis(1_500), "re-routed after {took:?}");
    carries(&switch, &mut alice, &mut second, &invite);
}

#[test]
fn a_gateway_that_tries_and_does_not_ring_gives_way_within_its_time_and_is_cancelled() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "silence = \"300ms\"\nfailover = \"1s\"");
    let (mut slow, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    let tried = slow.wire.receive("INVITE");
    let began = Instant::now();
    slow.reply(&tried, "100 Trying", "", "");
    let invite = second.wire.receive("INVITE");

    assert!(began.elapsed() >= Duration::from_millis(900), "a 100 has stopped nothing: {:?}", began.elapsed());
    slow.let_go(&tried);
    carries(&switch, &mut alice, &mut second, &invite);
}

#[test]
fn a_gateway_that_rings_keeps_the_call() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "silence = \"300ms\"\nfailover = \"500ms\"");
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    let invite = first.wire.receive("INVITE");
    first.reply(&invite, "180 Ringing", "", "");

    let other = second.wire.receive_within(Duration::from_millis(1_500));
    assert_eq!(other, None, "the second was tried although the first rings");
    carries(&switch, &mut alice, &mut first, &invite);
}

#[test]
fn a_gateway_that_picks_up_after_its_time_has_the_call() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "silence = \"300ms\"");
    let (mut late, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    let invite = late.wire.receive("INVITE");
    let tried = second.wire.receive("INVITE");
    second.reply(&tried, "180 Ringing", "", "");
    late.reply(&invite, "200 OK", "", SDP);

    second.let_go(&tried);
    let answer = alice.answer_to("INVITE", 200);
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    late.wire.receive("ACK");
    let mut far = callee_end(&late, &invite);
    late.say(&mut far, "BYE", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_5xx_gives_way_at_once_and_the_last_one_is_told() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "");
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    let invite = first.wire.receive("INVITE");
    let began = Instant::now();
    first.reply(&invite, "503 Service Unavailable", "", "");
    let invite = second.wire.receive("INVITE");
    assert!(began.elapsed() < Duration::from_secs(1), "re-routed after {:?}", began.elapsed());
    second.reply(&invite, "502 Bad Gateway", "", "");

    let answer = alice.answer_to("INVITE", 300);
    assert_eq!(status(&answer), Some(502), "{answer}");
}

#[test]
fn a_4xx_and_a_6xx_are_the_answer() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "");
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));

    for (said, heard) in [("404 Not Found", 404), ("486 Busy Here", 486), ("603 Decline", 603)] {
        let mut alice = Party::new(&switch, "alice");
        alice.call("955", "");
        let invite = first.wire.receive("INVITE");
        first.reply(&invite, said, "", "");
        assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(heard));
    }
    let other = second.wire.receive_within(Duration::from_millis(500));
    assert_eq!(other, None, "the second was asked although the first has judged the number");
}

#[test]
fn a_gateway_that_nobody_listens_at_gives_way_at_once() {
    for transport in ["udp", "tcp"] {
        let (gone, second) = (Place::at(2), Place::at(3));
        let nobody = entry("first", gone.address(), &format!("transport = {transport:?}"));
        let switch = Switch::start(lab(&[nobody, second.entry("second", "")]));
        drop(gone);
        let mut second = second.party(&switch);
        let mut alice = Party::new(&switch, "alice");

        let began = Instant::now();
        alice.call("955", "");
        let invite = second.wire.receive("INVITE");

        assert!(began.elapsed() < Duration::from_secs(2), "{transport}: re-routed after {:?}", began.elapsed());
        carries(&switch, &mut alice, &mut second, &invite);
    }
}

#[test]
fn a_caller_that_gives_up_cancels_the_gateway() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = two(&first, &second, "silence = \"500ms\"");
    let (mut silent, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    let invite = alice.call("955", "");
    silent.wire.receive("INVITE");
    let tried = second.wire.receive("INVITE");
    second.reply(&tried, "183 Session Progress", "", "");
    alice.answer_to("INVITE", 183);
    alice.cancel(&invite);

    second.let_go(&tried);
    assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(487));
}

#[test]
fn a_gateway_calls_users_and_a_stranger_at_another_address_is_asked_who_it_is() {
    let (known, stranger) = (Place::at(2), Place::at(3));
    let switch = Switch::start(lab(&[known.entry("carrier", "")]));
    let (mut carrier, mut stranger) = (known.party(&switch), stranger.party(&switch));
    let mut bob = Party::registered(&switch, "bob");
    let invite =
        |party: &Party, to: &str, id| party.request("INVITE", &format!("sip:{to}@example.com"), 1, id, "", SDP);

    stranger.wire.send(&invite(&stranger, "1002", 90_001));
    let answer = stranger.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(401), "{answer}");

    let request = invite(&carrier, "1002", 90_002);
    carrier.wire.send(&request);
    let rings = bob.wire.receive("INVITE");
    bob.reply(&rings, "486 Busy Here", "", "");
    assert_eq!(status(&carrier.answer_to("INVITE", 200)), Some(486));

    // Toll fraud: in by one gateway and out by another.
    let request = invite(&carrier, "90391234567", 90_003);
    carrier.wire.send(&request);
    let answer = carrier.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(403), "{answer}");
}

#[test]
fn a_call_that_a_fault_meets_amid_its_gateways_goes_on_to_the_next() {
    let (first, second) = (Place::at(2), Place::at(3));
    let config = lab(&[first.entry("first", "silence = \"1s\""), second.entry("second", "")]);
    let switch = Switch::start(config.set("admin", "allow_faults", "true"));
    let (mut silent, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    alice.call("955", "");
    silent.wire.receive("INVITE");
    support::party::kill_the_call(&switch);
    let invite = second.wire.receive("INVITE");

    carries(&switch, &mut alice, &mut second, &invite);
}

#[test]
fn of_a_name_with_addresses_of_both_families_those_are_used_that_the_gateway_is_set_to() {
    for ip in ["4", "6"] {
        let four = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("loopback has a free port");
        let port = four.local_addr().expect("bound").port();
        let six = UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).expect("the same port is free");
        let dns = Zone::new().address("carrier.test", "127.0.0.2").address("carrier.test", "::1").serve();
        let carrier = format!(
            "[[gateway]]\nname = \"carrier\"\naddress = \"carrier.test:{port}\"\nip = {ip:?}\nprobe = \"0s\"\n"
        );
        let switch = Switch::start(lab(&[carrier]).set("sip", "nameservers", &dns.setting()).set(
            "sip",
            "udp",
            r#"["127.0.0.1:0", "[::1]:0"]"#,
        ));
        let (at, other) = if ip == "4" { (four, six) } else { (six, four) };
        let mut alice = Party::new(&switch, "alice");
        alice.call("90391234567", "");
        at.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (_, from) = at.peek_from(&mut [0; 16]).expect("an INVITE comes");
        let mut carrier = Party::at(Wire::udp_from(at, from), "carrier");
        let invite = carrier.wire.receive("INVITE");
        carrier.reply(&invite, "486 Busy Here", "", "");
        assert_eq!(status(&alice.answer_to("INVITE", 486)), Some(486), "by IPv{ip}");
        idle(&switch);
        other.set_nonblocking(true).expect("a socket");
        let came = other.recv_from(&mut [0; 16]);
        assert!(came.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "the other one was asked");
    }
}
