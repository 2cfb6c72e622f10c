//! Datagrams that claim to be RTP: none panics, a payload lies inside of its packet, what is rewritten in place reads back and
//! changes nothing else, and the statistics of a stream follow whatever comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtp::{self, Header, Reception};
use std::time::Duration;

fuzz_target!(|packets: Vec<Vec<u8>>| {
    let mut reception = Reception::default();
    for (n, bytes) in packets.iter().take(64).enumerate() {
        let _ = rtp::is_rtcp(bytes);
        let Ok(header) = Header::parse(bytes) else { continue };
        assert!(header.payload_start <= header.payload_end && header.payload_end <= bytes.len());
        assert_eq!(header.payload(bytes).len(), header.payload_end - header.payload_start);
        let mut changed = bytes.clone();
        rtp::set_payload_type(&mut changed, 5);
        rtp::set_sequence(&mut changed, 6);
        rtp::set_timestamp(&mut changed, 7);
        rtp::set_ssrc(&mut changed, 8);
        rtp::set_marker(&mut changed);
        let read = Header::parse(&changed).expect("it is RTP still");
        let wanted = Header { payload_type: 5, marker: true, sequence: 6, timestamp: 7, ssrc: 8, ..header };
        assert_eq!(read, wanted);
        assert_eq!(read.payload(&changed), header.payload(bytes));
        let _ = reception.packet(header.ssrc, header.sequence);
        reception.timing(header.timestamp, 8000, Duration::from_millis(7 * n as u64));
        let _ = reception.report();
    }
});
