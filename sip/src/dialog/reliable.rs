//! Reliable provisional responses (RFC 3262): numbers and order. Their retransmission is the transaction layer's.

use crate::value::{is_token, number, trim};
use crate::{Message, Name, Status};

/// Largest first RSeq (RFC 3262 section 3).
const FIRST_MAX: u32 = (1 << 31) - 1;

/// RAck of a PRACK (section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq number of the response.
    pub cseq: u32,
    /// CSeq method of the response.
    pub method: &'a [u8],
}

impl<'a> RAck<'a> {
    /// Reads the RAck of a PRACK; `None` when it is missing or malformed: answered 400.
    pub fn of(prack: &'a Message) -> Option<Self> {
        let mut parts =
            prack.value(Name::RAck)?.split(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n')).filter(|p| !p.is_empty());
        let mut next_number = || {
            let part = parts.next()?;
            u32::try_from(number(part, u64::from(u32::MAX))?).ok()
        };
        let (rseq, cseq) = (next_number()?, next_number()?);
        let method = parts.next().filter(|m| is_token(m))?;
        (parts.next().is_none() && rseq > 0).then_some(Self { rseq, cseq, method })
    }
}

/// Numbers of the reliable provisional responses that we send to one INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    cseq: u32,
    last: u32,
}

impl Sent {
    /// For the INVITE with number `cseq`; `random` is any number, the first RSeq comes from it (section 3).
    pub const fn new(cseq: u32, random: u32) -> Self {
        Self { cseq, last: random % (FIRST_MAX - 1) }
    }

    /// The RSeq of the next response: one higher each time.
    pub const fn next_rseq(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// The RSeq that a PRACK acknowledges, when it speaks of this INVITE; else it is answered 481.
    pub fn acknowledged(&self, prack: &RAck<'_>) -> Option<u32> {
        (prack.cseq == self.cseq && prack.method == b"INVITE" && prack.rseq <= self.last).then_some(prack.rseq)
    }
}

/// What to do with a provisional response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not reliable: use it.
    Plain,
    /// Use it and send PRACK with this RAck value.
    Prack(String),
    /// Seen before, or out of order: neither used nor acknowledged (section 4).
    Drop,
}

/// Order of the reliable provisional responses that we get in one early dialog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    last: Option<u32>,
}

impl Received {
    /// Judges a response (section 4). A reliable one without a readable RSeq is dropped.
    pub fn judge(&mut self, response: &Message) -> Verdict {
        let provisional = response.status().is_some_and(Status::is_provisional);
        if !provisional || response.status() == Some(Status::TRYING) || !response.lists(Name::Require, "100rel") {
            return Verdict::Plain;
        }
        let value = response.value(Name::RSeq).map(trim).unwrap_or_default();
        let rseq = number(value, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
        let Some(rseq) = rseq.filter(|n| *n > 0) else {
            return Verdict::Drop;
        };
        if self.last.is_some_and(|last| rseq != last.wrapping_add(1)) {
            return Verdict::Drop;
        }
        self.last = Some(rseq);
        Verdict::Prack(format!("{rseq} {} {}", response.cseq(), response.method()))
    }
}
