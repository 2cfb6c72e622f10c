//! The lines of a call beside its sound: pictures, text, fax, floor control.
//!
//! Each that is offered and can be carried gets a flow of its own beside that of the sound, on the same worker; what both parties
//! have agreed to passes as it came. A line has the same place in the descriptions of both legs. One that a party has given up is
//! closed, and the other party is told.

use media::{Carries, Flow, FlowSpec, MediaEvent, Owner, Side};
use sip::sdp::{AgreedMedia, MediaKind, Session, State};
use std::sync::Arc;
use std::time::Duration;

use super::leg::{Leg, LegId};
use super::record::What;
use super::{Work, media as audio};
use crate::figures::MediaFigures;
use crate::records::LineDetail;

/// Lines of a call beside its sound that are carried at once.
pub const LINES_MAX: usize = 7;

/// A line and its media path.
pub struct Line {
    /// Its place in the descriptions.
    pub at: usize,
    /// What it is.
    pub kind: MediaKind,
    /// It is no RTP.
    pub datagrams: bool,
    /// Its media path.
    pub flow: Flow,
}

/// The media paths of a call.
#[derive(Clone, Copy)]
pub struct Paths<'a> {
    /// Of its sound.
    pub sound: &'a Flow,
    /// Of what is beside it.
    pub lines: &'a [Line],
}

impl Paths<'_> {
    /// The media path of the line at `at`, if it is not the sound.
    pub fn line(&self, at: usize) -> Option<&Flow> {
        self.lines.iter().find(|line| line.at == at).map(|line| &line.flow)
    }
}

/// Where a description has its sound.
pub fn sound_at(description: &Session) -> Option<usize> {
    description.media.iter().position(|media| media.kind == MediaKind::Audio && media.port != 0)
}

/// Whether a leg has a line by the descriptions in force or previewed.
pub fn has(leg: &Leg, at: usize, kind: &MediaKind) -> bool {
    leg.exchange.agreed().iter().any(|stream| stream.line == at && stream.kind == *kind)
}

impl Work<'_> {
    /// Opens the media paths of the lines beside the sound that are offered, where there are none yet. A line for which there is no
    /// room is not carried.
    pub fn open_lines(&mut self, offer: &Session) {
        let Some(sound) = self.state.flow.as_ref() else { return };
        let worker = sound.id().worker;
        let (policy, first) = (self.relay_policy(), sound_at(offer));
        for (at, section) in offer.media.iter().enumerate().filter(|(at, _)| Some(*at) != first) {
            if !policy.carries(offer, section) || section.kind == MediaKind::Audio {
                continue;
            }
            match self.state.lines_beside.iter().find(|line| line.at == at).map(|line| line.kind == section.kind) {
                Some(true) => continue,
                Some(false) => self.close_line(at),
                None => {}
            }
            if self.state.lines_beside.len() >= LINES_MAX {
                return self.decided(None, "the call has as many lines as it may have");
            }
            let datagrams = section.is_datagrams();
            let carries = if datagrams { Carries::Datagrams } else { Carries::Rtp };
            // A picture may stand still as long as it likes; what happens to it is not what happens to the call.
            let spec = FlowSpec { worker: Some(worker), media_timeout: Some(Duration::ZERO), carries };
            // All that concerns the call of what a line tells is that keys are to be renewed.
            let call = Arc::clone(&self.core.media_events);
            let worn = move |key, event| {
                if matches!(event, MediaEvent::KeyWorn { .. }) {
                    call(key, event)
                }
            };
            let owner = Owner { key: self.key.0, events: Arc::new(worn) };
            match self.core.shared.pool.open(owner, spec) {
                Ok(flow) => {
                    let what = sip::text![
                        "opened ",
                        flow.local(Side::A),
                        " and ",
                        flow.local(Side::B),
                        " for ",
                        section.kind.as_str()
                    ];
                    self.note(None, What::Media { what: what.into() });
                    self.state.lines_beside.push(Line { at, kind: section.kind.clone(), datagrams, flow });
                }
                Err(error) => {
                    let what = format!("no media path for {}: {error}", section.kind.as_str());
                    self.note(None, What::Media { what: what.into() });
                }
            }
        }
    }

    /// Tells the pool where a leg's lines beside the sound are; one that it has given up is sent nothing more. A party that
    /// turns out only now to need a port of its own for one of them is to be told it ([`Work::retell`]).
    pub fn connect_lines(&mut self, id: LegId) {
        for (at, kind, flow) in self.state.lines_beside.iter().map(|line| (line.at, &line.kind, &line.flow)) {
            self.connect_line(id, (at, kind), flow);
        }
        let moved = self.has_moved_line(id);
        if let Some(leg) = self.state.leg_mut(id) {
            leg.retell |= moved;
        }
    }

    /// Whether a line that a leg has is at another port of ours than its party was told.
    pub fn has_moved_line(&self, id: LegId) -> bool {
        let Some(leg) = self.state.leg(id) else { return false };
        let told =
            |at: usize| leg.exchange.local().and_then(|ours| ours.media.get(at)).map_or(0, |section| section.port);
        let moved = |line: &Line| has(leg, line.at, &line.kind) && told(line.at) != line.flow.local(leg.side).port();
        self.state.lines_beside.iter().any(|line| told(line.at) != 0 && moved(line))
    }

    fn connect_line(&self, id: LegId, (at, kind): (usize, &MediaKind), flow: &Flow) {
        let Some(leg) = self.state.leg(id) else { return };
        let side = leg.side;
        let stream = leg.exchange.agreed().iter().find(|stream| stream.line == at && stream.kind == *kind);
        let Some((stream, agreement)) = stream.and_then(|s| Some((s, audio::agreement(s, leg.hop.remote)?))) else {
            return;
        };
        let what = described(stream, &agreement);
        let joined = leg.line_keys.with(&leg.keys, at, |keys| keys.join(&agreement));
        match joined {
            Some((secure, handshake)) => {
                if let Err(error) = audio::connect(flow, side, &agreement, secure, handshake) {
                    let what = sip::text!["a line is not connected: ", &error.to_string()];
                    return self.note(Some(id), What::Media { what: what.into() });
                }
            }
            // Never plain where it was to be SRTP.
            None => return self.note(Some(id), What::Media { what: "the keys of a line are of no use".into() }),
        }
        self.note(Some(id), What::Media { what: what.into() });
        flow.wake();
    }

    /// Closes the lines that one of the two parties of a call that is up does not have. The other one is offered its
    /// description without them.
    pub fn settle_lines(&mut self) {
        let Some((first, partner)) = self.state.first().zip(self.state.partner) else { return };
        if self.state.lines_beside.is_empty() || self.state.adding.is_some() {
            return;
        }
        let settled = |leg: &Leg| leg.exchange.state() == State::Stable;
        if ![first, partner].into_iter().all(|id| self.state.leg(id).is_some_and(settled)) {
            return;
        }
        let lacks = |work: &Self, id, at, kind: &MediaKind| work.state.leg(id).is_some_and(|leg| !has(leg, at, kind));
        let all: Vec<(usize, MediaKind)> =
            self.state.lines_beside.iter().map(|line| (line.at, line.kind.clone())).collect();
        for (at, kind) in all {
            let (one, two) = (lacks(self, first, at, &kind), lacks(self, partner, at, &kind));
            if !one && !two {
                continue;
            }
            self.close_line(at);
            for (id, lacks) in [(first, one), (partner, two)] {
                if let Some(leg) = self.state.leg_mut(id).filter(|_| !lacks) {
                    leg.retell = true;
                }
            }
        }
        for id in [first, partner] {
            self.retell(id);
        }
    }

    fn close_line(&mut self, at: usize) {
        let gone = self.state.lines_beside.iter().position(|line| line.at == at);
        if let Some(line) = gone.map(|gone| self.state.lines_beside.swap_remove(gone)) {
            self.end_line(&line);
            self.note(None, What::Media { what: sip::text!["line ", at as u64, " is closed"].into() });
        }
    }

    /// Closes all lines beside the sound.
    pub fn close_lines(&mut self) {
        for line in std::mem::take(&mut self.state.lines_beside) {
            self.end_line(&line);
        }
    }

    /// Closes the media path of a line; what has passed it is for the record of the call.
    fn end_line(&mut self, line: &Line) {
        let stats = line.flow.stats();
        line.flow.close();
        let from = |side| MediaFigures::of(&stats, side).packets;
        let (a, b) = (from(Side::A), from(Side::B));
        let same = |past: &&mut LineDetail| past.line == line.at && past.kind == line.kind.as_str();
        match self.state.lines_past.iter_mut().find(same) {
            Some(past) => (past.packets_a, past.packets_b) = (past.packets_a + a, past.packets_b + b),
            None => self.state.lines_past.push(LineDetail {
                line: line.at,
                kind: line.kind.as_str().to_owned(),
                packets_a: a,
                packets_b: b,
            }),
        }
    }
}

/// What the record says of a line.
fn described(stream: &AgreedMedia, agreement: &audio::Agreement) -> String {
    let keys = match (&agreement.keys, &agreement.dtls) {
        (Some(keys), _) => keys.local.suite.name(),
        (None, Some(_)) => "DTLS-SRTP",
        (None, None) => "plain",
    };
    sip::text![stream.kind.as_str(), " ", &agreement.codec, " at ", agreement.remote.rtp, ", ", keys]
}
