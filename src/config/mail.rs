//! The sections of voice mail: what holds for all mailboxes, policies, e-mail, attendants.

use std::path::PathBuf;
use std::time::Duration;

use actors::mail::{Attach, Front};
use media::prompt::Language;

use super::kind::{
    ADDRESS, ARGUMENT, ATTENDANT_KEY, Count, DIALLED, FilePath, Flag, HOST, KEY_TARGET, LABEL, List, NAME, OneOf,
    Optional, PASSWORD, Period, Size,
};
use super::schema::section;
use super::values::{AttendantKey, KeyTarget, Secret, SmtpSecurity, SoundFormat};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

section! {
    /// Voice mail: what holds for all mailboxes and for voice access.
    Voicemail = "[voicemail]" {
        /// The language of menus, where the owner of a mailbox has chosen no other.
        language: Language = OneOf(&[("en", Language::English), ("it", Language::Italian)]), default "\"en\"";
        /// How long the phones of a user with a mailbox ring before it answers.
        answer_after: Duration = Period(SECOND..=MINUTE * 10), default "\"20s\"";
        /// The longest call of voice mail.
        call_max: Duration = Period(MINUTE..=MINUTE * 120), default "\"30m\"";
        /// The longest message; less than `call_max`.
        recording_max: Duration = Period(SECOND..=MINUTE * 100), default "\"20m\"";
        /// After so long without a sound a recording ends.
        recording_silence: Duration = Period(SECOND..=SECOND * 10), default "\"5s\"";
        /// What has less sound than this is no message, and its caller a missed call.
        recording_min: Duration = Period(Duration::from_millis(100)..=MINUTE), default "\"1s\"";
        /// The longest greeting.
        greeting_max: Duration = Period(SECOND..=MINUTE * 10), default "\"5m\"";
        /// How messages are kept: "g711" takes 8 kB a second, "linear" twice as much.
        format: SoundFormat = OneOf(&[("g711", SoundFormat::G711), ("linear", SoundFormat::Linear)]), default "\"g711\"";
        /// How many wrong inputs in a row lead to the operator, or end the call.
        failures_max: u32 = Count::new(1, 20), default "3";
        /// How many wrong PINs end a call.
        wrong_pins_max: u32 = Count::new(1, 20), default "3";
        /// How long a key may take after what was said.
        key_within: Duration = Period(SECOND..=MINUTE), default "\"5s\"";
        /// How long the next key of a row such as `##` may take.
        next_key_within: Duration = Period(Duration::from_millis(200)..=SECOND * 10), default "\"1200ms\"";
        /// How far one key skips in a message.
        skip: Duration = Period(SECOND..=MINUTE * 5), default "\"5s\"";
        /// How many digits an extension has.
        extension_digits: usize = Count::new(1, 20), default "4";
        /// The number that helps on `0`.
        operator: Option<String> = Optional(DIALLED), optional "\"1001\"";
        /// The number of the attendant that callers of voice access get on `*`.
        attendant: Option<String> = Optional(DIALLED), optional "\"5100\"";
    }
}

section! {
    /// What mailboxes may be like: users name one of these as their `mailbox`.
    MailboxPolicy = "[[mailbox_policy]]" {
        /// Its name.
        name: String = NAME, required "\"staff\"";
        /// How many digits a PIN has at least.
        pin_digits: usize = Count::new(4, 24), default "6";
        /// Whether a PIN may be a row of digits, one digit, or hold the extension.
        pin_common: bool = Flag, default "false";
        /// How many PINs of before are not taken again, the one in force among them.
        pin_history: usize = Count::new(1, 20), default "5";
        /// How long a PIN is good; "0s" is for ever.
        pin_lifetime: Duration = Period(Duration::ZERO..=DAY * 999), default "\"60d\"";
        /// After how many wrong PINs in a row another one is made and sent to the owner; 0 never does.
        pin_failures_reset: u32 = Count::new(0, 998), default "5";
        /// After how many wrong PINs in a row nobody gets in until an operator unlocks the mailbox; 0 never does.
        pin_failures_lock: u32 = Count::new(0, 999), default "15";
        /// Whether a `pin` of `[[user]]` must be changed at the first sign-in.
        pin_first_change: bool = Flag, default "true";
        /// How many messages a mailbox holds.
        messages_max: usize = Count::new(1, 100_000), default "1000";
        /// How much its messages may take.
        size_max: u64 = Size((1 << 20)..=(1 << 40)), default "\"256MiB\"";
        /// How long a message is kept; "0s" keeps it until it is deleted.
        keep: Duration = Period(Duration::ZERO..=DAY * 3650), default "\"0s\"";
        /// How long a deleted message can be had back.
        deleted_keep: Duration = Period(Duration::ZERO..=DAY * 365), default "\"14d\"";
        /// Whether callers who withhold their number may leave a message.
        anonymous: bool = Flag, default "true";
        /// Whether callers may mark a message as private, so that it is not forwarded.
        private: bool = Flag, default "false";
        /// Whether call answering rules of the owner count.
        answering_rules: bool = Flag, default "true";
        /// Whether phones are told of messages (message waiting).
        lamp: bool = Flag, default "true";
        /// Gateways behind which phones of these users are, by `name`, in the order in which they are tried: each change of the
        /// messages of a user is told to one of them (NOTIFY, RFC 3842).
        lamp_gateways: Vec<String> = List { of: NAME, lengths: 0..=8 }, default "[]";
        /// Whether the owner gets an e-mail about callers who left no message.
        missed: bool = Flag, default "true";
        /// How the sound of messages is attached to e-mail: "wav" as it is kept, "opus" in a tenth of it.
        attach: Attach = OneOf(&[("wav", Attach::Wav), ("opus", Attach::Opus)]), default "\"wav\"";
        /// The gateway that is the node which keeps these mailboxes, by `name`; without it this node keeps them.
        home: Option<String> = Optional(NAME), optional "\"mail-2\"";
        /// The number of voice access at that node; without it the user's own number is called there.
        home_pilot: Option<String> = Optional(DIALLED), optional "\"5000\"";
        /// How calls get to that node: `redirect` tells the caller where it is (302), `proxy` takes the call there.
        front: Front = OneOf(&[("redirect", Front::Redirect), ("proxy", Front::Proxy)]), default "\"redirect\"";
        /// The number to which a fax machine that calls a mailbox is connected; it is recognised by its calling tone.
        fax: Option<String> = Optional(DIALLED), optional "\"5800\"";
        /// Whether messages are played on a phone that the owner names.
        play_on_phone: bool = Flag, default "true";
        /// Whether the owner may call in to hear messages.
        access: bool = Flag, default "true";
        /// Whether the words of messages are made out, where `[transcripts]` names a recogniser.
        transcripts: bool = Flag, default "true";
        /// The number that callers get on `0`, where that of `[voicemail]` does not fit.
        operator: Option<String> = Optional(DIALLED), optional "\"1001\"";
    }
}

section! {
    /// E-mail about voice messages, missed calls and PINs. Without `host` none is sent.
    Smtp = "[smtp]" {
        /// The server that takes it.
        host: Option<String> = Optional(HOST), optional "\"mail.example.com\"";
        /// Its port.
        port: u16 = Count::new(1, 65_535), default "587";
        /// Whether it is spoken to in TLS: not, from a plain beginning, or from the start.
        security: SmtpSecurity = OneOf(&[
            ("none", SmtpSecurity::None), ("starttls", SmtpSecurity::StartTls), ("tls", SmtpSecurity::Tls),
        ]), default "\"starttls\"";
        /// What its certificate must be signed by, as PEM, where that is none of the public authorities.
        ca: Option<PathBuf> = Optional(FilePath), optional "\"ca.pem\"";
        /// Who the switch is to it.
        username: Option<String> = Optional(LABEL), optional "\"switch\"";
        /// The password of that.
        password: Option<Secret> = Optional(PASSWORD), optional "\"at-least-8-characters\"";
        /// The sender; without it `voicemail@` and the first domain.
        from: Option<String> = Optional(ADDRESS), optional "\"voicemail@example.com\"";
        /// How long a letter is tried before it is given up.
        give_up: Duration = Period(MINUTE..=DAY * 30), default "\"2d\"";
    }
}

section! {
    /// The words of messages ("voice mail preview"), by a recogniser of yours. Without `command` there are none.
    Transcripts = "[transcripts]" {
        /// The recogniser and its arguments. It gets WAV of 16 bits and 16 kHz on its standard input and prints a JSON object with
        /// `text`; `{language}` is that of `[voicemail]`, `{caller}` the name of the caller.
        command: Vec<String> = List { of: ARGUMENT, lengths: 0..=50 }, default "[]";
        /// A longer message is not read.
        longest: Duration = Period(SECOND..=MINUTE * 100), default "\"20m\"";
        /// How long the recogniser may take, beyond twice the length of the message; it is ended then.
        patience: Duration = Period(SECOND..=MINUTE * 20), default "\"30s\"";
        /// How many recognisers run at once.
        at_once: usize = Count::new(1, 64), default "1";
        /// Below this confidence, per cent, e-mail says that the words are not sure.
        confidence_low: u32 = Count::new(0, 100), default "60";
        /// Below this it does not show them.
        confidence_min: u32 = Count::new(0, 100), default "20";
    }
}

section! {
    /// An attendant: it greets callers by the hour and connects them by keys, extensions and names.
    Attendant = "[[attendant]]" {
        /// Its name.
        name: String = NAME, required "\"reception\"";
        /// The numbers that it answers.
        numbers: Vec<String> = List { of: DIALLED, lengths: 1..=100 }, required "[\"5100\"]";
        /// Its language.
        language: Language = OneOf(&[("en", Language::English), ("it", Language::Italian)]), default "\"en\"";
        /// The time condition in which it is open; without one it always is.
        hours: Option<String> = Optional(NAME), optional "\"office\"";
        /// What is said first while it is open: WAV, 8 kHz, one channel.
        greeting: Option<PathBuf> = Optional(FilePath), optional "\"welcome.wav\"";
        /// The same while it is closed.
        closed_greeting: Option<PathBuf> = Optional(FilePath), optional "\"closed.wav\"";
        /// The same on a holiday, where that of `closed_greeting` does not fit.
        holiday_greeting: Option<PathBuf> = Optional(FilePath), optional "\"holiday.wav\"";
        /// What is said after the greeting.
        announcement: Option<PathBuf> = Optional(FilePath), optional "\"news.wav\"";
        /// What tells the keys while it is open, instead of the words of the program.
        prompt: Option<PathBuf> = Optional(FilePath), optional "\"menu.wav\"";
        /// The same while it is closed.
        closed_prompt: Option<PathBuf> = Optional(FilePath), optional "\"closed-menu.wav\"";
        /// The keys while it is open: key, target, name.
        keys: Vec<AttendantKey> = List { of: ATTENDANT_KEY, lengths: 0..=9 }, default "[]";
        /// The keys while it is closed.
        closed_keys: Vec<AttendantKey> = List { of: ATTENDANT_KEY, lengths: 0..=9 }, default "[]";
        /// What happens when no key comes while it is open.
        on_silence: Option<KeyTarget> = Optional(KEY_TARGET), optional "\"1001\"";
        /// The same while it is closed.
        closed_on_silence: Option<KeyTarget> = Optional(KEY_TARGET), optional "\"mailbox:alice\"";
        /// The number that helps on `0`, where that of `[voicemail]` does not fit.
        operator: Option<String> = Optional(DIALLED), optional "\"1001\"";
        /// Whether `0` leads to the operator while it is open.
        operator_open: bool = Flag, default "false";
        /// The same while it is closed.
        operator_closed: bool = Flag, default "false";
        /// Whether callers may dial extensions of users and be connected with people they have found.
        call_people: bool = Flag, default "true";
        /// Whether they may leave messages for people they have found.
        message_people: bool = Flag, default "true";
        /// Whether they may look for people by name.
        by_name: bool = Flag, default "true";
        /// Whether they may dial any number inside, and not those of users alone.
        any_extension: bool = Flag, default "false";
        /// The number of voice access, where `*` leads there.
        voice_access: Option<String> = Optional(DIALLED), optional "\"5000\"";
    }
}
