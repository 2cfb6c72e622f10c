//! Registrar bindings: what a REGISTER said, durable before its 200 (design law 5).

use std::sync::Arc;

use crate::codec::{Decoder, Encoder, to_text};
use crate::engine::{Batch, Record, SCAN_RECORDS_MAX, Scan, Tree};
use crate::store::Shared;
use crate::{StoreError, TEXT_BYTES_MAX, value};

/// Most entries of a Path (RFC 3327) that are kept.
const PATH_ENTRIES_MAX: usize = 16;
const BY_CONTACT: u8 = b'c';
const BY_INSTANCE: u8 = b'i';

/// One binding of an address of record to a contact (RFC 3261 section 10, RFC 5626, RFC 5627, RFC 3327).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The address of record, canonical.
    pub aor: String,
    /// The contact URI as registered.
    pub contact: String,
    /// `+sip.instance` (RFC 5626 section 4.1).
    pub instance: Option<String>,
    /// `reg-id` (RFC 5626 section 4.2).
    pub reg_id: Option<u32>,
    /// Token of the public GRUU (RFC 5627).
    pub gruu_token: Option<String>,
    /// The Path of the request, topmost first (RFC 3327).
    pub path: Vec<String>,
    /// Transport and address that the request came from; opaque here.
    pub received: String,
    /// Token of the flow that the user agent keeps open (RFC 5626); opaque here.
    pub flow_token: Option<String>,
    /// Preference in thousandths (RFC 3261 section 20.10: q).
    pub q_milli: u16,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// CSeq number of the REGISTER.
    pub cseq: u32,
    /// User-Agent of the REGISTER.
    pub user_agent: String,
}

/// What makes a binding the same one at the next REGISTER: instance and reg-id with outbound (RFC 5626 section 6),
/// else the contact URI. The text decides; comparing URIs by RFC 3261 section 19.1.4 is the registrar's part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(Vec<u8>);

impl Binding {
    /// This binding's identity within its address of record.
    #[must_use]
    pub fn id(&self) -> BindingId {
        let mut id = Vec::new();
        match (&self.instance, self.reg_id) {
            (Some(instance), Some(reg_id)) => {
                id.push(BY_INSTANCE);
                id.extend_from_slice(&reg_id.to_be_bytes());
                id.extend_from_slice(instance.as_bytes());
            }
            _ => {
                id.push(BY_CONTACT);
                id.extend_from_slice(self.contact.as_bytes());
            }
        }
        BindingId(id)
    }

    /// Key and sealed value. What the key says is not said again in the value.
    fn encode(&self) -> Result<Record, StoreError> {
        check_text("the contact", &self.contact)?;
        check_text("the call-id", &self.call_id)?;
        check_text("the source address", &self.received)?;
        check_text("the user agent", &self.user_agent)?;
        for text in [&self.instance, &self.gruu_token, &self.flow_token].into_iter().flatten() {
            check_text("a token of a binding", text)?;
        }
        if self.path.len() > PATH_ENTRIES_MAX {
            return Err(StoreError::Full { what: "a path", max: PATH_ENTRIES_MAX });
        }
        let id = self.id();
        let by_instance = id.0.first() == Some(&BY_INSTANCE);
        let key = key(&self.aor, &id)?;
        let mut out = Encoder::default();
        out.signed(self.expires_at_ms)
            .number(self.cseq.into())
            .number(self.q_milli.into())
            .text(&self.call_id)
            .text(&self.received)
            .text(&self.user_agent)
            .optional_text(self.gruu_token.as_deref())
            .optional_text(self.flow_token.as_deref());
        if by_instance {
            out.text(&self.contact);
        } else {
            // Zero is "no reg-id", so it moves up by one.
            out.optional_text(self.instance.as_deref()).number(self.reg_id.map_or(0, |reg_id| u64::from(reg_id) + 1));
        }
        out.number(self.path.len() as u64);
        for entry in &self.path {
            check_text("an entry of a path", entry)?;
            out.text(entry);
        }
        let sealed = value::seal(Tree::Locations, &key, &out.finish())?;
        Ok((key, sealed))
    }

    fn decode(key: &[u8], sealed: &[u8]) -> Result<Self, StoreError> {
        let bad_key = || StoreError::damaged("a key of no binding");
        let mut input = Decoder::new(value::open(Tree::Locations, key, sealed)?);
        let nul = key.iter().position(|byte| *byte == 0).ok_or_else(bad_key)?;
        let (aor, id) = key.split_at_checked(nul).ok_or_else(bad_key)?;
        let (kind, id) = id.get(1..).and_then(<[u8]>::split_first).ok_or_else(bad_key)?;
        let mut binding = Self {
            aor: to_text(aor)?,
            expires_at_ms: input.signed()?,
            cseq: input.small()?,
            q_milli: input.small()?,
            call_id: input.text()?,
            received: input.text()?,
            user_agent: input.text()?,
            gruu_token: input.optional_text()?,
            flow_token: input.optional_text()?,
            ..Self::default()
        };
        match *kind {
            BY_INSTANCE => {
                let (reg_id, instance) = id.split_first_chunk::<4>().ok_or_else(bad_key)?;
                binding.reg_id = Some(u32::from_be_bytes(*reg_id));
                binding.instance = Some(to_text(instance)?);
                binding.contact = input.text()?;
            }
            BY_CONTACT => {
                binding.contact = to_text(id)?;
                binding.instance = input.optional_text()?;
                binding.reg_id = match input.number()?.checked_sub(1) {
                    None => None,
                    Some(reg_id) => {
                        Some(u32::try_from(reg_id).map_err(|_| StoreError::damaged("a reg-id past 32 bits"))?)
                    }
                };
            }
            _ => return Err(bad_key()),
        }
        for _ in 0..input.small::<usize>()?.min(PATH_ENTRIES_MAX) {
            binding.path.push(input.text()?);
        }
        input.end()?;
        Ok(binding)
    }
}

/// The registrar's view of the store.
#[derive(Clone)]
pub struct Locations {
    shared: Arc<Shared>,
}

impl Locations {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Removes and puts bindings of one address of record, all or nothing; `reply` comes once that is durable. A
    /// binding that is put and removed is put. `aor` in the bindings must be `aor`.
    pub fn update(
        &self,
        aor: &str,
        remove: &[BindingId],
        put: &[Binding],
        reply: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        match batch(aor, remove, put) {
            Ok(batch) => self.shared.submit(batch, reply),
            Err(error) => reply(Err(error)),
        }
    }

    /// The bindings of one address of record, in the order of their identities.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn of(&self, aor: &str) -> Result<Vec<Binding>, StoreError> {
        let prefix = aor_prefix(aor)?;
        let scan = Scan::prefix(Tree::Locations, &prefix, SCAN_RECORDS_MAX);
        let records = self.shared.engine.scan(&scan)?;
        records.iter().map(|(key, sealed)| Binding::decode(key, sealed)).collect()
    }

    /// Every binding in the order of addresses of record, read in pages while the iterator goes on. A damaged binding
    /// is an item with an error and does not end the iteration; when the engine cannot read on, that error is last.
    #[must_use]
    pub fn iter(&self) -> AllBindings {
        AllBindings {
            shared: Arc::clone(&self.shared),
            page: Vec::new().into_iter(),
            scan: Some(Scan::prefix(Tree::Locations, b"", SCAN_RECORDS_MAX)),
        }
    }

    /// Removes at most `limit` bindings that ended before `now_ms`, reading all of them; for start-up, as the
    /// registrar's timers know the rest. `reply` gets the number of removed ones, once that is durable.
    pub fn remove_expired(
        &self,
        now_ms: i64,
        limit: usize,
        reply: impl FnOnce(Result<usize, StoreError>) + Send + 'static,
    ) {
        let mut batch = Batch::default();
        let mut removed = 0;
        for binding in self.iter().filter_map(Result::ok) {
            if binding.expires_at_ms < now_ms
                && let Ok(key) = key(&binding.aor, &binding.id())
            {
                batch.remove(Tree::Locations, key);
                removed += 1;
                if removed >= limit {
                    break;
                }
            }
        }
        self.shared.submit(batch, move |outcome| reply(outcome.map(|()| removed)));
    }
}

/// See [`Locations::iter`].
pub struct AllBindings {
    shared: Arc<Shared>,
    page: std::vec::IntoIter<Record>,
    /// The next page; `None` after the last.
    scan: Option<Scan>,
}

impl Iterator for AllBindings {
    type Item = Result<Binding, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            let mut scan = self.scan.take()?;
            match self.shared.engine.scan(&scan) {
                Ok(page) => {
                    let (mut last, _) = page.last()?.clone();
                    last.push(0);
                    scan.from = last;
                    self.scan = Some(scan);
                    self.page = page.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let (key, sealed) = self.page.next()?;
        Some(Binding::decode(&key, &sealed))
    }
}

fn batch(aor: &str, remove: &[BindingId], put: &[Binding]) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for id in remove {
        batch.remove(Tree::Locations, key(aor, id)?);
    }
    for binding in put {
        if binding.aor != aor {
            return Err(StoreError::BadKey { what: "the address of record of a binding" });
        }
        let (key, sealed) = binding.encode()?;
        batch.put(Tree::Locations, key, sealed);
    }
    Ok(batch)
}

fn key(aor: &str, id: &BindingId) -> Result<Vec<u8>, StoreError> {
    let mut key = aor_prefix(aor)?;
    key.extend_from_slice(&id.0);
    Ok(key)
}

fn aor_prefix(aor: &str) -> Result<Vec<u8>, StoreError> {
    check_text("the address of record", aor)?;
    if aor.is_empty() || aor.contains('\0') {
        return Err(StoreError::BadKey { what: "the address of record" });
    }
    let mut prefix = Vec::with_capacity(aor.len() + 64);
    prefix.extend_from_slice(aor.as_bytes());
    prefix.push(0);
    Ok(prefix)
}

/// Refuses a text past [`TEXT_BYTES_MAX`].
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), StoreError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(StoreError::TooLarge { what, bytes: text.len(), max: TEXT_BYTES_MAX });
    }
    Ok(())
}
