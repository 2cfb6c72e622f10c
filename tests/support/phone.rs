//! A real phone: PJSIP in a process of its own, driven over JSON lines by `phone.py`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::DOMAIN;
use super::switch::Switch;
use super::{PATIENCE, project, tail};

/// How long one measurement of received audio lasts.
const LISTEN_MS: u64 = 300;

/// How far a measured tone may be from the one that was meant.
const TONE_TOLERANCE_HZ: f64 = 10.0;

/// Below this level nothing is to be heard.
const SILENCE_DBM0: f64 = -60.0;

/// A phone. Its process ends when this is dropped.
pub struct Phone {
    name: String,
    room: TempDir,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    events: VecDeque<Value>,
    next_id: u64,
    ports: Value,
}

/// What a phone heard in one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The strongest frequency; 0 for silence.
    pub hz: f64,
    /// The share of all power that is at that frequency, from 0 to 1.
    pub purity: f64,
    /// The level of all that was heard.
    pub dbm0: f64,
}

impl Heard {
    /// Whether it is this tone and hardly anything else.
    pub fn is_tone(&self, hz: f64) -> bool {
        (self.hz - hz).abs() <= TONE_TOLERANCE_HZ && self.purity > 0.8 && self.dbm0 > SILENCE_DBM0
    }

    /// Whether it is nothing.
    pub fn is_silence(&self) -> bool {
        self.dbm0 <= SILENCE_DBM0
    }
}

impl Phone {
    /// Starts a phone without an account; the name stands in failure messages.
    pub fn start(name: &str) -> Self {
        let room = TempDir::new().expect("a folder for the phone");
        let log = File::create(room.path().join("log")).expect("a log file");
        let python = std::env::var_os("STROWGER_PHONES").map_or_else(|| project("target/phones"), PathBuf::from);
        let python = python.join("bin/python");
        let mut child = Command::new(&python)
            .arg(project("tests/support/phone.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: tests/setup installs the phones", python.display()));
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut phone = Self {
            name: name.to_owned(),
            room,
            child,
            stdin,
            lines,
            events: VecDeque::new(),
            next_id: 1,
            ports: Value::Null,
        };
        phone.ports = phone.expect("ready", |_| true)["ports"].take();
        phone
    }

    /// Starts a phone and registers it as a lab user (`alice`), over `udp`, `tcp` or `tls`; waits for the 200.
    pub fn registered(switch: &Switch, user: &str, transport: &str) -> Self {
        let mut phone = Self::start(user);
        phone.register(&json!({
            "user": user,
            "password": format!("{user}-secret"),
            "registrar": switch.sip(transport).to_string(),
            "domain": DOMAIN,
            "transport": transport,
        }));
        let registered = phone.next_of(&["registered", "unregistered"]);
        assert!(registered["code"] == 200, "{user} could not register: {registered}\n{}", phone.log_tail());
        phone
    }

    /// As [`Phone::registered`], with SRTP `optional` or `required` in these suites of PJSIP's; none names all.
    pub fn with_srtp(switch: &Switch, user: &str, transport: &str, srtp: &str, suites: &[&str]) -> Self {
        let mut phone = Self::start(user);
        phone.register(&json!({
            "user": user,
            "password": format!("{user}-secret"),
            "registrar": switch.sip(transport).to_string(),
            "domain": DOMAIN,
            "transport": transport,
            "srtp": srtp,
            "suites": suites,
        }));
        let registered = phone.next_of(&["registered", "unregistered"]);
        assert!(registered["code"] == 200, "{user} could not register: {registered}\n{}", phone.log_tail());
        phone
    }

    /// Makes the account, with the fields of phone.py's `do_register`; the events `registered` or `unregistered` follow.
    pub fn register(&mut self, fields: &Value) {
        self.ask("register", fields);
    }

    /// The UDP port that the phone takes SIP on.
    pub fn udp_port(&self) -> u16 {
        self.ports["udp"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port")
    }

    /// Removes the binding; the event `unregistered` follows.
    pub fn unregister(&mut self) {
        self.ask("unregister", &json!({}));
    }

    /// Refreshes the binding; the event `registered` follows.
    pub fn reregister(&mut self) {
        self.ask("reregister", &json!({}));
    }

    /// Lets the phone speak these codecs alone, by PJSIP's names (`PCMU`, `G722`), in the calls to come.
    pub fn speak(&mut self, names: &[&str]) {
        self.ask("codecs", &json!({ "names": names }));
    }

    /// Calls a user or number of the lab; answers the phone's number for the call.
    pub fn call(&mut self, to: &str) -> u64 {
        let answer = self.ask("call", &json!({ "uri": uri(to) }));
        answer["call"].as_u64().expect("a call number")
    }

    /// Waits for a call to come in, and answers the phone's number for it.
    pub fn incoming(&mut self) -> u64 {
        self.expect("incoming", |_| true)["call"].as_u64().expect("a call number")
    }

    /// Answers a call with a status: 180, 183, 200, 486, …
    pub fn answer(&mut self, call: u64, code: u16) {
        self.ask("answer", &json!({ "call": call, "code": code }));
    }

    /// Waits for a call and answers it with 200, up to the confirmed state; the phone's number for it.
    pub fn pick_up(&mut self) -> u64 {
        let call = self.incoming();
        self.answer(call, 200);
        self.expect_state(call, "confirmed");
        call
    }

    /// Ends a call: BYE, CANCEL or a refusal, as its state demands.
    pub fn hang_up(&mut self, call: u64) {
        self.ask("hangup", &json!({ "call": call }));
    }

    /// Puts a call on hold by re-INVITE.
    pub fn hold(&mut self, call: u64) {
        self.ask("hold", &json!({ "call": call }));
    }

    /// Takes a call from hold.
    pub fn unhold(&mut self, call: u64) {
        self.ask("unhold", &json!({ "call": call }));
    }

    /// Sends UPDATE in a call.
    pub fn update(&mut self, call: u64) {
        self.ask("update", &json!({ "call": call }));
    }

    /// Transfers the other end to a number (REFER); events `transfer` tell how it went.
    pub fn blind_transfer(&mut self, call: u64, to: &str) {
        self.ask("blind_transfer", &json!({ "call": call, "to": uri(to) }));
    }

    /// Transfers the other end of one call to the other end of another (REFER with Replaces).
    pub fn attended_transfer(&mut self, call: u64, to_call: u64) {
        self.ask("attended_transfer", &json!({ "call": call, "to_call": to_call }));
    }

    /// Dials digits as telephone-events (RFC 4733).
    pub fn dtmf(&mut self, call: u64, digits: &str) {
        self.ask("dtmf", &json!({ "call": call, "digits": digits }));
    }

    /// Dials digits by SIP INFO.
    pub fn info_dtmf(&mut self, call: u64, digits: &str) {
        self.ask("dtmf", &json!({ "call": call, "digits": digits, "method": "info" }));
    }

    /// Dials digits as tones in its sound.
    pub fn dial_tones(&mut self, call: u64, digits: &str) {
        self.ask("dial_tones", &json!({ "call": call, "digits": digits }));
    }

    /// From now on the phone knows no telephone-events.
    pub fn forget_events(&mut self) {
        self.ask("without_events", &json!({}));
    }

    /// The next keys that the phone is told, all in one way: `event` or `info`.
    pub fn expect_keys(&mut self, digits: &str, method: &str) {
        for digit in digits.chars() {
            let told = self.next_of(&["dtmf"]);
            assert_eq!((told["digit"].as_str(), told["method"].as_str()), (Some(&*digit.to_string()), Some(method)));
        }
    }

    /// Plays a steady tone into a call, until told otherwise.
    pub fn play_tone(&mut self, call: u64, hz: u16) {
        self.ask("play_tone", &json!({ "call": call, "hz": hz }));
    }

    /// Plays a tone in a cadence, until told otherwise.
    pub fn play_cadence(&mut self, call: u64, hz: u16, on_ms: u32, off_ms: u32) {
        self.ask("play_cadence", &json!({ "call": call, "hz": hz, "on_ms": on_ms, "off_ms": off_ms }));
    }

    /// Falls silent again: packets still flow.
    pub fn play_silence(&mut self, call: u64) {
        self.ask("play_silence", &json!({ "call": call }));
    }

    /// Measures what the phone hears in the next `ms` of a call. Time is counted in received frames.
    pub fn listen(&mut self, call: u64, ms: u64) -> Heard {
        let answer = self.ask("listen", &json!({ "call": call, "ms": ms }));
        let field = |name: &str| answer[name].as_f64().expect("a number");
        Heard { hz: field("hz"), purity: field("purity"), dbm0: field("dbm0") }
    }

    /// Listens until this tone is heard; panics with what was heard instead.
    pub fn hears_tone(&mut self, call: u64, hz: f64) -> Heard {
        self.hears(call, &format!("{hz} Hz"), |heard| heard.is_tone(hz))
    }

    /// Listens until nothing is heard.
    pub fn hears_silence(&mut self, call: u64) -> Heard {
        self.hears(call, "silence", Heard::is_silence)
    }

    /// Listens until what is heard fits; panics with the last that did not.
    pub fn hears(&mut self, call: u64, what: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.listen(call, LISTEN_MS);
            if fits(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{} should hear {what}, but hears {heard:?}", self.name);
        }
    }

    /// Sends an instant message; the event `message_status` tells the answer.
    pub fn message(&mut self, to: &str, text: &str) {
        self.ask("message", &json!({ "uri": uri(to), "text": text }));
    }

    /// Subscribes to a user's presence; events `presence` follow.
    pub fn subscribe(&mut self, to: &str) {
        self.ask("subscribe", &json!({ "uri": uri(to) }));
    }

    /// RTP counters of a call: `sent`, `received`, `lost`, `duplicated`, `reordered`.
    pub fn statistics(&mut self, call: u64) -> Value {
        self.ask("statistics", &json!({ "call": call }))
    }

    /// The crypto suite that a call's media goes by in both directions; nothing where it is plain.
    pub fn suite(&mut self, call: u64) -> Option<String> {
        let answer = self.ask("describe", &json!({ "call": call }));
        let text = answer["text"].as_str().expect("a text");
        let line = text.lines().find(|line| line.contains("SRTP status: Active"))?;
        line.rsplit_once("Crypto-suite: ").map(|(_, suite)| suite.trim().to_owned())
    }

    /// Waits for an event of a kind that fits, and takes it out of the row; those before it stay. Panics with what came
    /// instead.
    pub fn expect(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait(&format!("the event {event}"), |line| line["event"] == event && fits(line))
    }

    /// Waits until a call has come to a state: `early`, `confirmed`, `disconnected`, …
    pub fn expect_state(&mut self, call: u64, state: &str) -> Value {
        self.wait(&format!("state {state} of call {call}"), |line| {
            line["event"] == "state" && line["call"] == call && line["state"] == state
        })
    }

    /// Waits until the media of a call is `active`, `local_hold` or `remote_hold`.
    pub fn expect_media(&mut self, call: u64, media: &str) -> Value {
        self.wait(&format!("media {media} of call {call}"), |line| {
            line["event"] == "media" && line["call"] == call && line["media"] == media
        })
    }

    /// Waits for the next event of any of these kinds.
    pub fn next_of(&mut self, events: &[&str]) -> Value {
        self.wait(&format!("one of {events:?}"), |line| events.iter().any(|event| line["event"] == *event))
    }

    /// Whether an event of a kind has come that nobody took yet. Does not wait.
    pub fn has(&mut self, event: &str) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.events.push_back(line);
        }
        self.events.iter().any(|line| line["event"] == event)
    }

    /// The last lines of PJSIP's log, with the messages that it sent and received.
    pub fn log_tail(&self) -> String {
        format!("--- the log of {}'s phone\n{}", self.name, tail(&self.room.path().join("log")))
    }

    fn ask(&mut self, command: &str, fields: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = fields.clone();
        line["id"] = id.into();
        line["cmd"] = command.into();
        writeln!(self.stdin, "{line}").unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.log_tail()));
        let answer = self.wait(&format!("the answer to {command}"), |line| line["id"] == id);
        assert!(answer["ok"] == true, "{}: {command} {fields}: {answer}\n{}", self.name, self.log_tail());
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
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("waited {PATIENCE:?} for {what}")),
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("its process ended before {what}")),
            }
        }
    }

    fn fail(&self, what: &str) -> ! {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        panic!("{}'s phone: {what}; it had told:\n{}\n{}", self.name, events.join("\n"), self.log_tail())
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number or name of the lab as a URI; what is a URI already stays.
fn uri(to: &str) -> String {
    if to.contains(':') { to.to_owned() } else { format!("sip:{to}@{DOMAIN}") }
}
