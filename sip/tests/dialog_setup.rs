//! Dialogs from both sides: set-up, forks, routes, order, checkpoints.
mod support;

use proptest::prelude::*;
use sip::dialog::{Dialog, DialogError, OutOfOrder, ROUTES_MAX, State};
use sip::{Message, Method, Name};
use support::{parse, request};

const VIA: &str = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnext";

fn with(message: &Message, more: &str) -> Message {
    let text = String::from_utf8(message.raw().to_vec()).unwrap();
    parse(&text.replacen("\r\nContent-Length", &format!("\r\n{more}\r\nContent-Length"), 1))
}

fn invite() -> Message {
    request("INVITE", "call", 1, "z9hG4bK1", "")
}

/// A response with Contact and, when not empty, Record-Route.
fn response(status: u16, tag: &str, record_route: &str) -> Message {
    let response = support::answer(&invite(), status, tag);
    let contact = format!("Contact: <sip:{tag}@192.0.2.20:5080>");
    let response = with(&response, &contact);
    if record_route.is_empty() { response } else { with(&response, &format!("Record-Route: {record_route}")) }
}

fn finish(writer: sip::Writer) -> Message {
    Message::parse(writer.finish()).unwrap()
}

fn routes(message: &Message) -> Vec<String> {
    let text = |v: &[u8]| String::from_utf8(v.to_vec()).unwrap();
    message.values(Name::Route).map(|v| text(v.unwrap())).collect()
}

#[test]
fn both_sides_of_a_dialog_take_each_others_requests() {
    let ok = response(200, "bob", "");
    let mut alice = Dialog::of_client(&invite(), &ok).unwrap();
    let mut bob = Dialog::of_server(&invite(), "bob").unwrap();
    assert_eq!((alice.state(), bob.state()), (State::Confirmed, State::Early));
    bob.confirm(None).unwrap();
    assert_eq!(bob.state(), State::Confirmed);
    assert_eq!(alice.local_tag(), bob.remote_tag());
    assert_eq!(alice.remote_tag(), bob.local_tag());
    assert_eq!(alice.remote_uri(), b"sip:bob@b.invalid");
    assert_eq!(bob.remote_target(), b"sip:alice@192.0.2.1");
    assert_eq!(alice.remote_target(), b"sip:bob@192.0.2.20:5080");

    let ack = finish(alice.ack(1, VIA));
    assert!(bob.owns(&ack));
    assert_eq!((ack.cseq(), ack.request_uri()), (1, &b"sip:bob@192.0.2.20:5080"[..]));
    bob.check_incoming(&ack).unwrap();

    let info = finish(alice.request(&Method::Info, VIA));
    assert_eq!(info.cseq(), 2);
    assert!(bob.owns(&info) && !alice.owns(&info));
    bob.check_incoming(&info).unwrap();
    assert_eq!(bob.check_incoming(&info), Err(OutOfOrder { got: 2, seen: 2 }));

    let bye = finish(bob.request(&Method::Bye, VIA));
    assert!(alice.owns(&bye));
    alice.check_incoming(&bye).unwrap();
    assert_eq!((bye.cseq(), alice.remote_cseq()), (1, Some(1)));
    let done = support::answer(&bye, 200, "unused");
    assert!(bob.owns(&done));
}

#[test]
fn each_to_tag_is_a_dialog_of_its_own() {
    let bob = Dialog::of_client(&invite(), &response(180, "bob", "")).unwrap();
    let carol = Dialog::of_client(&invite(), &response(180, "carol", "")).unwrap();
    let ok = response(200, "carol", "");
    assert!(carol.owns(&ok) && !bob.owns(&ok));
    assert_eq!((bob.state(), bob.is_caller()), (State::Early, true));
}

#[test]
fn the_route_set_is_reversed_for_the_caller_and_taken_from_the_2xx() {
    let early = response(180, "bob", "<sip:early;lr>");
    let ok = response(200, "bob", "<sip:near.bob;lr>, <sip:near.alice;lr>");
    let mut alice = Dialog::of_client(&invite(), &early).unwrap();
    assert_eq!(alice.next_hop(), b"sip:early;lr");
    alice.confirm(Some(&ok)).unwrap();
    assert_eq!(alice.next_hop(), b"sip:near.alice;lr");
    let bye = finish(alice.request(&Method::Bye, VIA));
    assert_eq!(routes(&bye), ["<sip:near.alice;lr>", "<sip:near.bob;lr>"]);
    assert_eq!(bye.request_uri(), b"sip:bob@192.0.2.20:5080");

    let invite = with(&invite(), "Record-Route: <sip:near.bob;lr>\r\nRecord-Route: <sip:near.alice;lr>");
    let mut bob = Dialog::of_server(&invite, "bob").unwrap();
    let bye = finish(bob.request(&Method::Bye, VIA));
    assert_eq!(routes(&bye), ["<sip:near.bob;lr>", "<sip:near.alice;lr>"]);
}

#[test]
fn a_strict_router_gets_itself_as_request_uri() {
    let ok = response(200, "bob", "<sip:loose;lr>, <sip:strict>");
    let mut alice = Dialog::of_client(&invite(), &ok).unwrap();
    let bye = finish(alice.request(&Method::Bye, VIA));
    assert_eq!(bye.request_uri(), b"sip:strict");
    assert_eq!(routes(&bye), ["<sip:loose;lr>", "<sip:bob@192.0.2.20:5080>"]);
    assert_eq!(alice.next_hop(), b"sip:strict");
}

#[test]
fn a_refresh_moves_the_target_and_nothing_else() {
    let mut alice = Dialog::of_client(&invite(), &response(200, "bob", "<sip:p;lr>")).unwrap();
    alice.refresh(&response(200, "elsewhere", "<sip:other;lr>"));
    assert_eq!(alice.remote_target(), b"sip:elsewhere@192.0.2.20:5080");
    assert_eq!(alice.next_hop(), b"sip:p;lr");
    alice.refresh(&support::answer(&invite(), 200, "bob"));
    assert_eq!(alice.remote_target(), b"sip:elsewhere@192.0.2.20:5080");
}

#[test]
fn what_a_dialog_needs_and_what_is_too_much_is_named() {
    let bare = support::answer(&invite(), 200, "bob");
    assert_eq!(Dialog::of_client(&invite(), &bare), Err(DialogError::Header(Name::Contact)));
    let early = support::answer(&invite(), 180, "bob");
    assert_eq!(Dialog::of_client(&invite(), &early).unwrap().remote_target(), invite().request_uri());
    let many = vec!["<sip:p;lr>"; ROUTES_MAX + 1].join(", ");
    assert_eq!(Dialog::of_client(&invite(), &response(200, "bob", &many)), Err(DialogError::Routes));
    let broken = response(200, "bob", "<sip:p");
    assert_eq!(Dialog::of_client(&invite(), &broken), Err(DialogError::Header(Name::RecordRoute)));
}

#[test]
fn a_checkpoint_gives_the_same_dialog_in_a_few_hundred_bytes() {
    let ok = response(200, "bob", "<sip:near.bob;lr>, <sip:near.alice;lr>");
    let mut alice = Dialog::of_client(&invite(), &ok).unwrap();
    alice.request(&Method::Info, VIA);
    let mut bob = Dialog::of_server(&invite(), "bob").unwrap();
    for dialog in [&alice, &bob] {
        let bytes = dialog.to_bytes();
        assert!(bytes.len() < 300, "{}", bytes.len());
        assert_eq!(Dialog::from_bytes(&bytes).as_ref(), Ok(dialog));
    }
    let mut again = Dialog::from_bytes(&bob.to_bytes()).unwrap();
    let (one, other) = (bob.request(&Method::Bye, VIA), again.request(&Method::Bye, VIA));
    assert_eq!(one.finish(), other.finish());
}

proptest! {
    #[test]
    fn no_bytes_make_the_checkpoint_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(dialog) = Dialog::from_bytes(&bytes) {
            prop_assert_eq!(Dialog::from_bytes(&dialog.to_bytes()), Ok(dialog));
        }
    }

    #[test]
    fn a_checkpoint_that_is_cut_off_in_a_part_is_refused(cut in 0_usize..80) {
        let bytes = Dialog::of_server(&invite(), "bob").unwrap().to_bytes();
        prop_assert_eq!(Dialog::from_bytes(&bytes[..cut]), Err(DialogError::Checkpoint));
    }
}
