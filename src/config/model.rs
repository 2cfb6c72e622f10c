//! What a configuration holds: one struct a section. Each setting is declared here once, with its help, its kind and
//! its default; everything that speaks of settings reads these declarations.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::{
    ADDRESS, ALGORITHM, CODEC, Count, DIALLED, FilePath, Flag, GATEWAY_ADDRESS, HOST, Ha1Table, IP, LABEL, LISTEN,
    LOG_FILTER, List, NAME, NAMESERVER, NUMBERS, OneOf, Optional, PASSWORD, PIN, PORTS, Period, RewriteRule, Size, TEL,
    TOKEN,
};
use super::mail::{Attendant, MailboxPolicy, Smtp, Transcripts, Voicemail};
use super::plan::{
    Destination, DialPlan, DiallingRule, Emergency, Features, Hours, HuntGroup, Limit, RingGroup, Route, Routing, Site,
    VoicePolicy,
};
use super::schema::section;
use super::values::{
    Algorithm, Codec, Dtmf, GatewayAddress, GatewayTransport, LogFormat, Numbers, Origin, PortMode, RecordFormat,
    Secret, ServiceKind, Srtp, VerifyClient,
};
use actors::gateway::{Family, Names};
use actors::routing::rewrite::Rewrite;
use media::prompt::Language;

/// The words for [`PortMode`].
const PORT_MODE: OneOf<PortMode> = OneOf(&[("range", PortMode::Range), ("single", PortMode::Single)]);

/// The words for [`Dtmf`].
const DTMF: OneOf<Dtmf> = OneOf(&[("auto", Dtmf::Auto), ("info", Dtmf::Info)]);
/// The words for [`RecordFormat`].
const RECORD_FORMAT: OneOf<RecordFormat> = OneOf(&[("wav", RecordFormat::Wav), ("opus", RecordFormat::Opus)]);
/// The words for [`Srtp`].
pub(super) const SRTP: OneOf<Srtp> =
    OneOf(&[("require", Srtp::Require), ("prefer", Srtp::Prefer), ("never", Srtp::Never)]);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it came from.
    pub origin: Origin,
    /// Its text, which has passwords in it.
    pub source: Secret,
    /// `[node]`
    pub node: Node,
    /// `[sip]`
    pub sip: Sip,
    /// `[tls]`
    pub tls: Tls,
    /// `[registrar]`
    pub registrar: Registrar,
    /// `[auth]`
    pub auth: Auth,
    /// `[admission]`
    pub admission: Admission,
    /// `[media]`
    pub media: Media,
    /// `[http]`
    pub http: Http,
    /// `[admin]`
    pub admin: Admin,
    /// `[store]`
    pub store: Store,
    /// `[hep]`
    pub hep: Hep,
    /// `[voicemail]`
    pub voicemail: Voicemail,
    /// `[smtp]`
    pub smtp: Smtp,
    /// `[transcripts]`
    pub transcripts: Transcripts,
    /// `[[mailbox_policy]]`
    pub mailbox_policies: Vec<MailboxPolicy>,
    /// `[[attendant]]`
    pub attendants: Vec<Attendant>,
    /// `[[user]]`
    pub users: Vec<User>,
    /// `[[gateway]]`
    pub gateways: Vec<Gateway>,
    /// `[[service]]`
    pub services: Vec<Service>,
    /// `[[conference]]`
    pub conferences: Vec<Conference>,
    /// `[routing]`
    pub routing: Routing,
    /// `[features]`
    pub features: Features,
    /// `[[site]]`
    pub sites: Vec<Site>,
    /// `[[dial_plan]]`
    pub dial_plans: Vec<DialPlan>,
    /// `[[dialling_rule]]`
    pub dialling_rules: Vec<DiallingRule>,
    /// `[[voice_policy]]`
    pub voice_policies: Vec<VoicePolicy>,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[[destination]]`
    pub destinations: Vec<Destination>,
    /// `[[limit]]`
    pub limits: Vec<Limit>,
    /// `[[hunt_group]]`
    pub hunt_groups: Vec<HuntGroup>,
    /// `[[ring_group]]`
    pub ring_groups: Vec<RingGroup>,
    /// `[[emergency]]`
    pub emergencies: Vec<Emergency>,
    /// `[[hours]]`
    pub hours: Vec<Hours>,
}

section! {
    /// The node: its name, its folder and its log.
    Node = "[node]" {
        /// The name of this node in logs, call records and the console.
        name: String = NAME, default "\"strowger\"";
        /// The folder of everything that is kept: registrations, messages, call records, generated secrets.
        data: PathBuf = FilePath, default "\"./data\"";
        /// The domains that this switch answers for; the first one is the default realm.
        domains: Vec<String> = List { of: HOST, lengths: 1..=64 }, required r#"["example.com"]"#;
        /// How many signalling shards carry calls; 0 makes one for every two cores, because media needs the others.
        shards: usize = Count::new(0, 256), default "0";
        /// Which events are logged.
        log: String = LOG_FILTER, default "\"info\"";
        /// Whether the file of the configuration is applied when it changes.
        watch: bool = Flag, default "false";
        /// How log lines are written.
        log_format: LogFormat = OneOf(&[("text", LogFormat::Text), ("json", LogFormat::Json)]), default "\"text\"";
    }
}

section! {
    /// SIP: where it listens, its limits and its timers.
    Sip = "[sip]" {
        /// Addresses for SIP over UDP.
        udp: Vec<SocketAddr> = List { of: LISTEN, lengths: 0..=16 }, default "[]";
        /// Addresses for SIP over TCP.
        tcp: Vec<SocketAddr> = List { of: LISTEN, lengths: 0..=16 }, default "[]";
        /// Addresses for SIP over TLS.
        tls: Vec<SocketAddr> = List { of: LISTEN, lengths: 0..=16 }, default "[]";
        /// The host that Via and Contact name; without it the address that the message leaves from. Required behind a
        /// listener on all addresses.
        advertised: Option<String> = Optional(HOST), optional "\"sip.example.com\"";
        /// The DNS servers that names in Contact, Path and Route are looked up at (RFC 3263); empty takes the system's.
        nameservers: Vec<SocketAddr> = List { of: NAMESERVER, lengths: 0..=8 }, default "[]";
        /// The round-trip estimate T1, from which retransmissions and time-outs follow (RFC 3261 section 17.1.1.1).
        t1: Duration = Period(Duration::from_millis(10)..=SECOND * 5), default "\"500ms\"";
        /// After how long without traffic a TCP, TLS or WebSocket connection is closed.
        tcp_idle: Duration = Period(SECOND * 10..=DAY), default "\"15m\"";
        /// How many TCP, TLS and WebSocket connections may be open.
        max_connections: usize = Count::new(1, 1_000_000), default "10000";
        /// What Server and User-Agent headers say.
        user_agent: String = LABEL, default "\"Strowger\"";
        /// The session interval that is asked for (RFC 4028).
        session_expires: Duration = Period(SECOND * 90..=DAY), default "\"1800s\"";
        /// The shortest session interval that is accepted; shorter ones get 422 (RFC 4028 section 5: at least 90 s).
        min_se: Duration = Period(SECOND * 90..=HOUR * 2), default "\"90s\"";
        /// The longest time that a call may last.
        max_call_duration: Duration = Period(SECOND..=DAY * 7), default "\"12h\"";
        /// The longest time that a call may ring before it is given up.
        max_ringing: Duration = Period(SECOND * 10..=HOUR), default "\"180s\"";
        /// How long the contacts of one q ring before those of the next lower q ring instead.
        ring_step: Duration = Period(SECOND..=HOUR), default "\"20s\"";
        /// How many contacts a call rings, of all q together.
        max_forks: usize = Count::new(1, 64), default "16";
    }
}

section! {
    /// Certificates of SIP over TLS, and of HTTPS unless `[http]` names its own.
    Tls = "[tls]" {
        /// The certificate chain as PEM. Without it a development certificate is generated in the data folder.
        certificate: Option<PathBuf> = Optional(FilePath), optional "\"certificate.pem\"";
        /// The private key of the certificate as PEM.
        key: Option<PathBuf> = Optional(FilePath), optional "\"key.pem\"";
        /// The authorities of client certificates as PEM.
        client_ca: Option<PathBuf> = Optional(FilePath), optional "\"clients.pem\"";
        /// The authorities of servers that this switch connects to as PEM; without it no server is trusted.
        server_ca: Option<PathBuf> = Optional(FilePath), optional "\"servers.pem\"";
        /// Whether a SIP client must show a certificate of these authorities.
        verify_client: VerifyClient = OneOf(&[
            ("off", VerifyClient::Off), ("optional", VerifyClient::Optional), ("required", VerifyClient::Required),
        ]), default "\"off\"";
    }
}

section! {
    /// The registrar: how long bindings last and how many there may be.
    Registrar = "[registrar]" {
        /// How long a binding lasts when the phone names no time.
        expires_default: Duration = Period(SECOND..=DAY * 30), default "\"1h\"";
        /// The shortest time that is accepted; shorter ones get 423.
        expires_min: Duration = Period(SECOND..=DAY), default "\"60s\"";
        /// The longest time that is granted; longer ones are shortened.
        expires_max: Duration = Period(SECOND..=DAY * 30), default "\"24h\"";
        /// How many contacts an address of record may have.
        contacts_max: usize = Count::new(1, 64), default "10";
    }
}

section! {
    /// Digest authentication, and what a wrong password costs.
    Auth = "[auth]" {
        /// The realm of challenges; without it the first domain.
        realm: Option<String> = Optional(LABEL), optional "\"example.com\"";
        /// The digest algorithms that are offered, strongest first (RFC 8760).
        algorithms: Vec<Algorithm> = List { of: ALGORITHM, lengths: 1..=3 }, default r#"["SHA-512-256", "SHA-256", "MD5"]"#;
        /// How long a nonce may be used before a fresh one is asked for.
        nonce_lifetime: Duration = Period(SECOND * 5..=DAY), default "\"5m\"";
        /// How many wrong passwords a source may send before it is delayed.
        tries_max: u32 = Count::new(1, 1_000), default "5";
        /// The first delay of a source after that many wrong passwords; each further one doubles it.
        delay_first: Duration = Period(Duration::from_millis(1)..=MINUTE), default "\"500ms\"";
        /// The longest delay of a source.
        delay_max: Duration = Period(Duration::from_millis(1)..=DAY), default "\"30s\"";
    }
}

section! {
    /// Admission: what one source and all calls together may ask for. The rest gets 503 with Retry-After.
    Admission = "[admission]" {
        /// How many requests a second a source may send in the long run.
        per_source_rate: u32 = Count::new(1, 1_000_000), default "500";
        /// How many requests a source may send at once.
        per_source_burst: u32 = Count::new(1, 1_000_000), default "1000";
        /// How many sources are remembered.
        sources_max: usize = Count::new(16, 10_000_000), default "100000";
        /// What Retry-After says.
        retry_after: Duration = Period(SECOND..=HOUR), default "\"5s\"";
        /// How many calls may be up.
        calls_max: usize = Count::new(1, 1_000_000), default "10000";
    }
}

section! {
    /// Media: where RTP flows.
    Media = "[media]" {
        /// The address of RTP sockets.
        ip: IpAddr = IP, default "\"127.0.0.1\"";
        /// The address that SDP names, where it is another one; required when `ip` is all addresses.
        advertised: Option<IpAddr> = Optional(IP), optional "\"192.0.2.10\"";
        /// The ports of RTP and RTCP.
        ports: RangeInclusive<u16> = PORTS, default "\"20000-29999\"";
        /// How calls share the ports: a pair for each party ("range"), or one port for each worker ("single": the first even ones, so
        /// that a container publishes as many as it has workers). Then the rest of the range is for who cannot share: parties behind a
        /// NAT without ICE, and parties at one address.
        port_mode: PortMode = PORT_MODE, default "\"range\"";
        /// How many workers move packets; 0 makes one a core.
        workers: usize = Count::new(0, 256), default "0";
        /// After how long without a packet from either side a call ends.
        timeout: Duration = Period(SECOND..=DAY), default "\"60s\"";
        /// The codecs that the switch codes itself, the preferred first: its services speak them, and of two parties without a
        /// codec in common each is heard by the other in one of its own.
        codecs: Vec<Codec> = List { of: CODEC, lengths: 1..=8 }, default r#"["PCMA", "PCMU", "G722", "opus"]"#;
        /// Whether media is encrypted (SRTP) towards users that do not say otherwise, gateways and strangers: always, where the
        /// phone can, or not.
        srtp: Srtp = SRTP, default "\"prefer\"";
        /// Whether keys of SRTP are offered in SIP over UDP or TCP, where anybody on the way reads them; without it a user that
        /// requires SRTP needs TLS.
        srtp_over_plain_sip: bool = Flag, default "false";
        /// How many packets a key of SRTP may protect; its party hears of it, and is offered another key in time. Without it as many
        /// as RFC 3711 permits.
        srtp_lifetime: Option<u64> = Optional(Count::new(1024, 1 << 48)), optional "2147483648";
        /// A folder of prompts that replace those of the program: `LANGUAGE/NAME.wav`, 8 kHz, one channel, 16-bit PCM or G.711.
        prompts: Option<PathBuf> = Optional(FilePath), optional "\"prompts\"";
    }
}

section! {
    /// HTTP: console, admin API, metrics and SIP over WebSocket (`/sip`).
    Http = "[http]" {
        /// The address of HTTP.
        listen: SocketAddr = LISTEN, default "\"127.0.0.1:8080\"";
        /// The address of HTTPS and secure WebSocket; without it there is none.
        tls_listen: Option<SocketAddr> = Optional(LISTEN), optional "\"127.0.0.1:8443\"";
        /// The certificate chain of HTTPS as PEM; without it that of `[tls]`.
        certificate: Option<PathBuf> = Optional(FilePath), optional "\"certificate.pem\"";
        /// The private key of that certificate as PEM.
        key: Option<PathBuf> = Optional(FilePath), optional "\"key.pem\"";
    }
}

section! {
    /// The admin API.
    Admin = "[admin]" {
        /// The bearer token of the admin API. Without it one is generated in `admin.token` of the data folder.
        token: Option<Secret> = Optional(TOKEN), optional "\"at-least-16-characters\"";
        /// Whether `strowger kill --panic` may make an actor panic, to prove in a lab that it comes back.
        allow_faults: bool = Flag, default "false";
    }
}

section! {
    /// The store: what is kept, for how long and in how much memory.
    Store = "[store]" {
        /// Memory for pages of the index.
        cache: u64 = Size(MIB..=64 * GIB), default "\"8MiB\"";
        /// The least time from one write to the disk to the next; changes that come between them share the next one.
        group_window: Duration = Period(Duration::ZERO..=Duration::from_millis(200)), default "\"100ms\"";
        /// How many call records are kept; the oldest leave.
        records_max: u64 = Count::new(1, 1_000_000_000), default "1000000";
        /// How many instant messages wait for a user; further ones are refused.
        messages_per_user_max: usize = Count::new(0, 100_000), default "100";
        /// How long an instant message waits.
        message_expires: Duration = Period(MINUTE..=DAY * 365), default "\"7d\"";
    }
}

section! {
    /// A collector of SIP messages that is spoken to in HEP version 3 over UDP, such as Homer. Without `host` there is none.
    Hep = "[hep]" {
        /// The collector.
        host: Option<String> = Optional(HOST), optional "\"homer.example.com\"";
        /// Its port.
        port: u16 = Count::new(1, 65_535), default "9060";
        /// The number by which it knows this switch.
        agent: u32 = Count::new(0, 4_294_967_295), default "2001";
        /// The key that it wants to see.
        key: Option<Secret> = Optional(PASSWORD), optional "\"at-least-8-characters\"";
    }
}

section! {
    /// A person with phones: one section for each.
    User = "[[user]]" {
        /// The name in SIP URIs and in digest authentication.
        name: String = NAME, required "\"alice\"";
        /// The digest password; or give `ha1`.
        password: Option<Secret> = Optional(PASSWORD), optional "\"at-least-8-characters\"";
        /// The hashed digest credentials, one for each algorithm of `[auth]`, made for its realm; or give `password`.
        ha1: Option<BTreeMap<Algorithm, Secret>> = Optional(Ha1Table), optional "{ MD5 = \"d41d8cd98f00b204e9800998ecf8427e\" }";
        /// The number that others dial.
        extension: Option<String> = Optional(DIALLED), optional "\"1001\"";
        /// The name that others see.
        display: Option<String> = Optional(LABEL), optional "\"Alice Liddell\"";
        /// The public numbers.
        tel: Vec<String> = List { of: TEL, lengths: 0..=32 }, default "[]";
        /// How many calls the user may have at once.
        max_calls: usize = Count::new(1, 10_000), default "8";
        /// How many contacts the user may register, where `[registrar]` does not fit.
        contacts_max: Option<usize> = Optional(Count::new(1, 64)), optional "2";
        /// Whether the user's media is encrypted, where `[media]` does not fit. What is required and cannot be had is refused
        /// with 488.
        srtp: Option<Srtp> = Optional(SRTP), optional "\"require\"";
        /// How the user's phones are told keys that the other party presses: as telephone-events where they have agreed to them,
        /// else by SIP INFO where they show that they know it, else as tones; or always by SIP INFO.
        dtmf: Dtmf = DTMF, default "\"auto\"";
        /// The policy of the user's mailbox; without one the user has none.
        mailbox: Option<String> = Optional(NAME), optional "\"staff\"";
        /// The PIN of the mailbox until its owner sets one; without it an operator gives the first.
        pin: Option<Secret> = Optional(PIN), optional "\"258046\"";
        /// Where messages, missed calls and new PINs are sent to.
        email: Option<String> = Optional(ADDRESS), optional "\"alice@example.com\"";
        /// The place where the user is.
        site: Option<String> = Optional(NAME), optional "\"rome\"";
        /// The user's dial plan, where that of the site or of `[routing]` does not fit.
        dial_plan: Option<String> = Optional(NAME), optional "\"office\"";
        /// The user's voice policy, where that of the site or of `[routing]` does not fit.
        voice_policy: Option<String> = Optional(NAME), optional "\"staff\"";
        /// Users of one pickup group may take each other's ringing calls.
        pickup_group: Option<String> = Optional(NAME), optional "\"sales\"";
    }
}

section! {
    /// A gateway, carrier or another switch: its requests are trusted without digest, its calls reach what is inside only,
    /// and calls of users leave by it.
    Gateway = "[[gateway]]" {
        /// The name in logs and call records.
        name: String = NAME, required "\"carrier\"";
        /// Where it is.
        address: GatewayAddress = GATEWAY_ADDRESS, required "\"192.0.2.20\"";
        /// How it speaks SIP.
        transport: GatewayTransport = OneOf(&[
            ("udp", GatewayTransport::Udp), ("tcp", GatewayTransport::Tcp), ("tls", GatewayTransport::Tls),
        ]), default "\"udp\"";
        /// Which of the addresses that its host name has are used; both where it is not said.
        ip: Option<Family> = Optional(OneOf(&[("4", Family::V4), ("6", Family::V6)])), optional "\"4\"";
        /// What its certificate must be of, over TLS, where that is not its host.
        certificate: Option<String> = Optional(HOST), optional "\"sip.carrier.example\"";
        /// How long it may say nothing at all of an INVITE, not even 100, before the next gateway is tried.
        silence: Duration = Period(Duration::from_millis(100)..=MINUTE), default "\"4s\"";
        /// How long it may neither ring nor answer before the next gateway is tried.
        failover: Duration = Period(Duration::from_millis(100)..=MINUTE * 2), default "\"10s\"";
        /// The domain of its addresses and of the account there, where that is not its host.
        domain: Option<String> = Optional(HOST), optional "\"carrier.example\"";
        /// Whether it takes calls when the switch starts; `strowger gateways` changes it while it runs.
        enabled: bool = Flag, default "true";
        /// Whether calls leave by it.
        outbound: bool = Flag, default "true";
        /// How many calls it may have at once, both ways; past it the next gateway is tried, and a call of its own gets
        /// 503.
        channels_max: usize = Count::new(1, 1_000_000), default "1000";
        /// How many new calls a second it may have, both ways, with as many at once; without it as many as come.
        calls_per_second: Option<u32> = Optional(Count::new(1, 100_000)), optional "20";
        /// The codecs of sound that it is offered and answered with; none is all. What a phone does not share with it is made anew.
        codecs: Vec<Codec> = List { of: CODEC, lengths: 0..=6 }, default "[]";
        /// Whether its media is encrypted, where `[media]` does not fit.
        srtp: Option<Srtp> = Optional(SRTP), optional "\"require\"";
        /// Whether it is asked for a session timer (RFC 4028); one that it asks for is kept to in any case.
        session_timer: bool = Flag, default "false";
        /// How often it is asked by OPTIONS whether it is there; "0s" asks nothing, and it counts as there.
        probe: Duration = Period(Duration::ZERO..=DAY), default "\"10s\"";
        /// How long an answer may take before it counts as missed.
        probe_patience: Duration = Period(Duration::from_millis(100)..=MINUTE), default "\"4s\"";
        /// How many misses in a row make it count as gone; then it is tried after all others.
        probe_down: u32 = Count::new(1, 1_000), default "3";
        /// How many answers in a row make it count as back.
        probe_up: u32 = Count::new(1, 1_000), default "2";
        /// The longest rest between two tries of one that is gone; the rests double up to it.
        probe_rest: Duration = Period(SECOND..=DAY), default "\"60s\"";
        /// Who we are to it, where it asks (digest).
        username: Option<String> = Optional(LABEL), optional "\"0391234567\"";
        /// The password of that.
        password: Option<Secret> = Optional(PASSWORD), optional "\"at-least-8-characters\"";
        /// The realm that it must ask for; without it whatever it calls itself.
        realm: Option<String> = Optional(LABEL), optional "\"carrier.example\"";
        /// Whether the switch registers with it.
        register: bool = Flag, default "false";
        /// How long a registration is to last.
        register_expires: Duration = Period(MINUTE..=DAY * 7), default "\"1h\"";
        /// The dial plan of its calls that are for no hunt group.
        dial_plan: Option<String> = Optional(NAME), optional "\"office\"";
        /// How much may leave by it, and how much of its calls may leave by other gateways.
        limit: Option<String> = Optional(NAME), optional "\"carrier\"";
        /// The usages by which its calls may leave through another gateway; none lets none out.
        usages: Vec<String> = List { of: NAME, lengths: 0..=200 }, default "[]";
        /// Whether it is of our domain of trust (RFC 3325): P-Asserted-Identity and verification results (`verstat`) are believed from
        /// it, and the caller's number is asserted to it also where the caller is anonymous.
        trusted: bool = Flag, default "false";
        /// Which way names of callers pass: of its callers to our phones ("in"), of our users to it ("out").
        names: Names = OneOf(&[
            ("none", Names::None), ("in", Names::In), ("out", Names::Out), ("both", Names::Both),
        ]), default "\"in\"";
        /// Whether all callers are anonymous to it, not only those who ask for it.
        anonymous: bool = Flag, default "false";
        /// Whether it is told who has sent a call on (Diversion, History-Info, Referred-By), and gets the caller's own number of such
        /// a call; else it gets the number of whoever has sent it on.
        call_history: bool = Flag, default "false";
        /// What becomes of the called number of its calls, before they are routed: the first rule that matches.
        called_in: Vec<Rewrite> = List { of: RewriteRule, lengths: 0..=1_000 }, default "[]";
        /// What becomes of the caller's number of its calls: the first rule that matches.
        caller_in: Vec<Rewrite> = List { of: RewriteRule, lengths: 0..=1_000 }, default "[]";
        /// What becomes of the called number of calls to it: the first rule that matches.
        called_out: Vec<Rewrite> = List { of: RewriteRule, lengths: 0..=1_000 }, default "[]";
        /// What becomes of the caller's number of calls to it: the first rule that matches.
        caller_out: Vec<Rewrite> = List { of: RewriteRule, lengths: 0..=1_000 }, default "[]";
    }
}

section! {
    /// A number that the switch itself answers.
    Service = "[[service]]" {
        /// The number that is dialled.
        number: String = DIALLED, required "\"5500\"";
        /// What answers.
        kind: ServiceKind = OneOf(&[
            ("echo", ServiceKind::Echo), ("tone", ServiceKind::Tone),
            ("announcement", ServiceKind::Announcement), ("music", ServiceKind::Music),
            ("voicemail", ServiceKind::Voicemail),
        ]), required "\"echo\"";
        /// What the service is called in call records and the banner.
        text: Option<String> = Optional(LABEL), optional "\"Echo\"";
    }
}

section! {
    /// Conferences: whoever dials the same number hears each other.
    Conference = "[[conference]]" {
        /// The number, or a range of numbers of which each is a conference of its own.
        numbers: Numbers = NUMBERS, required "\"5200-5299\"";
        /// What they are called.
        text: Option<String> = Optional(LABEL), optional "\"Conference\"";
        /// The sample rate of the mix: what phones with wide-band codecs hear of each other.
        rate: u32 = OneOf(&[("8kHz", 8000), ("16kHz", 16_000), ("48kHz", 48_000)]), default "\"16kHz\"";
        /// How many may be in one; the next one gets 486.
        participants_max: usize = Count::new(2, 1000), default "100";
        /// How many of the loudest are heard at once.
        talkers_max: usize = Count::new(1, 32), default "6";
        /// Whether it is recorded from its first guest to its last, in `recordings` of the data folder.
        record: bool = Flag, default "false";
        /// What is left of its recordings.
        record_format: RecordFormat = RECORD_FORMAT, default "\"wav\"";
        /// Whether a tone tells who comes and goes.
        tones: bool = Flag, default "true";
        /// The language of its announcements.
        language: Language = OneOf(&[("en", Language::English), ("it", Language::Italian)]), default "\"en\"";
    }
}
