//! What became of the packets of an interval (RFC 3611 section 4.6).

use std::ops::Range;

/// A stream between two summaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its source.
    pub ssrc: u32,
    /// The first number of the interval, and the one behind its last.
    pub numbers: Range<u16>,
    /// Packets of it that have not come.
    pub lost: u32,
    /// Packets that have come again in it.
    pub duplicates: u32,
    /// How far the way of a packet differed from that of the one before it, in timestamp units.
    pub jitter: Spread,
}

/// Figures of a row of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    count: u64,
    least: u32,
    most: u32,
    sum: u64,
    squares: u64,
}

impl Spread {
    /// Takes a value in.
    #[inline]
    pub fn add(&mut self, value: u32) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = self.most.max(value);
        self.count += 1;
        self.sum += u64::from(value);
        self.squares = self.squares.saturating_add(u64::from(value) * u64::from(value));
    }

    /// The least, the greatest, the mean and the standard deviation; `None` without a value.
    pub fn figures(&self) -> Option<[u32; 4]> {
        let mean = self.sum.checked_div(self.count)?;
        let variance = (self.squares as f64 / self.count as f64) - (self.sum as f64 / self.count as f64).powi(2);
        let deviation = variance.max(0.0).sqrt().round();
        // A float that is none of these becomes the nearest that is.
        Some([self.least, self.most, u32::try_from(mean).unwrap_or(u32::MAX), deviation as u32])
    }
}
