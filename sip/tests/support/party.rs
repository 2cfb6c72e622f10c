//! One user of a transaction layer in a test: the layer, its time and what it has said.

use super::{answer, hop, ms, request};
use sip::transaction::{ClientId, Layer, Output, Outputs, ServerId, Timers};
use sip::{Hop, Message, Protocol};
use std::time::Duration;

pub struct Party {
    pub layer: Layer<u64>,
    pub now: Duration,
    pub hop: Hop,
    pub out: Outputs<u64>,
}

impl Party {
    pub fn caller(protocol: Protocol) -> Self {
        Self::new(protocol, true)
    }

    pub fn callee(protocol: Protocol) -> Self {
        Self::new(protocol, false)
    }

    fn new(protocol: Protocol, caller: bool) -> Self {
        Self {
            layer: Layer::new(Timers::default(), 1_000),
            now: Duration::ZERO,
            hop: hop(protocol, caller),
            out: Vec::new(),
        }
    }

    /// Takes a message in and returns what the layer says.
    pub fn receive(&mut self, message: &Message) -> Outputs<u64> {
        self.out.clear();
        self.layer.receive(self.now, message.clone(), self.hop, &mut self.out);
        std::mem::take(&mut self.out)
    }

    /// Lets time pass to `at`, in ms, and returns what was said with its time in ms.
    pub fn until(&mut self, at: u64) -> Vec<(u64, Output<u64>)> {
        let mut said = Vec::new();
        self.out.clear();
        while let Some(next) = self.layer.next_timeout().filter(|n| *n <= ms(at)) {
            assert!(next > self.now || next == Duration::ZERO, "time stands still at {next:?}");
            self.now = next;
            self.layer.timeout(self.now, &mut self.out);
            let at = u64::try_from(next.as_millis()).unwrap();
            said.extend(self.out.drain(..).map(|o| (at, o)));
        }
        self.now = ms(at);
        said
    }

    /// Times in ms at which something was sent until `at`.
    pub fn sends_until(&mut self, at: u64) -> Vec<u64> {
        let said = self.until(at);
        said.iter().filter(|(_, o)| matches!(o, Output::Send { .. })).map(|(t, _)| *t).collect()
    }

    pub fn send(&mut self, request: &Message) -> ClientId {
        let branch = std::str::from_utf8(request.branch()).unwrap();
        self.layer
            .request(self.now, request.raw().clone(), request.method(), branch, self.hop, 7, &mut self.out)
            .unwrap()
    }

    pub fn respond(&mut self, server: ServerId, response: &Message) -> Outputs<u64> {
        let status = response.status().unwrap();
        self.layer.respond(self.now, server, status, response.raw().clone(), &mut self.out);
        std::mem::take(&mut self.out)
    }

    /// Receives a new request and gives its transaction.
    pub fn serve(&mut self, request: &Message) -> ServerId {
        let out = self.receive(request);
        let [Output::Request { server, .. }] = out.as_slice() else {
            panic!("no new request: {out:?}");
        };
        *server
    }

    pub fn is_idle(&self) -> bool {
        self.layer.counts().total() == 0 && self.layer.next_timeout().is_none()
    }
}

/// The messages among outputs.
pub fn sent(out: &[Output<u64>]) -> Vec<Message> {
    out.iter()
        .filter_map(|o| match o {
            Output::Send { bytes, .. } => Some(Message::parse(bytes.clone()).unwrap()),
            _ => None,
        })
        .collect()
}

/// One word an output: `200`, `ACK` for what is sent, `<Request>`, `<Response 180>` … for what the user hears.
pub fn words(out: &[Output<u64>]) -> String {
    let word = |o: &Output<u64>| match o {
        Output::Send { bytes, .. } => {
            let message = Message::parse(bytes.clone()).unwrap();
            message.status().map_or_else(|| message.method().to_string(), |s| s.code().to_string())
        }
        Output::Request { .. } => "<request>".to_owned(),
        Output::Overload { .. } => "<overload>".to_owned(),
        Output::Acked { .. } => "<acked>".to_owned(),
        Output::Ack { .. } => "<ack>".to_owned(),
        Output::Cancel { .. } => "<cancel>".to_owned(),
        Output::Response { message, .. } => format!("<{}>", message.status().unwrap().code()),
        Output::Stray { .. } => "<stray>".to_owned(),
        Output::ClientEnded { why, .. } => format!("<{why:?}>"),
        Output::ServerEnded { why, .. } => format!("<{why:?}>"),
    };
    out.iter().map(word).collect::<Vec<_>>().join(" ")
}

pub fn invite() -> Message {
    request("INVITE", "call", 1, "z9hG4bKinvite", "")
}

pub fn options() -> Message {
    request("OPTIONS", "call", 1, "z9hG4bKoptions", "")
}

/// A 2xx's ACK: a request with a branch of its own.
pub fn ack_2xx(tag: &str) -> Message {
    request("ACK", "call", 1, "z9hG4bKack", &format!(";tag={tag}"))
}

/// A refusal's ACK, on the branch of the INVITE.
pub fn ack_refusal(tag: &str) -> Message {
    request("ACK", "call", 1, "z9hG4bKinvite", &format!(";tag={tag}"))
}

pub fn ringing() -> Message {
    answer(&invite(), 180, "bob")
}

pub fn ok() -> Message {
    answer(&invite(), 200, "bob")
}

pub fn busy() -> Message {
    answer(&invite(), 486, "bob")
}
