//! Prints what reading an INVITE costs, beside rsip on the variant of it that rsip accepts: CPU time of this thread
//! (`/proc/thread-self/schedstat`) and, where valgrind is installed, instructions (callgrind, the difference between
//! two runs of this program, so that start-up does not count).
//!
//! `cargo bench -p sip --bench lexer`

use bytes::Bytes;
use rsip::prelude::*;
use sip::value::{NameAddr, Uri, Via};
use sip::{Message, Name};
use std::hint::black_box;
use std::process::Command;

/// Messages of one row's CPU time.
const ROUNDS: u64 = 100_000;
/// Messages of the longer callgrind run; the shorter has half.
const COUNTED: u64 = 2_000;

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

fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0)
}

/// Nanoseconds of CPU a message, the least of five: what disturbs only adds.
fn time(work: Work, raw: &Bytes) -> f64 {
    let run = || {
        let from = cpu_ns();
        (0..ROUNDS / 5).for_each(|_| work(black_box(raw)));
        (cpu_ns() - from) as f64 / (ROUNDS / 5) as f64
    };
    (0..5).map(|_| run()).fold(f64::MAX, f64::min)
}

/// Instructions a message by callgrind; `None` without valgrind.
fn instructions(row: usize) -> Option<u64> {
    let count = |rounds: u64| -> Option<u64> {
        let run = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["--only", &row.to_string(), &rounds.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let line = said.lines().find(|l| l.contains("Collected :"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let (long, short) = (count(COUNTED)?, count(COUNTED / 2)?);
    Some((long - short) / (COUNTED / 2))
}

fn main() {
    let rows = rows();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--only") {
        let number = |i: usize| arguments[at + i].parse::<usize>().unwrap();
        let (_, raw, work) = &rows[number(1)];
        (0..number(2)).for_each(|_| work(black_box(raw)));
        return;
    }
    println!(
        "INVITE of {} bytes, {} headers; variant that rsip accepts: {} bytes",
        phones().len(),
        ours(&phones()).headers().count(),
        rsips().len()
    );
    println!("{:38} {:>10} {:>14}", "", "CPU ns", "instructions");
    let mut cost = Vec::new();
    for (i, (name, raw, work)) in rows.iter().enumerate() {
        let (ns, counted) = (time(*work, raw), instructions(i));
        let shown = counted.map_or_else(|| "no valgrind".to_owned(), |c| c.to_string());
        println!("{name:38} {ns:>10.0} {shown:>14}");
        cost.push((ns, counted));
    }
    for (what, ours, theirs) in [("parse", 5, 6), ("parse, typed", 7, 8)] {
        let (ours, theirs) = (cost[ours], cost[theirs]);
        let ratio = theirs.0 / ours.0;
        let counted = theirs
            .1
            .zip(ours.1)
            .map_or_else(String::new, |(t, o)| format!(", {:.1} times the instructions", t as f64 / o as f64));
        println!("{what}: rsip takes {ratio:.1} times our CPU{counted}");
    }
}
