//! Patterns of numbers: regular expressions over ASCII that are tested in linear time, whatever they say.
//!
//! Most patterns of a plan are a few literal digits and a run of digits behind. Those are tested without an engine
//! (`Shape`), so that a hundred thousand of them cost little memory; all others by the `regex` crate, which knows neither
//! back-references nor look-around and so no catastrophic cost.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use smol_str::SmolStr;

/// Longest pattern, bytes.
pub const PATTERN_BYTES_MAX: usize = 256;
/// What a compiled pattern may take, bytes: repetitions of repetitions multiply.
const COMPILED_BYTES_MAX: usize = 128 << 10;
/// How deep groups may lie in each other.
const NEST_MAX: u32 = 24;
/// Literal beginnings that a route is filed under; a pattern with more is filed under none.
const PREFIXES_MAX: usize = 64;
/// Longest beginning that a route is filed under.
const PREFIX_BYTES_MAX: usize = 20;

/// A pattern that a number may match.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: SmolStr,
    test: Test,
    prefixes: Vec<SmolStr>,
}

#[derive(Clone, Debug)]
enum Test {
    Shape(Shape),
    Regex(Regex),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It cannot be read.
    #[error("this is no pattern: {0}")]
    Syntax(String),
    /// It asks for what has no bound in time.
    #[error("{0} cannot be tested in linear time")]
    Costly(&'static str),
    /// Compiled it would take too much memory.
    #[error("this pattern is too costly: compiled it takes more than {} KiB", COMPILED_BYTES_MAX >> 10)]
    Large,
    /// It is too long.
    #[error("this pattern has more than {PATTERN_BYTES_MAX} characters")]
    Long,
}

impl PatternError {
    /// What would be right.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "write a regular expression such as \"^0(\\\\d+)$\"",
            Self::Costly(_) => {
                "write the exceptions as `exclude` of the route, or as a rule of their own before this one"
            }
            Self::Large => "take repetitions out of repetitions: no number has more than 20 digits",
            Self::Long => "split it into several rules",
        }
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// See [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let hir = parse(text)?;
        let test = match Shape::of(&hir) {
            Some(shape) => Test::Shape(shape),
            None => Test::Regex(compile(text)?),
        };
        Ok(Self { text: text.into(), test, prefixes: prefixes(&hir) })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a number matches.
    pub fn matches(&self, number: &str) -> bool {
        match &self.test {
            Test::Shape(shape) => shape.matches(number.as_bytes()),
            Test::Regex(regex) => regex.is_match(number.as_bytes()),
        }
    }

    /// Whether a text of these characters can match, where that is told without an automaton.
    pub fn can_match(&self, alphabet: &[u8]) -> Option<bool> {
        let Test::Shape(shape) = &self.test else { return None };
        let possible = |piece: &Piece| piece.least == 0 || alphabet.iter().any(|c| piece.set >> *c & 1 == 1);
        let some = shape.pieces.iter().any(|piece| piece.most > 0) || !shape.to_the_end;
        Some(some && shape.pieces.iter().all(possible))
    }

    /// How every number that matches begins: one of these. One empty text where nothing is known.
    pub fn prefixes(&self) -> &[SmolStr] {
        &self.prefixes
    }
}

/// Compiles a pattern for the engine.
///
/// # Errors
///
/// See [`PatternError`].
pub fn compile(text: &str) -> Result<Regex, PatternError> {
    parse(text)?;
    // The parser has judged the syntax: what is left is the size.
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).nest_limit(NEST_MAX);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::Large,
        other => PatternError::Syntax(last_line(&other.to_string())),
    })
}

/// The parsed pattern.
///
/// # Errors
///
/// See [`PatternError`].
pub fn parse(text: &str) -> Result<Hir, PatternError> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(PatternError::Long);
    }
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).nest_limit(NEST_MAX).build();
    parser.parse(text).map_err(|error| {
        use regex_syntax::ast::ErrorKind;
        match &error {
            regex_syntax::Error::Parse(e) if matches!(e.kind(), ErrorKind::UnsupportedBackreference) => {
                PatternError::Costly("a back-reference")
            }
            regex_syntax::Error::Parse(e) if matches!(e.kind(), ErrorKind::UnsupportedLookAround) => {
                PatternError::Costly("look-around")
            }
            other => PatternError::Syntax(last_line(&other.to_string())),
        }
    })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn prefixes(hir: &Hir) -> Vec<SmolStr> {
    let anywhere = vec![SmolStr::default()];
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return anywhere;
    }
    let mut extractor = Extractor::new();
    extractor
        .kind(ExtractKind::Prefix)
        .limit_class(10)
        .limit_repeat(PREFIX_BYTES_MAX)
        .limit_literal_len(PREFIX_BYTES_MAX)
        .limit_total(PREFIXES_MAX);
    let found = extractor.extract(hir);
    let Some(literals) = found.literals() else { return anywhere };
    let texts = literals.iter().map(|literal| str::from_utf8(literal.as_bytes()).map(SmolStr::new));
    let Ok(mut texts) = texts.collect::<Result<Vec<_>, _>>() else { return anywhere };
    texts.sort();
    // Who begins like another is found with it; in order they stand behind it.
    texts.dedup_by(|text, before| text.starts_with(before.as_str()));
    match texts.iter().any(SmolStr::is_empty) {
        true => anywhere,
        false => texts,
    }
}

/// A set of ASCII characters.
type Set = u128;

/// Characters of a set, so many of them.
#[derive(Clone, Debug)]
struct Piece {
    set: Set,
    least: usize,
    most: usize,
}

/// A pattern that begins at the first character and of which only the last piece has no fixed length: it is tested in one
/// pass without going back.
#[derive(Clone, Debug)]
struct Shape {
    pieces: Vec<Piece>,
    to_the_end: bool,
}

impl Shape {
    fn of(hir: &Hir) -> Option<Self> {
        let mut parts = Vec::new();
        flatten(hir, &mut parts)?;
        let (first, rest) = parts.split_first()?;
        if !matches!(first, Part::Look(Look::Start)) {
            return None;
        }
        let (to_the_end, rest) = match rest.split_last() {
            Some((Part::Look(Look::End), rest)) => (true, rest),
            _ => (false, rest),
        };
        let pieces: Option<Vec<_>> = rest
            .iter()
            .map(|part| match part {
                Part::Piece(piece) => Some(piece.clone()),
                Part::Look(_) => None,
            })
            .collect();
        let pieces = pieces?;
        let fixed = pieces.split_last().is_none_or(|(_, before)| before.iter().all(|p| p.least == p.most));
        fixed.then_some(Self { pieces, to_the_end })
    }

    fn matches(&self, mut number: &[u8]) -> bool {
        for piece in &self.pieces {
            let within = |c: &u8| c.is_ascii() && piece.set >> *c & 1 == 1;
            let run = number.iter().take(piece.most).take_while(|c| within(c)).count();
            if run < piece.least {
                return false;
            }
            number = number.get(run..).unwrap_or_default();
        }
        number.is_empty() || !self.to_the_end
    }
}

enum Part {
    Look(Look),
    Piece(Piece),
}

/// The parts of a pattern in order; `None` where it has alternatives or anything else that is no plain sequence.
fn flatten(hir: &Hir, parts: &mut Vec<Part>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Look(look) => parts.push(Part::Look(*look)),
        HirKind::Literal(literal) => {
            for c in &literal.0 {
                parts.push(Part::Piece(Piece { set: one(*c)?, least: 1, most: 1 }));
            }
        }
        HirKind::Class(class) => parts.push(Part::Piece(Piece { set: set(class)?, least: 1, most: 1 })),
        HirKind::Repetition(repetition) => {
            let set = match repetition.sub.kind() {
                HirKind::Class(class) => set(class)?,
                HirKind::Literal(literal) => match *literal.0 {
                    [c] => one(c)?,
                    _ => return None,
                },
                _ => return None,
            };
            let least = usize::try_from(repetition.min).ok()?;
            let most = repetition.max.map_or(Some(usize::MAX), |max| usize::try_from(max).ok())?;
            parts.push(Part::Piece(Piece { set, least, most }));
        }
        HirKind::Capture(capture) => flatten(&capture.sub, parts)?,
        HirKind::Concat(all) => {
            for sub in all {
                flatten(sub, parts)?;
            }
        }
        HirKind::Alternation(_) => return None,
    }
    Some(())
}

fn one(c: u8) -> Option<Set> {
    c.is_ascii().then(|| 1 << c)
}

fn set(class: &Class) -> Option<Set> {
    let Class::Bytes(bytes) = class else { return None };
    let mut all: Set = 0;
    for range in bytes.iter() {
        for c in range.start()..=range.end() {
            all |= one(c)?;
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_shape(text: &str) -> bool {
        matches!(Pattern::new(text).unwrap().test, Test::Shape(_))
    }

    #[test]
    fn a_run_of_digits_behind_literals_needs_no_engine() {
        for text in [r"^\+39(\d*)$", r"^(\d{4})$", r"^5(\d{4})$", "^0$", r"^\+1\d{10}$", r"^\+", r"^[2-9][0-9]{6}$"] {
            assert!(is_shape(text), "{text}");
        }
        for text in [r"^\+?(\d*)$", "[0-9]{10}", "^(112|118)$", r"^\d*0$", r"(?i)^a"] {
            let pattern = Pattern::new(text).unwrap();
            assert!(matches!(pattern.test, Test::Regex(_)) || text.starts_with("(?i)"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_tested_in_linear_time_is_no_pattern() {
        assert_eq!(Pattern::new(r"^(\d)\1$").unwrap_err(), PatternError::Costly("a back-reference"));
        assert_eq!(Pattern::new(r"^(?!011)\d+$").unwrap_err(), PatternError::Costly("look-around"));
        assert_eq!(Pattern::new(r"^((\d{1,90}){1,90}){1,90}x?$").unwrap_err(), PatternError::Large);
        assert_eq!(Pattern::new(&"1".repeat(300)).unwrap_err(), PatternError::Long);
        assert!(matches!(Pattern::new("^(").unwrap_err(), PatternError::Syntax(_)));
    }

    #[test]
    fn a_pattern_is_filed_under_the_beginnings_of_its_numbers() {
        let of = |text: &str| Pattern::new(text).unwrap().prefixes().iter().map(|p| p.to_string()).collect::<Vec<_>>();
        assert_eq!(of(r"^\+39(\d*)$"), ["+39"]);
        assert_eq!(of(r"^\+?39(\d*)$"), ["+39", "39"]);
        assert_eq!(of(r"^(112|118)$"), ["112", "118"]);
        assert_eq!(of(r"^\d+$").len(), 10);
        assert_eq!(of(r"[0-9]{10}"), [""]);
        assert_eq!(of(r"^\+?(\d*)$"), [""]);
    }

    proptest! {
        /// The quick test says what the engine says.
        #[test]
        fn a_shape_matches_what_its_regular_expression_matches(
            pieces in proptest::collection::vec(("[0-9+*]", 0_usize..4, any::<bool>()), 1..5),
            end in any::<bool>(),
            number in "[0-9+*]{0,8}",
        ) {
            let mut text = "^".to_owned();
            for (c, n, class) in &pieces {
                let c = if *class { r"\d".to_owned() } else { format!("[{c}]") };
                text.push_str(&match n { 0 => c, 3 => format!("{c}*"), n => format!("{c}{{{n}}}") });
            }
            if end {
                text.push('$');
            }
            let pattern = Pattern::new(&text).unwrap();
            let engine = compile(&text).unwrap();
            prop_assert_eq!(pattern.matches(&number), engine.is_match(number.as_bytes()), "{} {}", text, number);
            if pattern.matches(&number) {
                prop_assert!(pattern.prefixes().iter().any(|p| number.starts_with(p.as_str())), "{} {}", text, number);
            }
        }
    }
}
