//! The rules inside a dialog: glare, PRACK, session timers, Replaces, REFER, subscriptions.
mod support;

use sip::dialog::Dialog;
use sip::dialog::glare::retry_after;
use sip::dialog::refer::{Refer, Report, status_of};
use sip::dialog::reliable::{RAck, Received, Sent, Verdict};
use sip::dialog::replaces::Replaces;
use sip::dialog::session_timer::{Policy, Refresher, TooSmall};
use sip::dialog::subscription::{Bounds, Notified, Notifier, Reason, Subscriber, TooBrief, event};
use sip::{Message, Status};
use support::{answer, ms, parse, request};

fn with(message: &Message, more: &str) -> Message {
    let text = String::from_utf8(message.raw().to_vec()).unwrap();
    parse(&text.replacen("\r\nContent-Length", &format!("\r\n{more}\r\nContent-Length"), 1))
}

fn invite() -> Message {
    request("INVITE", "call", 1, "z9hG4bK1", "")
}

fn seconds(s: u64) -> std::time::Duration {
    ms(s * 1_000)
}

#[test]
fn after_a_glare_the_owner_of_the_call_id_waits_2_1_to_4_s_and_the_other_up_to_2_s() {
    let all = |owner| (0..10_000_u32).map(move |n| retry_after(owner, n));
    assert_eq!((all(true).min(), all(true).max()), (Some(ms(2_100)), Some(ms(4_000))));
    assert_eq!((all(false).min(), all(false).max()), (Some(ms(0)), Some(ms(2_000))));
    assert!(all(true).chain(all(false)).all(|d| d.as_millis() % 10 == 0));
}

#[test]
fn a_prack_names_the_response_that_it_acknowledges() {
    let mut sent = Sent::new(1, u32::MAX);
    let first = sent.next_rseq();
    assert!((1..1 << 31).contains(&first));
    let reliable = |rseq: u32| with(&answer(&invite(), 183, "bob"), &format!("Require: 100rel\r\nRSeq: {rseq}"));
    let mut received = Received::default();
    let Verdict::Prack(rack) = received.judge(&reliable(first)) else { panic!() };
    let prack = with(&request("PRACK", "call", 2, "z9hG4bK2", ";tag=bob"), &format!("RAck: {rack}"));
    assert_eq!(sent.acknowledged(&RAck::of(&prack).unwrap()), Some(first));
    // Again, and out of order: neither used nor acknowledged.
    assert_eq!(received.judge(&reliable(first)), Verdict::Drop);
    assert_eq!(received.judge(&reliable(first + 2)), Verdict::Drop);
    assert_eq!(sent.next_rseq(), first + 1);
    assert!(matches!(received.judge(&reliable(first + 1)), Verdict::Prack(_)));
    assert_eq!(received.judge(&answer(&invite(), 180, "bob")), Verdict::Plain);
    assert_eq!(received.judge(&answer(&invite(), 200, "bob")), Verdict::Plain);
}

#[test]
fn a_prack_of_another_invite_or_without_sense_acknowledges_nothing() {
    let mut sent = Sent::new(1, 0);
    assert_eq!(sent.next_rseq(), 1);
    let rack = |value: &str| with(&request("PRACK", "call", 2, "z9hG4bK2", ";tag=bob"), &format!("RAck: {value}"));
    for wrong in ["1 2 INVITE", "1 1 UPDATE", "2 1 INVITE"] {
        assert_eq!(sent.acknowledged(&RAck::of(&rack(wrong)).unwrap()), None, "{wrong}");
    }
    for broken in ["", "1", "1 1", "0 1 INVITE", "x 1 INVITE", "1 1 INVITE x", "4294967296 1 INVITE"] {
        assert_eq!(RAck::of(&rack(broken)), None, "{broken}");
    }
}

#[test]
fn the_server_of_a_session_timer_follows_table_2_of_rfc_4028() {
    let policy = Policy { interval_s: 1_800, min_s: 120 };
    let asks = |more: &str| policy.answer(&with(&invite(), more), None, seconds(10));
    for (more, value, refresher, require) in [
        ("Subject: none", "1800;refresher=uas", Refresher::Us, false),
        ("Session-Expires: 600", "600;refresher=uas", Refresher::Us, false),
        ("Supported: timer\r\nSession-Expires: 600", "600;refresher=uas", Refresher::Us, false),
        ("k: timer\r\nx: 600;refresher=uac", "600;refresher=uac", Refresher::Them, true),
        ("Supported: timer\r\nSession-Expires: 600 ; refresher=UAS", "600;refresher=uas", Refresher::Us, false),
        ("Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600", "3600;refresher=uas", Refresher::Us, false),
        ("Session-Expires: 60", "120;refresher=uas", Refresher::Us, false),
    ] {
        let answer = asks(more).unwrap();
        assert_eq!(answer.session_expires, value, "{more}");
        assert_eq!((answer.timer.refresher, answer.require), (refresher, require), "{more}");
    }
    assert_eq!(asks("Supported: timer\r\nSession-Expires: 60"), Err(TooSmall { min_s: 120 }));
}

#[test]
fn who_refreshes_does_so_at_half_and_the_other_gives_up_before_the_end() {
    let policy = Policy::default();
    let ok = |more: &str| with(&answer(&invite(), 200, "bob"), more);
    assert_eq!(policy.offer(), ("1800".to_owned(), "90".to_owned()));
    assert_eq!(policy.settle(&answer(&invite(), 200, "bob"), ms(0)), None);
    let ours = policy.settle(&ok("Session-Expires: 1000;refresher=uac"), seconds(10)).unwrap();
    assert_eq!(ours.refresh_at(), Some(seconds(510)));
    assert_eq!(ours.expires_at(), seconds(10 + 1_000 - 32));
    assert_eq!(ours.refresh_value(), "1000;refresher=uac");
    let theirs = policy.settle(&ok("Session-Expires: 90;refresher=uas"), seconds(0)).unwrap();
    assert_eq!((theirs.refresh_at(), theirs.expires_at()), (None, seconds(60)));
    assert_eq!(theirs.refresh_value(), "90;refresher=uas");
}

#[test]
fn a_422_raises_the_offer_once_and_a_senseless_one_does_not() {
    let too_small = with(&answer(&invite(), 422, "bob"), "Min-SE: 3600");
    let raised = Policy::default().raised(&too_small).unwrap();
    assert_eq!(raised.offer(), ("3600".to_owned(), "3600".to_owned()));
    assert_eq!(raised.raised(&too_small), None);
    assert_eq!(Policy::default().raised(&answer(&invite(), 422, "bob")), None);
}

#[test]
fn replaces_finds_the_dialog_whose_tags_it_turns_round() {
    let bob = Dialog::of_server(&invite(), "bob").unwrap();
    let replaces = Replaces::parse(b"call;to-tag=bob;from-tag=alice").unwrap();
    assert!(replaces.names(&bob));
    assert!(!Replaces::parse(b"call;to-tag=alice;from-tag=bob").unwrap().names(&bob));
    assert!(!Replaces::parse(b"other;to-tag=bob;from-tag=alice").unwrap().names(&bob));
    assert_eq!(replaces.to_value(), b"call;to-tag=bob;from-tag=alice");
    for broken in
        ["call", "call;to-tag=a", ";to-tag=a;from-tag=b", "call;to-tag=a;to-tag=b;from-tag=c", "call;to-tag;from-tag=c"]
    {
        assert!(Replaces::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn only_dialogs_that_may_be_replaced_are() {
    let with_contact = |status| with(&answer(&invite(), status, "bob"), "Contact: <sip:bob@192.0.2.20>");
    let plain = Replaces::parse(b"call;to-tag=a;from-tag=b").unwrap();
    let early = Replaces::parse(b"call;to-tag=a;from-tag=b;early-only").unwrap();
    let confirmed = Dialog::of_client(&invite(), &with_contact(200)).unwrap();
    let ringing_out = Dialog::of_client(&invite(), &with_contact(180)).unwrap();
    let ringing_in = Dialog::of_server(&invite(), "bob").unwrap();
    assert_eq!((plain.judge(&confirmed), early.judge(&confirmed)), (Ok(()), Err(Status::BUSY_HERE)));
    assert_eq!((plain.judge(&ringing_out), early.judge(&ringing_out)), (Ok(()), Ok(())));
    assert_eq!(plain.judge(&ringing_in), Err(Status::CALL_DOES_NOT_EXIST));
}

fn refer(more: &str) -> Message {
    with(&request("REFER", "call", 9, "z9hG4bK9", ";tag=bob"), more)
}

#[test]
fn a_refer_says_whom_to_call_and_what_to_replace() {
    let blind = Refer::of(&refer(
        "Refer-To: <sip:carol;x=1@c.invalid;method=INVITE;transport=tcp>\r\nReferred-By: <sip:bob@b.invalid>",
    ))
    .unwrap();
    assert_eq!(blind.target, b"sip:carol;x=1@c.invalid;transport=tcp");
    assert_eq!((blind.replaces, blind.reports), (None, true));
    assert_eq!(blind.referred_by.as_deref(), Some(&b"<sip:bob@b.invalid>"[..]));
    let attended = Refer::of(&refer(
        "r: <sip:carol@c.invalid?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2&X=y>\r\nRefer-Sub: false",
    ))
    .unwrap();
    assert_eq!(attended.target, b"sip:carol@c.invalid");
    let replaces = attended.replaces.unwrap();
    assert_eq!((&*replaces.call_id, &*replaces.to_tag, &*replaces.from_tag), (&b"a@b"[..], &b"1"[..], &b"2"[..]));
    assert!(!attended.reports);
}

#[test]
fn a_refer_that_can_not_be_followed_is_refused() {
    for (more, status) in [
        ("Subject: none", 400),
        ("Refer-To: <sip:a@b>, <sip:c@d>", 400),
        ("Refer-To: <sip:a@b?Replaces=broken>", 400),
        ("Refer-To: <http://a.invalid>", 416),
        ("Refer-To: <sip:a@b;method=BYE>", 405),
    ] {
        assert_eq!(Refer::of(&refer(more)).map_err(Status::code), Err(status), "{more}");
    }
}

#[test]
fn a_transfer_is_reported_from_100_to_its_end() {
    let mut report = Report::new(&refer("Refer-To: <sip:a@b>"), seconds(5));
    let first = report.notify(Status::TRYING, seconds(5));
    assert_eq!(
        (&*first.event, &*first.state, &*first.body),
        ("refer;id=9", "active;expires=300", "SIP/2.0 100 Trying\r\n")
    );
    assert!(!report.is_ended(seconds(5)));
    let last = report.notify(Status::BUSY_HERE, seconds(9));
    assert_eq!((&*last.state, &*last.body), ("terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n"));
    assert!(report.is_ended(seconds(9)));
    assert_eq!(status_of(last.body.as_bytes()), Some(Status::BUSY_HERE));
    for broken in ["", "SIP/2.0", "SIP/2.0 99 x", "HTTP/1.1 200 OK", "SIP/2.0 abc"] {
        assert_eq!(status_of(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn a_notifier_grants_within_bounds_and_says_why_it_ends() {
    let bounds = Bounds { min_s: 60, max_s: 3_600, usual_s: 1_800 };
    let subscribe = |more: &str| with(&request("SUBSCRIBE", "call", 1, "z9hG4bK1", ""), more);
    assert_eq!(bounds.grant(&subscribe("Event: reg")), Ok(1_800));
    assert_eq!(bounds.grant(&subscribe("Expires: 99999")), Ok(3_600));
    assert_eq!(bounds.grant(&subscribe("Expires: 0")), Ok(0));
    assert_eq!(bounds.grant(&subscribe("Expires: 59")), Err(TooBrief { min_s: 60 }));
    assert_eq!(event(&subscribe("o: dialog ; id=7")), Some((&b"dialog"[..], Some(&b"7"[..]))));

    let mut notifier = Notifier::new(60, seconds(0));
    assert_eq!(notifier.state(ms(59_500)), "active;expires=1");
    assert_eq!(notifier.state(seconds(60)), "terminated;reason=timeout");
    notifier.renew(60, seconds(50));
    assert!(!notifier.is_ended(seconds(100)) && notifier.is_ended(seconds(110)));
    notifier.end(Reason::Deactivated);
    notifier.renew(0, seconds(60));
    assert_eq!(notifier.state(seconds(60)), "terminated;reason=deactivated");
}

#[test]
fn a_subscriber_refreshes_in_time_and_never_longer_than_it_was_told() {
    let subscribe = request("SUBSCRIBE", "call", 1, "z9hG4bK1", "");
    let granted = |more: &str| with(&answer(&subscribe, 200, "n"), more);
    assert_eq!(Subscriber::of(&granted("Expires: 0"), 600, ms(0)), None);
    let mut subscriber = Subscriber::of(&granted("Expires: 9000"), 600, ms(0)).unwrap();
    assert_eq!((subscriber.refresh_at(), subscriber.expires_at()), (seconds(510), seconds(600)));
    let notify = |state: &str| {
        with(&request("NOTIFY", "call", 2, "z9hG4bK2", ";tag=n"), &format!("Subscription-State: {state}"))
    };
    assert_eq!(subscriber.notified(&notify("active;expires=9000"), seconds(1)), Some(Notified::Lives));
    assert_eq!(subscriber.expires_at(), seconds(600));
    assert_eq!(subscriber.notified(&notify("active;expires=40"), seconds(10)), Some(Notified::Lives));
    assert_eq!((subscriber.refresh_at(), subscriber.expires_at()), (seconds(30), seconds(50)));
    let ended = subscriber.notified(&notify("terminated;reason=probation;retry-after=30"), seconds(20));
    assert_eq!(ended, Some(Notified::Ended { reason: Some(Reason::Probation), retry_after_s: Some(30) }));
    assert!(Reason::Probation.may_retry() && !Reason::NoResource.may_retry());
    assert_eq!(subscriber.notified(&request("NOTIFY", "call", 3, "z9hG4bK3", ";tag=n"), seconds(20)), None);
}
