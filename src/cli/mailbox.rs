//! Mailboxes: what is in them, out to plain files and in again, and whether every file is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Switch, show};
use super::{humane, table};
use crate::admin_client::AdminClient;

/// The file of an exported mailbox that says what its messages are.
const INDEX_FILE: &str = "mailbox.json";
/// The one with what its owner has written about callers.
const CALLERS_FILE: &str = "callers.json";
const GREETINGS: [&str; 3] = ["greeting", "away", "name"];

#[derive(Subcommand)]
pub enum Order {
    /// List the mailboxes, or the messages of one
    #[command(after_help = "Examples: strowger mailbox list\n          strowger mailbox list alice")]
    List {
        /// Whose mailbox
        user: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Write mailboxes to plain files, while the switch runs: a folder a user, with mailbox.json and WAV files
    #[command(after_help = "Examples: strowger mailbox export backup\n          strowger mailbox export backup alice")]
    Export {
        /// The folder to write to
        folder: PathBuf,
        /// Whose mailbox; without one all
        user: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Add the messages and greetings of exported mailboxes to those that are there
    #[command(after_help = "Example: strowger mailbox import backup")]
    Import {
        /// The folder that was written to
        folder: PathBuf,
        /// Whose mailbox; without one all
        user: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Show the words of a message, as the recogniser that the configuration names has made them out
    #[command(after_help = "Example: strowger mailbox transcript alice 3")]
    Transcript {
        /// Whose mailbox
        user: String,
        /// The number of the message, as `list` shows it
        number: u64,
        #[command(flatten)]
        switch: Switch,
    },
    /// Read every file and compare it with the index; what is not what was written is set aside
    #[command(after_help = "Example: strowger mailbox verify\n\nExit code 1 if something is damaged.")]
    Verify {
        /// Whose mailbox; without one all
        user: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Give a mailbox another PIN, which must be changed; it is unlocked
    #[command(after_help = "Examples: strowger mailbox pin alice\n          strowger mailbox pin alice 258046")]
    Pin {
        /// Whose mailbox
        user: String,
        /// The PIN; without one it is made up
        pin: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Let the owner in again after too many wrong PINs
    #[command(after_help = "Example: strowger mailbox unlock alice")]
    Unlock {
        /// Whose mailbox
        user: String,
        #[command(flatten)]
        switch: Switch,
    },
    /// Show what the owner has written about callers (rules and contacts), or set it from a JSON file
    #[command(
        after_help = "Examples: strowger mailbox callers alice\n          strowger mailbox callers alice rules.json"
    )]
    Callers {
        /// Whose mailbox
        user: String,
        /// The file to set it from
        file: Option<PathBuf>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Call a phone and play a message on it, or let greetings be heard and recorded there
    #[command(
        after_help = "Examples: strowger mailbox play alice 3\n          strowger mailbox play alice 3 --to 1002"
    )]
    Play {
        /// Whose mailbox
        user: String,
        /// The message; without one the greetings
        message: Option<u64>,
        /// The number that is dialled; without one the owner's own
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Write the records of calls with voice mail of a day (UTC) as CSV
    #[command(after_help = "Example: strowger mailbox records 2026-11-25")]
    Records {
        /// The day
        day: String,
        #[command(flatten)]
        switch: Switch,
    },
    /// Sum up the calls with voice mail of the last 30 days
    #[command(after_help = "Example: strowger mailbox statistics --by hour")]
    Statistics {
        /// By `day`, `hour`, `plan` or `gateway`
        #[arg(long, default_value = "day")]
        by: String,
        #[command(flatten)]
        switch: Switch,
    },
    /// List the letters that wait to be sent, and those that were given up
    #[command(after_help = "Example: strowger mailbox outbox")]
    Outbox(Switch),
}

#[derive(Deserialize)]
struct All {
    mailboxes: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    mailbox: String,
    display: String,
    policy: String,
    new: Option<u32>,
    old: Option<u32>,
}

#[derive(Deserialize)]
struct One {
    mailbox: Mailbox,
}

#[derive(Deserialize)]
struct Mailbox {
    messages: Vec<Message>,
    greetings: Vec<String>,
    locked: bool,
}

#[derive(Deserialize)]
struct Message {
    number: u64,
    from: String,
    received_ms: i64,
    length_ms: u64,
    heard: bool,
    urgent: bool,
    deleted: bool,
    damaged: bool,
}

#[derive(Deserialize)]
struct AllSums {
    sums: BTreeMap<String, Sums>,
}

#[derive(Deserialize)]
struct Sums {
    total: u64,
    voice_messages: u64,
    missed_calls: u64,
    subscriber_access: u64,
    attendant: u64,
    outgoing: u64,
    fax: u64,
    other: u64,
    failed_or_rejected: u64,
    mos: Option<f64>,
}

#[derive(Deserialize)]
struct Words {
    transcript: Transcript,
}

#[derive(Deserialize)]
struct Transcript {
    text: String,
    confidence: Option<f32>,
}

#[derive(Deserialize)]
struct Letters {
    letters: Vec<Letter>,
}

#[derive(Deserialize)]
struct Letter {
    mailbox: String,
    to: String,
    kind: String,
    tries: u32,
    given_up: Option<String>,
}

impl Order {
    /// Has it done.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        match self {
            Self::List { user: None, switch } => show(is_json, &switch.client()?.mailboxes()?, |all: All| rows(&all)),
            Self::List { user: Some(user), switch } => {
                show(is_json, &switch.client()?.mailbox(&user)?, |one: One| messages(&one.mailbox))
            }
            Self::Export { folder, user, switch } => export(&switch.client()?, &folder, user, is_json),
            Self::Import { folder, user, switch } => import(&switch.client()?, &folder, user, is_json),
            Self::Verify { user, switch } => verify(&switch.client()?, user, is_json),
            Self::Pin { user, pin, switch } => {
                let answer = switch.client()?.order_mailbox(&user, &json!({ "do": "pin", "pin": pin }))?;
                show(is_json, &answer, |answer: Value| match answer.get("pin").and_then(Value::as_str) {
                    Some(pin) => format!("The PIN of {user} is {pin} until it is changed.\n"),
                    None => format!("{user} has another PIN.\n"),
                })
            }
            Self::Unlock { user, switch } => {
                let answer = switch.client()?.order_mailbox(&user, &json!({ "do": "unlock" }))?;
                show(is_json, &answer, |_: Value| format!("{user} may sign in again.\n"))
            }
            Self::Callers { user, file, switch } => {
                let client = switch.client()?;
                let answer = match file {
                    None => client.callers(&user)?,
                    Some(file) => client.set_callers(&user, &read(&file)?)?,
                };
                show(is_json, &answer, |answer: Value| format!("{answer:#}\n"))
            }
            Self::Play { user, message, to, switch } => {
                let answer = switch.client()?.play(&user, &json!({ "message": message, "number": to }))?;
                show(is_json, &answer, |answer: Value| {
                    let to = answer.pointer("/play/number").and_then(Value::as_str).unwrap_or_default();
                    format!("{to} is being called.\n")
                })
            }
            Self::Records { day, switch } => {
                let table = switch.client()?.mail_records(&day)?;
                std::io::Write::write_all(&mut std::io::stdout(), &table).context("the table cannot be written")
            }
            Self::Statistics { by, switch } => {
                show(is_json, &switch.client()?.mail_statistics(&by)?, |all: AllSums| sums(&all))
            }
            Self::Transcript { user, number, switch } => {
                show(is_json, &switch.client()?.transcript(&user, number)?, |words: Words| transcript(&words))
            }
            Self::Outbox(switch) => show(is_json, &switch.client()?.outbox()?, |all: Letters| letters(&all)),
        }
    }
}

fn rows(all: &All) -> String {
    if all.mailboxes.is_empty() {
        return "No user has a mailbox.\n".to_owned();
    }
    let count = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let rows: Vec<_> = all
        .mailboxes
        .iter()
        .map(|row| [row.mailbox.clone(), row.display.clone(), row.policy.clone(), count(row.new), count(row.old)])
        .collect();
    table::render(["MAILBOX", "OWNER", "POLICY", "NEW", "OLD"], &rows)
}

fn messages(mailbox: &Mailbox) -> String {
    let locked = if mailbox.locked { "The mailbox is locked.\n" } else { "" };
    if mailbox.messages.is_empty() {
        return format!("{locked}No message.\n");
    }
    let rows: Vec<_> = mailbox
        .messages
        .iter()
        .map(|message| {
            let state = match (message.damaged, message.deleted, message.heard) {
                (true, ..) => "damaged",
                (_, true, _) => "deleted",
                (.., true) => "old",
                _ => "new",
            };
            let at = jiff::Timestamp::from_millisecond(message.received_ms).unwrap_or_default();
            let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
            let urgent = if message.urgent { "urgent" } else { "" };
            [
                message.number.to_string(),
                message.from.clone(),
                at,
                humane::duration_ms(message.length_ms),
                state.to_owned(),
                urgent.to_owned(),
            ]
        })
        .collect();
    locked.to_owned() + &table::render(["NUMBER", "FROM", "LEFT AT", "LENGTH", "STATE", ""], &rows)
}

fn sums(all: &AllSums) -> String {
    if all.sums.is_empty() {
        return "No call with voice mail.\n".to_owned();
    }
    let row = |(key, sums): (&String, &Sums)| {
        let part = |count: u64| match sums.total {
            0 => "0".to_owned(),
            total => format!("{count} ({} %)", count * 100 / total),
        };
        [
            key.clone(),
            sums.total.to_string(),
            part(sums.voice_messages),
            part(sums.missed_calls),
            part(sums.subscriber_access),
            part(sums.attendant),
            part(sums.outgoing),
            part(sums.fax),
            part(sums.other),
            part(sums.failed_or_rejected),
            sums.mos.map_or_else(String::new, |mos| format!("{mos:.2}")),
        ]
    };
    let rows: Vec<_> = all.sums.iter().map(row).collect();
    let heads =
        ["", "CALLS", "MESSAGES", "MISSED", "SIGNED IN", "ATTENDANT", "OUTGOING", "FAX", "OTHER", "FAILED", "MOS"];
    table::render(heads, &rows)
}

fn transcript(words: &Words) -> String {
    let Transcript { text, confidence } = &words.transcript;
    let sure = confidence.map(|share| format!("\n({:.0} % sure)", share * 100.0)).unwrap_or_default();
    format!("{}{sure}\n", if text.is_empty() { "(no words)" } else { text })
}

fn letters(all: &Letters) -> String {
    if all.letters.is_empty() {
        return "No letter waits.\n".to_owned();
    }
    let rows: Vec<_> = all
        .letters
        .iter()
        .map(|letter| {
            let state = letter.given_up.clone().map_or_else(|| "waits".to_owned(), |why| format!("given up: {why}"));
            [letter.mailbox.clone(), letter.to.clone(), letter.kind.clone(), letter.tries.to_string(), state]
        })
        .collect();
    table::render(["MAILBOX", "TO", "KIND", "TRIES", "STATE"], &rows)
}

/// The mailboxes that are meant.
fn meant(client: &AdminClient, user: Option<String>) -> anyhow::Result<Vec<String>> {
    match user {
        Some(user) => Ok(vec![user]),
        None => {
            let all: All =
                serde_json::from_value(client.mailboxes()?).context("the switch answers in another shape")?;
            Ok(all.mailboxes.into_iter().map(|row| row.mailbox).collect())
        }
    }
}

fn export(client: &AdminClient, folder: &Path, user: Option<String>, is_json: bool) -> anyhow::Result<()> {
    let (mut mailboxes, mut written, mut damaged) = (0, 0, Vec::new());
    for name in meant(client, user)? {
        let answer = client.mailbox(&name)?;
        let one: One = serde_json::from_value(answer.clone()).context("the switch answers in another shape")?;
        let to = folder.join(&name);
        fs::create_dir_all(&to).with_context(|| format!("{} cannot be made", to.display()))?;
        for message in &one.mailbox.messages {
            match client.bytes(&format!("/api/mailboxes/{name}/messages/{}/audio", message.number)) {
                Ok(sound) => {
                    write(&to.join(format!("{}.wav", message.number)), &sound)?;
                    written += 1;
                }
                Err(error) => damaged.push(format!("{name} {}: {error:#}", message.number)),
            }
        }
        for greeting in &one.mailbox.greetings {
            write(
                &to.join(format!("{greeting}.wav")),
                &client.bytes(&format!("/api/mailboxes/{name}/greetings/{greeting}"))?,
            )?;
        }
        let callers = client.callers(&name)?;
        write(&to.join(CALLERS_FILE), format!("{callers:#}\n").as_bytes())?;
        // Last: a folder without it is no export that has come to its end.
        write(&to.join(INDEX_FILE), format!("{answer:#}\n").as_bytes())?;
        mailboxes += 1;
    }
    let answer = json!({ "ok": damaged.is_empty(), "mailboxes": mailboxes, "messages": written, "damaged": damaged });
    show(is_json, &answer, |_: Value| {
        let left: String = damaged.iter().map(|what| format!("Left out: {what}\n")).collect();
        format!(
            "Wrote {} with {} to {}.\n{left}",
            humane::count(mailboxes, "mailbox"),
            humane::count(written, "message"),
            folder.display()
        )
    })
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

fn import(client: &AdminClient, folder: &Path, user: Option<String>, is_json: bool) -> anyhow::Result<()> {
    let (mut mailboxes, mut messages) = (0, 0);
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| user.as_ref().is_none_or(|user| user == name) && folder.join(name).join(INDEX_FILE).is_file());
    names.sort();
    if names.is_empty() {
        bail!("{} holds no exported mailbox: name the folder that `strowger mailbox export` wrote", folder.display());
    }
    for name in names {
        let from = folder.join(&name);
        let text = fs::read_to_string(from.join(INDEX_FILE)).with_context(|| format!("{INDEX_FILE} of {name}"))?;
        let index: Value = serde_json::from_str(&text).with_context(|| format!("{INDEX_FILE} of {name}"))?;
        let list = index.pointer("/mailbox/messages").and_then(Value::as_array).cloned().unwrap_or_default();
        for message in list {
            let number = message.get("number").and_then(Value::as_u64).unwrap_or(0);
            let is = |key: &str| message.get(key).and_then(Value::as_bool).unwrap_or(false);
            let file = from.join(format!("{number}.wav"));
            if is("deleted") || !file.is_file() {
                continue;
            }
            let sound = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut asked: Vec<(&str, String)> = ["from", "name", "call_id", "sender"]
                .into_iter()
                .map(|key| (key, text(key)))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            asked.extend(["heard", "urgent", "private", "flagged"].map(|key| (key, is(key).to_string())));
            asked.push(("sent", (text("kind") == "sent").to_string()));
            asked.extend(message.get("received_ms").map(|ms| ("received_ms", ms.to_string())));
            client.import_message(&name, &asked, &sound)?;
            messages += 1;
        }
        for greeting in GREETINGS {
            let file = from.join(format!("{greeting}.wav"));
            if let Ok(sound) = fs::read(&file) {
                client.set_greeting(&name, greeting, &sound)?;
            }
        }
        if from.join(CALLERS_FILE).is_file() {
            client.set_callers(&name, &read(&from.join(CALLERS_FILE))?)?;
        }
        mailboxes += 1;
    }
    show(is_json, &json!({ "ok": true, "mailboxes": mailboxes, "messages": messages }), |_: Value| {
        format!("Added {} to {}.\n", humane::count(messages, "message"), humane::count(mailboxes, "mailbox"))
    })
}

fn verify(client: &AdminClient, user: Option<String>, is_json: bool) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for name in meant(client, user)? {
        all.push(client.order_mailbox(&name, &json!({ "do": "verify" }))?);
    }
    let damaged = |answer: &Value| answer.get("damaged").and_then(Value::as_array).map_or(0, Vec::len);
    let bad: usize = all.iter().map(damaged).sum();
    let text: String = all
        .iter()
        .map(|answer| {
            let name = answer.get("mailbox").and_then(Value::as_str).unwrap_or_default();
            let messages = answer.get("messages").and_then(Value::as_u64).unwrap_or(0);
            let list = answer.get("damaged").map(Value::to_string).unwrap_or_default();
            match damaged(answer) {
                0 => format!("{name}: {messages} messages, all whole\n"),
                _ => format!("{name}: {messages} messages, damaged: {list}\n"),
            }
        })
        .collect();
    show(is_json, &json!({ "ok": bad == 0, "mailboxes": all }), |_: Value| text)?;
    match bad {
        0 => Ok(()),
        _ => bail!("{} damaged and set aside in `damaged` of the mailbox's folder", humane::count(bad, "message")),
    }
}
