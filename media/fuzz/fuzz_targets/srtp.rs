//! Datagrams that claim to be SRTP or SRTCP, under every suite: none opens, and none panics. Then the same bytes as a packet to
//! be sealed: what is sealed opens again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::srtp::{Key, MasterKey, OVERHEAD_BYTES_MAX, Opener, Sealer, Suite};
use std::sync::Arc;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (choice, bytes) = input;
    let suite = Suite::ALL[usize::from(choice) % Suite::ALL.len()];
    let mki: &[u8] = if choice & 0x80 == 0 { &[] } else { &[1, 2, 3, 4] };
    let secret = vec![choice; suite.key_bytes() + suite.salt_bytes()];
    let key = |mki| Arc::new(Key::new(MasterKey::new(suite, &secret, mki).expect("of its length")));
    let mut opener = Opener::new(&key(mki)).expect("a key");
    let _ = opener.rtp(&mut bytes.clone());
    let _ = opener.rtcp(&mut bytes.clone());
    let (mut sealer, mut opener) = (Sealer::new(&key(&[])).expect("a key"), Opener::new(&key(&[])).expect("a key"));
    let mut buffer = bytes.clone();
    buffer.resize(bytes.len() + OVERHEAD_BYTES_MAX, 0);
    if let Ok(length) = sealer.rtp(&mut buffer, bytes.len()) {
        let opened = opener.rtp(&mut buffer[..length]).expect("it opens");
        assert_eq!(buffer[..opened], bytes);
    }
    let mut buffer = bytes.clone();
    buffer.resize(bytes.len() + OVERHEAD_BYTES_MAX, 0);
    if let Ok(length) = sealer.rtcp(&mut buffer, bytes.len()) {
        let opened = opener.rtcp(&mut buffer[..length]).expect("it opens");
        assert_eq!(buffer[..opened], bytes);
    }
});
