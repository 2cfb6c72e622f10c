//! What a party was told of the other's media, before another phone picked up or the other changed its mind, is put right by
//! a re-INVITE (RFC 3261 section 14, RFC 6337 section 3).

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use support::config::Config;
use support::party::{End, Party, callee_end, end_of, formats, idle, kill_the_call, sdp, standing_with, talks};
use support::switch::Switch;
use support::wire::{header, media_address, status};
use support::{PATIENCE, until};

/// What a caller says that takes reliable provisional answers.
const RELIABLE: &str = "Supported: 100rel\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\n";
/// Codecs that the caller has: PCMU and PCMA.
const BOTH: &[u8] = &[0, 8];

/// Alice has early media of bob's desk, reliably, and bob's mobile rings as well.
struct Told {
    switch: Switch,
    alice: Party,
    desk: Party,
    mobile: Party,
    at_desk: String,
    at_mobile: String,
    end: End,
}

impl Told {
    /// The desk answers these codecs; alice hears at this port.
    fn with(early: &[u8], port: u16) -> Self {
        let switch = Switch::start(Config::without_transcoding());
        let (mut desk, mut mobile) = (Party::registered(&switch, "bob"), Party::registered(&switch, "bob"));
        let mut alice = Party::new(&switch, "alice");
        alice.begin("INVITE", "sip:bob@example.com", RELIABLE, &sdp(1, port, BOTH, "sendrecv"));
        let (at_desk, at_mobile) = (desk.wire.receive("INVITE"), mobile.wire.receive("INVITE"));
        desk.progress(&at_desk, &sdp(1, 40_002, early, "sendrecv"));
        let progress = alice.answer_to("INVITE", 183);
        assert_eq!(formats(&progress), early);
        let mut end = end_of(&progress);
        assert_eq!(status(&alice.prack(&mut end, &progress, "")), Some(200));
        Self { switch, alice, desk, mobile, at_desk, at_mobile, end }
    }

    /// The mobile picks up with this description; the caller hears of it and acknowledges.
    fn picked_up(&mut self, description: &str) -> End {
        self.mobile.reply(&self.at_mobile, "200 OK", "", description);
        self.mobile.wire.receive("ACK");
        let answer = self.alice.answer_to("INVITE", 200);
        assert_eq!((status(&answer), formats(&answer)), (Some(200), vec![]), "its answer is given: {answer}");
        self.desk.let_go(&self.at_desk);
        acknowledge(&mut self.alice, &answer);
        callee_end(&self.mobile, &self.at_mobile)
    }
}

/// The ACK of a 2xx.
fn acknowledge(party: &mut Party, answer: &str) {
    let mut end = end_of(answer);
    party.say(&mut end, "ACK", "", "");
}

/// Answers the re-INVITE that comes with these codecs out of what it offers; the offer.
fn takes(party: &mut Party, port: u16, codecs: &[u8]) -> String {
    let again = party.wire.receive("INVITE");
    party.reply(&again, "200 OK", "", &sdp(3, port, codecs, "sendrecv"));
    party.wire.receive("ACK");
    again
}

/// The one record of the calls that have ended.
fn record(switch: &Switch) -> serde_json::Value {
    let file = switch.data().join("calls.jsonl");
    let written = || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
    let text = until(PATIENCE, written).expect("a record");
    serde_json::from_str(text.lines().next_back().expect("a line")).expect("JSON")
}

#[test]
fn a_caller_that_heard_one_phone_is_offered_the_codec_of_the_one_that_picks_up() {
    let ear = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mouth = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    let mut call = Told::with(&[0], port(&ear));
    let to_switch = media_address(&call.at_mobile).expect("a port for the mobile");
    call.picked_up(&sdp(1, port(&mouth), &[8], "sendrecv"));
    let again = call.alice.wire.receive("INVITE");
    assert_eq!(formats(&again), [8], "{again}");

    // The caller has agreed to PCMU and nothing else so far: that is what it hears of what comes in PCMA.
    say_pcma(&mouth, to_switch, 1);
    ear.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let mut packet = [0; 2048];
    assert_eq!(until(PATIENCE, || ear.recv(&mut packet).ok().map(|_| packet[1] & 0x7f)), Some(0), "PCMU");
    call.alice.reply(&again, "200 OK", "", &sdp(3, port(&ear), &[8], "sendrecv"));
    call.alice.wire.receive("ACK");

    let heard = until(PATIENCE, || {
        say_pcma(&mouth, to_switch, 2);
        ear.recv(&mut packet).ok().map(|_| (packet[1] & 0x7f, packet[12])).filter(|(format, _)| *format != 0)
    });
    assert_eq!(heard, Some((8, 2)), "PCMA as it comes, and none from before it was agreed");
    talks(&mut call.alice, &mut call.end, &mut call.mobile);
}

/// A packet of PCMA with this word in it.
fn say_pcma(socket: &UdpSocket, to: SocketAddr, word: u8) {
    let mut packet = vec![0x80, 8, 0, word, 0, 0, 0, 160, 1, 2, 3, 4];
    packet.extend([word; 160]);
    socket.send_to(&packet, to).expect("sent");
}

#[test]
fn a_caller_that_refuses_the_only_codec_of_the_callee_has_no_call() {
    let mut call = Told::with(&[0], 40_000);
    call.picked_up(&sdp(1, 40_004, &[8], "sendrecv"));

    let again = call.alice.wire.receive("INVITE");
    call.alice.reply(&again, "488 Not Acceptable Here", "", "");

    for party in [&mut call.alice, &mut call.mobile] {
        let bye = party.wire.receive("BYE");
        assert!(header(&bye, "Reason").is_some_and(|reason| reason.contains("488")), "{bye}");
        party.reply(&bye, "200 OK", "", "");
    }
    idle(&call.switch);
    let record = record(&call.switch);
    assert_eq!(
        (&record["cause"], &record["q850"], &record["hung_up_by"]),
        (&"no common codec".into(), &88.into(), &"switch".into())
    );
}

#[test]
fn a_caller_that_answers_the_codec_of_the_callee_with_another_has_no_call() {
    let mut call = Told::with(&[0], 40_000);
    call.picked_up(&sdp(1, 40_004, &[8], "sendrecv"));

    takes(&mut call.alice, 0, &[8]);

    for party in [&mut call.alice, &mut call.mobile] {
        let bye = party.wire.receive("BYE");
        party.reply(&bye, "200 OK", "", "");
    }
    idle(&call.switch);
}

#[test]
fn a_caller_that_refuses_keeps_what_both_have() {
    let mut call = Told::with(&[0, 8], 40_000);
    call.picked_up(&sdp(1, 40_004, &[8], "sendrecv"));

    let again = call.alice.wire.receive("INVITE");
    assert_eq!(formats(&again), [8]);
    call.alice.reply(&again, "488 Not Acceptable Here", "", "");
    call.alice.wire.receive("ACK");

    talks(&mut call.alice, &mut call.end, &mut call.mobile);
}

#[test]
fn nobody_is_asked_when_the_phone_that_picks_up_speaks_what_was_told() {
    let mut call = Told::with(&[0], 40_000);
    let mut of_mobile = call.picked_up(&sdp(9, 40_004, &[0], "sendrecv"));

    call.mobile.say(&mut of_mobile, "INFO", "Info-Package: test\n", "");

    let next = call.alice.wire.receive_within(PATIENCE).expect("a message");
    assert!(next.starts_with("INFO"), "{next}");
}

#[test]
fn an_offer_that_crosses_the_new_one_is_refused_and_the_new_one_is_tried_again() {
    let mut call = Told::with(&[0], 40_000);
    call.picked_up(&sdp(1, 40_004, &[8], "sendrecv"));
    let again = call.alice.wire.receive("INVITE");

    call.alice.say(&mut call.end, "UPDATE", "", &sdp(2, 40_000, BOTH, "sendrecv"));
    assert_eq!(status(&call.alice.answer_to("UPDATE", 200)), Some(491));
    call.alice.reply(&again, "491 Request Pending", "", "");

    call.alice.wire.receive("ACK");
    assert_eq!(formats(&takes(&mut call.alice, 40_000, &[8])), [8]);
    talks(&mut call.alice, &mut call.end, &mut call.mobile);
}

#[test]
fn an_actor_that_dies_before_the_ack_puts_it_right_all_the_same() {
    let mut call = Told::with(&[0], 40_000);
    call.mobile.reply(&call.at_mobile, "200 OK", "", &sdp(1, 40_004, &[8], "sendrecv"));
    call.mobile.wire.receive("ACK");
    let answer = call.alice.answer_to("INVITE", 200);

    kill_the_call(&call.switch);
    acknowledge(&mut call.alice, &answer);
    let again = call.alice.wire.receive("INVITE");
    kill_the_call(&call.switch);
    call.alice.reply(&again, "200 OK", "", &sdp(3, 40_000, &[8], "sendrecv"));

    call.alice.wire.receive("ACK");
    talks(&mut call.alice, &mut call.end, &mut call.mobile);
}

#[test]
fn a_caller_that_heard_another_branch_behind_the_same_contact_is_offered_what_the_one_that_answers_speaks() {
    let mut call = Told::with(&[0], 40_000);
    call.desk.tag = "of-another-branch".into();
    call.desk.reply(&call.at_desk, "200 OK", "", &sdp(1, 40_004, &[8], "sendrecv"));
    call.desk.wire.receive("ACK");
    let answer = call.alice.answer_to("INVITE", 200);
    acknowledge(&mut call.alice, &answer);

    assert_eq!(formats(&takes(&mut call.alice, 40_000, &[8])), [8]);
    talks(&mut call.alice, &mut call.end, &mut call.desk);
}

#[test]
fn a_caller_that_saw_another_answer_in_an_unreliable_response_is_offered_the_one_that_counts() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut desk, mut mobile) = (Party::registered(&switch, "bob"), Party::registered(&switch, "bob"));
    let mut alice = Party::new(&switch, "alice");
    alice.begin("INVITE", "sip:bob@example.com", "", &sdp(1, 40_000, BOTH, "sendrecv"));
    let (at_desk, at_mobile) = (desk.wire.receive("INVITE"), mobile.wire.receive("INVITE"));
    desk.reply(&at_desk, "183 Session Progress", "", &sdp(1, 40_002, &[0], "sendrecv"));
    assert_eq!(formats(&alice.answer_to("INVITE", 183)), [0]);

    mobile.reply(&at_mobile, "200 OK", "", &sdp(1, 40_004, &[8], "sendrecv"));
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(formats(&answer), [8]);
    acknowledge(&mut alice, &answer);

    assert_eq!(formats(&takes(&mut alice, 40_000, &[8])), [8]);
}

#[test]
fn who_narrows_its_codecs_before_the_answer_narrows_them_for_both() {
    for callee in [true, false] {
        let mut call = Told::with(BOTH, 40_000);
        let mut of_desk = callee_end(&call.desk, &call.at_desk);
        let narrow = sdp(2, 40_010, &[8], "sendrecv");
        let answer = if callee {
            call.desk.say(&mut of_desk, "UPDATE", "", &narrow);
            call.desk.answer_to("UPDATE", 200)
        } else {
            call.alice.say(&mut call.end, "UPDATE", "", &narrow);
            call.alice.answer_to("UPDATE", 200)
        };
        assert_eq!(formats(&answer), [8]);

        call.desk.reply(&call.at_desk, "200 OK", "", "");
        call.desk.wire.receive("ACK");
        let answer = call.alice.answer_to("INVITE", 200);
        acknowledge(&mut call.alice, &answer);

        let other = if callee { &mut call.alice } else { &mut call.desk };
        assert_eq!(formats(&takes(other, 40_000, &[8])), [8], "callee: {callee}");
        talks(&mut call.alice, &mut call.end, &mut call.desk);
    }
}

#[test]
fn a_phone_that_turns_to_a_codec_that_the_other_does_not_use_takes_the_other_along() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, mut of_bob) = standing_with(&mut alice, &mut bob, BOTH, &[0]);

    bob.say(&mut of_bob, "INVITE", "", &sdp(2, 40_002, &[8], "sendrecv"));
    assert_eq!(formats(&bob.answer_to("INVITE", 200)), [8]);
    bob.say(&mut of_bob, "ACK", "", "");

    assert_eq!(formats(&takes(&mut alice, 40_000, &[8])), [8]);
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn a_hold_that_closes_the_audio_asks_nobody() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, mut of_bob) = standing_with(&mut alice, &mut bob, BOTH, &[0]);

    bob.say(&mut of_bob, "INVITE", "", &sdp(2, 0, &[0], "sendrecv"));
    assert_eq!(status(&bob.answer_to("INVITE", 200)), Some(200));
    bob.say(&mut of_bob, "ACK", "", "");
    bob.say(&mut of_bob, "INFO", "Info-Package: test\n", "");

    let next = alice.wire.receive_within(PATIENCE).expect("a message");
    assert!(next.starts_with("INFO"), "{next}");
    alice.reply(&next, "200 OK", "", "");
    talks(&mut alice, &mut end, &mut bob);
}
