//! Our Contact is a `sips` address where the Request-URI was one, and only there (RFC 3261 section 12.1.1): a phone that has
//! called a `sip` address over TLS may know no other scheme.

mod support;

use support::agent::{Agent, description};
use support::config::Config;
use support::switch::Switch;
use support::wire::{Wire, header, status};

fn contact_of_the_answer(switch: &Switch, uri: &str) -> String {
    let mut alice = Agent::new(Wire::tls(switch.sip("tls")), "alice");
    let invite = alice.request("INVITE", uri, "Content-Type: application/sdp\n", &description(None, "sendrecv"));
    let answer = alice.ask_as_user(&invite);
    assert_eq!(status(&answer), Some(200), "{answer}");
    header(&answer, "Contact").expect("a Contact").to_owned()
}

#[test]
fn over_tls_a_sip_address_is_answered_by_a_sip_contact_that_says_tls() {
    let switch = Switch::start(Config::lab());

    let contact = contact_of_the_answer(&switch, "sip:5501@example.com");

    assert!(contact.starts_with("<sip:") && contact.ends_with(";transport=tls>"), "{contact}");
}

#[test]
fn a_sips_address_is_answered_by_a_sips_contact() {
    let switch = Switch::start(Config::lab());

    let contact = contact_of_the_answer(&switch, "sips:5501@example.com");

    assert!(contact.starts_with("<sips:"), "{contact}");
}
