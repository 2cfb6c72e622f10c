//! What is wrong with a configuration, as a person and as a program read it.
//!
//! Every mistake names its place (`file:line:column`), what is wrong and what would be right. A terminal also gets the
//! line with a caret under the mistake; what may be a password is cut from that line, because errors of a starting
//! switch end in logs.

use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::Serialize;

/// Most characters of one source line that an excerpt shows.
const EXCERPT_CHARS_MAX: usize = 120;
/// Most characters of a wrong value that a message repeats.
const QUOTED_CHARS_MAX: usize = 60;
/// Keys whose values never appear in an excerpt.
const SECRET_KEYS: [&str; 3] = ["password", "token", "ha1"];

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The file as it was named on the command line.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The setting, such as `sip.t1` or `user[2].extension`; empty where the mistake belongs to no setting.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
    /// Other places that take part, such as the first of two equal numbers.
    pub also: Vec<Place>,
    /// The line with a caret below the mistake; empty where there is no line to show.
    #[serde(skip)]
    pub excerpt: String,
}

/// Another place that takes part in a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What stands there.
    pub what: String,
}

impl fmt::Display for ConfigError {
    /// The mistake on one line: `file:line:column: what is wrong; what would be right`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.what, self.remedy)
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes for a terminal: each with its excerpt and the other places that take part, and a closing count.
pub fn render_text(errors: &[ConfigError]) -> String {
    let mut out = String::new();
    for error in errors {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{error}");
        out.push_str(&error.excerpt);
        for place in &error.also {
            let _ = writeln!(out, "{}:{}:{}: {}", error.file, place.line, place.column, place.what);
        }
    }
    let _ = match errors.len() {
        1 => writeln!(out, "1 error"),
        count => writeln!(out, "{count} errors"),
    };
    out
}

/// All mistakes for a program: `{"ok":false,"errors":[{"file","line","column","key","what","remedy","also"}]}`.
pub fn render_json(errors: &[ConfigError]) -> serde_json::Value {
    serde_json::json!({ "ok": false, "errors": errors })
}

/// A mistake that readers and checks found, by byte offsets of the text.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) span: Range<usize>,
    pub(super) key: String,
    pub(super) what: String,
    pub(super) remedy: String,
    pub(super) also: Vec<(Range<usize>, String)>,
    /// The excerpt ends with the marked words: what follows an unknown key may be a secret.
    pub(super) hide_rest: bool,
}

impl Finding {
    /// A mistake at `span` that concerns the setting `key`.
    pub(super) fn new(span: Range<usize>, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { span, key: key.to_owned(), what: what.into(), remedy: remedy.into(), also: Vec::new(), hide_rest: false }
    }
}

/// A configuration's text with the starts of its lines, to turn byte offsets into lines and columns.
pub(super) struct Source<'a> {
    file: &'a str,
    pub(super) text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Indexes the lines of `text`, which was read from `file`.
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts }
    }

    /// The finding with its place and excerpt.
    pub(super) fn error(&self, finding: Finding) -> ConfigError {
        let (line, column) = self.line_and_column(finding.span.start);
        let also = finding.also.into_iter().map(|(span, what)| {
            let (line, column) = self.line_and_column(span.start);
            Place { line, column, what }
        });
        ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            also: also.collect(),
            excerpt: self.excerpt(&finding.span, line, column, finding.hide_rest),
            key: finding.key,
            what: finding.what,
            remedy: finding.remedy,
        }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        (line, column)
    }

    fn line_text(&self, line: usize) -> Option<&str> {
        self.text.get(*self.line_starts.get(line - 1)?..)?.lines().next()
    }

    fn excerpt(&self, span: &Range<usize>, line: usize, column: usize, hide_rest: bool) -> String {
        let Some(whole) = self.line_text(line).filter(|whole| !whole.trim().is_empty()) else {
            return String::new();
        };
        let marked = self.text.get(span.clone()).and_then(|words| words.lines().next()).unwrap_or("");
        let width = marked.chars().count().max(1);
        let cut = if hide_rest { Some(column - 1 + width) } else { secret_cut(whole) };
        let shown_max = cut.unwrap_or(usize::MAX).min(EXCERPT_CHARS_MAX);
        let mut shown: String = whole.chars().take(shown_max).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if whole.chars().count() > shown_max {
            shown.push_str(" …");
        }
        let shown_chars = shown.chars().count();
        let from = (column - 1).min(shown_chars);
        let carets = "^".repeat(width.min(shown_chars.saturating_sub(from)).max(1));
        format!("{line:>5} | {shown}\n      | {}{carets}\n", " ".repeat(from))
    }
}

/// After how many characters a line must be cut because a secret may follow.
fn secret_cut(line: &str) -> Option<usize> {
    let ends = SECRET_KEYS.iter().filter_map(|key| {
        let end = line.find(key)? + key.len();
        let rest = line.get(end..)?;
        let is_longer_word = rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        (!is_longer_word && !rest.trim().is_empty() && !rest.trim_start().starts_with(']')).then_some(end)
    });
    ends.min().and_then(|end| line.get(..end)).map(|shown| shown.chars().count())
}

/// A wrong value for a message: in back-quotes, shortened, control characters escaped.
pub(super) fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if value.chars().count() > QUOTED_CHARS_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}
