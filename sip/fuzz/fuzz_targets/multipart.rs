//! A multipart body; the first line is the Content-Type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::message::{PARTS_MAX, Parts};

fuzz_target!(|raw: &[u8]| {
    let end = raw.iter().position(|c| *c == b'\n').unwrap_or(0);
    let (content_type, body) = raw.split_at(end);
    let Ok(parts) = Parts::new(content_type, body) else { return };
    let found: Vec<_> = parts.flatten().collect();
    assert!(found.len() <= PARTS_MAX);
    assert!(found.iter().map(|p| p.body.len()).sum::<usize>() <= body.len());
    found.iter().for_each(|p| drop((p.content_type(), p.value("X"))));
});
