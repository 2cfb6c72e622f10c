//! All gateways: found by name, by number, and by the way that a request came.
//!
//! The table is replaced whole when a configuration is applied. A gateway that is no longer in it, or that is elsewhere now, stands
//! aside until its keeper has taken our registration back; calls that are up keep their channels.

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sip::{Hop, Protocol};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::actor::KeeperMsg;
use super::plan::{Gateway, Host};
use super::standing::Standing;

/// See the module.
#[derive(Default)]
pub struct Gateways {
    table: ArcSwap<Table>,
    /// Those that are gone from it, and whose keepers may have something left to do.
    retired: Mutex<Vec<Arc<Standing>>>,
    next_number: AtomicU32,
}

#[derive(Default)]
struct Table {
    /// In the order of the configuration.
    list: Vec<Arc<Standing>>,
    by_name: AHashMap<String, usize>,
    by_number: AHashMap<u32, usize>,
    /// Those with an address of their own.
    by_ip: AHashMap<(Protocol, IpAddr), usize>,
    /// Those that are where the DNS says, or prove a name.
    named: Vec<usize>,
}

impl Gateways {
    /// Of which nothing is known yet.
    pub fn new(gateways: &[Gateway]) -> Self {
        let this = Self::default();
        this.apply(gateways);
        this
    }

    /// These are the gateways from now on. What is known of those that stay where they are, their calls and what the operator has
    /// ordered stay too. Their keepers are told; who has none gets one by `gateway::adopt` on its shard.
    pub fn apply(&self, gateways: &[Gateway]) {
        let before = self.table.load_full();
        let mut retired = self.retired.lock();
        retired.retain(|standing| standing.seat().is_alive());
        let mut list: Vec<Arc<Standing>> = Vec::with_capacity(gateways.len());
        for gateway in gateways {
            if list.iter().any(|standing| standing.gateway.name == gateway.name) {
                continue;
            }
            let was = before.get(&gateway.name);
            list.push(match was {
                Some(was) if *was.gateway == *gateway => Arc::clone(was),
                Some(was) => {
                    let number = self.next_number.fetch_add(1, Relaxed);
                    Arc::new(was.changed(number, Arc::new(gateway.clone())))
                }
                None => Arc::new(Standing::new(self.next_number.fetch_add(1, Relaxed), Arc::new(gateway.clone()))),
            });
        }
        let table = Table::of_list(list);
        for was in &before.list {
            match table.get(&was.gateway.name).filter(|now| now.number == was.number) {
                Some(now) if Arc::ptr_eq(now, was) => {}
                Some(now) => drop(was.seat().send_reply(KeeperMsg::Changed(Arc::clone(now)))),
                None => {
                    was.seat().halt();
                    retired.push(Arc::clone(was));
                }
            }
        }
        self.table.store(Arc::new(table));
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> Vec<Arc<Standing>> {
        self.table.load().list.clone()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Standing>> {
        self.table.load().get(name).cloned()
    }

    /// The one with this number, also when it is not in the table any more.
    pub fn at(&self, number: u32) -> Option<Arc<Standing>> {
        let table = self.table.load();
        let found = table.by_number.get(&number).and_then(|at| table.list.get(*at)).cloned();
        found.or_else(|| self.retired.lock().iter().find(|standing| standing.number == number).cloned())
    }

    /// The one that a request which came this way belongs to. `proved` are the names of the peer's TLS certificate: who must
    /// show one of a name is nobody without it, wherever it comes from.
    pub fn of(&self, hop: &Hop, proved: &[String]) -> Option<Arc<Standing>> {
        self.table.load().of(hop, proved).cloned()
    }
}

impl Table {
    fn of_list(list: Vec<Arc<Standing>>) -> Self {
        let mut this = Self::default();
        for (at, standing) in list.iter().enumerate() {
            let gateway = &standing.gateway;
            this.by_name.entry(gateway.name.clone()).or_insert(at);
            this.by_number.insert(standing.number, at);
            if let Host::Ip(ip) = gateway.host {
                this.by_ip.entry((gateway.protocol, ip)).or_insert(at);
            }
            if matches!(gateway.host, Host::Name(_)) || gateway.certificate.is_some() {
                this.named.push(at);
            }
        }
        this.list = list;
        this
    }

    fn get(&self, name: &str) -> Option<&Arc<Standing>> {
        self.list.get(*self.by_name.get(name)?)
    }

    fn of(&self, hop: &Hop, proved: &[String]) -> Option<&Arc<Standing>> {
        let ip = hop.remote.ip();
        let by_ip = self.by_ip.get(&(hop.protocol, ip)).and_then(|at| self.list.get(*at));
        if let Some(found) = by_ip.filter(|standing| standing.is_proved(proved)) {
            return Some(found);
        }
        let named = self.named.iter().filter_map(|at| self.list.get(*at));
        named.filter(|standing| standing.gateway.protocol == hop.protocol).find(|standing| {
            match &standing.gateway.certificate {
                Some(_) => standing.is_proved(proved),
                None => standing.is_at(ip),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Host;
    use super::super::standing::{Direction, NoChannel, State, Wanted};
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    fn gateway(name: &str, host: Host) -> Gateway {
        Gateway { channels_max: 2, ..Gateway::new(name, host) }
    }

    fn at(ip: [u8; 4]) -> Host {
        Host::Ip(ip.into())
    }

    fn hop(protocol: Protocol, ip: [u8; 4]) -> Hop {
        let local = SocketAddr::from(([192, 0, 2, 1], 5060));
        Hop { protocol, local, remote: (ip, 40_000).into(), connection: None }
    }

    #[test]
    fn channels_are_counted_both_ways_and_given_back() {
        let gateways = Gateways::new(&[gateway("one", at([192, 0, 2, 9]))]);
        let one = gateways.get("one").unwrap();
        let first = one.take(Direction::Out, Duration::ZERO).unwrap();
        let second = one.take(Direction::In, Duration::ZERO).unwrap();
        assert_eq!((one.state(), one.take(Direction::Out, Duration::ZERO).err()), (State::Busy, Some(NoChannel::Full)));
        drop(first);
        assert_eq!((one.state(), one.channels()), (State::InService, 1));
        drop(second);
        assert_eq!(one.channels(), 0);
    }

    #[test]
    fn who_is_drained_disabled_or_not_for_calls_out_says_so() {
        let closed = Gateway { outbound: false, ..gateway("in", at([192, 0, 2, 8])) };
        let gateways = Gateways::new(&[gateway("one", at([192, 0, 2, 9])), closed]);
        let one = gateways.get("one").unwrap();
        for (wanted, why) in [(Wanted::Draining, NoChannel::Draining), (Wanted::Disabled, NoChannel::Disabled)] {
            one.set_wanted(wanted);
            assert_eq!(one.take(Direction::In, Duration::ZERO).err(), Some(why));
        }
        let other = gateways.get("in").unwrap();
        assert_eq!(other.take(Direction::Out, Duration::ZERO).err(), Some(NoChannel::NotOutbound));
        assert!(other.take(Direction::In, Duration::ZERO).is_ok());
    }

    #[test]
    fn calls_are_let_through_at_their_pace_with_a_second_of_them_at_once() {
        let paced = Gateway { calls_per_second: Some(5), channels_max: 1_000, ..gateway("one", at([192, 0, 2, 9])) };
        let gateways = Gateways::new(&[paced]);
        let one = gateways.get("one").unwrap();
        let taken = |ms: u64| one.take(Direction::Out, Duration::from_millis(1_000_000 + ms)).is_ok();
        assert_eq!((0..20).filter(|_| taken(0)).count(), 5);
        assert!(!taken(100) && taken(200) && !taken(200));
        assert_eq!((0..20).filter(|_| taken(2_000)).count(), 5);
    }

    #[test]
    fn a_request_is_a_gateways_by_transport_and_address_or_by_a_proved_name() {
        let secure = Gateway {
            protocol: Protocol::Tls,
            certificate: Some("sip.carrier.example".to_owned()),
            ..gateway("secure", at([192, 0, 2, 7]))
        };
        let named = gateway("named", Host::Name("carrier.example".to_owned()));
        let gateways = Gateways::new(&[gateway("one", at([192, 0, 2, 9])), secure, named]);
        let found = |hop: Hop, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            gateways.of(&hop, &names).map(|standing| standing.gateway.name.clone())
        };
        assert_eq!(found(hop(Protocol::Udp, [192, 0, 2, 9]), &[]).as_deref(), Some("one"));
        assert_eq!(found(hop(Protocol::Tcp, [192, 0, 2, 9]), &[]), None);
        assert_eq!(found(hop(Protocol::Udp, [192, 0, 2, 10]), &[]), None);
        // Its address alone is not enough for who must show a certificate; the certificate is, from anywhere.
        assert_eq!(found(hop(Protocol::Tls, [192, 0, 2, 7]), &[]), None);
        assert_eq!(found(hop(Protocol::Tls, [192, 0, 2, 7]), &["other.example"]), None);
        assert_eq!(found(hop(Protocol::Tls, [198, 51, 100, 1]), &["SIP.carrier.example"]).as_deref(), Some("secure"));
        // A name is at no address before it was looked up.
        assert_eq!(found(hop(Protocol::Udp, [192, 0, 2, 5]), &[]), None);
        gateways.get("named").unwrap().set_addresses(vec![[192, 0, 2, 5].into()]);
        assert_eq!(found(hop(Protocol::Udp, [192, 0, 2, 5]), &[]).as_deref(), Some("named"));
    }
}
