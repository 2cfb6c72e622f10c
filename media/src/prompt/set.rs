//! The prompts of every language, by name: those that ship inside the program, each replaceable by a file of a folder.

use super::say::{Language, Names, Say, say};
use super::{Audio, RATE_HZ};
use crate::codec::g711::Law;
use crate::wav::{self, Format, WavError};
use smol_str::SmolStr;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A file longer than this is no prompt.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What one language ships: all clips behind each other, the samples of each by name, and its text.
struct Shipped {
    sound: &'static [u8],
    index: &'static str,
    texts: &'static str,
}

const fn shipped(language: Language) -> Shipped {
    match language {
        Language::English => Shipped {
            sound: include_bytes!("shipped/en.ulaw"),
            index: include_str!("shipped/en.index"),
            texts: include_str!("shipped/en.tsv"),
        },
        Language::Italian => Shipped {
            sound: include_bytes!("shipped/it.ulaw"),
            index: include_str!("shipped/it.index"),
            texts: include_str!("shipped/it.tsv"),
        },
    }
}

/// A set of prompts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Prompts(Arc<HashMap<(Language, SmolStr), Clip>>);

#[derive(Clone, Debug)]
enum Clip {
    /// µ-law inside the program.
    Shipped(&'static [u8]),
    Replaced(Arc<[i16]>),
}

/// A file of a folder of prompts that is not used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadPrompt {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub why: BadPromptWhy,
}

/// What is wrong with a prompt's file.
#[derive(Debug, thiserror::Error)]
pub enum BadPromptWhy {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no WAV file that is understood.
    #[error("{0}")]
    Wav(#[from] WavError),
    /// It has another rate or more than one channel.
    #[error("{0} Hz and {1} channels, but a prompt has 8000 Hz and one")]
    Shape(u32, u16),
    /// It is longer than any prompt.
    #[error("larger than 16 MiB")]
    TooLarge,
    /// No prompt has this name.
    #[error("no prompt has this name; docs/media.md says where the names are listed")]
    Unknown,
}

impl Prompts {
    /// What ships inside the program.
    pub fn shipped() -> Prompts {
        static SET: LazyLock<Prompts> = LazyLock::new(|| {
            let clips = Language::ALL.into_iter().flat_map(|language| {
                let mut rest = shipped(language).sound;
                let rows = shipped(language).index.lines().filter_map(|row| row.split_once('\t'));
                rows.map(move |(name, samples)| {
                    let (clip, after) = rest.split_at(samples.parse().unwrap_or(0).min(rest.len()));
                    rest = after;
                    ((language, SmolStr::from(name)), Clip::Shipped(clip))
                })
            });
            Prompts(Arc::new(clips.collect()))
        });
        SET.clone()
    }

    /// The shipped ones, replaced by what lies in `folder` as `LANGUAGE/NAME.wav` (8 kHz, one channel; 16-bit PCM, A-law or
    /// µ-law). What is not there, or cannot be used, stays as shipped. Reads files: not for a thread that must not wait.
    pub fn with_folder(folder: &Path) -> (Prompts, Vec<BadPrompt>) {
        let mut set = (*Prompts::shipped().0).clone();
        let mut bad = Vec::new();
        if let Err(error) = std::fs::read_dir(folder) {
            bad.push(BadPrompt { path: folder.to_owned(), why: error.into() });
        }
        for language in Language::ALL {
            let entries = std::fs::read_dir(folder.join(language.tag())).into_iter().flatten().flatten();
            for path in
                entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "wav"))
            {
                let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let replaced = match set.get_mut(&(language, SmolStr::from(name))) {
                    None => Err(BadPromptWhy::Unknown),
                    Some(clip) => read_sound(&path).map(|samples| *clip = Clip::Replaced(samples.into())),
                };
                bad.extend(replaced.err().map(|why| BadPrompt { path, why }));
            }
        }
        (Prompts(Arc::new(set)), bad)
    }

    /// Whether a language has a prompt of this name.
    pub fn has(&self, language: Language, name: &str) -> bool {
        self.0.contains_key(&(language, SmolStr::from(name)))
    }

    /// Names and texts of a language's prompts, in the order of their table.
    pub fn texts(language: Language) -> impl Iterator<Item = (&'static str, &'static str)> {
        shipped(language).texts.lines().filter_map(|row| row.split_once('\t'))
    }

    /// One recording that says all of it without a gap.
    pub fn speak(&self, language: Language, all: &[Say<'_>]) -> Arc<Audio> {
        let names: Names = all.iter().flat_map(|what| say(language, *what)).collect();
        let mut samples = Vec::new();
        for name in names {
            match self.0.get(&(language, name)) {
                Some(Clip::Shipped(bytes)) => samples.extend(bytes.iter().map(|byte| Law::Mu.decode_byte(*byte))),
                Some(Clip::Replaced(clip)) => samples.extend_from_slice(clip),
                None => {}
            }
        }
        Arc::new(Audio::from_samples(samples))
    }
}

/// The sound of a file of 8 kHz and one channel (16-bit PCM, A-law or µ-law).
///
/// # Errors
/// See [`BadPromptWhy`].
pub fn read_sound(path: &Path) -> Result<Vec<i16>, BadPromptWhy> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(BadPromptWhy::TooLarge);
    }
    let file = std::fs::read(path)?;
    let (Format { encoding, rate_hz, channels }, sound) = wav::parse(&file)?;
    if (rate_hz, channels) != (RATE_HZ, 1) {
        return Err(BadPromptWhy::Shape(rate_hz, channels));
    }
    Ok(wav::decode(encoding, sound))
}
