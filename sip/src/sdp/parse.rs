//! Bytes to [`Session`]: strict about structure and size, tolerant of what phones really send.
//!
//! Tolerated: lines that end in LF alone, blank lines, a missing `s=` or `t=`, an empty `s=`, letters that RFC 8866 does
//! not know (kept; it would have the whole description ignored, which drops calls over a vendor's extra line), an
//! address family that contradicts its literal, bytes that are not UTF-8 (read as U+FFFD: they can only stand in text
//! that is never sent on).

use smol_str::SmolStr;
use std::borrow::Cow;
use std::net::IpAddr;

use super::attribute::Attribute;
use super::session::{Connection, Family, Line, Media, MediaKind, Origin, Session, rank};

/// Largest description that is read, bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest line, bytes without its end.
pub const LINE_BYTES_MAX: usize = 4096;
/// Most lines of a description.
pub const LINES_MAX: usize = 2048;
/// Most media sections.
pub const MEDIA_MAX: usize = 16;
/// Most formats of one `m=` line.
pub const FORMATS_MAX: usize = 64;

/// Why bytes are no session description. Line numbers count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Past one of this module's limits.
    #[error("session description has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit, in that unit.
        limit: usize,
    },
    /// A line that is not a letter, an equals sign and a value, or that holds a control character.
    #[error("line {line}: not of the form <letter>=<value>")]
    NotALine {
        /// Where.
        line: usize,
    },
    /// The first line is not `v=0`.
    #[error("line {line}: a session description starts with v=0")]
    Version {
        /// Where.
        line: usize,
    },
    /// A line whose value breaks its grammar.
    #[error("line {line}: {letter}= should be {expected}")]
    Value {
        /// Where.
        line: usize,
        /// The line's letter.
        letter: char,
        /// What would be right.
        expected: &'static str,
    },
    /// A mandatory line is missing.
    #[error("{letter}= is missing")]
    Missing {
        /// The letter of the missing line.
        letter: char,
    },
}

impl Session {
    /// Reads a session description (RFC 8866 section 5). Everything is bounded by this module's constants.
    pub fn parse(body: &[u8]) -> Result<Session, ParseError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(ParseError::TooLarge { what: "bytes", limit: BODY_BYTES_MAX });
        }
        let text = match std::str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(body),
        };
        // Looked for in all at once: most descriptions have none.
        let controls =
            text.bytes().fold(false, |seen, byte| seen | (is_control(byte) & (byte != b'\n') & (byte != b'\r')));
        let returns = text.bytes().filter(|byte| *byte == b'\r').count();
        let (session, ends) = read(&text, controls)?;
        // A carriage return that ends no line is a control character too.
        if ends == returns { Ok(session) } else { read(&text, true).map(|(session, _)| session) }
    }
}

/// What the lines of a description say, and how many carriage returns end lines of it. `controls`: some line may hold a control
/// character.
fn read(text: &str, controls: bool) -> Result<(Session, usize), ParseError> {
    let mut builder = Builder { controls, ..Builder::default() };
    let (mut rest, mut line, mut ends) = (text, 0_usize, 0);
    while !rest.is_empty() {
        let (raw, behind) = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(end) => (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default()),
            None => (rest, ""),
        };
        rest = behind;
        line += 1;
        if line > LINES_MAX {
            return Err(ParseError::TooLarge { what: "lines", limit: LINES_MAX });
        }
        let content = raw.trim_end_matches('\r');
        ends += raw.len() - content.len();
        if content.is_empty() {
            continue;
        }
        if content.len() > LINE_BYTES_MAX {
            return Err(ParseError::TooLarge { what: "bytes in a line", limit: LINE_BYTES_MAX });
        }
        builder.line(line, content)?;
    }
    Ok((builder.finish()?, ends))
}

/// A control character that stands in no line.
const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() & (byte != b'\t')
}

#[derive(Default)]
struct Builder {
    /// Some line has a control character.
    controls: bool,
    version_seen: bool,
    origin: Option<Origin>,
    name: Option<SmolStr>,
    connection: Option<Connection>,
    lines: Vec<Line>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
}

impl Builder {
    fn line(&mut self, line: usize, content: &str) -> Result<(), ParseError> {
        let (Some((&[letter, b'='], _)), Some(value)) = (content.as_bytes().split_first_chunk(), content.get(2..))
        else {
            return Err(ParseError::NotALine { line });
        };
        let letter = char::from(letter);
        if !letter.is_ascii_alphabetic() || self.controls && value.bytes().any(is_control) {
            return Err(ParseError::NotALine { line });
        }
        let bad = |expected| ParseError::Value { line, letter, expected };
        if !self.version_seen {
            if letter != 'v' || value.trim() != "0" {
                return Err(ParseError::Version { line });
            }
            self.version_seen = true;
            return Ok(());
        }
        match (letter, self.media.last_mut()) {
            ('m', _) => {
                if self.media.len() == MEDIA_MAX {
                    return Err(ParseError::TooLarge { what: "media sections", limit: MEDIA_MAX });
                }
                // A description is kept as long as its call, and most have one section.
                self.media.reserve_exact(1);
                self.media.push(media(line, value)?);
            }
            ('a', section) => {
                let attribute = Attribute::parse(value).ok_or_else(|| bad("<name> or <name>:<value>"))?;
                section.map_or(&mut self.attributes, |media| &mut media.attributes).push(attribute);
            }
            ('c', section) => {
                let parsed = connection(value).ok_or_else(|| bad("IN IP4 <address> or IN IP6 <address>"))?;
                section.map_or(&mut self.connection, |media| &mut media.connection).get_or_insert(parsed);
            }
            ('v' | 'o' | 's', Some(_)) => return Err(bad("before the first m= line")),
            ('v', None) => return Err(bad("there once")),
            ('o', None) if self.origin.is_none() => {
                self.origin = Some(origin(value).ok_or_else(|| bad("<user> <id> <version> IN IP4|IP6 <address>"))?);
            }
            ('s', None) if self.name.is_none() => {
                self.name = Some(if value.is_empty() { "-" } else { value }.into());
            }
            ('o' | 's', None) => return Err(bad("there once")),
            (_, section) => {
                let kept = Line { letter, value: value.into() };
                section.map_or(&mut self.lines, |media| &mut media.lines).push(kept);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Session, ParseError> {
        if !self.version_seen {
            return Err(ParseError::Missing { letter: 'v' });
        }
        if !self.lines.iter().any(|line| line.letter == 't') {
            self.lines.push(Line { letter: 't', value: SmolStr::new_static("0 0") });
        }
        // Stable: lines of one rank keep their order. What was out of place is printed in its place.
        self.lines.sort_by_key(|line| rank(line.letter));
        for media in &mut self.media {
            media.lines.sort_by_key(|line| line.letter != 'i');
        }
        Ok(Session {
            origin: self.origin.ok_or(ParseError::Missing { letter: 'o' })?,
            name: self.name.unwrap_or_else(|| SmolStr::new_static("-")),
            connection: self.connection,
            lines: self.lines,
            attributes: self.attributes,
            media: self.media,
        })
    }
}

fn media(line: usize, value: &str) -> Result<Media, ParseError> {
    let bad = |expected| ParseError::Value { line, letter: 'm', expected };
    let mut words = value.split_ascii_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return Err(bad("<media> <port> <transport> <format> ..."));
    };
    let (port, port_count) = match port.split_once('/') {
        Some((port, count)) => (port, Some(number::<u16>(count).ok_or_else(|| bad("a port count up to 65535"))?)),
        None => (port, None),
    };
    let mut formats = Vec::with_capacity(FORMATS_USUAL);
    for format in words {
        if formats.len() == FORMATS_MAX {
            return Err(ParseError::TooLarge { what: "formats in a media section", limit: FORMATS_MAX });
        }
        formats.push(format.into());
    }
    Ok(Media {
        kind: MediaKind::from_token(kind),
        port: number(port).ok_or_else(|| bad("a port from 0 to 65535"))?,
        port_count,
        protocol: protocol.into(),
        formats,
        connection: None,
        lines: Vec::new(),
        attributes: Vec::with_capacity(ATTRIBUTES_USUAL),
    })
}

/// Formats and attributes of a section that rarely has more.
const FORMATS_USUAL: usize = 8;
const ATTRIBUTES_USUAL: usize = 12;

fn origin(value: &str) -> Option<Origin> {
    let mut words = value.split_ascii_whitespace();
    let (username, id, version) = (words.next()?, words.next()?, words.next()?);
    let address = address(&mut words)?;
    Some(Origin { username: username.into(), session_id: saturating(id)?, version: saturating(version)?, address })
}

fn connection(value: &str) -> Option<Connection> {
    address(&mut value.split_ascii_whitespace())
}

fn address<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Connection> {
    let (network, family, text) = (words.next()?, words.next()?, words.next()?);
    if !network.eq_ignore_ascii_case("IN") || words.next().is_some() {
        return None;
    }
    let family = match family {
        _ if family.eq_ignore_ascii_case("IP4") => Family::Ip4,
        _ if family.eq_ignore_ascii_case("IP6") => Family::Ip6,
        _ => return None,
    };
    // Some stacks write IPv6 in the brackets of a URI.
    let literal = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    Some(match literal.parse::<IpAddr>() {
        Ok(ip) => Connection::Ip(ip),
        Err(_) => Connection::Other { family, text: text.into() },
    })
}

/// What stands before and behind the first `at`, an ASCII character. The texts of descriptions are too short for a search
/// that prepares itself, as the one of `str` does.
pub(super) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// A decimal number without sign.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let add = |so_far: u64, byte: u8| {
        let digit = byte.wrapping_sub(b'0');
        so_far.checked_mul(10).filter(|_| digit < 10)?.checked_add(digit.into())
    };
    let value = text.bytes().try_fold(0, add)?;
    T::try_from(value).ok().filter(|_| !text.is_empty())
}

fn saturating(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number(text).unwrap_or(u64::MAX))
}
