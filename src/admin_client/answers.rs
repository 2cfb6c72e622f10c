//! What the admin API answers, as far as the command line reads it.

use serde::Deserialize;

/// One actor of the tree, as `GET /api/tree` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TreeNode {
    /// Names from the root down, joined by `/`.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// How it is.
    pub state: String,
    /// Since when it lives, in milliseconds.
    pub uptime_ms: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it ended the last time.
    pub last_cause: Option<String>,
    /// Messages that wait.
    pub mailbox_depth: u64,
    /// Most messages that may wait; 0 where there is no mailbox.
    pub mailbox_capacity: u64,
    /// How long the oldest message waits, in milliseconds.
    pub mailbox_age_ms: u64,
    /// What it says of itself.
    pub description: Option<String>,
}

/// One call, as `GET /api/calls` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Its identity in logs and records.
    pub id: String,
    /// How far it is.
    pub state: String,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// How long it lasts, in milliseconds.
    pub duration_ms: u64,
    /// The codec of the caller's leg.
    pub codec_a: Option<String>,
    /// The codec of the called leg.
    pub codec_b: Option<String>,
    /// What comes from the caller, once there is media.
    pub media_a: Option<Media>,
    /// What comes from the called.
    pub media_b: Option<Media>,
}

/// A party's media, as `GET /api/calls` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Media {
    /// RTP packets that came.
    pub packets: u64,
    /// RTP packets that never did.
    pub lost: u64,
    /// Mean opinion score, estimated, 1 to 4.41.
    pub mos: Option<f64>,
}

/// One conference, as `GET /api/conferences` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Conference {
    /// Its number.
    pub number: String,
    /// Sample rate of the mix.
    pub rate_hz: u32,
    /// How many may be in it.
    pub participants_max: usize,
    /// The file of its recording.
    pub recording: Option<String>,
    /// Who is in.
    pub participants: Vec<Participant>,
}

/// Somebody in a conference.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Participant {
    /// Its number in the conference.
    pub id: u32,
    /// Who it is.
    pub name: String,
    /// Its call.
    pub call: String,
    /// How loud it is, dBm0.
    pub level_dbm0: f64,
    /// The others hear it at this moment.
    pub talking: bool,
    /// They are not to hear it.
    pub muted: bool,
    /// How much louder they hear it, dB.
    pub gain_db: f64,
}

/// One ring group, as `GET /api/groups` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: String,
    /// In which order agents ring.
    pub method: String,
    /// Its agents.
    pub agents: Vec<GroupAgent>,
    /// The calls in it.
    pub calls: Vec<GroupCall>,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that may wait.
    pub waiting_max: usize,
    /// Calls that came.
    pub came: u64,
    /// Calls that an agent took.
    pub answered: u64,
    /// Calls whose caller has gone.
    pub abandoned: u64,
}

/// An agent of a ring group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GroupAgent {
    /// The user.
    pub name: String,
    /// How it is.
    pub state: String,
}

/// A call in a ring group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GroupCall {
    /// The call.
    pub call: String,
    /// Who calls.
    pub from: String,
    /// Since when.
    pub since: String,
    /// Its place among those that nobody talks with yet.
    pub position: Option<usize>,
    /// Agents that ring for it.
    pub ringing: Vec<String>,
    /// The agent that it talks with.
    pub agent: Option<String>,
}

/// An object of the plan, as `GET /api/plan` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PlanObject {
    /// `dial-plan`, `hunt-group`, `voice-policy`, `usage` or `hours`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Calls that are up under it.
    pub up: u32,
    /// As many as may be.
    pub calls_max: Option<u32>,
    /// Calls that went by it.
    pub calls: u64,
    /// Calls that it refused.
    pub refused: u64,
    /// Whether it is open; `None` for what has no hours.
    pub open: Option<bool>,
    /// Until when.
    pub until: Option<String>,
}

/// Somebody who pays for calls outside, as `GET /api/limits` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    /// `user:NAME` or `gateway:NAME`.
    pub account: String,
    /// The name of its limit.
    pub limit: Option<String>,
    /// Calls outside that are up.
    pub calls: u32,
    /// Units that were spent in this hour.
    pub hour: u64,
    /// Units that it may spend in an hour.
    pub hour_max: Option<u64>,
    /// Units that were spent today.
    pub day: u64,
    /// Units that it may spend in a day.
    pub day_max: Option<u64>,
    /// Why it may call nobody outside at this moment: `calls`, `pace`, `hour`, `day`.
    pub refuses: Option<String>,
    /// Calls that were refused since the start.
    pub refused: u64,
}

/// One gateway, as `GET /api/gateways` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// `in-service`, `draining`, `failed`, `busy` or `disabled`.
    pub state: String,
    /// Whether we are registered with it; `None` where we do not register.
    pub registered: Option<bool>,
    /// Calls that are up.
    pub channels: usize,
    /// Calls that it may have.
    pub channels_max: usize,
    /// How long its last answer to OPTIONS took, ms.
    pub round_trip_ms: Option<f64>,
    /// What was wrong last.
    pub trouble: Option<String>,
    /// Calls that were tried by it.
    pub tried: u64,
    /// Of these, those that it answered.
    pub answered: u64,
    /// Of these, those that went on to the next gateway, or found none.
    pub failed: u64,
}

/// One binding, as `GET /api/registrations` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// The address of record.
    pub aor: String,
    /// Where it is bound to.
    pub contact: String,
    /// How its request came.
    pub transport: String,
    /// The address that its request came from.
    pub received: String,
    /// How long it lasts yet, in seconds.
    pub expires_in_s: u64,
    /// The phone.
    pub user_agent: Option<String>,
}
