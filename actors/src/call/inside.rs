//! Requests inside the dialogs of a call.

use sip::dialog::reliable::RAck;
use sip::sdp::Meaning;
use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Name, Status};

use super::Work;
use super::leg::{Leg, LegId, LegState, Unpracked};
use super::record::{Said, What};
use crate::outgoing;
use crate::shard::RequestId;

/// Requests that may be on their way from one party to the other at once.
const PASSED_MAX: usize = 8;

/// A request that was passed on; its answer goes back.
pub struct Passed {
    client: RequestId,
    from: LegId,
    server: ServerId,
    request: Message,
}

impl Passed {
    /// The request is called otherwise from now on.
    pub fn renamed(&mut self, before: RequestId, now: RequestId) {
        if self.client == before {
            self.client = now;
        }
    }
}

impl Work<'_> {
    /// A request on a leg.
    pub fn request(&mut self, server: ServerId, id: LegId, request: Message, hop: Hop) {
        self.note(
            Some(id),
            What::Received { message: Said::request(request.method().clone()), from: Some(hop.into()) },
        );
        let Some(leg) = self.state.leg_mut(id) else {
            return self.core.answer(server, &request, Status::CALL_DOES_NOT_EXIST, None);
        };
        // RFC 3261 section 12.2.2: the dialog is named by both tags. An INVITE of ours may have several early ones.
        let confirmed = leg.state == LegState::Confirmed;
        let known = match leg.state {
            LegState::Early | LegState::Late if leg.outgoing => leg.turn_to(&request),
            _ => leg.dialog.as_ref().is_none_or(|dialog| dialog.owns(&request)),
        };
        if !known {
            return self.core.answer(server, &request, Status::CALL_DOES_NOT_EXIST, None);
        }
        let unknown = crate::shard::not_understood(&request);
        if !unknown.is_empty() {
            let mut writer = self.reply_inside(id, &request, Status::BAD_EXTENSION, None);
            writer.header(Name::Unsupported, unknown.join(", "));
            return self.respond(id, server, request.method(), Status::BAD_EXTENSION, writer.finish());
        }
        let target_refresh = matches!(request.method(), Method::Invite | Method::Update);
        if let Some(dialog) = leg.dialog.as_mut() {
            // RFC 3261 section 12.2.2: a CSeq below the last one is out of order.
            if dialog.check_incoming(&request).is_err() {
                return self.answer_plain(
                    id,
                    server,
                    &request,
                    Status::SERVER_INTERNAL_ERROR,
                    Some("CSeq Out Of Order"),
                );
            }
            if target_refresh {
                dialog.refresh(&request);
            }
        }
        if target_refresh && confirmed {
            // The party may have connected anew, or come from elsewhere: the old way ends nowhere (RFC 5626 section 5.3).
            let stays = leg.hop.protocol == hop.protocol && leg.hop.remote == hop.remote;
            leg.bound = (stays && leg.bound) || outgoing::is_bound(self.core, &request, &hop, None);
            leg.hop = hop;
        }
        match request.method() {
            Method::Bye => self.bye(server, id, &request),
            Method::Invite | Method::Update => self.modify(server, id, request),
            Method::Prack => self.prack(server, id, &request),
            Method::Refer => self.refer(server, id, &request),
            Method::Info => self.info(server, id, request),
            Method::Message => self.pass(server, id, request),
            Method::Notify => self.answer_plain(id, server, &request, Status::OK, None),
            Method::Options => {
                let mut writer = self.reply_inside(id, &request, Status::OK, None);
                writer.header(Name::Accept, "application/sdp, application/dtmf-relay, application/dtmf");
                self.respond(id, server, request.method(), Status::OK, writer.finish());
            }
            Method::Subscribe => self.answer_plain(id, server, &request, Status::BAD_EVENT, None),
            Method::Other(_) => self.answer_plain(id, server, &request, Status::NOT_IMPLEMENTED, None),
            _ => self.answer_plain(id, server, &request, Status::METHOD_NOT_ALLOWED, None),
        }
    }

    /// A party hangs up (RFC 3261 section 15.1.2).
    fn bye(&mut self, server: ServerId, id: LegId, request: &Message) {
        // A callee says no with its answer; BYE is not its word before that (section 15).
        let unanswered = |leg: &Leg| leg.outgoing && matches!(leg.state, LegState::Early | LegState::Late);
        if self.state.leg(id).is_some_and(unanswered) {
            return self.answer_plain(id, server, request, Status::CALL_DOES_NOT_EXIST, None);
        }
        self.answer_plain(id, server, request, Status::OK, None);
        // An INVITE of this party that waits for its answer ends with it.
        if let Some((invite_server, invite)) = self.state.leg_mut(id).and_then(|leg| leg.server.take()) {
            self.answer_plain(id, invite_server, &invite, Status::REQUEST_TERMINATED, None);
        }
        let reason = request.value(Name::Reason).map(|r| String::from_utf8_lossy(r).into_owned());
        self.untie(id);
        if self.transfer_left(id) {
            return;
        }
        let by = match self.state.leg(id).map(|leg| leg.side) {
            Some(::media::Side::B) => "callee",
            _ => "caller",
        };
        let answered = self.file.facts.borrow().answered_ms.is_some();
        let status = if answered { Status::OK } else { Status::REQUEST_TERMINATED };
        self.hang_up_rest(reason.as_deref());
        self.finish(by, "hung up", status, 16);
    }

    /// A PRACK (RFC 3262 section 3).
    fn prack(&mut self, server: ServerId, id: LegId, request: &Message) {
        let Some(rack) = RAck::of(request) else {
            return self.answer_plain(id, server, request, Status::BAD_REQUEST, Some("RAck malformed"));
        };
        let leg = self.state.leg(id);
        let rseq = leg.and_then(|leg| leg.reliable_sent.as_ref()).and_then(|sent| sent.acknowledged(&rack));
        let invite = leg.and_then(|leg| leg.server.as_ref()).map(|(server, _)| *server);
        let answered = leg.is_some_and(|leg| leg.state == LegState::Confirmed);
        match (rseq, invite) {
            (Some(rseq), Some(invite)) if self.core.pracked(invite, rseq) => {
                if let Some(leg) = self.state.leg_mut(id) {
                    leg.unpracked = Unpracked::Nothing;
                }
                self.pracked(server, id, request);
                self.answer_held();
            }
            // The PRACK crossed the answer, which has made it needless: 481 would tell the phone that its call is gone.
            (Some(_), None) if answered => self.pracked(server, id, request),
            _ => self.answer_plain(id, server, request, Status::CALL_DOES_NOT_EXIST, None),
        }
    }

    /// Answers a PRACK that acknowledges something. An offer in it has its answer there, or is refused; the response is
    /// acknowledged all the same.
    fn pracked(&mut self, server: ServerId, id: LegId, request: &Message) {
        let Some((meaning, ours)) = self.negotiate(server, id, request) else { return };
        let writer = self.reply_inside(id, request, Status::OK, None);
        let bytes = match &ours {
            Some(ours) => writer.body("application/sdp", ours.print().as_bytes()),
            None => writer.finish(),
        };
        self.respond(id, server, request.method(), Status::OK, bytes);
        if meaning == Meaning::Offer {
            self.renegotiated(id);
        }
    }

    /// Passes a request (INFO, MESSAGE) on to the other party; its answer comes back the same way.
    pub fn pass(&mut self, server: ServerId, id: LegId, request: Message) {
        let other = self.state.other(id).filter(|o| self.state.leg(*o).is_some_and(|l| l.state == LegState::Confirmed));
        let Some(other) = other else {
            // 200 would say that somebody has it.
            return self.answer_plain(id, server, &request, Status::TEMPORARILY_UNAVAILABLE, None);
        };
        if self.state.passed.len() >= PASSED_MAX {
            return self.answer_plain(id, server, &request, Status::SERVICE_UNAVAILABLE, None);
        }
        let method = request.method().clone();
        let content = request.value(Name::ContentType).map(|c| String::from_utf8_lossy(c).into_owned());
        let client = self.send_inside(other, &method, |mut writer| {
            writer.copy(&request, Name::ContentDisposition);
            if let Some(package) = request.value_of("Info-Package") {
                writer.named("Info-Package", package);
            }
            match content {
                Some(content) if !request.body().is_empty() => writer.body(&content, request.body()),
                _ => writer.finish(),
            }
        });
        match client {
            Some(client) => self.state.passed.push(Passed { client, from: id, server, request }),
            None => self.answer_plain(id, server, &request, Status::SERVICE_UNAVAILABLE, None),
        }
    }

    /// The answer to a passed request; true when it was one.
    pub fn passed_back(&mut self, client: RequestId, response: &Message, status: Status) -> bool {
        let Some(at) = self.state.passed.iter().position(|p| p.client == client) else { return false };
        if !status.is_final() {
            return true;
        }
        let passed = self.state.passed.swap_remove(at);
        let reason = response.reason();
        let writer = self.reply_inside(passed.from, &passed.request, status, Some(&*reason));
        let bytes = match response.value(Name::ContentType) {
            Some(content) if !response.body().is_empty() => {
                writer.body(&String::from_utf8_lossy(content), response.body())
            }
            _ => writer.finish(),
        };
        self.respond(passed.from, passed.server, passed.request.method(), status, bytes);
        true
    }

    /// The call ends before the other party has answered a passed request.
    pub fn drop_passed(&self, passed: &Passed) {
        let status = Status::CALL_DOES_NOT_EXIST;
        self.answer_plain(passed.from, passed.server, &passed.request, status, None);
    }

    /// A passed request got no answer; true when it was one.
    pub fn passed_unanswered(&mut self, client: RequestId, status: Status) -> bool {
        let Some(at) = self.state.passed.iter().position(|p| p.client == client) else { return false };
        let passed = self.state.passed.swap_remove(at);
        self.answer_plain(passed.from, passed.server, &passed.request, status, None);
        true
    }
}
