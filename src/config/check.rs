//! What settings must hold together: no number twice, no floor above its ceiling, no reference into nothing.

mod groups;
mod mail;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::error::{Finding, quoted};
use super::model::{Conference, Config};
use super::units::duration_words;
use super::values::{Algorithm, GatewayTransport, PortMode, VerifyClient};

/// Where each setting that was given stands, by its full name.
pub(super) type Places = BTreeMap<String, Range<usize>>;

/// All mistakes between the settings of `config`, except for those that concern an `unsound` one.
pub(super) fn relations(config: &Config, places: &Places, unsound: &BTreeSet<String>) -> Vec<Finding> {
    let mut checker = Checker { places, unsound, findings: Vec::new() };
    checker.dialled(config);
    checker.credentials(config);
    checker.listeners(config);
    checker.advertised(config);
    checker.media_ports(config);
    checker.certificates(config);
    checker.bounds(config);
    checker.conferences(config);
    checker.gateways(config);
    checker.prompts(config);
    checker.plan(config);
    checker.ring_groups(config);
    checker.features(config);
    checker.mail(config);
    checker.unique(
        "a domain",
        "name each domain once",
        config
            .node
            .domains
            .iter()
            .enumerate()
            .map(|(index, domain)| (domain.clone(), format!("node.domains[{index}]"))),
    );
    checker.unique(
        "an algorithm",
        "name each algorithm once",
        config
            .auth
            .algorithms
            .iter()
            .enumerate()
            .map(|(index, algorithm)| (algorithm.name().to_owned(), format!("auth.algorithms[{index}]"))),
    );
    checker.findings
}

struct Checker<'a> {
    places: &'a Places,
    unsound: &'a BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    /// Users, extensions, public numbers and services share the user part of one domain's URIs; gateways have their own
    /// names.
    fn dialled(&mut self, config: &Config) {
        let mut dialled = Vec::new();
        for (index, user) in config.users.iter().enumerate() {
            dialled.push((user.name.clone(), format!("user[{index}].name")));
            dialled.extend(user.extension.iter().map(|number| (number.clone(), format!("user[{index}].extension"))));
            let tel = user.tel.iter().enumerate();
            dialled.extend(tel.map(|(at, number)| (number.clone(), format!("user[{index}].tel[{at}]"))));
        }
        let services = config.services.iter().enumerate();
        dialled.extend(services.map(|(index, service)| (service.number.clone(), format!("service[{index}].number"))));
        let groups = config.ring_groups.iter().enumerate();
        dialled.extend(groups.map(|(index, group)| (group.number.clone(), format!("ring_group[{index}].number"))));
        for (index, attendant) in config.attendants.iter().enumerate() {
            let numbers = attendant.numbers.iter().enumerate();
            dialled.extend(numbers.map(|(at, number)| (number.clone(), format!("attendant[{index}].numbers[{at}]"))));
        }
        self.unique("a name or number", "give each user and service its own", dialled.into_iter());

        let gateways = || config.gateways.iter().enumerate();
        let names = gateways().map(|(index, gateway)| (gateway.name.clone(), format!("gateway[{index}].name")));
        self.unique("a gateway", "give each gateway its own name", names);
        // A request is matched by its source address and transport.
        let addresses = gateways().map(|(index, gateway)| {
            (format!("{} over {:?}", gateway.address.host, gateway.transport), format!("gateway[{index}].address"))
        });
        self.unique("a gateway's address", "its requests could not be told apart: keep one", addresses);
    }

    /// A carrier is told who we are by name and password, or not at all; a certificate is of TLS, and its name needs TLS too.
    fn gateways(&mut self, config: &Config) {
        for (at, gateway) in config.gateways.iter().enumerate() {
            let path = |key: &str| format!("gateway[{at}].{key}");
            let (username, password) = (path("username"), path("password"));
            if self.is_sound(&[&username, &password]) {
                match (&gateway.username, &gateway.password) {
                    (Some(_), None) => {
                        self.wrong(&username, "a user name without a password".to_owned(), "add `password = …`");
                    }
                    (None, Some(_)) => {
                        self.wrong(&password, "a password without a user name".to_owned(), "add `username = …`");
                    }
                    (None, None) if gateway.register => {
                        let remedy = "add `username = …` and `password = …`, or take `register` out";
                        self.wrong(&path("register"), "nothing to register with".to_owned(), remedy);
                    }
                    _ => {}
                }
            }
            if gateway.certificate.is_some() && gateway.transport != GatewayTransport::Tls {
                let remedy = "write `transport = \"tls\"`, or take `certificate` out";
                let what = "a certificate is asked for, and shown over TLS alone".to_owned();
                self.wrong(&path("transport"), what, remedy);
            }
            if gateway.transport == GatewayTransport::Tls
                && config.tls.server_ca.is_none()
                && self.is_sound(&["tls.server_ca"])
            {
                let what = "its certificate would be verified against nothing, so no call would leave by it".to_owned();
                self.wrong(&path("transport"), what, "add `server_ca = …` to [tls]");
            }
        }
    }

    /// A number leads to one place: no conference has a number of another, of a user or of a service.
    fn conferences(&mut self, config: &Config) {
        let taken: Vec<_> = single_numbers(config).collect();
        for (at, conference) in config.conferences.iter().enumerate() {
            let (path, numbers) = (format!("conference[{at}].numbers"), &conference.numbers);
            let remedy = "give each number one meaning";
            if let Some((number, other)) = taken.iter().find(|(number, _)| numbers.has(number)) {
                self.wrong(&path, format!("{} is already a number: {other}", quoted(number)), remedy);
            }
            let overlaps = |other: &&Conference| numbers.has(&other.numbers.first) || other.numbers.has(&numbers.first);
            if config.conferences.iter().take(at).any(|other| overlaps(&other)) {
                self.wrong(&path, "these are numbers of another conference already".to_owned(), remedy);
            }
        }
    }

    fn prompts(&mut self, config: &Config) {
        let Some(folder) = &config.media.prompts else { return };
        for bad in media::prompt::Prompts::with_folder(folder).1 {
            let remedy = "name a folder with `LANGUAGE/NAME.wav` as docs/media.md says, or take the file away";
            self.wrong("media.prompts", bad.to_string(), remedy);
        }
    }

    fn credentials(&mut self, config: &Config) {
        for (index, user) in config.users.iter().enumerate() {
            let path = format!("user[{index}]");
            let ha1 = format!("{path}.ha1");
            if !self.is_sound(&[&format!("{path}.password"), &ha1, "auth.algorithms"]) {
                continue;
            }
            match (&user.password, &user.ha1) {
                (None, None) => {
                    self.wrong(&path, "this user has no credentials".to_owned(), "add `password = …` or `ha1 = { … }`")
                }
                (Some(_), Some(_)) => {
                    let what = "this user has a password and hashed credentials".to_owned();
                    self.wrong(&ha1, what, "keep `password` or `ha1`");
                }
                (Some(_), None) => {}
                (None, Some(known)) => {
                    let offered = config.auth.algorithms.iter();
                    let missing: Vec<_> = offered
                        .filter(|algorithm| !known.contains_key(algorithm))
                        .map(|a| Algorithm::name(*a))
                        .collect();
                    if !missing.is_empty() {
                        let missing = missing.join(", ");
                        let what = format!("`ha1` lacks {missing}, which [auth] algorithms offers");
                        self.wrong(&ha1, what, format!("add {missing}, or take it out of [auth] algorithms"));
                    }
                }
            }
        }
    }

    fn listeners(&mut self, config: &Config) {
        let listed = |name: &str, list: &[SocketAddr]| -> Vec<_> {
            let paths = list.iter().enumerate().map(|(index, at)| (*at, format!("sip.{name}[{index}]")));
            paths.collect()
        };
        let udp = listed("udp", &config.sip.udp);
        let mut streams = listed("tcp", &config.sip.tcp);
        streams.extend(listed("tls", &config.sip.tls));
        if udp.is_empty() && streams.is_empty() && self.is_sound(&["sip.udp", "sip.tcp", "sip.tls"]) {
            let remedy = "add `udp = [\"127.0.0.1:5060\"]`, `tcp` or `tls`";
            self.wrong("sip", "SIP listens nowhere".to_owned(), remedy);
        }
        streams.push((config.http.listen, "http.listen".to_owned()));
        streams.extend(config.http.tls_listen.map(|at| (at, "http.tls_listen".to_owned())));
        for (protocol, mut group) in [("UDP", udp), ("TCP", streams)] {
            // The kernel gives every port 0 another port.
            group.retain(|(at, _)| at.port() != 0);
            let remedy = format!("give each listener its own {protocol} port");
            self.unique(
                &format!("a {protocol} listener"),
                &remedy,
                group.into_iter().map(|(at, path)| (at.to_string(), path)),
            );
        }
    }

    /// What listens on all addresses cannot tell a peer which one to answer to.
    fn advertised(&mut self, config: &Config) {
        let sip = &config.sip;
        let any = |list: &[SocketAddr]| list.iter().any(|at| at.ip().is_unspecified());
        let open = [("sip.udp", &sip.udp), ("sip.tcp", &sip.tcp), ("sip.tls", &sip.tls)];
        if sip.advertised.is_none()
            && self.is_sound(&["sip.advertised"])
            && let Some((path, _)) = open.into_iter().find(|(_, list)| any(list))
        {
            let remedy = "add `advertised = \"sip.example.com\"` to [sip], or listen on one address";
            self.wrong(path, "SIP listens on all addresses and has none to tell its peers".to_owned(), remedy);
        }
        match (config.media.ip.is_unspecified(), config.media.advertised) {
            (true, None) if self.is_sound(&["media.ip", "media.advertised"]) => {
                let remedy = "add `advertised = \"192.0.2.10\"` to [media], or name one address";
                self.wrong("media.ip", "media is on all addresses and has none to tell its peers".to_owned(), remedy);
            }
            (_, Some(ip)) if ip.is_unspecified() || is_multicast(ip) => {
                let what = format!("`{ip}` is no address that a peer can send to");
                self.wrong("media.advertised", what, "name the address that peers reach");
            }
            _ => {}
        }
    }

    /// As many ports as the mode wants at least.
    fn media_ports(&mut self, config: &Config) {
        let media = &config.media;
        if *media.ports.end() == 0 || !self.is_sound(&["media.ports", "media.port_mode", "media.workers"]) {
            return;
        }
        let (first, last) = (u32::from(*media.ports.start()).next_multiple_of(2), u32::from(*media.ports.end()));
        match media.port_mode {
            PortMode::Range if first == last => {
                let what = "the range holds no even port with its odd one, which a party takes".to_owned();
                self.wrong("media.ports", what, "name two ports at least, or add `port_mode = \"single\"`");
            }
            PortMode::Range => {}
            PortMode::Single => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let workers = if media.workers == 0 { cores } else { media.workers };
                let even = usize::try_from((last - first) / 2 + 1).unwrap_or(usize::MAX);
                if even < workers {
                    let what = format!("the range holds {even} even ports, and each of {workers} workers takes one");
                    self.wrong("media.ports", what, "name more ports, or fewer `workers` in [media]");
                }
            }
        }
    }

    fn certificates(&mut self, config: &Config) {
        let pairs =
            [("tls", &config.tls.certificate, &config.tls.key), ("http", &config.http.certificate, &config.http.key)];
        for (section, certificate, key) in pairs {
            let (given, lacking) = match (certificate, key) {
                (Some(_), None) => ("certificate", "key"),
                (None, Some(_)) => ("key", "certificate"),
                _ => continue,
            };
            if !self.is_sound(&[&format!("{section}.{lacking}")]) {
                continue;
            }
            let what = format!("`{given}` without `{lacking}`");
            self.wrong(
                &format!("{section}.{given}"),
                what,
                format!("add `{lacking} = …` to [{section}], or leave out both"),
            );
        }
        let verifies = config.tls.verify_client != VerifyClient::Off;
        if verifies && config.tls.client_ca.is_none() && self.is_sound(&["tls.client_ca"]) {
            let what = "client certificates are verified against nothing".to_owned();
            self.wrong("tls.verify_client", what, "add `client_ca = …` to [tls], or write \"off\"");
        }
        let files = [
            ("tls.certificate", &config.tls.certificate),
            ("tls.key", &config.tls.key),
            ("tls.client_ca", &config.tls.client_ca),
            ("tls.server_ca", &config.tls.server_ca),
            ("http.certificate", &config.http.certificate),
            ("http.key", &config.http.key),
        ];
        for (path, file) in files {
            if let Some(file) = file
                && !is_readable(file)
            {
                let what = format!("{} cannot be read", quoted(&file.display().to_string()));
                self.wrong(path, what, "name a PEM file that this program may read");
            }
        }
    }

    fn bounds(&mut self, config: &Config) {
        let (registrar, sip, auth) = (&config.registrar, &config.sip, &config.auth);
        let ordered: [(&str, Duration, &str, Duration); 4] = [
            ("registrar.expires_min", registrar.expires_min, "registrar.expires_default", registrar.expires_default),
            ("registrar.expires_default", registrar.expires_default, "registrar.expires_max", registrar.expires_max),
            ("sip.min_se", sip.min_se, "sip.session_expires", sip.session_expires),
            ("auth.delay_first", auth.delay_first, "auth.delay_max", auth.delay_max),
        ];
        for (low_path, low, high_path, high) in ordered.into_iter().filter(|(_, low, _, high)| low > high) {
            if !self.is_sound(&[low_path, high_path]) {
                continue;
            }
            let short = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
            let (low_name, high_name) = (short(low_path), short(high_path));
            let what = format!(
                "`{low_name}` is {}, above `{high_name}`, which is {}",
                duration_words(low),
                duration_words(high)
            );
            // The mistake is shown at what was written; the other one may be a default.
            let path = if self.places.contains_key(low_path) { low_path } else { high_path };
            self.wrong(path, what, format!("make `{high_name}` at least `{low_name}`"));
        }
    }

    /// Reports each value that came before, with the place of the first.
    fn unique(&mut self, noun: &str, remedy: &str, values: impl Iterator<Item = (String, String)>) {
        let mut first_paths: BTreeMap<String, String> = BTreeMap::new();
        for (value, path) in values.filter(|(_, path)| !self.unsound.contains(path)) {
            let Some(first) = first_paths.get(&value) else {
                first_paths.insert(value, path);
                continue;
            };
            let what = format!("{} is already {noun}: {first}", quoted(&value));
            let also = self.places.get(first).map(|span| (span.clone(), format!("{} is first here", quoted(&value))));
            let mut finding = Finding::new(self.place(&path), &path, what, remedy);
            finding.also.extend(also);
            self.findings.push(finding);
        }
    }

    fn wrong(&mut self, path: &str, what: String, remedy: impl Into<String>) {
        self.findings.push(Finding::new(self.place(path), path, what, remedy));
    }

    /// Whether something was read from each of these settings, or rightly nothing.
    fn is_sound(&self, paths: &[&str]) -> bool {
        paths.iter().all(|path| !self.unsound.contains(*path))
    }

    /// Where a setting stands; what was not given stands where its section does.
    fn place(&self, path: &str) -> Range<usize> {
        let parent = || path.rsplit_once('.').and_then(|(section, _)| self.places.get(section));
        self.places.get(path).or_else(parent).cloned().unwrap_or(0..0)
    }
}

/// Numbers that stand by themselves, each with the setting that gives it: of users, services and ring groups.
fn single_numbers(config: &Config) -> impl Iterator<Item = (String, String)> {
    let users = config.users.iter().enumerate();
    let users = users.filter_map(|(at, user)| Some((user.extension.clone()?, format!("user[{at}].extension"))));
    let services = config.services.iter().enumerate();
    let services = services.map(|(at, service)| (service.number.clone(), format!("service[{at}].number")));
    let groups = config.ring_groups.iter().enumerate();
    let groups = groups.map(|(at, group)| (group.number.clone(), format!("ring_group[{at}].number")));
    users.chain(services).chain(groups)
}

fn is_multicast(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255])
}

fn is_readable(file: &Path) -> bool {
    std::fs::File::open(file).and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file())
}
