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

impl Name {
    /// Finds the name by length and case-insensitive comparison; a single letter is a compact form.
    pub fn from_bytes(name: &[u8]) -> Self {
        if let [letter] = name {
            let letter = letter.to_ascii_lowercase();
            return Self::COMPACT
                .iter()
                .find(|(l, _)| *l == letter)
                .map_or(Self::Other, |(_, n)| *n);
        }
        // The eight that nearly every message has come first: one comparison each after the length test.
        match name.len() {
            2 if name.eq_ignore_ascii_case(b"To") => return Self::To,
            3 if name.eq_ignore_ascii_case(b"Via") => return Self::Via,
            4 if name.eq_ignore_ascii_case(b"CSeq") => return Self::CSeq,
            4 if name.eq_ignore_ascii_case(b"From") => return Self::From,
            7 if name.eq_ignore_ascii_case(b"Call-ID") => return Self::CallId,
            7 if name.eq_ignore_ascii_case(b"Contact") => return Self::Contact,
            12 if name.eq_ignore_ascii_case(b"Max-Forwards") => return Self::MaxForwards,
            12 if name.eq_ignore_ascii_case(b"Content-Type") => return Self::ContentType,
            14 if name.eq_ignore_ascii_case(b"Content-Length") => return Self::ContentLength,
            _ => {}
        }
        Self::KNOWN
            .iter()
            .find(|(_, long)| {
                long.len() == name.len() && long.as_bytes().eq_ignore_ascii_case(name)
            })
            .map_or(Self::Other, |(n, _)| *n)
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
