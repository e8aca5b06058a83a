//! What a client is told before it starts. Every setter checks its value and keeps the old one if the
//! new one is wrong; nothing here touches the network.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::http::roots;
use crate::identifier::check_device_id;

/// Whether the platform compares the time stamp of an authentication with its own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignType {
    /// It does not (`sign_type` 0): works on a device whose clock is wrong.
    #[default]
    PasswordOnly,
    /// It does (`sign_type` 1).
    PasswordAndTime,
}

impl SignType {
    /// As the protocol numbers it.
    pub fn number(self) -> i32 {
        match self {
            SignType::PasswordOnly => 0,
            SignType::PasswordAndTime => 1,
        }
    }

    /// From the protocol's number.
    pub fn from_number(number: i32) -> Result<Self> {
        match number {
            0 => Ok(SignType::PasswordOnly),
            1 => Ok(SignType::PasswordAndTime),
            _ => Err(Error::invalid(format!(
                "the sign type is {number}: it takes 0 (password only) or 1 (password and time)"
            ))),
        }
    }
}

/// Who a device is: its id and its secret.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) device_id: String,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

impl Identity {
    pub(crate) fn new(device_id: &str, secret: &[u8]) -> Result<Self> {
        check_device_id(device_id, || "device_id".to_owned())?;
        if secret.is_empty() {
            return Err(Error::invalid(format!(
                "the secret of device \"{device_id}\" is empty: it takes the secret that the platform gave the device"
            )));
        }
        Ok(Identity { device_id: device_id.to_owned(), secret: Zeroizing::new(secret.to_vec()) })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// The settings of a [`Client`](crate::Client). An endpoint and a device are required.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) identity: Option<Identity>,
    pub(crate) sign_type: SignType,
    pub(crate) roots: Option<RootCertStore>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Config {
    /// How long a whole call may take unless [`timeout`](Self::timeout) says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long connecting (TCP and TLS) may take unless [`connect_timeout`](Self::connect_timeout) says
    /// otherwise.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Nothing but defaults.
    pub fn new() -> Self {
        Config {
            endpoint: None,
            identity: None,
            sign_type: SignType::default(),
            roots: None,
            timeout: Self::DEFAULT_TIMEOUT,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            clock: Arc::new(SystemClock),
        }
    }

    /// Required. The platform's address, `https://host[:port]`, from the IoTDA console.
    pub fn endpoint(&mut self, url: &str) -> Result<&mut Self> {
        self.endpoint = Some(Endpoint::parse(url)?);
        Ok(self)
    }

    /// Required. The device's id and its secret, any bytes. The secret is copied, and wiped when the
    /// config and the clients made of it are dropped.
    pub fn device(&mut self, device_id: &str, secret: &[u8]) -> Result<&mut Self> {
        self.identity = Some(Identity::new(device_id, secret)?);
        Ok(self)
    }

    /// Whether the platform checks the time of authentications. Default: it does not.
    pub fn sign_type(&mut self, sign_type: SignType) -> &mut Self {
        self.sign_type = sign_type;
        self
    }

    /// The certificate authorities to trust, as PEM text with one or more certificates. They take the
    /// place of the public ones.
    pub fn ca_pem(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.roots = Some(roots::from_pem(pem)?);
        Ok(self)
    }

    /// As [`ca_pem`](Self::ca_pem), from a file, which is read now.
    pub fn ca_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        let path = path.as_ref();
        let pem = std::fs::read(path)
            .map_err(|error| Error::config(format!("the CA file \"{}\" cannot be read: {error}", path.display())))?;
        self.ca_pem(&pem).map_err(|error| error.within(&format!("CA file \"{}\"", path.display())))
    }

    /// The most that a whole call may take: name look-up, connecting, authentication, sending, waiting.
    pub fn timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timeout = not_zero(timeout, "the timeout")?;
        Ok(self)
    }

    /// The most that connecting may take, TCP and TLS together; the call's own time is never exceeded.
    pub fn connect_timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.connect_timeout = not_zero(timeout, "the connect timeout")?;
        Ok(self)
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(&mut self, clock: Arc<dyn Clock>) -> &mut Self {
        self.clock = clock;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

fn not_zero(timeout: Duration, name: &str) -> Result<Duration> {
    if timeout.is_zero() {
        return Err(Error::invalid(format!("{name} is 0: it takes at least one millisecond")));
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_wrong_value_keeps_the_old_one() {
        let mut config = Config::new();
        config.endpoint("https://a.example").unwrap().device("d", b"s").unwrap();
        config.timeout(Duration::from_secs(1)).unwrap();
        config.endpoint("ftp://b").unwrap_err();
        config.device("e", b"").unwrap_err();
        config.device("", b"s").unwrap_err();
        config.timeout(Duration::ZERO).unwrap_err();
        config.connect_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(config.endpoint.unwrap().host, "a.example");
        assert_eq!(config.identity.unwrap().device_id, "d");
        assert_eq!(config.timeout, Duration::from_secs(1));
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let error = Config::new().ca_file("/nonexistent/ca.pem").map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("/nonexistent/ca.pem"), "{error}");
        let error = Config::new().ca_file("/dev/null").map(drop).unwrap_err();
        assert!(error.message().contains("/dev/null") && error.message().contains("no certificate"), "{error}");
    }

    #[test]
    fn sign_types_are_numbers_of_the_protocol() {
        for number in [0, 1] {
            assert_eq!(SignType::from_number(number).unwrap().number(), number);
        }
        for number in [-1, 2, i32::MAX] {
            assert_eq!(SignType::from_number(number).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut config = Config::new();
        config.device("device-1", b"hunter2").unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("device-1") && !shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
    }
}
