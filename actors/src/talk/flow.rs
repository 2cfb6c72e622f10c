//! Waiting, keys, time-outs and failures: what all dialogues have in common.

use media::prompt::Language;
use std::time::Duration;

use super::menu::{Pressed, pressed};
use super::words::{Answer, Ask, Input, Item, Output};
use super::{Act, After, Digits, KEYS_MAX, MenuId, Mode, Next, Role, Talk};

/// How often a caller who waits for a mailbox is told so.
const HOLD: Duration = Duration::from_secs(4);
/// How long a mailbox may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest row of digits.
const ROW_MAX: usize = 32;

impl Talk {
    pub(super) fn handle(&mut self, input: Input) {
        match (self.mode, input) {
            (Mode::Over, _) => {}
            (_, Input::Key(key, at)) => self.key(key, at),
            (Mode::Waiting(after), Input::Answer(answer)) => {
                self.out.push(Output::Sleep);
                self.answered(after, answer);
                self.listen_on();
            }
            // One that comes late: what it was for has been given up.
            (_, Input::Answer(Answer::Draft(Ok(draft)))) => self.out.push(Output::Leave(draft)),
            (_, Input::Answer(_)) => {}
            (Mode::Saying(next), Input::Played) => self.next(next),
            (Mode::Menu(MenuId::Message), Input::Played) if self.is_hearing() => self.piece_over(),
            (Mode::Menu(_) | Mode::Attending | Mode::Ruled | Mode::Digits(_), Input::Played) => {
                self.out.push(Output::Wake(self.rules.key_within));
            }
            (_, Input::Played) => {}
            (Mode::Recording, Input::Recorded(end)) => self.recorded(&end),
            (_, Input::Recorded(end)) => self.note_recorded(&end),
            (mode, Input::Due) => self.due(mode),
        }
    }

    /// Says something and waits for what comes after.
    pub(super) fn say(&mut self, items: Vec<Item>, mode: Mode) {
        self.out.push(Output::Sleep);
        self.keys.clear();
        self.mode = mode;
        self.said.clone_from(&items);
        if items.is_empty() {
            // Nothing to wait for.
            return self.handle(Input::Played);
        }
        let language = self.language();
        self.out.push(Output::Play(items, language));
        self.listen_on();
    }

    /// Says prompts and goes on.
    pub(super) fn tell(&mut self, prompts: &[&'static str], next: Next) {
        self.say(prompts.iter().map(|name| Item::Prompt(name)).collect(), Mode::Saying(next));
    }

    pub(super) fn ask(&mut self, ask: Ask, after: After) {
        self.mode = Mode::Waiting(after);
        self.waited = Duration::ZERO;
        self.out.push(Output::Wake(HOLD));
        self.out.push(Output::Ask(ask));
    }

    pub(super) fn end(&mut self, why: &'static str) {
        self.mode = Mode::Over;
        self.out.push(Output::Sleep);
        self.out.push(Output::End(why));
    }

    pub(super) fn goodbye(&mut self, why: &'static str) {
        self.tell(&["goodbye"], Next::End(why));
    }

    pub(super) fn next(&mut self, next: Next) {
        match next {
            Next::Menu(menu) => self.menu(menu),
            Next::Attending => self.attend(),
            Next::Attended => self.announced(),
            Next::Digits(digits) => self.want(digits),
            Next::Record => self.record_now(),
            Next::Hear => self.hear_on(),
            Next::End(why) => self.end(why),
            Next::Transfer => {
                self.mode = Mode::Waiting(After::Connected);
                self.early.clear();
                self.out.push(Output::Sleep);
                self.out.push(Output::Transfer(self.typed.clone()));
            }
            Next::Elsewhere => self.menu(MenuId::Elsewhere),
            Next::Ruled | Next::RuleHeard => self.rule_keys(),
            Next::Reach => self.reach_next(),
        }
    }

    /// The language that the caller hears.
    pub(super) fn language(&self) -> Language {
        let own = self.view.as_ref().filter(|_| self.signed_in).and_then(|view| view.language);
        let of_attendant = match &self.role {
            Role::Attendant(attendant) => Some(attendant.language),
            _ => None,
        };
        own.or(of_attendant).unwrap_or(self.rules.language)
    }

    /// Tells the keys of a menu and waits for them.
    pub(super) fn menu(&mut self, id: MenuId) {
        if self.plays.is_some() && matches!(id, MenuId::Main | MenuId::Personal) {
            return self.goodbye("what was to be heard was heard");
        }
        let menu = id.menu();
        let mut items: Vec<Item> = menu.opening.iter().map(|name| Item::Prompt(name)).collect();
        self.mode = Mode::Menu(id);
        let told = menu.keys.iter().filter(|entry| entry.told && self.there(entry.act));
        items.extend(told.map(|entry| Item::Prompt(self.line(entry.act, entry.line))));
        self.say(items, Mode::Menu(id));
    }

    /// The words of a key, which may depend on how things stand.
    fn line(&self, act: Act, line: &'static str) -> &'static str {
        match act {
            Act::Away if line == "menu-away" && self.view.as_ref().is_some_and(|view| view.away) => "menu-away-off-1",
            _ => line,
        }
    }

    /// Whether something can be done as things stand.
    pub(super) fn there(&self, act: Act) -> bool {
        let view = self.view.as_ref();
        let current = self.current();
        match act {
            Act::Private => view.is_some_and(|view| view.private) || self.signed_in,
            // Of the main menu only while it is on; of the personal options always.
            Act::Away => self.mode != Mode::Menu(MenuId::Main) || view.is_some_and(|view| view.away),
            Act::Reply => current.is_some_and(|voice| voice.sender.is_some()),
            Act::Forward => current.is_some_and(|voice| !voice.private),
            Act::CallSender => current.is_some_and(|voice| !voice.from.is_empty()),
            Act::Remove => !self.recipients.is_empty(),
            Act::Undelete => self.hearing.as_ref().is_some_and(|hearing| hearing.deleted.is_some()),
            Act::Call => {
                let may = self.attendant_here().is_none_or(|attendant| attendant.call_people);
                may && self.person.as_ref().is_some_and(|person| person.extension.is_some())
            }
            Act::MessageTo => {
                let may = self.attendant_here().is_none_or(|attendant| attendant.message_people);
                may && self.person.as_ref().is_some_and(|person| person.has_mailbox)
            }
            Act::Operator => self.operator().is_some(),
            Act::Louder => self.louder_db < 12,
            Act::Softer => self.louder_db > -12,
            _ => true,
        }
    }

    fn key(&mut self, key: char, at: Duration) {
        match self.mode {
            Mode::Waiting(_) => {
                if self.early.len() < KEYS_MAX {
                    self.early.push_back(key);
                }
            }
            Mode::Menu(id) => self.menu_key(id, key, at),
            Mode::Attending => self.attending_key(key),
            Mode::Ruled => self.ruled_key(key),
            // A greeting of a rule may have to be heard.
            Mode::Saying(Next::RuleHeard | Next::Reach) => {}
            Mode::Digits(digits) => self.digit(digits, key),
            Mode::Saying(Next::Record) if matches!(self.role, Role::Answering) => self.greeting_key(key),
            Mode::Saying(next) if !matches!(next, Next::End(_) | Next::Transfer) => {
                // What is said is cut short; the key counts for what comes.
                self.out.push(Output::Hush);
                if next == Next::Record && key == '#' {
                    return self.next(next);
                }
                self.next(next);
                if !matches!(self.mode, Mode::Recording | Mode::Saying(_)) {
                    self.key(key, Duration::ZERO);
                }
            }
            Mode::Saying(_) | Mode::Recording | Mode::Over => {}
        }
    }

    /// Keys that came too early are taken now.
    fn listen_on(&mut self) {
        while !matches!(self.mode, Mode::Waiting(_) | Mode::Recording | Mode::Over) {
            let Some(key) = self.early.pop_front() else { return };
            self.key(key, Duration::ZERO);
        }
    }

    fn menu_key(&mut self, id: MenuId, key: char, at: Duration) {
        self.heard_until(at);
        if !matches!(id, MenuId::Message) || !self.is_hearing() {
            self.out.push(Output::Hush);
        }
        self.keys.push(key);
        match pressed(id.menu(), &self.keys, |act| self.there(act)) {
            Pressed::Act(act) => self.chosen(id, act),
            Pressed::Unless(_) | Pressed::More => self.out.push(Output::Wake(self.rules.next_key_within)),
            Pressed::Nothing => self.misunderstood(id),
        }
    }

    /// No key followed: what was pressed is what it is.
    fn row_over(&mut self, id: MenuId) {
        match pressed(id.menu(), &self.keys, |act| self.there(act)) {
            Pressed::Act(act) | Pressed::Unless(act) => self.chosen(id, act),
            Pressed::More | Pressed::Nothing => self.misunderstood(id),
        }
    }

    fn chosen(&mut self, id: MenuId, act: Act) {
        self.keys.clear();
        self.failures = 0;
        self.asked_again = false;
        self.out.push(Output::Sleep);
        self.act(id, act);
    }

    fn misunderstood(&mut self, id: MenuId) {
        self.keys.clear();
        self.failed(&["not-an-option"], Next::Menu(id));
    }

    /// A wrong or missing input.
    pub(super) fn failed(&mut self, prompts: &[&'static str], again: Next) {
        self.failures += 1;
        if self.failures >= self.rules.failures_max {
            return self.helpless();
        }
        self.tell(prompts, again);
    }

    /// The caller does not get on: a recording is kept, the operator helps, or the call ends politely.
    fn helpless(&mut self) {
        self.failures = 0;
        if self.keeps_what_is_recorded() {
            return;
        }
        match self.operator() {
            Some(operator) => self.connect(operator),
            None => self.tell(&["sorry", "goodbye"], Next::End("the caller did not get on")),
        }
    }

    /// Who helps.
    pub(super) fn operator(&self) -> Option<String> {
        let of_attendant = match &self.role {
            Role::Attendant(attendant) => attendant.operator_at(self.period),
            Role::Answering => self.view.as_ref().and_then(|view| view.operator.clone()),
            Role::Access => None,
        };
        match &self.role {
            Role::Attendant(attendant) if !attendant.lets_operator(self.period) => None,
            _ => of_attendant.or_else(|| self.rules.operator.clone()),
        }
    }

    /// Says so and connects the caller with a number.
    pub(super) fn connect(&mut self, number: String) {
        self.typed = number;
        self.tell(&["please-hold"], Next::Transfer);
    }

    /// Nobody was reached at the number.
    fn not_connected(&mut self) {
        self.early.clear();
        let number = std::mem::take(&mut self.typed);
        match self.signed_in {
            true => self.tell(&["cannot-connect"], self.home()),
            false => self.ask(Ask::Who(number), After::Unreached),
        }
    }

    /// Whoever was not reached may have a mailbox.
    fn unreached(&mut self, answer: Answer) {
        let with_mailbox = match answer {
            Answer::People(people) => people.into_iter().find(|person| person.has_mailbox),
            _ => None,
        };
        match with_mailbox {
            Some(person) => self.leave_for(person.user),
            None if self.attendant_here().is_some() => self.tell(&["cannot-connect"], Next::Attending),
            None => self.tell(&["cannot-connect", "goodbye"], Next::End("nobody was reached")),
        }
    }

    fn due(&mut self, mode: Mode) {
        match mode {
            Mode::Menu(id) if !self.keys.is_empty() => self.row_over(id),
            Mode::Menu(MenuId::Message) if self.is_paused() => self.pause_over(),
            Mode::Menu(id) => {
                // Once more the same, then it counts.
                if std::mem::replace(&mut self.asked_again, true) {
                    self.failed(&["are-you-there"], Next::Menu(id));
                } else {
                    self.menu(id);
                }
            }
            Mode::Attending if !self.keys.is_empty() => self.attending_row_over(),
            Mode::Attending => self.attending_silence(),
            Mode::Ruled => self.ruled_silence(),
            Mode::Digits(digits) if !self.keys.is_empty() => self.row_typed(digits),
            Mode::Digits(digits) => self.failed(&["are-you-there"], Next::Digits(digits)),
            Mode::Waiting(after) => self.wait_on(after),
            Mode::Saying(_) | Mode::Recording | Mode::Over => {}
        }
    }

    /// The disk may be slow: the caller hears that somebody is there, until it takes too long.
    fn wait_on(&mut self, after: After) {
        self.waited += HOLD;
        if self.waited >= PATIENCE {
            return self.answered(after, Answer::Failed);
        }
        self.out.push(Output::Play(vec![Item::Prompt("please-hold")], self.language()));
        self.out.push(Output::Wake(HOLD));
    }

    /// Asks for a row of digits.
    pub(super) fn want(&mut self, digits: Digits) {
        let prompts: &[&'static str] = match digits {
            Digits::Extension => &["enter-extension"],
            Digits::Pin => &["enter-pin"],
            Digits::NewPin => &["enter-new-pin"],
            Digits::NewPinAgain => &["enter-pin-again"],
            Digits::Spell => &["spell-name"],
            Digits::Choose => &[],
        };
        let mut items: Vec<Item> = prompts.iter().map(|name| Item::Prompt(name)).collect();
        if digits == Digits::Choose {
            items = self.choices();
        }
        self.say(items, Mode::Digits(digits));
    }

    fn digit(&mut self, digits: Digits, key: char) {
        self.out.push(Output::Hush);
        if self.keys.is_empty() && matches!(key, '*' | '#') || key == '*' {
            self.keys.clear();
            return self.sign(digits, key);
        }
        if key == '#' {
            return self.row_typed(digits);
        }
        if key == '0' && self.keys.is_empty() && matches!(digits, Digits::Extension | Digits::Spell | Digits::Choose) {
            return self.sign(digits, key);
        }
        if !key.is_ascii_digit() || self.keys.len() >= ROW_MAX {
            return;
        }
        self.keys.push(key);
        let whole = match digits {
            Digits::Extension => self.keys.len() >= self.rules.extension_digits,
            Digits::Choose => true,
            _ => false,
        };
        if whole {
            return self.row_typed(digits);
        }
        self.out.push(Output::Wake(self.rules.key_within));
    }

    fn row_typed(&mut self, digits: Digits) {
        let row = std::mem::take(&mut self.keys);
        self.out.push(Output::Sleep);
        match digits {
            Digits::Extension => self.extension_typed(&row),
            Digits::Pin => self.pin_typed(row),
            Digits::NewPin => self.new_pin_typed(row),
            Digits::NewPinAgain => self.new_pin_again(&row),
            Digits::Spell => self.spelled(row),
            Digits::Choose => self.choice(&row),
        }
    }

    /// `*`, `#` or `0` where digits are wanted.
    fn sign(&mut self, digits: Digits, key: char) {
        match (digits, key) {
            (Digits::Extension | Digits::Pin, _) => self.access_sign(digits, key),
            (Digits::NewPin | Digits::NewPinAgain, '*') => self.new_pin_cancelled(),
            (Digits::Spell | Digits::Choose, '*') => self.search_left(),
            (Digits::Spell | Digits::Choose, '0') if self.operator().is_some() => {
                let operator = self.operator().unwrap_or_default();
                self.connect(operator);
            }
            _ => self.failed(&["not-an-option"], Next::Digits(digits)),
        }
    }

    fn answered(&mut self, after: After, answer: Answer) {
        match after {
            After::Opened if self.plays.is_some() => self.play_opened(answer),
            After::Opened | After::Greeted => self.answering_answered(after, answer),
            After::SignedFor | After::PinChecked => self.signing_answered(after, answer),
            After::PinSet | After::Installed | After::SettingSet => self.personal_answered(after, answer),
            After::Marked(then) => self.marked(then, answer),
            After::Loaded => self.loaded(answer),
            After::Drafted | After::Delivered | After::Dropped(_) => self.recording_answered(after, answer),
            After::Spelled => self.found(answer),
            After::Dialled => self.dialled(answer),
            After::Connected => self.not_connected(),
            After::Unreached => self.unreached(answer),
            After::Reached => self.not_reached(),
        }
    }

    /// A key of a menu.
    fn act(&mut self, id: MenuId, act: Act) {
        match (id, act) {
            (MenuId::Message, Act::Repeat) => self.menu_of_message(),
            (_, Act::Repeat) => self.menu(id),
            (MenuId::Recorded | MenuId::Sending, act) => self.recorded_act(id, act),
            (MenuId::GreetingRecorded, act) => self.greeting_recorded_act(act),
            (MenuId::Main, act) => self.main_act(act),
            (MenuId::Message | MenuId::More, act) => self.message_act(id, act),
            (MenuId::Compose | MenuId::Person, act) => self.finding_act(id, act),
            (MenuId::Personal | MenuId::Greetings, act) => self.personal_act(id, act),
            (MenuId::Elsewhere, act) => self.elsewhere_act(act),
        }
    }
}
