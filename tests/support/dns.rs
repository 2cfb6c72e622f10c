//! Name servers on loopback: a real one (Debian's dnsmasq) with a zone of the test's, and what a broken one is like.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::ports::Port;
use super::{PATIENCE, until};

/// How often a broken server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// A question for the address of `ready.test` (RFC 1035 section 4.1).
const READY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05ready\x04test\x00\x00\x01\x00\x01";

/// The records of a zone below `test`.
#[derive(Default)]
pub struct Zone(Vec<String>);

impl Zone {
    /// A zone in which every other name does not exist.
    pub fn new() -> Self {
        Self::default()
    }

    /// The address of a name.
    pub fn address(self, name: &str, address: &str) -> Self {
        self.with(format!("--host-record={name},{address}"))
    }

    /// A server of a service, as `_sip._udp.proxy.test`; the lower priority is tried first.
    pub fn server(self, service: &str, host: &str, port: u16, priority: u16) -> Self {
        self.with(format!("--srv-host={service},{host},{port},{priority},0"))
    }

    /// Which service a name is spoken to by, as `SIP+D2T` with `_sip._tcp.proxy.test`.
    pub fn service(self, name: &str, service: &str, replacement: &str) -> Self {
        self.with(format!("--naptr-record={name},10,10,s,{service},,{replacement}"))
    }

    fn with(mut self, option: String) -> Self {
        self.0.push(option);
        self
    }

    /// Serves it.
    pub fn serve(self) -> Dns {
        let port = Port::free();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        // It unlinks its files before it writes them: all of them are its own.
        let room = TempDir::new().expect("a folder for dnsmasq");
        let (config, pid) = (room.path().join("config"), room.path().join("pid"));
        std::fs::write(&config, "").expect("written");
        let sbin = Path::new("/usr/sbin/dnsmasq");
        // Where Debian has it, which is not on everybody's PATH.
        let mut command = Command::new(if sbin.exists() { sbin } else { Path::new("dnsmasq") });
        command
            .arg(format!("--conf-file={}", config.display()))
            .arg(format!("--pid-file={}", pid.display()))
            .args(["--keep-in-foreground", "--log-facility=-", "--user=root", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--listen-address=127.0.0.1", "--local=/test/"])
            .arg("--host-record=ready.test,127.0.0.1")
            .arg(format!("--port={}", at.port()))
            .args(self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("dnsmasq runs: tests/setup installs it");
        let dns = Dns { at, child, _port: port, _room: room };
        let asking = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        asking.set_read_timeout(Some(LOOK)).expect("a timeout");
        let answers = until(PATIENCE, || {
            asking.send_to(READY, at).ok()?;
            asking.recv(&mut [0; 512]).ok()
        });
        assert!(answers.is_some(), "dnsmasq does not answer at {at}");
        dns
    }
}

/// A name server; ends when it is dropped.
pub struct Dns {
    at: SocketAddr,
    child: Child,
    _port: Port,
    _room: TempDir,
}

impl Dns {
    /// The value of `sip.nameservers` that makes a switch ask it.
    pub fn setting(&self) -> String {
        format!("[\"{}\"]", self.at)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A name server that fails every question, or says nothing until it is told to fail.
pub struct BrokenDns {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    speaks: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BrokenDns {
    /// One that says nothing.
    pub fn silent() -> Self {
        Self::start(false)
    }

    /// One that says SERVFAIL.
    pub fn failing() -> Self {
        Self::start(true)
    }

    fn start(speaks: bool) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let at = socket.local_addr().expect("bound");
        socket.set_read_timeout(Some(LOOK)).expect("a timeout");
        let (asked, speaks, ends) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(speaks)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (asked, speaks, ends) = (Arc::clone(&asked), Arc::clone(&speaks), Arc::clone(&ends));
            move || {
                let mut question = [0; 512];
                while !ends.load(Ordering::Relaxed) {
                    let Ok((len, from)) = socket.recv_from(&mut question) else { continue };
                    asked.fetch_add(1, Ordering::Relaxed);
                    if speaks.load(Ordering::Relaxed) && len > 3 {
                        // RFC 1035 section 4.1.1: it is a response, its code is 2; the question stays.
                        question[2] |= 0x80;
                        question[3] = (question[3] & 0xf0) | 2;
                        let _ = socket.send_to(&question[..len], from);
                    }
                }
            }
        });
        Self { at, asked, speaks, ends, thread: Some(thread) }
    }

    /// The value of `sip.nameservers` that makes a switch ask it.
    pub fn setting(&self) -> String {
        format!("[\"{}\"]", self.at)
    }

    /// Lets it say SERVFAIL from now on.
    pub fn fail(&self) {
        self.speaks.store(true, Ordering::Relaxed);
    }

    /// Waits until it was asked more than `before` times; how often now.
    pub fn asked_beyond(&self, before: usize) -> usize {
        let asked = || Some(self.asked.load(Ordering::Relaxed)).filter(|asked| *asked > before);
        until(PATIENCE, asked).expect("the switch asks its name server")
    }
}

impl Drop for BrokenDns {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
