//! The settings of a client. Every setter checks its value and keeps the old one if the
//! new one is wrong; nothing here touches the network.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iotda_http::{
    ClientIdentity, Clock, Endpoint, Exchange, Https, KeptConnections, Level, Log, Proxy, Route, Settings, SystemClock,
    Timing, TlsSettings, Transport, Trust, Watch,
};
use zeroize::Zeroizing;

use crate::delivery::RetryPolicy;
use crate::error::{Error, Result};
use crate::report::identifier::check_device_id;

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
        // A secret may be as long as the caller likes.
        let mut copy = Zeroizing::new(Vec::new());
        copy.try_reserve_exact(secret.len()).map_err(|_| Error::no_memory(secret.len()))?;
        copy.extend_from_slice(secret);
        Ok(Identity { device_id: device_id.to_owned(), secret: copy })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// The platform's rates in units per second, where they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Of each device.
    pub(crate) device: Option<f64>,
    /// Of all devices together.
    pub(crate) tenant: Option<f64>,
}

/// Is given a device's id and its new token, as text.
pub(crate) type OnToken = dyn Fn(&str, &str) + Send + Sync;

/// The settings of a [`Client`](crate::Client). An endpoint and a device are required.
#[derive(Clone)]
pub struct Config {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) sign_type: SignType,
    /// The most that a whole call may take.
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) rates: Rates,
    tls: TlsSettings,
    route: Route,
    pub(crate) timing: Timing,
    kept: KeptConnections,
    #[cfg(feature = "ureq")]
    agent: Option<ureq::Agent>,
    pub(crate) token: Option<Zeroizing<String>>,
    pub(crate) on_token: Option<Arc<OnToken>>,
    pub(crate) authenticate_when_asked: bool,
    pub(crate) log: Option<(Level, Arc<dyn Log>)>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Config {
    /// How long a whole call may take unless [`timeout`](Self::timeout) says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long connecting (TCP and TLS) may take unless [`connect_timeout`](Self::connect_timeout) says
    /// otherwise.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// How long one attempt of a call may take unless [`attempt_timeout`](Self::attempt_timeout) says
    /// otherwise.
    pub const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
    /// The most connections that are open for requests at the same time, unless
    /// [`max_connections`](Self::max_connections) says otherwise. The platform takes some hundred new ones a second.
    pub const DEFAULT_MAX_CONNECTIONS: usize = 256;
    /// How long they are kept: a little less than the 60 s after which servers commonly close.
    pub const DEFAULT_KEPT_FOR: Duration = Duration::from_secs(55);

    /// Nothing but defaults.
    pub fn new() -> Self {
        Config {
            endpoint: None,
            identity: None,
            sign_type: SignType::default(),
            timeout: Self::DEFAULT_TIMEOUT,
            retry: RetryPolicy::default(),
            rates: Rates::default(),
            tls: TlsSettings::default(),
            route: Route::default(),
            timing: Timing {
                connect: Self::DEFAULT_CONNECT_TIMEOUT,
                patience: Self::DEFAULT_ATTEMPT_TIMEOUT,
                keepalive: None,
            },
            kept: KeptConnections {
                most: Self::DEFAULT_MAX_CONNECTIONS,
                idle: usize::MAX,
                time: Self::DEFAULT_KEPT_FOR,
            },
            #[cfg(feature = "ureq")]
            agent: None,
            token: None,
            on_token: None,
            authenticate_when_asked: false,
            log: None,
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
        self.identity = Some(Arc::new(Identity::new(device_id, secret)?));
        Ok(self)
    }

    /// Whether the platform checks the time of authentications. Default: it does not.
    pub fn sign_type(&mut self, sign_type: SignType) -> &mut Self {
        self.sign_type = sign_type;
        self
    }

    /// The certificate authorities to trust, as PEM text with one or more certificates, instead of those that are built
    /// in (the platform's, by the feature `platform-roots`, and the public ones, by `public-roots`) and of any that were
    /// set before.
    pub fn ca_pem(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.tls.trust = Trust::only(pem)?;
        Ok(self)
    }

    /// Certificate authorities to trust beside those that are trusted already: the ones that are built in, or those of
    /// [`ca_pem`](Self::ca_pem).
    pub fn add_ca_pem(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.tls.trust.add(pem)?;
        Ok(self)
    }

    /// As [`ca_pem`](Self::ca_pem), from a file of at most 4 MB, which is read now.
    pub fn ca_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        self.tls.trust = with_ca_file(path.as_ref(), Trust::only)?;
        Ok(self)
    }

    /// As [`add_ca_pem`](Self::add_ca_pem), from a file, which is read now.
    pub fn add_ca_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        with_ca_file(path.as_ref(), |pem| self.tls.trust.add(pem))?;
        Ok(self)
    }

    /// A certificate chain and its private key, both as PEM, by which the client shows who it is in the TLS
    /// handshake, where a server or a gateway on the way demands it. They are checked to belong together. It does not
    /// take the secret's place: over HTTPS the platform knows a device by its secret alone, and X.509 log-in is MQTT's.
    pub fn client_certificate(&mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<&mut Self> {
        self.tls.client = Some(ClientIdentity::from_pem(chain_pem, key_pem)?);
        Ok(self)
    }

    /// A public key that must be in the path by which the server's certificate was verified, beside everything else
    /// that is verified: the server's own, an issuer's, or the authority's. It is given as the SHA-256 of its
    /// SubjectPublicKeyInfo. With several, one of them must be there. Certificates that come along and that the path
    /// does not need do not count: anybody can add them.
    pub fn pin_public_key(&mut self, sha256: [u8; 32]) -> &mut Self {
        self.tls.pins.push(sha256);
        self
    }

    /// Offers TLS 1.3 beside 1.2. Default: it does not; the platform documents TLS 1.2 alone. To ask for it is an
    /// error where this crate was built without its feature `tls13`.
    pub fn tls_1_3(&mut self, offer: bool) -> Result<&mut Self> {
        self.tls.offer_tls_1_3(offer)?;
        Ok(self)
    }

    /// The proxy to connect through, `http://[user:password@]host[:port]`; empty: none, which is the default.
    /// The environment is not asked.
    pub fn proxy(&mut self, url: &str) -> Result<&mut Self> {
        self.route.proxy = if url.is_empty() { None } else { Some(Proxy::parse(url)?) };
        Ok(self)
    }

    /// Takes the proxy from the environment, now, as curl does: `https_proxy`, otherwise `all_proxy`, unless `no_proxy`
    /// exempts the endpoint, which must have been set before; each in lower case first, then in upper case. The value
    /// is `[http://][user:password@]host[:port]`, the port 1080 if none is named.
    pub fn proxy_from_environment(&mut self) -> Result<&mut Self> {
        let endpoint = self.endpoint.as_ref().ok_or_else(|| {
            Error::config("set the endpoint first: whether the environment's proxy is for it depends on its host")
        })?;
        self.route.proxy = Proxy::of_environment(|name| std::env::var_os(name), &endpoint.host, endpoint.port)?;
        Ok(self)
    }

    /// The program's own way to the network. Default: the system's sockets.
    pub fn transport(&mut self, transport: Arc<dyn Transport>) -> &mut Self {
        self.route.transport = Some(transport);
        self
    }

    /// The most that a whole call may take: name look-up, connecting, authentication, sending, waiting.
    pub fn timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timeout = not_zero(timeout, "the timeout")?;
        Ok(self)
    }

    /// The most that connecting may take, TCP and TLS together; the call's own time is never exceeded.
    pub fn connect_timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timing.connect = not_zero(timeout, "the connect timeout")?;
        Ok(self)
    }

    /// The most that one attempt of a call may take, connecting included; what then has not been answered is
    /// tried again in the time that is left of the call.
    pub fn attempt_timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timing.patience = not_zero(timeout, "the attempt timeout")?;
        Ok(self)
    }

    /// How calls retry transient failures, within their time.
    pub fn retry(&mut self, policy: RetryPolicy) -> Result<&mut Self> {
        if policy.max_attempts == 0 {
            return Err(Error::invalid(
                "the number of attempts is 0: it takes at least 1, which is never to try again",
            ));
        }
        not_zero(policy.base_delay, "the pause after the first failure")?;
        if policy.max_delay < policy.base_delay {
            return Err(Error::invalid("the longest pause is shorter than the one after the first failure"));
        }
        self.retry = policy;
        Ok(self)
    }

    /// The platform's rates, in reports per second, where they are known: of each device, and of all devices
    /// together. Reports then wait for their turn instead of being refused. A report counts once per started
    /// 4 KB. `None`: unknown; the client slows down when the platform refuses a report, and speeds up again.
    pub fn rates(&mut self, device: Option<f64>, tenant: Option<f64>) -> Result<&mut Self> {
        for rate in [device, tenant].into_iter().flatten() {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::invalid(format!("the rate is {rate}: it takes reports per second, more than 0")));
            }
        }
        self.rates = Rates { device, tenant };
        Ok(self)
    }

    /// The most connections that are open for requests at the same time, at least 1: further requests wait for one,
    /// within their call's time.
    pub fn max_connections(&mut self, most: usize) -> Result<&mut Self> {
        if most == 0 {
            return Err(Error::invalid("allow at least one connection: the most connections are 0"));
        }
        self.kept.most = most;
        Ok(self)
    }

    /// The most connections that are kept open while nobody uses them (0: none), and for how long. Default: as many as
    /// were lately used at the same time, for 55 s.
    pub fn kept_connections(&mut self, most: usize, for_time: Duration) -> &mut Self {
        (self.kept.idle, self.kept.time) = (most, for_time);
        self
    }

    /// After this long without traffic the system asks whether the peer is still there (TCP keep-alive).
    /// Default: never, so that an idle client sends nothing.
    pub fn tcp_keepalive(&mut self, idle: Option<Duration>) -> &mut Self {
        self.timing.keepalive = idle;
        self
    }

    /// A token that [`Client::export_token`](crate::Client::export_token) or [`on_token`](Self::on_token) gave; used
    /// while it is valid. Empty: none.
    pub fn token(&mut self, saved: &str) -> Result<&mut Self> {
        // A text that is none may be as long as it likes.
        let mut copy = Zeroizing::new(String::new());
        copy.try_reserve_exact(saved.len()).map_err(|_| Error::no_memory(saved.len()))?;
        copy.push_str(saved);
        self.token = (!saved.is_empty()).then_some(copy);
        Ok(self)
    }

    /// Is called after each authentication of the client, and of every device opened from it, with the device's id and
    /// the new token as [`Client::export_token`](crate::Client::export_token) has it: for a program that keeps tokens,
    /// or shares them between processes. Not for tokens that are imported. Default: nothing is called.
    ///
    /// It runs in the thread whose call authenticated, an outbox's among them, and no lock is held; the call goes on
    /// when it returns. Several threads may call it at the same time, for different devices. It may export and import
    /// tokens, of any client, and must not make other calls. The text is as secret as the device's secret, and is wiped
    /// when `call` returns.
    pub fn on_token(&mut self, call: impl Fn(&str, &str) + Send + Sync + 'static) -> &mut Self {
        self.on_token = Some(Arc::new(call));
        self
    }

    /// Calls nothing with new tokens.
    pub fn no_on_token(&mut self) -> &mut Self {
        self.on_token = None;
        self
    }

    /// Whether [`Client::authenticate`](crate::Client::authenticate) alone authenticates, and renews a token. A report
    /// without a valid token, or whose token the platform refuses, then fails with
    /// [`ErrorKind::TokenRejected`](crate::ErrorKind::TokenRejected), also while another thread authenticates. Default:
    /// no; reports authenticate when they need to.
    ///
    /// It is for devices whose token several processes share. The platform gives up a device's older token for a newer
    /// one: the process that authenticates takes the device from the others, who then stop, until they are given the
    /// newer token by [`Client::import_token`](crate::Client::import_token).
    pub fn authenticate_when_asked(&mut self, when_asked: bool) -> &mut Self {
        self.authenticate_when_asked = when_asked;
        self
    }

    /// Receives log lines up to `level`. Default: nothing is logged.
    pub fn log(&mut self, level: Level, log: Arc<dyn Log>) -> &mut Self {
        self.log = Some((level, log));
        self
    }

    /// Logs nothing.
    pub fn no_log(&mut self) -> &mut Self {
        self.log = None;
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(&mut self, clock: Arc<dyn Clock>) -> &mut Self {
        self.clock = clock;
        self
    }

    /// Sends requests by `agent`, with its proxies, its resolver, its verifier and its connections, instead of by what
    /// this library does itself. What the agent decides is set there: authorities, pins, a client certificate, a proxy
    /// or a transport set here beside it are an error when the client is made. Timeouts, statuses and redirects stay
    /// this library's.
    ///
    /// A call can then be cancelled only between its requests, statistics count no bytes and no handshakes, and a report
    /// costs several times as much.
    #[cfg(feature = "ureq")]
    pub fn ureq(&mut self, agent: ureq::Agent) -> &mut Self {
        self.agent = Some(agent);
        self
    }

    /// What looks at the way to the platform step by step. An endpoint is required, a device is not; an error if a custom
    /// transport is set. A ureq agent is not looked at: the steps are those of this library's own connections.
    #[cfg(feature = "probe")]
    pub fn probe(&self) -> Result<crate::probe::Probe> {
        crate::probe::Probe::new(self)
    }

    /// What posts to `endpoint`.
    pub(crate) fn exchange(&self, endpoint: Endpoint, watch: Arc<Watch>) -> Result<Box<dyn Exchange>> {
        let settings = self.http(endpoint, watch);
        #[cfg(feature = "ureq")]
        if let Some(agent) = &self.agent {
            if !settings.tls.is_default() || settings.route.proxy.is_some() || settings.route.transport.is_some() {
                return Err(Error::config(
                    "set authorities, pins, client certificate, TLS 1.3, proxy and transport in the ureq agent, not beside it",
                ));
            }
            let Settings { endpoint, timing, clock, .. } = settings;
            return Ok(Box::new(iotda_http::Ureq::new(agent.clone(), &endpoint, timing, clock)));
        }
        Ok(Box::new(Https::new(settings)?))
    }

    /// What connections to `endpoint` are made of.
    pub(crate) fn http(&self, endpoint: Endpoint, watch: Arc<Watch>) -> Settings {
        Settings {
            endpoint,
            route: self.route.clone(),
            tls: self.tls.clone(),
            timing: Timing { patience: self.timing.patience.min(self.timeout), ..self.timing },
            kept: self.kept,
            clock: Arc::clone(&self.clock),
            watch,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &self.endpoint)
            .field("identity", &self.identity)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// What is made of a file that is read piece by piece.
fn with_ca_file<T>(path: &Path, make: impl FnOnce(BufReader<File>) -> iotda_http::Result<T>) -> Result<T> {
    let file = File::open(path).map_err(|error| {
        Error::config(format!("check the path: the CA file \"{}\" cannot be read: {error}", shown(path)))
    })?;
    // A page at a time, so that a large bundle takes little memory.
    make(BufReader::with_capacity(4096, file))
        .map_err(|error| Error::config(format!("{error} (CA file \"{}\")", shown(path))))
}

/// The end of a path, short enough for a message.
fn shown(path: &Path) -> String {
    const CHARACTERS_MAX: usize = 80;
    let path = path.display().to_string();
    match path.char_indices().nth_back(CHARACTERS_MAX) {
        Some((start, _)) => format!("...{}", &path[start..]),
        None => path,
    }
}

fn not_zero(timeout: Duration, name: &str) -> Result<Duration> {
    if timeout.is_zero() {
        return Err(Error::invalid(format!("{name} is 0: it takes at least one millisecond")));
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests;
