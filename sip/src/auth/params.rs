//! `name=value, name="value"` of the authentication headers (RFC 3261 section 25.1), as spans over what was received.

use std::borrow::Cow;

/// Longest value of an authentication header that is read, bytes.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Most parameters of one header.
const PARAMS_MAX: usize = 32;

/// A value without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    /// As received, escapes included: what goes into a hash (RFC 7616 section 3.4, `unq`) or back to the sender.
    pub raw: &'a str,
    escaped: bool,
}

impl<'a> Value<'a> {
    /// With escapes resolved: what is compared.
    pub(super) fn text(&self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => text.extend(chars.next()),
                _ => text.push(c),
            }
        }
        Cow::Owned(text)
    }
}

/// What follows the scheme, when `header` is of the scheme Digest and of bearable length.
pub(super) fn digest(header: &[u8]) -> Option<&str> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(header).ok()?.trim_start_matches(LWS);
    let (scheme, rest) = text.split_once(LWS)?;
    scheme.eq_ignore_ascii_case("Digest").then_some(rest)
}

/// Shows each parameter to `take`; false when the text is not a list of parameters, or `take` says so.
pub(super) fn each<'a>(text: &'a str, mut take: impl FnMut(&'a str, Value<'a>) -> bool) -> bool {
    let mut rest = text;
    for _ in 0..PARAMS_MAX {
        // Empty elements are tolerated: some phones end the list with a comma.
        rest = rest.trim_start_matches(|c| LWS.contains(&c) || c == ',');
        if rest.is_empty() {
            return true;
        }
        let Some((name, after)) = rest.split_once('=') else {
            return false;
        };
        let name = name.trim_end_matches(LWS);
        let Some((value, after)) = value(after.trim_start_matches(LWS)) else {
            return false;
        };
        rest = after.trim_start_matches(LWS);
        let separated = rest.is_empty() || rest.starts_with(',');
        let token =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!%*+`'~".contains(&byte));
        if !separated || !token || !take(name, value) {
            return false;
        }
    }
    false
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Option<(Value<'_>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c| LWS.contains(&c) || c == ',').unwrap_or(text.len());
        let (raw, rest) = text.split_at_checked(end)?;
        let sound = !raw.is_empty() && !raw.contains(|c: char| c == '"' || c.is_control());
        return sound.then_some((Value { raw, escaped: false }, rest));
    };
    let (mut escaped, mut after_backslash) = (false, false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if c.is_control() && c != '\t' => return None,
            _ if after_backslash => after_backslash = false,
            '\\' => (escaped, after_backslash) = (true, true),
            '"' => {
                let (raw, rest) = quoted.split_at_checked(at)?;
                return Some((Value { raw, escaped }, rest.strip_prefix('"')?));
            }
            _ => {}
        }
    }
    None
}

/// `text` with what would end a quoted string escaped.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    if !text.contains(['"', '\\']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// White space, folded lines included.
const LWS: [char; 4] = [' ', '\t', '\r', '\n'];
