//! The configuration: typed TOML, checked as a whole.
//!
//! Text goes in, and either a [`Config`] in which every setting is known to fit comes out, or the list of every mistake,
//! each with its place and its remedy. The way is short: `model` declares the settings, `read` walks the document
//! against the declarations, `check` looks at what settings must hold together, `error` shows what they found.

mod check;
mod error;
mod kind;
mod lab;
mod mail;
mod model;
mod plan;
mod read;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
pub mod units;
mod values;
mod write;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

pub use error::{ConfigError, render_json, render_text};
pub use lab::{lab, lab_on_free_ports, lab_users};
pub use mail::*;
pub use model::*;
pub use plan::*;
pub use schema::SectionSchema;
pub use values::*;
pub use write::{InitError, InitOptions, init};

use error::{Finding, Source};
use read::Reader;
use schema::Section;

/// The largest configuration that is read.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Most mistakes that are shown.
const ERRORS_MAX: usize = 1_000;

/// Every section, in the order of documentation.
pub const SCHEMAS: [&SectionSchema; 33] = [
    Node::SCHEMA,
    Sip::SCHEMA,
    Tls::SCHEMA,
    Registrar::SCHEMA,
    Auth::SCHEMA,
    Admission::SCHEMA,
    Media::SCHEMA,
    Http::SCHEMA,
    Admin::SCHEMA,
    Store::SCHEMA,
    Hep::SCHEMA,
    User::SCHEMA,
    Gateway::SCHEMA,
    Service::SCHEMA,
    Conference::SCHEMA,
    Voicemail::SCHEMA,
    MailboxPolicy::SCHEMA,
    Smtp::SCHEMA,
    Transcripts::SCHEMA,
    Attendant::SCHEMA,
    Routing::SCHEMA,
    Features::SCHEMA,
    Site::SCHEMA,
    DialPlan::SCHEMA,
    DiallingRule::SCHEMA,
    VoicePolicy::SCHEMA,
    Route::SCHEMA,
    Destination::SCHEMA,
    Limit::SCHEMA,
    HuntGroup::SCHEMA,
    RingGroup::SCHEMA,
    Emergency::SCHEMA,
    Hours::SCHEMA,
];

/// Reads and checks the file at `path`. Relative paths in it count from its folder.
///
/// # Errors
///
/// Every mistake of the file, in the order of its lines; also that it cannot be read, is too large or is not UTF-8.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigError>> {
    let file = path.display().to_string();
    let unreadable =
        |what: String, remedy: &str| Err(vec![Source::new(&file, "").error(Finding::new(0..0, "", what, remedy))]);
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    if let Err(error) = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        return unreadable(
            format!("this file cannot be read: {error}"),
            "name a configuration that exists, or write one with `strowger init`",
        );
    }
    if bytes.len() > FILE_BYTES_MAX {
        return unreadable(format!("this file has more than {FILE_BYTES_MAX} bytes"), "make it smaller");
    }
    match str::from_utf8(&bytes) {
        Ok(text) => parse(&file, path.parent().unwrap_or(Path::new("")), text, Origin::File(path.to_owned())),
        Err(error) => {
            let good = str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default();
            let span = good.len()..good.len();
            let finding = Finding::new(span, "", "this byte is not UTF-8", "save the file as UTF-8");
            Err(vec![Source::new(&file, good).error(finding)])
        }
    }
}

/// Reads and checks `text`, which messages call `file` and whose relative paths count from `base`.
///
/// # Errors
///
/// Every mistake of the text, in the order of its lines.
pub fn parse(file: &str, base: &Path, text: &str, origin: Origin) -> Result<Config, Vec<ConfigError>> {
    let (root, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(base, !syntax.is_empty());
    let config = read(&mut reader, root.get_ref(), origin, text);
    let source = Source::new(file, text);
    let mut findings = reader.findings;
    if let Some(config) = &config
        && syntax.is_empty()
    {
        findings.extend(check::relations(config, &reader.places, &reader.unsound));
    }
    if !syntax.is_empty() {
        let (syntax, broken_lines) = syntax::findings(&source, &syntax);
        // A value that could not be parsed is also of a wrong type; once is enough.
        findings.retain(|finding| !broken_lines.contains(&source.line(finding.span.start)));
        findings.extend(syntax);
    }
    findings.sort_by_key(|finding| finding.span.start);
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => {
            let all = findings.len();
            let mut errors: Vec<_> =
                findings.into_iter().take(ERRORS_MAX).map(|finding| source.error(finding)).collect();
            if all > ERRORS_MAX {
                let what = format!("{} more mistakes", all - ERRORS_MAX);
                let end = text.len()..text.len();
                errors.push(source.error(Finding::new(end, "", what, "correct those above first")));
            }
            Err(errors)
        }
    }
}

impl Config {
    /// The realm of challenges: the configured one, or the first domain.
    pub fn realm(&self) -> &str {
        let first_domain = self.node.domains.first().map_or("", String::as_str);
        self.auth.realm.as_deref().unwrap_or(first_domain)
    }

    /// The folder that relative paths count from.
    pub fn base(&self) -> &Path {
        match &self.origin {
            Origin::File(path) => path.parent().unwrap_or(Path::new("")),
            Origin::Lab => Path::new(""),
        }
    }

    /// Every setting in effect, defaults included and secrets left out, in the shape of the file.
    pub fn effective(&self) -> serde_json::Value {
        fn all<S: Section>(sections: &[S]) -> serde_json::Value {
            sections.iter().map(Section::effective).collect()
        }
        let mut auth = self.auth.effective();
        if let Some(realm) = auth.get_mut("realm") {
            *realm = self.realm().into();
        }
        serde_json::json!({
            "node": self.node.effective(),
            "sip": self.sip.effective(),
            "tls": self.tls.effective(),
            "registrar": self.registrar.effective(),
            "auth": auth,
            "admission": self.admission.effective(),
            "media": self.media.effective(),
            "http": self.http.effective(),
            "admin": self.admin.effective(),
            "store": self.store.effective(),
            "hep": self.hep.effective(),
            "user": all(&self.users),
            "gateway": all(&self.gateways),
            "service": all(&self.services),
            "conference": all(&self.conferences),
            "voicemail": self.voicemail.effective(),
            "mailbox_policy": all(&self.mailbox_policies),
            "smtp": self.smtp.effective(),
            "transcripts": self.transcripts.effective(),
            "attendant": all(&self.attendants),
            "routing": self.routing.effective(),
            "features": self.features.effective(),
            "site": all(&self.sites),
            "dial_plan": all(&self.dial_plans),
            "dialling_rule": all(&self.dialling_rules),
            "voice_policy": all(&self.voice_policies),
            "route": all(&self.routes),
            "destination": all(&self.destinations),
            "limit": all(&self.limits),
            "hunt_group": all(&self.hunt_groups),
            "ring_group": all(&self.ring_groups),
            "emergency": all(&self.emergencies),
            "hours": all(&self.hours),
        })
    }
}

fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, origin: Origin, text: &str) -> Option<Config> {
    reader.unknown_sections(root, &SCHEMAS);
    Some(Config {
        origin,
        source: Secret::new(text.to_owned()),
        node: reader.section(root)?,
        sip: reader.section(root)?,
        tls: reader.section(root)?,
        registrar: reader.section(root)?,
        auth: reader.section(root)?,
        admission: reader.section(root)?,
        media: reader.section(root)?,
        http: reader.section(root)?,
        admin: reader.section(root)?,
        store: reader.section(root)?,
        hep: reader.section(root)?,
        users: reader.list(root)?,
        gateways: reader.list(root)?,
        services: reader.list(root)?,
        conferences: reader.list(root)?,
        voicemail: reader.section(root)?,
        mailbox_policies: reader.list(root)?,
        smtp: reader.section(root)?,
        transcripts: reader.section(root)?,
        attendants: reader.list(root)?,
        routing: reader.section(root)?,
        features: reader.section(root)?,
        sites: reader.list(root)?,
        dial_plans: reader.list(root)?,
        dialling_rules: reader.list(root)?,
        voice_policies: reader.list(root)?,
        routes: reader.list(root)?,
        destinations: reader.list(root)?,
        limits: reader.list(root)?,
        hunt_groups: reader.list(root)?,
        ring_groups: reader.list(root)?,
        emergencies: reader.list(root)?,
        hours: reader.list(root)?,
    })
}
