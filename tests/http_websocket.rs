//! SIP over WebSocket (RFC 7118), with a foreign WebSocket client.

mod support;

use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use support::config::Config;
use support::sipp::SippRun;
use support::switch::Switch;
use support::wire::{Rtp, Wire, header, status};
use support::{PATIENCE, until};

const OPTIONS: &str = "\
OPTIONS sip:example.com SIP/2.0
Via: SIP/2.0/{transport} client.invalid;branch=z9hG4bK-ws-NUMBER
From: <sip:alice@example.com>;tag=1
To: <sip:example.com>
Call-ID: ws-NUMBER
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

";

fn options(number: u32) -> String {
    OPTIONS.replace("NUMBER", &number.to_string())
}

/// What an upgrade that is to be refused gets.
fn upgrade(switch: &Switch, offered: Option<&str>) -> ureq::http::Response<ureq::Body> {
    let mut request = ureq::get(format!("http://{}/sip", switch.http()))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some(offered) = offered {
        request = request.header("Sec-WebSocket-Protocol", offered);
    }
    request.config().http_status_as_error(false).build().call().expect("an answer")
}

#[test]
fn a_frame_is_a_message_and_its_answer_comes_back_on_the_connection() {
    let switch = Switch::start(Config::lab().set("node", "shards", "2"));
    let mut client = Wire::websocket(switch.http(), "/sip");

    // Eight Call-IDs, so that both shards answer.
    for number in 0..8 {
        client.send(&options(number));
        let answer = client.receive("SIP/2.0");
        assert_eq!(status(&answer), Some(200), "{answer}");
        assert_eq!(header(&answer, "Call-ID"), Some(format!("ws-{number}").as_str()), "{answer}");
        assert!(header(&answer, "Via").is_some_and(|via| via.contains("received=127.0.0.1")), "{answer}");
    }
}

#[test]
fn a_keep_alive_is_answered() {
    let switch = Switch::start(Config::lab());
    let mut client = Wire::websocket(switch.http(), "/sip");

    client.send_bytes(b"\r\n\r\n");
    assert_eq!(client.receive_within(PATIENCE).as_deref(), Some("\r\n"));
}

#[test]
fn a_message_that_cannot_be_read_is_refused_and_the_connection_goes_on() {
    let switch = Switch::start(Config::lab());
    let mut client = Wire::websocket(switch.http(), "/sip");

    client.send(&options(1).replace("CSeq: 1 OPTIONS", "CSeq: one OPTIONS"));
    let refusal = client.receive("SIP/2.0");
    assert_eq!(status(&refusal), Some(400), "{refusal}");
    client.send(&options(2));
    assert_eq!(status(&client.receive("SIP/2.0")), Some(200));
}

#[test]
fn an_upgrade_without_the_subprotocol_is_refused() {
    let switch = Switch::start(Config::lab());

    for offered in [None, Some("chat"), Some("sipx, mqtt")] {
        let answer = upgrade(&switch, offered);
        assert_eq!(answer.status(), 400, "{offered:?}");
    }
}

#[test]
fn a_frame_past_the_bound_ends_the_connection() {
    let switch = Switch::start(Config::lab());
    let mut client = Wire::websocket(switch.http(), "/sip");

    client.send_bytes(&[b'x'; (64 << 10) + 1]);
    assert!(client.is_closed());
    let none_left = until(PATIENCE, || (switch.get("/api/status").1["websockets"] == 0).then_some(()));
    assert!(none_left.is_some(), "{}", switch.get("/api/status").1);
}

#[test]
fn no_more_connections_are_taken_than_the_configuration_allows() {
    let switch = Switch::start(Config::lab().set("sip", "max_connections", "2"));
    let held: Vec<_> = (0..2).map(|_| Wire::websocket(switch.http(), "/sip")).collect();

    let refusal = upgrade(&switch, Some("sip"));
    assert_eq!(refusal.status(), 503);
    assert!(refusal.headers().contains_key("Retry-After"));
    assert_eq!(switch.get("/api/status").1["websockets"], 2);

    drop(held);
    let none_left = until(PATIENCE, || (switch.get("/api/status").1["websockets"] == 0).then_some(()));
    assert!(none_left.is_some(), "closed connections leave their places");
    Wire::websocket(switch.http(), "/sip");
}

const REGISTER: &str = "\
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/WS client.invalid;branch=z9hG4bK-reg-SEQUENCE
From: <sip:bob@example.com>;tag=bob
To: <sip:bob@example.com>
Call-ID: ws-register
CSeq: SEQUENCE REGISTER
Contact: <sip:bob@client.invalid;transport=ws>
Max-Forwards: 70
CREDENTIALSExpires: 300
Content-Length: 0

";

/// Registers bob over the connection, whose own address nobody else could reach (RFC 7118 section 5).
fn register(client: &mut Wire) {
    let with =
        |sequence: &str, credentials: &str| REGISTER.replace("SEQUENCE", sequence).replace("CREDENTIALS", credentials);
    client.send(&with("1", ""));
    let challenge = client.receive("SIP/2.0 401");
    let value = header(&challenge, "WWW-Authenticate").expect("a challenge").as_bytes();
    let account = Account {
        peer: "switch".to_owned(),
        realm: Some("example.com".to_owned()),
        username: "bob".to_owned(),
        secret: Secret::Password("bob-secret".to_owned()),
    };
    let mut answerer = Answerer::new(account, &[7; 32]);
    let (mut attempt, by) = (Attempt::default(), ChallengedBy::Server);
    let answer = answerer.answer(&mut attempt, "switch", by, &[value], "REGISTER", "sip:example.com");
    client.send(&with("2", &format!("Authorization: {}\n", answer.expect("an answer"))));
    let done = client.receive("SIP/2.0");
    assert_eq!(status(&done), Some(200), "{done}");
}

/// Answers a request with the headers that an answer copies (RFC 3261 section 8.2.6.2), and these lines.
fn answer(client: &mut Wire, request: &str, status: &str, rest: &str) {
    let copied: String = request
        .lines()
        .filter(|line| {
            ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"].iter().any(|name| line.starts_with(name))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let to = header(request, "To").expect("To");
    let to = if to.contains("tag=") { to.to_owned() } else { format!("{to};tag=bob") };
    client.send(&format!("SIP/2.0 {status}\n{copied}To: {to}\n{rest}"));
}

#[test]
fn a_phone_behind_a_websocket_is_called_over_its_connection() {
    let switch = Switch::start(Config::for_sipp());
    let mut bob = Wire::websocket(switch.http(), "/sip");
    register(&mut bob);
    let media = Rtp::new(440.0);

    let caller = SippRun::new("uac_call", switch.sip("udp")).by_user("alice").service("1002").pause_ms(200).start();
    let invite = bob.receive("INVITE ");
    assert!(invite.contains("Via: SIP/2.0/WS ") && invite.contains(" UDP/TLS/RTP/SAVPF "), "{invite}");
    // No browser: a phone that does not know this transport.
    answer(&mut bob, &invite, "488 Not Acceptable Here", "Content-Length: 0\n\n");
    let invite = bob.receive("INVITE ");
    assert!(invite.contains("m=audio ") && invite.contains(" RTP/AVP "), "{invite}");
    let sdp = format!(
        "v=0\r\no=bob 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
        media.local().port()
    );
    let body = format!(
        "Contact: <sip:bob@client.invalid;transport=ws>\nContent-Type: application/sdp\nContent-Length: {}\n\n{sdp}",
        sdp.len()
    );
    answer(&mut bob, &invite, "200 OK", &body);
    bob.receive("ACK ");
    let bye = bob.receive("BYE ");
    answer(&mut bob, &bye, "200 OK", "Content-Length: 0\n\n");
    caller.finish();
}

#[test]
fn a_phone_whose_websocket_closed_is_reached_no_more() {
    let switch = Switch::start(Config::for_sipp());
    let mut bob = Wire::websocket(switch.http(), "/sip");
    register(&mut bob);
    drop(bob);
    let gone = until(PATIENCE, || (switch.get("/api/status").1["websockets"] == 0).then_some(()));
    assert!(gone.is_some(), "{}", switch.get("/api/status").1);

    // The caller hears at once that bob is not there, and not after the 32 s of a request that nobody answers.
    let caller = SippRun::new("uac_call", switch.sip("udp")).by_user("alice").service("1002").start();
    let (_, _, story) = caller.outcome();
    assert!(["480", "500"].iter().any(|status| story.contains(&format!("received 'SIP/2.0 {status}"))), "{story}");
}
