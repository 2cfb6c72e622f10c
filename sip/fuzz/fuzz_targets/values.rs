//! The small header values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::value::{CSeq, MediaRange, Params, Q, Reason, RetryAfter, Warning, unquote};

fuzz_target!(|value: &[u8]| {
    if let Ok(cseq) = CSeq::parse(value) {
        assert!(cseq.number < 1 << 31);
    }
    if let Ok(q) = Q::parse(value) {
        assert!(Q::parse(q.to_string().as_bytes()) == Ok(q) && q <= Q::FULL);
    }
    let _ = (MediaRange::parse(value), Reason::parse(value), RetryAfter::parse(value), Warning::parse(value));
    let _ = (Params(value).check(), unquote(value));
});
