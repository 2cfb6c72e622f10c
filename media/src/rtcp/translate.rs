//! Reports about a stream whose source and numbers were changed on its way, put right in place.
//!
//! Whoever hears a stream as another than it was sent must be told of it under the one name and reports of it under the same; its
//! sender knows it by the other.

use super::{BLOCK_BYTES, GOODBYE, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, body_bytes};

/// RTPFB (RFC 4585 section 6.1): its only format with sequence numbers that are known here is the generic NACK.
const TRANSPORT_FEEDBACK: u8 = 205;
const GENERIC_NACK: u8 = 1;
/// PSFB (RFC 4585 section 6.1) with PLI, and FIR, which names its target once more (RFC 5104 section 4.3.1).
const PAYLOAD_FEEDBACK: u8 = 206;
const FULL_INTRA_REQUEST: u8 = 4;
/// XR (RFC 3611 section 2).
const EXTENDED_REPORT: u8 = 207;

/// What became of a stream on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Its source as it was sent.
    pub from: u32,
    /// Its source as it is heard.
    pub to: u32,
    /// What was added to its sequence numbers.
    pub sequence: u16,
    /// What was added to its timestamps.
    pub timestamp: u32,
}

/// Puts a compound packet right that has been checked by [`super::parse`]. `sent` is what becomes of the stream of who wrote it,
/// `heard` what became of the stream that it hears and tells of.
pub fn translate(packet: &mut [u8], sent: Option<&Translation>, heard: Option<&Translation>) {
    let mut rest = packet;
    while let Some(head) = rest.first_chunk::<4>().copied() {
        let bytes = 4 + body_bytes(&head);
        let Some((part, tail)) = rest.split_at_mut_checked(bytes) else { return };
        translate_part(head, part, sent, heard);
        rest = tail;
    }
}

fn translate_part(head: [u8; 4], part: &mut [u8], sent: Option<&Translation>, heard: Option<&Translation>) {
    let [flags, kind, _, _] = head;
    let count = usize::from(flags & 0x1f);
    match kind {
        SENDER_REPORT => {
            if let Some(sent) = sent.filter(|sent| own(part, 4, sent)) {
                edit(part, 16, |timestamp| timestamp.wrapping_add(sent.timestamp));
            }
            blocks(part, 28, count, heard);
        }
        RECEIVER_REPORT => {
            rename(part, 4, sent);
            blocks(part, 8, count, heard);
        }
        GOODBYE => (0..count).for_each(|at| rename(part, 4 + 4 * at, sent)),
        // Of a single chunk the source stands where it does everywhere; phones write no others.
        SOURCE_DESCRIPTION => rename(part, 4, sent),
        TRANSPORT_FEEDBACK => {
            rename(part, 4, sent);
            if let Some(heard) = heard.filter(|heard| back(part, 8, heard))
                && flags & 0x1f == GENERIC_NACK
            {
                nacks(part, heard);
            }
        }
        PAYLOAD_FEEDBACK => {
            rename(part, 4, sent);
            if let Some(heard) = heard {
                back(part, 8, heard);
                if flags & 0x1f == FULL_INTRA_REQUEST {
                    (12..part.len()).step_by(8).for_each(|at| {
                        back(part, at, heard);
                    });
                }
            }
        }
        EXTENDED_REPORT => {
            rename(part, 4, sent);
            if let Some(heard) = heard {
                extended(part, heard);
            }
        }
        _ => {}
    }
}

/// The blocks of an extended report (RFC 3611 section 4), which lie behind each other.
fn extended(part: &mut [u8], heard: &Translation) {
    /// Run lengths of losses and of duplicates, times of receipt, and the statistics: a source, and a range of its numbers.
    const RANGES: [u8; 4] = [1, 2, 3, 6];
    const DLRR: u8 = 5;
    const VOIP_METRICS: u8 = 7;
    let mut at = 8;
    while let Some(head) = part.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let ([kind, ..], end) = (*head, at + 4 + body_bytes(head));
        match kind {
            VOIP_METRICS => {
                back(part, at + 4, heard);
            }
            // Who sent the reference time is its receiver.
            DLRR => (at + 4..end).step_by(12).for_each(|block| {
                back(part, block, heard);
            }),
            _ if RANGES.contains(&kind) && end >= at + 12 && back(part, at + 4, heard) => edit(part, at + 8, |range| {
                let [b0, b1, e0, e1] = range.to_be_bytes();
                let [b0, b1] = u16::from_be_bytes([b0, b1]).wrapping_sub(heard.sequence).to_be_bytes();
                let [e0, e1] = u16::from_be_bytes([e0, e1]).wrapping_sub(heard.sequence).to_be_bytes();
                u32::from_be_bytes([b0, b1, e0, e1])
            }),
            _ => {}
        }
        at = end;
    }
}

/// Report blocks: their source, and the highest number that was heard of it.
fn blocks(part: &mut [u8], from: usize, count: usize, heard: Option<&Translation>) {
    let Some(heard) = heard else { return };
    for at in (0..count).map(|block| from + BLOCK_BYTES * block) {
        if back(part, at, heard) {
            edit(part, at + 8, |highest| {
                let [c0, c1, s0, s1] = highest.to_be_bytes();
                let [s0, s1] = u16::from_be_bytes([s0, s1]).wrapping_sub(heard.sequence).to_be_bytes();
                u32::from_be_bytes([c0, c1, s0, s1])
            });
        }
    }
}

/// The first number of each entry of a generic NACK (RFC 4585 section 6.2.1); the mask is relative to it.
fn nacks(part: &mut [u8], heard: &Translation) {
    for at in (12..part.len()).step_by(4) {
        edit(part, at, |entry| {
            let [p0, p1, m0, m1] = entry.to_be_bytes();
            let [p0, p1] = u16::from_be_bytes([p0, p1]).wrapping_sub(heard.sequence).to_be_bytes();
            u32::from_be_bytes([p0, p1, m0, m1])
        });
    }
}

fn rename(part: &mut [u8], at: usize, sent: Option<&Translation>) {
    if let Some(sent) = sent {
        own(part, at, sent);
    }
}

/// Renames who sends; whether it was the one.
fn own(part: &mut [u8], at: usize, sent: &Translation) -> bool {
    swap(part, at, sent.from, sent.to)
}

/// Names a stream as its sender does; whether it was the one.
fn back(part: &mut [u8], at: usize, heard: &Translation) -> bool {
    swap(part, at, heard.to, heard.from)
}

fn swap(part: &mut [u8], at: usize, old: u32, new: u32) -> bool {
    let mut found = false;
    edit(part, at, |word| {
        found = word == old;
        if found { new } else { word }
    });
    found
}

fn edit(part: &mut [u8], at: usize, change: impl FnOnce(u32) -> u32) {
    if let Some(word) = part.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *word = change(u32::from_be_bytes(*word)).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Translation = Translation { from: 0xa, to: 0x1a, sequence: 100, timestamp: 5_000 };
    const HEARD: Translation = Translation { from: 0xb, to: 0x1b, sequence: 7, timestamp: 0 };

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn translated(packet: &[u32]) -> Vec<u8> {
        let mut packet = words(packet);
        assert!(super::super::parse(&packet).is_ok());
        translate(&mut packet, Some(&SENT), Some(&HEARD));
        packet
    }

    #[test]
    fn a_sender_is_renamed_with_its_clock_and_what_it_hears_is_named_as_it_was_sent() {
        let block = |ssrc, highest| [ssrc, 0, highest, 9, 8, 7];
        let report = |ssrc, timestamp, of, highest| {
            [
                &[0x81c8_000c, ssrc, 1, 2, timestamp, 3, 4][..],
                &block(of, highest)[..],
                &[0x81ca_0002, ssrc, 0x0101_6100][..],
            ]
            .concat()
        };
        let was = report(0xa, 1_000, 0x1b, 0x0003_0005);
        // Below the first number the cycle stays as it was: a figure in a report, not an index.
        assert_eq!(translated(&was), words(&report(0x1a, 6_000, 0xb, 0x0003_fffe)));
        let strangers = report(0xcc, 1_000, 0xdd, 5);
        assert_eq!(translated(&strangers), words(&strangers));
    }

    #[test]
    fn feedback_asks_for_what_was_sent() {
        // Generic NACK, PLI, FIR, BYE, XR.
        assert_eq!(translated(&[0x81cd_0003, 0xa, 0x1b, 0x0064_8001]), words(&[0x81cd_0003, 0x1a, 0xb, 0x005d_8001]));
        assert_eq!(translated(&[0x81ce_0002, 0xa, 0x1b]), words(&[0x81ce_0002, 0x1a, 0xb]));
        assert_eq!(
            translated(&[0x84ce_0004, 0xa, 0, 0x1b, 0x0500_0000]),
            words(&[0x84ce_0004, 0x1a, 0, 0xb, 0x0500_0000])
        );
        assert_eq!(translated(&[0x81cb_0001, 0xa]), words(&[0x81cb_0001, 0x1a]));
        assert_eq!(translated(&[0x80cf_0001, 0xa]), words(&[0x80cf_0001, 0x1a]));
    }

    #[test]
    fn extended_reports_name_the_stream_and_its_numbers_as_they_were_sent() {
        // Reference time, losses of a range, DLRR, statistics, a block that is too short for a range, metrics of another source.
        let report = |of, from_to, statistics, reference| {
            let mut all = vec![0x80cf_0017, 0x1a, 0x0400_0002, 1, 2, 0x0100_0003, of, from_to, 0x4000_0000];
            all.extend([0x0500_0003, reference, 3, 4, 0x06e0_0003, of, statistics, 9, 0x0600_0001, 0x1b]);
            all.extend([0x0700_0003, of, 5, 6, 0x0200_0000]);
            all[0] = 0x80cf_0000 + all.len() as u32 - 1;
            all
        };
        let mut was = report(0x1b, 0x0005_0009, 0x0007_0008, 0x1b);
        was[1] = 0xa;
        assert_eq!(translated(&was), words(&report(0xb, 0xfffe_0002, 0x0000_0001, 0xb)));
        let strangers = report(0x33, 0x0005_0009, 0x0007_0008, 0x33);
        assert_eq!(translated(&strangers), words(&strangers));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_a_fault_and_the_length_stays(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let before = bytes.len();
            translate(&mut bytes, Some(&SENT), Some(&HEARD));
            assert_eq!(bytes.len(), before);
        }
    }
}
