//! The commands that ask a running switch.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{apply, conferences, features, gateways, groups, humane, limits, mailbox, plan, route, say, table, tree};
use crate::admin_client::{ActorFault, AdminClient, Call, Media, Registration, TreeNode};
use crate::config::units;
use crate::ladder::{self, Ladder, Party, Record};
use crate::top;

const DRAIN_POLL: Duration = Duration::from_millis(500);
/// How long past its deadline a drain may take before the switch is taken for stuck.
const DRAIN_SLACK: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub enum Command {
    /// Show the live supervision tree: what lives, since when, how often restarted and why
    #[command(after_help = "Example: strowger tree --data /var/lib/strowger")]
    Tree(Switch),
    /// List the calls that are up, or the last that have ended
    #[command(after_help = "Examples: strowger calls --json\n          strowger calls --ended 20")]
    Calls {
        /// The last so many that have ended, instead of those that are up
        #[arg(long, value_name = "COUNT")]
        ended: Option<usize>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Draw what happened in one call: its messages, decisions, media and faults
    #[command(after_help = "Examples: strowger ladder 7f3a9c\n          strowger ladder 7f3a9c --svg call.svg\n\n\
        The ids stand in `strowger calls`, `strowger calls --ended 20` and in the log. With --json the record itself.")]
    Ladder {
        /// The call's id, or a SIP Call-ID of it
        call: String,
        /// Write a picture instead
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        #[command(flatten)]
        switch: Switch,
    },
    /// List the conferences and who is in them, mute, kick, record
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger conferences\n          strowger conferences mute 5200 3\n          strowger conferences record 5200"
    )]
    Conferences {
        #[command(subcommand)]
        order: Option<conferences::Order>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Tell where a number would go, and why, rule by rule; nothing is called
    #[command(after_help = "Examples: strowger route 90391234567 --from alice\n          \
        strowger route +390612345678 --gateway lab-carrier --at 2026-12-25T18:05")]
    Route(route::RouteArgs),
    /// List the configurations that were in force: who brought them, when, and what they changed
    #[command(after_help = "Examples: strowger versions\n          strowger versions 3")]
    Versions(apply::VersionsArgs),
    /// Put a configuration that was in force before in force again
    #[command(after_help = "Examples: strowger rollback\n          strowger rollback 3")]
    Rollback(apply::RollbackArgs),
    /// List the gateways and how they stand, drain, enable and disable them
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger gateways\n          strowger gateways drain carrier\n          strowger gateways enable carrier"
    )]
    Gateways {
        #[command(subcommand)]
        order: Option<gateways::Order>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Show what a user has switched for its calls, or change it: forwarding, do-not-disturb, who rings as well
    #[command(
        after_help = "Examples: strowger features alice\n          strowger features alice forward_no_answer=1003 ring_s=30\n          strowger features alice forward_no_answer="
    )]
    Features(features::FeatureArgs),
    /// List the calls that are parked
    #[command(after_help = "Example: strowger parked")]
    Parked(Switch),
    /// List the calls that users have traced as malicious
    #[command(after_help = "Example: strowger traces")]
    Traces(Switch),
    /// List the ring groups, their agents and who waits; sign agents in and out
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger groups\n          strowger groups sign-in sales alice\n          strowger groups sign-out sales alice"
    )]
    Groups {
        #[command(subcommand)]
        order: Option<groups::Order>,
        #[command(flatten)]
        switch: Switch,
    },
    /// List who has spent how much on calls outside, and reset it
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger limits\n          strowger limits reset user:alice"
    )]
    Limits {
        #[command(subcommand)]
        order: Option<limits::Order>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Look into mailboxes: list, export, import, verify, PINs, letters
    #[command(subcommand, after_help = "Examples: strowger mailbox list\n          strowger mailbox export backup")]
    Mailbox(mailbox::Order),
    /// Watch the switch: calls, rates, shards, RTP workers, restarts, drawn anew every second
    #[command(
        after_help = "Examples: strowger top\n          strowger top --once        one picture, as text\n\nWith --json what the \
        picture is made of, once."
    )]
    Top {
        /// One picture, as text
        #[arg(long)]
        once: bool,
        /// How often it is drawn anew
        #[arg(long, default_value = "1s", value_parser = deadline)]
        interval: Duration,
        #[command(flatten)]
        switch: Switch,
    },
    /// List the dial plans, hunt groups, voice policies, usages and hours: what they carry, and how they stand
    #[command(after_help = "Example: strowger plan")]
    Plan(Switch),
    /// List the registered contacts
    #[command(after_help = "Example: strowger registrations")]
    Registrations(Switch),
    /// End or stall one actor, to see it come back
    #[command(
        after_help = "Example: strowger kill switch/shard-0/registrar --panic\n         strowger kill call --stall 2s\n\nThe paths and kinds stand in `strowger tree`."
    )]
    Kill {
        /// The actor's path, or a kind: the first of it
        actor: String,
        /// Make it panic in a handler, instead of stopping it from outside
        #[arg(long)]
        panic: bool,
        /// Stall it for so long, and with it all that share its thread, instead of ending it
        #[arg(long, value_name = "TIME", value_parser = deadline, conflicts_with = "panic")]
        stall: Option<Duration>,
        #[command(flatten)]
        switch: Switch,
    },
    /// Let no new call in, wait for those that are up, then stop the switch
    #[command(after_help = "Example: strowger drain --deadline 5m")]
    Drain {
        /// After how long the remaining calls are ended
        #[arg(long, default_value = "60s", value_parser = deadline)]
        deadline: Duration,
        #[command(flatten)]
        switch: Switch,
    },
}

/// Which switch is asked.
#[derive(Args)]
pub struct Switch {
    /// The data folder of the switch
    #[arg(long, value_name = "DIR", default_value = "./data", env = "STROWGER_DATA")]
    data: PathBuf,
    /// The address of its admin API, instead of the one in its data folder
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// The file with its admin token
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
}

impl Switch {
    pub fn client(&self) -> anyhow::Result<AdminClient> {
        match (&self.admin, &self.token_file) {
            (Some(url), Some(token_file)) => AdminClient::at(url, token_file),
            _ => AdminClient::find(&self.data),
        }
    }
}

impl Command {
    /// Asks, and prints the answer.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        match self {
            Self::Tree(switch) => show(is_json, &switch.client()?.tree()?, |answer: Tree| tree::render(&answer.nodes)),
            Self::Calls { ended: None, switch } => show(is_json, &switch.client()?.calls()?, calls),
            Self::Calls { ended: Some(count), switch } => show(is_json, &switch.client()?.ended_calls(count)?, ended),
            Self::Top { switch, .. } if is_json => {
                let client = switch.client()?;
                say(&format!(
                    "{:#}\n",
                    json!({ "status": client.status()?, "calls": client.calls()?, "tree": client.tree()? })
                ))
            }
            Self::Top { once: true, interval, switch } => say(&top::once(&switch.client()?, interval)?),
            Self::Top { once: false, interval, switch } => top::live(&switch.client()?, interval),
            Self::Registrations(switch) => show(is_json, &switch.client()?.registrations()?, registrations),
            Self::Route(args) => args.run(is_json),
            Self::Versions(args) => args.run(is_json),
            Self::Rollback(args) => args.run(is_json),
            Self::Conferences { order: Some(order), .. } => order.run(is_json),
            Self::Conferences { order: None, switch } => conferences::list(&switch, is_json),
            Self::Ladder { call, svg, switch } => ladder(is_json, &switch.client()?.record(&call)?, svg.as_deref()),
            Self::Gateways { order: Some(order), .. } => order.run(is_json),
            Self::Gateways { order: None, switch } => gateways::list(&switch, is_json),
            Self::Features(args) => args.run(is_json),
            Self::Parked(switch) => features::parked(&switch, is_json),
            Self::Traces(switch) => features::traces(&switch, is_json),
            Self::Groups { order: Some(order), .. } => order.run(is_json),
            Self::Groups { order: None, switch } => groups::list(&switch, is_json),
            Self::Limits { order: Some(order), .. } => order.run(is_json),
            Self::Limits { order: None, switch } => limits::list(&switch, is_json),
            Self::Plan(switch) => plan::list(&switch, is_json),
            Self::Mailbox(order) => order.run(is_json),
            Self::Kill { actor, panic, stall, switch } => {
                let (how, did) = match (stall, panic) {
                    (Some(stall), _) => (ActorFault::Stall(stall), "Stalled"),
                    (None, true) => (ActorFault::Panic, "Ended"),
                    (None, false) => (ActorFault::Kill, "Ended"),
                };
                let path = switch.client()?.break_actor(&actor, how)?;
                show(is_json, &serde_json::json!({ "killed": path }), |_: Value| {
                    format!("{did} {path}. See it come back: strowger tree\n")
                })
            }
            Self::Drain { deadline, switch } => drain(&switch.client()?, deadline, is_json),
        }
    }
}

#[derive(Deserialize)]
struct Tree {
    nodes: Vec<TreeNode>,
}

#[derive(Deserialize)]
struct Calls {
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Registrations {
    registrations: Vec<Registration>,
}

#[derive(Deserialize)]
struct Draining {
    calls_left: usize,
}

/// Prints an answer, as JSON or as text.
pub fn show<T: DeserializeOwned>(is_json: bool, answer: &Value, text: impl FnOnce(T) -> String) -> anyhow::Result<()> {
    if is_json { say(&format!("{answer:#}\n")) } else { say(&text(typed(answer)?)) }
}

fn typed<T: DeserializeOwned>(answer: &Value) -> anyhow::Result<T> {
    T::deserialize(answer).context("the switch answers in another shape: is it of another version?")
}

fn calls(answer: Calls) -> String {
    if answer.calls.is_empty() {
        return "No call is up.\n".to_owned();
    }
    let rows: Vec<_> = answer
        .calls
        .into_iter()
        .map(|call| {
            let codecs = [call.codec_a, call.codec_b].map(|codec| codec.unwrap_or_else(|| "-".to_owned()));
            let sides = [call.media_a.unwrap_or_default(), call.media_b.unwrap_or_default()];
            let lasts = humane::duration_ms(call.duration_ms);
            let (scores, losses) = (sides.each_ref().map(score).join(" / "), sides.each_ref().map(loss).join(" / "));
            [call.id, call.state, call.from, call.to, lasts, codecs.join(" / "), scores, losses]
        })
        .collect();
    table::render(["CALL", "STATE", "FROM", "TO", "LASTS", "CODECS", "MOS", "LOST"], &rows)
}

#[derive(Deserialize)]
struct Ended {
    calls: Vec<Party>,
}

fn ended(answer: Ended) -> String {
    if answer.calls.is_empty() {
        return "No call has ended yet.\n".to_owned();
    }
    let rows: Vec<_> = answer
        .calls
        .into_iter()
        .map(|call| {
            let status = call.sip_status.map(|status| status.to_string()).unwrap_or_default();
            let lasted = humane::duration_ms(call.duration_ms);
            let by = call.hung_up_by.unwrap_or_default();
            [call.id, call.from, call.to, lasted, status, by, call.cause.unwrap_or_default()]
        })
        .collect();
    table::render(["CALL", "FROM", "TO", "LASTED", "STATUS", "ENDED BY", "CAUSE"], &rows)
}

fn ladder(is_json: bool, answer: &Value, svg: Option<&Path>) -> anyhow::Result<()> {
    let record: Record = typed(answer)?;
    let ladder = Ladder::of(&record);
    let Some(svg) = svg else {
        let nothing = "The call ended too long ago: of it only the call record is left. See it with --json.\n";
        let text = || ladder.as_ref().map_or_else(|| nothing.to_owned(), ladder::text::draw);
        return if is_json { say(&format!("{answer:#}\n")) } else { say(&text()) };
    };
    let Some(ladder) = ladder else { bail!("the call ended too long ago: of it only the call record is left") };
    std::fs::write(svg, ladder::svg::draw(&ladder)).with_context(|| format!("{} cannot be written", svg.display()))?;
    show(is_json, &json!({ "ok": true, "file": svg }), |_: Value| format!("Drew {}\n", svg.display()))
}

fn score(media: &Media) -> String {
    media.mos.map_or_else(|| "-".to_owned(), |mos| format!("{mos:.1}"))
}

#[allow(clippy::cast_precision_loss)] // exact up to 2^53 packets
fn loss(media: &Media) -> String {
    match media.packets.saturating_add(media.lost) {
        0 => "-".to_owned(),
        all => format!("{:.1}%", 100.0 * media.lost as f64 / all as f64),
    }
}

fn registrations(answer: Registrations) -> String {
    if answer.registrations.is_empty() {
        return "No phone is registered.\n".to_owned();
    }
    let rows: Vec<_> = answer
        .registrations
        .into_iter()
        .map(|binding| {
            let expires = humane::duration_ms(binding.expires_in_s.saturating_mul(1_000));
            let user_agent = binding.user_agent.unwrap_or_default();
            [binding.aor, binding.contact, binding.transport, binding.received, expires, user_agent]
        })
        .collect();
    table::render(["ADDRESS OF RECORD", "CONTACT", "TRANSPORT", "RECEIVED", "EXPIRES IN", "USER AGENT"], &rows)
}

/// Starts a drain and follows it until no call is left or the switch has gone.
fn drain(client: &AdminClient, deadline: Duration, is_json: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut left = typed::<Draining>(&client.drain(deadline)?)?.calls_left;
    if !is_json {
        say(&format!("Draining: no new call is let in; {} left.\n", humane::count(left, "call")))?;
    }
    while left > 0 {
        if started.elapsed() > deadline.saturating_add(DRAIN_SLACK) {
            bail!("{} left after the deadline: see `strowger calls`", humane::count(left, "call"));
        }
        thread::sleep(DRAIN_POLL);
        let now_left = match client.drained()? {
            Some(answer) => typed::<Draining>(&answer)?.calls_left,
            None => 0,
        };
        if now_left != left && !is_json {
            say(&format!("{} left.\n", humane::count(now_left, "call")))?;
        }
        left = now_left;
    }
    let answer = json!({ "ok": true, "calls_left": left });
    show(is_json, &answer, |_: Value| "Drained.\n".to_owned())
}

fn deadline(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "write a whole number with its unit, such as 30s or 5m".to_owned())
}
