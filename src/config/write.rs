//! `strowger init`: a commented configuration for real use, with generated secrets, for its owner's eyes only.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::schema::{Key, Otherwise, SectionSchema};
use super::values::Origin;
use super::{ConfigError, SCHEMAS, parse};

/// Letters and digits of a generated secret: 24 of 62 kinds are 142 bits.
const SECRET_CHARS: usize = 24;
const COMMENT_COLUMNS_MAX: usize = 110;
const OWNER_ONLY: u32 = 0o600;

/// What the new configuration is for.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The domain of its users.
    pub domain: String,
    /// The address that SIP and media use.
    pub ip: IpAddr,
    /// Whether a file that exists is replaced.
    pub force: bool,
}

/// What was written.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Written {
    /// The file.
    pub file: PathBuf,
    /// The users that it has; their generated passwords stand in the file only.
    pub users: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum InitError {
    /// An option makes the configuration wrong.
    Invalid(Vec<ConfigError>),
    /// The file exists and was not to be replaced.
    Exists,
    /// The system refused.
    Io(io::Error),
}

/// Writes a commented configuration to `file`, with mode 0600. It is complete or absent, never half of it.
///
/// # Errors
///
/// [`InitError::Invalid`] when the domain or address does not fit; [`InitError::Exists`] when the file is there and `force` is not set; [`InitError::Io`] when it cannot be written.
pub fn init(file: &Path, options: &InitOptions) -> Result<Written, InitError> {
    let users = [("alice", "1001"), ("bob", "1002")];
    let text = commented(options, &users);
    let base = file.parent().unwrap_or(Path::new(""));
    parse(&file.display().to_string(), base, &text, Origin::File(file.to_owned())).map_err(InitError::Invalid)?;
    if options.force {
        let mut aside = file.as_os_str().to_owned();
        aside.push(format!(".{}.new", secret()));
        let aside = PathBuf::from(aside);
        let replaced = create(&aside, &text).and_then(|()| fs::rename(&aside, file));
        replaced.map_err(|error| {
            // The first error is the one to tell; the remains are harmless and may already be gone.
            let _ = fs::remove_file(&aside);
            InitError::Io(error)
        })?;
    } else {
        create(file, &text).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => InitError::Exists,
            _ => InitError::Io(error),
        })?;
    }
    Ok(Written { file: file.to_owned(), users: users.iter().map(|(name, _)| (*name).to_owned()).collect() })
}

fn create(file: &Path, text: &str) -> io::Result<()> {
    let mut handle = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(file)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()
}

fn commented(options: &InitOptions, users: &[(&str, &str)]) -> String {
    let at = |port| SocketAddr::new(options.ip, port);
    let settings = [
        ("[node]", "domains", format!("[{:?}]", options.domain)),
        ("[sip]", "udp", format!("[\"{}\"]", at(5060))),
        ("[sip]", "tcp", format!("[\"{}\"]", at(5060))),
        ("[sip]", "tls", format!("[\"{}\"]", at(5061))),
        ("[media]", "ip", format!("\"{}\"", options.ip)),
        ("[http]", "listen", "\"127.0.0.1:8080\"".to_owned()),
        ("[admin]", "token", format!("\"{}\"", secret())),
    ];
    let mut out = String::from(
        "# Strowger: the configuration of one switch. It holds secrets: keep it to its owner (mode 0600).\n\
         # What is commented out shows the default, or an example of what is optional. After a change: `strowger check FILE`.\n",
    );
    for schema in SCHEMAS.iter().filter(|schema| !schema.is_list()) {
        let given: Vec<(&str, &str)> = settings
            .iter()
            .filter(|(header, _, _)| *header == schema.header)
            .map(|(_, key, value)| (*key, value.as_str()))
            .collect();
        section(&mut out, schema, &given, true);
    }
    for schema in SCHEMAS.iter().filter(|schema| schema.is_list()) {
        for (name, extension) in users.iter().filter(|_| schema.name() == "user") {
            let values = [format!("\"{name}\""), format!("\"{}\"", secret()), format!("\"{extension}\"")];
            let given: Vec<_> =
                ["name", "password", "extension"].into_iter().zip(values.iter().map(String::as_str)).collect();
            section(&mut out, schema, &given, Some(*name) == users.first().map(|(name, _)| *name));
        }
        match schema.name() {
            "service" => section(&mut out, schema, &[("number", "\"5500\""), ("kind", "\"echo\"")], true),
            "conference" => section(&mut out, schema, &[("numbers", "\"5200-5299\"")], true),
            "user" => {}
            _ => section(&mut out, schema, &[], true),
        }
    }
    out
}

/// Writes one section; without help only what is given. A list section in which nothing is given is commented out.
fn section(out: &mut String, schema: &SectionSchema, given: &[(&str, &str)], with_help: bool) {
    let is_example = schema.is_list() && given.is_empty();
    out.push('\n');
    if with_help {
        comment(out, schema.help);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}{}", if is_example { "#" } else { "" }, schema.header);
    for key in schema.keys {
        let value = given.iter().find(|(name, _)| *name == key.name).map(|(_, value)| *value);
        if with_help {
            comment(out, &help(key));
        }
        let _ = match value {
            Some(value) => writeln!(out, "{} = {value}", key.name),
            None if !with_help => Ok(()),
            None => writeln!(out, "#{} = {}", key.name, key.otherwise.text()),
        };
    }
}

fn help(key: &Key) -> String {
    let kind = match key.otherwise {
        Otherwise::Default(_) => "",
        Otherwise::Nothing(_) => "Optional.",
        Otherwise::Required(_) => "Required.",
    };
    format!("{} {kind} Accepts {}.", key.help.trim(), (key.allowed)())
}

/// Writes `text` as comment lines of bounded width.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_COLUMNS_MAX {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

fn secret() -> String {
    rand::rng().sample_iter(Alphanumeric).take(SECRET_CHARS).map(char::from).collect()
}
