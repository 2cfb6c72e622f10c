//! What the schema says is what the reader accepts, what `init` writes and what the documentation tells.

use super::super::schema::{Key, Otherwise};
use super::*;

#[test]
fn every_default_and_example_of_the_schema_is_accepted() {
    for schema in SCHEMAS {
        for key in schema.keys {
            let text = key.otherwise.text();
            let document = format!("{}\n{} = {text}\n", schema.header, key.name);
            let found = read_text(&document).err().unwrap_or_default();
            let path = if schema.is_list() {
                format!("{}[0].{}", schema.name(), key.name)
            } else {
                format!("{}.{}", schema.name(), key.name)
            };
            // What the example's file lacks is another setting's business, and a certificate that does not exist is right.
            let of_key: Vec<_> = found
                .iter()
                .filter(|error| {
                    error.key == path
                        && !error.what.contains("cannot be read")
                        && !error.what.contains("without")
                        && !error.what.contains("lacks")
                        && !error.what.contains("go together")
                        && !error.what.ends_with("os error 2)")
                        && !error.what.starts_with("there is no ")
                        && !error.what.contains("leads nowhere")
                        && !error.what.contains("is never closed")
                        && !error.what.contains("lets calls wait")
                        && !error.what.contains("lead nowhere")
                        && !error.what.ends_with("has no route")
                        && !error.what.starts_with("nobody can take route")
                })
                .collect();
            assert!(of_key.is_empty(), "{path} = {text}: {of_key:?}");
        }
    }
}

#[test]
fn a_written_configuration_passes_the_check_and_has_every_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let options = InitOptions { domain: "example.org".to_owned(), ip: [192, 0, 2, 10].into(), force: false };
    init(&file, &options).unwrap();
    let config = load(&file).unwrap();
    assert_eq!(config.node.domains, ["example.org"]);
    assert_eq!(config.sip.udp, ["192.0.2.10:5060".parse().unwrap()]);
    assert!(config.admin.token.is_some());
    let text = std::fs::read_to_string(&file).unwrap();
    for schema in SCHEMAS {
        assert!(text.contains(schema.header), "{} is missing", schema.header);
        for key in schema.keys {
            let line = format!("{} = ", key.name);
            assert!(text.lines().any(|found| found.trim_start_matches('#').starts_with(&line)), "{line}");
        }
    }
}

#[test]
fn documentation_has_every_setting_with_its_default_and_its_range() {
    let page = include_str!("../../../docs/configuration.md");
    let missing: Vec<String> = SCHEMAS
        .iter()
        .flat_map(|schema| {
            let heading = format!(
                "## `{}`\n\n{}\n\n| setting | what it does | accepts | default |\n| --- | --- | --- | --- |",
                schema.header,
                schema.help.trim()
            );
            std::iter::once(heading).chain(schema.keys.iter().map(documented))
        })
        .filter(|wanted| !page.contains(wanted))
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks:\n{}", missing.join("\n"));
}

/// The row of docs/configuration.md that a setting must have.
fn documented(key: &Key) -> String {
    let default = match key.otherwise {
        Otherwise::Default(text) => format!("`{text}`"),
        Otherwise::Nothing(_) => "none".to_owned(),
        Otherwise::Required(_) => "required".to_owned(),
    };
    format!("| `{}` | {} | {} | {default} |", key.name, key.help.trim(), (key.allowed)())
}
