//! One end of a leg, played: says what it said, when it said it, and waits for what the switch said.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sip::auth::{Answerer, Attempt, ChallengedBy};
use sip::dialog::Dialog;
use sip::sdp::Session;
use sip::{Message, Method, Name, Status};

use super::calls::{Leg, Side};
use super::expected::{Came, Expected, differences, notes, title};
use super::names::Names;
use super::sound::{Heard, Line};
use crate::load::local_ip;
use crate::trial::plan::User;
use crate::trial::register::{REGISTERED_S, answer, answerer, register};

/// How much later than then a message of the switch may come.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that a look at the sockets takes.
const LOOK: Duration = Duration::from_millis(2);
/// RFC 3261 section 17.1.1.1: T1, and the most of its doublings.
pub(super) const T1: Duration = Duration::from_millis(500);
pub(super) const T2: Duration = Duration::from_secs(4);
/// How long an end stays when all has been said: what was lost is sent again meanwhile.
const LINGER: Duration = Duration::from_millis(300);
const DATAGRAM_BYTES: usize = 65_535;

/// An end that is to be played.
pub struct Party {
    pub(super) side: Side,
    pub(super) socket: UdpSocket,
    pub(super) local: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) names: Names,
    pub(super) expected: Expected,
    pub(super) lines: Vec<Line>,
    pub(super) call_id: String,
    pub(super) user: Option<User>,
    pub(super) answerer: Option<Answerer>,
    pub(super) attempt: Attempt,
    /// The answer to the last challenge, for the request that it was for.
    pub(super) challenge: Option<Message>,
    /// By how much our CSeq is ahead of then.
    pub(super) cseq_ahead: u32,
    /// The moment that a moment of then is now.
    pub(super) anchor: (Duration, Instant),
    /// What is sent again until it is answered.
    pub(super) again: Vec<Again>,
    /// What came already.
    pub(super) seen: HashSet<Vec<u8>>,
    /// Requests of the switch, and what we have said to them.
    pub(super) asked: HashMap<(Method, u32), Message>,
    pub(super) answers: HashMap<Vec<u8>, Vec<u8>>,
    /// The last request that we sent of each method, of then and as it went out.
    pub(super) last_sent: HashMap<Method, (Message, Vec<u8>)>,
    pub(super) dialog: Option<Dialog>,
    pub(super) invited: Option<Instant>,
    pub(super) ended: bool,
    pub(super) done: Done,
}

/// What came of an end.
#[derive(Debug, Default)]
pub struct Done {
    /// Its Call-ID now.
    pub call_id: String,
    /// ms from INVITE to its 200, of a caller.
    pub answered_ms: Option<f64>,
    /// Messages that came as they had.
    pub matched: u64,
    /// What did not.
    pub differences: Vec<String>,
    /// What changed beside.
    pub notes: Vec<String>,
    /// Its sound.
    pub sound: Vec<Heard>,
    /// Messages that it sent again.
    pub resent: u64,
}

pub(super) struct Again {
    pub(super) bytes: Vec<u8>,
    pub(super) every: Duration,
    pub(super) at: Instant,
    /// What ends it: the method and CSeq of the request that is answered, or acknowledged.
    pub(super) until: (Method, u32),
}

impl Party {
    /// An end of a call that began at `began`, before a switch that is at `target`. A callee without a `user`
    /// listens where it did.
    ///
    /// # Errors
    /// No port is free, or not that one.
    pub fn new(leg: Leg, began: Duration, target: SocketAddr, user: Option<User>) -> anyhow::Result<Self> {
        let ip = local_ip(target).with_context(|| format!("no way to {target}"))?;
        let socket = match (leg.side, &user) {
            (Side::Callee, None) => UdpSocket::bind(leg.end).with_context(|| {
                format!(
                    "{} cannot listen at {} as then: give its password with --user",
                    leg.users.join(" or "),
                    leg.end
                )
            })?,
            _ => UdpSocket::bind((ip, 0))?,
        };
        socket.set_read_timeout(Some(LOOK))?;
        let local = socket.local_addr()?;
        let mut names = Names::new(leg.end, local, leg.switch, target);
        let mut call_id = leg.call_id.clone();
        if leg.side == Side::Caller {
            call_id = format!("replay{:016x}", rand::random::<u64>());
            names.call(&leg.call_id, &call_id);
        }
        let mut lines = Vec::new();
        for stream in leg.streams {
            let line = Line::open(stream, local.ip())?;
            let (then, now) = line.places()?;
            names.sounds_at(then, now);
            lines.push(line);
        }
        let answerer = user.as_ref().map(answerer);
        Ok(Self {
            side: leg.side,
            socket,
            local,
            target,
            names,
            expected: Expected::new(leg.events),
            lines,
            call_id,
            user,
            answerer,
            attempt: Attempt::default(),
            challenge: None,
            cseq_ahead: 0,
            anchor: (began, Instant::now()),
            again: Vec::new(),
            seen: HashSet::new(),
            asked: HashMap::new(),
            answers: HashMap::new(),
            last_sent: HashMap::new(),
            dialog: None,
            invited: None,
            ended: false,
            done: Done::default(),
        })
    }

    /// Says where a callee is, where that is to be known.
    ///
    /// # Errors
    /// The switch does not take it.
    pub fn register(&self, domain: &str) -> anyhow::Result<()> {
        match (self.side, &self.user) {
            (Side::Callee, Some(user)) => register(self.target, domain, user, self.local, REGISTERED_S),
            _ => Ok(()),
        }
    }

    /// The credentials that answer a challenge, if they are known.
    pub(super) fn answer(&mut self, challenge: &Message, method: &Method, uri: &str) -> Option<(ChallengedBy, String)> {
        answer(self.answerer.as_mut()?, &mut self.attempt, challenge, method.as_str(), uri)
    }

    /// Plays it to its end. All ends of a call begin at one moment.
    ///
    /// # Errors
    /// The socket is gone; a switch that is otherwise than then is no error.
    pub fn play(mut self, domain: &str, began: Instant) -> anyhow::Result<Done> {
        self.anchor.1 = began;
        let mut waits = Instant::now();
        while !self.expected.is_empty() && !self.ended {
            let moment = self.then();
            for line in &mut self.lines {
                line.go_on(moment);
            }
            self.send_again();
            if let Some(came) = self.came() {
                self.hear(&came)?;
                waits = Instant::now();
                continue;
            }
            let due = self.expected.next_own().map(|event| event.at);
            if due.is_some_and(|at| at <= moment) {
                self.say()?;
                waits = Instant::now();
                continue;
            }
            // The clock of then stands until what came then has come.
            if let Some(awaited) = self.expected.awaited() {
                let late = awaited.at.saturating_sub(self.anchor.0) + PATIENCE;
                if waits.max(self.anchor.1).elapsed() > late {
                    self.missed();
                }
            }
        }
        if self.ended {
            self.wind_up()?;
        }
        let began = Instant::now();
        while began.elapsed() < LINGER {
            self.send_again();
            if let Some(came) = self.came() {
                self.hear(&came)?;
            }
            let moment = self.then();
            for line in &mut self.lines {
                line.go_on(moment);
            }
        }
        let end = self.end();
        let heard: Vec<Heard> = self.lines.iter().map(|line| line.heard(end)).collect();
        if !self.ended {
            self.done.differences.extend(heard.iter().filter_map(Heard::difference));
        }
        self.done.sound = heard;
        if let (Side::Callee, Some(user)) = (self.side, self.user.clone()) {
            register(self.target, domain, &user, self.local, 0)?;
        }
        self.done.call_id = self.call_id;
        Ok(self.done)
    }

    pub(super) const fn end(&self) -> &'static str {
        match self.side {
            Side::Caller => "caller",
            Side::Callee => "callee",
        }
    }

    /// The moment of then that is now. While the switch is waited for it does not pass the moment at which its message came.
    fn then(&self) -> Duration {
        let moment = self.anchor.0 + self.anchor.1.elapsed();
        self.expected.awaited().map_or(moment, |awaited| moment.min(awaited.at))
    }

    pub(super) fn differs(&mut self, told: impl Into<String>) {
        let told = format!("{}: {}", self.end(), told.into());
        self.done.differences.push(told);
    }

    /// What the switch has said, if anything.
    pub(super) fn came(&self) -> Option<Message> {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        let length = self.socket.recv(&mut datagram).ok()?;
        datagram.truncate(length);
        Message::parse(datagram).ok()
    }

    pub(super) fn send(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket.send_to(bytes, self.target).map(|_| ()).context("the way to the switch")
    }

    fn send_again(&mut self) {
        let now = Instant::now();
        for again in self.again.iter_mut().filter(|again| again.at <= now) {
            // What the kernel does not take is sent the next time.
            let _ = self.socket.send_to(&again.bytes, self.target);
            again.every = (again.every * 2).min(T2);
            again.at = now + again.every;
            self.done.resent += 1;
        }
    }

    /// Says what is next.
    fn say(&mut self) -> anyhow::Result<()> {
        let Some(event) = self.expected.take_own() else { return Ok(()) };
        self.anchor = (event.at, Instant::now());
        let then = event.message;
        if then.is_request() {
            return self.request(then);
        }
        let of = (then.method().clone(), then.cseq());
        let Some(asked) = self
            .asked
            .get(&of)
            .or_else(|| self.asked.iter().find(|(key, _)| key.0 == of.0).map(|(_, asked)| asked))
            .cloned()
        else {
            self.differs(format!("nothing came that {} would answer", title(&then)));
            return Ok(());
        };
        let bytes = self.names.response(&then, &asked);
        if then.status().is_some_and(Status::is_success) && *then.method() == Method::Invite {
            if let Ok(dialog) = Dialog::of_server(&asked, &String::from_utf8_lossy(then.to_tag().unwrap_or_default())) {
                self.dialog = Some(dialog);
            }
            // RFC 3261 section 13.3.1.4: it is repeated until its ACK.
            let until = (Method::Ack, asked.cseq());
            self.again.push(Again { bytes: bytes.clone(), every: T1, at: Instant::now() + T1, until });
        }
        self.answers.insert(transaction(&asked), bytes.clone());
        self.send(&bytes)
    }

    fn request(&mut self, then: Message) -> anyhow::Result<()> {
        let method = then.method().clone();
        // What was challenged then is asked again by the same request with credentials.
        let credentials = match self.challenge.take() {
            Some(challenge) if *challenge.method() == method => {
                let uri = self.names.uri(&then);
                self.answer(&challenge, &method, &uri)
            }
            other => {
                self.challenge = other;
                None
            }
        };
        let cseq = then.cseq() + self.cseq_ahead;
        let bytes = self.names.request(&then, cseq, credentials.as_ref());
        if method == Method::Invite {
            self.invited.get_or_insert_with(Instant::now);
        }
        if method != Method::Ack {
            self.again.push(Again {
                bytes: bytes.clone(),
                every: T1,
                at: Instant::now() + T1,
                until: (method.clone(), cseq),
            });
        } else {
            self.answers.insert(ack_of(cseq), bytes.clone());
        }
        self.send(&bytes)?;
        self.last_sent.insert(method, (then, bytes));
        Ok(())
    }

    /// Takes what the switch says.
    fn hear(&mut self, now: &Message) -> anyhow::Result<()> {
        let of = (now.method().clone(), now.cseq());
        self.again.retain(|again| again.until != of || (now.is_request() && of.0 != Method::Ack));
        if now.status() == Some(Status::TRYING) {
            return Ok(());
        }
        if !self.seen.insert(transaction(now)) {
            return self.heard_again(now);
        }
        if let Ok(session) = Session::parse(now.body()) {
            for (media, line) in session.media.iter().zip(&mut self.lines) {
                if let Some(target) = session.rtp_target(media).filter(|_| media.port != 0) {
                    line.speak_to(target);
                }
            }
        }
        if now.is_request() && *now.method() != Method::Ack {
            self.asked.insert(of, now.clone());
        }
        match self.expected.take(now) {
            Came::Expected(event, told) => {
                for told in told {
                    self.differs(told);
                }
                self.anchor = (event.at, Instant::now());
                self.done.matched += 1;
                for told in differences(&event.message, now) {
                    self.differs(told);
                }
                for note in notes(&event.message, now) {
                    let note = format!("{}: {note}", self.end());
                    self.done.notes.push(note);
                }
                self.names.learn(&event.message, now);
                if self.side == Side::Callee {
                    self.call_id = String::from_utf8_lossy(now.call_id()).into_owned();
                }
                self.stands(now);
                self.challenge = super::calls::is_challenge(now).then(|| now.clone()).or(self.challenge.take());
                Ok(())
            }
            Came::Challenge => self.challenged(now),
            Came::Otherwise(told) => {
                self.differs(told);
                self.stands(now);
                self.acknowledge(now)?;
                if self.dialog.is_none() {
                    // What has ended is not cancelled.
                    self.last_sent.remove(&Method::Invite);
                }
                self.ended = true;
                Ok(())
            }
            Came::New => self.news(now),
        }
    }

    /// Takes down an answered call.
    fn stands(&mut self, now: &Message) {
        if *now.method() != Method::Invite || !now.status().is_some_and(Status::is_success) || self.dialog.is_some() {
            return;
        }
        self.done.answered_ms = self.invited.map(|at| at.elapsed().as_secs_f64() * 1_000.0);
        let sent = self.last_sent.get(&Method::Invite).and_then(|(_, bytes)| Message::parse(bytes.clone()).ok());
        self.dialog = sent.and_then(|invite| Dialog::of_client(&invite, now).ok());
    }

    /// What was sent again has the same answer again.
    fn heard_again(&mut self, now: &Message) -> anyhow::Result<()> {
        let answer = match now.is_request() {
            true => self.answers.get(&transaction(now)),
            false if now.status().is_some_and(|status| !status.is_provisional()) => {
                self.answers.get(&ack_of(now.cseq()))
            }
            false => None,
        };
        match answer {
            Some(bytes) => self.send(bytes),
            None => Ok(()),
        }
    }
}

/// What tells a message from one that is sent again (RFC 3261 section 17.2.3; RFC 3262 section 4 for provisional answers).
pub(super) fn transaction(message: &Message) -> Vec<u8> {
    let code = message.status().map_or(0, Status::code);
    let rseq = message.value(Name::RSeq).unwrap_or_default();
    let tag = message.to_tag().unwrap_or_default();
    let ends: &[u8] = if message.is_request() { b"" } else { tag };
    let text = format!("{} {} {code} ", message.method(), message.cseq());
    [text.as_bytes(), message.branch(), b" ", rseq, b" ", ends].concat()
}

/// Where the ACK of an answer is kept.
pub(super) fn ack_of(cseq: u32) -> Vec<u8> {
    format!("ACK {cseq}").into_bytes()
}
