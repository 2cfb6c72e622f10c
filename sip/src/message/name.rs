//! Header names: long and compact forms (RFC 3261 section 7.3.3), case-insensitive.

macro_rules! names {
    ($($variant:ident = $long:literal $(, $compact:literal)?;)*) => {
        /// A header field name that the switch knows; everything else is [`Name::Other`] and is found by its bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = $long] $variant,)*
            /// A name that the switch does not interpret.
            Other,
        }

        impl Name {
            /// The long form as RFCs write it; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $long,)* Self::Other => "" }
            }

            const KNOWN: &'static [(Self, &'static str)] = &[$((Self::$variant, $long),)*];
            const COMPACT: &'static [(u8, Self)] = &[$($(($compact, Self::$variant),)?)*];
        }
    };
}

names! {
    Via = "Via", b'v';
    From = "From", b'f';
    To = "To", b't';
    CallId = "Call-ID", b'i';
    CSeq = "CSeq";
    MaxForwards = "Max-Forwards";
    ContentLength = "Content-Length", b'l';
    ContentType = "Content-Type", b'c';
    ContentEncoding = "Content-Encoding", b'e';
    ContentDisposition = "Content-Disposition";
    Contact = "Contact", b'm';
    Route = "Route";
    RecordRoute = "Record-Route";
    Path = "Path";
    Expires = "Expires";
    MinExpires = "Min-Expires";
    Authorization = "Authorization";
    ProxyAuthorization = "Proxy-Authorization";
    WwwAuthenticate = "WWW-Authenticate";
    ProxyAuthenticate = "Proxy-Authenticate";
    AuthenticationInfo = "Authentication-Info";
    Supported = "Supported", b'k';
    Require = "Require";
    ProxyRequire = "Proxy-Require";
    Unsupported = "Unsupported";
    Allow = "Allow";
    AllowEvents = "Allow-Events", b'u';
    Accept = "Accept";
    Event = "Event", b'o';
    SubscriptionState = "Subscription-State";
    ReferTo = "Refer-To", b'r';
    ReferredBy = "Referred-By", b'b';
    ReferSub = "Refer-Sub";
    Replaces = "Replaces";
    Reason = "Reason";
    RSeq = "RSeq";
    RAck = "RAck";
    SessionExpires = "Session-Expires", b'x';
    MinSe = "Min-SE";
    RetryAfter = "Retry-After";
    Subject = "Subject", b's';
    UserAgent = "User-Agent";
    Server = "Server";
    Warning = "Warning";
    Date = "Date";
    Timestamp = "Timestamp";
    AlertInfo = "Alert-Info";
    Organization = "Organization";
    Priority = "Priority";
    Privacy = "Privacy";
    PAssertedIdentity = "P-Asserted-Identity";
    PPreferredIdentity = "P-Preferred-Identity";
    Diversion = "Diversion";
    HistoryInfo = "History-Info";
    MimeVersion = "MIME-Version";
    RequestDisposition = "Request-Disposition", b'd';
}

/// Slots of the table of long names: one byte of hash.
const SLOTS: usize = 256;

/// Sends every long name to a slot of its own; that none share one is checked when the table is built. The factors were
/// searched for: a new name that collides wants others.
const fn slot(len: usize, first: u8, middle: u8, last: u8) -> usize {
    // Lower case for letters; what else stands in names does not mind.
    let (first, middle, last) = (first | 0x20, middle | 0x20, last | 0x20);
    let (first, middle, last) = (first as usize, middle as usize, last as usize);
    (len * 36 + first * 10 + last * 30 + middle * 27) % SLOTS
}

/// Long names by [`slot`].
#[allow(clippy::indexing_slicing)] // evaluated at compile time, where a bad index is an error
static LONG: [Option<(Name, &str)>; SLOTS] = {
    let mut table = [None; SLOTS];
    let mut i = 0;
    while i < Name::KNOWN.len() {
        let (name, long) = Name::KNOWN[i];
        let bytes = long.as_bytes();
        let len = bytes.len();
        let at = slot(len, bytes[0], bytes[len / 2], bytes[len - 1]);
        assert!(table[at].is_none(), "two names share a slot");
        table[at] = Some((name, long));
        i += 1;
    }
    table
};

/// Compact names by letter.
#[allow(clippy::indexing_slicing)] // evaluated at compile time, where a bad index is an error
static COMPACT: [Name; 256] = {
    let mut table = [Name::Other; 256];
    let mut i = 0;
    while i < Name::COMPACT.len() {
        let (letter, name) = Name::COMPACT[i];
        table[letter as usize] = name;
        table[letter.to_ascii_uppercase() as usize] = name;
        i += 1;
    }
    table
};

impl Name {
    /// Finds the name without regard to case; a single letter is a compact form (RFC 3261 section 7.3.3).
    pub fn from_bytes(name: &[u8]) -> Self {
        let [first, .., last] = name else {
            let letter = name.first().copied().unwrap_or_default();
            return COMPACT.get(usize::from(letter)).copied().unwrap_or(Self::Other);
        };
        let middle = name.get(name.len() / 2).copied().unwrap_or_default();
        match LONG.get(slot(name.len(), *first, middle, *last)) {
            Some(Some((known, long))) if long.as_bytes() == name || long.as_bytes().eq_ignore_ascii_case(name) => {
                *known
            }
            _ => Self::Other,
        }
    }

    /// Headers that may stand once only and whose repetition makes a message unusable (RFC 4475 section 3.3.8).
    pub(crate) const fn single(self) -> bool {
        matches!(
            self,
            Self::From
                | Self::To
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::ContentLength
                | Self::ContentType
                | Self::Expires
                | Self::RSeq
                | Self::RAck
                | Self::Event
                | Self::SessionExpires
                | Self::ReferTo
                | Self::Replaces
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_by_its_letter_and_nothing_else_is() {
        for (name, long) in Name::KNOWN {
            assert_eq!(Name::from_bytes(long.as_bytes()), *name);
            assert_eq!(Name::from_bytes(long.to_lowercase().as_bytes()), *name);
            assert_eq!(Name::from_bytes(long.to_uppercase().as_bytes()), *name);
            for at in 2..long.len() {
                let mut other = long.as_bytes().to_vec();
                other[at] = b'~';
                assert_eq!(Name::from_bytes(&other), Name::Other);
                assert_ne!(Name::from_bytes(&long.as_bytes()[..at]), *name);
            }
        }
        for (letter, name) in Name::COMPACT {
            assert_eq!(Name::from_bytes(&[*letter]), *name);
            assert_eq!(Name::from_bytes(&[letter.to_ascii_uppercase()]), *name);
        }
        assert_eq!(Name::from_bytes(b""), Name::Other);
        assert_eq!(Name::from_bytes(b"q"), Name::Other);
    }

    #[test]
    fn every_single_header_has_a_bit_of_its_own() {
        // The lexer marks them in 64 bits.
        let single = Name::KNOWN.iter().filter(|(name, _)| name.single());
        assert!(single.map(|(name, _)| *name as u8).all(|bit| bit < 64));
    }
}
