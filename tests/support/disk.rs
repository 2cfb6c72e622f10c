//! A small disk of one switch: it can be filled, and parts of it made read-only. It is a tmpfs in a mount namespace of its own (`unshare`
//! and `nsenter`, from util-linux), so nothing of the machine is touched, and it outlives the switch on it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Its size, MiB.
const SIZE_MIB: u32 = 48;
/// What fills it is written in such pieces, bytes, the large ones first.
const PIECES: [usize; 3] = [1 << 20, 1 << 12, 1 << 6];
/// The file that fills it.
const BALLAST: &str = "ballast";

/// See the module.
pub struct Disk {
    /// Holds the namespace.
    holder: Child,
    /// Where it is for those on it.
    folder: PathBuf,
}

impl Disk {
    /// An empty one at `folder`.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the disk");
        let script = format!("mount -t tmpfs -o size={SIZE_MIB}m disk \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "mounted\n", "no disk could be mounted");
        Self { holder, folder: folder.to_owned() }
    }

    /// Where it is for those who are not on it.
    pub fn folder(&self) -> PathBuf {
        self.seen(&self.folder)
    }

    /// A path, as it is called on the disk, for those who are not on it.
    pub fn seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }

    /// A command that runs where this disk is mounted.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-U", "-m", "--preserve-credentials", "-t", &self.holder.id().to_string(), program]);
        command
    }

    /// Fills it to its last byte.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.folder().join(BALLAST)).expect("a file");
        for piece in PIECES {
            let bytes = vec![0; piece];
            loop {
                match file.write_all(&bytes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk cannot be filled: {error}"),
                }
            }
        }
    }

    /// There is room again.
    pub fn empty(&self) {
        std::fs::remove_file(self.folder().join(BALLAST)).expect("the disk was filled");
    }

    /// Nothing in one of its folders can be written any more, or can be again.
    pub fn read_only(&self, name: &str, so: bool) {
        let folder = self.folder.join(name).display().to_string();
        let script = match so {
            true => "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"",
            false => "umount \"$0\"",
        };
        let done = self.command("sh").args(["-c", script, &folder]).status();
        assert!(done.is_ok_and(|status| status.success()), "{folder} cannot be made read-only, or writable again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
