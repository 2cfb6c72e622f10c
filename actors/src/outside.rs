//! The time of day and chance: what actors take from outside beside the network and the runtime's clock (design law 10).
//!
//! Both come from the system. In a simulation, which is one thread, the day goes on with the runtime's clock and chance
//! follows from a seed, so that a run can be replayed.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::distr::{Distribution, StandardUniform};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::time::Instant;

/// Chance, as [`rand::Rng`].
#[derive(Clone, Copy, Debug)]
pub struct Chance;

impl Chance {
    fn with<T>(self, simulated: impl FnOnce(&mut StdRng) -> T, real: impl FnOnce() -> T) -> T {
        SIMULATED.with_borrow_mut(|world| match world {
            Some(world) => simulated(&mut world.rng),
            None => real(),
        })
    }
}

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        self.with(RngCore::next_u32, || rand::rng().next_u32())
    }

    fn next_u64(&mut self) -> u64 {
        self.with(RngCore::next_u64, || rand::rng().next_u64())
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        // One of the two is called: the slice is lent to whichever it is.
        let into = RefCell::new(into);
        self.with(|rng| rng.fill_bytes(&mut into.borrow_mut()), || rand::rng().fill_bytes(&mut into.borrow_mut()));
    }
}

/// A random value.
pub fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    Chance.random()
}

/// The time of day.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(unix_ms()).unwrap_or_default()
}

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    let simulated = SIMULATED.with_borrow(|world| {
        let world = world.as_ref()?;
        Some(world.began_unix_ms.saturating_add(i64::try_from(world.began.elapsed().as_millis()).ok()?))
    });
    simulated.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Microseconds since 1970.
pub fn unix_us() -> u64 {
    let simulated = SIMULATED.with_borrow(Option::is_some);
    if simulated {
        return u64::try_from(unix_ms()).unwrap_or(0).saturating_mul(1000);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The time since 1970.
pub fn unix_now() -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(unix_ms()).unwrap_or(0))
}

/// Lets this thread's day begin at `unix_ms`, and its chance follow from `seed`, until the guard is dropped. Within the
/// runtime whose clock the day is to follow.
#[must_use]
pub fn simulate(seed: u64, unix_ms: i64) -> Simulation {
    let world = World { rng: StdRng::seed_from_u64(seed), began: Instant::now(), began_unix_ms: unix_ms };
    SIMULATED.set(Some(world));
    Simulation(())
}

/// Ends a simulation on drop.
#[derive(Debug)]
pub struct Simulation(());

impl Drop for Simulation {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

struct World {
    rng: StdRng,
    began: Instant,
    began_unix_ms: i64,
}

thread_local! {
    static SIMULATED: RefCell<Option<World>> = const { RefCell::new(None) };
}
