//! `name-addr` and `addr-spec` (RFC 3261 section 20.10, 25.1): From, To, Contact, Route, Refer-To …

use super::scan::{find, is_space, is_token_char, quoted_len, split_at, trim};
use super::{Malformed, Params, Uri};

/// An address with its optional display name and the parameters of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name as it stands, with its quotes when it has them; may be empty.
    pub display: &'a [u8],
    /// The URI as it stands.
    pub uri: &'a [u8],
    /// Header parameters.
    pub params: Params<'a>,
    tag: Option<&'a [u8]>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value (split at commas before).
    ///
    /// # Errors
    /// Unbalanced quotes or brackets, a display name that is neither tokens nor quoted (RFC 4475 section 3.1.2.15),
    /// a URI with `?` or `,` outside brackets (section 20.10), no scheme.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        let (display, rest) = if value.first() == Some(&b'"') {
            let (display, rest) = split_at(value, quoted_len(value)?);
            (display, trim(rest))
        } else if let Some(bracket) = find(value, b'<') {
            let (display, rest) = split_at(value, bracket);
            let display = trim(display);
            if !display.iter().all(|c| is_token_char(*c) || is_space(*c)) {
                return Err(Malformed);
            }
            (display, rest)
        } else {
            (split_at(value, 0).0, value)
        };
        let (uri, params) = if let [b'<', inner @ ..] = rest {
            let (uri, after) = split_at(inner, find(inner, b'>').ok_or(Malformed)?);
            if uri.first().is_none_or(|c| is_space(*c)) || uri.last().is_none_or(|c| is_space(*c)) {
                return Err(Malformed);
            }
            (uri, trim(split_at(after, 1).1))
        } else {
            if !display.is_empty() {
                return Err(Malformed);
            }
            // Without brackets every `;` parameter belongs to the header (section 20.10).
            let (uri, params) = split_at(rest, find(rest, b';').unwrap_or(rest.len()));
            let uri = trim(uri);
            if uri.iter().any(|c| matches!(c, b'?' | b',')) {
                return Err(Malformed);
            }
            (uri, params)
        };
        if !Uri::has_scheme(uri) {
            return Err(Malformed);
        }
        let params = Params(params);
        let [tag] = params.check_for([b"tag"])?;
        Ok(Self { display, uri, params, tag: tag.and_then(|tag| tag.value) })
    }

    /// The `tag` parameter (RFC 3261 section 19.3).
    pub const fn tag(&self) -> Option<&'a [u8]> {
        self.tag
    }

    /// The display name without quotes and escapes.
    pub fn display_text(&self) -> String {
        String::from_utf8_lossy(&super::unquote(self.display)).into_owned()
    }
}
