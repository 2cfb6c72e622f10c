//! Gateways are asked whether they are there, registered with, kept to their limits, and drained by an operator.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use sip::auth::{Algorithm, Challenger, Realm, Request, Secret, Verdict};
use support::carrier::{Place, entry, lab};
use support::party::{Party, SDP, callee_end, end_of, idle};
use support::switch::Switch;
use support::wire::{header, status};
use support::{PATIENCE, until};

/// Asked often, so that a test sees what takes minutes in the field.
const OFTEN: &str = "probe = \"200ms\"\nprobe_patience = \"150ms\"\nprobe_rest = \"1s\"\n";

/// What `GET /api/gateways` says of one.
fn gateway(switch: &Switch, name: &str) -> Value {
    let all = switch.get("/api/gateways").1["gateways"].clone();
    let found = all.as_array().and_then(|all| all.iter().find(|one| one["name"] == name).cloned());
    found.unwrap_or_else(|| panic!("no gateway {name}: {all}"))
}

fn becomes(switch: &Switch, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let found = until(PATIENCE, || Some(gateway(switch, name)).filter(&fits));
    found.unwrap_or_else(|| panic!("{name} has not become so: {}", gateway(switch, name)))
}

/// The carrier answers every OPTIONS with this, until the gateway is so.
fn answering(carrier: &mut Party, answer: &str, is_so: impl Fn() -> bool) {
    let seen = until(PATIENCE, || {
        if let Some(request) = carrier.wire.receive_within(Duration::from_millis(300))
            && request.starts_with("OPTIONS")
        {
            carrier.reply(&request, answer, "", "");
        }
        is_so().then_some(())
    });
    assert!(seen.is_some(), "not so after {PATIENCE:?} of answers {answer}");
}

#[test]
fn a_gateway_that_stops_answering_is_gone_and_is_back_when_it_answers_again() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(lab(&[first.entry("first", OFTEN), second.entry("second", "probe = \"0s\"")]));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let state = |wanted: &str| gateway(&switch, "first")["state"] == wanted;

    // What it says does not matter: 404 is a sign of life.
    answering(&mut first, "404 Not Found", || gateway(&switch, "first")["round_trip_ms"].is_number());
    assert!(state("in-service"));
    let options = first.wire.receive("OPTIONS");
    assert!(options.starts_with(&format!("OPTIONS sip:{} SIP/2.0", first.wire.local())), "{options}");

    // Silence: it is gone after three, and calls go to the other first.
    becomes(&switch, "first", |one| one["state"] == "failed");
    let mut alice = Party::new(&switch, "alice");
    alice.call("955", "");
    let invite = second.wire.receive("INVITE");
    second.reply(&invite, "486 Busy Here", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(486));
    let metrics = switch.get_as_stranger("/metrics").1.to_string();
    assert!(metrics.contains("strowger_gateway_up{gateway=\\\"first\\\"} 0"), "the metric tells it");

    // 503 says that it takes no calls; 200 that it does, twice.
    answering(&mut first, "503 Service Unavailable", || {
        gateway(&switch, "first")["trouble"].to_string().contains("503")
    });
    assert!(state("failed"));
    answering(&mut first, "200 OK", || state("in-service"));
    assert!(gateway(&switch, "second")["probes"] == 0, "who is not to be asked is not asked");
}

#[test]
fn a_gateway_that_is_alone_is_tried_although_it_counts_as_gone() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", OFTEN)]));
    let mut carrier = place.party(&switch);
    becomes(&switch, "carrier", |one| one["state"] == "failed");

    let mut alice = Party::new(&switch, "alice");
    alice.call("955", "");
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "603 Decline", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(603));
}

#[test]
fn a_gateway_takes_no_more_calls_than_it_has_channels() {
    let place = Place::at(2);
    let settings = "probe = \"0s\"\nchannels_max = 1";
    let switch = Switch::start(lab(&[place.entry("carrier", settings)]));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));

    alice.call("955", "");
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    carrier.wire.receive("ACK");
    assert_eq!(gateway(&switch, "carrier")["state"], "busy");

    let mut bob = Party::registered(&switch, "bob");
    bob.call("955", "");
    let answer = bob.answer_to("INVITE", 300);
    assert_eq!(status(&answer), Some(503), "{answer}");
    assert!(header(&answer, "Reason").is_some_and(|reason| reason.contains("cause=34")), "{answer}");
    // Its own calls count as well.
    let theirs = carrier.request("INVITE", "sip:1002@example.com", 1, 91_000, "", SDP);
    carrier.wire.send(&theirs);
    assert_eq!(status(&carrier.answer_to("INVITE", 200)), Some(503));

    let mut far = callee_end(&carrier, &invite);
    carrier.say(&mut far, "BYE", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
    let now = gateway(&switch, "carrier");
    assert_eq!((&now["channels"], &now["answered"]), (&json!(0), &json!(1)), "{now}");
}

#[test]
fn calls_past_the_pace_go_to_the_next_gateway() {
    let (first, second) = (Place::at(2), Place::at(3));
    let switch = Switch::start(lab(&[
        first.entry("first", "probe = \"0s\"\ncalls_per_second = 1"),
        second.entry("second", "probe = \"0s\""),
    ]));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::new(&switch, "bob"));

    let one = alice.call("955", "");
    first.wire.receive("INVITE");
    let two = bob.call("955", "");
    second.wire.receive("INVITE");

    assert_eq!(gateway(&switch, "first")["refused"], 1);
    alice.cancel(&one);
    bob.cancel(&two);
}

#[test]
fn an_operator_drains_a_gateway_and_enables_it_again() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", "probe = \"0s\"")]));
    let (mut carrier, mut alice) = (place.party(&switch), Party::new(&switch, "alice"));

    let said = switch.command(&["gateways", "drain", "carrier"]);
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("draining"), "{said:?}");
    alice.call("955", "");
    let answer = alice.answer_to("INVITE", 300);
    assert_eq!(status(&answer), Some(503), "{answer}");
    assert!(answer.starts_with("SIP/2.0 503 No Gateway In Service"), "{answer}");

    switch.command(&["gateways", "enable", "carrier"]);
    let mut bob = Party::registered(&switch, "bob");
    bob.call("955", "");
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "486 Busy Here", "", "");
    assert_eq!(status(&bob.answer_to("INVITE", 300)), Some(486));
    let (status, answer) = switch.post("/api/gateways/nobody", &json!({ "do": "drain" }));
    assert_eq!(status, 404, "{answer}");
}

/// The carrier's next request of this method that is not one of before once more.
fn next(carrier: &mut Party, method: &str, before: &str) -> String {
    loop {
        let request = carrier.wire.receive(method);
        if header(&request, "CSeq") != header(before, "CSeq") {
            return request;
        }
    }
}

/// The carrier's side of digest.
struct Desk {
    challenger: Challenger,
}

impl Desk {
    fn new() -> Self {
        let realm = Realm {
            name: "carrier".into(),
            algorithms: vec![Algorithm::Md5],
            nonce_lifetime_ms: 60_000,
            replay_entries_max: 100,
            userhash: false,
        };
        Self { challenger: Challenger::new(realm, &[5; 32], 1) }
    }

    fn challenge(&mut self, header: &str) -> String {
        self.challenger.challenge_values(0, b"", false).iter().map(|value| format!("{header}: {value}\n")).collect()
    }

    /// Whether a request proves our account; the header that must do so is named.
    fn is_proved(&mut self, request: &str, name: &str) -> bool {
        let (method, rest) = request.split_once(' ').expect("a request line");
        let uri = rest.split(' ').next().expect("a Request-URI");
        let Some(value) = header(request, name) else { return false };
        let secret = |user: &str, _: &str| (user == "0391234567").then(|| Secret::Password("carrier-secret".into()));
        let asked = Request { method, uri: uri.as_bytes(), scope: b"" };
        self.challenger.verify(1, &asked, value.as_bytes(), &secret) == Verdict::Ok { user: "0391234567".into() }
    }
}

const ACCOUNT: &str = "probe = \"0s\"\nusername = \"0391234567\"\npassword = \"carrier-secret\"\n";

#[test]
fn the_switch_registers_with_a_carrier_that_challenges_and_takes_it_back_when_it_stops() {
    let place = Place::at(2);
    let mut switch = Switch::start(lab(&[place.entry("carrier", &format!("{ACCOUNT}register = true"))]));
    let (mut carrier, mut desk) = (place.party(&switch), Desk::new());

    let first = carrier.wire.receive("REGISTER");
    assert!(header(&first, "Authorization").is_none(), "{first}");
    carrier.reply(&first, "401 Unauthorized", &desk.challenge("WWW-Authenticate"), "");
    let brief = next(&mut carrier, "REGISTER", &first);
    assert!(desk.is_proved(&brief, "Authorization"), "{brief}");
    assert_eq!(header(&brief, "Call-ID"), header(&first, "Call-ID"));
    assert_eq!(header(&brief, "CSeq"), Some("2 REGISTER"));
    carrier.reply(&brief, "423 Interval Too Brief", "Min-Expires: 7200\n", "");
    let asked = next(&mut carrier, "REGISTER", &brief);
    assert_eq!(header(&asked, "Expires"), Some("7200"), "{asked}");
    assert!(gateway(&switch, "carrier")["state"] == "failed", "who is not registered takes no calls");
    let contact = header(&asked, "Contact").expect("Contact").to_owned();
    // Two seconds, so that the refresh is seen: it comes after half of a short time.
    carrier.reply(&asked, "200 OK", &format!("Contact: {contact};expires=2\n"), "");
    becomes(&switch, "carrier", |one| one["registered"] == true && one["state"] == "in-service");
    let refresh = next(&mut carrier, "REGISTER", &asked);
    assert!(desk.is_proved(&refresh, "Authorization"), "the nonce of before serves: {refresh}");
    assert_eq!(header(&refresh, "CSeq"), Some("4 REGISTER"));
    carrier.reply(&refresh, "200 OK", &format!("Contact: {contact};expires=600\n"), "");

    switch.signal("TERM");
    let last = next(&mut carrier, "REGISTER", &refresh);
    assert_eq!(header(&last, "Expires"), Some("0"), "{last}");
    carrier.reply(&last, "200 OK", "", "");
    assert_eq!(switch.ended(), Some(0));
}

#[test]
fn an_invite_that_a_carrier_challenges_goes_once_more_with_the_answer() {
    let place = Place::at(2);
    let switch = Switch::start(lab(&[place.entry("carrier", ACCOUNT)]));
    let (mut carrier, mut desk, mut alice) = (place.party(&switch), Desk::new(), Party::new(&switch, "alice"));

    alice.call("955", "");
    let first = carrier.wire.receive("INVITE");
    carrier.reply(&first, "407 Proxy Authentication Required", &desk.challenge("Proxy-Authenticate"), "");
    carrier.wire.receive("ACK");
    let again = next(&mut carrier, "INVITE", &first);

    assert!(desk.is_proved(&again, "Proxy-Authorization"), "{again}");
    assert_eq!(header(&again, "Call-ID"), header(&first, "Call-ID"));
    assert_eq!(header(&again, "CSeq"), Some("2 INVITE"));
    carrier.reply(&again, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    assert_eq!(header(&carrier.wire.receive("ACK"), "CSeq"), Some("2 ACK"));
    alice.say(&mut end, "BYE", "", "");
    let bye = carrier.wire.receive("BYE");
    carrier.reply(&bye, "200 OK", "", "");
    idle(&switch);

    // A password that the carrier does not take is told as the switch's own trouble, and not tried for ever.
    let mut bob = Party::registered(&switch, "bob");
    bob.call("955", "");
    let mut before = String::from("CSeq: 0 NONE\n");
    for _ in 0..2 {
        let invite = next(&mut carrier, "INVITE", &before);
        before.clone_from(&invite);
        carrier.reply(&invite, "401 Unauthorized", &Desk::new().challenge("WWW-Authenticate"), "");
        carrier.wire.receive("ACK");
    }
    assert_eq!(status(&bob.answer_to("INVITE", 300)), Some(480));
}

#[test]
fn a_tls_carrier_with_a_wrong_certificate_gives_way() {
    let room = tempfile::tempdir().expect("a folder");
    let (authority, key) = (room.path().join("ca.pem"), rcgen::KeyPair::generate().expect("a key"));
    let names = vec!["sip.carrier.example".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
    std::fs::write(&authority, certificate.pem()).expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.2:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    let served = std::thread::spawn(move || serve_tls(&listener, &certificate, &key));
    let second = Place::at(3);
    // It is trusted, but it is not the carrier that it should be.
    let wrong = "probe = \"0s\"\ntransport = \"tls\"\ncertificate = \"sip.other.example\"";
    let config = lab(&[entry("first", address, wrong), second.entry("second", "probe = \"0s\"")]);
    let switch = Switch::start(config.set("tls", "server_ca", &format!("{:?}", authority.display().to_string())));
    let (mut second, mut alice) = (second.party(&switch), Party::new(&switch, "alice"));

    alice.call("955", "");
    let invite = second.wire.receive("INVITE");

    second.reply(&invite, "486 Busy Here", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 300)), Some(486));
    assert!(!served.join().expect("the carrier ends"), "the handshake was to fail");
}

/// Takes one TLS connection; whether its handshake succeeds.
fn serve_tls(listener: &std::net::TcpListener, certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> bool {
    let chain = vec![certificate.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("ring knows them").with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let (mut stream, _) = listener.accept().expect("the switch connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).expect("a server");
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    true
}

/// A certificate authority and a certificate of this name, which it has signed.
struct Proved {
    authority: rcgen::Certificate,
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Proved {
    fn of(name: &str) -> Self {
        let own = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&own).expect("an authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let issuer = rcgen::Issuer::from_params(&params, &own);
        let certificate = names.signed_by(&key, &issuer).expect("a certificate");
        Self { authority, certificate, key }
    }

    fn der(&self) -> (rustls::pki_types::CertificateDer<'static>, rustls::pki_types::PrivateKeyDer<'static>) {
        let key = rustls::pki_types::PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        (self.certificate.der().clone(), key)
    }
}

#[test]
fn a_gateway_is_known_by_the_name_that_its_certificate_proves_wherever_it_comes_from() {
    let room = tempfile::tempdir().expect("a folder");
    let (carrier, other) = (Proved::of("sip.carrier.example"), Proved::of("sip.other.example"));
    let authorities = room.path().join("clients.pem");
    std::fs::write(&authorities, carrier.authority.pem() + &other.authority.pem()).expect("written");
    let path = format!("{:?}", authorities.display().to_string());
    // At an address that nobody here comes from.
    let settings = "transport = \"tls\"\ncertificate = \"sip.carrier.example\"";
    let config = lab(&[entry("carrier", "127.0.0.77:5061".parse().expect("an address"), settings)]);
    let config = config.set("tls", "client_ca", &path).set("tls", "server_ca", &path);
    let switch = Switch::start(config.set("tls", "verify_client", "\"optional\""));
    let mut bob = Party::registered(&switch, "bob");
    let mut ask = |wire: support::wire::Wire, id: u32| {
        let mut party = Party::at(wire, "carol");
        let invite =
            party.request("INVITE", "sip:1002@example.com", 1, id, "", SDP).replace("SIP/2.0/UDP", "SIP/2.0/TLS");
        party.wire.send(&invite);
        if let Some(rings) = bob.wire.receive_within(Duration::from_millis(1_500)) {
            assert!(rings.starts_with("INVITE"), "{rings}");
            bob.reply(&rings, "486 Busy Here", "", "");
            bob.wire.receive("ACK");
        }
        status(&party.answer_to("INVITE", 200))
    };
    let with = |proof: &Proved| {
        let (certificate, key) = proof.der();
        support::wire::Wire::tls_proved(switch.sip("tls"), Some((vec![certificate], key)))
    };

    assert_eq!(ask(with(&carrier), 97_001), Some(486), "its call rings");
    assert_eq!(ask(with(&other), 97_002), Some(401), "another name that is proved is another");
    assert_eq!(ask(support::wire::Wire::tls(switch.sip("tls")), 97_003), Some(401), "nothing is proved");
    idle(&switch);
    assert_eq!(gateway(&switch, "carrier")["came"], 1);
}
