//! The settings of the way to the platform: proxies, connections, and what takes their place. And what is made of all
//! settings together: an exchange.

use std::sync::Arc;
use std::time::Duration;

use iotda_http::{Endpoint, Exchange, Https, Proxy, Settings, Timing, Transport, Watch};

use super::Config;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};

impl Config {
    /// The proxy to connect through, `http://[user:password@]host[:port]`; empty: none, which is the default.
    /// The environment is not asked.
    ///
    /// ```
    /// iotda::Config::new().proxy("http://user:password@proxy.example:3128")?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: it is not such an address.
    pub fn proxy(&mut self, url: &str) -> Result<&mut Self> {
        self.route.proxy = if url.is_empty() { None } else { Some(Proxy::parse(url)?) };
        Ok(self)
    }

    /// Takes the proxy from the environment, now, as curl does: `https_proxy`, otherwise `all_proxy`, unless `no_proxy`
    /// exempts the endpoint, which must have been set before; each in lower case first, then in upper case. The value
    /// is `[http://][user:password@]host[:port]`, the port 1080 if none is named.
    ///
    /// ```no_run
    /// iotda::Config::new().endpoint("https://iot.example.com")?.proxy_from_environment()?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: no endpoint is set, or the environment names a proxy of another kind.
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

    /// The most connections that are open for requests at the same time, at least 1: further requests wait for one,
    /// within their call's time.
    ///
    /// ```
    /// iotda::Config::new().max_connections(8)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: it is zero.
    pub fn max_connections(&mut self, most: usize) -> Result<&mut Self> {
        if most == 0 {
            return Err(Error::invalid("allow at least one connection: the most connections are 0"));
        }
        self.kept.most = most;
        Ok(self)
    }

    /// The most connections that are kept open while nobody uses them (0: none), and for how long. Default: as many as
    /// were lately used at the same time, for 55 s.
    ///
    /// ```
    /// iotda::Config::new().kept_connections(1, std::time::Duration::from_secs(300));
    /// ```
    pub fn kept_connections(&mut self, most: usize, for_time: Duration) -> &mut Self {
        (self.kept.idle, self.kept.time) = (most, for_time);
        self
    }

    /// After this long without traffic the system asks whether the peer is still there (TCP keep-alive).
    /// Default: never, so that an idle client sends nothing.
    ///
    /// ```
    /// iotda::Config::new().tcp_keepalive(Some(std::time::Duration::from_secs(25)));
    /// ```
    pub fn tcp_keepalive(&mut self, idle: Option<Duration>) -> &mut Self {
        self.timing.keepalive = idle;
        self
    }

    /// Sends requests by `agent`, with its proxies, its resolver, its verifier and its connections, instead of by what
    /// this library does itself. What the agent decides is set there: authorities, pins, a client certificate, a proxy
    /// or a transport set here beside it are an error when the client is made. Timeouts, statuses and redirects stay
    /// this library's.
    ///
    /// A call can then be cancelled only between its requests, statistics count no bytes and no handshakes, and a
    /// report costs several times as much.
    ///
    /// ```
    /// let agent = ureq::Agent::new_with_defaults();
    /// iotda::Config::new().ureq(agent);
    /// ```
    #[cfg(feature = "ureq")]
    pub fn ureq(&mut self, agent: ureq::Agent) -> &mut Self {
        self.agent = Some(agent);
        self
    }

    /// What looks at the way to the platform step by step. An endpoint is required, a device is not; an error if a
    /// custom transport is set. A ureq agent is not looked at: the steps are those of this library's own connections.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: no endpoint is set, or a custom transport is; or as [`Client::new`](crate::Client::new).
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
