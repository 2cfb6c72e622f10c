//! Offers and answers while a call rings: UPDATE, PRACK, early dialogs behind one INVITE (RFC 3262, RFC 3311, RFC 6337).

mod support;

use support::config::Config;
use support::party::{End, Party, SDP, callee_end, end_of, formats, idle, is_quiet, kill_the_call, sdp, talks};
use support::switch::Switch;
use support::wire::{header, status};

/// What a caller says that takes reliable provisional answers.
const RELIABLE: &str = "Supported: 100rel\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\n";

/// A call that rings, with the first offer answered reliably on both legs.
struct Ringing {
    switch: Switch,
    alice: Party,
    bob: Party,
    /// The INVITE as bob has it.
    invite: String,
    /// The caller's end.
    end: End,
    /// The callee's.
    of_bob: End,
}

impl Ringing {
    /// Alice offers PCMU and PCMA; bob answers these.
    fn with(answered: &[u8]) -> Self {
        let switch = Switch::start(Config::without_transcoding());
        let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
        alice.begin("INVITE", "sip:bob@example.com", RELIABLE, &sdp(1, 40_000, &[0, 8], "sendrecv"));
        let invite = bob.wire.receive("INVITE");
        bob.progress(&invite, &sdp(1, 40_002, answered, "sendrecv"));
        let progress = alice.answer_to("INVITE", 183);
        assert_eq!(formats(&progress), answered, "{progress}");
        let mut end = end_of(&progress);
        assert_eq!(status(&alice.prack(&mut end, &progress, "")), Some(200));
        let of_bob = callee_end(&bob, &invite);
        Self { switch, alice, bob, invite, end, of_bob }
    }

    /// Bob picks up; the 200 says nothing new.
    fn picked_up(&mut self) {
        self.bob.reply(&self.invite, "200 OK", "", "");
        self.bob.wire.receive("ACK");
        let answer = self.alice.answer_to("INVITE", 200);
        assert_eq!(status(&answer), Some(200));
        assert!(formats(&answer).is_empty(), "a reliable answer is not said again: {answer}");
        let cseq = header(&answer, "CSeq").and_then(|cseq| cseq.split(' ').next()?.parse().ok()).expect("a number");
        let mut of_invite = End { cseq, ..self.end.clone() };
        self.alice.say(&mut of_invite, "ACK", "", "");
    }

    /// What the switch says of the call.
    fn state(&self) -> String {
        self.switch.get("/api/calls").1.to_string()
    }
}

#[test]
fn a_caller_holds_and_moves_before_the_answer_and_the_callee_is_not_asked() {
    let mut call = Ringing::with(&[0, 8]);

    call.alice.say(&mut call.end, "UPDATE", "", &sdp(2, 40_100, &[0, 8], "sendonly"));

    let answer = call.alice.answer_to("UPDATE", 200);
    assert_eq!((status(&answer), formats(&answer)), (Some(200), vec![0, 8]));
    assert!(answer.contains("a=recvonly"), "{answer}");
    assert!(is_quiet(&mut call.bob));
    call.picked_up();
    assert!(call.state().contains("held"), "hold outlives the answer: {}", call.state());

    call.alice.say(&mut call.end, "UPDATE", "", &sdp(3, 40_100, &[0, 8], "sendrecv"));
    assert!(call.alice.answer_to("UPDATE", 200).contains("a=sendrecv"));
    assert!(call.state().contains("up"), "{}", call.state());
    talks(&mut call.alice, &mut call.end, &mut call.bob);
}

#[test]
fn a_callee_chooses_among_the_codecs_before_its_answer() {
    let mut call = Ringing::with(&[0, 8]);

    call.bob.say(&mut call.of_bob, "UPDATE", "", &sdp(2, 40_102, &[8], "sendrecv"));

    let answer = call.bob.answer_to("UPDATE", 200);
    assert_eq!((status(&answer), formats(&answer)), (Some(200), vec![8]));
    assert!(is_quiet(&mut call.alice));
}

#[test]
fn an_offer_before_the_answer_without_a_common_codec_changes_nothing() {
    let mut call = Ringing::with(&[0, 8]);

    call.alice.say(&mut call.end, "UPDATE", "", &sdp(2, 40_100, &[9], "sendrecv"));
    assert_eq!(status(&call.alice.answer_to("UPDATE", 200)), Some(488));
    call.bob.say(&mut call.of_bob, "UPDATE", "", &sdp(2, 40_102, &[9], "sendrecv"));
    assert_eq!(status(&call.bob.answer_to("UPDATE", 200)), Some(488));

    call.alice.say(&mut call.end, "UPDATE", "", &sdp(3, 40_100, &[0], "sendrecv"));
    assert_eq!(formats(&call.alice.answer_to("UPDATE", 200)), [0]);
}

#[test]
fn an_offer_waits_for_the_answer_to_the_one_before() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", RELIABLE, SDP);
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    let mut end = end_of(&alice.answer_to("INVITE", 180));
    let mut of_bob = callee_end(&bob, &invite);

    alice.say(&mut end, "UPDATE", "", SDP);
    let busy = alice.answer_to("UPDATE", 200);
    bob.say(&mut of_bob, "UPDATE", "", SDP);
    let glare = bob.answer_to("UPDATE", 200);

    // RFC 3311 section 5.2: the caller's own offer is not answered yet; ours to the callee is not.
    assert_eq!(status(&busy), Some(500));
    let seconds: u8 = header(&busy, "Retry-After").and_then(|v| v.parse().ok()).expect("Retry-After");
    assert!(seconds <= 10, "{busy}");
    assert_eq!(status(&glare), Some(491));
    bob.reply(&invite, "200 OK", "", SDP);
    assert_eq!(formats(&alice.answer_to("INVITE", 200)), [0]);
}

#[test]
fn an_update_without_an_offer_refreshes_an_early_dialog() {
    let mut call = Ringing::with(&[0]);

    call.alice.say(&mut call.end, "UPDATE", "", "");
    assert_eq!(status(&call.alice.answer_to("UPDATE", 200)), Some(200));
    call.bob.say(&mut call.of_bob, "UPDATE", "", "");
    assert_eq!(status(&call.bob.answer_to("UPDATE", 200)), Some(200));

    call.picked_up();
}

#[test]
fn a_caller_that_leaves_the_offer_to_the_callee_has_none_of_its_own() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", RELIABLE, "");
    let invite = bob.wire.receive("INVITE");
    assert!(!invite.contains("100rel"), "{invite}");
    bob.reply(&invite, "180 Ringing", "", "");
    let mut end = end_of(&alice.answer_to("INVITE", 180));

    alice.say(&mut end, "UPDATE", "", SDP);
    assert_eq!(status(&alice.answer_to("UPDATE", 200)), Some(491));

    bob.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(formats(&answer), [0], "the offer of the callee");
    let mut of_invite = end_of(&answer);
    alice.say(&mut of_invite, "ACK", "", SDP);
    bob.wire.receive("ACK");
    talks(&mut alice, &mut end, &mut bob);
}

/// A call in which the caller has a reliable answer that it has not acknowledged.
fn unacknowledged(switch: &Switch) -> (Party, Party, String, String, End) {
    let (mut alice, mut bob) = (Party::new(switch, "alice"), Party::registered(switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", RELIABLE, &sdp(1, 40_000, &[0, 8], "sendrecv"));
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "183 Session Progress", "", &sdp(1, 40_002, &[0, 8], "sendrecv"));
    let progress = alice.answer_to("INVITE", 183);
    let end = end_of(&progress);
    (alice, bob, invite, progress, end)
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_2xx() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob, invite, progress, mut end) = unacknowledged(&switch);

    let answer = alice.prack(&mut end, &progress, &sdp(2, 40_100, &[8, 0], "recvonly"));

    assert_eq!((status(&answer), formats(&answer)), (Some(200), vec![0, 8]));
    assert!(answer.contains("a=sendonly"), "{answer}");
    bob.reply(&invite, "200 OK", "", &sdp(1, 40_002, &[0, 8], "sendrecv"));
    assert!(formats(&alice.answer_to("INVITE", 200)).is_empty());
}

#[test]
fn an_offer_in_a_prack_without_a_common_codec_is_refused_and_the_response_is_acknowledged() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob, invite, progress, mut end) = unacknowledged(&switch);

    let refusal = alice.prack(&mut end, &progress, &sdp(2, 40_100, &[9], "sendrecv"));

    assert_eq!(status(&refusal), Some(488));
    bob.reply(&invite, "200 OK", "", &sdp(1, 40_002, &[0, 8], "sendrecv"));
    // The 200 waits for what is not acknowledged.
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn the_answer_waits_for_the_prack_of_a_description() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob, invite, progress, mut end) = unacknowledged(&switch);
    bob.reply(&invite, "200 OK", "", &sdp(1, 40_002, &[0, 8], "sendrecv"));
    bob.wire.receive("ACK");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(183), "RFC 3262 section 3: the 183 again, no 200");

    assert_eq!(status(&alice.prack(&mut end, &progress, "")), Some(200));

    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200));
    let mut of_invite = end_of(&answer);
    alice.say(&mut of_invite, "ACK", "", "");
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn a_callee_that_picked_up_is_let_go_when_the_caller_gives_up_or_never_acknowledges() {
    let switch = Switch::start(Config::without_transcoding().set("sip", "t1", r#""20ms""#));
    let (mut alice, mut bob, invite, _, _) = unacknowledged(&switch);
    bob.reply(&invite, "200 OK", "", SDP);
    bob.wire.receive("ACK");

    let answer = alice.answer_to("INVITE", 200);

    assert_eq!(status(&answer), Some(504), "64 T1 without a PRACK");
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);

    let invite = alice.begin("INVITE", "sip:bob@example.com", RELIABLE, SDP);
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "183 Session Progress", "", SDP);
    alice.answer_to("INVITE", 183);
    bob.reply(&at_bob, "200 OK", "", SDP);
    bob.wire.receive("ACK");
    alice.cancel(&invite);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn an_actor_that_dies_before_the_prack_answers_after_it() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob, invite, progress, mut end) = unacknowledged(&switch);
    bob.reply(&invite, "200 OK", "", SDP);
    bob.wire.receive("ACK");

    kill_the_call(&switch);

    assert_eq!(status(&alice.prack(&mut end, &progress, "")), Some(200));
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn an_early_dialog_is_named_by_both_tags_and_counts_its_requests() {
    let mut call = Ringing::with(&[0]);
    let mut forged = End { local: "<sip:alice@example.com>;tag=guessed".into(), ..call.end.clone() };
    call.alice.say(&mut forged, "UPDATE", "", SDP);
    assert_eq!(status(&call.alice.answer_to("UPDATE", 200)), Some(481));
    let mut of_stranger = End { local: format!("{}x", call.of_bob.local), ..call.of_bob.clone() };
    call.bob.say(&mut of_stranger, "UPDATE", "", SDP);
    assert_eq!(status(&call.bob.answer_to("UPDATE", 200)), Some(481));

    let mut late = End { cseq: 1, ..call.end.clone() };
    call.alice.say(&mut late, "UPDATE", "", SDP);

    let refusal = call.alice.answer_to("UPDATE", 200);
    assert_eq!(status(&refusal), Some(500));
    assert!(refusal.contains("CSeq Out Of Order"), "{refusal}");
    call.picked_up();
}

#[test]
fn each_early_dialog_behind_one_invite_has_offers_of_its_own() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", "", &sdp(1, 40_000, &[0, 8], "sendrecv"));
    let invite = bob.wire.receive("INVITE");
    bob.progress(&invite, &sdp(1, 40_002, &[0], "sendrecv"));
    let mut first = callee_end(&bob, &invite);
    assert_eq!(formats(&alice.answer_to("INVITE", 183)), [0]);
    bob.tag = "of-another-branch".into();
    bob.progress(&invite, &sdp(1, 40_004, &[8], "sendrecv"));
    assert_eq!(formats(&alice.answer_to("INVITE", 183)), [8]);

    bob.say(&mut first, "UPDATE", "", &sdp(2, 40_006, &[0, 8], "sendrecv"));
    assert_eq!(formats(&bob.answer_to("UPDATE", 200)), [0, 8]);
    bob.reply(&invite, "200 OK", "", "");

    bob.wire.receive("ACK");
    assert_eq!(formats(&alice.answer_to("INVITE", 200)), [8], "of the branch that has answered");
}

#[test]
fn the_description_of_the_branch_that_answers_decides() {
    let switch = Switch::start(Config::without_transcoding());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("INVITE", "sip:bob@example.com", "", &sdp(1, 40_000, &[0, 8], "sendrecv"));
    let invite = bob.wire.receive("INVITE");
    bob.progress(&invite, &sdp(1, 40_002, &[0], "sendrecv"));

    bob.tag = "of-another-branch".into();
    bob.reply(&invite, "200 OK", "", &sdp(1, 40_004, &[8], "sendrecv"));

    let ack = bob.wire.receive("ACK");
    assert!(header(&ack, "To").is_some_and(|to| to.ends_with("of-another-branch")), "{ack}");
    assert_eq!(formats(&alice.answer_to("INVITE", 200)), [8]);
}
