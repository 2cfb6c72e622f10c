//! Credentials of somebody whom nobody knows: never proved.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::auth::{Algorithm, Challenger, Realm, Request, Secret, Verdict};

fuzz_target!(|value: &[u8]| {
    let realm = Realm {
        name: "h.test".to_owned(),
        algorithms: vec![Algorithm::Sha256],
        nonce_lifetime_ms: 60_000,
        replay_entries_max: 16,
        userhash: false,
    };
    let mut challenger = Challenger::new(realm, &[7; 32], 7);
    let request = Request { method: "REGISTER", uri: b"sip:h.test", scope: b"" };
    let nobody = |_: &str, _: &str| None::<Secret>;
    assert!(!matches!(challenger.verify(1, &request, value, &nobody), Verdict::Ok { .. }));
});
