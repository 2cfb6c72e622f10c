//! Whole packets: RTP to SRTP and back, RTCP to SRTCP and back.

use super::cipher::{Cipher, Kind, TAG_BYTES_MAX, Trailer};
use super::key::Key;
use super::window::{NoIndex, Source, Window};
use crate::rtp::HEADER_BYTES;
use std::sync::Arc;

/// What a packet grows by at most when it is sealed: a tag, and SRTCP's index.
pub const OVERHEAD_BYTES_MAX: usize = TAG_BYTES_MAX + INDEX_BYTES;

const INDEX_BYTES: usize = 4;
/// SRTCP's flag that says "encrypted" (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// Header and SSRC of an RTCP packet, which stay readable.
const RTCP_CLEAR_BYTES: usize = 8;

/// Why a packet was not protected or not opened. Nothing of it may be used then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It does not carry what its key would have given it: a wrong tag, not encrypted, another key, too short for either.
    #[error("the packet is not authentic (RFC 3711 section 3.3)")]
    Forged,
    /// Its index was seen before, or is too old to tell (RFC 3711 section 3.3.2).
    #[error("the packet was seen before")]
    Replayed,
    /// What is to be sealed is no packet, or its buffer has no room for the tag.
    #[error("no packet, or no room for its tag")]
    Unfit,
    /// The key has protected as much as it may (RFC 3711 section 9.2), or has as many sources as there is room for.
    #[error("the key has no room for another packet or source")]
    Exhausted,
}

impl From<NoIndex> for Refused {
    fn from(why: NoIndex) -> Refused {
        match why {
            NoIndex::Before => Refused::Replayed,
            NoIndex::Past => Refused::Exhausted,
        }
    }
}

/// One direction of what a party sends: opens. A key past its lifetime opens on: that is for the sender to keep, and for
/// the call to hear of ([`Key::wear`]).
pub struct Opener {
    work: Work,
}

/// One direction of what a party is sent: seals.
pub struct Sealer {
    work: Work,
}

struct Work {
    key: Arc<Key>,
    rtp: Cipher,
    rtcp: Cipher,
    /// Where the last packet's source was.
    hint: usize,
}

impl Work {
    fn new(key: &Arc<Key>) -> Option<Work> {
        let (rtp, rtcp) = (Cipher::new(&key.master, Kind::Rtp)?, Cipher::new(&key.master, Kind::Rtcp)?);
        Some(Work { key: Arc::clone(key), rtp, rtcp, hint: 0 })
    }
}

impl Opener {
    /// Derives the session keys; `None` if a library refuses the key, which has the right length by its type.
    pub fn new(key: &Arc<Key>) -> Option<Opener> {
        Work::new(key).map(|work| Opener { work })
    }

    /// The key.
    pub fn key(&self) -> &Arc<Key> {
        &self.work.key
    }

    /// Opens an SRTP packet in place and returns the length of the RTP packet (RFC 3711 section 3.3).
    ///
    /// # Errors
    /// [`Refused`].
    #[inline]
    pub fn rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let work = &mut self.work;
        let (clear, sequence, ssrc) = rtp_clear(packet).ok_or(Refused::Forged)?;
        let key = &*work.key;
        let known = key.sources.find(ssrc, work.hint);
        let fresh = Window::default();
        let window = known.and_then(|at| key.sources.get(at)).map_or(&fresh, |source| &source.rtp);
        let index = window.guess(sequence)?;
        window.judge(index).map_err(|_| Refused::Replayed)?;
        let (packet, tag) = split(packet, work.rtp.tag_bytes(), key.master.mki(), work.rtp.is_aead(), clear)?;
        let trailer = Trailer::Cycles(cycles(index));
        work.rtp.open(packet, clear, tag, ssrc, index, trailer).map_err(|_| Refused::Forged)?;
        let at = known.or_else(|| key.sources.add(ssrc)).ok_or(Refused::Exhausted)?;
        work.hint = at;
        key.sources.get(at).map(|source| source.rtp.note(index)).ok_or(Refused::Exhausted)?;
        key.sources.count_packet();
        Ok(packet.len())
    }

    /// Opens an SRTCP packet in place and returns the length of the RTCP packet (RFC 3711 section 3.4).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let work = &self.work;
        let key = &*work.key;
        let ssrc = rtcp_ssrc(packet).ok_or(Refused::Forged)?;
        // With an AEAD the tag comes before the index, without one behind it.
        let (packet, word, tag) = if work.rtcp.is_aead() {
            let (packet, mki) = tail(packet, key.master.mki().len())?;
            check_mki(mki, key)?;
            let (packet, word) = tail(packet, INDEX_BYTES)?;
            let (packet, tag) = tail(packet, work.rtcp.tag_bytes())?;
            (packet, word, tag)
        } else {
            let (packet, tag) = tail(packet, work.rtcp.tag_bytes())?;
            let (packet, mki) = tail(packet, key.master.mki().len())?;
            check_mki(mki, key)?;
            let (packet, word) = tail(packet, INDEX_BYTES)?;
            (packet, word, tag)
        };
        let word = word.first_chunk().map(|word| u32::from_be_bytes(*word)).ok_or(Refused::Forged)?;
        if word & ENCRYPTED == 0 || packet.len() < RTCP_CLEAR_BYTES {
            return Err(Refused::Forged);
        }
        let index = u64::from(word & !ENCRYPTED);
        let known = key.sources.find(ssrc, work.hint);
        let seen = |source: &Source| source.rtcp.judge(index).is_err();
        if known.and_then(|at| key.sources.get(at)).is_some_and(seen) {
            return Err(Refused::Replayed);
        }
        let opened = work.rtcp.open(packet, RTCP_CLEAR_BYTES, tag, ssrc, index, Trailer::Report(word));
        opened.map_err(|_| Refused::Forged)?;
        let at = known.or_else(|| key.sources.add(ssrc)).ok_or(Refused::Exhausted)?;
        key.sources.get(at).map(|source| source.rtcp.note(index)).ok_or(Refused::Exhausted)?;
        key.sources.count_report();
        Ok(packet.len())
    }
}

impl Sealer {
    /// Derives the session keys; `None` if a library refuses the key, which has the right length by its type.
    pub fn new(key: &Arc<Key>) -> Option<Sealer> {
        Work::new(key).map(|work| Sealer { work })
    }

    /// The key.
    pub fn key(&self) -> &Arc<Key> {
        &self.work.key
    }

    /// Seals the RTP packet in the first `length` bytes of `buffer` in place and returns the length of the SRTP packet. A
    /// packet that comes a second time is refused: its keystream has been used.
    ///
    /// # Errors
    /// [`Refused`].
    #[inline]
    pub fn rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        let work = &mut self.work;
        let tag_bytes = work.rtp.tag_bytes();
        let whole = buffer.get_mut(..length + tag_bytes).ok_or(Refused::Unfit)?;
        let (packet, tag_place) = whole.split_at_mut_checked(length).ok_or(Refused::Unfit)?;
        let (clear, sequence, ssrc) = rtp_clear(packet).ok_or(Refused::Unfit)?;
        let sources = &work.key.sources;
        if sources.packets() >= work.key.packets_max {
            return Err(Refused::Exhausted);
        }
        let at = sources.find(ssrc, work.hint).or_else(|| sources.add(ssrc)).ok_or(Refused::Exhausted)?;
        work.hint = at;
        let window = &sources.get(at).ok_or(Refused::Exhausted)?.rtp;
        let index = window.guess(sequence)?;
        window.judge(index).map_err(|_| Refused::Replayed)?;
        window.note(index);
        sources.count_packet();
        let tag = work.rtp.seal(packet, clear, ssrc, index, Trailer::Cycles(cycles(index))).ok_or(Refused::Unfit)?;
        tag_place.copy_from_slice(tag.get(..tag_bytes).ok_or(Refused::Unfit)?);
        Ok(length + tag_bytes)
    }

    /// Seals the RTCP packet in the first `length` bytes of `buffer` in place and returns the length of the SRTCP packet.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        let cipher = &self.work.rtcp;
        let tag_bytes = cipher.tag_bytes();
        let whole = buffer.get_mut(..length + tag_bytes + INDEX_BYTES).ok_or(Refused::Unfit)?;
        let (packet, rest) = whole.split_at_mut_checked(length).ok_or(Refused::Unfit)?;
        let ssrc = rtcp_ssrc(packet).ok_or(Refused::Unfit)?;
        let key = &self.work.key;
        let index = key.sources.next_report(key.reports_max).ok_or(Refused::Exhausted)?;
        let word = index | ENCRYPTED;
        let tag = cipher.seal(packet, RTCP_CLEAR_BYTES, ssrc, index.into(), Trailer::Report(word));
        let tag = tag.ok_or(Refused::Unfit)?;
        let (word_place, tag_place) = if cipher.is_aead() {
            rest.split_at_mut_checked(tag_bytes).map(|(tag, word)| (word, tag)).ok_or(Refused::Unfit)?
        } else {
            rest.split_at_mut_checked(INDEX_BYTES).ok_or(Refused::Unfit)?
        };
        word_place.copy_from_slice(&word.to_be_bytes());
        tag_place.copy_from_slice(tag.get(..tag_bytes).ok_or(Refused::Unfit)?);
        Ok(length + tag_bytes + INDEX_BYTES)
    }
}

/// Length of an RTP packet's header with sources and extension, its sequence number and its SSRC.
#[inline]
fn rtp_clear(packet: &[u8]) -> Option<(usize, u16, u32)> {
    let (fixed, rest) = packet.split_first_chunk::<HEADER_BYTES>()?;
    let [flags, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = *fixed;
    if flags >> 6 != 2 {
        return None;
    }
    let sources_bytes = 4 * usize::from(flags & 0x0f);
    let mut clear = HEADER_BYTES + sources_bytes;
    if flags & 0x10 != 0 {
        let [_, _, words_high, words_low] = *rest.get(sources_bytes..)?.first_chunk::<4>()?;
        clear += 4 + 4 * usize::from(u16::from_be_bytes([words_high, words_low]));
    }
    (clear <= packet.len()).then_some((clear, u16::from_be_bytes([s0, s1]), u32::from_be_bytes([c0, c1, c2, c3])))
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let (head, _) = packet.split_first_chunk::<RTCP_CLEAR_BYTES>()?;
    let [flags, _, _, _, c0, c1, c2, c3] = *head;
    (flags >> 6 == 2).then(|| u32::from_be_bytes([c0, c1, c2, c3]))
}

/// The roll-over counter in an index.
fn cycles(index: u64) -> u32 {
    u32::try_from(index >> 16).unwrap_or(u32::MAX)
}

/// Cuts tag and identifier off an SRTP packet: with an AEAD the identifier is last, without one the tag.
#[inline]
fn split<'a>(
    packet: &'a mut [u8],
    tag_bytes: usize,
    mki: &[u8],
    aead: bool,
    clear: usize,
) -> Result<(&'a mut [u8], &'a [u8]), Refused> {
    let (packet, found, tag) = if aead {
        let (packet, found) = tail(packet, mki.len())?;
        let (packet, tag) = tail(packet, tag_bytes)?;
        (packet, found, tag)
    } else {
        let (packet, tag) = tail(packet, tag_bytes)?;
        let (packet, found) = tail(packet, mki.len())?;
        (packet, found, tag)
    };
    if found != mki || packet.len() < clear {
        return Err(Refused::Forged);
    }
    Ok((packet, tag))
}

fn check_mki(found: &[u8], key: &Key) -> Result<(), Refused> {
    if found == key.master.mki() { Ok(()) } else { Err(Refused::Forged) }
}

#[inline]
fn tail(packet: &mut [u8], bytes: usize) -> Result<(&mut [u8], &[u8]), Refused> {
    let at = packet.len().checked_sub(bytes).ok_or(Refused::Forged)?;
    let (front, back) = packet.split_at_mut_checked(at).ok_or(Refused::Forged)?;
    Ok((front, back))
}
