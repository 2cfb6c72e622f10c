//! Recordings of flows: each beat the ears of the recorded sides are pulled, and their sum is put on the tape.

use super::super::vocabulary::Side;
use super::Worker;
use super::play::Playing;
use crate::mixer::FRAME_MS;
use crate::sound::Ear;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Samples of a frame at the highest rate.
const FRAME_SAMPLES_MAX: usize = 48 * FRAME_MS as usize;

impl Worker<'_> {
    /// Lists a flow that is recorded and gives its sides their ears.
    pub(super) fn settle_tape(&mut self, slot: u32) {
        let listed = self.taped.contains(&slot);
        let Some(entry) = self.entry(slot) else { return };
        let Some(recording) = entry.recording.clone() else { return };
        for side in [Side::A, Side::B] {
            let state = entry.sides.get_mut(side);
            let known = state.payloads.as_slice();
            if recording.of.hears(side)
                && !matches!(state.playing, Playing::Room(_))
                && state.eared != state.remote_serial
            {
                state.ear = Ear::new(known, recording.tape.rate_hz()).map(Box::new);
                state.eared = state.remote_serial;
            }
        }
        if !listed {
            self.taped.push(slot);
            self.keep_beat();
        }
    }

    /// Puts what the recorded sides say on their tapes, `beats` of 20 ms.
    pub(super) fn record_tapes(&mut self, beats: u64, now: Duration) {
        let mut index = 0;
        while let Some(slot) = self.taped.get(index).copied() {
            self.seat.serving.store(slot, Relaxed);
            let entry = self.flows.get_mut(slot as usize).and_then(Option::as_deref_mut);
            let Some((entry, recording)) = entry.and_then(|entry| entry.recording.clone().map(|of| (entry, of))) else {
                self.taped.swap_remove(index);
                continue;
            };
            index += 1;
            if recording.tape.is_closed() {
                entry.recording = None;
                for side in [Side::A, Side::B] {
                    let state = entry.sides.get_mut(side);
                    if !matches!(state.playing, Playing::Room(_)) {
                        (state.ear, state.eared) = (None, 0);
                    }
                }
                continue;
            }
            let samples = (recording.tape.rate_hz() / 1000 * FRAME_MS) as usize;
            for _ in 0..beats {
                let mut sum = [0i16; FRAME_SAMPLES_MAX];
                let sum = sum.get_mut(..samples).unwrap_or_default();
                for side in [Side::A, Side::B] {
                    let state = entry.sides.get_mut(side);
                    if !recording.of.hears(side) || matches!(state.playing, Playing::Room(_)) {
                        continue;
                    }
                    let Some(ear) = &mut state.ear else { continue };
                    let mut frame = [0i16; FRAME_SAMPLES_MAX];
                    let frame = frame.get_mut(..samples).unwrap_or_default();
                    ear.pull(now, frame);
                    sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum = sum.saturating_add(*sample));
                }
                recording.tape.put(sum);
            }
        }
    }
}
