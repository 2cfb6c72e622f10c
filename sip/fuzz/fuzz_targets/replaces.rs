//! Replaces, as a header and inside a URI.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::dialog::replaces::Replaces;
use sip::value::Uri;

fuzz_target!(|value: &[u8]| {
    let _ = Replaces::parse(value);
    if let Ok(uri) = Uri::parse(value) {
        let _ = Replaces::of_uri(&uri);
    }
});
