//! What is said of TLS: whom to trust, which keys are pinned, and by which certificate this machine shows who it is.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use iotda::Config;
use zeroize::Zeroizing;

use super::profile::Profile;
use super::{Setting, Source, Sources};
use crate::arguments::Connection;
use crate::exit::Failure;
use crate::pin::Pin;

/// More than any chain of certificates with a key has: 64 kB.
const LARGEST: usize = 65_536;

/// The settings of TLS. What nobody said is `None`.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Authorities to trust instead of the built-in ones.
    pub ca_file: Option<Setting<PathBuf>>,
    /// Authorities to trust as well.
    pub add_ca_file: Option<Setting<PathBuf>>,
    /// One of them must be in the verified path; never an empty list.
    pub pins: Option<Setting<Vec<Pin>>>,
    pub client: Option<ClientFiles>,
    /// Whether TLS 1.3 is offered.
    pub tls_1_3: Option<Setting<bool>>,
}

/// A client certificate and its private key. One file may hold both.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    pub certificate: Setting<PathBuf>,
    pub key: Setting<PathBuf>,
}

impl Tls {
    pub(super) fn resolve(
        connection: &Connection,
        sources: &Sources<'_>,
        profile: &mut Profile,
    ) -> Result<Self, Failure> {
        let certificate =
            sources.path(&connection.client_cert, "--client-cert", "IOTDA_CLIENT_CERT", profile.client_cert.take())?;
        let key =
            sources.path(&connection.client_key, "--client-key", "IOTDA_CLIENT_KEY", profile.client_key.take())?;
        let client = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), key) => Some(ClientFiles { key: key.unwrap_or(certificate.clone()), certificate }),
            (None, Some(Setting { source, .. })) => {
                return Err(Failure::config(format!(
                    "give the certificate of the client's key as well, by --client-cert: {source} names the key alone"
                )));
            }
        };
        Ok(Tls {
            ca_file: sources.path(&connection.ca_file, "--ca-file", "IOTDA_CA_FILE", profile.ca_file.take())?,
            add_ca_file: sources.path(
                &connection.add_ca_file,
                "--add-ca-file",
                "IOTDA_ADD_CA_FILE",
                profile.add_ca_file.take(),
            )?,
            pins: pins(connection, sources, profile)?,
            client,
            tls_1_3: tls_1_3(connection, sources, profile.tls_1_3)?,
        })
    }

    /// Gives a configuration the authorities.
    pub fn set_authorities(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(Setting { value, source }) = &self.ca_file {
            config.ca_file(value).map_err(|error| source.failure(&error))?;
        }
        if let Some(Setting { value, source }) = &self.add_ca_file {
            config.add_ca_file(value).map_err(|error| source.failure(&error))?;
        }
        Ok(())
    }

    /// Gives it all else.
    pub fn set_others(&self, config: &mut Config) -> Result<(), Failure> {
        for pin in self.pins.iter().flat_map(|pins| &pins.value) {
            config.pin_public_key(pin.0);
        }
        if let Some(client) = &self.client {
            client.set(config)?;
        }
        if let Some(Setting { value, source }) = &self.tls_1_3 {
            config.tls_1_3(*value).map_err(|error| source.failure(&error))?;
        }
        Ok(())
    }
}

impl ClientFiles {
    fn set(&self, config: &mut Config) -> Result<(), Failure> {
        let (chain, key) = (contents(&self.certificate)?, contents(&self.key)?);
        config.client_certificate(&chain, &key).map(drop).map_err(|error| {
            let files = match self.certificate.value == self.key.value {
                true => self.certificate.value.display().to_string(),
                false => format!("{}, {}", self.certificate.value.display(), self.key.value.display()),
            };
            Failure::config(format!("{} ({files})", error.message()))
        })
    }
}

/// A file of the client's. It may hold a private key, and is wiped.
fn contents(file: &Setting<PathBuf>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Setting { value, source } = file;
    let fault = |why: &dyn std::fmt::Display| {
        Failure::config(format!("check the path: {} cannot be read: {why} ({source})", value.display()))
    };
    // With room for all of it from the start, so that no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LARGEST));
    let read = File::open(value).and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() > LARGEST => Err(fault(&"it has more than 64 kB")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(fault(&error)),
    }
}

fn pins(
    connection: &Connection,
    sources: &Sources<'_>,
    profile: &mut Profile,
) -> Result<Option<Setting<Vec<Pin>>>, Failure> {
    if !connection.pin.is_empty() {
        return Ok(Some(Setting { value: connection.pin.clone(), source: Source::Flag("--pin") }));
    }
    let of_profile = profile.pins.take().map(|pins| pins.join(" "));
    let text = sources.text(&None, "--pin", "IOTDA_PIN", of_profile)?;
    let Some(Setting { value, source }) = text else { return Ok(None) };
    let value = Pin::list(&value).map_err(|advice| Failure::config(format!("{advice} ({source})")))?;
    // To pin nothing is to want no pin, not any key.
    Ok((!value.is_empty()).then_some(Setting { value, source }))
}

fn tls_1_3(
    connection: &Connection,
    sources: &Sources<'_>,
    of_profile: Option<bool>,
) -> Result<Option<Setting<bool>>, Failure> {
    let text = sources.text(&None, "--tls-1-3", "IOTDA_TLS_1_3", of_profile.map(|offer| offer.to_string()))?;
    match (connection.tls_1_3, text) {
        (true, _) => Ok(Some(Setting { value: true, source: Source::Flag("--tls-1-3") })),
        (false, None) => Ok(None),
        (false, Some(Setting { value, source })) => match value.as_str() {
            "1" | "true" => Ok(Some(Setting { value: true, source })),
            "0" | "false" => Ok(Some(Setting { value: false, source })),
            _ => Err(Failure::config(format!("give 1 or 0: {source} is \"{value}\""))),
        },
    }
}
