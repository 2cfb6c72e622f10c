//! Makes Ogg Opus of recordings that are over (`media::ogg`), one after the other, on a thread that nobody waits for.
//!
//! The folder of recordings is its queue, so nothing is lost with the actor or the process:
//!
//! | file | is |
//! | --- | --- |
//! | `NAME.opus.wav` | being recorded, to be packed |
//! | `NAME.pack.wav` | recorded, waits |
//! | `NAME.part` | being packed; made anew after a crash |
//! | `NAME.opus` | packed: whole, and durable before the WAV goes |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use media::ogg::{self, OggError};
use parking_lot::Mutex;

use crate::shared::Shared;
use crate::supervision::{Cx, Live, Ref, StopReason};

/// How the name of a recording ends that is to be packed when it is over.
const RECORDED: &str = "opus.wav";
/// How it ends then.
const WAITING: &str = "pack.wav";
/// How it ends once it is packed.
const PACKED: &str = "opus";
/// A recording that could not be packed is tried again after so long.
const RETRY: Duration = Duration::from_secs(60);

/// What lies beside the actor.
pub struct Packing {
    /// The actor.
    pub seat: Ref<Packer>,
    /// Held by who packs: a successor begins when the one before has left.
    turn: Arc<Mutex<()>>,
    /// Recordings packed.
    pub packed: Arc<AtomicU64>,
    /// Attempts that failed.
    pub failed: Arc<AtomicU64>,
}

impl Default for Packing {
    fn default() -> Self {
        Self { seat: Ref::vacant(), turn: Arc::default(), packed: Arc::default(), failed: Arc::default() }
    }
}

/// See the module.
pub struct Packer {
    shared: Arc<Shared>,
    /// Tells the thread that packs to leave.
    leave: Arc<AtomicBool>,
    /// A round is under way, and whether another one is asked for.
    round: Option<bool>,
}

/// A recording waits.
pub struct Look;

/// The file of a recording that is to be packed when it is over; `NAME.wav` of one that is not.
pub fn recording_of(folder: &Path, name: &str, packed: bool) -> PathBuf {
    folder.join(format!("{name}.{}", if packed { RECORDED } else { "wav" }))
}

/// The file that is left in the end of a recording to this one.
pub fn left_of(recording: &Path) -> PathBuf {
    renamed(recording, RECORDED, PACKED).unwrap_or_else(|| recording.to_path_buf())
}

/// Lets a recording that is over wait to be packed; one that is not to be is left alone. Not for threads that must not wait.
///
/// # Errors
/// It cannot be renamed.
pub fn queue(recording: &Path) -> io::Result<()> {
    match renamed(recording, RECORDED, WAITING) {
        Some(waiting) => fs::rename(recording, waiting),
        None => Ok(()),
    }
}

fn renamed(file: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let stem = file.file_name()?.to_str()?.strip_suffix(from)?.strip_suffix('.')?;
    Some(file.with_file_name(format!("{stem}.{to}")))
}

impl Packer {
    /// That of the node.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, leave: Arc::default(), round: None }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if let Some(again) = &mut self.round {
            *again = true;
            return;
        }
        let Some(folder) = self.shared.settings().recordings.clone() else { return };
        self.round = Some(false);
        let packing = &self.shared.packing;
        let (turn, packed, failed) =
            (Arc::clone(&packing.turn), Arc::clone(&packing.packed), Arc::clone(&packing.failed));
        let leave = Arc::clone(&self.leave);
        let round = tokio::task::spawn_blocking(move || {
            let _mine = turn.lock();
            pack_all(&folder, &leave, (&packed, &failed))
        });
        cx.spawn(round, |this, done, cx| {
            let again = this.round.take().unwrap_or_default();
            if again {
                return this.look(cx);
            }
            if !done.unwrap_or(false) {
                cx.later(RETRY, |this, cx| this.look(cx));
            }
        });
    }
}

/// Packs what waits in a folder; false if some of it could not be.
fn pack_all(folder: &Path, leave: &AtomicBool, (packed, failed): (&AtomicU64, &AtomicU64)) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut waiting: Vec<(PathBuf, PathBuf)> =
        files.filter_map(|file| renamed(&file, WAITING, PACKED).map(|to| (file, to))).collect();
    waiting.sort();
    let mut well = true;
    for (file, to) in waiting {
        match ogg::pack(&file, &to, leave).and_then(|()| Ok(fs::remove_file(&file)?)) {
            Ok(()) => {
                packed.fetch_add(1, Relaxed);
                tracing::info!(file = %to.display(), "a recording is packed");
            }
            Err(OggError::Left) => return true,
            Err(error) => {
                failed.fetch_add(1, Relaxed);
                well = false;
                tracing::error!(file = %file.display(), %error, "a recording stays WAV: it cannot be packed");
            }
        }
    }
    well
}

impl Live for Packer {
    type Msg = Look;
    const KIND: &'static str = "packer";
    /// One that waits says all.
    const MAILBOX: usize = 2;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }

    fn handle(&mut self, Look: Look, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }

    fn stopping(&mut self, _: &StopReason, _: &mut Cx<'_, Self>) {
        self.leave.store(true, Relaxed);
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.leave.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::wav::{Encoding, Format};

    fn recording(folder: &Path, name: &str, samples: usize) -> PathBuf {
        let file = recording_of(folder, name, true);
        let format = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 1 };
        let sound: Vec<u8> = (0..samples).flat_map(|n| ((n % 80 * 100) as i16).to_le_bytes()).collect();
        let header = format.header(u32::try_from(sound.len()).ok());
        fs::write(&file, [&header[..], &sound].concat()).unwrap();
        file
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_waits_is_packed_what_is_recorded_or_stays_wav_is_not_and_what_is_broken_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let over = recording(at, "over", 4000);
        assert_eq!(left_of(&over), at.join("over.opus"));
        queue(&over).unwrap();
        recording(at, "runs", 4000);
        let plain = recording_of(at, "plain", false);
        fs::copy(at.join("runs.opus.wav"), &plain).unwrap();
        queue(&plain).unwrap();
        assert_eq!(left_of(&plain), plain);
        fs::write(at.join("broken.pack.wav"), b"no sound").unwrap();
        // What a crash has left of an attempt.
        fs::write(at.join("over.part"), b"half").unwrap();

        let (packed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        assert!(!pack_all(at, &AtomicBool::new(false), (&packed, &failed)));
        assert_eq!((packed.load(Relaxed), failed.load(Relaxed)), (1, 1));
        assert_eq!(names(at), ["broken.pack.wav", "over.opus", "plain.wav", "runs.opus.wav"]);
    }

    #[test]
    fn who_is_told_to_leave_leaves_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        queue(&recording(folder.path(), "over", 400_000)).unwrap();
        let counts = (AtomicU64::new(0), AtomicU64::new(0));
        assert!(pack_all(folder.path(), &AtomicBool::new(true), (&counts.0, &counts.1)));
        assert_eq!(names(folder.path()), ["over.pack.wav"]);
    }
}
