//! SIP methods. rsip's closed enum supplies the vocabulary; a method that it does not know must still be answerable
//! with 501 or 405 (RFC 3261 section 8.2.1), so ours keeps the token.

use std::fmt;

/// A request method (RFC 3261 section 7.1 and the extensions of the IANA registry that the switch speaks).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261
    Invite,
    /// RFC 3261
    Ack,
    /// RFC 3261
    Bye,
    /// RFC 3261
    Cancel,
    /// RFC 3261
    Register,
    /// RFC 3261
    Options,
    /// RFC 6086
    Info,
    /// RFC 3428
    Message,
    /// RFC 6665
    Subscribe,
    /// RFC 6665
    Notify,
    /// RFC 3515
    Refer,
    /// RFC 3311
    Update,
    /// RFC 3262
    Prack,
    /// RFC 3903
    Publish,
    /// Any other token, kept as it came.
    Other(Box<str>),
}

impl Method {
    /// Methods are case-sensitive tokens (RFC 3261 section 7.1); the caller has checked that `token` is one.
    pub fn from_token(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"REGISTER" => Self::Register,
            b"OPTIONS" => Self::Options,
            b"INFO" => Self::Info,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"REFER" => Self::Refer,
            b"UPDATE" => Self::Update,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            other => Self::Other(String::from_utf8_lossy(other).into()),
        }
    }

    /// The token as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Refer => "REFER",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Other(token) => token,
        }
    }

    /// rsip's name of the method, where it has one.
    pub fn to_rsip(&self) -> Option<rsip::Method> {
        Some(match self {
            Self::Invite => rsip::Method::Invite,
            Self::Ack => rsip::Method::Ack,
            Self::Bye => rsip::Method::Bye,
            Self::Cancel => rsip::Method::Cancel,
            Self::Register => rsip::Method::Register,
            Self::Options => rsip::Method::Options,
            Self::Info => rsip::Method::Info,
            Self::Message => rsip::Method::Message,
            Self::Subscribe => rsip::Method::Subscribe,
            Self::Notify => rsip::Method::Notify,
            Self::Refer => rsip::Method::Refer,
            Self::Update => rsip::Method::Update,
            Self::Prack => rsip::Method::PRack,
            Self::Publish => rsip::Method::Publish,
            Self::Other(_) => return None,
        })
    }
}

impl From<rsip::Method> for Method {
    fn from(method: rsip::Method) -> Self {
        match method {
            rsip::Method::Invite => Self::Invite,
            rsip::Method::Ack => Self::Ack,
            rsip::Method::Bye => Self::Bye,
            rsip::Method::Cancel => Self::Cancel,
            rsip::Method::Register => Self::Register,
            rsip::Method::Options => Self::Options,
            rsip::Method::Info => Self::Info,
            rsip::Method::Message => Self::Message,
            rsip::Method::Subscribe => Self::Subscribe,
            rsip::Method::Notify => Self::Notify,
            rsip::Method::Refer => Self::Refer,
            rsip::Method::Update => Self::Update,
            rsip::Method::PRack => Self::Prack,
            rsip::Method::Publish => Self::Publish,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
