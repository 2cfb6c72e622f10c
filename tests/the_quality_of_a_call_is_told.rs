//! What was lost of a call, how the losses lie together, and what that leaves of it: in the record of the call, in the list of
//! those that are up, and in the figures for Prometheus. The losses are made by the phones, which leave packets out.

mod support;

use std::net::{SocketAddr, UdpSocket};

use serde_json::Value;
use support::config::{Config, IS_SINGLE};
use support::party::{End, Party, end_of, sdp};
use support::switch::Switch;
use support::wire::media_address;
use support::{PATIENCE, until};

/// Timestamp units of a packet: 20 ms at 8 kHz.
const PACKET_UNITS: u32 = 160;

/// R and MOS of PCMU with concealment, by ITU-T G.107 with Ie 0 and Bpl 25.1.
fn rating(lost_percent: f64, burst_ratio: f64) -> (f64, f64) {
    let r = 93.2 - 95.0 * lost_percent / (lost_percent / burst_ratio + 25.1);
    (r, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)
}

/// One end of a call: RTP on one port, RTCP on the next.
struct Ear {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    to: Option<SocketAddr>,
}

impl Ear {
    fn new() -> Self {
        let bind = |port: u16| UdpSocket::bind(("127.0.0.1", port)).ok();
        let pair = || {
            let rtp = bind(0)?;
            let rtcp = bind(rtp.local_addr().ok()?.port().checked_add(1)?)?;
            rtp.set_read_timeout(Some(PATIENCE)).ok()?;
            Some(Self { rtp, rtcp, to: None })
        };
        until(PATIENCE, pair).expect("two ports beside each other")
    }

    fn port(&self) -> u16 {
        self.rtp.local_addr().expect("bound").port()
    }

    /// Sends the packet of this number; the other end waits for it, so that nothing else gets lost.
    fn say(&self, number: u32, heard_by: &Ear) {
        let packet = self.send(number);
        let mut heard = [0; 2_048];
        let length = heard_by.rtp.recv(&mut heard).expect("what was said is heard");
        assert_eq!(heard[..length], packet[..]);
    }

    /// Sends the packet of this number.
    fn send(&self, number: u32) -> Vec<u8> {
        // Across the end of the numbers.
        let sequence = 65_000u16.wrapping_add(u16::try_from(number).expect("a short call"));
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((number * PACKET_UNITS).to_be_bytes());
        packet.extend(u32::from(self.port()).to_be_bytes());
        packet.extend([0x55; 160]);
        self.rtp.send_to(&packet, self.to.expect("connected")).expect("sent");
        packet
    }

    /// Reports that so many packets of the source were lost, the last of `fraction` / 256 of them (RFC 3550 section 6.4.2).
    fn report(&self, source: &Ear, lost: u8, fraction: u8, jitter: u32) {
        let mut packet = vec![0x81, 201, 0, 7];
        packet.extend(u32::from(self.port()).to_be_bytes());
        packet.extend(u32::from(source.port()).to_be_bytes());
        packet.extend([fraction, 0, 0, lost, 0, 0, 0, 0]);
        packet.extend(jitter.to_be_bytes());
        packet.extend([0; 8]);
        let rtp = self.to.expect("connected");
        self.rtcp.send_to(&packet, SocketAddr::new(rtp.ip(), rtp.port() + u16::from(!IS_SINGLE))).expect("sent");
    }
}

struct Call {
    switch: Switch,
    alice: Party,
    bob: Party,
    end: End,
    caller: Ear,
    callee: Ear,
}

impl Call {
    fn new() -> Self {
        let switch = Switch::start(Config::lab());
        let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
        let (mut caller, mut callee) = (Ear::new(), Ear::new());
        alice.begin("INVITE", "sip:bob@example.com", "", &sdp(1, caller.port(), &[0], "sendrecv"));
        let invite = bob.wire.receive("INVITE");
        bob.reply(&invite, "200 OK", "", &sdp(1, callee.port(), &[0], "sendrecv"));
        bob.wire.receive("ACK");
        let answer = alice.answer_to("INVITE", 200);
        let mut end = end_of(&answer);
        alice.say(&mut end, "ACK", "", "");
        (caller.to, callee.to) = (media_address(&answer), media_address(&invite));
        Self { switch, alice, bob, end, caller, callee }
    }

    /// The caller says `count` packets without those that are left out, the callee all of them.
    fn talk(&self, count: u32, left_out: impl Fn(u32) -> bool) {
        for number in 0..count {
            if !left_out(number) {
                self.caller.say(number, &self.callee);
            }
            self.callee.say(number, &self.caller);
        }
    }

    /// Hangs up; the record of the call.
    fn record(mut self) -> (Value, Switch) {
        self.alice.say(&mut self.end, "BYE", "", "");
        let bye = self.bob.wire.receive("BYE");
        self.bob.reply(&bye, "200 OK", "", "");
        let file = self.switch.data().join("calls.jsonl");
        let written = || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
        let text = until(PATIENCE, written).expect("a record");
        (serde_json::from_str(text.trim()).expect("one line of JSON"), self.switch)
    }
}

fn near(figure: &Value, expected: f64, within: f64) {
    let found = figure.as_f64().unwrap_or_else(|| panic!("{expected} expected, {figure} found"));
    assert!((found - expected).abs() <= within, "{expected} expected, {found} found");
}

#[test]
fn a_clean_call_is_told_with_the_best_score_of_its_codec() {
    let call = Call::new();
    call.talk(200, |_| false);

    let up = call.switch.get("/api/calls").1;
    near(&up["calls"][0]["media_b"]["mos"], 4.41, 0.005);
    let listed = call.switch.command(&["calls"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("4.4 / 4.4") && listed.contains("0.0% / 0.0%"), "{listed}");

    let (record, switch) = call.record();
    for media in [&record["media_a"], &record["media_b"]] {
        assert_eq!((&media["packets"], &media["lost"]), (&200.into(), &0.into()), "{record}");
        near(&media["r"], 93.2, 0.05);
        near(&media["mos"], 4.41, 0.005);
        assert_eq!((&media["burst"]["duration_ms"], &media["hears"]), (&0.0.into(), &Value::Null), "{record}");
    }
    let figures = switch.get_as_stranger("/metrics").1;
    let figures = figures.as_str().expect("text");
    for line in [
        "strowger_call_mos_bucket{from=\"caller\",le=\"4.34\"} 0",
        "strowger_call_mos_bucket{from=\"caller\",le=\"4.5\"} 1",
        "strowger_call_loss_ratio_bucket{from=\"callee\",le=\"0\"} 1",
        "strowger_call_jitter_seconds_count{from=\"callee\"} 1",
    ] {
        assert!(figures.contains(line), "{line} is missing in {figures}");
    }
}

#[test]
fn packets_that_are_missing_one_by_one_are_no_burst() {
    let call = Call::new();
    // One of twenty: 5 %.
    call.talk(1_000, |number| number % 20 == 10);

    let (record, _switch) = call.record();
    let (caller, callee) = (&record["media_a"], &record["media_b"]);
    assert_eq!((&caller["packets"], &caller["lost"]), (&950.into(), &50.into()), "{record}");
    assert_eq!((&caller["burst"]["density"], &caller["burst"]["duration_ms"]), (&0.0.into(), &0.0.into()), "{record}");
    near(&caller["burst"]["gap_density"], 0.05, 1e-6);
    near(&caller["burst"]["ratio"], 1.0, 0.0);
    let (r, mos) = rating(5.0, 1.0);
    near(&caller["r"], r, 0.1);
    near(&caller["mos"], mos, 0.01);
    // The other direction has nothing to do with it.
    assert_eq!((&callee["packets"], &callee["lost"]), (&1_000.into(), &0.into()), "{record}");
    near(&callee["mos"], 4.41, 0.005);
}

#[test]
fn packets_that_are_missing_in_rows_are_bursts_and_cost_more() {
    let call = Call::new();
    // Four of eighty: 5 % as well, in 12 bursts.
    call.talk(960, |number| (40..44).contains(&(number % 80)));

    let (record, _switch) = call.record();
    let caller = &record["media_a"];
    assert_eq!((&caller["packets"], &caller["lost"]), (&912.into(), &48.into()), "{record}");
    let burst = &caller["burst"];
    near(&burst["density"], 1.0, 1e-6);
    near(&burst["duration_ms"], 80.0, 0.05);
    near(&burst["gap_density"], 0.0, 0.0);
    near(&burst["gap_duration_ms"], 912.0 / 13.0 * 20.0, 0.05);
    near(&burst["ratio"], 4.0 * 0.95, 0.005);
    let (r, mos) = rating(5.0, 3.8);
    assert!(r < rating(5.0, 1.0).0);
    near(&caller["r"], r, 0.1);
    near(&caller["mos"], mos, 0.01);
}

#[test]
fn what_a_phone_reports_of_what_it_hears_is_told_beside_what_we_see() {
    let call = Call::new();
    call.talk(100, |_| false);
    // 20 of the 100 were lost behind us, with a jitter of 5 ms.
    call.callee.report(&call.caller, 20, 51, 40);
    let told =
        || Some(call.switch.get("/api/calls").1).filter(|calls| !calls["calls"][0]["media_b"]["hears"].is_null());
    until(PATIENCE, told).expect("the report is seen");

    let (record, _switch) = call.record();
    assert_eq!(record["media_a"]["lost"], 0, "{record}");
    near(&record["media_a"]["mos"], 4.41, 0.005);
    let hears = &record["media_b"]["hears"];
    assert_eq!(hears["lost"], 20, "{record}");
    near(&hears["loss"], 0.2, 1e-6);
    near(&hears["jitter_ms"], 5.0, 0.01);
    near(&hears["mos"], rating(20.0, 1.0).1, 0.01);
}

/// The blocks of the extended report in a compound packet, if it has one.
fn extended(mut packet: &[u8]) -> Option<&[u8]> {
    while let [_, kind, high, low, ..] = *packet {
        let (part, rest) = packet.split_at(4 + 4 * usize::from(u16::from_be_bytes([high, low])));
        if kind == 207 {
            return part.get(8..);
        }
        packet = rest;
    }
    None
}

#[test]
fn a_phone_that_asks_for_extended_reports_is_told_how_it_is_heard_and_its_wish_crosses_to_another_phone() {
    const WISH: &str = "a=rtcp-xr:stat-summary=loss voip-metrics\r\n";
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut caller = Ear::new();
    let asking = format!("{}{WISH}", sdp(1, caller.port(), &[0], "sendrecv"));

    alice.begin("INVITE", "sip:5500@example.com", "", &asking);
    let answer = alice.answer_to("INVITE", 200);
    assert!(answer.contains("\r\na=rtcp-xr:voip-metrics\r\n"), "{answer}");
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    caller.to = media_address(&answer);
    for number in (0..40).filter(|number| *number != 20) {
        caller.send(number);
    }
    caller.rtcp.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let source = u32::from(caller.port()).to_be_bytes();
    let (mut lost, mut datagram) = (0, [0; 1_500]);
    // The summary of what was lost since the last report, and the metrics (RFC 3611 sections 4.6 and 4.7), until all was told.
    let metrics = loop {
        let length = caller.rtcp.recv(&mut datagram).expect("a report in time");
        let Some(blocks) = extended(&datagram[..length]) else { continue };
        let (summary, metrics) = blocks.split_at(40);
        assert_eq!((&summary[..4], &summary[4..8]), (&[6, 0x80, 0, 9][..], &source[..]));
        assert_eq!((&metrics[..4], &metrics[4..8]), (&[7, 0, 0, 8][..], &source[..]));
        lost += summary[15];
        if summary[10..12] == 65_040u16.to_be_bytes() {
            break metrics.to_vec();
        }
    };
    // One of 40, in 256ths.
    assert_eq!((lost, metrics[8]), (1, 6));
    let r = f64::from(metrics[24]);
    assert!((r - rating(2.5, 1.0).0).abs() < 1.0, "R of {r}");
    alice.say(&mut end, "BYE", "", "");
    alice.answer_to("BYE", 200);

    alice.begin("INVITE", "sip:bob@example.com", "", &asking);
    let invite = bob.wire.receive("INVITE");
    assert!(invite.contains(WISH), "{invite}");
}
