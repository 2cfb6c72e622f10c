//! Everything that lives in Strowger: the supervision tree, one file an actor

pub mod supervision;
