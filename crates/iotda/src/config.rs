//! The settings of a client. Every setter checks its value and keeps the old one if the
//! new one is wrong; nothing here touches the network. TLS is in [`trust`], connections in [`network`], the device in
//! [`identity`].

mod identity;
mod network;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use iotda_http::{Clock, Endpoint, KeptConnections, Level, Log, Route, SystemClock, Timing, TlsSettings};
use zeroize::Zeroizing;

use crate::delivery::RetryPolicy;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};

pub(crate) use identity::Identity;
pub use identity::SignType;

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

/// The settings of a [`Client`](crate::Client). An endpoint and a device are required. A setter that fails keeps what
/// was set before.
///
/// ```no_run
/// let mut config = iotda::Config::new();
/// config
///     .endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")?
///     .device("my_device", b"my-secret")?
///     .timeout(std::time::Duration::from_secs(20))?;
/// let client = iotda::Client::new(&config)?;
/// # Ok::<(), iotda::Error>(())
/// ```
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
    ///
    /// ```
    /// let mut config = iotda::Config::new();
    /// config.endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")?;
    /// assert!(config.endpoint("http://xxx.iotda.example").is_err());
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: it is not such an address, or holds a user, a path or a query.
    pub fn endpoint(&mut self, url: &str) -> Result<&mut Self> {
        self.endpoint = Some(Endpoint::parse(url)?);
        Ok(self)
    }

    /// Required. The device's id and its secret, any bytes. The secret is copied, and wiped when the
    /// config and the clients made of it are dropped.
    ///
    /// ```no_run
    /// let secret = std::fs::read("/etc/sensor/secret").expect("the secret is installed");
    /// iotda::Config::new().device("my_device", &secret)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: the id has not 1 to 128 letters, digits, `_` and `-`, or the secret is empty.
    /// [`ErrorKind::Internal`]: there is no memory for the secret.
    pub fn device(&mut self, device_id: &str, secret: &[u8]) -> Result<&mut Self> {
        self.identity = Some(Arc::new(Identity::new(device_id, secret)?));
        Ok(self)
    }

    /// Whether the platform checks the time of authentications. Default: it does not.
    ///
    /// ```
    /// use iotda::{Config, SignType};
    ///
    /// Config::new().sign_type(SignType::PasswordAndTime);
    /// ```
    pub fn sign_type(&mut self, sign_type: SignType) -> &mut Self {
        self.sign_type = sign_type;
        self
    }

    /// The most that a whole call may take: name look-up, connecting, authentication, sending, waiting.
    ///
    /// ```
    /// iotda::Config::new().timeout(std::time::Duration::from_secs(60))?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: it is zero.
    pub fn timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timeout = not_zero(timeout, "the timeout")?;
        Ok(self)
    }

    /// The most that connecting may take, TCP and TLS together; the call's own time is never exceeded.
    ///
    /// ```
    /// iotda::Config::new().connect_timeout(std::time::Duration::from_secs(5))?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: it is zero.
    pub fn connect_timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timing.connect = not_zero(timeout, "the connect timeout")?;
        Ok(self)
    }

    /// The most that one attempt of a call may take, connecting included; what then has not been answered is
    /// tried again in the time that is left of the call.
    ///
    /// ```
    /// iotda::Config::new().attempt_timeout(std::time::Duration::from_secs(20))?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: it is zero.
    pub fn attempt_timeout(&mut self, timeout: Duration) -> Result<&mut Self> {
        self.timing.patience = not_zero(timeout, "the attempt timeout")?;
        Ok(self)
    }

    /// How calls retry transient failures, within their time.
    ///
    /// ```
    /// iotda::Config::new().retry(iotda::RetryPolicy::new().max_attempts(1))?; // A request is never sent twice.
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: no attempt is allowed, the first pause is zero, or the longest one is shorter
    /// than that.
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
    ///
    /// ```
    /// iotda::Config::new().rates(Some(10.0), Some(500.0))?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: a rate is not a number above zero.
    pub fn rates(&mut self, device: Option<f64>, tenant: Option<f64>) -> Result<&mut Self> {
        for rate in [device, tenant].into_iter().flatten() {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::invalid(format!("the rate is {rate}: it takes reports per second, more than 0")));
            }
        }
        self.rates = Rates { device, tenant };
        Ok(self)
    }

    /// A token that [`Client::export_token`](crate::Client::export_token) or [`on_token`](Self::on_token) gave; used
    /// while it is valid. Empty: none.
    ///
    /// ```no_run
    /// let saved = std::fs::read_to_string("/run/sensor/token").unwrap_or_default();
    /// iotda::Config::new().token(&saved)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`]: there is no memory for a copy. That it is no token, or another device's, is found by
    /// [`Client::new`](crate::Client::new), which leaves it out.
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
    ///
    /// ```
    /// iotda::Config::new().on_token(|device_id, token| {
    ///     let _ = std::fs::write(format!("/run/fleet/{device_id}"), token);
    /// });
    /// ```
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
    /// [`ErrorKind::TokenRejected`], also while another thread authenticates. Default:
    /// no; reports authenticate when they need to.
    ///
    /// It is for devices whose token several processes share. The platform gives up a device's older token for a newer
    /// one: the process that authenticates takes the device from the others, who then stop, until they are given the
    /// newer token by [`Client::import_token`](crate::Client::import_token).
    ///
    /// ```
    /// iotda::Config::new().authenticate_when_asked(true);
    /// ```
    pub fn authenticate_when_asked(&mut self, when_asked: bool) -> &mut Self {
        self.authenticate_when_asked = when_asked;
        self
    }

    /// Receives log lines up to `level`. Default: nothing is logged.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// #[derive(Debug)]
    /// struct StandardError;
    ///
    /// impl iotda::Log for StandardError {
    ///     fn log(&self, level: iotda::Level, message: &str) {
    ///         eprintln!("{level:?}: {message}");
    ///     }
    /// }
    ///
    /// iotda::Config::new().log(iotda::Level::Warning, Arc::new(StandardError));
    /// ```
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
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant, SystemTime};
    ///
    /// /// Counts on from a time that the device was given.
    /// #[derive(Debug)]
    /// struct GivenTime(i64, Instant);
    ///
    /// impl iotda::Clock for GivenTime {
    ///     fn unix_ms(&self) -> i64 {
    ///         self.0 + self.monotonic().as_millis() as i64
    ///     }
    ///
    ///     fn monotonic(&self) -> Duration {
    ///         self.1.elapsed()
    ///     }
    /// }
    ///
    /// iotda::Config::new().clock(Arc::new(GivenTime(1_760_000_000_000, Instant::now())));
    /// ```
    pub fn clock(&mut self, clock: Arc<dyn Clock>) -> &mut Self {
        self.clock = clock;
        self
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

fn not_zero(timeout: Duration, name: &str) -> Result<Duration> {
    if timeout.is_zero() {
        return Err(Error::invalid(format!("{name} is 0: it takes at least one millisecond")));
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests;
