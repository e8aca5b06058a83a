//! The command as a process of its own, and a directory for its files.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The command, whose standard streams are pipes.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotda-platform"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A directory for one test's files, removed with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Writes a file, and says where it is. The name may have folders in it.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, contents).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the command and reads what it says up to `ready`.
pub fn start(arguments: &[&str]) -> (Child, HashMap<String, String>) {
    let mut child = command().arg("--exit-with-stdin").args(arguments).spawn().expect("the command starts");
    let values = ready(&mut child);
    (child, values)
}

/// What the command says up to `ready`.
pub fn ready(child: &mut Child) -> HashMap<String, String> {
    let mut values = HashMap::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        match line.split_once('=') {
            Some((key, value)) => {
                values.insert(key.to_owned(), value.to_owned());
            }
            None => {
                assert_eq!(line, "ready");
                return values;
            }
        }
    }
    panic!("the command has ended: {:?}", child.wait());
}
