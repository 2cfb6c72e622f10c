//! What the sections of voice mail must hold together.

use std::collections::BTreeSet;
use std::path::Path;

use super::Checker;
use crate::config::error::quoted;
use crate::config::model::Config;
use crate::config::values::{AttendantKey, KeyTarget};

impl Checker<'_> {
    /// Policies and attendants that exist, files that can be read, bounds in order.
    pub(super) fn mail(&mut self, config: &Config) {
        let policies = config.mailbox_policies.iter().enumerate();
        let names = policies.map(|(at, policy)| (policy.name.clone(), format!("mailbox_policy[{at}].name")));
        self.unique("a mailbox policy", "give each its own name", names);
        for (at, user) in config.users.iter().enumerate() {
            let path = |key: &str| format!("user[{at}].{key}");
            if let Some(policy) = &user.mailbox
                && !config.mailbox_policies.iter().any(|known| known.name == *policy)
            {
                let what = format!("there is no mailbox policy {}", quoted(policy));
                self.wrong(&path("mailbox"), what, "add a [[mailbox_policy]] of this name, or name one that exists");
            }
            for (key, given) in [("pin", user.pin.is_some()), ("email", user.email.is_some())] {
                if given && user.mailbox.is_none() && self.is_sound(&[&path("mailbox")]) {
                    let what = format!("`{key}` without a mailbox");
                    self.wrong(&path(key), what, "add `mailbox = …`, the name of a [[mailbox_policy]]");
                }
            }
        }
        let voicemail = &config.voicemail;
        if voicemail.recording_max >= voicemail.call_max
            && self.is_sound(&["voicemail.recording_max", "voicemail.call_max"])
        {
            let what = "a message may be as long as the call that it is left in".to_owned();
            self.wrong("voicemail.recording_max", what, "make it shorter than `call_max`");
        }
        for (at, policy) in config.mailbox_policies.iter().enumerate() {
            if let Some(name) = &policy.home {
                let path = format!("mailbox_policy[{at}].home");
                match config.gateways.iter().find(|gateway| gateway.name == *name) {
                    None => {
                        let what = format!("there is no gateway {}", quoted(name));
                        self.wrong(&path, what, "add a [[gateway]] of this name, or name one that exists");
                    }
                    Some(gateway) if !gateway.call_history => {
                        let what = format!("{} is not told for whom a call is", quoted(name));
                        self.wrong(&path, what, "set `call_history = true` of that gateway");
                    }
                    Some(_) => {}
                }
            }
            let known = |name: &String| config.gateways.iter().any(|gateway| gateway.name == *name);
            if let Some(name) = policy.lamp_gateways.iter().find(|name| !known(name)) {
                let what = format!("there is no gateway {}", quoted(name));
                let path = format!("mailbox_policy[{at}].lamp_gateways");
                self.wrong(&path, what, "add a [[gateway]] of this name, or name one that exists");
            }
            let (reset, lock) = (policy.pin_failures_reset, policy.pin_failures_lock);
            if lock != 0 && reset >= lock {
                let path = format!("mailbox_policy[{at}].pin_failures_reset");
                let what = "the mailbox would be locked before another PIN is made".to_owned();
                self.wrong(&path, what, "make it less than `pin_failures_lock`, or 0");
            }
        }
        let smtp = &config.smtp;
        if smtp.username.is_some() != smtp.password.is_some() && self.is_sound(&["smtp.username", "smtp.password"]) {
            let path = if smtp.username.is_some() { "smtp.username" } else { "smtp.password" };
            self.wrong(path, "a user name and its password go together".to_owned(), "give both, or none");
        }
        if let Some(ca) = &smtp.ca
            && !super::is_readable(ca)
        {
            let what = format!("{} cannot be read", quoted(&ca.display().to_string()));
            self.wrong("smtp.ca", what, "name a PEM file that this program may read");
        }
        let transcripts = &config.transcripts;
        if let Some(program) = transcripts.command.first()
            && program.contains('/')
            && !super::is_readable(std::path::Path::new(program))
        {
            let what = format!("there is no program {}", quoted(program));
            self.wrong("transcripts.command", what, "name a recogniser that is installed");
        }
        if transcripts.confidence_min > transcripts.confidence_low {
            let what = "words that are not shown cannot be told to be unsure".to_owned();
            self.wrong("transcripts.confidence_min", what, "make it no more than `confidence_low`");
        }
        self.attendants(config);
    }

    fn attendants(&mut self, config: &Config) {
        let all = || config.attendants.iter().enumerate();
        let names = all().map(|(at, attendant)| (attendant.name.clone(), format!("attendant[{at}].name")));
        self.unique("an attendant", "give each its own name", names);
        let hours: BTreeSet<&String> = config.hours.iter().map(|hours| &hours.name).collect();
        for (at, attendant) in all() {
            let path = |key: &str| format!("attendant[{at}].{key}");
            if let Some(name) = attendant.hours.as_ref().filter(|name| !hours.contains(name)) {
                let what = format!("there is no time condition {}", quoted(name));
                self.wrong(&path("hours"), what, "name an [[hours]] that exists");
            }
            let sounds = [
                ("greeting", &attendant.greeting),
                ("closed_greeting", &attendant.closed_greeting),
                ("holiday_greeting", &attendant.holiday_greeting),
                ("announcement", &attendant.announcement),
                ("prompt", &attendant.prompt),
                ("closed_prompt", &attendant.closed_prompt),
            ];
            for (key, file) in sounds {
                if let Some(file) = file {
                    self.sound(&path(key), file);
                }
            }
            for (list, keys) in [("keys", &attendant.keys), ("closed_keys", &attendant.closed_keys)] {
                let each = keys.iter().enumerate();
                let of = |(n, key): (usize, &AttendantKey)| {
                    (format!("key {}", key.key), format!("attendant[{at}].{list}[{n}]"))
                };
                self.unique("a key of this attendant", "give each key one meaning", each.map(of));
                for (n, key) in keys.iter().enumerate() {
                    self.key_target(config, &format!("attendant[{at}].{list}[{n}]"), &key.target);
                }
            }
            for (key, to) in
                [("on_silence", &attendant.on_silence), ("closed_on_silence", &attendant.closed_on_silence)]
            {
                if let Some(to) = to {
                    self.key_target(config, &path(key), to);
                }
            }
        }
    }

    fn key_target(&mut self, config: &Config, path: &str, to: &KeyTarget) {
        match to {
            KeyTarget::Mailbox(name)
                if !config.users.iter().any(|user| user.name == *name && user.mailbox.is_some()) =>
            {
                self.wrong(path, format!("there is no mailbox of {}", quoted(name)), "name a user with a mailbox");
            }
            KeyTarget::Say(file) => {
                let file = config.base().join(file);
                self.sound(path, &file);
            }
            _ => {}
        }
    }

    fn sound(&mut self, path: &str, file: &Path) {
        if let Err(error) = media::prompt::read_sound(file) {
            let what = format!("{}: {error}", quoted(&file.display().to_string()));
            self.wrong(path, what, "name a WAV file of 8 kHz and one channel, 16-bit PCM or G.711");
        }
    }
}
