//! The writer under faults, simulated.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use store::engine::{Engine, Fault, MemoryEngine};
use store::{Binding, Store, StoreConfig, StoreError, StoreState, WriterEnd, wait};

fn simulated() -> (Arc<MemoryEngine>, StoreConfig) {
    let engine = Arc::new(MemoryEngine::default());
    let config = StoreConfig::given(Arc::clone(&engine) as Arc<dyn Engine>);
    (engine, config)
}

fn submit(store: &Store, user: usize) -> Receiver<Result<(), StoreError>> {
    let (sender, receiver) = mpsc::channel();
    let aor = format!("sip:{user}@example.com");
    let binding = Binding { aor: aor.clone(), contact: "sip:x".into(), ..Binding::default() };
    store.locations().update(&aor, &[], &[binding], move |outcome| {
        sender.send(outcome).unwrap();
    });
    receiver
}

fn put(store: &Store, user: usize) -> Result<(), StoreError> {
    submit(store, user).recv().unwrap()
}

#[test]
fn past_the_queues_bound_a_write_is_refused_at_once_and_the_others_are_still_written() {
    let (_, mut config) = simulated();
    config.queue_writes_max = 3;
    let (store, _) = Store::open(config).unwrap();
    let queued: Vec<_> = (0..3).map(|user| submit(&store, user)).collect();
    assert_eq!(put(&store, 3), Err(StoreError::Busy { queued: 3, max: 3 }));
    assert_eq!(store.health().queue_depth, 3);
    store.start_writer().unwrap();
    for answer in queued {
        assert_eq!(answer.recv().unwrap(), Ok(()));
    }
    assert_eq!(put(&store, 3), Ok(()));
}

#[test]
fn past_the_queues_bytes_a_write_is_refused() {
    let (_, mut config) = simulated();
    config.queue_bytes_max = 60;
    let (store, _) = Store::open(config).unwrap();
    let first = submit(&store, 0);
    let mut refused = (1..5).map(|user| submit(&store, user));
    assert!(refused.next_back().unwrap().try_recv().unwrap().is_err());
    assert!(first.try_recv().is_err());
}

#[test]
fn what_waits_together_shares_one_flush() {
    let (_, config) = simulated();
    let (store, _) = Store::open(config).unwrap();
    let queued: Vec<_> = (0..64).map(|user| submit(&store, user)).collect();
    store.start_writer().unwrap();
    assert!(queued.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
    store.shutdown().unwrap();
    assert_eq!((store.health().groups, store.health().writes), (1, 64));
}

#[test]
fn a_full_disk_refuses_loses_nothing_acknowledged_and_clears_by_itself() {
    let (engine, config) = simulated();
    let (store, _) = Store::open(config).unwrap();
    store.start_writer().unwrap();
    put(&store, 1).unwrap();
    engine.set_fault(Some(Fault::DiskFull));
    assert_eq!(put(&store, 2), Err(StoreError::DiskFull));
    assert_eq!(store.health().state, StoreState::DiskFull);
    assert_eq!(put(&store, 3), Err(StoreError::DiskFull));
    engine.set_fault(None);
    let begun = Instant::now();
    while put(&store, 4).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never recovered");
        std::thread::yield_now();
    }
    let kept: Vec<_> = store.locations().iter().map(|binding| binding.unwrap().aor).collect();
    assert_eq!(kept, ["sip:1@example.com", "sip:4@example.com"]);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_panic_or_damage_in_the_engine_makes_the_store_read_only_until_it_is_recovered() {
    for fault in [Fault::Panic, Fault::Damage] {
        let (engine, config) = simulated();
        let (store, _) = Store::open(config).unwrap();
        let writer = store.start_writer().unwrap();
        put(&store, 1).unwrap();
        engine.set_fault(Some(fault));
        assert!(matches!(put(&store, 2), Err(StoreError::Damaged { .. })));
        assert!(matches!(store.health().state, StoreState::ReadOnly(_)));
        assert!(matches!(put(&store, 3), Err(StoreError::ReadOnly { .. })));
        assert_eq!(store.locations().of("sip:1@example.com").unwrap().len(), 1);
        assert!(!writer.is_finished());
        engine.set_fault(None);
        store.recover().unwrap();
        put(&store, 4).unwrap();
        assert!(store.verify().unwrap().is_empty());
        assert_eq!(store.health().bindings, 2);
    }
}

#[test]
fn a_writer_that_dies_tells_its_parent_and_the_next_one_finds_the_queue_as_it_was() {
    let (_, config) = simulated();
    let (store, _) = Store::open(config).unwrap();
    let (sender, ends) = mpsc::channel();
    let writer = store.start_writer_watched(move |end| sender.send(end).unwrap()).unwrap();
    put(&store, 1).unwrap();
    store.kill_writer();
    assert_eq!(ends.recv().unwrap(), WriterEnd::Died);
    assert_eq!(writer.join(), WriterEnd::Died);
    let waiting = submit(&store, 2);
    assert!(!store.health().writer_lives);
    let writer = store.start_writer().unwrap();
    assert_eq!(waiting.recv().unwrap(), Ok(()));
    store.shutdown().unwrap();
    assert_eq!(writer.join(), WriterEnd::Stopped);
    assert_eq!(store.health().bindings, 2);
}

#[test]
fn a_writer_that_is_started_while_one_lives_waits_for_its_place() {
    let (_, config) = simulated();
    let (store, _) = Store::open(config).unwrap();
    let first = store.start_writer().unwrap();
    put(&store, 1).unwrap();
    // The order to die is for the one that lives, and is obeyed once.
    store.kill_writer();
    let second = store.start_writer().unwrap();
    assert_eq!(first.join(), WriterEnd::Died);
    put(&store, 2).unwrap();
    let third = store.start_writer().unwrap();
    store.shutdown().unwrap();
    assert_eq!((second.join(), third.join()), (WriterEnd::Stopped, WriterEnd::Stopped));
    assert_eq!(store.health().bindings, 2);
}

#[test]
fn a_callback_that_panics_harms_neither_the_writer_nor_its_group() {
    let (_, config) = simulated();
    let (store, _) = Store::open(config).unwrap();
    store.submit(store::engine::Batch::default(), |_| {
        std::panic::resume_unwind(Box::new("the caller's fault"));
    });
    let neighbour = submit(&store, 1);
    store.start_writer().unwrap();
    assert_eq!(neighbour.recv().unwrap(), Ok(()));
    put(&store, 2).unwrap();
}

#[test]
fn a_shutdown_answers_what_was_queued_even_without_a_writer_and_then_refuses() {
    let (_, config) = simulated();
    let (store, report) = Store::open(config.clone()).unwrap();
    assert!(report.created);
    let queued = submit(&store, 1);
    store.shutdown().unwrap();
    assert_eq!(queued.recv().unwrap(), Ok(()));
    assert_eq!(put(&store, 2), Err(StoreError::Stopped));
    assert!(matches!(store.start_writer(), Err(StoreError::Stopped)));
    let (_, report) = Store::open(config.clone()).unwrap();
    assert!(report.clean && !report.created);
    let (_, report) = Store::open(config).unwrap();
    assert!(!report.clean);
}

#[test]
fn a_power_cut_takes_back_only_what_was_not_acknowledged() {
    let (engine, config) = simulated();
    let (store, _) = Store::open(config.clone()).unwrap();
    store.start_writer().unwrap();
    put(&store, 1).unwrap();
    engine.set_fault(Some(Fault::Damage));
    put(&store, 2).unwrap_err();
    engine.set_fault(None);
    engine.reopen().unwrap();
    let (store, report) = Store::open(config).unwrap();
    assert!(report.missing.is_empty());
    assert_eq!(store.locations().iter().count(), 1);
}

#[test]
fn a_key_that_goes_missing_and_a_value_that_changes_are_noticed_and_settled_at_opening() {
    let (engine, config) = simulated();
    let (store, _) = Store::open(config.clone()).unwrap();
    store.start_writer().unwrap();
    for user in 0..10 {
        put(&store, user).unwrap();
    }
    store.shutdown().unwrap();
    // Behind the store's back.
    let tree = store::engine::Tree::Locations;
    let records = engine.scan(&store::engine::Scan::prefix(tree, b"", 10)).unwrap();
    let mut batch = store::engine::Batch::default();
    batch.remove(tree, records[3].0.clone());
    let mut value = records[5].1.clone();
    value[2] ^= 1;
    batch.put(tree, records[5].0.clone(), value);
    engine.apply(batch).unwrap();
    engine.flush().unwrap();

    let missing = store.verify().unwrap();
    assert_eq!((missing[0].promised, missing[0].whole, missing[0].damaged), (10, 8, 1));
    assert_eq!(store.locations().iter().filter(Result::is_err).count(), 1);
    let (store, report) = Store::open(config).unwrap();
    assert_eq!(report.missing, missing);
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(store.health().bindings, 8);
}

#[test]
fn a_database_of_a_newer_release_is_refused_and_left_alone() {
    let (engine, config) = simulated();
    drop(Store::open(config.clone()).unwrap());
    let tree = store::engine::Tree::Meta;
    let mut batch = store::engine::Batch::default();
    batch.put(tree, b"schema".to_vec(), store::value::seal(tree, b"schema", &[9]).unwrap());
    engine.apply(batch).unwrap();
    engine.flush().unwrap();
    let refused = Store::open(config).map(|_| ()).unwrap_err();
    assert_eq!(refused, StoreError::Newer { found: 9, known: 1 });
}

#[test]
fn a_wait_for_a_reply_that_is_dropped_ends() {
    let outcome = wait::<()>(drop);
    assert_eq!(outcome, Err(StoreError::WriterDied));
}
