//! What a switch says when it stands: where it is, who can call, and what to try.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use sip::Protocol;

use crate::config::{Config, Origin};
use crate::settings::CALLS_FILE;
use crate::tls::Pair;

/// Column at which what is named begins.
const COLUMN: usize = 12;

/// What the banner speaks of.
pub struct Banner<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where SIP really listens.
    pub sip: &'a [sip::net::Bind],
    /// Where HTTP really listens.
    pub http: SocketAddr,
    /// Where HTTPS really listens.
    pub https: Option<SocketAddr>,
    /// The data folder.
    pub data: &'a Path,
    /// The file of the admin token.
    pub token_file: &'a Path,
    /// The certificate of SIP over TLS, where that is spoken.
    pub certificate: Option<&'a Pair>,
    /// Bindings that were found in the store.
    pub restored: usize,
}

impl Banner<'_> {
    /// Prints it. A reader that has left is no reason not to run.
    pub fn print(&self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(self.text().as_bytes()).and_then(|()| out.flush());
    }

    fn text(&self) -> String {
        let mut lines = Lines(format!("Strowger {} · node {}\n\n", env!("CARGO_PKG_VERSION"), self.config.node.name));
        self.addresses(&mut lines);
        self.numbers(&mut lines);
        self.places(&mut lines);
        if self.config.origin == Origin::Lab {
            self.trials(&mut lines);
        }
        lines.gap();
        lines.0.push_str("Ctrl-C drains and stops; a second one stops at once.\n");
        lines.0
    }

    fn addresses(&self, lines: &mut Lines) {
        let sip: Vec<_> = self.sip.iter().map(|bind| format!("{} {}", bind.protocol.uri(), bind.address)).collect();
        lines.line("SIP", &sip.join(" · "));
        lines.line("", &format!("ws://{}/sip", self.http));
        if let Some(https) = self.https {
            lines.line("", &format!("wss://{https}/sip"));
        }
        if let Some(pair) = self.certificate.filter(|pair| pair.is_development) {
            lines.line("", &format!("TLS with a development certificate: {}", pair.chain.display()));
        }
        lines.line("domains", &self.config.node.domains.join(", "));
    }

    /// Passwords are shown for the lab only, where they are in the manual.
    fn numbers(&self, lines: &mut Lines) {
        lines.gap();
        if self.config.origin == Origin::Lab {
            let mut title = "users";
            for user in &self.config.users {
                let number = user.extension.as_deref().unwrap_or("-");
                let password = user.password.as_ref().map_or("-", |password| password.expose());
                let pin = user.pin.as_ref().map_or(String::new(), |pin| format!(", PIN {}", pin.expose()));
                lines.line(title, &format!("{:<8}{number:<8}password {password}{pin}", user.name));
                title = "";
            }
        } else {
            let (users, gateways) = (self.config.users.len(), self.config.gateways.len());
            let noun = if gateways == 1 { "gateway" } else { "gateways" };
            lines.line("users", &format!("{users}, and {gateways} {noun}"));
        }
        let mut title = "services";
        for service in &self.config.services {
            let text = service.text.as_deref().unwrap_or_default();
            lines.line(title, &format!("{:<8}{text}", service.number));
            title = "";
        }
        let mut title = "groups";
        for group in &self.config.ring_groups {
            let text = group.text.as_deref().unwrap_or_default();
            lines.line(title, &format!("{:<8}{text}", group.number));
            title = "";
        }
        let mut title = "attendants";
        for attendant in &self.config.attendants {
            lines.line(title, &format!("{:<8}{}", attendant.numbers.join(", "), attendant.name));
            title = "";
        }
        if self.restored > 0 {
            lines.line("found", &format!("{} bindings of the last run", self.restored));
        }
    }

    fn places(&self, lines: &mut Lines) {
        lines.gap();
        lines.line("console", &format!("http://{}/", self.http));
        lines.line("metrics", &format!("http://{}/metrics", self.http));
        lines.line("data", &format!("{}; call records in {CALLS_FILE}", self.data.display()));
        lines.line("token", &self.token_file.display().to_string());
        lines.line("log", &format!("standard error, at `{}`", self.config.node.log));
    }

    fn trials(&self, lines: &mut Lines) {
        let Some(udp) = self.sip.iter().find(|bind| bind.protocol == Protocol::Udp).map(|bind| bind.address) else {
            return;
        };
        lines.gap();
        lines.0.push_str("Try next:\n");
        lines
            .line("a phone", &format!("user alice, password alice-secret, domain example.com, proxy {udp}; dial 5500"));
        lines.line("baresip", &format!("<sip:alice@example.com>;auth_pass=alice-secret;outbound=\"sip:{udp}\""));
        lines.line("", "as a line of ~/.baresip/accounts; then /dial 5500, and hear yourself");
        lines.line("SIPp", &format!("sipp {udp} -sf scenarios/sipp/options.xml -m 1"));
        lines.line("look", "strowger top · strowger tree · strowger registrations · strowger calls --ended 5");
        lines.line("break it", "strowger kill switch/shard-0/registrar && strowger tree");
    }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, what: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "  {name:<COLUMN$}{what}");
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn banner(config: &Config) -> String {
        let sip = [sip::net::Bind { protocol: Protocol::Udp, address: "127.0.0.1:40123".parse().unwrap() }];
        let banner = Banner {
            config,
            sip: &sip,
            http: "127.0.0.1:40124".parse().unwrap(),
            https: None,
            data: Path::new("/data"),
            token_file: Path::new("/data/admin.token"),
            certificate: None,
            restored: 0,
        };
        banner.text()
    }

    #[test]
    fn the_lab_shows_its_users_numbers_and_the_ports_that_were_really_bound() {
        let text = banner(&config::lab().unwrap());
        for part in [
            "udp 127.0.0.1:40123",
            "http://127.0.0.1:40124/",
            "alice   1001    password alice-secret",
            "5503",
            "groups      1100    Ring group of alice and bob",
            "/data/admin.token",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().count() < 40, "{text}");
    }

    #[test]
    fn a_real_switch_shows_no_password() {
        let mut config = config::lab().unwrap();
        config.origin = Origin::File("strowger.toml".into());
        let text = banner(&config);
        assert!(!text.contains("secret") && text.contains("4, and 1 gateway"), "{text}");
    }
}
