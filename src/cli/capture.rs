//! `strowger capture`: the packets of a running switch in a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::client::Switch;
use super::{say, tell};
use crate::capture::{self, Options};
use crate::config::units;

/// Beside the arguments.
pub const EXAMPLES: &str = "\
Examples: strowger capture calls.pcapng --for 30s
          strowger capture one.pcapng --call 1002            calls with 1002 in a message, both legs

The file has the SIP of the switch and the RTP of the calls whose descriptions went by; Wireshark opens it. With
--call it has datagrams alone. Ctrl-C ends it in order. It needs the right to see packets (root, or CAP_NET_RAW).";

#[derive(Args)]
pub struct CaptureArgs {
    /// The file to write
    file: PathBuf,
    /// Only calls with this in one of their messages: a number, a user, a Call-ID
    #[arg(long, value_name = "TEXT")]
    call: Option<String>,
    /// The interface, where it is not that of the switch's first address
    #[arg(long)]
    interface: Option<String>,
    /// For so long at most
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "1m")]
    length: Duration,
    /// So many packets at most
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    packets: u64,
    /// So many bytes at most
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "256MiB")]
    size: u64,
    #[command(flatten)]
    switch: Switch,
}

impl CaptureArgs {
    /// Runs it.
    pub fn run(&self, is_json: bool) -> anyhow::Result<()> {
        let client = self.switch.client()?;
        let status = client.status()?;
        let lists = status.get("sip").and_then(Value::as_object).context("the switch takes no SIP")?;
        let addresses = lists.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        let sip: Vec<SocketAddr> = addresses.filter_map(|at| at.parse().ok()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                asked.store(true, Relaxed);
            }
        });
        let options = Options {
            file: self.file.clone(),
            sip,
            text: self.call.clone(),
            interface: self.interface.clone(),
            length: self.length,
            packets_max: self.packets,
            bytes_max: self.size,
        };
        let file = self.file.display();
        let captured = capture::run(&options, &stop, || {
            // Who does not listen does not mind.
            let _ = tell(&format!("capturing into {file}: Ctrl-C ends it\n"));
        })?;
        let capture::Captured { packets, bytes, sip, rtp } = captured;
        match is_json {
            true => say(&format!("{:#}\n", json!({ "ok": true, "file": self.file, "captured": captured }))),
            false => say(&format!("{file}: {packets} packets, {bytes} bytes; {sip} with SIP, {rtp} with sound\n")),
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| format!("`{text}` is no time: write 500ms, 30s or 5m"))
}

fn size(text: &str) -> Result<u64, String> {
    units::size(text).ok_or_else(|| format!("`{text}` is no size: write 64KiB or 256MiB"))
}
