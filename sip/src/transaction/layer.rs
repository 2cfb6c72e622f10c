//! The transaction layer of one shard: what its user can ask of it, and the time. What arrives is in `incoming`.

use super::client_invite::ClientInvite;
use super::client_other::ClientOther;
use super::effects::Effects;
use super::key::{Key, Keys};
use super::server_invite::ServerInvite;
use super::server_other::ServerOther;
use super::table::{Bell, Counts, Machine, Owner, Place, Table};
use super::{ClientEnd, ClientId, INVITE, Output, Outputs, Owned, RequestError, ServerEnd, ServerId, Timers};
use crate::value::scan::is_token;
use crate::value::{Via, split_commas};
use crate::{Hop, Message, Method, Status};
use bytes::Bytes;
use std::time::Duration;

/// A new call is refused when less than one in this many places is free: calls that stand need the rest to end.
const RESERVE: usize = 8;

/// All transactions of a shard. `O` is a small copyable name of an owner. Time is a [`Duration`] since any start, and
/// never goes back.
#[derive(Debug)]
pub struct Layer<O> {
    pub(super) keys: Keys,
    pub(super) table: Table<O>,
    pub(super) timers: Timers,
    pub(super) reserve: usize,
}

impl<O: Copy + PartialEq> Layer<O> {
    /// A layer for at most `transactions_max` live transactions.
    pub fn new(timers: Timers, transactions_max: usize) -> Self {
        Self { keys: Keys::default(), table: Table::new(transactions_max), timers, reserve: transactions_max / RESERVE }
    }

    /// The user takes a server transaction; later news about it carry `owner`.
    pub fn claim(&mut self, server: ServerId, owner: O) {
        if let Some(transaction) = self.table.get(server.0) {
            transaction.owner = Owner::User(owner);
        }
    }

    /// Answers a request. A final response to an INVITE is sent again until its ACK (a 2xx on every transport, RFC 3261
    /// section 13.3.1.4). Nothing happens when it has had its final response, or is gone.
    pub fn respond(&mut self, now: Duration, server: ServerId, status: Status, bytes: Bytes, out: &mut Outputs<O>) {
        let timers = self.timers;
        let Some(transaction) = self.table.get(server.0) else {
            return;
        };
        let reliable = transaction.hop.protocol.is_reliable();
        let effects = match &mut transaction.machine {
            Machine::ServerInvite(m) => m.respond(timers, reliable, status, bytes),
            Machine::ServerOther(m) => m.respond(timers, reliable, status, bytes),
            Machine::ClientInvite(_) | Machine::ClientOther(_) => return,
        };
        self.carry_out(now, server.0, effects, None, out);
    }

    /// Answers a request and forgets it at once: what a challenge or a refusal of a stranger deserves, which must not
    /// leave state behind (RFC 3261 section 8.2.7). A repeated request comes as a new one.
    pub fn respond_and_forget(&mut self, server: ServerId, bytes: Bytes, out: &mut Outputs<O>) {
        if let Some(transaction) = self.table.get(server.0) {
            let hop = transaction.hop;
            out.push(Output::Send { bytes, hop });
            self.table.remove(server.0);
        }
    }

    /// Sends a reliable provisional response until its PRACK (RFC 3262 section 3). `false`, and nothing is sent, while an
    /// earlier one waits or after the final response.
    pub fn respond_reliably(
        &mut self,
        now: Duration,
        server: ServerId,
        rseq: u32,
        bytes: Bytes,
        out: &mut Outputs<O>,
    ) -> bool {
        let timers = self.timers;
        let effects = match self.table.get(server.0).map(|t| &mut t.machine) {
            Some(Machine::ServerInvite(m)) => m.respond_reliably(timers, rseq, bytes),
            _ => None,
        };
        effects.map(|e| self.carry_out(now, server.0, e, None, out)).is_some()
    }

    /// A PRACK for `rseq` has come. `false` when nothing waits for it: the PRACK is answered 481 (RFC 3262 section 3).
    pub fn pracked(&mut self, now: Duration, server: ServerId, rseq: u32) -> bool {
        let effects = match self.table.get(server.0).map(|t| &mut t.machine) {
            Some(Machine::ServerInvite(m)) => m.pracked(rseq),
            _ => None,
        };
        effects.map(|e| self.carry_out(now, server.0, e, None, &mut Vec::new())).is_some()
    }

    /// Sends a request of ours (not ACK, not CANCEL) with `branch` in its top Via.
    ///
    /// # Errors
    /// [`RequestError`]
    #[allow(clippy::too_many_arguments)] // the request's own parts, from most to least specific
    pub fn request(
        &mut self,
        now: Duration,
        bytes: Bytes,
        method: &Method,
        branch: &str,
        hop: Hop,
        owner: O,
        out: &mut Outputs<O>,
    ) -> Result<ClientId, RequestError> {
        let branch = branch.as_bytes();
        self.start(now, bytes, method, branch, hop, Owner::User(owner), out).map(ClientId)
    }

    /// Gives a request of ours to another owner, who hears of it from now on.
    pub fn reassign(&mut self, client: ClientId, owner: O) {
        if let Some(transaction) = self.table.get(client.0) {
            transaction.owner = Owner::User(owner);
        }
    }

    /// Cancels an INVITE of ours: the CANCEL goes out when the first provisional response is there (RFC 3261 section
    /// 9.1). The INVITE ends with its final response, or 64·T1 after the CANCEL. `reason` is the value of a Reason
    /// header (RFC 3326).
    pub fn cancel(&mut self, now: Duration, client: ClientId, reason: Option<&str>, out: &mut Outputs<O>) {
        let timers = self.timers;
        if let Some(Machine::ClientInvite(m)) = self.table.get(client.0).map(|t| &mut t.machine) {
            let effects = m.cancel(timers, reason);
            self.carry_out(now, client.0, effects, None, out);
        }
    }

    /// Sends the ACK of a 2xx with `to_tag`, and again whenever that 2xx comes again. When the transaction is gone the
    /// ACK is sent once.
    pub fn ack(&mut self, client: ClientId, to_tag: &[u8], ack: Bytes, hop: Hop, out: &mut Outputs<O>) {
        if let Some(Machine::ClientInvite(m)) = self.table.get(client.0).map(|t| &mut t.machine) {
            m.acknowledge(to_tag, ack.clone(), hop);
        }
        out.push(Output::Send { bytes: ack, hop });
    }

    /// A connection is gone, or a datagram could not be delivered to `hop.remote`: transactions over it that somebody
    /// still waits for end (RFC 3261 sections 17.1.4, 17.2.4), the others are forgotten with the connection.
    pub fn transport_failed(&mut self, hop: &Hop, out: &mut Outputs<O>) {
        if !self.table.uses(hop) {
            return;
        }
        let same = |other: &Hop| match hop.connection {
            Some(connection) => other.connection == Some(connection),
            None => other.protocol == hop.protocol && other.remote == hop.remote,
        };
        let hit: Vec<Place> = self.table.iter().filter(|(_, t)| same(&t.hop)).map(|(place, _)| place).collect();
        for place in hit {
            let mut effects = Effects { done: true, ..Effects::default() };
            match self.table.get(place).map(|t| &t.machine) {
                Some(Machine::ClientInvite(m)) if m.is_open() => {
                    effects.client_end = Some(ClientEnd::TransportFailed);
                }
                Some(Machine::ClientOther(m)) if m.is_open() => {
                    effects.client_end = Some(ClientEnd::TransportFailed);
                }
                Some(Machine::ServerInvite(m)) if m.is_pending() => {
                    effects.server_end = Some(ServerEnd::TransportFailed);
                }
                Some(Machine::ServerOther(m)) if m.is_open() => {
                    effects.server_end = Some(ServerEnd::TransportFailed);
                }
                _ if hop.connection.is_none() => continue,
                _ => {}
            }
            self.carry_out(Duration::ZERO, place, effects, None, out);
        }
    }

    /// A datagram to `hop.remote` that began with `quoted` came back (RFC 3261 section 18.4): the request of ours that it was
    /// ends, if somebody waits for its answer. A quotation that names no branch of ours proves nothing and changes nothing.
    /// False when nothing of ours is known of it.
    pub fn datagram_refused(&mut self, now: Duration, quoted: &[u8], hop: &Hop, out: &mut Outputs<O>) -> bool {
        let Some((method, branch)) = quoted_request(quoted) else { return false };
        let key = self.keys.client(branch, &method);
        let Some(place) = self.table.find(key) else { return false };
        let Some(transaction) = self.table.get(place).filter(|t| t.hop.remote == hop.remote) else { return false };
        let open = match &transaction.machine {
            Machine::ClientInvite(m) => m.is_open(),
            Machine::ClientOther(m) => m.is_open(),
            Machine::ServerInvite(_) | Machine::ServerOther(_) => false,
        };
        if open {
            let effects = Effects { done: true, client_end: Some(ClientEnd::TransportFailed), ..Effects::default() };
            self.carry_out(now, place, effects, None, out);
        }
        true
    }

    /// When to call [`Layer::timeout`] next; may be earlier than anything is due, never later.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.table.next_due()
    }

    /// Does what is due at `now`.
    pub fn timeout(&mut self, now: Duration, out: &mut Outputs<O>) {
        let timers = self.timers;
        while let Some((place, bell)) = self.table.ring(now) {
            let Some(transaction) = self.table.get(place) else {
                continue;
            };
            let effects = match (&mut transaction.machine, bell) {
                (Machine::ClientInvite(m), Bell::Retransmit) => m.retransmit(),
                (Machine::ClientInvite(m), Bell::End) => m.end(),
                (Machine::ClientOther(m), Bell::Retransmit) => m.retransmit(timers),
                (Machine::ClientOther(m), Bell::End) => m.end(),
                (Machine::ServerInvite(m), Bell::Retransmit) => m.retransmit(timers),
                (Machine::ServerInvite(m), Bell::End) => m.end(),
                (Machine::ServerOther(_), Bell::Retransmit) => continue,
                (Machine::ServerOther(m), Bell::End) => m.end(),
            };
            self.carry_out(now, place, effects, None, out);
        }
    }

    /// Live transactions by kind.
    pub const fn counts(&self) -> Counts {
        self.table.counts()
    }

    /// The transactions of an owner: what a call that was rebuilt from its checkpoint goes on with.
    pub fn owned(&self, owner: O) -> Vec<Owned> {
        let mine = self.table.iter().filter(|(_, t)| t.owner == Owner::User(owner));
        mine.map(|(place, t)| {
            let (client, server) = (ClientId(place), ServerId(place));
            match &t.machine {
                Machine::ClientInvite(m) => Owned::Client { client, invite: true, open: m.is_open() },
                Machine::ClientOther(m) => Owned::Client { client, invite: false, open: m.is_open() },
                Machine::ServerInvite(m) => Owned::Server { server, invite: true, open: m.is_open() },
                Machine::ServerOther(m) => Owned::Server { server, invite: false, open: m.is_open() },
            }
        })
        .collect()
    }

    /// The owner is gone for good: what it has not answered is answered 500, its open INVITEs are cancelled, and nobody
    /// hears of its transactions any more. A late 2xx comes as [`Output::Stray`].
    pub fn abandon(&mut self, now: Duration, owner: O, out: &mut Outputs<O>) {
        for owned in self.owned(owner) {
            let place = match &owned {
                Owned::Client { client, .. } => client.0,
                Owned::Server { server, .. } => server.0,
            };
            let known = match self.table.get(place) {
                Some(transaction) => {
                    transaction.owner = Owner::Gone;
                    match &transaction.machine {
                        Machine::ServerInvite(m) if m.is_open() => m.known(),
                        Machine::ServerOther(m) if m.is_open() => m.known(),
                        _ => None,
                    }
                }
                None => continue,
            };
            match owned {
                Owned::Client { client, .. } => self.cancel(now, client, None, out),
                Owned::Server { server, .. } => {
                    if let Some(known) = known {
                        self.refuse(now, server.0, &known, Status::SERVER_INTERNAL_ERROR, out);
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // everything that makes a server transaction
    pub(super) fn serve(
        &mut self,
        now: Duration,
        key: Key,
        call: Option<Key>,
        message: &Message,
        hop: Hop,
        owner: Owner<O>,
        out: &mut Outputs<O>,
    ) -> Option<Place> {
        let (machine, effects) = if message.method() == INVITE {
            let (machine, effects) = ServerInvite::begin(self.timers, message.clone());
            (Machine::ServerInvite(machine), effects)
        } else {
            let (machine, effects) = ServerOther::begin(self.timers, message.clone());
            (Machine::ServerOther(machine), effects)
        };
        let place = self.table.insert(key, call, hop, owner, machine)?;
        self.carry_out(now, place, effects, None, out);
        Some(place)
    }

    #[allow(clippy::too_many_arguments)] // everything that makes a client transaction
    fn start(
        &mut self,
        now: Duration,
        bytes: Bytes,
        method: &Method,
        branch: &[u8],
        hop: Hop,
        owner: Owner<O>,
        out: &mut Outputs<O>,
    ) -> Result<Place, RequestError> {
        let key = self.keys.client(branch, method);
        let reliable = hop.protocol.is_reliable();
        if self.table.find(key).is_some() {
            return Err(RequestError::BranchInUse);
        }
        let (machine, effects) = if method == INVITE {
            let (machine, effects) = ClientInvite::begin(self.timers, reliable, bytes);
            (Machine::ClientInvite(machine), effects)
        } else {
            let (machine, effects) = ClientOther::begin(self.timers, reliable, bytes);
            (Machine::ClientOther(machine), effects)
        };
        let place = self.table.insert(key, None, hop, owner, machine).ok_or(RequestError::TooMany)?;
        self.carry_out(now, place, effects, None, out);
        Ok(place)
    }

    /// Does what a state machine wants done; `way` is where its message goes when not along the transaction's own hop.
    pub(super) fn carry_out(
        &mut self,
        now: Duration,
        place: Place,
        effects: Effects,
        way: Option<Hop>,
        out: &mut Outputs<O>,
    ) {
        let Some(transaction) = self.table.get(place) else {
            return;
        };
        let (own, owner) = (transaction.hop, transaction.owner);
        if let Some(bytes) = effects.send {
            let hop = way.unwrap_or(own);
            out.push(Output::Send { bytes, hop });
        }
        self.table.set(place, Bell::Retransmit, now, effects.retransmit);
        self.table.set(place, Bell::End, now, effects.end);
        if effects.done {
            self.table.remove(place);
        }
        if let (Some(why), Owner::User(owner)) = (effects.client_end, owner) {
            let client = ClientId(place);
            out.push(Output::ClientEnded { client, owner, why });
        }
        if let (Some(why), Owner::User(_) | Owner::Nobody) = (effects.server_end, owner) {
            let (server, owner) = (ServerId(place), owner.user());
            out.push(Output::ServerEnded { server, owner, why });
        }
        if let Some(bytes) = effects.cancel
            && let Ok(cancel) = Message::parse(bytes.clone())
        {
            // Without room the INVITE is not cancelled and ends 64·T1 from now all the same.
            let branch = cancel.branch();
            let _full = self.start(now, bytes, &Method::Cancel, branch, own, Owner::Layer, out);
        }
    }
}

impl<O: Copy> Owner<O> {
    pub(super) const fn user(self) -> Option<O> {
        match self {
            Self::User(owner) => Some(owner),
            Self::Nobody | Self::Layer | Self::Gone => None,
        }
    }
}

/// Method and branch of a request of which only the beginning is there; `None` for a response, and where the top Via is not
/// whole.
fn quoted_request(quoted: &[u8]) -> Option<(Method, &[u8])> {
    let mut lines = quoted.split_inclusive(|c| *c == b'\n').filter_map(|line| line.strip_suffix(b"\r\n"));
    let start = lines.next()?;
    let method = start.split(|c| *c == b' ').next().filter(|word| is_token(word))?;
    // Ours are not folded: the Via is one line.
    let via = lines.find_map(|line| line.strip_prefix(b"Via:"))?;
    let branch = Via::parse(split_commas(via).next()?.ok()?).ok()?.branch()?;
    Some((Method::from_token(method), branch))
}
