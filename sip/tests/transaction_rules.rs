//! What a transaction layer must do beyond its state machines.
mod support;

use sip::transaction::{
    ClientEnd, Layer, Output, Owned, RequestError, ServerEnd, Timers, ack_of, cancel_of, response_hop,
};
use sip::{Method, Name, Protocol, Status};
use support::party::*;
use support::{answer, hop, ms, parse, request};

#[test]
fn timer_a_doubles_from_t1_until_timer_b() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.send(&invite());
    assert_eq!(caller.sends_until(40_000), [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert!(caller.is_idle());
}

#[test]
fn timer_e_doubles_from_t1_to_t2_until_timer_f() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.send(&options());
    let times = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(caller.sends_until(40_000), times);
    assert!(caller.is_idle());
}

#[test]
fn timer_g_and_a_2xx_double_from_t1_to_t2_until_64_t1() {
    let times = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    for last in [busy(), ok()] {
        let mut callee = Party::callee(Protocol::Udp);
        let server = callee.serve(&invite());
        callee.respond(server, &last);
        assert_eq!(callee.sends_until(40_000), times);
        assert!(callee.is_idle());
    }
}

#[test]
fn another_t1_scales_the_timers() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.layer = Layer::new(Timers::new(ms(100)), 10);
    caller.send(&invite());
    assert_eq!(caller.sends_until(40_000), [100, 300, 700, 1_500, 3_100, 6_300]);
    assert!(caller.is_idle());
}

#[test]
fn a_merged_request_gets_482_and_its_first_copy_goes_on() {
    let mut callee = Party::callee(Protocol::Udp);
    let server = callee.serve(&invite());
    let other = request("INVITE", "call", 1, "z9hG4bKother", "");
    let out = callee.receive(&other);
    assert_eq!(words(&out), "482");
    assert!(sent(&out)[0].to_tag().is_some());
    assert_eq!(words(&callee.respond(server, &ok())), "200");
    assert_eq!(words(&callee.receive(&ack_2xx("bob"))), "<acked>");
    let ack = request("ACK", "call", 1, "z9hG4bKother", ";tag=x");
    assert_eq!(words(&callee.receive(&ack)), "");
}

#[test]
fn a_request_inside_a_dialog_or_with_another_cseq_is_not_merged() {
    let mut callee = Party::callee(Protocol::Udp);
    callee.serve(&invite());
    callee.serve(&request("INVITE", "call", 2, "z9hG4bKagain", ""));
    callee.serve(&request("INVITE", "call", 1, "z9hG4bKinside", ";tag=bob"));
    callee.serve(&request("OPTIONS", "call", 1, "z9hG4bKoptions", ""));
}

#[test]
fn the_same_branch_from_another_sent_by_is_another_transaction() {
    let mut callee = Party::callee(Protocol::Udp);
    callee.serve(&invite());
    let text = String::from_utf8(invite().raw().to_vec()).unwrap();
    let other = text.replace("UDP 192.0.2.1:5060", "UDP 192.0.2.7:5060").replace("Call-ID: call", "Call-ID: x");
    callee.serve(&parse(&other));
    let same = text.replace("Via: SIP/2.0/UDP", "v: SIP / 2.0 / UDP");
    assert_eq!(words(&callee.receive(&parse(&same))), "");
}

#[test]
fn a_client_of_rfc_2543_is_matched_without_branch() {
    let old = |method: &str, tag: &str| {
        let text = String::from_utf8(request(method, "call", 1, "1", tag).raw().to_vec()).unwrap();
        parse(&text.replace(";branch=1", ""))
    };
    let mut callee = Party::callee(Protocol::Udp);
    let server = callee.serve(&old("INVITE", ""));
    assert_eq!(words(&callee.respond(server, &answer(&old("INVITE", ""), 180, "bob"))), "180");
    assert_eq!(words(&callee.receive(&old("INVITE", ""))), "180");
    assert_eq!(words(&callee.receive(&old("CANCEL", ""))), "200 <cancel>");
    callee.respond(server, &answer(&old("INVITE", ""), 487, "bob"));
    assert_eq!(words(&callee.receive(&old("ACK", ";tag=bob"))), "");
    assert_eq!(callee.sends_until(60_000), [] as [u64; 0]);
    assert!(callee.is_idle());

    let server = callee.serve(&old("INVITE", ""));
    callee.respond(server, &answer(&old("INVITE", ""), 200, "bob"));
    assert_eq!(words(&callee.receive(&old("ACK", ";tag=bob"))), "<acked>");
}

#[test]
fn a_2xx_is_acknowledged_again_with_the_ack_that_was_lost() {
    let mut caller = Party::caller(Protocol::Udp);
    let client = caller.send(&invite());
    caller.receive(&ok());
    let mut way = caller.hop;
    way.remote = "192.0.2.99:5070".parse().unwrap();
    caller.layer.ack(client, b"bob", ack_2xx("bob").raw().clone(), way, &mut caller.out);
    caller.out.clear();
    let out = caller.receive(&ok());
    let [Output::Send { bytes, hop }] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!((bytes, *hop), (ack_2xx("bob").raw(), way));
}

#[test]
fn a_reliable_provisional_response_is_sent_until_its_prack() {
    let mut callee = Party::callee(Protocol::Tcp);
    let server = callee.serve(&invite());
    let bytes = ringing().raw().clone();
    assert!(callee.layer.respond_reliably(callee.now, server, 9, bytes.clone(), &mut callee.out));
    assert!(!callee.layer.respond_reliably(callee.now, server, 10, bytes.clone(), &mut callee.out));
    assert_eq!(words(&std::mem::take(&mut callee.out)), "180");
    assert_eq!(callee.sends_until(4_000), [500, 1_500, 3_500]);
    assert!(!callee.layer.pracked(callee.now, server, 8));
    assert!(callee.layer.pracked(callee.now, server, 9));
    assert!(!callee.layer.pracked(callee.now, server, 9));
    assert_eq!(callee.sends_until(90_000), [] as [u64; 0]);
    assert!(callee.layer.respond_reliably(callee.now, server, 10, bytes, &mut callee.out));
}

#[test]
fn an_invite_whose_prack_is_missing_can_still_be_refused() {
    let mut callee = Party::callee(Protocol::Udp);
    let server = callee.serve(&invite());
    let bytes = ringing().raw().clone();
    callee.layer.respond_reliably(callee.now, server, 1, bytes, &mut callee.out);
    callee.out.clear();
    let said = callee.until(32_000);
    let last = said.last().unwrap();
    assert!(matches!(last.1, Output::ServerEnded { why: ServerEnd::ProvisionalNotAcknowledged, .. }));
    assert_eq!(last.0, 32_000);
    assert_eq!(words(&callee.respond(server, &answer(&invite(), 504, "bob"))), "504");
}

#[test]
fn the_cancel_and_the_ack_of_a_refusal_are_made_as_sections_9_1_and_17_1_1_3_say() {
    let cancel = sip::Message::parse(cancel_of(invite().raw(), Some("SIP;cause=200")).unwrap()).unwrap();
    let ack = sip::Message::parse(ack_of(invite().raw(), &busy()).unwrap()).unwrap();
    for made in [&cancel, &ack] {
        for name in [Name::Via, Name::From, Name::Route, Name::CallId] {
            assert_eq!(made.value(name), invite().value(name));
        }
        assert_eq!(made.request_uri(), invite().request_uri());
        assert_eq!((made.cseq(), made.all(Name::Via).count()), (1, 1));
    }
    assert_eq!((cancel.method(), cancel.to_tag()), (&Method::Cancel, None));
    assert_eq!(cancel.value(Name::Reason), Some(&b"SIP;cause=200"[..]));
    assert_eq!((ack.method(), ack.to_tag()), (&Method::Ack, Some(&b"bob"[..])));
}

#[test]
fn the_answer_to_a_cancel_has_the_tag_of_the_invites_answers() {
    let mut callee = Party::callee(Protocol::Udp);
    let server = callee.serve(&invite());
    callee.respond(server, &ringing());
    let out = callee.receive(&request("CANCEL", "call", 1, "z9hG4bKinvite", ""));
    assert_eq!(sent(&out)[0].to_tag(), Some(&b"bob"[..]));
}

#[test]
fn a_full_layer_refuses_new_calls_first_and_lets_those_that_stand_end() {
    let mut callee = Party::callee(Protocol::Udp);
    callee.layer = Layer::new(Timers::default(), 16);
    for n in 0..14 {
        callee.serve(&request("INVITE", &format!("c{n}"), 1, &format!("z9hG4bK{n}"), ""));
    }
    let next = request("INVITE", "c14", 1, "z9hG4bK14", "");
    assert_eq!(words(&callee.receive(&next)), "<overload>");
    callee.serve(&request("BYE", "c1", 2, "z9hG4bKbye", ";tag=bob"));
    callee.send(&request("BYE", "c2", 2, "z9hG4bKbye2", ";tag=bob"));
    let branch = "z9hG4bKfull";
    let full =
        callee.layer.request(callee.now, next.raw().clone(), next.method(), branch, callee.hop, 1, &mut callee.out);
    assert_eq!(full, Err(RequestError::TooMany));
    assert_eq!(words(&callee.receive(&request("CANCEL", "c3", 1, "z9hG4bK3", ""))), "200 <cancel>");
    assert_eq!(callee.layer.counts().total(), 16);
}

#[test]
fn a_branch_is_used_once() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.send(&options());
    let again = caller.layer.request(
        caller.now,
        options().raw().clone(),
        &Method::Options,
        "z9hG4bKoptions",
        caller.hop,
        1,
        &mut caller.out,
    );
    assert_eq!(again, Err(RequestError::BranchInUse));
}

#[test]
fn an_answer_that_is_forgotten_leaves_nothing_behind() {
    let mut callee = Party::callee(Protocol::Udp);
    let server = callee.serve(&invite());
    let bytes = answer(&invite(), 401, "bob").raw().clone();
    callee.layer.respond_and_forget(server, bytes, &mut callee.out);
    assert_eq!(words(&std::mem::take(&mut callee.out)), "401");
    assert!(callee.is_idle());
    assert_eq!(words(&callee.receive(&ack_refusal("bob"))), "<ack>");
    callee.serve(&invite());
}

#[test]
fn a_lost_connection_ends_what_somebody_waits_for() {
    let mut both = Party::caller(Protocol::Tcp);
    both.send(&options());
    let server = both.serve(&request("INVITE", "in", 1, "z9hG4bKin", ""));
    both.layer.claim(server, 3);
    let answered = both.serve(&request("INVITE", "in2", 1, "z9hG4bKin2", ""));
    both.respond(answered, &answer(&request("INVITE", "in2", 1, "z9hG4bKin2", ""), 200, "bob"));
    both.receive(&request("ACK", "in2", 1, "z9hG4bKin3", ";tag=bob"));
    both.out.clear();
    let hop = both.hop;
    both.layer.transport_failed(&hop, &mut both.out);
    assert!(matches!(
        both.out.as_slice(),
        [
            Output::ClientEnded { why: ClientEnd::TransportFailed, owner: 7, .. },
            Output::ServerEnded { why: ServerEnd::TransportFailed, owner: Some(3), .. },
        ]
    ));
    assert!(both.is_idle());
}

#[test]
fn an_unreachable_address_ends_only_what_waits_for_it() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.send(&options());
    caller.send(&invite());
    caller.receive(&busy());
    caller.out.clear();
    let mut elsewhere = caller.hop;
    elsewhere.remote = "192.0.2.3:5060".parse().unwrap();
    caller.layer.transport_failed(&elsewhere, &mut caller.out);
    assert!(caller.out.is_empty());
    let hop = caller.hop;
    caller.layer.transport_failed(&hop, &mut caller.out);
    assert_eq!(words(&caller.out), "<TransportFailed>");
    assert_eq!(caller.layer.counts().total(), 1);
}

#[test]
fn a_datagram_that_came_back_ends_the_request_that_it_quotes_and_nothing_else() {
    let mut caller = Party::caller(Protocol::Udp);
    caller.send(&invite());
    let sent = String::from_utf8(invite().raw().to_vec()).unwrap();
    let hop = caller.hop;
    let mut elsewhere = hop;
    elsewhere.remote = "192.0.2.3:5060".parse().unwrap();
    caller.out.clear();
    let via = sent.find("Via:").unwrap();
    let end = via + sent[via..].find("\r\n").unwrap() + 2;
    // Nothing that proves it: a branch of nobody, a response, a quotation that ends within the Via, another place.
    let foreign = sent.replace("z9hG4bK", "z9hG4bKx");
    let response = sent.replacen("INVITE", "SIP/2.0", 1);
    for (quoted, hop) in [(&foreign[..], hop), (&response, hop), (&sent[..end - 1], hop), ("", hop), (&sent, elsewhere)]
    {
        assert!(!caller.layer.datagram_refused(caller.now, quoted.as_bytes(), &hop, &mut caller.out), "{quoted}");
        assert!(caller.out.is_empty());
    }
    // RFC 792 has 8 bytes quoted at the least, and systems quote some 500: the top Via is enough.
    assert!(caller.layer.datagram_refused(caller.now, &sent.as_bytes()[..end], &hop, &mut caller.out));
    assert_eq!(words(&caller.out), "<TransportFailed>");
    assert!(caller.layer.counts().total() == 0);
}

#[test]
fn a_rebuilt_owner_finds_its_transactions_and_one_that_is_gone_leaves_none() {
    let mut both = Party::callee(Protocol::Udp);
    let server = both.serve(&request("INVITE", "in", 1, "z9hG4bKin", ""));
    both.layer.claim(server, 7);
    both.respond(server, &answer(&request("INVITE", "in", 1, "z9hG4bKin", ""), 180, "bob"));
    let client = both.send(&invite());
    both.receive(&ringing());
    let mut owned = both.layer.owned(7);
    owned.sort_by_key(|o| matches!(o, Owned::Client { .. }));
    assert_eq!(
        owned,
        [Owned::Server { server, invite: true, open: true }, Owned::Client { client, invite: true, open: true },]
    );
    both.out.clear();
    both.layer.abandon(both.now, 7, &mut both.out);
    let out = std::mem::take(&mut both.out);
    assert_eq!(words(&out), "500 CANCEL");
    assert_eq!(sent(&out)[0].to_tag(), Some(&b"bob"[..]));
    assert_eq!(both.layer.owned(7), []);
    assert_eq!(words(&both.receive(&ok())), "<stray>");
    assert!(both.until(90_000).iter().all(|(_, o)| matches!(o, Output::Send { .. })));
    assert!(both.is_idle());
}

#[test]
fn responses_go_back_as_sections_18_2_2_and_rfc_3581_4_say() {
    let from: std::net::SocketAddr = "198.51.100.7:40000".parse().unwrap();
    for (protocol, via, to) in [
        (Protocol::Udp, "192.0.2.1:5070", "198.51.100.7:5070"),
        (Protocol::Udp, "192.0.2.1", "198.51.100.7:5060"),
        (Protocol::Udp, "192.0.2.1:5070;rport", "198.51.100.7:40000"),
        (Protocol::Udp, "192.0.2.1:5070;maddr=203.0.113.1", "203.0.113.1:5070"),
        (Protocol::Tcp, "192.0.2.1:5070", "198.51.100.7:40000"),
    ] {
        let text = String::from_utf8(options().raw().to_vec()).unwrap();
        let message = parse(&text.replace("192.0.2.1:5060", via));
        let mut hop = hop(protocol, false);
        hop.remote = from;
        assert_eq!(response_hop(&message, &hop).remote, to.parse().unwrap(), "{via}");
    }
}

#[test]
fn the_user_sees_where_a_request_came_from_in_its_via() {
    let mut callee = Party::callee(Protocol::Udp);
    callee.hop.remote = "198.51.100.7:40000".parse().unwrap();
    let text = String::from_utf8(options().raw().to_vec()).unwrap();
    let out = callee.receive(&parse(&text.replace(";branch", ";rport;branch")));
    let [Output::Request { message, .. }] = out.as_slice() else { panic!("{out:?}") };
    let via = message.via();
    assert_eq!(via.params.value(b"received"), Some(&b"198.51.100.7"[..]));
    assert_eq!(via.params.value(b"rport"), Some(&b"40000"[..]));
}

#[test]
fn what_belongs_to_nothing_is_told_as_stray() {
    let mut party = Party::caller(Protocol::Udp);
    assert_eq!(words(&party.receive(&ok())), "<stray>");
    assert_eq!(words(&party.receive(&ack_2xx("bob"))), "<ack>");
    assert!(party.is_idle());
    let gone = party.serve(&options());
    party.respond(gone, &answer(&options(), 200, "bob"));
    party.until(40_000);
    assert_eq!(words(&party.respond(gone, &answer(&options(), 200, "bob"))), "");
    party.layer.respond(party.now, gone, Status::OK, ok().raw().clone(), &mut party.out);
    assert!(party.out.is_empty());
}
