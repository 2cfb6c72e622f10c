//! SIP for Strowger: messages, transactions, dialogs, digest, SDP.
//!
//! Everything here but [`net`] is rules without wires: it takes bytes and `now`, and returns bytes, events and the time
//! at which it wants to be asked again. `net` is the only place with sockets.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod auth;
pub mod dialog;
mod hop;
mod key_press;
pub mod message;
mod method;
pub mod net;
pub mod sdp;
mod status;
pub mod text;
pub mod timer;
pub mod transaction;
pub mod value;

pub use hop::{ConnectionId, Hop, Protocol};
pub use key_press::{KeyForm, KeyPress, NoKey};
pub use message::{Message, Name, ParseError, Writer};
pub use method::Method;
pub use status::Status;
