//! What callers and owners of mailboxes were told is done is there after `kill -9` at any instant (design law 5): twenty callers
//! leave messages and hear the tone that says “kept”, ten owners hear messages, delete and keep them, and the switch is killed
//! again and again.
//!
//! `scenarios/crash_loop` runs it five hundred times; here it runs a few.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use support::config::Config;
use support::line::{Gone, Life, Line};
use support::switch::Switch;
use support::tone::{FRAME_SAMPLES, to_mu_law};
use support::{PATIENCE, until};

const CALLERS: usize = 20;
const OWNERS: usize = 10;
/// Kills when nobody asks for another number.
const KILLS: usize = 4;
/// How long the switch lives, ms.
const LIFE_MS: std::ops::Range<u64> = 300..7_000;
/// Files of so many messages are read again after each start; all are at the end and every so many kills.
const READ_AGAIN: usize = 100;
const READ_ALL_EVERY: usize = 50;
/// What waits for a word of the switch waits for so long.
const WAIT: Duration = Duration::from_secs(12);

/// A message whose caller has heard that it is kept.
#[derive(Clone)]
struct Kept {
    owner: usize,
    call_id: String,
    /// What was said: see [`frame`].
    seed: u64,
    frames: u64,
    /// Size and checksum as they were seen first.
    sealed: Option<(u64, String)>,
}

/// What an owner has asked for and heard the answer of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Done {
    Deleted,
    Heard,
}

#[derive(Default)]
struct Told {
    kept: Mutex<Vec<Kept>>,
    /// How often each owner has heard that it is done.
    done: Mutex<BTreeMap<(usize, Done), usize>>,
    /// What the switch has shown of a message: what is shown is on disk.
    shown: Mutex<BTreeSet<(usize, u64, Done)>>,
    /// Everything that was said, by Call-ID.
    said: Mutex<HashMap<String, (u64, u64)>>,
}

/// 20 ms of sound that is like no other: chance, from a seed and a number.
fn frame(seed: u64, number: u64) -> [u8; FRAME_SAMPLES] {
    let mut chance = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
    std::array::from_fn(|_| to_mu_law(chance.random_range(-6_000..6_000)))
}

fn config() -> Config {
    let mut config = Config::bare()
        .service("5000", "voicemail")
        .set("auth", "algorithms", r#"["MD5"]"#)
        .entry("[[mailbox_policy]]\nname = \"all\"\npin_digits = 4\npin_first_change = false\nmessages_max = 100000\n");
    for number in 0..OWNERS {
        config = config.entry(&format!(
            "[[user]]\nname = \"owner{number}\"\npassword = \"owner{number}-secret\"\nextension = \"20{number:02}\"\n\
             mailbox = \"all\"\npin = \"2580\"\nmax_calls = 100\n"
        ));
    }
    (0..CALLERS).fold(config, |config, number| {
        config.user(&format!("caller{number}"), &format!("caller{number}-secret"), &format!("30{number:02}"))
    })
}

/// A caller leaves a message; one in four hangs up while speaking, who is promised nothing.
fn leaves(number: usize, switch: &RwLock<Switch>, life: &Life, told: &Told, chance: &mut StdRng) -> Result<(), Gone> {
    let owner = chance.random_range(0..OWNERS);
    let address = switch.read().expect("no panic").sip("udp");
    let mut line = Line::call(address, life, &format!("caller{number}"), &format!("20{owner:02}"))?;
    let (seed, frames) = (chance.random(), chance.random_range(60..150));
    line.press("#")?;
    line.hears_tone(880.0, WAIT)?;
    line.hears_silence(4, WAIT)?;
    told.said.lock().expect("no panic").insert(line.call_id().to_owned(), (seed, frames));
    for number in 0..frames {
        line.say(&frame(seed, number))?;
    }
    if chance.random_range(0..4) == 0 {
        line.hang_up();
        return Ok(());
    }
    line.press("#")?;
    line.hears_sound(3, WAIT)?;
    line.press("1#")?;
    line.hears_tone(659.25, WAIT)?;
    line.hears_tone(880.0, WAIT)?;
    let kept = Kept { owner, call_id: line.call_id().to_owned(), seed, frames, sealed: None };
    told.kept.lock().expect("no panic").push(kept);
    line.hang_up();
    Ok(())
}

/// The messages of an owner as the switch shows them.
fn shown(number: usize, switch: &Switch) -> Option<Vec<Value>> {
    switch.try_get(&format!("/api/mailboxes/owner{number}"))?["mailbox"]["messages"].as_array().cloned()
}

fn is(message: &Value, done: Done) -> bool {
    match done {
        Done::Deleted => message["deleted"] == true,
        Done::Heard => message["heard"] == true,
    }
}

/// An owner signs in, hears messages, deletes one and keeps one as heard.
fn hears(number: usize, switch: &RwLock<Switch>, life: &Life, told: &Told) -> Result<(), Gone> {
    let (address, list) = {
        let switch = switch.read().expect("no panic");
        (switch.sip("udp"), shown(number, &switch).ok_or(Gone)?)
    };
    let new = list.iter().filter(|one| !is(one, Done::Heard) && !is(one, Done::Deleted)).count();
    if new == 0 {
        return Err(Gone);
    }
    let mut line = Line::call(address, life, &format!("owner{number}"), "5000")?;
    line.press("2580#")?;
    line.hears_sound(5, WAIT)?;
    // The messages, and a pause in the first.
    line.press("12")?;
    // Which messages they are is not known here: one that was begun earlier may have been kept meanwhile, and comes first.
    for (key, done) in [("7", Done::Deleted), ("5", Done::Heard)].into_iter().take(new) {
        line.hears_silence(25, WAIT)?;
        line.press(key)?;
        // Whatever is said next is said when it is done.
        line.hears_sound(5, WAIT)?;
        *told.done.lock().expect("no panic").entry((number, done)).or_default() += 1;
        line.press("2")?;
    }
    let list = shown(number, &switch.read().expect("no panic")).ok_or(Gone)?;
    let mut seen = told.shown.lock().expect("no panic");
    for message in &list {
        let number_of_it = message["number"].as_u64().unwrap_or(0);
        let of_it = [Done::Deleted, Done::Heard].into_iter().filter(|done| is(message, *done));
        seen.extend(of_it.map(|done| (number, number_of_it, done)));
    }
    drop(seen);
    line.hang_up();
    Ok(())
}

/// One party after the other calls until it is over.
fn again(over: &AtomicBool, life: &Life, mut act: impl FnMut() -> Result<(), Gone>) {
    while !over.load(Ordering::Relaxed) {
        let before = life.load(Ordering::Relaxed);
        if act() == Err(Gone) {
            // Until the switch lives again, or for a moment.
            until(Duration::from_millis(300), || (life.load(Ordering::Relaxed) != before).then_some(()));
        }
    }
}

/// What one look at everything has found.
#[derive(Default, Debug)]
struct Look {
    messages: usize,
    read: usize,
    frames_said: u64,
    frames_found: u64,
    faults: Vec<String>,
}

/// Looks whether everything that was told is true.
fn look(switch: &Switch, told: &Told, checked: &mut usize, all: bool) -> Look {
    let mut look = Look::default();
    let mut by_call: HashMap<String, (usize, Value)> = HashMap::new();
    let (done, on_show) = (told.done.lock().expect("no panic").clone(), told.shown.lock().expect("no panic").clone());
    for owner in 0..OWNERS {
        let view = until(PATIENCE, || switch.try_get(&format!("/api/mailboxes/owner{owner}")));
        let Some(view) = view else {
            look.faults.push(format!("the mailbox of owner{owner} cannot be had"));
            continue;
        };
        let messages = view["mailbox"]["messages"].as_array().cloned().unwrap_or_default();
        let there =
            |heard: bool| messages.iter().filter(|one| one["deleted"] == false && one["heard"] == heard).count();
        let counts = &view["mailbox"]["counts"];
        if (counts["new"].as_u64(), counts["old"].as_u64()) != (Some(there(false) as u64), Some(there(true) as u64)) {
            look.faults.push(format!("owner{owner}: {counts} of {} and {}", there(false), there(true)));
        }
        for what in [Done::Deleted, Done::Heard] {
            let (are, told) = (messages.iter().filter(|one| is(one, what)).count(), done.get(&(owner, what)));
            if are < *told.unwrap_or(&0) {
                look.faults.push(format!("owner{owner}: {are} are {what:?}, of {told:?} that were told"));
            }
        }
        for message in messages {
            look.messages += 1;
            if message["damaged"] == true {
                look.faults.push(format!("owner{owner}: {message} is damaged"));
            }
            let number = message["number"].as_u64().unwrap_or(0);
            for what in [Done::Deleted, Done::Heard] {
                if on_show.contains(&(owner, number, what)) && !is(&message, what) {
                    look.faults.push(format!("owner{owner}: {message} was {what:?}"));
                }
            }
            let call_id = message["call_id"].as_str().unwrap_or_default().to_owned();
            if let Some((_, twice)) = by_call.insert(call_id, (owner, message.clone())) {
                look.faults.push(format!("owner{owner}: {message} and {twice} are of one call"));
            }
        }
    }
    let mut kept = told.kept.lock().expect("no panic");
    let count = kept.len();
    for (index, one) in kept.iter_mut().enumerate() {
        let Some((_, message)) = by_call.get(&one.call_id).filter(|(owner, _)| *owner == one.owner) else {
            look.faults.push(format!("owner{}: the message of {} is lost", one.owner, one.call_id));
            continue;
        };
        let sealed = (message["bytes"].as_u64().unwrap_or(0), message["crc32c"].as_str().unwrap_or("").to_owned());
        let first = index >= *checked;
        if one.sealed.get_or_insert_with(|| sealed.clone()) != &sealed {
            look.faults.push(format!("owner{}: {message} was {:?}", one.owner, one.sealed));
        }
        if !(first || all || index + READ_AGAIN > count) {
            continue;
        }
        look.read += 1;
        let file = switch.data().join(format!("mail/owner{}/{}.wav", one.owner, message["number"]));
        let bytes = std::fs::read(&file).unwrap_or_default();
        let store::audio::Sealed { bytes: size, checksum } = store::audio::Sealed::of(&bytes);
        if (size, format!("{checksum:08x}")) != sealed {
            look.faults.push(format!("owner{}: the file of {message} is another", one.owner));
        }
        if first {
            let found = found(&bytes, one.seed, one.frames);
            look.frames_said += one.frames;
            look.frames_found += found;
            // What a busy machine was late for is bridged by the jitter buffer; all else is as it was said.
            if found * 2 < one.frames {
                look.faults.push(format!("owner{}: of {} frames {found} are in {message}", one.owner, one.frames));
            }
        }
    }
    *checked = count;
    look
}

/// How many of the frames that were said are in a file, byte for byte and in their order.
fn found(file: &[u8], seed: u64, frames: u64) -> u64 {
    let Ok((_, sound)) = media::wav::parse(file) else { return 0 };
    let (mut at, mut found) = (0, 0);
    for number in 0..frames {
        let said = frame(seed, number);
        if let Some(place) = sound[at..].windows(said.len()).position(|window| window == said) {
            at += place + said.len();
            found += 1;
        }
    }
    found
}

#[test]
fn what_callers_and_owners_were_told_is_done_outlives_kill_9() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = asked("STROWGER_KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("a number"));
    let mut chance = StdRng::seed_from_u64(asked("STROWGER_SEED").unwrap_or(1878));
    let switch = RwLock::new(Switch::start(config()));
    let (life, over, told): (Life, _, _) = (Arc::new(AtomicU64::new(1)), AtomicBool::new(false), Told::default());
    let (mut lost, mut said, mut found) = (Vec::new(), 0, 0);
    println!(
        "{:>5} {:>8} {:>9} {:>8} {:>8} {:>9} {:>6} {:>8}",
        "kills", "lived ms", "messages", "kept", "deleted", "heard", "read", "faults"
    );
    std::thread::scope(|scope| {
        let (switch, life, over, told) = (&switch, &life, &over, &told);
        for number in 0..CALLERS {
            let mut chance = StdRng::seed_from_u64(number as u64);
            scope.spawn(move || again(over, life, || leaves(number, switch, life, told, &mut chance)));
        }
        for number in 0..OWNERS {
            scope.spawn(move || again(over, life, || hears(number, switch, life, told)));
        }
        let mut checked = 0;
        for kill in 1..=kills {
            let lives = chance.random_range(LIFE_MS);
            let end = Instant::now() + Duration::from_millis(lives);
            until(PATIENCE, || (Instant::now() >= end).then_some(()));
            let mut guard = switch.write().expect("no panic");
            guard.kill9();
            life.fetch_add(1, Ordering::Relaxed);
            guard.restart();
            let look = look(&guard, told, &mut checked, kill == kills || kill % READ_ALL_EVERY == 0);
            drop(guard);
            said += look.frames_said;
            found += look.frames_found;
            let of = |what: Done| -> usize {
                let done = told.done.lock().expect("no panic");
                done.iter().filter(|((_, done), _)| *done == what).map(|(_, times)| times).sum()
            };
            println!(
                "{kill:>5} {lives:>8} {:>9} {:>8} {:>8} {:>9} {:>6} {:>8}",
                look.messages,
                checked,
                of(Done::Deleted),
                of(Done::Heard),
                look.read,
                look.faults.len()
            );
            lost.extend(look.faults);
            if !lost.is_empty() {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        life.fetch_add(1, Ordering::Relaxed);
    });
    println!(
        "of {said} frames that were kept {found} are there byte for byte ({:.2} %)",
        100.0 * found as f64 / said.max(1) as f64
    );
    assert!(lost.is_empty(), "{lost:#?}");
    let kept = told.kept.lock().expect("no panic").len();
    assert!(kept > kills, "{kept} messages in {kills} lives tell nothing");
}
