//! One party of a call: a dialog with a phone, its offer/answer, its session timer, and how requests go to it.

use bytes::Bytes;
use media::Side;
use sip::dialog::Dialog;
use sip::dialog::reliable::{Received, Sent};
use sip::dialog::session_timer::SessionTimer;
use sip::sdp::{Carrier, CodecPattern, OfferAnswer, Profile, Session};
use sip::text::Digits;
use sip::transaction::ServerId;
use sip::{Hop, KeyForm, Message, Method, Name, Protocol, Status, Writer};
use smol_str::{SmolStr, SmolStrBuilder};
use std::sync::Arc;

use super::begin::description;
use super::identity::{self, Claims};
use super::keys::{Keyring, LineKeys, is_private};
use super::media::{self as audio, Agreement};
use super::outward::{Heard, Outward};
use super::record::{Said, What};
use super::{CallKey, Work};
use crate::directory::User;
use crate::gateway::{Channel, Exit};
use crate::location::Contact;
use crate::outgoing::{self, Found};
use crate::outside;
use crate::shard::core::{new_branch, random_token};
use crate::shard::{Core, Identity, Named, Owner, RequestId, Way};
use crate::user_lines::UserLine;

/// Which leg of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u8);

impl LegId {
    /// The caller's.
    pub const CALLER: Self = Self(0);
    /// A leg that asks for another's place and has none yet (RFC 3891).
    pub const NEWCOMER: Self = Self(u8::MAX);
}

/// Where a leg is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// INVITE sent or received, no final answer.
    Early,
    /// Its turn to ring is over and its INVITE was cancelled; an answer that crosses the CANCEL still counts.
    Late,
    /// Answered.
    Confirmed,
    /// BYE sent, its answer not there yet; or a leg whose INVITE was cancelled.
    Ending,
    /// Nothing more will happen on it.
    Ended,
}

/// How the first INVITE of a leg goes when it is too long for a datagram (RFC 3261 section 18.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// By datagram all the same: the party cannot be reached otherwise, or is known to take nothing else.
    ByDatagram,
    /// By TCP, which has not been tried yet.
    ByStream,
    /// It went by TCP and nothing has come back; this is the way by UDP, for when there is no connection.
    Tried(Hop),
}

/// Early dialogs of one INVITE that are remembered besides the one that counts; past it the oldest is forgotten.
const EARLY_MAX: usize = 8;

/// An early dialog of our INVITE while another one counts: a proxy has forked it (RFC 3261 section 13.2.2.4).
pub struct EarlyDialog {
    dialog: Dialog,
    exchange: OfferAnswer,
    reliable_received: Received,
}

/// A leg.
pub struct Leg {
    /// Its number in the call.
    pub id: LegId,
    /// Its side of the media path.
    pub side: Side,
    /// We sent the INVITE.
    pub outgoing: bool,
    /// Where it is.
    pub state: LegState,
    /// It rings beside the phones whose turn it is.
    pub beside: bool,
    /// We are the focus of a conference to it.
    pub focus: bool,
    /// The party, as the record names it.
    pub party: String,
    /// The user whose phone it is; none for who is outside.
    pub user: Option<Arc<User>>,
    /// Call-ID of its dialog.
    pub call_id: String,
    /// Our tag.
    pub tag: String,
    /// The dialog, once both tags are known. Of several early ones it is the latest that was heard of, until one is
    /// confirmed; `exchange` and `reliable_received` are of the same.
    pub dialog: Option<Dialog>,
    /// The other early ones.
    pub early: Vec<EarlyDialog>,
    /// The way that the party's signalling comes; [`Leg::way`] is the one that our requests take.
    pub hop: Hop,
    /// Its INVITE was for a `sips` address: then our Contact is one too, and else none (RFC 3261 section 12.1.1).
    pub secure: bool,
    /// The party is reached by that way alone.
    pub bound: bool,
    /// The way of our first INVITE, where that goes to a name.
    pub named: Option<Box<Named>>,
    /// Who has answered at the name that was looked up last: the dialog stays with it (RFC 3263 section 4).
    pub found: Option<Box<Found>>,
    /// What becomes of an INVITE that is too long for a datagram.
    pub too_long: TooLong,
    /// Our INVITE as it was sent, for dialogs that its answers make.
    pub invite: Option<Message>,
    /// Our INVITE or re-INVITE that waits for its final answer.
    pub client: Option<RequestId>,
    /// The party's INVITE or re-INVITE that waits for ours.
    pub server: Option<(ServerId, Message)>,
    /// Offer and answer.
    pub exchange: OfferAnswer,
    /// The codecs that it is named, where it is not to have all.
    pub codecs: Option<Arc<[CodecPattern]>>,
    /// Keys of its media.
    pub keys: Keyring,
    /// The keys of its lines beside the sound.
    pub line_keys: LineKeys,
    /// What our offers name, until it has said something itself: the next of [`Leg::profiles`] when it has refused one.
    pub profile: Profile,
    /// Session id of our descriptions (RFC 8866 section 5.2).
    pub session_id: u64,
    /// The party has put us on hold.
    pub holds: bool,
    /// Our offer in a 2xx waits for the answer in the ACK, or our 2xx for its ACK.
    pub ack_due: bool,
    /// The 2xx of the party that waits for our ACK, because the answer must come from the other party first.
    pub ack_held: Option<(RequestId, Message)>,
    /// Numbers of the reliable provisional responses that we send (RFC 3262).
    pub reliable_sent: Option<Sent>,
    /// Whether the last of them waits for its PRACK.
    pub unpracked: Unpracked,
    /// Order of those that the party sends.
    pub reliable_received: Received,
    /// What the party takes.
    pub abilities: Abilities,
    /// How the party has sent keys by INFO.
    pub pressed_by_info: Option<KeyForm>,
    /// Session timer.
    pub session: Option<SessionTimer>,
    /// A 422 has made us ask for a longer interval already.
    pub session_raised: bool,
    /// What its INVITE says of it besides From.
    pub claims: Option<Box<Claims>>,
    /// It is to be offered anew what the other party speaks.
    pub retell: bool,
    /// What the last provisional response to this party said, so that it is not said twice.
    pub told: Option<(Status, bool)>,
    /// It leads out of the switch.
    pub outward: Option<Box<Outward>>,
    /// Its channel of a gateway.
    pub channel: Option<Channel>,
    /// Its user's call.
    pub line: Option<UserLine>,
}

/// What waits for its PRACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpracked {
    /// Nothing.
    #[default]
    Nothing,
    /// A provisional response without a description.
    Plain,
    /// One with a description: the 2xx must wait for its PRACK (RFC 3262 section 3).
    Description,
}

/// What a party's Supported, Require and Allow say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abilities {
    /// 100rel in Supported or Require.
    pub reliable: bool,
    /// 100rel in Require.
    pub reliable_required: bool,
    /// timer in Supported.
    pub timer: bool,
    /// UPDATE in Allow.
    pub update: bool,
    /// Keys of INFO in Accept, in the form that stands first.
    pub keys: Option<KeyForm>,
}

impl Abilities {
    /// Read off a message.
    pub fn of(message: &Message) -> Self {
        let required = message.lists(Name::Require, "100rel");
        Self {
            reliable: required || message.lists(Name::Supported, "100rel"),
            reliable_required: required,
            timer: message.lists(Name::Supported, "timer") || message.lists(Name::Require, "timer"),
            update: message.lists(Name::Allow, "UPDATE"),
            keys: message.values(Name::Accept).filter_map(Result::ok).find_map(KeyForm::of_content_type),
        }
    }
}

impl Leg {
    /// A leg that begins with the party's INVITE.
    pub fn incoming(
        core: &Core,
        id: LegId,
        side: Side,
        server: ServerId,
        invite: Message,
        hop: Hop,
        identity: &Identity,
    ) -> Self {
        let user = match identity {
            Identity::User(user) => Some(Arc::clone(user)),
            Identity::Gateway(_) | Identity::Anybody => None,
        };
        let srtp = match identity {
            Identity::Gateway(gateway) => gateway.srtp,
            Identity::User(_) | Identity::Anybody => user.as_ref().and_then(|user| user.srtp),
        };
        let codecs = match identity {
            Identity::Gateway(gateway) => gateway.codecs.clone(),
            Identity::User(_) | Identity::Anybody => None,
        };
        let keys = Keyring::new(&core.shared, srtp, is_private(&hop));
        let abilities = Abilities::of(&invite);
        let reliable_sent = Sent::new(invite.cseq(), outside::random());
        let secure = invite.request_uri().starts_with(b"sips:");
        let call_id = String::from_utf8_lossy(invite.call_id()).into_owned();
        let bound = outgoing::is_bound(core, &invite, &hop, Some(identity));
        let claims = Claims::of(&invite, identity);
        let party = identity::party(core, &invite, identity, claims.as_deref());
        Self {
            user,
            secure,
            bound,
            server: Some((server, invite)),
            reliable_sent: Some(reliable_sent),
            abilities,
            claims,
            codecs,
            ..Self::bare(id, side, (party, call_id), hop, keys)
        }
    }

    /// A leg of which nothing is known but who it is.
    fn bare(id: LegId, side: Side, (party, call_id): (String, String), hop: Hop, keys: Keyring) -> Self {
        Self {
            id,
            side,
            outgoing: false,
            beside: false,
            focus: false,
            state: LegState::Early,
            party,
            user: None,
            call_id,
            tag: random_token(12),
            dialog: None,
            early: Vec::new(),
            hop,
            secure: false,
            bound: false,
            named: None,
            found: None,
            too_long: TooLong::ByDatagram,
            invite: None,
            client: None,
            server: None,
            exchange: OfferAnswer::new(),
            codecs: None,
            keys,
            line_keys: LineKeys::default(),
            profile: Profile::Avp,
            session_id: u64::from(outside::random::<u32>()),
            holds: false,
            ack_due: false,
            ack_held: None,
            reliable_sent: None,
            unpracked: Unpracked::Nothing,
            reliable_received: Received::default(),
            abilities: Abilities::default(),
            pressed_by_info: None,
            session: None,
            session_raised: false,
            claims: None,
            retell: false,
            told: None,
            outward: None,
            channel: None,
            line: None,
        }
    }

    /// A leg that begins with our INVITE to a contact.
    pub fn outgoing(core: &Core, id: LegId, side: Side, contact: &Contact, party: String) -> Self {
        let way = outgoing::to_contact(core, contact);
        let hop = *way.hop();
        let (named, connects) = match way {
            Way::Hop(hop) => (None, outgoing::takes_connections(contact, &hop)),
            // An errand sees to that itself.
            Way::Named(named) => (Some(Box::new(named)), false),
        };
        let directory = core.shared.directory();
        let user = party.split('@').next().and_then(|name| directory.user(name)).cloned();
        // A name may lead to any transport that its URI leaves open.
        let says_tls = |uri: &str| uri.starts_with("sips:") || uri.to_ascii_lowercase().contains(";transport=tls");
        let private = is_private(&hop) && (named.is_none() || says_tls(&contact.uri));
        let keys = Keyring::new(&core.shared, user.as_ref().and_then(|user| user.srtp), private);
        // What registers over a WebSocket is a page, which speaks nothing else (RFC 8827 section 6.5).
        let browser = matches!(hop.protocol, Protocol::Ws | Protocol::Wss);
        let too_long = if connects { TooLong::ByStream } else { TooLong::ByDatagram };
        Self {
            user,
            outgoing: true,
            secure: contact.uri.starts_with("sips:"),
            bound: outgoing::is_found_by_flow(contact),
            named,
            too_long,
            profile: if browser { Profile::Dtls } else { Profile::Avp },
            ..Self::bare(id, side, (party, core.new_call_id()), hop, keys)
        }
    }

    /// A leg that begins with our INVITE to a gateway.
    pub fn outward(core: &Core, id: LegId, side: Side, exit: Exit) -> Self {
        let gateway = &exit.gateway;
        let way = outgoing::to_gateway(core, gateway);
        let keys = Keyring::new(&core.shared, gateway.srtp, gateway.protocol == Protocol::Tls);
        let party = sip::text![&exit.number, "@", gateway.authority()];
        let hop = *way.hop();
        let named = match way {
            Way::Hop(_) => None,
            Way::Named(named) => Some(Box::new(named)),
        };
        Self {
            outgoing: true,
            named,
            too_long: TooLong::ByStream,
            codecs: gateway.codecs.clone(),
            outward: Some(Box::new(Outward { exit, heard: Heard::Nothing, proof: None, given_up: None })),
            ..Self::bare(id, side, (party, core.new_call_id()), hop, keys)
        }
    }

    /// Makes the early dialog of a message the one that counts. A response with a tag that is new begins one, with the
    /// INVITE's offer unanswered. False when the message belongs to none.
    pub fn turn_to(&mut self, message: &Message) -> bool {
        if self.dialog.as_ref().is_some_and(|dialog| dialog.owns(message)) {
            return true;
        }
        let known = self.early.iter().position(|early| early.dialog.owns(message)).map(|at| self.early.remove(at));
        let Some(next) = known.or_else(|| self.new_early(message)) else { return false };
        let exchange = std::mem::replace(&mut self.exchange, next.exchange);
        let reliable_received = std::mem::replace(&mut self.reliable_received, next.reliable_received);
        if let Some(dialog) = self.dialog.replace(next.dialog) {
            if self.early.len() >= EARLY_MAX {
                self.early.remove(0);
            }
            self.early.push(EarlyDialog { dialog, exchange, reliable_received });
        }
        true
    }

    fn new_early(&self, response: &Message) -> Option<EarlyDialog> {
        response.status()?;
        response.to_tag()?;
        let invite = self.invite.as_ref()?;
        let dialog = Dialog::of_client(invite, response).ok()?;
        let exchange = if self.dialog.is_none() {
            self.exchange.clone()
        } else {
            let mut exchange = OfferAnswer::new();
            exchange.sent(Carrier::Invite, description(invite).ok()?).ok()?;
            exchange
        };
        Some(EarlyDialog { dialog, exchange, reliable_received: Received::default() })
    }

    /// Whether nothing is under way on it: it may move to another call.
    pub fn is_idle(&self) -> bool {
        self.state == LegState::Confirmed
            && self.client.is_none()
            && self.server.is_none()
            && !self.ack_due
            && self.ack_held.is_none()
    }

    /// What its audio comes to by the descriptions in force or previewed.
    pub fn agreement(&self) -> Option<Agreement> {
        audio::agreement(audio::sound(self.exchange.agreed())?, self.hop.remote)
    }

    /// Whether it has audio by the descriptions in force or previewed.
    pub fn agrees(&self) -> bool {
        audio::sound(self.exchange.agreed()).is_some()
    }

    /// What our first offers name, one after the other, until one is not refused.
    pub fn profiles(&self) -> [Profile; 4] {
        match self.hop.protocol {
            Protocol::Ws | Protocol::Wss => [Profile::Dtls, Profile::Avp, Profile::Savp, Profile::Savpf],
            _ => [Profile::Avp, Profile::Savp, Profile::Savpf, Profile::Dtls],
        }
    }

    /// The description of the party that is in force or, before that, previewed or offered.
    pub fn their_description(&self) -> Option<&Session> {
        self.exchange.theirs()
    }

    /// Says BYE for a leg that no call has, and forgets it.
    pub fn say_goodbye(&mut self, core: &Core) {
        let (branch, way) = (new_branch(), self.way(core));
        let via = outgoing::via(core, way.hop(), &branch);
        if let Some(dialog) = self.dialog.as_mut() {
            let bye = dialog.request(&Method::Bye, &via).finish();
            core.request(Owner::Nobody, &Method::Bye, &branch, &way, bye);
        }
        core.shared.unmove_dialog(self.call_id.as_bytes());
    }

    /// The way of our next request to the party.
    pub fn way(&self, core: &Core) -> Way {
        match (&self.dialog, &self.named) {
            (Some(dialog), _) => outgoing::inside(core, dialog, &self.hop, self.bound, self.found.as_deref()),
            (None, Some(named)) => Way::Named((**named).clone()),
            (None, None) => Way::Hop(self.hop),
        }
    }

    /// What leads back to the leg in a Contact of ours: the call and the leg's number.
    fn contact_user(&self, key: CallKey) -> SmolStr {
        let mut user = SmolStrBuilder::new();
        user.push_str(&key.name());
        user.push('-');
        user.push_str(Digits::of(self.id.0.into()).as_str());
        user.finish()
    }

    /// Our Contact on this leg, towards `hop`: it names the call, not the other party (topology hidden).
    pub fn contact(&self, core: &Core, key: CallKey, hop: &Hop) -> String {
        let contact = outgoing::contact(core, hop, self.secure, &self.contact_user(key));
        // RFC 4579 section 5.1: the party talks with a conference.
        if self.focus { contact + ";isfocus" } else { contact }
    }
}

impl Work<'_> {
    /// Sends a request inside a leg's dialog; `None` when it has no dialog. `fill` adds headers and ends the message.
    pub fn send_inside(&mut self, id: LegId, method: &Method, fill: impl FnOnce(Writer) -> Bytes) -> Option<RequestId> {
        let (core, key) = (self.core, self.key);
        let leg = self.state.leg_mut(id)?;
        let way = leg.way(core);
        let branch = new_branch();
        let via = outgoing::via(core, way.hop(), &branch);
        let contact = leg.contact(core, key, way.hop());
        let mut writer = leg.dialog.as_mut()?.request(method, &via);
        if matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Subscribe) {
            writer.header(Name::Contact, contact);
        }
        let bytes = fill(writer);
        let client = core.request(self.owner(id), method, &branch, &way, bytes);
        if let Way::Hop(hop) = way {
            self.note(Some(id), What::Sent { message: Said::request(method.clone()), to: Some(hop.into()) });
        }
        client
    }

    /// A request of ours to a name is at, or on its way to, somebody there.
    pub fn reached(&mut self, id: LegId, request: RequestId, now: RequestId, found: Found) {
        for passed in &mut self.state.passed {
            passed.renamed(request, now);
        }
        for told in &mut self.state.told {
            told.renamed(request, now);
        }
        let Some(leg) = self.state.leg_mut(id) else { return };
        if leg.client == Some(request) {
            leg.client = Some(now);
            if leg.outgoing && matches!(leg.state, LegState::Early | LegState::Late) {
                leg.hop = found.1;
            }
        }
        leg.found = Some(Box::new(found));
    }

    /// Begins a response inside a leg's dialog, or to its first INVITE: our tag, our Contact where the method wants one.
    pub fn reply_inside(&self, id: LegId, request: &Message, status: Status, reason: Option<&str>) -> Writer {
        let leg = self.state.leg(id);
        let tag = leg.map_or("", |leg| leg.tag.as_str());
        let mut writer = Writer::response(request, status, reason, Some(tag));
        if status != Status::TRYING && status.code() < 300 {
            if let Some(leg) = leg
                && matches!(request.method(), Method::Invite | Method::Update | Method::Refer)
            {
                writer.copy(request, Name::RecordRoute);
                writer.header(Name::Contact, leg.contact(self.core, self.key, &leg.hop));
            }
            if matches!(request.method(), Method::Invite | Method::Update | Method::Options) {
                writer.header(Name::Allow, crate::shard::ALLOW).header(Name::Supported, crate::shard::SUPPORTED);
            }
        }
        writer.header(Name::Server, &self.core.shared.settings().sip.user_agent);
        writer
    }

    /// Answers a request on a leg with a status and nothing else.
    pub fn answer_plain(&self, id: LegId, server: ServerId, request: &Message, status: Status, reason: Option<&str>) {
        let bytes = self.reply_inside(id, request, status, reason).finish();
        self.respond(id, server, request.method(), status, bytes);
    }

    /// Sends an answer and records it.
    pub fn respond(&self, id: LegId, server: ServerId, method: &Method, status: Status, bytes: Bytes) {
        let to = self.state.leg(id).map(|leg| leg.hop);
        self.note(Some(id), What::Sent { message: Said::response(status, method), to: to.map(Into::into) });
        self.core.respond(server, status, bytes);
    }

    /// Makes a leg's dialog known to the shard, so that its requests find the call.
    pub fn tie(&self, id: LegId) {
        if let Some(leg) = self.state.leg(id) {
            self.core.add_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes(), self.key, id);
        }
    }

    /// A leg has ended: nothing finds it any more.
    pub fn untie(&mut self, id: LegId) {
        let core = self.core;
        if let Some(leg) = self.state.leg_mut(id) {
            leg.state = LegState::Ended;
            leg.client = None;
            leg.server = None;
            leg.channel = None;
            leg.line = None;
            core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
            core.shared.unmove_dialog(leg.call_id.as_bytes());
        }
        self.disarm_leg(id);
    }
}
