//! Header values, read on demand from the bytes that arrived: borrowed, bounded, total.

mod cseq;
mod name_addr;
mod params;
pub(crate) mod scan;
mod uri;
mod via;

pub use cseq::CSeq;
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use scan::{is_token, number, split_commas, trim, unquote};
pub use uri::{Host, Scheme, Uri};
pub use via::Via;

/// A value that breaks the grammar of RFC 3261 section 25.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value malformed")]
pub struct Malformed;
