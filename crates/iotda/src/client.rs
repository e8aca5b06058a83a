//! A client: one device, its token, and the connections that it shares with other devices.
//!
//! This is what a program sees of it. A report is validated and encoded ([`crate::report`],
//! [`crate::document`]) and then delivered by [`crate::deliver`], which gets its token from
//! [`crate::authorize`]. Batches take the same way request by request, in [`crate::gateway`].

use std::fmt;
use std::sync::Arc;

use iotda_sys::fork::ForkMark;
use rustls::RootCertStore;

use crate::call::{Call, CallOptions, Delivery, Rules};
use crate::cancel::Interrupt;
use crate::clock::Clock;
use crate::config::{Config, Identity, SignType};
use crate::deliver::Target;
use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::http::connect::Timing;
use crate::http::exchange::{Exchange, Settings, monotonic_ms};
use crate::http::tls::{self, TlsSettings};
use crate::limits::BODY_LIMIT;
use crate::monitor::{Level, Monitor, Stats};
use crate::pace::Pace;
use crate::report::{self, Service};
use crate::saved_token::{self, SavedToken};
use crate::token::TokenCell;

/// Reports to the platform for one device. All its functions can be called from many threads at once.
///
/// Functions that report block until the platform has answered or the call's time is over. They
/// authenticate when they need to, and again when the platform refuses the token. They try again what can
/// heal: no connection, no answer, a fault of the platform, a rate limit. A report whose connection breaks
/// may be sent twice: it arrives at least once, not exactly once.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) device: Arc<Device>,
}

/// What all devices that were opened from one client share.
pub(crate) struct Shared {
    pub(crate) exchange: Exchange,
    pub(crate) origin: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) rules: Rules,
    /// The pace of all devices together.
    pub(crate) pace: Pace,
    /// The known rate of a single device, for those that will be opened.
    pub(crate) device_rate: Option<f64>,
    pub(crate) fork: ForkMark,
}

pub(crate) struct Device {
    pub(crate) identity: Identity,
    pub(crate) sign_type: SignType,
    pub(crate) token: TokenCell,
    pub(crate) pace: Pace,
}

impl Client {
    /// Makes a client. Reads nothing and contacts nobody.
    pub fn new(config: &Config) -> Result<Self> {
        let endpoint = config.endpoint.clone().ok_or_else(|| {
            Error::config("no endpoint is configured: set the platform's address, https://host[:port]")
        })?;
        let identity = config
            .identity
            .clone()
            .ok_or_else(|| Error::config("no device is configured: set the device's id and secret"))?;
        let secure = config.transport.as_ref().is_some_and(|transport| transport.is_secure());
        if secure && config.proxy.is_some() {
            return Err(Error::config(
                "a proxy is configured beside a transport that does TLS itself: let the transport connect through the proxy",
            ));
        }
        let tls = TlsSettings {
            // Nobody to trust is needed where the program's own transport sees to it.
            roots: if secure { RootCertStore::empty() } else { config.trust.roots()? },
            tls_1_3: config.tls_1_3,
            client: config.client_identity.clone(),
            pins: config.pins.clone(),
        };
        let origin = format!("https://{}", endpoint.authority());
        let monitor = Arc::new(Monitor::new(config.log.clone()));
        let exchange = Exchange::new(Settings {
            endpoint,
            tls: if secure { None } else { Some(tls::client_config(tls, Arc::clone(&config.clock))?) },
            transport: config.transport.clone(),
            proxy: config.proxy.clone(),
            clock: Arc::clone(&config.clock),
            monitor: Arc::clone(&monitor),
            timing: Timing {
                connect: config.connect_timeout,
                attempt: config.attempt_timeout.min(config.timeout),
                keepalive: config.keepalive,
            },
            kept_connections: config.kept_connections,
            kept_for: config.kept_for,
        })?;
        let shared = Shared {
            origin,
            exchange,
            clock: Arc::clone(&config.clock),
            monitor,
            rules: Rules { timeout: config.timeout, attempt_timeout: config.attempt_timeout, retry: config.retry },
            pace: Pace::new(config.tenant_rate),
            device_rate: config.device_rate,
            fork: ForkMark::new(),
        };
        let device = Device::new(identity, config.sign_type, config.device_rate);
        if let Some(saved) = &config.token {
            let saved = SavedToken::parse(saved, &device.identity.device_id)?;
            saved_token::restore(&device.token, saved, shared.clock.unix_ms(), shared.clock.monotonic());
        }
        Ok(Client { shared: Arc::new(shared), device: Arc::new(device) })
    }

    /// A client for another device that shares connections, TLS sessions and addresses with this one.
    pub fn open_device(&self, device_id: &str, secret: &[u8]) -> Result<Client> {
        self.check_process()?;
        let identity = Identity::new(device_id, secret)?;
        let device = Device::new(identity, self.device.sign_type, self.shared.device_rate);
        Ok(Client { shared: Arc::clone(&self.shared), device: Arc::new(device) })
    }

    /// The id of the device that this client reports for.
    pub fn device_id(&self) -> &str {
        &self.device.identity.device_id
    }

    /// Authenticates, unless a valid token is at hand. Reports do it when they need to; this tells early
    /// whether endpoint, certificates, device id and secret are right.
    pub fn authenticate(&self, options: CallOptions) -> Result<Delivery> {
        let mut call = self.start(options)?;
        self.token(&mut call).map(|_| Delivery { http_status: 200, attempts: 0 })
    }

    /// Reports properties of the device itself.
    pub fn report_properties(&self, services: &[Service<'_>], options: CallOptions) -> Result<Delivery> {
        self.check_process()?;
        self.report(Target::Properties, &report::properties_body(services)?, options)
    }

    /// Reports properties by a request body that the caller wrote, `{"services":[…]}`. It is checked and
    /// sent as it is.
    pub fn report_properties_json(&self, json: &str, options: CallOptions) -> Result<Delivery> {
        self.check_process()?;
        document::check_properties(json)?;
        self.report(Target::Properties, json.as_bytes(), options)
    }

    /// Reports a message: any bytes, also none.
    pub fn report_message(&self, data: &[u8], options: CallOptions) -> Result<Delivery> {
        self.report(Target::Message, data, options)
    }

    fn report(&self, target: Target, body: &[u8], options: CallOptions) -> Result<Delivery> {
        let mut call = self.start(options)?;
        if body.len() >= BODY_LIMIT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "{} has {} bytes: the platform takes less than {BODY_LIMIT} (1 MB); send less at a time",
                    target.what(),
                    body.len()
                ),
            ));
        }
        let result = self.deliver(target, body, &mut call);
        let attempts = call.attempts;
        result
            .map(|http_status| Delivery { http_status, attempts })
            .map_err(|error| self.failed(error.with_attempts(attempts)))
    }

    /// Notes that a call fails.
    pub(crate) fn failed(&self, error: Error) -> Error {
        self.shared.monitor.log(Level::Error, || format!("device \"{}\": {error}", self.device_id()));
        error
    }

    /// Starts a call: its deadline runs from here.
    pub(crate) fn start(&self, options: CallOptions) -> Result<Call<'_>> {
        self.check_process()?;
        Call::start(options, &self.shared.rules, &self.shared.monitor)
    }

    /// The token, to be kept over a restart: a device that wakes, reports and sleeps then authenticates once
    /// a day. Give it to [`Config::token`]. It is as secret as the device's secret. `None`: there is none.
    pub fn export_token(&self) -> Option<String> {
        let clock = &self.shared.clock;
        saved_token::save(&self.device.token, self.device_id(), clock.unix_ms(), clock.monotonic())
    }

    /// The platform's time in Unix milliseconds, from its last answer; `None`: no answer told it yet.
    pub fn server_time_ms(&self) -> Option<i64> {
        self.shared.monitor.server_time_ms(monotonic_ms(&*self.shared.clock))
    }

    /// Counters, over all devices that share connections with this one.
    pub fn stats(&self) -> Stats {
        self.shared.monitor.stats()
    }

    pub(crate) fn check_process(&self) -> Result<()> {
        if self.shared.fork.is_forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "this client was made before a fork, in the parent process: make a new one in the child",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.shared.origin)
            .field("device_id", &self.device_id())
            .finish_non_exhaustive()
    }
}

impl Interrupt for Device {
    fn interrupt(&self) {
        self.token.interrupt();
    }
}

impl Device {
    pub(crate) fn new(identity: Identity, sign_type: SignType, rate: Option<f64>) -> Self {
        Device { identity, sign_type, token: TokenCell::default(), pace: Pace::new(rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new();
        config.endpoint("https://iot.example:8943").unwrap().device("deviceId_0001", b"secret").unwrap();
        config.ca_pem(crate::http::roots::tests::authority().as_bytes()).unwrap();
        config
    }

    #[test]
    fn a_config_without_endpoint_or_device_is_refused() {
        let mut config = Config::new();
        assert!(Client::new(&config).unwrap_err().message().contains("no endpoint"));
        config.endpoint("https://h").unwrap();
        assert!(Client::new(&config).unwrap_err().message().contains("no device"));
    }

    #[test]
    fn debug_shows_endpoint_and_device_alone() {
        let shown = format!("{:?}", Client::new(&config()).unwrap());
        assert_eq!(shown, r#"Client { endpoint: "https://iot.example:8943", device_id: "deviceId_0001", .. }"#);
    }
}
