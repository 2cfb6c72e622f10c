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

    /// The objects of the plan: `{"plan": [PlanObject]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn plan(&self) -> anyhow::Result<Value> {
        self.get("/api/plan")
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

    /// Ends or stalls an actor: that at a path, or the first of a kind. Answers its path.
    ///
    /// # Errors
    ///
    /// There is none, and see [`Self::tree`].
    pub fn break_actor(&self, actor: &str, how: ActorFault) -> anyhow::Result<String> {
        if actor.contains('/') {
            self.kill(actor, how)?;
            return Ok(actor.to_owned());
        }
        let tree = self.tree()?;
        let nodes = tree.get("nodes").and_then(Value::as_array).cloned().unwrap_or_default();
        let of = |node: &Value, key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let found =
            nodes.iter().find(|node| of(node, "path").trim_start_matches('/') == actor || of(node, "kind") == actor);
        let path = found
            .map(|node| of(node, "path"))
            .with_context(|| format!("no actor `{actor}` lives: paths and kinds stand in `strowger tree`"))?;
        self.kill(&path, how)?;
        Ok(path)
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

mod answers;
mod mailboxes;
#[cfg(test)]
mod tests;

pub use answers::{Account, Call, Conference, Gateway, Group, Media, PlanObject, Registration, TreeNode};
