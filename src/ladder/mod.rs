//! A call as a ladder: the parties and the switch as posts, each message as a rung, and between them what the switch
//! decided, what became of the media, and the faults. It is a view of the call's record (design law 8), drawn for a
//! terminal in [`text`] and as a picture in [`svg`].

pub mod svg;
pub mod text;

use serde::Deserialize;

/// The record of a call, as `GET /api/calls/ID` tells it.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// The call, while it is up.
    pub call: Option<Party>,
    /// Its detail record, when it has ended.
    pub ended: Option<Party>,
    /// What happened, in order; of a call that ended long ago nothing is left.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Events that were dropped from the middle.
    #[serde(default)]
    pub dropped: u64,
}

/// Who talks with whom, of a call that is up or of one that has ended.
#[derive(Debug, Deserialize)]
pub struct Party {
    /// The switch's name of the call.
    pub id: String,
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// `ringing`, `up` … while it is up.
    pub state: Option<String>,
    /// When its INVITE came, RFC 3339.
    pub started: Option<String>,
    /// ms from the INVITE to the end, or to now.
    pub duration_ms: u64,
    /// Final SIP status, when it has ended.
    pub sip_status: Option<u16>,
    /// Who hung up, when it has ended.
    pub hung_up_by: Option<String>,
    /// Why it ended, in words.
    pub cause: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// ms since the call began.
    pub at_ms: u64,
    /// On which leg, if on one: 0 is the caller's.
    pub leg: Option<u8>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen to a call.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A message came from a party.
    Received {
        /// `INVITE`, `200 INVITE`.
        message: String,
        /// `udp:192.0.2.1:5060`
        from: Option<String>,
    },
    /// A message went to a party.
    Sent {
        /// `INVITE`, `200 INVITE`.
        message: String,
        /// `udp:192.0.2.1:5060`
        to: Option<String>,
    },
    /// A decision of the switch.
    Decided {
        /// In words.
        why: String,
    },
    /// Media: opened, connected, held, timed out.
    Media {
        /// In words.
        what: String,
    },
    /// The call's actor had died and was rebuilt.
    Rebuilt,
    /// The call ended.
    Ended {
        /// Who ended it.
        by: String,
        /// In words.
        cause: String,
    },
    /// Something that a newer switch tells.
    #[serde(other)]
    Unknown,
}

/// A call, ready to be drawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Who called whom, and how it ended.
    pub title: String,
    /// From left to right; the switch stands between the caller and the others.
    pub posts: Vec<Post>,
    /// From top to bottom.
    pub rungs: Vec<Rung>,
    /// Events that are missing from the middle.
    pub dropped: u64,
}

/// A party, or the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// `caller`, `strowger`, `leg 1`.
    pub name: String,
    /// Where it is: `udp:192.0.2.1:5060`; empty for the switch, and where nothing told it.
    pub place: String,
}

/// One line of a ladder.
#[derive(Debug, PartialEq, Eq)]
pub struct Rung {
    /// ms since the call began.
    pub at_ms: u64,
    /// What stands there.
    pub mark: Mark,
    /// In words.
    pub text: String,
}

/// What a rung is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A message between two posts, by their places in [`Ladder::posts`].
    Message {
        /// Who sent it.
        from: usize,
        /// Who got it.
        to: usize,
        /// Whether it is a refusal (4xx to 6xx).
        refuses: bool,
    },
    /// The switch decided something.
    Decision,
    /// Something became of the media.
    Media,
    /// A part of the switch died, and the call went on.
    Fault,
    /// The end.
    End,
}

/// Where the switch stands among the posts.
pub const SWITCH: usize = 1;

/// The post at the left of the gap in which a message is named: the one beside its party.
const fn beside(from: usize, to: usize) -> usize {
    let party = if from == SWITCH { to } else { from };
    if party < SWITCH { party } else { party.saturating_sub(1) }
}

impl Record {
    /// When the call began.
    pub fn started(&self) -> Option<jiff::Timestamp> {
        self.call.as_ref().or(self.ended.as_ref())?.started.as_ref()?.parse().ok()
    }
}

impl Ladder {
    /// Marks a fault that came from outside, at `at_ms` since the call began; one that came before or after it is none of its own.
    pub fn break_at(&mut self, at_ms: f64, what: &str) {
        let last = self.rungs.last().map_or(0, |rung| rung.at_ms);
        // A time since the INVITE: no call lasts 2^52 ms.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = at_ms.max(0.0) as u64;
        if at_ms < 0.0 || at > last {
            return;
        }
        let place = self.rungs.partition_point(|rung| rung.at_ms <= at);
        self.rungs.insert(place, Rung { at_ms: at, mark: Mark::Fault, text: format!("on purpose: {what}") });
    }

    /// The ladder of a record; `None` when nothing is left of the call but its detail record.
    pub fn of(record: &Record) -> Option<Self> {
        if record.events.is_empty() {
            return None;
        }
        let mut legs: Vec<u8> = record.events.iter().filter_map(|event| event.leg).filter(|leg| *leg != 0).collect();
        legs.sort_unstable();
        legs.dedup();
        let posts = std::iter::once(("caller".to_owned(), place_of(record, 0)))
            .chain(std::iter::once(("strowger".to_owned(), String::new())))
            .chain(legs.iter().map(|leg| (format!("leg {leg}"), place_of(record, *leg))))
            .map(|(name, place)| Post { name, place })
            .collect();
        let post = |leg: Option<u8>| match leg {
            None | Some(0) => 0,
            Some(leg) => legs.iter().position(|other| *other == leg).map_or(0, |at| at + SWITCH + 1),
        };
        let rungs = record.events.iter().filter_map(|event| rung(event, post(event.leg))).collect();
        Some(Self { title: title(record), posts, rungs, dropped: record.dropped })
    }
}

fn place_of(record: &Record, leg: u8) -> String {
    let places = record.events.iter().filter(|event| event.leg == Some(leg)).filter_map(|event| match &event.what {
        What::Received { from: place, .. } | What::Sent { to: place, .. } => place.as_deref(),
        _ => None,
    });
    places.map(str::to_owned).next().unwrap_or_default()
}

fn rung(event: &Event, party: usize) -> Option<Rung> {
    let message = |from, to, text: &String| {
        let refuses = text.split(' ').next().and_then(|code| code.parse::<u16>().ok()).is_some_and(|code| code >= 400);
        (Mark::Message { from, to, refuses }, text.clone())
    };
    let (mark, text) = match &event.what {
        What::Received { message: text, .. } => message(party, SWITCH, text),
        What::Sent { message: text, .. } => message(SWITCH, party, text),
        What::Decided { why } => (Mark::Decision, why.clone()),
        What::Media { what } => (Mark::Media, on_leg(event.leg, what)),
        What::Rebuilt => (Mark::Fault, "the call's actor died, and was rebuilt".to_owned()),
        What::Ended { by, cause } => (Mark::End, format!("ended by {by}: {cause}")),
        What::Unknown => return None,
    };
    Some(Rung { at_ms: event.at_ms, mark, text })
}

fn on_leg(leg: Option<u8>, what: &str) -> String {
    match leg {
        None => what.to_owned(),
        Some(0) => format!("caller: {what}"),
        Some(leg) => format!("leg {leg}: {what}"),
    }
}

fn title(record: &Record) -> String {
    let Some(party) = record.call.as_ref().or(record.ended.as_ref()) else { return "a call".to_owned() };
    let seconds = format!("{}.{} s", party.duration_ms / 1_000, party.duration_ms % 1_000 / 100);
    let how = match (&party.state, party.sip_status, &party.hung_up_by, &party.cause) {
        (Some(state), ..) => format!("{state} for {seconds}"),
        (None, Some(status), Some(by), Some(cause)) => format!("{status}, ended by {by} after {seconds}: {cause}"),
        _ => seconds,
    };
    format!("{}: {} → {}, {how}", party.id, party.from, party.to)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A call that is refused by its second contact, and whose actor died meanwhile.
    pub fn refused() -> Record {
        serde_json::from_value(serde_json::json!({
            "id": "00c0ffee00000001",
            "dropped": 0,
            "ended": { "id": "00c0ffee00000001", "from": "alice@example.com", "to": "bob@example.com", "duration_ms": 1_250,
                       "sip_status": 486, "hung_up_by": "callee", "cause": "Busy Here" },
            "events": [
                { "at_ms": 0, "leg": 0, "event": "received", "message": "INVITE", "from": "udp:127.0.0.1:5070" },
                { "at_ms": 0, "leg": null, "event": "decided", "why": "1002 is bob@example.com" },
                { "at_ms": 1, "leg": 2, "event": "sent", "message": "INVITE", "to": "tcp:127.0.0.1:5090" },
                { "at_ms": 2, "leg": null, "event": "rebuilt" },
                { "at_ms": 3, "leg": 1, "event": "media", "what": "first packet" },
                { "at_ms": 1_250, "leg": 2, "event": "received", "message": "486 INVITE", "from": "tcp:127.0.0.1:5090" },
                { "at_ms": 1_250, "leg": null, "event": "invented later", "tells": 1 },
                { "at_ms": 1_250, "leg": null, "event": "ended", "by": "callee", "cause": "Busy Here" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_switch_stands_between_the_caller_and_the_legs_in_their_order() {
        let ladder = Ladder::of(&refused()).unwrap();

        let posts: Vec<_> = ladder.posts.iter().map(|post| (post.name.as_str(), post.place.as_str())).collect();
        let wanted =
            [("caller", "udp:127.0.0.1:5070"), ("strowger", ""), ("leg 1", ""), ("leg 2", "tcp:127.0.0.1:5090")];
        assert_eq!(posts, wanted);
        assert_eq!(
            ladder.title,
            "00c0ffee00000001: alice@example.com → bob@example.com, 486, ended by callee after 1.2 s: Busy Here"
        );
    }

    #[test]
    fn each_event_is_a_rung_and_what_is_not_known_is_passed_over() {
        let marks: Vec<_> = Ladder::of(&refused()).unwrap().rungs.into_iter().map(|rung| rung.mark).collect();

        let message = |from, to, refuses| Mark::Message { from, to, refuses };
        let wanted = [
            message(0, 1, false),
            Mark::Decision,
            message(1, 3, false),
            Mark::Fault,
            Mark::Media,
            message(3, 1, true),
            Mark::End,
        ];
        assert_eq!(marks, wanted);
    }

    #[test]
    fn a_fault_from_outside_stands_where_it_came() {
        let mut ladder = Ladder::of(&refused()).unwrap();
        let before = ladder.rungs.len();
        ladder.break_at(100.0, "the switch was frozen");
        ladder.break_at(-1.0, "earlier");
        ladder.break_at(2_000.0, "later");
        assert_eq!(ladder.rungs.len() - before, 1);
        assert_eq!((ladder.rungs[5].at_ms, ladder.rungs[5].text.as_str()), (100, "on purpose: the switch was frozen"));
    }

    #[test]
    fn a_call_of_which_only_the_detail_record_is_left_has_no_ladder() {
        assert_eq!(Ladder::of(&Record { events: Vec::new(), ..refused() }), None);
    }
}
