//! What a REGISTER changes: pure rules of RFC 3261 section 10.3, RFC 3327, RFC 5626 section 6 and RFC 5627.

use sip::value::{NameAddr, Uri, number, unquote};
use sip::{Hop, Message, Name, Status};
use std::sync::Arc;

use crate::location::Contact;
use crate::settings::RegistrarSettings;

/// Longest contact URI that is kept.
const CONTACT_BYTES_MAX: usize = 1024;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// The bindings as they are to be.
    pub contacts: Vec<Contact>,
    /// Bindings that go, or whose identity changes.
    pub removed: Vec<Contact>,
    /// Bindings that are new or refreshed.
    pub put: Vec<Contact>,
}

/// Why nothing is done.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// The answer.
    pub status: Status,
    /// Its reason phrase.
    pub reason: Option<&'static str>,
    /// A header that the answer must carry.
    pub header: Option<(Name, String)>,
}

impl Refusal {
    const fn plain(status: Status, reason: &'static str) -> Self {
        Self { status, reason: Some(reason), header: None }
    }
}

/// Applies the request of a `user_agent` to the present bindings.
///
/// # Errors
/// 400 for `*` with anything beside it or an old CSeq, 403 for too many contacts, 423 with Min-Expires for a time too
/// short, 439 where outbound is asked for through a proxy that does not do it.
pub fn apply(
    now_ms: i64,
    current: &[Contact],
    request: &Message,
    hop: &Hop,
    settings: &RegistrarSettings,
    contacts_max: usize,
    user_agent: &Arc<str>,
) -> Result<Change, Refusal> {
    let alive: Vec<Contact> = current.iter().filter(|c| c.expires_at_ms > now_ms).cloned().collect();
    let mut gone: Vec<Contact> = current.iter().filter(|c| c.expires_at_ms <= now_ms).cloned().collect();
    let call_id: Box<str> = String::from_utf8_lossy(request.call_id()).into();
    let cseq = request.cseq();
    let header_expires = request.number(Name::Expires, u64::from(u32::MAX)).ok().flatten();
    let values: Vec<&[u8]> = request.values(Name::Contact).filter_map(Result::ok).collect();

    if values.contains(&b"*".as_slice()) {
        // Section 10.3 step 6: alone, and with Expires 0.
        if values.len() != 1 || header_expires != Some(0) {
            return Err(Refusal::plain(Status::BAD_REQUEST, "Contact * Must Be Alone With Expires 0"));
        }
        if alive.iter().any(|c| c.call_id == call_id && cseq <= c.cseq) {
            return Err(Refusal::plain(Status::BAD_REQUEST, "CSeq Not Higher"));
        }
        gone.extend(alive);
        return Ok(Change { contacts: Vec::new(), removed: gone, put: Vec::new() });
    }

    let path: Box<[Box<str>]> =
        request.values(Name::Path).filter_map(Result::ok).map(|p| String::from_utf8_lossy(p).into()).collect();
    let mut contacts = alive;
    let mut put: Vec<Contact> = Vec::new();
    for value in values {
        let address = NameAddr::parse(value).map_err(|_| Refusal::plain(Status::BAD_REQUEST, "Contact malformed"))?;
        if address.uri.len() > CONTACT_BYTES_MAX {
            return Err(Refusal::plain(Status::BAD_REQUEST, "Contact Too Long"));
        }
        let seconds = address
            .params
            .value(b"expires")
            .and_then(|e| number(e, u64::from(u32::MAX)))
            .or(header_expires)
            .unwrap_or(settings.expires_default.as_secs());
        if seconds > 0 && seconds < settings.expires_min.as_secs() {
            return Err(Refusal {
                status: Status::INTERVAL_TOO_BRIEF,
                reason: None,
                header: Some((Name::MinExpires, settings.expires_min.as_secs().to_string())),
            });
        }
        let instance: Option<Box<str>> =
            address.params.value(b"+sip.instance").map(|i| String::from_utf8_lossy(&unquote(i)).into());
        let reg_id = address.params.value(b"reg-id").and_then(|r| number(r, u64::from(u32::MAX)));
        let outbound = reg_id.is_some() && instance.is_some() && request.lists(Name::Supported, "outbound");
        if outbound && request.values(Name::Via).count() > 1 && !first_hop_does_outbound(request) {
            return Err(Refusal {
                status: Status::new(439).unwrap_or(Status::BAD_REQUEST),
                reason: None,
                header: None,
            });
        }
        let fresh = Contact {
            uri: String::from_utf8_lossy(address.uri).into(),
            received: hop.into(),
            path: path.clone(),
            instance,
            reg_id: reg_id.filter(|_| outbound).and_then(|r| u32::try_from(r).ok()),
            q_milli: q_milli(address.params.value(b"q")),
            expires_at_ms: now_ms
                .saturating_add(i64::try_from(seconds.min(settings.expires_max.as_secs())).unwrap_or(0) * 1000),
            call_id: call_id.clone(),
            cseq,
            user_agent: Arc::clone(user_agent),
        };
        if let Some(at) = contacts.iter().position(|c| same_binding(c, &fresh)) {
            let old = contacts.remove(at);
            // Step 7: within one Call-ID the CSeq must grow.
            if old.call_id == fresh.call_id && fresh.cseq <= old.cseq && !put.iter().any(|p| same_binding(p, &fresh)) {
                return Err(Refusal::plain(Status::BAD_REQUEST, "CSeq Not Higher"));
            }
            if seconds == 0 || old.uri != fresh.uri {
                gone.push(old);
            }
        }
        if seconds > 0 {
            put.retain(|p| !same_binding(p, &fresh));
            put.push(fresh.clone());
            contacts.push(fresh);
        }
    }
    if contacts.len() > contacts_max {
        return Err(Refusal::plain(Status::FORBIDDEN, "Too Many Contacts"));
    }
    contacts.sort_by_key(|contact| std::cmp::Reverse(contact.q_milli));
    Ok(Change { contacts, removed: gone, put })
}

/// Whether two bindings are the same one: by instance and reg-id with outbound (RFC 5626 section 6), else by URI.
pub fn same_binding(a: &Contact, b: &Contact) -> bool {
    match (&a.instance, a.reg_id, &b.instance, b.reg_id) {
        (Some(x), Some(m), Some(y), Some(n)) => x == y && m == n,
        _ => same_uri(a.uri.as_bytes(), b.uri.as_bytes()),
    }
}

/// URI equality (RFC 3261 section 19.1.4), by the text where one of them cannot be read.
fn same_uri(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (Ok(a), Ok(b)) = (Uri::parse(a), Uri::parse(b)) else { return false };
    a.is_equivalent(&b)
}

/// RFC 5626 section 6: through proxies, the first one must have put `ob` into its Path.
fn first_hop_does_outbound(request: &Message) -> bool {
    request
        .values(Name::Path)
        .filter_map(Result::ok)
        .last()
        .and_then(|p| NameAddr::parse(p).ok())
        .and_then(|a| Uri::parse(a.uri).ok())
        .is_some_and(|u| u.params.has(b"ob"))
}

/// `q=0.7` to thousandths; 1 when absent or unreadable (RFC 3261 section 20.10).
fn q_milli(value: Option<&[u8]>) -> u16 {
    let Some(text) = value.and_then(|v| std::str::from_utf8(v).ok()) else { return 1000 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("1", _) => 1000,
        ("0" | "", Ok(milli)) => milli,
        _ => 1000,
    }
}
