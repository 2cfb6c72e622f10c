//! What a file says of its message: the index in small, as JSON behind the sound.

use serde::{Deserialize, Serialize};
use store::{Voice, VoiceKind};

#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    sent: bool,
    from: String,
    name: String,
    sender: Option<String>,
    call_id: String,
    received_ms: i64,
    length_ms: u64,
    urgent: bool,
    private: bool,
    /// A recording that becomes no message: a greeting.
    clip: bool,
}

/// The head of a message; `clip` for a recording that becomes none.
pub fn write(voice: &Voice, clip: bool) -> Vec<u8> {
    let head = Head {
        number: voice.number,
        sent: voice.kind == VoiceKind::Sent,
        from: voice.from.clone(),
        name: voice.name.clone(),
        sender: voice.sender.clone(),
        call_id: voice.call_id.clone(),
        received_ms: voice.received_ms,
        length_ms: voice.length_ms,
        urgent: voice.urgent,
        private: voice.private,
        clip,
    };
    serde_json::to_vec(&head).unwrap_or_default()
}

/// The message of a head, and whether it becomes none; `None` where that cannot be read.
pub fn read(bytes: &[u8]) -> Option<(Voice, bool)> {
    let head: Head = serde_json::from_slice(bytes).ok()?;
    let voice = Voice {
        number: head.number,
        kind: if head.sent { VoiceKind::Sent } else { VoiceKind::Answered },
        from: head.from,
        name: head.name,
        sender: head.sender,
        call_id: head.call_id,
        received_ms: head.received_ms,
        length_ms: head.length_ms,
        urgent: head.urgent,
        private: head.private,
        ..Voice::default()
    };
    Some((voice, head.clip))
}
