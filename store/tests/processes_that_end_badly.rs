//! Real processes over a real sled: killed with SIGKILL, out of room, started over a damaged file. No test harness:
//! the file runs itself as the child.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use store::{Binding, NewMessage, Store, StoreConfig, StoreError, StoreState, wait};

const FOLDER: &str = "STORE_TEST_FOLDER";
const ROLE: &str = "STORE_TEST_ROLE";
const KILLS: u64 = 30;
const USERS: u64 = 200;
const FLIPS: u64 = 40;
const FLIPPED_BINDINGS: u64 = 1500;
/// In blocks of 512 or 1,024 bytes, as the shell counts; more than one segment of sled's log.
const FILE_BLOCKS_MAX: u64 = 6000;

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("writes until killed") => write_until_killed(),
        Ok("fills the disk") => fill_the_disk(),
        _ => {
            for (sentence, prove) in [
                ("what was acknowledged is there after each kill -9", after_kills as fn()),
                ("a full disk is refused, and clears, and loses nothing", when_full),
                ("a flipped byte is never silent and never stops the start", over_damage),
            ] {
                let begun = Instant::now();
                prove();
                println!("test {sentence} ... ok ({:.1} s)", begun.elapsed().as_secs_f32());
            }
        }
    }
}

fn opened(folder: &Path) -> Store {
    let (store, report) = Store::open(StoreConfig::sled(folder)).unwrap();
    assert!(report.missing.is_empty() && report.quarantine.is_none() && report.rolled_back.is_none(), "{report:?}");
    store
}

fn binding(user: u64, cseq: u64) -> Binding {
    Binding {
        aor: format!("sip:{user}@example.com"),
        contact: format!("sip:{user}@192.0.2.1"),
        cseq: u32::try_from(cseq).unwrap(),
        call_id: "x".repeat(100),
        ..Binding::default()
    }
}

fn child(role: &str, folder: &Path, mut command: Command) -> Child {
    command
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn folder_of_child() -> std::path::PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

/// Says "binding USER CSEQ" and "message NUMBER" for each acknowledgement, until the parent's kill.
fn write_until_killed() {
    let store = opened(&folder_of_child());
    store.start_writer().unwrap();
    let first = u64::from(store.locations().iter().map(|binding| binding.unwrap().cseq).max().unwrap_or(0));
    let (permit, permits) = sync_channel(100);
    let permits = Arc::new(Mutex::new(permits));
    for number in first + 1.. {
        // At most a hundred writes are on their way.
        permit.send(()).unwrap();
        let permits = Arc::clone(&permits);
        let binding = binding(number % USERS, number);
        let say = move |line: String| {
            let mut out = std::io::stdout().lock();
            out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
        };
        if number % 10 == 0 {
            let message = NewMessage {
                user: format!("sip:{}", number % 7000),
                from: String::new(),
                to: String::new(),
                call_id: String::new(),
                content_type: String::new(),
                body: number.to_string().into_bytes(),
                received_at_ms: 0,
                expires_at_ms: 0,
            };
            store.messages().enqueue(&message, move |outcome| {
                say(format!("message {} {number}\n", number % 7000));
                outcome.unwrap();
            });
        }
        let one = std::slice::from_ref(&binding);
        store.locations().update(&binding.aor, &[], one, move |outcome| {
            outcome.unwrap();
            say(format!("binding {} {number}\n", number % USERS));
            permits.lock().unwrap().recv().unwrap();
        });
    }
}

fn after_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut bindings: HashMap<u64, u32> = HashMap::new();
    let mut messages: Vec<(u64, u64)> = Vec::new();
    for round in 0..KILLS {
        let mut child = child("writes until killed", folder.path(), Command::new(std::env::current_exe().unwrap()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: String| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [kind, of, number] = fields[..] else {
                return; // The kill cut this line.
            };
            let (of, number) = (of.parse().unwrap(), number.parse().unwrap());
            match kind {
                "binding" => {
                    let newest = bindings.entry(of).or_default();
                    *newest = (*newest).max(u32::try_from(number).unwrap());
                }
                _ => messages.push((of, number)),
            }
        };
        // A different moment each round.
        for _ in 0..(200 + round * 97 % 611) {
            take(lines.next().unwrap().unwrap());
        }
        child.kill().unwrap();
        let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
        // The last line may be cut in the middle of a number.
        rest.pop();
        rest.into_iter().for_each(&mut take);
        child.wait().unwrap();

        let store = opened(folder.path());
        for (user, cseq) in &bindings {
            let kept = store.locations().of(&format!("sip:{user}@example.com")).unwrap();
            assert!(kept[0].cseq >= *cseq, "round {round}: binding {user} lost {cseq}");
        }
        for (user, number) in &messages {
            let kept = store.messages().list(&format!("sip:{user}"), 1000).unwrap();
            let body = number.to_string().into_bytes();
            assert!(kept.iter().any(|kept| kept.message.body == body), "round {round}: message {number} lost");
        }
        assert!(store.verify().unwrap().is_empty());
    }
    assert!(bindings.len() as u64 == USERS && !messages.is_empty());
}

/// Writes until it is refused, says how far it got, waits for a line, writes on, dies without a shutdown.
fn fill_the_disk() {
    let store = opened(&folder_of_child());
    store.start_writer().unwrap();
    let put = |number: u64| {
        let mut binding = binding(number, number);
        binding.path = vec!["p".repeat(1900); 4];
        wait(|reply| store.locations().update(&binding.aor, &[], std::slice::from_ref(&binding), reply))
    };
    let mut number = 0;
    let refusal = loop {
        match put(number) {
            Ok(()) => number += 1,
            Err(refusal) => break refusal,
        }
    };
    println!("{refusal:?} {number}");
    assert_eq!(refusal, StoreError::DiskFull);
    assert_eq!(store.health().state, StoreState::DiskFull);
    assert_eq!(put(number), Err(StoreError::DiskFull));
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let begun = Instant::now();
    while put(number).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", store.health());
        std::thread::yield_now();
    }
    for more in 1..100 {
        put(number + more).unwrap();
    }
    println!("recovered {}", number + 100);
    std::process::abort();
}

fn when_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // An ignored signal stays ignored over exec: the write fails instead of killing.
    command
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -S -f {FILE_BLOCKS_MAX}; exec \"$0\""))
        .arg(std::env::current_exe().unwrap());
    let mut child = child("fills the disk", folder.path(), command);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.starts_with("DiskFull "), "{line}");
    let lifted =
        Command::new("prlimit").args(["--fsize=unlimited", "--pid", &child.id().to_string()]).status().unwrap();
    assert!(lifted.success());
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let line = lines.next().expect("the child did not recover").unwrap();
    let kept: u64 = line.strip_prefix("recovered ").unwrap().parse().unwrap();
    child.wait().unwrap();
    let store = opened(folder.path());
    for number in 0..kept {
        let found = store.locations().of(&format!("sip:{number}@example.com")).unwrap();
        assert_eq!(u64::from(found[0].cseq), number);
    }
}

fn over_damage() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let store = opened(&whole);
    store.start_writer().unwrap();
    for number in 0..FLIPPED_BINDINGS {
        let binding = binding(number, number);
        store.locations().update(&binding.aor, &[], std::slice::from_ref(&binding), |_| {});
    }
    store.shutdown().unwrap();
    drop(store);
    let size = usize::try_from(fs::metadata(whole.join("sled/db")).unwrap().len()).unwrap();
    let (mut noticed, mut quarantined, mut carried, mut rolled_back) = (0, 0, 0, 0);
    let mut random = 7u64;
    // sled and its threads tell their panics to stderr; they are expected here.
    let main = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == main {
            println!("{info}");
        }
    }));
    for flip in 0..FLIPS {
        let trial = folder.path().join("trial");
        fs::create_dir_all(trial.join("sled")).unwrap();
        fs::copy(whole.join("witness"), trial.join("witness")).unwrap();
        for entry in fs::read_dir(whole.join("sled")).unwrap() {
            let entry = entry.unwrap();
            // With sled's snapshot and, as after its loss, without.
            let is_snapshot = entry.file_name().to_string_lossy().starts_with("snap");
            if entry.file_type().unwrap().is_file() && !(is_snapshot && flip % 2 == 1) {
                fs::copy(entry.path(), trial.join("sled").join(entry.file_name())).unwrap();
            }
        }
        let mut bytes = fs::read(trial.join("sled/db")).unwrap();
        let place = loop {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let place = usize::try_from(random >> 33).unwrap() % size;
            if bytes[place] != 0 {
                break place;
            }
        };
        // The first two are left whole: nothing may be told of them.
        bytes[place] ^= if flip < 2 { 0 } else { 0x41 };
        fs::write(trial.join("sled/db"), bytes).unwrap();

        let (store, report) = Store::open(StoreConfig::sled(&trial)).unwrap();
        let kept = store
            .locations()
            .iter()
            .map(Result::unwrap)
            .filter(|kept| *kept == binding(u64::from(kept.cseq), u64::from(kept.cseq)));
        let kept = kept.count() as u64;
        let told = !report.missing.is_empty() || report.quarantine.is_some() || report.rolled_back.is_some();
        assert!(kept == FLIPPED_BINDINGS || told, "byte {place}: {kept} left, {report:?}");
        assert!(flip >= 2 || !told, "{report:?}");
        noticed += u64::from(told);
        rolled_back += u64::from(report.rolled_back.is_some());
        if let Some(quarantine) = report.quarantine {
            assert!(quarantine.folder.join("report.txt").exists());
            quarantined += 1;
            carried += u64::from(quarantine.carried_over > 0);
        }
        // It works on, damage or not.
        store.start_writer().unwrap();
        let fresh = binding(9_999_999, 1);
        wait(|reply| store.locations().update(&fresh.aor, &[], std::slice::from_ref(&fresh), reply)).unwrap();
        store.shutdown().unwrap();
        drop(store);
        fs::remove_dir_all(&trial).unwrap();
    }
    drop(std::panic::take_hook());
    assert!(noticed > 0);
    println!(
        "{FLIPS} flips: {noticed} noticed, {quarantined} quarantined, {carried} carried over, {rolled_back} rolled back"
    );
}
