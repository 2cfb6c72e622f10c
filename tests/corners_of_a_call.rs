//! Corners of a call, seen from raw sockets: what crosses, fails half way, or comes from a peer that behaves as no phone
//! does.

mod support;

use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use std::sync::atomic::{AtomicU32, Ordering};
use support::config::Config;
use support::switch::Switch;
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// A user at the end of a wire, who says only what the test makes it say.
struct Party {
    wire: Wire,
    name: &'static str,
    /// Who it says it is.
    from: &'static str,
    answerer: Answerer,
}

/// One end of a dialog, as its header values stand in a request of this end.
#[derive(Clone)]
struct End {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
}

fn fresh() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn with_length(head: &str, body: &str) -> String {
    format!("{head}Content-Length: {}\n\n{body}", body.len())
}

impl Party {
    fn new(switch: &Switch, name: &'static str) -> Self {
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
        Self { wire: Wire::udp(switch.sip("udp")), name, from, answerer: Answerer::new(account, &[7; 32]) }
    }

    fn registered(switch: &Switch, name: &'static str) -> Self {
        let mut this = Self::new(switch, name);
        let _ = this.begin("REGISTER", "sip:example.com", "", "");
        let answer = this.answer_to("REGISTER", 200);
        assert_eq!(status(&answer), Some(200), "{answer}");
        this
    }

    /// A request outside of dialogs, with `more` header lines.
    fn request(&self, method: &str, uri: &str, cseq: u32, id: u32, more: &str, body: &str) -> String {
        let name = self.name;
        let to = if method == "REGISTER" { format!("sip:{name}@example.com") } else { uri.to_owned() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bK{}x{id}\nMax-Forwards: 70\n\
             From: <{}>;tag=t{id}\nTo: <{to}>\nCall-ID: corner-{id}\nCSeq: {cseq} {method}\n\
             Contact: <sip:{name}@{{local}}>\n{more}{kind}",
            fresh(),
            self.from,
        );
        with_length(&head, body)
    }

    /// Sends a request outside of dialogs, with credentials for the challenge that comes, and does not wait for its answer.
    fn begin(&mut self, method: &str, uri: &str, more: &str, body: &str) -> String {
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
    fn call(&mut self, user: &str, more: &str) -> String {
        self.begin("INVITE", &format!("sip:{user}@example.com"), more, SDP)
    }

    /// The next answer to a method with this status or higher.
    fn answer_to(&mut self, method: &str, least: u16) -> String {
        loop {
            let answer = self.wire.receive("SIP/2.0");
            let of = header(&answer, "CSeq").is_some_and(|cseq| cseq.ends_with(method));
            if of && status(&answer).is_some_and(|code| code >= least) {
                return answer;
            }
        }
    }

    /// Answers a request that came.
    fn reply(&mut self, request: &str, answer: &str, more: &str, body: &str) {
        let copied: String = request
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let to = header(request, "To").expect("To");
        let own = match answer.starts_with('3') {
            true => String::new(),
            false => format!("Contact: <sip:{}@{{local}}>\n", self.name),
        };
        let tag = if to.contains(";tag=") { String::new() } else { format!(";tag=of-{}", self.name) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!("SIP/2.0 {answer}\n{copied}To: {to}{tag}\n{own}{more}{kind}");
        self.wire.send(&with_length(&head, body));
    }

    /// A request inside a dialog.
    fn say(&mut self, end: &mut End, method: &str, more: &str, body: &str) {
        if method != "ACK" {
            end.cseq += 1;
        }
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let head = format!(
            "{method} {} SIP/2.0\nVia: SIP/2.0/UDP {{local}};branch=z9hG4bKd{}\nMax-Forwards: 70\nFrom: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: {} {method}\nContact: <sip:{}@{{local}}>\n{more}{kind}",
            end.target,
            fresh(),
            end.local,
            end.remote,
            end.call_id,
            end.cseq,
            self.name,
        );
        self.wire.send(&with_length(&head, body));
    }

    /// Picks up the call that comes: our end of its dialog.
    fn pick_up(&mut self) -> End {
        let invite = self.wire.receive("INVITE");
        self.reply(&invite, "200 OK", "", SDP);
        self.wire.receive("ACK");
        callee_end(self, &invite)
    }

    /// Refuses with a Contact that is not this party's own.
    fn reply_with_contact(&mut self, request: &str, answer: &str, target: &str) {
        self.reply(request, answer, &format!("Contact: <{target}>\n"), "");
    }

    /// The end of an attended transfer for the transferor: its report of success, the BYE of the call that it gave its
    /// party from, and its own BYE in the other.
    fn both_go(&mut self, end: &mut End) {
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
    fn notified(&mut self, code: &str) -> String {
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
fn callee_end(party: &Party, invite: &str) -> End {
    let of = |name: &str| header(invite, name).expect(name).to_owned();
    End {
        call_id: of("Call-ID"),
        local: format!("{};tag=of-{}", of("To"), party.name),
        remote: of("From"),
        target: contact(invite),
        cseq: 100,
    }
}

fn contact(message: &str) -> String {
    let value = header(message, "Contact").expect("Contact");
    value.split(['<', '>']).nth(1).expect("a name-addr").to_owned()
}

/// The caller's end of the dialog that `answer` makes.
fn end_of(answer: &str) -> End {
    let of = |name: &str| header(answer, name).expect(name).to_owned();
    let cseq = of("CSeq").split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    End { call_id: of("Call-ID"), local: of("From"), remote: of("To"), target: contact(answer), cseq }
}

/// A standing call between two parties: the caller's end and the callee's.
fn standing(caller: &mut Party, callee: &mut Party) -> (End, End) {
    caller.call(callee.name, "");
    let theirs = callee.pick_up();
    let answer = caller.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let mut ours = end_of(&answer);
    caller.say(&mut ours, "ACK", "", "");
    (ours, theirs)
}

/// Every call has ended, with all that belongs to it.
fn idle(switch: &Switch) {
    let idle = until(PATIENCE, || (switch.get("/api/status").1["calls"] == 0).then_some(()));
    assert!(idle.is_some(), "{}", switch.get("/api/status").1);
}

/// The two ends still reach each other: an INFO of the one comes to the other.
fn talks(from: &mut Party, end: &mut End, to: &mut Party) {
    from.say(end, "INFO", "Info-Package: test\n", "");
    let info = to.wire.receive("INFO");
    to.reply(&info, "200 OK", "", "");
    assert_eq!(status(&from.answer_to("INFO", 200)), Some(200));
}

#[test]
fn one_phone_that_declines_for_all_ends_the_ringing_of_the_others() {
    let switch = Switch::start(Config::lab());
    let (mut desk, mut mobile) = (Party::registered(&switch, "bob"), Party::registered(&switch, "bob"));
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    let (at_desk, at_mobile) = (desk.wire.receive("INVITE"), mobile.wire.receive("INVITE"));
    mobile.reply(&at_mobile, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    desk.reply(&at_desk, "603 Decline", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(603));
    let cancel = mobile.wire.receive("CANCEL");
    mobile.reply(&cancel, "200 OK", "", "");
    mobile.reply(&at_mobile, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_callee_says_no_with_its_answer_and_not_with_bye() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
    let mut end = callee_end(&bob, &invite);

    bob.say(&mut end, "BYE", "", "");
    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(481));

    bob.reply(&invite, "200 OK", "", SDP);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn a_caller_may_hang_up_with_bye_while_it_rings() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    let mut early = end_of(&alice.answer_to("INVITE", 180));

    alice.say(&mut early, "BYE", "", "");

    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    let cancel = bob.wire.receive("CANCEL");
    bob.reply(&cancel, "200 OK", "", "");
    bob.reply(&invite, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_phone_that_diverts_is_followed_to_a_user_of_ours() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");

    bob.reply_with_contact(&invite, "302 Moved Temporarily", "sip:1003@example.com");

    carol.pick_up();
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn a_phone_that_diverts_to_itself_or_to_strangers_is_not_there() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    for target in ["sip:bob@example.com", "sip:alice@elsewhere.invalid"] {
        alice.call("bob", "");
        let invite = bob.wire.receive("INVITE");

        bob.reply_with_contact(&invite, "302 Moved Temporarily", target);

        assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(480), "{target}");
    }
    idle(&switch);
}

#[test]
fn a_user_has_no_more_calls_than_it_may_have() {
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\npassword = \"{name}-secret\"\nmax_calls = 1\n");
    let config = ["alice", "bob", "carol"].iter().fold(Config::bare(), |config, name| config.entry(&user(name)));
    let switch = Switch::start(config);
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::new(&switch, "carol");
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.call("carol", "");
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(503));
    carol.call("bob", "");
    assert_eq!(status(&carol.answer_to("INVITE", 200)), Some(486));

    alice.say(&mut end, "BYE", "", "");
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
    carol.call("bob", "");
    bob.pick_up();
    assert_eq!(status(&carol.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn an_invite_rings_no_longer_than_its_caller_says() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "Expires: 1\n");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");

    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(487));
    let cancel = bob.wire.receive("CANCEL");
    bob.reply(&cancel, "200 OK", "", "");
    bob.reply(&invite, "487 Request Terminated", "", "");
    idle(&switch);
}

#[test]
fn a_transfer_to_a_busy_phone_leaves_the_two_talking() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    carol.reply(&invite, "486 Busy Here", "", "");

    let told = alice.notified("486");
    assert!(told.contains("terminated"), "{told}");
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn the_party_that_stays_hangs_up_while_the_target_of_a_transfer_rings() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, mut of_bob) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    carol.reply(&invite, "180 Ringing", "", "");
    alice.notified("180");

    bob.say(&mut of_bob, "BYE", "", "");

    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
    let cancel = carol.wire.receive("CANCEL");
    carol.reply(&cancel, "200 OK", "", "");
    carol.reply(&invite, "487 Request Terminated", "", "");
    let bye = alice.wire.receive("BYE");
    alice.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_transferor_that_has_left_leaves_the_others_talking() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut end, mut of_bob) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "REFER", "Refer-To: <sip:carol@example.com>\n", "");
    let invite = carol.wire.receive("INVITE");
    alice.say(&mut end, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));

    carol.reply(&invite, "200 OK", "", SDP);
    carol.wire.receive("ACK");

    talks(&mut bob, &mut of_bob, &mut carol);
}

#[test]
fn a_prack_that_crosses_the_answer_is_taken_and_the_answer_has_the_description_all_the_same() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "Supported: 100rel\n");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "183 Session Progress", "", SDP);
    let progress = alice.answer_to("INVITE", 183);
    let rseq = header(&progress, "RSeq").expect("a reliable response").to_owned();
    bob.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert!(answer.contains("m=audio"), "{answer}");

    let mut end = end_of(&answer);
    let rack = format!("RAck: {rseq} {} INVITE\n", end.cseq);
    alice.say(&mut end, "PRACK", &rack, "");

    assert_eq!(status(&alice.answer_to("PRACK", 200)), Some(200));
}

#[test]
fn a_request_in_a_dialog_that_requires_what_is_unknown_is_refused() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, _) = standing(&mut alice, &mut bob);

    alice.say(&mut end, "INFO", "Require: clairvoyance\n", "");

    let refusal = alice.answer_to("INFO", 200);
    assert_eq!(status(&refusal), Some(420));
    assert_eq!(header(&refusal, "Unsupported"), Some("clairvoyance"));
}

#[test]
fn who_knows_one_tag_of_a_dialog_alone_cannot_end_it() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut end, _) = standing(&mut alice, &mut bob);
    let mut forged = End { local: "<sip:alice@example.com>;tag=guessed".into(), ..end.clone() };

    alice.say(&mut forged, "BYE", "", "");

    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(481));
    talks(&mut alice, &mut end, &mut bob);
}

#[test]
fn nothing_of_the_one_party_is_seen_by_the_other_but_its_number() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let sent = alice.call("bob", "Subject: secret\nUser-Agent: phone-of-alice\n");

    let seen = bob.wire.receive("INVITE");

    let own = alice.wire.local().port().to_string();
    let call_id = header(&sent, "Call-ID").expect("Call-ID");
    for leak in [own.as_str(), call_id, "phone-of-alice", "m=audio 40000"] {
        assert!(!seen.contains(leak), "{leak} in\n{seen}");
    }
    assert!(header(&seen, "From").is_some_and(|from| from.contains("<sip:1001@example.com>")), "{seen}");
}

#[test]
fn a_phone_that_claims_to_be_another_is_shown_as_itself() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.from = "sip:carol@example.com";
    alice.call("bob", "P-Asserted-Identity: <sip:carol@example.com>\n");

    let seen = bob.wire.receive("INVITE");

    assert!(header(&seen, "From").is_some_and(|from| from.contains("<sip:1001@example.com>")), "{seen}");
    assert!(!seen.contains("carol"), "{seen}");
}

#[test]
fn a_call_on_hold_outlives_the_media_time_out_and_a_silent_one_does_not() {
    let switch = Switch::start(Config::lab().set("media", "timeout", r#""1s""#));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let mut again = Party::new(&switch, "alice");
    let (mut end, _) = standing(&mut alice, &mut bob);
    alice.say(&mut end, "INVITE", "", &SDP.replace("t=0 0", "t=0 0\r\na=sendonly"));
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
    alice.say(&mut end, "ACK", "", "");
    standing(&mut again, &mut carol);

    // The call that began later, and is not on hold, ends for its silence; the held one has been silent for longer.
    carol.wire.receive("BYE");
    talks(&mut alice, &mut end, &mut bob);
}

/// How the transferor names a call of its own in Refer-To: the to-tag is the switch's (RFC 3891 section 3).
fn replaces(end: &End, from_tag: &str) -> String {
    let tag = |value: &str| value.split(";tag=").nth(1).expect("a tag").to_owned();
    let from_tag = if from_tag.is_empty() { tag(&end.local) } else { from_tag.to_owned() };
    format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{from_tag}", end.call_id, tag(&end.remote))
}

#[test]
fn an_attended_transfer_joins_calls_of_whatever_shards_and_all_of_it_ends() {
    let switch = Switch::start(Config::lab().set("node", "shards", "3"));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    // Call-IDs fall on shards as they hash: nine pairs of three shards are met often enough.
    for _ in 0..6 {
        let (mut one, mut of_bob) = standing(&mut alice, &mut bob);
        let (two, _) = standing(&mut alice, &mut carol);

        let target = format!("Refer-To: <sip:carol@example.com?Replaces={}>\n", replaces(&two, ""));
        alice.say(&mut one, "REFER", &target, "");
        let again = carol.wire.receive("INVITE");
        carol.reply(&again, "200 OK", "", SDP);
        carol.wire.receive("ACK");
        alice.both_go(&mut one);
        talks(&mut bob, &mut of_bob, &mut carol);

        bob.say(&mut of_bob, "BYE", "", "");
        assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
        let bye = carol.wire.receive("BYE");
        carol.reply(&bye, "200 OK", "", "");
        idle(&switch);
    }
}

#[test]
fn who_knows_one_tag_of_another_call_alone_cannot_have_its_party() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::registered(&switch, "carol");
    let (mut one, _) = standing(&mut alice, &mut bob);
    let (mut two, _) = standing(&mut alice, &mut carol);

    let target = format!("Refer-To: <sip:carol@example.com?Replaces={}>\n", replaces(&two, "guessed"));
    alice.say(&mut one, "REFER", &target, "");

    alice.notified("481");
    talks(&mut alice, &mut one, &mut bob);
    talks(&mut alice, &mut two, &mut carol);
}

#[test]
fn a_call_whose_actor_dies_while_it_rings_is_answered_and_ends() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.call("bob", "");
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "180 Ringing", "", "");
    assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));

    let calls = switch.command(&["tree", "--json"]);
    let tree = String::from_utf8_lossy(&calls.stdout).into_owned();
    let path = tree.split('"').find(|word| word.contains("/calls/")).expect("the call is in the tree");
    let killed = switch.command(&["kill", path]);
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));

    bob.reply(&invite, "200 OK", "", SDP);
    let answer = alice.answer_to("INVITE", 200);
    assert_eq!(status(&answer), Some(200));
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    alice.say(&mut end, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    let bye = bob.wire.receive("BYE");
    bob.reply(&bye, "200 OK", "", "");
    idle(&switch);
}

#[test]
fn a_text_that_no_phone_can_show_is_refused_and_not_kept() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    alice.begin("MESSAGE", "sip:bob@example.com", "", "text");
    let message = bob.wire.receive("MESSAGE");

    bob.reply(&message, "415 Unsupported Media Type", "", "");

    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(415));
    let mut again = Party::registered(&switch, "bob");
    alice.begin("MESSAGE", "sip:bob@example.com", "", "later");
    let message = again.wire.receive("MESSAGE");
    assert!(message.ends_with("later"), "{message}");
}
