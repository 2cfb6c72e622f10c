//! What an operator says about routing: plain data that holds no state and asks nobody.

use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;

use super::hours::Hours;
use super::mask::{Format, Mask};
use super::pattern::Pattern;
use super::rewrite::{self, Rewrite};
use crate::features::Codes;
use crate::limits::{Class, Limit};

/// The whole plan.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// What holds for whom no narrower scope says otherwise.
    pub global: Scope,
    /// Places.
    pub sites: Vec<Site>,
    /// Dial plans.
    pub dial_plans: Vec<DialPlan>,
    /// Voice policies.
    pub policies: Vec<VoicePolicy>,
    /// Routes; the earlier is tried first.
    pub routes: Vec<Route>,
    /// Hunt groups.
    pub hunt_groups: Vec<HuntGroup>,
    /// Emergency numbers.
    pub emergencies: Vec<Emergency>,
    /// Time conditions.
    pub hours: Vec<Hours>,
    /// Numbers outside that nobody calls.
    pub blocked: Vec<Pattern>,
    /// What calls cost; the first class that has a number counts.
    pub classes: Vec<Class>,
    /// How much whoever pays may call.
    pub limits: Vec<Arc<Limit>>,
    /// What is dialled to switch features.
    pub codes: Codes,
    /// The first and the last place where calls are parked.
    pub parking: Option<(String, String)>,
}

/// What a user, a site or the whole switch has been given. The narrowest scope that has one wins, and wins whole: nothing is
/// mixed from two policies (reference, mobility and voice, 3.3 and 6.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// A dial plan.
    pub dial_plan: Option<SmolStr>,
    /// A voice policy.
    pub policy: Option<SmolStr>,
}

/// A place where users are.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: SmolStr,
    /// What holds there.
    pub scope: Scope,
}

/// What a user has been given of its own.
#[derive(Clone, Debug, Default)]
pub struct Assigned {
    /// Where it is.
    pub site: Option<SmolStr>,
    /// What holds for it alone.
    pub scope: Scope,
}

/// How routing uses a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrunkRules {
    /// Normalises the numbers of its calls.
    pub dial_plan: Option<SmolStr>,
    /// Usages over which its calls may leave through another gateway (reference, mobility and voice, 6.11).
    pub usages: Vec<SmolStr>,
    /// How much may leave by it, and how much of its calls may leave by others.
    pub limit: Option<SmolStr>,
    /// What is done to the called number of its calls, before anything else.
    pub called_in: Vec<Rewrite>,
    /// What is done to the caller's number of its calls.
    pub caller_in: Vec<Rewrite>,
    /// What is done to the called number of calls to it.
    pub called_out: Vec<Rewrite>,
    /// What is done to the caller's number of calls to it.
    pub caller_out: Vec<Rewrite>,
}

impl TrunkRules {
    /// The number of a caller of its, as it is shown inside.
    pub fn caller_as_seen(&self, number: &str) -> String {
        rewrite::first(&self.caller_in, number).map_or_else(|| number.to_owned(), |(_, becomes)| becomes)
    }
}

/// The form of addresses in a dial plan (reference, unified messaging, 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UriForm {
    /// Numbers of a fixed length.
    #[default]
    Extension,
    /// SIP addresses.
    Sip,
    /// Numbers of the public network.
    E164,
}

impl UriForm {
    /// The words of the configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("extension", Self::Extension), ("sip", Self::Sip), ("e164", Self::E164)];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Sip => "sip",
            Self::E164 => "e164",
        }
    }
}

/// How calls of a dial plan are protected (reference, unified messaging, 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing is asked for.
    #[default]
    Unsecured,
    /// Signalling is encrypted.
    SipSecured,
    /// Signalling and media are.
    Secured,
}

impl Security {
    /// The words of the configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("unsecured", Self::Unsecured), ("sip-secured", Self::SipSecured), ("secured", Self::Secured)];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsecured => "unsecured",
            Self::SipSecured => "sip-secured",
            Self::Secured => "secured",
        }
    }
}

/// A dial plan (reference, unified messaging, 2.1, and mobility and voice, 6.2).
#[derive(Clone, Debug, Default)]
pub struct DialPlan {
    /// Its name.
    pub name: SmolStr,
    /// The form of addresses.
    pub uri: UriForm,
    /// Digits of an extension.
    pub extension_digits: usize,
    /// Country code, without `+`.
    pub country_code: Option<SmolStr>,
    /// What is dialled before a number of the own country.
    pub national_prefix: Option<SmolStr>,
    /// What is dialled before a country code.
    pub international_prefix: Option<SmolStr>,
    /// What is dialled for an outside line.
    pub access_code: Option<SmolStr>,
    /// How numbers of this plan are dialled from another plan of the country.
    pub in_country_format: Option<Format>,
    /// How they are dialled from another country.
    pub international_format: Option<Format>,
    /// Masks from extensions to public numbers, for the caller's number.
    pub number_formats: Vec<Format>,
    /// Protection.
    pub security: Security,
    /// Rules in order; the first that matches stops.
    pub rules: Vec<Rewrite>,
    /// Dialling rules in order.
    pub dialling: Vec<DiallingRule>,
    /// Groups of in-country rules that callers from outside may use.
    pub allowed_in_country: Vec<SmolStr>,
    /// Groups of international rules that callers from outside may use.
    pub allowed_international: Vec<SmolStr>,
    /// Callers from outside may reach users.
    pub allow_users: bool,
    /// Callers from outside may reach other numbers of the switch.
    pub allow_extensions: bool,
    /// Calls at once by its rules.
    pub calls_max: Option<u32>,
}

/// Which list a dialling rule is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiallingList {
    /// Numbers of the country.
    InCountry,
    /// Numbers abroad.
    International,
}

impl DiallingList {
    /// The words of the configuration.
    pub const NAMES: [(&'static str, Self); 2] =
        [("in-country", Self::InCountry), ("international", Self::International)];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InCountry => "in-country",
            Self::International => "international",
        }
    }
}

/// A dialling rule (reference, unified messaging, 7.5).
#[derive(Clone, Debug)]
pub struct DiallingRule {
    /// Its group, which is what is authorised.
    pub group: SmolStr,
    /// Its list.
    pub list: DiallingList,
    /// Which numbers.
    pub mask: Mask,
    /// How they are sent.
    pub dialled: Mask,
}

/// A voice policy (reference, mobility and voice, 6.4): what a user may do.
#[derive(Clone, Debug, Default)]
pub struct VoicePolicy {
    /// Its name.
    pub name: SmolStr,
    /// Usages in order; none lets nobody call outside.
    pub usages: Vec<SmolStr>,
    /// The user may transfer calls.
    pub transfer: bool,
    /// How much each user may call outside.
    pub limit: Option<SmolStr>,
    /// The features that it may have.
    pub switches: Switches,
    /// By what usages calls leave that the user sends on.
    pub forwarding: Forwarding,
}

/// What a user may switch (reference, mobility and voice, 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Sends calls on.
    pub forwarding: bool,
    /// Has other numbers ring as well.
    pub simultaneous: bool,
    /// Has delegates.
    pub delegation: bool,
    /// Has a team.
    pub team_call: bool,
    /// Parks calls.
    pub park: bool,
    /// Traces malicious calls.
    pub trace: bool,
    /// A number outside that rings as well and answers sooner than this is a carrier's voice mail, and does not get the call.
    pub escape: Option<Duration>,
}

impl Default for Switches {
    /// Those of the reference.
    fn default() -> Self {
        Self {
            forwarding: true,
            simultaneous: true,
            delegation: true,
            team_call: true,
            park: false,
            trace: false,
            escape: None,
        }
    }
}

/// By what usages calls leave that are sent on (reference, mobility and voice, 5.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// Those of the policy.
    #[default]
    Policy,
    /// By none: they stay inside.
    Internal,
    /// By these.
    Usages(Vec<SmolStr>),
}

/// A route (reference, mobility and voice, 6.5).
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: SmolStr,
    /// Which numbers.
    pub pattern: Pattern,
    /// Which not.
    pub exclude: Vec<Pattern>,
    /// For whom.
    pub usages: Vec<SmolStr>,
    /// Through which gateways, in this order.
    pub gateways: Vec<SmolStr>,
    /// Shown instead of the caller's number.
    pub caller: Option<SmolStr>,
    /// When.
    pub hours: Option<SmolStr>,
}

/// A hunt group: ties pilots on a gateway to a dial plan (reference, unified messaging, 2.3).
#[derive(Clone, Debug)]
pub struct HuntGroup {
    /// Its name.
    pub name: SmolStr,
    /// On which gateway.
    pub gateway: SmolStr,
    /// Under which plan.
    pub dial_plan: SmolStr,
    /// The called parties that are its.
    pub pilots: Vec<SmolStr>,
    /// Where its calls go; `None`: to the number that was called.
    pub to: Option<SmolStr>,
    /// When.
    pub hours: Option<SmolStr>,
    /// Where its calls go at other times; `None`: nowhere.
    pub closed_to: Option<SmolStr>,
    /// Calls at once to its pilots.
    pub calls_max: Option<u32>,
}

/// A number whose calls no policy, block or time holds back (reference, mobility and voice, 6.9).
#[derive(Clone, Debug)]
pub struct Emergency {
    /// What is sent.
    pub number: SmolStr,
    /// What else may be dialled for it.
    pub masks: Vec<SmolStr>,
    /// The usage of its routes.
    pub usage: SmolStr,
}
