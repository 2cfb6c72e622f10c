//! Real phones with SRTP (keys by SDES, RFC 4568): they hear each other, phones without it, and the switch itself; whoever must
//! be encrypted and cannot be is refused in words.

mod support;

use support::baresip::Baresip;
use support::config::{Config, USERS};
use support::party::{Party, SDP, end_of, idle};
use support::phone::Phone;
use support::switch::Switch;
use support::talk::{ALICE_HZ, BOB_HZ, CAROL_HZ, is_held_and_resumed, talk};
use support::wire::{Rtp, media_address, status};
use support::{PATIENCE, until};

use media::srtp::{Key, MasterKey, OVERHEAD_BYTES_MAX, Opener, Sealer, Suite};
use serde_json::json;
use sip::sdp::{Crypto, CryptoSuite, KeyAndSalt, Session};
use std::net::UdpSocket;
use std::sync::Arc;

/// Every suite that PJSIP has as it is packed for Python; baresip has AES-GCM.
const SUITES: [&str; 4] =
    ["AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"];

/// The lab, with a policy for some users; the others have the default.
fn lab(policies: &[(&str, &str)]) -> Config {
    let mut config = Config::bare().service("5500", "echo").service("5501", "tone").service("5503", "music");
    for (name, extension) in USERS {
        let policy = policies.iter().find(|(of, _)| *of == name);
        let policy = policy.map(|(_, policy)| format!("srtp = {policy:?}\n")).unwrap_or_default();
        config = config.entry(&format!(
            "[[user]]\nname = {name:?}\npassword = \"{name}-secret\"\nextension = {extension:?}\n{policy}"
        ));
    }
    config
}

#[test]
fn a_phone_with_srtp_and_a_phone_without_hear_each_other_whoever_calls() {
    let switch = Switch::start(lab(&[]));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    let mut bob = Phone::registered(&switch, "bob", "udp");

    let (from, at, _) = talk(&mut alice, &mut bob);
    assert!(alice.suite(from).is_some() && bob.suite(at).is_none());
    alice.hang_up(from);
    bob.expect_state(at, "disconnected");

    // The other way the switch offers: RTP/AVP with keys first, which this phone refuses, then RTP/SAVP.
    let from = bob.call("1001");
    let at = alice.pick_up();
    bob.expect_media(from, "active");
    alice.expect_media(at, "active");
    alice.play_tone(at, ALICE_HZ);
    bob.play_tone(from, BOB_HZ);
    bob.hears_tone(from, f64::from(ALICE_HZ));
    alice.hears_tone(at, f64::from(BOB_HZ));
    assert!(alice.suite(at).is_some() && bob.suite(from).is_none());
}

#[test]
fn two_phones_with_other_suites_hear_each_other_by_their_own_keys() {
    let switch = Switch::start(lab(&[("alice", "require"), ("bob", "require")]));
    for (one, other) in SUITES.iter().zip(SUITES.iter().skip(2).chain(&SUITES[..2])) {
        let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[one]);
        let mut bob = Phone::with_srtp(&switch, "bob", "tls", "required", &[other]);

        let (from, at, _) = talk(&mut alice, &mut bob);

        assert_eq!((alice.suite(from).as_deref(), bob.suite(at).as_deref()), (Some(*one), Some(*other)));
        bob.hang_up(at);
        alice.expect_state(from, "disconnected");
        alice.unregister();
        alice.next_of(&["unregistered"]);
        bob.unregister();
        bob.next_of(&["unregistered"]);
    }
}

#[test]
fn phones_that_would_have_srtp_get_it_over_tls_and_plain_rtp_over_udp() {
    let switch = Switch::start(lab(&[]));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "optional", &[]);
    let mut bob = Phone::with_srtp(&switch, "bob", "tls", "optional", &[]);
    let mut carol = Phone::with_srtp(&switch, "carol", "udp", "optional", &[]);

    let (from, at, _) = talk(&mut alice, &mut bob);
    assert_eq!(alice.suite(from), bob.suite(at));
    assert!(alice.suite(from).is_some());
    bob.hang_up(at);
    alice.expect_state(from, "disconnected");

    let from = alice.call("1003");
    let at = carol.pick_up();
    alice.expect_media(from, "active");
    carol.expect_media(at, "active");
    carol.play_tone(at, CAROL_HZ);
    alice.hears_tone(from, f64::from(CAROL_HZ));
    assert!(alice.suite(from).is_some() && carol.suite(at).is_none());
}

#[test]
fn service_numbers_are_heard_in_srtp() {
    let switch = Switch::start(lab(&[("alice", "require")]));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    let tone = alice.call("5501");
    alice.expect_media(tone, "active");
    alice.hears(tone, "1,000 Hz at -10 dBm0", |heard| heard.is_tone(1_000.0) && (heard.dbm0 + 10.0).abs() < 0.5);
    assert!(alice.suite(tone).is_some());
    alice.hang_up(tone);
    alice.expect_state(tone, "disconnected");

    let music = alice.call("5503");
    alice.expect_media(music, "active");
    alice.hears(music, "music", |heard| heard.dbm0 > -40.0);
    alice.hang_up(music);
    alice.expect_state(music, "disconnected");

    let echo = alice.call("5500");
    alice.expect_media(echo, "active");
    alice.play_tone(echo, ALICE_HZ);
    alice.hears_tone(echo, f64::from(ALICE_HZ));
}

#[test]
fn a_call_in_srtp_is_held_with_music_and_resumed() {
    let switch = Switch::start(lab(&[("alice", "require"), ("bob", "require")]));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    let mut bob = Phone::with_srtp(&switch, "bob", "tls", "required", &[]);
    let (from, at, _) = talk(&mut alice, &mut bob);
    is_held_and_resumed(&mut alice, from, &mut bob, at);
    assert!(alice.suite(from).is_some() && bob.suite(at).is_some());
}

#[test]
fn a_blind_transfer_goes_from_srtp_to_rtp_and_the_two_hear_each_other() {
    let switch = Switch::start(lab(&[("bob", "require")]));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::with_srtp(&switch, "bob", "tls", "required", &[]);
    let mut carol = Phone::with_srtp(&switch, "carol", "tls", "optional", &[]);
    let (from, at, _) = talk(&mut alice, &mut bob);

    alice.blind_transfer(from, "1003");
    let at_carol = carol.pick_up();
    alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.play_tone(at_carol, CAROL_HZ);
    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(CAROL_HZ));
    assert!(carol.suite(at_carol).is_some() && bob.suite(at).is_some());
}

#[test]
fn an_attended_transfer_takes_keys_and_counts_along() {
    let switch = Switch::start(lab(&[]));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &["AES_CM_128_HMAC_SHA1_80"]);
    let mut bob = Phone::with_srtp(&switch, "bob", "tls", "required", &["AES_256_CM_HMAC_SHA1_80"]);
    let mut carol = Phone::with_srtp(&switch, "carol", "tls", "required", &["AES_CM_128_HMAC_SHA1_32"]);
    let (from, at, _) = talk(&mut alice, &mut bob);
    alice.hold(from);
    alice.expect_media(from, "local_hold");
    let asked = alice.call("1003");
    let at_carol = carol.pick_up();
    alice.expect_state(asked, "confirmed");
    carol.play_tone(at_carol, CAROL_HZ);

    alice.attended_transfer(from, asked);
    alice.expect("transfer", |event| event["final"] == true && event["code"] == 200);

    carol.hears_tone(at_carol, f64::from(BOB_HZ));
    bob.hears_tone(at, f64::from(CAROL_HZ));
    assert_eq!(bob.suite(at).as_deref(), Some("AES_256_CM_HMAC_SHA1_80"));
    assert_eq!(carol.suite(at_carol).as_deref(), Some("AES_CM_128_HMAC_SHA1_32"));
}

#[test]
fn who_must_be_encrypted_is_refused_a_plain_call_in_words() {
    let switch = Switch::start(lab(&[("alice", "require"), ("bob", "require"), ("dave", "never")]));
    let refused = |phone: &mut Phone, to: &str| {
        let call = phone.call(to);
        let end = phone.expect_state(call, "disconnected");
        (end["code"].as_u64().unwrap_or(0), end["reason"].as_str().unwrap_or_default().to_owned())
    };
    let policy = (488, "SRTP Policy".to_owned());
    // An offer without keys, from the one who requires them.
    let mut alice = Phone::registered(&switch, "alice", "tls");
    assert_eq!(refused(&mut alice, "5501"), policy);
    // Keys that anybody on the way could read.
    let mut exposed = Phone::with_srtp(&switch, "alice", "udp", "required", &[]);
    assert_eq!(refused(&mut exposed, "5501"), policy);
    // A callee that requires them and is only to be had over UDP.
    let mut carol = Phone::registered(&switch, "carol", "udp");
    let _bob = Phone::with_srtp(&switch, "bob", "udp", "required", &[]);
    assert_eq!(refused(&mut carol, "1002"), (488, "SRTP Needs SIP Over TLS".to_owned()));
    // Keys from one for whom they are switched off.
    let mut dave = Phone::with_srtp(&switch, "dave", "tls", "required", &[]);
    assert_eq!(refused(&mut dave, "5501"), policy);
}

#[test]
fn a_dial_plan_says_for_its_users_what_they_do_not_say_themselves() {
    let plan = "[[dial_plan]]\nname = \"vault\"\nextension_digits = 4\nsrtp = \"require\"\n";
    let config = lab(&[("bob", "never")]).entry(plan).set("routing", "dial_plan", "\"vault\"");
    let switch = Switch::start(config);
    let mut alice = Phone::registered(&switch, "alice", "tls");
    let call = alice.call("5501");
    let end = alice.expect_state(call, "disconnected");
    assert_eq!((&end["code"], &end["reason"]), (&json!(488), &json!("SRTP Policy")));
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let tone = bob.call("5501");
    bob.expect_media(tone, "active");
    let mut carol = Phone::with_srtp(&switch, "carol", "tls", "required", &[]);
    let from = carol.call("1002");
    let at = bob.pick_up();
    carol.expect_media(from, "active");
    assert!(carol.suite(from).is_some() && bob.suite(at).is_none());
}

#[test]
fn a_callee_that_must_be_encrypted_and_answers_plain_has_no_call() {
    let switch = Switch::start(lab(&[("bob", "require")]));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    // It knows no SRTP: it refuses RTP/SAVP by itself.
    let _bob = Phone::registered(&switch, "bob", "tls");
    let from = alice.call("1002");
    assert_eq!(alice.expect_state(from, "disconnected")["code"], 488);
}

#[test]
fn keys_in_plain_sip_are_the_operators_to_permit() {
    let config = lab(&[("alice", "require"), ("bob", "require")]).set("media", "srtp_over_plain_sip", "true");
    let switch = Switch::start(config);
    let mut alice = Phone::with_srtp(&switch, "alice", "udp", "required", &[]);
    let mut bob = Phone::with_srtp(&switch, "bob", "tcp", "required", &[]);

    let (from, at, _) = talk(&mut alice, &mut bob);

    assert!(alice.suite(from).is_some() && bob.suite(at).is_some());
}

#[test]
fn a_call_in_srtp_is_heard_on_when_its_media_workers_die() {
    let config = lab(&[("alice", "require")]).set("admin", "allow_faults", "true").set("media", "workers", "1");
    let switch = Switch::start(config);
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let (from, at, _) = talk(&mut alice, &mut bob);

    for death in 1..=3 {
        let fault = json!({ "path": "/switch/media/worker-0", "how": "panic" });
        assert_eq!(switch.post("/api/kill", &fault).0, 200);
        let metrics = || switch.get("/metrics").1.to_string();
        let counted = format!("strowger_media_restarts_total{{worker=\\\"0\\\"}} {death}");
        assert!(until(PATIENCE, || metrics().contains(&counted).then_some(())).is_some(), "{}", metrics());
        bob.hears_tone(at, f64::from(ALICE_HZ));
        alice.hears_tone(from, f64::from(BOB_HZ));
    }
}

#[test]
fn baresip_with_srtp_and_pjsip_without_hear_each_other() {
    let switch = Switch::start(lab(&[]).set("auth", "algorithms", r#"["MD5"]"#));
    for encryption in ["srtp", "srtp-mand"] {
        let mut alice = Baresip::with_srtp(&switch, "alice", "tls", ALICE_HZ, encryption);
        let mut bob = Phone::registered(&switch, "bob", "udp");
        let from = bob.call("1001");
        alice.pick_up();
        bob.expect_media(from, "active");
        bob.play_tone(from, BOB_HZ);
        alice.hears_tone(BOB_HZ);
        bob.hears_tone(from, f64::from(ALICE_HZ));
        bob.hang_up(from);
        alice.expect("CALL_CLOSED");

        alice.dial("1002");
        let at = bob.pick_up();
        bob.expect_media(at, "active");
        bob.play_tone(at, BOB_HZ);
        bob.hears_tone(at, f64::from(ALICE_HZ));
        alice.hears_tone(BOB_HZ);
    }
}

#[test]
fn baresip_phones_hear_each_other_in_aes_gcm_and_no_key_is_in_the_calls_record_or_the_log() {
    let switch = Switch::start(lab(&[("alice", "require")]).set("auth", "algorithms", r#"["MD5"]"#));
    let mut alice = Baresip::with_srtp(&switch, "alice", "tls", ALICE_HZ, "srtp-mand");
    let mut bob = Baresip::with_srtp(&switch, "bob", "tls", BOB_HZ, "srtp");

    alice.dial("1002");
    bob.pick_up();
    bob.hears_tone(ALICE_HZ);
    alice.hears_tone(BOB_HZ);

    let (_, calls) = switch.get("/api/calls");
    let id = calls["calls"][0]["id"].as_str().expect("a call").to_owned();
    let record = switch.get(&format!("/api/calls/{id}")).1.to_string();
    assert!(record.contains("AEAD_AES_256_GCM"), "{record}");
    assert!(!record.contains("inline") && !switch.log().contains("inline"));
    alice.hang_up();
    bob.expect("CALL_CLOSED");
}

/// Packets that a key of the switch lives for in these tests, and after how many it is worn.
const LIFETIME: u16 = 1024;
const WORN: u16 = 768;
/// Bytes of an RTP packet of 20 ms of PCMU.
const PACKET_BYTES: usize = 172;

/// What a message of the switch says of the key that it seals with, in the suite of these tests.
fn key_of(message: &str) -> Crypto {
    let body = message.split("\r\n\r\n").nth(1).expect("a body");
    let session = Session::parse(body.as_bytes()).expect("a description");
    session.media[0].cryptos().find(|line| line.suite == CryptoSuite::AesCm128HmacSha1_80).expect("a key")
}

fn at_work(line: &Crypto) -> Arc<Key> {
    let suite = Suite::from_name(line.suite.name()).expect("a suite");
    Arc::new(Key::new(MasterKey::new(suite, line.key.expose(), &[]).expect("its length")))
}

/// Somebody with keys at the end of a socket, whose packets come back from the echo.
struct Echoed {
    socket: UdpSocket,
    sealer: Sealer,
    sequence: u16,
}

impl Echoed {
    /// Sends the next packet.
    fn send(&mut self) {
        let mut packet = [0; PACKET_BYTES + OVERHEAD_BYTES_MAX];
        (packet[0], packet[11]) = (0x80, 7);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        self.sequence += 1;
        let length = self.sealer.rtp(&mut packet, PACKET_BYTES).expect("room");
        self.socket.send(&packet[..length]).expect("sent");
    }

    /// The packet that comes back; RTCP is passed over. The first may come before there is an echo, and a packet may meet a change.
    fn said(&mut self) -> Vec<u8> {
        for _ in 0..100 {
            self.send();
            let mut packet = [0; 2048];
            while let Ok(length) = self.socket.recv(&mut packet) {
                if !(192..=223).contains(&packet[1]) {
                    return packet[..length].to_vec();
                }
            }
        }
        panic!("nothing comes back")
    }

    /// Packets go and come back, until so many have come under this key; before them some may come under the last one, which the
    /// media worker has until it hears of the answer.
    fn talk(&mut self, packets: u16, key: &mut Opener, last: Option<&mut Opener>) {
        let mut before = last;
        let mut opened = 0;
        while opened < packets {
            let mut packet = self.said();
            if let Some(last) = before.as_mut()
                && last.rtp(&mut packet.clone()) == Ok(PACKET_BYTES)
            {
                continue;
            }
            before = None;
            assert_eq!(key.rtp(&mut packet), Ok(PACKET_BYTES));
            opened += 1;
        }
    }
}

#[test]
fn our_key_is_another_one_before_its_lifetime_ends_and_without_another_nothing_is_sent_past_it() {
    let lifetime = LIFETIME.to_string();
    let config = lab(&[("alice", "require")]).set("media", "srtp_over_plain_sip", "true");
    let switch = Switch::start(config.set("media", "srtp_lifetime", &lifetime));
    let mut alice = Party::new(&switch, "alice");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE / 100)).expect("a timeout");
    let own = Crypto {
        tag: 3,
        suite: CryptoSuite::AesCm128HmacSha1_80,
        key: KeyAndSalt::new(&[5; 30]),
        lifetime: Some(1 << 20),
        mki: None,
    };
    let line = own.to_attribute().value().expect("a value").into_owned();
    let port = socket.local_addr().expect("bound").port();
    let offer = |version: u8| {
        format!(
            "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/SAVP 0\r\na=crypto:{line}\r\n"
        )
    };
    alice.begin("INVITE", "sip:5500@example.com", "", &offer(1));
    let answer = alice.answer_to("INVITE", 200);
    assert!(answer.contains("|2^10"), "the lifetime is announced: {answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    socket.connect(media_address(&answer).expect("an address")).expect("connected");
    let mut echoed = Echoed { socket, sealer: Sealer::new(&at_work(&own)).expect("a key"), sequence: 0 };
    let first = key_of(&answer);
    let mut by_first = Opener::new(&at_work(&first)).expect("a key");

    echoed.talk(WORN, &mut by_first, None);
    let again = alice.wire.receive("INVITE");
    let second = key_of(&again);
    assert!(second.key != first.key && (second.tag, second.lifetime) == (first.tag, first.lifetime), "{again}");
    alice.reply(&again, "200 OK", "", &offer(2));
    alice.wire.receive("ACK");
    let mut by_second = Opener::new(&at_work(&second)).expect("a key");
    echoed.talk(WORN, &mut by_second, Some(&mut by_first));

    // The next one is refused.
    let again = alice.wire.receive("INVITE");
    assert_ne!(key_of(&again).key, second.key);
    alice.reply(&again, "488 Not Acceptable Here", "", "");
    echoed.talk(LIFETIME - WORN, &mut by_second, None);
    echoed.send();
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
    let ended = switch.get(&format!("/api/calls/{}", end.call_id)).1.to_string();
    for told in ["nears its end", "is offered new SRTP keys", "is used up"] {
        assert!(ended.contains(told), "{told}: {ended}");
    }
    let metrics = switch.get("/metrics").1.to_string();
    let mut counted = metrics.split("why=\\\"exhausted\\\"} ").skip(1);
    assert!(counted.any(|figure| !figure.starts_with('0')), "{metrics}");
}

#[test]
fn a_real_phone_goes_on_with_a_new_key_of_ours_while_it_talks() {
    let switch = Switch::start(lab(&[("alice", "require")]).set("media", "srtp_lifetime", &LIFETIME.to_string()));
    let mut alice = Phone::with_srtp(&switch, "alice", "tls", "required", &[]);
    let mut bob = Party::new(&switch, "bob");
    let mut rtp = Rtp::new(f64::from(BOB_HZ));
    bob.begin("INVITE", "sip:1001@example.com", "", &SDP.replace("40000", &rtp.local().port().to_string()));
    let at = alice.pick_up();
    let answer = bob.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    bob.say(&mut end, "ACK", "", "");
    alice.expect_media(at, "active");
    let peer = media_address(&answer).expect("an address");

    // As much as a phone says in a quarter of a minute, and no more: the key is not to be used up.
    let id = switch.get("/api/calls").1["calls"][0]["id"].as_str().expect("a call").to_owned();
    let record = || switch.get(&format!("/api/calls/{id}")).1.to_string();
    let mut left = WORN + 64;
    let told = until(PATIENCE, || {
        (0..left.min(64)).for_each(|_| rtp.send(peer));
        left = left.saturating_sub(64);
        record().contains("is offered new SRTP keys").then_some(())
    });
    assert!(told.is_some(), "{}", record());
    alice.expect_media(at, "active");
    alice.play_tone(at, ALICE_HZ);
    let speaker = std::thread::spawn(move || rtp.talk(peer, 150));
    alice.hears_tone(at, f64::from(BOB_HZ));
    let heard = speaker.join().expect("it has talked");
    assert!(heard.packets > 100, "{heard:?}");
    alice.hang_up(at);
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
}
