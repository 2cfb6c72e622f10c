//! A gateway as operators see it.

use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;

use super::standing::{Standing, State};

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayView {
    /// Name.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// How it is.
    pub state: State,
    /// Whether it answers.
    pub up: bool,
    /// Whether we are registered with it; `None` where we do not register.
    pub registered: Option<bool>,
    /// Calls that are up.
    pub channels: usize,
    /// Calls that it may have.
    pub channels_max: usize,
    /// How long its last answer to OPTIONS took, ms.
    pub round_trip_ms: Option<f64>,
    /// What was wrong last.
    pub trouble: Option<String>,
    /// Calls that were tried by it.
    pub tried: u64,
    /// Of these, those that it answered.
    pub answered: u64,
    /// Of these, those that went on to the next gateway, or found none.
    pub failed: u64,
    /// Calls that came from it.
    pub came: u64,
    /// Calls refused by its limits.
    pub refused: u64,
    /// OPTIONS that it was sent.
    pub probes: u64,
    /// OPTIONS that it did not answer.
    pub missed: u64,
}

impl Standing {
    /// What is seen of it.
    pub fn view(&self) -> GatewayView {
        let gateway = &self.gateway;
        let round_trip = self.round_trip();
        let registers = gateway.account.as_ref().is_some_and(|account| account.registers);
        GatewayView {
            name: gateway.name.clone(),
            address: gateway.authority(),
            transport: gateway.protocol.uri(),
            state: self.state(),
            up: self.is_up(),
            registered: registers.then(|| self.is_registered()),
            channels: self.channels(),
            channels_max: gateway.channels_max,
            round_trip_ms: round_trip.map(|took| took.as_secs_f64() * 1000.0),
            trouble: self.trouble(),
            tried: self.tally().tried.load(Relaxed),
            answered: self.tally().answered.load(Relaxed),
            failed: self.tally().failed.load(Relaxed),
            came: self.tally().came.load(Relaxed),
            refused: self.tally().refused.load(Relaxed),
            probes: self.tally().probes.load(Relaxed),
            missed: self.tally().missed.load(Relaxed),
        }
    }
}
