//! What a flow tells of its quality.

mod common;

use ::rtcp::extended_report::ExtendedReport;
use ::rtcp::extended_report::ssr::StatisticsSummaryReportBlock;
use ::rtcp::extended_report::vm::VoIPMetricsReportBlock;
use common::*;
use media::rtcp::{Part, Wanted};
use media::{Pool, Remote, Side, Source};

/// The caller says packets without those that are left out, and each is heard before the next.
fn talk(flow: &media::Flow, caller: &mut Phone, callee: &Phone, count: u16, left_out: impl Fn(u16) -> bool) {
    for number in 0..count {
        let packet = caller.packet(0, &[0x55; 160]);
        if !left_out(number) {
            caller.rtp.send_to(&packet, flow.local(Side::A)).unwrap();
            callee.receive();
        }
    }
}

/// XR with VoIP metrics about a source (RFC 3611 section 4.7): 26 of 256 lost, 13 discarded, then R and MOS-CQ in tenths.
fn metrics(of: u32, r: u8, mos: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 207, 0, 10, 0, 0, 0, 0xb, 7, 0, 0, 8];
    packet.extend(of.to_be_bytes());
    packet.extend([26, 13, 128, 3, 0x01, 0x2c, 0x27, 0x10, 0, 90, 0, 60, 127, 127, 127, 16]);
    packet.extend([r, 127, mos, mos, 0x30, 0, 0, 45, 0, 80, 0, 120]);
    packet
}

fn report_and_wait(pool: &Pool, flow: &media::Flow, callee: &Phone, caller: &Phone, packet: &[u8]) {
    callee.rtcp.send_to(packet, flow.local_rtcp(Side::B)).unwrap();
    // Reports pass: once the other phone has it, its figures are there.
    assert_eq!(caller.receive_rtcp(), packet);
    settle(pool, flow);
}

#[test]
fn a_phone_that_scores_what_it_hears_is_believed_and_one_that_does_not_is_computed() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    talk(&flow, &mut caller, &callee, 20, |_| false);
    assert_eq!(flow.stats().heard(Side::B), None);

    report_and_wait(&pool, &flow, &callee, &caller, &metrics(0xa, 81, 40));
    let heard = flow.stats().heard(Side::B).unwrap();
    let rating = heard.rating.unwrap();
    assert_eq!((heard.loss, rating.r, rating.mos), (39.0 / 256.0, 81.0, 4.0));

    report_and_wait(&pool, &flow, &callee, &caller, &metrics(0xa, 127, 127));
    let computed = flow.stats().heard(Side::B).unwrap().rating.unwrap();
    let percent = 100.0 * 39.0 / 256.0;
    assert!((computed.r - (93.2 - 95.0 * percent / (percent + 25.1))).abs() < 0.01, "{computed:?}");
    assert_eq!(flow.stats().heard(Side::A), None);
}

#[test]
fn losses_and_their_pattern_outlive_the_worker() {
    let (pool, mut threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    talk(&flow, &mut caller, &callee, 100, |number| (40..44).contains(&number));
    let before = flow.stats().a.losses;
    assert_eq!((before.expected, before.lost, before.runs, before.bursts), (100, 4, 1, 1));

    pool.ask_panic(0);
    threads.remove(0).join();
    threads.push(pool.start_worker(0).unwrap());
    talk(&flow, &mut caller, &callee, 100, |number| (60..63).contains(&number));

    let after = flow.stats().a.losses;
    assert_eq!((after.expected, after.lost, after.runs, after.bursts), (200, 7, 2, 2));
    assert_eq!((after.burst_packets, after.burst_lost), (7, 7));
}

#[test]
fn a_call_in_which_nothing_was_said_has_no_score() {
    let (pool, _threads) = running(config());
    let (flow, ..) = call(&pool, &[PCMU], &[PCMU]);
    assert_eq!((flow.stats().quality(Side::A), flow.stats().quality(Side::B)), (None, None));
}

/// What the phone is told of its own sound, by another reader than ours.
fn extended(phone: &Phone) -> Option<ExtendedReport> {
    let packets = ::rtcp::packet::unmarshal(&mut &*phone.receive_rtcp()).unwrap();
    packets.iter().find_map(|packet| packet.as_any().downcast_ref::<ExtendedReport>().cloned())
}

#[test]
fn a_phone_is_told_what_it_has_asked_for_where_the_switch_is_its_end_and_nothing_else() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let all = Wanted { metrics: true, loss: true, duplicates: true, jitter: true };
    flow.connect(Side::A, Remote { reports: all, ..caller.remote(&[PCMU]) }).unwrap();
    flow.hear(Side::A, Source::Echo).unwrap();
    flow.hear(Side::B, Source::Silence).unwrap();
    settle(&pool, &flow);
    for number in 0..60 {
        let packet = caller.packet(0, &[0x55; 160]);
        if ![20, 22, 40].contains(&number) {
            caller.rtp.send_to(&packet, flow.local(Side::A)).unwrap();
            caller.receive();
        }
        if number == 30 {
            caller.rtp.send_to(&packet, flow.local(Side::A)).unwrap();
            caller.receive();
        }
    }
    let (mut lost, mut duplicates, mut first, mut end) = (0, 0, None, 0);
    let metrics = loop {
        let Some(report) = extended(&caller) else { continue };
        let [summary, metrics] = &report.reports[..] else { panic!("{report:?}") };
        let summary = summary.as_any().downcast_ref::<StatisticsSummaryReportBlock>().unwrap();
        assert_eq!(summary.ssrc, 0xa);
        assert!(first.is_none() || end == summary.begin_seq, "no number is left out between two");
        (first, end) = (first.or(Some(summary.begin_seq)), summary.end_seq);
        (lost, duplicates) = (lost + summary.lost_packets, duplicates + summary.dup_packets);
        if summary.end_seq == 1060 {
            break metrics.as_any().downcast_ref::<VoIPMetricsReportBlock>().unwrap().clone();
        }
    };
    assert_eq!((first, lost, duplicates), (Some(1000), 3, 1));
    // Three of 60; 20 and 22 are a burst of three packets, so that one of 57 is lost outside of it.
    assert_eq!((metrics.ssrc, metrics.loss_rate, metrics.burst_density, metrics.gap_density), (0xa, 13, 171, 4));
    let ours = flow.stats().quality(Side::A).unwrap();
    let rating = ours.rating.unwrap();
    assert_eq!((metrics.rfactor, metrics.mos_cq), (rating.r.round() as u8, (10.0 * rating.mos).round() as u8));

    // The callee has asked for nothing.
    let report = callee.receive_rtcp();
    assert!(!media::rtcp::parse(&report).unwrap().any(|part| matches!(part, Part::Extended(_))));
}
