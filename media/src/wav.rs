//! WAV files: the header that a recording begins with, and the reader of what others recorded.
//!
//! A RIFF file of the form `WAVE` (Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft, 1991):
//! chunks of a name, a length in little-endian order and that many bytes, padded to an even count. The formats are 1 (linear),
//! 6 (A-law) and 7 (µ-law), mono or not.

use crate::codec::g711::Law;

/// Bytes of the header that [`Format::header`] writes.
pub const HEADER_BYTES: usize = 58;
/// A length that says "not known": what players take for "until the end of the file".
const UNKNOWN: u32 = u32::MAX;

/// How samples lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 16 bits, little-endian.
    Linear,
    /// G.711, one byte a sample.
    G711(Law),
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How a sample lies there.
    pub encoding: Encoding,
    /// Samples a second and channel.
    pub rate_hz: u32,
    /// Channels, whose samples take turns.
    pub channels: u16,
}

/// Why a WAV file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// Not RIFF, not WAVE, or without format or data.
    #[error("not a WAV file")]
    NotWav,
    /// A format that is not read here.
    #[error("a WAV format that is not read: {0}; 16-bit PCM, A-law and µ-law are")]
    Format(String),
}

impl Encoding {
    /// Bytes of a sample.
    pub const fn sample_bytes(self) -> u16 {
        match self {
            Encoding::Linear => 2,
            Encoding::G711(_) => 1,
        }
    }
}

impl Format {
    /// Bytes of a second.
    pub fn second_bytes(self) -> u32 {
        self.rate_hz * u32::from(self.channels) * u32::from(self.encoding.sample_bytes())
    }

    /// The header of a file with `data_bytes` of sound behind it. `None`: the sound is still being recorded; then the header
    /// says a length that no file has, which players read as "until the end".
    pub fn header(self, data_bytes: Option<u32>) -> [u8; HEADER_BYTES] {
        let (tag, width) = match self.encoding {
            Encoding::Linear => (1u16, 2u16),
            Encoding::G711(Law::A) => (6, 1),
            Encoding::G711(Law::Mu) => (7, 1),
        };
        let mut header = [0; HEADER_BYTES];
        let mut rest = header.iter_mut();
        let mut put = |bytes: &[u8]| {
            bytes.iter().for_each(|byte| {
                if let Some(place) = rest.next() {
                    *place = *byte;
                }
            })
        };
        let length = data_bytes.unwrap_or(UNKNOWN);
        let after_riff = length.saturating_add(HEADER_BYTES as u32 - 8);
        let frames = length / u32::from(width * self.channels.max(1));
        put(b"RIFF");
        put(&after_riff.to_le_bytes());
        put(b"WAVEfmt ");
        put(&18u32.to_le_bytes());
        put(&tag.to_le_bytes());
        put(&self.channels.to_le_bytes());
        put(&self.rate_hz.to_le_bytes());
        put(&self.second_bytes().to_le_bytes());
        put(&(width * self.channels).to_le_bytes());
        put(&(width * 8).to_le_bytes());
        put(&0u16.to_le_bytes());
        put(b"fact");
        put(&4u32.to_le_bytes());
        put(&frames.to_le_bytes());
        put(b"data");
        put(&length.to_le_bytes());
        header
    }
}

/// Finds format and sound of a file; a `data` length beyond the file's end (a recording that was cut) means "until the end".
///
/// # Errors
/// See [`WavError`].
pub fn parse(file: &[u8]) -> Result<(Format, &[u8]), WavError> {
    let (Some(b"RIFF"), Some(b"WAVE")) = (file.get(..4), file.get(8..12)) else { return Err(WavError::NotWav) };
    let mut at = 12usize;
    let mut format = None;
    while let (Some(name), Some(length)) = (file.get(at..at + 4), long(file, at + 4)) {
        let start = at + 8;
        let end = start.saturating_add(length as usize).min(file.len());
        let body = file.get(start..end).unwrap_or_default();
        match (name, format) {
            (b"fmt ", _) => format = Some(read_format(body)?),
            (b"data", Some(format)) => return Ok((format, body)),
            _ => {}
        }
        at = end + (length as usize & 1);
    }
    Err(WavError::NotWav)
}

fn read_format(body: &[u8]) -> Result<Format, WavError> {
    let (Some(tag), Some(channels), Some(rate_hz), Some(bits)) =
        (short(body, 0), short(body, 2), long(body, 4), short(body, 14))
    else {
        return Err(WavError::NotWav);
    };
    let encoding = match (tag, bits) {
        (1, 16) => Encoding::Linear,
        (6, 8) => Encoding::G711(Law::A),
        (7, 8) => Encoding::G711(Law::Mu),
        _ => return Err(WavError::Format(format!("format {tag} with {bits} bits"))),
    };
    if channels == 0 || rate_hz == 0 {
        return Err(WavError::Format(format!("{channels} channels at {rate_hz} Hz")));
    }
    Ok(Format { encoding, rate_hz, channels })
}

/// The samples of sound in an encoding, as many whole ones as there are.
pub fn decode(encoding: Encoding, sound: &[u8]) -> Vec<i16> {
    match encoding {
        Encoding::Linear => sound.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect(),
        Encoding::G711(law) => sound.iter().map(|byte| law.decode_byte(*byte)).collect(),
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_back_in_every_format() {
        for encoding in [Encoding::Linear, Encoding::G711(Law::A), Encoding::G711(Law::Mu)] {
            for channels in [1, 2] {
                let format = Format { encoding, rate_hz: 8000, channels };
                let sound = [1, 2, 3, 4];
                for length in [Some(4), None] {
                    let file = [&format.header(length)[..], &sound].concat();
                    assert_eq!(parse(&file), Ok((format, &sound[..])), "{length:?}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_plays_until_its_end() {
        let format = Format { encoding: Encoding::Linear, rate_hz: 16_000, channels: 1 };
        let file = [&format.header(Some(1000))[..], &[7; 10]].concat();
        assert_eq!(parse(&file).unwrap().1, [7; 10]);
    }

    #[test]
    fn chunks_that_are_not_known_are_passed_over() {
        let format = Format { encoding: Encoding::G711(Law::A), rate_hz: 8000, channels: 1 };
        let plain = [&format.header(Some(2))[..], &[5, 6]].concat();
        let file = [&plain[..12], b"LIST\x03\0\0\0abc\0", &plain[12..]].concat();
        assert_eq!(parse(&file), Ok((format, &[5, 6][..])));
    }

    #[test]
    fn what_is_no_wav_is_refused_in_words() {
        assert_eq!(parse(b"RIFF\0\0\0\0WAVE"), Err(WavError::NotWav));
        let mut file = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 1 }.header(Some(0));
        file[20] = 85;
        assert!(parse(&file).unwrap_err().to_string().contains("format 85 with 16 bits"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..60) {
            let _ = parse(&bytes);
            let good = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 1 }.header(Some(8));
            let _ = parse(&[&good[..cut.min(HEADER_BYTES)], &bytes].concat());
        }
    }
}
