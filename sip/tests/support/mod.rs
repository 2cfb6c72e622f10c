//! What the transaction and dialog tests share.
#![allow(dead_code)] // each test binary uses its part

pub mod network;
pub mod party;

use sip::{Hop, Message, Protocol};
use std::time::Duration;

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The way between the two test peers, seen from the caller (`192.0.2.1`) or the callee (`192.0.2.2`).
pub fn hop(protocol: Protocol, caller: bool) -> Hop {
    let caller_addr = "192.0.2.1:5060".parse().unwrap();
    let callee_addr = "192.0.2.2:5060".parse().unwrap();
    let (local, remote) = if caller { (caller_addr, callee_addr) } else { (callee_addr, caller_addr) };
    let connection = protocol.is_reliable().then_some(sip::ConnectionId(1));
    Hop { protocol, local, remote, connection }
}

/// A request of the caller; `to_tag` as in `;tag=x`.
pub fn request(method: &str, call: &str, cseq: u32, branch: &str, to_tag: &str) -> Message {
    parse(&format!(
        "{method} sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\r\nMax-Forwards: 70\r\n\
         Route: <sip:192.0.2.2;lr>\r\nFrom: <sip:alice@a.invalid>;tag=alice\r\nTo: <sip:bob@b.invalid>{to_tag}\r\n\
         Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// A response to `request` with a To tag.
pub fn answer(request: &Message, status: u16, tag: &str) -> Message {
    let status = sip::Status::new(status).unwrap();
    Message::parse(sip::message::respond(request, status, None, Some(tag))).unwrap()
}

pub fn parse(text: &str) -> Message {
    Message::parse(text.to_owned().into_bytes()).unwrap()
}

/// Runs `run` for each seed; `STROWGER_SEED` replays one. A failing seed is printed.
pub fn for_each_seed(seeds: u64, run: impl Fn(u64)) {
    struct Failing(u64);
    impl Drop for Failing {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay with STROWGER_SEED={}", self.0);
            }
        }
    }
    let chosen = std::env::var("STROWGER_SEED").ok().map(|s| s.parse().unwrap());
    for seed in chosen.map_or(0..seeds, |s| s..s + 1) {
        let failing = Failing(seed);
        run(seed);
        drop(failing);
    }
}
