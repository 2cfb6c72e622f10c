//! How late to play: as late as nearly all packets of the stream have arrived, measured from the fastest.

/// Width of a class of lateness, and how many there are: up to half a second.
const CLASS_US: i64 = 10_000;
const CLASSES: usize = 50;
/// The share of packets that shall be in time.
const IN_TIME: f32 = 0.98;
/// What counts of the past after another packet, once the stream is known: half of it is forgotten in 350 packets.
const MEMORY: f32 = 0.998;
/// The fastest packet is looked for in the last one to two of these: it follows clocks that drift apart.
const WINDOW_US: i64 = 5_000_000;

/// Follows the lateness of one stream's packets. Times are in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Delay {
    /// Share of the packets by lateness.
    classes: Vec<f32>,
    packets: u32,
    /// Shortest transit in this window and in the one before, and when this one began.
    fastest: i64,
    fastest_before: i64,
    window_began_us: i64,
    target_us: i64,
}

impl Delay {
    /// A packet came at `arrived_us`, `transit_us` after its own time (on any scale that stays the same).
    pub fn arrived(&mut self, arrived_us: i64, transit_us: i64) {
        if self.packets == 0 {
            self.classes.resize(CLASSES, 0.0);
            (self.fastest, self.fastest_before, self.window_began_us) = (transit_us, transit_us, arrived_us);
        } else if arrived_us - self.window_began_us > WINDOW_US {
            (self.fastest_before, self.fastest, self.window_began_us) = (self.fastest, transit_us, arrived_us);
        }
        self.fastest = self.fastest.min(transit_us);
        let late = transit_us - self.floor_us();
        let class = usize::try_from(late / CLASS_US).unwrap_or(0).min(CLASSES - 1);
        self.packets = self.packets.saturating_add(1);
        let memory = MEMORY.min(1.0 - 1.0 / f32::from(u16::try_from(self.packets).unwrap_or(u16::MAX)));
        let mut in_time = 0.0;
        let mut target = None;
        for (index, share) in self.classes.iter_mut().enumerate() {
            *share = *share * memory + if index == class { 1.0 - memory } else { 0.0 };
            in_time += *share;
            if in_time >= IN_TIME && target.is_none() {
                target = i64::try_from(index + 1).ok();
            }
        }
        self.target_us = target.unwrap_or(1) * CLASS_US;
    }

    /// Transit of the fastest packet.
    fn floor_us(&self) -> i64 {
        self.fastest.min(self.fastest_before)
    }

    /// How much later than the fastest packet would allow to play.
    pub fn target_us(&self) -> i64 {
        self.target_us
    }

    /// When to play what has the given own time.
    pub fn due_us(&self, own_us: i64) -> i64 {
        own_us + self.floor_us() + self.target_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 20 ms; `late` gives the lateness of each.
    fn after(packets: i64, late: impl Fn(i64) -> i64) -> Delay {
        let mut delay = Delay::default();
        for n in 0..packets {
            delay.arrived(n * 20_000 + late(n), 77_000 + late(n));
        }
        delay
    }

    #[test]
    fn a_steady_stream_is_played_at_once() {
        assert_eq!(after(500, |_| 0).target_us(), 10_000);
    }

    #[test]
    fn a_stream_that_jitters_is_played_as_late_as_nearly_all_of_it_comes() {
        let delay = after(2000, |n| (n * 7919 % 60) * 1000);
        assert_eq!(delay.target_us(), 60_000);
        // One in a hundred much later does not count.
        assert_eq!(after(2000, |n| if n % 100 == 99 { 300_000 } else { 5000 }).target_us(), 10_000);
        assert_eq!(after(2000, |n| if n % 20 == 19 { 300_000 } else { 5000 }).target_us(), 300_000);
    }

    #[test]
    fn the_delay_comes_back_when_the_network_does() {
        let delay = after(8000, |n| if n < 2000 { (n * 7919 % 100) * 1000 } else { 0 });
        assert_eq!(delay.target_us(), 10_000);
    }

    #[test]
    fn clocks_that_drift_apart_do_not_count_as_jitter() {
        // 100 parts in a million for ten minutes.
        let delay = after(30_000, |n| n * 2);
        assert_eq!(delay.target_us(), 10_000);
        assert_eq!(after(30_000, |n| -n * 2).target_us(), 10_000);
    }
}
