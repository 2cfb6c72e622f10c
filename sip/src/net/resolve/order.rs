//! Which record comes first: RFC 2782 for SRV, RFC 3403 and RFC 3263 section 4.1 for NAPTR. Random numbers come in.

use crate::Protocol;

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// Fully qualified, without the last dot; empty means that there is no such service.
    pub target: String,
}

/// A NAPTR record (RFC 3403) with only the fields that RFC 3263 uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub service: String,
    pub replacement: String,
}

/// Sorts by priority, and within one by chance in proportion to weight. `random(n)` gives a number from 0 to n, both
/// included.
pub(crate) fn srv(mut records: Vec<Srv>, mut random: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Weight 0 stands first in its priority, so that it has a small chance (RFC 2782, "Weight").
    records.sort_by_key(|r| (r.priority, r.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|r| r.priority) {
        let same = records.partition_point(|r| r.priority == priority);
        let mut group: Vec<Srv> = records.drain(..same).collect();
        while !group.is_empty() {
            let sum = group.iter().map(|r| u32::from(r.weight)).sum();
            let chosen = random(sum);
            let mut running = 0;
            let at = group.iter().position(|r| {
                running += u32::from(r.weight);
                running >= chosen
            });
            ordered.push(group.remove(at.unwrap_or(0)));
        }
    }
    ordered
}

/// The services to ask for, in order: those of ours that the first order with any of ours names.
pub(crate) fn naptr(mut records: Vec<Naptr>, secure: bool, offered: &[Protocol]) -> Vec<(Protocol, String)> {
    records.sort_by_key(|r| (r.order, r.preference));
    let ours = records.into_iter().filter_map(|r| {
        let protocol = service(&r.service)?;
        let usable =
            r.flags.eq_ignore_ascii_case("s") && offered.contains(&protocol) && (protocol.is_secure() || !secure);
        usable.then_some((r.order, protocol, r.replacement))
    });
    let mut first = None;
    ours.take_while(|(order, ..)| *first.get_or_insert(*order) == *order)
        .map(|(_, protocol, replacement)| (protocol, replacement))
        .collect()
}

/// RFC 3263 section 4.1, RFC 7118 section 7.
fn service(service: &str) -> Option<Protocol> {
    let known = [
        ("SIP+D2U", Protocol::Udp),
        ("SIP+D2T", Protocol::Tcp),
        ("SIPS+D2T", Protocol::Tls),
        ("SIP+D2W", Protocol::Ws),
        ("SIPS+D2W", Protocol::Wss),
    ];
    let found = known.iter().find(|k| k.0.eq_ignore_ascii_case(service))?;
    Some(found.1)
}
