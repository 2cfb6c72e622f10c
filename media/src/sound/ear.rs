//! The listening end of a stream.

use super::delay::Delay;
use super::line::Line;
use super::queue::{Kind, Queue, is_before};
use super::{RATES_HZ, Resampler};
use crate::codec::noise::Noise;
use crate::codec::{Decoder, Payload};
use crate::rtp::Header;
use std::time::Duration;

/// Payload types of a stream beyond this many are not heard.
const PAYLOADS_MAX: usize = 16;
/// Sound is played up to this much before its time, and up to this much behind it before a period is cut out.
const EARLY_US: i64 = 10_000;
const LATE_US: i64 = 30_000;
/// So far behind its time sound is cut shorter wherever it is, and past the next bound whole packets go.
const LATE_FORCED_US: i64 = 120_000;
const LATE_DROPPED_US: i64 = 400_000;
/// Earlier than this is not jitter: the sender had paused, or is new.
const PAUSE_US: i64 = 60_000;
/// After this much concealment nothing is left to go on from.
const CONCEALED_MS_MAX: usize = 60;
/// More missing packets than this are a pause.
const MISSING_MAX: u16 = 25;
/// A timestamp so far from the last is another stream's.
const JUMP_US: i64 = 5_000_000;
/// What is made of noise, silence or concealment at a time, in milliseconds.
const PIECE_MS: usize = 10;
/// The puller's clock is trusted in the long run, and this much at once.
const CLOCK_SLIP_US: i64 = 250_000;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something of the stream: sound, or comfort noise.
    Sound,
    /// What conceals a loss, in part at least.
    Concealed,
    /// Silence: nothing has come, or nothing comes any more.
    Nothing,
}

/// Listens to one RTP stream.
#[derive(Debug)]
pub struct Ear {
    rate_hz: u32,
    payloads: Vec<(Payload, Option<Decoder>)>,
    queue: Queue,
    delay: Delay,
    /// Absent until the first packet says what its rate is.
    output: Option<Output>,
    noise: Option<Noise>,
    stream: Option<Stream>,
    /// The time up to which sound has been handed out.
    clock_us: Option<i64>,
    /// Packets that came and were not heard.
    discarded: u64,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// The newest timestamp, and its time since the first in microseconds.
    timestamp: u32,
    own_us: i64,
    /// The number that is played next.
    next: u16,
    /// Length of the last packet, in microseconds.
    packet_us: i64,
    /// Nothing is being played: the next packet waits for its time.
    resting: bool,
}

/// Decoded sound on its way out.
#[derive(Debug)]
struct Output {
    line: Line,
    rate_hz: u32,
    resampler: Option<Resampler>,
    /// The payload that was decoded last.
    place: usize,
}

impl Ear {
    /// An ear for a stream of any of `payloads` whose sound is wanted at `rate_hz`; `None` if that is none of
    /// [`RATES_HZ`]. Payloads that the switch does not decode are passed over.
    pub fn new(payloads: &[Payload], rate_hz: u32) -> Option<Ear> {
        RATES_HZ.contains(&rate_hz).then(|| Ear {
            rate_hz,
            payloads: payloads.iter().take(PAYLOADS_MAX).map(|payload| (*payload, None)).collect(),
            queue: Queue::default(),
            delay: Delay::default(),
            output: None,
            noise: None,
            stream: None,
            clock_us: None,
            discarded: 0,
        })
    }

    /// Takes a packet that came at `now`. `payload` is what `header` says of the datagram, decrypted.
    pub fn packet(&mut self, header: &Header, payload: &[u8], now: Duration) {
        let place = self.payloads.iter().position(|(payload, _)| payload.pt == header.payload_type);
        let known = place.and_then(|place| self.payloads.get(place).map(|(payload, _)| (place, *payload)));
        let kind = known.map_or(Kind::Other, |(place, payload)| Kind::of(payload.codec, place));
        let arrived_us = micros(now);
        let mut stream = match self.stream {
            Some(stream) if stream.ssrc == header.ssrc => stream,
            _ => self.begin(header),
        };
        if kind != Kind::Other {
            let clock_hz = known.map_or(8000, |(_, payload)| payload.clock_hz);
            let mut step_us = units_to_us(header.timestamp.wrapping_sub(stream.timestamp), clock_hz);
            if step_us.abs() > JUMP_US {
                stream = self.begin(header);
                step_us = 0;
            }
            let own_us = stream.own_us + step_us;
            self.delay.arrived(arrived_us, arrived_us - own_us);
            if step_us > 0 {
                (stream.timestamp, stream.own_us) = (header.timestamp, own_us);
            }
        }
        // What was waited for no longer is late for good; while nothing is played the order is still open.
        if is_before(header.sequence, stream.next) {
            if !stream.resting || stream.next.wrapping_sub(header.sequence) > MISSING_MAX {
                self.stream = Some(stream);
                self.discarded += 1;
                return;
            }
            stream.next = header.sequence;
        }
        self.stream = Some(stream);
        if self.queue.is_full() {
            self.discarded += 1;
        }
        self.queue.insert(header.sequence, header.timestamp, kind, payload);
    }

    /// Writes the next `frame.len()` samples; `now` is when they are wanted. Frames are asked for at a steady beat, whose
    /// single wakes may be late.
    pub fn pull(&mut self, now: Duration, frame: &mut [i16]) -> Heard {
        let now_us = micros(now);
        let mut clock_us = self.clock_us.unwrap_or(now_us);
        let error_us = now_us - clock_us;
        clock_us += if error_us.abs() > CLOCK_SLIP_US { error_us } else { error_us / 32 };
        let frame_us = length_us(frame.len(), self.rate_hz);
        self.clock_us = Some(clock_us + frame_us);
        let mut heard = Heard::Nothing;
        loop {
            let needed = match &self.output {
                None => 1,
                Some(output) => match &output.resampler {
                    None => frame.len(),
                    Some(resampler) => resampler.input_for(frame.len()),
                },
            };
            let waiting = self.output.as_ref().map_or(0, |output| output.line.waiting());
            if waiting >= needed {
                if waiting > 0 && needed > 0 && self.stream.is_some_and(|stream| !stream.resting) {
                    heard = Heard::Sound;
                }
                break;
            }
            let waiting_us = self.output.as_ref().map_or(0, |output| length_us(waiting, output.rate_hz));
            if !self.go_on(clock_us + waiting_us) {
                break;
            }
        }
        if heard == Heard::Sound && self.output.as_ref().is_some_and(|output| output.line.concealed_ms() > 0) {
            heard = Heard::Concealed;
        }
        if self.noise.is_some() {
            heard = Heard::Sound;
        }
        self.hand_out(frame);
        heard
    }

    /// How much later than its fastest packets the stream is played at present.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.delay.target_us()).unwrap_or(0))
    }

    /// Packets that came and were not heard, because they came too late or too many at once.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Forgets the stream, as if nothing had come yet.
    pub fn reset(&mut self) {
        self.queue.clear();
        (self.delay, self.noise, self.stream, self.clock_us) = (Delay::default(), None, None, None);
    }

    fn begin(&mut self, header: &Header) -> Stream {
        self.queue.clear();
        (self.delay, self.noise) = (Delay::default(), None);
        for (_, decoder) in &mut self.payloads {
            *decoder = None;
        }
        Stream {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            own_us: 0,
            next: header.sequence,
            packet_us: 20_000,
            resting: true,
        }
    }

    /// Puts the next piece on the line, which plays at `at_us`; false if there is nothing to put it on.
    fn go_on(&mut self, at_us: i64) -> bool {
        let Some(mut stream) = self.stream else { return self.fill_silence() };
        let done = self.step(&mut stream, at_us);
        self.stream = Some(stream);
        done
    }

    fn step(&mut self, stream: &mut Stream, at_us: i64) -> bool {
        let Some(first) = self.queue.first() else { return self.starve(stream) };
        let (sequence, timestamp, kind) = (first.sequence, first.timestamp, first.kind);
        let missing = sequence.wrapping_sub(stream.next);
        if kind == Kind::Other {
            // No sound of its own, and no loss: what goes before it has been played or is given up.
            stream.next = sequence.wrapping_add(1);
            self.queue.drop_first();
            return true;
        }
        let late_us = at_us - self.delay.due_us(self.own_us(stream, timestamp, kind));
        let paused = stream.resting || self.noise.is_some();
        if paused || missing > MISSING_MAX {
            if late_us < 0 {
                return self.fill_pause();
            }
            stream.next = sequence;
            return self.play(stream, late_us);
        }
        if missing > 0 {
            // Its time has come, and it has not.
            stream.next = stream.next.wrapping_add(1);
            return self.conceal_packet(stream, missing == 1);
        }
        if late_us < -PAUSE_US {
            // In sequence, and still far from due: the sender sends no silence.
            return self.starve(stream);
        }
        if late_us < -EARLY_US && self.output.as_mut().is_some_and(|output| output.line.lengthen() > 0) {
            return true;
        }
        self.play(stream, late_us)
    }

    /// A timestamp on the stream's own scale of microseconds.
    fn own_us(&self, stream: &Stream, timestamp: u32, kind: Kind) -> i64 {
        let place = if let Kind::Sound(place) = kind { Some(place) } else { None };
        let payload = place.and_then(|place| self.payloads.get(place));
        let clock_hz = payload.map_or(8000, |(payload, _)| payload.clock_hz);
        stream.own_us + units_to_us(timestamp.wrapping_sub(stream.timestamp), clock_hz)
    }

    /// Plays the packet that comes next.
    fn play(&mut self, stream: &mut Stream, late_us: i64) -> bool {
        let Some(packet) = self.queue.first() else { return false };
        stream.next = packet.sequence.wrapping_add(1);
        match packet.kind {
            Kind::Other => {}
            Kind::Noise => {
                match &mut self.noise {
                    Some(noise) => noise.update(&packet.payload),
                    None => self.noise = Some(Noise::from_payload(&packet.payload)),
                }
                stream.resting = true;
            }
            Kind::Sound(place) => {
                let Some((payload, decoder)) = self.payloads.get_mut(place) else { return false };
                if decoder.is_none() {
                    *decoder = Decoder::new(payload, self.rate_hz);
                }
                if let Some(decoder) = decoder {
                    let output = Output::for_rate(&mut self.output, decoder.rate_hz(), self.rate_hz);
                    output.place = place;
                    let was_resting = std::mem::take(&mut stream.resting);
                    self.noise = None;
                    let decoded =
                        output.line.append(decoder.samples_max(), |room| decoder.decode(&packet.payload, room));
                    if let Ok(count) = decoded {
                        stream.packet_us = length_us(count, decoder.rate_hz()).max(1000);
                        if late_us > LATE_US && !was_resting {
                            output.line.shorten(late_us > LATE_FORCED_US);
                        }
                    }
                    if late_us > LATE_DROPPED_US && self.queue.len() > 1 {
                        // What comes now is half a second old: begin again with the newest.
                        while self.queue.len() > 1 {
                            self.queue.drop_first();
                            self.discarded += 1;
                        }
                        stream.resting = true;
                        return true;
                    }
                }
            }
        }
        self.queue.drop_first();
        true
    }

    /// Nothing is there to be played: goes on from what was, until nothing of it is left.
    fn starve(&mut self, stream: &mut Stream) -> bool {
        if stream.resting || self.noise.is_some() {
            return self.fill_pause();
        }
        let Some(output) = &mut self.output else { return false };
        if output.line.concealed_ms() >= CONCEALED_MS_MAX {
            stream.resting = true;
            return self.fill_pause();
        }
        output.line.conceal(output.piece());
        true
    }

    /// Conceals one lost packet; `next` says that the one after it is there.
    fn conceal_packet(&mut self, stream: &mut Stream, next: bool) -> bool {
        let Some(output) = &mut self.output else { return false };
        let count = us_to_samples(stream.packet_us, output.rate_hz);
        let next = if next { self.queue.first().filter(|next| next.kind == Kind::Sound(output.place)) } else { None };
        let decoder = self.payloads.get_mut(output.place).and_then(|(_, decoder)| decoder.as_mut());
        let by_codec = decoder.filter(|_| output.line.concealed_ms() == 0).is_some_and(|decoder| {
            let next = next.map(|next| &next.payload[..]);
            let concealed = |room: &mut [i16]| if decoder.conceal(next, room) { Ok(room.len()) } else { Err(()) };
            output.line.append(count, concealed).is_ok()
        });
        if !by_codec {
            output.line.conceal(count);
        }
        true
    }

    /// What is heard while the stream pauses.
    fn fill_pause(&mut self) -> bool {
        let Some(noise) = &mut self.noise else { return self.fill_silence() };
        // Noise before any sound comes at the rate that is wanted.
        let output = match &mut self.output {
            Some(output) => output,
            none => Output::for_rate(none, self.rate_hz, self.rate_hz),
        };
        let piece = output.piece();
        let filled: Result<usize, std::convert::Infallible> = output.line.append(piece, |room| {
            noise.fill(room);
            Ok(room.len())
        });
        filled.is_ok()
    }

    fn fill_silence(&mut self) -> bool {
        let Some(output) = &mut self.output else { return false };
        output.line.append_silence(output.piece());
        true
    }

    fn hand_out(&mut self, frame: &mut [i16]) {
        let Some(output) = &mut self.output else { return frame.fill(0) };
        match &mut output.resampler {
            None => {
                let ready = output.line.take(frame.len());
                let (sound, rest) = frame.split_at_mut(ready.len());
                sound.copy_from_slice(ready);
                rest.fill(0);
            }
            Some(resampler) => {
                let needed = resampler.input_for(frame.len());
                let written = resampler.process(output.line.take(needed), frame);
                frame.get_mut(written..).unwrap_or_default().fill(0);
            }
        }
    }
}

impl Output {
    /// The output for decoders of a rate: the one that is there, or a fresh one if the rate is another.
    fn for_rate(place: &mut Option<Output>, rate_hz: u32, wanted_hz: u32) -> &mut Output {
        if place.as_ref().is_some_and(|output| output.rate_hz != rate_hz) {
            *place = None;
        }
        place.get_or_insert_with(|| Output {
            line: Line::new(rate_hz),
            rate_hz,
            resampler: if rate_hz == wanted_hz { None } else { Resampler::new(rate_hz, wanted_hz) },
            place: 0,
        })
    }

    fn piece(&self) -> usize {
        PIECE_MS * self.rate_hz as usize / 1000
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A difference of timestamps, forwards or backwards, as microseconds.
fn units_to_us(units: u32, clock_hz: u32) -> i64 {
    i64::from(i32::from_ne_bytes(units.to_ne_bytes())) * 1_000_000 / i64::from(clock_hz.max(1))
}

fn length_us(samples: usize, rate_hz: u32) -> i64 {
    i64::try_from(samples).unwrap_or(0) * 1_000_000 / i64::from(rate_hz.max(1))
}

fn us_to_samples(us: i64, rate_hz: u32) -> usize {
    // To the next 2.5 ms, in which Opus counts.
    let quarters = (us + 1250) / 2500;
    usize::try_from(quarters * i64::from(rate_hz) / 400).unwrap_or(0)
}

#[cfg(test)]
mod tests;
