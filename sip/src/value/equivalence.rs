//! When two URIs are the same (RFC 3261 section 19.1.4, RFC 5954 section 3.2, RFC 3966 section 5).

use super::escape::units;
use super::scan::{split_at, unquote};
use super::{Host, Param, Params, Scheme, Uri};
use memchr::memchr;

/// Parameters and headers that are compared; a URI with more is equivalent to none, so that comparing stays bounded.
pub const COMPARED_MAX: usize = 32;

/// Parameters that make a difference even when one URI only has them.
const NEVER_IGNORED: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

impl Uri<'_> {
    /// Whether both name the same resource by the rules of their scheme. Not transitive: parameters that the RFC does
    /// not name are ignored when one URI only has them.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {}
            (Scheme::Tel, Scheme::Tel) => return same_number(self, other),
            (Scheme::Other(a), Scheme::Other(b)) => {
                return a.eq_ignore_ascii_case(b) && self.user == other.user;
            }
            _ => return false,
        }
        same_optional(self.user, other.user)
            && same_optional(self.password, other.password)
            && same_host(self, other)
            && self.port == other.port
            && same_params(self.params, other.params, |p| NEVER_IGNORED.iter().any(|n| p.name.eq_ignore_ascii_case(n)))
            && same_headers(self.headers, other.headers)
    }
}

/// Case counts, and an escaped character is the bare one unless it is reserved.
fn same(a: &[u8], b: &[u8]) -> bool {
    units(a).eq(units(b))
}

fn same_without_case(a: &[u8], b: &[u8]) -> bool {
    let lower = |unit: super::escape::Unit| (unit.byte.to_ascii_lowercase(), unit.escaped_reserved);
    units(a).map(lower).eq(units(b).map(lower))
}

fn same_optional(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

fn same_host(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    match (a.host_kind(), b.host_kind()) {
        (Some(Host::Ip(a)), Some(Host::Ip(b))) => a == b,
        (Some(Host::Name(a)), Some(Host::Name(b))) => a.eq_ignore_ascii_case(b),
        _ => false,
    }
}

/// Every parameter of one must be equal in the other, or missing there and not `counted`.
fn same_params(a: Params<'_>, b: Params<'_>, counted: impl Fn(&Param<'_>) -> bool) -> bool {
    let covered = |a: Params<'_>, b: Params<'_>| {
        let mut left = COMPARED_MAX;
        a.iter().all(|param| {
            left = left.saturating_sub(1);
            let Ok(param) = param else { return false };
            left > 0
                && match b.get(param.name) {
                    Some(twin) => {
                        let one = unquote(param.value.unwrap_or_default());
                        let two = unquote(twin.value.unwrap_or_default());
                        same_without_case(&one, &two)
                    }
                    None => !counted(&param),
                }
        })
    };
    covered(a, b) && covered(b, a)
}

/// Headers are never ignored; their order does not count.
fn same_headers(a: &[u8], b: &[u8]) -> bool {
    let parts = |all: &'_ [u8]| all.split(|c| *c == b'&').filter(|p| !p.is_empty()).count();
    if parts(a) != parts(b) || parts(a) > COMPARED_MAX {
        return false;
    }
    let covered = |a: &[u8], b: &[u8]| {
        a.split(|c| *c == b'&')
            .filter(|p| !p.is_empty())
            .all(|one| b.split(|c| *c == b'&').any(|two| same_header(one, two)))
    };
    covered(a, b) && covered(b, a)
}

fn same_header(a: &[u8], b: &[u8]) -> bool {
    let cut = |h: &'_ [u8]| memchr(b'=', h).unwrap_or(h.len());
    let ((a_name, a_value), (b_name, b_value)) = (split_at(a, cut(a)), split_at(b, cut(b)));
    same_without_case(a_name, b_name) && same(a_value, b_value)
}

/// Numbers without their visual separators; every parameter counts (RFC 3966 section 5).
fn same_number(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let digits = |uri: &Uri<'_>| -> Vec<u8> {
        let number = uri.user.unwrap_or_default().iter();
        number.filter(|c| !matches!(c, b'-' | b'.' | b'(' | b')')).map(u8::to_ascii_lowercase).collect()
    };
    digits(a) == digits(b) && same_params(a.params, b.params, |_| true)
}
