//! RTCP: reports and farewells, read without copying and written into the caller's buffer (RFC 3550 section 6).
//!
//! Reading: [`parse`] checks a whole compound packet first, then [`Compound`] iterates over its parts; what the switch
//! does not use (source descriptions, feedback, most of XR) comes as [`Part::Other`] and is relayed by the pool, which changes no more
//! than the names and numbers of a stream that it has renamed itself ([`translate`]).
//! Writing: [`Report::write`] builds one compound packet: SR or RR, SDES with the CNAME, and BYE at the end of a stream;
//! [`Extended::write`] what stands behind it for who wants to know more.

use crate::rtp::{Malformed, ReportInterval};
use std::time::Duration;

mod extended;
mod translate;
mod voip_metrics;

pub use extended::{EXTENDED_BYTES_MAX, Extended, Metrics, Wanted};
pub use translate::{Translation, translate};
pub use voip_metrics::VoipMetrics;

#[cfg(test)]
mod tests;

/// Enough for any compound packet that [`Report::write`] builds.
pub const REPORT_BYTES_MAX: usize = 128;
/// Longest CNAME that is written; longer ones are cut.
pub const CNAME_BYTES_MAX: usize = 48;
/// Mean time between reports of a session of two (RFC 3550 section 6.2).
pub const INTERVAL_MEAN: Duration = Duration::from_secs(5);

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;
const BLOCK_BYTES: usize = 24;

/// The sender's half of an SR (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock as NTP timestamp, 32.32 seconds.
    pub ntp: u64,
    /// The same instant on the RTP clock.
    pub timestamp: u32,
    /// Packets sent since the start.
    pub packets: u32,
    /// Payload bytes sent since the start.
    pub octets: u32,
}

/// What a receiver says about one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The source that was received.
    pub ssrc: u32,
    /// Loss, highest sequence, jitter.
    pub interval: ReportInterval,
    /// Middle 32 bits of the NTP time of the last SR from that source; 0 if none.
    pub last_sr: u32,
    /// Time since that SR, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// SR, with its blocks.
    Sender(u32, SenderInfo, Blocks<'a>),
    /// RR, with its blocks.
    Receiver(u32, Blocks<'a>),
    /// BYE.
    Goodbye,
    /// XR (RFC 3611), with what it says of sound, if it does.
    Extended(Option<VoipMetrics>),
    /// Anything else, by packet type.
    Other(u8),
}

/// Report blocks, read one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

/// A compound packet whose lengths have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a>(&'a [u8]);

/// What [`Report::write`] writes.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Our source.
    pub ssrc: u32,
    /// Present makes it an SR, absent an RR.
    pub sender: Option<SenderInfo>,
    /// What we receive.
    pub block: Option<Block>,
    /// Canonical name; every compound carries it (RFC 3550 section 6.1).
    pub cname: &'a str,
    /// Ends with BYE.
    pub bye: bool,
}

/// Checks a datagram (RFC 3550 appendix A.2, with the reduced-size packets of RFC 5506): version 2, types 192 to 223,
/// lengths that end exactly at its end, padding only in the last packet.
///
/// # Errors
/// [`Malformed`].
pub fn parse(datagram: &[u8]) -> Result<Compound<'_>, Malformed> {
    let mut rest = datagram;
    if rest.is_empty() {
        return Err(Malformed);
    }
    while !rest.is_empty() {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let [flags, kind, _, _] = *head;
        let body = tail.get(body_bytes(head)..).ok_or(Malformed)?;
        if flags >> 6 != 2 || !(192..=223).contains(&kind) || (flags & 0x20 != 0 && !body.is_empty()) {
            return Err(Malformed);
        }
        rest = body;
    }
    Ok(Compound(datagram))
}

fn body_bytes(head: &[u8; 4]) -> usize {
    let [_, _, high, low] = *head;
    4 * usize::from(u16::from_be_bytes([high, low]))
}

impl<'a> Iterator for Compound<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let (head, tail) = self.0.split_first_chunk::<4>()?;
        let (body, rest) = tail.split_at_checked(body_bytes(head))?;
        self.0 = rest;
        let [flags, kind, _, _] = *head;
        let blocks_bytes = BLOCK_BYTES * usize::from(flags & 0x1f);
        let part = match kind {
            SENDER_REPORT => sender(body, blocks_bytes),
            RECEIVER_REPORT => {
                word(body, 0).and_then(|ssrc| Some(Part::Receiver(ssrc, Blocks(body.get(4..4 + blocks_bytes)?))))
            }
            GOODBYE => Some(Part::Goodbye),
            EXTENDED_REPORT => Some(Part::Extended(body.get(4..).and_then(VoipMetrics::find))),
            _ => None,
        };
        Some(part.unwrap_or(Part::Other(kind)))
    }
}

fn sender(body: &[u8], blocks_bytes: usize) -> Option<Part<'_>> {
    let info = SenderInfo {
        ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
        timestamp: word(body, 12)?,
        packets: word(body, 16)?,
        octets: word(body, 20)?,
    };
    Some(Part::Sender(word(body, 0)?, info, Blocks(body.get(24..24 + blocks_bytes)?)))
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (block, rest) = self.0.split_at_checked(BLOCK_BYTES)?;
        self.0 = rest;
        let loss = word(block, 4)?;
        let [fraction_lost, ..] = loss.to_be_bytes();
        Some(Block {
            ssrc: word(block, 0)?,
            interval: ReportInterval {
                fraction_lost,
                // 24 bits, signed: move them up and let the shift bring the sign down.
                cumulative_lost: i32::from_be_bytes((loss << 8).to_be_bytes()) >> 8,
                highest_sequence: word(block, 8)?,
                jitter: word(block, 12)?,
            },
            last_sr: word(block, 16)?,
            delay_since_last_sr: word(block, 20)?,
        })
    }
}

impl Block {
    /// Round trip from a block that answers the SR whose middle NTP bits are `report` and that left `since_report` ago
    /// (RFC 3550 section 6.4.1). `None` if it answers another one, or if the peer claims to have waited longer than that.
    pub fn round_trip(&self, report: u32, since_report: Duration) -> Option<Duration> {
        if self.last_sr == 0 || self.last_sr != report {
            return None;
        }
        since_report.checked_sub(Duration::from_micros(u64::from(self.delay_since_last_sr) * 1_000_000 / 65_536))
    }
}

/// The middle 32 bits of an NTP timestamp, as LSR wants them.
pub fn middle(ntp: u64) -> u32 {
    let [_, _, b0, b1, b2, b3, _, _] = ntp.to_be_bytes();
    u32::from_be_bytes([b0, b1, b2, b3])
}

/// NTP timestamp of a time since the Unix epoch.
pub fn ntp(since_unix_epoch: Duration) -> u64 {
    const UNIX_EPOCH_IN_NTP_SECONDS: u64 = 2_208_988_800;
    let fraction = (u64::from(since_unix_epoch.subsec_nanos()) << 32) / 1_000_000_000;
    since_unix_epoch.as_secs().wrapping_add(UNIX_EPOCH_IN_NTP_SECONDS) << 32 | fraction
}

/// A span of time in 1/65536 s, for DLSR.
pub fn delay_units(span: Duration) -> u32 {
    u32::try_from(span.as_micros().saturating_mul(65_536) / 1_000_000).unwrap_or(u32::MAX)
}

/// Time until the next report: the mean times 0.5 to 1.5, with the compensation of RFC 3550 section 6.3.1.
/// `random` is uniform in 0..=u16::MAX.
pub fn next_interval(random: u16) -> Duration {
    /// e - 3/2.
    const COMPENSATION: f64 = 1.218_28;
    INTERVAL_MEAN.mul_f64((0.5 + f64::from(random) / 65_535.0) / COMPENSATION)
}

impl Report<'_> {
    /// Writes the compound packet and returns its length; `None` if `out` is shorter than needed
    /// ([`REPORT_BYTES_MAX`] always suffices).
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut pen = Pen { out, at: 0 };
        let block_words: u16 = if self.block.is_some() { 6 } else { 0 };
        let count = u8::from(self.block.is_some());
        match self.sender {
            Some(info) => {
                pen.head(count, SENDER_REPORT, 6 + block_words)?;
                pen.words(&[self.ssrc])?;
                pen.bytes(&info.ntp.to_be_bytes())?;
                pen.words(&[info.timestamp, info.packets, info.octets])?;
            }
            None => {
                pen.head(count, RECEIVER_REPORT, 1 + block_words)?;
                pen.words(&[self.ssrc])?;
            }
        }
        if let Some(block) = self.block {
            let [_, l0, l1, l2] = block.interval.cumulative_lost.to_be_bytes();
            let loss = u32::from_be_bytes([block.interval.fraction_lost, l0, l1, l2]);
            let heard = block.interval;
            pen.words(&[
                block.ssrc,
                loss,
                heard.highest_sequence,
                heard.jitter,
                block.last_sr,
                block.delay_since_last_sr,
            ])?;
        }
        let cname = self.cname.as_bytes();
        let cname = cname.get(..CNAME_BYTES_MAX).unwrap_or(cname);
        // SSRC, item head, text, and one to four zeros that end the chunk at a word (RFC 3550 section 6.5).
        let chunk = (4 + 2 + cname.len()) / 4 * 4 + 4;
        pen.head(1, SOURCE_DESCRIPTION, u16::try_from(chunk / 4).ok()?)?;
        pen.words(&[self.ssrc])?;
        pen.bytes(&[1, u8::try_from(cname.len()).ok()?])?;
        pen.bytes(cname)?;
        pen.bytes([0u8; 4].get(..chunk - 6 - cname.len())?)?;
        if self.bye {
            pen.head(1, GOODBYE, 1)?;
            pen.words(&[self.ssrc])?;
        }
        Some(pen.at)
    }
}

/// Writes big-endian fields one after the other.
struct Pen<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.at..self.at + bytes.len())?.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    fn words(&mut self, words: &[u32]) -> Option<()> {
        words.iter().try_for_each(|word| self.bytes(&word.to_be_bytes()))
    }

    fn head(&mut self, count: u8, kind: u8, words: u16) -> Option<()> {
        let [high, low] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, high, low])
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|field| u32::from_be_bytes(*field))
}
