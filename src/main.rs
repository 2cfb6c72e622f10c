//! Strowger: an actor-based telecom switch. This is the program: its command line, its configuration, its start-up and
//! its HTTP faces. What lives is in the crate `actors`.

#![forbid(unsafe_code)]

mod admin_client;
mod applied;
mod banner;
mod capture;
mod cli;
mod config;
mod data;
mod housekeeping;
mod http;
mod ladder;
mod load;
mod logging;
mod run;
mod settings;
mod signals;
mod stop;
mod tls;
mod top;
mod trial;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
