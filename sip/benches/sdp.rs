//! Prints what the descriptions of a plain audio call cost: an offer and an answer are read, each goes on to the other leg
//! with our ports, and both legs come to what the media pool is told.
//!
//! `cargo bench -p sip --bench sdp`

mod counting;

use counting::Row;
use sip::sdp::{
    Carrier, CodecSpec, LocalPort, OfferAnswer, OurKeys, OurMedia, RelayPolicy, Session, agreed, relay_answer,
    relay_offer,
};
use std::hint::black_box;
use std::net::SocketAddr;
use std::rc::Rc;

/// What both parties say, but for their ports.
fn description(port: u16) -> String {
    format!(
        "v=0\r\no=sipp 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}

fn our(port: u16) -> OurMedia {
    let rtp = SocketAddr::from(([127, 0, 0, 1], port));
    OurMedia {
        username: "strowger".into(),
        session_id: 1,
        version: 1,
        address: rtp.ip(),
        ports: [Some(LocalPort { rtcp_mux: true, ..LocalPort::pair(rtp) })].into_iter().collect(),
        keys: OurKeys::default(),
        only: None,
    }
}

fn policy() -> RelayPolicy {
    let coded = vec![
        CodecSpec::opus(),
        CodecSpec::g722(),
        CodecSpec::pcma(),
        CodecSpec::pcmu(),
        CodecSpec::telephone_event(101, 8000),
        CodecSpec::telephone_event(102, 48_000),
    ];
    RelayPolicy { coded, ..RelayPolicy::default() }
}

fn read(text: &str) -> Session {
    Session::parse(black_box(text).as_bytes()).unwrap()
}

/// All of a call, as the call actor does it; the bytes that go out.
fn call(offer: &str, answer: &str, policy: &RelayPolicy) -> usize {
    let (mut caller, mut callee) = (OfferAnswer::new(), OfferAnswer::new());
    caller.received(Carrier::Invite, Some(read(offer))).unwrap();
    let offered = relay_offer(caller.pending_offer().unwrap(), &our(6000), policy);
    let mut sent = offered.print().len();
    callee.sent(Carrier::Invite, Some(offered)).unwrap();
    callee.received(Carrier::InviteOk, Some(read(answer))).unwrap();
    black_box(agreed(callee.local().unwrap(), callee.remote().unwrap()));
    let answered = relay_answer(caller.pending_offer().unwrap(), callee.remote().unwrap(), &our(7000), policy);
    sent += answered.print().len();
    caller.sent(Carrier::InviteOk, Some(answered)).unwrap();
    black_box(agreed(caller.local().unwrap(), caller.remote().unwrap()));
    sent
}

fn main() {
    let (offer, answer, policy) = (Rc::new(description(4000)), Rc::new(description(5000)), Rc::new(policy()));
    let offered = Rc::new(read(&offer));
    let (to_callee, answered) = (Rc::new(relay_offer(&offered, &our(6000), &policy)), Rc::new(read(&answer)));
    println!("an offer and an answer of {} bytes; offered on: {} bytes", offer.len(), to_callee.print().len());
    let rows: Vec<Row> = vec![
        ("a call", {
            let (offer, answer, policy) = (offer.clone(), answer.clone(), policy.clone());
            Box::new(move || assert!(black_box(call(&offer, &answer, &policy)) > 0))
        }),
        ("read", Box::new(move || drop(black_box(read(&offer))))),
        ("relay the offer", {
            let (offered, policy) = (offered.clone(), policy.clone());
            Box::new(move || drop(black_box(relay_offer(&offered, &our(6000), &policy))))
        }),
        ("relay the answer", {
            let answered = answered.clone();
            Box::new(move || drop(black_box(relay_answer(&offered, &answered, &our(7000), &policy))))
        }),
        ("agree", {
            let (to_callee, answered) = (to_callee.clone(), answered.clone());
            Box::new(move || drop(black_box(agreed(&to_callee, &answered))))
        }),
        ("print", {
            let to_callee = to_callee.clone();
            Box::new(move || drop(black_box(to_callee.print())))
        }),
        ("clone and drop", Box::new(move || drop(black_box((*to_callee).clone())))),
    ];
    counting::table(&rows);
}
