//! A WebRTC end that is no browser: aiortc in a process of its own, driven over JSON lines.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::{PATIENCE, project, until};

/// aiortc in a process of its own; it ends when this is dropped.
pub struct Aiortc {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Aiortc {
    /// Starts it.
    pub fn start() -> Self {
        let home = std::env::var_os("STROWGER_BROWSER").map_or_else(|| project("target/browser"), PathBuf::from);
        let mut child = Command::new(home.join("venv/bin/python"))
            .arg(project("tests/support/browser/aiortc_peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("aiortc: tests/setup browser installs it");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut peer = Self { child, stdin, stdout: BufReader::new(stdout) };
        assert_eq!(peer.read()["ready"], true);
        peer
    }

    /// Has it do one thing of aiortc_peer.py; its answer.
    pub fn ask(&mut self, command: Value) -> Value {
        writeln!(self.stdin, "{command}").expect("it takes commands");
        self.read()
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Waits until it hears this tone.
    pub fn hears_tone(&mut self, hz: u16) {
        let mut last = Value::Null;
        let heard = until(PATIENCE, || {
            last = self.ask(json!({ "do": "hear", "hz": hz }));
            last["share"].as_f64().filter(|share| *share > 0.8)
        });
        assert!(heard.is_some(), "{hz} Hz: {last}");
    }
}

impl Drop for Aiortc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
