//! The client's half of digest answers its own peer, in the strongest way, and gives up in time.

use proptest::prelude::*;
use sip::auth::{
    ANSWERS_MAX, Account, Algorithm, Answerer, Attempt, ChallengedBy, Challenger, GiveUp, Realm, Request, Secret,
    Verdict,
};

const TRUNK: &str = "trunk-1";
const URI: &str = "sip:+12015550123@example.net";
const INVITE: Request<'_> = Request { method: "INVITE", uri: URI.as_bytes(), scope: b"" };

fn server(algorithms: &[Algorithm], lifetime_ms: u64) -> Challenger {
    let realm = Realm {
        name: "pbx \"one\"".into(),
        algorithms: algorithms.to_vec(),
        nonce_lifetime_ms: lifetime_ms,
        replay_entries_max: 100,
        userhash: false,
    };
    Challenger::new(realm, &[1; 32], 1)
}

fn client(realm: Option<&str>) -> Answerer {
    let account = Account {
        peer: TRUNK.into(),
        realm: realm.map(str::to_owned),
        username: "we\\us".into(),
        secret: Secret::Password("s3cret".into()),
    };
    Answerer::new(account, &[2; 32])
}

fn directory(user: &str, _realm: &str) -> Option<Secret> {
    (user == "we\\us").then(|| Secret::Password("s3cret".into()))
}

fn answer(client: &mut Answerer, attempt: &mut Attempt, lines: &[String]) -> Result<String, GiveUp> {
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    client.answer(attempt, TRUNK, ChallengedBy::Proxy, &lines, "INVITE", URI)
}

#[test]
fn what_the_server_offers_the_client_proves_in_the_strongest_algorithm() {
    for (algorithms, token) in [
        (vec![Algorithm::Md5], "algorithm=MD5"),
        (vec![Algorithm::Md5, Algorithm::Sha256], "algorithm=SHA-256"),
        (Algorithm::ALL.to_vec(), "algorithm=SHA-512-256"),
    ] {
        let (mut server, mut client) = (server(&algorithms, 1000), client(Some("pbx \"one\"")));
        let lines = server.challenge_values(0, b"", false);
        let value = answer(&mut client, &mut Attempt::default(), &lines).expect("an answer");
        assert!(value.contains(token), "{value}");
        let verdict = server.verify(1, &INVITE, value.as_bytes(), &directory);
        assert_eq!(verdict, Verdict::Ok { user: "we\\us".into() });
    }
}

#[test]
fn the_next_requests_use_the_nonce_on_and_count_it() {
    let (mut server, mut client) = (server(&[Algorithm::Sha256], 1000), client(None));
    assert_eq!(client.anticipate(&mut Attempt::default(), "INVITE", URI), None, "nobody asked yet");
    let lines = server.challenge_values(0, b"", false);
    answer(&mut client, &mut Attempt::default(), &lines).expect("an answer");
    for count in 2..20 {
        let (by, value) = client.anticipate(&mut Attempt::default(), "INVITE", URI).expect("a nonce is held");
        assert_eq!(by, ChallengedBy::Proxy);
        assert!(value.contains(&format!("nc={count:08x}")), "{value}");
        let verdict = server.verify(1, &INVITE, value.as_bytes(), &directory);
        assert_eq!(verdict, Verdict::Ok { user: "we\\us".into() });
    }
}

#[test]
fn another_peer_and_another_realm_get_nothing() {
    let lines = server(&[Algorithm::Md5], 1000).challenge_values(0, b"", false);
    let spans: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let by = ChallengedBy::Server;
    let other_peer = client(None).answer(&mut Attempt::default(), "trunk-2", by, &spans, "INVITE", URI);
    assert_eq!(other_peer, Err(GiveUp::OtherPeer));
    assert_eq!(answer(&mut client(Some("pbx")), &mut Attempt::default(), &lines), Err(GiveUp::OtherRealm));
}

#[test]
fn a_refused_answer_is_not_repeated_whether_the_nonce_is_the_same_or_new() {
    let mut server = server(&[Algorithm::Md5], 1000);
    for again in [true, false] {
        let (mut client, mut attempt) = (client(None), Attempt::default());
        let lines = server.challenge_values(0, b"", false);
        answer(&mut client, &mut attempt, &lines).expect("the first answer");
        let second = if again { lines } else { server.challenge_values(0, b"", false) };
        assert_eq!(answer(&mut client, &mut attempt, &second), Err(GiveUp::Refused));
        assert_eq!(client.anticipate(&mut Attempt::default(), "INVITE", URI), None, "the nonce is dropped");
    }
}

#[test]
fn an_anticipated_answer_that_is_refused_with_the_same_nonce_is_final_and_with_a_new_one_is_not() {
    let mut server = server(&[Algorithm::Md5], 1000);
    let lines = server.challenge_values(0, b"", false);
    for (second, wanted) in [(lines.clone(), Some(GiveUp::Refused)), (server.challenge_values(0, b"", false), None)] {
        let mut client = client(None);
        answer(&mut client, &mut Attempt::default(), &lines).expect("an answer");
        let mut attempt = Attempt::default();
        client.anticipate(&mut attempt, "INVITE", URI).expect("a nonce is held");
        assert_eq!(answer(&mut client, &mut attempt, &second).err(), wanted);
    }
}

#[test]
fn stale_nonces_are_replaced_but_not_for_ever() {
    let (mut server, mut client, mut attempt) = (server(&[Algorithm::Md5], 1000), client(None), Attempt::default());
    for _ in 0..ANSWERS_MAX {
        let lines = server.challenge_values(0, b"", true);
        answer(&mut client, &mut attempt, &lines).expect("a stale nonce is no refusal");
    }
    let lines = server.challenge_values(0, b"", true);
    assert_eq!(answer(&mut client, &mut attempt, &lines), Err(GiveUp::Endless));
}

#[test]
fn the_next_nonce_of_authentication_info_is_used_from_one_again_when_our_peer_gives_it() {
    let (mut server, mut client) = (server(&[Algorithm::Md5], 1000), client(None));
    let lines = server.challenge_values(0, b"", false);
    answer(&mut client, &mut Attempt::default(), &lines).expect("an answer");
    let next = server.challenge_values(0, b"", false)[0].split("nonce=\"").nth(1).expect("a nonce")[..43].to_owned();
    let info = format!("nextnonce=\"{next}\", qop=auth, nc=00000001");
    client.authentication_info("trunk-2", info.as_bytes());
    let (_, value) = client.anticipate(&mut Attempt::default(), "INVITE", URI).expect("a nonce is held");
    assert!(!value.contains(&next) && value.contains("nc=00000002"), "a stranger's nonce is not taken: {value}");
    client.authentication_info(TRUNK, info.as_bytes());
    let (_, value) = client.anticipate(&mut Attempt::default(), "INVITE", URI).expect("a nonce is held");
    assert!(value.contains(&next) && value.contains("nc=00000001"), "{value}");
    assert!(matches!(server.verify(1, &INVITE, value.as_bytes(), &directory), Verdict::Ok { .. }));
}

#[test]
fn a_server_without_qop_gets_the_old_form_and_one_with_auth_int_alone_gets_none() {
    // RFC 2069's form: H(H(A1):nonce:H(A2)); the digest is from Python's hashlib.
    let old = ["Digest realm=\"r\", nonce=\"n\"".to_owned()];
    let value = answer(&mut client(None), &mut Attempt::default(), &old).expect("an answer");
    assert!(value.contains("response=\"dc146f0ed013571e70d76adb48ad70e1\""), "{value}");
    assert!(!value.contains("qop") && !value.contains("nc="), "{value}");
    for unusable in
        ["Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess"]
    {
        let given = answer(&mut client(None), &mut Attempt::default(), &[unusable.to_owned()]);
        assert_eq!(given, Err(GiveUp::Unsupported), "{unusable}");
    }
    assert_eq!(answer(&mut client(None), &mut Attempt::default(), &[]), Err(GiveUp::Unsupported));
    assert_eq!(
        answer(&mut client(None), &mut Attempt::default(), &["Basic realm=\"r\"".into()]),
        Err(GiveUp::OtherRealm)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_challenge_makes_it_panic_or_breaks_out_of_its_header(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut line = server(&[Algorithm::Md5], 1000).challenge_values(0, b"", false).remove(0).into_bytes();
        for (index, byte) in damage {
            let at = index.index(line.len());
            line[at] = byte;
        }
        let mut client = client(None);
        if let Ok(value) = client.answer(&mut Attempt::default(), TRUNK, ChallengedBy::Server, &[&line], "INVITE", URI) {
            prop_assert!(!value.contains(['\r', '\n', '\0']), "{:?}", value);
        }
        client.authentication_info(TRUNK, &line);
    }
}
