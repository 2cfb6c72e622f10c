//! The sections that say where calls go.

use jiff::tz::TimeZone;
use std::time::Duration;

use actors::group::Method;
use actors::routing::hours::{Holiday, Opening};
use actors::routing::mask::{Format, Mask};
use actors::routing::pattern::Pattern;
use actors::routing::rewrite::Rewrite;
use actors::routing::spec::{DiallingList, Security, UriForm};
use media::prompt::Language;

use super::kind::{
    CALLED, CODE, Count, DIALLED, FEATURE, FORMAT, Flag, HOLIDAY, LABEL, List, MASK, NAME, NUMBERS, OPENING, OneOf,
    Optional, PATTERN, PREFIX, Period, RewriteRule, SHOWN, ZONE,
};
use super::model::SRTP;
use super::schema::section;
use super::values::{ForwardingUsages, Numbers, Srtp};

/// Most names in one list.
const NAMES_MAX: usize = 200;
/// A second.
const SECOND: Duration = Duration::from_secs(1);
/// Most rules of one kind in one section.
const RULES_MAX: usize = 1_000;

section! {
    /// Where calls go: what holds for users and gateways that have nothing of their own.
    Routing = "[routing]" {
        /// The dial plan of users whose site and who themselves have none, and of gateways without one.
        dial_plan: Option<String> = Optional(NAME), optional "\"office\"";
        /// The voice policy of users whose site and who themselves have none. Without one nobody calls outside.
        voice_policy: Option<String> = Optional(NAME), optional "\"staff\"";
        /// Numbers outside that nobody calls, in the form that routes see.
        blocked: Vec<Pattern> = List { of: PATTERN, lengths: 0..=1_000 }, default "[]";
    }
}

section! {
    /// A place where users are, with what holds there.
    Site = "[[site]]" {
        /// Its name.
        name: String = NAME, required "\"rome\"";
        /// The dial plan of its users.
        dial_plan: Option<String> = Optional(NAME), optional "\"office\"";
        /// The voice policy of its users. The narrowest scope that has a policy wins whole: user, site, `[routing]`.
        voice_policy: Option<String> = Optional(NAME), optional "\"staff\"";
    }
}

section! {
    /// A dial plan: how what is dialled becomes a number, and what callers from outside may reach.
    DialPlan = "[[dial_plan]]" {
        /// Its name.
        name: String = NAME, required "\"office\"";
        /// The form of addresses: of callers to a hunt group, "extension" and "e164" take numbers only.
        uri_type: UriForm = OneOf(&UriForm::NAMES), default "\"extension\"";
        /// How many digits its extensions have.
        extension_digits: usize = Count::new(1, 20), required "4";
        /// Its country code.
        country_code: Option<String> = Optional(PREFIX), optional "\"39\"";
        /// What is dialled before a number of the own country; countries without one leave it out.
        national_prefix: Option<String> = Optional(PREFIX), optional "\"0\"";
        /// What is dialled before a country code.
        international_prefix: Option<String> = Optional(PREFIX), optional "\"00\"";
        /// What is dialled for an outside line, before the other prefixes.
        access_code: Option<String> = Optional(CODE), optional "\"9\"";
        /// How a number of this plan is dialled from another plan of the same country.
        in_country_format: Option<Format> = Optional(FORMAT), optional "\"020xxxxxxx\"";
        /// How a number of this plan is dialled from another country.
        international_format: Option<Format> = Optional(FORMAT), optional "\"4420xxxxxxx\"";
        /// The public numbers of its extensions; the first shows the caller's number where a user has no `tel`.
        number_formats: Vec<Format> = List { of: FORMAT, lengths: 0..=64 }, default "[]";
        /// What calls to its hunt groups must have: nothing, SIP over TLS, or that and SRTP.
        security: Security = OneOf(&Security::NAMES), default "\"unsecured\"";
        /// Whether the media of its users and gateways is encrypted, where they do not say themselves and `[media]` does not fit.
        srtp: Option<Srtp> = Optional(SRTP), optional "\"require\"";
        /// What becomes of a dialled number: rules in order, of which the first that matches stops. Behind them the prefixes
        /// above make public numbers.
        normalise: Vec<Rewrite> = List { of: RewriteRule, lengths: 0..=RULES_MAX }, default "[]";
        /// Whether callers from outside reach users.
        allow_users: bool = Flag, default "true";
        /// Whether callers from outside reach other numbers of the switch, such as services and conferences.
        allow_extensions: bool = Flag, default "false";
        /// How many calls there may be at once by its rules: of its users, and to its hunt groups. The next one gets 503.
        calls_max: Option<u32> = Optional(Count::new(1, 1_000_000)), optional "200";
        /// Groups of in-country dialling rules by which callers from outside may leave again.
        allowed_in_country: Vec<String> = List { of: NAME, lengths: 0..=NAMES_MAX }, default "[]";
        /// Groups of international dialling rules by which callers from outside may leave again.
        allowed_international: Vec<String> = List { of: NAME, lengths: 0..=NAMES_MAX }, default "[]";
    }
}

section! {
    /// A dialling rule: a number that callers from outside may reach outside, if its group is allowed.
    DiallingRule = "[[dialling_rule]]" {
        /// The dial plan that it belongs to.
        dial_plan: String = NAME, required "\"office\"";
        /// Its group. Rules of one name are allowed together.
        group: String = NAME, required "\"local\"";
        /// The list of the group.
        list: DiallingList = OneOf(&DiallingList::NAMES), default "\"in-country\"";
        /// Which numbers, as they are dialled in the plan. Of several that match the one with most digits decides.
        mask: Mask = MASK, required "\"9425xxxxxxx\"";
        /// How they are sent; with the wildcards of the mask.
        dialled: Mask = MASK, required "\"9xxxxxxx\"";
        /// What it is for.
        comment: Option<String> = Optional(LABEL), optional "\"local calls\"";
    }
}

section! {
    /// Call features: the codes that users dial to switch them, and what holds where they do not say. A code switches on;
    /// with `#` instead of its `*` it switches off; a number follows where one is needed.
    Features = "[features]" {
        /// Sends all calls to the number behind it.
        forward_all: String = FEATURE, default "\"*21\"";
        /// Sends calls to the number behind it while the user is busy, or refuses them.
        forward_busy: String = FEATURE, default "\"*67\"";
        /// Sends calls to the number behind it that nobody answers; `*` and the seconds may follow.
        forward_no_answer: String = FEATURE, default "\"*61\"";
        /// Takes all forwardings back.
        forward_none: String = FEATURE, default "\"*73\"";
        /// Has the number behind it ring as well.
        also_ring: String = FEATURE, default "\"*36\"";
        /// Lets no call ring.
        do_not_disturb: String = FEATURE, default "\"*26\"";
        /// Lets another call ring while there is one; off, it is busy.
        call_waiting: String = FEATURE, default "\"*43\"";
        /// Hides the user's number: in the call to the number behind it, else in all.
        hide_number: String = FEATURE, default "\"*31\"";
        /// Refuses calls of who hides its number.
        reject_anonymous: String = FEATURE, default "\"*77\"";
        /// Takes calls of ring groups whose agents sign in: of the one whose number follows, else of all of the user's.
        sign_in: String = FEATURE, default "\"*22\"";
        /// Takes a call that rings for the number behind it, else for anybody of the user's pickup group.
        pickup: String = FEATURE, default "\"*8\"";
        /// Marks the last call that came for the user as malicious.
        trace: String = FEATURE, default "\"*57\"";
        /// How long phones ring before a call goes on that nobody answers.
        ring_time: Duration = Period(SECOND * 5..=SECOND * 180), default "\"20s\"";
        /// Places where calls are parked: by a transfer to one, and taken by dialling it.
        park_numbers: Option<Numbers> = Optional(NUMBERS), optional "\"5900-5909\"";
        /// How long a call is parked before whoever parked it is rung.
        park_time: Duration = Period(SECOND * 10..=SECOND * 600), default "\"90s\"";
        /// How often whoever parked it is rung.
        park_tries: u32 = Count::new(0, 10), default "1";
        /// Where a parked call goes after that; without it, it ends.
        park_to: Option<String> = Optional(CALLED), optional "\"1001\"";
    }
}

section! {
    /// A voice policy: what users may do.
    VoicePolicy = "[[voice_policy]]" {
        /// Its name.
        name: String = NAME, required "\"staff\"";
        /// The usages of calls outside, in the order in which their routes are tried. None lets nobody call outside.
        usages: Vec<String> = List { of: NAME, lengths: 0..=NAMES_MAX }, default "[]";
        /// Whether calls may be transferred.
        call_transfer: bool = Flag, default "true";
        /// How much each of its users may call outside.
        limit: Option<String> = Optional(NAME), optional "\"staff\"";
        /// Whether users may send their calls on.
        call_forwarding: bool = Flag, default "true";
        /// Whether users may have other numbers ring as well.
        simultaneous_ring: bool = Flag, default "true";
        /// Whether users may have delegates.
        delegation: bool = Flag, default "true";
        /// Whether users may have a team that rings as well.
        team_call: bool = Flag, default "true";
        /// Whether users may park calls.
        call_park: bool = Flag, default "false";
        /// Whether users may trace malicious calls.
        malicious_call_trace: bool = Flag, default "false";
        /// A number outside that rings as well and answers sooner than this is taken for its carrier's voice mail: it is let go, and
        /// the others ring on. Without it whoever answers first has the call.
        voicemail_escape: Option<Duration> = Optional(Period(Duration::ZERO..=SECOND * 8)), optional "\"1500ms\"";
        /// By what usages calls leave that a user sends on, or that ring outside as well: those of the policy, by none, or by
        /// `forwarding_usages`.
        forwarding: ForwardingUsages = OneOf(&[
            ("policy", ForwardingUsages::Policy), ("internal", ForwardingUsages::Internal), ("usages", ForwardingUsages::Usages),
        ]), default "\"policy\"";
        /// Those usages, in order.
        forwarding_usages: Vec<String> = List { of: NAME, lengths: 0..=NAMES_MAX }, default "[]";
    }
}

section! {
    /// A route: numbers, and the gateways that lead to them. Of several the earlier is tried first.
    Route = "[[route]]" {
        /// Its name.
        name: String = NAME, required "\"italy\"";
        /// The numbers, as the dial plan made them.
        pattern: Pattern = PATTERN, required r#""^\\+39\\d+$""#;
        /// Numbers that it does not lead to.
        exclude: Vec<Pattern> = List { of: PATTERN, lengths: 0..=64 }, default "[]";
        /// The usages that it belongs to.
        usages: Vec<String> = List { of: NAME, lengths: 1..=NAMES_MAX }, required r#"["national"]"#;
        /// Its gateways in the order in which they are tried: the cheapest first.
        gateways: Vec<String> = List { of: NAME, lengths: 1..=64 }, required r#"["carrier"]"#;
        /// The number that is shown instead of the caller's.
        caller: Option<String> = Optional(SHOWN), optional "\"+390612345678\"";
        /// The time condition under which it is open.
        hours: Option<String> = Optional(NAME), optional "\"office\"";
    }
}

section! {
    /// Destinations outside that cost the same. The first that has a number counts; what none has costs nothing. Units are what you take
    /// them for, such as cents.
    Destination = "[[destination]]" {
        /// Its name.
        name: String = NAME, required "\"mobile\"";
        /// The numbers, as routes see them.
        patterns: Vec<Pattern> = List { of: PATTERN, lengths: 1..=200 }, required r#"["^\\+393"]"#;
        /// Units that a call costs when it is answered.
        call: u32 = Count::new(0, 1_000_000), default "0";
        /// Units that each minute costs that it begins.
        minute: u32 = Count::new(0, 1_000_000), default "0";
    }
}

section! {
    /// A limit of calls outside, for each user of a voice policy or for a gateway that names it.
    Limit = "[[limit]]" {
        /// Its name.
        name: String = NAME, required "\"staff\"";
        /// How many calls outside there may be at once; the next one gets 503.
        calls_max: Option<u32> = Optional(Count::new(1, 1_000_000)), optional "4";
        /// How many calls outside may begin in a minute; the next one gets 503.
        calls_per_minute: Option<u32> = Optional(Count::new(1, 1_000_000)), optional "10";
        /// Units that may be spent in an hour of the clock (UTC); after that new calls get 403 until the next, or until an operator resets it.
        hour_max: Option<u64> = Optional(Count::new(1, 1_000_000_000)), optional "500";
        /// Units that may be spent in a day (UTC), likewise.
        day_max: Option<u64> = Optional(Count::new(1, 1_000_000_000)), optional "2000";
        /// The destinations that may be called; none is all numbers, with and without a destination.
        destinations: Vec<String> = List { of: NAME, lengths: 0..=NAMES_MAX }, default "[]";
        /// Whether calls that are up end when nothing is left for their next minute.
        cut: bool = Flag, default "false";
    }
}

section! {
    /// A hunt group: ties called parties on a gateway to a dial plan.
    HuntGroup = "[[hunt_group]]" {
        /// Its name.
        name: String = NAME, required "\"reception\"";
        /// The gateway that its calls come by.
        gateway: String = NAME, required "\"carrier\"";
        /// The dial plan of its calls.
        dial_plan: String = NAME, required "\"office\"";
        /// The called parties that are its. Calls of its gateway to any other are not answered, unless the gateway has a dial
        /// plan of its own.
        pilots: Vec<String> = List { of: CALLED, lengths: 1..=NAMES_MAX }, required r#"["+390612345678"]"#;
        /// Where its calls go; without it to the number that was called.
        to: Option<String> = Optional(CALLED), optional "\"1001\"";
        /// The time condition under which they go there.
        hours: Option<String> = Optional(NAME), optional "\"office\"";
        /// Where they go at other times; without it they are refused.
        closed_to: Option<String> = Optional(CALLED), optional "\"5502\"";
        /// How many calls there may be at once to its pilots. The next one gets 503.
        calls_max: Option<u32> = Optional(Count::new(1, 1_000_000)), optional "30";
    }
}

section! {
    /// A ring group: a number behind which several people answer, and a queue before them.
    RingGroup = "[[ring_group]]" {
        /// Its name.
        name: String = NAME, required "\"sales\"";
        /// The number that is dialled.
        number: String = DIALLED, required "\"1100\"";
        /// What it is called.
        text: Option<String> = Optional(LABEL), optional "\"Sales\"";
        /// The users who answer, in order.
        agents: Vec<String> = List { of: NAME, lengths: 1..=NAMES_MAX }, required r#"["alice", "bob"]"#;
        /// In which order they ring: all who are free at once; one after the other from the first on; from the one behind who was
        /// rung last; who has been free the longest first; or all at once, also those who talk already.
        method: Method = OneOf(&Method::NAMES), default "\"parallel\"";
        /// Whether agents take calls only while they have signed in.
        sign_in: bool = Flag, default "false";
        /// How long agents ring before others do.
        alert: Duration = Period(SECOND * 5..=SECOND * 179), default "\"20s\"";
        /// How long an agent who did not answer, or refused, is left alone.
        rest: Duration = Period(SECOND..=SECOND * 600), default "\"10s\"";
        /// How long an agent is left alone after a call.
        wrap_up: Duration = Period(Duration::ZERO..=SECOND * 3600), default "\"0s\"";
        /// How many calls may wait while nobody is free, with music.
        waiting_max: usize = Count::new(0, 1000), default "100";
        /// Which call goes when more come: the newest, or the one that waits the longest.
        overflow: bool = OneOf(&[("newest", false), ("oldest", true)]), default "\"newest\"";
        /// Where it goes; without it, it is refused as busy.
        overflow_to: Option<String> = Optional(CALLED), optional "\"1001\"";
        /// How long a call may go without an agent; without it as long as the caller waits.
        wait_max: Option<Duration> = Optional(Period(SECOND * 10..=SECOND * 65_535)), optional "\"5m\"";
        /// Where it goes then; without it, it ends.
        timeout_to: Option<String> = Optional(CALLED), optional "\"1001\"";
        /// Where calls go while no agent is there; without it they are refused.
        nobody_to: Option<String> = Optional(CALLED), optional "\"5502\"";
        /// The time condition under which it takes calls.
        hours: Option<String> = Optional(NAME), optional "\"office\"";
        /// Where calls go at other times; without it they are refused.
        closed_to: Option<String> = Optional(CALLED), optional "\"5502\"";
        /// How often who waits is told its place; without it never.
        announce: Option<Duration> = Optional(Period(SECOND * 10..=SECOND * 600)), optional "\"60s\"";
        /// The language of that.
        language: Language = OneOf(&[("en", Language::English), ("it", Language::Italian)]), default "\"en\"";
        /// The voice policy by which its calls go on to a number outside, where that of `[routing]` does not fit.
        voice_policy: Option<String> = Optional(NAME), optional "\"staff\"";
    }
}

section! {
    /// An emergency number: no voice policy, block list or time condition holds its calls back.
    Emergency = "[[emergency]]" {
        /// The number that is sent.
        number: String = SHOWN, required "\"112\"";
        /// What else may be dialled for it.
        masks: Vec<String> = List { of: CALLED, lengths: 0..=64 }, default "[]";
        /// The usage of its routes.
        usage: String = NAME, required "\"emergency\"";
    }
}

section! {
    /// A time condition: business hours and holidays.
    Hours = "[[hours]]" {
        /// Its name.
        name: String = NAME, required "\"office\"";
        /// Whose clock.
        time_zone: TimeZone = ZONE, required "\"Europe/Rome\"";
        /// When it is open; none is always.
        open: Vec<Opening> = List { of: OPENING, lengths: 0..=64 }, default "[]";
        /// Days on which it is closed all the same.
        holidays: Vec<Holiday> = List { of: HOLIDAY, lengths: 0..=400 }, default "[]";
    }
}
