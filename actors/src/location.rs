//! The location table: which contacts an address of record is bound to now (RFC 3261 section 10).
//!
//! One table for all shards; only the registrar of the shard that owns an address of record writes its entry, after the
//! store has it (design law 5).

use ahash::RandomState;
use dashmap::{DashMap, DashSet};
use sip::{ConnectionId, Hop, Protocol};
use std::net::SocketAddr;
use std::sync::Arc;
use store::Binding;

use crate::registrar::gruu::bare;

/// Shards of the map; measured best at 64 (see docs/decisions.md).
const MAP_SHARDS: usize = 64;

/// Where a REGISTER came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Transport.
    pub protocol: Protocol,
    /// The phone's address, or that of its NAT.
    pub remote: SocketAddr,
    /// The connection, where the transport has one.
    pub connection: Option<ConnectionId>,
    /// Our end of a WebSocket; for all other transports the wires know which of our addresses reaches a phone.
    pub web: Option<Box<SocketAddr>>,
}

impl From<&Hop> for Source {
    fn from(hop: &Hop) -> Self {
        let web = matches!(hop.protocol, Protocol::Ws | Protocol::Wss).then(|| Box::new(hop.local));
        Self { protocol: hop.protocol, remote: hop.remote, connection: hop.connection, web }
    }
}

/// One live binding. Boxed strings: a hundred thousand of these are in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The contact URI as registered.
    pub uri: Box<str>,
    /// Where the REGISTER came from: the way back to a phone behind NAT.
    pub received: Source,
    /// Path, topmost first (RFC 3327).
    pub path: Box<[Box<str>]>,
    /// `+sip.instance`.
    pub instance: Option<Box<str>>,
    /// `reg-id`.
    pub reg_id: Option<u32>,
    /// Preference in thousandths.
    pub q_milli: u16,
    /// When it ends, ms since 1970.
    pub expires_at_ms: i64,
    /// Call-ID of the REGISTER.
    pub call_id: Box<str>,
    /// Its CSeq.
    pub cseq: u32,
    /// User-Agent.
    pub user_agent: Arc<str>,
}

impl Contact {
    /// Whether it is of this instance, an id without angle brackets.
    pub fn is_instance(&self, id: &str) -> bool {
        self.instance.as_deref().is_some_and(|instance| bare(instance) == id)
    }

    /// The form that the store keeps.
    pub fn to_binding(&self, aor: &str) -> Binding {
        Binding {
            aor: aor.to_owned(),
            contact: self.uri.to_string(),
            instance: self.instance.as_deref().map(str::to_owned),
            reg_id: self.reg_id,
            gruu_token: None,
            path: self.path.iter().map(|p| p.to_string()).collect(),
            received: source_text(&self.received),
            flow_token: None,
            q_milli: self.q_milli,
            expires_at_ms: self.expires_at_ms,
            call_id: self.call_id.to_string(),
            cseq: self.cseq,
            user_agent: self.user_agent.to_string(),
        }
    }

    /// Reads the store's form back; `None` when its source is not legible.
    fn from_binding(binding: &Binding, user_agent: Arc<str>) -> Option<Self> {
        Some(Self {
            uri: binding.contact.as_str().into(),
            received: source_from_text(&binding.received)?,
            path: binding.path.iter().map(|p| p.as_str().into()).collect(),
            instance: binding.instance.as_deref().map(Into::into),
            reg_id: binding.reg_id,
            q_milli: binding.q_milli,
            expires_at_ms: binding.expires_at_ms,
            call_id: binding.call_id.as_str().into(),
            cseq: binding.cseq,
            user_agent,
        })
    }
}

/// `udp 192.0.2.7:41000 17`: transport, address, connection number.
fn source_text(source: &Source) -> String {
    let connection = source.connection.map_or(0, |c| c.0);
    format!("{} {} {connection}", source.protocol.uri(), source.remote)
}

fn source_from_text(text: &str) -> Option<Source> {
    let mut words = text.split(' ');
    let protocol = Protocol::parse(words.next()?.as_bytes())?;
    let remote: SocketAddr = words.next()?.parse().ok()?;
    // A connection does not survive its process; numbers are never used twice, so an old one finds nothing.
    let connection = words.next()?.parse().ok().filter(|n| *n != 0).map(ConnectionId);
    Some(Source { protocol, remote, connection, web: None })
}

/// Kinds of user agents that are remembered once for all their phones; past it each phone has its own text.
const USER_AGENTS_MAX: usize = 4096;
/// Longest text of a user agent that is remembered for all.
const USER_AGENT_BYTES_MAX: usize = 256;

/// An address of record.
struct Entry {
    contacts: Arc<[Contact]>,
    /// When the registrar looks at it next, ms since 1970; 0 when nobody is to.
    watched_at_ms: i64,
}

/// All bindings of all addresses of record.
#[derive(Clone)]
pub struct Location {
    map: Arc<DashMap<Arc<str>, Entry, RandomState>>,
    user_agents: Arc<DashSet<Arc<str>, RandomState>>,
}

impl Default for Location {
    fn default() -> Self {
        Self {
            map: Arc::new(DashMap::with_hasher_and_shard_amount(RandomState::default(), MAP_SHARDS)),
            user_agents: Arc::default(),
        }
    }
}

impl Location {
    /// The contacts of an address of record, expired ones included; empty when there is none. No lock outlives the call.
    pub fn get(&self, aor: &str) -> Arc<[Contact]> {
        self.map.get(aor).map_or_else(|| Arc::from([]), |entry| Arc::clone(&entry.contacts))
    }

    /// Replaces the contacts of an address of record; none removes the entry.
    pub fn set(&self, aor: &Arc<str>, contacts: Arc<[Contact]>) {
        if contacts.is_empty() {
            self.map.remove(aor);
        } else if let Some(mut entry) = self.map.get_mut(aor) {
            entry.contacts = contacts;
        } else {
            self.map.insert(Arc::clone(aor), Entry { contacts, watched_at_ms: 0 });
        }
    }

    /// When the registrar looks at an address of record next, ms since 1970; `None` when nobody is to, or it is not there.
    pub fn watched_at(&self, aor: &str) -> Option<i64> {
        self.map.get(aor).map(|entry| entry.watched_at_ms).filter(|at| *at != 0)
    }

    /// The registrar will look at an address of record then.
    pub fn watch(&self, aor: &str, at_ms: i64) {
        if let Some(mut entry) = self.map.get_mut(aor) {
            entry.watched_at_ms = at_ms;
        }
    }

    /// The text of a user agent, one copy for all phones of a kind.
    pub fn user_agent(&self, text: &str) -> Arc<str> {
        if let Some(known) = self.user_agents.get(text) {
            return Arc::clone(&known);
        }
        let text: Arc<str> = text.into();
        if text.len() <= USER_AGENT_BYTES_MAX && self.user_agents.len() < USER_AGENTS_MAX {
            self.user_agents.insert(Arc::clone(&text));
        }
        text
    }

    /// Reads the store's form of a binding; `None` when its source is not legible.
    pub fn contact(&self, binding: &Binding) -> Option<Contact> {
        Contact::from_binding(binding, self.user_agent(&binding.user_agent))
    }

    /// Addresses of record with a binding.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// A copy of at most `limit` entries, for the admin API.
    pub fn snapshot(&self, limit: usize) -> Vec<(Arc<str>, Arc<[Contact]>)> {
        self.map.iter().take(limit).map(|e| (Arc::clone(e.key()), Arc::clone(&e.contacts))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_of_a_kind_share_the_text_of_their_user_agent_within_bounds() {
        let location = Location::default();
        assert!(Arc::ptr_eq(&location.user_agent("phone/1.0"), &location.user_agent("phone/1.0")));
        assert_ne!(location.user_agent("phone/1.0"), location.user_agent("phone/1.1"));
        let long = "x".repeat(USER_AGENT_BYTES_MAX + 1);
        assert_eq!(*location.user_agent(&long), *long);
        for number in 0..2 * USER_AGENTS_MAX {
            assert_eq!(*location.user_agent(&number.to_string()), *number.to_string());
        }
        assert_eq!(location.user_agents.len(), USER_AGENTS_MAX);
    }
}
