//! The server's half of digest accepts what a user proves now, once, and nothing else.

use std::cell::RefCell;

use md5::{Digest as _, Md5};
use proptest::prelude::*;
use sip::auth::{Algorithm, Challenger, Directory, HEADER_BYTES_MAX, Ha1, Realm, Request, Secret, Verdict};

const REALM: &str = "example.com";
const LIFETIME_MS: u64 = 300_000;
const KEY: [u8; 32] = [7; 32];

fn realm() -> Realm {
    Realm {
        name: REALM.into(),
        algorithms: vec![Algorithm::Md5, Algorithm::Sha512_256, Algorithm::Sha256],
        nonce_lifetime_ms: LIFETIME_MS,
        replay_entries_max: 100,
        userhash: true,
    }
}

fn challenger() -> Challenger {
    Challenger::new(realm(), &KEY, 1)
}

fn users(user: &str, realm: &str) -> Option<Secret> {
    match (user, realm) {
        ("alice", REALM) => Some(Secret::Password("alice-secret".into())),
        ("a\"b\\c", REALM) => Some(Secret::Password("odd".into())),
        ("kept", REALM) => Some(Secret::Ha1(Ha1::new("kept", REALM, "kept-secret"))),
        _ => None,
    }
}

const REGISTER: Request<'_> = Request { method: "REGISTER", uri: b"sip:example.com", scope: b"\xc0\x00\x02\x01" };

fn parameter<'a>(line: &'a str, name: &str) -> &'a str {
    let after = line.split(&format!("{name}=\"")).nth(1).expect("the parameter");
    after.split('"').next().expect("its end")
}

fn fresh_nonce(challenger: &mut Challenger, now_ms: u64) -> String {
    let lines = challenger.challenge_values(now_ms, REGISTER.scope, false);
    parameter(&lines[0], "nonce").to_owned()
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client of its own making: MD5 credentials of `user` (as written between the quotes) for `REGISTER`.
fn credentials(nonce: &str, count: u32, user: &str, password: &str) -> String {
    let plain = user.replace("\\\"", "\"").replace("\\\\", "\\");
    let ha1 = md5(&format!("{plain}:{REALM}:{password}"));
    let ha2 = md5("REGISTER:sip:example.com");
    let response = md5(&format!("{ha1}:{nonce}:{count:08x}:cn:auth:{ha2}"));
    format!(
        "Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"sip:example.com\", \
         response=\"{response}\", algorithm=MD5, cnonce=\"cn\", qop=auth, nc={count:08x}"
    )
}

fn judge(challenger: &mut Challenger, now_ms: u64, header: &str) -> Verdict {
    challenger.verify(now_ms, &REGISTER, header.as_bytes(), &users)
}

fn ok(user: &str) -> Verdict {
    Verdict::Ok { user: user.into() }
}

#[test]
fn a_challenge_offers_the_strongest_first_and_needs_no_memory() {
    let mut server = challenger();
    let lines = server.challenge_values(0, b"", true);
    let algorithms: Vec<_> =
        lines.iter().map(|line| line.split("algorithm=").nth(1).and_then(|l| l.split(',').next())).collect();
    assert_eq!(algorithms, [Some("SHA-512-256"), Some("SHA-256"), Some("MD5")]);
    assert!(lines.iter().all(|line| line.contains("stale=true") && line.contains("qop=\"auth\"")));
    (0..1000).for_each(|now| drop(server.challenge_values(now, b"", false)));
    assert_eq!(server.remembered(), 0);
}

#[test]
fn the_right_password_is_accepted_and_the_wrong_one_is_not() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    assert_eq!(judge(&mut server, 1, &credentials(&nonce, 1, "alice", "alice-secret")), ok("alice"));
    let wrong = Verdict::WrongPassword { user: "alice".into() };
    assert_eq!(judge(&mut server, 1, &credentials(&nonce, 2, "alice", "guess")), wrong);
    let unknown = Verdict::UnknownUser { user: "mallory".into() };
    assert_eq!(judge(&mut server, 1, &credentials(&nonce, 2, "mallory", "")), unknown, "not even with no password");
    assert_eq!(judge(&mut server, 1, &credentials(&nonce, 2, "kept", "kept-secret")), ok("kept"));
    assert_eq!(server.remembered(), 1, "wrong passwords take no memory");
}

#[test]
fn a_name_with_quotes_and_backslashes_is_compared_without_its_escapes() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    assert_eq!(judge(&mut server, 1, &credentials(&nonce, 1, r#"a\"b\\c"#, "odd")), ok("a\"b\\c"));
}

#[test]
fn a_request_that_is_sent_again_is_a_replay() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    let header = credentials(&nonce, 1, "alice", "alice-secret");
    assert_eq!(judge(&mut server, 1, &header), ok("alice"));
    assert_eq!(judge(&mut server, 2, &header), Verdict::Replayed);
    assert_eq!(judge(&mut server, 3, &credentials(&nonce, 2, "alice", "alice-secret")), ok("alice"));
    assert_eq!(judge(&mut server, 3, &header), Verdict::Replayed);
}

#[test]
fn counts_may_arrive_out_of_order_within_the_window_each_once() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    let mut count = |count| judge(&mut server, 1, &credentials(&nonce, count, "alice", "alice-secret"));
    assert_eq!(count(100), ok("alice"));
    assert_eq!(count(37), ok("alice"), "63 behind is the edge of the window");
    assert_eq!(count(36), Verdict::Replayed, "64 behind is past it");
    assert_eq!(count(37), Verdict::Replayed);
    assert_eq!(count(99), ok("alice"));
    assert_eq!(count(u32::MAX), ok("alice"), "a leap empties the window");
    assert_eq!(count(100), Verdict::Replayed);
    assert_eq!(count(u32::MAX - 1), ok("alice"));
}

#[test]
fn a_nonce_dies_of_age_and_its_owner_is_told_that_it_is_stale() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 1_000);
    let header = credentials(&nonce, 1, "alice", "alice-secret");
    assert_eq!(judge(&mut server, 1_000 + LIFETIME_MS, &header), Verdict::Stale);
    assert_eq!(judge(&mut server, 999 + LIFETIME_MS, &header), ok("alice"));
}

#[test]
fn a_nonce_that_we_did_not_make_for_this_source_is_not_taken() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    let header = credentials(&nonce, 1, "alice", "alice-secret");
    let elsewhere = Request { scope: b"\xc0\x00\x02\x02", ..REGISTER };
    assert_eq!(server.verify(1, &elsewhere, header.as_bytes(), &users), Verdict::Stale);
    for at in 0..nonce.len() {
        let mut forged = nonce.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        assert_eq!(judge(&mut server, 1, &credentials(&forged, 1, "alice", "alice-secret")), Verdict::Stale, "{at}");
    }
    for forged in ["", "x", &"A".repeat(43), &"A".repeat(4000)] {
        let verdict = judge(&mut server, 1, &credentials(forged, 1, "alice", "alice-secret"));
        assert!(matches!(verdict, Verdict::Stale | Verdict::Malformed(_) | Verdict::NoCredentials), "{verdict:?}");
    }
    let mut other_key = Challenger::new(realm(), &[8; 32], 1);
    assert_eq!(judge(&mut other_key, 1, &header), Verdict::Stale);
    let mut other_realm = Challenger::new(Realm { name: "example.org".into(), ..realm() }, &KEY, 1);
    let moved = header.replace("realm=\"example.com\"", "realm=\"example.org\"");
    assert_eq!(judge(&mut other_realm, 1, &moved), Verdict::Stale);
    assert_eq!(judge(&mut server, 1, &header), ok("alice"), "the true one still works");
}

#[test]
fn a_nonce_of_a_clock_that_was_set_back_far_is_stale() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 100_000);
    assert_eq!(judge(&mut server, 90_000, &credentials(&nonce, 1, "alice", "alice-secret")), Verdict::Stale);
    assert_eq!(judge(&mut server, 96_000, &credentials(&nonce, 1, "alice", "alice-secret")), ok("alice"));
}

#[test]
fn memory_is_bounded_and_a_forgotten_nonce_is_never_taken_again() {
    let mut server = challenger();
    let headers: Vec<String> = (0..500)
        .map(|now| {
            let nonce = fresh_nonce(&mut server, now);
            credentials(&nonce, 1, "alice", "alice-secret")
        })
        .collect();
    for header in &headers {
        assert_eq!(judge(&mut server, 500, header), ok("alice"));
        assert!(server.remembered() <= 100);
    }
    for (index, header) in headers.iter().enumerate() {
        let wanted = if index < 400 { Verdict::Stale } else { Verdict::Replayed };
        assert_eq!(judge(&mut server, 501, header), wanted, "{index}");
    }
}

#[test]
fn a_dead_nonce_does_not_rise_when_the_clock_is_set_back() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 1_000);
    let header = credentials(&nonce, 1, "alice", "alice-secret");
    assert_eq!(judge(&mut server, 1_000, &header), ok("alice"));
    let later = fresh_nonce(&mut server, 1_000 + LIFETIME_MS);
    assert_eq!(judge(&mut server, 1_000 + LIFETIME_MS, &credentials(&later, 1, "alice", "alice-secret")), ok("alice"));
    assert_eq!(judge(&mut server, 2_000, &header), Verdict::Stale);
}

#[test]
fn the_digest_uri_may_differ_in_form_but_not_in_target() {
    let mut server = challenger();
    let table: &[(&str, &str, bool)] = &[
        ("sip:example.com", "sip:example.com", true),
        ("<sip:example.com>", "sip:example.com", true),
        ("sip:EXAMPLE.com:5060;transport=udp", "sip:example.com", true),
        ("sips:example.com:5061", "sip:example.com", true),
        ("sip:alice@example.com", "sip:alice@example.com;user=phone", true),
        ("sip:a;b?c@example.com", "sip:a;b?c@example.com", true),
        ("sip:[2001:DB8::1]", "sip:[2001:db8::1]:5060", true),
        ("tel:+1-201-555-0123", "tel:+12015550123;phone-context=x", true),
        ("sip:alice@example.com", "sip:Alice@example.com", false),
        ("sip:alice@example.com", "sip:bob@example.com", false),
        ("sip:example.com:5070", "sip:example.com", false),
        ("sip:example.org", "sip:example.com", false),
        ("tel:+12015550123", "sip:+12015550123@example.com", false),
        ("nonsense", "sip:example.com", false),
    ];
    for (written, requested, same) in table {
        let nonce = fresh_nonce(&mut server, 0);
        let ha1 = md5(&format!("alice:{REALM}:alice-secret"));
        let ha2 = md5(&format!("REGISTER:{written}"));
        let response = md5(&format!("{ha1}:{nonce}:00000001:cn:auth:{ha2}"));
        let header = credentials(&nonce, 1, "alice", "")
            .replace("uri=\"sip:example.com\"", &format!("uri=\"{written}\""))
            .replace(parameter(&credentials(&nonce, 1, "alice", ""), "response"), &response);
        let request = Request { uri: requested.as_bytes(), ..REGISTER };
        let verdict = server.verify(1, &request, header.as_bytes(), &users);
        let wanted = if *same { ok("alice") } else { Verdict::Malformed("uri is not the Request-URI") };
        assert_eq!(verdict, wanted, "{written} for {requested}");
    }
}

#[test]
fn credentials_that_are_not_ours_or_not_sound_are_told_apart() {
    let mut server = challenger();
    let nonce = fresh_nonce(&mut server, 0);
    let sound = credentials(&nonce, 1, "alice", "alice-secret");
    let mut verdict = |header: String| judge(&mut server, 1, &header);
    assert_eq!(verdict("Basic YWxpY2U6eA==".into()), Verdict::NoCredentials);
    assert_eq!(verdict(String::new()), Verdict::NoCredentials);
    assert_eq!(verdict(sound.replace("\"example.com\"", "\"Example.com\"")), Verdict::NoCredentials);
    assert_eq!(verdict(format!("{sound}, x=\"{}\"", "y".repeat(HEADER_BYTES_MAX))), Verdict::NoCredentials);
    assert_eq!(verdict(sound.replace(", qop=auth", "")), Verdict::Malformed("qop is missing; auth is required"));
    assert_eq!(verdict(sound.replace("qop=auth", "qop=auth-int")), Verdict::Malformed("qop is not auth"));
    assert_eq!(verdict(sound.replace("=MD5", "=MD5-sess")), Verdict::Malformed("algorithm is unknown"));
    assert_eq!(verdict(format!("{sound}, nc=00000002")), Verdict::Malformed("a parameter is there twice"));
    assert_eq!(verdict(sound.replace("00000001", "00000000")), Verdict::Malformed("nc is no hexadecimal count from 1"));
    assert_eq!(verdict(sound.replace("cnonce=\"cn\", ", "")), Verdict::Malformed("cnonce is missing"));
    assert_eq!(verdict(format!("{sound}, broken")), Verdict::Malformed("credentials are no list of parameters"));
    assert_eq!(verdict(format!("{sound}, opaque=\"other\"")), Verdict::Stale);
    assert_eq!(verdict(sound), ok("alice"), "none of these used the count up");
}

#[test]
fn an_algorithm_that_is_not_offered_is_not_taken() {
    let mut strict = Challenger::new(Realm { algorithms: vec![Algorithm::Sha256], ..realm() }, &KEY, 1);
    let nonce = fresh_nonce(&mut strict, 0);
    let verdict = judge(&mut strict, 1, &credentials(&nonce, 1, "alice", "alice-secret"));
    assert_eq!(verdict, Verdict::Malformed("algorithm was not offered"));
}

/// A directory that knows alice by her hash, and writes down what it was asked.
struct Hashed(RefCell<Vec<String>>);

impl Directory for Hashed {
    fn secret(&self, user: &str, realm: &str) -> Option<Secret> {
        self.0.borrow_mut().push(user.to_owned());
        users(user, realm)
    }

    fn user_of_hash(&self, _algorithm: Algorithm, hash: &str, realm: &str) -> Option<String> {
        (hash == md5(&format!("alice:{realm}"))).then(|| "alice".to_owned())
    }
}

#[test]
fn a_hashed_user_name_is_found_when_the_realm_allows_it() {
    let nonce_and_header = |server: &mut Challenger| {
        let nonce = fresh_nonce(server, 0);
        let hash = md5(&format!("alice:{REALM}"));
        credentials(&nonce, 1, "alice", "alice-secret").replace("\"alice\"", &format!("\"{hash}\", userhash=true"))
    };
    let directory = Hashed(RefCell::new(Vec::new()));
    let mut server = challenger();
    let header = nonce_and_header(&mut server);
    assert_eq!(server.verify(1, &REGISTER, header.as_bytes(), &directory), ok("alice"));
    assert_eq!(*directory.0.borrow(), ["alice"]);
    let mut plain = Challenger::new(Realm { userhash: false, ..realm() }, &KEY, 1);
    let header = nonce_and_header(&mut plain);
    let verdict = plain.verify(1, &REGISTER, header.as_bytes(), &directory);
    assert!(matches!(verdict, Verdict::UnknownUser { .. }), "{verdict:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_it_panic_or_lets_another_user_in(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let mut server = challenger();
        let nonce = fresh_nonce(&mut server, 0);
        let mut bytes = credentials(&nonce, 1, "alice", "alice-secret").into_bytes();
        for (index, byte, how) in damage {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let verdict = server.verify(1, &REGISTER, &bytes, &users);
        if let Verdict::Ok { user } = verdict {
            prop_assert_eq!(user, "alice");
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut header = b"Digest ".to_vec();
        header.extend(bytes);
        let verdict = challenger().verify(1, &REGISTER, &header, &users);
        let refused = matches!(verdict, Verdict::Malformed(_) | Verdict::NoCredentials);
        prop_assert!(refused, "{:?}", verdict);
    }
}
