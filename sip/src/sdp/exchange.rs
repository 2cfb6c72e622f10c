//! Which message may carry an offer or an answer (RFC 3261 sections 13 and 14, RFC 3262, RFC 3311, RFC 6337), and what
//! is in force.
//!
//! One [`OfferAnswer`] a dialog (a leg). Both directions go through the same rules: every INVITE, response, PRACK,
//! UPDATE and ACK of the dialog that can have a description is shown to it, with or without one.

use std::cell::OnceCell;

use super::agreed::{AgreedMedia, agreed};
use super::session::Session;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We.
    Local,
    /// The peer of this leg.
    Remote,
}

/// The messages that can carry a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// INVITE or re-INVITE.
    Invite,
    /// 1xx to INVITE without `100rel`.
    UnreliableProvisional,
    /// 1xx to INVITE with `Require: 100rel`.
    ReliableProvisional,
    /// 2xx to INVITE.
    InviteOk,
    /// ACK to a 2xx.
    Ack,
    /// PRACK.
    Prack,
    /// 2xx to PRACK.
    PrackOk,
    /// UPDATE.
    Update,
    /// 2xx to UPDATE.
    UpdateOk,
}

/// What a message meant for offer/answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It has no description, and none was due.
    Nothing,
    /// An INVITE without offer: its receiver makes the offer, in the first reliable response.
    OfferInvited,
    /// An offer. Its answer is due in the message that RFC 6337 section 2.2 pairs with it.
    Offer,
    /// The answer to the pending offer; both are in force now.
    Answer,
    /// An answer in a 1xx that may get lost: media may flow by it, the answer proper still follows
    /// (RFC 6337 section 3.1.1).
    Preview,
    /// A description where none belongs, or a repetition; it is not looked at (RFC 3261 section 13.2.1).
    Ignored,
}

/// Why a message cannot stand. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An offer crossed ours, or one that an INVITE without offer has asked for and that is still to come: refuse with 491 (RFC 3261 section 14.2, RFC 3311 section 5.2).
    #[error("offers crossed (491)")]
    Glare,
    /// A second offer before we answered the first: refuse with 500 and Retry-After of 0 to 10 s
    /// (RFC 3261 section 14.2, RFC 3311 section 5.2).
    #[error("an offer is still unanswered (500 with Retry-After)")]
    Busy,
    /// A message that must have an answer has none: end the session (RFC 3261 section 13.2.2.4).
    #[error("the answer that had to be here is missing")]
    NoAnswer,
    /// A 2xx to an INVITE without offer must have one: end the session (RFC 3261 section 13.2.1).
    #[error("the offer that had to be here is missing")]
    NoOffer,
    /// An answer has not as many media sections as its offer (RFC 3264 section 6). Of a peer's answer only too many are
    /// refused: simple phones leave out what they reject, and missing sections can be read as rejected.
    #[error("an answer of {answered} media sections to an offer of {offered}")]
    Shape {
        /// Sections of the offer.
        offered: usize,
        /// Sections of the answer.
        answered: usize,
    },
}

/// The state of RFC 6337 section 2, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is agreed, nothing is pending.
    Idle,
    /// We offered and wait for the answer.
    OfferSent,
    /// The peer offered and waits for our answer.
    OfferReceived,
    /// Both descriptions are in force and nothing is pending.
    Stable,
}

/// Offer/answer of one dialog. An INVITE that forks has one a branch: clone it as it is after the INVITE was sent.
#[derive(Clone, Debug, Default)]
pub struct OfferAnswer {
    in_force: Option<Agreement>,
    pending: Option<Pending>,
    preview: Option<Session>,
    /// Who has to make the offer in a response, after an INVITE without one.
    invited: Option<Side>,
    /// What the descriptions come to, once somebody has asked.
    agreed: OnceCell<Vec<AgreedMedia>>,
}

#[derive(Clone, Debug)]
struct Agreement {
    local: Session,
    remote: Session,
}

#[derive(Clone, Debug)]
struct Pending {
    from: Side,
    carrier: Carrier,
    offer: Session,
}

impl OfferAnswer {
    /// Nothing agreed.
    pub fn new() -> OfferAnswer {
        OfferAnswer::default()
    }

    /// Goes on from an agreement that was kept elsewhere: a checkpoint.
    pub fn restored(local: Session, remote: Session) -> OfferAnswer {
        OfferAnswer { in_force: Some(Agreement { local, remote }), ..OfferAnswer::default() }
    }

    /// Where the exchange stands.
    pub fn state(&self) -> State {
        match (&self.pending, &self.in_force) {
            (Some(Pending { from: Side::Local, .. }), _) => State::OfferSent,
            (Some(Pending { from: Side::Remote, .. }), _) => State::OfferReceived,
            (None, Some(_)) => State::Stable,
            (None, None) => State::Idle,
        }
    }

    /// Our description in force.
    pub fn local(&self) -> Option<&Session> {
        self.in_force.as_ref().map(|agreement| &agreement.local)
    }

    /// The peer's description in force.
    pub fn remote(&self) -> Option<&Session> {
        self.in_force.as_ref().map(|agreement| &agreement.remote)
    }

    /// The unanswered offer.
    pub fn pending_offer(&self) -> Option<&Session> {
        self.pending.as_ref().map(|pending| &pending.offer)
    }

    /// The latest answer that came in an unreliable 1xx to our pending offer.
    pub fn preview(&self) -> Option<&Session> {
        self.preview.as_ref()
    }

    /// The peer's description in force; before there is any its offer, or what it has previewed of its answer to ours.
    pub fn theirs(&self) -> Option<&Session> {
        self.pair().map(|(_, remote)| remote)
    }

    /// The streams by the descriptions in force; before there are any by an offer and what was previewed of its answer. Worked
    /// out once for as long as they stand.
    pub fn agreed(&self) -> &[AgreedMedia] {
        self.agreed.get_or_init(|| self.pair().map_or_else(Vec::new, |(local, remote)| agreed(local, remote)))
    }

    /// Our description and the peer's.
    fn pair(&self) -> Option<(&Session, &Session)> {
        match (&self.in_force, &self.pending, &self.preview) {
            (Some(Agreement { local, remote }), ..) => Some((local, remote)),
            (None, Some(Pending { from: Side::Local, offer, .. }), Some(preview)) => Some((offer, preview)),
            (None, Some(Pending { from: Side::Remote, offer, .. }), Some(preview)) => Some((preview, offer)),
            (None, ..) => None,
        }
    }

    /// A message of the peer. On `Err` answer it as the refusal says.
    pub fn received(&mut self, carrier: Carrier, body: Option<Session>) -> Result<Meaning, Refusal> {
        self.step(Side::Remote, carrier, body)
    }

    /// A message of ours. On `Err` it must not be sent.
    pub fn sent(&mut self, carrier: Carrier, body: Option<Session>) -> Result<Meaning, Refusal> {
        self.step(Side::Local, carrier, body)
    }

    /// The request with the pending offer, or the INVITE that invited one, was refused or given up: what was in force
    /// before stays in force (RFC 3261 section 14.1, RFC 6337 section 3.4).
    pub fn failed(&mut self) {
        self.pending = None;
        self.preview = None;
        self.invited = None;
        self.agreed.take();
    }

    fn step(&mut self, from: Side, carrier: Carrier, body: Option<Session>) -> Result<Meaning, Refusal> {
        let answers = match &self.pending {
            Some(pending) if pending.from != from => answer_due(pending.carrier, carrier),
            _ => Due::No,
        };
        let Some(body) = body else {
            return self.without_body(from, carrier, answers);
        };
        match answers {
            Due::Now | Due::NowOrLater => self.answer(from, body),
            Due::Preview => {
                self.check_shape(from, &body)?;
                self.preview = Some(body);
                self.agreed.take();
                Ok(Meaning::Preview)
            }
            Due::No if self.may_offer(from, carrier) => self.offer(from, carrier, body),
            Due::No => Ok(Meaning::Ignored),
        }
    }

    fn without_body(&mut self, from: Side, carrier: Carrier, answers: Due) -> Result<Meaning, Refusal> {
        match (carrier, answers) {
            (_, Due::Now) => Err(Refusal::NoAnswer),
            (Carrier::Invite, _) => {
                self.refuse_second_offer(from)?;
                self.invited = Some(other(from));
                Ok(Meaning::OfferInvited)
            }
            (Carrier::InviteOk, _) if self.invited == Some(from) && self.pending.is_none() => Err(Refusal::NoOffer),
            _ => Ok(Meaning::Nothing),
        }
    }

    /// Whether RFC 6337 section 2.2 lets `carrier` have an offer here.
    fn may_offer(&self, from: Side, carrier: Carrier) -> bool {
        match carrier {
            Carrier::Invite | Carrier::Update | Carrier::Prack => true,
            Carrier::ReliableProvisional | Carrier::InviteOk => self.invited == Some(from),
            Carrier::UnreliableProvisional | Carrier::Ack | Carrier::PrackOk | Carrier::UpdateOk => false,
        }
    }

    fn offer(&mut self, from: Side, carrier: Carrier, offer: Session) -> Result<Meaning, Refusal> {
        self.refuse_second_offer(from)?;
        if self.invited.is_some() && matches!(carrier, Carrier::Update | Carrier::Prack) {
            // The offer that the INVITE asks for comes first (RFC 3311 section 5.1).
            return Err(Refusal::Glare);
        }
        match carrier {
            Carrier::Invite | Carrier::ReliableProvisional | Carrier::InviteOk => self.invited = None,
            _ => {}
        }
        self.preview = None;
        self.agreed.take();
        self.pending = Some(Pending { from, carrier, offer });
        Ok(Meaning::Offer)
    }

    fn refuse_second_offer(&self, from: Side) -> Result<(), Refusal> {
        match &self.pending {
            None => Ok(()),
            Some(pending) if pending.from == from => Err(Refusal::Busy),
            Some(_) => Err(Refusal::Glare),
        }
    }

    fn check_shape(&self, from: Side, answer: &Session) -> Result<(), Refusal> {
        let offered = self.pending.as_ref().map_or(0, |pending| pending.offer.media.len());
        let answered = answer.media.len();
        let stands = offered == answered || (from == Side::Remote && answered < offered);
        if stands { Ok(()) } else { Err(Refusal::Shape { offered, answered }) }
    }

    fn answer(&mut self, from: Side, answer: Session) -> Result<Meaning, Refusal> {
        self.check_shape(from, &answer)?;
        if let Some(Pending { offer, .. }) = self.pending.take() {
            self.in_force = Some(match from {
                Side::Local => Agreement { local: answer, remote: offer },
                Side::Remote => Agreement { local: offer, remote: answer },
            });
        }
        self.preview = None;
        self.agreed.take();
        Ok(Meaning::Answer)
    }
}

/// Whether a message carries the answer to the pending offer.
#[derive(Clone, Copy)]
enum Due {
    /// It has to.
    Now,
    /// It may; a later one has to.
    NowOrLater,
    /// It may show it, without force.
    Preview,
    /// It does not.
    No,
}

/// The pairs of RFC 6337 section 2.2, table 1.
fn answer_due(offer: Carrier, candidate: Carrier) -> Due {
    match (offer, candidate) {
        (Carrier::Invite, Carrier::UnreliableProvisional) => Due::Preview,
        (Carrier::Invite, Carrier::ReliableProvisional) => Due::NowOrLater,
        (Carrier::Invite, Carrier::InviteOk)
        | (Carrier::ReliableProvisional, Carrier::Prack)
        | (Carrier::InviteOk, Carrier::Ack)
        | (Carrier::Prack, Carrier::PrackOk)
        | (Carrier::Update, Carrier::UpdateOk) => Due::Now,
        _ => Due::No,
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Local => Side::Remote,
        Side::Remote => Side::Local,
    }
}
