//! RFC 3263: where a request goes to a name, the DNS says where that is, the next place is tried when one fails, and a
//! DNS that fails has a clear end.

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};
use support::config::Config;
use support::dns::{BrokenDns, Dns, Zone};
use support::party::{Party, SDP, callee_end, end_of, idle};
use support::switch::Switch;
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

/// A place of loopback where nobody is yet.
fn place(switch: &Switch) -> Wire {
    Wire::udp(switch.sip("udp"))
}

/// A port at which nobody takes a connection and nobody reads a datagram: taken, and not listened to.
fn dead_port() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = socket.local_addr().expect("bound").port();
    (socket, port)
}

/// A switch that asks this name server. T1 is small, so that what is silent is given up soon (64 × T1).
fn asking(dns: &str) -> Switch {
    Switch::start(Config::lab().set("sip", "nameservers", dns).set("sip", "t1", "\"20ms\""))
}

/// A switch whose zone is known only after the ports of its phones are: it asks a name server that is started later.
struct Room {
    places: Vec<Option<Wire>>,
    switch: Switch,
    _dns: Dns,
}

/// A switch, and `count` places whose ports the zone may name.
fn room(count: usize, zone: impl FnOnce(&[u16]) -> Zone) -> Room {
    let sockets: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")).collect();
    let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().expect("bound").port()).collect();
    let dns = zone(&ports).serve();
    let switch = asking(&dns.setting());
    let to = switch.sip("udp");
    let places = sockets.into_iter().map(|socket| Some(Wire::udp_from(socket, to))).collect();
    Room { places, switch, _dns: dns }
}

impl Room {
    fn place(&mut self, at: usize) -> Wire {
        self.places[at].take().expect("each place has one party")
    }
}

/// Bob, who has registered with this Contact and these header lines from a place where he is not any more.
fn bob_at(switch: &Switch, contact: &str, more: &str, now_at: Wire) -> Party {
    let mut bob = Party::new(switch, "bob");
    bob.contact = Some(contact.to_owned());
    bob.register(more);
    bob.wire = now_at;
    bob
}

/// Alice calls, bob picks up where he is and hears the ACK there; alice's end of the call.
fn picked_up(switch: &Switch, bob: &mut Party, more: &str) -> (Party, support::party::End, String) {
    let mut alice = Party::new(switch, "alice");
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", more, SDP);
    bob.wire.receive("ACK");
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    (alice, end, invite)
}

/// Hangs up for alice, and answers the BYE where bob is.
fn hung_up(alice: &mut Party, end: &mut support::party::End, bob: &mut Party) -> String {
    alice.say(end, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    bye
}

/// Every request to a name is over.
fn no_errands(switch: &Switch) {
    let errands = || switch.get("/api/status").1["shards"][0]["load"]["errands"].as_u64();
    assert!(until(PATIENCE, || errands().filter(|errands| *errands == 0)).is_some());
}

/// The record of an ended call tells this cause.
fn recorded(switch: &Switch, cause: &str) {
    let path = switch.data().join("calls.jsonl");
    let cause = format!("\"cause\":\"{cause}\"");
    let found = until(PATIENCE, || std::fs::read_to_string(&path).ok().filter(|text| text.contains(&cause)));
    assert!(found.is_some(), "{:?}", std::fs::read_to_string(&path));
}

const BY_PATH: &str = "Supported: path\nPath: <sip:proxy.test;lr>\n";

#[test]
fn a_contact_that_is_a_name_rings_where_the_name_leads() {
    let mut room = room(1, |_| Zone::new().address("phone.test", "127.0.0.1"));
    let there = room.place(0);
    let contact = format!("sip:bob@phone.test:{}", there.local().port());
    let mut bob = bob_at(&room.switch, &contact, "", there);

    let (mut alice, mut end, invite) = picked_up(&room.switch, &mut bob, "");

    assert!(invite.starts_with(&format!("INVITE {contact} ")), "{invite}");
    let bye = hung_up(&mut alice, &mut end, &mut bob);
    assert!(bye.starts_with(&format!("BYE {contact} ")), "{bye}");
    idle(&room.switch);
    no_errands(&room.switch);
}

#[test]
fn a_proxy_that_is_silent_gives_way_to_the_next_and_the_dialog_stays_with_that() {
    let (_dead, dead) = dead_port();
    let mut room = room(1, |ports| {
        Zone::new().address("one.test", "127.0.0.1").server("_sip._udp.proxy.test", "one.test", dead, 1).server(
            "_sip._udp.proxy.test",
            "one.test",
            ports[0],
            2,
        )
    });
    let there = room.place(0);
    let mut bob = bob_at(&room.switch, "sip:bob@127.0.0.1:9", BY_PATH, there);

    let (mut alice, mut end, invite) = picked_up(&room.switch, &mut bob, "Record-Route: <sip:proxy.test;lr>\n");

    assert_eq!(header(&invite, "Route"), Some("<sip:proxy.test;lr>"));
    let begun = Instant::now();
    let bye = hung_up(&mut alice, &mut end, &mut bob);
    assert_eq!(header(&bye, "Route"), Some("<sip:proxy.test;lr>"));
    // The silent one would have cost 64 × T1.
    assert!(begun.elapsed() < Duration::from_millis(1_280), "{:?}", begun.elapsed());
    no_errands(&room.switch);
}

#[test]
fn a_proxy_that_says_503_gives_way_to_the_next_with_a_branch_of_its_own() {
    let mut room = room(2, |ports| {
        Zone::new().address("one.test", "127.0.0.1").server("_sip._udp.proxy.test", "one.test", ports[0], 1).server(
            "_sip._udp.proxy.test",
            "one.test",
            ports[1],
            2,
        )
    });
    let (first, second) = (room.place(0), room.place(1));
    let mut bob = bob_at(&room.switch, "sip:bob@127.0.0.1:9", BY_PATH, first);
    let mut alice = Party::new(&room.switch, "alice");
    alice.call("bob", "");

    let refused = bob.wire.receive("INVITE");
    bob.reply(&refused, "503 Service Unavailable", "", "");
    let ack = bob.wire.receive("ACK");
    bob.wire = second;
    let invite = bob.wire.receive("INVITE");

    assert_eq!(header(&ack, "Via"), header(&refused, "Via"), "the ACK of a refusal goes where its INVITE went");
    assert_ne!(header(&invite, "Via"), header(&refused, "Via"));
    for same in ["From", "To", "Call-ID", "CSeq", "Route", "Contact"] {
        assert_eq!(header(&invite, same), header(&refused, same), "{same}");
    }
    bob.reply(&invite, "200 OK", "", SDP);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn when_all_proxies_say_503_the_caller_hears_what_it_hears_of_one() {
    let mut room = room(2, |ports| {
        Zone::new().address("one.test", "127.0.0.1").server("_sip._udp.proxy.test", "one.test", ports[0], 1).server(
            "_sip._udp.proxy.test",
            "one.test",
            ports[1],
            2,
        )
    });
    let (first, second) = (room.place(0), room.place(1));
    let mut bob = bob_at(&room.switch, "sip:bob@127.0.0.1:9", BY_PATH, first);
    let mut alice = Party::new(&room.switch, "alice");
    alice.call("bob", "");

    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "503 Service Unavailable", "", "");
    bob.wire = second;
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "503 Service Unavailable", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(500));
    idle(&room.switch);
    no_errands(&room.switch);
}

#[test]
fn a_cancel_goes_to_the_place_that_has_the_invite() {
    let (_dead, dead) = dead_port();
    let mut room = room(1, |ports| {
        Zone::new().address("one.test", "127.0.0.1").server("_sip._udp.proxy.test", "one.test", dead, 1).server(
            "_sip._udp.proxy.test",
            "one.test",
            ports[0],
            2,
        )
    });
    let there = room.place(0);
    let mut bob = bob_at(&room.switch, "sip:bob@127.0.0.1:9", BY_PATH, there);
    let mut alice = Party::new(&room.switch, "alice");
    let call = alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    alice.cancel(&call);

    let cancel = bob.wire.receive("CANCEL");
    assert_eq!(header(&cancel, "Via"), header(&invite, "Via"));
    bob.reply(&cancel, "200 OK", "", "");
    bob.reply(&invite, "487 Request Terminated", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    idle(&room.switch);
    no_errands(&room.switch);
}

#[test]
fn the_dns_may_choose_tcp() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("bound").port();
    let room = room(0, |_| {
        Zone::new()
            .service("phone.test", "SIP+D2T", "_sip._tcp.phone.test")
            .server("_sip._tcp.phone.test", "one.test", port, 1)
            .address("one.test", "127.0.0.1")
    });
    let nowhere = place(&room.switch);
    let mut bob = bob_at(&room.switch, "sip:bob@phone.test", "", nowhere);
    let mut alice = Party::new(&room.switch, "alice");
    alice.call("bob", "");

    bob.wire = Wire::tcp_taken(listener.accept().expect("the switch connects").0);
    let invite = bob.wire.receive("INVITE");

    assert!(header(&invite, "Via").is_some_and(|via| via.starts_with("SIP/2.0/TCP ")), "{invite}");
    assert!(header(&invite, "Contact").is_some_and(|contact| contact.contains("transport=tcp")), "{invite}");
    bob.reply(&invite, "200 OK", "", SDP);
    bob.wire.receive("ACK");
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn who_takes_no_connection_gives_way_at_once() {
    // Bound and not listened to: the kernel refuses.
    let (_dead, dead) = dead_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("bound").port();
    let dns = Zone::new()
        .address("one.test", "127.0.0.1")
        .server("_sip._tcp.phone.test", "one.test", dead, 1)
        .server("_sip._tcp.phone.test", "one.test", port, 2)
        .serve();
    // With the usual T1 a time-out would take 32 s.
    let switch = Switch::start(Config::lab().set("sip", "nameservers", &dns.setting()));
    let nowhere = place(&switch);
    let mut bob = bob_at(&switch, "sip:bob@phone.test;transport=tcp", "", nowhere);
    let mut alice = Party::new(&switch, "alice");
    let begun = Instant::now();
    alice.call("bob", "");

    bob.wire = Wire::tcp_taken(listener.accept().expect("the switch connects").0);
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", SDP);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_dialog_whose_server_is_gone_goes_on_with_the_next() {
    let mut room = room(2, |ports| {
        Zone::new().address("one.test", "127.0.0.1").server("_sip._udp.proxy.test", "one.test", ports[0], 1).server(
            "_sip._udp.proxy.test",
            "one.test",
            ports[1],
            2,
        )
    });
    let (first, second) = (room.place(0), room.place(1));
    let mut bob = bob_at(&room.switch, "sip:bob@127.0.0.1:9", BY_PATH, first);
    let (mut alice, mut end, _) = picked_up(&room.switch, &mut bob, "Record-Route: <sip:proxy.test;lr>\n");

    let _silent = std::mem::replace(&mut bob.wire, second);

    hung_up(&mut alice, &mut end, &mut bob);
    idle(&room.switch);
}

#[test]
fn a_caller_that_calls_itself_by_a_name_is_hung_up_there() {
    let mut room = room(1, |_| Zone::new().address("phone.test", "127.0.0.1"));
    let mut there = room.place(0);
    let mut alice = Party::new(&room.switch, "alice");
    alice.contact = Some(format!("sip:alice@phone.test:{}", there.local().port()));
    let mut bob = Party::registered(&room.switch, "bob");
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", SDP);
    let mut end = end_of(&alice.answer_to("INVITE", 200));
    alice.say(&mut end, "ACK", "", "");

    bob.say(&mut callee_end(&bob, &invite), "BYE", "", "");

    let bye = there.receive("BYE");
    alice.wire = there;
    alice.reply(&bye, "200 OK", "", "");
    idle(&room.switch);
}

#[test]
fn messages_and_notifications_find_names_too() {
    let mut room = room(2, |_| Zone::new().address("phone.test", "127.0.0.1"));
    let (of_bob, mut of_alice) = (room.place(0), room.place(1));
    let contact = format!("sip:bob@phone.test:{}", of_bob.local().port());
    let mut bob = bob_at(&room.switch, &contact, "", of_bob);
    let mut alice = Party::new(&room.switch, "alice");
    alice.contact = Some(format!("sip:alice@phone.test:{}", of_alice.local().port()));

    alice.begin("MESSAGE", "sip:bob@example.com", "", "hello");
    let message = bob.wire.receive("MESSAGE");
    bob.reply(&message, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(200));

    alice.begin("SUBSCRIBE", "sip:alice@example.com", "Event: reg\nExpires: 600\n", "");
    assert_eq!(status(&alice.answer_to("SUBSCRIBE", 200)), Some(200));
    let notify = of_alice.receive("NOTIFY");
    alice.wire = of_alice;
    alice.reply(&notify, "200 OK", "", "");
    no_errands(&room.switch);
}

#[test]
fn a_name_that_the_phone_alone_knows_rings_the_way_that_its_register_came() {
    let room = room(0, |_| Zone::new());
    let mut bob = Party::new(&room.switch, "bob");
    bob.contact = Some("sip:bob@bobs-desk.test".into());
    bob.register("");

    let (mut alice, mut end, _) = picked_up(&room.switch, &mut bob, "");

    hung_up(&mut alice, &mut end, &mut bob);
}

#[test]
fn a_dns_that_says_nothing_ends_a_call_soon_and_holds_up_nobody_else() {
    let dns = BrokenDns::silent();
    let switch = asking(&dns.setting());
    let nowhere = place(&switch);
    let _bob = bob_at(&switch, "sip:bob@phone.test", "", nowhere);
    let mut alice = Party::new(&switch, "alice");
    let begun = Instant::now();
    alice.call("bob", "");
    dns.asked_beyond(0);

    let mut others = Party::registered(&switch, "carol");
    let mut dave = Party::new(&switch, "alice");
    for _ in 0..20 {
        let (mut end, _) = support::party::standing(&mut dave, &mut others);
        dave.say(&mut end, "BYE", "", "");
        let bye = others.wire.receive("BYE");
        others.reply(&bye, "200 OK", "", "");
        assert_eq!(status(&dave.answer_to("BYE", 200)), Some(200));
    }

    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(408), "{answer}");
    assert!(answer.starts_with("SIP/2.0 408 DNS Timed Out\r\n"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    recorded(&switch, "DNS Timed Out");
    idle(&switch);
    no_errands(&switch);
}

#[test]
fn a_dns_that_fails_ends_a_call_with_its_reason() {
    let dns = BrokenDns::failing();
    let switch = asking(&dns.setting());
    let nowhere = place(&switch);
    let _bob = bob_at(&switch, "sip:bob@phone.test", "", nowhere);
    let mut alice = Party::new(&switch, "alice");

    alice.call("bob", "");

    // As any other 503 of a callee (RFC 3261 section 16.7 step 6).
    let answer = alice.answer_to("INVITE", 200);
    assert!(answer.starts_with("SIP/2.0 500 DNS Failed\r\n"), "{answer}");
    recorded(&switch, "DNS Failed");
    idle(&switch);
    no_errands(&switch);
}

#[test]
fn a_call_is_cancelled_while_its_name_is_looked_up() {
    let dns = BrokenDns::silent();
    let switch = asking(&dns.setting());
    let nowhere = place(&switch);
    let _bob = bob_at(&switch, "sip:bob@phone.test", "", nowhere);
    let mut alice = Party::new(&switch, "alice");
    let begun = Instant::now();
    let call = alice.call("bob", "");
    dns.asked_beyond(0);

    alice.cancel(&call);

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    idle(&switch);
    no_errands(&switch);
    assert!(begun.elapsed() < Duration::from_secs(2), "a look-up that nobody waits for: {:?}", begun.elapsed());
}

#[test]
fn a_call_waits_for_its_name_across_the_death_of_its_actor_and_of_who_looks_up() {
    let dns = BrokenDns::silent();
    let config = Config::lab().set("node", "shards", "1").set("sip", "nameservers", &dns.setting());
    let switch = Switch::start(config);
    let nowhere = place(&switch);
    let _bob = bob_at(&switch, "sip:bob@phone.test", "", nowhere);
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    let asked = dns.asked_beyond(0);

    support::party::kill_the_call(&switch);
    let killed = switch.command(&["kill", "/switch/shard-0/names"]);
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    dns.asked_beyond(asked);
    dns.fail();

    let answer = alice.answer_to("INVITE", 200);
    assert!(answer.starts_with("SIP/2.0 500 DNS Failed\r\n"), "{answer}");
    idle(&switch);
    no_errands(&switch);
}

#[test]
fn a_setting_that_is_no_name_server_is_a_mistake() {
    let at: SocketAddr = "127.0.0.1:5353".parse().expect("an address");
    for (setting, is_right) in
        [("dns.example.com", false), ("127.0.0.1:0", false), ("127.0.0.1", true), ("[::1]:53", true)]
    {
        let room = tempfile::TempDir::new().expect("a folder");
        let file = room.path().join("strowger.toml");
        let text = Config::lab().set("sip", "nameservers", &format!("[\"{setting}\", \"{at}\"]")).text(room.path());
        std::fs::write(&file, text).expect("written");
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_strowger")).arg("check").arg(&file).output();
        assert_eq!(checked.expect("the program runs").status.success(), is_right, "{setting}");
    }
}
