//! Bindings, messages and call records, on both engines.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use store::engine::{Engine, MemoryEngine};
use store::{Binding, CallRecord, CallSelect, NewMessage, Store, StoreConfig, StoreError, wait};

fn on_each(check: impl Fn(StoreConfig)) {
    check(StoreConfig::given(Arc::new(MemoryEngine::default())));
    let folder = tempfile::tempdir().unwrap();
    check(StoreConfig::sled(folder.path()));
}

fn opened(config: &StoreConfig) -> Store {
    let (store, report) = Store::open(config.clone()).unwrap();
    assert!(report.missing.is_empty() && report.quarantine.is_none(), "{report:?}");
    store.start_writer().unwrap();
    store
}

fn binding(aor: &str, contact: &str) -> Binding {
    Binding {
        aor: aor.into(),
        contact: contact.into(),
        received: "udp:192.0.2.7:5060".into(),
        q_milli: 500,
        expires_at_ms: 1_700_000_000_000,
        call_id: "843817637684230@998sdasdh09".into(),
        cseq: 1826,
        user_agent: "phone/1.0".into(),
        ..Binding::default()
    }
}

fn message(user: &str, body: &str) -> NewMessage {
    NewMessage {
        user: user.into(),
        from: "<sip:bob@example.com>".into(),
        to: "<sip:alice@example.com>".into(),
        call_id: "c1".into(),
        content_type: "text/plain".into(),
        body: body.into(),
        received_at_ms: 10,
        expires_at_ms: 1000,
    }
}

fn call(call_id: &str, party: &str, started_at_ms: i64) -> CallRecord {
    CallRecord {
        call_id: call_id.into(),
        parties: vec![party.into(), "sip:bob@example.com".into()],
        started_at_ms,
        ended_at_ms: started_at_ms + 5,
        line: format!("{{\"call\":\"{call_id}\"}}"),
    }
}

#[test]
fn bindings_are_there_after_a_restart_with_every_field() {
    on_each(|config| {
        let store = opened(&config);
        let mut first = binding("sip:alice@example.com", "sip:alice@192.0.2.7");
        first.path = vec!["<sip:p1;lr>".into(), "<sip:p2;lr>".into()];
        let mut second = binding("sip:alice@example.com", "sip:alice@192.0.2.8");
        second.instance = Some("<urn:uuid:00000000-0000-1000-8000-000A95A0E128>".into());
        second.reg_id = Some(1);
        second.gruu_token = Some("g".into());
        second.flow_token = Some(String::new());
        let mut only_instance = binding("sip:alice@example.com", "sip:alice@192.0.2.9");
        only_instance.instance = Some("<urn:uuid:1>".into());
        let all = [first, second, only_instance];
        let locations = store.locations();
        wait(|reply| locations.update("sip:alice@example.com", &[], &all, reply)).unwrap();
        wait(|reply| {
            let bob = binding("sip:bob@example.com", "sip:bob@192.0.2.9");
            locations.update("sip:bob@example.com", &[], &[bob], reply);
        })
        .unwrap();
        store.shutdown().unwrap();
        drop((store, locations));

        let (store, report) = Store::open(config).unwrap();
        assert!(report.clean && !report.created);
        let mut kept = store.locations().of("sip:alice@example.com").unwrap();
        kept.sort_by(|a, b| a.contact.cmp(&b.contact));
        assert_eq!(kept, all);
        assert_eq!(store.locations().iter().count(), 3 + 1);
        assert_eq!(store.health().bindings, 4);
    });
}

#[test]
fn a_new_contact_of_the_same_instance_and_reg_id_takes_the_place_of_the_old_one() {
    on_each(|config| {
        let store = opened(&config);
        for contact in ["sip:a@192.0.2.1", "sip:a@192.0.2.2"] {
            let mut binding = binding("sip:a@example.com", contact);
            binding.instance = Some("<urn:uuid:1>".into());
            binding.reg_id = Some(7);
            wait(|reply| store.locations().update("sip:a@example.com", &[], &[binding], reply)).unwrap();
        }
        let kept = store.locations().of("sip:a@example.com").unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].contact, "sip:a@192.0.2.2");
        assert_eq!(store.health().bindings, 1);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_binding_that_replaces_another_does_so_at_once() {
    on_each(|config| {
        let store = opened(&config);
        let (old, new) = (binding("sip:a@b", "sip:1"), binding("sip:a@b", "sip:2"));
        let locations = store.locations();
        wait(|reply| locations.update("sip:a@b", &[], std::slice::from_ref(&old), reply)).unwrap();
        wait(|reply| locations.update("sip:a@b", &[old.id()], std::slice::from_ref(&new), reply)).unwrap();
        assert_eq!(locations.of("sip:a@b").unwrap(), [new]);
        assert!(locations.of("sip:a").unwrap().is_empty());
        store.shutdown().unwrap();
    });
}

#[test]
fn a_binding_put_again_is_the_newest_word_also_after_a_restart_and_ends_with_its_time() {
    on_each(|config| {
        let store = opened(&config);
        let locations = store.locations();
        let mut one = binding("sip:a@b", "sip:1");
        let put = |locations: &store::Locations, one: &Binding| {
            wait(|reply| locations.update("sip:a@b", &[], std::slice::from_ref(one), reply)).unwrap();
        };
        put(&locations, &one);
        (one.expires_at_ms, one.cseq) = (88, 8);
        put(&locations, &one);
        store.shutdown().unwrap();
        drop((store, locations));

        let store = opened(&config);
        let locations = store.locations();
        assert_eq!(locations.of("sip:a@b").unwrap(), std::slice::from_ref(&one));
        assert_eq!(locations.iter().next().unwrap().unwrap(), one);
        one.cseq = 9;
        put(&locations, &one);
        assert_eq!(locations.of("sip:a@b").unwrap()[0].cseq, 9);
        let removed = wait(|reply| locations.remove_expired(89, 9, reply)).unwrap();
        assert_eq!(removed, 1);
        assert!(locations.of("sip:a@b").unwrap().is_empty());
        assert!(store.verify().unwrap().is_empty());
        store.shutdown().unwrap();
    });
}

#[test]
fn expired_bindings_are_removed_and_the_others_stay() {
    on_each(|config| {
        let store = opened(&config);
        let locations = store.locations();
        for (user, expires_at_ms) in [("a", 5), ("b", 50), ("c", 6)] {
            let aor = format!("sip:{user}@example.com");
            let binding = Binding { expires_at_ms, ..binding(&aor, "sip:x") };
            wait(|reply| locations.update(&aor, &[], &[binding], reply)).unwrap();
        }
        assert_eq!(wait(|reply| locations.remove_expired(10, 100, reply)).unwrap(), 2);
        let left: Vec<_> = locations.iter().map(|binding| binding.unwrap().aor).collect();
        assert_eq!(left, ["sip:b@example.com"]);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_binding_with_a_nul_or_a_text_past_its_bound_or_a_foreign_aor_is_refused() {
    on_each(|config| {
        let store = opened(&config);
        let locations = store.locations();
        let long = binding("sip:a", &"x".repeat(store::TEXT_BYTES_MAX + 1));
        let put =
            |aor: &str, binding: Binding| wait(|reply| locations.update(aor, &[], &[binding], reply)).unwrap_err();
        assert!(matches!(put("sip:a", long), StoreError::TooLarge { .. }));
        assert!(matches!(put("a\0b", binding("a\0b", "sip:x")), StoreError::BadKey { .. }));
        assert!(matches!(put("", binding("", "sip:x")), StoreError::BadKey { .. }));
        assert!(matches!(put("sip:a", binding("sip:b", "sip:x")), StoreError::BadKey { .. }));
        assert_eq!(store.health().bindings, 0);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_typical_binding_takes_at_most_three_hundred_bytes() {
    let memory = Arc::new(MemoryEngine::default());
    let store = opened(&StoreConfig::given(Arc::clone(&memory) as Arc<dyn Engine>));
    let mut typical = binding("sip:alice@example.com", "sip:alice@192.0.2.7:5060;transport=tcp;ob");
    typical.instance = Some("<urn:uuid:00000000-0000-1000-8000-000A95A0E128>".into());
    typical.reg_id = Some(1);
    typical.user_agent = "Some Phone 1.2.3 (x86_64/linux)".into();
    let before = memory.bytes_on_disk();
    wait(|reply| store.locations().update(&typical.aor, &[], std::slice::from_ref(&typical), reply)).unwrap();
    let bytes = memory.bytes_on_disk() - before;
    assert!(bytes <= 300, "{bytes}");
}

#[test]
fn messages_come_back_in_order_after_a_restart_until_they_are_removed() {
    on_each(|config| {
        let store = opened(&config);
        for body in ["1", "2", "3"] {
            wait(|reply| store.messages().enqueue(&message("sip:alice", body), reply)).unwrap();
            wait(|reply| store.messages().enqueue(&message("sip:alic", "other"), reply)).unwrap();
        }
        store.shutdown().unwrap();
        drop(store);
        let store = opened(&config);
        let messages = store.messages();
        let kept = messages.list("sip:alice", 10).unwrap();
        let bodies: Vec<_> = kept.iter().map(|kept| &kept.message.body[..]).collect();
        assert_eq!(bodies, [b"1", b"2", b"3"]);
        assert_eq!(kept[0].message, message("sip:alice", "1"));
        let numbers = [kept[0].number, kept[1].number];
        wait(|reply| messages.remove("sip:alice", &numbers, reply)).unwrap();
        // A second removal is no error and does not count twice.
        wait(|reply| messages.remove("sip:alice", &numbers, reply)).unwrap();
        assert_eq!(messages.count("sip:alice"), 1);
        let fourth = wait(|reply| messages.enqueue(&message("sip:alice", "4"), reply)).unwrap();
        assert!(fourth > kept[2].number);
        let bodies: Vec<_> =
            messages.list("sip:alice", 10).unwrap().into_iter().map(|kept| kept.message.body).collect();
        assert_eq!(bodies, [b"3", b"4"]);
        assert_eq!(store.health().messages, 5);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_user_and_the_whole_store_hold_so_many_messages_and_no_more() {
    on_each(|mut config| {
        config.messages.per_user_max = 2;
        config.messages.total_max = 3;
        let store = opened(&config);
        let messages = store.messages();
        let enqueue = |user: &str| wait(|reply| messages.enqueue(&message(user, "x"), reply));
        enqueue("a").unwrap();
        let second = enqueue("a").unwrap();
        assert!(matches!(enqueue("a"), Err(StoreError::Full { max: 2, .. })));
        enqueue("b").unwrap();
        assert!(matches!(enqueue("c"), Err(StoreError::Full { max: 3, .. })));
        wait(|reply| messages.remove("a", &[second], reply)).unwrap();
        enqueue("c").unwrap();
        store.shutdown().unwrap();
    });
}

#[test]
fn expired_messages_are_removed() {
    on_each(|config| {
        let store = opened(&config);
        let messages = store.messages();
        let late = NewMessage { expires_at_ms: 5000, ..message("a", "late") };
        wait(|reply| messages.enqueue(&message("a", "x"), reply)).unwrap();
        wait(|reply| messages.enqueue(&late, reply)).unwrap();
        assert_eq!(wait(|reply| messages.remove_expired(2000, 10, reply)).unwrap(), 1);
        assert_eq!(messages.list("a", 10).unwrap()[0].message, late);
        assert_eq!(messages.count("a"), 1);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_call_is_found_by_time_call_id_and_party_newest_first() {
    on_each(|config| {
        let store = opened(&config);
        let calls = store.calls();
        for (call_id, party, started_at_ms) in [("c1", "a", -5), ("c2", "a", 20), ("c3", "z", 30), ("c4", "a", 40)] {
            wait(|reply| calls.append(&[call(call_id, party, started_at_ms)], reply)).unwrap();
        }
        let ids = |select: CallSelect, limit| -> Vec<String> {
            calls.find(&select, limit).unwrap().into_iter().map(|record| record.call_id).collect()
        };
        let started = |from_ms, until_ms| CallSelect::Started { from_ms, until_ms };
        assert_eq!(ids(started(-10, 40), 9), ["c3", "c2", "c1"]);
        assert_eq!(ids(started(i64::MIN, i64::MAX), 2), ["c4", "c3"]);
        assert_eq!(calls.find(&CallSelect::CallId("c2".into()), 9).unwrap(), [call("c2", "a", 20)]);
        assert!(ids(CallSelect::CallId("c".into()), 9).is_empty());
        let with = |party: &str| CallSelect::Party { party: party.into(), from_ms: 0, until_ms: 100 };
        assert_eq!(ids(with("a"), 9), ["c4", "c2"]);
        assert_eq!(ids(with("sip:bob@example.com"), 1), ["c4"]);
        assert_eq!(calls.count(), 4);
        store.shutdown().unwrap();
    });
}

#[test]
fn calls_that_ended_together_are_found_one_by_one_and_counted_again_after_a_restart() {
    on_each(|config| {
        let store = opened(&config);
        let calls = store.calls();
        // More than one page, and calls that began long before others that ended with them.
        let crowd: Vec<_> = (0..200).map(|n| call(&format!("c{n}"), &format!("p{}", n % 7), (n * 37) % 200)).collect();
        wait(|reply| calls.append(&crowd, reply)).unwrap();
        assert_eq!(calls.count(), 200);
        for n in [0, 63, 64, 199] {
            let found = calls.find(&CallSelect::CallId(format!("c{n}")), 9).unwrap();
            assert_eq!(found, [crowd[n].clone()]);
        }
        let with = |party: &str| CallSelect::Party { party: party.into(), from_ms: 50, until_ms: 150 };
        let found = calls.find(&with("p3"), 1000).unwrap();
        let mut expected: Vec<_> = crowd.iter().filter(|c| c.parties[0] == "p3" || c.parties[1] == "p3").collect();
        expected.retain(|c| (50..150).contains(&c.started_at_ms));
        expected.sort_by_key(|c| std::cmp::Reverse(c.started_at_ms));
        assert!(!expected.is_empty());
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert!(calls.find(&with("p9"), 9).unwrap().is_empty());
        // Whole pages, and what is left over of the next.
        assert_eq!(wait(|reply| calls.prune(70, i64::MIN, reply)).unwrap(), 130);
        assert_eq!(calls.count(), 70);
        assert_eq!(calls.find(&CallSelect::Started { from_ms: 0, until_ms: 200 }, 1000).unwrap().len(), 70);
        let there = |n: &usize| !calls.find(&CallSelect::CallId(format!("c{n}")), 9).unwrap().is_empty();
        assert_eq!((0..200).filter(there).count(), 70);
        assert!(store.verify().unwrap().is_empty());
        store.shutdown().unwrap();
        drop((store, calls));
        assert_eq!(opened(&config).calls().count(), 70);
    });
}

#[test]
fn the_oldest_calls_go_by_count_and_by_age_with_all_that_leads_to_them() {
    on_each(|config| {
        let store = opened(&config);
        let calls = store.calls();
        for number in 0..6 {
            wait(|reply| calls.append(&[call(&format!("c{number}"), "a", number)], reply)).unwrap();
        }
        assert_eq!(wait(|reply| calls.prune(4, 0, reply)).unwrap(), 2);
        assert_eq!(wait(|reply| calls.prune(4, 3, reply)).unwrap(), 1);
        assert_eq!(wait(|reply| calls.prune(4, 3, reply)).unwrap(), 0);
        assert_eq!(calls.count(), 3);
        let all = CallSelect::Party { party: "a".into(), from_ms: 0, until_ms: 100 };
        assert_eq!(calls.find(&all, 9).unwrap().len(), 3);
        assert!(calls.find(&CallSelect::CallId("c0".into()), 9).unwrap().is_empty());
        assert!(store.verify().unwrap().is_empty());
        store.shutdown().unwrap();
    });
}

#[test]
fn a_dump_restores_everything_and_a_changed_dump_is_refused() {
    on_each(|config| {
        let store = opened(&config);
        for number in 0..50 {
            let aor = format!("sip:{number}@example.com");
            let binding = binding(&aor, "sip:x");
            wait(|reply| store.locations().update(&aor, &[], &[binding], reply)).unwrap();
        }
        wait(|reply| store.messages().enqueue(&message("a", "x"), reply)).unwrap();
        wait(|reply| store.calls().append(&[call("c1", "a", 5)], reply)).unwrap();
        let mut dump = Vec::new();
        let written = store.dump(&mut dump).unwrap();
        assert_eq!((written.damaged, store.verify().unwrap().len()), (0, 0));
        let (node, secret) = (store.meta().node_id().unwrap(), store.meta().secret().unwrap());
        store.shutdown().unwrap();

        let fresh = opened(&StoreConfig::given(Arc::new(MemoryEngine::default())));
        assert_eq!(fresh.load(&mut &dump[..]).unwrap().records, written.records);
        let mut again = Vec::new();
        fresh.dump(&mut again).unwrap();
        assert_eq!(again, dump);
        assert!(fresh.verify().unwrap().is_empty());
        assert_eq!(fresh.meta().node_id().unwrap(), node);
        assert_eq!(fresh.meta().secret().unwrap(), secret);
        assert_eq!(fresh.health().bindings, 50);

        for place in (0..dump.len()).step_by(97) {
            let mut changed = dump.clone();
            changed[place] ^= 0x10;
            let other = opened(&StoreConfig::given(Arc::new(MemoryEngine::default())));
            assert!(other.load(&mut &changed[..]).is_err(), "byte {place}");
            assert!(other.load(&mut &dump[..place]).is_err(), "cut at {place}");
        }
    });
}

#[test]
fn a_group_window_delays_an_answer_and_loses_none() {
    on_each(|mut config| {
        config.group_window = Duration::from_millis(3);
        let store = opened(&config);
        let (sender, answers) = std::sync::mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            let aor = format!("sip:{number}");
            store.locations().update(&aor, &[], &[binding(&aor, "sip:x")], move |outcome| {
                sender.send(outcome).unwrap();
            });
        }
        drop(sender);
        assert_eq!(answers.iter().filter(Result::is_ok).count(), 100);
        assert!(store.health().groups < 100);
        store.shutdown().unwrap();
    });
}

fn any_binding() -> impl Strategy<Value = Binding> {
    let text = "[^\0]{0,40}";
    (
        ("[^\0]{1,30}", text, any::<Option<String>>(), any::<Option<u32>>(), any::<Option<String>>()),
        (proptest::collection::vec(text, 0..4), text, any::<Option<String>>(), any::<u16>(), any::<i64>()),
        (text, any::<u32>(), text),
    )
        .prop_map(
            |(
                (aor, contact, instance, reg_id, gruu_token),
                (path, received, flow_token, q_milli, expires_at_ms),
                (call_id, cseq, user_agent),
            )| {
                Binding {
                    aor,
                    contact,
                    instance,
                    reg_id,
                    gruu_token,
                    path,
                    received,
                    flow_token,
                    q_milli,
                    expires_at_ms,
                    call_id,
                    cseq,
                    user_agent,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_binding_comes_back_as_it_was(binding in any_binding()) {
        let store = opened(&StoreConfig::given(Arc::new(MemoryEngine::default())));
        wait(|reply| store.locations().update(&binding.aor, &[], std::slice::from_ref(&binding), reply)).unwrap();
        prop_assert_eq!(store.locations().of(&binding.aor).unwrap(), vec![binding]);
        store.shutdown().unwrap();
    }
}

#[test]
fn facts_are_there_after_a_restart_space_by_space_until_they_are_removed() {
    on_each(|config| {
        let store = opened(&config);
        let put = |space, key: &str, text: &str| {
            let (key, text) = (key.to_owned(), text.to_owned());
            wait(|reply| store.facts().put(space, &key, &text, reply)).unwrap();
        };
        put("features", "bob", "{}");
        put("features", "alice", "{\"dnd\":true}");
        put("features", "bob", "{\"dnd\":false}");
        put("sign-in", "sales alice", "in");
        wait(|reply| store.facts().remove("sign-in", "nobody", reply)).unwrap();
        let refused =
            |space: &str, key: &str, text: &str| wait(|reply| store.facts().put(space, key, text, reply)).unwrap_err();
        assert!(matches!(refused("", "a", ""), StoreError::BadKey { .. }));
        assert!(matches!(refused("a", "b\0c", ""), StoreError::BadKey { .. }));
        assert!(matches!(refused("a", "b", &"x".repeat(20_000)), StoreError::TooLarge { .. }));
        store.shutdown().unwrap();
        drop(store);

        let store = opened(&config);
        let all = |space| store.facts().all(space).unwrap();
        let fact = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        assert_eq!(all("features"), (vec![fact("alice", "{\"dnd\":true}"), fact("bob", "{\"dnd\":false}")], 0));
        assert_eq!(all("sign-in"), (vec![fact("sales alice", "in")], 0));
        assert_eq!(all("feature"), (vec![], 0), "a space is not the beginning of another");
        assert_eq!(store.facts().count(), 3);
        wait(|reply| store.facts().remove("features", "alice", reply)).unwrap();
        assert_eq!(all("features"), (vec![fact("bob", "{\"dnd\":false}")], 0));
        assert_eq!(store.verify().unwrap(), []);
        store.shutdown().unwrap();
    });
}
