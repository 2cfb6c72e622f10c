//! Numbers that the switch answers itself: echo, tone, announcement, music on hold.

use media::{Repeat, Side, Source};
use sip::Status;
use sip::sdp::{Direction, Session, answer, offer};
use std::sync::Arc;

use super::leg::LegId;
use super::{Work, media as audio};
use crate::conference::{NoEntry, Plan};
use crate::directory::ServiceKind;
use crate::shared::unix_ms;

/// Packet length that we ask for, ms.
pub const PTIME_MS: u16 = 20;
/// Level of the test tone, dBm0 (0 dBm0 as ITU-T G.711 has it).
const TONE_DBM0: f64 = -10.0;
/// Frequency of the test tone, Hz.
const TONE_HZ: f64 = 1000.0;

impl Work<'_> {
    /// Answers the caller as the service.
    pub fn serve(&mut self, kind: ServiceKind) {
        if self.state.caller().is_some_and(|caller| caller.server.is_none()) {
            // It has been answered, and waited in a ring group.
            self.state.service = Some(kind);
            return self.play();
        }
        if !self.open_media() {
            return self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
        }
        self.state.service = Some(kind);
        // What a reliable 18x has agreed on before (RFC 3262) stands.
        let agreed = self.state.caller().is_some_and(|caller| caller.exchange.state() == sip::sdp::State::Stable);
        let description = if agreed { None } else { self.own_description(LegId::CALLER) };
        if description.is_none() && !agreed {
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, None, 88);
        }
        self.core.shared.counters.calls_answered.increment(1);
        self.file.facts.borrow_mut().answered_ms = Some(unix_ms());
        let longest = self.core.shared.settings().sip.max_call_duration;
        self.arm(super::CallTimer::MaxDuration, longest);
        self.answer_caller(description);
        self.play();
        self.lamps();
    }

    /// Answers the caller as a conference.
    pub fn confer(&mut self, plan: &Arc<Plan>, number: &str) {
        if self.state.caller().is_some_and(|caller| caller.server.is_none()) {
            return self.move_into_conference(plan, number);
        }
        let who = (self.file.facts.borrow().from.clone(), self.key);
        match self.core.shared.conferences.enter(self.core, plan, number, who) {
            Ok(seated) => {
                if let Some(leg) = self.state.leg_mut(LegId::CALLER) {
                    leg.focus = true;
                }
                self.state.seated = Some(seated);
                self.serve(ServiceKind::Conference);
            }
            Err(why @ NoEntry::Full) => {
                self.decided(None, why.to_string());
                self.refuse(Status::BUSY_HERE, Some("Conference Is Full"), 17);
            }
            Err(why) => {
                self.decided(None, why.to_string());
                self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Conference"), 34);
            }
        }
    }

    /// Our description as the end point of a leg: the answer to its offer, or an offer where it made none.
    pub fn own_description(&self, id: LegId) -> Option<Session> {
        let (leg, paths) = (self.state.leg(id)?, self.state.paths()?);
        let mut spoken = self.relay_policy().coded.clone();
        if let Some(only) = &leg.codecs {
            spoken.retain(|spec| !spec.map.is_codec() || only.iter().any(|codec| codec.matches(&spec.map)));
        }
        if self.state.service == Some(ServiceKind::Conference) {
            // Wide band where the phone does it too.
            spoken.sort_by_key(|spec| match spec.map.encoding.as_str() {
                "opus" => 0,
                "G722" => 1,
                _ => 2,
            });
        }
        match leg.exchange.pending_offer() {
            Some(theirs) => {
                let our = audio::ours(paths, leg, Some(theirs));
                answer(theirs, &spoken, &our, Direction::SendRecv).ok().map(|answered| answered.session)
            }
            None => {
                let our = audio::ours(paths, leg, None);
                Some(offer(&spoken, &our, Direction::SendRecv, PTIME_MS))
            }
        }
    }

    /// Starts what the service plays.
    pub fn play(&mut self) {
        let (Some(kind), Some(flow)) = (self.state.service, &self.state.flow) else { return };
        let source = match kind {
            ServiceKind::Echo => Source::Echo,
            ServiceKind::Tone => Source::Tone { hz: TONE_HZ, dbm0: TONE_DBM0 },
            ServiceKind::Announcement => Source::Prompt(::media::prompt::announcement(), Repeat::Once),
            ServiceKind::Music => Source::MusicOnHold,
            ServiceKind::Confirmation => Self::confirmation(),
            ServiceKind::Conference => match &self.state.seated {
                Some(seated) => Source::Room(seated.member().clone()),
                None => Source::Silence,
            },
            // They say for themselves what is heard.
            ServiceKind::Voicemail | ServiceKind::Mailbox | ServiceKind::Attendant => Source::Silence,
        };
        audio::hear(flow, Side::A, source);
    }

    /// Whether both parties have to send: a caller need not before the answer, and neither party does while one holds
    /// (RFC 3264 section 8.4). Their time begins again with the answer, and when the call is resumed.
    fn must_sound(&self) -> bool {
        let holds = self.state.legs.iter().any(|leg| leg.state == super::leg::LegState::Confirmed && leg.holds);
        !holds && self.file.facts.borrow().answered_ms.is_some()
    }

    /// News from the pool.
    pub fn media_event(&mut self, event: ::media::MediaEvent) {
        use ::media::MediaEvent;
        let note = |work: &Self, what: String| work.note(None, super::What::Media { what: what.into() });
        match event {
            MediaEvent::FirstPacket(side) => note(self, format!("first packet on side {side:?}")),
            MediaEvent::TimedOut if !self.must_sound() => {
                note(self, "silence, as may be before the answer or on hold".into())
            }
            MediaEvent::TimedOut => {
                note(self, "silence past the media time-out".into());
                self.hang_up_all("switch", "no media for too long");
            }
            MediaEvent::SourceEnded(Side::A) if self.state.service == Some(ServiceKind::Announcement) => {
                note(self, "the announcement has ended".into());
                self.hang_up_all("switch", "the announcement has ended");
            }
            MediaEvent::SourceEnded(Side::A) if self.state.service == Some(ServiceKind::Confirmation) => {
                self.hang_up_all("switch", "done");
            }
            MediaEvent::SourceEnded(Side::A) if self.announced() => {}
            MediaEvent::SourceEnded(Side::A) if self.is_talking() => self.talk_played(),
            MediaEvent::SourceEnded(_) => {}
            MediaEvent::Dtmf { side, digit, duration_ms } => {
                self.pressed(side, sip::KeyPress { digit, duration_ms }, "");
            }
            MediaEvent::Secured(side) => note(self, format!("keys agreed with side {side:?} by DTLS")),
            MediaEvent::NotSecured(side, why) => {
                note(self, format!("side {side:?} has no keys: {why}"));
                self.hang_up_all("switch", "the media of a party cannot be protected");
            }
            MediaEvent::KeyWorn { side, ours } => self.key_worn(side, ours),
            MediaEvent::KeySpent { side, ours } => self.key_spent(side, ours),
            MediaEvent::ConsentLost(side) => note(self, format!("side {side:?} no longer answers for its address")),
            MediaEvent::Lost => {
                note(self, "the media path was lost".into());
                self.hang_up_all("switch", "the media path was lost");
            }
        }
    }
}
