//! Whoever is not there gets messages: left by a caller, kept, told by a lamp, heard by their owner with keys, answered, sent on,
//! deleted and had back.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use support::carrier::Place;
use support::config::{Config, DOMAIN};
use support::phone::Phone;
use support::smtp::{Smtp, free_port};
use support::switch::Switch;
use support::{PATIENCE, until};

/// What callers say in these tests, Hz.
const VOICE_HZ: u16 = 620;
/// Longer than the pause after which a row of keys is over.
const LISTEN_MS: u64 = 300;

/// The messages of a mailbox, as the admin API has them.
fn messages(switch: &Switch, user: &str) -> Vec<Value> {
    let (status, answer) = switch.get(&format!("/api/mailboxes/{user}"));
    assert_eq!(status, 200, "{answer}");
    answer["mailbox"]["messages"].as_array().expect("a list").clone()
}

/// Waits until the messages of a mailbox are so.
fn expect_messages(switch: &Switch, user: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let found = until(PATIENCE, || Some(messages(switch, user)).filter(|list| fits(list)));
    found.unwrap_or_else(|| panic!("{user} has {:?}\n{}", messages(switch, user), switch.log_tail()))
}

/// Begins to leave a message of a tone in the mailbox of who is not there; the call.
fn speak(phone: &mut Phone, number: &str) -> u64 {
    let call = phone.call(number);
    phone.expect_state(call, "confirmed");
    phone.expect_media(call, "active");
    phone.play_tone(call, VOICE_HZ);
    phone.listen(call, LISTEN_MS);
    // Past the greeting; then the tone that says: speak.
    phone.dtmf(call, "#");
    phone.hears_tone(call, 880.0);
    phone.hears_silence(call);
    call
}

/// Leaves one.
fn leave(phone: &mut Phone, number: &str) {
    let call = speak(phone, number);
    for _ in 0..8 {
        phone.listen(call, 300);
    }
    phone.hang_up(call);
    phone.expect_state(call, "disconnected");
}

/// Signs in at voice access; the call.
fn sign_in(phone: &mut Phone, pin: &str) -> u64 {
    let call = phone.call("5000");
    phone.expect_state(call, "confirmed");
    phone.expect_media(call, "active");
    phone.listen(call, LISTEN_MS);
    phone.dtmf(call, &format!("{pin}#"));
    call
}

#[test]
fn a_message_is_left_and_heard_and_deleted_and_had_back() {
    let switch = Switch::start(Config::with_mailboxes());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    leave(&mut alice, "1003");
    let list = expect_messages(&switch, "carol", |list| list.len() == 1);
    let message = &list[0];
    assert_eq!((&message["from"], &message["heard"]), (&"1001".into(), &false.into()), "{message}");
    let ms = message["length_ms"].as_u64().expect("a number");
    assert!((1_500..10_000).contains(&ms), "{message}");

    let mut carol = Phone::registered(&switch, "carol", "udp");
    let call = sign_in(&mut carol, "3690");
    carol.listen(call, 1_000);
    carol.dtmf(call, "1");
    carol.listen(call, 500);
    // The header is cut short by a key that replays nothing: the message itself is a tone.
    carol.hears_tone(call, f64::from(VOICE_HZ));
    carol.dtmf(call, "7");
    expect_messages(&switch, "carol", |list| list[0]["deleted"] == true);
    carol.hang_up(call);
    let (status, answer) = switch.get("/api/mailboxes/carol");
    assert_eq!((status, &answer["mailbox"]["counts"]["new"]), (200, &0.into()), "{answer}");
    let figures = || switch.get_as_stranger("/metrics").1.as_str().unwrap_or_default().to_owned();
    let idle = until(PATIENCE, || figures().contains("strowger_mailbox_drafts 0\n").then_some(()));
    assert!(idle.is_some() && figures().contains("strowger_mailbox_messages_total 1\n"), "{}", figures());
}

/// A phone that shows how many messages there are.
fn with_lamp(switch: &Switch, user: &str) -> Phone {
    let mut phone = Phone::start(user);
    phone.register(&json!({
        "user": user,
        "password": format!("{user}-secret"),
        "registrar": switch.sip("udp").to_string(),
        "domain": DOMAIN,
        "mwi": true,
    }));
    phone.expect("registered", |_| true);
    phone
}

/// Waits until a phone is told this of its messages.
fn expect_lamp(phone: &mut Phone, line: &str) {
    phone.expect("mwi", |event| event["request"].as_str().is_some_and(|text| text.contains(line)));
}

#[test]
fn a_lamp_is_lit_by_a_message_and_goes_out_when_it_was_heard() {
    let switch = Switch::start(Config::with_mailboxes());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut carol = with_lamp(&switch, "carol");
    expect_lamp(&mut carol, "Voice-Message: 0/0 (0/0)");
    // Her phone rings in vain, and gives way to her mailbox.
    leave(&mut alice, "1003");
    expect_lamp(&mut carol, "Voice-Message: 1/0 (0/0)");
    let number = messages(&switch, "carol")[0]["number"].as_u64().expect("a number");
    let (status, answer) =
        switch.send("PATCH", &format!("/api/mailboxes/carol/messages/{number}"), &json!({ "heard": true }));
    assert_eq!(status, 200, "{answer}");
    expect_lamp(&mut carol, "Messages-Waiting: no");
    let (status, answer) = switch.send("DELETE", &format!("/api/mailboxes/carol/messages/{number}"), &json!({}));
    assert_eq!((status, &answer["mailbox"]["counts"]["old"]), (200, &0.into()), "{answer}");
}

#[test]
fn wrong_pins_lock_a_mailbox_across_calls_until_an_operator_opens_it() {
    let config = Config::with_mailboxes().entry(
        "[[mailbox_policy]]\nname = \"strict\"\npin_digits = 4\npin_failures_reset = 0\npin_failures_lock = 4\npin_first_change = false\n",
    );
    let config = config.entry(
        "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1005\"\nmailbox = \"strict\"\npin = \"7410\"\n",
    );
    let switch = Switch::start(config);
    let mut erin = Phone::registered(&switch, "erin", "udp");
    let state = || switch.get("/api/mailboxes/erin").1["mailbox"].clone();
    let failures = |wanted: u64| until(PATIENCE, || (state()["failures"] == wanted).then_some(()));
    let call = sign_in(&mut erin, "1111");
    assert!(failures(1).is_some(), "{}", state());
    for wanted in [2, 3] {
        erin.listen(call, 2_500);
        erin.dtmf(call, "1111#");
        assert!(failures(wanted).is_some(), "{}", state());
    }
    // Three end the call; the count goes on in the next.
    erin.expect_state(call, "disconnected");
    let call = sign_in(&mut erin, "2222");
    erin.expect_state(call, "disconnected");
    assert_eq!((&state()["locked"], &state()["failures"]), (&true.into(), &4.into()));
    let call = sign_in(&mut erin, "7410");
    erin.expect_state(call, "disconnected");
    let unlocked = switch.command(&["mailbox", "unlock", "erin"]);
    assert!(unlocked.status.success(), "{unlocked:?}");
    let call = sign_in(&mut erin, "7410");
    let let_in = until(PATIENCE, || (state()["has_pin"] == true).then_some(()));
    assert!(let_in.is_some() && failures(0).is_some(), "{}", state());
    erin.hang_up(call);
}

#[test]
fn what_was_being_said_when_the_switch_was_killed_is_delivered_up_to_its_last_chunk() {
    let mut switch = Switch::start(Config::with_mailboxes());
    let mut alice = Phone::registered(&switch, "alice", "udp");
    leave(&mut alice, "1002");
    expect_messages(&switch, "bob", |list| list.len() == 1);
    let call = speak(&mut alice, "1002");
    for _ in 0..12 {
        alice.listen(call, 300);
    }
    switch.kill9();
    switch.restart();
    // The list of all counts what nobody has asked about since the start.
    let (_, all) = switch.get("/api/mailboxes");
    let of = |name: &str| all["mailboxes"].as_array()?.iter().find(|row| row["mailbox"] == name)?["new"].as_u64();
    assert!(of("alice") == Some(0) && of("bob") >= Some(1), "{all}");
    let list = expect_messages(&switch, "bob", |list| list.len() == 2);
    let cut = list[1]["length_ms"].as_u64().expect("a number");
    assert!((1_500..6_000).contains(&cut) && list[1]["from"] == "1001", "{list:?}");
    let verified = switch.command(&["mailbox", "verify", "bob"]);
    assert!(verified.status.success(), "{verified:?}");

    // A file that is changed on purpose is noticed, set aside, and the others stay.
    let file = switch.data().join("mail/bob").join(format!("{}.wav", list[0]["number"]));
    let mut bytes = std::fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).expect("the file can be written");
    let verified = switch.command(&["mailbox", "verify", "bob"]);
    assert!(!verified.status.success(), "{verified:?}");
    assert!(!file.exists() && switch.data().join("mail/bob/damaged").is_dir());
    let list = messages(&switch, "bob");
    assert_eq!((&list[0]["damaged"], &list[1]["damaged"]), (&true.into(), &false.into()), "{list:?}");

    // Out to plain files and in again.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let exported = switch.command(&["mailbox", "export", &path, "bob"]);
    assert!(exported.status.success(), "{exported:?}");
    let imported = switch.command(&["mailbox", "import", &path]);
    assert!(imported.status.success(), "{imported:?}");
    let list = messages(&switch, "bob");
    assert_eq!((list.len(), &list[2]["length_ms"], &list[2]["from"]), (3, &cut.into(), &"1001".into()), "{list:?}");
}

#[test]
fn whatever_dies_in_the_mail_while_somebody_speaks_the_message_is_there() {
    let switch = Switch::start(Config::with_mailboxes().set("admin", "allow_faults", "true"));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let restarts = |path: &str| {
        let (_, tree) = switch.get("/api/tree");
        tree["nodes"].as_array()?.iter().find(|node| node["path"] == path && node["state"] == "running")?["restarts"]
            .as_u64()
    };
    for (count, how) in (1..).zip(["panic", "kill"]) {
        let call = speak(&mut alice, "1002");
        for path in ["boxes/bob", "boxes", "outbox", "postmaster"].map(|name| format!("/switch/mail/{name}")) {
            let before = restarts(&path);
            assert_eq!(switch.post("/api/kill", &json!({ "path": path, "how": how })).0, 200, "{path}");
            // A mailbox that nobody asks may rest instead; that it is back is proven by the message.
            let back = until(PATIENCE, || (restarts(&path) > before || path.ends_with("bob")).then_some(()));
            assert!(back.is_some(), "{path} is not back\n{}", switch.log_tail());
            alice.listen(call, 300);
        }
        alice.hang_up(call);
        alice.expect_state(call, "disconnected");
        let list = expect_messages(&switch, "bob", |list| list.len() == count);
        let message = &list[count - 1];
        assert!(message["length_ms"].as_u64() >= Some(1_000) && message["from"] == "1001", "{message}");
        assert!(switch.command(&["mailbox", "verify", "bob"]).status.success());
    }
}

#[test]
fn a_message_goes_by_e_mail_even_when_the_server_comes_late() {
    let port = free_port();
    let config = Config::with_mailboxes()
        .set("smtp", "host", r#""127.0.0.1""#)
        .set("smtp", "port", &port.to_string())
        .set("smtp", "security", r#""none""#)
        .entry("[[mailbox_policy]]\nname = \"packed\"\nattach = \"opus\"\n")
        .entry(
            "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1010\"\nmailbox = \"packed\"\n\
             email = \"erin@example.com\"\n",
        );
    let switch = Switch::start(config);
    let mut alice = Phone::registered(&switch, "alice", "udp");
    leave(&mut alice, "1004");
    // The first try has found nobody.
    let tried = until(PATIENCE, || {
        let letters = switch.get("/api/outbox").1["letters"].as_array().cloned().unwrap_or_default();
        letters.iter().any(|letter| letter["tries"].as_u64() > Some(0)).then_some(())
    });
    assert!(tried.is_some(), "{}", switch.get("/api/outbox").1);
    let server = Smtp::start(port);
    let letter = server.next(PATIENCE);
    assert_eq!(letter["to"], json!(["dave@example.com"]), "{letter}");
    let of = |name: &str| letter["headers"][name].as_str().unwrap_or_default().to_owned();
    assert!(of("Subject").starts_with("Voice Mail from alice ("), "{}", of("Subject"));
    assert_eq!((of("Content-Class"), of("X-CallingTelephoneNumber")), ("voice-ca".into(), "1001".into()));
    let sound = letter["sounds"][0]["body"].as_str().expect("a sound");
    let file = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sound).expect("base64");
    let (format, bytes) = media::wav::parse(&file).expect("a WAV file");
    let samples = media::wav::decode(format.encoding, bytes);
    let found = media::tone::measure(&samples[4_000..12_000], 8_000).expect("a tone");
    assert!((found.hz - f64::from(VOICE_HZ)).abs() < 5.0, "{found:?}");
    let seconds: usize = of("X-VoiceMessageDuration").parse().expect("a number");
    assert_eq!(seconds, samples.len().div_ceil(8_000));
    let gone =
        until(PATIENCE, || switch.get("/api/outbox").1["letters"].as_array().is_some_and(Vec::is_empty).then_some(()));
    assert!(gone.is_some(), "{}", switch.get("/api/outbox").1);
    // Of a policy that says so the sound is packed.
    leave(&mut alice, "1010");
    let letter = server.next(PATIENCE);
    let sound = &letter["sounds"][0];
    assert_eq!((&letter["to"], &sound["type"]), (&json!(["erin@example.com"]), &json!("audio/ogg")), "{letter}");
    assert!(sound["name"].as_str().is_some_and(|name| name.ends_with(" Voice Mail.opus")), "{}", sound["name"]);
    let sound = sound["body"].as_str().expect("a sound");
    let file = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sound).expect("base64");
    assert!(file.starts_with(b"OggS") && file[28..].starts_with(b"OpusHead"), "{} bytes", file.len());
    // RFC 7845 section 4: the granule position of the last page, less the pre-skip, is the length in 1/48,000 s.
    let last = file.windows(4).rposition(|four| four == b"OggS").expect("a page");
    let granule = u64::from_le_bytes(file[last + 6..last + 14].try_into().expect("eight bytes"));
    let skip = u64::from(u16::from_le_bytes([file[38], file[39]]));
    let seconds: u64 =
        letter["headers"]["X-VoiceMessageDuration"].as_str().unwrap_or_default().parse().expect("a number");
    assert_eq!((granule - skip).div_ceil(48_000), seconds, "{granule} {skip}");
    assert!(file.len() < 4_000 * usize::try_from(seconds).expect("a short message"), "{} bytes", file.len());
}

#[test]
fn an_attendant_connects_by_extension_and_takes_a_message_for_who_is_not_there() {
    let config = Config::with_mailboxes().entry(
        "[[attendant]]\nname = \"reception\"\nnumbers = [\"5100\"]\nkeys = [\"1 1002 Bob\", \"2 mailbox:dave Dave\"]\n",
    );
    let switch = Switch::start(config);
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let call = alice.call("5100");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");
    alice.listen(call, LISTEN_MS);
    alice.dtmf(call, "1002");
    let at = bob.pick_up();
    bob.expect_media(at, "active");
    alice.play_tone(call, 440);
    bob.play_tone(at, 660);
    bob.hears_tone(at, 440.0);
    alice.hears_tone(call, 660.0);
    bob.hang_up(at);
    alice.expect_state(call, "disconnected");

    let call = alice.call("5100");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");
    alice.play_tone(call, VOICE_HZ);
    alice.listen(call, LISTEN_MS);
    alice.dtmf(call, "2");
    // A key of the menu may be the beginning of an extension: it counts when no other follows.
    alice.listen(call, 2_500);
    alice.dtmf(call, "#");
    alice.hears_tone(call, 880.0);
    for _ in 0..8 {
        alice.listen(call, 300);
    }
    alice.hang_up(call);
    expect_messages(&switch, "dave", |list| list.len() == 1);
    let idle = until(PATIENCE, || (switch.get("/api/status").1["calls"] == 0).then_some(()));
    assert!(idle.is_some(), "{}", switch.get("/api/status").1);
}

#[test]
fn a_rule_finds_its_owner_at_another_phone_who_takes_the_call_or_lets_it_be() {
    let switch = Switch::start(Config::with_mailboxes());
    let book = json!({
        "rules": [
            { "name": "never", "times": ["Mon 00:00-00:01"], "callers": ["9"], "keys": [] },
            { "name": "friends", "contacts": true, "keys": [
                { "key": "1", "text": "urgent", "does": { "find_me": [{ "number": "1002", "ring_s": 20 }] } },
            ] },
        ],
        "contacts": [{ "name": "Alice at home", "numbers": ["1001"] }],
    });
    let (status, answer) = switch.send("PUT", "/api/mailboxes/carol/callers", &book);
    assert_eq!(status, 200, "{answer}");
    let wrong = json!({ "rules": [{ "name": "x", "open": "no such hours" }] });
    assert_eq!(switch.send("PUT", "/api/mailboxes/carol/callers", &wrong).0, 400);
    let shown = switch.command(&["mailbox", "callers", "carol"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("friends"), "{shown:?}");

    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    let call = alice.call("1003");
    alice.expect_state(call, "confirmed");
    alice.expect_media(call, "active");
    // Declined: the caller is back with the keys of the rule, and tries once more.
    for answer in ["2", "1"] {
        alice.listen(call, LISTEN_MS);
        alice.dtmf(call, "1");
        let at = bob.pick_up();
        bob.expect_media(at, "active");
        bob.hears(at, "somebody who asks", |heard| heard.dbm0 > -40.0);
        bob.dtmf(at, answer);
        if answer == "2" {
            bob.expect_state(at, "disconnected");
            continue;
        }
        alice.play_tone(call, 440);
        bob.play_tone(at, 660);
        bob.hears_tone(at, 440.0);
        alice.hears_tone(call, 660.0);
        bob.hang_up(at);
        alice.expect_state(call, "disconnected");
    }
    assert_eq!(messages(&switch, "carol").len(), 0);
}

#[test]
fn a_message_is_played_on_the_phone_that_the_owner_names_and_the_owner_is_asked_once_at_a_time() {
    let erin = "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1009\"\nmax_calls = 1\n";
    let switch = Switch::start(Config::with_mailboxes().entry(erin));
    let mut alice = Phone::registered(&switch, "alice", "udp");
    leave(&mut alice, "1003");
    let number = expect_messages(&switch, "carol", |list| list.len() == 1)[0]["number"].clone();
    let path = "/api/mailboxes/carol/play";
    let play = |number: &str| switch.send("POST", path, &json!({ "message": 1, "number": number }));
    assert_eq!(switch.send("POST", path, &json!({ "message": 99 })).0, 404);
    let expect_state = |wanted: &str| {
        let found = until(PATIENCE, || Some(switch.get(path).1).filter(|answer| answer["play"]["state"] == wanted));
        found.unwrap_or_else(|| panic!("{}\n{}", switch.get(path).1, switch.log_tail()))
    };
    assert_eq!(number, 1);
    // Nobody is there.
    assert_eq!(play("1003").0, 200);
    assert_eq!(expect_state("disconnected")["play"]["failure"], "no_answer");
    // Busy.
    let mut bob = Phone::registered(&switch, "bob", "udp");
    assert_eq!(play("1002").0, 200);
    let ringing = bob.incoming();
    assert_eq!(play("1002").0, 409);
    bob.answer(ringing, 486);
    assert_eq!(expect_state("disconnected")["play"]["failure"], "user_busy");
    // Somebody who has as many calls as may be is not rung; afterwards the phone rings, as often as it is called.
    let mut erin = Phone::registered(&switch, "erin", "udp");
    let talking = erin.call("5501");
    erin.expect_state(talking, "confirmed");
    assert_eq!(play("1009").0, 200);
    assert_eq!(expect_state("disconnected")["play"]["failure"], "user_busy");
    erin.hang_up(talking);
    erin.expect_state(talking, "disconnected");
    let is_free = || switch.get("/api/calls").1["calls"].as_array().is_some_and(Vec::is_empty).then_some(());
    assert!(until(PATIENCE, is_free).is_some(), "{}", switch.get("/api/calls").1);
    for _ in 0..2 {
        assert_eq!(play("1009").0, 200);
        let ringing = erin.incoming();
        erin.answer(ringing, 486);
        assert_eq!(expect_state("disconnected")["play"]["failure"], "user_busy");
    }
    // It answers, hears the message, and has it deleted.
    assert_eq!(play("1002").0, 200);
    let call = bob.pick_up();
    bob.expect_media(call, "active");
    expect_state("connected");
    bob.listen(call, LISTEN_MS);
    // The header is cut short, and the message begins.
    bob.dtmf(call, "1");
    bob.listen(call, 1_000);
    bob.hears_tone(call, f64::from(VOICE_HZ));
    bob.dtmf(call, "7");
    expect_messages(&switch, "carol", |list| list[0]["deleted"] == true);
    bob.expect_state(call, "disconnected");
    let over = expect_state("disconnected");
    assert_eq!((&over["play"]["failure"], &over["play"]["sip_status"]), (&json!("none"), &json!(200)), "{over}");
    // All of it is in records and their sums.
    let sums = until(PATIENCE, || {
        let (_, answer) = switch.get("/api/mail/statistics?by=hour");
        let sums = answer["sums"].as_object()?.values().next()?.clone();
        (sums["total"] == 7).then_some(sums)
    });
    let sums = sums.unwrap_or_else(|| panic!("{}", switch.get("/api/mail/statistics?by=hour").1));
    let counts = (&sums["voice_messages"], &sums["outgoing"], &sums["failed_or_rejected"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!(5)), "{sums}");
    let day = switch.get("/api/calls?ended=1").1["calls"][0]["started"].as_str().expect("a time")[..10].to_owned();
    let listed = switch.command(&["mailbox", "records", &day]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.starts_with("CallStartTime,CallType,") && listed.lines().count() == 8, "{listed}");
    assert!(listed.contains("Call Answering Voice Message") && listed.contains(",Outbound,1002,"), "{listed}");
}

#[test]
fn a_pbx_is_told_of_messages_by_the_gateway_that_takes_it_and_again_after_a_refusal() {
    let (broken, pbx) = (Place::at(2), Place::at(3));
    let gateways = [broken.entry("broken", ""), pbx.entry("pbx", "")];
    let mut config = Config::with_mailboxes().mailbox_policy("lamp_gateways", r#"["broken", "pbx"]"#);
    for entry in &gateways {
        config = config.entry(entry);
    }
    let switch = Switch::start(config);
    let (mut broken, mut pbx) = (broken.party(&switch), pbx.party(&switch));
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let refuses = std::thread::spawn(move || {
        let mut refused = 0;
        while !ends.load(Relaxed) {
            let Some(notify) = broken.wire.receive_within(Duration::from_millis(200)) else { continue };
            broken.reply(&notify, "503 Service Unavailable", "", "");
            refused += 1;
        }
        refused
    });
    let mut told = |user: &str, line: &str| {
        loop {
            let notify = pbx.wire.receive("NOTIFY");
            pbx.reply(&notify, "480 Temporarily Unavailable", "", "");
            let (to_user, has_line) = (notify.starts_with(&format!("NOTIFY sip:{user}@")), notify.contains(line));
            if to_user && has_line {
                assert!(notify.contains("Event: message-summary\r\n"), "{notify}");
                assert!(notify.contains("Subscription-State: terminated"), "{notify}");
                assert!(notify.contains("Content-Type: application/simple-message-summary\r\n"), "{notify}");
                return;
            }
        }
    };
    // After the start everybody's lamp is put right.
    told("1003", "Voice-Message: 0/0 (0/0)");
    let mut alice = Phone::registered(&switch, "alice", "udp");
    leave(&mut alice, "1003");
    told("1003", "Voice-Message: 1/0 (0/0)");
    let (status, answer) = switch.send("PATCH", "/api/mailboxes/carol/messages/1", &json!({ "heard": true }));
    assert_eq!(status, 200, "{answer}");
    told("1003", "Messages-Waiting: no");
    let figures = || switch.get_as_stranger("/metrics").1.as_str().unwrap_or_default().to_owned();
    let counted = until(PATIENCE, || {
        let figures = figures();
        let told = figures.lines().find_map(|line| line.strip_prefix("strowger_mailbox_lamps_told_total "));
        told.and_then(|told| told.parse::<u32>().ok()).filter(|told| *told >= 6)
    });
    assert!(counted.is_some() && figures().contains("strowger_mailbox_lamps_failed_total 0\n"), "{}", figures());
    over.store(true, Relaxed);
    assert!(refuses.join().expect("the broken one answers") >= 6);
}
