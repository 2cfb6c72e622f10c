//! The switch under test: a Strowger that is started for the trial, or a switch of whichever make that runs already.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use sip::Protocol;

use super::plan::{How, SwitchUnderTest};
use crate::admin_client::{AdminClient, Kill};
use crate::config;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Kernel clock ticks of a second, in which /proc tells CPU time (Linux has shown 100 to programs since 2.6).
const TICKS_PER_SECOND: u64 = 100;

/// Where the trial takes place.
pub enum Ground {
    /// A Strowger of ours.
    Started(Box<Started>),
    /// Another switch.
    Foreign {
        /// Where it takes SIP.
        address: SocketAddr,
        /// The domain of its users.
        domain: String,
    },
}

/// A Strowger that was started for the trial; it is stopped when this is dropped.
pub struct Started {
    child: Child,
    log: PathBuf,
    client: AdminClient,
    data: PathBuf,
    /// Where it listens, as it says itself.
    status: Value,
    domain: String,
}

impl Ground {
    /// Starts or names the switch; what is started keeps its data in `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn lay(wanted: &SwitchUnderTest, plan_folder: &Path, folder: &Path) -> anyhow::Result<Self> {
        let domain = wanted.domain.clone().unwrap_or_else(|| "example.com".to_owned());
        if let Some(address) = wanted.address {
            return Ok(Self::Foreign { address, domain });
        }
        let file = match &wanted.config {
            Some(file) => plan_folder.join(file),
            None => {
                let file = folder.join("strowger.toml");
                fs::write(&file, config::lab_on_free_ports()).with_context(|| file.display().to_string())?;
                file
            }
        };
        Started::start(&file, folder, domain).map(|started| Self::Started(Box::new(started)))
    }

    /// Where SIP goes.
    ///
    /// # Errors
    /// The switch does not listen for it.
    pub fn place(&self, protocol: Protocol) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Started(started) => started.listens(protocol),
            Self::Foreign { address, .. } => Ok(*address),
        }
    }

    /// The domain of its users.
    pub fn domain(&self) -> &str {
        match self {
            Self::Started(started) => &started.domain,
            Self::Foreign { domain, .. } => domain,
        }
    }

    /// The Strowger, if it is one of ours.
    pub fn started(&self) -> Option<&Started> {
        match self {
            Self::Started(started) => Some(started),
            Self::Foreign { .. } => None,
        }
    }
}

impl Started {
    fn start(config: &Path, folder: &Path, domain: String) -> anyhow::Result<Self> {
        let (data, log) = (folder.join("data"), folder.join("switch.log"));
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let program = std::env::current_exe().context("this program's own file")?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(config)
            .arg("--data")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("the switch does not start")?;
        // From here on the process is ended whatever happens.
        let mut starting = Starting(Some(child));
        let began = Instant::now();
        let (client, status) = loop {
            if let Some(child) = starting.0.as_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!("the switch ended at its start with {status}; it said:\n{}", tail(&log));
            }
            let ready = AdminClient::find(&data).and_then(|client| client.status().map(|status| (client, status)));
            match ready {
                Ok(ready) => break ready,
                Err(_) if began.elapsed() < READY_WITHIN => thread::sleep(POLL),
                Err(error) => bail!("the switch is not ready after {READY_WITHIN:?}: {error:#}\n{}", tail(&log)),
            }
        };
        let child = starting.0.take().context("it was started above")?;
        Ok(Self { child, log, client, data, status, domain })
    }

    fn listens(&self, protocol: Protocol) -> anyhow::Result<SocketAddr> {
        let place = match protocol {
            Protocol::Ws => "/http/0".to_owned(),
            Protocol::Wss => "/http/1".to_owned(),
            other => format!("/sip/{}/0", other.uri()),
        };
        let first = self.status.pointer(&place).and_then(Value::as_str);
        first.and_then(|at| at.parse().ok()).with_context(|| format!("the switch has no {} address", protocol.uri()))
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its admin API.
    pub fn client(&self) -> &AdminClient {
        &self.client
    }

    /// Whether it still lives; if not, what it said last.
    ///
    /// # Errors
    /// It has ended.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the switch ended with {status}; it said:\n{}", tail(&self.log)),
        }
    }

    /// CPU time that it has used, and its resident memory in KiB.
    pub fn used(&self) -> Option<(Duration, u64)> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = fs::read_to_string(proc.join("stat")).ok()?;
        // The name, in parentheses, may hold anything (proc(5)).
        let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
        let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        let status = fs::read_to_string(proc.join("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident = resident.split_whitespace().next()?.parse().ok()?;
        Some((Duration::from_millis(ticks * (1_000 / TICKS_PER_SECOND)), resident))
    }

    /// Ends an actor: by its path, or the first of its kind. Answers its path.
    ///
    /// # Errors
    /// There is none.
    pub fn end_actor(&self, actor: &str, how: How) -> anyhow::Result<String> {
        let tree = self.client.tree()?;
        let nodes = tree.get("nodes").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_it = |node: &&Value| {
            let of = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
            of("path") == actor || of("kind") == actor
        };
        let found = nodes.iter().find(is_it).and_then(|node| node.get("path")).and_then(Value::as_str);
        let path =
            found.with_context(|| format!("no actor `{actor}` lives: paths and kinds stand in `strowger tree`"))?;
        let how = match how {
            How::Kill => Kill::Kill,
            How::Panic => Kill::Panic,
        };
        self.client.kill(path, how)?;
        Ok(path.to_owned())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Asks a switch of ours to stop in order, and after a while no longer asks.
fn end(child: &mut Child) {
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let began = Instant::now();
    while asked.as_ref().is_ok_and(|status| status.success()) && began.elapsed() < ENDED_WITHIN {
        match child.try_wait() {
            Ok(None) => thread::sleep(POLL),
            _ => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn tail(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
