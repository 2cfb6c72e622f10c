//! Durations and sizes as words: `"30s"`, `"64KiB"`. Read and written here, so that every place speaks one way.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number with a unit of `ms`, `s`, `m`, `h` or `d`, such as `500ms` or `5m`; `None` for anything else.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a whole number of bytes with a unit of `B`, `KiB`, `MiB` or `GiB`; `None` for anything else.
pub fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS)
}

/// The duration in its largest whole unit; parts below a millisecond are dropped.
pub fn duration_words(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { "0s".to_owned() } else { words(millis, &DURATION_UNITS) }
}

/// The size in its largest whole unit.
pub fn size_words(bytes: u64) -> String {
    if bytes == 0 { "0B".to_owned() } else { words(bytes, &SIZE_UNITS) }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(digits_end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn words(value: u64, units: &[(&str, u64)]) -> String {
    let largest = units.iter().find(|(_, factor)| value.is_multiple_of(*factor));
    largest.map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}
