//! The switch under test: a Strowger that is started for the trial, or a switch of whichever make that runs already.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use sip::Protocol;

use super::breaking::{Names, Unavailable};
use super::fault::{Needs, Network};
use super::impair::Impaired;
use super::plan::SwitchUnderTest;
use super::sipp::free_port;
use crate::admin_client::AdminClient;
use crate::config;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Room of a disk that is to be filled.
const SMALL_DISK_MIB: u32 = 48;
/// Ports of media of a switch whose ports are to run out: for sixteen calls.
const FEW_PORTS: u16 = 64;
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
    config: PathBuf,
    /// The file that tells libfaketime what the switch's clock says, where it has one of its own.
    clock: Option<PathBuf>,
    /// The name server that it asks, where that is the trial's.
    names: Option<Names>,
    /// Its ports of media, where they are few, and those of them that others have.
    media_ports: Option<RangeInclusive<u16>>,
    taken: Vec<UdpSocket>,
    /// What its network is like, while that is broken.
    impaired: Option<Impaired>,
}

impl Ground {
    /// Starts or names the switch; what is started keeps its data in `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn lay(wanted: &SwitchUnderTest, plan_folder: &Path, folder: &Path, needs: Needs) -> anyhow::Result<Self> {
        let domain = wanted.domain.clone().unwrap_or_else(|| "example.com".to_owned());
        if let Some(address) = wanted.address {
            return Ok(Self::Foreign { address, domain });
        }
        let names = needs.dns.then(Names::start).transpose()?;
        let media_ports = needs.few_media_ports.then(free_range).transpose()?;
        let file = match &wanted.config {
            Some(file) => plan_folder.join(file),
            None => {
                let file = folder.join("strowger.toml");
                fs::write(&file, lab(needs, names.as_ref(), media_ports.as_ref())?)
                    .with_context(|| file.display().to_string())?;
                file
            }
        };
        let data = folder.join("data");
        if needs.disk {
            small_disk(&data)?;
        }
        let clock = needs.clock.then(|| folder.join("clock"));
        let mut started = Started::start(file, data, domain, clock, names)?;
        started.media_ports = media_ports;
        Ok(Self::Started(Box::new(started)))
    }

    /// Where SIP goes.
    ///
    /// # Errors
    /// The switch does not listen for it.
    pub fn place(&self, protocol: Protocol) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Started(started) => started.listens(protocol),
            Self::Foreign { address, .. } if matches!(protocol, Protocol::Udp | Protocol::Tcp) => Ok(*address),
            Self::Foreign { .. } => {
                let what = format!("one address is known of this switch, and it is none for {}", protocol.uri());
                Err(Unavailable::new(what).into())
            }
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
    fn start(
        config: PathBuf,
        data: PathBuf,
        domain: String,
        clock: Option<PathBuf>,
        names: Option<Names>,
    ) -> anyhow::Result<Self> {
        let log = data.with_extension("log");
        if let Some(clock) = &clock {
            fs::write(clock, "+0")?;
        }
        let (child, client, status) = launch(&config, &data, &log, clock.as_deref())?;
        Ok(Self {
            child,
            log,
            client,
            data,
            status,
            domain,
            config,
            clock,
            names,
            media_ports: None,
            taken: Vec::new(),
            impaired: None,
        })
    }

    /// Ends it as a power cut does, and starts it again with its data.
    ///
    /// # Errors
    /// It does not come back, or elsewhere.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("the switch cannot be killed")?;
        self.child.wait()?;
        // The one of the life before names a process that is gone.
        let _ = fs::remove_file(self.data.join("switch.json"));
        let before = self.status.get("sip").cloned();
        (self.child, self.client, self.status) = launch(&self.config, &self.data, &self.log, self.clock.as_deref())?;
        if self.status.get("sip").cloned() != before {
            bail!("the switch came back on other ports: a configuration whose switch is killed names them");
        }
        Ok(())
    }

    /// Sends it a signal by its name.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        if done.success() { Ok(()) } else { bail!("the switch takes no SIG{name}") }
    }

    /// What its clock says: seconds from the real time, with their sign.
    ///
    /// # Errors
    /// It has no clock of its own.
    pub fn set_clock(&self, offset: &str) -> anyhow::Result<()> {
        fs::write(self.clock.as_ref().context("the switch has no clock of its own")?, offset)?;
        Ok(())
    }

    /// Takes all of its ports of media that no call has. Answers how many.
    ///
    /// # Errors
    /// They are as many as a configuration of the plan says, and not few.
    pub fn take_ports(&mut self) -> anyhow::Result<usize> {
        let ports = self.media_ports.clone().context("ports of media run out in the lab alone: leave out `config`")?;
        self.taken = ports.filter_map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()).collect();
        Ok(self.taken.len())
    }

    /// Gives them back.
    pub fn give_ports(&mut self) {
        self.taken.clear();
    }

    /// Breaks its network, or mends it.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn impair(&mut self, network: Option<&Network>) -> anyhow::Result<()> {
        // What was broken before is mended first: there is one network.
        self.impaired = None;
        self.impaired = network.map(Impaired::begin).transpose()?;
        Ok(())
    }

    /// The name server that it asks.
    ///
    /// # Errors
    /// It asks another.
    pub fn names(&self) -> anyhow::Result<&Names> {
        self.names.as_ref().context("the switch asks no name server of the trial")
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Not for this.
    pub fn listens(&self, protocol: Protocol) -> anyhow::Result<SocketAddr> {
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
}

/// Starts a switch and waits until it is ready: its process, its admin API, and what it says of itself.
fn launch(config: &Path, data: &Path, log: &Path, clock: Option<&Path>) -> anyhow::Result<(Child, AdminClient, Value)> {
    let out = File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
    let program = std::env::current_exe().context("this program's own file")?;
    let mut command = Command::new(program);
    command.args(["run", "--config"]).arg(config).arg("--data").arg(data);
    if let Some(clock) = clock {
        // Only the clock that tells the time of day: the other one cannot jump.
        command
            .env("LD_PRELOAD", faketime()?)
            .env("FAKETIME_TIMESTAMP_FILE", clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .context("the switch does not start")?;
    // From here on the process is ended whatever happens.
    let mut starting = Starting(Some(child));
    let began = Instant::now();
    loop {
        if let Some(child) = starting.0.as_mut()
            && let Some(status) = child.try_wait()?
        {
            bail!("the switch ended at its start with {status}; it said:\n{}", tail(log));
        }
        let ready = AdminClient::find(data).and_then(|client| client.status().map(|status| (client, status)));
        match ready {
            Ok((client, status)) => {
                let child = starting.0.take().context("it was started above")?;
                return Ok((child, client, status));
            }
            Err(_) if began.elapsed() < READY_WITHIN => thread::sleep(POLL),
            Err(error) => bail!("the switch is not ready after {READY_WITHIN:?}: {error:#}\n{}", tail(log)),
        }
    }
}

/// The lab, with what the faults need.
fn lab(needs: Needs, names: Option<&Names>, media_ports: Option<&RangeInclusive<u16>>) -> anyhow::Result<String> {
    let mut text = config::lab_on_free_ports();
    // Bob has no mailbox in a trial: whoever finds him busy or silent is to be told so.
    text = text.replace("mailbox = \"lab\"\npin = \"2580\"\n", "").replace("\"2 mailbox:bob Bob\", ", "");
    while needs.ports && text.contains(":0\"") {
        text = text.replacen(":0\"", &format!(":{}\"", free_port([127, 0, 0, 1].into())?), 1);
    }
    if let Some(ports) = media_ports {
        let range = format!("[media]\nports = \"{}-{}\"\n", ports.start(), ports.end());
        text = text.replacen("[media]\n", &range, 1);
    }
    if let Some(names) = names {
        // The carrier has a name, and the name server of the trial knows it.
        text = text.replacen("[sip]\n", &format!("[sip]\nnameservers = [\"{}\"]\n", names.address()), 1);
        text = text.replace("address = \"127.0.0.2:5080\"", "address = \"carrier.test:5080\"");
    }
    Ok(text)
}

/// So many ports in a row that nobody has.
fn free_range() -> anyhow::Result<RangeInclusive<u16>> {
    for first in (20_000..29_900).step_by(usize::from(FEW_PORTS)) {
        let range = first..=first + FEW_PORTS - 1;
        if range.clone().all(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return Ok(range);
        }
    }
    bail!("no {FEW_PORTS} ports in a row are free")
}

/// Lays a small disk where the data will be, in the trial's own namespace: nobody else sees it, and it ends with it.
fn small_disk(data: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(data)?;
    let size = format!("size={SMALL_DISK_MIB}m");
    let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "strowger-trial"]).arg(data).output()?;
    if !done.status.success() {
        bail!("no small disk: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// The library by which a process has a clock of its own.
fn faketime() -> anyhow::Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok).map(|folder| folder.path());
    let found = folders
        .chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")])
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|file| file.is_file());
    found.context("a clock that jumps needs libfaketime: it is in Debian's faketime")
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
