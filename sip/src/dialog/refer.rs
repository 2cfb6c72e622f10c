//! Transfer (RFC 3515, RFC 4488, RFC 7647): what a REFER asks for, and the reports about it.

use super::replaces::Replaces;
use super::subscription::{Notifier, Reason};
use crate::value::{NameAddr, Scheme, Uri};
use crate::{Message, Method, Name, Status};
use std::time::Duration;

/// Media type of a report's body (RFC 3515 section 2.4.5).
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";
/// How long the implicit subscription lives at most, in seconds: a call that rings longer is given up before.
pub const EXPIRES_S: u32 = 300;

/// What a REFER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// Whom to call, without `?` headers and `method`.
    pub target: Vec<u8>,
    /// The dialog that the new call replaces (attended transfer).
    pub replaces: Option<Replaces>,
    /// Referred-By (RFC 3892), to be passed on.
    pub referred_by: Option<Vec<u8>>,
    /// Whether reports are wanted (RFC 4488: `Refer-Sub: false` says no).
    pub reports: bool,
}

impl Refer {
    /// Reads a REFER.
    ///
    /// # Errors
    /// The status that refuses it: 400 without exactly one readable Refer-To (RFC 3515 section 2.4.2), 416 for a scheme
    /// that is neither sip, sips nor tel, 405 for another method than INVITE.
    pub fn of(refer: &Message) -> Result<Self, Status> {
        let mut all = refer.values(Name::ReferTo);
        let (Some(Ok(value)), None) = (all.next(), all.next()) else {
            return Err(Status::BAD_REQUEST);
        };
        let address = NameAddr::parse(value).map_err(|_| Status::BAD_REQUEST)?;
        let uri = Uri::parse(address.uri).map_err(|_| Status::BAD_REQUEST)?;
        if matches!(uri.scheme, Scheme::Other(_)) {
            return Err(Status::UNSUPPORTED_URI_SCHEME);
        }
        let invite = Method::Invite;
        if uri.params.value(b"method").is_some_and(|m| m != invite.as_str().as_bytes()) {
            return Err(Status::METHOD_NOT_ALLOWED);
        }
        Ok(Self {
            target: bare(address.uri),
            replaces: Replaces::of_uri(&uri).map_err(|_| Status::BAD_REQUEST)?,
            referred_by: refer.all(Name::ReferredBy).next().map(|h| h.unfolded().into_owned()),
            reports: !refer.value(Name::ReferSub).is_some_and(|v| v.eq_ignore_ascii_case(b"false")),
        })
    }
}

/// The subscription that an accepted REFER makes (RFC 3515 section 2.4.4), on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    cseq: u32,
    notifier: Notifier,
}

/// One NOTIFY of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Value of Event; names the REFER by its CSeq, so that several in a dialog are told apart (section 2.4.6).
    pub event: String,
    /// Value of Subscription-State.
    pub state: String,
    /// Body of type [`SIPFRAG`].
    pub body: String,
}

impl Report {
    /// For a REFER that was accepted at `now`.
    pub fn new(refer: &Message, now: Duration) -> Self {
        Self { cseq: refer.cseq(), notifier: Notifier::new(EXPIRES_S, now) }
    }

    /// The report that the new call has come to `status`. The first one is sent at once, with 100 (RFC 3515 section
    /// 2.4.4); a final one ends the subscription.
    pub fn notify(&mut self, status: Status, now: Duration) -> Notify {
        if status.is_final() {
            self.notifier.end(Reason::NoResource);
        }
        Notify { event: format!("refer;id={}", self.cseq), state: self.notifier.state(now), body: sipfrag(status) }
    }

    /// Whether the last report was the final one, or its time is over.
    pub fn is_ended(&self, now: Duration) -> bool {
        self.notifier.is_ended(now)
    }

    /// When it ends by itself.
    pub const fn expires_at(&self) -> Duration {
        self.notifier.expires_at()
    }
}

/// A status line as a body.
pub fn sipfrag(status: Status) -> String {
    format!("SIP/2.0 {} {}\r\n", status.code(), status.reason())
}

/// The status that a report's body tells; `None` when its first line is no status line.
pub fn status_of(body: &[u8]) -> Option<Status> {
    let rest = body.get(..8).filter(|v| v.eq_ignore_ascii_case(b"SIP/2.0 "));
    let code = rest.and(body.get(8..11))?;
    let code = crate::value::number(code, 699)?;
    Status::new(u16::try_from(code).ok()?)
}

/// The URI without `?` headers and without its `method` parameter, which may not stand in a Request-URI (RFC 3261
/// section 19.1.1, table 1).
fn bare(uri: &[u8]) -> Vec<u8> {
    let end = uri.iter().position(|c| *c == b'?').unwrap_or(uri.len());
    let uri = uri.get(..end).unwrap_or(uri);
    let host = uri.iter().rposition(|c| *c == b'@').unwrap_or(0);
    let (user, rest) = uri.split_at(host);
    let mut out = user.to_vec();
    for (i, part) in rest.split(|c| *c == b';').enumerate() {
        let is_method = part.get(..7).is_some_and(|p| p.eq_ignore_ascii_case(b"method="));
        if i == 0 {
            out.extend_from_slice(part);
        } else if !is_method {
            out.push(b';');
            out.extend_from_slice(part);
        }
    }
    out
}
