//! A client: one device, its token, and the connections that it shares with other devices.
//!
//! This is the façade: what a program sees. Reports are checked and encoded in [`crate::report`] and sent by
//! [`crate::delivery`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use iotda_http::Watch;
use iotda_sys::fork::ForkMark;

use crate::config::{Config, Identity};
use crate::delivery::call::{Call, CallOptions, Delivery, Request, Rules};
use crate::delivery::deliver::{Target, deliver};
use crate::delivery::pace::Pace;
use crate::delivery::saved_token::{self, SavedToken};
use crate::delivery::session::{Device, Session};
use crate::delivery::token::Token;
use crate::delivery::{BatchError, authorize, batch};
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::{Level, Monitor, Stats};
use crate::outbox::{Outbox, OutboxOptions};
use crate::report::limits::BODY_LIMIT;
use crate::report::{Child, Service, calendar, encode, validate};

/// Reports to the platform for one device. All its functions can be called from many threads at once.
///
/// Functions that report block until the platform has answered or the call's time is over. They
/// authenticate when they need to, and again when the platform refuses the token. They retry transient
/// failures: no connection, no answer, a fault of the platform, a rate limit. A report whose connection breaks
/// may be sent twice: it arrives at least once, not exactly once.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    device: Arc<Device>,
}

impl Client {
    /// Makes a client. Reads nothing and contacts nobody.
    ///
    /// A saved token ([`Config::token`]) that is damaged, or another device's, is left out with a warning in the log: the
    /// device then authenticates.
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
    pub fn open_device(&self, device_id: &str, secret: &[u8]) -> Result<Client> {
        self.open_device_with_token(device_id, secret, "")
    }

    /// The same, with a token that [`export_token`](Self::export_token) of such a client gave, used while it is valid; as
    /// with [`Config::token`], a damaged one is left out. Empty: none.
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
    /// [`Delivery::http_status`] is 0. Reports do it when they need to, unless
    /// [`Config::authenticate_when_asked`] says otherwise; this shows early whether endpoint, certificates, device id and
    /// secret are right.
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
    pub fn report_properties(&self, services: &[Service<'_>], options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| {
            self.session.check_process()?;
            self.report(Target::Properties, &encode::properties_body(services)?, options)
        })
    }

    /// Reports properties by a request body that the caller wrote, `{"services":[…]}`. It is checked and
    /// sent as it is.
    pub fn report_properties_json(&self, json: &str, options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| {
            self.session.check_process()?;
            validate::check_properties(json)?;
            self.report(Target::Properties, json.as_bytes(), options)
        })
    }

    /// Whether the platform takes the token of this device, without leaving anything there: it is sent a property report
    /// that holds no service. Any code of the platform's that is about the report, not the token, says that the token has
    /// passed: the page documents `IOTDA.000006`. Counts as a report for the rate. Authenticates where there is no token.
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
    pub fn report_message(&self, data: &[u8], options: impl Into<CallOptions>) -> Result<Delivery> {
        let options = options.into();
        self.noting(|| self.report(Target::Message, data, options))
    }

    /// What [`report_properties`](Self::report_properties) would refuse without sending anything: for a program that
    /// keeps reports to send them later. It contacts nobody and needs no client.
    pub fn check_properties(services: &[Service<'_>]) -> Result<()> {
        check_size(Target::Properties, &encode::properties_body(services)?)
    }

    /// The same for [`report_properties_json`](Self::report_properties_json).
    pub fn check_properties_json(json: &str) -> Result<()> {
        validate::check_properties(json)?;
        check_size(Target::Properties, json.as_bytes())
    }

    /// The same for [`report_message`](Self::report_message).
    pub fn check_message(data: &[u8]) -> Result<()> {
        check_size(Target::Message, data)
    }

    /// What of these children [`report_batch`](Self::report_batch) would leave out without sending anything. The error of the
    /// whole is that of the first child that is wrong.
    pub fn check_batch(children: &[Child<'_>]) -> Result<(), BatchError> {
        batch::check(&children)
    }

    /// The same for [`report_checked_batch`](Self::report_checked_batch).
    pub fn check_checked_batch(children: &[Result<Child<'_>, Box<Error>>]) -> Result<(), BatchError> {
        batch::check(&children)
    }

    /// Reports properties of child devices of this gateway, any number in one call.
    ///
    /// No child holds back another. One that is wrong in itself ([`ErrorKind::InvalidArgument`]), whose
    /// own data passes 1 MB ([`ErrorKind::TooLarge`]), that the platform does not know
    /// ([`ErrorKind::UnknownChild`]) or whose data it refuses ([`ErrorKind::Rejected`]) is left out; the
    /// others are delivered, and the error says of each what became of it. Finding the children that the
    /// platform refuses takes at most about two requests for each. Any other failure, after its retries,
    /// ends the batch: children that were not sent by then have the kind of that failure.
    ///
    /// A child that the platform does not know is remembered for ten minutes (up to 1,024 of them in each
    /// client) and left out without a request in that time. Then it is sent again, after the others.
    ///
    /// The kind of the whole: [`ErrorKind::Partial`] if any child was delivered; otherwise the kind of the
    /// children's failures, and where they differ the one for which the data is to be kept: a failure that
    /// passes with time before one that says nothing about the children, and this before `UnknownChild`,
    /// `Rejected`, `TooLarge` and `InvalidArgument`.
    pub fn report_batch(
        &self,
        children: &[Child<'_>],
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::typed(&self.session, &self.device, children, options.into()))
    }

    /// Reports a batch by a request body that the caller wrote, `{"devices":[…]}`, with any number of
    /// children. It is checked; a body that fits into one request is sent as it is.
    pub fn report_batch_json(&self, json: &str, options: impl Into<CallOptions>) -> Result<Delivery, BatchError> {
        self.report_batch_json_if(json, |_| Ok(()), options)
    }

    /// As [`report_batch`](Self::report_batch), for children of which some were found wrong while they were made: such
    /// a child fails with the kind of its error, and the others are sent.
    pub fn report_checked_batch(
        &self,
        children: &[Result<Child<'_>, Box<Error>>],
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::checked(&self.session, &self.device, children, options.into()))
    }

    /// As [`report_batch_json`](Self::report_batch_json). `accept` is given the number of children before anything is
    /// sent; its error refuses all, for example for lack of room for so many statuses.
    pub fn report_batch_json_if(
        &self,
        json: &str,
        accept: impl FnOnce(usize) -> Result<()>,
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::document(&self.session, &self.device, json, accept, options.into()))
    }

    /// Opens an outbox, which keeps reports on disk until the platform has taken them, and attaches this client's device
    /// to it: see the module [`outbox`](crate::outbox).
    ///
    /// Blocks for as long as the storage does: the directory is read. [`ErrorKind::InvalidArgument`],
    /// [`ErrorKind::Storage`] (it cannot be written or locked, another outbox has it, or a newer version wrote it),
    /// [`ErrorKind::Forked`].
    pub fn open_outbox(&self, options: OutboxOptions) -> Result<Outbox> {
        self.noting(|| Outbox::open(&self.session, &self.device, options))
    }

    /// What an outbox needs of a client.
    pub(crate) fn parts(&self) -> (&Arc<Session>, &Arc<Device>) {
        (&self.session, &self.device)
    }

    /// The token, to be kept over a restart: a device that wakes, reports and sleeps then authenticates once
    /// a day. Give it to [`Config::token`], [`open_device_with_token`](Self::open_device_with_token) or
    /// [`import_token`](Self::import_token). It is as secret as the device's secret, and not wiped when it is dropped.
    /// `None`: there is none that is valid.
    ///
    /// The text of one token is always the same; [`tokens_issued`](Self::tokens_issued) says when there is another.
    pub fn export_token(&self) -> Option<String> {
        saved_token::save(&self.device.token, self.session.owner(&self.device), self.session.clock.monotonic())
    }

    /// Puts a token to use that [`export_token`](Self::export_token) or [`Config::on_token`] gave, in this process or in
    /// another, instead of the present one: for processes that share a device's token. Calls that wait for an
    /// authentication go on with it; one that is under way goes on, and its token replaces this one.
    ///
    /// [`ErrorKind::InvalidArgument`] for one that is damaged, expired, another device's or of another endpoint; the
    /// present token then stays. [`ErrorKind::Forked`]. Never blocks.
    pub fn import_token(&self, saved: &str) -> Result<()> {
        self.noting(|| {
            self.session.check_process()?;
            let token = read(&self.session, &self.device, saved).map_err(|why| {
                Error::invalid(format!(
                    "import a token that device \"{}\" exported at this endpoint, or authenticate: this one {why}",
                    self.device_id()
                ))
            })?;
            self.device.token.set(token);
            Ok(())
        })
    }

    /// For how long the present token will still be valid. `None`: there is none, or the platform did not say how long it
    /// lasts.
    pub fn token_remaining(&self) -> Option<Duration> {
        let now = self.session.clock.monotonic();
        self.device.token.valid(now)?.remaining(now)
    }

    /// How many tokens this device was issued since its client was made: when it has changed after a call, there is a
    /// new token to be kept.
    pub fn tokens_issued(&self) -> u64 {
        self.device.token.issued()
    }

    /// The platform's time in Unix milliseconds, from its last answer; `None`: no answer had it yet.
    pub fn server_time_ms(&self) -> Option<i64> {
        self.session.server_time_ms()
    }

    /// The same as a [`SystemTime`].
    pub fn server_time(&self) -> Option<SystemTime> {
        calendar::system_time(self.server_time_ms()?)
    }

    /// Counters, over all devices that share connections with this one.
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

    fn note(&self, result: Result<Delivery, BatchError>) -> Result<Delivery, BatchError> {
        result.inspect_err(|error| self.failed(error.error()))
    }

    /// Notes that a call fails.
    fn failed(&self, error: &Error) {
        self.session.monitor.log(Level::Error, || self.device.line(error));
    }
}

/// Puts a saved token to use, if it is one of this device; it is never worth failing for.
fn restore(session: &Session, device: &Device, saved: &str) {
    match read(session, device, saved) {
        Ok(token) => device.token.set(token),
        Err(why) => session
            .monitor
            .log(Level::Warning, || format!("device \"{}\" starts without its saved token: it {why}", device.id())),
    }
}

/// The token of a text that was saved for this device; `Err` says what is wrong with it.
fn read(session: &Session, device: &Device, saved: &str) -> Result<Token, &'static str> {
    let saved = SavedToken::parse(saved, session.owner(device))?;
    saved.valid(session.clock.unix_ms(), session.clock.monotonic()).ok_or("has expired")
}

/// Whether the platform takes a body of this size.
pub(crate) fn check_size(target: Target, body: &[u8]) -> Result<()> {
    if body.len() < BODY_LIMIT {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!(
            "send less at a time: {} has {} bytes, and the platform takes less than {BODY_LIMIT} (1 MB)",
            target.what(),
            body.len()
        ),
    ))
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
}
