//! A call: a back-to-back user agent with both legs in one shard (RFC 7092), its media anchored in the pool.
//!
//! The actor holds nothing of its own: what a call *is* ([`State`]) lies in its [`CallFile`] beside it, and is whole
//! between two messages. So a call whose actor was killed goes on with the next message: its transactions are in the
//! shard's layer, its timers in the shard's wheel, its media in the pool.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `begin` | the INVITE: checks, routing, the first leg |
//! | `diverted` | whom it was diverted from before it came here |
//! | `fork` | ringing all contacts, and the best of their refusals |
//! | `response` | answers to our requests, and the want of them |
//! | `progress` | 18x: early dialogs, early media, what the caller hears of them |
//! | `again` | an INVITE goes once more: longer session, other transport, other way |
//! | `groups` | whose turn it is: contacts by q, gateways in order |
//! | `outward` | out of the switch by one gateway after the other |
//! | `identity` | who calls, as the called side is told |
//! | `history` | who has sent the call on, as the next one is told |
//! | `redirect` | a phone sends the caller elsewhere |
//! | `callee` | what the user who is called has switched |
//! | `wishes` | a feature code was dialled |
//! | `pickup` | a call that rings for another, or is parked, is taken over |
//! | `park` | a party waits at a place |
//! | `cancel` | ringing that ends without an answer: CANCEL, time, refusals |
//! | `answer` | the callee has answered: media connected, 200 to the caller |
//! | `service` | numbers that the switch answers itself |
//! | `playing` | the switch calls a phone itself, to play messages |
//! | `front` | a mailbox that another node keeps |
//! | `mailed` | what the record says of voice mail |
//! | `timers` | what a call waits for |
//! | `keys` | SRTP: our keys for a leg, and those of its party |
//! | `lines` | what a call carries beside its sound: pictures, fax
//! | `adding` | a party adds a line to a call that is up
//! | `inside` | requests inside the dialogs: BYE, INFO, PRACK, OPTIONS … |
//! | `modify` | re-INVITE and UPDATE: hold, resume, moves, session timers |
//! | `rekey` | SRTP keys of ours that near their end |
//! | `retell` | a party is offered anew what the other has come to speak |
//! | `gather` | a transfer into a conference
//! | `grouped` | in a ring group: agents ring, the caller waits, or leaves for elsewhere
//! | `transfer` | REFER: one party gives its place to another |
//! | `talking` | a dialogue of the switch: voice mail, attendants |
//! | `connecting` | a dialogue connects its caller with somebody, who may be asked first
//! | `replace` | INVITE with Replaces: a phone takes a call over |
//! | `rebuild` | the actor has died, and the call goes on |
//! | `finish` | the end, and the call detail record |

mod adding;
mod again;
mod answer;
mod begin;
mod busy;
mod callee;
mod cancel;
mod connecting;
mod diverted;
mod dtmf;
mod file;
mod finish;
mod fork;
mod front;
mod gather;
mod grouped;
mod groups;
mod history;
mod identity;
mod inside;
mod keys;
mod leg;
mod lines;
mod mailed;
mod media;
mod modify;
mod outward;
mod park;
mod pickup;
mod playing;
mod progress;
mod rebuild;
mod record;
mod redirect;
mod rekey;
mod replace;
mod response;
mod retell;
mod service;
mod session;
mod state;
mod talking;
mod timers;
mod transfer;
mod wishes;

pub use file::{CallFile, CallView, EndedRecord, RecordView, rfc3339};
pub use history::{SENT_ON_MAX, Why};
pub use leg::{Leg, LegId, LegState};
pub use playing::start_play;
pub use record::{Event, Said, What};
pub use state::State;
pub use timers::CallTimer;
pub use wishes::{Kept, Unkept};

use sip::dialog::replaces::Replaces;
use sip::transaction::{ServerEnd, ServerId};
use sip::{Hop, Message};
use smol_str::SmolStr;
use std::fmt;
use std::rc::Rc;

use crate::group::Order;
use crate::shard::{Core, Identity, Owner, RequestId, Unanswered};
use crate::supervision::{Cx, Live, Ref, Restart, StartError, StopReason};

/// Names a call for ever: when the process began, which shard, which call of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

impl CallKey {
    /// Bits of the number within a shard and process.
    const NUMBER_BITS: u32 = 26;
    /// Bits of the shard.
    const SHARD_BITS: u32 = 6;

    /// The name of the `number`th call of a shard. Numbers come round after 67 million calls a shard, long after the
    /// first has ended.
    pub fn new(epoch_s: u32, shard: usize, number: u64) -> Self {
        let shard = u64::try_from(shard).unwrap_or(0) & ((1 << Self::SHARD_BITS) - 1);
        let number = number & ((1 << Self::NUMBER_BITS) - 1);
        Self(u64::from(epoch_s) << 32 | shard << Self::NUMBER_BITS | number)
    }
}

impl CallKey {
    /// The name of the call's actor, of its record and in its Contact: sixteen hexadecimal digits, kept in place.
    pub fn name(self) -> SmolStr {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0');
        let digits = self.0.to_be_bytes().map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        SmolStr::new_inline(std::str::from_utf8(digits.as_flattened()).unwrap_or_default())
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Tells a call's actor that something lies in its file for it. A call that is rebuilt finds all of it there.
pub struct Mail;

/// What a call can be told.
pub enum CallMsg {
    /// The INVITE that begins it.
    Begin {
        /// Its transaction.
        server: ServerId,
        /// The request.
        message: Message,
        /// Where it came from.
        hop: Hop,
        /// Who sent it.
        identity: Identity,
    },
    /// A request inside one of its dialogs.
    Request {
        /// Its transaction.
        server: ServerId,
        /// The leg.
        leg: LegId,
        /// The request.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// The ACK of a 2xx of ours.
    Ack {
        /// The leg.
        leg: LegId,
        /// The ACK.
        message: Message,
    },
    /// The caller gives up.
    Cancel {
        /// The INVITE's transaction.
        server: ServerId,
        /// The CANCEL.
        message: Message,
    },
    /// An answer to a request of ours.
    Response {
        /// The request's transaction.
        client: RequestId,
        /// The leg.
        leg: LegId,
        /// The response.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// A request of ours to a name has reached somebody, or is on its way there.
    Reached {
        /// The leg.
        leg: LegId,
        /// The request.
        request: RequestId,
        /// How it is called from now on.
        now: RequestId,
        /// What was looked up.
        place: Box<str>,
        /// Who is there.
        hop: Hop,
    },
    /// A request of ours got no answer.
    ClientEnded {
        /// The request's transaction.
        client: RequestId,
        /// The leg.
        leg: LegId,
        /// Why.
        why: Unanswered,
    },
    /// An answer of ours was not taken.
    ServerEnded {
        /// The request's transaction.
        server: ServerId,
        /// The leg.
        leg: LegId,
        /// Why.
        why: ServerEnd,
    },
    /// A timer is due.
    Timer(CallTimer),
    /// Something for the dialogue that answers.
    Talk(crate::talk::Input),
    /// The pool tells something.
    Media(::media::MediaEvent),
    /// An INVITE wants the place of a leg (RFC 3891).
    Replace {
        /// Its transaction.
        server: ServerId,
        /// The leg to be replaced.
        leg: LegId,
        /// What it names.
        replaces: Replaces,
        /// The request.
        message: Message,
        /// Where it came from.
        hop: Hop,
        /// Who sent it.
        identity: Identity,
    },
    /// Another call of this node wants the far leg of this one (attended transfer).
    GiveLeg {
        /// The leg that names the call: the transferor's.
        leg: LegId,
        /// How it is named.
        replaces: Replaces,
        /// Who takes it.
        to: CallKey,
        /// On which shard.
        shard: usize,
    },
    /// A leg from another call; `None` when there was none to give.
    TakeLeg(Option<Box<Leg>>),
    /// What was dialled to be switched is, or is not.
    Kept(Kept),
    /// Another call of this node wants the party that waits here: while phones ring for it, or parked.
    GiveWaiting {
        /// Who takes it.
        to: CallKey,
        /// On which shard.
        shard: usize,
    },
    /// The ring group that it is in says what becomes of it.
    Grouped {
        /// The group.
        group: SmolStr,
        /// The call's number there.
        id: u64,
        /// What.
        order: Order,
    },
    /// It is one that the switch makes itself.
    Play(std::sync::Arc<crate::mail::Play>),
    /// End it: drain, or an operator.
    HangUp {
        /// Who says so, for the record.
        by: &'static str,
    },
}

/// The actor; see the module.
pub struct Call {
    core: Rc<Core>,
    key: CallKey,
    file: Rc<CallFile>,
}

/// Starts the actor of a new call and gives it its INVITE.
///
/// # Errors
/// The shard takes no more calls.
pub fn start(
    core: &Core,
    key: CallKey,
    server: ServerId,
    message: Message,
    hop: Hop,
    identity: Identity,
) -> Result<(), StartError> {
    let file = Rc::new(CallFile::new(core, &message));
    let seat = seat(core, key, &file)?;
    core.add_call(key, seat, file);
    core.claim(server, Owner::Call(key, LegId::CALLER));
    core.tell_call(key, CallMsg::Begin { server, message, hop, identity });
    Ok(())
}

/// Starts the actors of all calls of the shard again: their supervisor has died, and they with it.
pub fn adopt(core: &Core) {
    let orphans: Vec<_> = core.calls.borrow().iter().map(|(key, slot)| (*key, Rc::clone(&slot.file))).collect();
    for (key, file) in orphans {
        match seat(core, key, &file) {
            Ok(seat) => core.add_call(key, seat, file),
            Err(error) => tracing::error!(call = %key, %error, "a call was not started again"),
        }
    }
}

/// The actor of a call, in its supervisor's care.
fn seat(core: &Core, key: CallKey, file: &Rc<CallFile>) -> Result<Ref<Call>, StartError> {
    let (file, core_handle) = (Rc::clone(file), core.handle().ok_or(StartError::Dead)?);
    let name = key.name();
    core.calls_supervisor.start_child(&name, Restart::Transient, move || Call {
        core: Rc::clone(&core_handle),
        key,
        file: Rc::clone(&file),
    })
}

impl Live for Call {
    type Msg = Mail;
    const KIND: &'static str = "call";
    const MAILBOX: usize = 64;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        if !std::mem::replace(&mut self.file.state.borrow_mut().born, true) {
            return;
        }
        let begun = self.file.state.borrow().begun;
        if begun {
            self.core.shared.counters.calls_rebuilt.increment(1);
            self.file.note(self.core.now(), None, What::Rebuilt);
            tracing::warn!(call = %self.key, "a call was rebuilt from its checkpoint");
        }
        // What has come is not lost: only what is missing after it is put right.
        while let Some(msg) = self.file.next_mail() {
            self.work(cx, |work| work.handle(msg));
        }
        let (begun_now, over) = {
            let state = self.file.state.borrow();
            (state.begun, state.over())
        };
        if !begun_now {
            // Its INVITE was what the actor before died of: nobody else will answer it.
            self.core.abandon(Owner::Call(self.key, LegId::CALLER));
            self.core.forget_call(self.key);
            return cx.stop();
        }
        if begun && !over {
            self.work(cx, |work| work.reconcile());
        }
    }

    fn handle(&mut self, Mail: Mail, cx: &mut Cx<'_, Self>) {
        if let Some(msg) = self.file.next_mail() {
            self.work(cx, |work| work.handle(msg));
        }
    }

    fn stopping(&mut self, why: &StopReason, _: &mut Cx<'_, Self>) {
        if *why == StopReason::Halted {
            // The switch goes down: the parties hear it (law 5 promises them the call only while it lives).
            let mut state = self.file.state.borrow_mut();
            let mut work = Work { core: &self.core, key: self.key, file: &self.file, state: &mut state };
            work.hang_up_all("switch", "the switch is shut down");
            let legs: Vec<LegId> = work.state.legs.iter().map(|leg| leg.id).collect();
            for leg in legs {
                work.untie(leg);
            }
            self.core.forget_call(self.key);
        }
    }

    fn describe(&self) -> String {
        self.file.view(self.key).line()
    }
}

impl Call {
    /// Does a step; the actor ends with the call.
    fn work(&mut self, cx: &mut Cx<'_, Self>, step: impl FnOnce(&mut Work<'_>)) {
        let mut state = self.file.state.borrow_mut();
        let mut work = Work { core: &self.core, key: self.key, file: &self.file, state: &mut state };
        step(&mut work);
        if let Some(flow) = &work.state.flow {
            flow.wake();
        }
        let over = work.state.over();
        drop(state);
        if over {
            self.core.forget_call(self.key);
            cx.stop();
        }
    }
}

/// One message's work on a call: everything that the steps need, for as long as the step lasts.
struct Work<'a> {
    core: &'a Core,
    key: CallKey,
    file: &'a CallFile,
    state: &'a mut State,
}

impl Work<'_> {
    fn handle(&mut self, msg: CallMsg) {
        match msg {
            CallMsg::Begin { server, message, hop, identity } => self.begin(server, message, hop, identity),
            CallMsg::Request { server, leg, message, hop } => self.request(server, leg, message, hop),
            CallMsg::Ack { leg, message } => self.acked(leg, &message),
            CallMsg::Cancel { server, message } => self.cancelled(server, &message),
            CallMsg::Response { client, leg, message, hop } => self.response(client, leg, &message, hop),
            CallMsg::Reached { leg, request, now, place, hop } => self.reached(leg, request, now, (place, hop)),
            CallMsg::ClientEnded { client, leg, why } => self.unanswered(client, leg, why),
            CallMsg::ServerEnded { server, leg, why } => self.answer_lost(server, leg, why),
            CallMsg::Timer(timer) => self.timer(timer),
            CallMsg::Media(event) => self.media_event(event),
            CallMsg::Talk(input) => self.talk(input),
            CallMsg::Replace { server, leg, replaces, message, hop, identity } => {
                self.replace(server, leg, &replaces, message, hop, identity);
            }
            CallMsg::GiveLeg { leg, replaces, to, shard } => self.give_leg(leg, &replaces, to, shard),
            CallMsg::TakeLeg(leg) => self.take_leg(leg),
            CallMsg::Kept(kept) => self.wish_kept(kept),
            CallMsg::GiveWaiting { to, shard } => self.give_waiting(to, shard),
            CallMsg::Grouped { group, id, order } => self.grouped(&group, id, order),
            CallMsg::Play(play) => self.begin_play(play),
            CallMsg::HangUp { by } => self.hang_up_all(by, "ended by the operator"),
        }
    }

    fn note(&self, leg: Option<LegId>, what: What) {
        self.file.note(self.core.now(), leg, what);
    }

    /// The call has begun to ring, was answered or has ended: whoever watches its parties is told (RFC 4235).
    fn lamps(&self) {
        let shared = &self.core.shared;
        if shared.watchers.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            return;
        }
        let facts = self.file.facts.borrow();
        for party in [&facts.from, &facts.to] {
            for shard in 0..shared.shards() {
                if let Some(seat) = shared.signalling(shard) {
                    // A lamp that is told late is told again at the next change: never worth more than a bounded mailbox.
                    let _ = seat.try_send(crate::shard::SignallingMsg::CallsChanged(party.as_str().into()));
                }
            }
        }
    }

    fn decided(&self, leg: Option<LegId>, why: impl Into<std::borrow::Cow<'static, str>>) {
        self.note(leg, What::Decided { why: why.into() });
    }

    fn owner(&self, leg: LegId) -> Owner {
        Owner::Call(self.key, leg)
    }
}
