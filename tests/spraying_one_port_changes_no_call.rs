//! What is sprayed at the one port of a worker changes no call either. By itself, because a flood takes what other tests need.
#![allow(clippy::duplicate_mod)] // it has the module that all files share

#[path = "spraying_changes_no_call.rs"]
mod spraying_changes_no_call;
