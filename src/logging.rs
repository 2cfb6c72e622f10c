//! The log: structured events on standard error, so that standard output keeps the banner and answers.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Node};

/// Libraries that tell at `info` what only their authors want to know; the configuration can still ask for it.
const QUIET: &str = "actix_server=warn";

/// Starts the log of the process.
///
/// # Errors
/// The filter is none, or a log runs already.
pub fn start(node: &Node) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", node.log))
        .with_context(|| format!("`node.log` = {:?} is no filter", node.log))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match node.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log did not start: {error}"))
}
