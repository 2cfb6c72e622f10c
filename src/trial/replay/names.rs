//! What is called otherwise when a call is played again: addresses, tags, Call-IDs, branches, and the ports of sound.
//!
//! An end's messages go out as they were captured, header by header, with the names of then replaced by those of now. So what made a
//! phone's messages its own (order, odd headers, capabilities) is played as well.

use std::collections::HashMap;
use std::net::SocketAddr;

use sip::auth::ChallengedBy;
use sip::{Message, Name};

/// Names of then and now.
#[derive(Debug)]
pub struct Names {
    /// Texts of then and of now, the longest first.
    pairs: Vec<(String, String)>,
    branches: HashMap<Vec<u8>, String>,
    /// Where the end hears: then and now.
    sound: Vec<(SocketAddr, SocketAddr)>,
    local: SocketAddr,
    /// The last RSeq of the switch (RFC 3262 section 7.1).
    rseq: Option<String>,
}

impl Names {
    /// Of an end that was at `end` and is at `local`, before a switch that was at `switch` and is at `target`.
    pub fn new(end: SocketAddr, local: SocketAddr, switch: SocketAddr, target: SocketAddr) -> Self {
        let mut names = Self { pairs: Vec::new(), branches: HashMap::new(), sound: Vec::new(), local, rseq: None };
        for (then, now) in [(end, local), (switch, target)] {
            names.call(&then.to_string(), &now.to_string());
            if then.ip() != now.ip() {
                names.call(&then.ip().to_string(), &now.ip().to_string());
            }
        }
        names
    }

    /// From now on `then` is called `now`.
    pub fn call(&mut self, then: &str, now: &str) {
        if then.is_empty() || self.pairs.iter().any(|(known, _)| known == then) {
            return;
        }
        let at = self.pairs.partition_point(|(known, _)| known.len() >= then.len());
        self.pairs.insert(at, (then.to_owned(), now.to_owned()));
    }

    /// The end's sound that was heard at `then` is heard at `now`.
    pub fn sounds_at(&mut self, then: SocketAddr, now: SocketAddr) {
        self.sound.push((then, now));
    }

    /// Takes down what the switch calls itself now, from two messages that mean the same.
    pub fn learn(&mut self, then: &Message, now: &Message) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.call(&text(then.call_id()), &text(now.call_id()));
        let tag = |message: &Message| match message.is_request() {
            true => text(message.from_tag()),
            false => text(message.to_tag().unwrap_or_default()),
        };
        self.call(&tag(then), &tag(now));
        if let (Some(then), Some(now)) = (then.contact(), now.contact()) {
            self.call(&text(then.uri), &text(now.uri));
        }
        for (then, now) in then.all(Name::RecordRoute).zip(now.all(Name::RecordRoute)) {
            self.call(&text(&then.unfolded()), &text(&now.unfolded()));
        }
        self.rseq = now.value(Name::RSeq).map(text).or(self.rseq.take());
    }

    /// A text of then in the names of now.
    pub fn now(&self, then: &str) -> String {
        let mut out = String::with_capacity(then.len());
        let mut rest = then;
        let mut before = None;
        while !rest.is_empty() {
            let stands = |known: &str| {
                let behind = rest.get(known.len()..).and_then(|behind| behind.chars().next());
                rest.starts_with(known) && !before.is_some_and(is_of_name) && !behind.is_some_and(is_of_name)
            };
            let taken = match self.pairs.iter().find(|(known, _)| stands(known)) {
                Some((known, now)) => {
                    out.push_str(now);
                    known.len()
                }
                None => {
                    let length = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(rest.get(..length).unwrap_or_default());
                    length
                }
            };
            before = rest.get(..taken).and_then(|taken| taken.chars().next_back());
            rest = rest.get(taken..).unwrap_or_default();
        }
        out
    }

    /// The branch of now; requests that had the same (ACK of a refusal, CANCEL) have the same again.
    pub fn branch(&mut self, then: &[u8]) -> String {
        let fresh = || format!("z9hG4bKreplay{:016x}", rand::random::<u64>());
        self.branches.entry(then.to_vec()).or_insert_with(fresh).clone()
    }

    /// A request that is no longer the one that was captured, because the switch asked who calls.
    pub fn forget_branch(&mut self, then: &[u8]) {
        self.branches.remove(then);
    }

    /// A request of the end, as it is said now: its URI, and its bytes. `credentials` are a header of their own.
    pub fn request(&mut self, then: &Message, cseq: u32, credentials: Option<&(ChallengedBy, String)>) -> Vec<u8> {
        let branch = self.branch(then.branch());
        let text = |bytes: &[u8]| self.now(&String::from_utf8_lossy(bytes));
        let mut out = format!("{} {} SIP/2.0\r\n", then.method(), self.uri(then));
        let mut top = true;
        for header in then.headers() {
            let value = match header.name {
                Name::Via if std::mem::take(&mut top) => {
                    format!("SIP/2.0/UDP {};branch={branch};rport", self.local)
                }
                Name::CSeq => format!("{cseq} {}", then.method()),
                Name::Authorization | Name::ProxyAuthorization | Name::ContentLength => continue,
                Name::RAck => match &self.rseq {
                    Some(rseq) => with_first(&header.unfolded(), rseq),
                    None => text(&header.unfolded()),
                },
                _ => without_transport(text(&header.unfolded())),
            };
            line(&mut out, header.name_bytes, &value);
        }
        if let Some((by, value)) = credentials {
            let name = match by {
                ChallengedBy::Server => Name::Authorization,
                ChallengedBy::Proxy => Name::ProxyAuthorization,
            };
            line(&mut out, name.as_str().as_bytes(), value);
        }
        self.ended(out, then.body())
    }

    /// The Request-URI of a request of the end, as it is now.
    pub fn uri(&self, then: &Message) -> String {
        without_transport(self.now(&String::from_utf8_lossy(then.request_uri())))
    }

    /// A response of the end to `asked`, as it is said now. What belongs to the way of the request is taken from there
    /// (RFC 3261 section 8.2.6.2).
    pub fn response(&self, then: &Message, asked: &Message) -> Vec<u8> {
        let text = |bytes: &[u8]| self.now(&String::from_utf8_lossy(bytes));
        let code = then.status().map_or(500, sip::Status::code);
        let mut out = format!("SIP/2.0 {code} {}\r\n", then.reason());
        let of_way = [Name::Via, Name::From, Name::CallId, Name::CSeq, Name::RecordRoute];
        for name in of_way {
            for header in asked.all(name) {
                line(&mut out, name.as_str().as_bytes(), &String::from_utf8_lossy(&header.unfolded()));
            }
        }
        let mut to = asked.value(Name::To).map(|to| String::from_utf8_lossy(to).into_owned()).unwrap_or_default();
        if let Some(tag) = then.to_tag().filter(|_| asked.to_tag().is_none()) {
            to.push_str(&format!(";tag={}", text(tag)));
        }
        line(&mut out, b"To", &to);
        for header in then.headers() {
            let kept = !of_way.contains(&header.name) && !matches!(header.name, Name::To | Name::ContentLength);
            if kept {
                line(&mut out, header.name_bytes, &without_transport(text(&header.unfolded())));
            }
        }
        self.ended(out, then.body())
    }

    fn ended(&self, mut head: String, body: &[u8]) -> Vec<u8> {
        let body = match body.starts_with(b"v=0") {
            true => self.description(&String::from_utf8_lossy(body)).into_bytes(),
            false => body.to_vec(),
        };
        line(&mut head, b"Content-Length", &body.len().to_string());
        head.push_str("\r\n");
        [head.into_bytes(), body].concat()
    }

    /// A session description with the ports of now.
    fn description(&self, then: &str) -> String {
        let family = if self.local.is_ipv4() { "IP4" } else { "IP6" };
        let session = sip::sdp::Session::parse(then.as_bytes()).ok();
        let mut lines = session.iter().flat_map(|session| session.media.iter().map(|media| session.rtp_target(media)));
        let mut out = String::with_capacity(then.len());
        for text in then.lines() {
            let said = match text.get(..2) {
                Some("c=") => format!("c=IN {family} {}", self.local.ip()),
                Some("o=") => {
                    let mut fields: Vec<&str> = text.split(' ').take(3).collect();
                    let ip = self.local.ip().to_string();
                    fields.extend(["IN", family, &ip]);
                    fields.join(" ")
                }
                Some("m=") => {
                    let now = lines.next().flatten().and_then(|then| {
                        self.sound.iter().find(|(known, _)| *known == then).map(|(_, now)| now.port().to_string())
                    });
                    let mut fields: Vec<&str> = text.split(' ').collect();
                    if let (Some(port), Some(now)) = (fields.get_mut(1), &now) {
                        *port = now;
                    }
                    fields.join(" ")
                }
                // Reports go beside the sound.
                _ if text.starts_with("a=rtcp:") => continue,
                _ => text.to_owned(),
            };
            out.push_str(&said);
            out.push_str("\r\n");
        }
        out
    }
}

fn line(out: &mut String, name: &[u8], value: &str) {
    out.push_str(&String::from_utf8_lossy(name));
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

/// `RAck: 1 2 INVITE` with another first number.
fn with_first(value: &[u8], first: &str) -> String {
    let text = String::from_utf8_lossy(value).into_owned();
    let rest = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).to_owned();
    format!("{first} {rest}")
}

/// Everything is played over UDP.
fn without_transport(value: String) -> String {
    ["tcp", "tls", "ws", "wss", "TCP", "TLS"].iter().fold(value, |value, transport| {
        let parameter = format!(";transport={transport}");
        match value.find(&parameter).map(|at| at + parameter.len()) {
            Some(end) if !value.get(end..).unwrap_or_default().starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                value.replacen(&parameter, "", 1)
            }
            _ => value,
        }
    })
}

/// Whether a character may go on with the name beside it.
const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let at = |text: &str| text.parse().unwrap();
        Names::new(at("192.0.2.7:5060"), at("127.0.0.1:4000"), at("192.0.2.1:5060"), at("127.0.0.1:5070"))
    }

    #[test]
    fn whole_names_are_replaced_and_parts_of_others_are_not() {
        let mut names = names();
        names.call("abc", "XYZ");
        assert_eq!(
            names.now("<sip:a@192.0.2.7:5060>;tag=abc, 192.0.2.77 abcd xabc abc"),
            "<sip:a@127.0.0.1:4000>;tag=XYZ, 192.0.2.77 abcd xabc XYZ"
        );
        assert_eq!(names.now("sip:1002@192.0.2.1"), "sip:1002@127.0.0.1");
    }

    #[test]
    fn a_description_says_where_the_end_hears_now() {
        let mut names = names();
        names.sounds_at("192.0.2.7:9000".parse().unwrap(), "127.0.0.1:7000".parse().unwrap());
        let then = "v=0\r\no=a 1 2 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0 8\r\n\
                    a=rtcp:9001\r\na=sendrecv\r\nm=video 0 RTP/AVP 99\r\n";
        assert_eq!(
            names.description(then),
            "v=0\r\no=a 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0 8\r\n\
             a=sendrecv\r\nm=video 0 RTP/AVP 99\r\n"
        );
    }

    #[test]
    fn a_request_is_what_it_was_with_the_names_of_now() {
        let raw = "BYE sip:x-0@192.0.2.1:5060;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK1\r\n\
                   From: <sip:a@b>;tag=mine\r\nTo: <sip:c@b>;tag=theirs\r\nCall-ID: then\r\nCSeq: 3 BYE\r\nX-Odd:  1\r\n\
                   Content-Length: 0\r\n\r\n";
        let mut names = names();
        for (then, now) in
            [("then", "now"), ("mine", "m2"), ("theirs", "t2"), ("sip:x-0@192.0.2.1:5060;transport=tcp", "sip:y-0@h")]
        {
            names.call(then, now);
        }
        let said = names.request(&Message::parse(raw.as_bytes().to_vec()).unwrap(), 4, None);
        let said = Message::parse(said).unwrap();
        assert_eq!((said.request_uri(), said.call_id(), said.cseq()), (&b"sip:y-0@h"[..], &b"now"[..], 4));
        assert_eq!((said.from_tag(), said.to_tag()), (&b"m2"[..], Some(&b"t2"[..])));
        assert_eq!(said.value_of("X-Odd"), Some(&b"1"[..]));
        assert!(said.branch().starts_with(b"z9hG4bKreplay"));
    }
}
