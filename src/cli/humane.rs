//! Numbers and times as people say them, and texts of strangers as a terminal may show them.

/// `count` things: `1 user`, `2 users`.
pub fn count(count: usize, noun: &str) -> String {
    let end = if noun.ends_with(['s', 'x']) { "es" } else { "s" };
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}{end}") }
}

/// A duration in its two largest units: `3d 4h`, `12m 5s`, `430ms`.
pub fn duration_ms(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => format!("{millis}ms"),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A text that may come from a stranger's message, shortened to `chars_max` and without what could steer a terminal.
pub fn safe(text: &str, chars_max: usize) -> String {
    // Direction marks can make one text look like another (Unicode TR 36 section 2.5).
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String = text.chars().take(chars_max).map(|c| if steers(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_its_two_largest_units() {
        let said = [0, 999, 1_000, 61_000, 3_600_000, 93_784_000].map(duration_ms);
        assert_eq!(said, ["0ms", "999ms", "1s", "1m 1s", "1h 0m", "1d 2h"]);
    }

    #[test]
    fn a_strangers_text_cannot_steer_the_terminal() {
        assert_eq!(safe("\u{1b}[31mred\u{202e}", 40), "\u{fffd}[31mred\u{fffd}");
        assert_eq!(safe("abcdef", 4), "abc…");
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!([count(0, "call"), count(1, "call"), count(2, "call")], ["0 calls", "1 call", "2 calls"]);
        assert_eq!([count(1, "mailbox"), count(4, "mailbox")], ["1 mailbox", "4 mailboxes"]);
    }
}
