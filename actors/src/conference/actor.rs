//! The actor of a conference: what an operator asks for, recordings, and the end after the last guest.

use media::prompt::Say;
use media::recorder::{RecordingEnd, RecordingSpec};
use media::wav::Encoding;
use std::sync::Arc;
use std::time::Duration;

use super::hall::{Guest, Hall, Running};
use crate::packer;
use crate::shard::SignallingMsg;
use crate::shared::{Shared, unix_ms};
use crate::supervision::{Cx, Live, Reply, StopReason};

/// The longest recording of a conference; another begins when it is told to.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// What a conference can be told.
pub enum ConferenceMsg {
    /// Somebody has come or gone.
    Look,
    /// Mutes a guest, or not.
    Mute(u32, bool, Reply<Result<(), Refusal>>),
    /// Makes a guest louder or softer, dB.
    Gain(u32, f32, Reply<Result<(), Refusal>>),
    /// Ends a guest's call.
    Kick(u32, Reply<Result<(), Refusal>>),
    /// Begins a recording, or ends it; the answer is its file.
    Record(bool, Reply<Result<String, Refusal>>),
    /// A recording has ended, and is on disk.
    Recorded(RecordingEnd),
}

/// Why a conference does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has this number there.
    #[error("nobody in the conference has the number {0}")]
    NoGuest(u32),
    /// It is recorded already.
    #[error("the conference is recorded already")]
    Recorded,
    /// It is not recorded.
    #[error("the conference is not recorded")]
    NotRecorded,
    /// There is no folder, or there are too many recordings.
    #[error("{0}")]
    NoRecording(String),
}

/// See the module.
pub struct Conference {
    shared: Arc<Shared>,
    hall: Arc<Hall>,
}

impl Conference {
    /// The actor of a hall.
    pub fn new(shared: Arc<Shared>, hall: Arc<Hall>) -> Self {
        Self { shared, hall }
    }

    fn guest(&self, id: u32) -> Result<Guest, Refusal> {
        self.hall.guests.lock().iter().find(|guest| guest.id == id).cloned().ok_or(Refusal::NoGuest(id))
    }

    /// Ends what nobody is in any more, and records what is to be recorded.
    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if self.shared.conferences.end(&self.hall) {
            self.stop_recording();
            return cx.stop();
        }
        let idle = self.hall.recording.lock().is_none();
        if self.hall.plan.record
            && idle
            && let Err(error) = self.start_recording(cx)
        {
            tracing::error!(conference = self.hall.number, %error, "a conference is not recorded although it is to be");
        }
    }

    fn kick(&self, id: u32) -> Result<(), Refusal> {
        let guest = self.guest(id)?;
        if let Some(seat) = self.shared.signalling(guest.shard) {
            seat.send_reply(SignallingMsg::HangUp { call: guest.call, by: "operator" });
        }
        Ok(())
    }

    fn record(&mut self, on: bool, cx: &mut Cx<'_, Self>) -> Result<String, Refusal> {
        let running = self.hall.recording.lock().clone();
        match (on, running) {
            (true, Some(_)) => Err(Refusal::Recorded),
            (true, None) => self.start_recording(cx),
            (false, Some(running)) => {
                self.stop_recording();
                Ok(packer::left_of(&running.path).display().to_string())
            }
            (false, None) => Err(Refusal::NotRecorded),
        }
    }

    fn start_recording(&mut self, cx: &mut Cx<'_, Self>) -> Result<String, Refusal> {
        let settings = self.shared.settings();
        let Some(folder) = &settings.recordings else {
            return Err(Refusal::NoRecording("there is no folder for recordings".into()));
        };
        let name = format!("conference-{}-{}", self.hall.number, unix_ms());
        let path = packer::recording_of(folder, &name, self.hall.plan.packed);
        let spec = RecordingSpec {
            path: path.clone(),
            encoding: Encoding::Linear,
            rate_hz: self.hall.plan.rate_hz,
            longest: LONGEST,
            silence: None,
            stop_keys: "",
            fax_ends: false,
        };
        let (me, shared) = (cx.me(), Arc::clone(&self.shared));
        let told = move |end: RecordingEnd| {
            if let Err(error) = packer::queue(&end.path) {
                tracing::error!(file = %end.path.display(), %error, "a recording stays WAV until the next start");
            }
            // Where there is no room one waits already, and looks at all that is there.
            let _waits = shared.packing.seat.try_send(packer::Look);
            // Told by the writer's thread, which must not wait: one a recording.
            me.send_reply(ConferenceMsg::Recorded(end));
        };
        let tape = self.shared.recorder.record(spec, told).map_err(|error| Refusal::NoRecording(error.to_string()))?;
        tracing::info!(conference = self.hall.number, file = %path.display(), "a conference is recorded");
        let notice = self.shared.prompts.speak(self.hall.plan.language, &[Say::Prompt("conference-recorded")]);
        self.hall.room.announce(notice);
        self.hall.room.record(Some(Arc::clone(&tape)));
        let name = packer::left_of(&path).display().to_string();
        *self.hall.recording.lock() = Some(Running { tape, path });
        Ok(name)
    }

    fn stop_recording(&self) {
        if let Some(running) = self.hall.recording.lock().take() {
            self.hall.room.record(None);
            running.tape.stop();
        }
    }

    fn recorded(&self, end: &RecordingEnd) {
        tracing::info!(
            conference = self.hall.number, file = %end.path.display(), length_s = end.length.as_secs(), why = ?end.why,
            lost_samples = end.lost_samples, "a recording of a conference is on disk"
        );
        let mut recording = self.hall.recording.lock();
        if recording.as_ref().is_some_and(|running| running.path == end.path) {
            *recording = None;
            self.hall.room.record(None);
        }
    }
}

impl Live for Conference {
    type Msg = ConferenceMsg;
    const KIND: &'static str = "conference";
    const MAILBOX: usize = 64;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // What was in a lost mailbox: whether anybody is left, and whether it is to be recorded.
        self.look(cx);
    }

    fn handle(&mut self, msg: ConferenceMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            ConferenceMsg::Look => self.look(cx),
            ConferenceMsg::Mute(id, muted, reply) => {
                reply.send(self.guest(id).map(|guest| guest.member.set_muted(muted)));
            }
            ConferenceMsg::Gain(id, db, reply) => {
                reply.send(self.guest(id).map(|guest| guest.member.set_gain_db(db)));
            }
            ConferenceMsg::Kick(id, reply) => reply.send(self.kick(id)),
            ConferenceMsg::Record(on, reply) => {
                let done = self.record(on, cx);
                reply.send(done);
            }
            ConferenceMsg::Recorded(end) => self.recorded(&end),
        }
    }

    fn stopping(&mut self, why: &StopReason, _: &mut Cx<'_, Self>) {
        if *why == StopReason::Halted {
            // The switch goes down: the writer ends after us, and writes what is on the tape.
            self.stop_recording();
        }
    }

    fn describe(&self) -> String {
        let guests = self.hall.guests.lock().len();
        let recorded = if self.hall.recording.lock().is_some() { ", recorded" } else { "" };
        format!("{guests} of {} guests, {} Hz{recorded}", self.hall.plan.participants_max, self.hall.plan.rate_hz)
    }
}
