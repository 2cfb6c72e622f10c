//! Package `reg` (RFC 3680): the registrations of an address of record.

use super::{attribute, element};

/// Media type of the body (section 4.5).
pub const REGINFO: &str = "application/reginfo+xml";

/// What last happened to a binding (section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A REGISTER made it.
    Registered,
    /// It was made without a REGISTER.
    Created,
    /// A REGISTER prolonged it.
    Refreshed,
    /// The registrar shortened it.
    Shortened,
    /// It ran out.
    Expired,
    /// The switch ended it; the user agent may come again.
    Deactivated,
    /// The switch ended it; the user agent may come again later.
    Probation,
    /// A REGISTER ended it.
    Unregistered,
    /// The switch ended it for good.
    Rejected,
}

impl Event {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Created => "created",
            Self::Refreshed => "refreshed",
            Self::Shortened => "shortened",
            Self::Expired => "expired",
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Unregistered => "unregistered",
            Self::Rejected => "rejected",
        }
    }

    const fn is_active(self) -> bool {
        matches!(self, Self::Registered | Self::Created | Self::Refreshed | Self::Shortened)
    }
}

/// One binding.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Name that stays with the binding.
    pub id: &'a str,
    /// Contact URI.
    pub uri: &'a str,
    /// What last happened; decides between `active` and `terminated`.
    pub event: Event,
    /// Seconds that are left.
    pub expires_s: u32,
    /// q in thousandths.
    pub q_thousandths: u16,
}

/// The whole state of an address of record. `version` counts up by one each NOTIFY of a subscription (section 5.2);
/// `id` stays the same in a subscription.
pub fn body(aor: &str, id: &str, version: u32, contacts: &[Contact<'_>]) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<?xml version=\"1.0\"?>\r\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\"");
    attribute(&mut out, "version", &version.to_string());
    out.push_str(" state=\"full\">\r\n<registration");
    let active = contacts.iter().any(|c| c.event.is_active());
    let state = match (active, contacts.is_empty()) {
        (true, _) => "active",
        (false, true) => "init",
        (false, false) => "terminated",
    };
    attribute(&mut out, "aor", aor);
    attribute(&mut out, "id", id);
    attribute(&mut out, "state", state);
    out.push_str(">\r\n");
    for contact in contacts {
        let active = contact.event.is_active();
        out.push_str("<contact");
        attribute(&mut out, "id", contact.id);
        let state = if active { "active" } else { "terminated" };
        attribute(&mut out, "state", state);
        attribute(&mut out, "event", contact.event.as_str());
        if active {
            attribute(&mut out, "expires", &contact.expires_s.to_string());
        }
        let q = contact.q_thousandths.min(1_000);
        attribute(&mut out, "q", &format!("{}.{:03}", q / 1_000, q % 1_000));
        out.push('>');
        element(&mut out, "uri", contact.uri);
        out.push_str("</contact>\r\n");
    }
    out.push_str("</registration>\r\n</reginfo>\r\n");
    out
}
