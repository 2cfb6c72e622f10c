//! A dialog as bytes and back: what a call that is rebuilt needs to go on where it was.

use super::{Dialog, DialogError, Party, ROUTES_MAX, State};
use crate::Name;

/// First byte; counts up when the form changes.
const VERSION: u8 = 1;

impl Dialog {
    /// The whole dialog: a few hundred bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        out.push(
            u8::from(self.state == State::Confirmed)
                | u8::from(self.caller) << 1
                | u8::from(self.secure) << 2
                | u8::from(self.remote_cseq.is_some()) << 3,
        );
        out.extend_from_slice(&self.local_cseq.to_be_bytes());
        out.extend_from_slice(&self.remote_cseq.unwrap_or(0).to_be_bytes());
        let fixed = [&self.call_id, &self.local.value, &self.remote.value, &self.target];
        for part in fixed.into_iter().chain(self.routes.iter()) {
            // A part is a piece of one message, and messages are shorter than 2^16 bytes.
            let part = part.get(..usize::from(u16::MAX)).unwrap_or(part);
            let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    /// Reads what [`Dialog::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`DialogError::Checkpoint`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DialogError> {
        read(bytes).ok_or(DialogError::Checkpoint)
    }
}

fn read(bytes: &[u8]) -> Option<Dialog> {
    let (&[version, flags], rest) = bytes.split_first_chunk()?;
    if version != VERSION || flags > 15 {
        return None;
    }
    let (local_cseq, rest) = rest.split_first_chunk()?;
    let (remote_cseq, mut rest) = rest.split_first_chunk()?;
    let call_id = part(&mut rest)?;
    let local = part(&mut rest)?;
    let remote = part(&mut rest)?;
    let target = part(&mut rest)?;
    let mut routes = Vec::new();
    while !rest.is_empty() {
        if routes.len() >= ROUTES_MAX {
            return None;
        }
        routes.push(part(&mut rest)?);
    }
    Some(Dialog {
        state: if flags & 1 == 0 { State::Early } else { State::Confirmed },
        caller: flags & 2 != 0,
        secure: flags & 4 != 0,
        call_id,
        local: Party::of(local, Name::From).ok()?,
        remote: Party::of(remote, Name::To).ok()?,
        target,
        routes: routes.into(),
        local_cseq: u32::from_be_bytes(*local_cseq),
        remote_cseq: (flags & 8 != 0).then(|| u32::from_be_bytes(*remote_cseq)),
    })
}

fn part(rest: &mut &[u8]) -> Option<Box<[u8]>> {
    let (len, tail) = rest.split_first_chunk()?;
    let (part, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    *rest = tail;
    Some(part.into())
}
