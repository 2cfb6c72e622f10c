//! The calls of a capture: which messages are of one leg, which legs of one call, and what each end said and heard.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sip::sdp::Session;
use sip::value::Uri;
use sip::{Message, Method, Name, Status};

use super::packets::{self, Packet};
use crate::capture::own_call;

/// Most legs of a file.
const LEGS_MAX: usize = 10_000;

/// Whom the switch speaks with in a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who sent the INVITE.
    Caller,
    /// Who got it from the switch.
    Callee,
}

/// A message of a leg.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, since the epoch.
    pub at: Duration,
    /// It is the end's own, and so is played; otherwise it came from the switch.
    pub own: bool,
    /// The message.
    pub message: Message,
}

/// A stream of an end.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Where the end hears, as its descriptions say.
    pub at: SocketAddr,
    /// What it sent, in order.
    pub sent: Vec<(Duration, Vec<u8>)>,
    /// How many packets came to it.
    pub heard: u64,
}

/// One end of a call, and the switch.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Which end.
    pub side: Side,
    /// Its Call-ID.
    pub call_id: String,
    /// The end's own address.
    pub end: SocketAddr,
    /// Where the switch was.
    pub switch: SocketAddr,
    /// Who it may be, by the user parts that name it.
    pub users: Vec<String>,
    /// Everything said, each message once.
    pub events: Vec<Event>,
    /// Its sound.
    pub streams: Vec<Stream>,
}

/// A call.
#[derive(Clone, Debug)]
pub struct CapturedCall {
    /// The Call-ID of the caller's leg.
    pub id: String,
    /// When its INVITE came, since the epoch.
    pub began: Duration,
    /// The caller's leg, and those that the switch made of it.
    pub legs: Vec<Leg>,
}

impl CapturedCall {
    /// From whom to whom.
    pub fn title(&self) -> String {
        let invite = self.legs.first().and_then(|leg| leg.events.first()).map(|event| &event.message);
        let user = |message: &Message| message.from().ok().map(|from| user_of(from.uri));
        let from = invite.and_then(user).unwrap_or_default();
        format!("{from} calls {}", invite.map(|invite| user_of(invite.request_uri())).unwrap_or_default())
    }

    /// Whether one of its messages has this text in it.
    pub fn has(&self, text: &str) -> bool {
        let mut messages = self.legs.iter().flat_map(|leg| &leg.events).map(|event| event.message.raw());
        messages.any(|raw| raw.windows(text.len().max(1)).any(|window| window == text.as_bytes()))
    }
}

/// The calls of a file in the order of their begin. Those whose caller is not in it (a phone that the switch called by itself) are
/// left out.
///
/// # Errors
/// The file cannot be read, or no place in it is the switch's.
pub fn read(file: &Path, switch: Option<SocketAddr>) -> anyhow::Result<Vec<CapturedCall>> {
    let packets = packets::read(file)?;
    let messages: Vec<(&Packet, Message)> =
        packets.iter().filter_map(|packet| Some((packet, packets::message(packet)?))).collect();
    let first = switch.or_else(|| find_switch(&messages));
    let first = first.with_context(|| format!("{}: no INVITE of a call", file.display()))?;
    let mut legs = legs(&messages, &places(&messages, first));
    // An end that never said a word is no phone any more.
    legs.retain(|leg| leg.events.iter().any(|event| event.own));
    for leg in &mut legs {
        leg.streams = streams(leg, &packets);
    }
    Ok(joined(legs))
}

/// The INVITEs by which calls begin.
fn beginnings<'a>(messages: &'a [(&'a Packet, Message)]) -> impl Iterator<Item = &'a Packet> + Clone {
    messages.iter().filter(|(_, message)| begins(message)).map(|(packet, _)| *packet)
}

fn begins(message: &Message) -> bool {
    *message.method() == Method::Invite && message.is_request() && message.to_tag().is_none()
}

/// The switch is who gets INVITEs and sends some; where nobody does both, who gets the first.
fn find_switch(messages: &[(&Packet, Message)]) -> Option<SocketAddr> {
    let sends: HashSet<SocketAddr> = beginnings(messages).map(|packet| packet.from).collect();
    let mut gets = beginnings(messages).map(|packet| packet.to);
    gets.clone().find(|to| sends.contains(to)).or_else(|| gets.next())
}

/// All places of the switch: it may take TCP at another port, and whoever gets an INVITE that the switch has not sent is the switch.
fn places(messages: &[(&Packet, Message)], first: SocketAddr) -> HashSet<SocketAddr> {
    beginnings(messages).filter(|packet| packet.from != first).map(|packet| packet.to).chain([first]).collect()
}

fn legs(messages: &[(&Packet, Message)], switch: &HashSet<SocketAddr>) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    let mut known: HashMap<(Vec<u8>, SocketAddr), usize> = HashMap::new();
    let mut seen: HashSet<&[u8]> = HashSet::new();
    for (packet, message) in messages {
        let own = switch.contains(&packet.to);
        // What was sent again is the same, byte for byte.
        if own == switch.contains(&packet.from) || !seen.insert(&packet.payload) {
            continue;
        }
        // The way's own answer says nothing of the call (RFC 3261 section 21.1.1).
        if message.status() == Some(Status::TRYING) {
            continue;
        }
        // A proxy gives both ends of a call the same Call-ID.
        let of = (message.call_id().to_vec(), if own { packet.from } else { packet.to });
        let leg = match known.get(&of).copied() {
            Some(leg) => leg,
            None if begins(message) && legs.len() < LEGS_MAX => {
                known.insert(of, legs.len());
                let to = message.to().ok().map(|to| user_of(to.uri));
                let named = match own {
                    true => message.from().ok().map(|from| user_of(from.uri)).into_iter().collect(),
                    false => to.into_iter().chain([user_of(message.request_uri())]).collect(),
                };
                legs.push(Leg {
                    side: if own { Side::Caller } else { Side::Callee },
                    call_id: String::from_utf8_lossy(message.call_id()).into_owned(),
                    end: if own { packet.from } else { packet.to },
                    switch: if own { packet.to } else { packet.from },
                    users: named,
                    events: Vec::new(),
                    streams: Vec::new(),
                });
                legs.len() - 1
            }
            None => continue,
        };
        if let Some(leg) = legs.get_mut(leg) {
            leg.events.push(Event { at: packet.at, own, message: message.clone() });
        }
    }
    legs
}

/// What the end sent from where its descriptions say that it hears, and how much came there.
fn streams(leg: &Leg, packets: &[Packet]) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for event in leg.events.iter().filter(|event| event.own) {
        let Ok(session) = Session::parse(event.message.body()) else { continue };
        let places = session.media.iter().filter(|media| media.port != 0).filter_map(|media| session.rtp_target(media));
        for at in places {
            if !streams.iter().any(|stream| stream.at == at) {
                streams.push(Stream { at, sent: Vec::new(), heard: 0 });
            }
        }
    }
    let (first, last) = (leg.events.first(), leg.events.last());
    let (Some(first), Some(last)) = (first.map(|event| event.at), last.map(|event| event.at)) else { return streams };
    for packet in packets.iter().filter(|packet| (first..=last).contains(&packet.at)) {
        if media::rtp::Header::parse(&packet.payload).is_err() || media::rtp::is_rtcp(&packet.payload) {
            continue;
        }
        for stream in &mut streams {
            if packet.from == stream.at {
                stream.sent.push((packet.at, packet.payload.clone()));
            } else if packet.to == stream.at {
                stream.heard += 1;
            }
        }
    }
    streams
}

/// Puts callees to their callers: by the call's id that a Strowger writes into the Contact of each leg; of other switches to the
/// last caller before.
fn joined(legs: Vec<Leg>) -> Vec<CapturedCall> {
    let id_of = |leg: &Leg| {
        leg.events.iter().filter(|event| !event.own).find_map(|event| own_call(&event.message).map(<[u8]>::to_vec))
    };
    let began = |leg: &Leg| leg.events.first().map_or(Duration::ZERO, |event| event.at);
    let mut calls: Vec<(Option<Vec<u8>>, CapturedCall)> = Vec::new();
    let mut callees = Vec::new();
    for leg in legs {
        match leg.side {
            Side::Caller => {
                let call = CapturedCall { id: leg.call_id.clone(), began: began(&leg), legs: Vec::new() };
                calls.push((id_of(&leg), CapturedCall { legs: vec![leg], ..call }));
            }
            Side::Callee => callees.push(leg),
        }
    }
    for leg in callees {
        let (id, at) = (id_of(&leg), began(&leg));
        let by_id = id.and_then(|id| calls.iter().position(|(other, _)| other.as_ref() == Some(&id)));
        // A caller who was refused has seen no Contact.
        let by_time = || calls.iter().rposition(|(other, call)| other.is_none() && call.began <= at);
        let found = by_id.or_else(by_time);
        if let Some((_, call)) = found.and_then(|found| calls.get_mut(found)) {
            call.legs.push(leg);
        }
    }
    calls.into_iter().map(|(_, call)| call).collect()
}

/// The user part of a URI, as it is written.
fn user_of(uri: &[u8]) -> String {
    let user = Uri::parse(uri).ok().and_then(|uri| uri.user.map(<[u8]>::to_vec));
    String::from_utf8_lossy(&user.unwrap_or_default()).into_owned()
}

/// Whether a message is the end of an INVITE that the switch did not take because it first asks who calls.
pub fn is_challenge(message: &Message) -> bool {
    matches!(message.status(), Some(Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED))
        && (message.value(Name::WwwAuthenticate).is_some() || message.value(Name::ProxyAuthenticate).is_some())
}
