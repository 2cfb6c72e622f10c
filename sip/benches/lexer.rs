//! Prints what reading an INVITE costs, beside rsip on the variant of it that rsip accepts.
//!
//! `cargo bench -p sip --bench lexer`

use bytes::Bytes;
use rsip::prelude::*;
use sip::value::{NameAddr, Uri, Via};
use sip::{Message, Name};
use std::hint::black_box;

mod counting;
use counting::Row;

/// What phones send: 16 headers, outbound, IPv6, an SDP of several codecs.
fn invite(host: &str, instance: &str) -> Bytes {
    let sdp = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\n\
        m=audio 49172 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    format!(
        "INVITE sip:bob@example.com;transport=tls SIP/2.0\r\n\
         Via: SIP/2.0/TLS {host}:5061;branch=z9hG4bKnashds8d2f9a;rport\r\n\
         Max-Forwards: 70\r\n\
         From: \"Alice Liddell\" <sip:alice@example.com>;tag=1928301774\r\n\
         To: \"Bob Builder\" <sip:bob@example.com>\r\n\
         Call-ID: a84b4c76e66710f2c8b5@pc33.example.com\r\n\
         CSeq: 314159 INVITE\r\n\
         Contact: <sip:alice@{host}:5061;transport=tls>{instance}\r\n\
         Route: <sip:edge1.example.com;lr>\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, UPDATE, PRACK\r\n\
         Supported: replaces, timer, 100rel, outbound, path, gruu\r\n\
         Session-Expires: 1800;refresher=uac\r\n\
         Min-SE: 90\r\n\
         User-Agent: Example Phone 7.4.1 (desk; build 1187)\r\n\
         P-Preferred-Identity: \"Alice Liddell\" <sip:alice@example.com>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into()
}

fn phones() -> Bytes {
    invite("[2001:db8::9:101]", ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id=1;ob")
}

fn rsips() -> Bytes {
    invite("192.0.2.101", "")
}

fn ours(raw: &Bytes) -> Message {
    Message::parse(raw.clone()).unwrap()
}

fn ours_typed(raw: &Bytes) {
    let message = ours(raw);
    message.check().unwrap();
    for name in [Name::From, Name::To, Name::Contact] {
        let value = message.value(name).unwrap();
        let address = NameAddr::parse(value).unwrap();
        black_box(Uri::parse(address.uri).unwrap());
    }
    for via in message.values(Name::Via) {
        black_box(Via::parse(via.unwrap()).unwrap());
    }
    black_box((message.uri().unwrap(), message.call_id(), message.cseq(), message.from_tag()));
}

fn rsips_typed(raw: &Bytes) {
    let message = rsip::SipMessage::try_from(&raw[..]).unwrap();
    black_box(message.from_header().unwrap().typed().unwrap());
    black_box(message.to_header().unwrap().typed().unwrap());
    black_box(message.contact_header().unwrap().typed().unwrap());
    black_box(message.via_header().unwrap().typed().unwrap());
    black_box(message.cseq_header().unwrap().typed().unwrap());
    black_box(message.call_id_header().unwrap());
}

type Work = fn(&Bytes);

/// Name, which message, what is done with it.
fn rows() -> [(&'static str, Bytes, Work); 9] {
    let print = |raw: &Bytes| drop(black_box(ours(raw).print()));
    let check = |raw: &Bytes| ours(raw).check().unwrap();
    let frame = |raw: &Bytes| assert!(black_box(sip::message::frame(raw)).is_ok());
    let rsip = |raw: &Bytes| drop(black_box(rsip::SipMessage::try_from(&raw[..]).unwrap()));
    [
        ("ours: frame a stream", phones(), frame),
        ("ours: parse", phones(), |raw| drop(black_box(ours(raw)))),
        ("ours: parse, check", phones(), check),
        ("ours: parse, check, typed", phones(), ours_typed),
        ("ours: parse, print", phones(), print),
        ("ours: parse (variant)", rsips(), |raw| drop(black_box(ours(raw)))),
        ("rsip: parse (variant)", rsips(), rsip),
        ("ours: parse, check, typed (variant)", rsips(), ours_typed),
        ("rsip: parse, typed (variant)", rsips(), rsips_typed),
    ]
}

fn main() {
    let rows: Vec<Row> = rows()
        .into_iter()
        .map(|(name, raw, work)| (name, Box::new(move || work(black_box(&raw))) as Box<dyn Fn()>))
        .collect();
    println!(
        "INVITE of {} bytes, {} headers; variant that rsip accepts: {} bytes",
        phones().len(),
        ours(&phones()).headers().count(),
        rsips().len()
    );
    let cost = counting::table(&rows);
    for (what, ours, theirs) in [("parse", 5, 6), ("parse, typed", 7, 8)] {
        let (ours, theirs) = (cost[ours], cost[theirs]);
        let ratio = theirs.cpu_ns / ours.cpu_ns;
        let counted = theirs
            .instructions
            .zip(ours.instructions)
            .map_or_else(String::new, |(t, o)| format!(", {:.1} times the instructions", t as f64 / o as f64));
        println!("{what}: rsip takes {ratio:.1} times our CPU{counted}");
    }
}
