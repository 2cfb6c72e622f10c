//! Keys in descriptions (RFC 4568): what is read and written, who gets which, and that nobody else sees them.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use sip::sdp::{
    BadCrypto, CodecSpec, Crypto, CryptoSuite, Direction, KeyAndSalt, LocalPort, Mki, OurKeys, OurMedia, Profile,
    RelayPolicy, Session, Srtp, agreed, answer, offer, rekeyed, relay_answer, relay_offer, revise,
};

/// A line of RFC 4568 section 9.1's form, with the key of 30 bytes that section 5.1.1 shows.
const LINE: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:4";

fn keys(srtp: Srtp, seed: u8) -> OurKeys {
    let key = |(suite, tag): (CryptoSuite, u32)| Crypto {
        tag,
        suite,
        key: KeyAndSalt::new(&vec![seed + tag as u8; suite.key_and_salt_bytes()]),
        lifetime: None,
        mki: None,
    };
    let keys: Vec<Crypto> = CryptoSuite::ALL.into_iter().zip(1..).map(key).collect();
    OurKeys { srtp, offers: true, profile: Profile::Avp, keys: keys.into(), web: None }
}

fn our(port: u16, keys: OurKeys) -> OurMedia {
    let rtp = SocketAddr::from(([198, 51, 100, 1], port));
    OurMedia {
        username: "-".into(),
        session_id: 42,
        version: 1,
        address: rtp.ip(),
        ports: vec![Some(LocalPort::pair(rtp))],
        keys,
        only: None,
    }
}

fn read(protocol: &str, lines: &str) -> Session {
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 {protocol} 0 8\r\n{lines}"
    );
    Session::parse(text.as_bytes()).expect("a description")
}

fn crypto(tag: u32, suite: CryptoSuite, fill: u8) -> String {
    let key = KeyAndSalt::new(&vec![fill; suite.key_and_salt_bytes()]);
    let attribute = Crypto { tag, suite, key, lifetime: None, mki: None }.to_attribute();
    format!("a=crypto:{}\r\n", attribute.value().expect("a value"))
}

#[test]
fn a_line_is_read_and_written_as_it_was() {
    let line = Crypto::parse(LINE).expect("a line");
    assert_eq!((line.tag, line.suite.name()), (1, "AES_CM_128_HMAC_SHA1_80"));
    assert_eq!(line.key.expose(), b"=-n@%^x!Bjufr9)?,#5h\\`=&]{qiPQ");
    assert_eq!((line.lifetime, line.mki), (Some(1 << 20), Some(Mki { value: 1, bytes: 4 })));
    assert_eq!(line.mki.expect("read").in_packets()[..], [0, 0, 0, 1]);
    assert_eq!(line.to_attribute().value().as_deref(), Some(LINE));
}

#[test]
fn what_cannot_be_taken_is_refused_for_its_reason_and_its_key_is_not_repeated() {
    let key = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
    let suite = "AES_CM_128_HMAC_SHA1_80";
    let cases: &[(String, BadCrypto)] = &[
        (format!("1 {suite}"), BadCrypto::Form),
        (format!("x {suite} inline:{key}"), BadCrypto::Form),
        (format!("1234567890 {suite} inline:{key}"), BadCrypto::Form),
        (format!("1 {suite} uri:{key}"), BadCrypto::Form),
        (format!("1 F8_128_HMAC_SHA1_80 inline:{key}"), BadCrypto::Suite("F8_128_HMAC_SHA1_80".into())),
        (format!("1 {suite} inline:{key}A"), BadCrypto::Key(30)),
        (format!("1 {suite} inline:!!!"), BadCrypto::Key(30)),
        (format!("1 AEAD_AES_128_GCM inline:{key}"), BadCrypto::Key(28)),
        (format!("1 {suite} inline:{key}|2^20|1:4;inline:{key}|2^20|2:4"), BadCrypto::SeveralKeys),
        (format!("1 {suite} inline:{key}|0"), BadCrypto::Lifetime),
        (format!("1 {suite} inline:{key}|2^49"), BadCrypto::Lifetime),
        (format!("1 {suite} inline:{key}|1:129"), BadCrypto::Mki),
        (format!("1 {suite} inline:{key}|256:1"), BadCrypto::Mki),
        (format!("1 {suite} inline:{key}|1:0"), BadCrypto::Mki),
        (format!("1 {suite} inline:{key} UNENCRYPTED_SRTP"), BadCrypto::Parameter("UNENCRYPTED_SRTP".into())),
        (format!("1 {suite} inline:{key} UNAUTHENTICATED_SRTP"), BadCrypto::Parameter("UNAUTHENTICATED_SRTP".into())),
        (format!("1 {suite} inline:{key} KDR=1"), BadCrypto::Parameter("KDR".into())),
    ];
    for (line, why) in cases {
        let refused = Crypto::parse(line).expect_err(line);
        assert_eq!(&refused, why, "{line}");
        assert!(!format!("{refused} {refused:?}").contains("PS1u"));
    }
    for taken in ["WSH=128", "-FANCY=1", "WSH=64 -X"] {
        assert!(Crypto::parse(&format!("1 {suite} inline:{key} {taken}")).is_ok(), "{taken}");
    }
}

#[test]
fn no_debug_form_shows_a_key() {
    let offered = read("RTP/SAVP", &format!("a=crypto:{LINE}\r\n"));
    let shown = format!("{offered:?} {:?} {:?}", Crypto::parse(LINE), keys(Srtp::Require, 7));
    assert!(!shown.contains("PS1u") && !shown.contains("BwcH") && !shown.contains("7, 7, 7"), "{shown}");
    assert!(offered.to_string().contains("PS1u"), "the wire has it");
}

#[test]
fn an_offer_has_all_suites_in_order_and_the_answer_takes_one_with_its_tag() {
    let ours = keys(Srtp::Require, 10);
    let sent = offer(&[CodecSpec::pcma()], &our(6000, ours.clone()), Direction::SendRecv, 20);
    let section = &sent.media[0];
    assert_eq!(section.protocol, "RTP/SAVP");
    let suites: Vec<_> = section.cryptos().map(|line| (line.tag, line.suite)).collect();
    assert_eq!(suites, (1..).zip(CryptoSuite::ALL).collect::<Vec<_>>());
    // The party takes the fourth.
    let mut theirs = keys(Srtp::Prefer, 90);
    theirs.keys = theirs.keys[3..4].into();
    let answered = answer(&sent, &[CodecSpec::pcma()], &our(7000, theirs.clone()), Direction::SendRecv).expect("taken");
    let lines: Vec<_> = answered.session.media[0].cryptos().collect();
    assert_eq!(
        lines.iter().map(|line| (line.tag, line.suite)).collect::<Vec<_>>(),
        [(4, CryptoSuite::AesCm128HmacSha1_80)]
    );
    for (local, remote, mine, yours) in
        [(&sent, &answered.session, &ours, &theirs), (&answered.session, &sent, &theirs, &ours)]
    {
        let found = agreed(local, remote)[0].keys.clone().expect("keys");
        assert!(mine.keys.iter().any(|key| key.key == found.local.key));
        assert!(yours.keys.iter().any(|key| key.key == found.remote.key));
        assert_eq!(found.local.suite, found.remote.suite);
    }
}

#[test]
fn what_a_policy_takes_and_what_it_answers() {
    use CryptoSuite::AesCm128HmacSha1_80 as Usual;
    let lines = crypto(7, Usual, 3);
    let cases = [
        (Srtp::Never, "RTP/AVP", "", Some(false)),
        (Srtp::Never, "RTP/AVP", lines.as_str(), Some(false)),
        (Srtp::Never, "RTP/SAVP", lines.as_str(), None),
        (Srtp::Prefer, "RTP/AVP", "", Some(false)),
        (Srtp::Prefer, "RTP/AVP", lines.as_str(), Some(true)),
        (Srtp::Prefer, "RTP/SAVP", lines.as_str(), Some(true)),
        (Srtp::Prefer, "RTP/SAVPF", lines.as_str(), Some(true)),
        (Srtp::Prefer, "RTP/SAVP", "", None),
        (Srtp::Prefer, "UDP/TLS/RTP/SAVPF", lines.as_str(), None),
        (Srtp::Require, "RTP/AVP", "", None),
        (Srtp::Require, "RTP/AVP", lines.as_str(), Some(true)),
        (Srtp::Require, "RTP/SAVP", lines.as_str(), Some(true)),
        (Srtp::Require, "RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n", None),
    ];
    for (policy, protocol, lines, expected) in cases {
        let offered = read(protocol, lines);
        let answered = answer(&offered, &[CodecSpec::pcmu()], &our(7000, keys(policy, 1)), Direction::SendRecv).ok();
        let secure = answered.as_ref().map(|answered| answered.session.media[0].cryptos().count() == 1);
        assert_eq!(secure, expected, "{policy:?} {protocol} {lines}");
        if let Some(answered) = answered {
            assert_eq!(answered.session.media[0].protocol, protocol);
            assert_eq!(agreed(&answered.session, &offered)[0].keys.is_some(), secure == Some(true));
        }
    }
}

#[test]
fn each_leg_has_its_own_transport_and_keys_and_no_key_crosses() {
    use CryptoSuite::{AeadAes128Gcm, AesCm128HmacSha1_80};
    let caller = read("RTP/SAVP", &(crypto(1, AesCm128HmacSha1_80, 0x11) + &crypto(2, AeadAes128Gcm, 0x12)));
    for (policy, protocol, lines) in
        [(Srtp::Never, "RTP/AVP", 0), (Srtp::Prefer, "RTP/AVP", 6), (Srtp::Require, "RTP/SAVP", 6)]
    {
        let (to_callee, to_caller) = (our(6000, keys(policy, 40)), our(7000, keys(Srtp::Require, 60)));
        let sent = relay_offer(&caller, &to_callee, &RelayPolicy::default());
        assert_eq!((sent.media[0].protocol.as_str(), sent.media[0].cryptos().count()), (protocol, lines));
        let theirs = crypto(2, AeadAes128Gcm, 0x22);
        let answered = read(protocol, if lines == 0 { "" } else { &theirs });
        let back = relay_answer(&caller, &answered, &to_caller, &RelayPolicy::default());
        assert_eq!(back.media[0].protocol, "RTP/SAVP");
        let line = back.media[0].cryptos().next().expect("our line");
        assert_eq!((line.tag, line.suite), (1, AesCm128HmacSha1_80), "the first of the caller's that we have");
        assert!(to_caller.keys.keys.iter().any(|key| key.key == line.key));
        for foreign in [0x11, 0x12, 0x22] {
            let foreign = CryptoSuite::ALL.map(|suite| KeyAndSalt::new(&vec![foreign; suite.key_and_salt_bytes()]));
            let crossed = |session: &Session| session.media[0].cryptos().any(|line| foreign.contains(&line.key));
            assert!(!crossed(&sent) && !crossed(&back));
        }
        assert_eq!(agreed(&sent, &answered)[0].keys.is_some(), lines > 0);
        assert!(agreed(&back, &caller)[0].keys.is_some());
    }
}

#[test]
fn an_answer_that_takes_the_call_without_the_keys_it_was_to_have_agrees_to_nothing() {
    let sent = offer(&[CodecSpec::pcmu()], &our(6000, keys(Srtp::Require, 1)), Direction::SendRecv, 20);
    assert!(agreed(&sent, &read("RTP/AVP", "")).is_empty());
    assert!(agreed(&sent, &read("RTP/SAVP", "")).is_empty());
    // A tag that was not offered, and one with another suite.
    assert!(agreed(&sent, &read("RTP/SAVP", &crypto(9, CryptoSuite::AeadAes128Gcm, 1))).is_empty());
    assert!(agreed(&sent, &read("RTP/SAVP", &crypto(1, CryptoSuite::AeadAes128Gcm, 1))).is_empty());
    let best_effort = offer(&[CodecSpec::pcmu()], &our(6000, keys(Srtp::Prefer, 1)), Direction::SendRecv, 20);
    assert_eq!(agreed(&best_effort, &read("RTP/AVP", ""))[0].keys, None);
    assert!(agreed(&best_effort, &read("RTP/AVP", &crypto(9, CryptoSuite::AeadAes128Gcm, 1))).is_empty());
}

#[test]
fn renewed_keys_stand_where_the_old_ones_stood_and_nothing_else_changes() {
    let (old, new) = (keys(Srtp::Require, 1), keys(Srtp::Require, 100));
    let told = offer(&[CodecSpec::pcmu()], &our(5000, old), Direction::SendRecv, 20);
    let next = rekeyed(&told, |_| new.keys.clone());
    let lines = |session: &Session| session.media[0].cryptos().collect::<Vec<_>>();
    assert_eq!(lines(&next), new.keys.to_vec());
    assert_eq!(next.origin.version, told.origin.version + 1);
    assert_eq!(rekeyed(&next, |_| lines(&told).into()).media, told.media);
    assert_eq!(rekeyed(&told, |_| [].into()), told, "without keys it stays as it is");
    // The tag of an answer is the offer's, and stays.
    let answered = read("RTP/SAVP", &crypto(77, CryptoSuite::AesCm128HmacSha1_80, 9));
    let kept = lines(&rekeyed(&answered, |_| new.keys.clone()));
    assert_eq!((kept.len(), kept[0].tag), (1, 77));
    assert!(new.keys.iter().any(|ours| ours.key == kept[0].key));
}

#[test]
fn the_same_keys_make_the_same_description() {
    let ours = || our(6000, keys(Srtp::Prefer, 1));
    let theirs = read("RTP/SAVP", &crypto(3, CryptoSuite::AeadAes256Gcm, 5));
    let first = answer(&theirs, &[CodecSpec::pcmu()], &ours(), Direction::SendRecv).expect("taken").session;
    let again = answer(&theirs, &[CodecSpec::pcmu()], &ours(), Direction::SendRecv).expect("taken").session;
    assert_eq!(revise(&first, again), first);
    // Keys that are shared are not copied.
    let shared = ours();
    assert!(Arc::ptr_eq(&shared.keys.keys, &shared.clone().keys.keys));
}

proptest! {
    #[test]
    fn no_line_panics(line in "[0-9]{0,10} ?[A-Z_0-9]{0,30} ?(inline:)?[A-Za-z0-9+/=|:;^]{0,80} ?[-A-Z=0-9 ]{0,20}") {
        let _ = Crypto::parse(&line);
    }

    #[test]
    fn what_is_written_is_read_again(at in 0..6usize, tag in 0..999_999_999u32, bits in 0..=48u32, mki in any::<(u32, bool)>()) {
        let suite = CryptoSuite::ALL[at];
        let key = KeyAndSalt::new(&vec![tag as u8; suite.key_and_salt_bytes()]);
        let mki = mki.1.then_some(Mki { value: mki.0.into(), bytes: 4 });
        let line = Crypto { tag, suite, key, lifetime: Some(1 << bits), mki };
        let written = line.to_attribute().value().expect("a value").into_owned();
        prop_assert_eq!(Crypto::parse(&written), Ok(line));
    }
}
