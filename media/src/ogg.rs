//! Opus in Ogg files (RFC 7845): what a finished recording is turned into, a tenth of its WAV and less.
//!
//! Encoding costs half a millisecond of a core for 20 ms of sound, so it is for threads that nobody waits for: never a media
//! worker's, nor the recorder's. A recording is written as WAV ([`crate::recorder`]), in chunks that a crash leaves whole, and
//! packed when it is over ([`pack`]); a crash in between leaves the WAV, and packing begins anew.

use crate::codec::opus::{CLOCK_HZ, Encoder, RATES_HZ};
use crate::wav::{self, Format, HEADER_BYTES, WavError};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Length of a packet: what RFC 7845 section 4 takes for the usual.
const FRAME_MS: u32 = 20;
/// Packets of a page, so that a page is a second and a player can find its way (RFC 7845 section 4.2).
const PAGE_PACKETS: u32 = 50;
/// Longest packet of one stream (RFC 6716 section 3.4).
const PACKET_BYTES_MAX: usize = 1275;
/// Samples that are read of a file at once.
const READ_SAMPLES: usize = 8192;

/// Why a recording was not packed.
#[derive(Debug, thiserror::Error)]
pub enum OggError {
    /// No recording that can be read.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// Opus has no such rate, or the sound has several channels.
    #[error("Opus takes one channel at {RATES_HZ:?} Hz, not {channels} at {rate_hz} Hz")]
    Sound {
        /// Samples a second.
        rate_hz: u32,
        /// Channels.
        channels: u16,
    },
    /// The codec refused a frame.
    #[error("the sound could not be encoded")]
    Codec,
    /// Who packed was told to leave.
    #[error("it was left before its end")]
    Left,
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes sound as a stream of Opus in Ogg.
pub struct OggOpus<W: Write> {
    pages: PacketWriter<'static, W>,
    encoder: Encoder,
    serial: u32,
    /// Samples that fill no frame yet.
    frame: Vec<i16>,
    frame_samples: usize,
    /// What a player skips of the beginning, in units of [`CLOCK_HZ`]: the encoder's delay (RFC 7845 section 4.2).
    skip: u64,
    /// Samples and packets so far.
    samples: u64,
    packets: u32,
    /// The packet before: the last one is written otherwise than all others.
    waiting: Option<Vec<u8>>,
}

impl<W: Write> OggOpus<W> {
    /// Begins a stream of one channel, and writes its two headers (RFC 7845 section 5).
    ///
    /// # Errors
    /// [`OggError::Sound`] where Opus has no such rate; [`OggError::Io`].
    pub fn new(to: W, rate_hz: u32) -> Result<OggOpus<W>, OggError> {
        let encoder = Encoder::new(rate_hz).ok_or(OggError::Sound { rate_hz, channels: 1 })?;
        let skip = encoder.lookahead();
        let (serial, mut pages) = (rand::random(), PacketWriter::new(to));
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(u16::try_from(skip).unwrap_or(u16::MAX).to_le_bytes());
        head.extend(rate_hz.to_le_bytes());
        // No gain, and one channel, which needs no mapping.
        head.extend([0, 0, 0]);
        pages.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)?;
        let vendor = concat!("strowger ", env!("CARGO_PKG_VERSION"));
        let mut tags = b"OpusTags".to_vec();
        tags.extend(u32::try_from(vendor.len()).unwrap_or(0).to_le_bytes());
        tags.extend(vendor.as_bytes());
        tags.extend(0u32.to_le_bytes());
        pages.write_packet(tags, serial, PacketWriteEndInfo::EndPage, 0)?;
        let frame_samples = (rate_hz * FRAME_MS / 1000) as usize;
        Ok(OggOpus {
            pages,
            encoder,
            serial,
            frame: Vec::with_capacity(frame_samples),
            frame_samples,
            skip: skip.into(),
            samples: 0,
            packets: 0,
            waiting: None,
        })
    }

    /// Writes samples behind the others.
    ///
    /// # Errors
    /// [`OggError::Codec`], [`OggError::Io`].
    pub fn push(&mut self, mut samples: &[i16]) -> Result<(), OggError> {
        self.samples += samples.len() as u64;
        while !samples.is_empty() {
            let (now, rest) = samples.split_at(samples.len().min(self.frame_samples - self.frame.len()));
            self.frame.extend_from_slice(now);
            samples = rest;
            if self.frame.len() == self.frame_samples {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Ends the stream, which plays exactly as long as what was pushed (RFC 7845 section 4.5).
    ///
    /// # Errors
    /// [`OggError::Codec`], [`OggError::Io`].
    pub fn finish(mut self) -> Result<W, OggError> {
        let all = self.position(self.samples);
        // The last samples come out of a decoder as late as it skips.
        while self.waiting.is_none() || self.encoded() < all {
            self.frame.resize(self.frame_samples, 0);
            self.encode()?;
        }
        if let Some(last) = self.waiting.take() {
            self.pages.write_packet(last, self.serial, PacketWriteEndInfo::EndStream, all)?;
        }
        Ok(self.pages.into_inner())
    }

    /// Where a player is after so many samples.
    fn position(&self, samples: u64) -> u64 {
        self.skip + samples * u64::from(CLOCK_HZ) / u64::from(self.encoder.rate_hz())
    }

    /// What the packets so far hold.
    fn encoded(&self) -> u64 {
        u64::from(self.packets) * u64::from(CLOCK_HZ * FRAME_MS / 1000)
    }

    fn encode(&mut self) -> Result<(), OggError> {
        if let Some(before) = self.waiting.take() {
            let ends = self.packets.is_multiple_of(PAGE_PACKETS);
            let how = if ends { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.pages.write_packet(Cow::Owned(before), self.serial, how, self.encoded())?;
        }
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let bytes = self.encoder.encode(&self.frame, &mut packet).ok_or(OggError::Codec)?;
        packet.truncate(bytes);
        self.frame.clear();
        self.packets += 1;
        self.waiting = Some(packet);
        Ok(())
    }
}

/// The sound of a WAV file as an Ogg file: for what is sent, and so lies in memory. It blocks for 2 % of the time that it plays.
///
/// # Errors
/// See [`OggError`].
pub fn of_wav(file: &[u8]) -> Result<Vec<u8>, OggError> {
    let (format, sound) = wav::parse(file)?;
    let mut out = begin(Vec::new(), format)?;
    for piece in sound.chunks(READ_SAMPLES * usize::from(format.encoding.sample_bytes())) {
        out.push(&wav::decode(format.encoding, piece))?;
    }
    out.finish()
}

/// Packs a recording of ours: `to` is there as a whole, and durably, or not at all. The WAV stays. It takes 2 % of the time that
/// the recording plays, or ends within a few ms of `leave`.
///
/// # Errors
/// See [`OggError`]; nothing is left at `to` then.
pub fn pack(recording: &Path, to: &Path, leave: &AtomicBool) -> Result<(), OggError> {
    let part = to.with_extension("part");
    let packed = pack_into(recording, &part, leave).and_then(|()| Ok(fs::rename(&part, to)?));
    if packed.is_err() {
        let _none_was_made = fs::remove_file(&part);
    }
    packed?;
    Ok(crate::recorder::sync_folder(to)?)
}

fn pack_into(recording: &Path, part: &Path, leave: &AtomicBool) -> Result<(), OggError> {
    let mut from = BufReader::new(File::open(recording)?);
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header).map_err(|_| WavError::NotWav)?;
    let (format, _) = wav::parse(&header)?;
    let bytes = header.last_chunk().map_or(0, |count| u32::from_le_bytes(*count));
    let mut out = begin(BufWriter::new(File::create(part)?), format)?;
    let mut from = from.take(bytes.into());
    let mut piece = vec![0; READ_SAMPLES * usize::from(format.encoding.sample_bytes())];
    loop {
        let read = fill(&mut from, &mut piece)?;
        if read == 0 {
            break;
        }
        if leave.load(Relaxed) {
            return Err(OggError::Left);
        }
        out.push(&wav::decode(format.encoding, piece.get(..read).unwrap_or_default()))?;
    }
    let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.sync_all()?)
}

fn begin<W: Write>(to: W, format: Format) -> Result<OggOpus<W>, OggError> {
    match format.channels {
        1 => OggOpus::new(to, format.rate_hz),
        channels => Err(OggError::Sound { rate_hz: format.rate_hz, channels }),
    }
}

/// Reads as much as there is room for, or all that is left.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711::Law;
    use crate::codec::opus::Decoder;
    use crate::tone::{Sine, measure};
    use crate::wav::Encoding;
    use ogg::PacketReader;
    use std::io::Cursor;

    /// What a player makes of a file, by the rules of RFC 7845 sections 4 and 5: its samples, and where its pages end.
    fn played(file: &[u8], rate_hz: u32) -> (Vec<i16>, Vec<u64>) {
        let mut packets = PacketReader::new(Cursor::new(file));
        let head = packets.read_packet_expected().unwrap();
        assert!(head.first_in_stream() && head.last_in_page());
        let head = head.data;
        assert_eq!((&head[..10], head.len()), (&b"OpusHead\x01\x01"[..], 19));
        assert_eq!(u32::from_le_bytes(head[12..16].try_into().unwrap()), rate_hz);
        assert_eq!(head[16..], [0, 0, 0]);
        let tags = packets.read_packet_expected().unwrap();
        assert!(tags.data.starts_with(b"OpusTags") && tags.last_in_page());
        let mut decoder = Decoder::new(rate_hz).unwrap();
        let (mut samples, mut pages, mut over) = (Vec::new(), Vec::new(), false);
        while let Some(packet) = packets.read_packet().unwrap() {
            assert!(!over, "a packet behind the end of the stream");
            let mut out = [0; 5760];
            let count = decoder.decode(&packet.data, &mut out).unwrap();
            samples.extend(&out[..count]);
            if packet.last_in_page() {
                pages.push(packet.absgp_page());
            }
            over = packet.last_in_stream();
        }
        assert!(over);
        let in_samples = |position: u64| usize::try_from(position * u64::from(rate_hz) / 48_000).unwrap();
        let skip = u64::from(u16::from_le_bytes([head[10], head[11]]));
        (samples[in_samples(skip)..in_samples(*pages.last().unwrap())].to_vec(), pages)
    }

    fn wav(rate_hz: u32, encoding: Encoding, samples: &[i16]) -> Vec<u8> {
        let sound: Vec<u8> = match encoding {
            Encoding::Linear => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Encoding::G711(law) => {
                let mut sound = vec![0; samples.len()];
                law.encode(samples, &mut sound);
                sound
            }
        };
        let header = Format { encoding, rate_hz, channels: 1 }.header(u32::try_from(sound.len()).ok());
        [&header[..], &sound].concat()
    }

    fn tone(rate_hz: u32, samples: usize) -> Vec<i16> {
        let mut tone = vec![0; samples];
        Sine::new(1000.0, -10.0, rate_hz).fill(&mut tone);
        tone
    }

    #[test]
    fn a_recording_plays_as_long_as_it_was_and_sounds_as_it_did_at_every_rate_and_encoding() {
        for rate_hz in RATES_HZ {
            for encoding in [Encoding::Linear, Encoding::G711(Law::A), Encoding::G711(Law::Mu)] {
                let samples = tone(rate_hz, rate_hz as usize * 5 / 2 + 7);
                let (sound, pages) = played(&of_wav(&wav(rate_hz, encoding, &samples)).unwrap(), rate_hz);
                assert_eq!(sound.len(), samples.len(), "{rate_hz} {encoding:?}");
                let found = measure(&sound[rate_hz as usize..], rate_hz).unwrap();
                // No recording of ours has 12 kHz; what Opus makes of those is a little softer.
                let near_db = if rate_hz == 12_000 { 2.0 } else { 1.0 };
                assert!((found.hz - 1000.0).abs() < 1.0 && (found.dbm0 + 10.0).abs() < near_db, "{rate_hz}: {found:?}");
                assert_eq!(pages[..2], [48_000, 96_000], "a page is a second");
            }
        }
    }

    #[test]
    fn the_shortest_and_odd_lengths_play_exactly() {
        for samples in [0, 1, 159, 160, 161, 7_999, 8_000, 8_001, 16_000] {
            let (sound, _) = played(&of_wav(&wav(8000, Encoding::Linear, &tone(8000, samples))).unwrap(), 8000);
            assert_eq!(sound.len(), samples);
        }
    }

    #[test]
    fn what_is_no_recording_of_one_channel_is_refused() {
        assert!(matches!(of_wav(b"RIFFxxxxWAVE"), Err(OggError::Wav(WavError::NotWav))));
        let odd = wav(11_025, Encoding::Linear, &[0; 100]);
        assert!(matches!(of_wav(&odd), Err(OggError::Sound { rate_hz: 11_025, channels: 1 })));
        let header = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 2 }.header(Some(0));
        assert!(matches!(of_wav(&header), Err(OggError::Sound { channels: 2, .. })));
    }

    #[test]
    fn a_file_is_packed_as_far_as_its_header_counts_and_there_is_all_of_it_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.wav"), folder.path().join("a.opus"));
        let samples = tone(16_000, 40_000);
        let whole = wav(16_000, Encoding::Linear, &samples);
        // A chunk that a crash has cut lies behind what is counted.
        std::fs::write(&from, [&whole[..], &[1; 333]].concat()).unwrap();
        pack(&from, &to, &AtomicBool::new(false)).unwrap();
        let (sound, _) = played(&std::fs::read(&to).unwrap(), 16_000);
        assert_eq!(sound.len(), samples.len());
        assert!(std::fs::metadata(&to).unwrap().len() < whole.len() as u64 / 5);
        let left = folder.path().join("b.opus");
        assert!(matches!(pack(&from, &left, &AtomicBool::new(true)), Err(OggError::Left)));
        let gone = pack(&folder.path().join("none.wav"), &left, &AtomicBool::new(false));
        assert!(matches!(gone, Err(OggError::Io(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left of an attempt");
    }
}
