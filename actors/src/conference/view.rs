//! What others see of a conference.

use serde::Serialize;

use super::hall::Hall;
use crate::call::rfc3339;

/// A line of the list of conferences.
#[derive(Clone, Debug, Serialize)]
pub struct ConferenceView {
    /// Its number.
    pub number: String,
    /// What it is called.
    pub text: Option<String>,
    /// RFC 3339.
    pub began: String,
    /// Sample rate of the mix, Hz.
    pub rate_hz: u32,
    /// Guests at once.
    pub participants_max: usize,
    /// The worker that mixes it.
    pub worker: u16,
    /// The file of its recording.
    pub recording: Option<String>,
    /// Frames of 20 ms mixed.
    pub turns: u64,
    /// Packets encoded, and sent: who hears the same shares an encoding.
    pub encodings: u64,
    /// Packets sent.
    pub packets: u64,
    /// Who is in.
    pub participants: Vec<GuestView>,
}

/// Somebody in it.
#[derive(Clone, Debug, Serialize)]
pub struct GuestView {
    /// Its number in the conference.
    pub id: u32,
    /// Its address of record, or what it says it is.
    pub name: String,
    /// Its call.
    pub call: String,
    /// RFC 3339.
    pub since: String,
    /// Level of its sound, dBm0; -127 for none.
    pub level_dbm0: f32,
    /// The others hear it at this moment.
    pub talking: bool,
    /// The others are not to hear it.
    pub muted: bool,
    /// dB.
    pub gain_db: f32,
}

impl Hall {
    /// What others see of it.
    pub fn view(&self) -> ConferenceView {
        let figures = self.room.figures();
        let guests = self.guests.lock();
        ConferenceView {
            number: self.number.clone(),
            text: self.plan.text.clone(),
            began: rfc3339(self.began_ms),
            rate_hz: self.plan.rate_hz,
            participants_max: self.plan.participants_max,
            worker: self.room.worker(),
            recording: self.recording.lock().as_ref().map(|running| running.path.display().to_string()),
            turns: figures.turns,
            encodings: figures.encodings,
            packets: figures.packets,
            participants: guests
                .iter()
                .map(|guest| GuestView {
                    id: guest.id,
                    name: guest.name.clone(),
                    call: guest.call.to_string(),
                    since: rfc3339(guest.since_ms),
                    level_dbm0: guest.member.level_dbm0(),
                    talking: guest.member.is_talking(),
                    muted: guest.member.is_muted(),
                    gain_db: guest.member.gain_db(),
                })
                .collect(),
        }
    }
}
