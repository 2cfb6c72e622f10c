//! Session descriptions (RFC 8866) and the offer/answer model (RFC 3264), all pure.
//!
//! A body is read into a [`Session`], which keeps what it does not understand and can be printed again. From there:
//!
//! - standing between two legs with media anchored here: [`relay_offer`] and [`relay_answer`];
//! - being the end point: [`answer`], or [`offer`] when the other side leaves it to us;
//! - changing our mind later: [`hold`], [`resume`], [`redirect`], [`reoffer`], and [`revise`] for any new description;
//! - [`OfferAnswer`] says which message may carry which of them and remembers what is in force;
//! - [`agreed`] turns the two descriptions in force into what the media pool is told, and [`same_agreement`] says whether
//!   another description of ours would come to the same.
//!
//! SRTP is agreed on each leg by itself: [`OurMedia::keys`] has our policy, our keys ([`Crypto`], RFC 4568) and our end of DTLS and
//! ICE ([`OurWeb`], for browsers), and the transport of a leg follows from them alone.
//!
//! The law: a media section's position is its identity, so no function here ever adds, drops or moves one in an
//! answer; and no address or key of one leg is ever seen by the other.

mod agreed;
mod attribute;
mod codec;
mod crypto;
mod endpoint;
mod exchange;
mod ours;
mod parse;
mod relay;
mod reports;
mod rtpmap;
mod rules;
mod session;
mod web;

pub use agreed::{AgreedMedia, AgreedPayload, agreed, same_agreement};
pub use attribute::{Attribute, Direction, PTIME_DEFAULT_MS, PTIME_MAX_MS, PTIME_MIN_MS};
pub use codec::{BadPattern, CodecPattern, CodecSpec};
pub use crypto::{
    AgreedKeys, BadCrypto, CRYPTOS_MAX, Crypto, CryptoSuite, KeyAndSalt, MKI_BYTES_MAX, Mki, OurKeys, Profile, Srtp,
    rekeyed,
};
pub use endpoint::{Answered, NoCommonCodec, answer, offer};
pub use exchange::{Carrier, Meaning, OfferAnswer, Refusal, Side, State};
pub use ours::{LocalPort, OurMedia, hold, redirect, reoffer, resume, revise};
pub use parse::{BODY_BYTES_MAX, FORMATS_MAX, LINE_BYTES_MAX, LINES_MAX, MEDIA_MAX, ParseError};
pub use relay::{RelayPolicy, relay_answer, relay_offer};
pub use reports::WantedReports;
pub use rtpmap::RtpMap;
pub use rules::{RULES, Rule, rule_for};
pub use session::{Connection, Family, Line, Media, MediaKind, Origin, Session};
pub use web::{AgreedDtls, AgreedIce, FINGERPRINTS_MAX, Fingerprint, IceCredentials, OurWeb, Setup};
