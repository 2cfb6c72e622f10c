//! The words of a message, as a recogniser has heard them.
//!
//! A recogniser is a program of the operator's. It gets the message on its standard input, as WAV of 16 bits and 16 kHz, and
//! prints one JSON object: `text`, and where it knows them `confidence` (0 to 1) and `words`, each with `word`, `from_ms`, `to_ms`
//! and `confidence`.

use serde::{Deserialize, Serialize};
use store::StoreError;

use super::files;
use media::sound::Resampler;

/// Samples a second of what a recogniser hears.
pub const RATE_HZ: u32 = 16_000;
/// Longest text, characters; what is longer is cut.
const TEXT_MAX: usize = 20_000;
/// Words of which times are kept.
const WORDS_MAX: usize = 5_000;

/// What was said in a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// All of it, in one line.
    pub text: String,
    /// How sure the recogniser is, 0 to 1.
    #[serde(default)]
    pub confidence: Option<f32>,
    /// Word for word.
    #[serde(default)]
    pub words: Vec<Word>,
}

/// One word, and where in the message it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word.
    pub word: String,
    /// Where it begins, ms.
    pub from_ms: u64,
    /// Where it ends, ms.
    pub to_ms: u64,
    /// How sure the recogniser is, 0 to 1.
    #[serde(default)]
    pub confidence: Option<f32>,
}

impl Transcript {
    /// What a recogniser has printed.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(printed: &[u8]) -> Result<Self, String> {
        let mut read: Self = serde_json::from_slice(printed).map_err(|error| {
            let begins: String = String::from_utf8_lossy(printed).chars().take(60).collect();
            format!("it printed no JSON object with `text`: {error}: {begins:?}")
        })?;
        // One line, however it was printed; nothing in it that a terminal or a header would act on.
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "");
        read.text = plain(&read.text).chars().take(TEXT_MAX).collect();
        read.words.truncate(WORDS_MAX);
        read.words.iter_mut().for_each(|word| word.word = plain(&word.word));
        let share = |share: Option<f32>| share.filter(|share| share.is_finite()).map(|share| share.clamp(0.0, 1.0));
        read.confidence = share(read.confidence);
        read.words.iter_mut().for_each(|word| word.confidence = share(word.confidence));
        Ok(read)
    }

    /// As it lies in the mailbox's folder.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What e-mail says of it: below `low` (0 to 1) that it is not sure, below `least` nothing but that.
    pub fn letter(&self, low: f32, least: f32) -> String {
        let sure = self.confidence.unwrap_or(1.0);
        if sure < least {
            return "Voice mail preview: what was said could not be made out.\n".into();
        }
        let text = if self.text.is_empty() { "(no words)" } else { &self.text };
        let heading = if sure < low { "Voice mail preview (confidence is low):" } else { "Voice mail preview:" };
        format!("{heading}\n{text}\n")
    }
}

/// The file of a message as a recogniser gets it.
///
/// # Errors
/// [`StoreError::Damaged`] when it is no sound that is known here.
pub fn for_recogniser(file: &[u8]) -> Result<Vec<u8>, StoreError> {
    let samples = files::samples(file)?;
    let mut wide = samples;
    if let Some(mut resampler) = Resampler::new(media::prompt::RATE_HZ, RATE_HZ) {
        let mut out = vec![0; resampler.output_max(wide.len())];
        let count = resampler.process(&wide, &mut out);
        out.truncate(count);
        wide = out;
    }
    Ok(files::wav_at(RATE_HZ, &wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recogniser_prints_is_taken_with_and_without_confidence() {
        let plain = Transcript::parse(br#"{"text": " call me\nback "}"#).unwrap();
        assert_eq!((plain.text.as_str(), plain.confidence), ("call me back", None));
        let all =
            br#"{"text":"hi","confidence":1.5,"words":[{"word":"hi","from_ms":10,"to_ms":300,"confidence":0.5}]}"#;
        let all = Transcript::parse(all).unwrap();
        assert_eq!(all.confidence, Some(1.0));
        assert_eq!((all.words[0].from_ms, all.words[0].to_ms, all.words[0].confidence), (10, 300, Some(0.5)));
        assert_eq!(Transcript::parse(&all.to_bytes()), Ok(all));
    }

    #[test]
    fn what_is_no_transcript_is_told_as_it_was_printed() {
        for printed in [&b"Traceback (most recent call last)"[..], b"", b"{}", b"[1]", b"\xff\xfe"] {
            let fault = Transcript::parse(printed).unwrap_err();
            assert!(fault.starts_with("it printed no JSON object"), "{fault}");
        }
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let long = format!(r#"{{"text":"{}"}}"#, "a".repeat(100_000));
        assert_eq!(Transcript::parse(long.as_bytes()).unwrap().text.len(), TEXT_MAX);
    }

    #[test]
    fn a_letter_says_how_sure_the_words_are() {
        let of =
            |confidence| Transcript { text: "call me".into(), confidence, ..Transcript::default() }.letter(0.5, 0.2);
        assert_eq!(of(None), "Voice mail preview:\ncall me\n");
        assert_eq!(of(Some(0.9)), "Voice mail preview:\ncall me\n");
        assert_eq!(of(Some(0.4)), "Voice mail preview (confidence is low):\ncall me\n");
        assert!(!of(Some(0.1)).contains("call me"));
    }

    #[test]
    fn a_recogniser_hears_the_message_at_its_rate() {
        let tone: Vec<i16> = (0..8_000).map(|n| (f64::from(n) * 0.785).sin().mul_add(9_000.0, 0.0) as i16).collect();
        let wide = for_recogniser(&files::wav_of(&tone)).unwrap();
        let (format, sound) = media::wav::parse(&wide).unwrap();
        assert_eq!((format.rate_hz, format.channels), (RATE_HZ, 1));
        let samples = media::wav::decode(format.encoding, sound);
        assert!((15_900..=16_000).contains(&samples.len()), "{}", samples.len());
        // A tone of 1 kHz crosses zero 2,000 times a second, whatever the rate: 1,500 times in three quarters of one.
        let crossings = samples[2_000..14_000].windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        assert!((1_490..=1_510).contains(&crossings), "{crossings}");
        assert!(for_recogniser(b"RIFF").is_err());
    }
}
