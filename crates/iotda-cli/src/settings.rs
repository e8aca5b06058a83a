//! What flags, environment and profile say, and which of them said it: flags win over `IOTDA_*` variables, those over the
//! profile. The secret is read only when it is needed (`secret`, by a `prompt` if nothing has it); what concerns TLS is in `tls`; the profile's file is read by
//! `profile`.

mod profile;
mod prompt;
mod secret;
mod tls;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iotda::SignType;

use crate::arguments::{self, Connection};
use crate::exit::Failure;
use profile::Profile;
pub use secret::{Secret, SecretPlace};
pub use tls::Tls;

/// A variable of the environment, by its name. Tests have an environment of their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where a setting came from; the first one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A flag, such as `--endpoint`.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// The profile of this name.
    Profile(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(name) => f.write_str(name),
            Source::Variable(name) => f.write_str(name),
            Source::Profile(name) => write!(f, "profile \"{name}\""),
        }
    }
}

impl Source {
    /// An error of a setting from here.
    pub fn failure(&self, error: &iotda::Error) -> Failure {
        Failure::config(format!("{} ({self})", error.message()))
    }
}

/// A value, and where it came from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    pub value: T,
    pub source: Source,
}

/// The proxy to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// This one; empty: none. It may hold a password, and is not to be shown.
    Url(String),
    /// What `https_proxy`, `all_proxy` and `no_proxy` say, as curl reads them.
    Environment,
}

/// All of it. What nobody said is `None`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where profiles are kept, if it is known; the file need not exist.
    pub config_file: Option<PathBuf>,
    pub endpoint: Option<Setting<String>>,
    pub device: Option<Setting<String>>,
    pub secret: Option<Setting<SecretPlace>>,
    pub tls: Tls,
    pub proxy: Option<Setting<ProxyChoice>>,
    pub timeout: Option<Setting<Duration>>,
    pub sign_type: Option<Setting<SignType>>,
}

/// Where a setting is looked for: the environment, and what names a profile has and where its paths begin.
struct Sources<'a> {
    environment: Environment<'a>,
    profile: Source,
    base: Option<&'a Path>,
    home: Option<PathBuf>,
}

impl Sources<'_> {
    /// What the flag says, or else the variable, or else the profile.
    fn text(
        &self,
        flag: &Option<String>,
        name: &'static str,
        variable: &'static str,
        of_profile: Option<String>,
    ) -> Result<Option<Setting<String>>, Failure> {
        match flag {
            Some(value) => Ok(Some(Setting { value: value.clone(), source: Source::Flag(name) })),
            None => Ok(text_variable(self.environment, variable)?.or_else(|| self.of_profile(of_profile))),
        }
    }

    /// The same for the path of a file.
    fn path(
        &self,
        flag: &Option<PathBuf>,
        name: &'static str,
        variable: &'static str,
        of_profile: Option<String>,
    ) -> Result<Option<Setting<PathBuf>>, Failure> {
        if let Some(value) = flag {
            return Ok(Some(Setting { value: value.clone(), source: Source::Flag(name) }));
        }
        let given = text_variable(self.environment, variable)?;
        let given = given.map(|Setting { value, source }| Setting { value: PathBuf::from(value), source });
        Ok(given.or_else(|| self.path_of_profile(of_profile)))
    }

    fn of_profile<T>(&self, value: Option<T>) -> Option<Setting<T>> {
        value.map(|value| Setting { value, source: self.profile.clone() })
    }

    fn path_of_profile(&self, value: Option<String>) -> Option<Setting<PathBuf>> {
        self.of_profile(value.map(|value| profile::path(&value, self.base, self.home.as_deref())))
    }
}

/// The profile that is used if none is named, where there is one.
const DEFAULT_PROFILE: &str = "default";

impl Settings {
    /// Reads the environment and the profile. The secret is not read yet.
    pub fn resolve(connection: &Connection, environment: Environment<'_>) -> Result<Self, Failure> {
        let wanted = match &connection.profile {
            Some(value) => Some(Setting { value: value.clone(), source: Source::Flag("--profile") }),
            None => text_variable(environment, "IOTDA_PROFILE")?,
        };
        let config_file = config_file(environment);
        let (mut profile, used) = the_profile(config_file.as_deref(), wanted)?;
        let sources = Sources {
            environment,
            profile: Source::Profile(used.map(|used| used.value).unwrap_or_default()),
            base: config_file.as_deref().and_then(Path::parent),
            home: environment("HOME").map(PathBuf::from),
        };
        let devices = [
            connection.device.clone().map(|value| Setting { value, source: Source::Flag("--device") }),
            text_variable(environment, "IOTDA_DEVICE_ID")?,
            sources.of_profile(profile.device.take()),
        ];
        let secret = secret_place(connection, &sources, &mut profile)?;
        check_owner(&devices, secret.as_ref())?;
        let timeout = match (connection.timeout, profile.timeout) {
            (Some(value), _) => Some(Setting { value, source: Source::Flag("--timeout") }),
            (None, Some(seconds)) => {
                let source = &sources.profile;
                let value = arguments::seconds(&seconds.to_string())
                    .map_err(|advice| Failure::config(format!("{advice}: timeout of {source} is {seconds}")))?;
                sources.of_profile(Some(value))
            }
            (None, None) => None,
        };
        let [by_flag, by_variable, by_profile] = devices;
        Ok(Settings {
            endpoint: sources.text(&connection.endpoint, "--endpoint", "IOTDA_ENDPOINT", profile.endpoint.take())?,
            device: by_flag.or(by_variable).or(by_profile),
            secret,
            tls: Tls::resolve(connection, &sources, &mut profile)?,
            proxy: proxy(connection, environment, sources.of_profile(profile.proxy.take())),
            timeout,
            sign_type: sign_type(connection, &sources, profile.sign_type)?,
            config_file,
        })
    }

    /// Reads the secret: from where the settings say, or else by a prompt on a terminal.
    pub fn read_secret(&self) -> Result<Secret, Failure> {
        let device = self.device.as_ref().map_or("the device", |device| &device.value);
        match &self.secret {
            Some(setting) => setting.value.read(),
            None => secret::ask(device),
        }
    }
}

fn secret_place(
    connection: &Connection,
    sources: &Sources<'_>,
    profile: &mut Profile,
) -> Result<Option<Setting<SecretPlace>>, Failure> {
    if let Some(file) = &connection.secret_file {
        return Ok(Some(Setting { value: SecretPlace::of_flag(file), source: Source::Flag("--secret-file") }));
    }
    if is_set(sources.environment, "IOTDA_DEVICE_SECRET") {
        return Ok(Some(Setting { value: SecretPlace::Variable, source: Source::Variable("IOTDA_DEVICE_SECRET") }));
    }
    match (sources.path_of_profile(profile.secret_file.take()), profile.secret_command.take()) {
        (Some(Setting { value, source }), None) => Ok(Some(Setting { value: SecretPlace::File(value), source })),
        (None, command) => Ok(sources.of_profile(command.map(SecretPlace::Command))),
        (Some(Setting { source, .. }), Some(_)) => {
            Err(Failure::config(format!("keep one of secret_file and secret_command: {source} has both")))
        }
    }
}

/// As the protocol numbers it.
fn sign_type(
    connection: &Connection,
    sources: &Sources<'_>,
    of_profile: Option<i32>,
) -> Result<Option<Setting<SignType>>, Failure> {
    let flag = connection.sign_type.map(|number| number.to_string());
    let of_profile = of_profile.map(|number| number.to_string());
    let given = sources.text(&flag, "--sign-type", "IOTDA_SIGN_TYPE", of_profile)?;
    let Some(Setting { value, source }) = given else { return Ok(None) };
    match value.parse().ok().and_then(|number| SignType::from_number(number).ok()) {
        Some(value) => Ok(Some(Setting { value, source })),
        None => Err(Failure::config(format!(
            "give 0 (the password alone) or 1 (the time as well): the sign type of {source} is \"{value}\""
        ))),
    }
}

fn proxy(
    connection: &Connection,
    environment: Environment<'_>,
    of_profile: Option<Setting<String>>,
) -> Option<Setting<ProxyChoice>> {
    let url = |url| ProxyChoice::Url(url);
    if let Some(value) = connection.proxy.clone() {
        return Some(Setting { value: url(value), source: Source::Flag("--proxy") });
    }
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        if is_set(environment, name) {
            return Some(Setting { value: ProxyChoice::Environment, source: Source::Variable(name) });
        }
    }
    of_profile.map(|setting| Setting { value: url(setting.value), source: setting.source })
}

/// The profile that is wanted, or the default one where there is one.
fn the_profile(
    file: Option<&Path>,
    wanted: Option<Setting<String>>,
) -> Result<(Profile, Option<Setting<String>>), Failure> {
    let mut profiles = match file {
        Some(file) => profile::read(file)?,
        None => profile::Profiles::new(),
    };
    match wanted {
        Some(wanted) => match profiles.remove(&wanted.value) {
            Some(profile) => Ok((profile, Some(wanted))),
            None => {
                let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let file = file.map_or("~/.config/iotda/config.toml".to_owned(), |file| file.display().to_string());
                let (name, source) = (&wanted.value, &wanted.source);
                Err(Failure::config(format!("name a profile of {file} (it has: {known}): {source} names \"{name}\"")))
            }
        },
        None => match profiles.remove(DEFAULT_PROFILE) {
            Some(profile) => {
                let name = DEFAULT_PROFILE.to_owned();
                Ok((profile, Some(Setting { source: Source::Profile(name.clone()), value: name })))
            }
            None => Ok((Profile::default(), None)),
        },
    }
}

/// A device that one source names does not go with the secret that a weaker one gives for another device: that would only
/// be refused, and count as an attempt to guess the secret.
fn check_owner(devices: &[Option<Setting<String>>; 3], secret: Option<&Setting<SecretPlace>>) -> Result<(), Failure> {
    let Some(secret) = secret else { return Ok(()) };
    let from = match secret.source {
        Source::Flag(_) => 0,
        Source::Variable(_) => 1,
        Source::Profile(_) => 2,
    };
    let chosen = devices.iter().flatten().next();
    let owner = devices[from..].iter().flatten().next();
    match (chosen, owner) {
        (Some(chosen), Some(owner)) if chosen.value != owner.value => Err(Failure::config(format!(
            "give the secret of device \"{}\" as well, by --secret-file: {} names that device, and the secret is from {}, \
             which is for \"{}\"",
            chosen.value, chosen.source, secret.source, owner.value
        ))),
        _ => Ok(()),
    }
}

/// `$XDG_CONFIG_HOME/iotda/config.toml`, by default `~/.config/iotda/config.toml` (XDG Base Directory Specification; a
/// relative path counts as none).
fn config_file(environment: Environment<'_>) -> Option<PathBuf> {
    Some(base_directory(environment, "XDG_CONFIG_HOME", ".config")?.join("iotda/config.toml"))
}

/// A base directory of the XDG specification, or its default below the home directory.
pub fn base_directory(environment: Environment<'_>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = environment(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.or_else(|| {
        let home = environment("HOME").map(PathBuf::from).filter(|path| path.is_absolute())?;
        Some(home.join(below_home))
    })
}

fn is_set(environment: Environment<'_>, name: &str) -> bool {
    environment(name).is_some_and(|value| !value.is_empty())
}

/// A variable, if it is set and not empty.
fn text_variable(environment: Environment<'_>, name: &'static str) -> Result<Option<Setting<String>>, Failure> {
    let Some(value) = environment(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.into_string().map_err(|_| Failure::config(format!("give UTF-8: {name} is none")))?;
    Ok(Some(Setting { value, source: Source::Variable(name) }))
}

#[cfg(test)]
mod tests;
