//! What an owner does with the keys of voice access, by sound: messages are answered, sent on, deleted and had back; greetings and PINs
//! are made anew; and who is diverted by a carrier comes to the right mailbox.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use support::carrier::Place;
use support::config::Config;
use support::line::{Gone, Life, Line};
use support::switch::Switch;
use support::tone::Tone;
use support::{PATIENCE, until};

/// Frames in which a row of keys is over: 1.5 s.
const ROW_OVER: usize = 75;
/// What is said takes so many frames: 1.4 s.
const SPOKEN: usize = 70;

struct House {
    switch: Switch,
    life: Life,
}

impl House {
    fn new(config: Config) -> Self {
        Self { switch: Switch::start(config), life: Arc::new(AtomicU64::new(1)) }
    }

    fn call(&self, name: &str, number: &str) -> Result<Line, Gone> {
        Line::call(self.switch.sip("udp"), &self.life, name, number)
    }

    /// Signs in from the own phone; the summary is being said.
    fn sign_in(&self, name: &str, pin: &str) -> Result<Line, Gone> {
        let mut line = self.call(name, "5000")?;
        line.press(&format!("{pin}#"))?;
        line.hears_silence(8, PATIENCE)?;
        line.hears_sound(8, PATIENCE)?;
        Ok(line)
    }

    fn mailbox(&self, user: &str) -> Value {
        self.switch.get(&format!("/api/mailboxes/{user}")).1["mailbox"].clone()
    }

    fn messages(&self, user: &str) -> Vec<Value> {
        self.mailbox(user)["messages"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until the messages of a mailbox are so.
    fn expect(&self, user: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let found = until(PATIENCE, || Some(self.messages(user)).filter(|list| fits(list)));
        found.unwrap_or_else(|| panic!("{user} has {:?}\n{}", self.messages(user), self.switch.log_tail()))
    }

    /// The tones of a message, Hz: at its beginning and at its end.
    fn tones(&self, user: &str, message: &Value) -> [f64; 2] {
        let file = self.switch.data().join(format!("mail/{user}/{}.wav", message["number"]));
        let bytes = std::fs::read(file).expect("the file of the message");
        let (format, sound) = media::wav::parse(&bytes).expect("a WAV file");
        let samples = media::wav::decode(format.encoding, sound);
        let pieces = [&samples[2_000..6_000], &samples[samples.len() - 6_000..samples.len() - 2_000]];
        pieces.map(|piece| media::tone::measure(piece, 8_000).map_or(0.0, |tone| tone.hz))
    }
}

fn quiet(line: &mut Line, frames: usize) -> Result<(), Gone> {
    (0..frames).try_for_each(|_| line.quiet())
}

/// Says a tone after the one that asks for it, and ends it by a key.
fn say(line: &mut Line, hz: f64) -> Result<(), Gone> {
    line.hears_tone(880.0, PATIENCE)?;
    line.hears_silence(4, PATIENCE)?;
    let mut tone = Tone::new(hz);
    (0..SPOKEN).try_for_each(|_| line.say(&tone.frame()))?;
    line.press("#")?;
    line.hears_sound(3, PATIENCE)
}

/// Says it, sends it, and hears that it is kept.
fn say_and_send(line: &mut Line, hz: f64) -> Result<(), Gone> {
    say(line, hz)?;
    line.press("1#")?;
    is_kept(line)
}

fn is_kept(line: &mut Line) -> Result<(), Gone> {
    line.hears_tone(659.25, PATIENCE)?;
    line.hears_tone(880.0, PATIENCE)
}

fn close(found: [f64; 2], wanted: [f64; 2]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 8.0)
}

#[test]
fn messages_are_answered_and_sent_on_and_had_back_and_go_for_good_when_their_time_is_over() -> Result<(), Gone> {
    let carrier = Place::at(2);
    let config = Config::with_mailboxes()
        .entry(&carrier.entry("carrier", ""))
        .set("auth", "algorithms", r#"["MD5"]"#)
        .entry("[[mailbox_policy]]\nname = \"brief\"\npin_digits = 4\npin_first_change = false\ndeleted_keep = \"1s\"\n")
        .entry(
            "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1005\"\nmailbox = \"brief\"\npin = \"7410\"\n",
        );
    let mut house = House::new(config);
    for hz in [620.0, 700.0] {
        let mut alice = house.call("alice", "1005")?;
        alice.press("#")?;
        say_and_send(&mut alice, hz)?;
        alice.hang_up();
    }
    house.expect("erin", |list| list.len() == 2);

    let mut erin = house.sign_in("erin", "7410")?;
    erin.press("1")?;
    erin.hears_tone(620.0, PATIENCE)?;
    // 8 answers; 1 records it.
    erin.press("8")?;
    erin.hears_sound(5, PATIENCE)?;
    erin.press("1")?;
    say_and_send(&mut erin, 500.0)?;
    let answers = house.expect("alice", |list| list.len() == 1);
    assert_eq!((&answers[0]["sender"], &answers[0]["kind"]), (&"erin".into(), &"sent".into()), "{answers:?}");
    let tones = house.tones("alice", &answers[0]);
    assert!(close(tones, [500.0, 500.0]), "{tones:?}");

    // 00, then 6, sends it on: to carol, as her name is spelled.
    quiet(&mut erin, ROW_OVER)?;
    erin.press("00")?;
    quiet(&mut erin, ROW_OVER)?;
    erin.press("6")?;
    erin.hears_sound(5, PATIENCE)?;
    erin.press("22765#")?;
    erin.hears_sound(5, PATIENCE)?;
    erin.press("1")?;
    say_and_send(&mut erin, 400.0)?;
    let sent_on = house.expect("carol", |list| list.len() == 1);
    let tones = house.tones("carol", &sent_on[0]);
    assert!(close(tones, [400.0, 620.0]), "{tones:?}");

    // 7 deletes, and the next one comes; 77 has it back.
    quiet(&mut erin, ROW_OVER)?;
    erin.press("7")?;
    house.expect("erin", |list| list[0]["deleted"] == true);
    erin.hears_tone(700.0, PATIENCE)?;
    erin.press("77")?;
    house.expect("erin", |list| list[0]["deleted"] == false);
    quiet(&mut erin, ROW_OVER)?;
    erin.press("7")?;
    house.expect("erin", |list| list[0]["deleted"] == true);
    erin.hang_up();

    // A carrier says whom its caller was diverted from.
    let diverted = "Diversion: <sip:1003@example.com>;reason=no-answer\n";
    let mut caller = Line::call_on(carrier.wire(&house.switch), &house.life, "0391234567", "5000", diverted)?;
    caller.press("#")?;
    say_and_send(&mut caller, 900.0)?;
    caller.hang_up();
    let list = house.expect("carol", |list| list.len() == 2);
    assert_eq!(list[1]["from"], "0391234567", "{list:?}");
    // What was deleted for long enough, as long as that call, is gone at the next opening, file and all.
    let deleted = house.messages("erin")[0]["number"].clone();
    let file = house.switch.data().join(format!("mail/erin/{deleted}.wav"));
    assert!(file.exists());
    house.switch.restart();
    house.expect("erin", |list| list.len() == 1);
    assert!(!file.exists());
    Ok(())
}

#[test]
fn a_greeting_and_another_pin_are_made_by_phone() -> Result<(), Gone> {
    let house = House::new(Config::with_mailboxes().set("auth", "algorithms", r#"["MD5"]"#));
    let mut bob = house.sign_in("bob", "2580")?;
    // Personal options, greetings, the standard one.
    for key in ["6", "2", "1"] {
        bob.press(key)?;
        quiet(&mut bob, 10)?;
    }
    say(&mut bob, 990.0)?;
    bob.press("1")?;
    is_kept(&mut bob)?;
    assert_eq!(house.mailbox("bob")["greetings"], json!(["greeting"]));
    let mut alice = house.call("alice", "1002")?;
    alice.hears_tone(990.0, PATIENCE)?;
    alice.hang_up();

    // Back, and 3: a PIN that is a row of digits is not taken, nor that of before; another one is.
    quiet(&mut bob, ROW_OVER)?;
    bob.press("*")?;
    quiet(&mut bob, 10)?;
    bob.press("3")?;
    for pin in ["1234", "2580", "9182"] {
        for _ in 0..2 {
            bob.hears_sound(5, PATIENCE)?;
            bob.press(&format!("{pin}#"))?;
            quiet(&mut bob, 10)?;
        }
        bob.hears_silence(8, PATIENCE)?;
    }
    bob.hears_sound(5, PATIENCE)?;
    bob.hang_up();
    let failures = |wanted: u64| until(PATIENCE, || (house.mailbox("bob")["failures"] == wanted).then_some(()));
    let mut bob = house.call("bob", "5000")?;
    bob.press("2580#")?;
    assert!(failures(1).is_some(), "{}", house.mailbox("bob"));
    bob.hears_silence(8, PATIENCE)?;
    bob.hears_sound(8, PATIENCE)?;
    bob.press("9182#")?;
    assert!(failures(0).is_some(), "{}", house.mailbox("bob"));
    bob.hang_up();
    Ok(())
}
