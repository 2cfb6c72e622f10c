//! The client of a running switch's admin API: finds the switch by its data folder, and asks.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;

/// The file in the data folder in which a running switch says where it is.
pub const SWITCH_FILE: &str = "switch.json";
/// The file in the data folder that holds the admin token, unless `switch.json` names another.
pub const TOKEN_FILE: &str = "admin.token";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const SMALL_FILE_BYTES_MAX: u64 = 64 << 10;
const ERROR_CHARS_MAX: usize = 300;

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

/// How an actor is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorFault {
    /// It is stopped from outside.
    Kill,
    /// It panics in a handler.
    Panic,
    /// It does nothing for so long, and with it all that share its thread.
    Stall(Duration),
}

/// A running switch.
pub struct AdminClient {
    base: String,
    token: String,
    agent: Agent,
    /// What to do when nobody answers.
    remedy: String,
}

/// What a running switch writes into its data folder; more is there for others.
#[derive(Deserialize)]
struct SwitchFile {
    pid: Option<u64>,
    http: String,
    token_file: Option<PathBuf>,
}

impl AdminClient {
    /// The switch that runs on the data folder `data`.
    ///
    /// # Errors
    ///
    /// That none runs there, or that its token cannot be read; both say what to do.
    pub fn find(data: &Path) -> anyhow::Result<Self> {
        let folder = data.display();
        let start = format!("start one with `strowger run`, or name its data folder with --data; this one is {folder}");
        let file = data.join(SWITCH_FILE);
        let text = match read_small(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!(
                    "no switch is running on {folder}: start one with `strowger run`, or name its data folder with --data"
                )
            }
            read => read.with_context(|| format!("{} cannot be read", file.display()))?,
        };
        let switch: SwitchFile =
            serde_json::from_str(&text).with_context(|| format!("{} is not what a switch writes", file.display()))?;
        let pid = switch.pid.map_or(String::new(), |pid| format!(" (process {pid} until then)"));
        let remedy = format!("the switch has stopped or was killed{pid}: {start}");
        // An absolute path stands for itself.
        let token_file = data.join(switch.token_file.as_deref().unwrap_or(Path::new(TOKEN_FILE)));
        Self::new(&switch.http, &token_file, remedy)
    }

    /// The switch whose admin API is at `url`, with the token in `token_file`.
    ///
    /// # Errors
    ///
    /// That the address is none, or that the token cannot be read; both say what to do.
    pub fn at(url: &str, token_file: &Path) -> anyhow::Result<Self> {
        Self::new(url, token_file, "check the address that you gave with --admin".to_owned())
    }

    fn new(url: &str, token_file: &Path, remedy: String) -> anyhow::Result<Self> {
        let base = match url.split_once("://") {
            Some(("http", _)) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", url.trim_end_matches('/')),
            Some(_) => bail!("{url} is no http:// address: ask the switch on its own machine, or through a tunnel"),
        };
        let token = read_small(token_file).with_context(|| {
            let file = token_file.display();
            format!("the admin token in {file} cannot be read: run this as the switch's user, or name a --token-file")
        })?;
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            // The token goes to the switch and to nobody else.
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Self { base, token: token.trim().to_owned(), agent: Agent::new_with_config(config), remedy })
    }

    /// The live tree: `{"nodes": [TreeNode]}`.
    ///
    /// # Errors
    ///
    /// As every question here: that nobody answers, that the switch refuses, or that its answer is not JSON.
    pub fn tree(&self) -> anyhow::Result<Value> {
        self.get("/api/tree")
    }

    /// How the switch does as a whole: node, state, addresses, loads.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn status(&self) -> anyhow::Result<Value> {
        self.get("/api/status")
    }

    /// The calls that are up: `{"calls": [Call]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn calls(&self) -> anyhow::Result<Value> {
        self.get("/api/calls")
    }

    /// Its figures, in the format of Prometheus.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn metrics(&self) -> anyhow::Result<String> {
        let mut response = self.request("/metrics", None).map_err(|error| self.unanswered(error))?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        body.with_context(|| format!("the answer of {} broke off", self.base))
    }

    /// The last calls that have ended, the newest first: `{"calls": [call detail record]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn ended_calls(&self, count: usize) -> anyhow::Result<Value> {
        self.get(&format!("/api/calls?ended={count}"))
    }

    /// The ordered record of one call.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn record(&self, call: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/calls/{}", path_segment(call)))
    }

    /// The conferences that somebody is in: `{"conferences": [Conference]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn conferences(&self) -> anyhow::Result<Value> {
        self.get("/api/conferences")
    }

    /// Has something done in a conference: `{"conference": Conference, "file": …}`; docs/http.md says what can be ordered.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn in_conference(&self, number: &str, order: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/conferences/{}", path_segment(number)), order)
    }

    /// Where a number would go: `{"destination": …, "targets": […], "steps": […]}`. What is asked is `number` with `from` or
    /// `gateway`, and perhaps `at`, `caller` and `diverted`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn route(&self, asked: &[(&str, &str)]) -> anyhow::Result<Value> {
        let query: Vec<String> = asked.iter().map(|(key, value)| format!("{key}={}", path_segment(value))).collect();
        self.get(&format!("/api/route?{}", query.join("&")))
    }

    /// Puts a configuration in force: `{"changes": […], "version": n}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`]; also that it has mistakes, or changes what a running switch cannot change.
    pub fn apply(&self, wanted: &Value) -> anyhow::Result<Value> {
        self.post("/api/config", wanted)
    }

    /// The configurations that were in force: `{"versions": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn versions(&self) -> anyhow::Result<Value> {
        self.get("/api/config/versions")
    }

    /// Puts a configuration in force again: `{"changes": […], "version": n}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn roll_back(&self, wanted: &Value) -> anyhow::Result<Value> {
        self.post("/api/config/rollback", wanted)
    }

    /// What a user has switched: `{"user", "features"}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`]; also that there is no such user.
    pub fn features(&self, user: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/features/{}", path_segment(user)))
    }

    /// Changes what a user has switched: an object of what is to change. Answers as [`Self::features`].
    ///
    /// # Errors
    ///
    /// See [`Self::features`]; also that it may not be so.
    pub fn set_features(&self, user: &str, wanted: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/features/{}", path_segment(user)), wanted)
    }

    /// The calls that are parked: `{"parked": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn parked(&self) -> anyhow::Result<Value> {
        self.get("/api/parked")
    }

    /// The calls that users have traced: `{"traces": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn traces(&self) -> anyhow::Result<Value> {
        self.get("/api/traces")
    }

    /// The ring groups: `{"groups": [Group]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn groups(&self) -> anyhow::Result<Value> {
        self.get("/api/groups")
    }

    /// Has something done in a ring group: `{"group": Group}` is how it is afterwards.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`]; also that there is no such group or agent.
    pub fn order_group(&self, name: &str, order: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/groups/{}", path_segment(name)), order)
    }

    /// The gateways: `{"gateways": [Gateway]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn gateways(&self) -> anyhow::Result<Value> {
        self.get("/api/gateways")
    }

    /// Has a gateway enabled, drained or disabled: `{"gateway": Gateway}`; docs/http.md says what can be ordered.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn order_gateway(&self, name: &str, order: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/gateways/{}", path_segment(name)), order)
    }

    /// What was spent on calls outside: `{"limits": [Account]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn limits(&self) -> anyhow::Result<Value> {
        self.get("/api/limits")
    }

    /// Has what an account has spent forgotten: `{"limit": Account}`; docs/http.md says what can be ordered.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn order_limit(&self, account: &str, order: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/limits/{}", path_segment(account)), order)
    }

    /// The bindings: `{"registrations": [Registration]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn registrations(&self) -> anyhow::Result<Value> {
        self.get("/api/registrations")
    }

    /// Ends the actor at `path`: `{"killed": path}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn kill(&self, path: &str, how: ActorFault) -> anyhow::Result<Value> {
        let (how, stall) = match how {
            ActorFault::Kill => ("kill", Duration::ZERO),
            ActorFault::Panic => ("panic", Duration::ZERO),
            ActorFault::Stall(stall) => ("stall", stall),
        };
        let stall_ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        self.post("/api/kill", &serde_json::json!({ "path": path, "how": how, "stall_ms": stall_ms }))
    }

    /// Makes each sync of the disk longer by so much; zero ends it.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn slow_disk(&self, by: Duration) -> anyhow::Result<Value> {
        let slower_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.post("/api/faults/disk", &serde_json::json!({ "slower_ms": slower_ms }))
    }

    /// Lets no new call in and waits for the others, at most `deadline`: `{"calls_left": n}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn drain(&self, deadline: Duration) -> anyhow::Result<Value> {
        self.post("/api/drain", &serde_json::json!({ "deadline_s": deadline.as_secs() }))
    }

    /// How far draining is: `{"calls_left": n}`; `None` when the switch has gone.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn drained(&self) -> anyhow::Result<Option<Value>> {
        match self.request("/api/drain", None) {
            Ok(response) => self.answer(response).map(Some),
            Err(ureq::Error::Io(_) | ureq::Error::ConnectionFailed) => Ok(None),
            Err(error) => Err(self.unanswered(error)),
        }
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.request(path, None).map_err(|error| self.unanswered(error)).and_then(|response| self.answer(response))
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.request(path, Some(body))
            .map_err(|error| self.unanswered(error))
            .and_then(|response| self.answer(response))
    }

    fn request(&self, path: &str, body: Option<&Value>) -> Result<Response, ureq::Error> {
        let url = format!("{}{path}", self.base);
        let bearer = format!("Bearer {}", self.token);
        match body {
            None => self.agent.get(url).header("Authorization", bearer).call(),
            Some(body) => self.agent.post(url).header("Authorization", bearer).send_json(body),
        }
    }

    fn unanswered(&self, error: ureq::Error) -> anyhow::Error {
        let base = &self.base;
        match error {
            ureq::Error::Timeout(_) => {
                anyhow::anyhow!("the switch at {base} has not answered in {} s", ANSWER_TIMEOUT.as_secs())
            }
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                anyhow::anyhow!("no switch answers at {base} ({error}); {}", self.remedy)
            }
            error => anyhow::Error::new(error).context(format!("asking the switch at {base}")),
        }
    }

    fn answer(&self, mut response: Response) -> anyhow::Result<Value> {
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let body = body.with_context(|| format!("the answer of {} broke off", self.base))?;
        let json = serde_json::from_str::<Value>(&body);
        if status.is_success() {
            return json.with_context(|| format!("{} does not answer as a switch: is it one?", self.base));
        }
        let said = json
            .ok()
            .and_then(|json| {
                let error = json.get("error")?.as_str()?;
                Some(match json.get("remedy").and_then(Value::as_str) {
                    Some(remedy) => format!("{error}: {remedy}"),
                    None => error.to_owned(),
                })
            })
            .unwrap_or(body);
        let said: String =
            said.trim().chars().take(ERROR_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        match status.as_u16() {
            401 | 403 => {
                bail!("the switch at {} refuses the admin token: name the right one with --token-file", self.base)
            }
            code if said.is_empty() => bail!("the switch answers {code}"),
            _ => bail!("{said}"),
        }
    }
}

type Response = ureq::http::Response<ureq::Body>;

fn read_small(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A text as one segment of a path (RFC 3986 section 3.3): all but unreserved characters are escaped.
fn path_segment(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

mod mailboxes;
#[cfg(test)]
mod tests;
