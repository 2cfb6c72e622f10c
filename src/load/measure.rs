//! What a load counts: the metrics of RFC 6076 and the terms of RFC 7501.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use super::talk::{Hearing, Verdict};

/// Statuses of refusals that are the callee's own wish, and so no failure of the network (RFC 6076 section 4.7).
const EFFECTIVE: [u16; 4] = [480, 486, 600, 603];
/// Statuses of a switch that is out of order or overloaded (RFC 6076 section 4.8).
const INEFFECTIVE: [u16; 4] = [408, 500, 503, 504];
/// The longest delay that is told apart, µs.
const DELAY_MAX_US: u64 = 120_000_000;

/// Streams and failed calls of a worker that are remembered one by one.
const STREAMS_MAX: usize = 2_400;
const FAILED_MAX: usize = 5;

/// Delays, to the microsecond and three digits.
#[derive(Clone, Debug)]
pub struct Delays(Histogram<u64>);

impl Default for Delays {
    fn default() -> Self {
        // Fails for other bounds than these alone.
        Self(Histogram::new_with_bounds(1, DELAY_MAX_US, 3).unwrap_or_else(|_| unreachable!("1 < DELAY_MAX_US")))
    }
}

impl Delays {
    /// Counts one.
    pub fn add(&mut self, delay: Duration) {
        self.0.saturating_record(u64::try_from(delay.as_micros()).unwrap_or(DELAY_MAX_US).max(1));
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The delay that so many of 100 do not pass, in ms; 0 of none.
    pub fn percentile_ms(&self, percentile: f64) -> f64 {
        ms(self.0.value_at_percentile(percentile))
    }

    /// The longest, in ms; 0 of none.
    pub fn max_ms(&self) -> f64 {
        ms(self.0.max())
    }

    /// The delays by their percentiles, ms; nothing of nothing.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let count = if self.count() == 0 { 0 } else { 100 };
        (1..=count).map(|percent| (float(percent), self.percentile_ms(float(percent)))).collect()
    }

    fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    fn json(&self) -> Value {
        if self.count() == 0 {
            return Value::Null;
        }
        json!({
            "count": self.count(),
            "mean": self.0.mean() / 1_000.0,
            "p50": self.percentile_ms(50.0),
            "p95": self.percentile_ms(95.0),
            "p99": self.percentile_ms(99.0),
            "max": self.max_ms(),
        })
    }
}

/// What a phase of a load came to. Each worker has its own; they are added up at the end.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Session attempts (RFC 7501 section 3.1.3): calls that were begun, however many INVITEs a challenge made of one.
    pub attempts: u64,
    /// Calls with a 200 to their INVITE within the establishment threshold time (RFC 7501 section 3.3.2).
    pub established: u64,
    /// Calls that ended with a 200 to their BYE, and had the sound that they should.
    pub completed: u64,
    /// Calls whose INVITE was redirected.
    redirected: u64,
    /// Final statuses of INVITEs that came to nothing, those of our own timers included.
    refused: BTreeMap<u16, u64>,
    /// Why calls and registrations failed, in words.
    pub failures: BTreeMap<String, u64>,
    /// Successful session request delay (RFC 6076 section 4.3.1): from the moment for which the INVITE was planned to the first
    /// sign of the callee (a provisional response other than 100, or the final one).
    pub request_delay: Delays,
    /// From the moment for which the INVITE was planned to its 200.
    pub answer_delay: Delays,
    /// Failed session request delay (RFC 6076 section 4.3.2).
    pub failed_delay: Delays,
    /// Session disconnect delay (RFC 6076 section 4.4): BYE to its 200.
    pub disconnect_delay: Delays,
    /// Session duration time (RFC 6076 section 4.5): 200 to BYE.
    pub duration: Delays,
    /// Registration attempts.
    pub registrations: u64,
    /// Registrations with a 200.
    pub registered: u64,
    /// Registration request delay (RFC 6076 section 4.1), from the moment for which it was planned.
    pub registration_delay: Delays,
    /// How much later than planned a request left: the generator's own fault.
    pub lag: Delays,
    /// Messages that had to be sent again.
    pub resent: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// The streams that were heard.
    pub sound: Sound,
    /// Call-IDs of the first calls that failed.
    pub failed_calls: Vec<String>,
}

/// The sound of a phase.
#[derive(Clone, Debug, Default)]
pub struct Sound {
    /// Streams by what was heard in them.
    verdicts: BTreeMap<Verdict, u64>,
    sent: u64,
    received: u64,
    lost: u64,
    jitter_ms_max: f64,
    mos_min: Option<f64>,
    mos_sum: f64,
    /// Each of the first streams: when it ended, its loss (0 to 1), jitter in ms and MOS.
    ended: Vec<(Instant, f64, f64, f64)>,
}

impl Sound {
    /// Adds what one end heard.
    pub fn add(&mut self, hearing: &Hearing) {
        *self.verdicts.entry(hearing.verdict).or_default() += 1;
        self.sent += hearing.sent;
        self.received += hearing.received;
        self.lost += hearing.lost;
        if hearing.received > 0 {
            self.jitter_ms_max = self.jitter_ms_max.max(hearing.jitter_ms);
            self.mos_min = Some(self.mos_min.unwrap_or(hearing.mos).min(hearing.mos));
            self.mos_sum += hearing.mos;
            if self.ended.len() < STREAMS_MAX {
                let loss = float(hearing.lost) / float(hearing.received + hearing.lost);
                self.ended.push((Instant::now(), loss, hearing.jitter_ms, hearing.mos));
            }
        }
    }

    /// Streams.
    pub fn streams(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Streams of which this was heard.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// Packets that were lost.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The worst MOS of a stream.
    pub const fn mos_min(&self) -> Option<f64> {
        self.mos_min
    }

    fn merge(&mut self, other: &Self) {
        for (verdict, count) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += count;
        }
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.jitter_ms_max = self.jitter_ms_max.max(other.jitter_ms_max);
        self.mos_min = match (self.mos_min, other.mos_min) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.mos_sum += other.mos_sum;
        self.ended.extend(&other.ended);
    }

    /// The first streams that ended: when, loss (0 to 1), jitter in ms, MOS.
    pub fn ended(&self) -> &[(Instant, f64, f64, f64)] {
        &self.ended
    }

    fn json(&self) -> Value {
        let streams = self.streams();
        if streams == 0 {
            return Value::Null;
        }
        let heard = streams - self.of(Verdict::Nothing);
        json!({
            "streams": streams,
            "verdicts": self.verdicts,
            "packets_sent": self.sent,
            "packets_received": self.received,
            "packets_lost": self.lost,
            "jitter_ms_max": self.jitter_ms_max,
            "mos_min": self.mos_min,
            "mos_mean": (heard > 0).then(|| self.mos_sum / float(heard)),
        })
    }
}

impl Figures {
    /// Counts an INVITE that came to nothing: `status` is the callee's or a proxy's, 408 of our own timer B.
    pub fn refused(&mut self, status: u16) {
        if (300..400).contains(&status) {
            self.redirected += 1;
        }
        *self.refused.entry(status).or_default() += 1;
    }

    /// Counts a failure.
    pub fn failed(&mut self, why: impl Into<String>) {
        *self.failures.entry(why.into()).or_default() += 1;
    }

    /// Remembers a call that failed, by its Call-ID.
    pub fn failed_call(&mut self, call_id: &str) {
        if self.failed_calls.len() < FAILED_MAX {
            self.failed_calls.push(call_id.to_owned());
        }
    }

    /// Failures of all kinds.
    pub fn failures(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds what another worker has counted.
    pub fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.established += other.established;
        self.completed += other.completed;
        self.redirected += other.redirected;
        self.registrations += other.registrations;
        self.registered += other.registered;
        self.resent += other.resent;
        self.answered += other.answered;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
        for (mine, theirs) in [
            (&mut self.request_delay, &other.request_delay),
            (&mut self.answer_delay, &other.answer_delay),
            (&mut self.failed_delay, &other.failed_delay),
            (&mut self.disconnect_delay, &other.disconnect_delay),
            (&mut self.duration, &other.duration),
            (&mut self.registration_delay, &other.registration_delay),
            (&mut self.lag, &other.lag),
        ] {
            mine.merge(theirs);
        }
        self.sound.merge(&other.sound);
        self.failed_calls.extend(other.failed_calls.iter().take(FAILED_MAX).cloned());
    }

    /// Session establishment ratio, percent (RFC 6076 section 4.6).
    pub fn ser(&self) -> Option<f64> {
        percent(self.established, self.attempts.saturating_sub(self.redirected))
    }

    /// Session establishment effectiveness ratio, percent (RFC 6076 section 4.7).
    pub fn seer(&self) -> Option<f64> {
        percent(self.established + self.refused_with(&EFFECTIVE), self.attempts.saturating_sub(self.redirected))
    }

    /// Ineffective session attempts, percent (RFC 6076 section 4.8).
    pub fn isa(&self) -> Option<f64> {
        percent(self.refused_with(&INEFFECTIVE), self.attempts)
    }

    /// Session completion ratio, percent (RFC 6076 section 4.9).
    pub fn scr(&self) -> Option<f64> {
        percent(self.completed, self.attempts)
    }

    /// Ineffective registration attempts, percent (RFC 6076 section 4.2).
    pub fn ira(&self) -> Option<f64> {
        percent(self.registrations.saturating_sub(self.registered), self.registrations)
    }

    fn refused_with(&self, statuses: &[u16]) -> u64 {
        statuses.iter().filter_map(|status| self.refused.get(status)).sum()
    }

    /// As JSON; delays in ms.
    pub fn json(&self) -> Value {
        json!({
            "session_attempts": self.attempts,
            "sessions_established": self.established,
            "sessions_completed": self.completed,
            "sessions_answered": self.answered,
            "registration_attempts": self.registrations,
            "registrations": self.registered,
            "failures": self.failures,
            "refusals": self.refused.iter().map(|(status, count)| (status.to_string(), *count)).collect::<BTreeMap<_, _>>(),
            "resent": self.resent,
            "ser_percent": self.ser(),
            "seer_percent": self.seer(),
            "isa_percent": self.isa(),
            "scr_percent": self.scr(),
            "ira_percent": self.ira(),
            "srd_ms": self.request_delay.json(),
            "failed_srd_ms": self.failed_delay.json(),
            "answer_delay_ms": self.answer_delay.json(),
            "sdd_ms": self.disconnect_delay.json(),
            "sdt_ms": self.duration.json(),
            "rrd_ms": self.registration_delay.json(),
            "generator_lag_ms": self.lag.json(),
            "sound": self.sound.json(),
        })
    }
}

impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

fn percent(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 100.0 * float(part) / float(of))
}

fn ms(us: u64) -> f64 {
    float(us) / 1_000.0
}

/// Exact up to 2^53, which no count here reaches.
#[allow(clippy::cast_precision_loss)]
pub const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratios_are_those_of_rfc_6076() {
        let mut figures = Figures { attempts: 10, established: 6, completed: 5, ..Figures::default() };
        figures.refused(302);
        figures.refused(486);
        figures.refused(503);
        figures.refused(404);

        let ninth = 100.0 / 9.0;
        assert!((figures.ser().unwrap() - 6.0 * ninth).abs() < 1e-9);
        assert!((figures.seer().unwrap() - 7.0 * ninth).abs() < 1e-9);
        assert_eq!((figures.isa(), figures.scr()), (Some(10.0), Some(50.0)));
        assert_eq!((Figures::default().ser(), Figures::default().ira()), (None, None));
    }

    #[test]
    fn figures_of_workers_add_up() {
        let (mut one, mut two) = (Figures::default(), Figures::default());
        for (figures, delay) in [(&mut one, 1), (&mut two, 3)] {
            figures.attempts = 1;
            figures.failed("503 Service Unavailable");
            figures.request_delay.add(Duration::from_millis(delay));
        }

        one.merge(&two);

        assert_eq!((one.attempts, one.failures(), one.request_delay.count()), (2, 2, 2));
        assert!((one.request_delay.max_ms() - 3.0).abs() < 0.01);
    }
}
