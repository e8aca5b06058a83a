//! A client: one device, its token, and the connections that it shares with other devices.
//!
//! The way of a report: validate and encode ([`crate::report`], [`crate::document`]), authorize
//! ([`crate::token`]), send ([`crate::http`]), and read the answer ([`crate::answer`]). Batches take the
//! same way request by request, in [`crate::gateway`].

use std::fmt;
use std::sync::Arc;

use iotda_sys::fork::ForkMark;
use once_cell::sync::OnceCell;
use rustls::RootCertStore;
use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::answer;
use crate::calendar;
use crate::call::{Call, CallOptions, Delivery, Rules};
use crate::cancel::Interrupt;
use crate::clock::Clock;
use crate::config::{Config, Identity, SignType};
use crate::document;
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::http::connect::Timing;
use crate::http::exchange::{Exchange, Settings, monotonic_ms};
use crate::http::tls::{self, TlsSettings};
use crate::json::write;
use crate::limits::BODY_LIMIT;
use crate::monitor::{Count, Level, Monitor, Stats};
use crate::pace::{self, Pace};
use crate::password;
use crate::report::{self, Service};
use crate::retry::random_fraction;
use crate::token::{Flight, Lease, SavedToken, Token, TokenCell, header_value};

/// Reports to the platform for one device. All its functions can be called from many threads at once.
///
/// Functions that report block until the platform has answered or the call's time is over. They
/// authenticate when they need to, and again when the platform refuses the token. They try again what can
/// heal: no connection, no answer, a fault of the platform, a rate limit. A report whose connection breaks
/// may be sent twice: it arrives at least once, not exactly once.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    device: Arc<Device>,
}

/// What all devices that were opened from one client share.
struct Shared {
    exchange: Exchange,
    origin: String,
    auth_uri: Uri,
    clock: Arc<dyn Clock>,
    monitor: Arc<Monitor>,
    rules: Rules,
    /// The pace of all devices together.
    pace: Pace,
    /// The known rate of a single device, for those that will be opened.
    device_rate: Option<f64>,
    fork: ForkMark,
}

struct Device {
    identity: Identity,
    sign_type: SignType,
    token: TokenCell,
    pace: Pace,
    uris: [OnceCell<Uri>; 3],
}

/// The calls that carry a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Properties,
    Message,
    Batch,
}

impl Target {
    fn path(self) -> &'static str {
        match self {
            Target::Properties => "properties/report",
            Target::Message => "messages/up",
            Target::Batch => "gateway/sub-devices/properties/report",
        }
    }

    /// As messages name what is sent there.
    fn what(self) -> &'static str {
        match self {
            Target::Properties => "the property report",
            Target::Message => "the message",
            Target::Batch => "the batch",
        }
    }
}

/// How one attempt ended.
enum Attempt {
    /// Accepted, with this HTTP status.
    Delivered(u16),
    /// The token was refused; with another one it may go better, at once.
    WithNewToken,
    /// It may go better later.
    Failed(Error),
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
            auth_uri: uri(format!("{origin}/v5/device-auth"))?,
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
            device.token.restore(saved, shared.clock.unix_ms(), shared.clock.monotonic());
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

    /// Sends one body until it is accepted, or the call's attempts or time are used up; returns the HTTP
    /// status of the success.
    pub(crate) fn deliver(&self, target: Target, body: &[u8], call: &mut Call<'_>) -> Result<u16> {
        loop {
            match self.attempt(target, body, call)? {
                Attempt::Delivered(status) => return Ok(status),
                Attempt::WithNewToken => {}
                Attempt::Failed(error) => call.pause_before_retry(error)?,
            }
        }
    }

    /// Sends one body once. An error ends the call.
    fn attempt(&self, target: Target, body: &[u8], call: &mut Call<'_>) -> Result<Attempt> {
        let token = self.token(call)?;
        let units = pace::units(body.len());
        self.keep_pace(units, call)?;
        let before = call.attempts;
        let context = call.attempt()?;
        let answer =
            self.shared.exchange.post(self.uri(target)?, Some(&token.header), body, &context, &mut call.attempts);
        self.shared.monitor.add(Count::Requests, u64::from(call.attempts - before));
        let accepted = answer.and_then(|answer| answer::accepted(&answer, target.what()).map(|()| answer.status));
        let error = match accepted {
            Ok(status) => {
                self.device.pace.accepted(units);
                self.shared.pace.accepted(units);
                return Ok(Attempt::Delivered(status));
            }
            Err(error) => error.without(token.header.as_bytes()),
        };
        match error.kind() {
            ErrorKind::TokenRejected => {
                self.device.token.refused(&token);
                if call.authenticated || call.token_replaced {
                    return Err(error);
                }
                call.token_replaced = true;
                Ok(Attempt::WithNewToken)
            }
            ErrorKind::RateLimited => {
                let of_all = error.answer().refusal == Refusal::TenantRate;
                let pace = if of_all { &self.shared.pace } else { &self.device.pace };
                pace.limited(self.shared.clock.monotonic());
                Ok(Attempt::Failed(error))
            }
            _ => Ok(Attempt::Failed(error)),
        }
    }

    /// Waits until a report of `units` is due.
    fn keep_pace(&self, units: f64, call: &Call<'_>) -> Result<()> {
        for pace in [&self.device.pace, &self.shared.pace] {
            let wait = pace.reserve(self.shared.clock.monotonic(), units, call.time_left()).map_err(|wait| {
                Error::new(
                    ErrorKind::RateLimited,
                    format!(
                        "the rate limit leaves no room for this report within the call's time: the next is due in {} ms",
                        wait.as_millis()
                    ),
                )
                .with_retry_after(wait)
            })?;
            if !wait.is_zero() {
                self.shared.monitor.add(Count::PacingWaits, 1);
                call.pause(wait)?;
            }
        }
        Ok(())
    }

    fn token(&self, call: &mut Call<'_>) -> Result<Arc<Token>> {
        let cancel = call.cancel.clone();
        let _attached = cancel.as_ref().map(|cancel| cancel.attach(Arc::clone(&self.device) as Arc<dyn Interrupt>));
        let now = self.shared.clock.monotonic();
        match self.device.token.acquire(now, call.deadline, cancel.as_ref())? {
            Lease::Token(token) => Ok(token),
            Lease::Authenticate(flight) => self.authenticate_now(flight, call),
        }
    }

    fn authenticate_now(&self, flight: Flight<'_>, call: &mut Call<'_>) -> Result<Arc<Token>> {
        let issued = loop {
            match self.authenticate_once(call) {
                // The old token serves for now; the next refresh can wait.
                Err(error) if flight.is_refresh() => break Err(error),
                Err(error) => match call.pause_before_retry(error) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                Ok(token) => {
                    call.authenticated = true;
                    break Ok(token);
                }
            }
        };
        let monitor = &self.shared.monitor;
        match &issued {
            Ok(_) => monitor.log(Level::Info, || format!("device \"{}\" authenticated", self.device_id())),
            Err(error) => monitor.log(Level::Warning, || format!("device \"{}\": {error}", self.device_id())),
        }
        flight.end(issued.map_err(|error| error.within(&format!("device \"{}\"", self.device_id()))))
    }

    fn authenticate_once(&self, call: &Call<'_>) -> Result<Token> {
        let asked = self.shared.clock.monotonic();
        let unix_ms = self.shared.clock.unix_ms();
        let body = self.device.authentication(unix_ms);
        let context = call.attempt()?;
        self.shared.monitor.add(Count::Authentications, 1);
        let answer = self.shared.exchange.post(&self.shared.auth_uri, None, &body, &context, &mut 0)?;
        let issued = answer::issued(&answer).map_err(|error| match answer.server_time_ms {
            Some(server_ms) if self.device.sign_type == SignType::PasswordAndTime => {
                clock_hint(error, server_ms, unix_ms)
            }
            _ => error,
        })?;
        Ok(Token::new(header_value(issued.token)?, asked, issued.lifetime, random_fraction()))
    }

    /// The token, to be kept over a restart: a device that wakes, reports and sleeps then authenticates once
    /// a day. Give it to [`Config::token`]. It is as secret as the device's secret. `None`: there is none.
    pub fn export_token(&self) -> Option<String> {
        self.device.token.save(self.device_id(), self.shared.clock.unix_ms(), self.shared.clock.monotonic())
    }

    /// The platform's time in Unix milliseconds, from its last answer; `None`: no answer told it yet.
    pub fn server_time_ms(&self) -> Option<i64> {
        self.shared.monitor.server_time_ms(monotonic_ms(&*self.shared.clock))
    }

    /// Counters, over all devices that share connections with this one.
    pub fn stats(&self) -> Stats {
        self.shared.monitor.stats()
    }

    fn uri(&self, target: Target) -> Result<&Uri> {
        self.device.uris[target as usize].get_or_try_init(|| {
            uri(format!("{}/v5/devices/{}/sys/{}", self.shared.origin, self.device_id(), target.path()))
        })
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
    fn new(identity: Identity, sign_type: SignType, rate: Option<f64>) -> Self {
        Device { identity, sign_type, token: TokenCell::default(), pace: Pace::new(rate), uris: Default::default() }
    }

    /// The body of an authentication (HTTPS access page, "Device Authentication API").
    fn authentication(&self, unix_ms: i64) -> Zeroizing<Vec<u8>> {
        let timestamp = calendar::hour_stamp(unix_ms);
        let password = password::password(&self.identity.secret, &timestamp);
        // The capacity is more than enough: growing would leave a copy behind.
        let mut body = Zeroizing::new(Vec::with_capacity(160 + self.identity.device_id.len()));
        body.extend_from_slice(b"{\"device_id\":");
        write::string(&mut body, &self.identity.device_id);
        body.extend_from_slice(b",\"sign_type\":");
        write::integer(&mut body, i64::from(self.sign_type.number()));
        body.extend_from_slice(b",\"timestamp\":\"");
        body.extend_from_slice(&timestamp);
        body.extend_from_slice(b"\",\"password\":\"");
        body.extend_from_slice(password.as_bytes());
        body.extend_from_slice(b"\"}");
        body
    }
}

/// A refused authentication whose time is far from the platform's is probably refused for that.
fn clock_hint(error: Error, server_ms: i64, our_ms: i64) -> Error {
    let apart_s = (server_ms - our_ms) / 1000;
    if error.kind() != ErrorKind::AuthFailed || apart_s.abs() < 1800 {
        return error;
    }
    error.and_add(&format!(
        "the platform's clock is {apart_s} s ahead of this machine's: set the clock, or use sign type 0"
    ))
}

fn uri(text: String) -> Result<Uri> {
    Uri::try_from(text.as_str())
        .map_err(|error| Error::new(ErrorKind::Internal, format!("\"{text}\" is no address: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new();
        config.endpoint("https://iot.example:8943").unwrap().device("deviceId_0001", b"secret").unwrap();
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
    fn the_addresses_of_the_four_calls() {
        let client = Client::new(&config()).unwrap();
        assert_eq!(client.shared.auth_uri, "https://iot.example:8943/v5/device-auth");
        for (target, path) in [
            (Target::Properties, "/v5/devices/deviceId_0001/sys/properties/report"),
            (Target::Message, "/v5/devices/deviceId_0001/sys/messages/up"),
            (Target::Batch, "/v5/devices/deviceId_0001/sys/gateway/sub-devices/properties/report"),
        ] {
            assert_eq!(client.uri(target).unwrap().path(), path);
        }
    }

    #[test]
    fn an_authentication_as_the_page_has_it() {
        // 2019-12-02T19:30:00Z; the password is the protocol notes' second vector.
        let device = Device::new(Identity::new("d-1", b"secret").unwrap(), SignType::PasswordAndTime, None);
        assert_eq!(
            String::from_utf8(device.authentication(1_575_315_000_000).to_vec()).unwrap(),
            r#"{"device_id":"d-1","sign_type":1,"timestamp":"2019120219","password":"2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860"}"#
        );
    }

    #[test]
    fn debug_shows_endpoint_and_device_alone() {
        let shown = format!("{:?}", Client::new(&config()).unwrap());
        assert_eq!(shown, r#"Client { endpoint: "https://iot.example:8943", device_id: "deviceId_0001", .. }"#);
    }
}
