//! The configuration of a switch under test: the lab's users and numbers on free ports, with what a test changes.

use std::collections::BTreeMap;
use std::path::Path;

/// The lab's users: name, extension; the password of each is `<name>-secret`.
pub const USERS: [(&str, &str); 4] = [("alice", "1001"), ("bob", "1002"), ("carol", "1003"), ("dave", "1004")];

/// Sentences are said of both port modes: `all_media_goes_by_one_port.rs` and `spraying_one_port_changes_no_call.rs` include
/// the files of the others.
pub const IS_SINGLE: bool =
    matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"all_media_goes_by_one_port" | b"spraying_one_port_changes_no_call");

/// The domain of the lab.
pub const DOMAIN: &str = "example.com";

/// A configuration that can still be changed.
#[derive(Clone)]
pub struct Config {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    entries: Vec<String>,
}

impl Config {
    /// The lab on free ports of loopback.
    pub fn lab() -> Self {
        let mut config = Self::bare()
            .service("5500", "echo")
            .service("5501", "tone")
            .service("5502", "announcement")
            .service("5503", "music");
        for (name, extension) in USERS {
            config = config.user(name, &format!("{name}-secret"), extension);
        }
        config
    }

    /// The lab for SIPp, which knows MD5 alone and fails at the first challenge of another algorithm (Debian's 3.6.1).
    pub fn for_sipp() -> Self {
        Self::lab().set("auth", "algorithms", r#"["MD5"]"#)
    }

    /// The lab, with a switch that codes nothing that a phone speaks: two phones have to agree.
    pub fn without_transcoding() -> Self {
        Self::lab().set("media", "codecs", r#"["L16/16000"]"#)
    }

    /// The lab whose users have mailboxes: voice access is 5000, the PINs are those of the lab. Phones ring for two seconds.
    pub fn with_mailboxes() -> Self {
        let mut config = Self::bare()
            .service("5000", "voicemail")
            .service("5501", "tone")
            .set("voicemail", "answer_after", r#""2s""#)
            .entry("[[mailbox_policy]]\nname = \"lab\"\npin_digits = 4\npin_first_change = false\nprivate = true\n");
        for ((name, extension), pin) in USERS.iter().zip(["1470", "2580", "3690", "9630"]) {
            config = config.entry(&format!(
                "[[user]]\nname = {name:?}\npassword = \"{name}-secret\"\nextension = {extension:?}\n\
                 display = \"{name}\"\nmailbox = \"lab\"\npin = {pin:?}\nemail = \"{name}@example.com\"\nmax_calls = 100\n"
            ));
        }
        config
    }

    /// Sets one key of the mailboxes' policy.
    pub fn mailbox_policy(mut self, key: &str, value: &str) -> Self {
        for entry in self.entries.iter_mut().filter(|entry| entry.starts_with("[[mailbox_policy]]")) {
            entry.push_str(&format!("{key} = {value}\n"));
        }
        self
    }

    /// The lab without users and service numbers.
    pub fn bare() -> Self {
        Self { sections: BTreeMap::new(), entries: Vec::new() }
            .set("node", "name", r#""test""#)
            .set("node", "domains", r#"["example.com"]"#)
            .set("sip", "udp", r#"["127.0.0.1:0"]"#)
            .set("sip", "tcp", r#"["127.0.0.1:0"]"#)
            .set("sip", "tls", r#"["127.0.0.1:0"]"#)
            .set("media", "ip", r#""127.0.0.1""#)
            // The kernel's choice: switches of tests that run together never meet.
            .set("media", "ports", r#""0""#)
            .set("media", "port_mode", if IS_SINGLE { r#""single""# } else { r#""range""# })
            .set("http", "listen", r#""127.0.0.1:0""#)
    }

    /// Sets one key of a section (`sip`, `sip.tls`, …) to a value as TOML writes it.
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a user, who may have as many calls as SIPp makes at once.
    pub fn user(self, name: &str, password: &str, extension: &str) -> Self {
        self.entry(&format!(
            "[[user]]\nname = {name:?}\npassword = {password:?}\nextension = {extension:?}\nmax_calls = 1000\n"
        ))
    }

    /// Adds a service number; `kind` is `echo`, `tone`, `announcement` or `music`.
    pub fn service(self, number: &str, kind: &str) -> Self {
        self.entry(&format!("[[service]]\nnumber = {number:?}\nkind = {kind:?}\n"))
    }

    /// Adds an entry of a list as TOML writes it, `[[gateway]]` and its keys.
    pub fn entry(mut self, text: &str) -> Self {
        self.entries.push(text.to_owned());
        self
    }

    /// The text of the file, with the data folder that the switch is to use.
    pub fn text(&self, data: &Path) -> String {
        let own = self.clone().set("node", "data", &format!("{:?}", data.display().to_string()));
        let mut text = String::new();
        for (section, keys) in &own.sections {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
            text.push('\n');
        }
        text + &own.entries.join("\n")
    }
}
