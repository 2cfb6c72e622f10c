//! # media: how sound moves through Strowger
//!
//! Two halves, and the line between them is the law of the house (design.md, law 1):
//!
//! - **Rules**, which know no socket, clock or thread. [`rtp`] reads and rewrites packets in place and keeps the
//!   statistics of RFC 3550; [`rtcp`] reads and writes reports; [`quality`] tells what losses and delay leave of a call;
//!   [`codec`] turns samples into bytes and back; [`sound`] is what lies between packets and samples: jitter, loss, rates;
//!   [`mixer`] is a room of participants; [`dtmf`] reads telephone-events; [`srtp`] protects and opens packets; [`dtls`]
//!   comes to its keys with a browser, and [`ice`], which speaks [`stun`], to its address; [`tone`] makes a
//!   sine and measures one; [`prompt`] holds what is said to callers, and the rules to say numbers and dates; [`wav`] reads and
//!   writes WAV. They take bytes and `now` (a [`std::time::Duration`] since any fixed point) and return values.
//! - **Wires**: [`pool`], the RTP pool. Its worker threads own every media socket of the switch, and nothing outside that
//!   folder touches one. [`recorder`] is the same for files: one writer thread, and a ring from each recording to it.
//!
//! What goes in: commands of a call ([`pool::Flow::connect`], [`pool::Flow::hear`]) and packets. What comes out: packets,
//! counters that anybody may read at any time ([`pool::Flow::stats`]), and a few [`pool::MediaEvent`]s a call.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod codec;
pub mod dtls;
pub mod dtmf;
pub mod ice;
pub mod mixer;
pub mod ogg;
pub mod pool;
pub mod prompt;
pub mod quality;
pub mod recorder;
pub mod rtcp;
pub mod rtp;
pub mod sound;
pub mod srtp;
pub mod stun;
pub mod tone;
pub mod wav;

pub use codec::{Codec, Payload};
pub use pool::{
    Carries, ConnectError, Dropped, Flow, FlowCheckpoint, FlowId, FlowSpec, FlowStats, Handshake, HandshakesHealth,
    Heard, Insecure, MediaEvent, Member, NoPort, OpenError, Owner, Pool, PoolBusy, PoolConfig, PortMode, Press,
    Quality, Recorded, Recording, Remote, Repeat, Room, RoomFigures, RoomSounds, Secure, Side, SideStats, Source,
    Whereabouts, WorkerEnd, WorkerHealth, WorkerThread,
};
pub use prompt::Audio;
