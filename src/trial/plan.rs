//! A trial's plan: a TOML file that says which switch, which steps, and what must hold.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::fault::{Fault, Needs};
use super::replay::Replay;
use crate::config::units;
use crate::load::{self, CodecOf, Measured, SoundOf};

/// Most steps of a plan.
const STEPS_MAX: usize = 1_000;
/// Most calls of a step, and most that are begun in a second.
const CALLS_MAX: u32 = 1_000_000;
const RATE_MAX: u32 = 10_000;

/// A whole plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the trial is called.
    pub name: String,
    /// What it is for, in a sentence.
    pub purpose: String,
    /// The switch under test; without it the lab is started.
    #[serde(default)]
    pub switch: SwitchUnderTest,
    /// What is done, in order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// Which switch.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchUnderTest {
    /// A configuration of Strowger that is started for the trial; its ports should be 0.
    pub config: Option<PathBuf>,
    /// The SIP address of a switch that runs already, of whichever make: `192.0.2.1:5060`.
    pub address: Option<std::net::SocketAddr>,
    /// The domain of its users.
    pub domain: Option<String>,
}

/// One step: a caller, perhaps a callee, and what must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// What it shows, in a sentence.
    pub purpose: String,
    /// Which clause asks for it: `RFC 3261 section 13`.
    pub clause: String,
    /// SIPp's scenario of the caller: a file beside the plan, or the name of one of SIPp's own with `sn:` before it. Either
    /// this or `load`.
    pub caller: Option<Scenario>,
    /// Calls or registrations of our own generator, which listens to what is heard.
    pub load: Option<Load>,
    /// A call of a capture that is played again.
    pub replay: Option<Replay>,
    /// Where the caller calls from, when it is no user but a carrier that the switch knows.
    pub caller_at: Option<std::net::SocketAddr>,
    /// The user that calls.
    pub caller_user: Option<User>,
    /// SIPp's scenario of the callee.
    pub callee: Option<Scenario>,
    /// The user that is called: it is registered from the callee's port first.
    pub callee_user: Option<User>,
    /// Where the callee listens, when it is no user but a carrier that the switch knows: the trial has a network of its own then.
    pub callee_at: Option<std::net::SocketAddr>,
    /// The number that is called.
    #[serde(default = "number")]
    pub number: String,
    /// How the caller speaks, `udp` or `tcp`; callees are reached by UDP.
    #[serde(default)]
    pub transport: Transport,
    /// How many calls.
    #[serde(default = "one")]
    pub calls: u32,
    /// How many of them come to the callee, where that is another number.
    pub callee_calls: Option<u32>,
    /// How many are begun in a second.
    #[serde(default = "ten")]
    pub rate: u32,
    /// The length of the scenarios' pauses that have none of their own.
    #[serde(default = "pause", deserialize_with = "duration")]
    pub pause: Duration,
    /// After how long the step is given up, and has failed.
    #[serde(default = "patience", deserialize_with = "duration")]
    pub timeout: Duration,
    /// Further arguments of the caller's SIPp.
    #[serde(default)]
    pub caller_arguments: Vec<String>,
    /// Further arguments of the callee's SIPp.
    #[serde(default)]
    pub callee_arguments: Vec<String>,
    /// Why it is not run: it stands on the sheet with this reason.
    pub not_applicable: Option<String>,
    /// What must hold beside the scenarios themselves.
    #[serde(default)]
    pub expect: Expect,
    /// What is broken on purpose meanwhile.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

/// A load of our own generator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How often in a second.
    pub rate: f64,
    /// How long.
    #[serde(default = "load_length", deserialize_with = "duration")]
    pub length: Duration,
    /// What is done.
    #[serde(default = "calls")]
    pub measure: Measured,
    /// How SIP travels: `udp`, `tcp`, `tls`, `ws`.
    #[serde(default)]
    pub transport: LoadTransport,
    /// What a call carries.
    #[serde(default = "rtp")]
    pub sound: SoundOf,
    /// Its codec: `pcmu`, `pcma`, `g722`, `opus`.
    #[serde(default)]
    pub codec: CodecOf,
    /// That of the callees, where it is another one.
    pub callee_codec: Option<CodecOf>,
    /// How long it stands.
    #[serde(default = "one_second", deserialize_with = "duration")]
    pub talk: Duration,
    /// It stands as long as `--long` says, where that is given.
    #[serde(default)]
    pub long: bool,
    /// The longest that an answer may take.
    #[serde(default = "one_second", deserialize_with = "duration")]
    pub threshold: Duration,
    /// How much of a stream may be lost, percent.
    #[serde(default = "one_percent")]
    pub loss_max: f64,
    /// Who calls, or registers.
    pub callers: Vec<User>,
    /// Who is registered, and answers.
    #[serde(default)]
    pub callees: Vec<User>,
    /// Who is called; the callees by their names when not given.
    #[serde(default)]
    pub numbers: Vec<String>,
}

/// How SIP of a load travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadTransport {
    /// Datagrams.
    #[default]
    Udp,
    /// A connection.
    Tcp,
    /// The same, encrypted.
    Tls,
    /// A WebSocket.
    Ws,
}

/// Where a scenario of SIPp comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A file, relative to the plan's folder.
    File(PathBuf),
    /// One that SIPp has in it: `uac`, `uas`.
    Stock(String),
}

/// Who somebody is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user part of the address of record.
    pub name: String,
    /// The digest password.
    pub password: String,
}

/// How SIP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// One connection.
    Tcp,
}

impl LoadTransport {
    /// As SIP's wires know it.
    pub const fn protocol(self) -> sip::Protocol {
        match self {
            Self::Udp => sip::Protocol::Udp,
            Self::Tcp => sip::Protocol::Tcp,
            Self::Tls => sip::Protocol::Tls,
            Self::Ws => sip::Protocol::Ws,
        }
    }
}

impl Transport {
    /// As SIP's wires know it.
    pub const fn protocol(self) -> sip::Protocol {
        match self {
            Self::Udp => sip::Protocol::Udp,
            Self::Tcp => sip::Protocol::Tcp,
        }
    }
}

/// What must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Most calls that may fail; none when not given.
    #[serde(default)]
    pub failed_max: u32,
    /// Most messages that SIPp's caller may have had to repeat.
    pub retransmissions_max: Option<u64>,
    /// The longest that 99 of 100 callers may wait for their answer, from INVITE to 200 (RFC 6076 section 4.3.2 counts to
    /// the first sign); of a Strowger only, whose call records tell it.
    #[serde(default, deserialize_with = "optional_duration")]
    pub answer_delay_p99_max: Option<Duration>,
}

/// What is wrong with a plan, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}")]
pub struct PlanError {
    file: String,
    line: usize,
    column: usize,
    what: String,
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let name = file.display().to_string();
        let at = |text: &str, span: Option<Range<usize>>, what: String| {
            let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            PlanError { file: name.clone(), line, column, what }
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| at("", None, format!("this plan cannot be read: {error}")))?;
        let mut plan: Self =
            toml::from_str(&text).map_err(|error| at(&text, error.span(), error.message().trim().to_owned()))?;
        for step in &mut plan.steps {
            if let Some(load) = &step.load {
                step.calls = u32::try_from(load::count(load.rate, load.length)).unwrap_or(u32::MAX);
                step.rate = RATE_MAX;
            }
        }
        plan.check(file.parent().unwrap_or(Path::new("."))).map_err(|(near, what)| {
            let start = near.and_then(|near| text.find(&format!("\"{near}\"")));
            at(&text, start.map(|start| start..start), what)
        })?;
        Ok(plan)
    }

    /// What the faults of all steps need.
    pub fn needs(&self) -> Needs {
        let faults = self.steps.iter().flat_map(|step| &step.faults);
        let needs = faults.fold(Needs::default(), |needs, fault| needs.and(fault.needs()));
        let has_places = self.steps.iter().any(|step| step.caller_at.or(step.callee_at).is_some());
        needs.and(Needs { network: has_places, ..Needs::default() })
    }

    /// What the shapes do not say. Beside the complaint a string of the plan near which it stands.
    fn check(&self, folder: &Path) -> Result<(), (Option<String>, String)> {
        let near = |what: &str| Some(what.to_owned());
        if self.switch.config.is_some() && self.switch.address.is_some() {
            return Err((
                None,
                "a switch is started from `config` or is at an `address`, not both: leave out one".into(),
            ));
        }
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err((None, format!("a plan has 1 to {STEPS_MAX} steps, each under [[step]]")));
        }
        for step in &self.steps {
            let wrong = |what: String| Err((near(&step.name), format!("step \"{}\": {what}", step.name)));
            if !(1..=CALLS_MAX).contains(&step.calls) || !(1..=RATE_MAX).contains(&step.rate) {
                return wrong(format!("`calls` is from 1 to {CALLS_MAX} and `rate` from 1 to {RATE_MAX}"));
            }
            let parties = [step.caller.is_some(), step.load.is_some(), step.replay.is_some()];
            if parties.iter().filter(|is| **is).count() != 1 {
                return wrong("a step has a `caller`, a `load` or a `replay`: give one of them".into());
            }
            if let Some(replay) = &step.replay
                && !folder.join(&replay.capture).is_file()
            {
                let capture = replay.capture.display();
                return wrong(format!("no capture {capture}: paths count from the plan's folder"));
            }
            match &step.load {
                Some(_) if step.callee.is_some() => {
                    return wrong("a `load` has callees of its own: leave out `callee`".into());
                }
                Some(load) if !(load.rate.is_finite() && load.rate > 0.0) || load.callers.is_empty() => {
                    return wrong("a `load` has a `rate` above 0, and at least one of `callers`".into());
                }
                Some(load) if load.measure == Measured::Calls && load.callees.is_empty() => {
                    return wrong("a `load` of calls has at least one of `callees`".into());
                }
                _ => {}
            }
            if let Some(mistake) = step.faults.iter().find_map(Fault::mistake) {
                return wrong(mistake);
            }
            if step.callee.is_some() != (step.callee_user.is_some() != step.callee_at.is_some()) {
                return wrong("a callee needs `callee` and `callee_user`, or `callee_at`: give both or none".into());
            }
            for scenario in step.caller.iter().chain(&step.callee) {
                if let Scenario::File(path) = scenario
                    && !folder.join(path).is_file()
                {
                    return wrong(format!("no scenario {}: paths count from the plan's folder", path.display()));
                }
            }
            if self.switch.address.is_some() && !step.faults.is_empty() {
                return wrong("a fault needs a switch that the trial starts: leave out `address`".into());
            }
        }
        let mut names: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => Err((
                pair.first().map(|name| (*name).to_owned()),
                format!("two steps have the name \"{}\": name one of them otherwise", pair.join("\", \"")),
            )),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.strip_prefix("sn:") {
            Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) => {
                Self::Stock(name.to_owned())
            }
            Some(name) => return Err(D::Error::custom(format!("SIPp has no scenario `{name}`: see `sipp -sd`"))),
            None => Self::File(text.into()),
        })
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    units::duration(&text).ok_or_else(|| {
        D::Error::custom(format!("`{text}` is no time: write a whole number with its unit, as in 500ms or 5s"))
    })
}

pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

const fn calls() -> Measured {
    Measured::Calls
}

const fn rtp() -> SoundOf {
    SoundOf::Rtp
}

const fn one_second() -> Duration {
    Duration::from_secs(1)
}

const fn load_length() -> Duration {
    Duration::from_secs(5)
}

const fn one_percent() -> f64 {
    1.0
}

fn number() -> String {
    "1002".to_owned()
}

const fn one() -> u32 {
    1
}

const fn ten() -> u32 {
    10
}

const fn pause() -> Duration {
    Duration::from_millis(200)
}

const fn patience() -> Duration {
    Duration::from_secs(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Plan, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("uac.xml"), "<scenario/>").unwrap();
        let file = folder.path().join("plan.toml");
        std::fs::write(&file, text).unwrap();
        let cut = |error: PlanError| error.to_string().replace(&folder.path().display().to_string(), "");
        Plan::read(&file).map_err(cut)
    }

    const HEAD: &str = "name = \"t\"\npurpose = \"p\"\n";
    const STEP: &str = "[[step]]\nname = \"s\"\npurpose = \"p\"\nclause = \"c\"\ncaller = \"uac.xml\"\n";

    #[test]
    fn a_step_that_says_little_has_one_call_to_1002_over_udp() {
        let plan = read(&format!("{HEAD}{STEP}")).unwrap();
        let Some(step) = plan.steps.first() else { panic!("it has a step") };
        assert_eq!((step.calls, step.number.as_str(), step.transport), (1, "1002", Transport::Udp));
        assert_eq!(step.expect.failed_max, 0);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_a_remedy() {
        for (plan, told) in [
            (format!("{HEAD}{STEP}pause = \"5\"\n"), "/plan.toml:8:9: `5` is no time: write a whole number"),
            (format!("{HEAD}{STEP}colour = 1\n"), "/plan.toml:8:1: unknown field `colour`"),
            (format!("{HEAD}{STEP}callee = \"uac.xml\"\n"), "/plan.toml:4:8: step \"s\": a callee needs `callee` and"),
            (
                format!("{HEAD}{STEP}").replace("uac.xml", "none.xml"),
                "/plan.toml:4:8: step \"s\": no scenario none.xml",
            ),
            (format!("{HEAD}{STEP}{STEP}"), "/plan.toml:4:8: two steps have the name \"s"),
            (HEAD.to_owned(), "/plan.toml:1:1: missing field `step`"),
            ("name = ".to_owned(), "/plan.toml:1:8: "),
        ] {
            let error = read(&plan).unwrap_err();
            assert!(error.starts_with(told), "{error}\n{plan}");
        }
    }

    #[test]
    fn a_fault_needs_a_switch_of_our_own() {
        let switch = "[switch]\naddress = \"127.0.0.1:5060\"\n";
        let error = read(&format!("{HEAD}{switch}{STEP}[[step.fault]]\nat = \"1s\"\nactor = \"call\"\n")).unwrap_err();
        assert!(error.contains("a fault needs a switch that the trial starts"), "{error}");
    }
}
