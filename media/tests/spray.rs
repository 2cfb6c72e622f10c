//! Somebody who sprays RTP and RTCP over every port of the switch.

mod common;

use common::*;
use media::Side;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[test]
fn spraying_every_port_changes_no_call_and_gets_not_one_byte_back() {
    let (pool, _threads) = running(config());
    let mut calls: Vec<_> = (0..20).map(|_| call(&pool, &[PCMU], &[PCMU])).collect();
    let ports: Vec<_> = calls
        .iter()
        .flat_map(|(flow, ..)| [Side::A, Side::B].map(|side| [flow.local(side), flow.local_rtcp(side)]))
        .flatten()
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let sprayer = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut fake = Phone::new(0xa); // even the SSRC of the callers
            let mut rounds = 0;
            while !over.load(SeqCst) || rounds < 10 {
                for port in &ports {
                    // A full socket buffer of ours is no reason to stop.
                    let _full = socket.send_to(&fake.packet(0, &[0x55; 160]), port);
                    let _full = socket.send_to(&[0x80, 203, 0, 1, 0, 0, 0, 0xa], port);
                }
                rounds += 1;
            }
            socket.set_nonblocking(true).unwrap();
            socket.recv(&mut [0; 16]).is_err()
        }
    });
    // The first packets of the calls come while it is raining already.
    for n in 0..30u8 {
        for (flow, caller, callee, _) in &mut calls {
            let sent = caller.send(flow.local(Side::A), 0, &[n; 160]);
            assert_eq!(callee.receive().bytes, sent);
            let sent = callee.send(flow.local(Side::B), 0, &[!n; 160]);
            assert_eq!(caller.receive().bytes, sent);
        }
    }
    over.store(true, SeqCst);
    assert!(sprayer.join().unwrap(), "the sprayer got an answer");
    assert!(pool.health(0).dropped.strangers > 0);
    for (flow, caller, callee, _) in &calls {
        let stats = flow.stats();
        assert_eq!((stats.a.packets_received, stats.b.packets_received), (30, 30));
        assert_eq!((stats.a.lost, stats.b.lost, stats.a.malformed), (0, 0, 0));
        assert!(caller.has_nothing() && callee.has_nothing());
    }
}
