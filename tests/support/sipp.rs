//! SIPp with the project's scenarios: one run is one process on a port of its own.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::ports::Port;
use super::{PATIENCE, project, tail, until};

/// What is to be run. Made by [`SippRun::new`], started by [`SippRun::start`] or [`SippRun::run`].
#[derive(Clone)]
pub struct SippRun {
    scenario: String,
    target: SocketAddr,
    transport: &'static str,
    ip: Ipv4Addr,
    port: Port,
    /// Whether a registration names the port: then SIPp can have no other.
    is_bound_to_port: bool,
    service: String,
    users: Vec<(String, String)>,
    calls: u32,
    rate_per_s: u32,
    pause_ms: u64,
    timeout: Duration,
    more: Vec<String>,
}

impl SippRun {
    /// A scenario of `scenarios/sipp`, without `.xml`, against a switch: one call, over UDP, from a free port.
    pub fn new(scenario: &str, target: SocketAddr) -> Self {
        Self {
            scenario: scenario.to_owned(),
            target,
            transport: "u1",
            ip: Ipv4Addr::LOCALHOST,
            port: Port::free(),
            is_bound_to_port: false,
            service: "1002".to_owned(),
            users: Vec::new(),
            calls: 1,
            rate_per_s: 10,
            pause_ms: 200,
            timeout: PATIENCE,
            more: Vec::new(),
        }
    }

    /// The users that the calls are made by, in turn, with their passwords.
    pub fn users(mut self, users: &[(&str, &str)]) -> Self {
        self.users = users.iter().map(|(name, password)| ((*name).to_owned(), (*password).to_owned())).collect();
        self
    }

    /// As [`SippRun::users`], for one of the lab's users.
    pub fn by_user(self, name: &str) -> Self {
        let password = format!("{name}-secret");
        self.users(&[(name, &password)])
    }

    /// The number that is called, or the one that a callee answers for (-s).
    pub fn service(mut self, number: &str) -> Self {
        self.service = number.to_owned();
        self
    }

    /// How many calls in all (-m), and how many are begun in a second (-r).
    pub fn calls(mut self, calls: u32, rate_per_s: u32) -> Self {
        (self.calls, self.rate_per_s) = (calls, rate_per_s);
        self
    }

    /// The length of the scenario's pauses without a length of their own (-d).
    pub fn pause_ms(mut self, pause_ms: u64) -> Self {
        self.pause_ms = pause_ms;
        self
    }

    /// When the run is given up and fails.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Over one TCP connection instead of UDP. The target must be the switch's TCP address.
    pub fn tcp(mut self) -> Self {
        self.transport = "t1";
        self
    }

    /// From another address of loopback, which a configuration names with its port.
    pub fn at(mut self, ip: Ipv4Addr) -> Self {
        (self.ip, self.is_bound_to_port) = (ip, true);
        self
    }

    /// The address that it will send from and listen on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ip, self.port.number()))
    }

    /// The port that it will send from and listen on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Further arguments of SIPp, such as `-rtp_echo`, or `-nr`, which shows the scenario repeated messages.
    pub fn arguments(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Registers a lab user from this run's port, so that calls to that user reach the run.
    pub fn registered_as(mut self, name: &str) -> Self {
        self.is_bound_to_port = true;
        let mut registration = Self::new("register", self.target).by_user(name);
        registration.transport = self.transport;
        (registration.port, registration.is_bound_to_port) = (self.port.clone(), true);
        registration.ip = self.ip;
        registration.run();
        self
    }

    /// Starts SIPp. A callee is listening when this returns.
    pub fn start(self) -> SippRunning {
        let room = TempDir::new().expect("a folder for SIPp");
        let child = self.launch(&room);
        let mut running = SippRunning { run: self, room, child: Some(child) };
        while running.run.transport == "u1" {
            let address = running.run.address();
            // Its socket is announced by nothing: it is there when nobody else can take its port.
            let bound = until(PATIENCE, || {
                running.ended().then_some(()).or_else(|| std::net::UdpSocket::bind(address).err().map(|_| ()))
            });
            assert!(bound.is_some(), "SIPp took no port\n{}", running.story());
            if !(running.ended() && running.moves()) {
                break;
            }
        }
        running
    }

    fn launch(&self, room: &TempDir) -> Child {
        let users = room.path().join("users.csv");
        let mut rows = String::from("SEQUENTIAL\n");
        for (name, password) in &self.users {
            // The digest answer is a field of its own: SIPp does not look for fields inside keywords.
            let _ = writeln!(rows, "{name};[authentication username={name} password={password}]");
        }
        std::fs::write(&users, rows).expect("the users' file");
        // By itself SIPp answers a challenge for the address that it sends to, which is not the request's URI; it puts `sip:`
        // before what it is given.
        let auth_uri = if self.scenario.starts_with("register") {
            "example.com".to_owned()
        } else {
            format!("{}@example.com", self.service)
        };
        let out = File::create(room.path().join("out")).expect("an output file");
        let mut command = Command::new("sipp");
        command
            .arg(self.target.to_string())
            .arg("-sf")
            .arg(project("scenarios/sipp").join(format!("{}.xml", self.scenario)))
            .args(["-i", &self.ip.to_string(), "-nostdin", "-t", self.transport, "-p", &self.port.number().to_string()])
            .args(["-s", &self.service, "-auth_uri", &auth_uri, "-d", &self.pause_ms.to_string()])
            .args(["-m", &self.calls.to_string(), "-r", &self.rate_per_s.to_string()])
            .args(["-timeout", &self.timeout.as_secs().max(1).to_string(), "-timeout_error"])
            .args(["-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages"])
            .args(["-trace_stat", "-stf", "statistics.csv", "-fd", "1"])
            .args(&self.more)
            .current_dir(room.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("an output handle"))
            .stderr(out);
        if !self.users.is_empty() {
            command.arg("-inf").arg(&users);
        }
        command.spawn().expect("SIPp runs: tests/setup installs it")
    }

    /// Starts SIPp and waits for its end; panics with the failed calls' messages when a call failed.
    pub fn run(self) -> Figures {
        self.start().finish()
    }
}

/// What SIPp counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages that SIPp had to repeat.
    pub retransmissions: u64,
}

/// A SIPp process.
pub struct SippRunning {
    run: SippRun,
    room: TempDir,
    child: Option<Child>,
}

impl SippRunning {
    /// The port that it sends from and listens on.
    pub fn port(&self) -> u16 {
        self.run.port.number()
    }

    /// Waits for its end and answers what it counted; panics with the failed calls' messages when a call failed.
    pub fn finish(self) -> Figures {
        let (code, figures, story) = self.outcome();
        assert!(code == Some(0), "SIPp ended with {code:?}: {figures:?}\n{story}");
        figures
    }

    /// Waits for its end; answers SIPp's exit code (0: all calls as written, 1: some failed, 97: it was given up), what it
    /// counted, and the story of what went wrong.
    pub fn outcome(mut self) -> (Option<i32>, Figures, String) {
        // SIPp gives up by itself after its timeout; a little more for its own end.
        let patience = self.run.timeout + PATIENCE;
        loop {
            let child = self.child.as_mut().expect("taken at its end only");
            let status = until(patience, || child.try_wait().expect("our own child"));
            if status.is_some() && self.moves() {
                continue;
            }
            let ended = (status.and_then(|status| status.code()), self.figures(), self.story());
            self.kill();
            return ended;
        }
    }

    /// Starts a SIPp that ended because it did not get its port on another one, where no registration names the port.
    fn moves(&mut self) -> bool {
        let errors = std::fs::read_to_string(self.file("errors")).unwrap_or_default();
        let out = std::fs::read_to_string(self.file("out")).unwrap_or_default();
        // EADDRINUSE, before any message.
        let taken = [errors, out].iter().any(|text| text.contains("Unable to bind main socket, errno = 98"));
        if !taken || self.run.is_bound_to_port {
            return false;
        }
        // The old number stays held until the new one is found, so that it is not the same.
        self.run.port = Port::free();
        let _ = std::fs::remove_file(self.file("errors"));
        self.child = Some(self.run.launch(&self.room));
        true
    }

    /// Ends a callee that was to serve any number of calls.
    pub fn stop(mut self) {
        self.kill();
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn figures(&self) -> Figures {
        let text = std::fs::read_to_string(self.file("statistics.csv")).unwrap_or_default();
        let names = text.lines().next().unwrap_or_default();
        let last = text.lines().last().unwrap_or_default();
        let figure = |name: &str| {
            let column = names.split(';').position(|found| found == name);
            column.and_then(|column| last.split(';').nth(column)?.parse().ok()).unwrap_or(0)
        };
        Figures {
            successful: figure("SuccessfulCall(C)"),
            failed: figure("FailedCall(C)"),
            retransmissions: figure("Retransmissions(C)"),
        }
    }

    fn story(&self) -> String {
        format!(
            "--- {} of SIPp: errors\n{}\n--- its last messages\n{}\n--- its output\n{}",
            self.run.scenario,
            tail(&self.file("errors")),
            tail(&self.file("messages")),
            std::fs::read_to_string(self.file("out"))
                .unwrap_or_default()
                .lines()
                .take(10)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }
}

impl Drop for SippRunning {
    fn drop(&mut self) {
        if self.child.is_some() && std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        self.kill();
    }
}
