use super::*;
use ::rtp::header::{Extension, Header as OracleHeader};
use ::rtp::packet::Packet as OraclePacket;
use proptest::prelude::*;
use std::time::Duration;
use webrtc_util::marshal::{Marshal, Unmarshal};

proptest! {
    #[test]
    fn the_parser_reads_what_the_rtp_crate_writes(
        marker: bool, pt in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
        csrc in prop::collection::vec(any::<u32>(), 0..15),
        extension in prop::option::of(prop::collection::vec(any::<u8>(), 1..16)),
        payload in prop::collection::vec(any::<u8>(), 0..200), padding: bool,
    ) {
        let mut header = OracleHeader {
            version: 2, marker, payload_type: pt, sequence_number: sequence, timestamp, ssrc, csrc,
            // The crate pads to four bytes; with nothing to pad it writes an invalid length of zero.
            padding: padding && payload.len() % 4 != 0, ..Default::default()
        };
        if let Some(bytes) = extension {
            header.extension = true;
            header.extension_profile = 0xbede;
            header.extensions.push(Extension { id: 1, payload: bytes.into() });
        }
        let wire = OraclePacket { header, payload: payload.clone().into() }.marshal().unwrap();
        let parsed = Header::parse(&wire);
        let theirs = OraclePacket::unmarshal(&mut wire.clone());
        prop_assert_eq!(parsed.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (parsed, theirs) {
            prop_assert_eq!(ours.payload_type, theirs.header.payload_type);
            prop_assert_eq!(ours.marker, theirs.header.marker);
            prop_assert_eq!(ours.sequence, theirs.header.sequence_number);
            prop_assert_eq!(ours.timestamp, theirs.header.timestamp);
            prop_assert_eq!(ours.ssrc, theirs.header.ssrc);
            prop_assert_eq!(ours.payload(&wire), &theirs.payload[..]);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic_and_the_payload_lies_inside(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(header) = Header::parse(&bytes) {
            prop_assert!(header.payload_start <= header.payload_end && header.payload_end <= bytes.len());
        }
    }

    #[test]
    fn a_written_header_parses_back(marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32) {
        let header = Header { payload_type, marker, sequence, timestamp, ssrc, payload_start: 12, payload_end: 12 };
        let mut wire = [0; HEADER_BYTES];
        header.write(&mut wire);
        prop_assert_eq!(Header::parse(&wire), Ok(header));
    }
}

#[test]
fn rewriting_changes_only_its_field() {
    let mut wire = [0x80, 0, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4, 0xaa];
    let before = Header::parse(&wire).unwrap();
    set_payload_type(&mut wire, 101);
    set_marker(&mut wire);
    set_ssrc(&mut wire, 0xdead_beef);
    let after = Header::parse(&wire).unwrap();
    assert_eq!(after, Header { payload_type: 101, marker: true, ssrc: 0xdead_beef, ..before });
    assert_eq!(wire[12], 0xaa);
}

#[test]
fn lengths_that_pass_the_end_are_refused() {
    let mut packet = [0u8; 20];
    packet[0] = 0x80;
    assert!(Header::parse(&packet).is_ok());
    for (first, last) in [(0x40, 0), (0x8f, 0), (0xa0, 0), (0xa0, 9), (0xa0, 255)] {
        packet[0] = first;
        packet[19] = last;
        assert_eq!(Header::parse(&packet), Err(Malformed), "{first:#x} {last}");
    }
    packet[0] = 0x90;
    packet[15] = 2; // two words of extension: 4 + 8 bytes after the header, but 8 are there
    assert_eq!(Header::parse(&packet), Err(Malformed));
}

#[test]
fn sequence_numbers_wrap_without_loss() {
    let mut stream = Reception::default();
    for n in 0..200_000u32 {
        stream.packet(1, (n % 65536) as u16);
    }
    assert_eq!(stream.lost(), 0);
    assert_eq!(stream.report().unwrap().highest_sequence, 199_999);
}

#[test]
fn gaps_are_lost_late_packets_are_not_and_duplicates_do_not_hide_loss() {
    let mut stream = Reception::default();
    assert_eq!(stream.packet(1, 10), Arrival::Restarted);
    assert_eq!(stream.packet(1, 13), Arrival::InOrder);
    assert_eq!(stream.lost(), 2);
    assert_eq!(stream.packet(1, 12), Arrival::Late);
    assert_eq!(stream.packet(1, 12), Arrival::Duplicate);
    assert_eq!(stream.packet(1, 13), Arrival::Duplicate);
    assert_eq!(stream.lost(), 1);
}

#[test]
fn the_report_gives_the_fraction_of_its_own_interval() {
    let mut stream = Reception::default();
    (0..100u16).filter(|n| n % 4 != 3 || *n == 99).for_each(|n| {
        stream.packet(1, n);
    });
    let first = stream.report().unwrap();
    assert_eq!((first.fraction_lost, first.cumulative_lost), (61, 24)); // 24 * 256 / 100
    (100..200u16).for_each(|n| {
        stream.packet(1, n);
    });
    let second = stream.report().unwrap();
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 24));
}

#[test]
fn one_wild_packet_is_suspect_and_two_in_a_row_are_a_restart() {
    let mut stream = Reception::default();
    stream.packet(1, 100);
    assert_eq!(stream.packet(1, 40_000), Arrival::Suspect);
    assert_eq!(stream.packet(1, 101), Arrival::InOrder);
    assert_eq!(stream.packet(1, 40_000), Arrival::Suspect);
    assert_eq!(stream.packet(1, 40_001), Arrival::Restarted);
    assert_eq!(stream.lost(), 0);
}

#[test]
fn jitter_is_zero_for_an_even_stream_and_converges_to_the_mean_deviation() {
    let mut even = Reception::default();
    let mut uneven = Reception::default();
    for n in 0..1000u32 {
        let at = Duration::from_millis(20 * u64::from(n));
        even.timing(160 * n, 8000, at);
        uneven.timing(160 * n, 8000, at + Duration::from_millis(u64::from(n % 2) * 10));
    }
    assert_eq!(even.jitter(), 0);
    assert!((78..=80).contains(&uneven.jitter()), "{}", uneven.jitter()); // 10 ms are 80 units
}

/// What the stream tells of its losses so far.
fn losses(stream: &Reception) -> crate::quality::Losses {
    let mut pattern = *stream.pattern();
    let (window, places) = stream.window();
    pattern.window(window, places);
    pattern.losses()
}

#[test]
fn overtaken_packets_leave_no_trace_in_the_pattern_of_losses() {
    let mut stream = Reception::default();
    for n in (0..400u16).step_by(4) {
        [n, n + 3, n + 1, n + 2].into_iter().for_each(|n| {
            stream.packet(1, n);
        });
    }
    let found = losses(&stream);
    assert_eq!((found.expected, found.lost, found.runs), (400, 0, 0));
}

#[test]
fn the_pattern_goes_on_over_a_new_source_and_over_a_wild_jump() {
    let mut stream = Reception::default();
    (65_500..=65_535).chain(0..100).filter(|n| *n != 7).for_each(|n: u16| {
        stream.packet(1, n);
    });
    (30_000..30_010).for_each(|n| {
        stream.packet(2, n);
    });
    // 200 numbers are missed at once: three windows.
    (30_210..30_220).for_each(|n| {
        stream.packet(2, n);
    });
    let found = losses(&stream);
    assert_eq!((found.expected, found.lost, found.runs, found.bursts), (136 + 220, 201, 2, 1));
    assert_eq!((found.burst_packets, found.burst_lost), (200, 200));
    assert_eq!(stream.lost(), 201);
}

#[test]
fn the_length_of_a_packet_is_measured_between_neighbours() {
    let mut stream = Reception::default();
    for n in [0u16, 1, 2, 5, 6] {
        stream.packet(1, n);
        stream.timing(160 * u32::from(n), 8000, Duration::from_millis(20 * u64::from(n)));
    }
    assert_eq!(stream.packet_units(), 160);
    // Silence in between says nothing of a packet.
    stream.packet(1, 7);
    stream.timing(160_000, 8000, Duration::from_secs(20));
    assert_eq!(stream.packet_units(), 160);
}

proptest! {
    #[test]
    fn however_packets_come_as_many_are_lost_as_never_came(
        come in prop::collection::vec(prop::bool::weighted(0.8), 1..600),
        first in any::<u16>(),
        swaps in prop::collection::vec((0usize..600, 1usize..30), 0..20),
    ) {
        let mut order: Vec<u16> = (0..600).zip(&come).filter(|(_, come)| **come).map(|(n, _)| n).collect();
        prop_assume!(!order.is_empty());
        for (at, by) in swaps {
            // The first of a stream says where it begins.
            let (at, to) = (1 + at % order.len(), 1 + at % order.len() + by);
            if to < order.len() {
                order.swap(at, to);
            }
        }
        let (least, most) = (order[0], *order.iter().max().unwrap());
        let mut stream = Reception::default();
        for n in &order {
            stream.packet(1, first.wrapping_add(*n));
        }
        let found = losses(&stream);
        prop_assert_eq!(found.expected, u64::from(most - least) + 1);
        // Swaps may add up to more than the window; what is that late counts as lost there.
        prop_assert!(found.lost >= stream.lost());
        if order.is_sorted() {
            prop_assert_eq!(found.lost, stream.lost());
        }
    }
}
