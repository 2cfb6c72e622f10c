//! The two requests that are made from an INVITE: its CANCEL (RFC 3261 section 9.1) and the ACK of a final response that
//! is no 2xx (section 17.1.1.3).

use crate::message::RequestHead;
use crate::{Message, Method, Name, Writer};
use bytes::Bytes;

/// Hops that a request of ours may take (section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The CANCEL of the INVITE in `invite`; `reason` is the value of a Reason header (RFC 3326). `None` when the bytes are
/// no request.
pub fn cancel_of(invite: &Bytes, reason: Option<&str>) -> Option<Bytes> {
    let invite = Message::parse(invite.clone()).ok()?;
    let to = invite.value(Name::To)?;
    let mut cancel = derived(&invite, &Method::Cancel, to)?;
    if let Some(reason) = reason {
        cancel.header(Name::Reason, reason);
    }
    Some(cancel.finish())
}

/// The ACK of `response` to the INVITE in `invite`. `None` when the bytes are no request.
pub fn ack_of(invite: &Bytes, response: &Message) -> Option<Bytes> {
    let invite = Message::parse(invite.clone()).ok()?;
    let to = response.all(Name::To).next()?.unfolded();
    Some(derived(&invite, &Method::Ack, &to)?.finish())
}

fn derived(invite: &Message, method: &Method, to: &[u8]) -> Option<Writer> {
    if !invite.is_request() {
        return None;
    }
    let via = invite.values(Name::Via).next()?.ok()?;
    let mut writer = Writer::request(RequestHead {
        method,
        uri: invite.request_uri(),
        via: std::str::from_utf8(via).ok()?,
        from: invite.value(Name::From)?,
        to,
        call_id: invite.call_id(),
        cseq: invite.cseq(),
        max_forwards: MAX_FORWARDS,
    });
    writer.copy(invite, Name::Route);
    Some(writer)
}
