//! The access token that the commands share: one file for each endpoint and device, for its owner alone. Every
//! authentication ends the token that the device has elsewhere, so that a command makes none it does not need.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::settings::{Environment, base_directory};

/// More than any exported token has: 256 characters, the device's id, a few words.
const LARGEST: u64 = 4096;

/// Which file holds a token: its number and its time, of which another token has others.
pub type Version = (u64, i64, i64);

/// Where a device's token is kept. Without a home directory nothing is kept.
#[derive(Clone, Debug)]
pub struct TokenCache {
    file: Option<PathBuf>,
}

impl TokenCache {
    /// In `$XDG_CACHE_HOME/iotda`, by default `~/.cache/iotda`. The file's name is a hash of endpoint and device.
    pub fn of(endpoint: &str, device: &str, environment: Environment<'_>) -> Self {
        let endpoint = endpoint.trim_end_matches('/').to_ascii_lowercase();
        let mut hash = Sha256::new();
        hash.update(endpoint.as_bytes());
        hash.update([0]);
        hash.update(device.as_bytes());
        let mut name = String::from("token-");
        for byte in &hash.finalize()[..16] {
            let _ = write!(name, "{byte:02x}");
        }
        let base = base_directory(environment, "XDG_CACHE_HOME", ".cache");
        TokenCache { file: base.map(|base| base.join("iotda").join(name)) }
    }

    /// What is kept, if it is this user's own and nobody else can read it. Whether it is any good is the client's to say.
    pub fn read(&self) -> Option<Zeroizing<String>> {
        let file = fs::File::open(self.file.as_ref()?).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
            return None;
        }
        let mut text = Zeroizing::new(String::with_capacity(metadata.len().min(LARGEST) as usize + 1));
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Which file that is now.
    pub fn version(&self) -> Option<Version> {
        let about = fs::metadata(self.file.as_ref()?).ok()?;
        Some((about.ino(), about.mtime(), about.mtime_nsec()))
    }

    /// Replaces what is kept.
    pub fn write(&self, token: &str) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let Some(dir) = file.parent() else { return Ok(()) };
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // A new file, renamed: a reader sees the old token or the new one, and the mode is right from the start.
        let new = file.with_extension(format!("new-{}", process::id()));
        let _ = fs::remove_file(&new);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut to| {
            to.set_permissions(fs::Permissions::from_mode(0o600))?;
            to.write_all(token.as_bytes())?;
            fs::rename(&new, file)
        });
        written.inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn a_token_is_kept_for_its_owner_alone_and_not_taken_from_others() {
        let dir = std::env::temp_dir().join(format!("iotda-token-{}", process::id()));
        let environment = |name: &str| (name == "XDG_CACHE_HOME").then(|| OsString::from(&dir));
        let cache = TokenCache::of("https://h/", "d", &environment);
        assert!(cache.read().is_none());
        cache.write("one").unwrap();
        cache.write("two").unwrap();
        assert_eq!(TokenCache::of("https://H", "d", &environment).read().unwrap().as_str(), "two");
        assert!(TokenCache::of("https://h", "e", &environment).read().is_none());
        let file = cache.file.clone().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(cache.read().is_none(), "others could have read it, or put it there");
        fs::remove_dir_all(&dir).unwrap();
    }
}
