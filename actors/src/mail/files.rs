//! The folder of a mailbox: its messages and clips, recordings on their way, and what is set aside.
//!
//! | file | is |
//! | --- | --- |
//! | `N.wav` | message N, whole; a chunk behind its sound says what the index says |
//! | `N.draft`, `N.head` | message N while it is spoken, and what it will be |
//! | `N.sealing` | message N between the two |
//! | `N.transcript` | the words of message N, JSON |
//! | `NAME-N.wav` | a clip: greeting, away, name |
//! | `damaged/` | files that are not what was written |
//!
//! Everything here may wait for the disk: it runs beside the actors.

use media::prompt::Audio;
use media::wav;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::audio::{self, Sealed};
use store::{Clip, StoreError, Voice};

use super::head;
use super::transcript::Transcript;

/// What of a message is in memory at once when it is played.
pub const PIECE: Duration = Duration::from_secs(60);
/// A recording is begun where there is so much room: two minutes.
const ROOM_MIN_BYTES: u64 = 1 << 20;
/// Samples a second of what is played.
const RATE_HZ: u32 = media::prompt::RATE_HZ;

/// What files there are of.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Messages.
    pub messages: BTreeSet<u64>,
    /// Recordings on their way.
    pub heads: BTreeSet<u64>,
    /// Words.
    pub transcripts: BTreeSet<u64>,
}

/// The folder of one mailbox.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// That of a mailbox in the folder of all. Names of users have nothing in them that a path could trip over.
    pub fn of(all: &Path, mailbox: &str) -> Self {
        Self(all.join(mailbox.replace(['/', '\\', '\0'], "_")))
    }

    /// Makes it, if it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn make(&self) -> Result<(), StoreError> {
        if self.0.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.0).map_err(|error| io("making a mailbox's folder", &error))?;
        audio::sync_folder_of(&self.0)
    }

    /// The file of a message.
    pub fn message(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number}.wav"))
    }

    /// The file that a recording goes to.
    pub fn draft(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number}.draft"))
    }

    /// What the recording will be.
    pub fn head(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number}.head"))
    }

    /// The file of a clip.
    pub fn clip(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The numbers that its files have, in order.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::default();
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            let Some(number) = number else { continue };
            match path.extension().and_then(|end| end.to_str()) {
                Some("wav") => numbers.messages.insert(number),
                Some("head") => numbers.heads.insert(number),
                Some("transcript") => numbers.transcripts.insert(number),
                _ => false,
            };
        }
        numbers
    }

    /// Begins a draft: what it will be is on disk before the first sample.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin(&self, voice: &Voice, clip: bool) -> Result<(), StoreError> {
        self.make()?;
        if audio::room(&self.0)? < ROOM_MIN_BYTES {
            // Who is told so before the tone does not speak in vain.
            return Err(StoreError::DiskFull);
        }
        audio::write(&self.head(voice.number), &head::write(voice, clip)).map(|_| ())
    }

    /// Makes a message of a draft, whose recording has ended. The message with its size and checksum.
    ///
    /// # Errors
    /// The file system's.
    pub fn seal(&self, mut voice: Voice) -> Result<Voice, StoreError> {
        let Sealed { bytes, checksum } =
            audio::seal(&self.draft(voice.number), &self.message(voice.number), &head::write(&voice, false))?;
        (voice.bytes, voice.checksum) = (bytes, checksum);
        Ok(voice)
    }

    /// Makes a message of a copy of a file of another mailbox.
    ///
    /// # Errors
    /// The file system's.
    pub fn copy(&self, from: &Path, voice: Voice) -> Result<Voice, StoreError> {
        self.make()?;
        std::fs::copy(from, self.draft(voice.number)).map_err(|error| io("copying a voice message", &error))?;
        self.seal(voice)
    }

    /// Makes a message of a WAV file that came from elsewhere.
    ///
    /// # Errors
    /// The file system's; [`StoreError::Damaged`] when it is no sound that is known here.
    pub fn import(&self, bytes: &[u8], mut voice: Voice) -> Result<Voice, StoreError> {
        voice.length_ms = length_of(bytes)?;
        self.make()?;
        audio::write(&self.draft(voice.number), bytes)?;
        self.seal(voice)
    }

    /// Forgets a draft: the head last, which names it.
    pub fn drop_draft(&self, number: u64) {
        for path in [self.draft(number), self.message(number).with_extension("sealing"), self.head(number)] {
            remove(&path);
        }
    }

    /// Forgets the head of a draft that has become a message.
    pub fn drop_head(&self, number: u64) {
        remove(&self.head(number));
    }

    /// Removes the file of a message, and its words.
    pub fn remove(&self, number: u64) {
        remove(&self.message(number));
        remove(&self.transcript(number));
    }

    /// The file of a message's words.
    pub fn transcript(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number}.transcript"))
    }

    /// Keeps the words of a message.
    ///
    /// # Errors
    /// The file system's.
    pub fn write_transcript(&self, number: u64, transcript: &Transcript) -> Result<(), StoreError> {
        audio::write(&self.transcript(number), &transcript.to_bytes()).map(|_| ())
    }

    /// The words of a message, if there are any.
    pub fn read_transcript(&self, number: u64) -> Option<Transcript> {
        Transcript::parse(&std::fs::read(self.transcript(number)).ok()?).ok()
    }

    /// Removes the file of a clip.
    pub fn remove_clip(&self, clip: &Clip) {
        remove(&self.clip(&clip.file));
    }

    /// Sets a file aside that is not what was written.
    pub fn set_aside(&self, number: u64) {
        let damaged = self.0.join("damaged");
        let path = self.message(number);
        if path.exists()
            && std::fs::create_dir_all(&damaged)
                .and_then(|()| std::fs::rename(&path, damaged.join(format!("{number}.wav"))))
                .is_err()
        {
            tracing::error!(file = %path.display(), "a damaged message could not be set aside");
        }
    }

    /// Whether a message's file has its size; cheap.
    pub fn is_there(&self, voice: &Voice) -> bool {
        std::fs::metadata(self.message(voice.number)).is_ok_and(|meta| meta.len() == voice.bytes)
    }

    /// A message's file, checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the file system's.
    pub fn read(&self, voice: &Voice) -> Result<Vec<u8>, StoreError> {
        audio::read(&self.message(voice.number), Sealed { bytes: voice.bytes, checksum: voice.checksum })
    }

    /// A clip, checked, as sound.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the file system's.
    pub fn read_clip(&self, clip: &Clip) -> Result<Arc<Audio>, StoreError> {
        let sealed = Sealed { bytes: clip.bytes, checksum: clip.checksum };
        let bytes = audio::read(&self.clip(&clip.file), sealed)?;
        Ok(Arc::new(Audio::from_samples(samples(&bytes)?)))
    }

    /// What the head of a draft or of a message's file says.
    pub fn head_of(&self, number: u64) -> Option<(Voice, bool)> {
        let bytes = std::fs::read(self.head(number)).ok()?;
        head::read(&bytes)
    }

    /// What a message's file says of itself.
    pub fn said_by_file(&self, number: u64) -> Option<Voice> {
        let path = self.message(number);
        let (mut voice, _) = head::read(&audio::read_head(&path).ok()??)?;
        let bytes = std::fs::read(&path).ok()?;
        let sealed = Sealed::of(&bytes);
        (voice.bytes, voice.checksum) = (sealed.bytes, sealed.checksum);
        Some(voice)
    }
}

/// A piece of a message: sound from `from` on, at a speed and loudness; and whether more comes after it.
///
/// # Errors
/// [`StoreError::Damaged`] when it is no sound that is known here.
pub fn piece(file: &[u8], from: Duration, percent: u32, louder_db: i32) -> Result<Option<(Audio, bool)>, StoreError> {
    let (format, sound) = parse(file)?;
    let width = usize::from(format.encoding.sample_bytes());
    let at = |time: Duration| {
        let samples =
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_mul(u64::from(RATE_HZ)) / 1_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX).saturating_mul(width)
    };
    let (start, end) = (at(from).min(sound.len()), at(from + PIECE).min(sound.len()));
    let bytes = sound.get(start..end).unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut samples = wav::decode(format.encoding, bytes);
    if louder_db != 0 {
        louder(&mut samples, louder_db);
    }
    let samples = media::sound::stretch(&samples, percent);
    Ok(Some((Audio::from_samples(samples), end < sound.len())))
}

#[allow(clippy::cast_possible_truncation)] // clamped
fn louder(samples: &mut [i16], db: i32) {
    let factor = 10f32.powf(db as f32 / 20.0);
    for sample in samples {
        *sample = (f32::from(*sample) * factor).clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
    }
}

/// All of a file as sound.
///
/// # Errors
/// As [`piece`].
pub fn samples(file: &[u8]) -> Result<Vec<i16>, StoreError> {
    let (format, sound) = parse(file)?;
    Ok(wav::decode(format.encoding, sound))
}

/// How long a file plays, ms.
///
/// # Errors
/// As [`piece`].
pub fn length_of(file: &[u8]) -> Result<u64, StoreError> {
    let (format, sound) = parse(file)?;
    Ok(sound.len() as u64 * 1000 / u64::from(format.second_bytes().max(1)))
}

fn parse(file: &[u8]) -> Result<(wav::Format, &[u8]), StoreError> {
    let damaged = |what: String| StoreError::Damaged { what };
    let (format, sound) = wav::parse(file).map_err(|error| damaged(error.to_string()))?;
    if format.rate_hz != RATE_HZ || format.channels != 1 {
        return Err(damaged(format!(
            "sound of {} Hz and {} channels, not 8000 Hz and one",
            format.rate_hz, format.channels
        )));
    }
    Ok((format, sound))
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "a file of a mailbox could not be removed");
        }
        _ => {}
    }
}

fn io(what: &'static str, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Io { what, text: error.to_string() },
    }
}

/// A WAV file of these samples.
pub fn wav_of(samples: &[i16]) -> Vec<u8> {
    wav_at(RATE_HZ, samples)
}

/// The same at another rate.
pub fn wav_at(rate_hz: u32, samples: &[i16]) -> Vec<u8> {
    let format = wav::Format { encoding: wav::Encoding::Linear, rate_hz, channels: 1 };
    let sound: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    [&format.header(u32::try_from(sound.len()).ok())[..], &sound].concat()
}
