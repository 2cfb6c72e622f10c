//! What can be wrong with received bytes, and which answer each wrong deserves.

use super::Name;

/// Why a message was refused. The kind decides the answer, see [`ParseError::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A stream has not delivered the whole message yet (RFC 3261 section 18.3).
    #[error("message is not complete")]
    Incomplete,
    /// The start line is neither a request line nor a status line (RFC 3261 section 7.1, 7.2).
    #[error("start line malformed")]
    StartLine,
    /// `SIP/x.y` that is not 2.0 (RFC 3261 section 21.5.6).
    #[error("SIP version not supported")]
    Version,
    /// The Request-URI is malformed (RFC 3261 section 25.1; RFC 4475 sections 3.1.2.7 to 3.1.2.9).
    #[error("Request-URI malformed")]
    RequestUri,
    /// A header line without colon or with a name that is no token.
    #[error("header line malformed")]
    HeaderLine,
    /// A header's value breaks its grammar.
    #[error("{} malformed", .0.as_str())]
    Header(Name),
    /// A header that must stand once stands again.
    #[error("{} repeated", .0.as_str())]
    Repeated(Name),
    /// A mandatory header is missing (RFC 3261 section 8.1.1).
    #[error("{} missing", .0.as_str())]
    Missing(Name),
    /// The CSeq's method is not the request's (RFC 3261 section 8.1.1.5).
    #[error("CSeq method differs from request method")]
    CSeqMethod,
    /// Content-Length is larger than the datagram, or absent on a stream (RFC 3261 section 18.3).
    #[error("Content-Length does not fit the message")]
    Length,
    /// The message is over [`super::MESSAGE_BYTES_MAX`], a line over [`super::LINE_BYTES_MAX`], or there are more than
    /// [`super::HEADERS_MAX`] headers.
    #[error("message too large")]
    TooLarge,
}

impl ParseError {
    /// The status that answers a request with this fault.
    pub const fn status(self) -> crate::Status {
        match self {
            Self::Version => crate::Status::VERSION_NOT_SUPPORTED,
            Self::TooLarge => crate::Status::MESSAGE_TOO_LARGE,
            _ => crate::Status::BAD_REQUEST,
        }
    }
}
