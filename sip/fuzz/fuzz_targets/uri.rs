//! A URI: its parts are legible, and it is equivalent to itself when no parameter stands twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::value::{COMPARED_MAX, Host, Uri};

fuzz_target!(|value: &[u8]| {
    let Ok(uri) = Uri::parse(value) else { return };
    let _ = (uri.user_text(), uri.host_kind());
    assert!(uri.host.is_empty() || Host::parse(uri.host).is_ok());
    let mut names: Vec<_> = uri.params.iter().flatten().map(|p| p.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let bounded = names.len() < COMPARED_MAX && uri.headers.iter().filter(|c| **c == b'&').count() < COMPARED_MAX;
    if bounded && uri.params.check().is_ok() && names.windows(2).all(|w| w[0] != w[1]) {
        assert!(uri.is_equivalent(&uri));
    }
});
