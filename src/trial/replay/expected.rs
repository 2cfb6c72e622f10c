//! What is still to be said in a leg, and what came from the switch instead.

use std::collections::{BTreeSet, VecDeque};

use sip::sdp::{Media, Session};
use sip::{Message, Name};

use super::calls::{Event, is_challenge};

/// What a message of the switch is, beside what was captured.
#[derive(Debug)]
pub enum Came {
    /// What came then. The words are of messages that did not come before it.
    Expected(Box<Event>, Vec<String>),
    /// It asks who calls, and did not then.
    Challenge,
    /// The request ended otherwise.
    Otherwise(String),
    /// Nothing like it came then.
    New,
}

/// The rest of a leg.
#[derive(Debug)]
pub struct Expected(VecDeque<Event>);

impl Expected {
    /// Of a leg's messages.
    pub fn new(events: Vec<Event>) -> Self {
        Self(events.into())
    }

    /// The next message, if it is the end's own, and so is to be played.
    pub fn next_own(&self) -> Option<&Event> {
        self.0.front().filter(|event| event.own)
    }

    /// Takes it.
    pub fn take_own(&mut self) -> Option<Event> {
        self.0.pop_front_if(|event| event.own)
    }

    /// What is waited for.
    pub fn awaited(&self) -> Option<&Event> {
        self.0.front().filter(|event| !event.own)
    }

    /// Gives up what is waited for.
    pub fn skip(&mut self) -> Option<Event> {
        self.0.pop_front_if(|event| !event.own)
    }

    /// Whether all has been said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds what came then for what comes now.
    pub fn take(&mut self, now: &Message) -> Came {
        if self.drop_challenge(now) {
            return match self.take(now) {
                Came::Expected(event, mut told) => {
                    told.insert(0, format!("{} came without the question who calls", title(now)));
                    Came::Expected(event, told)
                }
                other => other,
            };
        }
        if let Some(at) = self.0.iter().position(|event| !event.own && same_kind(&event.message, now)) {
            // Provisional answers that the final one has overtaken come no more.
            let mut missing = Vec::new();
            let is_final = now.status().is_some_and(|status| !status.is_provisional());
            let mut place = 0;
            let mut found = None;
            self.0.retain(|event| {
                let here = place;
                place += 1;
                let overtaken = is_final
                    && here < at
                    && !event.own
                    && event.message.status().is_some_and(sip::Status::is_provisional)
                    && event.message.method() == now.method();
                if overtaken {
                    missing.push(format!("{} did not come", title(&event.message)));
                }
                if here == at {
                    found = Some(event.clone());
                }
                !overtaken && here != at
            });
            return found.map_or(Came::New, |event| Came::Expected(Box::new(event), missing));
        }
        let Some(status) = now.status() else { return Came::New };
        if is_challenge(now) {
            return Came::Challenge;
        }
        let is_pending = |event: &&Event| {
            !event.own
                && event.message.method() == now.method()
                && event.message.status().is_some_and(|status| !status.is_provisional())
        };
        let Some(pending) = self.0.iter().find(is_pending) else { return Came::New };
        if status.is_provisional() {
            return Came::New;
        }
        Came::Otherwise(format!("{} came, {} then", title(now), title(&pending.message)))
    }

    /// Forgets a challenge that is not made any more, its ACK, and the request that came with credentials: whether there was one.
    fn drop_challenge(&mut self, now: &Message) -> bool {
        // A 100 may come before a challenge.
        let is_past = now.status().is_some_and(|status| status.code() > 100) && !is_challenge(now);
        if !is_past {
            return false;
        }
        let answers = |event: &Event| !event.own && event.message.method() == now.method();
        let is_final = |event: &Event| event.message.status().is_some_and(|status| !status.is_provisional());
        let Some(at) = self.0.iter().position(|event| answers(event) && is_final(event)) else { return false };
        let repeats = |event: &Event| event.own && event.message.is_request() && event.message.method() == now.method();
        let mut rest = self.0.iter().enumerate().skip(at);
        match rest.next() {
            Some((_, event)) if is_challenge(&event.message) => {}
            _ => return false,
        }
        let Some(again) = rest.find(|(_, event)| repeats(event)).map(|(at, _)| at) else { return false };
        self.0.drain(at..=again);
        true
    }
}

/// A message in few words: `INVITE`, `200 INVITE`.
pub fn title(message: &Message) -> String {
    match message.status() {
        Some(status) => format!("{} {}", status.code(), message.method()),
        None => message.method().to_string(),
    }
}

fn same_kind(one: &Message, other: &Message) -> bool {
    one.status() == other.status() && one.method() == other.method()
}

/// How a message differs from what came then, beside its names: the lines of its description.
pub fn differences(then: &Message, now: &Message) -> Vec<String> {
    let (Ok(was), Ok(is)) = (Session::parse(then.body()), Session::parse(now.body())) else {
        let has = |message: &Message| if message.body().is_empty() { "without" } else { "with" };
        return (then.body().is_empty() != now.body().is_empty())
            .then(|| format!("{} came {} a body, {} one then", title(now), has(now), has(then)))
            .into_iter()
            .collect();
    };
    let told = |session: &Session| session.media.iter().map(|media| line(session, media)).collect::<Vec<_>>();
    let (was, is) = (told(&was), told(&is));
    (was != is)
        .then(|| format!("{} says {}, {} then", title(now), is.join(" + "), was.join(" + ")))
        .into_iter()
        .collect()
}

/// A line of a description without its port, keys and numbers.
fn line(session: &Session, media: &Media) -> String {
    let codecs = media.formats.iter().map(|format| match media.rtpmap(format) {
        Some(map) => map.encoding.to_string(),
        None => format.to_string(),
    });
    let direction = session.direction_of(media);
    let off = if media.port == 0 { " off" } else { "" };
    format!("{:?} {} {} {}{off}", media.kind, media.protocol, codecs.collect::<Vec<_>>().join(","), direction.name())
}

/// Headers that came or went.
pub fn notes(then: &Message, now: &Message) -> Vec<String> {
    let names = |message: &Message| -> BTreeSet<String> {
        let name = |header: sip::message::Header<'_>| match header.name {
            Name::Other => String::from_utf8_lossy(header.name_bytes).to_ascii_lowercase(),
            known => known.as_str().to_ascii_lowercase(),
        };
        message.headers().map(name).collect()
    };
    let (was, is) = (names(then), names(now));
    let gone = was.difference(&is).map(|name| format!("{} has no {name}, which it had then", title(now)));
    let new = is.difference(&was).map(|name| format!("{} has {name}, which it had not then", title(now)));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn message(start: &str, cseq: &str, more: &str) -> Message {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n\
             CSeq: {cseq}\r\n{more}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes()).unwrap()
    }

    fn event(own: bool, message: Message) -> Event {
        Event { at: Duration::ZERO, own, message }
    }

    fn response(code: u16) -> Message {
        message(
            &format!("SIP/2.0 {code} So"),
            "1 INVITE",
            if code == 401 { "WWW-Authenticate: Digest realm=\"x\"\r\n" } else { "" },
        )
    }

    fn invite() -> Message {
        message("INVITE sip:a@b SIP/2.0", "1 INVITE", "")
    }

    #[test]
    fn what_came_then_is_found_and_what_it_has_overtaken_is_told() {
        let mut rest = Expected::new(vec![event(false, response(180)), event(false, response(200))]);
        let Came::Expected(_, missing) = rest.take(&response(200)) else { panic!("it is there") };
        assert_eq!(missing, ["180 INVITE did not come"]);
        assert!(rest.is_empty());
    }

    #[test]
    fn another_end_and_something_new_are_told_apart() {
        let mut rest = Expected::new(vec![event(false, response(200))]);
        assert!(matches!(rest.take(&response(183)), Came::New));
        let Came::Otherwise(told) = rest.take(&response(486)) else { panic!("it ends otherwise") };
        assert_eq!(told, "486 INVITE came, 200 INVITE then");
        assert!(matches!(rest.take(&response(401)), Came::Challenge));
    }

    #[test]
    fn a_switch_that_no_longer_asks_who_calls_is_not_answered_again() {
        let ack = message("ACK sip:a@b SIP/2.0", "1 ACK", "");
        let mut rest = Expected::new(vec![
            event(false, response(401)),
            event(true, ack),
            event(true, invite()),
            event(false, response(200)),
        ]);
        let Came::Expected(_, told) = rest.take(&response(200)) else { panic!("it is there") };
        assert_eq!(told, ["200 INVITE came without the question who calls"]);
        assert!(rest.is_empty());
    }

    #[test]
    fn headers_that_came_or_went_are_told() {
        let now = message("SIP/2.0 200 So", "1 INVITE", "X-New: 1\r\n");
        assert_eq!(notes(&response(200), &now), ["200 INVITE has x-new, which it had not then"]);
    }
}
