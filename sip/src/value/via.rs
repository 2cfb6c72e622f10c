//! Via (RFC 3261 section 20.42, RFC 3581).

use super::scan::{find, is_space, is_token, is_token_char, number, split_at, trim};
use super::{Host, Malformed, Params};
use std::net::IpAddr;

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// Transport token: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or another.
    pub transport: &'a [u8],
    /// Host of sent-by, IPv6 with its brackets.
    pub host: &'a [u8],
    /// Port of sent-by.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, …
    pub params: Params<'a>,
    branch: Option<&'a [u8]>,
}

/// What every branch of RFC 3261 begins with (section 8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

impl<'a> Via<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// Anything but `SIP / version / transport host[:port] *(;param)`.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        let slash = find(value, b'/').ok_or(Malformed)?;
        let (protocol, rest) = split_at(value, slash);
        if !trim(protocol).eq_ignore_ascii_case(b"SIP") {
            return Err(Malformed);
        }
        let rest = split_at(rest, 1).1;
        let (version, rest) = split_at(rest, find(rest, b'/').ok_or(Malformed)?);
        // Any version: who sends SIP/7.0 is told so (RFC 4475 section 3.1.2.16), by way of this Via.
        if !is_token(trim(version)) {
            return Err(Malformed);
        }
        let rest = trim(split_at(rest, 1).1);
        let end = rest.iter().position(|c| !is_token_char(*c)).ok_or(Malformed)?;
        let (transport, rest) = split_at(rest, end);
        if transport.is_empty() || !rest.first().is_some_and(|c| is_space(*c)) {
            return Err(Malformed);
        }
        let rest = trim(rest);
        let (sent_by, params) = split_at(rest, find(rest, b';').unwrap_or(rest.len()));
        let (host, port) = sent_by_parts(trim(sent_by))?;
        let params = Params(params);
        let [branch] = params.check_for([b"branch"])?;
        let branch = branch.and_then(|branch| branch.value);
        Ok(Self { transport, host, port, params, branch })
    }

    /// One that was read before.
    pub(crate) const fn of_parts(
        transport: &'a [u8],
        host: &'a [u8],
        port: Option<u16>,
        params: Params<'a>,
        branch: Option<&'a [u8]>,
    ) -> Self {
        Self { transport, host, port, params, branch }
    }

    /// The branch, `None` when absent or empty.
    pub const fn branch(&self) -> Option<&'a [u8]> {
        self.branch
    }

    /// Where the request really came from; IPv6 with or without brackets (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value(b"received")?;
        let bare = match value {
            [b'[', inner @ .., b']'] => inner,
            other => other,
        };
        std::str::from_utf8(bare).ok()?.parse().ok()
    }

    /// The port that the request really came from (RFC 3581 section 4); `None` also for a request that only asks.
    pub fn rport(&self) -> Option<u16> {
        let port = number(self.params.value(b"rport")?, 65_535)?;
        u16::try_from(port).ok()
    }

    /// Whether the branch is one of RFC 3261: the cookie and something behind it (RFC 4475 section 3.2.1).
    pub fn has_modern_branch(&self) -> bool {
        self.branch().is_some_and(|b| b.len() > MAGIC_COOKIE.len() && b.starts_with(MAGIC_COOKIE))
    }
}

/// `host [COLON port]`, with white space allowed around the colon.
fn sent_by_parts(sent_by: &[u8]) -> Result<(&[u8], Option<u16>), Malformed> {
    let colon = match sent_by.first() {
        Some(b'[') => {
            let close = find(sent_by, b']').ok_or(Malformed)?;
            find(split_at(sent_by, close).1, b':').map(|i| i + close)
        }
        _ => find(sent_by, b':'),
    };
    let (host, port) = match colon {
        Some(colon) => {
            let (host, rest) = split_at(sent_by, colon);
            let port = number(trim(split_at(rest, 1).1), 65_535).ok_or(Malformed)?;
            (trim(host), Some(u16::try_from(port).map_err(|_| Malformed)?))
        }
        None => (sent_by, None),
    };
    Host::parse(host)?;
    Ok((host, port))
}
