//! A ladder as a picture: one SVG without anything outside of it, which takes its colours from the page's scheme.

use std::fmt::Write as _;

use super::{Ladder, Mark, SWITCH, beside};

const GAP: usize = 230;
const LEFT: usize = 110;
const TOP: usize = 84;
const STEP: usize = 26;
/// Room for what the switch thought, right of the last post.
const RIGHT: usize = 420;
/// For this picture alone, where it stands in a page.
const STYLE: &str = "\
.k text{font:13px system-ui,sans-serif;fill:#1c1c1e}.k .t{fill:#6e6e73;font-size:11px}.k .p{font-weight:600}\
.k .l{stroke:#c7c7cc}.k .m{stroke:#0a63c9;marker-end:url(#a)}.k .r{stroke:#c9340a;marker-end:url(#b)}.k .rt{fill:#c9340a}\
.k .d{fill:#8e8e93}.k .g{fill:#1a7f37}.k .f{fill:#c9340a}.k .b{fill:#fff}\
@media(prefers-color-scheme:dark){.k text{fill:#f2f2f7}.k .t{fill:#98989d}.k .l{stroke:#48484a}.k .m{stroke:#4da3ff}\
.k .r{stroke:#ff7a59}.k .rt{fill:#ff7a59}.k .b{fill:#1c1c1e}}";

/// Draws it, with its size in its head.
pub fn draw(ladder: &Ladder) -> String {
    let width = LEFT + ladder.posts.len().saturating_sub(1) * GAP + RIGHT;
    let bottom = TOP + (ladder.rungs.len() + 1) * STEP;
    let height = bottom + STEP;
    let x = |post: usize| LEFT + post * GAP;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"k\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\"><title>{title}</title><style>{STYLE}</style><defs>{}{}</defs>\
         <rect class=\"b\" width=\"{width}\" height=\"{height}\"/><text class=\"p\" x=\"16\" y=\"26\">{title}</text>",
        head("a", "#0a63c9"),
        head("b", "#c9340a"),
        title = escaped(&ladder.title),
    );
    for (at, post) in ladder.posts.iter().enumerate() {
        let (x, top) = (x(at), TOP);
        let _ = write!(
            out,
            "<text class=\"p\" x=\"{x}\" y=\"56\" text-anchor=\"middle\">{}</text>\
             <text class=\"t\" x=\"{x}\" y=\"72\" text-anchor=\"middle\">{}</text>\
             <line class=\"l\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>",
            escaped(&post.name),
            escaped(&post.place),
        );
    }
    for (at, rung) in ladder.rungs.iter().enumerate() {
        let y = TOP + (at + 1) * STEP;
        let text = escaped(&rung.text);
        let _ = write!(out, "<text class=\"t\" x=\"16\" y=\"{}\">{} ms</text>", y + 4, rung.at_ms);
        let _ = match rung.mark {
            Mark::Message { from, to, refuses } => {
                let (class, words) = if refuses { ("r", "rt") } else { ("m", "") };
                let (from, to, middle) = (x(from), x(to), x(beside(from, to)) + GAP / 2);
                write!(
                    out,
                    "<line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/>\
                     <text class=\"{words}\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                    y - 5,
                )
            }
            Mark::Decision => note(&mut out, "d", x(SWITCH), y, &text),
            Mark::Media => note(&mut out, "g", x(SWITCH), y, &format!("♪ {text}")),
            Mark::Fault => note(&mut out, "f", x(SWITCH), y, &format!("⚡ {text}")),
            Mark::End => note(&mut out, "d", x(SWITCH), y, &format!("■ {text}")),
        };
    }
    out.push_str("</svg>\n");
    out
}

fn head(id: &str, colour: &str) -> String {
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"{colour}\"/></marker>"
    )
}

fn note(out: &mut String, class: &str, x: usize, y: usize, text: &str) -> std::fmt::Result {
    write!(
        out,
        "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/><text x=\"{}\" y=\"{}\">{text}</text>",
        x + 10,
        y + 4
    )
}

/// A text as XML: what a stranger said is never markup, and no character that XML does not know (section 2.2).
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Ladder, tests::refused};
    use super::*;

    #[test]
    fn it_has_a_line_for_each_message_and_its_refusals_are_marked() {
        let drawn = draw(&Ladder::of(&refused()).unwrap());
        assert_eq!(drawn.matches("class=\"m\"").count(), 2);
        assert_eq!(drawn.matches("class=\"r\"").count(), 1);
        assert!(drawn.contains(">⚡ the call's actor died"));
    }

    #[test]
    fn what_a_stranger_said_is_no_markup() {
        assert_eq!(escaped("<script>\"&\u{1}\"</script>"), "&lt;script&gt;&quot;&amp;\u{fffd}&quot;&lt;/script&gt;");
    }
}
