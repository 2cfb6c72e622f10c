//! Writing messages: responses to a request, and requests of our own. One pass into one buffer.

use super::{Message, Name};
use crate::value::scan::split_commas;
use crate::{Method, Status};
use bytes::{Bytes, BytesMut};

/// Bytes that a message usually takes beside what every message has; the buffer grows when it is not enough. What is sent
/// may be kept for half a minute to be sent again, so a short message has a short buffer.
const USUAL_BYTES: usize = 224;
/// The same of what sets up or changes a session, which says what we can.
const USUAL_SESSION_BYTES: usize = 512;

/// A message being written: start line first, then headers, then [`Writer::body`] or [`Writer::finish`].
#[derive(Debug)]
pub struct Writer {
    out: BytesMut,
}

/// What every request of ours has (RFC 3261 section 8.1.1). Values are written as they are.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Method.
    pub method: &'a Method,
    /// Request-URI.
    pub uri: &'a [u8],
    /// The whole Via value.
    pub via: &'a str,
    /// From with tag.
    pub from: &'a [u8],
    /// To, with tag inside a dialog.
    pub to: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq number.
    pub cseq: u32,
    /// Hops left.
    pub max_forwards: u8,
}

impl Writer {
    /// Begins a request.
    pub fn request(head: RequestHead<'_>) -> Self {
        let RequestHead { method, uri, via, from, to, call_id, .. } = head;
        let parts = uri.len() + via.len() + from.len() + to.len() + call_id.len();
        let mut this = Self { out: BytesMut::with_capacity(parts + usual(method)) };
        this.put(head.method.as_str().as_bytes());
        this.put(b" ");
        this.put(head.uri);
        this.put(b" SIP/2.0\r\n");
        this.header(Name::Via, head.via)
            .header(Name::MaxForwards, Decimal::of(u64::from(head.max_forwards)).as_bytes())
            .header(Name::From, head.from)
            .header(Name::To, head.to)
            .header(Name::CallId, head.call_id);
        this.put(b"CSeq: ");
        this.put(Decimal::of(u64::from(head.cseq)).as_bytes());
        this.put(b" ");
        this.put(head.method.as_str().as_bytes());
        this.put(b"\r\n");
        this
    }

    /// Begins a response to `request` (RFC 3261 section 8.2.6.2): Via, From, To, Call-ID and CSeq copied; `to_tag` is
    /// added when To has none and the status is not 100. `reason` replaces the default phrase.
    pub fn response(request: &Message, status: Status, reason: Option<&str>, to_tag: Option<&str>) -> Self {
        let copied = |h: &super::Header<'_>| matches!(h.name, Name::Via | Name::From | Name::To | Name::CallId);
        let parts: usize = request.headers().filter(copied).map(|h| h.value.len()).sum();
        let usual = if status.is_success() { usual(request.method()) } else { USUAL_BYTES };
        let mut this = Self { out: BytesMut::with_capacity(parts + usual) };
        this.put(b"SIP/2.0 ");
        this.put(Decimal::of(u64::from(status.code())).as_bytes());
        this.put(b" ");
        this.put(reason.unwrap_or(status.reason()).as_bytes());
        this.put(b"\r\n");
        for header in request.headers() {
            match header.name {
                Name::Via | Name::From | Name::CallId | Name::CSeq => {
                    this.header(header.name, header.unfolded().as_ref());
                }
                Name::To => {
                    this.put(b"To: ");
                    this.put(&header.unfolded());
                    if let (Some(tag), None, true) = (to_tag, request.to_tag(), status != Status::TRYING) {
                        this.put(b";tag=");
                        this.put(tag.as_bytes());
                    }
                    this.put(b"\r\n");
                }
                _ => {}
            }
        }
        this
    }

    /// Adds a header line.
    pub fn header(&mut self, name: Name, value: impl AsRef<[u8]>) -> &mut Self {
        self.named(name.as_str().as_bytes(), value)
    }

    /// Adds a header line by its wire name. CR and LF in the value become spaces: a value never ends its line.
    pub fn named(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.put(name.as_ref());
        self.put(b": ");
        let value = value.as_ref();
        if memchr::memchr2(b'\r', b'\n', value).is_none() {
            self.put(value);
        } else {
            let clean: Vec<u8> = value.iter().map(|c| if matches!(c, b'\r' | b'\n') { b' ' } else { *c }).collect();
            self.put(&clean);
        }
        self.put(b"\r\n");
        self
    }

    /// Copies every line of `name` from `message`, in order.
    pub fn copy(&mut self, message: &Message, name: Name) -> &mut Self {
        for header in message.all(name) {
            self.header(name, header.unfolded().as_ref());
        }
        self
    }

    /// Copies the comma-separated values of `name` one a line, in reverse: a UAC's route set (section 12.1.2).
    pub fn copy_reversed(&mut self, message: &Message, name: Name, to: Name) -> &mut Self {
        let values: Vec<Vec<u8>> = message
            .all(name)
            .flat_map(|h| split_commas(&h.unfolded()).filter_map(Result::ok).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect();
        for value in values.iter().rev() {
            self.header(to, value);
        }
        self
    }

    /// Ends the message with a body.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Bytes {
        self.out.reserve(body.len() + content_type.len() + 64);
        self.header(Name::ContentType, content_type);
        self.header(Name::ContentLength, Decimal::of(body.len() as u64).as_bytes());
        self.put(b"\r\n");
        self.put(body);
        self.out.freeze()
    }

    /// Ends the message without body.
    pub fn finish(mut self) -> Bytes {
        self.put(b"Content-Length: 0\r\n\r\n");
        self.out.freeze()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

fn usual(method: &Method) -> usize {
    match method {
        Method::Invite | Method::Update | Method::Options => USUAL_SESSION_BYTES,
        _ => USUAL_BYTES,
    }
}

/// A whole response without further headers.
pub fn respond(request: &Message, status: Status, reason: Option<&str>, to_tag: Option<&str>) -> Bytes {
    Writer::response(request, status, reason, to_tag).finish()
}

/// A number in decimal on the stack.
struct Decimal {
    digits: [u8; 20],
    from: usize,
}

impl Decimal {
    fn of(mut value: u64) -> Self {
        let mut this = Self { digits: [b'0'; 20], from: 20 };
        loop {
            this.from -= 1;
            if let (Some(slot), Ok(digit)) = (this.digits.get_mut(this.from), u8::try_from(value % 10)) {
                *slot = b'0' + digit;
            }
            value /= 10;
            if value == 0 || this.from == 0 {
                return this;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }
}
