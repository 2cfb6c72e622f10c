//! A SIP message: the bytes that arrived and where everything lies in them.
//!
//! [`Message::parse`] lexes the bytes into spans and reads what every message must have (RFC 3261 section 8.1.1): top
//! Via, From, To, Call-ID, CSeq. Everything else is read when somebody asks for it. Nothing is copied; the message owns
//! its buffer, so it travels to the call that it belongs to.

mod error;
mod lexer;
mod multipart;
mod name;
mod print;
mod refuse;
mod stamp;
mod write;

pub use error::ParseError;
pub use lexer::{Frame, frame};
pub use multipart::{BOUNDARY_BYTES_MAX, PARTS_MAX, Part, Parts};
pub use name::Name;
pub use refuse::refuse;
pub use write::{RequestHead, Writer, respond};

use crate::value::scan::{is_space, number};
use crate::value::{CSeq, Malformed, NameAddr, Params, Uri, Via, split_commas};
use crate::{Method, Status};
use bytes::Bytes;
pub(crate) use lexer::Span;
use lexer::{HeaderSpan, Headers, Lexed, StartSpan};
use std::borrow::Cow;
use std::fmt;

/// Longest message that is read: what a UDP datagram can carry.
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// Longest header line, folded lines together.
pub const LINE_BYTES_MAX: usize = 16_384;
/// Most header lines of a message.
pub const HEADERS_MAX: usize = 256;

/// A message that is whole and has the five headers that all messages have. Its debug form shows the first line, the Call-ID
/// and the length of the body: credentials and media keys (RFC 4568) stand in the rest.
#[derive(Clone)]
pub struct Message {
    raw: Bytes,
    lexed: std::sync::Arc<Spans>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.raw.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
        let (first, call_id) = (String::from_utf8_lossy(first), String::from_utf8_lossy(self.call_id()));
        write!(f, "Message({first}, Call-ID {call_id}, body of {} bytes)", self.body().len())
    }
}

#[derive(Clone, Debug)]
struct Spans {
    start: Start,
    headers: Headers,
    body: Span,
    call_id: Span,
    cseq: u32,
    cseq_method: Method,
    from_uri: Span,
    from_tag: Span,
    to_uri: Span,
    to_tag: Span,
    via: ViaSpans,
}

/// The top Via, which every step of a transaction asks for: read once.
#[derive(Clone, Copy, Debug)]
struct ViaSpans {
    transport: Span,
    host: Span,
    port: Option<u16>,
    params: Span,
    branch: Option<Span>,
}

impl ViaSpans {
    fn read(raw: &[u8], lines: &Headers) -> Result<Self, ParseError> {
        let line = lines.iter().find(|h| h.name == Name::Via).ok_or(ParseError::Missing(Name::Via))?;
        let value = first_value(line.value.of(raw), Name::Via)?;
        let via = Via::parse(value).map_err(|_| ParseError::Header(Name::Via))?;
        Ok(Self {
            transport: Span::find(raw, via.transport),
            host: Span::find(raw, via.host),
            port: via.port,
            params: Span::find(raw, via.params.0),
            branch: via.branch().map(|branch| Span::find(raw, branch)),
        })
    }
}

#[derive(Clone, Debug)]
enum Start {
    Request { method: Method, uri: Span },
    Response { status: Status, reason: Span },
}

/// A header line.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Which one.
    pub name: Name,
    /// The name as it came.
    pub name_bytes: &'a [u8],
    /// The value without white space around it; a folded one still has its line ends.
    pub value: &'a [u8],
    folded: bool,
}

impl<'a> Header<'a> {
    /// The value with folds, and the white space around them, turned into one space each (RFC 3261 section 7.3.1).
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        if !self.folded {
            return self.value.into();
        }
        let mut out = Vec::with_capacity(self.value.len());
        let mut in_fold = false;
        for c in self.value {
            if matches!(c, b'\r' | b'\n') {
                in_fold = true;
                out.truncate(crate::value::scan::trim_end(&out).len());
            } else if in_fold && is_space(*c) {
            } else {
                if in_fold {
                    out.push(b' ');
                    in_fold = false;
                }
                out.push(*c);
            }
        }
        out.into()
    }
}

impl Message {
    /// Reads a datagram, or one message cut out of a stream by [`frame`].
    ///
    /// # Errors
    /// See [`ParseError`]; [`refuse`] makes the answer that a faulty request deserves.
    pub fn parse(raw: impl Into<Bytes>) -> Result<Self, ParseError> {
        let raw: Bytes = raw.into();
        let Lexed { start, headers, body } = lexer::lex(&raw)?;
        let first = |name: Name| headers.iter().find(|h| h.name == name).ok_or(ParseError::Missing(name));
        let value = |name: Name| first(name).map(|h| h.value.of(&raw));

        let via = ViaSpans::read(&raw, &headers)?;
        let from = NameAddr::parse(value(Name::From)?).map_err(|_| ParseError::Header(Name::From))?;
        let to = NameAddr::parse(value(Name::To)?).map_err(|_| ParseError::Header(Name::To))?;
        let call_id = value(Name::CallId)?;
        if call_id.is_empty() || call_id.iter().any(|c| is_space(*c)) {
            return Err(ParseError::Header(Name::CallId));
        }
        let cseq = CSeq::parse(value(Name::CSeq)?).map_err(|_| ParseError::Header(Name::CSeq))?;
        let cseq_method = Method::from_token(cseq.method);
        let start = match start {
            StartSpan::Request { method, uri } => {
                let method = method.of(&raw);
                if method != cseq.method {
                    return Err(ParseError::CSeqMethod);
                }
                Start::Request { method: cseq_method.clone(), uri }
            }
            StartSpan::Response { code, reason } => {
                Start::Response { status: Status::new(code).ok_or(ParseError::StartLine)?, reason }
            }
        };
        let spans = Spans {
            start,
            body,
            call_id: Span::find(&raw, call_id),
            cseq: cseq.number,
            cseq_method,
            from_uri: Span::find(&raw, from.uri),
            to_uri: Span::find(&raw, to.uri),
            from_tag: from.tag().map(|t| Span::find(&raw, t)).unwrap_or_default(),
            to_tag: to.tag().map(|t| Span::find(&raw, t)).unwrap_or_default(),
            via,
            headers,
        };
        Ok(Self { raw, lexed: std::sync::Arc::new(spans) })
    }

    /// Reads the headers that the switch interprets when it meets them, so that a broken one is refused at the door
    /// with its name (RFC 3261 section 16.3; RFC 4475 section 3.1.2).
    ///
    /// # Errors
    /// The first header whose grammar is broken.
    pub fn check(&self) -> Result<(), ParseError> {
        // Of these three the lexer has read all but the URIs, and the rest of the Via values.
        for (name, uri) in [(Name::From, self.lexed.from_uri), (Name::To, self.lexed.to_uri)] {
            Uri::parse(uri.of(&self.raw)).map_err(|_| ParseError::Header(name))?;
        }
        self.all(Name::Via)
            .flat_map(|line| split_commas(line.value))
            .skip(1)
            .try_for_each(|via| Via::parse(via?).map(|_| ()))
            .map_err(|_| ParseError::Header(Name::Via))?;
        for header in self.headers() {
            let name = header.name;
            let bad = |_| ParseError::Header(name);
            let value = header.unfolded();
            match name {
                Name::Contact if value.as_ref() == b"*" => {}
                Name::Contact | Name::Route | Name::RecordRoute | Name::Path | Name::ReferTo | Name::ReferredBy => {
                    split_commas(&value).try_for_each(|v| check_address(v?)).map_err(bad)?;
                }
                Name::MaxForwards => check_number(&value, 255).map_err(bad)?,
                Name::Expires | Name::MinExpires => {
                    check_number(&value, u64::from(u32::MAX)).map_err(bad)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The bytes as they came.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.lexed.start, Start::Request { .. })
    }

    /// The method: the request's own, or that of the request which this response answers (CSeq).
    pub fn method(&self) -> &Method {
        &self.lexed.cseq_method
    }

    /// The status of a response.
    pub fn status(&self) -> Option<Status> {
        match self.lexed.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// The reason phrase of a response, empty for a request.
    pub fn reason(&self) -> Cow<'_, str> {
        match self.lexed.start {
            Start::Response { reason, .. } => String::from_utf8_lossy(reason.of(&self.raw)),
            Start::Request { .. } => Cow::Borrowed(""),
        }
    }

    /// The Request-URI as it stands, empty for a response.
    pub fn request_uri(&self) -> &[u8] {
        match &self.lexed.start {
            Start::Request { uri, .. } => uri.of(&self.raw),
            Start::Response { .. } => b"",
        }
    }

    /// The Request-URI taken apart.
    ///
    /// # Errors
    /// When the message is a response.
    pub fn uri(&self) -> Result<Uri<'_>, Malformed> {
        Uri::parse(self.request_uri())
    }

    /// Call-ID.
    pub fn call_id(&self) -> &[u8] {
        self.lexed.call_id.of(&self.raw)
    }

    /// CSeq's number.
    pub fn cseq(&self) -> u32 {
        self.lexed.cseq
    }

    /// From's tag; empty from a client of RFC 2543.
    pub fn from_tag(&self) -> &[u8] {
        self.lexed.from_tag.of(&self.raw)
    }

    /// To's tag; `None` outside of a dialog.
    pub fn to_tag(&self) -> Option<&[u8]> {
        Some(self.lexed.to_tag).filter(|t| !t.is_empty()).map(|t| t.of(&self.raw)).filter(|t| !t.is_empty())
    }

    /// The top Via's branch; empty when it has none.
    pub fn branch(&self) -> &[u8] {
        self.lexed.via.branch.map_or(b"", |branch| branch.of(&self.raw))
    }

    /// The top Via.
    pub fn via(&self) -> Via<'_> {
        let ViaSpans { transport, host, port, params, branch } = self.lexed.via;
        let of = |span: Span| span.of(&self.raw);
        Via::of_parts(of(transport), of(host), port, Params(of(params)), branch.map(of))
    }

    /// From.
    ///
    /// # Errors
    /// Never for a parsed message.
    pub fn from(&self) -> Result<NameAddr<'_>, Malformed> {
        NameAddr::parse(self.value(Name::From).ok_or(Malformed)?)
    }

    /// To.
    ///
    /// # Errors
    /// Never for a parsed message.
    pub fn to(&self) -> Result<NameAddr<'_>, Malformed> {
        NameAddr::parse(self.value(Name::To).ok_or(Malformed)?)
    }

    /// The first Contact address; `None` when there is none or it is malformed or `*`.
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        let value = self.value(Name::Contact)?;
        NameAddr::parse(split_commas(value).next()?.ok()?).ok()
    }

    /// All header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.lexed.headers.iter().map(|h| self.header_of(h))
    }

    /// The lines of one header in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = Header<'_>> {
        self.lexed.headers.iter().filter(move |h| h.name == name).map(|h| self.header_of(h))
    }

    /// The first value of a header, as it stands.
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.lexed.headers.iter().find(|h| h.name == name).map(|h| h.value.of(&self.raw))
    }

    /// The first value of a header by its wire name, for headers that [`Name`] does not know.
    pub fn value_of(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|h| h.name_bytes.eq_ignore_ascii_case(name.as_bytes())).map(|h| h.value)
    }

    /// Every comma-separated value of every line of one header.
    pub fn values(&self, name: Name) -> impl Iterator<Item = Result<&[u8], Malformed>> {
        self.lexed
            .headers
            .iter()
            .filter(move |h| h.name == name)
            .flat_map(|h| split_commas(h.value.of(&self.raw)))
            .filter(|v| v.as_ref().is_ok_and(|v| !v.is_empty()) || v.is_err())
    }

    /// Whether one of a header's comma-separated values is the token `wanted` (without case), parameters aside.
    pub fn lists(&self, name: Name, wanted: &str) -> bool {
        self.values(name).filter_map(Result::ok).any(|v| {
            let end = v.iter().position(|c| *c == b';').unwrap_or(v.len());
            crate::value::trim(v.get(..end).unwrap_or(v)).eq_ignore_ascii_case(wanted.as_bytes())
        })
    }

    /// A header that is one number of at most `max`.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn number(&self, name: Name, max: u64) -> Result<Option<u64>, ParseError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        // `Session-Expires: 1800;refresher=uac` and `Retry-After: 5 (busy)` carry more behind the number.
        let end = value.iter().position(|c| matches!(c, b';' | b' ' | b'\t' | b'(')).unwrap_or(value.len());
        number(value.get(..end).unwrap_or(value), max).map(Some).ok_or(ParseError::Header(name))
    }

    /// The parameters behind a header's first `;`.
    pub fn params(&self, name: Name) -> Params<'_> {
        let value = self.value(name).unwrap_or_default();
        let at = value.iter().position(|c| *c == b';').unwrap_or(value.len());
        Params(value.get(at..).unwrap_or_default())
    }

    /// The body by Content-Length.
    pub fn body(&self) -> &[u8] {
        self.lexed.body.of(&self.raw)
    }

    /// The media type of the body in lower case without parameters, empty when none is named.
    pub fn content_type(&self) -> String {
        multipart::media_type(self.value(Name::ContentType).unwrap_or_default())
    }

    fn header_of(&self, span: &HeaderSpan) -> Header<'_> {
        Header {
            name: span.name,
            name_bytes: span.name_span.of(&self.raw),
            value: span.value.of(&self.raw),
            folded: span.folded,
        }
    }
}

fn first_value(value: &[u8], name: Name) -> Result<&[u8], ParseError> {
    split_commas(value).next().and_then(Result::ok).filter(|v| !v.is_empty()).ok_or(ParseError::Header(name))
}

fn check_number(value: &[u8], max: u64) -> Result<(), Malformed> {
    number(value, max).map(|_| ()).ok_or(Malformed)
}

fn check_address(value: &[u8]) -> Result<(), Malformed> {
    let address = NameAddr::parse(value)?;
    // Only URIs that the switch must understand are taken apart; foreign schemes travel as they are.
    Uri::parse(address.uri).map(|_| ())
}
