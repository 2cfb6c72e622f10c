//! HEP version 3: what a collector is shown, read from its socket by the document's words alone.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use support::config::Config;
use support::switch::Switch;
use support::{PATIENCE, until};

/// A collector: a socket, and what has come to it.
struct Collector {
    socket: UdpSocket,
    shown: Vec<Shown>,
}

/// One message, as the chunks say.
#[derive(Debug)]
struct Shown {
    family: u8,
    protocol: u8,
    from: SocketAddr,
    to: SocketAddr,
    at: Duration,
    kind: u8,
    agent: u32,
    key: Vec<u8>,
    text: String,
}

impl Shown {
    /// Reads a packet: the magic, the length of all, then chunks of vendor, type, length and value.
    fn read(packet: &[u8]) -> Self {
        assert_eq!(&packet[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
        let mut chunks: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        let mut rest = &packet[6..];
        while !rest.is_empty() {
            let word = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
            assert_eq!(word(0), 0, "a vendor that nobody knows");
            let length = usize::from(word(4));
            let twice = chunks.insert(word(2), rest[6..length].to_vec());
            assert!(twice.is_none(), "chunk {} comes twice", word(2));
            rest = &rest[length..];
        }
        let number = |kind: u16| chunks[&kind].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let address = |ip: u16, port: u16| {
            let octets: [u8; 4] = chunks[&ip].as_slice().try_into().expect("four octets");
            SocketAddr::new(Ipv4Addr::from(octets).into(), number(port).try_into().expect("a port"))
        };
        Self {
            family: number(1).try_into().expect("an octet"),
            protocol: number(2).try_into().expect("an octet"),
            from: address(3, 7),
            to: address(4, 8),
            at: Duration::from_secs(number(9)) + Duration::from_micros(number(10)),
            kind: number(11).try_into().expect("an octet"),
            agent: number(12).try_into().expect("a number"),
            key: chunks.get(&14).cloned().unwrap_or_default(),
            text: String::from_utf8(chunks[&15].clone()).expect("SIP is text"),
        }
    }

    fn call_id(&self) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix("Call-ID: "));
        line.unwrap_or_else(|| panic!("no Call-ID: {}", self.text))
    }
}

impl Collector {
    fn listen(at: &str) -> Self {
        let socket = UdpSocket::bind(at).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a bound");
        Self { socket, shown: Vec::new() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().expect("bound").port()
    }

    /// Reads until a message fits.
    fn until(&mut self, what: &str, fits: impl Fn(&Shown) -> bool) {
        let mut packet = vec![0; 65_536];
        while !self.shown.last().is_some_and(&fits) {
            let length = self.socket.recv(&mut packet).unwrap_or_else(|error| panic!("{what}: {error}"));
            self.shown.push(Shown::read(&packet[..length]));
        }
    }
}

/// A call that must not fail, whatever becomes of the collector.
fn call(switch: &Switch, transport: &str, sound: &str) {
    let ca = switch.data().join("tls/dev-cert.pem").display().to_string();
    let done = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["load", &switch.sip(transport).to_string(), "--transport", transport, "--ca", &ca, "--sound", sound])
        .args(["--caller", "alice:alice-secret", "--callee", "bob:bob-secret"])
        .args(["--rate", "2", "--for", "1s", "--talk", "600ms"])
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let told = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&told));
}

fn is_last(shown: &Shown) -> bool {
    shown.text.starts_with("SIP/2.0 200") && shown.text.contains("REGISTER") && shown.text.contains("Expires: 0")
        || shown.text.starts_with("SIP/2.0 200") && shown.text.contains(" BYE")
}

fn metric(switch: &Switch, name: &str) -> f64 {
    let text = switch.get_as_stranger("/metrics").1;
    let text = text.as_str().expect("text");
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}

#[test]
fn both_legs_of_a_call_are_shown_decrypted_and_its_loss_harms_no_call() {
    let mut collector = Collector::listen("127.0.0.1:0");
    let port = collector.port();
    let config = Config::lab().set("hep", "host", r#""127.0.0.1""#).set("hep", "port", &port.to_string());
    let switch = Switch::start(config.set("hep", "agent", "77").set("hep", "key", r#""a-key-of-homer""#));
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let begun = now();

    call(&switch, "tls", "srtp");

    collector.until("the answer to BYE", is_last);
    let secure = switch.sip("tls");
    for shown in &collector.shown {
        assert_eq!((shown.family, shown.protocol, shown.kind, shown.agent), (2, 6, 1, 77), "{shown:?}");
        assert_eq!(shown.key, b"a-key-of-homer");
        // Of a connection that the switch opened the other end has the port; its own is the one that it listens on.
        assert!(shown.from == secure || shown.to == secure, "{shown:?}");
        assert!(shown.at >= begun && shown.at <= now(), "{shown:?}");
    }
    let invites = collector.shown.iter().filter(|shown| shown.text.starts_with("INVITE "));
    let legs: BTreeSet<&str> = invites.map(Shown::call_id).collect();
    assert_eq!(legs.len(), 2, "both legs: {legs:?}");
    let (come, left): (Vec<_>, Vec<_>) = collector.shown.iter().partition(|shown| shown.to == secure);
    assert!(come.iter().any(|shown| shown.text.starts_with("ACK ")) && left.iter().any(|s| s.text.starts_with("ACK ")));
    assert!(left.iter().any(|shown| shown.text.starts_with("SIP/2.0 200")), "answers too");

    // Nobody listens there any more: calls go on, and what was not shown is counted.
    drop(collector);
    let before = metric(&switch, "strowger_hep_dropped_total");
    call(&switch, "udp", "rtp");
    assert!(metric(&switch, "strowger_hep_dropped_total") > before, "{}", switch.log_tail());

    // It comes back, after the actor was killed besides: what goes by from then on is shown.
    let mut again = Collector::listen(&format!("127.0.0.1:{port}"));
    assert!(switch.command(&["kill", "/switch/hep"]).status.success());
    let risen = until(PATIENCE, || {
        let tree = switch.command(&["tree", "--json"]);
        String::from_utf8_lossy(&tree.stdout).contains(&format!("127.0.0.1:{port}, 0 shown")).then_some(())
    });
    assert!(risen.is_some(), "{}", switch.log_tail());
    call(&switch, "udp", "rtp");
    again.until("the answer to BYE", is_last);
    assert!(again.shown.iter().all(|shown| shown.protocol == 17), "datagrams");
}
