//! The program under test: started on free ports, asked over its admin API, stopped, killed and started again.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::config::Config;
use super::disk::Disk;
use super::{PATIENCE, tail, until};

/// How long one request to the admin API may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A running switch with a data folder of its own, both gone when this is dropped.
pub struct Switch {
    room: TempDir,
    /// The disk of its data, where that is one of its own.
    disk: Option<Disk>,
    config: Config,
    child: Option<Child>,
    addresses: Value,
    agent: ureq::Agent,
}

impl Switch {
    /// Starts the program and waits until it says that it is ready: its `switch.json` is written and `/readyz` answers
    /// 200. Panics with the tail of its log when it ends first, or takes too long.
    pub fn start(config: Config) -> Self {
        Self::start_in(TempDir::new().expect("a folder for the switch"), None, config)
    }

    /// As [`Switch::start`], with its data on a disk that can be filled and made read-only.
    pub fn start_on_disk(config: Config) -> Self {
        let room = TempDir::new().expect("a folder for the switch");
        let disk = Disk::new(&room.path().join("data"));
        Self::start_in(room, Some(disk), config)
    }

    fn start_in(room: TempDir, disk: Option<Disk>, config: Config) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut switch = Self { room, disk, config, child: None, addresses: Value::Null, agent };
        switch.launch();
        switch
    }

    /// The folder that the switch keeps its data in.
    pub fn data(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.room.path().join("data"), Disk::folder)
    }

    /// The disk of its data; of a switch that was started on one.
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("the switch was started on a disk of its own")
    }

    /// The file that the switch was configured with; a test may write it anew to have it applied.
    pub fn config_file(&self) -> PathBuf {
        self.room.path().join("strowger.toml")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the switch runs").id()
    }

    /// Where it takes SIP: `transport` is `udp`, `tcp` or `tls`.
    pub fn sip(&self, transport: &str) -> SocketAddr {
        let found = &self.addresses["sip"][transport];
        let text = found.as_str().or_else(|| found.get(0)?.as_str());
        text.and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("switch.json names no SIP address for {transport}: {}", self.addresses))
    }

    /// Where it takes HTTP and WebSocket connections.
    pub fn http(&self) -> SocketAddr {
        let found = &self.addresses["http"];
        found
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no HTTP address: {}", self.addresses))
    }

    /// GET of a path of the admin API: the status and the JSON body, or the body's text as a JSON string.
    pub fn get(&self, path: &str) -> (u16, Value) {
        let request = self.agent.get(self.url(path)).header("Authorization", format!("Bearer {}", self.token()));
        read(request.call().unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log_tail())))
    }

    /// GET of a path of the admin API that may be down at this moment: the JSON body of its 200.
    pub fn try_get(&self, path: &str) -> Option<Value> {
        let request = self.agent.get(self.url(path)).header("Authorization", format!("Bearer {}", self.token()));
        let (status, body) = read(request.call().ok()?);
        (status == 200).then_some(body)
    }

    /// POST of a JSON body to a path of the admin API; answers as [`Switch::get`].
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.agent.post(self.url(path)).header("Authorization", format!("Bearer {}", self.token()));
        read(request.send_json(body).unwrap_or_else(|error| panic!("POST {path}: {error}\n{}", self.log_tail())))
    }

    /// Another method with a JSON body to a path of the admin API; answers as [`Switch::get`].
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token());
        let request = ureq::http::Request::builder().method(method).uri(self.url(path));
        let request = request.header("Authorization", bearer).header("Content-Type", "application/json");
        let request = request.body(body.to_string()).expect("a request");
        read(self.agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log_tail())))
    }

    /// A GET without a token, for `/metrics`, `/healthz`, and to see what strangers get.
    pub fn get_as_stranger(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(self.url(path)).call().unwrap_or_else(|error| panic!("GET {path}: {error}")))
    }

    /// Runs a command of the program against this switch: `switch.command(&["tree", "--json"])`.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        self.program()
            .args(arguments)
            .arg("--data")
            .arg(self.room.path().join("data"))
            .stdin(Stdio::null())
            .output()
            .expect("the program runs")
    }

    /// Asks the switch to end (SIGTERM), waits for it and checks that it says 0.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "the switch ended with {status}\n{}", self.log_tail());
    }

    /// Waits until it has ended by itself; answers its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.wait().code()
    }

    /// Ends the switch as a power cut does (SIGKILL).
    pub fn kill9(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().expect("our own child can be killed");
        }
        self.wait();
    }

    /// Starts it again with the same configuration and data, on new free ports.
    pub fn restart(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
        self.launch();
    }

    /// Sends a signal by its name: `TERM`, `HUP`, `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} failed");
    }

    /// The last lines of what the switch has printed and logged.
    pub fn log_tail(&self) -> String {
        format!("--- the switch's log\n{}", tail(&self.log_file()))
    }

    /// All that the switch has printed and logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.room.path().join("log")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http())
    }

    fn token(&self) -> String {
        let file = Path::new(self.addresses["token_file"].as_str().unwrap_or("admin.token"));
        let file = match &self.disk {
            Some(disk) => disk.seen(file),
            None => self.data().join(file),
        };
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().to_owned()
    }

    fn launch(&mut self) {
        let data = self.data();
        // The one of the last run, with other ports.
        let _ = std::fs::remove_file(data.join("switch.json"));
        let configured = self.config.text(&self.room.path().join("data"));
        std::fs::write(self.config_file(), configured).expect("the configuration can be written");
        let log = open_log(&self.log_file());
        let child = self
            .program()
            .arg("run")
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log handle"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.child = Some(child);
        let ready = until(PATIENCE, || {
            if let Some(status) = self.child.as_mut()?.try_wait().ok()? {
                panic!("the switch ended with {status} instead of starting\n{}", self.log_tail());
            }
            self.addresses = serde_json::from_slice(&std::fs::read(data.join("switch.json")).ok()?).ok()?;
            let answer = self.agent.get(self.url("/readyz")).call().ok()?;
            (answer.status() == 200).then_some(())
        });
        assert!(ready.is_some(), "the switch was not ready after {PATIENCE:?}\n{}", self.log_tail());
    }

    /// The program, where its disk is.
    fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_strowger");
        self.disk.as_ref().map_or_else(|| Command::new(program), |disk| disk.command(program))
    }

    fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the switch runs");
        until(PATIENCE, || child.try_wait().expect("our own child")).unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the switch did not end within {PATIENCE:?}\n{}", self.log_tail())
        })
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

fn open_log(path: &std::path::Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("a log file")
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().unwrap_or_default();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}
