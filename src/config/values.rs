//! What settings hold that are no plain numbers, times or texts.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The lab that the program carries.
    Lab,
    /// A file.
    File(PathBuf),
}

/// A text that must not be shown: its debug form is masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A digest algorithm (RFC 8760 section 2), from strongest to weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// `SHA-512-256`
    Sha512_256,
    /// `SHA-256`
    Sha256,
    /// `MD5`
    Md5,
}

/// A codec that the switch codes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 mu-law.
    Pcmu,
    /// G.722.
    G722,
    /// Opus.
    Opus,
    /// Linear samples at 8 kHz.
    L16Narrow,
    /// Linear samples at 16 kHz.
    L16Wide,
}

impl Codec {
    /// The names on the wire (RFC 3551, RFC 7587), with the clock where there are several.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("PCMA", Self::Pcma),
        ("PCMU", Self::Pcmu),
        ("G722", Self::G722),
        ("opus", Self::Opus),
        ("L16/8000", Self::L16Narrow),
        ("L16/16000", Self::L16Wide),
    ];
}

impl Algorithm {
    /// The names on the wire (RFC 7616 section 6.1).
    pub const NAMES: [(&'static str, Self); 3] =
        [("SHA-512-256", Self::Sha512_256), ("SHA-256", Self::Sha256), ("MD5", Self::Md5)];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// How many hexadecimal digits its hash has.
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Sha512_256 | Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether a TLS client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyClient {
    /// None is asked for.
    Off,
    /// One is asked for, and verified if it comes.
    Optional,
    /// Without a valid one the handshake fails.
    Required,
}

/// How calls share the ports for media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortMode {
    /// A pair for each party.
    Range,
    /// One for each worker.
    Single,
}

/// What is left of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// As it was recorded.
    Wav,
    /// Opus in Ogg.
    Opus,
}

/// Whether media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    /// Or there is no call.
    Require,
    /// Where the phone can.
    Prefer,
    /// Not.
    Never,
}

/// How a phone is told keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtmf {
    /// As it has agreed.
    Auto,
    /// By SIP INFO.
    Info,
}

/// The transport of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayTransport {
    /// Datagrams.
    Udp,
    /// Stream.
    Tcp,
    /// Stream below TLS.
    Tls,
}

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayAddress {
    /// The host that its requests come from and that requests go to.
    pub host: GatewayHost,
    /// The port that requests go to; without it the default of the transport, 5060 or 5061 (RFC 3261 section 19.1.2), or
    /// what the DNS says. Requests are trusted from any port of the host.
    pub port: Option<u16>,
}

/// The host of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayHost {
    /// An address.
    Ip(IpAddr),
    /// A name that is looked up (RFC 3263).
    Name(String),
}

impl fmt::Display for GatewayHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The numbers of conferences: one or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The first.
    pub first: String,
    /// The last, as long as the first.
    pub last: String,
}

impl Numbers {
    /// Whether a number is one of them.
    pub fn has(&self, number: &str) -> bool {
        number.len() == self.first.len() && (self.first.as_str()..=self.last.as_str()).contains(&number)
    }
}

/// By what usages calls leave that are sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardingUsages {
    /// Those of the policy.
    Policy,
    /// By none.
    Internal,
    /// By others.
    Usages,
}

/// What answers a service number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Sends back what it hears.
    Echo,
    /// A tone of 1 kHz at -10 dBm0.
    Tone,
    /// A spoken announcement.
    Announcement,
    /// Music on hold.
    Music,
    /// Users hear their messages.
    Voicemail,
}

/// How sound of messages is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundFormat {
    /// A byte a sample.
    G711,
    /// Two bytes a sample.
    Linear,
}

/// TLS towards a server of e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// None.
    None,
    /// From a plain beginning.
    StartTls,
    /// From the start.
    Tls,
}

/// Where a key of an attendant leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTarget {
    /// To a number.
    Number(String),
    /// To the mailbox of a user.
    Mailbox(String),
    /// Something is said; the file counts from the configuration's folder.
    Say(PathBuf),
    /// Somebody is looked for by name.
    Find,
    /// The menu is told again.
    Repeat,
}

/// A key of an attendant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttendantKey {
    /// `1` to `9`.
    pub key: char,
    /// Where it leads.
    pub target: KeyTarget,
    /// What it is called.
    pub name: String,
}
