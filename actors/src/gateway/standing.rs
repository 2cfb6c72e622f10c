//! How a gateway stands: what its actor, the calls of all shards and the operator share of it.
//!
//! Calls take a channel here without asking an actor: a count and an instant, both atomics.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
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

/// See the module. Another configuration of the same gateway makes another standing of the same life and load.
pub struct Standing {
    /// What is configured.
    pub gateway: Arc<Gateway>,
    /// By which its requests and timers name it.
    pub number: u32,
    pub(super) life: Arc<Life>,
    load: Arc<Load>,
}

/// What is known of a gateway at one place, with one account.
pub(super) struct Life {
    /// The actor that looks after it.
    seat: ArcSwap<Ref<Keeper>>,
    wanted: AtomicU8,
    is_up: AtomicBool,
    /// It registers with the carrier and is not registered.
    lacks_registration: AtomicBool,
    /// Where its name leads; empty for an address.
    addresses: ArcSwap<Vec<IpAddr>>,
    trouble: Mutex<Option<Arc<str>>>,
    /// How long its last answer took, µs; 0 is none yet.
    round_trip_us: AtomicU32,
    /// What its keeper knows, which a successor goes on with.
    pub(super) notes: Mutex<super::actor::Notes>,
}

/// What calls count of a gateway of one name, wherever it is.
#[derive(Default)]
struct Load {
    channels: AtomicUsize,
    /// When the next call may come, µs since 1970; calls are let through ahead of it up to the burst.
    next_call_us: AtomicU64,
    tally: Tally,
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
        self.of.load.channels.fetch_sub(1, Relaxed);
    }
}

impl Life {
    fn new(gateway: &Gateway) -> Self {
        let wanted = if gateway.enabled { Wanted::Enabled } else { Wanted::Disabled };
        let registers = gateway.account.as_ref().is_some_and(|account| account.registers);
        Self {
            seat: ArcSwap::from_pointee(Ref::vacant()),
            wanted: AtomicU8::new(wanted as u8),
            is_up: AtomicBool::new(true),
            lacks_registration: AtomicBool::new(registers),
            addresses: ArcSwap::default(),
            trouble: Mutex::default(),
            round_trip_us: AtomicU32::new(0),
            notes: Mutex::default(),
        }
    }
}

impl Standing {
    /// A gateway of which nothing is known yet: it counts as there.
    pub fn new(number: u32, gateway: Arc<Gateway>) -> Self {
        let life = Arc::new(Life::new(&gateway));
        Self { gateway, number, life, load: Arc::default() }
    }

    /// The same gateway by another configuration. Where it is and who we are to it decides whether what is known of it still holds;
    /// else it has a number of its own.
    pub(super) fn changed(&self, number: u32, gateway: Arc<Gateway>) -> Self {
        let load = Arc::clone(&self.load);
        if gateway.is_same_place(&self.gateway) {
            return Self { gateway, number: self.number, life: Arc::clone(&self.life), load };
        }
        let life = Life::new(&gateway);
        // What the operator has ordered stands, unless the file orders anew.
        if gateway.enabled == self.gateway.enabled {
            life.wanted.store(self.wanted() as u8, Relaxed);
        }
        Self { gateway, number, life: Arc::new(life), load }
    }

    /// The actor that looks after it.
    pub fn seat(&self) -> Arc<Ref<Keeper>> {
        self.life.seat.load_full()
    }

    pub(super) fn take_seat(&self, seat: Ref<Keeper>) {
        self.life.seat.store(Arc::new(seat));
    }

    /// What has been counted.
    pub fn tally(&self) -> &Tally {
        &self.load.tally
    }

    /// What was wrong last.
    pub fn trouble(&self) -> Option<String> {
        self.life.trouble.lock().as_deref().map(str::to_owned)
    }

    pub(super) fn set_trouble(&self, trouble: Option<Arc<str>>) {
        *self.life.trouble.lock() = trouble;
    }

    /// How long its last answer took; `None` before there is one.
    pub fn round_trip(&self) -> Option<Duration> {
        let us = self.life.round_trip_us.load(Relaxed);
        (us > 0).then(|| Duration::from_micros(us.into()))
    }

    pub(super) fn set_round_trip(&self, took: Duration) {
        self.life.round_trip_us.store(u32::try_from(took.as_micros()).unwrap_or(u32::MAX), Relaxed);
    }

    /// What the operator wants.
    pub fn wanted(&self) -> Wanted {
        match self.life.wanted.load(Relaxed) {
            0 => Wanted::Enabled,
            1 => Wanted::Draining,
            _ => Wanted::Disabled,
        }
    }

    pub(super) fn set_wanted(&self, wanted: Wanted) {
        self.life.wanted.store(wanted as u8, Relaxed);
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.life.is_up.store(is_up, Relaxed);
    }

    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.life.is_up.load(Relaxed)
    }

    pub(super) fn set_registered(&self, registered: bool) {
        self.life.lacks_registration.store(!registered, Relaxed);
    }

    /// Whether it needs no registration of ours, or has it.
    pub fn is_registered(&self) -> bool {
        !self.life.lacks_registration.load(Relaxed)
    }

    pub(super) fn set_addresses(&self, addresses: Vec<IpAddr>) {
        self.life.addresses.store(Arc::new(addresses));
    }

    /// Whether a peer with a certificate of these names is it. Without a name that it must prove anybody at its address is.
    pub(super) fn is_proved(&self, names: &[String]) -> bool {
        let wanted = self.gateway.certificate.as_ref();
        wanted.is_none_or(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    }

    /// Whether requests from this address are its.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        match self.gateway.host {
            Host::Ip(own) => own == ip,
            Host::Name(_) => self.life.addresses.load().contains(&ip),
        }
    }

    /// Calls that are up.
    pub fn channels(&self) -> usize {
        self.load.channels.load(Relaxed)
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
            self.load.tally.refused.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Takes the channel of a call that the gateway has after all: whatever the limits are, there it is.
    pub fn take_anyway(self: &Arc<Self>) -> Channel {
        self.load.channels.fetch_add(1, Relaxed);
        Channel { of: Arc::clone(self) }
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
        self.load.channels.fetch_update(Relaxed, Relaxed, more).map_err(|_| NoChannel::Full)?;
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
        self.load.next_call_us.fetch_update(Relaxed, Relaxed, paced).is_ok()
    }
}
