//! Datagrams in a row at both ends of handshakes that have not begun: no end panics, has keys, or says more than a few bytes for
//! each that it gets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::dtls::{Association, Fingerprint, Identity, Role};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(Identity::fresh().expect("a certificate")));

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    let now = Instant::now();
    for role in [Role::Server, Role::Client] {
        let end = Association::new(&IDENTITY, role, &[Fingerprint::Sha256([1; 32])], now);
        let mut sent = 0;
        let mut send = |packet: &[u8]| sent += packet.len();
        end.begin(now, &mut send);
        for datagram in datagrams.iter().take(8) {
            end.receive(now, datagram, &mut send);
        }
        assert!(end.keys().is_none());
        assert!(sent <= 10_000, "{sent}");
    }
});
