use super::order::{Naptr, Srv};
use super::plan::{Lookup, locate};
use super::*;
use crate::value::Uri;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

const ALL: &[Protocol] = &[Protocol::Udp, Protocol::Tcp, Protocol::Tls];

/// A zone as a table; every question is noted.
#[derive(Default)]
struct Zone {
    naptr: HashMap<&'static str, Vec<Naptr>>,
    srv: HashMap<&'static str, Vec<Srv>>,
    addresses: HashMap<&'static str, Vec<&'static str>>,
    failing: Vec<&'static str>,
    asked: RefCell<Vec<String>>,
}

impl Zone {
    fn ask(&self, kind: &str, name: &str) -> Result<(), ResolveError> {
        self.asked.borrow_mut().push(format!("{kind} {name}"));
        match self.failing.contains(&name) {
            true => Err(ResolveError::Dns),
            false => Ok(()),
        }
    }
}

impl Lookup for Zone {
    async fn naptr(&self, name: &str) -> Result<Vec<Naptr>, ResolveError> {
        self.ask("NAPTR", name)?;
        Ok(self.naptr.get(name).cloned().unwrap_or_default())
    }
    async fn srv(&self, name: &str) -> Result<Vec<Srv>, ResolveError> {
        self.ask("SRV", name)?;
        Ok(self.srv.get(name).cloned().unwrap_or_default())
    }
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.ask("A", name)?;
        let found = self.addresses.get(name).cloned().unwrap_or_default();
        Ok(found.into_iter().map(|a| a.parse().unwrap()).collect())
    }
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
    Naptr { order, preference, flags: "s".into(), service: service.into(), replacement: replacement.into() }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv { priority, weight, port, target: target.into() }
}

/// The example of RFC 3263 section 4.1 with two servers for each transport.
fn example() -> Zone {
    Zone {
        naptr: HashMap::from([(
            "example.com",
            vec![
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
                naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com"),
                naptr(100, 50, "SIP+D2U", "_sip._udp.example.com"),
            ],
        )]),
        srv: HashMap::from([
            ("_sips._tcp.example.com", vec![srv(0, 1, 5061, "one.example.com")]),
            ("_sip._tcp.example.com", vec![srv(1, 1, 5070, "two.example.com"), srv(0, 1, 5060, "one.example.com")]),
            ("_sip._udp.example.com", vec![srv(0, 1, 5060, "one.example.com")]),
            ("_sip._udp.closed.example.com", vec![srv(0, 0, 0, "")]),
        ]),
        addresses: HashMap::from([
            ("example.com", vec!["192.0.2.9"]),
            ("one.example.com", vec!["2001:db8::1", "192.0.2.1"]),
            ("two.example.com", vec!["192.0.2.2"]),
            ("bare.example.com", vec!["192.0.2.3"]),
            ("closed.example.com", vec!["192.0.2.4"]),
        ]),
        ..Zone::default()
    }
}

async fn places(zone: &Zone, uri: &str, offered: &[Protocol]) -> Result<String, ResolveError> {
    let uri = Uri::parse(uri.as_bytes()).unwrap();
    let question = Question::of(&uri)?;
    let targets = locate(zone, &question, offered, |max| max).await?;
    let text = |t: &Target| format!("{}:{}", t.protocol.uri(), t.address);
    Ok(targets.iter().map(text).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn a_uri_leads_where_rfc_3263_section_4_says() {
    let cases = [
        // A literal address: no question at all.
        ("sip:192.0.2.5", "udp:192.0.2.5:5060"),
        ("sips:192.0.2.5", "tls:192.0.2.5:5061"),
        ("sip:[2001:db8::5]:5080;transport=tcp", "tcp:[2001:db8::5]:5080"),
        ("sip:a@nowhere;maddr=192.0.2.6", "udp:192.0.2.6:5060"),
        ("sips:192.0.2.5;transport=tcp", "tls:192.0.2.5:5061"),
        // NAPTR: only the first order that has something for us.
        ("sip:example.com", "tls:[2001:db8::1]:5061 tls:192.0.2.1:5061"),
        ("sips:example.com", "tls:[2001:db8::1]:5061 tls:192.0.2.1:5061"),
        // The transport is given: SRV by priority, all addresses of each.
        ("sip:example.com;transport=tcp", "tcp:[2001:db8::1]:5060 tcp:192.0.2.1:5060 tcp:192.0.2.2:5070"),
        // The port is given: addresses only.
        ("sip:example.com:5062", "udp:192.0.2.9:5062"),
        ("sips:example.com:5062", "tls:192.0.2.9:5062"),
        // Neither NAPTR nor SRV: addresses with the default port.
        ("sip:bare.example.com", "udp:192.0.2.3:5060"),
        ("sips:bare.example.com", "tls:192.0.2.3:5061"),
        ("sip:bare.example.com;transport=tls", "tls:192.0.2.3:5061"),
    ];
    for (uri, wanted) in cases {
        let zone = example();
        let got = places(&zone, uri, ALL).await;
        assert_eq!(got.as_deref(), Ok(wanted), "{uri}");
    }
}

#[tokio::test]
async fn a_transport_that_we_do_not_offer_is_not_chosen() {
    let zone = example();
    let offered = [Protocol::Udp, Protocol::Tcp];
    let got = places(&zone, "sip:example.com", &offered).await.unwrap();
    assert!(got.starts_with("tcp:"), "{got}");
    let refused = places(&zone, "sip:example.com;transport=tls", &offered).await;
    assert_eq!(refused, Err(ResolveError::Transport));
}

#[tokio::test]
async fn what_leads_nowhere_says_why() {
    let cases = [
        ("tel:+390612345", ResolveError::Scheme),
        ("sip:example.com;transport=sctp", ResolveError::Transport),
        ("sips:example.com;transport=udp", ResolveError::Transport),
        ("sip:nowhere.example.com", ResolveError::NotFound),
        ("sip:closed.example.com", ResolveError::NotFound),
        ("sip:broken.example.com", ResolveError::Dns),
    ];
    for (uri, wanted) in cases {
        let mut zone = example();
        zone.failing.push("broken.example.com");
        assert_eq!(places(&zone, uri, ALL).await, Err(wanted), "{uri}");
    }
}

#[tokio::test]
async fn a_server_that_fails_on_naptr_and_srv_does_not_hide_the_address() {
    let mut zone = example();
    zone.addresses.insert("old.example.com", vec!["192.0.2.7"]);
    zone.failing.extend(["_sip._udp.old.example.com", "_sips._tcp.old.example.com"]);
    let got = places(&zone, "sip:old.example.com", ALL).await;
    assert_eq!(got.as_deref(), Ok("udp:192.0.2.7:5060"));
    let asked = zone.asked.borrow().join(", ");
    let wanted = "NAPTR old.example.com, SRV _sip._udp.old.example.com, \
        SRV _sip._tcp.old.example.com, SRV _sips._tcp.old.example.com, A old.example.com";
    assert_eq!(asked, wanted);
}

#[tokio::test]
async fn an_answer_of_any_size_gives_a_bounded_list() {
    let mut zone = example();
    let many = (0..500).map(|n| srv(n, 0, 5060, "one.example.com"));
    zone.srv.insert("_sip._tcp.example.com", many.collect());
    let got = places(&zone, "sip:example.com;transport=tcp", ALL).await.unwrap();
    assert_eq!(got.split(' ').count(), TARGETS_MAX);
    assert!(zone.asked.borrow().len() <= 20);
}

#[test]
fn srv_weights_choose_as_rfc_2782_says() {
    let records =
        || vec![srv(10, 60, 1, "sixty"), srv(5, 0, 2, "first"), srv(10, 0, 3, "zero"), srv(10, 40, 4, "forty")];
    // The weights of priority 10 run 0, 40, 100: the random number falls into one of them.
    let cases = [
        (0, "first zero forty sixty"),
        (1, "first forty sixty zero"),
        (40, "first forty sixty zero"),
        (41, "first sixty forty zero"),
        (100, "first sixty forty zero"),
    ];
    for (number, wanted) in cases {
        let ordered = order::srv(records(), |max| number.min(max));
        let names: Vec<_> = ordered.iter().map(|r| r.target.as_str()).collect();
        assert_eq!(names.join(" "), wanted, "random number {number}");
    }
}

#[test]
fn srv_weights_are_met_in_proportion() {
    let mut first = 0;
    for number in 0..=100 {
        let records = vec![srv(0, 75, 1, "heavy"), srv(0, 25, 1, "light")];
        let ordered = order::srv(records, |max| number.min(max));
        first += usize::from(ordered[0].target == "heavy");
    }
    assert_eq!(first, 75);
}

#[test]
fn naptr_records_of_other_services_and_flags_are_passed_over() {
    let mut regexp = naptr(1, 1, "SIP+D2U", "");
    regexp.flags = "u".into();
    let records = vec![
        regexp,
        naptr(2, 9, "SIP+D2T", "tcp"),
        naptr(2, 1, "sip+d2u", "udp"),
        naptr(3, 1, "SIPS+D2T", "tls"),
        naptr(1, 1, "E2U+email", "mail"),
    ];
    let got = order::naptr(records.clone(), false, ALL);
    let udp_then_tcp = vec![(Protocol::Udp, "udp".to_owned()), (Protocol::Tcp, "tcp".to_owned())];
    assert_eq!(got, udp_then_tcp);
    let secure = order::naptr(records, true, ALL);
    assert_eq!(secure, vec![(Protocol::Tls, "tls".to_owned())]);
}
