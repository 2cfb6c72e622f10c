//! What all shards share: settings, directory, location table, store, pool, network, tree. Nothing here is changed by
//! two writers: each table says who writes it.

use ahash::RandomState;
use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::conference::Conferences;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::features::FeatureBook;
use crate::gateway::{Gateways, KeeperMsg};
use crate::group::{Groups, sign_ins};
use crate::hep::Hep;
use crate::limits::Book;
use crate::location::{Contact, Location};
use crate::outside;
pub use crate::outside::{unix_ms, unix_now};
use crate::packer::Packing;
use crate::parking::{Parking, Ringing};
use crate::plan::Plans;
use crate::records::Records;
use crate::registrar::gruu::TemporaryGruus;
use crate::settings::Settings;
use crate::shard::{Signalling, SignallingMsg};
use crate::supervision::{Ref, Tree};
use crate::user_lines::UserLines;

/// See the module.
pub struct Shared {
    settings: ArcSwap<Settings>,
    directory: ArcSwap<Directory>,
    /// Bindings; written by the registrar that owns the address of record.
    pub location: Location,
    /// Gives out temporary GRUUs and reads them.
    pub gruus: TemporaryGruus,
    /// The store.
    pub store: store::Store,
    /// The media pool.
    pub pool: media::Pool,
    /// What is said to callers.
    pub prompts: media::prompt::Prompts,
    /// Records calls and conferences.
    pub recorder: media::recorder::Recorder,
    /// Makes Opus of recordings that are over.
    pub packing: Packing,
    /// Conferences that somebody is in.
    pub conferences: Conferences,
    /// Ring groups.
    pub groups: Groups,
    /// What users have switched.
    pub features: Arc<FeatureBook>,
    /// Calls that are parked.
    pub parked: Parking,
    /// Calls that ring.
    pub ringing: Ringing,
    /// Mailboxes.
    pub mailroom: crate::mail::Mailroom,
    /// The objects of the plan: what they have carried, and what is up under them.
    pub plans: Plans,
    /// How the gateways stand.
    pub gateways: Gateways,
    /// What was spent on calls outside, and by whom.
    pub limits: Arc<Book>,
    /// The network.
    pub network: sip::net::Network,
    /// The tree.
    pub tree: Tree,
    /// Counters.
    pub counters: Counters,
    /// The actor that writes call detail records.
    pub records: Ref<Records>,
    /// What a collector is shown.
    pub hep: Hep,
    /// Threads of the shards.
    pub arbiters: Vec<actix::ArbiterHandle>,
    signalling: Vec<Ref<Signalling>>,
    /// Dialogs that live on another shard than their Call-ID says; written by the shard that takes them.
    moved: DashMap<Box<[u8]>, usize, RandomState>,
    own: ArcSwap<Vec<SocketAddr>>,
    /// Calls of each user that has one, on all shards.
    pub lines: UserLines,
    /// Calls alive on all shards.
    pub calls_alive: AtomicUsize,
    /// Subscriptions to calls; without any, calls tell nobody of their changes.
    pub watchers: AtomicUsize,
    /// No new calls are taken.
    pub draining: AtomicBool,
    /// When this process began, s since 1970: part of every call's key.
    pub epoch_s: u32,
}

impl Shared {
    /// Puts the parts together; the shards are `arbiters.len()`.
    pub fn new(
        settings: Settings,
        store: store::Store,
        pool: media::Pool,
        prompts: media::prompt::Prompts,
        network: sip::net::Network,
        tree: Tree,
        arbiters: Vec<actix::ArbiterHandle>,
    ) -> Arc<Self> {
        let directory = Directory::of(&settings);
        let secret = store.meta().secret().unwrap_or_else(|error| {
            tracing::warn!(%error, "the node's secret cannot be read: temporary addresses of before are not valid any more");
            outside::random()
        });
        let gateways = Gateways::new(&settings.gateways);
        let features = FeatureBook::read(&store);
        let groups = Groups::default();
        groups.set(&settings.groups, arbiters.len(), &sign_ins(&store));
        let plans = Plans::default();
        plans.set(directory.routing(), &crate::plan::known(&store));
        let hep = Hep::default();
        hep.is_on.store(settings.hep.is_some(), Relaxed);
        let own = network.listening().iter().map(|bind| bind.address).collect();
        Arc::new(Self {
            directory: ArcSwap::from_pointee(directory),
            settings: ArcSwap::from_pointee(settings),
            location: Location::default(),
            gruus: TemporaryGruus::new(&secret),
            store,
            pool,
            prompts,
            recorder: media::recorder::Recorder::default(),
            packing: Packing::default(),
            conferences: Conferences::default(),
            groups,
            features,
            parked: Parking::default(),
            ringing: Ringing::default(),
            mailroom: crate::mail::Mailroom::default(),
            plans,
            gateways,
            limits: Arc::default(),
            network,
            tree,
            counters: Counters::default(),
            records: Ref::vacant(),
            hep,
            signalling: arbiters.iter().map(|_| Ref::vacant()).collect(),
            arbiters,
            moved: DashMap::default(),
            own: ArcSwap::from_pointee(own),
            lines: UserLines::default(),
            calls_alive: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            epoch_s: u32::try_from(unix_ms() / 1000).unwrap_or(u32::MAX),
        })
    }

    /// The settings in force. Not to be held over an await.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// The directory in force. Not to be held over an await.
    pub fn directory(&self) -> Guard<Arc<Directory>> {
        self.directory.load()
    }

    /// Other settings and another directory take the place of those in force. Who holds the old ones keeps them; what an actor
    /// has taken out of them when it started stays as it was.
    pub fn replace(&self, settings: Settings) {
        self.gateways.apply(&settings.gateways);
        let directory = Arc::new(Directory::of(&settings));
        self.directory.store(Arc::clone(&directory));
        self.plans.set(directory.routing(), &ahash::AHashMap::new());
        self.groups.set(&settings.groups, self.shards(), &[]);
        self.hep.is_on.store(settings.hep.is_some(), Relaxed);
        self.settings.store(Arc::new(settings));
        for signalling in &self.signalling {
            // One word a change.
            signalling.send_reply(SignallingMsg::Configured);
        }
    }

    /// No new call is let in from now on, and carriers that we are registered with are to send none.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
        for standing in self.gateways.all() {
            standing.seat().send_reply(KeeperMsg::Withdraw);
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.arbiters.len()
    }

    /// The signalling actor of a shard.
    pub fn signalling(&self, shard: usize) -> Option<&Ref<Signalling>> {
        self.signalling.get(shard)
    }

    /// The seat of a shard's signalling, for the tree.
    pub(crate) fn signalling_seat(&self, shard: usize) -> Ref<Signalling> {
        self.signalling.get(shard).cloned().unwrap_or_else(Ref::vacant)
    }

    /// Whether a host (with or without brackets) is an address that we listen on or are known by.
    pub fn is_own_host(&self, host: &str) -> bool {
        if self.settings.load().sip.advertised.as_deref().is_some_and(|a| a.eq_ignore_ascii_case(host)) {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(ip) = bare.parse::<IpAddr>() else { return bare.eq_ignore_ascii_case("localhost") };
        self.own.load().iter().any(|own| own.ip() == ip || own.ip().is_unspecified())
    }

    /// Whether an address is one of our own listeners: a request sent there would come back to us.
    pub fn is_own_address(&self, address: SocketAddr) -> bool {
        self.own
            .load()
            .iter()
            .any(|own| own.port() == address.port() && (own.ip() == address.ip() || own.ip().is_unspecified()))
    }

    /// The shard that a moved dialog lives on.
    pub fn moved(&self, call_id: &[u8]) -> Option<usize> {
        if self.moved.is_empty() {
            return None;
        }
        self.moved.get(call_id).map(|entry| *entry)
    }

    /// A dialog lives on `shard` from now on.
    pub fn move_dialog(&self, call_id: &[u8], shard: usize) {
        self.moved.insert(call_id.into(), shard);
    }

    /// A moved dialog has ended.
    pub fn unmove_dialog(&self, call_id: &[u8]) {
        if !self.moved.is_empty() {
            self.moved.remove(call_id);
        }
    }

    /// Fills the location table from the store, before the first request is read. Returns how many bindings are alive,
    /// and how many records could not be read.
    pub fn restore_locations(&self) -> (usize, usize) {
        let now = unix_ms();
        let (mut alive, mut unreadable) = (0, 0);
        let mut entry: Option<(Arc<str>, Vec<Contact>)> = None;
        for binding in self.store.locations().iter() {
            let read = binding.ok().and_then(|b| Some((Arc::from(b.aor.as_str()), self.location.contact(&b)?)));
            let Some((aor, contact)) = read else {
                unreadable += 1;
                continue;
            };
            if contact.expires_at_ms <= now {
                continue;
            }
            alive += 1;
            match &mut entry {
                Some((same, contacts)) if *same == aor => contacts.push(contact),
                other => {
                    if let Some((aor, contacts)) = other.replace((aor, vec![contact])) {
                        self.location.set(&aor, contacts.into());
                    }
                }
            }
        }
        if let Some((aor, contacts)) = entry {
            self.location.set(&aor, contacts.into());
        }
        (alive, unreadable)
    }

    /// Writes the gauges that are read and not counted.
    pub fn publish(&self) {
        #[allow(clippy::cast_precision_loss)] // counts far below 2^52
        {
            self.counters.calls_alive.set(self.calls_alive.load(Relaxed) as f64);
            self.counters.registered.set(self.location.len() as f64);
        }
        self.tree.publish();
    }
}

/// The form of SIP's Date (RFC 3261 section 20.17): always GMT.
pub fn sip_date(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map(|t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}
