//! A client made of the settings, with the token that the commands share.

use std::env;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iotda::{Client, Config, Level, Log};

use crate::arguments::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::settings::{ProxyChoice, Settings};
use crate::token_cache::{TokenCache, Version};

/// A client and where its token is kept.
pub struct Connected {
    pub client: Client,
    /// The most that one report may take.
    pub timeout: Duration,
    cache: TokenCache,
    known: Arc<Mutex<Option<Version>>>,
}

impl Connected {
    /// Reads settings, secret and token. Contacts nobody.
    pub fn open(connection: &Connection, output: &Output) -> Result<Self, Failure> {
        Self::open_with(connection, output, |_| Ok(()))
    }

    /// The same, with settings of the command's own.
    pub fn open_with(
        connection: &Connection,
        output: &Output,
        more: impl FnOnce(&mut Config) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let settings = Settings::resolve(connection, &|name| env::var_os(name))?;
        let mut config = config(&settings)?;
        if output.verbose {
            config.log(Level::Debug, Arc::new(ToStderr));
        }
        let timeout = settings.timeout.as_ref().map_or(Config::DEFAULT_TIMEOUT, |timeout| timeout.value);
        let endpoint = settings.endpoint.map(|setting| setting.value).unwrap_or_default();
        let device = settings.device.map(|setting| setting.value).unwrap_or_default();
        let cache = TokenCache::of(&endpoint, &device, &|name| env::var_os(name));
        // The token file that was read or written last.
        let known = Arc::new(Mutex::new(cache.version()));
        if let Some(saved) = cache.read() {
            config.token(&saved)?;
        }
        // Kept as soon as it is issued. That it cannot be costs an authentication, and fails nothing.
        let (kept, noted, output) = (cache.clone(), Arc::clone(&known), *output);
        config.on_token(move |_, saved| {
            if let Err(error) = kept.write(saved) {
                output.note(&format!("iotda: the next command will authenticate: the token is not kept: {error}"));
            }
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = kept.version();
        });
        more(&mut config)?;
        Ok(Connected { client: Client::new(&config)?, timeout, cache, known })
    }

    /// For a command that goes on: takes a token that another command was issued, which ends this one's. Costs a look at a
    /// file.
    pub fn share_token(&self) {
        let version = self.cache.version();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if version != *known {
            *known = version;
            drop(known);
            if let Some(saved) = self.cache.read() {
                // One that is not good stays where it is, and this one's is used until it is refused.
                let _ = self.client.import_token(&saved);
            }
        }
    }
}

/// What the settings say, with the secret in it.
pub fn config(settings: &Settings) -> Result<Config, Failure> {
    let mut config = Config::new();
    let endpoint = settings.endpoint.as_ref().ok_or_else(|| {
        Failure::config("give the platform's address by --endpoint, IOTDA_ENDPOINT or a profile: there is none")
    })?;
    config.endpoint(&endpoint.value).map_err(|error| endpoint.source.failure(&error))?;
    let device = settings.device.as_ref().ok_or_else(|| {
        Failure::config("give the device's id by --device, IOTDA_DEVICE_ID or a profile: there is none")
    })?;
    settings.tls.set_authorities(&mut config)?;
    settings.tls.set_others(&mut config)?;
    if let Some(sign_type) = &settings.sign_type {
        config.sign_type(sign_type.value);
    }
    if let Some(proxy) = &settings.proxy {
        match &proxy.value {
            ProxyChoice::Url(url) => config.proxy(url).map_err(|error| proxy.source.failure(&error))?,
            ProxyChoice::Environment => config.proxy_from_environment()?,
        };
    }
    if let Some(timeout) = &settings.timeout {
        config.timeout(timeout.value)?;
    }
    // Last, since it may ask a person.
    let secret = settings.read_secret()?;
    config.device(&device.value, &secret.bytes).map_err(|error| device.source.failure(&error))?;
    Ok(config)
}

/// The log of --verbose.
#[derive(Debug)]
pub struct ToStderr;

impl Log for ToStderr {
    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        let _ = writeln!(io::stderr().lock(), "{level}: {message}");
    }
}
