//! A real server of e-mail in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::project;

/// The server; it ends when this is dropped.
pub struct Smtp {
    child: Child,
    lines: Receiver<Value>,
}

/// A port of loopback that nobody has at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("bound").port()
}

impl Smtp {
    /// Starts it on a port.
    pub fn start(port: u16) -> Self {
        let python = std::env::var_os("STROWGER_PHONES").map_or_else(|| project("target/phones"), PathBuf::from);
        let mut child = Command::new(python.join("bin/python"))
            .arg(project("tests/support/smtp.py"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("aiosmtpd: tests/setup installs it");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let sent = serde_json::from_str(&line).map(|value| sender.send(value));
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
            }
        });
        let server = Self { child, lines };
        assert_eq!(server.next(super::PATIENCE)["ready"], true);
        server
    }

    /// The next message that it takes.
    pub fn next(&self, patience: Duration) -> Value {
        self.lines.recv_timeout(patience).expect("a message comes in time")
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
