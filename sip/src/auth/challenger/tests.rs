//! The published examples, whose nonces are not ours and therefore cannot come through [`super::Challenger::verify`].

use super::{Algorithm, Claim};
use crate::auth::params::digest;
use crate::auth::{Ha1, Secret};

/// RFC 7616 section 3.9.1, which gives MD5 and SHA-256; the SHA-512-256 line over the same parameters is from Python's
/// `hashlib.new("sha512_256", ...)`.
const RFC_7616: [(&str, &str); 3] = [
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ("SHA-512-256", "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0"),
];

/// A REGISTER of bob with the password zanzibar, all three from Python's `hashlib`.
const REGISTER: [(&str, &str); 3] = [
    ("MD5", "b72b4f10cd6850e9648aa1f4d56623e3"),
    ("SHA-256", "f9b3acbe065b40fd5cf6b20b82665263bc8ecd82bd076d24b87c6f29bb0f3133"),
    ("SHA-512-256", "f97ace777cfa00135e8d1fe65f2f52a8727e4db5907889c28b8d5edef9439ab9"),
];

fn claim<T>(header: &str, look: impl FnOnce(&Claim<'_>) -> T) -> T {
    let text = digest(header.as_bytes()).expect("digest credentials");
    look(&Claim::parse(text).expect("sound credentials"))
}

#[test]
fn the_example_of_rfc_7616_section_3_9_1_is_proved_by_its_password_and_no_other() {
    for (algorithm, response) in RFC_7616 {
        let header = format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        claim(&header, |claim| {
            let proved =
                |password: &str, method: &str| claim.is_proved_by(&Secret::Password(password.into()), "Mufasa", method);
            assert!(proved("Circle of Life", "GET"), "{algorithm}");
            assert!(!proved("Circle of life", "GET"), "{algorithm}");
            assert!(!proved("Circle of Life", "PUT"), "{algorithm}");
            let kept = Ha1::new("Mufasa", "http-auth@example.org", "Circle of Life");
            assert!(claim.is_proved_by(&Secret::Ha1(kept), "Mufasa", "GET"), "{algorithm}");
            assert!(!claim.is_proved_by(&Secret::Ha1(Ha1::default()), "Mufasa", "GET"), "{algorithm}");
        });
    }
}

#[test]
fn a_register_computed_by_another_program_is_proved() {
    for (algorithm, response) in REGISTER {
        let header = format!(
            "digest realm=\"example.com\",username=\"bob\" ,\r\n nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", qop=\"auth\", \
             uri=\"sip:example.com\", response=\"{}\", algorithm=\"{algorithm}\", nc=00000001, cnonce=\"0a4f113b\",",
            response.to_uppercase()
        );
        claim(&header, |claim| {
            assert!(claim.is_proved_by(&Secret::Password("zanzibar".into()), "bob", "REGISTER"), "{algorithm}");
        });
    }
}

#[test]
fn the_strongest_algorithm_compares_greatest() {
    assert!(Algorithm::Sha512_256 > Algorithm::Sha256 && Algorithm::Sha256 > Algorithm::Md5);
}
