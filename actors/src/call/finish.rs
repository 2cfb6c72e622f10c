//! The end of a call: BYE to who is left, the media path closed, the record written.

use media::{FlowStats, Side};
use sip::{Method, Name, Status};

use super::Work;
use super::file::rfc3339;
use super::leg::{LegId, LegState};
use super::record::What;
use crate::figures::MediaFigures;
use crate::records::{CallDetail, EndedCall};
use crate::shared::unix_ms;

impl Work<'_> {
    /// Says BYE on a leg (RFC 3261 section 15.1.1).
    pub fn hang_up(&mut self, id: LegId, reason: Option<&str>) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if leg.state != LegState::Confirmed {
            return;
        }
        leg.state = LegState::Ending;
        leg.line = None;
        // A 2xx that waits for its ACK needs it before the BYE (section 13.2.2.4).
        if let Some((client, response)) = leg.ack_held.take() {
            self.send_ack(client, id, &response, None);
        }
        self.disarm_leg(id);
        let sent = self.send_inside(id, &Method::Bye, |mut writer| {
            if let Some(reason) = reason {
                writer.header(Name::Reason, reason);
            }
            writer.finish()
        });
        if sent.is_none() {
            self.untie(id);
        }
    }

    /// Says BYE to everybody who is left, and CANCEL to whoever still rings.
    pub fn hang_up_rest(&mut self, reason: Option<&str>) {
        self.cancel_forks(None, reason);
        let up: Vec<LegId> =
            self.state.legs.iter().filter(|leg| leg.state == LegState::Confirmed).map(|leg| leg.id).collect();
        for id in up {
            self.hang_up(id, reason);
        }
    }

    /// Ends the whole call, whatever it is doing.
    pub fn hang_up_all(&mut self, by: &str, cause: &str) {
        self.decided(None, cause.to_owned());
        if self.state.caller().is_some_and(|leg| leg.server.is_some() && leg.state == LegState::Early) {
            self.hang_up_rest(None);
            return self.refuse(Status::SERVICE_UNAVAILABLE, None, 41);
        }
        self.hang_up_rest(None);
        self.finish(by, cause, Status::OK, 16);
    }

    /// A party is not there any more: its leg ends without BYE, the other's with one.
    pub fn party_gone(&mut self, id: LegId, cause: &str) {
        self.untie(id);
        if self.transfer_left(id) {
            return;
        }
        self.hang_up_rest(None);
        self.finish("switch", cause, Status::OK, 41);
    }

    /// A 2xx of another branch of the first INVITE: acknowledged and ended, without touching the leg
    /// (RFC 3261 section 13.2.2.4).
    pub fn end_other_fork(&mut self, client: crate::shard::RequestId, id: LegId, response: &sip::Message) {
        let Some(leg) = self.state.leg(id) else { return };
        let Some(invite) = &leg.invite else { return };
        let Ok(mut dialog) = sip::dialog::Dialog::of_client(invite, response) else { return };
        let way = crate::outgoing::inside(self.core, &dialog, &leg.hop, leg.bound, leg.found.as_deref());
        let via = |branch: &str| crate::outgoing::via(self.core, way.hop(), branch);
        let ack = dialog.ack(response.cseq(), &via(&crate::shard::core::new_branch())).finish();
        let nobody = self.owner(LegId::NEWCOMER);
        self.core.ack_success(nobody, client, response.to_tag().unwrap_or_default(), ack, &way);
        let branch = crate::shard::core::new_branch();
        let bye = dialog.request(&Method::Bye, &via(&branch)).finish();
        self.core.request(nobody, &Method::Bye, &branch, &way, bye);
    }

    /// Closes the media path and writes the record; the call is over when its legs are.
    pub fn finish(&mut self, by: &str, cause: &str, status: Status, q850: u8) {
        if std::mem::replace(&mut self.state.finished, true) {
            return;
        }
        self.note(None, What::Ended { by: by.to_owned(), cause: cause.to_owned() });
        self.talk_over();
        self.play_over(status, cause);
        let core = self.core;
        for (_, timer) in self.state.timers.drain(..) {
            core.disarm(timer);
        }
        let stats = self.state.flow.take().map(|flow| {
            let stats = flow.stats();
            flow.close();
            stats
        });
        self.close_lines();
        self.drop_adding();
        for passed in std::mem::take(&mut self.state.passed) {
            self.drop_passed(&passed);
        }
        self.state.told.clear();
        if let Some(before) = self.state.transfer.take().and_then(|transfer| transfer.before) {
            before.close();
        }
        self.state.seated = None;
        self.state.group = None;
        (self.state.callee, self.state.parked) = (None, None);
        self.state.rings.clear();
        self.state.rung.clear();
        self.state.lines.clear();
        for leg in &mut self.state.legs {
            leg.line = None;
        }
        self.state.places.clear();
        self.state.under.clear();
        // Whoever still waits for an answer gets one: a call that has ended keeps no leg that nothing can end.
        let waiting: Vec<LegId> =
            self.state.legs.iter().filter(|l| !l.outgoing && l.state == LegState::Early).map(|l| l.id).collect();
        for id in waiting {
            if let Some((server, invite)) = self.state.leg_mut(id).and_then(|leg| leg.server.take()) {
                self.answer_plain(id, server, &invite, Status::TEMPORARILY_UNAVAILABLE, None);
            }
            self.untie(id);
        }
        self.write_record(by, cause, status, q850, stats);
        self.lamps();
    }

    fn write_record(&self, by: &str, cause: &str, status: Status, q850: u8, stats: Option<FlowStats>) {
        let facts = self.file.facts.borrow();
        let now = unix_ms();
        let answered = facts.answered_ms;
        let figures = |side| stats.as_ref().map_or_else(MediaFigures::default, |stats| MediaFigures::of(stats, side));
        let (media_a, media_b) = (figures(Side::A), figures(Side::B));
        media_a.count(&self.core.shared.counters.from_caller);
        media_b.count(&self.core.shared.counters.from_callee);
        let detail = CallDetail {
            id: self.key.name().into(),
            sip_call_id: facts.call_id.clone(),
            node: self.core.shared.settings().node.clone(),
            from: facts.from.clone(),
            to: facts.to.clone(),
            dialled: facts.dialled.clone(),
            started: rfc3339(facts.started_ms),
            answered: answered.map(rfc3339),
            ended: rfc3339(now),
            duration_ms: now - facts.started_ms,
            talk_ms: answered.map_or(0, |a| now - a),
            sip_status: status.code(),
            q850,
            hung_up_by: by.to_owned(),
            codec_a: facts.codec_a.clone(),
            codec_b: facts.codec_b.clone(),
            media_a,
            media_b,
            lines: self.state.lines_past.clone(),
            cause: cause.to_owned(),
            mail: self.mail_detail(answered.is_some()),
        };
        self.core.record_call(EndedCall { detail, started_ms: facts.started_ms, ended_ms: now });
    }
}
