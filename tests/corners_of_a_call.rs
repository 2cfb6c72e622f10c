//! Corners of a call, seen from raw sockets: what crosses, fails half way, or comes from a peer that behaves as no phone
//! does.

mod support;

use std::net::UdpSocket;

use support::PATIENCE;
use support::config::Config;
use support::party::{End, Party, SDP, callee_end, end_of, idle, kill_the_call, standing, talks};
use support::switch::Switch;
use support::wire::{header, status};

#[test]
fn one_phone_that_declines_for_all_ends_the_ringing_of_the_others() {
    let switch = Switch::start(Config::lab());
    let (mut desk, mut mobile) = (Party::registered(&switch, "bob"), Party::registered(&switch, "bob"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    let (at_desk, at_mobile) = (desk.wire.receive("INVITE"), mobile.wire.receive("INVITE"));
    mobile.reply(&at_mobile, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    desk.reply(&at_desk, "603 Decline", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(603));
    let cancel = mobile.wire.receive("CANCEL");
    mobile.reply(&cancel, "200 OK", "", "");
    mobile.reply(&at_mobile, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_phone_whose_port_is_closed_is_given_up_at_once_and_the_others_ring_on() {
    let switch = Switch::start(Config::lab());
    let mut desk = Party::registered(&switch, "bob");
    // A phone that crashed: its system answers for it, with ICMP (RFC 3261 section 18.4), and not after 64 × T1.
    drop(Party::registered(&switch, "bob"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    let invite = desk.wire.receive("INVITE");
    desk.reply(&invite, "486 Busy Here", "", "");

    // Nobody else is waited for.
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(486));
    idle(&switch);
}

#[test]
fn a_caller_of_a_phone_that_is_gone_is_told_at_once() {
    let switch = Switch::start(Config::lab());
    drop(Party::registered(&switch, "bob"));
    let mut alice = Party::new(&switch, "alice");

    alice.call("bob", "");

    // A transport error counts as 503, which is passed on as 500 (RFC 3261 sections 8.1.3.1 and 16.7).
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(500));
    idle(&switch);
}

#[test]
fn a_party_that_is_gone_is_not_waited_for_when_it_is_hung_up_on() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut ours, _) = standing(&mut alice, &mut bob);
    drop(bob);

    alice.say(&mut ours, "BYE", "", "");

    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    idle(&switch);
}

#[test]
fn a_callee_says_no_with_its_answer_and_not_with_bye() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
    let mut end = callee_end(&bob, &invite);

    bob.say(&mut end, "BYE", "", "");
    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(481));

    bob.reply(&invite, "200 OK", "", SDP);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn a_caller_may_hang_up_with_bye_while_it_rings() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    let mut early = end_of(&alice.answer_to("INVITE", 180));

    alice.say(&mut early, "BYE", "", "");

    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    let cancel = bob.wire.receive("CANCEL");
    bob.reply(&cancel, "200 OK", "", "");
    bob.reply(&invite, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_phone_that_diverts_is_followed_to_a_user_of_ours() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");

    bob.reply_with_contact(&invite, "302 Moved Temporarily", "sip:1003@example.com");

    carol.pick_up();
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn a_phone_that_diverts_to_itself_or_to_strangers_is_not_there() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    for target in ["sip:bob@example.com", "sip:alice@elsewhere.invalid"] {
        alice.call("bob", "");
        let invite = bob.wire.receive("INVITE");

        bob.reply_with_contact(&invite, "302 Moved Temporarily", target);

        assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(480), "{target}");
    }
    idle(&switch);
}

#[test]
fn a_user_has_no_more_calls_than_it_may_have() {
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\npassword = \"{name}-secret\"\nmax_calls = 1\n");
    let config = ["alice", "bob", "carol"].iter().fold(Config::bare(), |config, name| config.entry(&user(name)));
    let switch = Switch::start(config);
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::new(&switch, "carol");
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.call("carol", "");
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(503));
    carol.call("bob", "");
    assert_eq!(status(&carol.answer_to("INVITE", 200)), Some(486));

    alice.say(&mut end, "BYE", "", "");
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
    carol.call("bob", "");
    bob.pick_up();
    assert_eq!(status(&carol.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn an_invite_rings_no_longer_than_its_caller_says() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "Expires: 1\n");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    let cancel = bob.wire.receive("CANCEL");
    bob.reply(&cancel, "200 OK", "", "");
    bob.reply(&invite, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_transfer_to_a_busy_phone_leaves_the_two_talking() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    carol.reply(&invite, "486 Busy Here", "", "");

    let told = alice.notified("486");
    assert!(told.contains("terminated"), "{told}");
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn the_party_that_stays_hangs_up_while_the_target_of_a_transfer_rings() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, mut of_bob) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    carol.reply(&invite, "180 Ringing", "", "");
    alice.notified("180");

    bob.say(&mut of_bob, "BYE", "", "");

    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
    let cancel = carol.wire.receive("CANCEL");
    carol.reply(&cancel, "200 OK", "", "");
    carol.reply(&invite, "487 Request Terminated", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_transferor_that_has_left_leaves_the_others_talking() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, mut of_bob) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    alice.say(&mut end, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));

    carol.reply(&invite, "200 OK", "", SDP);
    carol.wire.receive("ACK");

    talks(&mut bob, &mut of_bob, &mut carol);
}

#[test]
fn a_request_in_a_dialog_that_requires_what_is_unknown_is_refused() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.say(&mut end, "INFO", "Require: clairvoyance\n", "");

    let refusal = alice.answer_to("INFO", 200);
    assert_eq!(status(&refusal), Some(420));
    assert_eq!(header(&refusal, "Unsupported"), Some("clairvoyance"));
}

#[test]
fn who_knows_one_tag_of_a_dialog_alone_cannot_end_it() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, _) = standing(&mut alice, &mut bob);
    let mut forged = End { local: "<sip:alice@example.com>;tag=guessed".into(), ..end.clone() };

    alice.say(&mut forged, "BYE", "", "");

    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(481));
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn nothing_of_the_one_party_is_seen_by_the_other_but_its_number() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let sent = alice.call("bob", "Subject: secret\nUser-Agent: phone-of-alice\n");

    let seen = bob.wire.receive("INVITE");

    let own = alice.wire.local().port().to_string();
    let call_id = header(&sent, "Call-ID").expect("Call-ID");
    for leak in [own.as_str(), call_id, "phone-of-alice", "m=audio 40000"] {
        assert!(!seen.contains(leak), "{leak} in\n{seen}");
    }
    assert!(header(&seen, "From").is_some_and(|from| from.contains("<sip:1001@example.com>")), "{seen}");
}

#[test]
fn a_phone_that_claims_to_be_another_is_shown_as_itself() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.from = "sip:carol@example.com";
    alice.call("bob", "P-Asserted-Identity: <sip:carol@example.com>\n");

    let seen = bob.wire.receive("INVITE");

    assert!(header(&seen, "From").is_some_and(|from| from.contains("<sip:1001@example.com>")), "{seen}");
    assert!(!seen.contains("carol"), "{seen}");
}

#[test]
fn a_call_on_hold_outlives_the_media_time_out_and_a_silent_one_does_not() {
    let switch = Switch::start(Config::lab().set("media", "timeout", r#""1s""#));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let mut again = Party::new(&switch, "alice");
    let (mut end, _) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "INVITE", "", &SDP.replace("t=0 0", "t=0 0\r\na=sendonly"));
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
    alice.say(&mut end, "ACK", "", "");
    standing(&mut again, &mut carol);

    // The call that began later, and is not on hold, ends for its silence; the held one has been silent for longer.
    carol.wire.receive("BYE");
    talks(&mut alice, &mut end, &mut bob);
}

/// How the transferor names a call of its own in Refer-To: the to-tag is the switch's (RFC 3891 section 3).
fn replaces(end: &End, from_tag: &str) -> String {
    let tag = |value: &str| value.split(";tag=").nth(1).expect("a tag").to_owned();
    let from_tag = if from_tag.is_empty() { tag(&end.local) } else { from_tag.to_owned() };
    format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{from_tag}", end.call_id, tag(&end.remote))
}

#[test]
fn an_attended_transfer_joins_calls_of_whatever_shards_and_all_of_it_ends() {
    let switch = Switch::start(Config::lab().set("node", "shards", "3"));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    // Call-IDs fall on shards as they hash: nine pairs of three shards are met often enough.
    for _ in 0..6 {
        let (mut one, mut of_bob) = standing(&mut alice, &mut bob);
        let (two, _) = standing(&mut alice, &mut carol);

        let target = format!("Refer-To: <sip:carol@example.com?Replaces={}>\n", replaces(&two, ""));
        alice.say(&mut one, "REFER", &target, "");
        let again = carol.wire.receive("INVITE");
        carol.reply(&again, "200 OK", "", SDP);
        carol.wire.receive("ACK");
        alice.both_go(&mut one);
        talks(&mut bob, &mut of_bob, &mut carol);

        bob.say(&mut of_bob, "BYE", "", "");
        assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
        let bye = carol.wire.receive("BYE");
        carol.reply(&bye, "200 OK", "", "");
        idle(&switch);
    }
}

#[test]
fn who_knows_one_tag_of_another_call_alone_cannot_have_its_party() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut one, _) = standing(&mut alice, &mut bob);
    let (mut two, _) = standing(&mut alice, &mut carol);

    let target = format!("Refer-To: <sip:carol@example.com?Replaces={}>\n", replaces(&two, "guessed"));
    alice.say(&mut one, "REFER", &target, "");

    alice.notified("481");
    talks(&mut alice, &mut one, &mut bob);
    talks(&mut alice, &mut two, &mut carol);
}

#[test]
fn a_call_whose_actor_dies_while_it_rings_is_answered_and_ends() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    kill_the_call(&switch);

    bob.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200));
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    alice.say(&mut end, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_text_that_no_phone_can_show_is_refused_and_not_kept() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("MESSAGE", "sip:bob@example.com", "", "text");
    let message = bob.wire.receive("MESSAGE");

    bob.reply(&message, "415 Unsupported Media Type", "", "");

    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(415));
    let mut again = Party::registered(&switch, "bob");
    alice.begin("MESSAGE", "sip:bob@example.com", "", "later");
    let message = again.wire.receive("MESSAGE");
    assert!(message.ends_with("later"), "{message}");
}

#[test]
fn who_offers_comfort_noise_hears_the_silence_of_a_conference_by_it_and_who_does_not_hears_every_packet() {
    let switch = Switch::start(Config::lab().entry("[[conference]]\nnumbers = \"5200\"\n"));
    // Enters with these formats: what it is answered, and where it hears.
    let enter = |user: &'static str, formats: &str| {
        let ear = UdpSocket::bind("127.0.0.1:0").expect("a port");
        ear.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let port = ear.local_addr().expect("bound").port();
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n"
        );
        let mut guest = Party::new(&switch, user);
        guest.begin("INVITE", "sip:5200@example.com", "", &offer);
        let answer = guest.answer_to("INVITE", 200);
        let mut end = end_of(&answer);
        guest.say(&mut end, "ACK", "", "");
        let media = answer.lines().find(|line| line.starts_with("m=audio")).expect("sound").to_owned();
        (guest, ear, media)
    };
    let (_alice, sparing, answered) = enter("alice", "0 13");
    assert!(answered.ends_with(" RTP/AVP 0 13"), "{answered}");
    let (_bob, plain, answered) = enter("bob", "0");
    assert!(answered.ends_with(" RTP/AVP 0"), "{answered}");

    // Its payload type, sequence and timestamp, and what follows the head.
    let hear = |ear: &UdpSocket| {
        let mut packet = [0; 2_048];
        let length = ear.recv(&mut packet).expect("a packet in time");
        let time = u32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
        (packet[1] & 0x7f, u16::from_be_bytes([packet[2], packet[3]]), time, packet[12..length].to_vec())
    };
    // Until it was told that it is alone, and then that it is not.
    let silent = |packet: &(u8, u16, u32, Vec<u8>)| packet.0 == 13 && packet.3 == [127];
    let noise = std::iter::repeat_with(|| hear(&sparing)).find(silent).expect("noise without a level");
    let again = hear(&sparing);
    // The two say nothing: the same 400 ms later, with nothing between.
    assert_eq!(again, (13, noise.1.wrapping_add(1), noise.2.wrapping_add(3_200), vec![127]));
    let mut last = hear(&plain);
    for _ in 0..50 {
        let next = hear(&plain);
        assert_eq!((next.0, next.1, next.2), (0, last.1.wrapping_add(1), last.2.wrapping_add(160)));
        last = next;
    }
}
