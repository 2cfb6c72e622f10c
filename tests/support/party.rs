//! Users at the end of raw wires, who say only what a test makes them say, and their ends of dialogs.

use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::switch::Switch;
use super::wire::{Wire, header, status};
use super::{PATIENCE, until};

/// A description with PCMU alone.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// A description with these payload types of PCMU (0), PCMA (8) and G.722 (9), and a direction.
pub fn sdp(version: u32, port: u16, formats: &[u8], direction: &str) -> String {
    let names = |format: &u8| match format {
        0 => "a=rtpmap:0 PCMU/8000\r\n",
        8 => "a=rtpmap:8 PCMA/8000\r\n",
        _ => "a=rtpmap:9 G722/8000\r\n",
    };
    let list: String = formats.iter().map(|format| format!(" {format}")).collect();
    let maps: String = formats.iter().map(names).collect();
    format!(
        "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP{list}\r\n{maps}a={direction}\r\n"
    )
}

/// The payload types that a description in a message has, and nothing where it has none.
pub fn formats(message: &str) -> Vec<u8> {
    let line = message.lines().find(|line| line.starts_with("m=audio "));
    line.map(|line| line.split_whitespace().skip(3).map(|pt| pt.parse().expect("a number")).collect())
        .unwrap_or_default()
}

/// A user at the end of a wire, who says only what the test makes it say.
pub struct Party {
    /// What it sends and receives by.
    pub wire: Wire,
    /// Its name in the lab.
    pub name: &'static str,
    /// Who it says it is.
    pub from: &'static str,
    /// Which phone it is (`+sip.instance`), where it says so.
    pub instance: Option<&'static str>,
    /// How gladly it is called here (q of its Contact), where it says so.
    pub q: Option<&'static str>,
    /// Where it says that it is reached, where that is not where it sends from.
    pub contact: Option<String>,
    /// Its tag in what it answers. A proxy that forks answers with several.
    pub tag: String,
    answerer: Answerer,
}

/// One end of a dialog, as its header values stand in a request of this end.
#[derive(Clone)]
pub struct End {
    /// Call-ID.
    pub call_id: String,
    /// From, with tag.
    pub local: String,
    /// To, with tag.
    pub remote: String,
    /// The URI in the other end's Contact.
    pub target: String,
    /// CSeq of the last request.
    pub cseq: u32,
}

fn fresh() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn with_length(head: &str, body: &str) -> String {
    format!("{head}Content-Length: {}\n\n{body}", body.len())
}

impl Party {
    /// A user of the lab at a UDP socket, not registered.
    pub fn new(switch: &Switch, name: &'static str) -> Self {
        Self::at(Wire::udp(switch.sip("udp")), name)
    }

    /// A user of the lab at the end of this wire, not registered.
    pub fn at(wire: Wire, name: &'static str) -> Self {
        let account = Account {
            peer: "switch".into(),
            realm: None,
            username: name.into(),
            secret: Secret::Password(format!("{name}-secret")),
        };
        let from = match name {
            "alice" => "sip:alice@example.com",
            "bob" => "sip:bob@example.com",
            _ => "sip:carol@example.com",
        };
        Self {
            wire,
            name,
            from,
            instance: None,
            q: None,
            contact: None,
            tag: format!("of-{name}"),
            answerer: Answerer::new(account, &[7; 32]),
        }
    }

    /// A user of the lab at a UDP socket, registered.
    pub fn registered(switch: &Switch, name: &'static str) -> Self {
        let mut this = Self::new(switch, name);
        this.register("");
        this
    }

    /// As [`Party::registered`], with this q.
    pub fn registered_at(switch: &Switch, name: &'static str, q: &'static str) -> Self {
        let mut this = Self { q: Some(q), ..Self::new(switch, name) };
        this.register("");
        this
    }

    /// The URI of its Contact.
    fn own(&self) -> String {
        self.contact.clone().unwrap_or_else(|| format!("sip:{}@{{local}}", self.name))
    }

    /// Registers, with these header lines besides; the answer.
    pub fn register(&mut self, more: &str) -> String {
        let _ = self.begin("REGISTER", "sip:example.com", more, "");
        let answer = self.answer_to("REGISTER", 200);
        assert_eq!(status(&answer), Some(200), "{answer}");
        answer
    }

    /// A request outside of dialogs, with `more` header lines.
    pub fn request(&self, method: &str, uri: &str, cseq: u32, id: u32, more: &str, body: &str) -> String {
        let name = self.name;
        let to = if method == "REGISTER" { format!("sip:{name}@example.com") } else { uri.to_owned() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bK{}x{id}\nMax-Forwards: 70\n\
             From: <{}>;tag=t{id}\nTo: <{to}>\nCall-ID: corner-{id}\nCSeq: {cseq} {method}\n\
             Contact: <{}>{}{}\n{more}{kind}",
            fresh(),
            self.from,
            self.own(),
            self.instance.map(|id| format!(";+sip.instance=\"<{id}>\"")).unwrap_or_default(),
            self.q.map(|q| format!(";q={q}")).unwrap_or_default(),
        );
        with_length(&head, body)
    }

    /// Sends a request outside of dialogs, with credentials for the challenge that comes, and does not wait for its answer.
    pub fn begin(&mut self, method: &str, uri: &str, more: &str, body: &str) -> String {
        let id = fresh();
        self.wire.send(&self.request(method, uri, 1, id, more, body));
        let challenge = self.answer_to(method, 401);
        let asked: Vec<&[u8]> =
            challenge.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: ")).map(str::as_bytes).collect();
        let answer = self.answerer.answer(&mut Attempt::default(), "switch", ChallengedBy::Server, &asked, method, uri);
        let more = format!("Authorization: {}\n{more}", answer.expect("the challenge is answered"));
        let request = self.request(method, uri, 2, id, &more, body);
        self.wire.send(&request);
        request
    }

    /// Calls a user.
    pub fn call(&mut self, user: &str, more: &str) -> String {
        self.begin("INVITE", &format!("sip:{user}@example.com"), more, SDP)
    }

    /// Gives up the call that this INVITE began.
    pub fn cancel(&mut self, invite: &str) {
        let head: String = invite
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| !["Contact", "Content", "Authorization"].iter().any(|name| line.starts_with(name)))
            .map(|line| format!("{line}\n"))
            .collect();
        self.wire.send(&with_length(&head.replace("INVITE", "CANCEL"), ""));
    }

    /// Lets go of an INVITE that the switch cancels.
    pub fn let_go(&mut self, invite: &str) {
        let cancel = self.wire.receive("CANCEL");
        self.reply(&cancel, "200 OK", "", "");
        self.reply(invite, "487 Request Terminated", "", "");
    }

    /// The next answer to a method with this status or higher.
    pub fn answer_to(&mut self, method: &str, least: u16) -> String {
        loop {
            let answer = self.wire.receive("SIP/2.0");
            let of = header(&answer, "CSeq").is_some_and(|cseq| cseq.ends_with(method));
            if of && status(&answer).is_some_and(|code| code >= least) {
                return answer;
            }
        }
    }

    /// The final answer to this INVITE, acknowledged; answers to others that come again are passed over.
    pub fn heard(&mut self, invite: &str) -> String {
        loop {
            let answer = self.answer_to("INVITE", 200);
            if header(&answer, "Call-ID") == header(invite, "Call-ID") {
                let of = |name: &str| header(&answer, name).unwrap_or_default().to_owned();
                let uri = invite.split(' ').nth(1).unwrap_or_default();
                let (via, from, to) = (header(invite, "Via").unwrap_or_default(), of("From"), of("To"));
                let cseq = of("CSeq").split(' ').next().unwrap_or_default().to_owned();
                let call_id = of("Call-ID");
                self.wire.send(&format!(
                    "ACK {uri} SIP/2.0\nVia: {via}\nMax-Forwards: 70\nFrom: {from}\nTo: {to}\nCall-ID: {call_id}\n\
                     CSeq: {cseq} ACK\nContent-Length: 0\n\n"
                ));
                return answer;
            }
        }
    }

    /// Answers a request that came.
    pub fn reply(&mut self, request: &str, answer: &str, more: &str, body: &str) {
        let copied: String = request
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let to = header(request, "To").expect("To");
        let own = match answer.starts_with('3') {
            true => String::new(),
            false => format!("Contact: <{}>\n", self.own()),
        };
        let tag = if to.contains(";tag=") { String::new() } else { format!(";tag={}", self.tag) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!("SIP/2.0 {answer}\n{copied}To: {to}{tag}\n{own}{more}{kind}");
        self.wire.send(&with_length(&head, body));
    }

    /// A request inside a dialog.
    pub fn say(&mut self, end: &mut End, method: &str, more: &str, body: &str) {
        if method != "ACK" {
            end.cseq += 1;
        }
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!(
            "{method} {} SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bKd{}\nMax-Forwards: 70\nFrom: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: {} {method}\nContact: <{}>\n{more}{kind}",
            end.target,
            fresh(),
            end.local,
            end.remote,
            end.call_id,
            end.cseq,
            self.own(),
        );
        self.wire.send(&with_length(&head, body));
    }

    /// Acknowledges a reliable provisional answer; the answer to that.
    pub fn prack(&mut self, end: &mut End, progress: &str, body: &str) -> String {
        let rseq = header(progress, "RSeq").expect("a reliable response");
        let rack = format!("RAck: {rseq} {}\n", header(progress, "CSeq").expect("CSeq"));
        self.say(end, "PRACK", &rack, body);
        self.answer_to("PRACK", 200)
    }

    /// Answers an INVITE provisionally and reliably, with its first RSeq in this dialog, and takes the PRACK.
    pub fn progress(&mut self, invite: &str, body: &str) {
        self.reply(invite, "183 Session Progress", "Require: 100rel\nRSeq: 1\n", body);
        let prack = self.wire.receive("PRACK");
        assert_eq!(header(&prack, "RAck"), Some("1 1 INVITE"), "{prack}");
        self.reply(&prack, "200 OK", "", "");
    }

    /// Picks up the call that comes: our end of its dialog.
    pub fn pick_up(&mut self) -> End {
        let invite = self.wire.receive("INVITE");
        self.reply(&invite, "200 OK", "", SDP);
        self.wire.receive("ACK");
        callee_end(self, &invite)
    }

    /// Refuses with a Contact that is not this party's own.
    pub fn reply_with_contact(&mut self, request: &str, answer: &str, target: &str) {
        self.reply(request, answer, &format!("Contact: <{target}>\n"), "");
    }

    /// The end of an attended transfer for the transferor: its report of success, the BYE of the call that it gave its
    /// party from, and its own BYE in the other.
    pub fn both_go(&mut self, end: &mut End) {
        let (mut told, mut gone) = (false, false);
        while !(told && gone) {
            let request = self.wire.receive_within(PATIENCE).expect("a report and a BYE");
            if request.starts_with("NOTIFY") || request.starts_with("BYE") {
                self.reply(&request, "200 OK", "", "");
                told |= request.contains("SIP/2.0 200 OK\r\n") && request.starts_with("NOTIFY");
                gone |= request.starts_with("BYE");
            }
        }
        self.say(end, "BYE", "", "");
        assert_eq!(status(&self.answer_to("BYE", 200)), Some(200));
    }

    /// Answers the reports of a transfer until one tells this status; that one.
    pub fn notified(&mut self, code: &str) -> String {
        loop {
            let notify = self.wire.receive("NOTIFY");
            self.reply(&notify, "200 OK", "", "");
            if notify.contains(&format!("SIP/2.0 {code}")) {
                return notify;
            }
        }
    }
}

/// The callee's end of the dialog that its answer to `invite` makes.
pub fn callee_end(party: &Party, invite: &str) -> End {
    let of = |name: &str| header(invite, name).expect(name).to_owned();
    End {
        call_id: of("Call-ID"),
        local: format!("{};tag={}", of("To"), party.tag),
        remote: of("From"),
        target: contact(invite),
        cseq: 100,
    }
}

/// The URI in the Contact of a message.
pub fn contact(message: &str) -> String {
    let value = header(message, "Contact").expect("Contact");
    value.split(['<', '>']).nth(1).expect("a name-addr").to_owned()
}

/// The caller's end of the dialog that `answer` makes.
pub fn end_of(answer: &str) -> End {
    let of = |name: &str| header(answer, name).expect(name).to_owned();
    let cseq = of("CSeq").split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    End { call_id: of("Call-ID"), local: of("From"), remote: of("To"), target: contact(answer), cseq }
}

/// A standing call between two parties: the caller's end and the callee's.
pub fn standing(caller: &mut Party, callee: &mut Party) -> (End, End) {
    caller.call(callee.name, "");
    let theirs = callee.pick_up();
    (up(caller), theirs)
}

/// As [`standing`], where the caller offers these payload types and the callee answers those.
pub fn standing_with(caller: &mut Party, callee: &mut Party, offered: &[u8], answered: &[u8]) -> (End, End) {
    let to = format!("sip:{}@example.com", callee.name);
    caller.begin("INVITE", &to, "", &sdp(1, 40_000, offered, "sendrecv"));
    let invite = callee.wire.receive("INVITE");
    callee.reply(&invite, "200 OK", "", &sdp(1, 40_002, answered, "sendrecv"));
    callee.wire.receive("ACK");
    let answer = caller.answer_to("INVITE", 200);
    assert_eq!(formats(&answer), answered, "{answer}");
    let mut ours = end_of(&answer);
    caller.say(&mut ours, "ACK", "", "");
    (ours, callee_end(callee, &invite))
}

/// The caller is answered, and acknowledges it.
pub fn up(caller: &mut Party) -> End {
    let answer = caller.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut end = end_of(&answer);
    caller.say(&mut end, "ACK", "", "");
    end
}

/// The party hangs up, and the other end hears it.
pub fn hangs_up(from: &mut Party, end: &mut End, to: &mut Party) {
    from.say(end, "BYE", "", "");
    let bye = to.wire.receive("BYE");
    to.reply(&bye, "200 OK", "", "");
    assert_eq!(status(&from.answer_to("BYE", 200)), Some(200));
}

/// Nothing has come to this party that waits to be read.
pub fn is_quiet(party: &mut Party) -> bool {
    party.wire.receive_within(Duration::from_millis(1)).is_none()
}

/// Every call has ended, with all that belongs to it.
pub fn idle(switch: &Switch) {
    let idle = until(PATIENCE, || (switch.get("/api/status").1["calls"] == 0).then_some(()));
    assert!(idle.is_some(), "{}", switch.get("/api/status").1);
}

/// The two ends still reach each other: an INFO of the one comes to the other.
pub fn talks(from: &mut Party, end: &mut End, to: &mut Party) {
    from.say(end, "INFO", "Info-Package: test\n", "");
    let info = to.wire.receive("INFO");
    to.reply(&info, "200 OK", "", "");
    assert_eq!(status(&from.answer_to("INFO", 200)), Some(200));
}

/// Kills the actor of the one call that is up, and sees it rebuilt.
pub fn kill_the_call(switch: &Switch) {
    let calls = switch.command(&["tree", "--json"]);
    let tree = String::from_utf8_lossy(&calls.stdout).into_owned();
    let path = tree.split('"').find(|word| word.contains("/calls/")).expect("the call is in the tree");
    let record = format!("/api/calls/{}", path.rsplit('/').next().expect("its name"));
    let rebuilt = || switch.get(&record).1.to_string().matches("\"rebuilt\"").count();
    let before = rebuilt();
    let killed = switch.command(&["kill", path]);
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    until(PATIENCE, || (rebuilt() > before).then_some(())).expect("the call is rebuilt");
}
