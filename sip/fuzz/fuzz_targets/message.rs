//! A datagram: read, asked everything, printed, read again; or refused with an answer that has an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::message::{frame, refuse};
use sip::{Message, Name};

fuzz_target!(|raw: &[u8]| {
    match Message::parse(raw.to_vec()) {
        Ok(message) => {
            let _ = (message.check(), message.via(), message.from(), message.to(), message.contact(), message.uri());
            let _ = (message.reason(), message.content_type(), message.content("application/sdp"));
            for header in message.headers() {
                let _ = (message.values(header.name).count(), message.number(header.name, 255), header.unfolded());
            }
            assert!(message.values(Name::Via).count() > 0);
            let printed = message.print();
            // Long names and an explicit length may make a message at the limit too large.
            if let Ok(again) = Message::parse(printed.clone()) {
                assert_eq!(again.print(), printed);
                assert_eq!(again.body(), message.body());
            } else {
                assert!(printed.len() > raw.len());
            }
        }
        Err(error) => {
            if let Some(answer) = refuse(raw, error) {
                assert!(frame(&answer).is_ok_and(|f| f.skip == 0 && f.len == answer.len()) || answer.len() > 16_384);
            }
        }
    }
});
