//! The file of the platform's certificate authority. One that nobody asked for by name goes with the platform.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct CaFile {
    path: PathBuf,
    temporary: bool,
}

impl CaFile {
    /// Writes the file, for its owner alone. A link that someone else has put there is replaced, never followed.
    pub fn write(path: Option<&Path>, pem: &str) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let unique = format!("iotda-platform-{}-{since}.pem", std::process::id());
        let written = match path {
            Some(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                replace(&path, &unique, pem)
                    .map(|()| Self { path: path.clone(), temporary: false })
                    .map_err(|e| (path, e))
            }
            None => {
                let path = std::env::temp_dir().join(unique);
                create(&path, pem).map(|()| Self { path: path.clone(), temporary: true }).map_err(|e| (path, e))
            }
        };
        written.map_err(|(path, error)| {
            format!("the certificate cannot be written to {}: {error}; choose a file by --ca-out", path.display())
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if self.temporary {
            // It may have been removed by others: that is as well.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn replace(path: &Path, unique: &str, text: &str) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    let beside = path.with_file_name(format!(".{unique}"));
    create(&beside, text)?;
    std::fs::rename(&beside, path).inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// Nothing that is there already is written to.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
