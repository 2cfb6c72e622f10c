use super::*;
use crate::codec::g711::Law;
use crate::tone::{Sine, measure};
use crate::wav;
use proptest::prelude::*;
use std::sync::mpsc::{Receiver, channel};

const PATIENCE: Duration = Duration::from_secs(20);

fn spec(path: PathBuf) -> RecordingSpec {
    RecordingSpec {
        path,
        encoding: Encoding::Linear,
        rate_hz: 8000,
        longest: Duration::from_secs(3600),
        silence: None,
        stop_keys: "",
        fax_ends: false,
    }
}

struct Studio {
    folder: tempfile::TempDir,
    recorder: Recorder,
    writer: Option<JoinHandle<()>>,
}

impl Studio {
    fn new() -> Studio {
        let recorder = Recorder::default();
        let writer = recorder.start_writer_watched(|_| ()).unwrap();
        Studio { folder: tempfile::tempdir().unwrap(), recorder, writer: Some(writer) }
    }

    fn record(&self, edit: impl FnOnce(&mut RecordingSpec)) -> (Arc<Tape>, Receiver<RecordingEnd>) {
        let mut spec = spec(self.folder.path().join("one.wav"));
        edit(&mut spec);
        let (send, receive) = channel();
        let tape = self.recorder.record(spec, move |end| send.send(end).unwrap()).unwrap();
        (tape, receive)
    }

    fn sound(&self) -> (Format, Vec<i16>) {
        let file = std::fs::read(self.folder.path().join("one.wav")).unwrap();
        let (format, bytes) = wav::parse(&file).unwrap();
        (format, wav::decode(format.encoding, bytes))
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.recorder.stop_writer();
        self.writer.take().unwrap().join().unwrap();
    }
}

/// Puts samples on a tape as fast as the writer takes them.
fn play(tape: &Tape, samples: &[i16]) {
    for block in samples.chunks(800) {
        let before = tape.lost();
        tape.put(block);
        while tape.lost() > before && !tape.is_closed() {
            std::thread::yield_now();
            let lost = tape.lost();
            tape.put(block);
            if tape.lost() == lost {
                break;
            }
        }
    }
}

fn tone(ms: usize, dbm0: f64) -> Vec<i16> {
    let mut samples = vec![0; 8 * ms];
    Sine::new(1000.0, dbm0, 8000).fill(&mut samples);
    samples
}

#[test]
fn what_was_put_is_in_the_file_sample_by_sample_in_every_encoding() {
    for encoding in [Encoding::Linear, Encoding::G711(Law::A), Encoding::G711(Law::Mu)] {
        let studio = Studio::new();
        let (tape, ends) = studio.record(|spec| spec.encoding = encoding);
        let sound = tone(2000, -10.0);
        tape.put(&sound);
        tape.stop();
        let end = ends.recv_timeout(PATIENCE).unwrap();
        assert_eq!((end.why, end.length, end.lost_samples), (Why::Stopped, Duration::from_secs(2), 0));
        let (format, written) = studio.sound();
        assert_eq!((format.encoding, written.len()), (encoding, sound.len()));
        if encoding == Encoding::Linear {
            assert_eq!(written, sound);
        }
        let found = measure(&written, 8000).unwrap();
        assert!((found.hz - 1000.0).abs() < 1.0 && (found.dbm0 + 10.0).abs() < 0.3, "{found:?}");
    }
}

#[test]
fn silence_ends_a_recording_and_is_cut_off_its_end() {
    let studio = Studio::new();
    let (tape, ends) = studio.record(|spec| spec.silence = Some(Duration::from_secs(2)));
    tape.put(&[tone(1000, -20.0), tone(500, -70.0), tone(500, -20.0)].concat());
    play(&tape, &tone(3000, -70.0));
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!((end.why, end.length), (Why::Silence, Duration::from_millis(2300)));
    assert_eq!(studio.sound().1.len(), 8 * 2300);
}

#[test]
fn a_recording_is_as_long_as_it_may_be_to_the_sample() {
    let studio = Studio::new();
    let (tape, ends) = studio.record(|spec| spec.longest = Duration::from_millis(1234));
    tape.put(&tone(2000, -20.0));
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!((end.why, end.length), (Why::Longest, Duration::from_millis(1234)));
    assert_eq!(studio.sound().1, tone(1234, -20.0));
}

#[test]
fn its_key_ends_a_recording_and_another_does_not() {
    let studio = Studio::new();
    let (tape, ends) = studio.record(|spec| spec.stop_keys = "#*");
    tape.put(&tone(100, -20.0));
    tape.key('5');
    tape.put(&tone(100, -20.0));
    tape.key('#');
    tape.put(&tone(100, -20.0));
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!((end.why, end.length), (Why::Key('#'), Duration::from_millis(200)));
}

#[test]
fn what_finds_no_room_on_the_tape_is_counted_and_told() {
    let recorder = Recorder::default();
    let folder = tempfile::tempdir().unwrap();
    let (send, ends) = channel();
    let tape =
        recorder.record(spec(folder.path().join("one.wav")), move |end: RecordingEnd| send.send(end).unwrap()).unwrap();
    // No writer runs: four seconds have room.
    for _ in 0..50 {
        tape.put(&tone(100, -20.0));
    }
    assert_eq!(tape.lost(), 8 * 1000);
    tape.stop();
    let writer = recorder.start_writer_watched(|_| ()).unwrap();
    let end = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!((end.length, end.lost_samples), (Duration::from_secs(4), 8000));
    assert_eq!(recorder.figures(), RecorderFigures { running: 0, begun: 1, failed: 0, lost_samples: 8000 });
    recorder.stop_writer();
    writer.join().unwrap();
}

#[test]
fn a_folder_that_is_not_there_ends_the_recording_and_is_told() {
    let studio = Studio::new();
    let (_tape, ends) = studio.record(|spec| spec.path = studio.folder.path().join("none/one.wav"));
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap().why, Why::Failed);
    assert_eq!(studio.recorder.figures().failed, 1);
}

#[test]
fn a_file_of_somebody_else_is_not_touched() {
    let studio = Studio::new();
    let path = studio.folder.path().join("one.wav");
    let foreign = vec![b'x'; 100];
    std::fs::write(&path, &foreign).unwrap();
    let (_tape, ends) = studio.record(|_| ());
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap().why, Why::Failed);
    assert_eq!(std::fs::read(&path).unwrap(), foreign);
}

#[test]
fn a_writer_that_was_stopped_is_gone_on_with_by_the_next_one() {
    let mut studio = Studio::new();
    let (tape, ends) = studio.record(|_| ());
    tape.put(&tone(500, -20.0));
    studio.recorder.stop_writer();
    studio.writer.take().unwrap().join().unwrap();
    // Stopped means written: the file is whole.
    assert_eq!(studio.sound().1.len(), 4000);
    tape.put(&tone(500, -20.0));
    studio.writer = Some(studio.recorder.start_writer_watched(|_| ()).unwrap());
    tape.stop();
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap().length, Duration::from_secs(1));
}

#[test]
fn a_recording_that_was_cut_counts_all_that_is_there_after_repair() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.wav");
    let format = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 1 };
    let mut file = WavFile::create(&path, format).unwrap();
    file.push(&[1; 8000]).unwrap();
    file.sync_if_due().unwrap();
    file.push(&[2; 100]).unwrap();
    drop(file);
    let samples = |path: &std::path::Path| {
        let file = std::fs::read(path).unwrap();
        wav::parse(&file).unwrap().1.len() / 2
    };
    assert_eq!(samples(&path), 8000);
    assert!(repair(&path).unwrap());
    assert_eq!(samples(&path), 8100);
    assert!(!repair(&path).unwrap());
    std::fs::write(&path, vec![0; 200]).unwrap();
    assert!(repair(&path).is_err());
}

proptest! {
    #[test]
    fn a_tape_gives_back_what_was_put_in_order(puts in proptest::collection::vec(1usize..60, 1..60)) {
        let tape = Tape::new(8000, 100, "");
        let (mut put, mut taken) = (Vec::new(), Vec::new());
        let mut next = 0i16;
        for groups in puts {
            let block: Vec<i16> = (0..groups * 4).map(|_| { next = next.wrapping_add(1); next }).collect();
            let lost = tape.lost();
            tape.put(&block);
            if tape.lost() == lost { put.extend(block); }
            let mut out = [0; 100];
            let count = tape.take(&mut out);
            taken.extend_from_slice(&out[..count]);
        }
        let mut out = [0; 1000];
        let count = tape.take(&mut out);
        taken.extend_from_slice(&out[..count]);
        prop_assert_eq!(put, taken);
    }
}
