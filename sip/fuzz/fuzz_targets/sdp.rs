//! A session description.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::sdp::Session;

fuzz_target!(|body: &[u8]| {
    if let Ok(session) = Session::parse(body) {
        let _ = (session.has_active_media(), format!("{session:?}"));
        for section in &session.media {
            let _ = section.cryptos().count();
        }
    }
});
