//! What `kill -9` costs a recording: its last chunk at most.

mod common;

use media::recorder::{Recorder, RecordingSpec, repair};
use media::wav::{self, Encoding};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells the process of the second test where to record to.
const RECORD_TO: &str = "RECORD_TO";
const PATIENCE: Duration = Duration::from_secs(60);

/// What is recorded: every sample says where it belongs.
fn sample(at: usize) -> i16 {
    i16::try_from(at % 30_011).unwrap()
}

fn counted(path: &Path) -> usize {
    std::fs::read(path).ok().and_then(|file| wav::parse(&file).ok().map(|(_, sound)| sound.len() / 2)).unwrap_or(0)
}

#[test]
fn after_kill_9_the_file_is_a_recording_up_to_its_last_chunk_and_repair_finds_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.wav"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &common::named("a_process_that_only_records")])
            .env(RECORD_TO, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while counted(&path) < 8000 * 20 * (round + 1) {
            assert!(start.elapsed() < PATIENCE, "the child does not record");
            std::thread::yield_now();
        }
        let seen = counted(&path);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        let valid = counted(&path);
        assert!(valid >= seen, "{valid} samples after {seen} were there");
        repair(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        let (format, sound) = wav::parse(&file).unwrap();
        let sound = wav::decode(format.encoding, sound);
        assert!(sound.len() >= valid);
        assert!(sound.iter().enumerate().all(|(at, found)| *found == sample(at)), "not what was recorded");
    }
}

/// The process that is killed: records without end, as fast as the disk takes it. As a test of its own it does nothing.
#[test]
fn a_process_that_only_records() {
    let Some(path) = std::env::var_os(RECORD_TO) else { return };
    let recorder = Recorder::default();
    let _writer = recorder.start_writer_watched(|_| ()).unwrap();
    let spec = RecordingSpec {
        path: path.into(),
        encoding: Encoding::Linear,
        rate_hz: 8000,
        longest: Duration::from_secs(24 * 3600),
        silence: None,
        stop_keys: "",
        fax_ends: false,
    };
    let tape = recorder.record(spec, |_| ()).unwrap();
    let mut at = 0;
    loop {
        let block: Vec<i16> = (at..at + 800).map(sample).collect();
        loop {
            let lost = tape.lost();
            tape.put(&block);
            if tape.lost() == lost {
                break;
            }
            std::thread::yield_now();
        }
        at += block.len();
    }
}
