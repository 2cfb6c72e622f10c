//! Replaces (RFC 3891): a new INVITE takes the place of a dialog.

use super::{Dialog, State};
use crate::value::{Malformed, Params, Uri};
use crate::{Message, Name, Status};

/// The dialog that is to be replaced, as the side that holds it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: Vec<u8>,
    /// The holder's tag.
    pub to_tag: Vec<u8>,
    /// The tag of the holder's peer.
    pub from_tag: Vec<u8>,
    /// Only while it is early (section 6.1).
    pub early_only: bool,
}

impl Replaces {
    /// Reads a header value.
    ///
    /// # Errors
    /// No Call-ID, or not exactly one `to-tag` and one `from-tag` (section 6.1): answered 400.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let end = value.iter().position(|c| *c == b';').ok_or(Malformed)?;
        let (call_id, params) = value.split_at(end);
        let call_id = crate::value::trim(call_id);
        let params = Params(params);
        params.check()?;
        let once = |name: &[u8]| {
            let mut all = params.iter().filter_map(Result::ok).filter(|p| p.name.eq_ignore_ascii_case(name));
            match (all.next().and_then(|p| p.value), all.next()) {
                (Some(value), None) => Ok(value.to_vec()),
                _ => Err(Malformed),
            }
        };
        if call_id.is_empty() {
            return Err(Malformed);
        }
        Ok(Self {
            call_id: call_id.to_vec(),
            to_tag: once(b"to-tag")?,
            from_tag: once(b"from-tag")?,
            early_only: params.has(b"early-only"),
        })
    }

    /// Reads the header of an INVITE; `None` when it has none.
    ///
    /// # Errors
    /// See [`Replaces::parse`].
    pub fn of(invite: &Message) -> Result<Option<Self>, Malformed> {
        invite.value(Name::Replaces).map(Self::parse).transpose()
    }

    /// Reads `?Replaces=…` of a URI (in Refer-To, section 7); `None` when it has none.
    ///
    /// # Errors
    /// See [`Replaces::parse`].
    pub fn of_uri(uri: &Uri<'_>) -> Result<Option<Self>, Malformed> {
        let mut fields = uri.headers.split(|c| *c == b'&');
        let value = fields.find_map(|field| {
            let end = field.iter().position(|c| *c == b'=')?;
            let (name, value) = field.split_at(end);
            name.eq_ignore_ascii_case(b"Replaces").then(|| value.get(1..).unwrap_or_default())
        });
        value.map(|v| Self::parse(&unescape(v))).transpose()
    }

    /// Whether it names this dialog of ours (section 3; a tag of 0 stands for none, section 6.1).
    pub fn names(&self, dialog: &Dialog) -> bool {
        let same = |wanted: &[u8], tag: &[u8]| wanted == tag || (wanted == b"0" && tag.is_empty());
        self.call_id == dialog.call_id()
            && same(&self.to_tag, dialog.local_tag())
            && same(&self.from_tag, dialog.remote_tag())
    }

    /// Whether the dialog that it names may be replaced (section 3).
    ///
    /// # Errors
    /// The status that refuses the INVITE: 486 for a confirmed dialog with `early-only`, 481 for an early one that we
    /// did not begin.
    pub fn judge(&self, dialog: &Dialog) -> Result<(), Status> {
        match dialog.state() {
            State::Confirmed if self.early_only => Err(Status::BUSY_HERE),
            State::Early if !dialog.is_caller() => Err(Status::CALL_DOES_NOT_EXIST),
            _ => Ok(()),
        }
    }

    /// The header value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut out = self.call_id.clone();
        out.extend_from_slice(b";to-tag=");
        out.extend_from_slice(&self.to_tag);
        out.extend_from_slice(b";from-tag=");
        out.extend_from_slice(&self.from_tag);
        if self.early_only {
            out.extend_from_slice(b";early-only");
        }
        out
    }
}

/// Undoes `%xx`; anything else stays.
fn unescape(value: &[u8]) -> Vec<u8> {
    let hex = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}
