//! Settings that are written as a string, and what each accepts.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{Fault, OneOf, Words};
use crate::config::error::quoted;
use crate::config::values::{Algorithm, Codec, GatewayAddress, GatewayHost, Numbers, Secret};

/// A digest algorithm.
pub const ALGORITHM: OneOf<Algorithm> = OneOf(&Algorithm::NAMES);

/// A codec.
pub const CODEC: OneOf<Codec> = OneOf(&Codec::NAMES);

/// An IP address of either family.
pub const IP: Words<IpAddr> = Words {
    words: "an IP address such as \"192.0.2.10\" or \"2001:db8::10\"",
    parse: |text| {
        text.parse().map_err(|_| fault(text, "no IP address", "write it as \"192.0.2.10\" or \"2001:db8::10\""))
    },
    json: shown,
};

/// An IP address and a port to listen on; port 0 lets the kernel pick.
pub const LISTEN: Words<SocketAddr> = Words {
    words: "an IP address and a port such as \"127.0.0.1:5060\" or \"[::1]:5060\"; port 0 lets the kernel pick",
    parse: |text| {
        let remedy = "write it as \"127.0.0.1:5060\" or \"[::1]:5060\"";
        text.parse().map_err(|_| fault(text, "no IP address and port", remedy))
    },
    json: shown,
};

/// The address of a gateway: an IP address or a host name, with a port or without.
pub const GATEWAY_ADDRESS: Words<GatewayAddress> = Words {
    words: "an IP address or a host name, with or without a port, such as \"192.0.2.20\", \"[2001:db8::20]:5060\" or \"sip.carrier.example\"",
    parse: |text| {
        let literal = text.parse::<SocketAddr>().map(|at| (at.ip(), Some(at.port())));
        let literal = literal.or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, None))).ok();
        let named = || {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port.parse::<u16>().ok()?)),
                None => (text, None),
            };
            is_host_name(name).then(|| GatewayAddress { host: GatewayHost::Name(name.to_ascii_lowercase()), port })
        };
        let address = match literal {
            Some((ip, port)) if !ip.is_unspecified() => Some(GatewayAddress { host: GatewayHost::Ip(ip), port }),
            Some(_) => None,
            None => named(),
        };
        let remedy =
            "write it as \"192.0.2.20\", \"192.0.2.20:5060\", \"[2001:db8::20]:5060\" or \"sip.carrier.example\"";
        address.filter(|at| at.port != Some(0)).ok_or_else(|| fault(text, "no address of a gateway", remedy))
    },
    json: |address| match (&address.host, address.port) {
        (GatewayHost::Ip(ip), Some(port)) => json!(SocketAddr::new(*ip, port).to_string()),
        (GatewayHost::Ip(ip), None) => json!(ip.to_string()),
        (GatewayHost::Name(name), Some(port)) => json!(format!("{name}:{port}")),
        (GatewayHost::Name(name), None) => json!(name),
    },
};

/// A DNS server: an IP address, with a port where it is not 53.
pub const NAMESERVER: Words<SocketAddr> = Words {
    words: "an IP address with or without a port, such as \"192.0.2.53\" or \"127.0.0.1:5353\"; no port is 53",
    parse: |text| {
        let bare = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let address = text.parse::<SocketAddr>().or_else(|_| bare()).ok();
        let address = address.filter(|address| address.port() != 0 && !address.ip().is_unspecified());
        let remedy = "write it as \"192.0.2.53\", \"127.0.0.1:5353\" or \"[2001:db8::53]:53\"";
        address.ok_or_else(|| fault(text, "no address of a DNS server", remedy))
    },
    json: shown,
};

/// A host name or IP address.
pub const HOST: Words<String> = Words {
    words: "a host name or an IP address such as \"sip.example.com\" or \"192.0.2.10\"",
    parse: |text| {
        let is_ip = text.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
        let remedy = "write it as \"sip.example.com\" or \"192.0.2.10\"";
        if is_ip || is_host_name(text) { Ok(text.to_ascii_lowercase()) } else { Err(fault(text, "no host", remedy)) }
    },
    json: |text| json!(text),
};

/// A word of a command.
pub const ARGUMENT: Words<String> = Words {
    words: "a text of 1 to 1000 characters",
    parse: |text| {
        if (1..=1000).contains(&text.chars().count()) && !text.contains('\0') {
            Ok(text.to_owned())
        } else {
            Err(fault(text, "no argument", "write 1 to 1000 characters"))
        }
    },
    json: |text| json!(text),
};

/// A short text for people.
pub const LABEL: Words<String> = Words {
    words: "a text of 1 to 128 characters on one line",
    parse: |text| {
        let is_label = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_label {
            Ok(text.to_owned())
        } else {
            Err(fault(text, "no label", "write 1 to 128 characters on one line"))
        }
    },
    json: |text| json!(text),
};

/// The name of something in this file, and of a user in a SIP URI.
pub const NAME: Words<String> = Words {
    words: "a name of 1 to 64 lower-case letters, digits, `-`, `_` and `.`",
    parse: |text| {
        let is_name = (1..=64).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c));
        let remedy = "write 1 to 64 lower-case letters, digits, `-`, `_` and `.`";
        if is_name { Ok(text.to_owned()) } else { Err(fault(text, "no name", remedy)) }
    },
    json: |text| json!(text),
};

/// A number that is dialled inside: extensions and services.
pub const DIALLED: Words<String> = Words {
    words: "a number of 1 to 20 digits, `*` and `#`, in quotation marks",
    parse: |text| {
        let is_dialled =
            (1..=20).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit() || b"*#".contains(&c));
        let remedy = "write 1 to 20 digits, `*` and `#`, such as \"1001\"";
        if is_dialled { Ok(text.to_owned()) } else { Err(fault(text, "no number to dial", remedy)) }
    },
    json: |text| json!(text),
};

/// Numbers of conferences.
pub const NUMBERS: Words<Numbers> = Words {
    words: "a number of 1 to 20 digits, or a range of numbers of equal length such as \"5200-5299\"",
    parse: |text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let is_number = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        let remedy = "write \"5200\" or \"5200-5299\": digits, the first not above the last and as long";
        if is_number(first) && is_number(last) && first.len() == last.len() && first <= last {
            Ok(Numbers { first: first.to_owned(), last: last.to_owned() })
        } else {
            Err(fault(text, "no number and no range of numbers", remedy))
        }
    },
    json: |numbers| match numbers.first == numbers.last {
        true => json!(numbers.first),
        false => json!(format!("{}-{}", numbers.first, numbers.last)),
    },
};

/// A number of the public network (E.164).
pub const TEL: Words<String> = Words {
    words: "a public number such as \"+390612345678\": `+` and 3 to 15 digits",
    parse: |text| {
        let digits = text.strip_prefix('+').unwrap_or("");
        // E.164 section 6: at most 15 digits, and no country code begins with 0.
        let is_tel =
            (3..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|c| c.is_ascii_digit());
        let remedy = "write `+`, the country code and the number, 3 to 15 digits without separators";
        if is_tel { Ok(text.to_owned()) } else { Err(fault(text, "no public number", remedy)) }
    },
    json: |text| json!(text),
};

/// A password; it never appears in messages.
pub const PASSWORD: Words<Secret> = Words {
    words: "a password of 8 to 128 characters on one line",
    parse: |text| secret(text, 8),
    json: |_| json!("(secret)"),
};

/// A bearer token; it never appears in messages.
pub const TOKEN: Words<Secret> = Words {
    words: "a token of 16 to 128 characters of ASCII without spaces",
    parse: |text| {
        let is_token = text.bytes().all(|c| c.is_ascii_graphic());
        let fault =
            || ("this token has spaces or is not ASCII".to_owned(), "write letters, digits and signs".to_owned());
        if is_token { secret(text, 16) } else { Err(fault()) }
    },
    json: |_| json!("(secret)"),
};

/// RTP ports, or `"0"` to let the kernel pick each pair.
pub const PORTS: Words<RangeInclusive<u16>> = Words {
    words: "a range of ports such as \"20000-29999\", or \"0\" to let the kernel pick",
    parse: |text| {
        let remedy = "write \"20000-29999\" (first and last port, from 1024, with an even one) or \"0\"";
        let fault = |what| Err(fault(text, what, remedy));
        if text == "0" {
            return Ok(0..=0);
        }
        let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        let Some((first, last)) = ends else {
            return fault("no range of ports");
        };
        // RTP takes an even port (RFC 3550 section 11).
        let first_even: u32 = u32::from(first).next_multiple_of(2);
        if first >= 1024 && first_even <= u32::from(last) {
            Ok(first..=last)
        } else {
            fault("no usable range of ports")
        }
    },
    json: |ports| {
        if *ports.end() == 0 { json!("0") } else { json!(format!("{}-{}", ports.start(), ports.end())) }
    },
};

/// A filter of log events by level and target.
pub const LOG_FILTER: Words<String> = Words {
    words: "a level (\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\") or levels by target, such as \"info,sip=debug\"",
    parse: |text| {
        let remedy =
            "write a level (error, warn, info, debug, trace, off) or levels by target, such as \"info,sip=debug\"";
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        // A bare word is a target at trace to the filter, so that a misspelt level would open everything.
        let is_plain = text.split(',').all(|part| part.contains(['=', '[']) || levels.contains(&part.trim()));
        let is_filter = is_plain && tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
        if is_filter { Ok(text.to_owned()) } else { Err(fault(text, "no log filter", remedy)) }
    },
    json: |text| json!(text),
};

pub(super) fn fault(text: &str, what: &str, remedy: &str) -> Fault {
    (format!("{} is {what}", quoted(text)), remedy.to_owned())
}

fn secret(text: &str, least: usize) -> Result<Secret, Fault> {
    let characters = text.chars().count();
    if !(least..=128).contains(&characters) {
        return Err((format!("this secret has {characters} characters"), format!("write {least} to 128 characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(("this secret has control characters".to_owned(), "write characters on one line".to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}

fn shown<T: Display>(value: &T) -> Value {
    json!(value.to_string())
}

/// A host name by RFC 1123 section 2.1: labels of letters, digits and inner hyphens, 253 bytes in all. A last label of
/// digits alone is a mistyped address (RFC 3696 section 2).
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = text.rsplit('.').next().is_none_or(|last| last.bytes().all(|c| c.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(is_label) && !last_is_number
}
