//! Header values, read on demand from the bytes that arrived: borrowed, bounded, total.

mod accept;
mod cseq;
mod equivalence;
mod escape;
mod name_addr;
mod params;
mod q;
mod reason;
mod retry_after;
pub(crate) mod scan;
mod uri;
mod via;
mod warning;

pub use accept::{MediaRange, accepts};
pub use cseq::CSeq;
pub use equivalence::COMPARED_MAX;
pub use escape::escape_user;
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use q::Q;
pub use reason::Reason;
pub use retry_after::RetryAfter;
pub use scan::{is_token, number, split_commas, trim, unquote};
pub use uri::{Host, Scheme, Uri};
pub use via::Via;
pub use warning::Warning;

/// A value that breaks the grammar of RFC 3261 section 25.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value malformed")]
pub struct Malformed;
