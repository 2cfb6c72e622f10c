//! The recorder: sound to files, beside the workers.
//!
//! ```text
//! worker ──samples──▶ tape (a ring, taken once, no lock) ──▶ writer thread ──chunks──▶ NAME.wav
//!        ◀─full: counted─┘                                      └──RecordingEnd──▶ whoever asked for it
//! ```
//!
//! A worker puts samples on a [`Tape`] and never waits: what finds no room is counted. One writer thread for all recordings
//! empties the tapes every fifth of a second, judges silence and length (`judge`), and writes (`file`). Every second what
//! was written is synced and the header says so: the file is a valid WAV at any instant, and what `kill -9` costs is the
//! last chunk at most. [`repair`] makes the header of such a file say all that is there.
//!
//! An end is told when it is durable: data and header synced, and the folder too.
//!
//! The tapes are beside the thread: a writer that dies is replaced ([`Recorder::start_writer_watched`]), opens the files again
//! and goes on where they end.

mod fax;
mod file;
mod judge;
mod tape;
#[cfg(test)]
mod tests;

pub use file::repair;
pub(crate) use file::sync_folder;

use crate::wav::{Encoding, Format};
use fax::FaxTone;
use file::WavFile;
use judge::Judge;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
pub use tape::Tape;

/// Recordings at once.
pub const RECORDINGS_MAX: usize = 1024;
/// The tapes are emptied this often.
const TURN: Duration = Duration::from_millis(200);
/// Sound that a tape holds while the disk is slow.
const TAPE_MS: u32 = 4000;

/// What is recorded, and when it ends by itself.
#[derive(Clone, Debug)]
pub struct RecordingSpec {
    /// The file, in a folder that exists. A recording of the same form that is there is gone on with.
    pub path: PathBuf,
    /// How samples are written.
    pub encoding: Encoding,
    /// Rate of the samples, Hz.
    pub rate_hz: u32,
    /// The longest that is recorded.
    pub longest: Duration,
    /// The recording ends after so long without a sound; it is cut off the end. `None`: silence ends nothing.
    pub silence: Option<Duration>,
    /// Keys that end it, such as `#`; empty for none.
    pub stop_keys: &'static str,
    /// The calling tone of a fax machine ends it.
    pub fax_ends: bool,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was told to.
    Stopped,
    /// A key was pressed.
    Key(char),
    /// Nothing was heard for as long as was set.
    Silence,
    /// A fax machine calls.
    Fax,
    /// It is as long as it may be.
    Longest,
    /// The disk failed. What was written before is there.
    Failed,
}

/// How a recording ended. What it says is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingEnd {
    /// The file.
    pub path: PathBuf,
    /// How long it plays.
    pub length: Duration,
    /// How much of what was recorded is sound, and not silence.
    pub sounded: Duration,
    /// Why it ended.
    pub why: Why,
    /// Samples that found no room on the tape.
    pub lost_samples: u64,
}

/// Why a recording did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There are as many as there may be.
    #[error("there are {RECORDINGS_MAX} recordings already")]
    TooMany,
}

/// The recorder, by a handle that is cheap to clone. It writes while a writer thread runs.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Inner>);

#[derive(Default)]
struct Inner {
    jobs: Mutex<Vec<Arc<Job>>>,
    bell: Condvar,
    /// The thread of the newest epoch is the writer; an older one leaves when it notices.
    epoch: AtomicU64,
    stopping: AtomicBool,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    begun: AtomicU64,
    failed: AtomicU64,
    lost_samples: AtomicU64,
}

/// What the recorder has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderFigures {
    /// Recordings under way.
    pub running: usize,
    /// Recordings begun.
    pub begun: u64,
    /// Recordings that the disk ended.
    pub failed: u64,
    /// Samples that found no room on a tape.
    pub lost_samples: u64,
}

type OnEnd = Box<dyn FnOnce(RecordingEnd) + Send>;

/// A recording under way.
struct Job {
    spec: RecordingSpec,
    tape: Arc<Tape>,
    /// Judge and file of a writer that died would be lost with it: they are beside it.
    work: Mutex<Work>,
    on_end: Mutex<Option<OnEnd>>,
}

struct Work {
    judge: Judge,
    fax: Option<FaxTone>,
    file: Option<WavFile>,
}

/// How the writer's thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterEnd {
    /// It was told to stop.
    Stopped,
    /// A newer thread took its place.
    Superseded,
    /// It panicked.
    Panicked,
}

impl Recorder {
    /// Begins a recording; `on_end` hears from the writer's thread how it ended, once, when that is durable.
    ///
    /// # Errors
    /// [`RecordError::TooMany`]. That the file cannot be made is told as its end.
    pub fn record(
        &self,
        spec: RecordingSpec,
        on_end: impl FnOnce(RecordingEnd) + Send + 'static,
    ) -> Result<Arc<Tape>, RecordError> {
        let mut jobs = self.0.jobs.lock();
        if jobs.len() >= RECORDINGS_MAX {
            return Err(RecordError::TooMany);
        }
        let tape = Arc::new(Tape::new(spec.rate_hz, TAPE_MS, spec.stop_keys));
        let judge = Judge::new(spec.rate_hz, spec.longest, spec.silence);
        let fax = spec.fax_ends.then(|| FaxTone::new(spec.rate_hz));
        jobs.push(Arc::new(Job {
            tape: Arc::clone(&tape),
            work: Mutex::new(Work { judge, fax, file: None }),
            on_end: Mutex::new(Some(Box::new(on_end))),
            spec,
        }));
        self.0.figures.begun.fetch_add(1, Ordering::Relaxed);
        self.0.bell.notify_all();
        Ok(tape)
    }

    /// What the recorder has done.
    pub fn figures(&self) -> RecorderFigures {
        RecorderFigures {
            running: self.0.jobs.lock().len(),
            begun: self.0.figures.begun.load(Ordering::Relaxed),
            failed: self.0.figures.failed.load(Ordering::Relaxed),
            lost_samples: self.0.figures.lost_samples.load(Ordering::Relaxed),
        }
    }

    /// Starts the writer's thread; `on_end` is called from it as its last act.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start_writer_watched(&self, on_end: impl FnOnce(WriterEnd) + Send + 'static) -> io::Result<JoinHandle<()>> {
        let epoch = self.0.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.stopping.store(false, Ordering::SeqCst);
        self.0.bell.notify_all();
        let inner = Arc::clone(&self.0);
        std::thread::Builder::new().name("recorder".into()).spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| inner.run(epoch));
            on_end(std::panic::catch_unwind(run).unwrap_or(WriterEnd::Panicked));
        })
    }

    /// Ends the writer's thread, which first writes all that is on the tapes. Recordings go on when it is started again.
    pub fn stop_writer(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.0.bell.notify_all();
    }
}

impl Inner {
    fn run(&self, epoch: u64) -> WriterEnd {
        loop {
            let mut jobs = self.jobs.lock();
            if jobs.is_empty() && !self.stopping.load(Ordering::SeqCst) {
                self.bell.wait(&mut jobs);
            } else {
                self.bell.wait_for(&mut jobs, TURN);
            }
            let now = jobs.clone();
            drop(jobs);
            if self.epoch.load(Ordering::SeqCst) != epoch {
                return WriterEnd::Superseded;
            }
            // Before the turn: what was put on a tape before the stop is written in it.
            let stopping = self.stopping.load(Ordering::SeqCst);
            for job in &now {
                if let Some(end) = self.turn(job, stopping) {
                    self.jobs.lock().retain(|other| !Arc::ptr_eq(job, other));
                    if let Some(on_end) = job.on_end.lock().take() {
                        on_end(end);
                    }
                }
            }
            if stopping {
                return WriterEnd::Stopped;
            }
        }
    }

    /// Empties one tape; how its recording has ended, if it has.
    fn turn(&self, job: &Job, flush: bool) -> Option<RecordingEnd> {
        let mut work = job.work.lock();
        let (why, length) = match write(job, &mut work, flush) {
            Ok((None, _)) => return None,
            Ok((Some(why), length)) => (why, length),
            Err(error) => {
                tracing::error!(file = %job.spec.path.display(), %error, "a recording ends: its file cannot be written");
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                (Why::Failed, work.file.as_ref().map_or(0, WavFile::samples))
            }
        };
        job.tape.close();
        let lost_samples = job.tape.lost();
        self.figures.lost_samples.fetch_add(lost_samples, Ordering::Relaxed);
        let lasts = |samples: u64| Duration::from_micros(samples * 1_000_000 / u64::from(job.spec.rate_hz.max(1)));
        let (length, sounded) = (lasts(length), lasts(work.judge.sounded()));
        Some(RecordingEnd { path: job.spec.path.clone(), length, sounded, why, lost_samples })
    }
}

/// Writes what is on a job's tape; says why and with how many samples it has ended, if it has.
fn write(job: &Job, work: &mut Work, flush: bool) -> io::Result<(Option<Why>, u64)> {
    let format = Format { encoding: job.spec.encoding, rate_hz: job.spec.rate_hz, channels: 1 };
    let Work { judge, fax, file } = work;
    let file = match file {
        Some(file) => file,
        None => file.insert(WavFile::create(&job.spec.path, format)?),
    };
    // Asked before the tape is emptied: what was on it before the stop is recorded.
    let stopped = job.tape.stopped();
    let mut samples = [0; 1024];
    let mut why = None;
    while why.is_none() {
        let count = job.tape.take(&mut samples);
        if count == 0 {
            break;
        }
        let (kept, end) = judge.hear(samples.get(..count).unwrap_or_default());
        file.push(samples.get(..kept).unwrap_or_default())?;
        let faxes = fax.as_mut().is_some_and(|fax| fax.hear(samples.get(..kept).unwrap_or_default()));
        why = if faxes { Some(Why::Fax) } else { end };
    }
    let why = why.or(stopped);
    match why {
        None if flush => file.sync()?,
        None => file.sync_if_due()?,
        Some(why) => {
            if why == Why::Silence {
                file.cut(judge.trailing_silence())?;
            }
            file.finish()?;
        }
    }
    Ok((why, file.samples()))
}
