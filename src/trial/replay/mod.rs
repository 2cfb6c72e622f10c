//! A captured call as a step: its ends are played against the switch once more, with their sound, and what the switch says now is
//! compared with what it said then.
//!
//! | file | holds |
//! | --- | --- |
//! | `packets` | the datagrams and streams of a capture file |
//! | `calls` | the calls in it: legs, and what each end said and heard |
//! | `names` | what is called otherwise now: addresses, tags, Call-IDs, ports of sound |
//! | `party` | one end of a leg, played |
//! | `astray` | what it does where the switch is otherwise than then |
//! | `expected` | what is still to come from the switch, and what came instead |
//! | `sound` | the sound of an end: what it sent, and what must come |

mod astray;
mod calls;
mod expected;
mod names;
mod packets;
mod party;
mod sound;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use sip::Protocol;

use super::ground::Ground;
use super::plan::User;
use super::records;
use super::sipp::Figures;
use super::step::{Course, Watch};
use super::verdict::Evidence;
use party::{Done, Party};
use sound::Heard;

use calls::{CapturedCall, read};

/// Between two looks at the parties.
const POLL: Duration = Duration::from_millis(10);

/// A call of a capture that is played again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The file: pcap or pcapng.
    pub capture: PathBuf,
    /// The Call-ID of the caller's leg; the first call when not given.
    pub call: Option<String>,
    /// Where the switch was when it was captured, where the file leaves that open.
    pub switch: Option<SocketAddr>,
    /// Passwords of those who call or are called. A callee whose password is not known listens where it did then.
    #[serde(default)]
    pub users: Vec<User>,
}

/// What came of it, beside the differences.
#[derive(Debug, Default, Serialize)]
pub struct Replayed {
    /// Messages of the switch that came as they had been captured.
    pub matched: u64,
    /// Where the switch was otherwise than then.
    pub differences: Vec<String>,
    /// What changed and need not be wrong: headers that came or went.
    pub notes: Vec<String>,
    /// The sound of each end.
    pub sound: Vec<Heard>,
}

impl Course<'_> {
    /// Plays a captured call.
    pub(super) fn replay(&mut self, replay: &Replay, evidence: &mut Evidence) -> anyhow::Result<()> {
        let file = self.place.plan_folder.join(&replay.capture);
        let calls = read(&file, replay.switch)?;
        let of_name = |call: &CapturedCall| replay.call.as_ref().is_none_or(|wanted| *wanted == call.id);
        let call = calls.into_iter().find(of_name).with_context(|| match &replay.call {
            Some(id) => format!("{}: no call {id} whose caller's INVITE is there", file.display()),
            None => format!("{}: no call whose INVITE is there", file.display()),
        })?;
        let since = self.last_ended();
        let parties = self.parties(call, replay)?;
        let began = Instant::now();
        let running: Vec<_> = parties
            .into_iter()
            .map(|party| {
                let domain = self.ground.domain().to_owned();
                thread::spawn(move || party.play(&domain, began))
            })
            .collect();
        let mut watch = Watch::of(&self.step.faults);
        let mut figures = Figures { created: 1, ..Figures::default() };
        let mut wrong = None;
        while running.iter().any(|party| !party.is_finished()) {
            if wrong.is_none() {
                wrong = self.look(&mut watch, figures, evidence).err();
            }
            thread::sleep(POLL);
        }
        let mut told = Replayed::default();
        let mut call_ids = Vec::new();
        for party in running {
            let Done { call_id, answered_ms, matched, differences, notes, sound, resent } =
                party.join().map_err(|_| anyhow!("a player died"))??;
            call_ids.push(call_id);
            evidence.answer_delays_ms.extend(answered_ms);
            figures.retransmissions += resent;
            told.matched += matched;
            told.differences.extend(differences);
            told.notes.extend(notes);
            told.sound.extend(sound);
        }
        match wrong {
            Some(wrong) => return Err(wrong),
            None => self.mend(&watch)?,
        }
        let same = told.differences.is_empty();
        (figures.successful, figures.failed) = (u64::from(same), u64::from(!same));
        evidence.caller = figures;
        evidence.story = Some(told.differences.join("\n")).filter(|story| !story.is_empty());
        evidence.replayed = Some(told);
        if let Ground::Started(started) = &mut *self.ground {
            started.alive()?;
            if !same {
                evidence.ladders = records::ladders(started, &call_ids, &evidence.happened);
            }
            let calls = records::ended(started, since.as_deref(), 1);
            evidence.streams = calls.iter().flat_map(|call| records::streams(call, self.began_at)).collect();
        }
        Ok(())
    }

    /// The ends of the call; callees are registered, or listen where they did.
    fn parties(&self, call: CapturedCall, replay: &Replay) -> anyhow::Result<Vec<Party>> {
        let (target, domain) = (self.ground.place(Protocol::Udp)?, self.ground.domain());
        let mut parties = Vec::new();
        for leg in call.legs {
            let user = replay.users.iter().find(|user| leg.users.contains(&user.name)).cloned();
            let party = Party::new(leg, call.began, target, user)?;
            party.register(domain)?;
            parties.push(party);
        }
        Ok(parties)
    }
}

/// A plan that plays the calls of a capture, or those with `wanted` in them: a step a call.
///
/// # Errors
/// The file cannot be read, or has no such call in it.
pub fn plan(file: &Path, wanted: Option<&str>, replay: &Replay, switch: &str) -> anyhow::Result<String> {
    let all = read(file, replay.switch)?;
    let calls: Vec<&CapturedCall> = all.iter().filter(|call| wanted.is_none_or(|text| call.has(text))).collect();
    if calls.is_empty() {
        let wanted = wanted.map(|text| format!(" with {text} in it")).unwrap_or_default();
        bail!("{}: no call{wanted} whose INVITE is there", file.display());
    }
    let quoted = |text: &str| format!("{text:?}");
    let capture = quoted(&replay.capture.display().to_string());
    let users: Vec<String> = replay
        .users
        .iter()
        .map(|user| format!("{{ name = {}, password = {} }}", quoted(&user.name), quoted(&user.password)))
        .collect();
    let place = replay.switch.map(|switch| format!(", switch = \"{switch}\"")).unwrap_or_default();
    let mut out =
        format!("name = \"Replay\"\npurpose = {}\n{switch}", quoted(&format!("The calls of {}.", file.display())));
    for (number, call) in calls.iter().enumerate() {
        let name = quoted(&format!("{} {}", number + 1, call.title()));
        out.push_str(&format!(
            "\n[[step]]\nname = {name}\npurpose = \"Goes as it went when it was captured.\"\nclause = \"the capture\"\n\
             replay = {{ capture = {capture}, call = {}{place}, users = [{}] }}\n",
            quoted(&call.id),
            users.join(", ")
        ));
    }
    Ok(out)
}
