//! Rules that rewrite a number: a pattern, and what a number that matches becomes (reference, mobility and voice, 6.3).

use regex::bytes::Regex;
use smol_str::SmolStr;

use super::pattern::{PatternError, compile};

/// Longest number that a rule makes; what is longer is no number.
const NUMBER_BYTES_MAX: usize = 128;

/// A rule.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Its name in reasons.
    pub name: SmolStr,
    pattern: SmolStr,
    regex: Regex,
    to: Vec<Part>,
    written: SmolStr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Its pattern.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// What it should become names a group that the pattern has not.
    #[error("`${0}` names a group that the pattern has not: it has {1}")]
    Group(usize, usize),
    /// A `$` that names nothing.
    #[error("a `$` without the number of a group")]
    Dollar,
}

impl RewriteError {
    /// What would be right.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.remedy(),
            Self::Group(..) | Self::Dollar => {
                "write `$1` for the first group in parentheses, `$0` for the whole number"
            }
        }
    }
}

impl PartialEq for Rewrite {
    /// By what is written.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.pattern, &self.written) == (&other.name, &other.pattern, &other.written)
    }
}

impl Rewrite {
    /// A rule that makes `to` of what matches `pattern`; `$1` in it is the first group.
    ///
    /// # Errors
    ///
    /// See [`RewriteError`].
    pub fn new(name: &str, pattern: &str, to: &str) -> Result<Self, RewriteError> {
        let regex = compile(pattern)?;
        let groups = regex.captures_len() - 1;
        let to_parts = parts(to)?;
        let missing = to_parts.iter().find_map(|part| match part {
            Part::Group(n) if *n > groups => Some(*n),
            _ => None,
        });
        if let Some(missing) = missing {
            return Err(RewriteError::Group(missing, groups));
        }
        let name = if name.is_empty() { format!("{pattern} → {to}").into() } else { name.into() };
        Ok(Self { name, pattern: pattern.into(), regex, to: to_parts, written: to.into() })
    }

    /// The pattern as it is written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What a number becomes, as it is written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What a number becomes; `None` when it does not match, or what it would become is no number.
    pub fn apply(&self, number: &str) -> Option<String> {
        let captures = self.regex.captures(number.as_bytes())?;
        let mut out = String::with_capacity(16);
        for part in &self.to {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(n) => out.push_str(str::from_utf8(captures.get(*n).map_or(&[], |m| m.as_bytes())).ok()?),
            }
        }
        (!out.is_empty() && out.len() <= NUMBER_BYTES_MAX).then_some(out)
    }
}

/// The first of some rules that matches, and what it makes.
pub fn first<'r>(rules: &'r [Rewrite], number: &str) -> Option<(&'r Rewrite, String)> {
    rules.iter().find_map(|rule| Some((rule, rule.apply(number)?)))
}

fn parts(to: &str) -> Result<Vec<Part>, RewriteError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = to.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '$' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('$') => text.push('$'),
            Some(digit) if digit.is_ascii_digit() => {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Group(digit.to_digit(10).and_then(|d| usize::try_from(d).ok()).unwrap_or(0)));
            }
            _ => return Err(RewriteError::Dollar),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample set of the reference (mobility and voice, 6.3) and the samples of trunks (6.6).
    #[test]
    fn the_rules_of_the_reference_make_the_numbers_of_the_reference() {
        for (pattern, to, from, becomes) in [
            (r"^(\d{4})$", "+1425555$1", "0100", "+14255550100"),
            (r"^5(\d{4})$", "+1425555$1", "50100", "+14255550100"),
            (r"^(\d{7})$", "+1425$1", "5550100", "+14255550100"),
            (r"^(\d{10})$", "+1$1", "2065550100", "+12065550100"),
            (r"^1(\d{10})$", "+$1", "12065550100", "+2065550100"),
            (r"^011(\d*)$", "+$1", "01191445550100", "+91445550100"),
            (r"^0$", "+14255550100", "0", "+14255550100"),
            (r"^6222(\d{4})$", "+1425555$1", "62220100", "+14255550100"),
            (r"^(\d{5})$", "$1", "10001", "10001"),
            (r"^(\d{5})$", "+14255550123;ext=$1", "10001", "+14255550123;ext=10001"),
            (r"^\+(\d*);ext=(\d*)$", "+$1", "+14255550123;ext=10001", "+14255550123"),
            (r"^\+(1\d{10})$", "$1", "+14255550100", "14255550100"),
            (r"^\+(\d{9}\d+)$", "011$1", "+91445550100", "01191445550100"),
            (r"^(\d{11})$", "+$1", "14255550100", "+14255550100"),
        ] {
            let rule = Rewrite::new("", pattern, to).unwrap();
            assert_eq!(rule.apply(from).as_deref(), Some(becomes), "{pattern} {to}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_stops() {
        let rule = |name, pattern, to| Rewrite::new(name, pattern, to).unwrap();
        let rules = [rule("a", r"^6222(\d{4})$", "+1$1"), rule("b", r"^(\d{8})$", "+2$1")];
        assert_eq!(first(&rules, "62220100").map(|(r, n)| (r.name.as_str(), n)), Some(("a", "+10100".into())));
        assert_eq!(first(&rules, "72220100").map(|(r, n)| (r.name.as_str(), n)), Some(("b", "+272220100".into())));
        assert!(first(&rules, "1").is_none());
    }

    #[test]
    fn a_group_that_the_pattern_has_not_is_an_error() {
        assert_eq!(Rewrite::new("", r"^(\d)$", "$2").unwrap_err(), RewriteError::Group(2, 1));
        assert_eq!(Rewrite::new("", r"^(\d)$", "$x").unwrap_err(), RewriteError::Dollar);
        assert_eq!(Rewrite::new("", r"^\d$", "$$$0").unwrap().apply("5").as_deref(), Some("$5"));
    }
}
