//! Carriers: gateways on addresses of loopback of their own, 127.0.0.2 and up, by which the switch knows them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::config::Config;
use super::party::Party;
use super::sipp::SippRun;
use super::switch::Switch;
use super::wire::Wire;

/// Where a carrier is: its address is known before the switch starts, so that the configuration can name it.
pub struct Place {
    socket: UdpSocket,
}

impl Place {
    /// A UDP socket at 127.0.0.`last`.
    pub fn at(last: u8) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).expect("loopback has a free port");
        Self { socket }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// The entry of a gateway here, with these settings besides.
    pub fn entry(&self, name: &str, more: &str) -> String {
        entry(name, self.address(), more)
    }

    /// A wire to the switch from here.
    pub fn wire(self, switch: &Switch) -> Wire {
        Wire::udp_from(self.socket, switch.sip("udp"))
    }

    /// A carrier whose every message the test writes.
    pub fn party(self, switch: &Switch) -> Party {
        Party::at(self.wire(switch), "carrier")
    }
}

/// The entry of a gateway in a configuration; it is asked by OPTIONS only where the settings say so.
pub fn entry(name: &str, address: SocketAddr, more: &str) -> String {
    let probe = if more.contains("probe =") { "" } else { "probe = \"0s\"\n" };
    format!("[[gateway]]\nname = {name:?}\naddress = \"{address}\"\n{probe}{more}\n")
}

/// A carrier that is a SIPp, at 127.0.0.`last`. It is started before the switch.
pub fn sipp(scenario: &str, last: u8) -> SippRun {
    // A callee sends nothing by itself: whom it would send to does not matter.
    SippRun::new(scenario, SocketAddr::from(([127, 0, 0, 1], 9))).at(Ipv4Addr::new(127, 0, 0, last))
}

/// The entry of a gateway that is a SIPp.
pub fn sipp_entry(name: &str, run: &SippRun, more: &str) -> String {
    entry(name, run.address(), more)
}

/// The lab for SIPp with these gateways: everybody's calls behind 9 leave by them, in their order. T1 is small: an INVITE that
/// nobody has answered ends after 64 × T1.
pub fn lab(entries: &[String]) -> Config {
    let names: Vec<&str> = entries.iter().filter_map(|text| text.split('"').nth(1)).collect();
    let plan = "[[dial_plan]]\nname = \"lab\"\nextension_digits = 4\nallow_extensions = true\n\
                normalise = [{ pattern = \"^9(.+)$\", to = \"$1\" }]\n";
    let policy = "[[voice_policy]]\nname = \"lab\"\nusages = [\"out\"]\n";
    let route =
        format!("[[route]]\nname = \"out\"\npattern = \"^[0-9]+$\"\nusages = [\"out\"]\ngateways = {names:?}\n");
    let lab = Config::for_sipp().set("sip", "t1", "\"50ms\"");
    let lab = lab.set("routing", "dial_plan", "\"lab\"").set("routing", "voice_policy", "\"lab\"");
    entries.iter().map(String::as_str).chain([plan, policy, &route]).fold(lab, |config, text| config.entry(text))
}
