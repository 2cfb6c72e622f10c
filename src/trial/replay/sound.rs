//! The sound of an end: its packets leave when they left, and what comes is counted.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use media::rtp::{Header, Reception, is_rtcp};
use serde::Serialize;

use super::calls::Stream;
use crate::trial::step::whole;

/// The clock of the telephone's codecs, by which jitter is told in ms.
const CLOCK_HZ: u32 = 8_000;
/// So much of what was heard then must be heard now; the first and last packets may fall out.
const HEARD_SHARE: f64 = 0.9;
const HEARD_SLACK: u64 = 10;
const DATAGRAM_BYTES: usize = 2_048;
/// How often an even port is tried.
const TRIES: usize = 64;

/// A stream that is played.
pub struct Line {
    then: Stream,
    socket: UdpSocket,
    /// Its reports come here, and are not looked at.
    _reports: Option<UdpSocket>,
    target: Option<SocketAddr>,
    next: usize,
    sent: u64,
    heard: u64,
    reception: Reception,
    began: Instant,
}

/// What came of a stream.
#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    /// Which end.
    pub end: &'static str,
    /// Packets that it sent.
    pub sent: u64,
    /// Packets that came to it then.
    pub heard_then: u64,
    /// Packets that came to it now.
    pub heard_now: u64,
    /// Packets that did not come now, by their numbers.
    pub lost: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1), ms.
    pub jitter_ms: f64,
}

impl Line {
    /// Takes a pair of ports of `ip`.
    ///
    /// # Errors
    /// None is free.
    pub fn open(then: Stream, ip: IpAddr) -> anyhow::Result<Self> {
        let mut pair = None;
        for _ in 0..TRIES {
            let socket = UdpSocket::bind((ip, 0))?;
            let port = socket.local_addr()?.port();
            if port % 2 == 0
                && let Ok(reports) = UdpSocket::bind((ip, port + 1))
            {
                pair = Some((socket, Some(reports)));
                break;
            }
        }
        let (socket, reports) = pair.map_or_else(|| UdpSocket::bind((ip, 0)).map(|socket| (socket, None)), Ok)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            then,
            socket,
            _reports: reports,
            target: None,
            next: 0,
            sent: 0,
            heard: 0,
            reception: Reception::default(),
            began: Instant::now(),
        })
    }

    /// Where it was heard then, and is now.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn places(&self) -> anyhow::Result<(SocketAddr, SocketAddr)> {
        Ok((self.then.at, self.socket.local_addr()?))
    }

    /// The switch hears here.
    pub const fn speak_to(&mut self, target: SocketAddr) {
        self.target = Some(target);
    }

    /// Sends what was sent until `until` of then, and takes what has come.
    pub fn go_on(&mut self, until: Duration) {
        while let Some((at, packet)) = self.then.sent.get(self.next)
            && *at <= until
        {
            if let Some(target) = self.target {
                // What the kernel does not take is lost, as on any network.
                self.sent += u64::from(self.socket.send_to(packet, target).is_ok());
            }
            self.next += 1;
        }
        let mut datagram = [0; DATAGRAM_BYTES];
        while let Ok((length, _)) = self.socket.recv_from(&mut datagram) {
            let packet = datagram.get(..length).unwrap_or_default();
            if is_rtcp(packet) {
                continue;
            }
            if let Ok(header) = Header::parse(packet) {
                self.heard += 1;
                self.reception.packet(header.ssrc, header.sequence);
                self.reception.timing(header.timestamp, CLOCK_HZ, self.began.elapsed());
            }
        }
    }

    /// What came of it.
    pub fn heard(&self, end: &'static str) -> Heard {
        Heard {
            end,
            sent: self.sent,
            heard_then: self.then.heard,
            heard_now: self.heard,
            lost: self.reception.lost(),
            jitter_ms: f64::from(self.reception.jitter()) * 1_000.0 / f64::from(CLOCK_HZ),
        }
    }
}

impl Heard {
    /// Whether less was heard than then.
    pub fn difference(&self) -> Option<String> {
        let Self { end, heard_then, heard_now, .. } = self;
        let least = HEARD_SHARE * whole(*heard_then) - whole(HEARD_SLACK);
        (*heard_then > 0 && (*heard_now == 0 || whole(*heard_now) < least))
            .then(|| format!("{end}: {heard_now} packets of sound were heard, {heard_then} then"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_sound_than_then_is_a_difference() {
        let heard =
            |then, now| Heard { end: "caller", sent: 0, heard_then: then, heard_now: now, lost: 0, jitter_ms: 0.0 };
        assert_eq!(heard(100, 95).difference(), None);
        assert_eq!(heard(0, 50).difference(), None);
        assert!(heard(100, 70).difference().is_some_and(|told| told.contains("70 packets")));
        assert!(heard(5, 0).difference().is_some());
    }
}
