//! The file of profiles: `[profile.NAME]` tables of TOML.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::exit::Failure;

/// The largest file that is read: 1 MB.
const LARGEST: u64 = 1_048_576;

/// What a profile may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub endpoint: Option<String>,
    pub device: Option<String>,
    /// The first line of this file is the secret.
    pub secret_file: Option<String>,
    /// The first line that this shell command prints is the secret.
    pub secret_command: Option<String>,
    pub ca_file: Option<String>,
    pub add_ca_file: Option<String>,
    /// SHA-256s of public keys.
    pub pins: Option<Vec<String>>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub tls_1_3: Option<bool>,
    /// 0 or 1.
    pub sign_type: Option<i32>,
    pub proxy: Option<String>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Refused, with advice.
    secret: Option<IgnoredAny>,
}

/// Profiles by their names.
pub type Profiles = BTreeMap<String, Profile>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: Profiles,
}

/// The profiles of a file. One that does not exist has none.
pub fn read(file: &Path) -> Result<Profiles, Failure> {
    let unreadable = |why: String| {
        let file = file.display();
        Failure::config(format!("make the profiles readable, or remove them: {file} cannot be read: {why}"))
    };
    match fs::metadata(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Profiles::new());
        }
        Err(error) => return Err(unreadable(error.to_string())),
        Ok(metadata) if metadata.len() > LARGEST => return Err(unreadable("it has more than 1 MB".to_owned())),
        Ok(_) => {}
    }
    let text = fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    parse(&text, file)
}

fn parse(text: &str, file: &Path) -> Result<Profiles, Failure> {
    let place = |offset: usize| {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}", file.display())
    };
    // The error's own display shows the line, in which a secret may stand.
    let parsed: File = toml::from_str(text).map_err(|error| {
        let place = place(error.span().map_or(0, |span| span.start));
        Failure::config(format!("correct {place}: {}", error.message()))
    })?;
    for (name, profile) in &parsed.profile {
        if profile.secret.is_some() {
            return Err(Failure::config(format!(
                "put the secret into a file of its own with mode 0600, and name that by secret_file: profile \"{name}\" of \
                 {} has the secret itself",
                file.display()
            )));
        }
    }
    Ok(parsed.profile)
}

/// A path as a profile writes it: `~/` is the home directory, and a relative one is beside the file of profiles.
pub fn path(written: &str, base: Option<&Path>, home: Option<&Path>) -> PathBuf {
    match (written.strip_prefix("~/"), home, base) {
        (Some(rest), Some(home), _) => home.join(rest),
        (_, _, Some(base)) => base.join(written),
        _ => PathBuf::from(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("config.toml")).unwrap_err().message
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_without_their_text() {
        let message = error("[profile.a]\nendpoint = \"https://h\"\nsecret_fil = \"hunter2-x\"\n");
        assert!(message.starts_with("correct config.toml:3: unknown field `secret_fil`"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        let message = error("[profile.a]\nsecret = \"hunter2-x\"");
        assert!(message.contains("secret_file") && !message.contains("hunter2"), "{message}");
        let message = error("[profile.a]\nsecret = \"hunter2-x");
        assert!(message.starts_with("correct config.toml:2: ") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn paths_are_beside_the_file_or_below_home() {
        let (base, home) = (Some(Path::new("/c")), Some(Path::new("/h")));
        assert_eq!(path("secret", base, home), Path::new("/c/secret"));
        assert_eq!(path("~/secret", base, home), Path::new("/h/secret"));
        assert_eq!(path("/etc/secret", base, home), Path::new("/etc/secret"));
    }
}
