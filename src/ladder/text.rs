//! A ladder for a terminal.

use std::fmt::Write as _;

use super::{Ladder, Mark, SWITCH, beside};
use crate::cli::humane::safe;

/// Columns between two posts.
const GAP: usize = 26;
/// Columns of the time, before the first post.
const TIME: usize = 10;
/// Most characters of a message's name on its rung.
const NAME_CHARS_MAX: usize = GAP - 6;
/// Most characters of what stands beside the ladder.
const NOTE_CHARS_MAX: usize = 160;

/// Draws it. Texts may come from strangers: nothing of them steers the terminal.
pub fn draw(ladder: &Ladder) -> String {
    let mut out = format!("{}\n\n", safe(&ladder.title, 240));
    for of in [|post: &super::Post| post.name.clone(), |post: &super::Post| post.place.clone()] {
        let mut line = " ".repeat(TIME);
        for (at, post) in ladder.posts.iter().enumerate() {
            pad(&mut line, TIME + at * GAP);
            line.push_str(&safe(&of(post), GAP - 1));
        }
        end(&mut out, &line);
    }
    for rung in &ladder.rungs {
        let time = format!("{:>7} ", rung.at_ms);
        let line = match rung.mark {
            Mark::Message { from, to, refuses } => message(ladder.posts.len(), from, to, refuses, &rung.text),
            Mark::Decision => note(ladder.posts.len(), '●', &rung.text),
            Mark::Media => note(ladder.posts.len(), '♪', &rung.text),
            Mark::Fault => note(ladder.posts.len(), '⚡', &rung.text),
            Mark::End => note(ladder.posts.len(), '■', &rung.text),
        };
        end(&mut out, &format!("{time:<TIME$}{line}"));
    }
    if ladder.dropped > 0 {
        let _ = writeln!(out, "\n{} events of the middle are not kept.", ladder.dropped);
    }
    out
}

/// A rung from post to post: `│───── INVITE ─────▶│`.
fn message(posts: usize, from: usize, to: usize, refuses: bool, text: &str) -> String {
    let mut cells: Vec<char> = vec![' '; (posts - 1) * GAP + 1];
    for post in 0..posts {
        set(&mut cells, post * GAP, '│');
    }
    let (left, right) = (from.min(to), from.max(to));
    for at in left * GAP + 1..right * GAP {
        set(&mut cells, at, if at % GAP == 0 { '┼' } else { '─' });
    }
    if from < to {
        set(&mut cells, right * GAP - 1, '▶')
    } else {
        set(&mut cells, left * GAP + 1, '◀')
    }
    let name = safe(text, NAME_CHARS_MAX);
    let name = if refuses { format!(" ✗ {name} ") } else { format!(" {name} ") };
    let start = beside(from, to) * GAP + (GAP - name.chars().count().min(GAP)) / 2;
    for (offset, c) in name.chars().enumerate() {
        set(&mut cells, start + offset, c);
    }
    cells.into_iter().collect()
}

/// The posts, and beside the switch's what it thought.
fn note(posts: usize, sign: char, text: &str) -> String {
    let mut line = String::new();
    for post in 0..posts.min(SWITCH) {
        pad(&mut line, post * GAP);
        line.push('│');
    }
    pad(&mut line, SWITCH * GAP);
    let _ = write!(line, "{sign} {}", safe(text, NOTE_CHARS_MAX));
    line
}

fn set(cells: &mut [char], at: usize, c: char) {
    if let Some(cell) = cells.get_mut(at) {
        *cell = c;
    }
}

fn pad(line: &mut String, to: usize) {
    let missing = to.saturating_sub(line.chars().count());
    line.extend(std::iter::repeat_n(' ', missing));
}

fn end(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::{Ladder, tests::refused};
    use super::*;

    #[test]
    fn a_refused_call_is_drawn_as_it_went() {
        let drawn = draw(&Ladder::of(&refused()).unwrap());
        let wanted = "\
00c0ffee00000001: alice@example.com → bob@example.com, 486, ended by callee after 1.2 s: Busy Here

          caller                    strowger                  leg 1                     leg 2
          udp:127.0.0.1:5070                                                            tcp:127.0.0.1:5090
      0   │──────── INVITE ────────▶│                         │                         │
      0   │                         ● 1002 is bob@example.com
      1   │                         │─────────────────────────┼──────── INVITE ────────▶│
      2   │                         ⚡ the call's actor died, and was rebuilt
      3   │                         ♪ leg 1: first packet
   1250   │                         │◀────────────────────────┼───── ✗ 486 INVITE ──────│
   1250   │                         ■ ended by callee: Busy Here
";
        assert_eq!(drawn, wanted, "\n{drawn}");
    }

    #[test]
    fn a_strangers_words_do_not_steer_the_terminal() {
        let mut record = refused();
        record.ended = None;
        let Some(first) = record.events.first_mut() else { panic!("it has events") };
        first.what = super::super::What::Decided { why: "\u{1b}[2J gone".into() };
        assert!(!draw(&Ladder::of(&record).unwrap()).contains('\u{1b}'));
    }
}
