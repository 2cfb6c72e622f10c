//! Fax and floor control: datagrams that nobody looks into pass both ways beside the sound, in both port modes, and the call's
//! record tells of them.

mod support;

use std::net::{SocketAddr, UdpSocket};

use serde_json::json;
use support::config::Config;
use support::party::{Party, end_of, idle};
use support::switch::Switch;
use support::wire::status;
use support::{PATIENCE, until};

/// Where a party takes its datagrams.
fn end() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// A description with sound, a fax line and a floor control line at these.
fn description(fax: &UdpSocket, floor: &UdpSocket) -> String {
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
         m=image {} udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n\
         m=application {} UDP/BFCP *\r\na=floorctrl:c-s\r\na=confid:1\r\na=userid:2\r\na=floorid:1 mstrm:10\r\n",
        port(fax),
        port(floor),
    )
}

/// Where a description wants a line of this kind to be sent.
fn at(message: &str, kind: &str) -> SocketAddr {
    let line = message.lines().find(|line| line.starts_with(&format!("m={kind} "))).expect("the line");
    let port = line.split(' ').nth(1).and_then(|port| port.parse().ok()).expect("a port");
    assert_ne!(port, 0, "{line} is refused: {message}");
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn passes(from: &UdpSocket, to_switch: SocketAddr, to: &UdpSocket, datagram: &[u8]) {
    from.send_to(datagram, to_switch).expect("sent");
    let mut buffer = [0; 2_048];
    let length = to.recv(&mut buffer).expect("the datagram comes");
    assert_eq!(&buffer[..length], datagram);
}

#[test]
fn fax_and_floor_control_pass_as_they_came_and_are_in_the_record() {
    for mode in ["range", "single"] {
        let switch = Switch::start(Config::lab().set("media", "port_mode", &format!("{mode:?}")));
        let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
        let (fax, floor) = ((end(), end()), (end(), end()));
        alice.begin("INVITE", "sip:bob@example.com", "", &description(&fax.0, &floor.0));
        let invite = bob.wire.receive("INVITE");
        for kept in ["a=T38FaxUdpEC:t38UDPRedundancy", "a=floorctrl:", "m=image ", " udptl t38", " UDP/BFCP *"] {
            assert!(invite.contains(kept), "{kept} is lost: {invite}");
        }
        bob.reply(&invite, "200 OK", "", &description(&fax.1, &floor.1));
        bob.wire.receive("ACK");
        let answer = alice.answer_to("INVITE", 200);
        assert_eq!(status(&answer), Some(200), "{answer}");
        let mut dialog = end_of(&answer);
        alice.say(&mut dialog, "ACK", "", "");

        // A fax packet looks like nothing; that of a floor like a version of RTP that there is not.
        for number in 0..10_u8 {
            for (ends, kind, first) in [(&fax, "image", 0x00), (&floor, "application", 0x20)] {
                let datagram = [&[first, number][..], &[number; 60]].concat();
                passes(&ends.0, at(&answer, kind), &ends.1, &datagram);
                passes(&ends.1, at(&invite, kind), &ends.0, &datagram);
            }
        }
        // A stranger's datagram gets nowhere.
        let stranger = end();
        stranger.send_to(&[0, 99, 99], at(&invite, "image")).expect("sent");
        passes(&fax.0, at(&answer, "image"), &fax.1, &[0, 10, 1]);

        let call = dialog.call_id.clone();
        alice.say(&mut dialog, "BYE", "", "");
        let bye = bob.wire.receive("BYE");
        bob.reply(&bye, "200 OK", "", "");
        idle(&switch);
        let record = until(PATIENCE, || {
            let record = switch.get(&format!("/api/calls/{call}")).1;
            record["ended"].is_object().then_some(record)
        });
        let lines = record.expect("the call's record")["ended"]["lines"].clone();
        let wanted = json!([
            { "line": 1, "kind": "image", "packets_a": 11, "packets_b": 10 },
            { "line": 2, "kind": "application", "packets_a": 10, "packets_b": 10 },
        ]);
        assert_eq!(lines, wanted, "{mode}");
    }
}
