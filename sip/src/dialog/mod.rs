//! Dialogs (RFC 3261 section 12): what two user agents remember of each other between requests, and the rules that live
//! inside one: refreshes, glare, reliable provisional responses, transfer, replacement, subscriptions and their bodies.
//!
//! A [`Dialog`] is made from the messages that set it up, checks and writes the requests inside it, and turns into a
//! few hundred bytes, so that a call can be rebuilt around it.

pub mod checkpoint;
pub mod events;
pub mod glare;
pub mod refer;
pub mod reliable;
pub mod replaces;
pub mod session_timer;
pub mod subscription;

use crate::message::{RequestHead, Span};
use crate::value::{NameAddr, Uri};
use crate::{Message, Method, Name, Writer};

/// Most proxies of a route set; a longer one is refused.
pub const ROUTES_MAX: usize = 32;
/// Hops that a request of ours may take (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;
/// Largest CSeq number (section 8.1.1.5).
const CSEQ_MAX: u32 = (1 << 31) - 1;

/// Why messages do not set up a dialog, or a checkpoint does not give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header that a dialog needs is missing or malformed.
    #[error("{} missing or malformed", .0.as_str())]
    Header(Name),
    /// The route set has more than [`ROUTES_MAX`] entries.
    #[error("route set too long")]
    Routes,
    /// The bytes are no checkpoint of a dialog.
    #[error("checkpoint malformed")]
    Checkpoint,
}

/// A request of the peer that is older than one seen before: answered 500 (RFC 3261 section 12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CSeq {got} after {seen}")]
pub struct OutOfOrder {
    /// What came.
    pub got: u32,
    /// The highest one before.
    pub seen: u32,
}

/// How far a dialog is (RFC 3261 section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Set up by a provisional response.
    Early,
    /// Set up, or confirmed, by a 2xx.
    Confirmed,
}

/// One dialog, seen from our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    state: State,
    /// Whether we sent the request that set it up.
    caller: bool,
    secure: bool,
    call_id: Box<[u8]>,
    local: Party,
    remote: Party,
    target: Box<[u8]>,
    /// Route values from our side outward, each as it stands between commas.
    routes: Box<[Box<[u8]>]>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

/// From or To as it stands in our requests, with the place of its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Party {
    value: Box<[u8]>,
    tag: Span,
}

/// What our tag usually adds to a To.
const TAG_BYTES: usize = 24;

impl Dialog {
    /// Our side of the dialog that `response` (101 to 299) to our `request` sets up (section 12.1.2). Each To tag is a
    /// dialog of its own (section 12.2.2.4 of forks).
    ///
    /// # Errors
    /// Without From, To or Contact, or with too many routes.
    pub fn of_client(request: &Message, response: &Message) -> Result<Self, DialogError> {
        let confirmed = response.status().is_some_and(crate::Status::is_success);
        let mut dialog = Self {
            state: State::Early,
            caller: true,
            secure: request.request_uri().starts_with(b"sips:"),
            call_id: request.call_id().into(),
            local: party(request, Name::From)?,
            remote: party(response, Name::To)?,
            // An early dialog may have no Contact yet: requests then go where the first one went.
            target: target(response)
                .or_else(|| (!confirmed).then(|| request.request_uri().into()))
                .ok_or(DialogError::Header(Name::Contact))?,
            routes: routes(response, true)?,
            local_cseq: request.cseq(),
            remote_cseq: None,
        };
        if confirmed {
            dialog.state = State::Confirmed;
        }
        Ok(dialog)
    }

    /// Our side of the dialog that our response with `local_tag` to `request` sets up (section 12.1.1); early until
    /// [`Dialog::confirm`].
    ///
    /// # Errors
    /// Without From, To or Contact, or with too many routes.
    pub fn of_server(request: &Message, local_tag: &str) -> Result<Self, DialogError> {
        let to = request.all(Name::To).next().ok_or(DialogError::Header(Name::To))?.unfolded();
        let mut local = Vec::with_capacity(to.len() + TAG_BYTES);
        local.extend_from_slice(&to);
        if request.to_tag().is_none() {
            local.extend_from_slice(b";tag=");
            local.extend_from_slice(local_tag.as_bytes());
        }
        Ok(Self {
            state: State::Early,
            caller: false,
            secure: request.request_uri().starts_with(b"sips:"),
            call_id: request.call_id().into(),
            local: Party::of(local.into(), Name::To)?,
            remote: party(request, Name::From)?,
            target: target(request).ok_or(DialogError::Header(Name::Contact))?,
            routes: routes(request, false)?,
            local_cseq: 0,
            remote_cseq: Some(request.cseq()),
        })
    }

    /// Confirms an early dialog. `response` is the peer's 2xx, whose route set and Contact count now (section
    /// 13.2.2.4); `None` when the 2xx is ours.
    ///
    /// # Errors
    /// A 2xx with too many routes; the dialog stays as it was.
    pub fn confirm(&mut self, response: Option<&Message>) -> Result<(), DialogError> {
        if let Some(response) = response {
            if self.state == State::Early {
                self.routes = routes(response, true)?;
            }
            self.refresh(response);
        }
        self.state = State::Confirmed;
        Ok(())
    }

    /// Takes the remote target from a target refresh request of the peer or from the 2xx to ours (sections 12.2.1.2,
    /// 12.2.2). A message without Contact changes nothing; the route set never changes.
    pub fn refresh(&mut self, message: &Message) {
        if let Some(target) = target(message) {
            self.target = target;
        }
    }

    /// Early or confirmed.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether we sent the request that set it up; then the Call-ID is ours (section 14.1).
    pub const fn is_caller(&self) -> bool {
        self.caller
    }

    /// Whether requests must stay encrypted (section 12.1.1).
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Call-ID.
    pub fn call_id(&self) -> &[u8] {
        &self.call_id
    }

    /// Our From value, tag included.
    pub fn local(&self) -> &[u8] {
        &self.local.value
    }

    /// The peer's To value, tag included.
    pub fn remote(&self) -> &[u8] {
        &self.remote.value
    }

    /// Our tag.
    pub fn local_tag(&self) -> &[u8] {
        self.local.tag()
    }

    /// The peer's tag; empty when it speaks RFC 2543.
    pub fn remote_tag(&self) -> &[u8] {
        self.remote.tag()
    }

    /// Our URI.
    pub fn local_uri(&self) -> &[u8] {
        uri(&self.local.value)
    }

    /// The peer's URI.
    pub fn remote_uri(&self) -> &[u8] {
        uri(&self.remote.value)
    }

    /// The peer's Contact: where requests end.
    pub fn remote_target(&self) -> &[u8] {
        &self.target
    }

    /// Route values, nearest first.
    pub fn routes(&self) -> impl Iterator<Item = &[u8]> {
        self.routes.iter().map(AsRef::as_ref)
    }

    /// CSeq number of our last request.
    pub const fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// CSeq number of the peer's last request.
    pub const fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// Whether a request of the peer, or a response to one of ours, belongs to this dialog (section 12.2.2).
    pub fn owns(&self, message: &Message) -> bool {
        let to = message.to_tag().unwrap_or_default();
        let (local, remote) = if message.is_request() { (to, message.from_tag()) } else { (message.from_tag(), to) };
        message.call_id() == &*self.call_id && local == self.local_tag() && remote == self.remote_tag()
    }

    /// Checks the order of a request of the peer and remembers it (section 12.2.2). ACK and CANCEL carry the number of
    /// their INVITE and always pass.
    ///
    /// # Errors
    /// [`OutOfOrder`] for a number that is not higher than all before; answered 500.
    pub fn check_incoming(&mut self, request: &Message) -> Result<(), OutOfOrder> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let got = request.cseq();
        if let Some(seen) = self.remote_cseq.filter(|seen| got <= *seen) {
            return Err(OutOfOrder { got, seen });
        }
        self.remote_cseq = Some(got);
        Ok(())
    }

    /// Whether proxies stand between us and the target.
    pub fn is_routed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The URI whose host is resolved for the next request: the first route, or the target (section 8.1.2).
    pub fn next_hop(&self) -> &[u8] {
        self.routes.first().map_or(&self.target, |r| uri(r))
    }

    /// Begins our next request: CSeq counted up, Request-URI and Route by the route set, loose or strict (section
    /// 12.2.1.1). `via` is a whole Via value. The caller adds Contact, what the method needs, and the body.
    pub fn request(&mut self, method: &Method, via: &str) -> Writer {
        self.local_cseq = if self.local_cseq < CSEQ_MAX { self.local_cseq + 1 } else { 1 };
        self.write(method, via, self.local_cseq)
    }

    /// Begins the ACK of a 2xx to our INVITE with number `cseq` (section 13.2.2.4).
    pub fn ack(&self, cseq: u32, via: &str) -> Writer {
        self.write(&Method::Ack, via, cseq)
    }

    fn write(&self, method: &Method, via: &str, cseq: u32) -> Writer {
        let first = self.routes.first().map(|r| uri(r));
        let strict = first.filter(|u| Uri::parse(u).is_ok_and(|u| !u.params.has(b"lr")));
        let mut writer = Writer::request(RequestHead {
            method,
            uri: strict.unwrap_or(&self.target),
            via,
            from: &self.local.value,
            to: &self.remote.value,
            call_id: &self.call_id,
            cseq,
            max_forwards: MAX_FORWARDS,
        });
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            writer.header(Name::Route, route);
        }
        if strict.is_some() {
            writer.header(Name::Route, [b"<", &*self.target, b">"].concat());
        }
        writer
    }
}

fn party(message: &Message, name: Name) -> Result<Party, DialogError> {
    let header = message.all(name).next().ok_or(DialogError::Header(name))?;
    Party::of(header.unfolded().as_ref().into(), name)
}

impl Party {
    /// Reads the value of From or To.
    fn of(value: Box<[u8]>, name: Name) -> Result<Party, DialogError> {
        let tag = NameAddr::parse(&value).map_err(|_| DialogError::Header(name))?.tag().unwrap_or_default();
        let tag = Span::find(&value, tag);
        Ok(Party { value, tag })
    }

    fn tag(&self) -> &[u8] {
        self.tag.of(&self.value)
    }
}

fn target(message: &Message) -> Option<Box<[u8]>> {
    let contact = message.contact()?;
    Uri::parse(contact.uri).ok()?;
    Some(contact.uri.into())
}

/// Section 12.1: Record-Route in order for the server of the request, reversed for its client.
fn routes(message: &Message, reversed: bool) -> Result<Box<[Box<[u8]>]>, DialogError> {
    let mut routes: Vec<Box<[u8]>> = Vec::new();
    for value in message.values(Name::RecordRoute) {
        let bad = |_| DialogError::Header(Name::RecordRoute);
        let value = value.map_err(bad)?;
        NameAddr::parse(value).map_err(bad)?;
        if routes.len() >= ROUTES_MAX {
            return Err(DialogError::Routes);
        }
        routes.push(value.into());
    }
    if reversed {
        routes.reverse();
    }
    Ok(routes.into())
}

fn uri(value: &[u8]) -> &[u8] {
    NameAddr::parse(value).map_or(b"", |a| a.uri)
}
