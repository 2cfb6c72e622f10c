//! What a flow tells of its quality.

mod common;

use common::*;
use media::{Pool, Side};

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
