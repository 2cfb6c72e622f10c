//! What a capture file has in it: datagrams, and the SIP messages of streams, in the order of their time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use sip::Message;
use sip::message::frame;

/// Most packets of a file: past it the capture is no test of a call.
const PACKETS_MAX: usize = 5_000_000;
/// Bytes of a stream that wait for the rest of their message.
const STREAM_BYTES_MAX: usize = 1 << 20;
/// How a pcapng file begins: its section header (draft-ietf-opsawg-pcapng section 4.1).
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A datagram, or a message of a stream.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Since the epoch, as the capture says.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Reads them all.
///
/// # Errors
/// The file cannot be read, is no capture, or is too long.
pub fn read(file: &Path) -> anyhow::Result<Vec<Packet>> {
    let name = file.display();
    let mut opened = BufReader::new(File::open(file).with_context(|| format!("{name} cannot be read"))?);
    let mut magic = [0; 4];
    opened.read_exact(&mut magic).with_context(|| format!("{name} is no capture"))?;
    opened.rewind()?;
    let mut seen = Seen::default();
    if magic == PCAPNG {
        let mut reader = PcapNgReader::new(opened).with_context(|| format!("{name} is no capture"))?;
        let mut links: Vec<DataLink> = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.with_context(|| format!("{name} is damaged"))? {
                Block::InterfaceDescription(interface) => links.push(interface.linktype),
                Block::EnhancedPacket(packet) => {
                    let link = usize::try_from(packet.interface_id).ok().and_then(|id| links.get(id));
                    seen.packet(link.copied().unwrap_or(DataLink::ETHERNET), packet.timestamp, &packet.data);
                }
                _ => {}
            }
            seen.bounded()?;
        }
    } else {
        let mut reader = PcapReader::new(opened).with_context(|| format!("{name} is no capture"))?;
        let link = reader.header().datalink;
        while let Some(packet) = reader.next_packet() {
            let packet = packet.with_context(|| format!("{name} is damaged"))?;
            seen.packet(link, packet.timestamp, &packet.data);
            seen.bounded()?;
        }
    }
    let mut packets = seen.packets;
    packets.sort_by_key(|packet| packet.at);
    Ok(packets)
}

#[derive(Default)]
struct Seen {
    packets: Vec<Packet>,
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
}

/// One direction of a connection.
struct Stream {
    /// The sequence number of the next byte.
    next: u32,
    waiting: Vec<u8>,
}

impl Seen {
    fn bounded(&self) -> anyhow::Result<()> {
        if self.packets.len() > PACKETS_MAX {
            bail!("more than {PACKETS_MAX} packets: capture one call, with --call");
        }
        Ok(())
    }

    /// Takes what is UDP or TCP over IP; anything else carries no call.
    fn packet(&mut self, link: DataLink, at: Duration, bytes: &[u8]) {
        let sliced = match link {
            DataLink::ETHERNET => SlicedPacket::from_ethernet(bytes).ok(),
            DataLink::LINUX_SLL => SlicedPacket::from_linux_sll(bytes).ok(),
            // The address family of four bytes stands before the packet.
            DataLink::NULL | DataLink::LOOP => bytes.get(4..).and_then(|rest| SlicedPacket::from_ip(rest).ok()),
            // "Cooked", version 2, has a head of twenty.
            DataLink::LINUX_SLL2 => bytes.get(20..).and_then(|rest| SlicedPacket::from_ip(rest).ok()),
            _ => SlicedPacket::from_ip(bytes).ok(),
        };
        let Some(sliced) = sliced else { return };
        let (from, to) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
            }
            Some(NetSlice::Ipv6(ip)) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
            }
            _ => return,
        };
        match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => self.packets.push(Packet {
                at,
                from: SocketAddr::new(from, udp.source_port()),
                to: SocketAddr::new(to, udp.destination_port()),
                payload: udp.payload().to_vec(),
            }),
            Some(TransportSlice::Tcp(tcp)) if !tcp.payload().is_empty() => {
                let (from, to) =
                    (SocketAddr::new(from, tcp.source_port()), SocketAddr::new(to, tcp.destination_port()));
                self.segment(at, from, to, tcp.sequence_number(), tcp.payload());
            }
            _ => {}
        }
    }

    /// Puts a stream's bytes together, as far as they come in order, and cuts the messages out of them (RFC 3261 section 18.3).
    fn segment(&mut self, at: Duration, from: SocketAddr, to: SocketAddr, sequence: u32, bytes: &[u8]) {
        let stream = self.streams.entry((from, to)).or_insert_with(|| Stream { next: sequence, waiting: Vec::new() });
        // What was sent again is known as far as it is behind.
        let behind = usize::try_from(stream.next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
        match bytes.get(behind..) {
            Some(fresh) => {
                stream.waiting.extend_from_slice(fresh);
                stream.next = stream.next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(0));
            }
            None if behind < STREAM_BYTES_MAX => return,
            // A hole: the stream goes on behind it.
            None => {
                *stream = Stream {
                    next: sequence.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0)),
                    waiting: bytes.to_vec(),
                }
            }
        }
        loop {
            match frame(&stream.waiting) {
                Ok(found) => {
                    let rest = stream.waiting.split_off(found.skip + found.len);
                    let message = std::mem::replace(&mut stream.waiting, rest).split_off(found.skip);
                    self.packets.push(Packet { at, from, to, payload: message });
                }
                Err(sip::message::ParseError::Incomplete) if stream.waiting.len() < STREAM_BYTES_MAX => return,
                // No SIP, or not from its begin.
                Err(_) => {
                    stream.waiting.clear();
                    return;
                }
            }
        }
    }
}

/// The message in a packet, if it has one.
pub fn message(packet: &Packet) -> Option<Message> {
    // Media is not looked at twice.
    let first = packet.payload.first()?;
    first.is_ascii_uppercase().then(|| Message::parse(packet.payload.clone()).ok()).flatten()
}
