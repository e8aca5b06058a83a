//! A client: one device, its token, and the connections that it shares with other devices.
//!
//! This is the façade: what a program sees. Reports are checked and encoded in [`crate::report`] and sent by
//! [`crate::delivery`]. Batches are in [`mod@batch`], checks without sending
//! in [`check`], tokens in [`token`].

mod batch;
mod check;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use iotda_http::Watch;
use iotda_sys::fork::ForkMark;

use crate::config::{Config, Identity};
use crate::delivery::authorize;
use crate::delivery::call::{Call, CallOptions, Delivery, Request, Rules};
use crate::delivery::deliver::{Target, deliver};
use crate::delivery::pace::Pace;
use crate::delivery::session::{Device, Session};
#[allow(unused_imports, reason = "for the documentation, and for the feature probe")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::monitor::{Level, Monitor, Stats};
use crate::outbox::{Outbox, OutboxOptions};
use crate::report::{Service, calendar, encode, validate};

pub(crate) use check::check_size;
use token::restore;

/// Reports to the platform for one device. All its functions can be called from many threads at once.
///
/// Functions that report block until the platform has answered or the call's time is over. They
/// authenticate when they need to, and again when the platform refuses the token. They retry transient
/// failures: no connection, no answer, a fault of the platform, a rate limit. A report whose connection breaks
/// may be sent twice: it arrives at least once, not exactly once.
///
/// A clone is the same client.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    device: Arc<Device>,
}

impl Client {
    /// Makes a client. Reads nothing and contacts nobody.
    ///
    /// A saved token ([`Config::token`]) that is damaged, or another device's, is left out with a warning in the log:
    /// the device then authenticates.
    ///
    /// ```no_run
    /// let mut config = iotda::Config::new();
    /// config.endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")?.device("my_device", b"my-secret")?;
    /// let client = iotda::Client::new(&config)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: the endpoint or the device is missing, no certificate authority is trusted, or two
    /// settings exclude each other.
    pub fn new(config: &Config) -> Result<Self> {
        let watch = Arc::new(Watch::new(config.log.clone()));
        Self::with_watch(config, &watch).inspect_err(|error| watch.log(Level::Error, || error.to_string()))
    }

    fn with_watch(config: &Config, watch: &Arc<Watch>) -> Result<Self> {
        let endpoint = config.endpoint.clone().ok_or_else(|| {
            Error::config("set the platform's address, https://host[:port]: no endpoint is configured")
        })?;
        let identity = config
            .identity
            .clone()
            .ok_or_else(|| Error::config("set the device's id and secret: no device is configured"))?;
        let authority = endpoint.authority();
        let session = Session {
            exchange: config.exchange(endpoint, Arc::clone(watch))?,
            authority,
            clock: Arc::clone(&config.clock),
            monitor: Monitor::new(Arc::clone(watch)),
            rules: Rules {
                timeout: config.timeout,
                patience: config.timing.patience,
                retry: config.retry,
                authenticate_when_asked: config.authenticate_when_asked,
            },
            pace: Pace::new(config.rates.tenant),
            device_rate: config.rates.device,
            fork: ForkMark::new(),
            on_token: config.on_token.clone(),
        };
        let device = Device::new(identity, config.sign_type, config.rates.device);
        if let Some(saved) = &config.token {
            restore(&session, &device, saved);
        }
        Ok(Client { session: Arc::new(session), device: Arc::new(device) })
    }

    /// A client for another device that shares connections, TLS sessions and addresses with this one.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let meter = client.open_device("meter_0001", b"its-secret")?;
    /// meter.report_message(b"hello", Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: the id is none, or the secret is empty. [`ErrorKind::Forked`].
    /// [`ErrorKind::Internal`]: there is no memory for the secret.
    pub fn open_device(&self, device_id: &str, secret: &[u8]) -> Result<Client> {
        self.open_device_with_token(device_id, secret, "")
    }

    /// The same, with a token that [`export_token`](Self::export_token) of such a client gave, used while it is valid;
    /// as with [`Config::token`], a damaged one is left out. Empty: none.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let saved = std::fs::read_to_string("/run/fleet/meter_0001").unwrap_or_default();
    /// let meter = client.open_device_with_token("meter_0001", b"its-secret", &saved)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open_device`](Self::open_device).
    pub fn open_device_with_token(&self, device_id: &str, secret: &[u8], saved: &str) -> Result<Client> {
        self.noting(|| {
            self.session.check_process()?;
            let identity = Arc::new(Identity::new(device_id, secret)?);
            let device = Device::new(identity, self.device.sign_type, self.session.device_rate);
            if !saved.is_empty() {
                restore(&self.session, &device, saved);
            }
            Ok(Client { device: Arc::new(device), ..self.clone() })
        })
    }

    /// The id of the device that this client reports for.
    pub fn device_id(&self) -> &str {
        self.device.id()
    }

    /// Authenticates, unless a token is in memory that is valid and not yet due to be renewed: then
    /// [`Delivery::http_status`] is 0. Reports do it when they need to, unless [`Config::authenticate_when_asked`] says
    /// otherwise; this shows early whether endpoint, certificates, device id and secret are right.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.authenticate(Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AuthFailed`]: the platform does not accept the id with the secret. [`ErrorKind::RateLimited`],
    /// [`ErrorKind::Server`], [`ErrorKind::Protocol`]: it answered something else. [`ErrorKind::Clock`],
    /// [`ErrorKind::Dns`], [`ErrorKind::Connect`], [`ErrorKind::Tls`]: it was not reached; also [`ErrorKind::Config`],
    /// where a proxy wants a password. [`ErrorKind::Timeout`], [`ErrorKind::Cancelled`]. [`ErrorKind::Forked`].
    /// [`ErrorKind::Internal`].
    pub fn authenticate(&self, options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| {
            let call = self.start(options)?;
            let mut request = Request::default();
            authorize::asked_for(&self.session, &self.device, &call, &mut request)?;
            Ok(Delivery { http_status: request.authenticated.unwrap_or(0), attempts: 0 })
        })
    }

    /// Reports properties of the device itself.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let weather = Service::new("weather", r#"{"Temperature":21.5}"#);
    /// client.report_properties(&[weather], Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`], [`ErrorKind::TooLarge`]: found before anything is sent. [`ErrorKind::Rejected`]:
    /// the platform refused the data. [`ErrorKind::TokenRejected`]: it refused a new token as well, or only the program
    /// authenticates and there is none that it takes. Otherwise as [`authenticate`](Self::authenticate).
    pub fn report_properties(&self, services: &[Service<'_>], options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| {
            self.session.check_process()?;
            self.report(Target::Properties, &encode::properties_body(services)?, options)
        })
    }

    /// Reports properties by a request body that the caller wrote, `{"services":[…]}`. It is checked and
    /// sent as it is.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.report_properties_json(
    ///     r#"{"services":[{"service_id":"weather","properties":{"Temperature":21.5}}]}"#,
    ///     Duration::from_secs(10),
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`report_properties`](Self::report_properties).
    pub fn report_properties_json(&self, json: &str, options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| {
            self.session.check_process()?;
            validate::check_properties(json)?;
            self.report(Target::Properties, json.as_bytes(), options)
        })
    }

    /// Whether the platform takes the token of this device, without leaving anything there: it is sent a property
    /// report that holds no service. Any code of the platform's that is about the report, not the token, says that the
    /// token has passed: the page documents `IOTDA.000006`. Counts as a report for the rate. Authenticates where there
    /// is no token.
    ///
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.check_token(Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TokenRejected`]: a new token was refused too, so that something on the way drops the header
    /// `access_token`. Otherwise as [`report_properties`](Self::report_properties).
    #[cfg(feature = "probe")]
    pub fn check_token(&self, options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        const NO_SERVICE: &[u8] = br#"{"services":[]}"#;
        self.noting(|| match self.report(Target::Properties, NO_SERVICE, options) {
            Err(error) if error.kind() == ErrorKind::Rejected && error.platform_code().is_some() => {
                Ok(Delivery { http_status: error.http_status().unwrap_or(0), attempts: error.attempts() })
            }
            result => result,
        })
    }

    /// Reports a message: any bytes, also none.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.report_message(b"started", Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`report_properties`](Self::report_properties).
    pub fn report_message(&self, data: &[u8], options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| self.report(Target::Message, data, options))
    }

    /// Opens an outbox, which keeps reports on disk until the platform has taken them, and attaches this client's
    /// device to it: see the module [`outbox`](crate::outbox).
    ///
    /// Blocks for as long as the storage does: the directory is read.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let outbox = client.open_outbox(iotda::OutboxOptions::new("/var/lib/sensor/outbox"))?;
    /// outbox.put_message(client, b"started", Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: an option is out of its range. [`ErrorKind::Storage`]: the directory cannot be
    /// written or locked, another outbox has it, or a newer version wrote it. [`ErrorKind::Forked`].
    pub fn open_outbox(&self, options: OutboxOptions) -> Result<Outbox> {
        self.noting(|| Outbox::open(&self.session, &self.device, options))
    }

    #[cfg(test)]
    pub(crate) fn of(session: Session, device: Device) -> Self {
        Client { session: Arc::new(session), device: Arc::new(device) }
    }

    /// What an outbox needs of a client.
    pub(crate) fn parts(&self) -> (&Arc<Session>, &Arc<Device>) {
        (&self.session, &self.device)
    }

    /// The platform's time in Unix milliseconds, from its last answer; `None`: no answer had it yet.
    pub fn server_time_ms(&self) -> Option<i64> {
        self.session.server_time_ms()
    }

    /// The same as a [`SystemTime`].
    ///
    /// ```no_run
    /// # fn look(client: &iotda::Client) {
    /// if let Some(time) = client.server_time() {
    ///     println!("the clock is off by {:?}", time.duration_since(std::time::SystemTime::now()));
    /// }
    /// # }
    /// ```
    pub fn server_time(&self) -> Option<SystemTime> {
        calendar::system_time(self.server_time_ms()?)
    }

    /// Counters, over all devices that share connections with this one.
    ///
    /// ```no_run
    /// # fn look(client: &iotda::Client) {
    /// let stats = client.stats();
    /// println!("{} requests, {} of them again", stats.requests, stats.retries);
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.session.monitor.stats()
    }

    /// Starts a call: its deadline runs from here.
    fn start(&self, options: CallOptions) -> Result<Call> {
        self.session.check_process()?;
        Call::start(options, &self.session.rules)
    }

    fn report(&self, target: Target, body: &[u8], options: CallOptions) -> Result<Delivery> {
        let mut call = self.start(options)?;
        check_size(target, body)?;
        let result = deliver(&self.session, &self.device, target, body, &mut call);
        let attempts = call.attempts;
        result.map(|http_status| Delivery { http_status, attempts }).map_err(|error| error.with_attempts(attempts))
    }

    /// Makes a call, and notes it if it fails, whatever for.
    pub(crate) fn noting<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        call().inspect_err(|error| self.failed(error))
    }

    /// Notes that a call fails.
    fn failed(&self, error: &Error) {
        self.session.monitor.log(Level::Error, || self.device.line(error));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &format_args!("\"https://{}\"", self.session.authority))
            .field("device_id", &self.device_id())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::fixtures::{answer, authenticated, device, recording};
    use crate::report::Child;

    fn config() -> Config {
        let mut config = Config::new();
        config.endpoint("https://iot.example:8943").unwrap().device("deviceId_0001", b"secret").unwrap();
        config.ca_pem(iotda_http::fixtures::authority().as_bytes()).unwrap();
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

    #[test]
    fn the_platforms_time_is_that_of_its_last_answer() {
        let session = authenticated(|_, _| {
            Ok(iotda_http::Answer { server_time_ms: Some(1_900_000_000_000), ..answer(200, "").unwrap() })
        });
        let client = Client::of(session, device());
        assert_eq!((client.server_time_ms(), client.server_time()), (None, None));
        client.report_message(b"x", CallOptions::default()).unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_900_000_000_000);
        assert_eq!((client.server_time_ms(), client.server_time()), (Some(1_900_000_000_000), Some(time)));
    }

    #[test]
    fn of_a_checked_batch_the_good_children_are_sent_and_the_others_fail() {
        let (session, sent) = recording();
        let client = Client::of(session, device());
        let services = [Service::new("s", "{}")];
        let wrong = Box::new(Error::invalid_argument("no value could be read"));
        let children = [Ok(Child::new("good", &services)), Err(wrong)];
        let error = client.report_checked_batch(&children, CallOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Partial);
        let sent = sent.lock().unwrap();
        assert!(sent.len() == 1 && sent[0].contains(r#""device_id":"good""#), "{sent:?}");
    }
}
