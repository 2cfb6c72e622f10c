//! Digest authentication (RFC 7616 as RFC 3261 section 22 and RFC 8760 use it), all pure: time and keys come in.
//!
//! - [`Challenger`]: the server. It keeps nothing for a challenge it sent; a nonce proves by itself that we made it, when,
//!   and for which source. Only a nonce that was used with the right password takes memory, and that table is bounded.
//! - [`Answerer`]: the client, for trunks. It answers only the peer and realm that its credentials belong to, and never
//!   the same refusal twice.
//! - [`Guard`]: how long a source has to wait after wrong passwords.
//!
//! What is excluded, and by what:
//!
//! | attack | excluded by |
//! | --- | --- |
//! | inventing a nonce, or using another source's | HMAC-SHA-256 over time, realm and source in every nonce |
//! | sending a captured request again | nonce counts of every accepted nonce, for as long as the nonce lives |
//! | pushing that record out of memory | a nonce whose record is evicted is stale for ever |
//! | filling memory with challenges | a challenge has no state |
//! | guessing passwords | [`Guard`] |
//! | learning which users exist by timing | unknown users cost the same hashing |
//! | luring a trunk's password out | [`Answerer`] is tied to peer and realm, and sends no Basic |

mod algorithm;
mod answerer;
mod challenger;
mod guard;
mod nonce;
mod params;
mod replay;
mod secret;
mod target;

pub use algorithm::Algorithm;
pub use answerer::{ANSWERS_MAX, Account, Answerer, Attempt, ChallengedBy, GiveUp};
pub use challenger::{Challenger, Directory, Realm, Request, Verdict};
pub use guard::{Guard, Limits, Pass};
pub use params::HEADER_BYTES_MAX;
pub use secret::{Ha1, Secret};
