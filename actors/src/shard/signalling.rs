//! The actor that keeps a shard's sockets open and its timers running.

use bytes::Bytes;
use sip::net::{CloseReason, Inbound as _};
use sip::{Hop, Message};
use smol_str::SmolStr;
use std::rc::Rc;
use std::time::Duration;

use super::core::{Core, Load};
use super::inbound::Door;
use crate::call::{CallKey, CallMsg, Kept, Leg};
use crate::group::Order;
use crate::subscriptions::SubscriptionMsg;
use crate::supervision::{Cx, Live, Reply};

/// Shortest nap of the driver: timers that are due together are run together.
const NAP_MIN: Duration = Duration::from_millis(5);

/// What a shard's signalling can be told.
pub enum SignallingMsg {
    /// A message that another shard received for this one.
    Received {
        /// The message.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// Bytes that another face of the program received for whichever shard they belong to: a frame of a WebSocket
    /// connection (RFC 7118 section 5).
    Wire {
        /// One whole message.
        bytes: Bytes,
        /// Where it came from.
        hop: Hop,
    },
    /// A datagram came back to the socket of another shard.
    Refused {
        /// How it began.
        quoted: Bytes,
        /// Where it was sent.
        hop: Hop,
    },
    /// Such a connection is gone.
    Gone(Hop),
    /// The pool tells something about the flow of a call.
    Media {
        /// The call's key.
        key: u64,
        /// What.
        event: media::MediaEvent,
    },
    /// Something for the dialogue of a call.
    Talk {
        /// The call.
        call: CallKey,
        /// What.
        input: crate::talk::Input,
    },
    /// The messages of a mailbox have changed.
    MessagesChanged(std::sync::Arc<str>),
    /// How much is alive here?
    Load(Reply<Load>),
    /// A view of the calls of this shard.
    Calls(Reply<Vec<crate::call::CallView>>),
    /// The record of a call.
    Record(String, Reply<Option<crate::call::RecordView>>),
    /// A call of this shard is asked for the far leg of a dialog of its own.
    FetchLeg {
        /// The dialog, as its far end names it.
        replaces: sip::dialog::replaces::Replaces,
        /// The call that takes the leg.
        for_call: CallKey,
        /// The shard of that call.
        for_shard: usize,
    },
    /// A leg for a call of this shard; `None` when there was none to give.
    Leg {
        /// The call.
        call: CallKey,
        /// The leg.
        leg: Option<Box<Leg>>,
    },
    /// Gateways and ring groups are configured otherwise.
    Configured,
    /// The calls of an address of record have changed.
    CallsChanged(std::sync::Arc<str>),
    /// A call of this shard is asked for the party that waits in it.
    FetchWaiting {
        /// The call.
        call: CallKey,
        /// The call that takes the party.
        for_call: CallKey,
        /// The shard of that call.
        for_shard: usize,
    },
    /// What was dialled in a call to be switched is, or is not.
    Kept {
        /// The call.
        call: CallKey,
        /// What came of it.
        kept: Kept,
    },
    /// A ring group says what becomes of a call.
    Grouped {
        /// The call.
        call: CallKey,
        /// The group.
        group: SmolStr,
        /// The call's number there.
        id: u64,
        /// What.
        order: Order,
    },
    /// A phone is to be called, and played to.
    Play(std::sync::Arc<crate::mail::Play>),
    /// Ends one call.
    HangUp {
        /// The call.
        call: CallKey,
        /// Who ends it.
        by: &'static str,
    },
    /// Ends all calls with BYE or 503 (drain past its deadline).
    HangUpAll,
}

/// See the module. When it dies its sockets close and a fresh one opens them again; transactions and calls stay in the
/// core.
pub struct Signalling {
    core: Rc<Core>,
    network: sip::net::Network,
}

impl Signalling {
    /// Serves `core` from `network`.
    pub fn new(core: Rc<Core>, network: sip::net::Network) -> Self {
        Self { core, network }
    }
}

impl Live for Signalling {
    type Msg = SignallingMsg;
    const KIND: &'static str = "signalling";
    const MAILBOX: usize = 16_384;
    const KEEPS_MAIL: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        match self.network.attach_shard(Rc::new(Door::new(&self.core))) {
            Ok(net) => self.core.attach(net),
            Err(error) => {
                cx.fail(format!("its sockets did not open: {error}"));
                return;
            }
        }
        let core = Rc::clone(&self.core);
        cx.spawn(drive(core), |_, (), _| {});
    }

    fn handle(&mut self, msg: SignallingMsg, _: &mut Cx<'_, Self>) {
        match msg {
            SignallingMsg::Received { message, hop } => self.core.local(message, hop),
            SignallingMsg::Wire { bytes, hop } => Door::new(&self.core).message(bytes, hop),
            SignallingMsg::Refused { quoted, hop } => drop(self.core.refused(&quoted, &hop)),
            SignallingMsg::Gone(hop) => Door::new(&self.core).closed(hop, CloseReason::Peer),
            SignallingMsg::Media { key, event } => self.core.tell_call(CallKey(key), CallMsg::Media(event)),
            SignallingMsg::Talk { call, input } => {
                if !self.core.calls.borrow().contains_key(&call)
                    && let crate::talk::Input::Answer(crate::talk::Answer::Draft(Ok(draft))) = &input
                {
                    self.core.shared.mailroom.orphan(&self.core.shared, draft);
                }
                self.core.tell_call(call, CallMsg::Talk(input));
            }
            SignallingMsg::MessagesChanged(aor) => {
                self.core.subscriptions.send_reply(SubscriptionMsg::MessagesChanged(aor));
            }
            SignallingMsg::Load(reply) => reply.send(self.core.load()),
            SignallingMsg::Calls(reply) => {
                let calls = self.core.calls.borrow();
                reply.send(calls.iter().map(|(key, slot)| slot.file.view(*key)).collect());
            }
            SignallingMsg::Record(id, reply) => reply.send(self.core.record_of(&id)),
            SignallingMsg::FetchLeg { replaces, for_call, for_shard } => {
                match self.core.dialog(&replaces.call_id, &replaces.to_tag) {
                    Some((key, leg)) => {
                        let give = CallMsg::GiveLeg { leg, replaces, to: for_call, shard: for_shard };
                        self.core.tell_call(key, give);
                    }
                    None => {
                        if let Some(seat) = self.core.shared.signalling(for_shard) {
                            seat.send_reply(SignallingMsg::Leg { call: for_call, leg: None });
                        }
                    }
                }
            }
            SignallingMsg::Leg { call, leg } => match leg {
                // The call that asked for it has ended: the party is not left alone with silence.
                Some(mut leg) if !self.core.calls.borrow().contains_key(&call) => leg.say_goodbye(&self.core),
                leg => self.core.tell_call(call, CallMsg::TakeLeg(leg)),
            },
            SignallingMsg::CallsChanged(aor) => {
                self.core.subscriptions.send_reply(SubscriptionMsg::CallsChanged(aor));
            }
            SignallingMsg::Configured => {
                crate::gateway::adopt(&self.core);
                crate::group::adopt_new(&self.core);
            }
            SignallingMsg::FetchWaiting { call, for_call, for_shard } => {
                if self.core.calls.borrow().contains_key(&call) {
                    self.core.tell_call(call, CallMsg::GiveWaiting { to: for_call, shard: for_shard });
                } else if let Some(seat) = self.core.shared.signalling(for_shard) {
                    seat.send_reply(SignallingMsg::Leg { call: for_call, leg: None });
                }
            }
            SignallingMsg::Kept { call, kept } => self.core.tell_call(call, CallMsg::Kept(kept)),
            SignallingMsg::Grouped { call, group, id, order } => {
                self.core.tell_call(call, CallMsg::Grouped { group, id, order });
            }
            SignallingMsg::Play(play) => self.core.play(play),
            SignallingMsg::HangUp { call, by } => self.core.tell_call(call, CallMsg::HangUp { by }),
            SignallingMsg::HangUpAll => {
                let keys: Vec<_> = self.core.calls.borrow().keys().copied().collect();
                for key in keys {
                    self.core.tell_call(key, CallMsg::HangUp { by: "drain" });
                }
            }
        }
    }

    fn stopping(&mut self, _: &crate::supervision::StopReason, _: &mut Cx<'_, Self>) {
        self.core.hand_over_records();
    }

    fn describe(&self) -> String {
        let load = self.core.load();
        format!(
            "{} calls, {} dialogs, {} transactions, {} timers",
            load.calls, load.dialogs, load.transactions, load.timers
        )
    }
}

/// Runs the shard's timers until its actor ends.
async fn drive(core: Rc<Core>) {
    loop {
        match core.next_due() {
            None => {
                core.looks_at.set(Duration::MAX);
                core.wake.notified().await;
            }
            Some(due) => {
                let at = due.max(core.now() + NAP_MIN);
                core.looks_at.set(at);
                tokio::select! {
                    () = tokio::time::sleep_until(core.clock + at) => {}
                    () = core.wake.notified() => continue,
                }
            }
        }
        core.tick();
    }
}
