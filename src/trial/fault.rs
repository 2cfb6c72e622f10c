//! What is broken on purpose, by name, and what a plan must give it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::plan::{duration, optional_duration};

/// Most datagrams of garbage.
const GARBAGE_MAX: u32 = 1_000_000;
/// How long a fault lasts that has an end, when the plan does not say.
const LASTS: Duration = Duration::from_secs(1);

/// Something that is broken on purpose: exactly one of what is optional here, beside `how` and `lasts`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, from the step's begin.
    #[serde(deserialize_with = "duration")]
    pub at: Duration,
    /// How long, where it has an end.
    #[serde(default, deserialize_with = "optional_duration")]
    pub lasts: Option<Duration>,
    /// An actor: a path of the tree, or a kind, which means the first of that kind that lives.
    pub actor: Option<String>,
    /// What happens to the actor.
    #[serde(default)]
    pub how: How,
    /// What happens to the switch as a whole.
    pub switch: Option<SwitchFault>,
    /// What happens to the datagrams between the parties and the switch, both ways.
    pub network: Option<Network>,
    /// So many datagrams, and a tenth as many connections, bring garbage.
    pub garbage: Option<u32>,
    /// What happens to the disk.
    pub disk: Option<Disk>,
    /// By how much the clock of the switch jumps: `+1h`, `-90s`.
    pub clock: Option<String>,
    /// What happens to its certificate.
    pub certificate: Option<Certificate>,
    /// What happens to the name server that it asks.
    pub dns: Option<Dns>,
    /// What happens to its ports of media.
    pub ports: Option<Ports>,
}

/// What happens to an actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is ended from outside.
    #[default]
    Kill,
    /// It panics in a handler.
    Panic,
    /// It does nothing for a while, nor do those that share its thread.
    Stall,
}

/// What happens to the switch as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchFault {
    /// SIGKILL, and started again with its data: a power cut.
    Kill,
    /// SIGSTOP, and SIGCONT: the machine hangs.
    Freeze,
}

/// What happens to datagrams.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Each comes so much later.
    #[serde(deserialize_with = "optional_duration")]
    pub delay: Option<Duration>,
    /// That delay varies by so much.
    #[serde(deserialize_with = "optional_duration")]
    pub jitter: Option<Duration>,
    /// So many of 100 are lost.
    pub loss: f64,
    /// So many of 100 come twice.
    pub duplicate: f64,
    /// So many of 100 overtake the others; needs a delay.
    pub reorder: f64,
    /// Where chance begins: the same number has the same fates.
    pub seed: u64,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (name, part) in [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)] {
            words.extend((part > 0.0).then(|| format!("{name} {part}%")));
        }
        for (name, time) in [("delay", self.delay), ("jitter", self.jitter)] {
            words.extend(time.map(|time| format!("{name} {time:?}")));
        }
        write!(f, "{}, seed {}", words.join(", "), self.seed)
    }
}

/// What happens to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// It has no room.
    Full,
    /// Each sync takes half a second longer.
    Slow,
}

/// What happens to the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificate {
    /// Its time is over, and the switch has read it again.
    Expired,
}

/// What happens to the name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dns {
    /// It does not answer.
    Silent,
    /// It says that it cannot (SERVFAIL).
    Fails,
}

/// What happens to the ports of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ports {
    /// Others have all that calls have not.
    Taken,
}

/// What the trial needs for its faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A network of its own: datagrams are lost there, and nowhere else.
    pub network: bool,
    /// A small disk of its own.
    pub disk: bool,
    /// A clock of the switch's own.
    pub clock: bool,
    /// Ports that the switch takes again.
    pub ports: bool,
    /// A name server.
    pub dns: bool,
    /// Few ports of media.
    pub few_media_ports: bool,
}

impl Fault {
    /// What is wrong with it, and what would be right.
    pub fn mistake(&self) -> Option<String> {
        let kinds = [
            self.actor.is_some(),
            self.switch.is_some(),
            self.network.is_some(),
            self.garbage.is_some(),
            self.disk.is_some(),
            self.clock.is_some(),
            self.certificate.is_some(),
            self.dns.is_some(),
            self.ports.is_some(),
        ];
        if kinds.iter().filter(|is| **is).count() != 1 {
            return Some(
                "a fault is one of `actor`, `switch`, `network`, `garbage`, `disk`, `clock`, `certificate`, `dns`, `ports`"
                    .into(),
            );
        }
        if let Some(clock) = &self.clock
            && jump(clock).is_none()
        {
            return Some(format!("`{clock}` is no jump of a clock: write `+1h` or `-90s`"));
        }
        if self.garbage.is_some_and(|count| !(1..=GARBAGE_MAX).contains(&count)) {
            return Some(format!("`garbage` is from 1 to {GARBAGE_MAX} datagrams"));
        }
        let network = self.network.clone().unwrap_or_default();
        if [network.loss, network.duplicate, network.reorder].iter().any(|part| !(0.0..=100.0).contains(part)) {
            return Some("`loss`, `duplicate` and `reorder` are of 100".into());
        }
        if network.delay.is_none() && (network.jitter.is_some() || network.reorder > 0.0) {
            return Some("`jitter` and `reorder` need a `delay`: who is not delayed cannot be overtaken".into());
        }
        None
    }

    /// How long it lasts, where it has an end.
    pub fn length(&self) -> Option<Duration> {
        let ends = self.actor.is_none() && self.garbage.is_none() && self.switch != Some(SwitchFault::Kill);
        ends.then(|| self.lasts.unwrap_or(LASTS))
    }

    /// How long an actor stalls.
    pub fn stall(&self) -> Duration {
        self.lasts.unwrap_or(LASTS)
    }

    /// What it needs of the trial.
    pub fn needs(&self) -> Needs {
        Needs {
            network: self.network.is_some(),
            disk: self.disk == Some(Disk::Full),
            clock: self.clock.is_some(),
            ports: self.switch == Some(SwitchFault::Kill),
            dns: self.dns.is_some(),
            few_media_ports: self.ports.is_some(),
        }
    }
}

impl Needs {
    /// What both need.
    pub const fn and(self, other: Self) -> Self {
        Self {
            network: self.network || other.network,
            disk: self.disk || other.disk,
            clock: self.clock || other.clock,
            ports: self.ports || other.ports,
            dns: self.dns || other.dns,
            few_media_ports: self.few_media_ports || other.few_media_ports,
        }
    }

    /// Whether the trial must have namespaces of its own.
    pub const fn own_namespaces(self) -> bool {
        self.network || self.disk
    }
}

/// A jump of a clock as libfaketime reads it: seconds with their sign.
pub fn jump(text: &str) -> Option<String> {
    let (sign, length) = text.split_at_checked(1)?;
    let length = crate::config::units::duration(length)?;
    matches!(sign, "+" | "-").then(|| format!("{sign}{}", length.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> Option<String> {
        toml::from_str::<Fault>(&format!("at = \"1s\"\n{text}")).unwrap().mistake()
    }

    #[test]
    fn a_fault_is_one_thing() {
        assert_eq!(mistake("actor = \"call\""), None);
        assert!(mistake("").is_some_and(|told| told.contains("a fault is one of")));
        assert!(mistake("actor = \"call\"\nswitch = \"kill\"").is_some());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert!(mistake("clock = \"1h\"").is_some_and(|told| told.contains("`1h` is no jump")));
        assert!(mistake("network = { loss = 101 }").is_some_and(|told| told.contains("of 100")));
        assert!(mistake("network = { reorder = 10 }").is_some_and(|told| told.contains("need a `delay`")));
        assert_eq!(mistake("network = { delay = \"50ms\", reorder = 10 }"), None);
        assert_eq!(jump("-90s").as_deref(), Some("-90"));
    }
}
