//! Sides as browsers are: found by ICE, keyed by DTLS. What is heard of them and when, and what strangers, junk and dying workers
//! change of it.

mod common;

use common::*;
use media::dtls::{Association, Fingerprint, Identity, Role};
use media::ice::{Credentials, Ice};
use media::srtp::{OVERHEAD_BYTES_MAX, Opener, Sealer};
use media::stun::{Class, Message, Password, Writer};
use media::{Flow, Handshake, Insecure, MediaEvent, Pool, PoolConfig, Remote, Side, Source, WorkerEnd};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A browser's media: one port for everything.
struct Browser {
    phone: Phone,
    ice: Ice,
    ours: Arc<Association>,
    theirs: Arc<Association>,
    keys: Option<(Sealer, Opener)>,
    checks: u8,
}

impl Browser {
    /// A browser whose handshake begins at the end that `role` says, which is ours.
    fn new(pool: &Pool, role: Role) -> Browser {
        let identity = Arc::new(Identity::fresh().unwrap());
        Browser::with(pool, role, &identity, identity.fingerprint())
    }

    fn with(pool: &Pool, role: Role, identity: &Arc<Identity>, announced: [u8; 32]) -> Browser {
        let phone = Phone::new(0xb0);
        phone.rtp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let now = Instant::now();
        let across = if role == Role::Client { Role::Server } else { Role::Client };
        let ours = pool.identity();
        let theirs = Association::new(identity, across, &[Fingerprint::Sha256(ours.fingerprint())], now);
        let ours = Association::new(ours, role, &[Fingerprint::Sha256(announced)], now);
        let mut chance = rand::rng();
        let ice = Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) };
        Browser { phone, ice, ours: Arc::new(ours), theirs: Arc::new(theirs), keys: None, checks: 0 }
    }

    fn remote(&self) -> Remote {
        Remote {
            // As browsers with hidden addresses write it.
            rtp: "0.0.0.0:9".parse().unwrap(),
            rtcp: None,
            rtcp_mux: true,
            dtls: Some(Handshake(Arc::clone(&self.ours))),
            ice: Some(Box::new(self.ice.clone())),
            ..self.phone.remote(&[PCMU])
        }
    }

    /// A check by the browser's rules, from a socket.
    fn check(&mut self, socket: &UdpSocket, to: SocketAddr, nominates: bool) -> [u8; 12] {
        self.checks = self.checks.wrapping_add(1);
        let transaction = [self.checks; 12];
        let name = format!("{}:{}", self.ice.local.ufrag, self.ice.remote.ufrag);
        let mut out = [0; 256];
        let check = Writer::new(&mut out, Class::Request, &transaction).username(name.as_bytes());
        let check = check.priority(1 << 24).role(true, 9);
        let check = if nominates { check.use_candidate() } else { check };
        let length = check.integrity(&Password::new(&self.ice.local.password).unwrap()).finish().unwrap();
        socket.send_to(&out[..length], to).unwrap();
        transaction
    }

    /// Checks and shakes hands until there are keys at this end and a packet of ours could follow.
    fn connect(&mut self, to: SocketAddr) {
        self.connect_while(to, || {});
    }

    /// The same; something happens behind every datagram of the handshake.
    fn connect_while(&mut self, to: SocketAddr, mut happens: impl FnMut()) {
        let socket = self.phone.rtp.try_clone().unwrap();
        let theirs = Arc::clone(&self.theirs);
        let mut send = |packet: &[u8]| {
            socket.send_to(packet, to).unwrap();
        };
        let deadline = Instant::now() + PATIENCE;
        let mut checked = false;
        while theirs.keys().is_none() {
            assert!(Instant::now() < deadline, "no keys in time");
            if !checked {
                self.check(&socket, to, true);
            }
            let mut buffer = [0; 2048];
            match socket.recv(&mut buffer) {
                Ok(length) if buffer[0] < 4 => {
                    let answer = Message::parse(&buffer[..length]).unwrap();
                    assert_eq!((answer.class, answer.mapped), (Class::Answer, Some(socket.local_addr().unwrap())));
                    checked = true;
                    theirs.begin(Instant::now(), &mut send);
                }
                Ok(length) => {
                    theirs.receive(Instant::now(), &buffer[..length], &mut send);
                    happens();
                }
                Err(_) => {
                    theirs.time_out(Instant::now(), &mut send);
                }
            }
        }
        let keys = theirs.keys().unwrap();
        self.keys = Some((Sealer::new(&keys.seal).unwrap(), Opener::new(&keys.open).unwrap()));
    }

    fn sealed(&mut self) -> (Vec<u8>, Vec<u8>) {
        let plain = self.phone.packet(0, &[7; 160]);
        let mut secret = plain.clone();
        secret.resize(plain.len() + OVERHEAD_BYTES_MAX, 0);
        let length = self.keys.as_mut().unwrap().0.rtp(&mut secret, plain.len()).unwrap();
        secret.truncate(length);
        (plain, secret)
    }

    /// Sends until the callee hears: our end may have its keys a moment later.
    fn is_heard_by(&mut self, to: SocketAddr, callee: &Phone) {
        callee.rtp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (plain, secret) = self.sealed();
            self.phone.rtp.send_to(&secret, to).unwrap();
            let mut buffer = [0; 2048];
            if let Ok(length) = callee.rtp.recv(&mut buffer) {
                assert_eq!(buffer[12..length], plain[12..]);
                return;
            }
            assert!(Instant::now() < deadline, "it was not heard");
        }
    }

    /// Plays the callee's packets until one is heard here.
    fn hears(&mut self, callee: &mut Phone, from: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let plain = callee.send(from, 0, &[9; 160]);
            let mut buffer = vec![0; 2048];
            while let Ok(length) = self.phone.rtp.recv(&mut buffer) {
                if buffer[0] >= 128 {
                    buffer.truncate(length);
                    let length = self.keys.as_mut().unwrap().1.rtp(&mut buffer).unwrap();
                    assert_eq!(buffer[12..length], plain[12..]);
                    return;
                }
            }
            assert!(Instant::now() < deadline, "it hears nothing");
        }
    }
}

fn half_web(pool: &Pool, role: Role) -> (Flow, Browser, Phone, Receiver<(u64, MediaEvent)>) {
    let (flow, events) = open(pool);
    let (browser, callee) = (Browser::new(pool, role), Phone::new(0xc));
    flow.connect(Side::A, browser.remote()).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    flow.wake();
    settle(pool, &flow);
    (flow, browser, callee, events)
}

#[test]
fn a_browser_and_a_phone_hear_each_other_whoever_begins_the_handshake() {
    let (pool, _threads) = running(config());
    for role in [Role::Server, Role::Client] {
        let (flow, mut browser, mut callee, events) = half_web(&pool, role);
        browser.connect(flow.local(Side::A));
        assert_eq!(next(&events), MediaEvent::Secured(Side::A));
        browser.is_heard_by(flow.local(Side::A), &callee);
        browser.hears(&mut callee, flow.local(Side::B));
        assert_eq!(flow.checkpoint().seen.a, Some(browser.phone.rtp.local_addr().unwrap()));
        assert_eq!(flow.stats().a.forged, 0);
        flow.close();
    }
}

#[test]
fn nothing_passes_before_the_keys_and_nothing_plain_ever() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, events) = half_web(&pool, Role::Server);
    let socket = browser.phone.rtp.try_clone().unwrap();
    browser.check(&socket, flow.local(Side::A), true);
    until(|| flow.checkpoint().seen.a.is_some());
    // It is known, and its handshake has not begun.
    for _ in 0..10 {
        browser.phone.send(flow.local(Side::A), 0, &[1; 160]);
        browser.phone.rtp.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], flow.local(Side::A)).unwrap();
        callee.send(flow.local(Side::B), 0, &[2; 160]);
        callee.rtcp.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], flow.local_rtcp(Side::B)).unwrap();
    }
    flow.hear(Side::A, Source::Tone { hz: 1000.0, dbm0: -10.0 }).unwrap();
    flow.wake();
    until(|| flow.stats().a.early == 20 && flow.stats().b.packets_received == 10);
    settle(&pool, &flow);
    let mut buffer = [0; 2048];
    while let Ok(length) = socket.recv(&mut buffer) {
        assert!(buffer[0] < 4, "{:?}", &buffer[..length]);
    }
    assert!(callee.has_nothing());
    flow.hear(Side::A, Source::Peer).unwrap();
    flow.wake();
    browser.connect(flow.local(Side::A));
    assert_eq!(next(&events), MediaEvent::FirstPacket(Side::B));
    assert_eq!(next(&events), MediaEvent::Secured(Side::A));
    browser.is_heard_by(flow.local(Side::A), &callee);
    let forged = flow.stats().a.forged;
    for _ in 0..10 {
        browser.phone.send(flow.local(Side::A), 0, &[1; 160]);
    }
    until(|| flow.stats().a.forged == forged + 10);
    assert!(callee.has_nothing());
}

#[test]
fn another_certificate_than_announced_gets_no_keys_and_the_call_is_told() {
    let (pool, _threads) = running(config());
    let (flow, events) = open(&pool);
    let identity = Arc::new(Identity::fresh().unwrap());
    let browser = Browser::with(&pool, Role::Server, &identity, [1; 32]);
    flow.connect(Side::A, browser.remote()).unwrap();
    settle(&pool, &flow);
    let mut browser = browser;
    let socket = browser.phone.rtp.try_clone().unwrap();
    let to = flow.local(Side::A);
    browser.check(&socket, to, true);
    until(|| flow.checkpoint().seen.a.is_some());
    let theirs = Arc::clone(&browser.theirs);
    let mut send = |packet: &[u8]| {
        socket.send_to(packet, to).unwrap();
    };
    theirs.begin(Instant::now(), &mut send);
    let mut buffer = [0; 2048];
    let told = loop {
        if let Ok(event) = events.try_recv() {
            break event.1;
        }
        match socket.recv(&mut buffer) {
            Ok(length) if buffer[0] >= 20 => drop(theirs.receive(Instant::now(), &buffer[..length], &mut send)),
            Ok(_) => {}
            Err(_) => drop(theirs.time_out(Instant::now(), &mut send)),
        }
    };
    assert_eq!(told, MediaEvent::NotSecured(Side::A, Insecure::Stranger));
    assert!(browser.ours.keys().is_none());
}

#[test]
fn a_browser_that_nominates_another_address_is_followed_there() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, _events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    browser.is_heard_by(flow.local(Side::A), &callee);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let place = elsewhere.local_addr().unwrap();
    // A check alone changes nothing.
    browser.check(&elsewhere, flow.local(Side::A), false);
    assert!(until_some(|| elsewhere.recv(&mut [0; 256]).ok()) > 0);
    assert_ne!(flow.checkpoint().seen.a, Some(place));
    browser.check(&elsewhere, flow.local(Side::A), true);
    until(|| flow.checkpoint().seen.a == Some(place));
    let old = std::mem::replace(&mut browser.phone.rtp, elsewhere);
    browser.is_heard_by(flow.local(Side::A), &callee);
    browser.hears(&mut callee, flow.local(Side::B));
    drop(old);
}

fn until_some<T>(mut wanted: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
    }
}

#[test]
fn new_credentials_are_a_restart_that_keeps_the_keys_and_the_old_place_until_a_new_one_is_named() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, _events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    browser.is_heard_by(flow.local(Side::A), &callee);
    let old = browser.ice.clone();
    let mut chance = rand::rng();
    browser.ice = Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) };
    flow.connect(Side::A, browser.remote()).unwrap();
    flow.wake();
    settle(&pool, &flow);
    browser.hears(&mut callee, flow.local(Side::B));
    // Checks with what is no longer in force count for nothing.
    let before = strangers(&pool, &flow, Side::A);
    let new = std::mem::replace(&mut browser.ice, old);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    browser.check(&elsewhere, flow.local(Side::A), true);
    until(|| strangers(&pool, &flow, Side::A) == before + 1);
    browser.ice = new;
    browser.check(&elsewhere, flow.local(Side::A), true);
    until(|| flow.checkpoint().seen.a == elsewhere.local_addr().ok());
    elsewhere.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    browser.phone.rtp = elsewhere;
    browser.hears(&mut callee, flow.local(Side::B));
    browser.is_heard_by(flow.local(Side::A), &callee);
}

#[test]
fn a_browsers_call_goes_on_when_its_worker_dies_before_within_and_after_the_handshake() {
    let (pool, mut threads) = running(config());
    let (flow, mut browser, mut callee, events) = half_web(&pool, Role::Server);
    let mut die = || {
        pool.ask_panic(0);
        assert_eq!(threads.remove(0).join(), WorkerEnd::Panicked("asked to panic".into()));
        threads.push(pool.start_worker(0).unwrap());
    };
    die();
    // The first flight goes out, then the worker dies; the association does not.
    let socket = browser.phone.rtp.try_clone().unwrap();
    let to = flow.local(Side::A);
    browser.check(&socket, to, true);
    until(|| flow.checkpoint().seen.a.is_some());
    browser.theirs.begin(Instant::now(), &mut |packet| drop(socket.send_to(packet, to)));
    die();
    browser.connect(to);
    assert_eq!(next(&events), MediaEvent::Secured(Side::A));
    for _ in 0..3 {
        browser.is_heard_by(to, &callee);
        browser.hears(&mut callee, flow.local(Side::B));
        // Where it is and what it is keyed with stand in the book: it need not check nor shake hands again.
        die();
    }
    browser.is_heard_by(to, &callee);
    browser.hears(&mut callee, flow.local(Side::B));
    assert_eq!(flow.stats().a.forged, 0);
}

#[test]
fn a_handshake_comes_to_keys_although_its_thread_is_killed_or_panics_behind_every_datagram() {
    let (pool, _threads) = running(config());
    let mut thread = Some(pool.start_handshakes().unwrap());
    let before = pool.handshakes().restarts;
    let mut deaths = 0;
    let mut die = || {
        let (told, end) = match deaths % 2 {
            0 => (Pool::stop_handshakes as fn(&Pool), WorkerEnd::Stopped),
            _ => (Pool::ask_handshakes_panic as fn(&Pool), WorkerEnd::Panicked("asked to panic".into())),
        };
        told(&pool);
        assert_eq!(thread.take().unwrap().join(), end);
        assert!(!pool.handshakes().running);
        thread = Some(pool.start_handshakes().unwrap());
        deaths += 1;
        assert_eq!((pool.handshakes().running, pool.handshakes().restarts), (true, before + deaths));
    };
    for role in [Role::Server, Role::Client] {
        let (flow, mut browser, mut callee, events) = half_web(&pool, role);
        die();
        browser.connect_while(flow.local(Side::A), &mut die);
        assert_eq!(next(&events), MediaEvent::Secured(Side::A));
        browser.is_heard_by(flow.local(Side::A), &callee);
        browser.hears(&mut callee, flow.local(Side::B));
        flow.close();
    }
    assert!(deaths >= 4, "{deaths}");
    until(|| pool.handshakes().open == 0);
}

#[test]
fn a_handshakes_timers_and_what_waits_for_it_outlive_its_thread() {
    let (pool, _threads) = running(config());
    let thread = pool.start_handshakes().unwrap();
    let (flow, mut browser, _callee, events) = half_web(&pool, Role::Client);
    let socket = browser.phone.rtp.try_clone().unwrap();
    let to = flow.local(Side::A);
    let hello = || {
        let mut buffer = [0; 2048];
        until_some(|| socket.recv(&mut buffer).ok().filter(|_| buffer[0] == 22))
    };
    browser.check(&socket, to, true);
    assert!(hello() > 0);
    // Nobody answers; only a timer can have it said again.
    pool.stop_handshakes();
    assert_eq!(thread.join(), WorkerEnd::Stopped);
    while socket.recv(&mut [0; 2048]).is_ok() {}
    assert_eq!(pool.handshakes().open, 1);
    let thread = pool.start_handshakes().unwrap();
    assert!(hello() > 0);
    // What comes while there is no thread waits for the next.
    pool.stop_handshakes();
    assert_eq!(thread.join(), WorkerEnd::Stopped);
    let (other, mut late, _callee, others_events) = half_web(&pool, Role::Server);
    let (late_socket, to_other) = (late.phone.rtp.try_clone().unwrap(), other.local(Side::A));
    late.check(&late_socket, to_other, true);
    until(|| other.checkpoint().seen.a.is_some());
    late.theirs.begin(Instant::now(), &mut |packet| drop(late_socket.send_to(packet, to_other)));
    until(|| pool.handshakes().waiting > 0);
    assert_eq!(late_socket.recv(&mut [0; 2048]).map(|length| length > 0).ok(), Some(true)); // the answer to its check
    let _thread = pool.start_handshakes().unwrap();
    late.connect(to_other);
    assert_eq!(next(&others_events), MediaEvent::Secured(Side::A));
    browser.connect(to);
    assert_eq!(next(&events), MediaEvent::Secured(Side::A));
}

#[test]
fn an_association_goes_to_another_flow_with_its_keys_and_counts() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, _events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    browser.is_heard_by(flow.local(Side::A), &callee);
    flow.close();
    let (other, _events) = open(&pool);
    let mut chance = rand::rng();
    browser.ice = Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) };
    other.connect(Side::B, browser.remote()).unwrap();
    other.connect(Side::A, callee.remote(&[PCMU])).unwrap();
    settle(&pool, &other);
    let socket = browser.phone.rtp.try_clone().unwrap();
    browser.check(&socket, other.local(Side::B), true);
    until(|| other.checkpoint().seen.b.is_some());
    browser.is_heard_by(other.local(Side::B), &callee);
    browser.hears(&mut callee, other.local(Side::A));
}

#[test]
fn a_side_that_no_longer_consents_is_sent_nothing_until_it_does_again() {
    let (pool, _threads) = running(PoolConfig { consent: Duration::from_millis(300), ..config() });
    let (flow, mut browser, mut callee, events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    assert_eq!(next(&events), MediaEvent::Secured(Side::A));
    assert_eq!(next(&events), MediaEvent::ConsentLost(Side::A));
    while browser.phone.rtp.recv(&mut [0; 2048]).is_ok() {}
    let sent = flow.stats().a.packets_sent;
    for n in 1..=20 {
        callee.send(flow.local(Side::B), 0, &[2; 160]);
        until(|| flow.stats().b.packets_received == n);
    }
    assert_eq!(flow.stats().a.packets_sent, sent);
    let socket = browser.phone.rtp.try_clone().unwrap();
    browser.check(&socket, flow.local(Side::A), false);
    assert!(until_some(|| socket.recv(&mut [0; 256]).ok()) > 0);
    browser.hears(&mut callee, flow.local(Side::B));
}

#[test]
fn a_million_bogus_datagrams_of_every_kind_change_nothing_and_get_not_one_byte() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, _events) = half_web(&pool, Role::Server);
    let to = flow.local(Side::A);
    browser.connect(to);
    browser.is_heard_by(to, &callee);
    let seen = flow.checkpoint().seen;
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut sent, mut heard) = (0u32, 0);
    let name = format!("{}:{}", browser.ice.local.ufrag, browser.ice.remote.ufrag);
    let wrong = Password::new("not the password at all").unwrap();
    while sent < 1_000_000 || flow.stats().a.strangers < 100_000 {
        for _ in 0..5_000 {
            let mut junk = [0u8; 200];
            // A check with the right names and another key, a handshake's record, SRTP; none from where the browser is.
            let length = match sent % 3 {
                0 => {
                    let check = Writer::new(&mut junk, Class::Request, &[sent as u8; 12]).username(name.as_bytes());
                    check.role(true, 1).use_candidate().integrity(&wrong).finish().unwrap()
                }
                1 => {
                    junk[..13].copy_from_slice(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, sent as u8, 1, 0, 100]);
                    113
                }
                _ => {
                    junk[..12].copy_from_slice(&[0x80, 0, (sent >> 8) as u8, sent as u8, 0, 0, 0, 1, 0, 0, 0, 0xb0]);
                    188
                }
            };
            let _full = forger.send_to(&junk[..length], to);
            sent += 1;
        }
        browser.is_heard_by(to, &callee);
        heard += 1;
        assert!(sent < 50_000_000, "too few were judged: {:?}", flow.stats().a);
    }
    println!("{heard} packets heard among {sent} bogus ones, {} judged", flow.stats().a.strangers);
    assert_eq!(flow.checkpoint().seen, seen);
    assert_eq!((flow.stats().a.forged, pool.health(0).dropped.forged), (0, 0));
    forger.set_nonblocking(true).unwrap();
    assert!(forger.recv(&mut [0; 16]).is_err());
    browser.hears(&mut callee, flow.local(Side::B));
}

/// The next media packet that a browser gets, opened.
fn opened(browser: &mut Browser) -> Option<(media::rtp::Header, usize)> {
    let mut buffer = [0; 2048];
    let length = browser.phone.rtp.recv(&mut buffer).ok().filter(|_| buffer[0] >= 128)?;
    if media::rtp::is_rtcp(&buffer[..length]) {
        return None;
    }
    let length = browser.keys.as_mut().unwrap().1.rtp(&mut buffer[..length]).unwrap();
    Some((media::rtp::Header::parse(&buffer[..length]).unwrap(), length))
}

#[test]
fn what_a_browser_hears_is_one_stream_whoever_speaks_and_whichever_worker_sends_it() {
    let (pool, mut threads) = running(config());
    let (flow, mut browser, mut callee, events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    assert_eq!(next(&events), MediaEvent::Secured(Side::A));
    browser.hears(&mut callee, flow.local(Side::B));
    let mut last: Option<media::rtp::Header> = None;
    let mut heard = |browser: &mut Browser, packets: usize, mut send: Box<dyn FnMut() + '_>| {
        let deadline = Instant::now() + PATIENCE;
        let mut got = 0;
        while got < packets {
            assert!(Instant::now() < deadline, "{got} of {packets}");
            send();
            let Some((header, _)) = opened(browser) else { continue };
            if let Some(last) = last {
                assert_eq!(header.ssrc, last.ssrc);
                assert_eq!(header.sequence, last.sequence.wrapping_add(1));
                let forward = header.timestamp.wrapping_sub(last.timestamp);
                assert!((1..=8000 * 20).contains(&forward), "{forward}");
            }
            last = Some(header);
            got += 1;
        }
    };
    let to = flow.local(Side::B);
    heard(&mut browser, 5, Box::new(|| drop(callee.send(to, 0, &[1; 160]))));
    for round in 0..3 {
        flow.hear(Side::A, Source::MusicOnHold).unwrap();
        flow.wake();
        heard(&mut browser, 5, Box::new(|| {}));
        flow.hear(Side::A, Source::Peer).unwrap();
        flow.wake();
        settle(&pool, &flow);
        // Music that is on its way is of the same stream.
        heard(&mut browser, 5, Box::new(|| drop(callee.send(to, 0, &[2; 160]))));
        // Another phone of the same party, with numbers of its own.
        (callee.ssrc, callee.sequence, callee.timestamp) = (0xd0 + round, 60_000, 7);
        heard(&mut browser, 5, Box::new(|| drop(callee.send(to, 0, &[3; 160]))));
        pool.ask_panic(0);
        assert_eq!(threads.remove(0).join(), WorkerEnd::Panicked("asked to panic".into()));
        threads.push(pool.start_worker(0).unwrap());
        heard(&mut browser, 5, Box::new(|| drop(callee.send(to, 0, &[4; 160]))));
    }
}

#[test]
fn reports_about_a_browsers_stream_name_it_as_each_end_knows_it() {
    let (pool, _threads) = running(config());
    let (flow, mut browser, mut callee, _events) = half_web(&pool, Role::Server);
    browser.connect(flow.local(Side::A));
    let sent = callee.sequence;
    browser.hears(&mut callee, flow.local(Side::B));
    callee.send(flow.local(Side::B), 0, &[1; 160]);
    let (header, _) = until_some(|| opened(&mut browser));
    assert_ne!(header.ssrc, callee.ssrc);
    // NACK and PLI of the browser ask the phone for what it has sent.
    let ahead = header.sequence.wrapping_sub(callee.sequence.wrapping_sub(1));
    assert!(callee.sequence.wrapping_sub(sent) < 1000);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let nack = |sender: u32, of: u32, pid: u16| {
        words(&[0x80c9_0001, sender, 0x81cd_0003, sender, of, u32::from(pid) << 16, 0x81ce_0002, sender, of])
    };
    let plain = nack(0xb0, header.ssrc, header.sequence);
    let mut secret = plain.clone();
    secret.resize(plain.len() + OVERHEAD_BYTES_MAX, 0);
    let length = browser.keys.as_mut().unwrap().0.rtcp(&mut secret, plain.len()).unwrap();
    browser.phone.rtp.send_to(&secret[..length], flow.local(Side::A)).unwrap();
    assert_eq!(callee.receive_rtcp(), nack(0xb0, callee.ssrc, header.sequence.wrapping_sub(ahead)));
    // And the phone's report is about what the browser hears.
    let report = |ssrc: u32, timestamp: u32| words(&[0x80c8_0006, ssrc, 1, 2, timestamp, 3, 4]);
    callee.rtcp.send_to(&report(callee.ssrc, 0), flow.local_rtcp(Side::B)).unwrap();
    let mut buffer = [0; 2048];
    let length = until_some(|| {
        let length = browser.phone.rtp.recv(&mut buffer).ok()?;
        media::rtp::is_rtcp(&buffer[..length]).then_some(length)
    });
    let length = browser.keys.as_mut().unwrap().1.rtcp(&mut buffer[..length]).unwrap();
    let timestamp = u32::from_be_bytes(buffer[16..20].try_into().unwrap());
    assert_eq!(buffer[..length], report(header.ssrc, timestamp)[..]);
    assert_eq!(timestamp, header.timestamp.wrapping_sub(callee.timestamp.wrapping_sub(160)));
}
