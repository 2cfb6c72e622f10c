//! An address with display name and parameters, and the values of a line of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::value::{NameAddr, Uri, split_commas};

fuzz_target!(|line: &[u8]| {
    for value in split_commas(line).flatten() {
        if let Ok(address) = NameAddr::parse(value) {
            let _ = (address.display_text(), address.tag(), Uri::parse(address.uri));
            assert!(Uri::has_scheme(address.uri) && address.params.check().is_ok());
        }
    }
});
