use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn drain(wheel: &mut Wheel<u32>, now: Duration) -> Vec<u32> {
    std::iter::from_fn(|| wheel.expire(now)).collect()
}

#[test]
fn a_timer_never_fires_early_and_at_most_a_millisecond_late() {
    let mut wheel = Wheel::new(8);
    wheel.arm(Duration::from_micros(500_100), 1).unwrap();
    assert_eq!(drain(&mut wheel, Duration::from_micros(500_999)), []);
    assert_eq!(drain(&mut wheel, ms(501)), [1]);
    assert!(wheel.is_empty() && wheel.next_due().is_none());
}

#[test]
fn a_cancelled_timer_never_fires_and_its_handle_does_not_touch_the_next_one() {
    let mut wheel = Wheel::new(8);
    let first = wheel.arm(ms(10), 1).unwrap();
    assert_eq!(wheel.cancel(first), Some(1));
    let second = wheel.arm(ms(10), 2).unwrap();
    assert_eq!(wheel.cancel(first), None);
    assert_eq!(drain(&mut wheel, ms(10)), [2]);
    assert_eq!(wheel.cancel(second), None);
}

#[test]
fn a_full_wheel_refuses() {
    let mut wheel = Wheel::new(1);
    wheel.arm(ms(1), 1).unwrap();
    assert_eq!(wheel.arm(ms(1), 2), Err(Full));
}

#[test]
fn a_timer_in_the_past_fires_at_the_next_millisecond() {
    let mut wheel = Wheel::new(4);
    assert_eq!(drain(&mut wheel, ms(5_000)), []);
    wheel.arm(ms(1), 7).unwrap();
    assert_eq!(drain(&mut wheel, ms(5_000)), []);
    assert_eq!(drain(&mut wheel, ms(5_001)), [7]);
}

#[derive(Clone, Debug)]
enum Op {
    Arm(u64),
    Cancel(usize),
    Advance(u64),
    ToNext,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop_oneof![0_u64..70, 0_u64..5_000, 0_u64..40_000_000].prop_map(Op::Arm),
        2 => any::<usize>().prop_map(Op::Cancel),
        1 => prop_oneof![0_u64..70, 0_u64..300_000].prop_map(Op::Advance),
        2 => Just(Op::ToNext),
    ]
}

proptest! {
    /// The model is a sorted map.
    #[test]
    fn the_wheel_fires_what_a_sorted_map_would(ops in proptest::collection::vec(op(), 1..300)) {
        let mut wheel = Wheel::new(1_000);
        let mut model: BTreeMap<(u64, u32), Handle> = BTreeMap::new();
        let (mut now, mut serial) = (0_u64, 0_u32);
        for op in ops {
            match op {
                Op::Arm(after) => {
                    let handle = wheel.arm(ms(now + after), serial).unwrap();
                    model.insert(((now + after).max(now + 1), serial), handle);
                    serial += 1;
                }
                Op::Cancel(nth) if !model.is_empty() => {
                    let (key, handle) = model.iter().nth(nth % model.len()).map(|(k, h)| (*k, *h)).unwrap();
                    prop_assert_eq!(wheel.cancel(handle), Some(key.1));
                    model.remove(&key);
                }
                Op::Cancel(_) => {}
                Op::Advance(by) => now += by,
                Op::ToNext => {
                    let first = model.keys().next().map(|(due, _)| *due);
                    let next = wheel.next_due().map(|d| u64::try_from(d.as_millis()).unwrap());
                    prop_assert_eq!(first.is_some(), next.is_some());
                    prop_assert!(next <= first);
                    now = now.max(next.unwrap_or(now));
                }
            }
            let mut fired = drain(&mut wheel, ms(now));
            let mut expected = Vec::new();
            while let Some((key, _)) = model.first_key_value() {
                if key.0 > now { break; }
                expected.push(key.1);
                model.pop_first();
            }
            fired.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(fired, expected);
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}
