//! `;name=value` lists (RFC 3261 section 25.1, generic-param).

use super::Malformed;
use super::scan::{is_space, is_token_char, quoted_len, split_at, trim, trim_start};

/// One parameter; `value` is `None` for a flag, and keeps its quotes when it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// A token, compared without case.
    pub name: &'a [u8],
    /// Token, host or quoted string, as it came.
    pub value: Option<&'a [u8]>,
}

/// A list of parameters as it stands in a message: either empty or beginning with `;`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(pub &'a [u8]);

impl<'a> Params<'a> {
    /// Reads them one by one; ends after the first malformed one.
    pub fn iter(self) -> impl Iterator<Item = Result<Param<'a>, Malformed>> {
        let mut rest = trim(self.0);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let out = next(rest);
            rest = out.map_or(&[], |(_, tail)| tail);
            Some(out.map(|(param, _)| param))
        })
    }

    /// The parameter called `name`; `None` when absent or when the list is malformed before it.
    pub fn get(self, name: &[u8]) -> Option<Param<'a>> {
        self.iter().map_while(Result::ok).find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// The value of `name`, without quotes for a plain one.
    pub fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        self.get(name)?.value
    }

    /// Whether the flag or parameter is there.
    pub fn has(self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// The first malformed parameter.
    pub fn check(self) -> Result<(), Malformed> {
        self.iter().try_for_each(|p| p.map(|_| ()))
    }

    /// Reads to the end, and gives the first of each of `names` that it met: one pass for what every message asks.
    pub(crate) fn check_for<const N: usize>(self, names: [&[u8]; N]) -> Result<[Option<Param<'a>>; N], Malformed> {
        let mut rest = trim(self.0);
        let mut found = [None; N];
        while !rest.is_empty() {
            let (param, tail) = next(rest)?;
            for (name, found) in names.iter().zip(&mut found) {
                if param.name.len() == name.len() && found.is_none() && param.name.eq_ignore_ascii_case(name) {
                    *found = Some(param);
                }
            }
            rest = tail;
        }
        Ok(found)
    }
}

fn next(list: &[u8]) -> Result<(Param<'_>, &[u8]), Malformed> {
    let [b';', rest @ ..] = list else {
        return Err(Malformed);
    };
    let rest = trim_start(rest);
    let end = rest.iter().position(|c| !is_token_char(*c)).unwrap_or(rest.len());
    let (name, rest) = split_at(rest, end);
    if name.is_empty() {
        return Err(Malformed);
    }
    let rest = trim_start(rest);
    let [b'=', after @ ..] = rest else {
        return Ok((Param { name, value: None }, rest));
    };
    let after = trim_start(after);
    let end = match after.first() {
        Some(b'"') => quoted_len(after)?,
        _ => after.iter().position(|c| *c == b';' || is_space(*c)).unwrap_or(after.len()),
    };
    let (value, rest) = split_at(after, end);
    if value.is_empty() {
        return Err(Malformed);
    }
    Ok((Param { name, value: Some(value) }, trim_start(rest)))
}
