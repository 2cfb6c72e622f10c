//! A dialogue connects its caller with somebody, who may be asked first whether the call is wanted.

use media::prompt::Say;
use media::{Repeat, Side, Source};
use sip::Status;
use std::time::Duration;

use super::leg::LegId;
use super::transfer::{Step, Transfer};
use super::{CallTimer, Work, media as audio};
use crate::directory::{Destination, ServiceKind};
use crate::routing::{self, By};
use crate::talk::{Answer, Input};

/// How long somebody may take to say whether a call is wanted.
pub const ASKED_MAX: Duration = Duration::from_secs(30);
/// The keys that answer.
const TAKES: char = '1';
const DECLINES: char = '2';

/// A number that a dialogue's caller is connected with.
pub struct Wanted<'a> {
    /// The number.
    pub number: &'a str,
    /// The user by whose rights; `None`: nobody's, inside the switch only.
    pub by: Option<&'a str>,
    /// For how long it rings, where that is said.
    pub ring: Option<Duration>,
    /// Whether who answers is asked first.
    pub asks: bool,
}

impl Work<'_> {
    /// Connects the caller with a number: another dialogue at once, a party when it answers.
    pub(super) fn connect_caller(&mut self, wanted: &Wanted<'_>) {
        let Wanted { number, ring, asks, .. } = *wanted;
        let directory = self.core.shared.directory();
        let owner = wanted.by.and_then(|name| directory.user(name).cloned());
        let by = owner.as_ref().map_or(By::Nobody, |user| By::User(user));
        let text = format!("sip:{number}@{}", directory.domain());
        let decision = sip::value::Uri::parse(text.as_bytes()).ok().map(|uri| directory.route(&uri, by));
        let Some(decision) = decision else { return self.talk(Input::Answer(Answer::Failed)) };
        self.decided(None, routing::brief(&decision.steps));
        if let Some(mail) = &mut self.state.mail {
            mail.calls(number, asks);
        }
        let next = match decision.destination {
            // A machine cannot say whether it wants the call.
            Destination::Service(_) | Destination::Attendant(_) if asks => {
                return self.talk(Input::Answer(Answer::Failed));
            }
            Destination::Service(ServiceKind::Voicemail) => self.access_talk(),
            Destination::Attendant(attendant) => self.attendant_talk(attendant),
            destination => return self.ring_for_caller(destination, ring, asks),
        };
        self.talk_over();
        self.state.talk = Some(Box::new(next));
        let begun = self.state.talk.as_mut().map(|talk| talk.begin()).unwrap_or_default();
        self.obey(begun);
    }

    /// The switch itself gives its place to somebody: the caller of a dialogue is connected.
    /// `ring` is for how long at most; who answers is asked first where it `asks`.
    fn ring_for_caller(&mut self, destination: Destination, ring: Option<Duration>, asks: bool) {
        let settings = self.core.shared.settings();
        self.state.forks = 0;
        self.state.best = None;
        let mut transfer = Transfer::of_nobody(LegId::CALLER);
        transfer.asks = asks;
        self.state.transfer = Some(transfer);
        let (turns, longest) = match destination {
            Destination::User(user) => {
                let aor = self.core.shared.directory().aor(&user);
                if !self.take_line(&user, &aor) {
                    self.decided(None, format!("{} has as many calls as it may have", user.name));
                    return self.transfer_failed(Status::BUSY_HERE);
                }
                let longest = user.mailbox.as_ref().map_or(settings.sip.max_ringing, |_| settings.mail.answer_after);
                (self.groups_of(&aor, None), longest)
            }
            Destination::Outside(exits) => (self.in_order(exits), settings.sip.max_ringing),
            Destination::Nowhere(refusal) => return self.transfer_failed(refusal.kind.status()),
            _ => return self.transfer_failed(Status::NOT_FOUND),
        };
        if let Some(flow) = &self.state.flow {
            audio::hear(flow, Side::A, Source::MusicOnHold);
        }
        self.ring_in_place(turns, ring.map_or(longest, |ring| ring.min(settings.sip.max_ringing)));
    }

    /// Whoever has answered hears who calls, and is asked.
    pub(super) fn ask_target(&mut self, id: LegId) {
        let Some(transfer) = &mut self.state.transfer else { return };
        transfer.step = Step::Asking(id);
        self.decided(Some(id), "is asked whether it wants the call");
        self.connect_side(id);
        let number = self.talking_caller().number;
        let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '+');
        let caller = if plain { Say::Digits(&number) } else { Say::Prompt("unknown-caller") };
        let language = self.core.shared.settings().mail.rules.language;
        let words = [Say::Prompt("call-for-you"), caller, Say::Prompt("take-or-decline")];
        let sound = self.core.shared.prompts.speak(language, &words);
        if let Some((flow, leg)) = self.state.flow.as_ref().zip(self.state.leg(id)) {
            audio::hear(flow, leg.side, Source::Prompt(sound, Repeat::Forever));
        }
        self.arm(CallTimer::TransferDone, ASKED_MAX);
    }

    /// A key of whoever is asked; true when it was one.
    pub(super) fn asked_key(&mut self, side: Side, digit: char) -> bool {
        let step = self.state.transfer.as_ref().map(|transfer| transfer.step);
        let Some(Step::Asking(id)) = step.filter(|_| side == Side::B) else { return false };
        match digit {
            TAKES => {
                self.decided(Some(id), "it takes the call");
                self.transfer_succeeded(id);
            }
            DECLINES => {
                self.decided(Some(id), "it declines the call");
                self.transfer_failed(Status::BUSY_HERE);
            }
            _ => {}
        }
        true
    }
}
