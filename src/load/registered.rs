//! Registrations: those without which nobody is called, and those whose rate is measured.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::Instant;

use sip::auth::{Attempt, ChallengedBy};
use sip::message::{RequestHead, Writer};
use sip::{Message, Method, Name, Status};

use super::placed::{MAX_FORWARDS, authorize, challenges};
use super::worker::{Owner, Worker, closed};

/// Registrations of a worker that are under way at once, when all its users are registered.
const AT_ONCE: usize = 64;
/// For how long measured registrations are, s.
const EXPIRES_S: u32 = 3_600;

/// A registration under way.
pub struct Registration {
    /// When it was planned; `None` when it only prepares a load.
    planned: Option<Instant>,
    member: usize,
    expires_s: u32,
    call_id: String,
    tag: String,
    cseq: u32,
    attempt: Attempt,
}

/// All users of a worker are registered, or withdrawn.
pub struct All {
    expires_s: u32,
    next: usize,
    open: usize,
    failure: Option<String>,
    told: Sender<Result<(), String>>,
}

impl Worker {
    /// Registers all users; 0 s withdraws them.
    pub(super) fn register_all(&mut self, expires_s: u32, told: Sender<Result<(), String>>) {
        self.all = Some(All { expires_s, next: 0, open: 0, failure: None, told });
        self.go_on_with_all();
    }

    fn go_on_with_all(&mut self) {
        while let Some(all) = &mut self.all {
            if all.next < self.users.len() && all.open < AT_ONCE {
                let (member, expires_s) = (all.next, all.expires_s);
                all.next += 1;
                all.open += 1;
                self.register(member, expires_s, None);
                continue;
            }
            if all.open == 0
                && let Some(all) = self.all.take()
            {
                let _ = all.told.send(all.failure.map_or(Ok(()), Err));
            }
            return;
        }
    }

    /// Registers the next user, as was planned for this moment.
    pub(super) fn register_next(&mut self, planned: Instant) {
        self.figures.lag.add(planned.elapsed());
        self.figures.registrations += 1;
        self.progress.begun.fetch_add(1, Relaxed);
        self.progress.open.fetch_add(1, Relaxed);
        let count = u64::try_from(self.users.len()).unwrap_or(1).max(1);
        let member = usize::try_from(self.figures.registrations % count).unwrap_or(0);
        self.register(member, EXPIRES_S, Some(planned));
    }

    fn register(&mut self, member: usize, expires_s: u32, planned: Option<Instant>) {
        let number = self.fresh();
        let registration = Registration {
            planned,
            member,
            expires_s,
            // One of its own: two that overlap are not put in order by their CSeq (RFC 3261 section 10.3).
            call_id: format!("r{number:x}.{}.{:08x}", self.number, rand::random::<u32>()),
            tag: format!("{number:x}{:x}", rand::random::<u32>()),
            cseq: 0,
            attempt: Attempt::default(),
        };
        self.registrations.insert(number, registration);
        self.send_register(number, None);
    }

    fn send_register(&mut self, number: u64, credentials: Option<(ChallengedBy, String)>) {
        let branch = self.branch();
        let Some(registration) = self.registrations.get_mut(&number) else { return };
        let Some(user) = self.users.get_mut(registration.member) else { return };
        registration.cseq += 1;
        let uri = format!("sip:{}", self.manner.domain);
        let address = format!("<sip:{}@{}>", user.name, self.manner.domain);
        let credentials = credentials.or_else(|| {
            let answerer = user.answerer.as_mut()?;
            answerer.anticipate(&mut registration.attempt, "REGISTER", &uri)
        });
        let mut writer = Writer::request(RequestHead {
            method: &Method::Register,
            uri: uri.as_bytes(),
            via: &self.wires.via(&branch),
            from: format!("{address};tag={}", registration.tag).as_bytes(),
            to: address.as_bytes(),
            call_id: registration.call_id.as_bytes(),
            cseq: registration.cseq,
            max_forwards: MAX_FORWARDS,
        });
        writer.header(Name::Contact, self.wires.contact(&user.name));
        writer.header(Name::Expires, registration.expires_s.to_string());
        authorize(&mut writer, credentials);
        let (bytes, now, hop) = (writer.finish(), self.now(), self.wires.hop());
        let owner = Owner::Registration(number);
        let sent = self.layer.request(now, bytes, &Method::Register, &branch, hop, owner, &mut self.out);
        if let Err(error) = sent {
            self.registration_failed(number, &error.to_string());
        }
    }

    /// A response to a REGISTER.
    pub(super) fn registration_answered(&mut self, number: u64, message: &Message) {
        let Some(status) = message.status().filter(|status| status.is_final()) else { return };
        let Some(registration) = self.registrations.get_mut(&number) else { return };
        if status.is_success() {
            let planned = registration.planned;
            if planned.is_some_and(|planned| planned.elapsed() > self.manner.threshold) {
                return self.registration_failed(number, "answered past the threshold time");
            }
            self.registrations.remove(&number);
            if let Some(planned) = planned {
                self.figures.registration_delay.add(planned.elapsed());
                self.figures.registered += 1;
                self.progress.established.fetch_add(1, Relaxed);
                closed(&self.progress);
            } else {
                self.one_of_all(None);
            }
            return;
        }
        let by = match status {
            Status::UNAUTHORIZED => ChallengedBy::Server,
            Status::PROXY_AUTHENTICATION_REQUIRED => ChallengedBy::Proxy,
            _ => return self.registration_failed(number, &format!("{} {}", status.code(), message.reason())),
        };
        let challenges = challenges(message, by);
        let asked: Vec<&[u8]> = challenges.iter().map(Vec::as_slice).collect();
        let uri = format!("sip:{}", self.manner.domain);
        let answerer = self.users.get_mut(registration.member).and_then(|user| user.answerer.as_mut());
        let answer =
            answerer.map(|answerer| answerer.answer(&mut registration.attempt, "switch", by, &asked, "REGISTER", &uri));
        match answer {
            Some(Ok(value)) => self.send_register(number, Some((by, value))),
            Some(Err(error)) => self.registration_failed(number, &error.to_string()),
            None => self.registration_failed(number, "it is asked for a password, and has none"),
        }
    }

    /// A registration came to nothing.
    pub(super) fn registration_failed(&mut self, number: u64, why: &str) {
        let Some(registration) = self.registrations.remove(&number) else { return };
        if registration.planned.is_some() {
            self.figures.failed(format!("REGISTER: {why}"));
            self.progress.failed.fetch_add(1, Relaxed);
            closed(&self.progress);
        } else {
            let user = self.users.get(registration.member).map_or("", |user| &user.name);
            self.one_of_all(Some(format!("{user} could not register: {why}")));
        }
    }

    fn one_of_all(&mut self, failure: Option<String>) {
        if let Some(all) = &mut self.all {
            all.open = all.open.saturating_sub(1);
            all.failure = all.failure.take().or(failure);
        }
        self.go_on_with_all();
    }
}
