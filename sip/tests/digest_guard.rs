//! Wrong passwords cost their source time, and nobody else.

use std::net::IpAddr;

use sip::auth::{Guard, Limits, Pass};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const LIMITS: Limits = Limits {
    free_tries: 3,
    tries_max: 8,
    delay_first_ms: 1_000,
    delay_max_ms: 4_000,
    forget_ms: 60_000,
    entries_max: 10,
};

#[test]
fn tries_are_free_then_delayed_by_doubling_then_refused_then_forgotten() {
    let (mut guard, source) = (Guard::new(LIMITS), ip("192.0.2.1"));
    let wanted = [
        Pass::Allow,
        Pass::Allow,
        Pass::Allow,
        Pass::DelayUntil(1_000),
        Pass::DelayUntil(2_000),
        Pass::DelayUntil(4_000),
        Pass::DelayUntil(4_000),
        Pass::Refuse,
        Pass::Refuse,
    ];
    for (tries, wanted) in (1..).zip(wanted) {
        guard.failed(0, source, "alice");
        assert_eq!(guard.check(0, source, "alice"), wanted, "after {tries}");
        assert_eq!(guard.attempts(0, source, "alice"), tries);
    }
    assert_eq!(guard.check(59_999, source, "alice"), Pass::Refuse);
    assert_eq!(guard.check(60_000, source, "alice"), Pass::Allow);
    guard.failed(60_000, source, "alice");
    assert_eq!(guard.attempts(60_000, source, "alice"), 1, "it starts from nothing");
}

#[test]
fn a_delay_ends_by_itself() {
    let (mut guard, source) = (Guard::new(LIMITS), ip("192.0.2.1"));
    (0..4).for_each(|_| guard.failed(500, source, "alice"));
    assert_eq!(guard.check(1_499, source, "alice"), Pass::DelayUntil(1_500));
    assert_eq!(guard.check(1_500, source, "alice"), Pass::Allow);
}

#[test]
fn other_users_and_other_sources_are_not_punished_and_success_forgives() {
    let (mut guard, source) = (Guard::new(LIMITS), ip("192.0.2.1"));
    (0..9).for_each(|_| guard.failed(0, source, "alice"));
    assert_eq!(guard.check(0, source, "bob"), Pass::Allow);
    assert_eq!(guard.check(0, ip("192.0.2.2"), "alice"), Pass::Allow, "alice herself gets in from her phone");
    guard.succeeded(source, "alice");
    assert_eq!(guard.check(0, source, "alice"), Pass::Allow);
    assert_eq!(guard.remembered(), 0);
}

#[test]
fn the_hosts_of_one_ipv6_network_are_one_source_and_a_mapped_address_is_its_ipv4_address() {
    let mut guard = Guard::new(LIMITS);
    (0..9).for_each(|host| guard.failed(0, ip(&format!("2001:db8::{host}")), "alice"));
    assert_eq!(guard.check(0, ip("2001:db8::ffff:1"), "alice"), Pass::Refuse);
    assert_eq!(guard.check(0, ip("2001:db8:0:1::1"), "alice"), Pass::Allow);
    (0..9).for_each(|_| guard.failed(0, ip("::ffff:192.0.2.1"), "alice"));
    assert_eq!(guard.check(0, ip("192.0.2.1"), "alice"), Pass::Refuse);
}

#[test]
fn the_table_is_bounded_and_who_was_quiet_longest_goes_first() {
    let (mut guard, source) = (Guard::new(LIMITS), ip("192.0.2.1"));
    guard.failed(0, source, "first");
    guard.failed(1, source, "second");
    guard.failed(2, source, "first");
    for user in 0..9 {
        guard.failed(3, source, &format!("user {user}"));
        assert!(guard.remembered() <= 10);
    }
    assert_eq!(guard.attempts(3, source, "first"), 2, "it was active after the second");
    assert_eq!(guard.attempts(3, source, "second"), 0);
}
