//! A letter as e-mail: subject, words, headers and the sound (reference, unified messaging, 8).

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use store::{Letter, LetterKind, Voice, VoiceKind};

use super::Attach;

/// Why a letter cannot be written; it never will be.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// An address is none.
    #[error("`{0}` is no e-mail address")]
    Address(String),
    /// The message itself.
    #[error("the message cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The sound of a message, as it is attached.
pub struct Sound<'a> {
    /// What it is.
    pub voice: &'a Voice,
    /// The file.
    pub file: Vec<u8>,
    /// Its form.
    pub form: Attach,
}

/// Puts a letter together; `sound` is the message that it is about, and `words` is what was made out of it.
///
/// # Errors
/// See [`Unwritable`].
pub fn write(
    letter: &Letter,
    from: &str,
    sound: Option<Sound<'_>>,
    words: Option<&str>,
) -> Result<Message, Unwritable> {
    let address = |text: &str| text.parse::<Mailbox>().map_err(|_| Unwritable::Address(text.to_owned()));
    let caller = caller(letter);
    let mut headers: Vec<(&'static str, String)> = vec![("X-CallID", letter.call_id.clone())];
    let (subject, mut text, class) = match (&letter.kind, &sound) {
        (LetterKind::Voice(_), Some(Sound { voice, form, .. })) => {
            let length = length(voice.length_ms);
            headers.push(("X-VoiceMessageDuration", voice.length_ms.div_ceil(1000).to_string()));
            headers.push(("X-CallingTelephoneNumber", voice.from.clone()));
            headers.push(("X-VoiceMessageSenderName", voice.name.clone()));
            headers.push(("X-AttachmentOrder", file_name(&caller, &length, *form)));
            if voice.urgent {
                headers.push(("Importance", "high".into()));
            }
            if voice.private {
                headers.push(("Sensitivity", "private".into()));
            }
            let class = if voice.kind == VoiceKind::Sent { "voice" } else { "voice-ca" };
            let text = format!("{caller} has left you a voice message of {length}.\n");
            (format!("Voice Mail from {caller} ({length})"), text, class)
        }
        (LetterKind::Voice(_), None) => {
            let text = format!("{caller} has left you a voice message, which is not there any more.\n");
            (format!("Voice Mail from {caller}"), text, "voice-ca")
        }
        (LetterKind::Missed, _) => {
            headers.push(("X-CallingTelephoneNumber", letter.from.clone()));
            (format!("Missed call from {caller}"), format!("{caller} has called and left no message.\n"), "missedcall")
        }
        (LetterKind::Notice { subject, text }, _) => (subject.clone(), text.clone(), "notice"),
    };
    if let Some(words) = words {
        text.push('\n');
        text.push_str(words);
    }
    headers.push(("Content-Class", class.into()));
    let mut builder = Message::builder().from(address(from)?).to(address(&letter.to)?).subject(subject);
    // The same letter has the same name however often it is sent: who has it already can tell.
    let domain = from.rsplit('@').next().unwrap_or("localhost").trim_end_matches('>');
    builder = builder.message_id(Some(format!("<{}.{}@{domain}>", letter.number, letter.mailbox)));
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    let words = SinglePart::plain(text);
    Ok(match sound {
        Some(Sound { voice, file, form }) => {
            let name = file_name(&caller, &length(voice.length_ms), form);
            let attachment = Attachment::new(name).body(file, type_of(form));
            builder.multipart(MultiPart::mixed().singlepart(words).singlepart(attachment))?
        }
        None => builder.singlepart(words)?,
    })
}

fn type_of(form: Attach) -> ContentType {
    let name = match form {
        Attach::Wav => "audio/wav",
        Attach::Opus => "audio/ogg",
    };
    ContentType::parse(name).unwrap_or(ContentType::TEXT_PLAIN)
}

fn caller(letter: &Letter) -> String {
    let known = [&letter.name, &letter.from].into_iter().find(|text| !text.is_empty());
    // A header has one line.
    known.map_or_else(|| "an unknown caller".to_owned(), |text| text.replace(|c: char| c.is_control(), " "))
}

fn length(ms: u64) -> String {
    match ms.div_ceil(1000) {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

fn file_name(caller: &str, length: &str, form: Attach) -> String {
    let end = match form {
        Attach::Wav => "wav",
        Attach::Opus => "opus",
    };
    let plain: String =
        caller.chars().map(|c| if c.is_alphanumeric() || "+ .-".contains(c) { c } else { '_' }).collect();
    format!("{plain} ({length}) Voice Mail.{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(kind: LetterKind) -> Letter {
        Letter {
            number: 7,
            mailbox: "bob".into(),
            to: "bob@example.com".into(),
            kind,
            from: "7125550123".into(),
            name: String::new(),
            call_id: "c1".into(),
            written_ms: 0,
            tries: 0,
            due_ms: 0,
            given_up: None,
        }
    }

    #[test]
    fn a_letter_says_who_called_and_has_the_sound() {
        let voice = Voice { from: "7125550123".into(), length_ms: 2900, urgent: true, ..Voice::default() };
        let letter = letter(LetterKind::Voice(1));
        let message = write(
            &letter,
            "Voice mail <mail@example.com>",
            Some(Sound { voice: &voice, file: b"RIFF".to_vec(), form: Attach::Wav }),
            None,
        )
        .unwrap();
        let text = String::from_utf8(message.formatted()).unwrap().replace("\r\n ", " ");
        for line in [
            "Subject: Voice Mail from 7125550123 (3 seconds)",
            "Content-Class: voice-ca",
            "X-VoiceMessageDuration: 3",
            "X-CallingTelephoneNumber: 7125550123",
            "X-CallID: c1",
            "Importance: high",
            "Message-ID: <7.bob@example.com>",
            "\"7125550123 (3 seconds) Voice Mail.wav\"",
            "Content-Type: audio/wav",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let sound = Sound { voice: &voice, file: b"OggS".to_vec(), form: Attach::Opus };
        let text =
            String::from_utf8(write(&letter, "mail@example.com", Some(sound), None).unwrap().formatted()).unwrap();
        assert!(text.contains("Voice Mail.opus") && text.contains("Content-Type: audio/ogg"), "{text}");
    }

    #[test]
    fn a_caller_cannot_write_headers() {
        let mut letter = letter(LetterKind::Missed);
        letter.name = "x\r\nBcc: eve@example.com".into();
        let text = String::from_utf8(write(&letter, "mail@example.com", None, None).unwrap().formatted()).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        letter.to = "nobody".into();
        assert!(write(&letter, "mail@example.com", None, None).is_err());
    }
}
