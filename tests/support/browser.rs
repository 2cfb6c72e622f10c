//! A phone in a real Chromium: JsSIP in a page, driven over JSON lines by `browser/browser.mjs`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::DOMAIN;
use super::switch::Switch;
use super::{project, tail, until};

/// A browser takes seconds to start on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How far a measured tone may be from the one that was meant: half a bin, and what resampling adds.
const TONE_TOLERANCE_HZ: f64 = 12.0;

/// A browser with one page; it ends when this is dropped.
pub struct Browser {
    name: String,
    room: TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    events: VecDeque<Value>,
    next_id: u64,
}

impl Browser {
    /// Starts a browser whose page registers as a lab user over the switch's WebSocket.
    pub fn registered(switch: &Switch, user: &str) -> Self {
        let room = TempDir::new().expect("a folder for the browser");
        let log = File::create(room.path().join("log")).expect("a log file");
        let home = std::env::var_os("STROWGER_BROWSER").map_or_else(|| project("target/browser"), PathBuf::from);
        let mut child = Command::new("node")
            .arg(project("tests/support/browser/browser.mjs"))
            .arg(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}: tests/setup browser installs the browser"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if serde_json::from_str(&line).is_ok_and(|value| sender.send(value).is_err()) {
                    break;
                }
            }
        });
        let mut browser =
            Self { name: user.to_owned(), room, child, stdin, lines, events: VecDeque::new(), next_id: 1 };
        browser.expect("ready", |_| true);
        browser.ask(
            "register",
            json!({
                "url": format!("ws://{}/sip", switch.http()),
                "uri": format!("sip:{user}@{DOMAIN}"),
                "password": format!("{user}-secret"),
                "user": user,
            }),
        );
        let registered =
            browser.wait("its registration", |line| line["event"] == "registered" || line["event"] == "unregistered");
        assert_eq!(registered["code"], 200, "{registered}\n{}", browser.log_tail());
        browser
    }

    /// Calls a number of the lab.
    pub fn call(&mut self, to: &str) {
        self.ask("call", json!({ "uri": format!("sip:{to}@{DOMAIN}") }));
    }

    /// Waits for a call and answers it, up to the confirmed state.
    pub fn pick_up(&mut self) {
        self.expect("incoming", |_| true);
        self.ask("answer", json!({}));
        self.expect_state("confirmed");
    }

    /// Does one thing of browser.mjs: `hangup`, `hold`, `unhold`, `reinvite`.
    pub fn does(&mut self, what: &str) {
        self.ask(what, json!({}));
    }

    /// Sets the tone that it says.
    pub fn play_tone(&mut self, hz: u16) {
        self.ask("tone", json!({ "hz": hz }));
    }

    /// Shows a picture of this lightness, from its next call on, or in place of the one before.
    pub fn draw(&mut self, light: u8) {
        self.ask("draw", json!({ "light": light }));
    }

    /// Waits until it sees a picture of this lightness, and one that moves.
    pub fn sees(&mut self, light: u8) {
        let mut last = Value::Null;
        let seen = until(PATIENCE, || {
            last = self.ask("see", json!({}));
            let near = last["light"].as_f64().is_some_and(|seen| (seen - f64::from(light)).abs() < 16.0);
            (near && last["frames"].as_u64() > Some(5)).then_some(())
        });
        if seen.is_none() {
            let facts = self.facts();
            self.fail(&format!("saw {last} for {light}; {facts}"));
        }
    }

    /// Presses keys (RFC 4733).
    pub fn press(&mut self, digits: &str) {
        self.ask("dtmf", json!({ "digits": digits }));
    }

    /// What the page knows of its connection: `srtp`, `tls`, `ice`, `received`, …
    pub fn facts(&mut self) -> Value {
        self.ask("facts", json!({}))
    }

    /// Waits until its call is in a state.
    pub fn expect_state(&mut self, state: &str) -> Value {
        self.expect("call", |event| event["state"] == state)
    }

    /// Waits until it hears this tone and hardly anything else.
    pub fn hears_tone(&mut self, hz: f64) {
        self.hears(&format!("{hz} Hz"), |heard_hz, purity, _| {
            (heard_hz - hz).abs() <= TONE_TOLERANCE_HZ && purity > 0.7
        });
    }

    /// Waits until what it hears fits: frequency, share of that frequency, level in dB.
    pub fn hears(&mut self, what: &str, fits: impl Fn(f64, f64, f64) -> bool) {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let mut last = Value::Null;
        let heard = until(PATIENCE, || {
            last = self.ask("hear", json!({}));
            fits(number(&last["hz"]), number(&last["purity"]), number(&last["db"])).then_some(())
        });
        if heard.is_none() {
            let facts = self.facts();
            self.fail(&format!("heard {last} for {what}; {facts}"));
        }
    }

    /// Waits for an event that fits.
    pub fn expect(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait(event, |line| line["event"] == event && fits(line))
    }

    fn ask(&mut self, command: &str, mut fields: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        fields["id"] = id.into();
        fields["do"] = command.into();
        let sent = self.stdin.as_mut().is_some_and(|stdin| writeln!(stdin, "{fields}").is_ok());
        assert!(sent, "{}: {command}\n{}", self.name, self.log_tail());
        let answer = self.wait(&format!("the answer to {command}"), |line| line["id"] == id);
        assert!(answer["error"].is_null(), "{}: {command}: {answer}\n{}", self.name, self.log_tail());
        answer
    }

    fn wait(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(at) = (looked_at..self.events.len()).find(|&at| fits(&self.events[at])) {
                return self.events.remove(at).expect("found there");
            }
            looked_at = self.events.len();
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.events.push_back(line),
                Err(why) => self.fail(&format!("{why} before {what}")),
            }
        }
    }

    fn log_tail(&self) -> String {
        tail(&self.room.path().join("log"))
    }

    fn fail(&self, what: &str) -> ! {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        panic!("{}'s browser: {what}; it had told:\n{}\n{}", self.name, events.join("\n"), self.log_tail())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its script closes the browser at the end of its input.
        self.stdin = None;
        if until(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
        }
    }
}
