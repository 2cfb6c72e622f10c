//! Voice mail, from the configuration to the settings of the actors.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actors::directory::User;
use actors::mail::{Assigned, Home, MailSettings, PinRules, Policy, Smtp, SmtpSecurity, TranscriptSettings};
use actors::talk::{Attendant, AttendantKey, KeyDoes, Rules};
use media::Audio;

use crate::config::{self as from, Config};

/// The folder of mailboxes in the data folder.
pub const MAIL_FOLDER: &str = "mail";

/// What holds for all mailboxes.
pub fn settings(config: &Config, data: &Path) -> MailSettings {
    let voicemail = &config.voicemail;
    MailSettings {
        folder: data.join(MAIL_FOLDER),
        rules: Arc::new(Rules {
            language: voicemail.language,
            recording_max: voicemail.recording_max,
            silence: voicemail.recording_silence,
            recording_min: voicemail.recording_min,
            greeting_max: voicemail.greeting_max,
            failures_max: voicemail.failures_max,
            wrong_pins_max: voicemail.wrong_pins_max,
            key_within: voicemail.key_within,
            next_key_within: voicemail.next_key_within,
            skip: voicemail.skip,
            operator: voicemail.operator.clone(),
            attendant: voicemail.attendant.clone(),
            extension_digits: voicemail.extension_digits,
        }),
        answer_after: voicemail.answer_after,
        call_max: voicemail.call_max,
        encoding: match voicemail.format {
            from::SoundFormat::G711 => media::wav::Encoding::G711(media::codec::g711::Law::Mu),
            from::SoundFormat::Linear => media::wav::Encoding::Linear,
        },
        smtp: smtp(config),
        transcripts: transcripts(&config.transcripts).map(Arc::new),
    }
}

/// The users with their mailboxes.
pub fn users(config: &Config) -> Vec<User> {
    let policies: Vec<Arc<Policy>> = config.mailbox_policies.iter().map(|p| Arc::new(policy(p))).collect();
    let mailbox = |user: &from::User| {
        let name = user.mailbox.as_ref()?;
        let policy = policies.iter().find(|policy| policy.name == *name)?;
        Some(Assigned {
            policy: Arc::clone(policy),
            pin: user.pin.as_ref().map(|pin| pin.expose().to_owned()),
            email: user.email.clone(),
        })
    };
    config.users.iter().map(|user| super::user(config, user, mailbox(user))).collect()
}

fn policy(policy: &from::MailboxPolicy) -> Policy {
    let some = |time: Duration| Some(time).filter(|time| !time.is_zero());
    let count = |count: u32| Some(count).filter(|count| *count > 0);
    Policy {
        name: policy.name.clone(),
        pins: PinRules {
            digits_min: policy.pin_digits,
            common: policy.pin_common,
            history: policy.pin_history,
            lifetime: some(policy.pin_lifetime),
            failures_reset: count(policy.pin_failures_reset),
            failures_lock: count(policy.pin_failures_lock),
        },
        pin_first_change: policy.pin_first_change,
        messages_max: policy.messages_max,
        bytes_max: policy.size_max,
        keep: some(policy.keep),
        deleted_keep: policy.deleted_keep,
        anonymous: policy.anonymous,
        private: policy.private,
        lamp: policy.lamp,
        missed: policy.missed,
        operator: policy.operator.clone(),
        answering_rules: policy.answering_rules,
        attach: policy.attach,
        home: policy.home.as_ref().map(|gateway| Home {
            gateway: gateway.clone(),
            pilot: policy.home_pilot.clone(),
            front: policy.front,
        }),
        fax: policy.fax.clone(),
        lamp_gateways: policy.lamp_gateways.clone(),
        play_on_phone: policy.play_on_phone,
        access: policy.access,
        transcripts: policy.transcripts,
    }
}

fn smtp(config: &Config) -> Option<Smtp> {
    let smtp = &config.smtp;
    let domain = config.node.domains.first().map_or("localhost", String::as_str);
    let account = smtp.username.clone().zip(smtp.password.as_ref().map(|password| password.expose().to_owned()));
    Some(Smtp {
        host: smtp.host.clone()?,
        port: smtp.port,
        security: match smtp.security {
            from::SmtpSecurity::None => SmtpSecurity::Plain,
            from::SmtpSecurity::StartTls => SmtpSecurity::StartTls,
            from::SmtpSecurity::Tls => SmtpSecurity::Tls,
        },
        // The check has read it; one that is gone since then fails at the first letter, which waits.
        ca: smtp.ca.as_ref().map(|path| std::fs::read(path).unwrap_or_default()),
        account,
        from: smtp.from.clone().unwrap_or_else(|| format!("voicemail@{domain}")),
        give_up: smtp.give_up,
    })
}

fn transcripts(from: &from::Transcripts) -> Option<TranscriptSettings> {
    #[allow(clippy::cast_precision_loss)] // per cent
    let share = |percent: u32| percent as f32 / 100.0;
    (!from.command.is_empty()).then(|| TranscriptSettings {
        command: from.command.clone(),
        longest: from.longest,
        patience: from.patience,
        at_once: from.at_once,
        confidence_low: share(from.confidence_low),
        confidence_min: share(from.confidence_min),
    })
}

/// The attendants, with their sounds read.
pub fn attendants(config: &Config) -> Vec<Arc<Attendant>> {
    config.attendants.iter().map(|attendant| Arc::new(one(config, attendant))).collect()
}

fn one(config: &Config, attendant: &from::Attendant) -> Attendant {
    let sound = |path: &Option<std::path::PathBuf>| path.as_deref().and_then(read);
    let does = |target: &from::KeyTarget| does(config, target);
    let keys = |list: &[from::AttendantKey]| -> Vec<AttendantKey> {
        let key = |key: &from::AttendantKey| AttendantKey {
            key: key.key,
            name: key.name.clone(),
            sound: None,
            does: does(&key.target),
        };
        list.iter().map(key).collect()
    };
    Attendant {
        name: attendant.name.clone(),
        numbers: attendant.numbers.clone(),
        language: attendant.language,
        hours: attendant.hours.clone(),
        greeting: sound(&attendant.greeting),
        closed_greeting: sound(&attendant.closed_greeting),
        holiday_greeting: sound(&attendant.holiday_greeting),
        announcement: sound(&attendant.announcement),
        prompt: sound(&attendant.prompt),
        closed_prompt: sound(&attendant.closed_prompt),
        keys: keys(&attendant.keys),
        closed_keys: keys(&attendant.closed_keys),
        on_silence: attendant.on_silence.as_ref().map(does),
        closed_on_silence: attendant.closed_on_silence.as_ref().map(does),
        operator: attendant.operator.clone(),
        operator_open: attendant.operator_open,
        operator_closed: attendant.operator_closed,
        call_people: attendant.call_people,
        message_people: attendant.message_people,
        by_name: attendant.by_name,
        any_extension: attendant.any_extension,
        voice_access: attendant.voice_access.clone(),
    }
}

fn does(config: &Config, target: &from::KeyTarget) -> KeyDoes {
    match target {
        from::KeyTarget::Number(number) => KeyDoes::Number(number.clone()),
        from::KeyTarget::Mailbox(user) => KeyDoes::Message(user.clone()),
        // The check has read it; what is gone since then is silence.
        from::KeyTarget::Say(file) => KeyDoes::Say(read(&config.base().join(file)).unwrap_or_else(silence)),
        from::KeyTarget::Find => KeyDoes::Find,
        from::KeyTarget::Repeat => KeyDoes::Repeat,
    }
}

fn read(path: &Path) -> Option<Arc<Audio>> {
    let samples = media::prompt::read_sound(path)
        .inspect_err(|error| tracing::error!(file = %path.display(), %error, "a sound of an attendant is not used"));
    samples.ok().map(|samples| Arc::new(Audio::from_samples(samples)))
}

fn silence() -> Arc<Audio> {
    Arc::new(Audio::from_samples(Vec::new()))
}
