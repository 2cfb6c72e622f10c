//! DTLS-SRTP and ICE in descriptions: what a browser offers and answers, what we do, and what crosses to a phone.

use proptest::prelude::*;
use sip::sdp::{
    CodecSpec, Crypto, CryptoSuite, Direction, Fingerprint, IceCredentials, KeyAndSalt, LocalPort, Media, OurKeys,
    OurMedia, OurWeb, Profile, RelayPolicy, Session, Setup, Srtp, agreed, answer, offer, relay_answer, relay_offer,
    reoffer,
};
use std::borrow::Cow;
use std::net::SocketAddr;

const PRINT: &str = "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2";

fn our(port: u16, srtp: Srtp, profile: Profile) -> OurMedia {
    let rtp = SocketAddr::from(([198, 51, 100, 1], port));
    let web = OurWeb {
        fingerprint: Fingerprint { hash: "sha-256".into(), value: [0xab; 32].into_iter().collect() },
        setup: None,
        ice: IceCredentials { ufrag: "ours".into(), password: "ourpasswordourpasswordour".into() },
    };
    let key = KeyAndSalt::new(&[3; 30]);
    let crypto = Crypto { tag: 1, suite: CryptoSuite::AesCm128HmacSha1_80, key, lifetime: None, mki: None };
    OurMedia {
        username: "-".into(),
        session_id: 42,
        version: 1,
        address: rtp.ip(),
        ports: vec![Some(LocalPort { rtcp_mux: true, ..LocalPort::pair(rtp) })],
        keys: OurKeys { srtp, offers: true, profile, keys: vec![crypto].into(), web: Some(web) },
        only: None,
    }
}

/// The shape of a browser's offer of audio, with hidden addresses.
fn browser(setup: &str) -> Session {
    let text = format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS x\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {PRINT}\r\na=setup:{setup}\r\n\
         a=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:x y\r\na=rtcp-mux\r\n\
         a=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=ssrc:99 cname:z\r\n"
    );
    Session::parse(text.as_bytes()).expect("a description")
}

fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    match media.attribute(name)?.value()? {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}

fn capabilities() -> [CodecSpec; 2] {
    [CodecSpec::pcmu(), CodecSpec::pcma()]
}

#[test]
fn a_browsers_offer_is_answered_with_certificate_role_credentials_and_one_candidate() {
    let theirs = browser("actpass");
    let answered = answer(&theirs, &capabilities(), &our(6000, Srtp::Prefer, Profile::Avp), Direction::SendRecv);
    let ours = answered.expect("taken").session;
    let section = &ours.media[0];
    assert_eq!((section.protocol.as_str(), section.port), ("UDP/TLS/RTP/SAVPF", 6000));
    assert_eq!((value(section, "setup"), value(section, "mid")), (Some("passive"), Some("0")));
    assert_eq!(value(section, "fingerprint").map(|print| print.starts_with("sha-256 AB:AB:")), Some(true));
    assert_eq!(
        (value(section, "ice-ufrag"), value(section, "ice-pwd")),
        (Some("ours"), Some("ourpasswordourpasswordour"))
    );
    assert_eq!(value(section, "candidate"), Some("1 1 UDP 2130706431 198.51.100.1 6000 typ host"));
    assert!(section.rtcp_mux() && section.attribute("end-of-candidates").is_some());
    assert!(section.attribute("crypto").is_none());
    let above: Vec<_> = ours.attributes.iter().map(|a| (a.name(), a.value().unwrap_or_default())).collect();
    assert_eq!(above, [("ice-lite", "".into()), ("group", Cow::from("BUNDLE 0"))]);

    let stream = agreed(&ours, &theirs).remove(0);
    let dtls = stream.dtls.expect("a handshake");
    assert!(!dtls.active && stream.keys.is_none() && stream.rtcp_mux);
    assert_eq!(dtls.fingerprints[..], [Fingerprint::parse(&format!("sha-256 {PRINT}")).expect("a fingerprint")]);
    let ice = stream.ice.expect("ICE");
    assert_eq!((ice.local.ufrag.as_str(), ice.remote.ufrag.as_str()), ("ours", "abcd"));
    // Hidden addresses hold nobody.
    assert!(stream.send && stream.receive);
}

#[test]
fn roles_follow_the_offer_and_stay_within_an_association() {
    for (offered, kept, wanted, active) in [
        ("actpass", None, "passive", false),
        ("active", None, "passive", false),
        ("passive", None, "active", true),
        ("actpass", Some(Setup::Active), "active", true),
        ("actpass", Some(Setup::Passive), "passive", false),
    ] {
        let theirs = browser(offered);
        let mut us = our(6000, Srtp::Prefer, Profile::Avp);
        us.keys.web.as_mut().expect("web").setup = kept;
        let ours = answer(&theirs, &capabilities(), &us, Direction::SendRecv).expect("taken").session;
        assert_eq!(value(&ours.media[0], "setup"), Some(wanted), "{offered} {kept:?}");
        assert_eq!(agreed(&ours, &theirs)[0].dtls.as_ref().map(|dtls| dtls.active), Some(active));
        // What was answered is offered later with either role.
        let again = reoffer(&ours);
        assert_eq!(value(&again.media[0], "setup"), Some("actpass"));
        assert_eq!((again.origin.version, reoffer(&again)), (ours.origin.version + 1, again.clone()));
    }
    for unfit in ["holdconn", "whatever"] {
        assert!(
            answer(&browser(unfit), &capabilities(), &our(6000, Srtp::Prefer, Profile::Avp), Direction::SendRecv)
                .is_err()
        );
    }
}

#[test]
fn we_offer_a_browser_what_it_takes_and_its_answer_says_who_begins() {
    let sent = offer(&capabilities(), &our(6000, Srtp::Prefer, Profile::Dtls), Direction::SendRecv, 20);
    let section = &sent.media[0];
    assert_eq!((section.protocol.as_str(), value(section, "setup")), ("UDP/TLS/RTP/SAVPF", Some("actpass")));
    assert!(section.rtcp_mux() && section.attribute("candidate").is_some() && section.attribute("crypto").is_none());
    assert_eq!(value(section, "mid"), Some("0"));
    for (answered, active) in [("active", false), ("passive", true)] {
        let stream = agreed(&sent, &browser(answered)).remove(0);
        assert_eq!(stream.dtls.map(|dtls| dtls.active), Some(active));
        assert!(stream.ice.is_some());
    }
    let never = offer(&capabilities(), &our(6000, Srtp::Never, Profile::Dtls), Direction::SendRecv, 20);
    assert_eq!(never.media[0].protocol, "RTP/AVP");
    assert!(never.media[0].attribute("fingerprint").is_none());
}

#[test]
fn who_must_not_be_encrypted_or_has_no_certificate_worth_the_name_is_not_taken() {
    let taken = |theirs: &Session, srtp| {
        answer(theirs, &capabilities(), &our(6000, srtp, Profile::Avp), Direction::SendRecv).is_ok()
    };
    assert!(taken(&browser("actpass"), Srtp::Require) && !taken(&browser("actpass"), Srtp::Never));
    let weak = browser("actpass").print().replace("sha-256", "sha-1");
    assert!(!taken(&Session::parse(weak.as_bytes()).expect("a description"), Srtp::Prefer));
    let none = browser("actpass").print().replace("a=fingerprint", "a=x-print");
    assert!(!taken(&Session::parse(none.as_bytes()).expect("a description"), Srtp::Prefer));
    let bundled = browser("actpass").print() + "a=bundle-only\r\n";
    assert!(!taken(&Session::parse(bundled.as_bytes()).expect("a description"), Srtp::Prefer));
    // An answer in another transport than the offer's agrees to nothing.
    let sent = offer(&capabilities(), &our(6000, Srtp::Prefer, Profile::Dtls), Direction::SendRecv, 20);
    let plain = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    assert!(agreed(&sent, &Session::parse(plain.as_bytes()).expect("a description")).is_empty());
}

#[test]
fn a_browser_that_is_lite_itself_or_says_its_things_above_the_sections_is_understood() {
    let lite = browser("actpass").print().replace("a=group:BUNDLE 0", "a=ice-lite").replace("0.0.0.0", "192.0.2.9");
    let lite = Session::parse(lite.as_bytes()).expect("a description");
    let ours =
        answer(&lite, &capabilities(), &our(6000, Srtp::Prefer, Profile::Avp), Direction::SendRecv).expect("taken");
    let stream = agreed(&ours.session, &lite).remove(0);
    assert!(stream.ice.is_none() && stream.dtls.is_some());
    assert_eq!(stream.remote_rtp.to_string(), "192.0.2.9:9");
    // No group was asked for, so none is answered.
    assert!(ours.session.attributes.iter().all(|attribute| attribute.name() != "group"));

    let above = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
         a=fingerprint:SHA-256 {}\r\na=setup:actpass\r\nm=audio 4000 UDP/TLS/RTP/SAVP 0\r\na=rtcp-mux\r\n",
        PRINT.to_lowercase()
    );
    let above = Session::parse(above.as_bytes()).expect("a description");
    let ours =
        answer(&above, &capabilities(), &our(6000, Srtp::Prefer, Profile::Avp), Direction::SendRecv).expect("taken");
    let stream = agreed(&ours.session, &above).remove(0);
    assert!(stream.ice.is_some() && stream.dtls.is_some());
    assert_eq!(ours.session.media[0].protocol, "UDP/TLS/RTP/SAVP");
}

#[test]
fn nothing_of_a_browsers_transport_crosses_to_a_phone_and_nothing_of_the_phones_to_it() {
    let caller = browser("actpass");
    let policy = RelayPolicy::default();
    let to_phone = relay_offer(&caller, &our(6000, Srtp::Prefer, Profile::Avp), &policy);
    let section = &to_phone.media[0];
    assert_eq!(section.protocol, "RTP/AVP");
    for name in
        ["fingerprint", "setup", "ice-ufrag", "ice-pwd", "candidate", "mid", "msid", "ssrc", "extmap", "rtcp-fb"]
    {
        assert!(section.attribute(name).is_none(), "{name}");
    }
    assert!(to_phone.attributes.iter().all(|attribute| !["group", "ice-lite"].contains(&attribute.name())));
    let phone = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 126\r\n\
                 a=rtpmap:126 telephone-event/8000\r\n";
    let phone = Session::parse(phone.as_bytes()).expect("a description");
    let back = relay_answer(&caller, &phone, &our(7000, Srtp::Prefer, Profile::Avp), &policy);
    assert_eq!(
        (back.media[0].protocol.as_str(), &back.media[0].formats[..]),
        ("UDP/TLS/RTP/SAVPF", &["8".into(), "126".into()][..])
    );
    assert!(agreed(&back, &caller)[0].dtls.is_some());
    // And called by a phone.
    let to_browser = relay_offer(&phone, &our(8000, Srtp::Prefer, Profile::Dtls), &policy);
    assert_eq!(to_browser.media[0].protocol, "UDP/TLS/RTP/SAVPF");
    let answered = browser("active");
    let back = relay_answer(&phone, &answered, &our(9000, Srtp::Prefer, Profile::Avp), &policy);
    assert_eq!(back.media[0].protocol, "RTP/AVP");
    assert!(back.media[0].attribute("fingerprint").is_none() && back.media[0].attribute("candidate").is_none());
}

#[test]
fn a_phone_that_takes_keys_with_feedback_alone_is_offered_them_so() {
    for (profile, wanted) in [
        (Profile::Avp, "RTP/AVP"),
        (Profile::Savp, "RTP/SAVP"),
        (Profile::Savpf, "RTP/SAVPF"),
        (Profile::Dtls, "UDP/TLS/RTP/SAVPF"),
    ] {
        let sent = offer(&capabilities(), &our(6000, Srtp::Prefer, profile), Direction::SendRecv, 20);
        assert_eq!(sent.media[0].protocol, wanted);
        assert_eq!(sent.media[0].attribute("crypto").is_some(), profile != Profile::Dtls);
    }
}

proptest! {
    #[test]
    fn no_fingerprint_panics_and_what_is_read_is_what_was_written(text in "[a-zA-Z0-9-]{0,9} ?([0-9A-F]{0,3}:?){0,70}") {
        if let Some(read) = Fingerprint::parse(&text) {
            prop_assert!(read.value.len() <= 64);
        }
    }
}
