//! Conferences: who is in them, and what is done there.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Switch, show};
use super::{humane, table};
use crate::admin_client::Conference;

#[derive(Subcommand)]
pub enum Order {
    /// Let the others not hear a participant
    #[command(after_help = "Example: strowger conferences mute 5200 3")]
    Mute(Whom),
    /// Let the others hear it again
    #[command(after_help = "Example: strowger conferences unmute 5200 3")]
    Unmute(Whom),
    /// Let the others hear it louder or softer
    #[command(after_help = "Example: strowger conferences gain 5200 3 -6")]
    Gain {
        #[command(flatten)]
        whom: Whom,
        /// How much, from -24 to 24 dB
        #[arg(allow_negative_numbers = true)]
        db: f32,
    },
    /// End its call
    #[command(after_help = "Example: strowger conferences kick 5200 3")]
    Kick(Whom),
    /// Record the conference, or end its recording
    #[command(
        after_help = "Example: strowger conferences record 5200\n         strowger conferences record 5200 --stop\n\n\
        The recording is a WAV file in `recordings` of the data folder."
    )]
    Record {
        /// The conference's number
        number: String,
        /// End the recording
        #[arg(long)]
        stop: bool,
        #[command(flatten)]
        switch: Switch,
    },
}

/// A participant of a conference.
#[derive(clap::Args)]
pub struct Whom {
    /// The conference's number
    number: String,
    /// The participant, as `strowger conferences` numbers them
    participant: u32,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Conferences {
    conferences: Vec<Conference>,
}

#[derive(Deserialize)]
struct Done {
    conference: Conference,
    file: Option<String>,
}

/// Shows the conferences.
pub fn list(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.conferences()?, |answer: Conferences| {
        let all: Vec<String> = answer.conferences.iter().map(text).collect();
        if all.is_empty() { "Nobody is in a conference.\n".to_owned() } else { all.join("\n") }
    })
}

impl Order {
    /// Has it done, and shows the conference afterwards.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let (number, switch, order) = match self {
            Self::Mute(Whom { number, participant, switch }) => {
                (number, switch, json!({ "do": "mute", "participant": participant }))
            }
            Self::Unmute(Whom { number, participant, switch }) => {
                (number, switch, json!({ "do": "unmute", "participant": participant }))
            }
            Self::Gain { whom: Whom { number, participant, switch }, db } => {
                (number, switch, json!({ "do": "gain", "participant": participant, "db": db }))
            }
            Self::Kick(Whom { number, participant, switch }) => {
                (number, switch, json!({ "do": "kick", "participant": participant }))
            }
            Self::Record { number, stop, switch } => {
                (number, switch, json!({ "do": if stop { "stop" } else { "record" } }))
            }
        };
        let answer: Value = switch.client()?.in_conference(&number, &order)?;
        show(is_json, &answer, |done: Done| match &done.file {
            Some(file) => format!("{}Recording: {file}\n", text(&done.conference)),
            None => text(&done.conference),
        })
    }
}

fn text(conference: &Conference) -> String {
    let recorded = if conference.recording.is_some() { ", recorded" } else { "" };
    let head = format!(
        "{}: {} of {}, {} kHz{recorded}\n",
        humane::safe(&conference.number, 20),
        conference.participants.len(),
        conference.participants_max,
        conference.rate_hz / 1000,
    );
    let rows: Vec<_> = conference
        .participants
        .iter()
        .map(|one| {
            let level = if one.level_dbm0 > -127.0 { format!("{:.0} dBm0", one.level_dbm0) } else { "-".to_owned() };
            let state = match (one.muted, one.talking) {
                (true, _) => "muted",
                (false, true) => "talks",
                (false, false) => "listens",
            };
            [
                one.id.to_string(),
                one.name.clone(),
                state.to_owned(),
                level,
                format!("{:+.1} dB", one.gain_db),
                one.call.clone(),
            ]
        })
        .collect();
    head + &table::render(["ID", "PARTICIPANT", "STATE", "LEVEL", "GAIN", "CALL"], &rows)
}
