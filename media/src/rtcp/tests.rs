use super::*;
use proptest::prelude::*;

fn interval() -> ReportInterval {
    ReportInterval { fraction_lost: 61, cumulative_lost: -3, highest_sequence: 0x1_0005, jitter: 17 }
}

#[test]
fn a_sender_report_with_block_and_bye_reads_back() {
    let info = SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 9, packets: 10, octets: 11 };
    let block = Block { ssrc: 5, interval: interval(), last_sr: 6, delay_since_last_sr: 7 };
    let report = Report { ssrc: 1, sender: Some(info), block: Some(block), cname: "a-switch", bye: true };
    let mut wire = [0; REPORT_BYTES_MAX];
    let length = report.write(&mut wire).unwrap();
    let parts: Vec<_> = parse(&wire[..length]).unwrap().collect();
    let [Part::Sender(1, read, mut blocks), Part::Other(202), Part::Goodbye] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((read, blocks.next(), blocks.next()), (info, Some(block), None));
}

#[test]
fn a_receiver_report_of_every_cname_length_is_whole_words_and_reads_back() {
    for length in 0..=CNAME_BYTES_MAX + 3 {
        let cname = "x".repeat(length);
        let block = Block { ssrc: 5, interval: interval(), last_sr: 0, delay_since_last_sr: 0 };
        let mut wire = [0; REPORT_BYTES_MAX];
        let written =
            Report { ssrc: 1, sender: None, block: Some(block), cname: &cname, bye: true }.write(&mut wire).unwrap();
        let parts: Vec<_> = parse(&wire[..written]).unwrap().collect();
        assert!(matches!(parts[..], [Part::Receiver(1, _), Part::Other(202), Part::Goodbye]), "{length}: {parts:?}");
    }
}

#[test]
fn round_trip_is_the_time_since_our_report_minus_the_peers_delay() {
    let report = middle(ntp(Duration::from_millis(1_000_000)));
    let block = Block {
        ssrc: 1,
        interval: interval(),
        last_sr: report,
        delay_since_last_sr: delay_units(Duration::from_millis(500)),
    };
    assert_eq!(block.round_trip(report, Duration::from_millis(620)), Some(Duration::from_millis(120)));
    assert_eq!(block.round_trip(report, Duration::from_millis(400)), None);
    assert_eq!(block.round_trip(report + 1, Duration::from_millis(620)), None);
    assert_eq!(Block { last_sr: 0, ..block }.round_trip(0, Duration::from_secs(1)), None);
}

#[test]
fn ntp_counts_from_1900_and_its_middle_is_sixteen_bits_of_each_half() {
    let time = ntp(Duration::from_millis(500));
    assert_eq!(time, 2_208_988_800 << 32 | 1 << 31);
    assert_eq!(middle(0x1122_3344_5566_7788), 0x3344_5566);
}

#[test]
fn the_interval_stays_in_the_bounds_of_rfc_3550() {
    assert!((2050..2056).contains(&next_interval(0).as_millis()));
    assert!((6150..6160).contains(&next_interval(u16::MAX).as_millis()));
}

#[test]
fn padding_in_the_middle_and_lengths_past_the_end_are_refused() {
    let mut wire = [0; REPORT_BYTES_MAX];
    let length = Report { ssrc: 1, sender: None, block: None, cname: "c", bye: false }.write(&mut wire).unwrap();
    assert!(parse(&wire[..length]).is_ok());
    assert!(parse(&wire[..length - 1]).is_err());
    wire[0] |= 0x20;
    assert!(parse(&wire[..length]).is_err());
    assert!(parse(&[]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        if let Ok(compound) = parse(&bytes) {
            for part in compound {
                if let Part::Sender(_, _, blocks) | Part::Receiver(_, blocks) = part {
                    prop_assert!(blocks.count() <= 31);
                }
            }
        }
    }
}
