//! The lab: the configuration that the program carries, for a first call without any file.

use std::path::Path;

use super::model::Config;
use super::values::Origin;
use super::{ConfigError, parse};

/// The lab as TOML.
const LAB_TOML: &str = include_str!("lab.toml");

/// The lab's configuration. Its relative paths count from the working folder.
///
/// # Errors
///
/// None: that the embedded text is valid is proven by `the_lab_is_valid`; the type says so because it is parsed like
/// any other.
pub fn lab() -> Result<Config, Vec<ConfigError>> {
    parse("lab", Path::new(""), LAB_TOML, Origin::Lab)
}

/// The lab's configuration as a text with every port free: a trial's switch stands beside others.
pub fn lab_on_free_ports() -> String {
    [":5060\"", ":5061\"", ":8080\""].iter().fold(LAB_TOML.to_owned(), |text, port| text.replace(port, ":0\""))
}

/// The lab's users, each with the password that everybody knows.
pub fn lab_users() -> Vec<(String, String)> {
    let table: toml::Table = LAB_TOML.parse().unwrap_or_default();
    let users = table.get("user").and_then(toml::Value::as_array).into_iter().flatten();
    let text = |user: &toml::Value, key: &str| user.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    users.filter_map(|user| Some((text(user, "name")?, text(user, "password")?))).collect()
}
