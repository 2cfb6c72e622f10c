//! Captures: the packets of a switch's calls, signalling and sound, in a pcapng file that Wireshark opens.
//!
//! The kernel shows a copy of each packet (AF_PACKET); nothing of the switch's own way is touched, and it costs nothing while
//! nobody captures. What is kept is decided by the SIP that goes by: its addresses are the switch's own, and the ports of the
//! sound stand in its descriptions.
//!
//! | file | holds |
//! | --- | --- |
//! | `filter` | which packets belong to it |
//! | `wire` | the socket that shows them |

mod filter;
mod wire;

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use serde::Serialize;

use filter::{Filter, Kind};

pub use filter::own_call;
use wire::Wire;

/// Bytes of a packet that are kept: the longest that Ethernet and loopback carry.
const SNAP_BYTES: usize = 65_535 + 14;
/// Messages that are kept back because they may turn out to belong to a call.
const LATE_MAX: usize = 256;
/// Nanoseconds: the tenth power of two is not meant by 9, the ninth power of ten is.
const NANOSECONDS: u8 = 9;

/// What is captured, and how much of it.
pub struct Options {
    /// The file.
    pub file: PathBuf,
    /// The addresses at which the switch takes SIP.
    pub sip: Vec<SocketAddr>,
    /// Only calls with this in one of their messages: a number, a name, a Call-ID.
    pub text: Option<String>,
    /// The interface; that of the first address when not given.
    pub interface: Option<String>,
    /// For so long at most.
    pub length: Duration,
    /// So many packets at most.
    pub packets_max: u64,
    /// So many bytes at most.
    pub bytes_max: u64,
}

/// What was captured.
#[derive(Debug, Default, Serialize)]
pub struct Captured {
    /// Packets in the file.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// SIP messages among them, as far as they are not encrypted.
    pub sip: u64,
    /// Packets of sound.
    pub rtp: u64,
}

impl Captured {
    fn write<W: std::io::Write>(
        &mut self,
        writer: &mut PcapNgWriter<W>,
        kind: Kind,
        at: Duration,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.packets += 1;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        match kind {
            Kind::Sip => self.sip += 1,
            Kind::Sound => self.rtp += 1,
            Kind::Stream => {}
        }
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: at,
            original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            data: bytes.into(),
            options: Vec::new(),
        })?;
        Ok(())
    }
}

/// Captures until a bound is met or `stop` is set. `ready` is called when the first packet could come.
///
/// # Errors
/// The interface cannot be listened on, which needs the right to (CAP_NET_RAW), or the file cannot be written.
pub fn run(options: &Options, stop: &Arc<AtomicBool>, ready: impl FnOnce()) -> anyhow::Result<Captured> {
    let first = options.sip.first().context("the switch takes no SIP")?;
    let wire = Wire::open(options.interface.as_deref(), first.ip())?;
    let name = options.file.display();
    let file = File::create(&options.file).with_context(|| format!("{name} cannot be written"))?;
    let mut writer = PcapNgWriter::new(BufWriter::new(file)).with_context(|| format!("{name} cannot be written"))?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: u32::try_from(SNAP_BYTES).unwrap_or(u32::MAX),
        options: vec![
            InterfaceDescriptionOption::IfName(wire.name().to_owned().into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    })?;
    let mut filter = Filter::new(&options.sip, options.text.as_deref());
    let mut late: VecDeque<(Duration, Vec<u8>)> = VecDeque::new();
    let (mut captured, began) = (Captured::default(), Instant::now());
    let mut packet = vec![0; SNAP_BYTES];
    ready();
    while !stop.load(Relaxed)
        && began.elapsed() < options.length
        && captured.packets < options.packets_max
        && captured.bytes < options.bytes_max
    {
        let Some(length) = wire.next(&mut packet)? else { continue };
        let bytes = packet.get(..length).unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Some(kind) = filter.judge(bytes) else {
            if filter.may_belong(bytes) {
                late.truncate(LATE_MAX - 1);
                late.push_front((now, bytes.to_vec()));
            }
            continue;
        };
        // What has just been learnt may tell that an earlier message belongs to it.
        if kind == Kind::Sip {
            for (at, earlier) in std::mem::take(&mut late).into_iter().rev() {
                match filter.judge(&earlier) {
                    Some(kind) => captured.write(&mut writer, kind, at, &earlier)?,
                    None => late.push_front((at, earlier)),
                }
            }
        }
        captured.write(&mut writer, kind, now, bytes)?;
    }
    std::io::Write::flush(&mut writer.into_inner()).with_context(|| format!("{name} cannot be written"))?;
    Ok(captured)
}
