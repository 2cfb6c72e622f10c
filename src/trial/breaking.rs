//! How things are broken, and mended again: a fault of a plan at its moment.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use sip::Protocol;

use super::fault::{Certificate, Disk, Dns, Fault, How, SwitchFault, jump};
use super::ground::{Ground, Started};
use crate::admin_client::ActorFault;

/// How long a fault may wait for its actor to be there.
const ACTOR_WITHIN: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(10);
/// What a sync of a slow disk takes longer.
const SLOW_DISK: Duration = Duration::from_millis(500);
/// A connection that garbage is sent on waits so long for the switch to take it.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The longest datagram of garbage.
const GARBAGE_BYTES_MAX: usize = 1_200;
/// The file that fills the disk.
const FILLER: &str = "filler.tmp";

/// Breaks what the fault names. Answers in words what was done.
///
/// # Errors
/// It could not be broken.
pub fn begin(fault: &Fault, ground: &mut Ground) -> anyhow::Result<String> {
    let Ground::Started(started) = ground else { bail!("a fault needs a switch of ours") };
    if let Some(actor) = &fault.actor {
        return break_actor(started, actor, fault);
    }
    if let Some(switch) = fault.switch {
        return match switch {
            SwitchFault::Kill => {
                started.kill_and_restart()?;
                Ok("the switch was killed and started again".to_owned())
            }
            SwitchFault::Freeze => {
                started.signal("STOP")?;
                Ok("the switch was frozen".to_owned())
            }
        };
    }
    if let Some(network) = &fault.network {
        started.impair(Some(network))?;
        return Ok(format!("the network: {network}"));
    }
    if let Some(count) = fault.garbage {
        return garbage(started, count);
    }
    if fault.ports.is_some() {
        let count = started.take_ports()?;
        return Ok(format!("others have the {count} ports of media that were free"));
    }
    match (fault.disk, &fault.clock, fault.certificate, fault.dns) {
        (Some(Disk::Full), ..) => {
            fill(started)?;
            Ok("the disk is full".to_owned())
        }
        (Some(Disk::Slow), ..) => {
            started.client().slow_disk(SLOW_DISK)?;
            Ok(format!("the disk takes {SLOW_DISK:?} longer for each sync"))
        }
        (_, Some(clock), ..) => {
            started.set_clock(&jump(clock).context("the plan was checked")?)?;
            Ok(format!("the clock jumped by {clock}"))
        }
        (_, _, Some(Certificate::Expired), _) => {
            expire(started)?;
            Ok("the certificate has expired".to_owned())
        }
        (_, _, _, Some(dns)) => {
            started.names()?.breaks(dns);
            Ok(match dns {
                Dns::Silent => "the name server is silent".to_owned(),
                Dns::Fails => "the name server fails".to_owned(),
            })
        }
        (None, None, None, None) => bail!("a fault of nothing"),
    }
}

/// Mends it.
///
/// # Errors
/// It could not be mended.
pub fn end(fault: &Fault, ground: &mut Ground) -> anyhow::Result<()> {
    let Ground::Started(started) = ground else { return Ok(()) };
    if fault.switch == Some(SwitchFault::Freeze) {
        started.signal("CONT")?;
    }
    if fault.network.is_some() {
        started.impair(None)?;
    }
    if fault.ports.is_some() {
        started.give_ports();
    }
    match fault.disk {
        Some(Disk::Full) => fs::remove_file(started.data().join(FILLER)).context("the disk stays full")?,
        Some(Disk::Slow) => drop(started.client().slow_disk(Duration::ZERO)?),
        None => {}
    }
    if fault.clock.is_some() {
        started.set_clock("+0")?;
    }
    if fault.certificate.is_some() {
        for (file, old) in [CERTIFICATE, KEY] {
            fs::rename(started.data().join(old), started.data().join(file))?;
        }
        started.signal("HUP")?;
    }
    if fault.dns.is_some() {
        started.names()?.mend();
    }
    Ok(())
}

fn break_actor(started: &Started, actor: &str, fault: &Fault) -> anyhow::Result<String> {
    let how = match fault.how {
        How::Kill => ActorFault::Kill,
        How::Panic => ActorFault::Panic,
        How::Stall => ActorFault::Stall(fault.stall()),
    };
    let began = Instant::now();
    let path = loop {
        match started.client().break_actor(actor, how) {
            Ok(path) => break path,
            // One that is down at this moment comes back, unless it is gone for good.
            Err(_) if began.elapsed() < ACTOR_WITHIN => thread::sleep(POLL),
            Err(error) => return Err(error.context(format!("the fault at {:?} did not come", fault.at))),
        }
    };
    let did = match fault.how {
        How::Kill => "was killed".to_owned(),
        How::Panic => "was made to panic".to_owned(),
        How::Stall => format!("was stalled for {:?}", fault.stall()),
    };
    Ok(format!("{path} {did}"))
}

/// This machine cannot break that: the step is not applicable here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

impl Unavailable {
    /// What it lacks.
    pub const fn new(what: String) -> Self {
        Self(what)
    }
}

/// Sends datagrams and streams of chance, and INVITEs that were cut or changed at places of chance.
fn garbage(started: &Started, count: u32) -> anyhow::Result<String> {
    let (udp, tcp) = (started.listens(Protocol::Udp)?, started.listens(Protocol::Tcp)?);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    for _ in 0..count {
        // What the switch's socket has no room for is lost, as from any flood.
        let _ = socket.send_to(&one_of_garbage(), udp);
    }
    for _ in 0..count / 10 {
        if let Ok(mut stream) = TcpStream::connect_timeout(&tcp, CONNECT_WITHIN) {
            // The switch may close at any byte.
            let _ = stream.write_all(&one_of_garbage());
        }
    }
    Ok(format!("{count} datagrams and {} connections brought garbage", count / 10))
}

fn one_of_garbage() -> Vec<u8> {
    const INVITE: &str = "INVITE sip:1002@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKg\r\n\
        Max-Forwards: 70\r\nFrom: <sip:g@example.com>;tag=g\r\nTo: <sip:1002@example.com>\r\nCall-ID: g\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:g@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n";
    if rand::random::<bool>() {
        return (0..rand::random_range(1..GARBAGE_BYTES_MAX)).map(|_| rand::random()).collect();
    }
    let mut bytes = INVITE.as_bytes().to_vec();
    bytes.truncate(rand::random_range(1..=bytes.len()));
    for _ in 0..rand::random_range(0..8) {
        let place = rand::random_range(0..bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte = rand::random();
        }
    }
    bytes
}

/// Fills the disk of the data folder, which is small and the trial's own.
fn fill(started: &Started) -> anyhow::Result<()> {
    let mut file = fs::File::create(started.data().join(FILLER))?;
    let piece = vec![0; 64 << 10];
    loop {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("the disk cannot be filled"),
        }
    }
}

/// The development certificate and its key in the data folder, and how they are called meanwhile.
const CERTIFICATE: (&str, &str) = ("tls/dev-cert.pem", "tls/dev-cert.pem.good");
const KEY: (&str, &str) = ("tls/dev-key.pem", "tls/dev-key.pem.good");

/// Puts a certificate in place whose time is over, and has the switch read it.
fn expire(started: &Started) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(["localhost".to_owned(), "example.com".to_owned()])?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    for ((file, old), text) in [(CERTIFICATE, certificate.pem()), (KEY, key.serialize_pem())] {
        fs::rename(started.data().join(file), started.data().join(old)).context("the certificate")?;
        fs::write(started.data().join(file), text)?;
    }
    started.signal("HUP")
}

/// Where a name server of the trial listens, and how it does.
pub struct Names {
    address: SocketAddr,
    mood: std::sync::Arc<std::sync::atomic::AtomicU8>,
}

impl Names {
    const WELL: u8 = 0;
    const SILENT: u8 = 1;
    const FAILS: u8 = 2;

    /// Starts one that has every name at 127.0.0.2, where the lab has its carrier, and no other record.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let mood = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(Self::WELL));
        let own = std::sync::Arc::clone(&mood);
        // It ends with the process: a trial has one.
        thread::spawn(move || {
            let mut question = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let mood = own.load(std::sync::atomic::Ordering::Relaxed);
                let answer = answer(question.get(..length).unwrap_or_default(), mood == Self::FAILS);
                if let Some(answer) = answer.filter(|_| mood != Self::SILENT) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { address, mood })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn breaks(&self, dns: Dns) {
        let mood = if dns == Dns::Silent { Self::SILENT } else { Self::FAILS };
        self.mood.store(mood, std::sync::atomic::Ordering::Relaxed);
    }

    fn mend(&self) {
        self.mood.store(Self::WELL, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The answer to a question (RFC 1035 section 4.1): an A record of loopback for A, nothing for other types, or SERVFAIL.
fn answer(question: &[u8], fails: bool) -> Option<Vec<u8>> {
    const HEAD_BYTES: usize = 12;
    let labels = question.get(HEAD_BYTES..)?;
    // A question's name is not compressed: it ends at the first empty label.
    let name = labels.iter().position(|byte| *byte == 0)? + 1;
    let asked = labels.get(..name + 4)?;
    let is_a = asked.get(name..name + 4)? == [0, 1, 0, 1];
    let id = question.get(..2)?;
    let code = if fails { 2 } else { 0 };
    let count = u8::from(is_a && !fails);
    let mut out = vec![*id.first()?, *id.get(1)?, 0x84, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    out.extend_from_slice(asked);
    if count == 1 {
        // A pointer to the name, A, IN, no time to live, four bytes.
        out.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 2]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_at_loopback_and_has_no_other_record() {
        let question = |kind: u8| [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0][..], &[kind, 0, 1]].concat();
        let found = answer(&question(1), false).unwrap();
        assert_eq!((found[7], &found[found.len() - 4..]), (1, &[127, 0, 0, 2][..]));
        assert_eq!(answer(&question(33), false).map(|answer| answer[7]), Some(0));
        assert_eq!(answer(&question(1), true).map(|answer| answer[3] & 0x0f), Some(2));
        assert_eq!(answer(&[0; 5], false), None);
    }
}
