//! A Via value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::value::{Host, Via};

fuzz_target!(|value: &[u8]| {
    if let Ok(via) = Via::parse(value) {
        let _ = (via.received(), via.rport(), via.has_modern_branch());
        assert!(Host::parse(via.host).is_ok());
        assert_eq!(via.branch(), via.params.value(b"branch"));
    }
});
