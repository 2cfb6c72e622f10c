//! Datagrams that claim to be STUN: none panics, none is authentic that the password did not make, and a lite agent takes and
//! answers none of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::ice::{Credentials, Heard, Ice, Lite};
use media::stun::{ANSWER_BYTES_MAX, Message, Password};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::parse(bytes) {
        assert!(!message.is_authentic(&Password::new("a password that is not in the corpus").expect("a key")));
        assert!(message.unknown().len() <= 8);
    }
    let of = |text: &str| Credentials { ufrag: text.into(), password: format!("{text}{text}{text}{text}{text}{text}") };
    let mut lite = Lite::new(&Ice { local: of("ours"), remote: of("them") }).expect("an agent");
    let heard = lite.receive(bytes, ([192, 0, 2, 1], 9).into(), &mut [0; ANSWER_BYTES_MAX]);
    assert_eq!(heard, Heard::default());
});
