//! What browsers speak beside media on the same port (RFC 7983): checks of ICE, and DTLS.
//!
//! A check costs an HMAC of a hundred bytes and is answered here. A step of a handshake costs as much as a hundred packets and is
//! left to the thread of [`handshakes`](super::super::handshakes).

use super::super::handshakes::Job;
use super::super::vocabulary::Remote;
use super::entry::{Entry, SideState, same_place};
use super::one::One;
use super::relay::Hands;
use crate::dtls::{Association, Role};
use crate::ice::Lite;
use crate::stun::ANSWER_BYTES_MAX;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is neither RTP nor RTCP by its first byte (RFC 7983 section 7).
#[inline]
pub fn is_other(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 64)
}

/// A side's ICE agent and DTLS association; it has one of them at least.
pub struct Web {
    lite: Option<Lite>,
    association: Option<Arc<Association>>,
    /// When it was last seen to consent.
    consented: Duration,
    /// It was, not too long ago.
    consents: bool,
    /// How what it hears becomes one stream.
    pub one: One,
}

impl Web {
    /// Whether an authentic check came from there.
    pub fn has_checked(&self, from: SocketAddr) -> bool {
        self.lite.as_ref().is_some_and(|lite| lite.has_checked(from))
    }
}

impl SideState {
    /// Takes over what was negotiated; the route is there already. An agent whose credentials stay goes on.
    pub fn take_web(&mut self, remote: &Remote, now: Duration) {
        let association = remote.dtls.as_ref().map(|handshake| Arc::clone(&handshake.0));
        if association.is_none() && remote.ice.is_none() {
            self.web = None;
            return;
        }
        let (before, one) = self.web.take().map_or((None, One::default()), |web| (web.lite, web.one));
        let lite = match (&remote.ice, before) {
            (Some(ice), Some(lite)) if *lite.ice() == **ice => Some(lite),
            (Some(ice), _) => Lite::new(ice),
            (None, _) => None,
        };
        self.web = Some(Box::new(Web { lite, association, consented: now, consents: true, one }));
        self.open_or_shut();
    }

    /// Whether anything may pass: keys where there are to be some, an address that a check has named, and consent.
    fn open_or_shut(&mut self) {
        let Some((web, route)) = self.web.as_ref().zip(self.route.as_mut()) else { return };
        route.shut = web.association.is_some() && self.guard.is_none() || route.ice && !(route.latched && web.consents);
    }

    /// The handshake that is for us to begin, and where its party is, once that is known.
    pub fn begins_at(&self) -> Option<(Arc<Association>, SocketAddr)> {
        let (web, route) = self.web.as_ref().zip(self.route.as_ref())?;
        let association = web.association.as_ref().filter(|association| association.role() == Role::Client)?;
        let due = association.keys().is_none() && !association.has_failed() && (route.latched || !route.ice);
        due.then(|| (Arc::clone(association), route.rtp))
    }

    /// True when the side's consent has just run out; it is sent nothing from now on.
    pub fn loses_consent(&mut self, limit: Duration, now: Duration) -> bool {
        let heard = self.quiet_since;
        let Some((web, route)) = self.web.as_mut().zip(self.route.as_ref()) else { return false };
        let last = web.consented.max(heard);
        let lost = route.ice && route.latched && web.consents && now.saturating_sub(last) >= limit;
        if lost {
            web.consents = false;
            self.open_or_shut();
        }
        lost
    }
}

impl Hands<'_> {
    /// A datagram that is no media, for a side with ICE or DTLS.
    pub fn web(&self, entry: &mut Entry, datagram: &[u8], from: SocketAddr) {
        match datagram.first() {
            Some(0..=3) => self.check(entry, datagram, from),
            Some(20..=63) => self.handshake(entry, datagram, from),
            _ => self.malformed(entry, from),
        }
    }

    fn check(&self, entry: &mut Entry, datagram: &[u8], from: SocketAddr) {
        let counters = entry.record.counters.get(self.side);
        let state = entry.sides.get_mut(self.side);
        let (Some(web), Some(route)) = (state.web.as_mut(), state.route.as_mut()) else { return };
        let mut out = [0; ANSWER_BYTES_MAX];
        let heard = web.lite.as_mut().map(|lite| lite.receive(datagram, from, &mut out)).unwrap_or_default();
        if let Some(answer) = heard.answer.and_then(|length| out.get(..length)) {
            let _lost = state.outlet.rtp().send_to(answer, from);
        }
        if !heard.authentic {
            if heard.answer.is_none() {
                self.stranger(counters, true);
            }
            return;
        }
        let moved = heard.nominated && !(route.latched && same_place(from, route.rtp));
        if moved {
            (route.rtp, route.rtcp, route.latched) = (from, from, true);
            entry.record.saw(self.side, state.remote_serial, |wanted| wanted.seen = Some(from));
        }
        if same_place(from, route.rtp) {
            (web.consented, web.consents) = (self.now, true);
        }
        state.open_or_shut();
        if moved && let Some((association, peer)) = state.begins_at() {
            let record = Arc::clone(&entry.record);
            self.pool.handshakes.submit(Job { record, side: self.side, association, peer, datagram: None });
        }
    }

    fn handshake(&self, entry: &mut Entry, datagram: &[u8], from: SocketAddr) {
        let counters = entry.record.counters.get(self.side);
        let state = entry.sides.get(self.side);
        let (Some(web), Some(route)) = (state.web.as_ref(), state.route.as_ref()) else { return };
        if !route.accepts(from) && !web.has_checked(from) {
            return self.stranger(counters, true);
        }
        let Some(association) = web.association.clone() else { return self.malformed(entry, from) };
        let record = Arc::clone(&entry.record);
        let job = Job { record, side: self.side, association, peer: from, datagram: Some(datagram.into()) };
        if !self.pool.handshakes.submit(job) {
            counters.unserved.add(1);
            self.vitals.unserved.add(1);
        }
    }
}
