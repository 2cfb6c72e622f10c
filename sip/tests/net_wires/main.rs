//! The wires over real sockets on loopback: what is sent arrives, and what is wrong ends with its reason.

mod authority;
mod datagrams;
mod limits;
mod names;
mod secured;
mod shards;
mod streams;
mod support;
