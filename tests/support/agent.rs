//! A user agent over a raw wire: digest, calls, requests inside dialogs, and polite answers to what comes in. It repeats
//! its requests over UDP as RFC 3261 section 17.1 wants, because a test may close the switch's sockets under it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};

use super::PATIENCE;
use super::config::DOMAIN;
use super::voices::Voices;
use super::wire::{Wire, header, media_address, status};

/// A request without an answer is repeated after this long (RFC 3261 section 17.1.2.1, T1).
const REPEAT: Duration = Duration::from_millis(500);
/// How often an agent that serves looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// See the module.
pub struct Agent {
    /// Where it speaks.
    pub wire: Wire,
    name: String,
    id: String,
    serial: u32,
    /// Requests that came, oldest first; each has been answered.
    arrived: VecDeque<String>,
    /// Media addresses for the calls to come.
    spare: VecDeque<SocketAddr>,
    /// Media address of each call, by Call-ID.
    media: HashMap<String, SocketAddr>,
    voices: Option<Voices>,
    /// What an INVITE outside of a dialog gets instead of being picked up.
    says: Option<&'static str>,
}

/// A dialog of an agent.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Its Call-ID.
    pub call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
    /// Where the agent hears.
    pub media: Option<SocketAddr>,
}

impl Agent {
    /// An agent of the user `name`, with the lab's password.
    pub fn new(wire: Wire, name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            wire,
            name: name.to_owned(),
            id,
            serial: 0,
            arrived: VecDeque::new(),
            spare: VecDeque::new(),
            media: HashMap::new(),
            voices: None,
            says: None,
        }
    }

    /// Lets it talk with these voices, one a call.
    pub fn with_voices(mut self, voices: &Voices, of: &[SocketAddr]) -> Self {
        self.spare.extend(of);
        self.voices = Some(voices.clone());
        self
    }

    /// Lets it ring instead of picking up.
    pub fn ringing(self) -> Self {
        self.saying("180 Ringing")
    }

    /// Lets it answer this to calls instead of picking up.
    pub fn saying(mut self, status: &'static str) -> Self {
        self.says = Some(status);
        self
    }

    /// The value of its Contact.
    pub fn contact(&self) -> String {
        let transport = self.wire.transport().to_lowercase();
        format!("<sip:{}@{{local}};transport={transport}>", self.name)
    }

    fn fresh(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}", self.id, self.serial)
    }

    /// A request outside of a dialog, as text for [`Agent::ask`]; `extra` are header lines, each with its line end.
    pub fn request(&mut self, method: &str, uri: &str, extra: &str, body: &str) -> String {
        let (id, name) = (self.fresh(), &self.name);
        let to = if method == "REGISTER" { format!("sip:{name}@{DOMAIN}") } else { uri.to_owned() };
        let body = body.replace('\n', "\r\n");
        format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/{{transport}} {{local}};branch=z9hG4bK-{id};rport\nMax-Forwards: 70\n\
             From: <sip:{name}@{DOMAIN}>;tag={id}\nTo: <{to}>\nCall-ID: {id}\nCSeq: 1 {method}\nContact: {}\n\
             {extra}Content-Length: {}\n\n{body}",
            self.contact(),
            body.len(),
        )
    }

    /// Sends a request and returns its final answer; what else comes meanwhile is answered. An INVITE's refusal is
    /// acknowledged.
    pub fn ask(&mut self, request: &str) -> String {
        let branch = branch(request).to_owned();
        let is_invite = request.starts_with("INVITE");
        self.wire.send(request);
        let deadline = Instant::now() + PATIENCE;
        let mut repeat = Instant::now() + REPEAT;
        let mut heard = false;
        while Instant::now() < deadline {
            let Some(message) = self.wire.receive_within(repeat.saturating_duration_since(Instant::now())) else {
                if self.wire.transport() == "UDP" && !heard {
                    self.wire.send(request);
                }
                repeat = Instant::now() + REPEAT;
                continue;
            };
            match status(&message) {
                Some(code) if header(&message, "Via").is_some_and(|via| via.contains(&branch)) => {
                    heard = heard || is_invite;
                    if code >= 200 {
                        if is_invite && code >= 300 {
                            self.wire.send(&ack_of_refusal(request, &message));
                        }
                        return message;
                    }
                }
                Some(_) => {}
                None => self.obey(message),
            }
        }
        panic!("{} got no answer to\n{request}", self.name)
    }

    /// Sends a request, and again with credentials when it is challenged.
    pub fn ask_as_user(&mut self, request: &str) -> String {
        let answer = self.ask(request);
        if status(&answer) != Some(401) {
            return answer;
        }
        let again = self.signed(request, &answer, &format!("{}-secret", self.name));
        self.ask(&again)
    }

    /// The request once more, with the answer to a challenge.
    pub fn signed(&mut self, request: &str, challenge: &str, password: &str) -> String {
        let credentials = credentials(request, challenge, &self.name, password);
        let (old, fresh) = (branch(request).to_owned(), format!("z9hG4bK-{}", self.fresh()));
        let sequence = header(request, "CSeq").and_then(|v| v.split(' ').next()?.parse::<u32>().ok()).expect("a CSeq");
        let request = request.replacen(&old, &fresh, 1);
        let request = request.replacen(&format!("CSeq: {sequence} "), &format!("CSeq: {} ", sequence + 1), 1);
        request.replacen("Max-Forwards", &format!("Authorization: {credentials}\nMax-Forwards"), 1)
    }

    /// Registers, or with 0 seconds removes the binding; the answer must be 200.
    pub fn register(&mut self, expires_s: u32) -> String {
        let request = self.request("REGISTER", &format!("sip:{DOMAIN}"), &format!("Expires: {expires_s}\n"), "");
        let answer = self.ask_as_user(&request);
        assert_eq!(status(&answer), Some(200), "{answer}");
        answer
    }

    /// Calls a number; the call must be answered.
    pub fn call(&mut self, number: &str) -> Dialog {
        let media = self.spare.pop_front();
        let request = self.request(
            "INVITE",
            &format!("sip:{number}@{DOMAIN}"),
            "Content-Type: application/sdp\n",
            &description(media, "sendrecv"),
        );
        let answer = self.ask_as_user(&request);
        assert_eq!(status(&answer), Some(200), "{answer}");
        let mut dialog = Dialog {
            call_id: header(&answer, "Call-ID").expect("a Call-ID").to_owned(),
            local: header(&answer, "From").expect("From").to_owned(),
            remote: header(&answer, "To").expect("To").to_owned(),
            target: target(&answer),
            cseq: sequence(&answer),
            media,
        };
        self.acknowledge(&mut dialog);
        if let (Some(voices), Some(own), Some(peer)) = (&self.voices, media, media_address(&answer)) {
            voices.connect(own, peer);
        }
        dialog
    }

    /// The dialog of an INVITE that came in and was answered.
    pub fn taken(&mut self, invite: &str) -> Dialog {
        let call_id = header(invite, "Call-ID").expect("a Call-ID").to_owned();
        Dialog {
            local: format!("{};tag={}", header(invite, "To").expect("To"), self.id),
            remote: header(invite, "From").expect("From").to_owned(),
            target: target(invite),
            cseq: 0,
            media: self.media.get(&call_id).copied(),
            call_id,
        }
    }

    /// The dialog that the answer to a SUBSCRIBE of ours has made.
    pub fn watched(&self, answer: &str) -> Dialog {
        Dialog {
            call_id: header(answer, "Call-ID").expect("a Call-ID").to_owned(),
            local: header(answer, "From").expect("From").to_owned(),
            remote: header(answer, "To").expect("To").to_owned(),
            target: target(answer),
            cseq: sequence(answer),
            media: None,
        }
    }

    fn inside_text(&mut self, dialog: &Dialog, method: &str, extra: &str, body: &str) -> String {
        let (branch, body) = (self.fresh(), body.replace('\n', "\r\n"));
        let Dialog { call_id, local, remote, target, cseq, .. } = dialog;
        format!(
            "{method} {target} SIP/2.0\nVia: SIP/2.0/{{transport}} {{local}};branch=z9hG4bK-{branch};rport\n\
             Max-Forwards: 70\nFrom: {local}\nTo: {remote}\nCall-ID: {call_id}\nCSeq: {cseq} {method}\nContact: {}\n\
             {extra}Content-Length: {}\n\n{body}",
            self.contact(),
            body.len(),
        )
    }

    fn acknowledge(&mut self, dialog: &mut Dialog) {
        let ack = self.inside_text(dialog, "ACK", "", "");
        self.wire.send(&ack);
    }

    /// A request inside a dialog, and its final answer.
    pub fn inside(&mut self, dialog: &mut Dialog, method: &str, extra: &str, body: &str) -> String {
        dialog.cseq += 1;
        let request = self.inside_text(dialog, method, extra, body);
        let answer = self.ask(&request);
        if method == "INVITE" && status(&answer) == Some(200) {
            self.acknowledge(dialog);
        }
        answer
    }

    /// A re-INVITE with this direction (RFC 3264 section 8.4); it must be answered with 200.
    pub fn redirect(&mut self, dialog: &mut Dialog, direction: &str) -> String {
        let body = description(dialog.media, direction);
        let answer = self.inside(dialog, "INVITE", "Content-Type: application/sdp\n", &body);
        assert_eq!(status(&answer), Some(200), "{answer}");
        answer
    }

    /// Hangs up; the BYE must be answered with 200.
    pub fn hang_up(&mut self, mut dialog: Dialog) {
        let answer = self.inside(&mut dialog, "BYE", "", "");
        assert_eq!(status(&answer), Some(200), "{answer}");
    }

    /// The next request of this method that came or comes; it has been answered by then.
    pub fn expect(&mut self, method: &str) -> String {
        self.expect_within(method, PATIENCE).unwrap_or_else(|| panic!("no {method} came to {}", self.name))
    }

    /// As [`Agent::expect`], with a patience of its own.
    pub fn expect_within(&mut self, method: &str, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.arrived.iter().position(|m| m.starts_with(&format!("{method} "))) {
                return self.arrived.remove(at);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if let Some(message) = self.wire.receive_within(left)
                && status(&message).is_none()
            {
                self.obey(message);
            }
        }
    }

    /// Answers a request as a phone does, and remembers it unless it is a repetition.
    fn obey(&mut self, request: String) {
        let Some(method) = request.split(' ').next().filter(|_| header(&request, "CSeq").is_some()) else { return };
        let method = method.to_owned();
        let known = self.arrived.iter().any(|m| m.starts_with(&format!("{method} ")) && branch(m) == branch(&request));
        match method.as_str() {
            "ACK" => {}
            // It speaks plain RTP alone, and says so as a phone does: this was no call to it.
            "INVITE" if request.contains("\nm=") && !request.contains(" RTP/AVP ") => {
                return self.reply(&request, "488 Not Acceptable Here", "", "");
            }
            "INVITE" => {
                let call_id = header(&request, "Call-ID").expect("a Call-ID").to_owned();
                let is_new = !header(&request, "To").is_some_and(|to| to.contains("tag="));
                if let Some(status) = self.says.filter(|_| is_new) {
                    self.reply(&request, status, "", "");
                } else {
                    let spare = &mut self.spare;
                    let own = *self.media.entry(call_id).or_insert_with(|| spare.pop_front().unwrap_or(NOWHERE));
                    let direction = match () {
                        () if request.contains("a=sendonly") => "recvonly",
                        () if request.contains("a=inactive") => "inactive",
                        () => "sendrecv",
                    };
                    let own = (own != NOWHERE).then_some(own);
                    self.reply(&request, "200 OK", "Content-Type: application/sdp\n", &description(own, direction));
                    if let (Some(voices), Some(own), Some(peer)) = (&self.voices, own, media_address(&request)) {
                        voices.connect(own, peer);
                    }
                }
            }
            "CANCEL" => {
                self.reply(&request, "200 OK", "", "");
                let invite = self.arrived.iter().find(|m| m.starts_with("INVITE ") && branch(m) == branch(&request));
                if let Some(invite) = invite.cloned() {
                    self.reply(&invite, "487 Request Terminated", "", "");
                }
            }
            _ => self.reply(&request, "200 OK", "", ""),
        }
        if !known && method != "ACK" {
            self.arrived.push_back(request);
        }
    }

    /// Answers a request: `status` is code and reason.
    pub fn reply(&mut self, request: &str, status: &str, extra: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            match name {
                "Via" | "From" | "Call-ID" | "CSeq" => text += &format!("{line}\n"),
                "To" if line.contains("tag=") => text += &format!("{line}\n"),
                "To" => text += &format!("{line};tag={}\n", self.id),
                _ => {}
            }
        }
        let body = body.replace('\n', "\r\n");
        text += &format!("Contact: {}\n{extra}Content-Length: {}\n\n{body}", self.contact(), body.len());
        self.wire.send(&text);
    }

    /// Answers what comes on a thread of its own, until it is taken back.
    pub fn serve(mut self) -> Serving {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(message) = self.wire.receive_within(LOOK)
                    && status(&message).is_none()
                {
                    self.obey(message);
                }
            }
            self
        });
        Serving { stop, thread }
    }
}

/// An agent that answers on a thread of its own.
pub struct Serving {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Agent>,
}

impl Serving {
    /// Takes the agent back, with the requests that it has answered.
    pub fn back(self) -> Agent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the agent did not fail")
    }
}

/// A call without media: port 9, discard (RFC 863).
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A description with PCMU alone.
pub fn description(media: Option<SocketAddr>, direction: &str) -> String {
    let at = media.unwrap_or(NOWHERE);
    format!(
        "v=0\no=agent 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n\
         a=ptime:20\na={direction}\n",
        ip = at.ip(),
        port = at.port(),
    )
}

/// The branch of the first Via.
pub fn branch(message: &str) -> &str {
    let via = header(message, "Via").expect("a Via");
    let value = via.split("branch=").nth(1).expect("a branch");
    value.split([';', ',', ' ']).next().unwrap_or(value)
}

/// The value that answers a challenge to this request.
pub fn credentials(request: &str, challenge: &str, user: &str, password: &str) -> String {
    let (method, uri) = request.split_once(' ').expect("a request line");
    let uri = uri.split(' ').next().expect("a URI");
    let lines: Vec<&[u8]> = challenge
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"))
        .map(|(_, value)| value.trim().as_bytes())
        .collect();
    let secret = Secret::Password(password.to_owned());
    let account = Account { peer: "switch".into(), realm: None, username: user.to_owned(), secret };
    Answerer::new(account, &[7; 32])
        .answer(&mut Attempt::default(), "switch", ChallengedBy::Server, &lines, method, uri)
        .expect("a challenge that can be answered")
}

/// The ACK of a refused INVITE (RFC 3261 section 17.1.1.3).
pub fn ack_of_refusal(invite: &str, answer: &str) -> String {
    let line = invite.lines().next().expect("a request line").replacen("INVITE", "ACK", 1);
    let of = |name| header(invite, name).unwrap_or_default();
    format!(
        "{line}\nVia: {}\nMax-Forwards: 70\nFrom: {}\nTo: {}\nCall-ID: {}\nCSeq: {} ACK\nContent-Length: 0\n\n",
        of("Via"),
        of("From"),
        header(answer, "To").unwrap_or_default(),
        of("Call-ID"),
        sequence(invite),
    )
}

fn sequence(message: &str) -> u32 {
    header(message, "CSeq").and_then(|v| v.split(' ').next()?.parse().ok()).expect("a CSeq")
}

fn target(message: &str) -> String {
    let contact = header(message, "Contact").expect("a Contact");
    let inner = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(uri, _)| uri);
    inner.unwrap_or(contact).to_owned()
}
