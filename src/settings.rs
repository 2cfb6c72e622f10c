//! From the configuration, which people write, to the settings, which the actors read.

mod mail;
mod routing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actors::directory as to;
use actors::gateway::{Account, Gateway, Host, Probing};
use actors::settings::{
    AdmissionSettings, AuthSettings, MessageSettings, RegistrarSettings, Settings, SipSettings, SrtpSettings,
};
use sip::Protocol;
use sip::sdp::{CodecPattern, CodecSpec};

use crate::config::{self as from, Config};

/// The folder of recordings in the data folder.
pub const RECORDINGS_FOLDER: &str = "recordings";
/// The file of call records in the data folder, a JSON line each.
pub const CALLS_FILE: &str = "calls.jsonl";
/// Port pairs that are bound before the first call: enough for a hundred calls to begin at once.
const WARM_PAIRS: usize = 256;
/// Ports of two pairs, which a call needs.
const PORTS_A_CALL: usize = 4;

/// The settings of the actors; `data` is the data folder.
pub fn settings(config: &Config, data: &Path) -> Settings {
    let realm = config.auth.realm.clone().or_else(|| config.node.domains.first().cloned());
    Settings {
        node: config.node.name.clone(),
        domains: config.node.domains.clone(),
        shards: shards(config),
        cdr_file: Some(data.join(CALLS_FILE)),
        sip: sip_settings(config),
        registrar: RegistrarSettings {
            expires_default: config.registrar.expires_default,
            expires_min: config.registrar.expires_min,
            expires_max: config.registrar.expires_max,
            contacts_max: config.registrar.contacts_max,
        },
        auth: AuthSettings {
            realm: realm.unwrap_or_default(),
            algorithms: config.auth.algorithms.iter().map(|a| algorithm(*a)).collect(),
            nonce_lifetime: config.auth.nonce_lifetime,
            tries_max: config.auth.tries_max,
            delay_first: config.auth.delay_first,
            delay_max: config.auth.delay_max,
        },
        admission: AdmissionSettings {
            per_source_rate: config.admission.per_source_rate,
            per_source_burst: config.admission.per_source_burst,
            sources_max: config.admission.sources_max,
            retry_after: config.admission.retry_after,
            calls_max: config.admission.calls_max,
        },
        messages: MessageSettings { expires: config.store.message_expires },
        media: media(&config.media),
        relay: actors::settings::relay_policy(config.media.codecs.iter().map(|c| codec(*c)).collect()),
        srtp: SrtpSettings {
            default: srtp(config.media.srtp),
            over_plain_sip: config.media.srtp_over_plain_sip,
            lifetime: config.media.srtp_lifetime,
        },
        users: mail::users(config),
        gateways: config.gateways.iter().map(|one| gateway(config, one)).collect(),
        services: config.services.iter().map(service).collect(),
        conferences: config.conferences.iter().map(|plan| Arc::new(conference(plan))).collect(),
        groups: config.ring_groups.iter().map(|group| Arc::new(routing::ring_group(group))).collect(),
        features: routing::features(&config.features),
        routing: routing::spec(config),
        mail: mail::settings(config, data),
        attendants: mail::attendants(config),
        recordings: Some(data.join(RECORDINGS_FOLDER)),
        hep: collector(&config.hep).map(Arc::new),
    }
}

fn collector(hep: &from::Hep) -> Option<actors::hep::Collector> {
    Some(actors::hep::Collector {
        host: hep.host.clone()?,
        port: hep.port,
        agent: hep.agent,
        key: hep.key.as_ref().map(|key| key.expose().as_bytes().into()),
    })
}

/// The addresses that SIP listens on.
pub fn listen(config: &from::Sip) -> Vec<(Protocol, SocketAddr)> {
    let each = |protocol, list: &[SocketAddr]| -> Vec<_> { list.iter().map(|at| (protocol, *at)).collect() };
    [each(Protocol::Udp, &config.udp), each(Protocol::Tcp, &config.tcp), each(Protocol::Tls, &config.tls)].concat()
}

/// The store of the data folder.
pub fn store(config: &from::Store, data: &Path) -> store::StoreConfig {
    let mut settings = store::StoreConfig::sled(data);
    settings.engine = store::EngineChoice::Sled { folder: data.to_owned(), cache_bytes: config.cache };
    settings.group_window = config.group_window;
    settings.messages.per_user_max = config.messages_per_user_max;
    settings
}

fn shards(config: &Config) -> usize {
    match config.node.shards {
        // Media is the heavier half of a call, and a message that comes to another shard than its call's costs a wake.
        0 => std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
        shards => shards,
    }
}

fn sip_settings(config: &Config) -> SipSettings {
    let sip = &config.sip;
    SipSettings {
        advertised: sip.advertised.clone(),
        listen: listen(sip),
        user_agent: sip.user_agent.clone(),
        t1: sip.t1,
        session_expires: sip.session_expires,
        min_se: sip.min_se,
        max_call_duration: sip.max_call_duration,
        max_ringing: sip.max_ringing,
        ring_step: sip.ring_step,
        max_forks: sip.max_forks,
    }
}

fn algorithm(algorithm: from::Algorithm) -> sip::auth::Algorithm {
    match algorithm {
        from::Algorithm::Sha512_256 => sip::auth::Algorithm::Sha512_256,
        from::Algorithm::Sha256 => sip::auth::Algorithm::Sha256,
        from::Algorithm::Md5 => sip::auth::Algorithm::Md5,
    }
}

fn codec(codec: from::Codec) -> CodecSpec {
    match codec {
        from::Codec::Pcma => CodecSpec::pcma(),
        from::Codec::Pcmu => CodecSpec::pcmu(),
        from::Codec::G722 => CodecSpec::g722(),
        from::Codec::Opus => CodecSpec::opus(),
        from::Codec::L16Narrow => CodecSpec::l16(108, 8000),
        from::Codec::L16Wide => CodecSpec::l16(109, 16_000),
    }
}

fn media(config: &from::Media) -> media::PoolConfig {
    let (first, last) = (*config.ports.start(), *config.ports.end());
    let ports = usize::from(last.saturating_sub(first)) + 1;
    // No more than a quarter of what there is; where the kernel picks, its range is large.
    let warm_pairs = if first == 0 { WARM_PAIRS } else { WARM_PAIRS.min(ports / (2 * PORTS_A_CALL)) };
    media::PoolConfig {
        workers: config.workers,
        ip: config.ip,
        advertised_ip: config.advertised,
        ports: config.ports.clone(),
        port_mode: match config.port_mode {
            from::PortMode::Range => media::PortMode::Range,
            from::PortMode::Single => media::PortMode::Single,
        },
        media_timeout: config.timeout,
        warm_pairs,
        ..media::PoolConfig::default()
    }
}

fn user(config: &Config, user: &from::User, mailbox: Option<actors::mail::Assigned>) -> to::User {
    to::User {
        name: user.name.clone(),
        display: user.display.clone().unwrap_or_default(),
        extension: user.extension.clone(),
        numbers: user.tel.clone(),
        secret: secret(user),
        contacts_max: user.contacts_max,
        max_calls: Some(user.max_calls),
        srtp: user.srtp.or_else(|| routing::srtp_of_user(config, user)).map(srtp),
        routing: routing::assigned(user),
        mailbox,
        keys_by_info: user.dtmf == from::Dtmf::Info,
        pickup_group: user.pickup_group.clone(),
    }
}

fn srtp(policy: from::Srtp) -> sip::sdp::Srtp {
    match policy {
        from::Srtp::Require => sip::sdp::Srtp::Require,
        from::Srtp::Prefer => sip::sdp::Srtp::Prefer,
        from::Srtp::Never => sip::sdp::Srtp::Never,
    }
}

/// The check lets exactly one of password and hashes through.
fn secret(user: &from::User) -> sip::auth::Secret {
    match &user.password {
        Some(password) => sip::auth::Secret::Password(password.expose().to_owned()),
        None => {
            let none = BTreeMap::new();
            let hashes = user.ha1.as_ref().unwrap_or(&none);
            let of = |algorithm| hashes.get(&algorithm).map(|hash| hash.expose().to_owned());
            sip::auth::Secret::Ha1(sip::auth::Ha1 {
                md5: of(from::Algorithm::Md5),
                sha256: of(from::Algorithm::Sha256),
                sha512_256: of(from::Algorithm::Sha512_256),
            })
        }
    }
}

fn gateway(config: &Config, gateway: &from::Gateway) -> Gateway {
    Gateway {
        name: gateway.name.clone(),
        host: match &gateway.address.host {
            from::GatewayHost::Ip(ip) => Host::Ip(*ip),
            from::GatewayHost::Name(name) => Host::Name(name.clone()),
        },
        port: gateway.address.port,
        protocol: match gateway.transport {
            from::GatewayTransport::Udp => Protocol::Udp,
            from::GatewayTransport::Tcp => Protocol::Tcp,
            from::GatewayTransport::Tls => Protocol::Tls,
        },
        family: gateway.ip,
        certificate: gateway.certificate.clone(),
        domain: gateway.domain.clone(),
        enabled: gateway.enabled,
        outbound: gateway.outbound,
        silence: gateway.silence,
        failover: gateway.failover,
        channels_max: gateway.channels_max,
        calls_per_second: gateway.calls_per_second,
        codecs: codecs_of(&gateway.codecs),
        srtp: gateway.srtp.or_else(|| routing::srtp_of_plan(config, gateway.dial_plan.as_ref())).map(srtp),
        trusted: gateway.trusted,
        names: gateway.names,
        anonymous: gateway.anonymous,
        call_history: gateway.call_history,
        session_timer: gateway.session_timer,
        probing: Probing {
            every: Some(gateway.probe).filter(|every| !every.is_zero()),
            patience: gateway.probe_patience,
            down_after: gateway.probe_down,
            up_after: gateway.probe_up,
            rest_max: gateway.probe_rest,
        },
        account: account(gateway),
        trunk: routing::trunk(gateway),
    }
}

/// None is all.
fn codecs_of(codecs: &[from::Codec]) -> Option<Arc<[CodecPattern]>> {
    let pattern = |of: &from::Codec| {
        let map = codec(*of).map;
        CodecPattern { encoding: map.encoding.to_string(), clock_hz: Some(map.clock_hz) }
    };
    (!codecs.is_empty()).then(|| codecs.iter().map(pattern).collect())
}

/// The check lets both of user name and password through, or none.
fn account(gateway: &from::Gateway) -> Option<Account> {
    Some(Account {
        username: gateway.username.clone()?,
        secret: sip::auth::Secret::Password(gateway.password.as_ref()?.expose().to_owned()),
        realm: gateway.realm.clone(),
        registers: gateway.register,
        expires: gateway.register_expires,
    })
}

fn service(service: &from::Service) -> to::Service {
    to::Service {
        number: service.number.clone(),
        kind: match service.kind {
            from::ServiceKind::Echo => to::ServiceKind::Echo,
            from::ServiceKind::Tone => to::ServiceKind::Tone,
            from::ServiceKind::Announcement => to::ServiceKind::Announcement,
            from::ServiceKind::Music => to::ServiceKind::Music,
            from::ServiceKind::Voicemail => to::ServiceKind::Voicemail,
        },
    }
}

fn conference(plan: &from::Conference) -> actors::conference::Plan {
    actors::conference::Plan {
        first: plan.numbers.first.clone(),
        last: plan.numbers.last.clone(),
        text: plan.text.clone(),
        rate_hz: plan.rate,
        participants_max: plan.participants_max,
        talkers_max: plan.talkers_max,
        record: plan.record,
        packed: plan.record_format == from::RecordFormat::Opus,
        tones: plan.tones,
        language: plan.language,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_becomes_the_settings_of_the_issue() {
        let config = from::lab().unwrap();
        let settings = settings(&config, Path::new("/data"));
        assert_eq!(settings.auth.realm, "example.com");
        assert_eq!(settings.cdr_file.as_deref(), Some(Path::new("/data/calls.jsonl")));
        assert!(settings.shards >= 1);
        let listening: Vec<_> = settings.sip.listen.iter().map(|(p, at)| format!("{} {at}", p.uri())).collect();
        assert_eq!(listening, ["udp 127.0.0.1:5060", "tcp 127.0.0.1:5060", "tls 127.0.0.1:5061"]);
        let alice = settings.users.first().unwrap();
        assert_eq!((alice.name.as_str(), alice.extension.as_deref()), ("alice", Some("1001")));
        assert!(alice.secret == sip::auth::Secret::Password("alice-secret".to_owned()));
        assert_eq!(
            settings.services.iter().map(|s| s.number.as_str()).collect::<Vec<_>>(),
            ["5500", "5501", "5502", "5503", "5000"]
        );
    }

    #[test]
    fn few_ports_are_not_all_bound_before_the_first_call() {
        let mut config = from::lab().unwrap();
        config.media.ports = 20_000..=20_015;
        assert_eq!(media(&config.media).warm_pairs, 2);
        config.media.port_mode = from::PortMode::Single;
        assert_eq!(media(&config.media).port_mode, media::PortMode::Single);
        config.media.ports = 0..=0;
        assert_eq!(media(&config.media).warm_pairs, WARM_PAIRS);
    }
}
