//! Every engine passes the same suite.

use std::sync::Arc;

use proptest::prelude::*;
use store::engine::{Batch, Engine, MemoryEngine, Scan, SledEngine, SledOptions, Tree, after_prefix};

/// An engine and what keeps its folder alive.
type Made = (Arc<dyn Engine>, Option<tempfile::TempDir>);

fn memory() -> Made {
    (Arc::new(MemoryEngine::default()), None)
}

fn sled() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(SledOptions { folder: folder.path().join("sled"), cache_bytes: 1 << 20 }).unwrap();
    (Arc::new(engine), Some(folder))
}

fn on_each(check: impl Fn(&dyn Engine)) {
    for make in [memory, sled] {
        let (engine, _folder) = make();
        check(&*engine);
    }
}

fn put(engine: &dyn Engine, tree: Tree, pairs: &[(&[u8], &[u8])]) {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        batch.put(tree, key.to_vec(), value.to_vec());
    }
    engine.apply(batch).unwrap();
}

fn keys(engine: &dyn Engine, scan: &Scan) -> Vec<Vec<u8>> {
    let records = engine.scan(scan).unwrap();
    records.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn what_is_put_is_read_until_it_is_removed() {
    on_each(|engine| {
        put(engine, Tree::Locations, &[(b"a", b"1"), (b"a", b"2")]);
        assert_eq!(engine.get(Tree::Locations, b"a").unwrap().unwrap(), b"2");
        assert!(engine.contains(Tree::Locations, b"a").unwrap());
        let mut batch = Batch::default();
        batch.remove(Tree::Locations, b"a".to_vec());
        batch.remove(Tree::Locations, b"never there".to_vec());
        engine.apply(batch).unwrap();
        assert_eq!(engine.get(Tree::Locations, b"a").unwrap(), None);
        assert!(!engine.contains(Tree::Locations, b"a").unwrap());
    });
}

#[test]
fn trees_do_not_see_each_other() {
    on_each(|engine| {
        for tree in Tree::ALL {
            put(engine, tree, &[(b"k", &[tree.tag()]), (b"", b"empty key")]);
        }
        for tree in Tree::ALL {
            assert_eq!(engine.get(tree, b"k").unwrap().unwrap(), [tree.tag()]);
            assert_eq!(keys(engine, &Scan::prefix(tree, b"", 9)), [&b""[..], b"k"]);
        }
    });
}

#[test]
fn a_scan_goes_in_key_order_both_ways_and_stops_at_its_limit() {
    on_each(|engine| {
        put(engine, Tree::Calls, &[(b"b\xff", b""), (b"a", b""), (b"b", b""), (b"c", b""), (b"b\0", b"")]);
        let mut scan = Scan::prefix(Tree::Calls, b"b", 10);
        assert_eq!(keys(engine, &scan), [&b"b"[..], b"b\0", b"b\xff"]);
        scan.backwards = true;
        scan.limit = 2;
        assert_eq!(keys(engine, &scan), [&b"b\xff"[..], b"b\0"]);
        scan.until = None;
        assert_eq!(keys(engine, &scan), [&b"c"[..], b"b\xff"]);
        scan.until = Some(b"a".to_vec());
        assert!(keys(engine, &scan).is_empty());
    });
}

#[test]
fn what_was_flushed_outlives_a_reopening() {
    on_each(|engine| {
        put(engine, Tree::Locations, &[(b"flushed", b"1")]);
        engine.flush().unwrap();
        engine.reopen().unwrap();
        assert_eq!(engine.get(Tree::Locations, b"flushed").unwrap().unwrap(), b"1");
        put(engine, Tree::Locations, &[(b"after", b"2")]);
        engine.flush().unwrap();
        engine.probe_room().unwrap();
        assert!(engine.bytes_on_disk() > 0);
    });
}

#[test]
fn the_first_key_past_a_prefix_is_found() {
    assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!(after_prefix(b"\xff"), None);
    assert_eq!(after_prefix(b""), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn two_engines_given_the_same_batches_hold_the_same(
        batches in proptest::collection::vec(
            proptest::collection::vec((0..Tree::ALL.len(), proptest::collection::vec(0u8..4, 0..3), any::<Option<u8>>()), 0..20),
            0..20),
        reopen_after in 0usize..20,
    ) {
        let ((left, _), (right, _folder)) = (memory(), sled());
        for (place, ops) in batches.iter().enumerate() {
            let mut batch = Batch::default();
            for (tree, key, value) in ops {
                match value {
                    Some(value) => batch.put(Tree::ALL[*tree], key.clone(), vec![*value]),
                    None => batch.remove(Tree::ALL[*tree], key.clone()),
                }
            }
            for engine in [&left, &right] {
                engine.apply(batch.clone()).unwrap();
                engine.flush().unwrap();
                if place == reopen_after {
                    engine.reopen().unwrap();
                }
            }
        }
        for tree in Tree::ALL {
            let scan = Scan::prefix(tree, b"", 1000);
            prop_assert_eq!(left.scan(&scan).unwrap(), right.scan(&scan).unwrap());
        }
    }
}
