//! Transactions (RFC 3261 section 17 with RFC 6026): what makes a request and its answers arrive once.
//!
//! One [`Layer`] a shard. Into it go messages that arrived ([`Layer::receive`]), what the user of the layer (a call, the
//! registrar) wants sent ([`Layer::request`], [`Layer::respond`]), and the time ([`Layer::timeout`]); out come
//! [`Output`]s in order: bytes for the wires, and news for the user. There is no clock, socket or thread inside.
//!
//! Each kind of transaction is a small state machine in a file of its own; the table holds them, finds them by key and
//! carries out what they want done.

mod cancel;
mod client_invite;
mod client_other;
mod effects;
mod incoming;
mod key;
mod layer;
mod route;
mod server_invite;
mod server_other;
mod table;
pub mod timers;

pub use cancel::{ack_of, cancel_of};
pub use client_invite::FORKS_MAX;
pub use layer::Layer;
pub use route::response_hop;
pub use table::Counts;
pub use timers::Timers;

use crate::{Hop, Message, Method};
use bytes::Bytes;

/// A server transaction of one layer; never used twice until four thousand million others were in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(table::Place);

/// A client transaction of one layer; see [`ServerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(table::Place);

/// News from the layer, in the order in which they happened; the owner empties and reuses the list.
pub type Outputs<O> = Vec<Output<O>>;

/// What the layer wants done, or has to tell. `O` names the owner of a transaction (a call, a registration).
#[derive(Clone, Debug)]
pub enum Output<O> {
    /// Bytes for the wires.
    Send {
        /// A whole message.
        bytes: Bytes,
        /// Where to.
        hop: Hop,
    },
    /// A new request; never ACK or CANCEL. To be answered with [`Layer::respond`].
    Request {
        /// Its transaction.
        server: ServerId,
        /// The request, with `received` and `rport` in its top Via.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// A new request for which there is no room. The user answers 503 without a transaction.
    Overload {
        /// The request, with `received` and `rport` in its top Via.
        message: Message,
        /// Where the answer goes.
        hop: Hop,
    },
    /// The first ACK of a 2xx, matched to the INVITE that it ends; may carry the answer to an offer in the 2xx.
    Acked {
        /// The INVITE's transaction.
        server: ServerId,
        /// Its owner.
        owner: Option<O>,
        /// The ACK.
        message: Message,
    },
    /// An ACK that belongs to no INVITE of this layer.
    Ack {
        /// The ACK.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// An INVITE was cancelled before it was answered. The CANCEL has its answer already (RFC 3261 section 9.2); the user
    /// answers the INVITE with 487.
    Cancel {
        /// The INVITE's transaction.
        server: ServerId,
        /// Its owner.
        owner: Option<O>,
        /// The CANCEL (its Reason header may matter).
        message: Message,
    },
    /// A new response. A final one comes once, a 2xx to INVITE once a fork (To tag); provisional ones come as they come.
    Response {
        /// The request's transaction.
        client: ClientId,
        /// Its owner.
        owner: O,
        /// The response.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// A response that belongs to nothing here: dropped and counted by the user (RFC 3261 section 18.1.2).
    Stray {
        /// The response.
        message: Message,
        /// Where it came from.
        hop: Hop,
    },
    /// A client transaction ended without a final response.
    ClientEnded {
        /// Which.
        client: ClientId,
        /// Its owner.
        owner: O,
        /// Why.
        why: ClientEnd,
    },
    /// A server transaction failed.
    ServerEnded {
        /// Which.
        server: ServerId,
        /// Its owner.
        owner: Option<O>,
        /// Why.
        why: ServerEnd,
    },
}

/// Why a client transaction ended without a final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientEnd {
    /// Timer B or F, or nothing within 64·T1 after CANCEL (RFC 3261 sections 17.1.1.2, 17.1.2.2, 9.1): counts as 408.
    Timeout,
    /// The transport could not deliver (section 17.1.4): counts as 503.
    TransportFailed,
}

/// Why a server transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerEnd {
    /// No ACK of the final response within 64·T1. After a 2xx the user ends the dialog (RFC 3261 section 13.3.1.4).
    NoAck,
    /// The transport could not deliver (section 17.2.4).
    TransportFailed,
    /// No PRACK within 64·T1. The transaction lives on: the user answers it with a 5xx (RFC 3262 section 3).
    ProvisionalNotAcknowledged,
    /// The user has not answered a request that is no INVITE within 64·T1: its client has given up.
    Unanswered,
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestError {
    /// The layer holds as many transactions as it may.
    #[error("too many transactions")]
    TooMany,
    /// The branch belongs to another transaction; branches must be unique (RFC 3261 section 8.1.1.7).
    #[error("branch in use")]
    BranchInUse,
}

/// A transaction that an owner has: what a rebuilt call finds again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// A request of ours.
    Client {
        /// Which.
        client: ClientId,
        /// Whether it is an INVITE.
        invite: bool,
        /// Whether its final response is still to come.
        open: bool,
    },
    /// A request to us.
    Server {
        /// Which.
        server: ServerId,
        /// Whether it is an INVITE.
        invite: bool,
        /// Whether it is still to be answered finally.
        open: bool,
    },
}

const INVITE: &Method = &Method::Invite;
