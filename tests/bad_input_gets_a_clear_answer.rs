//! What the switch says to those who send it what no proper phone sends: a clear refusal in the protocol's own words, or
//! silence where the RFC wants silence; and everybody else is served as before.

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::agent::{Agent, credentials, description};
use support::config::Config;
use support::switch::Switch;
use support::wire::{Wire, header, status};

/// A proper OPTIONS with a mark in Call-ID and branch, to be spoilt.
fn options(mark: &str) -> String {
    format!(
        "OPTIONS sip:example.com SIP/2.0\nVia: SIP/2.0/{{transport}} {{local}};branch=z9hG4bK-{mark};rport\n\
         Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=1\nTo: <sip:example.com>\nCall-ID: {mark}\n\
         CSeq: 7 OPTIONS\nContent-Length: 0\n\n"
    )
}

/// The next message is the answer to a proper request: nothing was said before it, and the switch still listens.
fn is_silent_and_alive(wire: &mut Wire, mark: &str) {
    wire.send(&options(mark));
    let answer = wire.receive_within(PATIENCE).expect("an answer");
    assert_eq!((status(&answer), header(&answer, "Call-ID")), (Some(200), Some(mark)), "{answer}");
}

/// The reason phrase of an answer.
fn reason(answer: &str) -> &str {
    answer.lines().next().and_then(|line| line.get(12..)).unwrap_or_default()
}

#[test]
fn a_malformed_request_gets_400_with_a_reason_that_names_the_header() {
    let switch = Switch::start(Config::lab());
    let mut wire = Wire::udp(switch.sip("udp"));

    let faults = [
        ("CSeq: 7 OPTIONS", "CSeq: seven OPTIONS", "CSeq"),
        ("CSeq: 7 OPTIONS", "CSeq: 7 INVITE", "CSeq"),
        ("CSeq: 7 OPTIONS", "CSeq: 4294967296 OPTIONS", "CSeq"),
        ("Max-Forwards: 70", "Max-Forwards: many", "Max-Forwards"),
        ("Content-Length: 0", "Content-Length: -1", "Content-Length"),
        ("Content-Length: 0", "Content-Length: 5", "Content-Length"),
        ("From: <sip:alice@example.com>;tag=1\n", "", "From"),
        ("From: <sip:alice@example.com>;tag=1", "From: <sip:alice@example.com;tag=1", "From"),
        ("To: <sip:example.com>\n", "", "To"),
    ];
    for (number, (good, bad, name)) in faults.into_iter().enumerate() {
        let request = options(&format!("fault-{number}"));
        assert!(request.contains(good), "{good}");
        wire.send(&request.replace(good, bad));
        let answer = wire.receive_within(PATIENCE).unwrap_or_else(|| panic!("no answer to {bad:?}"));
        assert_eq!(status(&answer), Some(400), "{bad:?}: {answer}");
        assert!(reason(&answer).contains(name), "{bad:?}: {answer}");
    }
}

#[test]
fn malformed_responses_acks_and_noise_get_silence() {
    let switch = Switch::start(Config::lab());
    let mut wire = Wire::udp(switch.sip("udp"));

    let answer = options("silence").replace("OPTIONS sip:example.com SIP/2.0", "SIP/2.0 200 OK");
    for (number, noise) in [
        options("a").replace("OPTIONS", "ACK"),
        options("a").replace("OPTIONS", "ACK").replace("CSeq: 7", "CSeq: seven"),
        answer.clone(),
        answer.replace("CSeq: 7", "CSeq: seven"),
        answer.replace("SIP/2.0 200 OK", "SIP/2.0 99 Never"),
        "\n\n\n".to_owned(),
        "GET / HTTP/1.1\nHost: example.com\n\n".to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        wire.send(&noise);
        is_silent_and_alive(&mut wire, &format!("alive-{number}"));
    }
}

#[test]
fn what_the_switch_does_not_do_is_refused_by_its_name() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let mut ask = |method: &str, uri: &str, extra: &str| {
        let request = alice.request(method, uri, extra, "");
        alice.ask(&request)
    };

    assert_eq!(status(&ask("DANCE", "sip:bob@example.com", "")), Some(501));
    assert_eq!(status(&ask("INVITE", "mailto:bob@example.com", "")), Some(416));
    let answer = ask("INVITE", "sip:bob@example.com", "Require: 100rel, teleport\n");
    assert_eq!((status(&answer), header(&answer, "Unsupported")), (Some(420), Some("teleport")), "{answer}");
    let answer = ask("PUBLISH", "sip:alice@example.com", "Event: presence\n");
    assert_eq!(status(&answer), Some(405), "{answer}");
    assert!(header(&answer, "Allow").is_some_and(|allow| allow.contains("INVITE") && !allow.contains("PUBLISH")));
    let answer = alice.request("INVITE", "sip:bob@example.com", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0");
    let answer = alice.ask(&answer);
    assert_eq!(status(&answer), Some(483), "{answer}");
}

#[test]
fn a_request_inside_a_dialog_that_nobody_has_gets_481() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");

    for method in ["BYE", "INVITE", "INFO", "UPDATE", "REFER", "OPTIONS", "NOTIFY", "SUBSCRIBE", "PRACK"] {
        let request = alice.request(method, "sip:bob@example.com", "Event: reg\n", "");
        let request = request.replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=nobody");
        let answer = alice.ask(&request);
        assert_eq!(status(&answer), Some(481), "{method}: {answer}");
    }
    let request = alice.request("CANCEL", "sip:bob@example.com", "", "");
    assert_eq!(status(&alice.ask(&request)), Some(481), "RFC 3261 section 9.2");
}

#[test]
fn intervals_that_are_too_short_are_answered_with_the_shortest() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");

    let request = alice.request("REGISTER", "sip:example.com", "Expires: 1\n", "");
    let answer = alice.ask_as_user(&request);
    assert_eq!((status(&answer), header(&answer, "Min-Expires")), (Some(423), Some("60")), "{answer}");

    let extra = "Supported: timer\nSession-Expires: 10\nMin-SE: 10\nContent-Type: application/sdp\n";
    let request = alice.request("INVITE", "sip:5500@example.com", extra, &description(None, "sendrecv"));
    let answer = alice.ask_as_user(&request);
    assert_eq!((status(&answer), header(&answer, "Min-SE")), (Some(422), Some("90")), "{answer}");
}

#[test]
fn a_number_or_user_that_nobody_has_gets_404() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");

    for uri in ["sip:1999@example.com", "sip:nobody@example.com", "tel:+390000000", "sip:5000@example.com"] {
        let extra = "Content-Type: application/sdp\n";
        let request = alice.request("INVITE", uri, extra, &description(None, "sendrecv"));
        let answer = alice.ask_as_user(&request);
        assert_eq!(status(&answer), Some(404), "{uri}: {answer}");
        assert!(header(&answer, "Reason").is_some_and(|reason| reason.contains("text=")), "{uri}: {answer}");
    }
}

#[test]
fn a_request_that_comes_twice_by_different_ways_is_refused_as_merged() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let mut bob = Agent::new(Wire::udp(switch.sip("udp")), "bob").ringing();
    bob.register(3_600);
    let bob = bob.serve();

    let extra = "Content-Type: application/sdp\n";
    let request = alice.request("INVITE", "sip:1002@example.com", extra, &description(None, "sendrecv"));
    let challenge = alice.ask(&request);
    let first = alice.signed(&request, &challenge, "alice-secret");
    alice.wire.send(&first);
    alice.wire.receive("SIP/2.0 180");
    // The same From tag, Call-ID and CSeq, another branch (RFC 3261 section 8.2.2.2).
    let second = first.replace("branch=z9hG4bK-", "branch=z9hG4bK-other-way-");
    let answer = alice.ask(&second);
    assert_eq!(status(&answer), Some(482), "{answer}");
    bob.back();
}

#[test]
fn without_credentials_the_answer_is_401_with_three_algorithms_the_strongest_first() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");

    for method in ["REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE"] {
        let request = alice.request(method, "sip:example.com", "", "");
        let answer = alice.ask(&request);
        assert_eq!(status(&answer), Some(401), "{answer}");
        let challenges: Vec<&str> =
            answer.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: Digest ")).collect();
        let offered = |challenge: &&str, algorithm: &str| {
            challenge.contains(&format!("algorithm={algorithm}")) && challenge.contains("qop=\"auth\"")
        };
        assert_eq!(challenges.len(), 3, "{answer}");
        for (challenge, algorithm) in challenges.iter().zip(["SHA-512-256", "SHA-256", "MD5"]) {
            assert!(offered(challenge, algorithm), "{algorithm}: {challenge}");
        }
    }
}

#[test]
fn forged_and_replayed_credentials_are_refused_as_stale() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let request = alice.request("REGISTER", "sip:example.com", "Expires: 600\n", "");
    let challenge = alice.ask(&request);

    // A nonce of somebody's own make, with the right password over it.
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    let forged = challenge.replace(nonce, &"A".repeat(nonce.len()));
    let again = alice.signed(&request, &forged, "alice-secret");
    let answer = alice.ask(&again);
    assert_eq!(status(&answer), Some(401), "{answer}");
    assert!(answer.contains("stale=true"), "{answer}");

    // Heard on the line and said again: accepted once.
    let good = alice.signed(&request, &challenge, "alice-secret");
    let answer = alice.ask(&good);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let replayed = good.replace("branch=z9hG4bK-", "branch=z9hG4bK-replayed-").replace("CSeq: 2 ", "CSeq: 3 ");
    let answer = alice.ask(&replayed);
    assert_eq!(status(&answer), Some(401), "{answer}");
}

#[test]
fn wrong_passwords_are_refused_with_403_for_longer_each_time_and_hold_up_nobody_else() {
    let config = Config::lab().set("auth", "tries_max", "3").set("auth", "delay_first", "\"2s\"");
    let switch = Switch::start(config);
    let mut thief = Agent::new(wire_from(Ipv4Addr::new(127, 0, 0, 9), switch.sip("udp")), "alice");
    let request = thief.request("REGISTER", "sip:example.com", "Expires: 600\n", "");

    let mut delays = Vec::new();
    for _ in 0..6 {
        let challenge =
            thief.ask(&request.replace("branch=z9hG4bK-", &format!("branch=z9hG4bK-{}-", rand::random::<u32>())));
        let guess = thief.signed(&request, &challenge, "wrong");
        let answer = thief.ask(&guess);
        match status(&answer) {
            Some(401) => assert!(delays.is_empty(), "{answer}"),
            Some(403) => {
                let wait = header(&answer, "Retry-After").and_then(|v| v.parse::<u64>().ok());
                delays.push(wait.unwrap_or_else(|| panic!("no Retry-After: {answer}")));
            }
            _ => panic!("{answer}"),
        }
    }
    assert!(delays.len() >= 3, "{delays:?}");
    assert!(delays.is_sorted() && delays.last() > delays.first(), "growing: {delays:?}");
    // The right password does not help the source that guesses, and is good from elsewhere.
    let challenge = thief.ask(&request.replace("branch=z9hG4bK-", "branch=z9hG4bK-last-"));
    let right = thief.signed(&request, &challenge, "alice-secret");
    assert_eq!(status(&thief.ask(&right)), Some(403));
    Agent::new(Wire::udp(switch.sip("udp")), "alice").register(600);
}

/// A wire from another address of loopback.
fn wire_from(ip: Ipv4Addr, peer: SocketAddr) -> Wire {
    Wire::udp_from(UdpSocket::bind((ip, 0)).expect("loopback has this address"), peer)
}

/// Resident memory of a process, kB.
fn resident_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[test]
fn a_flood_from_one_source_gets_503_while_others_are_served_and_memory_stays_flat() {
    const FLOOD: usize = 20_000;
    const GROWTH_KB_MAX: u64 = 32 * 1_024;
    let config = Config::lab()
        .set("admission", "per_source_rate", "10")
        .set("admission", "per_source_burst", "20")
        .set("admission", "retry_after", "\"7s\"");
    let switch = Switch::start(config);
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).expect("loopback has this address");
    let from = socket.local_addr().expect("bound");
    socket.connect(switch.sip("udp")).expect("a socket option");
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    alice.register(600);
    let before = resident_kb(switch.pid());

    let (mut refused, mut buffer) = (0, [0; 4_096]);
    for number in 0..FLOOD {
        let invite = options(&format!("flood-{number}")).replace("OPTIONS", "INVITE");
        let invite = invite.replace("{transport}", "UDP").replace("{local}", &from.to_string()).replace('\n', "\r\n");
        socket.send(invite.as_bytes()).expect("sent");
        // One answer for each, so that nothing is lost in loopback's buffers: the switch has seen every one.
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = socket.recv(&mut buffer).expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..length]);
        if status(&answer) == Some(503) {
            assert_eq!(header(&answer, "Retry-After"), Some("7"), "{answer}");
            refused += 1;
        }
        if number % (FLOOD / 8) == 1 {
            let began = Instant::now();
            let request = alice.request("OPTIONS", "sip:example.com", "", "");
            assert_eq!(status(&alice.ask(&request)), Some(200));
            assert!(began.elapsed() < Duration::from_secs(2), "others wait {:?}", began.elapsed());
        }
    }
    assert!(refused > FLOOD / 2, "{refused} of {FLOOD} were refused");
    let grown = resident_kb(switch.pid()).saturating_sub(before);
    assert!(grown < GROWTH_KB_MAX, "{grown} kB more after {FLOOD} requests");
}

#[test]
fn messages_past_the_limits_are_refused_over_udp() {
    let switch = Switch::start(Config::lab());
    let mut wire = Wire::udp(switch.sip("udp"));

    let long_line = format!("X-Long: {}\nContent-Length", "x".repeat(20_000));
    let many: String = (0..300).map(|number| format!("X-{number}: 1\n")).collect();
    for (number, spoilt) in [long_line, format!("{many}Content-Length")].into_iter().enumerate() {
        wire.send(&options(&format!("limit-{number}")).replace("Content-Length", &spoilt));
        let answer = wire.receive_within(PATIENCE).expect("an answer");
        assert!(matches!(status(&answer), Some(400 | 413 | 513)), "{answer}");
        is_silent_and_alive(&mut wire, &format!("after-limit-{number}"));
    }
}

#[test]
fn noise_on_a_tcp_connection_closes_that_connection_and_no_other() {
    let switch = Switch::start(Config::lab());
    let mut good = Wire::tcp(switch.sip("tcp"));
    is_silent_and_alive(&mut good, "before");

    let endless = format!("OPTIONS sip:example.com SIP/2.0\n{}", "X-Endless: 1\n".repeat(40_000));
    let no_length = options("none").replace("Content-Length: 0", "Content-Length: a lot");
    for noise in [
        "\u{1}\u{2}\u{3}garbage\n\n\n\n",
        &endless,
        &no_length,
        &options("big").replace("Length: 0", "Length: 99999999"),
    ] {
        let mut bad = Wire::tcp(switch.sip("tcp"));
        bad.try_send(noise);
        assert!(bad.is_closed(), "{:.40}", noise);
        is_silent_and_alive(&mut good, &format!("beside-{}", noise.len()));
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_nothing_and_one_that_comes_in_time_ends_the_call() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let extra = "Content-Type: application/sdp\n";
    let cancel_of = |invite: &str| {
        let head: String = invite
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| !line.starts_with("Content-") && !line.starts_with("Authorization"))
            .map(|line| format!("{line}\n"))
            .collect();
        format!("{}Content-Length: 0\n\n", head.replace("INVITE", "CANCEL"))
    };

    // The echo answers at once: the CANCEL comes after the 200 and is answered with 200, or 481 (RFC 3261 section 9.2).
    let request = alice.request("INVITE", "sip:5500@example.com", extra, &description(None, "sendrecv"));
    let challenge = alice.ask(&request);
    let invite = alice.signed(&request, &challenge, "alice-secret");
    let cancel = cancel_of(&invite);
    alice.wire.send(&invite);
    alice.wire.send(&cancel);
    let ok = alice.wire.receive("SIP/2.0 200");
    let (ok, other) = match header(&ok, "CSeq") {
        Some(of) if of.ends_with("INVITE") => (ok, None),
        _ => (alice.wire.receive("SIP/2.0 200"), Some(ok)),
    };
    drop(other);
    assert!(header(&ok, "CSeq").is_some_and(|of| of.ends_with("INVITE")), "the call is up all the same: {ok}");

    // Nobody picks up here: the CANCEL ends it.
    let mut bob = Agent::new(Wire::udp(switch.sip("udp")), "bob").ringing();
    bob.register(600);
    let bob = bob.serve();
    let request = alice.request("INVITE", "sip:1002@example.com", extra, &description(None, "sendrecv"));
    let challenge = alice.ask(&request);
    let invite = alice.signed(&request, &challenge, "alice-secret");
    alice.wire.send(&invite);
    alice.wire.receive("SIP/2.0 180");
    alice.wire.send(&cancel_of(&invite));
    alice.wire.receive("SIP/2.0 487");
    let mut bob = bob.back();
    bob.expect("CANCEL");
}

#[test]
fn credentials_for_another_uri_do_not_count() {
    let switch = Switch::start(Config::lab());
    let mut alice = Agent::new(Wire::udp(switch.sip("udp")), "alice");
    let request = alice.request("REGISTER", "sip:example.com", "Expires: 600\n", "");
    let challenge = alice.ask(&request);

    let elsewhere = credentials("INVITE sip:bob@example.com SIP/2.0", &challenge, "alice", "alice-secret");
    let good = alice.signed(&request, &challenge, "alice-secret");
    let line = good.lines().find(|line| line.starts_with("Authorization")).expect("credentials").to_owned();
    let answer = alice.ask(&good.replace(&line, &format!("Authorization: {elsewhere}")));
    assert!(matches!(status(&answer), Some(400 | 401 | 403)), "{answer}");
}
