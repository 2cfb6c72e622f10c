//! Routes, found by how a number begins: the cost of a decision follows the length of the number and the routes that match,
//! not the routes there are.

use ahash::AHashMap;
use smol_str::SmolStr;

use super::spec::Route;

/// Routes of one usage, by the beginnings of their numbers.
#[derive(Clone, Debug, Default)]
pub struct Index {
    by_prefix: AHashMap<SmolStr, Vec<u32>>,
    longest: usize,
}

impl Index {
    /// Files a route.
    pub fn add(&mut self, number: u32, route: &Route) {
        for prefix in route.pattern.prefixes() {
            self.longest = self.longest.max(prefix.len());
            self.by_prefix.entry(prefix.clone()).or_default().push(number);
        }
    }

    /// The routes whose numbers may begin like this one, in their order.
    pub fn candidates(&self, number: &str) -> Vec<u32> {
        let mut found: Vec<u32> = (0..=number.len().min(self.longest))
            .filter_map(|length| self.by_prefix.get(number.get(..length)?))
            .flatten()
            .copied()
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
