//! `strowger init`, with the real program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn strowger(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.args(arguments).current_dir(folder).env_remove("STROWGER_CONFIG").env_remove("STROWGER_DATA");
    command.output().unwrap()
}

#[test]
fn what_init_writes_passes_check_and_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let done = strowger(&["init", "--domain", "example.org", "--ip", "192.0.2.10"], folder.path());
    assert_eq!(done.status.code(), Some(0));
    let file = folder.path().join("strowger.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(strowger(&["check", "strowger.toml"], folder.path()).status.code(), Some(0));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("domains = [\"example.org\"]") && text.contains("192.0.2.10:5060"));
}

#[test]
fn each_file_has_its_own_secrets_and_none_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = ["a.toml", "b.toml"].map(|file| {
        let done = strowger(&["init", file], folder.path());
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        let lines: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("password = ") || line.starts_with("token = "))
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), 3, "{text}");
        for line in &lines {
            let secret = line.split('"').nth(1).unwrap();
            assert!(secret.len() >= 20);
            assert!(!String::from_utf8_lossy(&done.stdout).contains(secret));
        }
        lines
    });
    let [a, b] = &passwords;
    assert!(a.iter().all(|line| !b.contains(line)));
    assert_ne!(a[1], a[2]);
}

#[test]
fn a_file_that_exists_is_replaced_by_force_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    fs::write(&file, "mine").unwrap();
    let done = strowger(&["init", "s.toml"], folder.path());
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(told, "strowger: s.toml exists: name another file, or replace it with --force\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

    let done = strowger(&["init", "--force", "s.toml"], folder.path());
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(strowger(&["check", "s.toml"], folder.path()).status.code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn options_that_do_not_fit_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["init", "--ip", "0.0.0.0"][..], &["init", "--domain", "not a domain"][..]] {
        let done = strowger(arguments, folder.path());
        assert_eq!(done.status.code(), Some(2), "{arguments:?}");
        assert!(!folder.path().join("strowger.toml").exists(), "{arguments:?}");
    }
}
