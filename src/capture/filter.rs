//! Which packets belong to a capture.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use sip::Message;
use sip::sdp::Session;

/// Most ports of sound that are remembered: some ten thousand calls.
const PORTS_MAX: usize = 100_000;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram with a SIP message.
    Sip,
    /// A segment of a connection of the switch.
    Stream,
    /// RTP or RTCP.
    Sound,
}

/// Decides by what has gone by.
pub struct Filter {
    sip: Vec<SocketAddr>,
    /// What one of a call's messages must have in it; all calls when there is none.
    text: Option<String>,
    /// The Call-IDs of the legs that belong to it.
    call_ids: HashSet<Vec<u8>>,
    /// The ids of the calls that belong to it: the switch writes a call's id into the Contact of each of its legs.
    calls: HashSet<Vec<u8>>,
    /// Where sound goes, as descriptions said.
    sound: HashSet<SocketAddr>,
}

impl Filter {
    /// Of a switch at these addresses, and of the calls with this text in one of their messages, or of all.
    pub fn new(sip: &[SocketAddr], text: Option<&str>) -> Self {
        Self {
            sip: sip.to_vec(),
            text: text.map(str::to_owned),
            call_ids: HashSet::new(),
            calls: HashSet::new(),
            sound: HashSet::new(),
        }
    }

    /// Whether a packet that did not belong to it may do so later: the first message of a call's other leg goes by before what
    /// joins them.
    pub fn may_belong(&self, packet: &[u8]) -> bool {
        self.text.is_some() && self.is_of_sip(packet)
    }

    fn is_of_sip(&self, packet: &[u8]) -> bool {
        let Ok(packet) = SlicedPacket::from_ethernet(packet) else { return false };
        let Some(TransportSlice::Udp(udp)) = packet.transport else { return false };
        let ports = [udp.source_port(), udp.destination_port()];
        self.sip.iter().any(|sip| ports.contains(&sip.port()))
    }

    /// What a packet is; `None` when it does not belong to the capture.
    pub fn judge(&mut self, packet: &[u8]) -> Option<Kind> {
        let packet = SlicedPacket::from_ethernet(packet).ok()?;
        let (from, to) = match packet.net? {
            NetSlice::Ipv4(ip) => (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr())),
            NetSlice::Ipv6(ip) => (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr())),
            NetSlice::Arp(_) => return None,
        };
        match packet.transport? {
            TransportSlice::Udp(udp) => {
                let ends = [SocketAddr::new(from, udp.source_port()), SocketAddr::new(to, udp.destination_port())];
                if ends.iter().any(|end| self.is_sip(end)) {
                    return self.message(udp.payload());
                }
                ends.iter().any(|end| self.sound.contains(end)).then_some(Kind::Sound)
            }
            TransportSlice::Tcp(tcp) => {
                let ends = [SocketAddr::new(from, tcp.source_port()), SocketAddr::new(to, tcp.destination_port())];
                // A connection is shared by many calls, and cut anywhere: of one call it is not kept.
                if self.text.is_some() || !ends.iter().any(|end| self.is_sip(end)) {
                    return None;
                }
                if let Ok(message) = Message::parse(tcp.payload().to_vec()) {
                    self.learn(&message);
                }
                Some(Kind::Stream)
            }
            _ => None,
        }
    }

    fn message(&mut self, payload: &[u8]) -> Option<Kind> {
        let message = Message::parse(payload.to_vec()).ok();
        if let Some(text) = &self.text {
            let message = message.as_ref()?;
            let own = own_call(message);
            let belongs = self.call_ids.contains(message.call_id())
                || own.is_some_and(|call| self.calls.contains(call))
                || payload.windows(text.len().max(1)).any(|window| window == text.as_bytes());
            if !belongs {
                return None;
            }
            if self.call_ids.len() < PORTS_MAX {
                self.call_ids.insert(message.call_id().to_vec());
                self.calls.extend(own.map(<[u8]>::to_vec));
            }
        }
        // What cannot be read is kept where all is: it may be what is looked for.
        if let Some(message) = &message {
            self.learn(message);
        }
        Some(Kind::Sip)
    }

    /// Takes down where the sound of a description goes, and its reports.
    fn learn(&mut self, message: &Message) {
        let Ok(session) = Session::parse(message.body()) else { return };
        for media in session.media.iter().filter(|media| media.port != 0) {
            if self.sound.len() < PORTS_MAX {
                self.sound.extend(session.rtp_target(media));
                self.sound.extend(session.rtcp_target(media));
            }
        }
    }

    fn is_sip(&self, end: &SocketAddr) -> bool {
        self.sip.iter().any(|sip| sip.port() == end.port() && (sip.ip() == end.ip() || sip.ip().is_unspecified()))
    }
}

/// The id of the switch's call that a Contact or Request-URI of its own names: `sip:ID-LEG@…`, sixteen hexadecimal digits.
pub fn own_call(message: &Message) -> Option<&[u8]> {
    let contact = message.contact().map(|contact| contact.uri);
    [contact, Some(message.request_uri())].into_iter().flatten().find_map(|uri| {
        let id = uri.strip_prefix(b"sip:")?.get(..17)?;
        let (id, dash) = id.split_at_checked(16)?;
        (dash == b"-" && id.iter().all(u8::is_ascii_hexdigit)).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn datagram(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([0; 6], [0; 6]).ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(from, to);
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn invite(call_id: &str, port: u16) -> String {
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn sound_belongs_to_it_once_a_description_has_said_where_it_goes() {
        let mut filter = Filter::new(&["127.0.0.1:5060".parse().unwrap()], None);
        let sound = datagram(4_000, 9_000, &[0x80; 20]);
        assert_eq!(filter.judge(&sound), None);
        assert_eq!(filter.judge(&datagram(7_000, 5_060, invite("x", 4_000).as_bytes())), Some(Kind::Sip));
        assert_eq!(filter.judge(&sound), Some(Kind::Sound));
        assert_eq!(filter.judge(&datagram(4_001, 9_001, &[0x80; 20])), Some(Kind::Sound), "its reports");
        assert_eq!(filter.judge(&datagram(53, 9_001, b"x")), None);
    }

    #[test]
    fn of_one_call_nothing_of_another_is_kept() {
        let mut filter = Filter::new(&["127.0.0.1:5060".parse().unwrap()], Some("mine"));
        assert_eq!(filter.judge(&datagram(7_000, 5_060, invite("other", 4_000).as_bytes())), None);
        assert_eq!(filter.judge(&datagram(4_000, 9_000, &[0x80; 20])), None);
        assert_eq!(filter.judge(&datagram(7_000, 5_060, invite("mine", 4_000).as_bytes())), Some(Kind::Sip));
        assert_eq!(filter.judge(&datagram(4_000, 9_000, &[0x80; 20])), Some(Kind::Sound));
    }

    #[test]
    fn the_other_leg_belongs_to_it_once_the_switch_has_named_the_call() {
        let mut filter = Filter::new(&["127.0.0.1:5060".parse().unwrap()], Some("mine"));
        let leg = |call_id: &str, port| {
            let text =
                invite(call_id, port).replace("Content-Type", "Contact: <sip:6b065c0f00000001-1@c>\r\nContent-Type");
            datagram(5_060, 7_000, text.as_bytes())
        };
        assert_eq!(filter.judge(&leg("other", 4_000)), None);
        assert!(filter.may_belong(&leg("other", 4_000)));
        assert_eq!(filter.judge(&leg("mine", 4_002)), Some(Kind::Sip));
        assert_eq!(filter.judge(&leg("other", 4_000)), Some(Kind::Sip));
        assert_eq!(filter.judge(&datagram(4_000, 9_000, &[0x80; 20])), Some(Kind::Sound));
    }

    #[test]
    fn what_is_no_packet_is_nothing() {
        let mut filter = Filter::new(&[], None);
        for length in 0..60 {
            assert_eq!(filter.judge(&vec![0; length]), None);
        }
    }
}
