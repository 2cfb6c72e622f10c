//! A disk that is full, read-only or slow: callers and owners hear what becomes of their messages, nobody is cut off in silence, and
//! what was acknowledged is there, also when the index of the messages is lost.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use support::config::Config;
use support::line::{Gone, Life, Line};
use support::switch::Switch;
use support::tone::Tone;
use support::{PATIENCE, until};

/// What callers say, Hz.
const VOICE_HZ: f64 = 620.0;
/// A sentence has a word of so many frames of sound: 160 ms.
const SENTENCE: usize = 8;

fn config() -> Config {
    Config::bare()
        .service("5000", "voicemail")
        .set("auth", "algorithms", r#"["MD5"]"#)
        .set("admin", "allow_faults", "true")
        .entry("[[mailbox_policy]]\nname = \"all\"\npin_digits = 4\npin_first_change = false\n")
        .entry(
            "[[user]]\nname = \"owner\"\npassword = \"owner-secret\"\nextension = \"2000\"\nmailbox = \"all\"\npin = \"2580\"\n",
        )
        .user("caller", "caller-secret", "3000")
}

struct House {
    switch: Switch,
    life: Life,
}

impl House {
    fn new(switch: Switch) -> Self {
        Self { switch, life: Arc::new(AtomicU64::new(1)) }
    }

    fn call(&self, name: &str, number: &str) -> Result<Line, Gone> {
        Line::call(self.switch.sip("udp"), &self.life, name, number)
    }

    /// The tone after which a caller speaks.
    fn to_the_tone(&self) -> Result<Line, Gone> {
        let mut line = self.call("caller", "2000")?;
        line.press("#")?;
        line.hears_tone(880.0, PATIENCE)?;
        line.hears_silence(4, PATIENCE)?;
        Ok(line)
    }

    fn messages(&self) -> Vec<Value> {
        let list = self.switch.get("/api/mailboxes/owner").1;
        list["mailbox"]["messages"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until there are so many messages.
    fn expect(&self, count: usize) -> Vec<Value> {
        let found = until(PATIENCE, || Some(self.messages()).filter(|list| list.len() == count));
        found.unwrap_or_else(|| panic!("{:?}\n{}", self.messages(), self.switch.log_tail()))
    }

    /// What the record of a call says.
    fn record(&self, call_id: &str) -> String {
        self.switch.get(&format!("/api/calls/{call_id}")).1.to_string()
    }
}

fn speak(line: &mut Line, frames: usize) -> Result<(), Gone> {
    let mut tone = Tone::new(VOICE_HZ);
    (0..frames).try_for_each(|_| line.say(&tone.frame()))
}

/// Ends the recording and sends it.
fn send(line: &mut Line) -> Result<(), Gone> {
    line.press("#")?;
    line.hears_sound(3, PATIENCE)?;
    line.press("1#")
}

/// The tone that says that it is kept.
fn is_kept(line: &mut Line) -> Result<(), Gone> {
    line.hears_tone(659.25, PATIENCE)?;
    line.hears_tone(880.0, PATIENCE)
}

/// Hears a sentence, and that the switch hangs up then.
fn sentence_and_end(line: &mut Line) {
    assert_eq!(line.hears_sound(SENTENCE, PATIENCE), Ok(()), "nothing is said");
    assert!(line.hears_silence(usize::MAX, PATIENCE).is_err() && line.is_over(), "the call is not over");
}

#[test]
fn callers_hear_of_a_full_a_read_only_and_a_slow_disk_and_no_message_is_lost() -> Result<(), Gone> {
    let mut house = House::new(Switch::start_on_disk(config()));
    let mut first = house.to_the_tone()?;
    speak(&mut first, 100)?;
    send(&mut first)?;
    is_kept(&mut first)?;
    first.hang_up();
    house.expect(1);

    // Full, while somebody speaks.
    let mut second = house.to_the_tone()?;
    speak(&mut second, 120)?;
    house.switch.disk().fill();
    // Until the disk is noticed, at the next chunk, the caller speaks on.
    let call_id = second.call_id().to_owned();
    let noticed = || house.record(&call_id).contains("the recording could not be written");
    while !noticed() && speak(&mut second, 10).is_ok() {}
    sentence_and_end(&mut second);
    // And for who calls now.
    let mut third = house.call("caller", "2000")?;
    sentence_and_end(&mut third);
    assert!(house.record(third.call_id()).contains("the disk takes no recording"), "{}", house.record(third.call_id()));
    house.switch.disk().empty();
    // What was said before was kept in what room there was, or is delivered by itself.
    let list = house.expect(2);
    assert!(list[1]["length_ms"].as_u64() >= Some(1_000), "{list:?}");

    // Read-only: what was recorded is not sent yet, nobody leaves another one, and the owner hears those that are there.
    let mut late = house.to_the_tone()?;
    speak(&mut late, 80)?;
    late.press("#")?;
    late.hears_sound(3, PATIENCE)?;
    house.switch.disk().read_only("mail", true);
    late.press("1#")?;
    sentence_and_end(&mut late);
    assert!(house.record(late.call_id()).contains("the message is not delivered"), "{}", house.record(late.call_id()));
    let mut fourth = house.call("caller", "2000")?;
    sentence_and_end(&mut fourth);
    let mut owner = house.call("owner", "5000")?;
    owner.press("2580#")?;
    owner.hears_sound(5, PATIENCE)?;
    owner.press("1")?;
    owner.hears_tone(VOICE_HZ, PATIENCE)?;
    owner.hang_up();
    house.switch.disk().read_only("mail", false);
    house.expect(3);

    // Slow: the caller is told to wait, and then that it is kept.
    let mut fifth = house.to_the_tone()?;
    speak(&mut fifth, 80)?;
    fifth.press("#")?;
    fifth.hears_sound(3, PATIENCE)?;
    assert_eq!(house.switch.post("/api/faults/disk", &json!({ "slower_ms": 7_000 })).0, 200);
    fifth.press("1")?;
    fifth.hears_sound(3, PATIENCE)?;
    fifth.press("#")?;
    // The menu is cut off by the key; what is said next is said while the disk is waited for.
    fifth.hears_silence(100, PATIENCE)?;
    fifth.hears_sound(10, Duration::from_secs(5))?;
    is_kept(&mut fifth)?;
    assert_eq!(house.switch.post("/api/faults/disk", &json!({ "slower_ms": 0 })).0, 200);
    fifth.hang_up();

    let before = house.expect(4);
    house.switch.kill9();
    house.switch.restart();
    assert_eq!(house.expect(4), before);
    assert!(house.switch.command(&["mailbox", "verify", "owner"]).status.success());

    // The index is lost: it is made anew from the files.
    house.switch.stop();
    let lost = std::fs::remove_dir_all(house.switch.data().join("sled"));
    assert!(lost.is_ok(), "{lost:?}");
    house.switch.restart();
    let what = |list: &[Value]| -> Vec<Value> {
        let of = |one: &Value| json!([one["number"], one["from"], one["length_ms"], one["crc32c"], one["call_id"]]);
        list.iter().map(of).collect()
    };
    assert_eq!(what(&house.expect(4)), what(&before));
    Ok(())
}
