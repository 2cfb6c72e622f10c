//! A stream: whatever is cut out of it is a message of that length, however the stream arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::message::frame;
use sip::{Message, ParseError};

fuzz_target!(|stream: &[u8]| {
    let Ok(found) = frame(stream) else { return };
    let end = found.skip + found.len;
    assert_eq!(frame(&stream[..end]), Ok(found));
    assert_eq!(frame(&stream[..end - 1]), Err(ParseError::Incomplete));
    if let Ok(message) = Message::parse(stream[found.skip..end].to_vec()) {
        assert!(message.raw().ends_with(message.body()));
    }
});
