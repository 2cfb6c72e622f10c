//! Whether the `uri` of a digest names the Request-URI (RFC 7616 section 3.4.6).
//!
//! Phones do not repeat it byte for byte, and proxies rewrite it. What is tolerated: angle brackets around it, missing or
//! additional parameters and headers, a default port written or not, `sip` for `sips`, case of scheme and host, visual
//! separators in `tel`. What must agree: user, host and port. So a digest for one callee is of no use for another.

/// Whether both name the same target.
pub(super) fn same(digest_uri: &str, request_uri: &str) -> bool {
    digest_uri == request_uri || matches!((parts(digest_uri), parts(request_uri)), (Some(a), Some(b)) if a.same(&b))
}

enum Target<'a> {
    Number(&'a str),
    Address { user: &'a str, host: &'a str, port: &'a str },
}

fn parts(uri: &str) -> Option<Target<'_>> {
    let uri = uri.trim();
    let uri = uri.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(uri);
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("tel") {
        return Some(Target::Number(rest.split(';').next().unwrap_or_default()));
    }
    let default_port = match scheme {
        _ if scheme.eq_ignore_ascii_case("sip") => "5060",
        _ if scheme.eq_ignore_ascii_case("sips") => "5061",
        _ => return None,
    };
    // A user part may hold ';' and '?', so it goes first (RFC 3261 section 19.1.1).
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host_port = rest.split([';', '?']).next().unwrap_or_default();
    let end_of_host = host_port.rfind(']').map_or(0, |at| at.saturating_add(1));
    let colon = host_port.get(end_of_host..)?.find(':').map(|at| at.saturating_add(end_of_host));
    let (host, port) = match colon.and_then(|at| host_port.split_at_checked(at)) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
        None => (host_port, ""),
    };
    Some(Target::Address { user, host, port: if port == default_port { "" } else { port } })
}

impl Target<'_> {
    fn same(&self, other: &Target<'_>) -> bool {
        match (self, other) {
            (Target::Number(one), Target::Number(two)) => digits(one).eq(digits(two)),
            (
                Target::Address { user, host, port },
                Target::Address { user: other_user, host: other_host, port: other_port },
            ) => user == other_user && host.eq_ignore_ascii_case(other_host) && port == other_port,
            _ => false,
        }
    }
}

/// A telephone number without visual separators (RFC 3966 section 5.1.1).
fn digits(number: &str) -> impl Iterator<Item = char> {
    number.chars().filter(|c| !"-.()".contains(*c))
}
