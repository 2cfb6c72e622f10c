//! The menus as a table: which keys there are, what each does, and the words that tell of it.
//!
//! What a caller hears of a menu is made from the lines of its keys, so a key without words cannot be; the test in `walk.rs`
//! presses all of them.

/// A menu.
#[derive(Debug)]
pub struct Menu {
    /// Its name, in the record of a call.
    pub name: &'static str,
    /// What is said before its keys.
    pub opening: &'static [&'static str],
    /// Its keys, in the order in which they are told.
    pub keys: &'static [Entry],
}

/// A key, or a row of keys, of a menu.
#[derive(Debug)]
pub struct Entry {
    /// What is pressed.
    pub keys: &'static str,
    /// What it does.
    pub act: Act,
    /// The prompt that tells of it.
    pub line: &'static str,
    /// Whether it is told each time, or can only be pressed.
    pub told: bool,
}

/// The menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MenuId {
    /// After a recording.
    Recorded,
    /// How a recording is sent.
    Sending,
    /// After signing in.
    Main,
    /// While and after a message is heard.
    Message,
    /// More that can be done with a message.
    More,
    /// Whom a message is for.
    Compose,
    /// One's own settings.
    Personal,
    /// One's greetings.
    Greetings,
    /// After a greeting was recorded.
    GreetingRecorded,
    /// Somebody was found in the directory.
    Person,
    /// A caller who pressed `*` instead of leaving a message.
    Elsewhere,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// The menu is told again.
    Repeat,
    /// To the menu before.
    Back,
    /// The call ends.
    Leave,
    /// The recording is kept, and how it is sent is asked.
    Keep,
    /// It is played.
    Replay,
    /// It is made anew.
    Rerecord,
    /// It goes on.
    Continue,
    /// It is thrown away.
    Cancel,
    /// It is sent.
    Send,
    /// It is urgent, or not.
    Urgent,
    /// It is private, or not.
    Private,
    /// The messages are heard.
    Messages,
    /// Somebody is looked for.
    Find,
    /// A message is recorded for somebody.
    Compose,
    /// One's settings.
    Personal,
    /// The away greeting is on, or off.
    Away,
    /// Back a few seconds.
    Rewind,
    /// A pause, or its end.
    Pause,
    /// Ahead a few seconds.
    Ahead,
    /// To the end.
    ToEnd,
    /// Slower.
    Slower,
    /// Faster.
    Faster,
    /// Softer.
    Softer,
    /// Louder.
    Louder,
    /// The message is deleted.
    Delete,
    /// The one that was deleted last comes back.
    Undelete,
    /// A message goes back to its sender.
    Reply,
    /// The message goes to somebody else too.
    Forward,
    /// It counts as not heard.
    Unread,
    /// It is kept as it is, and the next one comes.
    Save,
    /// The one before.
    Previous,
    /// The next one.
    Next,
    /// The next one that was not heard.
    NextNew,
    /// The other keys are told.
    More,
    /// The sender is called.
    CallSender,
    /// It is marked for later, or not.
    Flag,
    /// Who it is from, and when.
    Envelope,
    /// The other language.
    Language,
    /// Another recipient.
    Add,
    /// The last recipient goes.
    Remove,
    /// The recording begins.
    Record,
    /// One's greetings.
    Greetings,
    /// Another PIN.
    ChangePin,
    /// 12 or 24 hours.
    Clock,
    /// The greeting.
    Standard,
    /// The greeting while away.
    AwayGreeting,
    /// One's name.
    Name,
    /// The person's number is said.
    Details,
    /// The person is called.
    Call,
    /// The person gets a message.
    MessageTo,
    /// Another person is looked for.
    Another,
    /// The operator.
    Operator,
}

const fn told(keys: &'static str, act: Act, line: &'static str) -> Entry {
    Entry { keys, act, line, told: true }
}

const fn quiet(keys: &'static str, act: Act, line: &'static str) -> Entry {
    Entry { keys, act, line, told: false }
}

impl MenuId {
    /// Every menu.
    pub const ALL: [MenuId; 11] = [
        MenuId::Recorded,
        MenuId::Sending,
        MenuId::Main,
        MenuId::Message,
        MenuId::More,
        MenuId::Compose,
        MenuId::Personal,
        MenuId::Greetings,
        MenuId::GreetingRecorded,
        MenuId::Person,
        MenuId::Elsewhere,
    ];

    /// The menu (reference, unified messaging, 3.7, 4.3 to 4.8).
    pub const fn menu(self) -> &'static Menu {
        match self {
            MenuId::Recorded => &RECORDED,
            MenuId::Sending => &SENDING,
            MenuId::Main => &MAIN,
            MenuId::Message => &MESSAGE,
            MenuId::More => &MORE,
            MenuId::Compose => &COMPOSE,
            MenuId::Personal => &PERSONAL,
            MenuId::Greetings => &GREETINGS,
            MenuId::GreetingRecorded => &GREETING_RECORDED,
            MenuId::Person => &PERSON,
            MenuId::Elsewhere => &ELSEWHERE,
        }
    }
}

static RECORDED: Menu = Menu {
    name: "recorded",
    opening: &[],
    keys: &[
        told("1", Act::Keep, "menu-keep"),
        told("2", Act::Replay, "menu-replay"),
        told("3", Act::Rerecord, "menu-rerecord"),
        told("4", Act::Continue, "menu-continue"),
        told("*", Act::Cancel, "menu-cancel"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static SENDING: Menu = Menu {
    name: "sending",
    opening: &[],
    keys: &[
        told("#", Act::Send, "menu-send"),
        told("1", Act::Urgent, "menu-urgent"),
        told("2", Act::Private, "menu-private"),
        told("*", Act::Back, "menu-back"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static MAIN: Menu = Menu {
    name: "main",
    opening: &["main-menu"],
    keys: &[
        told("1", Act::Messages, "menu-messages"),
        told("4", Act::Find, "menu-find"),
        told("5", Act::Compose, "menu-compose"),
        told("6", Act::Personal, "menu-personal"),
        told("7", Act::Away, "menu-away-off"),
        told("0", Act::Repeat, "menu-repeat"),
        told("*", Act::Leave, "menu-leave"),
    ],
};

static MESSAGE: Menu = Menu {
    name: "message",
    opening: &[],
    keys: &[
        told("7", Act::Delete, "menu-delete"),
        told("5", Act::Save, "menu-save"),
        told("8", Act::Reply, "menu-reply"),
        told("9", Act::Unread, "menu-unread"),
        told("#", Act::Next, "menu-next"),
        told("00", Act::More, "menu-more"),
        told("*", Act::Back, "menu-main"),
        quiet("1", Act::Rewind, "menu-rewind"),
        quiet("2", Act::Pause, "menu-pause"),
        quiet("3", Act::Ahead, "menu-ahead"),
        quiet("33", Act::ToEnd, "menu-end"),
        quiet("4", Act::Slower, "menu-slower"),
        quiet("6", Act::Faster, "menu-faster"),
        quiet("77", Act::Undelete, "menu-undelete"),
        quiet("11", Act::Previous, "menu-previous"),
        quiet("##", Act::NextNew, "menu-next-new"),
        quiet("0011", Act::Previous, "menu-previous"),
        quiet("00##", Act::NextNew, "menu-next-new"),
        quiet("0", Act::Repeat, "menu-repeat"),
    ],
};

static MORE: Menu = Menu {
    name: "more",
    opening: &[],
    keys: &[
        told("1", Act::Replay, "menu-replay-1"),
        told("11", Act::Previous, "menu-previous"),
        told("##", Act::NextNew, "menu-next-new"),
        told("2", Act::CallSender, "menu-call-sender"),
        told("3", Act::Softer, "menu-softer"),
        told("9", Act::Louder, "menu-louder"),
        told("44", Act::Flag, "menu-flag"),
        told("5", Act::Envelope, "menu-envelope"),
        told("55", Act::Language, "menu-language"),
        told("6", Act::Forward, "menu-forward"),
        told("8", Act::Reply, "menu-reply"),
        told("77", Act::Undelete, "menu-undelete"),
        told("*", Act::Back, "menu-back"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static COMPOSE: Menu = Menu {
    name: "compose",
    opening: &[],
    keys: &[
        told("1", Act::Record, "menu-record"),
        told("2", Act::Add, "menu-add"),
        told("3", Act::Remove, "menu-remove"),
        told("*", Act::Cancel, "menu-cancel"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static PERSONAL: Menu = Menu {
    name: "personal",
    opening: &["personal-options"],
    keys: &[
        told("1", Act::Away, "menu-away"),
        told("2", Act::Greetings, "menu-greetings"),
        told("3", Act::ChangePin, "menu-pin"),
        told("6", Act::Clock, "menu-clock"),
        told("7", Act::Language, "menu-language-7"),
        told("*", Act::Back, "menu-main"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static GREETINGS: Menu = Menu {
    name: "greetings",
    opening: &[],
    keys: &[
        told("1", Act::Standard, "menu-standard"),
        told("2", Act::AwayGreeting, "menu-away-greeting"),
        told("3", Act::Name, "menu-name"),
        told("*", Act::Back, "menu-back"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static GREETING_RECORDED: Menu = Menu {
    name: "greeting-recorded",
    opening: &[],
    keys: &[
        told("1", Act::Keep, "menu-keep"),
        told("2", Act::Rerecord, "menu-rerecord-2"),
        told("3", Act::Replay, "menu-replay-3"),
        told("*", Act::Cancel, "menu-cancel"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static PERSON: Menu = Menu {
    name: "person",
    opening: &[],
    keys: &[
        told("1", Act::Details, "menu-details"),
        told("2", Act::Call, "menu-call"),
        told("3", Act::MessageTo, "menu-message-to"),
        told("4", Act::Another, "menu-another"),
        told("*", Act::Back, "menu-back"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

static ELSEWHERE: Menu = Menu {
    name: "elsewhere",
    opening: &[],
    keys: &[
        told("1", Act::Find, "menu-find-1"),
        told("2", Act::Operator, "menu-operator"),
        told("*", Act::Leave, "menu-leave"),
        told("0", Act::Repeat, "menu-repeat"),
    ],
};

/// What a row of pressed keys comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It is this.
    Act(Act),
    /// It is this, unless another key follows at once.
    Unless(Act),
    /// More is to come.
    More,
    /// It is nothing.
    Nothing,
}

/// What the keys pressed so far are in a menu, of whose entries only those that `there` says can be pressed.
pub fn pressed(menu: &Menu, keys: &str, there: impl Fn(Act) -> bool) -> Pressed {
    let entries = || menu.keys.iter().filter(|entry| there(entry.act));
    let exact = entries().find(|entry| entry.keys == keys).map(|entry| entry.act);
    let longer = entries().any(|entry| entry.keys.len() > keys.len() && entry.keys.starts_with(keys));
    match (exact, longer) {
        (Some(act), false) => Pressed::Act(act),
        (Some(act), true) => Pressed::Unless(act),
        (None, true) => Pressed::More,
        (None, false) => Pressed::Nothing,
    }
}
