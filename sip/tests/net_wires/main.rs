//! The wires over real sockets on loopback: what is sent arrives, and what is wrong ends with its reason.

mod datagrams;
mod streams;
mod support;
