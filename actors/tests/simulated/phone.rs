//! A phone in the simulated network: an honest user agent (RFC 3261) in text, which shares no code with the switch but the
//! client's half of digest. It repeats what must be repeated, answers repetitions as it answered before, and remembers the
//! dialogs that it has been in.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use sip::net::sim::{SimulatedSocket, Simulator};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{DOMAIN, switch_address};

mod answers;
mod asks;

/// RFC 3261 section 17.1.1.1.
pub const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// 64 × T1: timers B, F and H.
const GIVE_UP: Duration = Duration::from_secs(32);
/// How long a phone waits for a call to be answered.
const RINGING: Duration = Duration::from_secs(300);

/// A phone; it stays in the network to the end of the run.
#[derive(Clone)]
pub struct Phone(Rc<Inner>);

struct Inner {
    name: String,
    socket: SimulatedSocket,
    changed: Notify,
    /// It takes the refreshes of sessions upon itself, and makes none.
    promises: Cell<bool>,
    /// It takes a picture where one is offered in a call.
    eyes: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    serial: u32,
    /// Responses, by branch and method of the request.
    clients: BTreeMap<(String, String), mpsc::UnboundedSender<String>>,
    /// The ACK of an INVITE, by its branch for a refusal, and by Call-ID, CSeq and tag for a 2xx.
    acks: BTreeMap<String, String>,
    /// The last response to a request, by branch and method.
    servers: BTreeMap<(String, String), String>,
    /// Call-ID and CSeq of INVITEs that were acknowledged.
    acknowledged: BTreeSet<(String, u32)>,
    /// INVITEs that nobody has taken yet.
    invites: VecDeque<String>,
    /// Branches of INVITEs that were cancelled.
    cancelled: BTreeSet<String>,
    dialogs: Vec<Rc<Dialog>>,
    /// How many requests of each method came, without repetitions.
    came: BTreeMap<String, usize>,
}

/// A call as the phone sees it.
#[derive(Debug)]
pub struct Dialog {
    /// Its Call-ID.
    pub call_id: String,
    local: String,
    remote: RefCell<String>,
    target: RefCell<String>,
    cseq: Cell<u32>,
    ended: Cell<bool>,
}

impl Dialog {
    /// Whether a BYE has ended it, from either side.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

/// An INVITE of ours.
pub struct Calling {
    request: String,
    responses: mpsc::UnboundedReceiver<String>,
    /// The final answer, when it came while something else was waited for.
    answer: Option<String>,
}

impl Phone {
    /// Connects a phone of a user to the network.
    pub fn at(net: &Simulator, name: &str, address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        let inner = Inner {
            name: name.to_owned(),
            socket: net.bind(address),
            changed: Notify::new(),
            promises: Cell::new(false),
            eyes: Cell::new(false),
            state: RefCell::default(),
        };
        let phone = Self(Rc::new(inner));
        let listening = phone.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (bytes, _) = listening.0.socket.receive().await;
                listening.take(&String::from_utf8_lossy(&bytes));
            }
        });
        phone
    }

    // ---- what a person does

    /// Registers, and again until the switch says 200.
    pub async fn register(&self) {
        let request = self.request("REGISTER", &format!("sip:{DOMAIN}"), "Expires: 3600\r\n", "");
        for _ in 0..10 {
            let answer = self.ask_as_user(&renewed(&request, &self.fresh())).await;
            if answer.as_deref().and_then(status) == Some(200) {
                return;
            }
        }
        panic!("{} could not register", self.0.name);
    }

    /// Calls a number; answers the dialog, or the refusal's status (408 when nothing came).
    pub async fn call(&self, number: &str) -> Result<Rc<Dialog>, u16> {
        let mut calling = self.begin(number).await?;
        self.wait(&mut calling).await
    }

    /// As [`Phone::call`], up to the INVITE with credentials.
    pub async fn begin(&self, number: &str) -> Result<Calling, u16> {
        let request = self.request("INVITE", &format!("sip:{number}@{DOMAIN}"), SDP_TYPE, &description("sendrecv"));
        let mut first = self.invite(request);
        let answer = self.final_answer(&mut first).await.ok_or(408_u16)?;
        match status(&answer) {
            Some(401) => Ok(self.invite(self.signed(&first.request, &answer))),
            other => Err(other.unwrap_or(408)),
        }
    }

    /// Waits for the final answer to an INVITE, and acknowledges it.
    pub async fn wait(&self, calling: &mut Calling) -> Result<Rc<Dialog>, u16> {
        let answer = self.final_answer(calling).await.ok_or(408_u16)?;
        match status(&answer) {
            Some(200) => Ok(self.dialog_of(&calling.request, &answer)),
            other => Err(other.unwrap_or(408)),
        }
    }

    /// Waits until it rings; a final answer may come first, for a 180 is not repeated.
    pub async fn rings(&self, calling: &mut Calling) {
        while let Some(answer) = calling.responses.recv().await {
            match status(&answer) {
                Some(180) => return,
                Some(200..) => {
                    calling.answer = Some(answer);
                    return;
                }
                _ => {}
            }
        }
    }

    /// Cancels an INVITE; true when the switch has taken the CANCEL.
    pub async fn cancel(&self, calling: &Calling) -> bool {
        let request = &calling.request;
        let line = request.lines().next().expect("a line").replacen("INVITE", "CANCEL", 1);
        let of = |name| header(request, name).unwrap_or_default();
        let cancel = format!(
            "{line}\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} CANCEL\r\n\
             Content-Length: 0\r\n\r\n",
            of("Via"),
            of("From"),
            of("To"),
            of("Call-ID"),
            sequence(request),
        );
        self.ask(&cancel).await.as_deref().and_then(status) == Some(200)
    }

    /// The next INVITE outside of a dialog.
    pub async fn incoming(&self) -> String {
        loop {
            let next = self.0.state.borrow_mut().invites.pop_front();
            if let Some(invite) = next {
                return invite;
            }
            self.0.changed.notified().await;
        }
    }

    /// Says 180.
    pub fn ring(&self, invite: &str) {
        self.respond(invite, "180 Ringing", "", "");
    }

    /// Says 100.
    pub fn tries(&self, invite: &str) {
        self.respond(invite, "100 Trying", "", "");
    }

    /// Refuses.
    pub fn refuse(&self, invite: &str, status: &'static str) {
        self.respond(invite, status, "", "");
        self.repeat_until_acknowledged(invite);
    }

    /// Says 200; `None` where the caller has given up meanwhile.
    pub fn pick_up(&self, invite: &str) -> Option<Rc<Dialog>> {
        if self.0.state.borrow().cancelled.contains(branch(invite)) {
            return None;
        }
        let session = self.session_of(invite);
        self.respond(invite, "200 OK", &format!("{SDP_TYPE}{SUPPORTED}{session}"), &description("sendrecv"));
        self.repeat_until_acknowledged(invite);
        let dialog = Rc::new(Dialog {
            call_id: header(invite, "Call-ID").expect("a Call-ID").to_owned(),
            local: format!("{};tag={}", header(invite, "To").expect("To"), self.tag(invite)),
            remote: RefCell::new(header(invite, "From").expect("From").to_owned()),
            target: RefCell::new(target(invite)),
            cseq: Cell::new(0),
            ended: Cell::new(false),
        });
        self.0.state.borrow_mut().dialogs.push(Rc::clone(&dialog));
        Some(dialog)
    }

    /// From now on it promises to refresh the sessions of its calls (RFC 4028 section 9), but does not.
    pub fn promises_to_refresh(&self) {
        self.0.promises.set(true);
    }

    /// From now on it takes pictures that are offered in a call.
    pub fn opens_its_eyes(&self) {
        self.0.eyes.set(true);
    }

    /// Offers a picture in a call; whether the other side has taken it, or the status of its refusal.
    pub async fn shows(&self, dialog: &Dialog) -> Result<bool, u16> {
        let body = description("sendrecv") + PICTURE;
        let request = self.inside(dialog, "INVITE", &format!("{SDP_TYPE}{SUPPORTED}"), &body);
        let mut calling = self.invite(request);
        let answer = self.final_answer(&mut calling).await.ok_or(408_u16)?;
        if status(&answer) != Some(200) {
            return Err(status(&answer).unwrap_or(408));
        }
        let ack = self.text_inside(dialog, "ACK", sequence(&calling.request), "", "");
        self.0.state.borrow_mut().acks.insert(success_key(&answer), ack.clone());
        self.send(&ack);
        Ok(!answer.contains("m=video 0 "))
    }

    /// Transfers the other side to a number; the status of the answer.
    pub async fn transfer(&self, dialog: &Dialog, number: &str) -> Option<u16> {
        let refer = self.inside(dialog, "REFER", &format!("Refer-To: <sip:{number}@{DOMAIN}>\r\n"), "");
        self.ask(&refer).await.as_deref().and_then(status)
    }

    /// Hangs up, unless the other side has done so already. Answers the status of the BYE: 481 where both did at once.
    pub async fn hang_up(&self, dialog: &Dialog) -> Option<u16> {
        if dialog.ended.replace(true) {
            return None;
        }
        let bye = self.inside(dialog, "BYE", "", "");
        self.ask(&bye).await.as_deref().and_then(status)
    }

    /// Waits until a dialog has ended.
    pub async fn ended(&self, dialog: &Dialog) {
        while !dialog.ended.get() {
            self.0.changed.notified().await;
        }
    }

    /// How many requests of a method have come, without repetitions.
    pub fn came(&self, method: &str) -> usize {
        self.0.state.borrow().came.get(method).copied().unwrap_or(0)
    }

    /// Whether a 2xx of ours to an INVITE of this call was acknowledged.
    pub fn was_acknowledged(&self, invite: &str) -> bool {
        let key = (header(invite, "Call-ID").expect("a Call-ID").to_owned(), sequence(invite));
        self.0.state.borrow().acknowledged.contains(&key)
    }

    // ---- text

    fn send(&self, text: &str) {
        self.0.socket.send_to(text.to_owned().into(), switch_address());
    }

    fn fresh(&self) -> String {
        let mut state = self.0.state.borrow_mut();
        state.serial += 1;
        format!("{}-{}-{}", self.0.name, self.0.socket.address().port(), state.serial)
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.0.name, self.0.socket.address())
    }

    /// The session timer that a request asks for, agreed to (RFC 4028 section 9).
    fn session_of(&self, request: &str) -> String {
        let Some(value) = header(request, "Session-Expires") else { return String::new() };
        let interval = value.split(';').next().unwrap_or(value);
        let who = if self.0.promises.get() { "uas" } else { "uac" };
        format!("Require: timer\r\nSession-Expires: {interval};refresher={who}\r\n")
    }

    fn tag(&self, request: &str) -> String {
        format!("{}-{}", self.0.name, header(request, "Call-ID").unwrap_or_default())
    }

    fn request(&self, method: &str, uri: &str, extra: &str, body: &str) -> String {
        let (id, name) = (self.fresh(), &self.0.name);
        let to = if method == "REGISTER" { format!("sip:{name}@{DOMAIN}") } else { uri.to_owned() };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{id};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@{DOMAIN}>;tag={id}\r\nTo: <{to}>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\nContact: {}\r\n\
             {SUPPORTED}{extra}Content-Length: {}\r\n\r\n{body}",
            self.0.socket.address(),
            self.contact(),
            body.len(),
        )
    }

    fn inside(&self, dialog: &Dialog, method: &str, extra: &str, body: &str) -> String {
        dialog.cseq.set(dialog.cseq.get() + 1);
        self.text_inside(dialog, method, dialog.cseq.get(), extra, body)
    }

    fn text_inside(&self, dialog: &Dialog, method: &str, cseq: u32, extra: &str, body: &str) -> String {
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: {}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            dialog.target.borrow(),
            self.0.socket.address(),
            self.fresh(),
            dialog.local,
            dialog.remote.borrow(),
            dialog.call_id,
            self.contact(),
            body.len(),
        )
    }

    /// The request once more, with the answer to a challenge.
    fn signed(&self, request: &str, challenge: &str) -> String {
        let (method, rest) = request.split_once(' ').expect("a request line");
        let uri = rest.split(' ').next().expect("a URI");
        let lines: Vec<&[u8]> = challenge
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"))
            .map(|(_, value)| value.trim().as_bytes())
            .collect();
        let secret = Secret::Password(format!("{}-secret", self.0.name));
        let account = Account { peer: "switch".into(), realm: None, username: self.0.name.clone(), secret };
        let credentials = Answerer::new(account, &[7; 32])
            .answer(&mut Attempt::default(), "switch", ChallengedBy::Server, &lines, method, uri)
            .expect("a challenge that can be answered");
        let again = renewed(request, &self.fresh());
        again.replacen("Max-Forwards", &format!("Authorization: {credentials}\r\nMax-Forwards"), 1)
    }
}

const SDP_TYPE: &str = "Content-Type: application/sdp\r\n";
const SUPPORTED: &str = "Supported: timer\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";

/// The request once more, in a transaction of its own.
fn renewed(request: &str, id: &str) -> String {
    let (old, number) = (branch(request).to_owned(), sequence(request));
    let text = request.replacen(&old, &format!("z9hG4bK-{id}"), 1);
    text.replacen(&format!("CSeq: {number} "), &format!("CSeq: {} ", number + 1), 1)
}

/// A description whose media leads nowhere: port 9, discard (RFC 863).
fn description(direction: &str) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
    )
}

/// A picture behind the sound, which leads nowhere either.
const PICTURE: &str = "m=video 9 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";

fn success_key(response: &str) -> String {
    let of = |name| header(response, name).unwrap_or_default();
    format!("{} {} {}", of("Call-ID"), of("CSeq"), of("To"))
}

/// The first value of a header, by its long name.
pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The status of an answer.
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

fn branch(message: &str) -> &str {
    let via = header(message, "Via").unwrap_or_default();
    let value = via.split("branch=").nth(1).unwrap_or_default();
    value.split([';', ',', ' ']).next().unwrap_or(value)
}

fn sequence(message: &str) -> u32 {
    header(message, "CSeq").and_then(|v| v.split(' ').next()?.parse().ok()).unwrap_or_default()
}

fn target(message: &str) -> String {
    let contact = header(message, "Contact").unwrap_or_default();
    let inner = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(uri, _)| uri);
    inner.unwrap_or(contact).to_owned()
}
