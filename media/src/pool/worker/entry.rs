//! What a worker keeps about a flow: an entry of its slab, with all that a packet needs and nothing behind a lock.

use super::super::book::FlowRecord;
use super::super::counters::{SideCounters, Vitals};
use super::super::port::Spots;
use super::super::sys;
use super::super::vocabulary::{PAYLOADS_MAX, Recording, Remote, Sides};
use super::DATAGRAM_BYTES_MAX;
use super::keys::Listener;
use super::play::{Playing, Speaker};
use super::shared::{Fragment, Outlet};
use super::transcode::Made;
use super::web::Web;
use crate::codec::{Codec, Payload};
use crate::dtmf::EventReceiver;
use crate::rtcp::Wanted;
use crate::rtp::{HEADER_BYTES, Reception};
use crate::sound::{Ear, Silence};
use crate::srtp::{OVERHEAD_BYTES_MAX, Opener, Refused, Sealer};
use smallvec::SmallVec;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A flow at work.
pub struct Entry {
    pub record: Arc<FlowRecord>,
    pub sides: Sides<SideState>,
    /// The slot is in the worker's list of playing flows.
    pub listed: bool,
    /// The time-out was told, and no packet came since.
    pub timed_out: bool,
    /// A side of it has a place in a room.
    pub in_room: bool,
    /// The recording that is made of it.
    pub recording: Option<Recording>,
}

impl Entry {
    /// Whether a side hears the other made anew: then each has us as its peer in RTCP.
    pub fn makes(&self) -> bool {
        self.sides.a.is_made() || self.sides.b.is_made()
    }
}

/// One side at work.
pub struct SideState {
    pub outlet: Outlet,
    /// What it is found by on the shared port.
    pub spots: Spots,
    pub fragment: Fragment,
    /// Absent until the side is connected.
    pub route: Option<Route>,
    /// Its keys at work; without them its media is plain.
    pub guard: Option<Box<Guard>>,
    /// ICE and DTLS, where it has one of them.
    pub web: Option<Box<Web>>,
    pub remote_serial: u32,
    pub source_serial: u32,
    pub lanes: Lanes,
    /// What it speaks, for its ear and its mouth.
    pub payloads: SmallVec<[Payload; 4]>,
    /// Listens to it, while a room or a recording does.
    pub ear: Option<Box<Ear>>,
    /// The [`SideState::remote_serial`] that the ear of a recording is for.
    pub eared: u32,
    /// What it is spoken to in.
    pub voice: Option<Payload>,
    /// How it is told silence, and the number of comfort noise that goes with what it is spoken to in.
    pub silence: (Silence, Option<u8>),
    /// Its telephone-events.
    pub keys: Option<Payload>,
    /// The call tells it keys by another way ([`Remote::told_keys`]).
    pub told_keys: bool,
    /// Listens to it for keys, while somebody wants to know them.
    pub listener: Option<Box<Listener>>,
    /// What says to it what the pool plays.
    pub speaker: Option<Box<Speaker>>,
    /// What makes anew for it what it does not understand of the other side.
    pub made: Option<Box<Made>>,
    pub playing: Playing,
    pub own: Stream,
    pub reception: Reception,
    pub events: EventReceiver,
    /// The next packet to the side starts something new.
    pub marker_due: bool,
    /// Since when a packet has been waited for.
    pub quiet_since: Duration,
    pub next_report: Duration,
    /// Middle of the NTP time of the last SR that the side got, and when.
    pub report_out: Option<(u32, Duration)>,
    /// The same of the last SR from the side.
    pub report_in: Option<(u32, Duration)>,
    pub last_wake: u32,
}

/// A side's keys at work.
pub struct Guard {
    pub opener: Opener,
    pub sealer: Sealer,
}

/// Where a side is.
#[derive(Clone, Copy)]
pub struct Route {
    pub rtp: SocketAddr,
    pub rtcp: SocketAddr,
    pub rtcp_mux: bool,
    pub behind_nat: bool,
    pub receive: bool,
    pub send: bool,
    pub ptime_ms: u32,
    /// Longer packets it cannot take; 0 says nothing.
    pub max_ptime_ms: u32,
    /// What it wants to be told of its sound.
    pub reports: Wanted,
    /// A packet was accepted: `rtp` is where it came from, and nothing else will do.
    pub latched: bool,
    pub rtcp_latched: bool,
    /// Checks say where it is: nobody is learned from packets, and the kernel keeps nobody out.
    pub ice: bool,
    /// An RTP packet was accepted.
    pub heard: bool,
    /// Nothing passes either way: its keys or its address are still to come, or it no longer consents.
    pub shut: bool,
    /// The kernel knows as well.
    pub connected: bool,
    /// Since a round of housekeeping before the last one, too.
    pub connected_long: bool,
    /// All that came before it was connected has been read: whatever is in the socket comes from `rtp`.
    pub sealed: bool,
}

impl Route {
    /// Shortest and longest packets that the pool generates.
    const PTIME_MS: std::ops::RangeInclusive<u8> = 10..=60;

    pub fn new(remote: &Remote, seen: Option<SocketAddr>, seen_rtcp: Option<SocketAddr>) -> Route {
        let rtp = seen.unwrap_or(remote.rtp);
        let after = |rtp: SocketAddr| SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
        let rtcp = seen_rtcp.or(remote.rtcp).unwrap_or(if remote.rtcp_mux { rtp } else { after(rtp) });
        let ice = remote.ice.is_some();
        Route {
            rtp,
            rtcp: if ice { rtp } else { rtcp },
            rtcp_mux: remote.rtcp_mux || ice,
            behind_nat: remote.behind_nat,
            receive: remote.receive,
            send: remote.send,
            ptime_ms: u32::from(remote.ptime_ms.clamp(*Self::PTIME_MS.start(), *Self::PTIME_MS.end())),
            max_ptime_ms: u32::from(remote.max_ptime_ms),
            reports: remote.reports,
            latched: seen.is_some(),
            rtcp_latched: seen_rtcp.is_some(),
            ice,
            heard: seen.is_some() && !ice,
            shut: false,
            connected: false,
            connected_long: false,
            sealed: false,
        }
    }

    /// Whether RTP from there is the side's.
    #[inline]
    pub fn accepts(&self, from: SocketAddr) -> bool {
        match self.ice {
            false => same_place(from, self.rtp) || (self.behind_nat && !self.latched && from.ip() == self.rtp.ip()),
            true => self.latched && same_place(from, self.rtp),
        }
    }

    /// Whether the side is sent what it should hear.
    #[inline]
    pub fn hears(&self) -> bool {
        self.receive && !self.shut
    }

    /// Whether RTCP from there is the side's.
    pub fn accepts_rtcp(&self, from: SocketAddr) -> bool {
        let learns = self.behind_nat && !self.rtcp_latched && !self.ice && from.ip() == self.rtp.ip();
        learns || same_place(from, self.rtcp) && (self.latched || !self.ice)
    }
}

/// Address and port agree. The kernel adds a scope to link-local IPv6 addresses, which SDP cannot say.
#[inline]
pub fn same_place(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip() == other.ip()
}

/// What one payload type of a side means, and what it becomes on the other side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    pub payload: Payload,
    /// `None`: the other side has no such format.
    pub across: Option<u8>,
    /// It is a codec that the pool decodes.
    pub sound: bool,
    /// It is that, or comfort noise.
    pub heard: bool,
}

impl Lane {
    /// Whatever it is, it passes as it is.
    const fn passing(pt: u8) -> Lane {
        let payload = Payload { pt, codec: Codec::Other, clock_hz: 8000, events: false };
        Lane { payload, across: Some(pt), sound: false, heard: false }
    }
}

/// The lanes of a side; none means that everything passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    lanes: [Lane; PAYLOADS_MAX],
    count: usize,
}

impl Lanes {
    const EMPTY: Lane = Lane::passing(0);

    pub const ANY: Lanes = Lanes { lanes: [Lanes::EMPTY; PAYLOADS_MAX], count: 0 };

    /// Matches the formats of `mine` with those of `other`. Where one of them has no list, numbers pass unchanged.
    pub fn new(mine: &Remote, other: Option<&Remote>) -> Lanes {
        let mut lanes = Lanes { count: mine.payloads.len().min(PAYLOADS_MAX), ..Lanes::ANY };
        for (lane, payload) in lanes.lanes.iter_mut().zip(&mine.payloads) {
            let across = match other {
                Some(other) if !other.payloads.is_empty() => other
                    .payloads
                    .iter()
                    .take(PAYLOADS_MAX)
                    .find(|theirs| theirs.same_format(payload) && !(theirs.events && other.told_keys))
                    .map(|theirs| theirs.pt),
                _ => Some(payload.pt),
            };
            let sound = payload.sound_hz().is_some();
            let heard = sound || payload.codec == Codec::ComfortNoise;
            *lane = Lane { payload: *payload, across, sound, heard };
        }
        lanes
    }

    /// What a payload type means; `None` if it was not negotiated.
    #[inline]
    pub fn find(&self, pt: u8) -> Option<Lane> {
        if self.count == 0 {
            return Some(Lane::passing(pt));
        }
        self.iter().find(|lane| lane.payload.pt == pt).copied()
    }

    /// All of them.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().take(self.count)
    }
}

/// The codec in which a side is spoken to: its first that the pool codes.
pub fn voice_of(remote: &Remote) -> Option<Payload> {
    remote.payloads.iter().take(PAYLOADS_MAX).find(|payload| payload.sound_hz().is_some()).copied()
}

/// How a side is told silence that the pool makes: as comfort noise where it has agreed to that at the clock of its voice
/// (RFC 3389 section 4), and in Opus as it likes. With the number of the noise.
pub fn silence_of(remote: &Remote, voice: Option<Payload>) -> (Silence, Option<u8>) {
    let Some(voice) = voice else { return (Silence::Coded, None) };
    if voice.codec == Codec::Opus {
        return (if remote.opus_dtx { Silence::Unsaid } else { Silence::Coded }, None);
    }
    let fits = |payload: &&Payload| payload.codec == Codec::ComfortNoise && payload.clock_hz == voice.clock_hz;
    match remote.payloads.iter().take(PAYLOADS_MAX).find(fits) {
        Some(noise) => (Silence::Noise, Some(noise.pt)),
        None => (Silence::Coded, None),
    }
}

/// The telephone-events that a side is told keys with: at the clock of its voice, if it has them there (RFC 4733 section 2.4.2).
pub fn keys_of(remote: &Remote, voice: Option<Payload>) -> Option<Payload> {
    let known = || remote.payloads.iter().take(PAYLOADS_MAX).filter(|payload| payload.events);
    let same_clock = |payload: &&Payload| voice.is_some_and(|voice| voice.clock_hz == payload.clock_hz);
    known().find(same_clock).or_else(|| known().next()).copied()
}

/// The stream that the pool itself sends to a side.
#[derive(Clone, Copy)]
pub struct Stream {
    pub ssrc: u32,
    pub next_sequence: u16,
    pub next_timestamp: u32,
    /// What an echo adds to the numbers of what it echoes.
    pub echo_ahead: u16,
    pub clock_hz: u32,
    /// Milliseconds of sound that are due but fill no packet yet.
    pub credit_ms: u32,
    /// Timestamp and time of the last packet, for SRs.
    pub last: Option<(u32, Duration)>,
    pub packets: u32,
    pub octets: u32,
    /// The last beat sent something: the next one goes on without a gap.
    pub flowing: bool,
}

impl SideState {
    /// Sends the RTP packet in the first `length` bytes of a buffer to the side and counts it; nothing waits if the kernel has
    /// no room. The buffer has room behind the packet for what SRTP adds, and is not a packet any more afterwards.
    #[inline]
    pub fn send(&mut self, buffer: &mut [u8], length: usize, counters: &SideCounters, vitals: &Vitals) {
        let Some(route) = self.route.as_ref().filter(|route| !route.shut) else { return };
        let sealed = match &mut self.guard {
            None => Ok(length),
            Some(guard) => match guard.sealer.rtp(buffer, length) {
                // The peer of this side has doubled it, or delayed it past all memory: its keystream is used.
                Err(Refused::Replayed) => return,
                Err(Refused::Exhausted) => {
                    counters.exhausted.add(1);
                    vitals.exhausted.add(1);
                    return;
                }
                sealed => sealed,
            },
        };
        let packet = sealed.ok().and_then(|sealed| buffer.get(..sealed));
        match packet.map(|packet| send(&self.outlet, route, packet, Some(length))) {
            Some(Ok(_)) => {
                counters.packets_sent.add(1);
                counters.bytes_sent.add(length as u64);
                vitals.packets_out.add(1);
            }
            Some(Err(_)) | None => {
                counters.send_failed.add(1);
                vitals.send_failed.add(1);
            }
        }
    }

    /// Sends a packet of our own stream, counting it for the SRs.
    pub fn send_own(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        timestamp: u32,
        now: Duration,
        counters: &SideCounters,
        vitals: &Vitals,
    ) {
        self.own.last = Some((timestamp, now));
        self.own.packets = self.own.packets.wrapping_add(1);
        let payload_bytes = u32::try_from(length.saturating_sub(HEADER_BYTES)).unwrap_or(0);
        self.own.octets = self.own.octets.wrapping_add(payload_bytes);
        self.send(buffer, length, counters, vitals);
    }

    /// Sends an RTCP packet to the side; what the kernel does not take is lost, as RTCP may be.
    pub fn send_rtcp(&mut self, packet: &[u8]) {
        let Some(route) = self.route.as_ref().filter(|route| !route.shut) else { return };
        let mut buffer = [0; DATAGRAM_BYTES_MAX + OVERHEAD_BYTES_MAX];
        let packet = match &mut self.guard {
            None => packet,
            Some(guard) => {
                let Some(place) = buffer.get_mut(..packet.len()) else { return };
                place.copy_from_slice(packet);
                match guard.sealer.rtcp(&mut buffer, packet.len()) {
                    Ok(sealed) => buffer.get(..sealed).unwrap_or_default(),
                    Err(_) => return,
                }
            }
        };
        let _lost = match &self.outlet {
            Outlet::Own(pair) if !route.rtcp_mux => pair.rtcp.send_to(packet, route.rtcp),
            Outlet::Own(_) => send(&self.outlet, route, packet, None),
            Outlet::Shared(shared) => shared.send(packet, if route.rtcp_mux { route.rtp } else { route.rtcp }, None),
        };
    }
}

/// `counted` is what the packet counts for as media of the side.
#[inline]
fn send(outlet: &Outlet, route: &Route, packet: &[u8], counted: Option<usize>) -> io::Result<usize> {
    let pair = match outlet {
        Outlet::Own(pair) => pair,
        Outlet::Shared(shared) => return shared.send(packet, route.rtp, counted),
    };
    let once = || {
        if route.connected { sys::send(&pair.rtp, packet) } else { pair.rtp.send_to(packet, route.rtp) }
    };
    // An ICMP error of an earlier packet is reported instead of sending this one: it says nothing about this one.
    once().or_else(|error| if error.kind() == io::ErrorKind::ConnectionRefused { once() } else { Err(error) })
}
