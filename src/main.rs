//! Strowger: an actor-based telecom switch. This is the program: its command line, its configuration, its start-up and
//! its HTTP faces. What lives is in the crate `actors`.

#![forbid(unsafe_code)]

mod admin_client;
mod cli;
mod config;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(|config| {
        anyhow::bail!(
            "this build only checks configurations ({:?}), it runs none",
            config.origin
        )
    })
}
