//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966), with foreign schemes carried as they are.

use super::escape::unescape;
use super::scan::{find, is_host_char, is_uri_char, number, split_at};
use super::{Malformed, Params};
use memchr::memrchr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Anything else: answered with 416 where it must be understood.
    Other(&'a [u8]),
}

/// A host: name or literal address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A literal IPv4 or (bracketed) IPv6 address.
    Ip(IpAddr),
    /// A name to resolve by RFC 3263.
    Name(&'a [u8]),
}

impl<'a> Host<'a> {
    /// Reads a host; IPv6 stands in brackets (RFC 5118 section 4.1).
    ///
    /// # Errors
    /// Empty, a bad IPv6 literal, characters that no host name has.
    pub fn parse(host: &'a [u8]) -> Result<Self, Malformed> {
        if let [b'[', inner @ .., b']'] = host {
            let text = std::str::from_utf8(inner).map_err(|_| Malformed)?;
            return text.parse::<Ipv6Addr>().map(|ip| Self::Ip(IpAddr::V6(ip))).map_err(|_| Malformed);
        }
        if let Some(ip) = ipv4(host) {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        if host.is_empty() || !host.iter().all(|c| is_host_char(*c)) {
            return Err(Malformed);
        }
        Ok(Self::Name(host))
    }
}

/// Length of the scheme that `uri` begins with (RFC 3986 section 3.1).
fn scheme_len(uri: &[u8]) -> Option<usize> {
    let len = uri.iter().position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.')))?;
    (uri.get(len) == Some(&b':') && uri.first().is_some_and(u8::is_ascii_alphabetic)).then_some(len)
}

/// An IPv4 literal as the library reads it: four numbers up to 255, without leading zeros. In one pass, because every message
/// has half a dozen of them.
fn ipv4(host: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut filled) = ([0_u8; 4], 0);
    let (mut number, mut digits) = (0_u16, 0);
    for c in host {
        match c {
            b'0'..=b'9' if digits == 0 || (number > 0 && digits < 3) => {
                number = number * 10 + u16::from(c - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && filled < 3 => {
                *octets.get_mut(filled)? = u8::try_from(number).ok()?;
                filled += 1;
                (number, digits) = (0, 0);
            }
            _ => return None,
        }
    }
    if filled != 3 || digits == 0 {
        return None;
    }
    *octets.get_mut(3)? = u8::try_from(number).ok()?;
    Some(octets.into())
}

/// A URI taken apart; everything as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// Scheme.
    pub scheme: Scheme<'a>,
    /// User part without password; for `tel` the number; may be absent.
    pub user: Option<&'a [u8]>,
    /// What stands behind the user's `:`; a secret, so no log line has it (RFC 3261 section 19.1.1).
    pub password: Option<&'a [u8]>,
    /// Host as it stands; empty for `tel` and foreign schemes.
    pub host: &'a [u8],
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
    /// What stands behind `?`.
    pub headers: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Whether `uri` begins with a well-formed scheme.
    pub fn has_scheme(uri: &[u8]) -> bool {
        scheme_len(uri).is_some()
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// White space or control characters, a bad host or port, an empty `tel` number, no scheme.
    pub fn parse(uri: &'a [u8]) -> Result<Self, Malformed> {
        let (name, rest) = split_at(uri, scheme_len(uri).ok_or(Malformed)?);
        let rest = split_at(rest, 1).1;
        // No early end, so that the bytes need not be looked at one after the other.
        if !rest.iter().fold(true, |all, c| all & is_uri_char(*c)) {
            return Err(Malformed);
        }
        let scheme = if name.eq_ignore_ascii_case(b"sip") {
            Scheme::Sip
        } else if name.eq_ignore_ascii_case(b"sips") {
            Scheme::Sips
        } else if name.eq_ignore_ascii_case(b"tel") {
            return Self::parse_tel(rest);
        } else {
            return Ok(Self {
                scheme: Scheme::Other(name),
                user: Some(rest),
                password: None,
                host: b"",
                port: None,
                params: Params(b""),
                headers: b"",
            });
        };
        // The user part may hold `;`, `?` and `:`; the last `@` before the host ends it (section 19.1.1).
        let (user, password, rest) = match memrchr(b'@', rest) {
            Some(at) => {
                let (user, rest) = split_at(rest, at);
                let (user, password) = match find(user, b':') {
                    Some(colon) => {
                        let (user, password) = split_at(user, colon);
                        (user, Some(split_at(password, 1).1))
                    }
                    None => (user, None),
                };
                if user.is_empty() {
                    return Err(Malformed);
                }
                (Some(user), password, split_at(rest, 1).1)
            }
            None => (None, None, rest),
        };
        let (rest, headers) = match find(rest, b'?') {
            Some(mark) => {
                let (rest, headers) = split_at(rest, mark);
                (rest, split_at(headers, 1).1)
            }
            None => (rest, split_at(rest, 0).0),
        };
        let (host_port, params) = split_at(rest, find(rest, b';').unwrap_or(rest.len()));
        let bracket = find(host_port, b']').unwrap_or(0);
        let (host, port) = match find(split_at(host_port, bracket).1, b':') {
            Some(colon) => {
                let (host, port) = split_at(host_port, bracket + colon);
                let port = number(split_at(port, 1).1, 65_535).ok_or(Malformed)?;
                (host, Some(u16::try_from(port).map_err(|_| Malformed)?))
            }
            None => (host_port, None),
        };
        Host::parse(host)?;
        Ok(Self { scheme, user, password, host, port, params: Params(params), headers })
    }

    /// `tel:` (RFC 3966): the number, then parameters.
    fn parse_tel(rest: &'a [u8]) -> Result<Self, Malformed> {
        let (number, params) = split_at(rest, find(rest, b';').unwrap_or(rest.len()));
        let digit = |c: &u8| c.is_ascii_hexdigit() || matches!(c, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#');
        if number.is_empty() || !number.iter().all(digit) {
            return Err(Malformed);
        }
        Ok(Self {
            scheme: Scheme::Tel,
            user: Some(number),
            password: None,
            host: b"",
            port: None,
            params: Params(params),
            headers: b"",
        })
    }

    /// The user part with `%xx` undone; bytes that are no UTF-8 become the replacement character.
    pub fn user_text(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&unescape(self.user?)).into_owned())
    }

    /// The host as text.
    pub fn host_text(&self) -> &'a str {
        std::str::from_utf8(self.host).unwrap_or("")
    }

    /// The parsed host.
    pub fn host_kind(&self) -> Option<Host<'a>> {
        Host::parse(self.host).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ipv4_literal_is_what_the_library_takes_for_one(text in "[0-9.]{0,17}|([0-9]{1,3}\\.){3}[0-9]{1,4}|(25[0-9]\\.){3}25[0-9]") {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok(), "{}", text);
        }

        #[test]
        fn any_ipv4_address_is_read(ip: Ipv4Addr) {
            prop_assert_eq!(ipv4(ip.to_string().as_bytes()), Some(ip));
        }
    }
}
