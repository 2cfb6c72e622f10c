//! SIPp as a caller or callee of a trial: one run is one process.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::plan::{Scenario, Transport, User};

/// How often a port that was taken meanwhile is replaced.
const TRIES: usize = 8;
const POLL: Duration = Duration::from_millis(5);
/// How long a SIPp over UDP may take to listen, and one over TCP to find its port taken.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);
const BOUND_WITHIN: Duration = Duration::from_millis(100);
/// Where Debian keeps the streams that SIPp's own scenarios play.
const STREAMS: &str = "/usr/share/sip-tester";
/// Bytes of an error file that a report quotes.
const STORY_BYTES_MAX: usize = 8 * 1024;

/// What is to be run.
pub struct Sipp<'a> {
    /// The scenario; a file's path is whole.
    pub scenario: Scenario,
    /// The switch.
    pub target: SocketAddr,
    /// Where it listens; a free port of its own when not given.
    pub at: Option<SocketAddr>,
    /// How SIP travels.
    pub transport: Transport,
    /// The user in its first field.
    pub user: Option<&'a User>,
    /// The number that is called, or answered for.
    pub number: &'a str,
    /// The domain of the users.
    pub domain: &'a str,
    /// Calls in all, and begun in a second.
    pub calls: u32,
    /// See `calls`.
    pub rate: u32,
    /// Length of its pauses.
    pub pause: Duration,
    /// When it gives up.
    pub timeout: Duration,
    /// Further arguments.
    pub arguments: &'a [String],
}

/// A SIPp that runs, in a folder of its own; killed when it is dropped.
pub struct Running {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// What SIPp counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Calls that were begun, or answered.
    pub created: u64,
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages that SIPp had to repeat.
    pub retransmissions: u64,
    /// Messages that no scenario foresaw.
    pub unexpected: u64,
}

impl Sipp<'_> {
    /// Starts it on a free port, in `folder`, which it fills with what it tells. Over UDP it listens when this returns.
    ///
    /// # Errors
    /// SIPp is not there, does not listen, or its folder cannot be written.
    pub fn start(&self, folder: &Path) -> anyhow::Result<Running> {
        let ip = self.own_ip();
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        for _ in 0..TRIES {
            let port = self.at.map_or_else(|| free_port(ip), |at| Ok(at.port()))?;
            let mut running = self.launch(folder, port)?;
            let began = Instant::now();
            // Its socket is announced by nothing: it is there when nobody else can take its port.
            while !(running.ended().is_some() || self.transport == Transport::Udp && is_taken(ip, port)) {
                if self.transport == Transport::Tcp && began.elapsed() > BOUND_WITHIN {
                    return Ok(running);
                }
                if began.elapsed() > LISTENS_WITHIN {
                    bail!("SIPp does not listen on port {port}:\n{}", running.story());
                }
                thread::sleep(POLL);
            }
            // Somebody was faster to take the port.
            if running.ended().is_none() || !running.story().contains("Unable to bind main socket, errno = 98") {
                return Ok(running);
            }
            let _ = fs::remove_file(folder.join("errors"));
        }
        bail!("SIPp found its port taken {TRIES} times")
    }

    /// The address that it speaks from: the switch's own, where that is one.
    pub fn own_ip(&self) -> IpAddr {
        if let Some(at) = self.at {
            return at.ip();
        }
        let ip = self.target.ip();
        if ip.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { ip }
    }

    fn launch(&self, folder: &Path, port: u16) -> anyhow::Result<Running> {
        let out = File::create(folder.join("out"))?;
        let mut command = Command::new("sipp");
        command.arg(self.target.to_string());
        match &self.scenario {
            Scenario::File(path) => command.arg("-sf").arg(path),
            Scenario::Stock(name) => {
                // Streams that it plays lie beside it; where they are installed elsewhere the scenario says so itself.
                let _ = std::os::unix::fs::symlink(STREAMS, folder.join("pcap"));
                command.args(["-sn", name])
            }
        };
        let transport = match self.transport {
            Transport::Udp => "u1",
            Transport::Tcp => "t1",
        };
        // By itself SIPp answers a challenge for the address that it sends to, which is not the request's URI; it puts
        // `sip:` before what it is given.
        let registers = matches!(&self.scenario, Scenario::File(path)
            if path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("register")));
        let auth_uri = if registers { self.domain.to_owned() } else { format!("{}@{}", self.number, self.domain) };
        command
            .args(["-i", &self.own_ip().to_string(), "-nostdin", "-t", transport, "-p", &port.to_string()])
            .args(["-s", self.number, "-auth_uri", &auth_uri, "-d", &self.pause.as_millis().to_string()])
            .args(["-m", &self.calls.to_string(), "-r", &self.rate.to_string()])
            .args(["-timeout", &self.timeout.as_secs().max(1).to_string(), "-timeout_error"])
            .args(["-trace_err", "-error_file", "errors", "-trace_stat", "-stf", "statistics.csv", "-fd", "1"])
            .args(self.arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        if let Some(User { name, password }) = self.user {
            let users = folder.join("users.csv");
            let mut rows = String::from("SEQUENTIAL\n");
            // The digest answer is a field of its own: SIPp does not look for fields inside keywords.
            let _ = writeln!(rows, "{name};[authentication username={name} password={password}]");
            fs::write(&users, rows)?;
            command.arg("-inf").arg(users);
        }
        let child = command.spawn().context("SIPp does not start: `tests/setup` installs it")?;
        Ok(Running { child, port, folder: folder.to_owned() })
    }
}

impl Running {
    /// Where it listens and sends from.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it has counted so far.
    pub fn figures(&self) -> Figures {
        let text = fs::read_to_string(self.folder.join("statistics.csv")).unwrap_or_default();
        let names = text.lines().next().unwrap_or_default();
        // The last line may be half written.
        let last = text.lines().rev().find(|line| line.split(';').count() == names.split(';').count());
        let figure = |name: &str| {
            let column = names.split(';').position(|found| found == name);
            column.and_then(|column| last.unwrap_or_default().split(';').nth(column)?.parse().ok()).unwrap_or(0)
        };
        Figures {
            created: figure("TotalCallCreated"),
            successful: figure("SuccessfulCall(C)"),
            failed: figure("FailedCall(C)"),
            retransmissions: figure("Retransmissions(C)"),
            unexpected: figure("FailedUnexpectedMessage(C)"),
        }
    }

    /// What it says of what went wrong.
    pub fn story(&self) -> String {
        let errors = fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
        let text = if errors.trim().is_empty() {
            fs::read_to_string(self.folder.join("out")).unwrap_or_default()
        } else {
            errors
        };
        let mut end = text.len().min(STORY_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).unwrap_or_default().trim().to_owned()
    }

    /// The Call-IDs that its errors name, each once, in order.
    pub fn failed_call_ids(&self) -> Vec<String> {
        let errors = fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
        call_ids(&errors)
    }

    /// Ends it, and waits for that.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// SIPp writes `Aborting call on unexpected message for Call-Id 'ID'` and `Call-Id: ID, receive timeout on message`.
fn call_ids(errors: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in errors.split("Call-Id").skip(1) {
        let id: String = part
            .trim_start_matches([':', ' ', '\''])
            .chars()
            .take_while(|c| !matches!(c, '\'' | ',' | ' ' | '\r' | '\n'))
            .collect();
        if !id.is_empty() && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

/// A port of `ip` that nobody has, for both transports.
pub fn free_port(ip: IpAddr) -> anyhow::Result<u16> {
    for _ in 0..64 {
        let udp = UdpSocket::bind((ip, 0)).context("no free port")?;
        let port = udp.local_addr()?.port();
        if TcpListener::bind((ip, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {ip} is free for UDP and TCP")
}

/// Whether somebody listens on a UDP port.
fn is_taken(ip: IpAddr, port: u16) -> bool {
    UdpSocket::bind((ip, port)).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_that_failed_are_found_in_what_sipp_says() {
        let errors = "2026-11-24 12:00:00 Aborting call on unexpected message for Call-Id '1-77@127.0.0.1': while expecting '200'\n\
                      Call-Id: 2-77@127.0.0.1, receive timeout on message uac:3 without label to jump to\n\
                      Aborting call on unexpected message for Call-Id '1-77@127.0.0.1': again\n";
        assert_eq!(call_ids(errors), ["1-77@127.0.0.1", "2-77@127.0.0.1"]);
    }
}
