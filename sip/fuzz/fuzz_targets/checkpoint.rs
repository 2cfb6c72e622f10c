//! A dialog's checkpoint, which may have rotted on disk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::dialog::Dialog;

fuzz_target!(|bytes: &[u8]| {
    let _ = Dialog::from_bytes(bytes);
});
