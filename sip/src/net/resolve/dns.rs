//! The DNS itself, through hickory, with bounds and a memory of failures.

use super::order::{Naptr, Srv};
use super::plan::{Lookup, locate};
use super::{Question, ResolveError, Target};
use crate::Protocol;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Look-ups under way in one shard.
const UNDER_WAY_MAX: usize = 1_024;
/// Answers that hickory keeps, and failures that we keep, a shard.
const CACHE_MAX: u64 = 4_096;
const FAILURES_MAX: usize = 1_024;
/// How long a failure is remembered, and the least for a name that does not exist.
const FAILURE_TIME: Duration = Duration::from_secs(5);
/// One question to one server, and a whole look-up: well below the 32 s of timers B and F (RFC 3261 section 17).
const QUERY_TIME: Duration = Duration::from_secs(2);
const LOOKUP_TIME: Duration = Duration::from_secs(8);

/// A shard's resolver.
pub(crate) struct Resolver {
    dns: Dns,
    offered: Vec<Protocol>,
    under_way: Cell<usize>,
    failures: RefCell<HashMap<String, (Instant, ResolveError)>>,
}

struct Dns {
    resolver: TokioResolver,
    v4: bool,
    v6: bool,
}

impl Resolver {
    /// `nameservers` empty: those of the system. `listening` decides which transports and families are of use.
    pub(crate) fn new(nameservers: &[SocketAddr], listening: &[super::super::Bind]) -> Result<Self, NetError> {
        let mut offered: Vec<Protocol> = listening.iter().map(|b| b.protocol).collect();
        offered.sort_unstable();
        offered.dedup();
        let dns = Dns {
            resolver: build(nameservers)?,
            v4: listening.iter().any(|b| b.address.is_ipv4()),
            v6: listening.iter().any(|b| b.address.is_ipv6()),
        };
        Ok(Self { dns, offered, under_way: Cell::new(0), failures: RefCell::default() })
    }

    pub(crate) async fn locate(&self, question: &Question<'_>) -> Result<Vec<Target>, ResolveError> {
        let key = format!("{question:?}").to_ascii_lowercase();
        if let Some((since, error)) = self.failures.borrow().get(&key)
            && since.elapsed() < FAILURE_TIME
        {
            return Err(*error);
        }
        let _turn = Turn::take(&self.under_way).ok_or(ResolveError::Busy)?;
        let random = |max| rand::random_range(0..=max);
        let asking = locate(&self.dns, question, &self.offered, random);
        let located = timeout(LOOKUP_TIME, asking).await;
        let located = located.unwrap_or(Err(ResolveError::TimedOut));
        if let Err(error) = located
            && error != ResolveError::Busy
        {
            let mut failures = self.failures.borrow_mut();
            if failures.len() >= FAILURES_MAX {
                failures.retain(|_, (since, _)| since.elapsed() < FAILURE_TIME);
            }
            if failures.len() < FAILURES_MAX {
                failures.insert(key, (Instant::now(), error));
            }
        }
        located
    }
}

/// One look-up's place; given back when it ends or is dropped.
struct Turn<'a>(&'a Cell<usize>);

impl<'a> Turn<'a> {
    fn take(under_way: &'a Cell<usize>) -> Option<Self> {
        if under_way.get() >= UNDER_WAY_MAX {
            return None;
        }
        under_way.set(under_way.get() + 1);
        Some(Self(under_way))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn build(nameservers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder: ResolverBuilder<TokioRuntimeProvider> = if nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = nameservers.iter().map(|server| {
            let at_port = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            NameServerConfig::new(server.ip(), true, connections.map(at_port).into())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.cache_size = CACHE_MAX;
    options.timeout = QUERY_TIME;
    options.attempts = 1;
    options.negative_min_ttl = Some(FAILURE_TIME);
    options.max_active_requests = UNDER_WAY_MAX;
    builder.build()
}

impl Dns {
    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, ResolveError> {
        match self.resolver.lookup(qualified(name), kind).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|r| read(&r.data)).collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(NetError::Timeout) => Err(ResolveError::TimedOut),
            Err(NetError::Busy) => Err(ResolveError::Busy),
            Err(_) => Err(ResolveError::Dns),
        }
    }
}

impl Lookup for Dns {
    async fn naptr(&self, name: &str) -> Result<Vec<Naptr>, ResolveError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.records(name, RecordType::NAPTR, |data| match data {
            RData::NAPTR(r) => Some(Naptr {
                order: r.order,
                preference: r.preference,
                flags: text(&r.flags),
                service: text(&r.services),
                replacement: plain(&r.replacement),
            }),
            _ => None,
        })
        .await
    }

    async fn srv(&self, name: &str) -> Result<Vec<Srv>, ResolveError> {
        self.records(name, RecordType::SRV, |data| match data {
            RData::SRV(r) => {
                Some(Srv { priority: r.priority, weight: r.weight, port: r.port, target: plain(&r.target) })
            }
            _ => None,
        })
        .await
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let v6 = async {
            if !self.v6 {
                return Ok(Vec::new());
            }
            let read = |data: &RData| match data {
                RData::AAAA(r) => Some(IpAddr::V6(r.0)),
                _ => None,
            };
            self.records(name, RecordType::AAAA, read).await
        };
        let v4 = async {
            if !self.v4 {
                return Ok(Vec::new());
            }
            let read = |data: &RData| match data {
                RData::A(r) => Some(IpAddr::V4(r.0)),
                _ => None,
            };
            self.records(name, RecordType::A, read).await
        };
        match tokio::join!(v6, v4) {
            (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
            // One family's failure does not hide the other's addresses.
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

/// A name with a dot is whole; one without may be completed by the system's search list.
fn qualified(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
