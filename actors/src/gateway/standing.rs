//! How a gateway stands: what its actor, the calls of all shards and the operator share of it.
//!
//! Calls take a channel here without asking an actor: a count and an instant, both atomics.

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sip::{Hop, Protocol};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::actor::Keeper;
use super::plan::{Gateway, Host};
use crate::supervision::Ref;

/// What the operator wants of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It takes calls.
    Enabled,
    /// It takes no new ones; those that are up go on.
    Draining,
    /// It takes none.
    Disabled,
}

/// How a gateway is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It takes calls.
    InService,
    /// The operator lets no new call on it.
    Draining,
    /// It does not answer, or its registration is not there.
    Failed,
    /// All its channels are taken.
    Busy,
    /// The operator has switched it off.
    Disabled,
}

impl State {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InService => "in service",
            Self::Draining => "draining",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Disabled => "disabled",
        }
    }
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the gateway.
    In,
    /// To the gateway.
    Out,
}

/// Why a gateway takes a call not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChannel {
    /// Switched off.
    #[error("it is disabled")]
    Disabled,
    /// Draining.
    #[error("it takes no new calls")]
    Draining,
    /// It may be called from, not to.
    #[error("no calls leave by it")]
    NotOutbound,
    /// All channels are taken.
    #[error("all its channels are taken")]
    Full,
    /// Calls come too fast.
    #[error("too many calls a second")]
    TooFast,
}

/// Counts of a gateway.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that were tried by it.
    pub tried: AtomicU64,
    /// Of these, those that it answered.
    pub answered: AtomicU64,
    /// Of these, those that went on to the next gateway, or found none.
    pub failed: AtomicU64,
    /// Calls that came from it.
    pub came: AtomicU64,
    /// Calls refused by its limits.
    pub refused: AtomicU64,
    /// OPTIONS that it was sent.
    pub probes: AtomicU64,
    /// OPTIONS that it did not answer.
    pub missed: AtomicU64,
}

/// See the module.
pub struct Standing {
    /// What is configured.
    pub gateway: Arc<Gateway>,
    /// Its place in the table, by which its requests and timers name it.
    pub number: u32,
    /// The actor that looks after it.
    pub seat: Ref<Keeper>,
    wanted: AtomicU8,
    is_up: AtomicBool,
    /// It registers with the carrier and is not registered.
    lacks_registration: AtomicBool,
    channels: AtomicUsize,
    /// When the next call may come, µs since 1970; calls are let through ahead of it up to the burst.
    next_call_us: AtomicU64,
    /// Where its name leads; empty for an address.
    addresses: ArcSwap<Vec<IpAddr>>,
    /// What was wrong last.
    pub trouble: Mutex<Option<Arc<str>>>,
    /// How long its last answer took, µs; 0 is none yet.
    pub round_trip_us: AtomicU32,
    /// What has been counted.
    pub tally: Tally,
    /// What its keeper knows, which a successor goes on with.
    pub(super) notes: Mutex<super::actor::Notes>,
}

/// A channel of a gateway, given back on drop.
pub struct Channel {
    of: Arc<Standing>,
}

impl Channel {
    /// Whose it is.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.of
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.of.channels.fetch_sub(1, Relaxed);
    }
}

impl Standing {
    /// A gateway of which nothing is known yet: it counts as there.
    pub fn new(number: u32, gateway: Arc<Gateway>) -> Self {
        let wanted = if gateway.enabled { Wanted::Enabled } else { Wanted::Disabled };
        let registers = gateway.account.as_ref().is_some_and(|account| account.registers);
        let lacks_registration = AtomicBool::new(registers);
        Self {
            gateway,
            number,
            seat: Ref::vacant(),
            wanted: AtomicU8::new(wanted as u8),
            is_up: AtomicBool::new(true),
            lacks_registration,
            channels: AtomicUsize::new(0),
            next_call_us: AtomicU64::new(0),
            addresses: ArcSwap::default(),
            trouble: Mutex::default(),
            round_trip_us: AtomicU32::new(0),
            tally: Tally::default(),
            notes: Mutex::default(),
        }
    }

    /// What the operator wants.
    pub fn wanted(&self) -> Wanted {
        match self.wanted.load(Relaxed) {
            0 => Wanted::Enabled,
            1 => Wanted::Draining,
            _ => Wanted::Disabled,
        }
    }

    pub(super) fn set_wanted(&self, wanted: Wanted) {
        self.wanted.store(wanted as u8, Relaxed);
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Relaxed);
    }

    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Relaxed)
    }

    pub(super) fn set_registered(&self, registered: bool) {
        self.lacks_registration.store(!registered, Relaxed);
    }

    /// Whether it needs no registration of ours, or has it.
    pub fn is_registered(&self) -> bool {
        !self.lacks_registration.load(Relaxed)
    }

    pub(super) fn set_addresses(&self, addresses: Vec<IpAddr>) {
        self.addresses.store(Arc::new(addresses));
    }

    /// Whether a peer with a certificate of these names is it. Without a name that it must prove anybody at its address is.
    fn is_proved(&self, names: &[String]) -> bool {
        let wanted = self.gateway.certificate.as_ref();
        wanted.is_none_or(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    }

    /// Whether requests from this address are its.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        match self.gateway.host {
            Host::Ip(own) => own == ip,
            Host::Name(_) => self.addresses.load().contains(&ip),
        }
    }

    /// Calls that are up.
    pub fn channels(&self) -> usize {
        self.channels.load(Relaxed)
    }

    /// In one word.
    pub fn state(&self) -> State {
        match self.wanted() {
            Wanted::Disabled => State::Disabled,
            Wanted::Draining => State::Draining,
            Wanted::Enabled if !self.is_up() || !self.is_registered() => State::Failed,
            Wanted::Enabled if self.channels() >= self.gateway.channels_max => State::Busy,
            Wanted::Enabled => State::InService,
        }
    }

    /// Takes a channel for a call.
    ///
    /// # Errors
    /// The operator does not want it, or a limit is reached.
    pub fn take(self: &Arc<Self>, direction: Direction, now: Duration) -> Result<Channel, NoChannel> {
        let taken = self.try_take(direction, now);
        if matches!(taken, Err(NoChannel::Full | NoChannel::TooFast)) {
            self.tally.refused.fetch_add(1, Relaxed);
        }
        taken
    }

    fn try_take(self: &Arc<Self>, direction: Direction, now: Duration) -> Result<Channel, NoChannel> {
        match self.wanted() {
            Wanted::Enabled => {}
            Wanted::Draining => return Err(NoChannel::Draining),
            Wanted::Disabled => return Err(NoChannel::Disabled),
        }
        if direction == Direction::Out && !self.gateway.outbound {
            return Err(NoChannel::NotOutbound);
        }
        let most = self.gateway.channels_max;
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        self.channels.fetch_update(Relaxed, Relaxed, more).map_err(|_| NoChannel::Full)?;
        let channel = Channel { of: Arc::clone(self) };
        match self.is_in_pace(now) {
            true => Ok(channel),
            false => Err(NoChannel::TooFast),
        }
    }

    /// Lets `calls_per_second` calls through in the long run, and as many at once as one second has.
    fn is_in_pace(&self, now: Duration) -> bool {
        let Some(rate) = self.gateway.calls_per_second else { return true };
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let step_us = 1_000_000 / u64::from(rate.max(1));
        let paced = |next: u64| {
            let from = next.max(now_us);
            // The virtual schedule of a leaky bucket: a call is in pace while the schedule is less than a second ahead.
            (from - now_us <= 1_000_000 - step_us).then_some(from + step_us)
        };
        self.next_call_us.fetch_update(Relaxed, Relaxed, paced).is_ok()
    }
}

/// All gateways, in the order of the configuration.
#[derive(Default)]
pub struct Gateways {
    list: Vec<Arc<Standing>>,
    by_name: AHashMap<String, usize>,
    /// Those with an address of their own.
    by_ip: AHashMap<(Protocol, IpAddr), usize>,
    /// Those that are where the DNS says, or prove a name.
    named: Vec<usize>,
}

impl Gateways {
    /// Of which nothing is known yet.
    pub fn new(gateways: &[Gateway]) -> Self {
        let mut this = Self::default();
        for (at, gateway) in gateways.iter().enumerate() {
            this.by_name.entry(gateway.name.clone()).or_insert(at);
            if let Host::Ip(ip) = gateway.host {
                this.by_ip.entry((gateway.protocol, ip)).or_insert(at);
            }
            if matches!(gateway.host, Host::Name(_)) || gateway.certificate.is_some() {
                this.named.push(at);
            }
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            this.list.push(Arc::new(Standing::new(number, Arc::new(gateway.clone()))));
        }
        this
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Standing>] {
        &self.list
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Standing>> {
        self.list.get(*self.by_name.get(name)?)
    }

    /// The one with this number.
    pub fn at(&self, number: u32) -> Option<&Arc<Standing>> {
        self.list.get(usize::try_from(number).ok()?)
    }

    /// The one that a request which came this way belongs to. `proved` are the names of the peer's TLS certificate: who must
    /// show one of a name is nobody without it, wherever it comes from.
    pub fn of(&self, hop: &Hop, proved: &[String]) -> Option<&Arc<Standing>> {
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
    use super::*;
    use std::net::SocketAddr;

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
