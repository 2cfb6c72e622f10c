//! What the record of a call says of voice mail, and the sums of many records (reference, unified messaging, 9.5).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::call::Why;

/// What a call with voice mail came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailCall {
    /// A caller has left a message, or begun to.
    VoiceMessage,
    /// A caller has left none.
    MissedCall,
    /// An owner has signed in.
    SubscriberAccess,
    /// An attendant has answered.
    AutoAttendant,
    /// The switch has called a phone to play on it.
    PlayOnPhone,
    /// A fax was handed to its partner.
    Fax,
    /// Somebody has called voice access and not signed in.
    #[default]
    UnauthenticatedPilot,
}

impl MailCall {
    /// As the reference calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VoiceMessage => "Call Answering Voice Message",
            Self::MissedCall => "Call Answering Missed Call",
            Self::SubscriberAccess => "Subscriber Access",
            Self::AutoAttendant => "Auto Attendant",
            Self::PlayOnPhone => "PlayOnPhone",
            Self::Fax => "Fax",
            Self::UnauthenticatedPilot => "Unauthenticated Pilot Number",
        }
    }
}

/// How it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferResult {
    /// It was answered, or a phone that was called has answered.
    Answer,
    /// A phone that was called has not answered.
    Failed,
    /// It was refused.
    #[default]
    Rejected,
    /// The caller was connected with somebody.
    Redirected,
}

impl OfferResult {
    /// As the reference calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "Answer",
            Self::Failed => "Failed",
            Self::Rejected => "Rejected",
            Self::Redirected => "Redirected",
        }
    }
}

/// Why it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonForCall {
    /// The number was dialled.
    #[default]
    Direct,
    /// It was sent on, whatever the phones did.
    DivertForward,
    /// The user was busy.
    DivertBusy,
    /// Nobody has answered.
    DivertNoAnswer,
    /// The switch has called.
    Outbound,
}

impl ReasonForCall {
    /// As the reference calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::DivertForward => "DivertForward",
            Self::DivertBusy => "DivertBusy",
            Self::DivertNoAnswer => "DivertNoAnswer",
            Self::Outbound => "Outbound",
        }
    }
}

impl From<Why> for ReasonForCall {
    fn from(why: Why) -> Self {
        match why {
            Why::Busy => Self::DivertBusy,
            Why::NoAnswer | Why::Unavailable => Self::DivertNoAnswer,
            Why::Unconditional | Why::DoNotDisturb | Why::Deflection => Self::DivertForward,
        }
    }
}

/// Somebody whom the dialogue has called for its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The number.
    pub number: String,
    /// It was asked whether it wants the call.
    pub find_me: bool,
    /// It has the call.
    pub taken: bool,
}

/// What the record of a call says of voice mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailDetail {
    /// What it came to.
    pub kind: MailCall,
    /// How it was taken.
    pub result: OfferResult,
    /// Why it came.
    pub reason: ReasonForCall,
    /// The dial plan.
    pub plan: Option<String>,
    /// The first attendant that has answered.
    pub attendant: Option<String>,
    /// The gateway that it came by.
    pub gateway: Option<String>,
    /// The caller's own mailbox.
    pub caller_mailbox: Option<String>,
    /// The mailbox that it was for.
    pub callee_mailbox: Option<String>,
    /// Whom the dialogue has called.
    pub outgoing: Vec<Outgoing>,
}

/// Most calls out of a dialogue that are in its record.
const OUTGOING_MAX: usize = 16;

impl MailDetail {
    /// Somebody is called.
    pub fn calls(&mut self, number: &str, find_me: bool) {
        if self.outgoing.len() < OUTGOING_MAX {
            self.outgoing.push(Outgoing { number: number.to_owned(), find_me, taken: false });
        }
    }

    /// Who was called last has the caller.
    pub fn taken(&mut self) {
        self.result = OfferResult::Redirected;
        if let Some(last) = self.outgoing.last_mut() {
            last.taken = true;
        }
    }
}

/// What a record of a call with voice mail says, as far as sums and lists need it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MailRecord {
    /// Names the call.
    pub sip_call_id: String,
    /// Node.
    pub node: String,
    /// Caller.
    pub from: String,
    /// What was dialled.
    pub dialled: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// ms from INVITE to end.
    pub duration_ms: i64,
    /// Codec towards the caller.
    pub codec_a: Option<String>,
    /// Why it ended.
    pub cause: String,
    /// The caller's media.
    pub media_a: RecordMedia,
    /// Of voice mail; `None` of another call.
    pub mail: Option<MailDetail>,
}

/// The caller's media in a record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordMedia {
    /// RTP packets.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// ms.
    pub jitter_ms: f64,
    /// ms.
    pub rtt_ms: Option<f64>,
    /// How losses lie together.
    pub burst: RecordBurst,
    /// 1 to 4.41.
    pub mos: Option<f64>,
}

/// Losses in bursts, in a record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordBurst {
    /// 0 to 1.
    pub density: f64,
    /// ms.
    pub gap_duration_ms: f64,
}

/// The best MOS that a codec of a telephone gets (ITU-T G.107, R 93.2).
const MOS_BEST: f64 = 4.41;

/// The columns of a list of records.
pub const COLUMNS: &str = "CallStartTime,CallType,CallIdentity,ParentCallIdentity,UMServerName,DialPlanName,\
    AutoAttendantName,CallDuration,IPGatewayAddress,CalledPhoneNumber,CallerPhoneNumber,OfferResult,DropCallReason,\
    ReasonForCall,DialedString,CallerMailboxAlias,CalleeMailboxAlias,NMOS,NMOSDegradation,Jitter,PacketLoss,RoundTrip,\
    BurstDensity,BurstGapDuration,AudioCodec";

impl MailRecord {
    /// A line under [`COLUMNS`]; `None` of a call without voice mail.
    pub fn line(&self) -> Option<String> {
        let mail = self.mail.as_ref()?;
        let media = &self.media_a;
        let heard = |value: f64| if media.packets == 0 { String::new() } else { format!("{value:.2}") };
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        let target = mail.outgoing.last().map_or_else(String::new, |last| last.number.clone());
        let started = self.started.get(..19).map(|at| format!("{}Z", at.replace('T', " "))).unwrap_or_default();
        let fields = [
            started,
            mail.kind.name().to_owned(),
            self.sip_call_id.clone(),
            String::new(),
            self.node.clone(),
            some(&mail.plan),
            some(&mail.attendant),
            (self.duration_ms / 1000).to_string(),
            some(&mail.gateway),
            self.dialled.clone(),
            self.from.clone(),
            mail.result.name().to_owned(),
            self.cause.clone(),
            mail.reason.name().to_owned(),
            target,
            some(&mail.caller_mailbox),
            some(&mail.callee_mailbox),
            media.mos.map_or_else(String::new, |mos| format!("{mos:.2}")),
            media.mos.map_or_else(String::new, |mos| format!("{:.2}", (MOS_BEST - mos).max(0.0))),
            heard(media.jitter_ms),
            heard(self.loss() * 100.0),
            media.rtt_ms.map_or_else(String::new, |rtt| format!("{rtt:.2}")),
            heard(media.burst.density),
            heard(media.burst.gap_duration_ms),
            some(&self.codec_a),
        ];
        Some(fields.map(|field| quoted(&field)).join(","))
    }

    fn loss(&self) -> f64 {
        let all = self.media_a.packets.saturating_add(self.media_a.lost);
        if all == 0 { 0.0 } else { self.media_a.lost as f64 / all as f64 }
    }
}

/// A field as RFC 4180 section 2 has it. What a spreadsheet would take for a formula is none.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '@']);
    match formula || field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}{}\"", if formula { "'" } else { "" }, field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

/// By what records are summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SumBy {
    /// UTC.
    #[default]
    Day,
    /// UTC.
    Hour,
    /// Dial plan.
    Plan,
    /// Gateway that they came by.
    Gateway,
}

/// Sums of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sums {
    /// Calls.
    pub total: u64,
    /// Messages.
    pub voice_messages: u64,
    /// Callers who left none.
    pub missed_calls: u64,
    /// Owners who signed in.
    pub subscriber_access: u64,
    /// Attendants.
    pub attendant: u64,
    /// Phones that the switch has called: to play, and for callers.
    pub outgoing: u64,
    /// Faxes.
    pub fax: u64,
    /// Others.
    pub other: u64,
    /// Calls that were refused or have failed; they are counted here alone.
    pub failed_or_rejected: u64,
    /// Calls whose sound was rated.
    pub samples: u64,
    /// MOS, on average.
    pub mos: Option<f64>,
    /// Jitter, ms, on average.
    pub jitter_ms: Option<f64>,
    /// Lost of all packets, 0 to 1, on average.
    pub loss: Option<f64>,
    /// ms, on average of those that told it.
    pub rtt_ms: Option<f64>,
    #[serde(skip)]
    parts: [f64; 4],
    #[serde(skip)]
    round_trips: u64,
}

impl Sums {
    fn add(&mut self, record: &MailRecord, mail: &MailDetail) {
        self.total += 1;
        let count = match (mail.result, mail.kind) {
            (OfferResult::Failed | OfferResult::Rejected, _) => &mut self.failed_or_rejected,
            (_, MailCall::VoiceMessage) => &mut self.voice_messages,
            (_, MailCall::MissedCall) => &mut self.missed_calls,
            (_, MailCall::SubscriberAccess) => &mut self.subscriber_access,
            (_, MailCall::AutoAttendant) => &mut self.attendant,
            (_, MailCall::PlayOnPhone) => &mut self.outgoing,
            (_, MailCall::Fax) => &mut self.fax,
            (_, MailCall::UnauthenticatedPilot) => &mut self.other,
        };
        *count += 1;
        self.outgoing += mail.outgoing.iter().filter(|one| one.find_me).count() as u64;
        let media = &record.media_a;
        let Some(mos) = media.mos else { return };
        self.samples += 1;
        let [all_mos, jitter, loss, rtt] = &mut self.parts;
        *all_mos += mos;
        *jitter += media.jitter_ms;
        *loss += record.loss();
        if let Some(round_trip) = media.rtt_ms {
            *rtt += round_trip;
            self.round_trips += 1;
        }
    }

    fn settle(&mut self) {
        let [mos, jitter, loss, rtt] = self.parts;
        let average = |sum: f64, count: u64| (count > 0).then(|| (sum / count as f64 * 100.0).round() / 100.0);
        self.mos = average(mos, self.samples);
        self.jitter_ms = average(jitter, self.samples);
        self.loss = average(loss * 100.0, self.samples).map(|percent| percent / 100.0);
        self.rtt_ms = average(rtt, self.round_trips);
    }
}

/// Sums records up.
#[derive(Debug, Default)]
pub struct Statistics {
    by: SumBy,
    sums: BTreeMap<String, Sums>,
}

impl Statistics {
    /// Nothing yet.
    pub fn new(by: SumBy) -> Self {
        Self { by, sums: BTreeMap::new() }
    }

    /// One more; what is no call with voice mail does not count.
    pub fn add(&mut self, record: &MailRecord) {
        let Some(mail) = &record.mail else { return };
        let none = || "none".to_owned();
        let key = match self.by {
            SumBy::Day => record.started.get(..10).map_or_else(none, str::to_owned),
            SumBy::Hour => record.started.get(..13).map_or_else(none, |hour| format!("{hour}:00Z")),
            SumBy::Plan => mail.plan.clone().unwrap_or_else(none),
            SumBy::Gateway => mail.gateway.clone().unwrap_or_else(none),
        };
        self.sums.entry(key).or_default().add(record, mail);
    }

    /// The sums, by their key.
    pub fn sums(mut self) -> BTreeMap<String, Sums> {
        self.sums.values_mut().for_each(Sums::settle);
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(started: &str, mail: &str, mos: f64) -> MailRecord {
        let text = format!(
            r#"{{"sip_call_id": "c", "node": "n", "from": "=1+1", "dialled": "1001", "started": "{started}", "duration_ms": 2500,
               "codec_a": "PCMU", "cause": "said, \"bye\"", "media_a": {{"packets": 99, "lost": 1, "jitter_ms": 2.0, "mos": {mos}}},
               "mail": {mail}, "unknown": 1}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_record_is_a_line_with_as_many_fields_as_there_are_columns() {
        let mail =
            r#"{"kind": "voice_message", "result": "answer", "reason": "divert_busy", "callee_mailbox": "alice"}"#;
        let line = record("2026-11-25T10:20:30.5Z", mail, 4.0).line().unwrap();
        let begins = "2026-11-25 10:20:30Z,Call Answering Voice Message,c,,n,,,2,,1001,\"'=1+1\",Answer,\
            \"said, \"\"bye\"\"\",DivertBusy,,,alice,4.00,0.41,2.00,1.00,,0.00,0.00,PCMU";
        assert_eq!(line, begins);
        // The comma of the quoted field is one more.
        assert_eq!(line.matches(',').count(), COLUMNS.matches(',').count() + 1);
        assert!(MailRecord::default().line().is_none());
    }

    #[test]
    fn calls_are_summed_up_and_one_that_has_failed_is_counted_as_that_alone() {
        let mut sums = Statistics::new(SumBy::Hour);
        let mail = |kind: &str, result: &str| format!(r#"{{"kind": "{kind}", "result": "{result}"}}"#);
        sums.add(&record("2026-11-25T10:20:30Z", &mail("voice_message", "answer"), 4.0));
        sums.add(&record("2026-11-25T10:50:30Z", &mail("play_on_phone", "failed"), 3.0));
        sums.add(&record("2026-11-25T11:00:00Z", &mail("missed_call", "answer"), 4.4));
        sums.add(&MailRecord::default());
        let sums = sums.sums();
        assert_eq!(sums.keys().collect::<Vec<_>>(), ["2026-11-25T10:00Z", "2026-11-25T11:00Z"]);
        let first = &sums["2026-11-25T10:00Z"];
        assert_eq!((first.total, first.voice_messages, first.failed_or_rejected, first.outgoing), (2, 1, 1, 0));
        assert_eq!((first.mos, first.loss, first.rtt_ms, first.samples), (Some(3.5), Some(0.01), None, 2));
    }
}
