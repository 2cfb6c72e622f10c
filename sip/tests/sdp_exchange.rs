//! Offers and answers travel in the messages that RFC 6337 section 2.2 lists, and in no others.

use sip::sdp::Carrier::{
    Ack, Invite, InviteOk, Prack, PrackOk, ReliableProvisional, UnreliableProvisional, Update, UpdateOk,
};
use sip::sdp::{Carrier, Meaning, OfferAnswer, Refusal, Session, State};

const ALL: [Carrier; 9] =
    [Invite, UnreliableProvisional, ReliableProvisional, InviteOk, Ack, Prack, PrackOk, Update, UpdateOk];

fn sdp(version: u64) -> Option<Session> {
    lines(version, 1)
}

fn lines(version: u64, count: usize) -> Option<Session> {
    let media = "m=audio 4000 RTP/AVP 0\r\n".repeat(count);
    let text = format!("v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}");
    Some(Session::parse(text.as_bytes()).expect("a description"))
}

fn stable() -> OfferAnswer {
    OfferAnswer::restored(sdp(1).expect("one"), sdp(2).expect("one"))
}

#[test]
fn each_pair_of_rfc_6337_section_2_2_reaches_stable_from_both_sides() {
    let plain = [(Invite, InviteOk), (Invite, ReliableProvisional), (Prack, PrackOk), (Update, UpdateOk)];
    let invited = [(InviteOk, Ack), (ReliableProvisional, Prack)];
    for (offer, answer) in plain {
        let (mut caller, mut callee) = (OfferAnswer::new(), OfferAnswer::new());
        assert_eq!(caller.sent(offer, sdp(1)), Ok(Meaning::Offer));
        assert_eq!(callee.received(offer, sdp(1)), Ok(Meaning::Offer));
        assert_eq!((caller.state(), callee.state()), (State::OfferSent, State::OfferReceived));
        assert_eq!(callee.sent(answer, sdp(2)), Ok(Meaning::Answer));
        assert_eq!(caller.received(answer, sdp(2)), Ok(Meaning::Answer));
        assert_eq!((caller.state(), callee.state()), (State::Stable, State::Stable));
        assert_eq!((caller.local().cloned(), caller.remote().cloned()), (sdp(1), sdp(2)));
        assert_eq!((callee.local().cloned(), callee.remote().cloned()), (sdp(2), sdp(1)));
    }
    for (offer, answer) in invited {
        let (mut caller, mut callee) = (OfferAnswer::new(), OfferAnswer::new());
        assert_eq!(caller.sent(Invite, None), Ok(Meaning::OfferInvited));
        assert_eq!(callee.received(Invite, None), Ok(Meaning::OfferInvited));
        assert_eq!(callee.sent(offer, sdp(1)), Ok(Meaning::Offer));
        assert_eq!(caller.received(offer, sdp(1)), Ok(Meaning::Offer));
        assert_eq!(caller.sent(answer, sdp(2)), Ok(Meaning::Answer));
        assert_eq!(callee.received(answer, sdp(2)), Ok(Meaning::Answer));
        assert_eq!((caller.local().cloned(), callee.local().cloned()), (sdp(2), sdp(1)));
    }
}

#[test]
fn only_the_paired_message_answers() {
    let pairs = [(Invite, InviteOk), (Invite, ReliableProvisional), (Prack, PrackOk), (Update, UpdateOk)];
    for offer in [Invite, Prack, Update] {
        for candidate in ALL {
            let mut exchange = stable();
            exchange.sent(offer, sdp(3)).expect("an offer may go");
            let meaning = exchange.received(candidate, sdp(4));
            let answered = meaning == Ok(Meaning::Answer);
            assert_eq!(answered, pairs.contains(&(offer, candidate)), "{offer:?} then {candidate:?}: {meaning:?}");
            assert_eq!(exchange.state() == State::Stable, answered);
        }
    }
}

#[test]
fn an_unreliable_answer_is_a_preview_and_the_answer_still_follows() {
    let mut exchange = OfferAnswer::new();
    exchange.sent(Invite, sdp(1)).expect("an offer");
    assert_eq!(exchange.received(UnreliableProvisional, sdp(2)), Ok(Meaning::Preview));
    assert_eq!((exchange.state(), exchange.preview().cloned()), (State::OfferSent, sdp(2)));
    assert_eq!(exchange.received(UnreliableProvisional, None), Ok(Meaning::Nothing));
    assert_eq!(exchange.received(InviteOk, sdp(2)), Ok(Meaning::Answer));
    assert_eq!(exchange.preview(), None);
}

#[test]
fn after_a_reliable_answer_the_2xx_brings_nothing_new() {
    let mut exchange = OfferAnswer::new();
    exchange.sent(Invite, sdp(1)).expect("an offer");
    exchange.received(ReliableProvisional, sdp(2)).expect("its answer");
    assert_eq!(exchange.received(InviteOk, sdp(9)), Ok(Meaning::Ignored));
    assert_eq!(exchange.received(InviteOk, None), Ok(Meaning::Nothing));
    assert_eq!(exchange.remote().cloned(), sdp(2));
}

#[test]
fn crossing_offers_are_glare_and_a_second_offer_has_to_wait() {
    for carrier in [Invite, Update, Prack] {
        let mut crossed = stable();
        crossed.sent(Update, sdp(3)).expect("an offer");
        assert_eq!(crossed.received(carrier, sdp(4)), Err(Refusal::Glare), "{carrier:?}");
        assert_eq!(crossed.state(), State::OfferSent, "ours still stands");
        let mut second = stable();
        second.received(Update, sdp(3)).expect("an offer");
        assert_eq!(second.received(carrier, sdp(4)), Err(Refusal::Busy), "{carrier:?}");
        assert_eq!(second.pending_offer().cloned(), sdp(3));
        assert_eq!(second.sent(carrier, sdp(4)), Err(Refusal::Glare), "nor may we offer meanwhile");
    }
    let mut crossed = stable();
    crossed.sent(Invite, sdp(3)).expect("an offer");
    assert_eq!(crossed.received(Invite, None), Err(Refusal::Glare), "an INVITE that invites an offer crosses as well");
}

#[test]
fn the_offer_that_an_invite_asks_for_comes_before_any_other() {
    for carrier in [Update, Prack] {
        let (mut asked, mut asks) = (OfferAnswer::new(), OfferAnswer::new());
        asked.received(Invite, None).expect("an invitation");
        asks.sent(Invite, None).expect("an invitation");
        assert_eq!(asked.received(carrier, sdp(1)), Err(Refusal::Glare), "{carrier:?}");
        assert_eq!(asks.received(carrier, sdp(1)), Err(Refusal::Glare), "{carrier:?}");
        assert_eq!(asked.sent(InviteOk, sdp(2)), Ok(Meaning::Offer), "which still stands");
        assert_eq!(asks.received(InviteOk, sdp(2)), Ok(Meaning::Offer));
    }
}

#[test]
fn a_missing_answer_or_offer_is_told() {
    let mut exchange = OfferAnswer::new();
    exchange.sent(Invite, sdp(1)).expect("an offer");
    assert_eq!(exchange.received(ReliableProvisional, None), Ok(Meaning::Nothing), "the 2xx may still bring it");
    assert_eq!(exchange.received(InviteOk, None), Err(Refusal::NoAnswer));
    let mut invited = OfferAnswer::new();
    invited.sent(Invite, None).expect("an invitation");
    assert_eq!(invited.received(InviteOk, None), Err(Refusal::NoOffer));
    assert_eq!(invited.received(InviteOk, sdp(1)), Ok(Meaning::Offer));
    assert_eq!(invited.sent(Ack, None), Err(Refusal::NoAnswer));
}

#[test]
fn a_refused_reinvite_leaves_what_was_in_force() {
    let mut exchange = stable();
    exchange.sent(Invite, sdp(3)).expect("an offer");
    exchange.failed();
    assert_eq!((exchange.state(), exchange.local().cloned()), (State::Stable, sdp(1)));
    assert_eq!(exchange.received(Update, sdp(4)), Ok(Meaning::Offer), "and the way is free again");
}

#[test]
fn an_answer_has_the_sections_of_its_offer() {
    let mut exchange = OfferAnswer::new();
    exchange.sent(Invite, lines(1, 2)).expect("an offer");
    assert_eq!(exchange.received(InviteOk, lines(2, 3)), Err(Refusal::Shape { offered: 2, answered: 3 }));
    assert_eq!(exchange.received(InviteOk, lines(2, 1)), Ok(Meaning::Answer), "left out is rejected");
    let mut strict = OfferAnswer::new();
    strict.received(Invite, lines(1, 2)).expect("an offer");
    assert_eq!(strict.sent(InviteOk, lines(2, 1)), Err(Refusal::Shape { offered: 2, answered: 1 }), "ours is exact");
}
