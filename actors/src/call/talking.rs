//! A call whose other end is a dialogue of the switch: voice mail, voice access, an attendant.
//!
//! The dialogue ([`crate::talk`]) says what is to happen; here it happens: sound to the caller, recordings, questions to
//! mailboxes, timers, connections. It lies in the call's file, so a killed actor goes on with it.

use media::prompt::say::Counting;
use media::prompt::{Audio, Language, Say};
use media::recorder::RecordingSpec;
use media::{Recorded, Recording, Repeat, Side, Source};
use std::sync::Arc;
use std::time::Duration;
use store::Voice;

use super::connecting::Wanted;
use super::leg::{Leg, LegId, LegState};
use super::{CallTimer, Work, media as audio};
use crate::directory::{ServiceKind, User};
use crate::mail::{Asker, Draft, ReasonForCall};
use crate::outside;
use crate::routing::hours::State as Hours;
use crate::shard::SignallingMsg;
use crate::shared::unix_ms;
use crate::talk::{Answer, Ask, Attendant, Caller, Input, Item, Output, Period, Person, Situation, Talk, is_spelled};

/// The tone before a recording, and the two of what is kept.
const BEEP: (f64, usize) = (880.0, 3200);
const KEPT: [f64; 2] = [659.25, 880.0];
const TONE_DBM0: f64 = -16.0;
/// People that one search finds.
const FOUND_MAX: usize = 20;
/// The longest name that is spelled.
const SPELLED_MAX: usize = 40;

impl Work<'_> {
    /// Nobody has answered: the user's mailbox does, if there is one. False when the caller must be refused.
    pub fn take_message(&mut self, user: &Arc<User>, why: &str, reason: ReasonForCall) -> bool {
        let elsewhere = self.state.talk.is_some() || self.state.partner.is_some() || self.state.group.is_some();
        if user.mailbox.is_none() || elsewhere || self.transfer_place().is_some() {
            return false;
        }
        // It waits for an answer, or has been answered in a ring group.
        let there = |caller: &mut Leg| caller.server.is_some() || caller.state == LegState::Confirmed;
        if !self.state.caller().is_some_and(there) {
            return false;
        }
        self.decided(None, format!("{why}: the mailbox of {} answers", user.name));
        self.leave_rung(None);
        self.answer_for(user, Some(reason));
        true
    }

    /// A mailbox answers the caller; `reason` is why, where the switch has decided it.
    pub fn answer_for(&mut self, user: &Arc<User>, reason: Option<ReasonForCall>) {
        if self.at_another_node(user, reason) {
            return;
        }
        self.cancel_forks(None, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
        let aor = self.core.shared.directory().aor(user);
        // The user has no call: a line that was taken for it is free again.
        self.drop_line(&aor);
        let caller = self.talking_caller();
        let rules = Arc::clone(&self.core.shared.settings().mail.rules);
        let talk = Talk::answering(rules, caller, user.name.clone(), self.situation(user, &aor));
        self.converse(ServiceKind::Mailbox, talk, reason);
    }

    /// How things stand for a caller of a user's mailbox.
    fn situation(&self, user: &User, aor: &str) -> Situation {
        let (directory, now) = (self.core.shared.directory(), outside::now());
        let hours = &directory.routing().spec().hours;
        let facts = self.file.facts.borrow();
        // Of a call that was diverted to a pilot number the user's own one was dialled.
        let own = directory.find(&facts.dialled).is_some_and(|dialled| dialled.name == user.name);
        let dialled = if own { facts.dialled.clone() } else { user.extension.clone().unwrap_or_default() };
        Situation {
            at: now.to_zoned(jiff::tz::TimeZone::system()),
            open: hours.iter().filter(|h| h.at(now) == Hours::Open).map(|h| h.name.to_string()).collect(),
            busy: self.core.shared.lines.of(aor) > 0,
            dialled,
        }
    }

    /// The caller wants to hear messages.
    pub fn voice_access(&mut self) {
        let own = self.state.caller().and_then(|caller| caller.user.clone());
        if own.is_some_and(|user| self.at_another_node(&user, None)) {
            return;
        }
        let talk = self.access_talk();
        self.converse(ServiceKind::Voicemail, talk, None);
    }

    pub(super) fn access_talk(&mut self) -> Talk {
        let caller = self.talking_caller();
        let rules = Arc::clone(&self.core.shared.settings().mail.rules);
        let own = caller.mailbox.clone();
        Talk::access(rules, caller, own)
    }

    /// An attendant answers.
    pub fn attend(&mut self, attendant: Arc<Attendant>) {
        let talk = self.attendant_talk(attendant);
        self.converse(ServiceKind::Attendant, talk, None);
    }

    pub(super) fn attendant_talk(&mut self, attendant: Arc<Attendant>) -> Talk {
        let caller = self.talking_caller();
        let directory = self.core.shared.directory();
        let period =
            match attendant.hours.as_deref().and_then(|name| directory.routing().hours_at(name, outside::now())) {
                Some(Hours::Closed) => Period::Closed,
                Some(Hours::Holiday) => Period::Holiday,
                Some(Hours::Open) | None => Period::Open,
            };
        let rules = Arc::clone(&self.core.shared.settings().mail.rules);
        Talk::attendant(rules, caller, attendant, period)
    }

    fn caller_aor(&self) -> String {
        self.file.facts.borrow().from.clone()
    }

    /// Who calls, for a dialogue.
    pub(super) fn talking_caller(&mut self) -> Caller {
        let call_id = self.file.facts.borrow().call_id.clone();
        let from = self.caller_aor();
        let user = self.state.caller().and_then(|caller| caller.user.clone());
        match user {
            Some(user) => Caller {
                number: user.extension.clone().unwrap_or_else(|| user.name.clone()),
                name: user.display.clone(),
                mailbox: user.mailbox.as_ref().map(|_| user.name.clone()),
                call_id,
            },
            None => {
                let number = from.split('@').next().unwrap_or_default();
                let number = if number == "anonymous" { "" } else { number };
                // Whoever says to be somebody's number is called so, and is no more than that.
                let directory = self.core.shared.directory();
                let known = directory.find(number).filter(|_| !number.is_empty());
                let name = known.map(|user| user.display.clone()).unwrap_or_default();
                Caller { number: number.to_owned(), name, mailbox: None, call_id }
            }
        }
    }

    /// Answers the caller with a dialogue.
    fn converse(&mut self, kind: ServiceKind, talk: Talk, reason: Option<ReasonForCall>) {
        self.mail_begins(&talk, reason);
        if !self.open_media() {
            return self.refuse(sip::Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
        }
        self.close_lines();
        self.state.talk = Some(Box::new(talk));
        self.serve(kind);
        if self.state.finished {
            return;
        }
        let longest = self.core.shared.settings().mail.call_max;
        self.arm(CallTimer::MaxDuration, longest);
        let begun = self.state.talk.as_mut().map(|talk| talk.begin()).unwrap_or_default();
        self.obey(begun);
    }

    /// Something for the dialogue.
    pub fn talk(&mut self, input: Input) {
        let Some(talk) = &mut self.state.talk else {
            // A place for a recording that nobody needs any more.
            if let Input::Answer(Answer::Draft(Ok(draft))) = input {
                self.core.shared.mailroom.orphan(&self.core.shared, &draft);
            }
            return;
        };
        let outputs = talk.take(input);
        self.obey(outputs);
    }

    /// The caller has pressed a key.
    pub fn talk_key(&mut self, digit: char) {
        let at = self.state.flow.as_ref().and_then(|flow| flow.played(Side::A)).unwrap_or_default();
        self.talk(Input::Key(digit, at));
    }

    /// What was said to the caller has ended, unless something else is being said already.
    pub fn talk_played(&mut self) {
        if self.state.flow.as_ref().is_some_and(|flow| flow.played(Side::A).is_none()) {
            self.talk(Input::Played);
        }
    }

    /// The call is over: what was recorded and is nobody's yet goes to its mailbox.
    pub fn talk_over(&mut self) {
        let Some(mut talk) = self.state.talk.take() else { return };
        self.mail_ends(&talk);
        self.stop_recording();
        if let Some(draft) = talk.leaves() {
            self.core.shared.mailroom.orphan(&self.core.shared, &draft);
        }
    }

    fn stop_recording(&self) {
        if let Some(flow) = &self.state.flow
            && flow.record(None).is_err()
        {
            tracing::warn!(call = %self.key, "the media worker is too busy to end a recording");
        }
    }

    pub(super) fn obey(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Play(items, language) => {
                    let sound = self.sound_of(&items, language);
                    self.say(Source::Prompt(sound, Repeat::Once));
                }
                Output::Hush => self.say(Source::Silence),
                Output::Ask(ask) => self.ask_mailbox(ask),
                Output::Record { draft, longest, silence } => self.record_caller(draft, longest, silence),
                Output::Wake(after) => self.arm(CallTimer::Talk, after),
                Output::Sleep => self.disarm(CallTimer::Talk),
                Output::Transfer(number) => {
                    let by = self.state.talk.as_ref().and_then(|talk| talk.owner());
                    self.connect_caller(&Wanted { number: &number, by: by.as_deref(), ring: None, asks: false });
                }
                Output::Reach { number, of, ring, asks } => {
                    self.connect_caller(&Wanted { number: &number, by: Some(&of), ring, asks });
                }
                Output::End(why) => {
                    self.decided(None, why);
                    self.hang_up_all("switch", why);
                }
                Output::Leave(draft) => self.core.shared.mailroom.orphan(&self.core.shared, &draft),
                Output::Missed(mailbox) => {
                    let voice = self.missed_call();
                    self.core.shared.mailroom.missed(&self.core.shared, &mailbox, voice);
                }
                Output::Note(what) => self.note(None, super::What::Media { what: what.into() }),
            }
        }
    }

    fn missed_call(&mut self) -> Voice {
        let caller = self.talking_caller();
        Voice {
            from: caller.number,
            name: caller.name,
            call_id: caller.call_id,
            received_ms: unix_ms(),
            ..Voice::default()
        }
    }

    fn say(&self, source: Source) {
        if let Some(flow) = &self.state.flow {
            audio::hear(flow, Side::A, source);
        }
    }

    /// Asks a mailbox, whose answer comes as a message; the directory answers at once.
    fn ask_mailbox(&mut self, ask: Ask) {
        let name = match &ask {
            Ask::Who(dialled) => {
                let people = self.person(dialled).into_iter().collect();
                return self.talk(Input::Answer(Answer::People(people)));
            }
            Ask::Spell(keys) => {
                let people = self.people(keys);
                return self.talk(Input::Answer(Answer::People(people)));
            }
            Ask::Open(name) | Ask::Greeting(name) | Ask::CheckPin(name, _) | Ask::SetPin(name, _) => name,
            Ask::Mark(name, ..) | Ask::Away(name, _) | Ask::Clock(name, _) | Ask::Language(name, _) => name,
            Ask::Welcomed(name) => name,
            Ask::Load { mailbox, .. } | Ask::Draft { mailbox, .. } => mailbox,
            Ask::Listen(draft) | Ask::Install(draft, _) | Ask::Drop(draft) => &draft.mailbox,
            Ask::Deliver { draft, .. } | Ask::Send { draft, .. } => &draft.mailbox,
        };
        let (shared, name) = (&self.core.shared, name.clone());
        shared.mailroom.ask(shared, &name, Asker { call: self.key, shard: self.core.shard }, ask);
    }

    /// Whose number is dialled.
    fn person(&self, dialled: &str) -> Option<Person> {
        self.core.shared.directory().find(dialled).map(person)
    }

    /// Who is spelled so.
    fn people(&self, keys: &str) -> Vec<Person> {
        let directory = self.core.shared.directory();
        let spelled = |user: &&Arc<User>| is_spelled(&user.display, &user.name, keys);
        directory.users().iter().filter(spelled).take(FOUND_MAX).map(person).collect()
    }

    /// Records the caller from now on.
    fn record_caller(&mut self, draft: Arc<Draft>, longest: Duration, silence: Duration) {
        let shared = Arc::clone(&self.core.shared);
        let spec = RecordingSpec {
            path: draft.path.clone(),
            encoding: shared.settings().mail.encoding,
            rate_hz: media::prompt::RATE_HZ,
            longest,
            silence: Some(silence),
            stop_keys: "#",
            fax_ends: self.state.talk.as_ref().is_some_and(|talk| talk.hears_faxes()),
        };
        draft.begins();
        let (call, shard) = (self.key, self.core.shard);
        let (keeper, held) = (Arc::clone(&shared), Arc::clone(&draft));
        let told = move |end: media::recorder::RecordingEnd| {
            // Told by the writer's thread, which must not wait: one a recording.
            if held.ends(&end) {
                return keeper.mailroom.settle(&keeper, &held);
            }
            if let Some(seat) = keeper.signalling(shard) {
                seat.send_reply(SignallingMsg::Talk { call, input: Input::Recorded(end) });
            }
        };
        let tape = match shared.recorder.record(spec, told) {
            Ok(tape) => tape,
            Err(error) => {
                tracing::warn!(call = %self.key, %error, "a caller is not recorded");
                let end = media::recorder::RecordingEnd {
                    path: draft.path.clone(),
                    length: Duration::ZERO,
                    sounded: Duration::ZERO,
                    why: media::recorder::Why::Failed,
                    lost_samples: 0,
                };
                draft.ends(&end);
                return self.talk(Input::Recorded(end));
            }
        };
        let recording = Recording { of: Recorded::One(Side::A), tape: Arc::clone(&tape) };
        let begun = self.state.flow.as_ref().is_some_and(|flow| flow.record(Some(recording)).is_ok());
        if !begun {
            tape.stop();
        }
    }

    /// The caller has been connected: the dialogue is over.
    pub fn talk_handed_over(&mut self) {
        self.talk_over();
        self.state.service = None;
        self.disarm(CallTimer::Talk);
        let longest = self.core.shared.settings().sip.max_call_duration;
        self.arm(CallTimer::MaxDuration, longest);
    }

    /// One recording of all that is to be said.
    fn sound_of(&self, items: &[Item], language: Language) -> Arc<Audio> {
        let prompts = &self.core.shared.prompts;
        if let [Item::Sound(one)] = items {
            return Arc::clone(one);
        }
        let mut samples: Vec<i16> = Vec::new();
        for item in items {
            match item {
                Item::Sound(sound) => samples.extend_from_slice(sound.samples()),
                Item::Beep => samples.extend(note(BEEP.0, BEEP.1)),
                Item::Kept => samples.extend(KEPT.iter().flat_map(|hz| note(*hz, BEEP.1 / 2))),
                other => samples.extend_from_slice(spoken(prompts, language, other).samples()),
            }
        }
        Arc::new(Audio::from_samples(samples))
    }

    /// The user of a call's dialogue may be reached at a leg of the caller.
    pub fn is_talking(&self) -> bool {
        self.state.talk.is_some() && self.state.leg(LegId::CALLER).is_some()
    }
}

fn person(user: &Arc<User>) -> Person {
    Person {
        user: user.name.clone(),
        display: user.display.clone(),
        extension: user.extension.clone(),
        has_mailbox: user.mailbox.as_ref().is_some_and(|mailbox| mailbox.policy.home.is_none()),
    }
}

fn note(hz: f64, length: usize) -> Vec<i16> {
    let mut samples = vec![0; length];
    media::tone::Sine::new(hz, TONE_DBM0, media::prompt::RATE_HZ).fill(&mut samples);
    samples
}

fn spoken(prompts: &media::prompt::Prompts, language: Language, item: &Item) -> Arc<Audio> {
    match item {
        Item::Prompt(name) => prompts.speak(language, &[Say::Prompt(name)]),
        Item::Digits(digits) => prompts.speak(language, &[Say::Digits(digits)]),
        Item::Number(number) => prompts.speak(language, &[Say::Number(*number, Counting::Nothing)]),
        Item::Messages(new, saved) => prompts.speak(language, &[Say::Messages { new: *new, saved: *saved }]),
        Item::Spell(name) => {
            let letters: Vec<String> = name
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(SPELLED_MAX)
                .map(|c| match c.is_ascii_digit() {
                    true => format!("number-{c}"),
                    false => format!("letter-{}", c.to_ascii_lowercase()),
                })
                .collect();
            let say: Vec<Say<'_>> = letters.iter().map(|name| Say::Prompt(name)).collect();
            prompts.speak(language, &say)
        }
        Item::When(ms, zone, hours_24) => when(prompts, language, *ms, zone.as_deref(), *hours_24),
        Item::Sound(_) | Item::Beep | Item::Kept => Arc::new(Audio::from_samples(Vec::new())),
    }
}

/// A point in time: today its time alone.
fn when(
    prompts: &media::prompt::Prompts,
    language: Language,
    ms: i64,
    zone: Option<&str>,
    hours_24: bool,
) -> Arc<Audio> {
    let zone = zone.and_then(|name| jiff::tz::TimeZone::get(name).ok()).unwrap_or_else(jiff::tz::TimeZone::system);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(zone.clone());
    let small = |value: i8| u8::try_from(value).unwrap_or(0);
    let today = outside::now().to_zoned(zone).date() == at.date();
    let mut say = vec![match today {
        true => Say::Prompt("today"),
        false => Say::Date {
            year: u16::try_from(at.year()).unwrap_or(0),
            month: small(at.month()),
            day: small(at.day()),
            weekday: Some(small(at.weekday().to_monday_one_offset())),
        },
    }];
    match hours_24 {
        true => say.extend([
            Say::Number(u32::from(small(at.hour())), Counting::Nothing),
            Say::Number(u32::from(small(at.minute())), Counting::Nothing),
        ]),
        false => say.push(Say::Time { hour: small(at.hour()), minute: small(at.minute()) }),
    }
    prompts.speak(language, &say)
}
