//! The words of a message are made out by a program beside the switch: they are in the API, on the command line and in the letter,
//! and whatever that program does costs a letter no more than its time.

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use media::prompt::{Language, Prompts, Say};
use serde_json::{Value, json};
use support::config::Config;
use support::line::{Life, Line};
use support::smtp::{Smtp, free_port};
use support::switch::Switch;
use support::tone::{FRAME_SAMPLES, to_mu_law};
use support::{PATIENCE, project, until};

fn with_letters(command: &[&str], patience: &str) -> (Switch, Smtp) {
    let port = free_port();
    let server = Smtp::start(port);
    let config = Config::with_mailboxes()
        .set("auth", "algorithms", r#"["MD5"]"#)
        .set("admin", "allow_faults", "true")
        .set("smtp", "host", r#""127.0.0.1""#)
        .set("smtp", "port", &port.to_string())
        .set("smtp", "security", r#""none""#)
        .set("transcripts", "command", &json!(command).to_string())
        .set("transcripts", "patience", patience)
        .set("transcripts", "confidence_low", "100")
        .set("transcripts", "confidence_min", "0");
    (Switch::start(config), server)
}

/// Alice says something into the mailbox of dave, who is not there.
fn leave(switch: &Switch, prompts: &[&str]) {
    let life: Life = Arc::new(AtomicU64::new(1));
    let mut line = Line::call(switch.sip("udp"), &life, "alice", "1004").expect("an answer");
    line.press("#").expect("the call stands");
    line.hears_tone(880.0, PATIENCE).expect("the tone that says: speak");
    line.hears_silence(4, PATIENCE).expect("its end");
    let words: Vec<Say<'_>> = prompts.iter().map(|name| Say::Prompt(name)).collect();
    let sound = Prompts::shipped().speak(Language::English, &words);
    for samples in sound.samples().chunks_exact(FRAME_SAMPLES) {
        let frame: [u8; FRAME_SAMPLES] = std::array::from_fn(|at| to_mu_law(samples[at]));
        line.say(&frame).expect("the call stands");
    }
    for _ in 0..15 {
        line.quiet().expect("the call stands");
    }
    assert!(line.hang_up());
}

fn message(switch: &Switch) -> Value {
    let found = until(PATIENCE, || switch.try_get("/api/mailboxes/dave")?["mailbox"]["messages"].get(0).cloned());
    found.unwrap_or_else(|| panic!("no message\n{}", switch.log_tail()))
}

fn transcriber(switch: &Switch) -> Value {
    let (_, tree) = switch.get("/api/tree");
    let nodes = tree["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["path"] == "/switch/mail/transcriber").expect("it is in the tree").clone()
}

/// Waits until the tree says so of the recognisers.
fn expect_described(switch: &Switch, words: &str) {
    let is = |node: &Value| node["description"].as_str().is_some_and(|text| text.contains(words));
    let found = until(PATIENCE, || is(&transcriber(switch)).then_some(()));
    assert!(found.is_some(), "{}", transcriber(switch));
}

#[test]
fn the_words_of_a_message_are_in_its_letter_and_on_the_command_line() {
    let python = std::env::var_os("STROWGER_PHONES").map_or_else(|| project("target/phones"), PathBuf::from);
    let python = python.join("bin/python").display().to_string();
    let (switch, server) =
        with_letters(&[&python, &project("tests/support/recogniser.py").display().to_string()], r#""60s""#);
    // "This message is damaged and cannot be played."
    leave(&switch, &["message-damaged"]);
    let letter = server.next(3 * PATIENCE);
    let text = letter["text"].as_str().expect("a text");
    assert!(text.contains("Voice mail preview (confidence is low):"), "{text}\n{}", switch.log_tail());
    assert!(text.contains("cannot be played"), "{text}");
    assert_eq!(letter["sounds"].as_array().map(Vec::len), Some(1), "{letter}");
    assert_eq!(message(&switch)["transcript"], true);

    let (status, answer) = switch.get("/api/mailboxes/dave/messages/1/transcript");
    assert_eq!(status, 200, "{answer}");
    let words = answer["transcript"]["words"].as_array().expect("words");
    let played = words.iter().find(|word| word["word"] == "played").unwrap_or_else(|| panic!("{answer}"));
    let length = message(&switch)["length_ms"].as_u64().expect("a length");
    let (from, to) = (played["from_ms"].as_u64().expect("a time"), played["to_ms"].as_u64().expect("a time"));
    assert!(from < to && to <= length && from > length / 2, "{played} of {length} ms");
    let shown = switch.command(&["mailbox", "transcript", "dave", "1"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("cannot be played") && shown.contains("% sure"), "{shown}");

    // The words go with the message.
    let (status, answer) = switch.get("/api/mailboxes/dave/messages/7/transcript");
    assert_eq!(status, 404, "{answer}");
    assert!(answer["error"].as_str().is_some_and(|text| text.contains("message 7 of dave")), "{answer}");
}

#[test]
fn a_recogniser_that_hangs_is_ended_and_its_letter_goes_without_words() {
    let (switch, server) = with_letters(&["sh", "-c", "cat >/dev/null; exec sleep 600"], r#""1s""#);
    leave(&switch, &["message-damaged"]);
    // The message does not wait.
    assert_eq!(message(&switch)["transcript"], false);
    let letter = server.next(PATIENCE);
    assert!(!letter["text"].as_str().expect("a text").contains("preview"), "{letter}");
    assert_eq!(letter["sounds"].as_array().map(Vec::len), Some(1), "{letter}");
    expect_described(&switch, "0 being read, 0 waiting, 0 read, 1 failed");
    assert!(switch.log().contains("took longer than"), "{}", switch.log_tail());
    let figures = switch.get_as_stranger("/metrics").1;
    assert!(figures.as_str().is_some_and(|text| text.contains("strowger_transcripts_total{outcome=\"late\"} 1")));
}

#[test]
fn a_recogniser_that_dies_or_babbles_costs_a_letter_its_words_alone() {
    // The first message is met by one that fails, the second by one that prints no JSON.
    let script = "cat >/dev/null; test -e failed && { echo babble; exit 0; }; touch failed; echo no model >&2; exit 3";
    let room = tempfile::tempdir().expect("a folder");
    let script = format!("cd {}; {script}", room.path().display());
    let (switch, server) = with_letters(&["sh", "-c", &script], r#""60s""#);
    for told in ["no model", "babble"] {
        leave(&switch, &["message-damaged"]);
        let letter = server.next(PATIENCE);
        assert!(!letter["text"].as_str().expect("a text").contains("preview"), "{letter}");
        let log = until(PATIENCE, || switch.log().contains(told).then_some(()));
        assert!(log.is_some(), "{told}\n{}", switch.log_tail());
    }
    expect_described(&switch, "0 being read, 0 waiting, 0 read, 2 failed");

    // Its actor dies as well: it is back, and reads what comes.
    let (status, answer) = switch.post("/api/kill", &json!({ "path": "/switch/mail/transcriber", "how": "panic" }));
    assert_eq!(status, 200, "{answer}");
    let back = until(PATIENCE, || (transcriber(&switch)["restarts"] == 1).then_some(()));
    assert!(back.is_some(), "{}", transcriber(&switch));
    leave(&switch, &["message-damaged"]);
    server.next(PATIENCE);
}
