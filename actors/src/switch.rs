//! The supervision tree on one page, and what all of it shares.
//!
//! ```text
//! switch                      one-for-one    5 in 60 s   (the root: past its limit the process ends)
//! ├─ store                    permanent      the writer thread of sled
//! ├─ limits                   permanent      writes down what was spent on calls outside
//! ├─ records                  permanent      call detail records: file and store
//! ├─ hep                      permanent      shows a collector every SIP message
//! ├─ recorder                 permanent      the writer thread of recordings
//! ├─ packer                   permanent      makes Opus of recordings that are over
//! ├─ media                    one-for-one    50 in 60 s
//! │  ├─ handshakes            permanent      the thread of DTLS handshakes; those under way lie in the pool
//! │  └─ worker-N              permanent      an RTP worker thread; its flows are re-opened from the pool's book
//! ├─ mail                     one-for-one    50 in 60 s
//! │  ├─ boxes                 one-for-one    1,000 in 60 s
//! │  │  └─ USER               transient      a mailbox that is in use; what is recorded for it lies beside it
//! │  ├─ lamplighter           permanent      lamps behind gateways
//! │  ├─ outbox                permanent      letters that leave by e-mail
//! │  ├─ transcriber           permanent      recognisers that read messages
//! │  └─ postmaster            permanent      recordings that a crash cut short; what was deleted for long enough
//! ├─ plan                     one-for-one    50 in 60 s
//! │  ├─ dial-plans            one-for-one    100 in 60 s
//! │  │  └─ NAME               transient      keeps the counts and the hours of one; so in the other branches
//! │  ├─ hunt-groups, voice-policies, usages, hours
//! │  └─ planner               permanent      starts those that `apply` has brought
//! ├─ shard-N                  one-for-one    100 in 60 s, on its own thread (arbiter)
//! │  ├─ admission             permanent      token buckets by source
//! │  ├─ registrar             permanent      bindings of the addresses of record that hash here
//! │  ├─ messages              permanent      instant messages, kept for the absent
//! │  ├─ subscriptions         permanent      notifier of reg and dialog
//! │  ├─ names                 permanent      looks up where the names in requests of ours lead
//! │  ├─ calls                 one-for-one    1,000 in 10 s
//! │  │  └─ CALL               transient      a call with both legs; rebuilt from its checkpoint
//! │  ├─ conferences           one-for-one    100 in 60 s
//! │  │  └─ NUMBER             transient      a conference, from its first guest to its last
//! │  ├─ groups                one-for-one    100 in 60 s
//! │  │  └─ NAME               transient      a ring group: decides which agents ring for whom
//! │  ├─ signalling            permanent      sockets and timers of the shard
//! │  └─ gateways              one-for-one    100 in 60 s
//! │     └─ NAME               transient      looks after a gateway: OPTIONS, registration, what the operator wants
//! └─ FACE                     permanent      what the program adds: `http` (console, admin API, WebSocket), `housekeeping`, `configuration`
//! ```
//!
//! One-for-one at the top: what a shard needs of store, records and media are handles that outlive these actors, so a
//! fault of theirs is not a reason to take its calls down.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Admission;
use crate::hep::Exporter;
use crate::limits::Limits;
use crate::mail::{Lamplighter, Outbox, Postmaster, Transcriber};
use crate::messages::{self, MessageRelay};
use crate::packer::Packer;
use crate::plan::{self, Planner};
use crate::records::Records;
use crate::registrar::{self, Registrar};
use crate::shard::core::Seats;
use crate::shard::{Core, Names, Signalling};
use crate::shared::Shared;
use crate::subscriptions::{self, Subscriptions};
use crate::supervision::{
    Ended, Intensity, Ref, Restart, Spec, Strategy, Supervisor, SupervisorRef, ThreadFace, Tree, child,
};

/// Patience with children that end.
const HALT_WITHIN: Duration = Duration::from_secs(10);

/// Plants the whole tree; `faces` are what the program itself adds, after everything that they need. `on_end` hears when
/// the root has ended.
///
/// # Errors
/// A thread (arbiter) of a shard could not be started.
pub fn plant(
    tree: &Tree,
    shared: &Arc<Shared>,
    faces: Vec<Spec>,
    on_end: impl FnOnce(Ended) + Send + 'static,
) -> SupervisorRef {
    let mut root = supervisor(Strategy::OneForOne, 5, 60)
        .with(store_writer(shared))
        .with(
            child("records", Restart::Permanent, {
                let shared = Arc::clone(shared);
                move || Records::new(Arc::clone(&shared))
            })
            .seat(&shared.records),
        )
        .with(
            child("limits", Restart::Permanent, {
                let shared = Arc::clone(shared);
                move || Limits::new(Arc::clone(&shared))
            })
            .seat(&shared.limits.seat),
        )
        .with(
            child("hep", Restart::Permanent, {
                let shared = Arc::clone(shared);
                move || Exporter::new(Arc::clone(&shared))
            })
            .seat(&shared.hep.exporter),
        )
        .with(recording_writer(shared))
        .with(
            child("packer", Restart::Permanent, {
                let shared = Arc::clone(shared);
                move || Packer::new(Arc::clone(&shared))
            })
            .seat(&shared.packing.seat),
        )
        .with(child("media", Restart::Permanent, {
            let shared = Arc::clone(shared);
            move || media(&shared)
        }))
        .with(child("mail", Restart::Permanent, {
            let shared = Arc::clone(shared);
            move || mail(&shared)
        }))
        .with(child("plan", Restart::Permanent, {
            let shared = Arc::clone(shared);
            move || plan(&shared)
        }));
    for number in 0..shared.shards() {
        let Some(arbiter) = shared.arbiters.get(number) else { continue };
        let shared = Arc::clone(shared);
        let name = format!("shard-{number}");
        // The seat is made here, so that the shard's actors know their supervisors before these start.
        let declared = child(name.as_str(), Restart::Permanent, move || shard(&shared, number));
        root = root.with(declared.on(arbiter));
    }
    let root = faces.into_iter().fold(root, Supervisor::with);
    tree.plant("switch", root, on_end)
}

fn media(shared: &Arc<Shared>) -> Supervisor {
    let media = supervisor(Strategy::OneForOne, 50, 60).with(handshakes(shared));
    (0..shared.pool.worker_count()).fold(media, |media, number| {
        let shared = Arc::clone(shared);
        media.with(child(format!("worker-{number}"), Restart::Permanent, move || worker(&shared, number)))
    })
}

fn mail(shared: &Arc<Shared>) -> Supervisor {
    let with = || Arc::clone(shared);
    supervisor(Strategy::OneForOne, 50, 60)
        .with(
            child("boxes", Restart::Permanent, {
                let shared = with();
                move || {
                    let shared = Arc::clone(&shared);
                    // What is recorded lies beside the actors of mailboxes: they are started again.
                    supervisor(Strategy::OneForOne, 1000, 60).adopting(move || shared.mailroom.adopt(&shared))
                }
            })
            .seat(&shared.mailroom.supervisor),
        )
        .with(
            child("outbox", Restart::Permanent, {
                let shared = with();
                move || Outbox::new(Arc::clone(&shared))
            })
            .seat(&shared.mailroom.outbox),
        )
        .with(
            child("lamplighter", Restart::Permanent, {
                let shared = with();
                move || Lamplighter::new(Arc::clone(&shared))
            })
            .seat(&shared.mailroom.lamplighter),
        )
        .with(
            child("transcriber", Restart::Permanent, {
                let shared = with();
                move || Transcriber::new(Arc::clone(&shared))
            })
            .seat(&shared.mailroom.transcriber),
        )
        .with(
            child("postmaster", Restart::Permanent, {
                let shared = with();
                move || Postmaster::new(Arc::clone(&shared))
            })
            .seat(&shared.mailroom.postmaster),
        )
}

fn plan(shared: &Arc<Shared>) -> Supervisor {
    let branches = plan::Kind::ALL.into_iter().fold(supervisor(Strategy::OneForOne, 50, 60), |plan, kind| {
        let shared = Arc::clone(shared);
        let seat = shared.plans.branch(kind);
        let branch = child(kind.branch(), Restart::Permanent, move || {
            let shared = Arc::clone(&shared);
            // What an object has counted lies beside its clerk.
            supervisor(Strategy::OneForOne, 100, 60).adopting(move || shared.plans.adopt(&shared, kind))
        });
        plan.with(branch.seat(&seat))
    });
    branches.with(
        child("planner", Restart::Permanent, {
            let shared = Arc::clone(shared);
            move || Planner::new(Arc::clone(&shared))
        })
        .seat(&shared.plans.planner),
    )
}

fn shard(shared: &Arc<Shared>, number: usize) -> Supervisor {
    let House { core, bindings, messages, notices } = House::of(shared, number);
    let (calls, registrar) = (core.calls_supervisor.clone(), core.registrar.clone());
    let (conferences, gateways) = (core.conferences_supervisor.clone(), core.gateways_supervisor.clone());
    let groups = core.groups_supervisor.clone();
    let (relay, subscriptions) = (core.relay.clone(), core.subscriptions.clone());
    let with = |core: &Rc<Core>| Rc::clone(core);
    supervisor(Strategy::OneForOne, 100, 60)
        .with(child("admission", Restart::Permanent, {
            let core = with(&core);
            move || Admission::new(Rc::clone(&core.buckets), core.clock)
        }))
        .with(
            child("registrar", Restart::Permanent, {
                let core = with(&core);
                move || Registrar::new(Rc::clone(&core), Rc::clone(&bindings))
            })
            .seat(&registrar),
        )
        .with(
            child("messages", Restart::Permanent, {
                let core = with(&core);
                move || MessageRelay::new(Rc::clone(&core), Rc::clone(&messages))
            })
            .seat(&relay),
        )
        .with(
            child("subscriptions", Restart::Permanent, {
                let core = with(&core);
                move || Subscriptions::new(Rc::clone(&core), Rc::clone(&notices))
            })
            .seat(&subscriptions),
        )
        .with(child("names", Restart::Permanent, {
            let core = with(&core);
            move || Names::new(Rc::clone(&core))
        }))
        .with(
            child("calls", Restart::Permanent, {
                let core = with(&core);
                move || {
                    let core = Rc::clone(&core);
                    supervisor(Strategy::OneForOne, 1000, 10)
                        .children_max(CALLS_MAX_A_SHARD)
                        // What a call is lies in the core: a fresh supervisor starts the actors of all living calls.
                        .adopting(move || crate::call::adopt(&core))
                }
            })
            .seat(&calls),
        )
        .with(
            child("conferences", Restart::Permanent, {
                let core = with(&core);
                move || {
                    let core = Rc::clone(&core);
                    // As with the calls: what a conference is lies beside it.
                    supervisor(Strategy::OneForOne, 100, 60).adopting(move || crate::conference::adopt(&core))
                }
            })
            .seat(&conferences),
        )
        .with(
            child("groups", Restart::Permanent, {
                let core = with(&core);
                move || {
                    let core = Rc::clone(&core);
                    // What a ring group knows lies beside it.
                    supervisor(Strategy::OneForOne, 100, 60).adopting(move || crate::group::adopt(&core))
                }
            })
            .seat(&groups),
        )
        .with(
            child("signalling", Restart::Permanent, {
                let (core, shared) = (with(&core), Arc::clone(shared));
                move || Signalling::new(Rc::clone(&core), shared.network.clone())
            })
            .seat(&shared.signalling_seat(number)),
        )
        // Halted before the sockets are closed: a registration with a carrier is taken back first.
        .with(
            child("gateways", Restart::Permanent, {
                let core = with(&core);
                move || {
                    let core = Rc::clone(&core);
                    // What is known of a gateway lies beside its keeper.
                    supervisor(Strategy::OneForOne, 100, 60).adopting(move || crate::gateway::adopt(&core))
                }
            })
            .seat(&gateways),
        )
}

/// What the actors of a shard must find again after a fault, even of their supervisor: it stays on the shard's thread, so
/// a shard that is killed whole goes on with its calls.
#[derive(Clone)]
struct House {
    core: Rc<Core>,
    bindings: Rc<RefCell<registrar::Ledger>>,
    messages: Rc<RefCell<messages::Ledger>>,
    notices: Rc<RefCell<subscriptions::Ledger>>,
}

thread_local! {
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

impl House {
    /// The house of this thread's shard, built when there is none for this switch.
    fn of(shared: &Arc<Shared>, number: usize) -> Self {
        HOUSE.with_borrow_mut(|house| {
            let stands = house.take().filter(|h| Arc::ptr_eq(&h.core.shared, shared) && h.core.shard == number);
            let stands = stands.unwrap_or_else(|| {
                let seats = Seats {
                    calls: Ref::vacant(),
                    conferences: Ref::vacant(),
                    gateways: Ref::vacant(),
                    groups: Ref::vacant(),
                    registrar: Ref::vacant(),
                    relay: Ref::vacant(),
                    subscriptions: Ref::vacant(),
                };
                Self {
                    core: Core::new(Arc::clone(shared), number, seats),
                    bindings: Rc::default(),
                    messages: Rc::default(),
                    notices: Rc::default(),
                }
            });
            house.insert(stands).clone()
        })
    }
}

/// Calls that a shard's supervisor takes; the configured bound of the node is below.
const CALLS_MAX_A_SHARD: u32 = 1 << 20;

fn supervisor(strategy: Strategy, restarts: u32, within_s: u64) -> Supervisor {
    Supervisor::new(strategy, Intensity { restarts, within: Duration::from_secs(within_s) }).halt_within(HALT_WITHIN)
}

fn store_writer(shared: &Arc<Shared>) -> Spec {
    let shared = Arc::clone(shared);
    child("store", Restart::Permanent, move || {
        let (starter, stopper) = (shared.store.clone(), shared.store.clone());
        ThreadFace::new(
            move |bell| {
                let thread = starter.start_writer_watched(move |end| bell.toll(format!("the writer {end:?}")));
                let thread = thread.map_err(std::io::Error::other)?;
                Ok(Box::new(move || {
                    let _ = thread.join();
                }))
            },
            // What it holds is answered as not written; what waits is written by the next writer or at shutdown.
            move || stopper.kill_writer(),
        )
    })
    .into()
}

fn recording_writer(shared: &Arc<Shared>) -> Spec {
    let shared = Arc::clone(shared);
    child("recorder", Restart::Permanent, move || {
        let (starter, stopper) = (shared.recorder.clone(), shared.recorder.clone());
        ThreadFace::new(
            move |bell| {
                let thread = starter.start_writer_watched(move |end| bell.toll(format!("the writer {end:?}")))?;
                Ok(Box::new(move || {
                    let _ = thread.join();
                }))
            },
            // What is on the tapes is written first; recordings go on with the next writer.
            move || stopper.stop_writer(),
        )
    })
    .into()
}

fn handshakes(shared: &Arc<Shared>) -> Spec {
    let shared = Arc::clone(shared);
    child("handshakes", Restart::Permanent, move || {
        let (starter, stopper) = (shared.pool.clone(), shared.pool.clone());
        ThreadFace::new(
            move |bell| {
                let thread = starter.start_handshakes_watched(move |end| bell.toll(format!("the thread {end:?}")))?;
                Ok(Box::new(move || {
                    let _ = thread.join();
                }))
            },
            move || stopper.stop_handshakes(),
        )
    })
    .into()
}

fn worker(shared: &Arc<Shared>, number: usize) -> ThreadFace {
    let (starter, stopper) = (shared.pool.clone(), shared.pool.clone());
    ThreadFace::new(
        move |bell| {
            let thread = starter.start_worker_watched(number, move |end| bell.toll(format!("the worker {end:?}")))?;
            Ok(Box::new(move || {
                let _ = thread.join();
            }))
        },
        move || stopper.stop_worker(number),
    )
}
