//! Two associations over a network that loses, doubles and reorders; and those that must come to nothing.

use super::*;
use std::collections::VecDeque;

/// A datagram on its way: when it arrives, to whom.
type Flight = (Duration, usize, Vec<u8>);

struct Pair {
    ends: [Association; 2],
    steps: [Vec<Step>; 2],
    network: VecDeque<Flight>,
    start: Instant,
    now: Duration,
    /// What becomes of the n-th datagram: how often and when it arrives.
    fate: Box<dyn FnMut(usize) -> Vec<Duration>>,
    sent: usize,
}

impl Pair {
    fn new(fate: impl FnMut(usize) -> Vec<Duration> + 'static) -> Pair {
        let (one, two) = (fresh(), fresh());
        Pair::of(&one, &two, [two.fingerprint(), one.fingerprint()], fate)
    }

    fn of(
        one: &Arc<Identity>,
        two: &Arc<Identity>,
        expected: [[u8; 32]; 2],
        fate: impl FnMut(usize) -> Vec<Duration> + 'static,
    ) -> Pair {
        let start = Instant::now();
        let end = |identity, role, expected| Association::new(identity, role, &[Fingerprint::Sha256(expected)], start);
        let [of_two, of_one] = expected;
        let ends = [end(one, Role::Client, of_two), end(two, Role::Server, of_one)];
        let fate = Box::new(fate);
        Pair { ends, steps: Default::default(), network: VecDeque::new(), start, now: Duration::ZERO, fate, sent: 0 }
    }

    fn step(&mut self, end: usize, step: impl FnOnce(&Association, Instant, &mut dyn FnMut(&[u8])) -> Step) {
        let mut out = Vec::new();
        let step = step(&self.ends[end], self.start + self.now, &mut |packet| out.push(packet.to_vec()));
        if step != Step::Same {
            self.steps[end].push(step);
        }
        for packet in out {
            self.sent += 1;
            assert!(packet.len() <= DATAGRAM_BYTES && (20..64).contains(&packet[0]));
            for delay in (self.fate)(self.sent) {
                self.network.push_back((self.now + delay, 1 - end, packet.clone()));
            }
        }
    }

    /// Goes from event to event until both have come to an end, or for so long.
    fn run(&mut self, limit: Duration) {
        self.step(0, |end, now, send| end.begin(now, send));
        while self.now < limit && self.steps.iter().any(Vec::is_empty) {
            self.network.make_contiguous().sort_by_key(|(at, _, _)| *at);
            let arrives = self.network.front().map(|(at, _, _)| *at);
            let due = |end: &Association| end.next_timeout().map(|at| at.saturating_duration_since(self.start));
            let timers = [due(&self.ends[0]), due(&self.ends[1])];
            let next = arrives.into_iter().chain(timers.into_iter().flatten()).min();
            let Some(next) = next else { return };
            self.now = self.now.max(next);
            if arrives == Some(next) {
                let (_, to, packet) = self.network.pop_front().unwrap();
                self.step(to, |end, now, send| end.receive(now, &packet, send));
            } else {
                let end = usize::from(timers[0] != Some(next));
                self.step(end, |end, now, send| end.time_out(now, send));
            }
        }
    }

    fn agree(&self) -> bool {
        let Some((one, two)) = self.ends[0].keys().zip(self.ends[1].keys()) else { return false };
        let same = |a: &Arc<Key>, b: &Arc<Key>| a.master() == b.master();
        same(&one.open, &two.seal) && same(&one.seal, &two.open) && !same(&one.open, &one.seal)
    }
}

fn fresh() -> Arc<Identity> {
    Arc::new(Identity::fresh().unwrap())
}

const LATENCY: Duration = Duration::from_millis(20);

#[test]
fn two_ends_come_to_the_same_keys_each_way() {
    let mut pair = Pair::new(|_| vec![LATENCY]);
    pair.run(HANDSHAKE);
    assert!(pair.agree());
    assert_eq!(pair.steps, [vec![Step::Secured], vec![Step::Secured]]);
    assert!(pair.ends.iter().all(|end| end.next_timeout().is_none()));
    println!("{} datagrams, {:?}", pair.sent, pair.now);
}

#[test]
fn a_handshake_survives_loss_doubling_and_reordering() {
    for seed in 0..12u32 {
        // A fifth is lost, a fifth comes twice, and all come in any order within a tenth of a second.
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut dice = move |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let mut pair = Pair::new(move |_| {
            let copies = match dice(5) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            (0..copies).map(|_| Duration::from_millis(u64::from(5 + dice(100)))).collect()
        });
        pair.run(HANDSHAKE);
        assert!(pair.agree(), "seed {seed}: {:?} after {:?}", pair.steps, pair.now);
    }
}

#[test]
fn a_party_with_another_certificate_than_announced_gets_no_keys() {
    let (one, two, other) = (fresh(), fresh(), fresh());
    for stranger in [0, 1] {
        let mut expected = [two.fingerprint(), one.fingerprint()];
        expected[stranger] = other.fingerprint();
        let mut pair = Pair::of(&one, &two, expected, |_| vec![LATENCY]);
        pair.run(HANDSHAKE);
        assert!(pair.steps[stranger].contains(&Step::Failed(Failure::Stranger)), "{:?}", pair.steps);
        assert!(pair.ends[stranger].keys().is_none() && pair.ends[stranger].has_failed());
    }
}

#[test]
fn a_party_that_never_answers_is_given_up_in_bounded_time_and_packets() {
    let mut pair = Pair::new(|_| Vec::new());
    pair.run(Duration::from_secs(600));
    assert!(matches!(pair.steps[0][..], [Step::Failed(Failure::Protocol(_))]), "{:?}", pair.steps);
    assert!(
        pair.sent <= 3 * (FLIGHT_TRIES + 1) && pair.now <= Duration::from_secs(120),
        "{} {:?}",
        pair.sent,
        pair.now
    );
}

#[test]
fn what_comes_after_the_handshake_changes_no_key() {
    let mut pair = Pair::new(|_| vec![LATENCY]);
    pair.run(HANDSHAKE);
    let before = pair.ends[1].keys().unwrap().clone();
    for n in 0..2000u32 {
        let mut junk = vec![20 + (n % 44) as u8, 0xfe, 0xfd, 0, (n % 3) as u8, 0, 0, 0, 0, 0, n as u8, 0, 20];
        junk.extend((0..20).map(|byte| (n.wrapping_mul(31).wrapping_add(byte)) as u8));
        pair.step(1, |end, now, send| end.receive(now, &junk, send));
    }
    assert!(Arc::ptr_eq(&before.open, &pair.ends[1].keys().unwrap().open));
    assert_eq!(pair.steps[1], [Step::Secured]);
}

#[test]
fn junk_that_begins_no_handshake_does_not_keep_one_from_succeeding() {
    let mut pair = Pair::new(|_| vec![LATENCY]);
    for n in 0..500u32 {
        let mut junk = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, (n >> 8) as u8, n as u8, 0, 60];
        junk.extend((0..60).map(|byte| (n.wrapping_mul(1_103_515_245).wrapping_add(byte * 7919) >> 3) as u8));
        junk[13] |= 2;
        pair.step(1, |end, now, send| end.receive(now, &junk, send));
    }
    assert!(pair.steps[1].is_empty(), "{:?}", pair.steps);
    pair.run(HANDSHAKE);
    assert!(pair.agree(), "{:?} after {:?}", pair.steps, pair.now);
}

#[test]
fn fingerprints_of_weak_hashes_and_wrong_lengths_are_not_taken() {
    assert!(Fingerprint::new("sha-256", &[1; 32]).is_some() && Fingerprint::new("sha-512", &[1; 64]).is_some());
    assert!(Fingerprint::new("sha-256", &[1; 31]).is_none() && Fingerprint::new("sha-384", &[1; 32]).is_none());
    assert!(Fingerprint::new("sha-1", &[1; 20]).is_none() && Fingerprint::new("md5", &[1; 16]).is_none());
}

#[test]
fn what_a_handshake_costs() {
    let began = Instant::now();
    const ROUNDS: u32 = 20;
    for _ in 0..ROUNDS {
        let mut pair = Pair::new(|_| vec![Duration::ZERO]);
        pair.run(HANDSHAKE);
        assert!(pair.agree());
    }
    println!("both ends, with two certificates: {:?} a handshake", began.elapsed() / ROUNDS);
}
