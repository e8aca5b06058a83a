//! A client: one device, its token, and the connections that it shares with other devices.
//!
//! The way of a report: validate and encode ([`crate::report`], [`crate::document`]), authorize
//! ([`crate::token`]), send ([`crate::http`]), and read the answer ([`crate::answer`]). Batches take the
//! same way request by request, in [`crate::gateway`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_sys::fork::ForkMark;
use once_cell::sync::OnceCell;
use ureq::http::{HeaderValue, Uri};

use crate::answer;
use crate::calendar;
use crate::clock::Clock;
use crate::config::{Config, Identity, SignType};
use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::http::exchange::{Answer, Exchange, Settings};
use crate::http::{roots, tls};
use crate::json::write;
use crate::limits::BODY_LIMIT;
use crate::password;
use crate::report::{self, Service};
use crate::token::{Flight, Lease, Token, TokenCell};

/// What one call may be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The most that the whole call may take; `None`: the client's.
    pub timeout: Option<Duration>,
}

/// What is known about a call that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The HTTP status of the last answer.
    pub http_status: u16,
    /// Requests sent for this call, authentications not counted.
    pub attempts: u32,
}

/// Reports to the platform for one device. All its functions can be called from many threads at once.
///
/// Functions that report block until the platform has answered or the call's time is over. They
/// authenticate when they need to, and again when the platform refuses the token. A report whose
/// connection breaks may be sent twice: it arrives at least once, not exactly once.
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
    timeout: Duration,
    fork: ForkMark,
}

struct Device {
    identity: Identity,
    sign_type: SignType,
    token: TokenCell,
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

/// One call on its way: its deadline, and how many requests it took.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) deadline: Option<Instant>,
    pub(crate) attempts: u32,
    /// At most one authentication is made because the platform refused a token.
    reauthenticated: bool,
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
        let roots = config.roots.clone().map_or_else(roots::public, Ok)?;
        let origin = format!("https://{}", endpoint.authority());
        let shared = Shared {
            auth_uri: uri(format!("{origin}/v5/device-auth"))?,
            origin,
            exchange: Exchange::new(Settings {
                endpoint,
                tls: tls::client_config(roots, Arc::clone(&config.clock))?,
                clock: Arc::clone(&config.clock),
                connect_timeout: config.connect_timeout,
                usual_timeout: config.timeout,
            })?,
            clock: Arc::clone(&config.clock),
            timeout: config.timeout,
            fork: ForkMark::new(),
        };
        Ok(Client { shared: Arc::new(shared), device: Arc::new(Device::new(identity, config.sign_type)) })
    }

    /// A client for another device that shares connections, TLS sessions and addresses with this one.
    pub fn open_device(&self, device_id: &str, secret: &[u8]) -> Result<Client> {
        self.check_process()?;
        let device = Device::new(Identity::new(device_id, secret)?, self.device.sign_type);
        Ok(Client { shared: Arc::clone(&self.shared), device: Arc::new(device) })
    }

    /// The id of the device that this client reports for.
    pub fn device_id(&self) -> &str {
        &self.device.identity.device_id
    }

    /// Authenticates, unless a valid token is at hand. Reports do it when they need to; this tells early
    /// whether endpoint, certificates, device id and secret are right.
    pub fn authenticate(&self, options: CallOptions) -> Result<Delivery> {
        let call = self.start(options)?;
        self.token(&call).map(|_| Delivery { http_status: 200, attempts: 0 })
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
        let result = self.deliver(target, body, &mut call).and_then(|answer| {
            answer::accepted(&answer, target.what())?;
            Ok(Delivery { http_status: answer.status, attempts: call.attempts })
        });
        result.map_err(|error| error.with_attempts(call.attempts))
    }

    /// Starts a call: its deadline runs from here.
    pub(crate) fn start(&self, options: CallOptions) -> Result<Call> {
        self.check_process()?;
        let timeout = options.timeout.unwrap_or(self.shared.timeout);
        Ok(Call { deadline: Instant::now().checked_add(timeout), attempts: 0, reauthenticated: false })
    }

    /// Sends one body with a token. A token that the platform refuses is replaced once in a call, and the
    /// body sent once more.
    pub(crate) fn deliver(&self, target: Target, body: &[u8], call: &mut Call) -> Result<Answer> {
        let uri = self.uri(target)?;
        loop {
            let token = self.token(call)?;
            let answer =
                self.shared.exchange.post(uri, Some(&token.header), body, call.deadline, &mut call.attempts)?;
            if call.reauthenticated || !answer::refuses_token(&answer) {
                return Ok(answer);
            }
            call.reauthenticated = true;
            self.device.token.refused(&token);
        }
    }

    fn token(&self, call: &Call) -> Result<Arc<Token>> {
        match self.device.token.acquire(self.shared.clock.monotonic(), call.deadline)? {
            Lease::Token(token) => Ok(token),
            Lease::Authenticate(flight) => self.authenticate_now(flight, call),
        }
    }

    fn authenticate_now(&self, flight: Flight<'_>, call: &Call) -> Result<Arc<Token>> {
        let asked = self.shared.clock.monotonic();
        let body = self.device.authentication(self.shared.clock.unix_ms());
        let issued = self
            .shared
            .exchange
            .post(&self.shared.auth_uri, None, &body, call.deadline, &mut 0)
            .and_then(|answer| answer::issued(&answer))
            .and_then(|issued| {
                let header = HeaderValue::from_str(&issued.token)
                    .map_err(|_| Error::new(ErrorKind::Protocol, "the access token is no header value"))?;
                Ok(Token::new(header, asked, issued.lifetime))
            });
        flight.end(issued.map_err(|error| error.within(&format!("device \"{}\"", self.device_id()))))
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

impl Device {
    fn new(identity: Identity, sign_type: SignType) -> Self {
        Device { identity, sign_type, token: TokenCell::default(), uris: Default::default() }
    }

    /// The body of an authentication (HTTPS access page, "Device Authentication API").
    fn authentication(&self, unix_ms: i64) -> Vec<u8> {
        let timestamp = calendar::hour_stamp(unix_ms);
        let password = password::password(&self.identity.secret, &timestamp);
        let mut body = Vec::with_capacity(160 + self.identity.device_id.len());
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
        let device = Device::new(Identity::new("d-1", b"secret").unwrap(), SignType::PasswordAndTime);
        assert_eq!(
            String::from_utf8(device.authentication(1_575_315_000_000)).unwrap(),
            r#"{"device_id":"d-1","sign_type":1,"timestamp":"2019120219","password":"2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860"}"#
        );
    }

    #[test]
    fn debug_shows_endpoint_and_device_alone() {
        let shown = format!("{:?}", Client::new(&config()).unwrap());
        assert_eq!(shown, r#"Client { endpoint: "https://iot.example:8943", device_id: "deviceId_0001", .. }"#);
    }
}
