//! Counters of the switch, kept as handles: a name is looked up once, at start (a macro call costs sixteen times more).

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// What the switch counts.
pub struct Counters {
    /// Messages that could not be read.
    pub malformed: Counter,
    /// Requests refused with 503.
    pub refused_overload: Counter,
    /// Challenges sent.
    pub challenges: Counter,
    /// Wrong passwords.
    pub wrong_passwords: Counter,
    /// Credentials not looked at because their source guesses.
    pub refused_credentials: Counter,
    /// Registrations accepted.
    pub registrations: Counter,
    /// Responses that belong to nothing.
    pub stray_responses: Counter,
    /// Messages that the network did not take.
    pub send_failures: Counter,
    /// Names looked up (RFC 3263).
    pub lookups: Counter,
    /// Of these, those that led nowhere.
    pub lookups_failed: Counter,
    /// Requests that went to a further place of their name.
    pub failovers: Counter,
    /// Faults caught while a message was read.
    pub faults: Counter,
    /// Calls begun.
    pub calls_begun: Counter,
    /// Calls answered.
    pub calls_answered: Counter,
    /// Calls rebuilt from a checkpoint.
    pub calls_rebuilt: Counter,
    /// Instant messages delivered.
    pub messages_delivered: Counter,
    /// Instant messages kept for later.
    pub messages_kept: Counter,
    /// Calls alive.
    pub calls_alive: Gauge,
    /// Addresses of record with a binding.
    pub registered: Gauge,
    /// INVITE to final answer, s.
    pub answer_delay: Histogram,
    /// The sound that came from the callers of calls that have ended.
    pub from_caller: DirectionCounters,
    /// The sound that came from the callees.
    pub from_callee: DirectionCounters,
}

/// How the sound of one direction was, a call at a time.
pub struct DirectionCounters {
    /// MOS, 1 to 4.41.
    pub mos: Histogram,
    /// Jitter, s.
    pub jitter: Histogram,
    /// Lost of all packets, 0 to 1.
    pub loss: Histogram,
}

impl DirectionCounters {
    fn new(from: &'static str) -> Self {
        Self {
            mos: histogram!("strowger_call_mos", "from" => from),
            jitter: histogram!("strowger_call_jitter_seconds", "from" => from),
            loss: histogram!("strowger_call_loss_ratio", "from" => from),
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            malformed: counter!("strowger_sip_malformed_total"),
            refused_overload: counter!("strowger_sip_refused_overload_total"),
            challenges: counter!("strowger_sip_challenges_total"),
            wrong_passwords: counter!("strowger_sip_wrong_passwords_total"),
            refused_credentials: counter!("strowger_sip_refused_credentials_total"),
            registrations: counter!("strowger_registrations_total"),
            stray_responses: counter!("strowger_sip_stray_responses_total"),
            send_failures: counter!("strowger_sip_send_failures_total"),
            lookups: counter!("strowger_sip_lookups_total"),
            lookups_failed: counter!("strowger_sip_lookups_failed_total"),
            failovers: counter!("strowger_sip_failovers_total"),
            faults: counter!("strowger_sip_faults_total"),
            calls_begun: counter!("strowger_calls_begun_total"),
            calls_answered: counter!("strowger_calls_answered_total"),
            calls_rebuilt: counter!("strowger_calls_rebuilt_total"),
            messages_delivered: counter!("strowger_messages_delivered_total"),
            messages_kept: counter!("strowger_messages_kept_total"),
            calls_alive: gauge!("strowger_calls_alive"),
            registered: gauge!("strowger_registered"),
            answer_delay: histogram!("strowger_answer_delay_seconds"),
            from_caller: DirectionCounters::new("caller"),
            from_callee: DirectionCounters::new("callee"),
        }
    }
}
