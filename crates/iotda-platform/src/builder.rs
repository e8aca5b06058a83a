//! How a platform is set up and started. What it is once it runs is `platform`'s.

use crate::certificate::{Authority, CertificateKind};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::inspection::Inspection;
use crate::journal::{Bounds, Journal};
use crate::platform::{Platform, Thread};
use crate::registry::Registry;
use crate::server::{Timeouts, Tls};
use crate::state::{Observer, Settings, State};
use crate::{Error, inspection, server};
use socket2::SockRef;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// Threads that serve connections.
const WORKERS: usize = 2;

/// How a platform is set up. Everything has a default.
#[must_use]
pub struct PlatformBuilder {
    registry: Registry,
    registry_file: Option<PathBuf>,
    bind: SocketAddr,
    inspection: String,
    token_lifetime: Duration,
    token_length: usize,
    record_file: Option<PathBuf>,
    bounds: Bounds,
    certificate: CertificateKind,
    server_names: Vec<String>,
    stopped_at: Option<SystemTime>,
    faults: Vec<Fault>,
    scenario_file: Option<PathBuf>,
    narrow_window: bool,
    request_file: Option<PathBuf>,
    authority_file: Option<PathBuf>,
    server_key_file: Option<PathBuf>,
    inspection_hosts: Vec<String>,
    token_seed: Option<u64>,
    timeouts: Timeouts,
    strict_model: bool,
    observer: Option<Observer>,
}

impl Default for PlatformBuilder {
    fn default() -> Self {
        Self {
            registry: Registry::new(),
            registry_file: None,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            inspection: "127.0.0.1:0".to_owned(),
            token_lifetime: Duration::from_secs(86_399),
            token_length: 64,
            record_file: None,
            bounds: Bounds { records: 100_000, bytes: 256 * 1_048_576 },
            certificate: CertificateKind::Valid,
            server_names: Vec::new(),
            stopped_at: None,
            faults: Vec::new(),
            scenario_file: None,
            narrow_window: false,
            request_file: None,
            authority_file: None,
            server_key_file: None,
            inspection_hosts: Vec::new(),
            token_seed: None,
            timeouts: Timeouts::default(),
            strict_model: false,
            observer: None,
        }
    }
}

/// Shows where it would be; not who is registered, as secrets are among that.
impl fmt::Debug for PlatformBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PlatformBuilder")
            .field("bind", &self.bind)
            .field("inspection", &self.inspection)
            .finish_non_exhaustive()
    }
}

impl PlatformBuilder {
    /// Who is registered. Default: nobody.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Who is registered, from a file that is read at the start. It goes before [`registry`](Self::registry).
    pub fn registry_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.registry_file = Some(path.into());
        self
    }

    /// Where devices connect. Default: `127.0.0.1:0`, a free port of the loopback interface.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Where the inspection API is. A loopback address: it gives access to all that was received, without asking who
    /// wants to know. Default: `127.0.0.1:0`.
    pub fn inspection(mut self, address: impl Into<String>) -> Self {
        self.inspection = address.into();
        self
    }

    /// How long an access token is valid, in whole seconds. Default: 86,399 s, as in the page's example.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// How many characters an access token has: 32 to 256. Default: 64.
    pub fn token_length(mut self, characters: usize) -> Self {
        self.token_length = characters;
        self
    }

    /// A file to which every accepted report is appended, as a line of JSON.
    pub fn record_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.record_file = Some(path.into());
        self
    }

    /// A file to which every request is appended, as a line of JSON. It holds passwords and access tokens: only its owner
    /// can read it if it is not there yet.
    pub fn request_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.request_file = Some(path.into());
        self
    }

    /// One more host name under which the inspection API can be reached, beside `localhost`, `127.0.0.1` and `[::1]`: that
    /// of a proxy or of a container. Others are refused, as they can be those of a page that somebody else has written.
    pub fn inspection_host(mut self, name: impl Into<String>) -> Self {
        self.inspection_hosts.push(name.into());
        self
    }

    /// Makes access tokens of this number, so that each run issues the same. Default: tokens that nobody can guess.
    pub fn token_seed(mut self, seed: u64) -> Self {
        self.token_seed = Some(seed);
        self
    }

    /// How long a connection may be silent. Default: those of [`Timeouts`].
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Refuses what does not fit the product's model with 400. Default: it is answered with 200 and thrown away, as the
    /// vendor's manual says of the platform.
    pub fn strict_model(mut self) -> Self {
        self.strict_model = true;
        self
    }

    /// Calls this with a line for each request and each failed handshake. The line has no line break and nothing that a
    /// terminal would obey. The threads that serve call it: it must not wait.
    pub fn on_line(mut self, observer: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// How many requests, and how many reports, are kept in memory. The oldest make way. Default: 100,000 of each.
    pub fn max_records(mut self, records: usize) -> Self {
        self.bounds.records = records;
        self
    }

    /// How many bytes of requests, and how many of reports, are kept in memory, about. Default: 256 MiB of each.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Which certificate is shown. Default: a valid one.
    pub fn certificate(mut self, kind: CertificateKind) -> Self {
        self.certificate = kind;
        self
    }

    /// A file of the certificate authority, so that it stays the same over restarts: its private key in PKCS #8 and its
    /// certificate, in PEM. It is made if it is not there, for its owner alone; a key alone, of RSA for example, gets the
    /// certificate added. Default: a new authority at each start.
    pub fn authority_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authority_file = Some(path.into());
        self
    }

    /// A file of the server's private key, in PKCS #8 and PEM: one of RSA for boards whose TLS has no ECDSA. Default: a
    /// new one of ECDSA at each start.
    pub fn server_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.server_key_file = Some(path.into());
        self
    }

    /// One more host name or IP address for the certificate, beside `localhost`, `127.0.0.1` and `::1`.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_names.push(name.into());
        self
    }

    /// Starts with the clock stopped at this time, to be moved by [`Platform::advance`] and [`Platform::set_time`].
    /// Default: the clock runs, and shows the machine's time.
    pub fn clock_stopped_at(mut self, time: SystemTime) -> Self {
        self.stopped_at = Some(time);
        self
    }

    /// A fault that is armed from the start. They keep their order.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// A scenario, read at the start: a file of faults, armed after those of [`fault`](Self::fault).
    pub fn scenario_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.scenario_file = Some(path.into());
        self
    }

    /// Makes the window small that a device may send ahead of what the platform reads, so that its writing blocks
    /// when the platform does not read: after about 100 kB on Linux, where it would otherwise be some 4 MB. Every
    /// connection is slower for it.
    pub fn narrow_window(mut self) -> Self {
        self.narrow_window = true;
        self
    }

    /// Starts the platform. It can be connected to when this returns.
    pub fn start(self) -> Result<Platform, Error> {
        let token_lifetime_s = u32::try_from(self.token_lifetime.as_secs())
            .map_err(|_| Error::new("the token lifetime is over 136 years: choose a shorter one"))?;
        if !(32..=256).contains(&self.token_length) {
            return Err(Error::new(format!("an access token has 32 to 256 characters, not {}", self.token_length)));
        }
        let registry = match &self.registry_file {
            Some(path) => Registry::from_file(path)?,
            None => self.registry,
        };
        let faults = faults(self.faults, self.scenario_file.as_deref())?;
        let journal = Journal::new(self.bounds, self.record_file.as_deref(), self.request_file.as_deref())?;
        let clock = self.stopped_at.map_or_else(Clock::running, Clock::stopped);
        let settings = Settings {
            token_lifetime_s,
            token_length: self.token_length,
            token_seed: self.token_seed,
            timeouts: self.timeouts,
            strict_model: self.strict_model,
            observer: self.observer,
        };
        let state = Arc::new(State::new(clock, registry, journal, settings)?);

        for fault in faults {
            state.faults().add(fault)?;
        }

        let authority = Authority::own(self.authority_file.as_deref(), self.server_key_file.as_deref())?;
        let tls = Arc::new(Tls::new(&authority, self.certificate, &self.server_names)?);
        let ca_pem = authority.pem;

        let (devices, address) = listen(self.bind, "devices")?;
        if self.narrow_window {
            narrow(&devices).map_err(|error| Error::new(format!("the window cannot be made narrow: {error}")))?;
        }
        let (inspectors, inspection_address) = listen(loopback(&self.inspection)?, "the inspection API")?;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("iotda-platform")
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("the platform's threads could not be started: {error}")))?;
        let inspection_runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("the platform's threads could not be started: {error}")))?;
        let register = |listener, runtime: &Runtime| {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)
                .map_err(|error| Error::new(format!("a listening socket could not be set up: {error}")))
        };
        let (devices, inspectors) = (register(devices, &runtime)?, register(inspectors, &inspection_runtime)?);
        let shared = Arc::clone(&state);
        let devices_thread = Thread::start("iotda-platform", move |stopped| {
            runtime.block_on(async move {
                tokio::select! {
                    () = server::serve(devices, tls, shared) => {}
                    _ = stopped => {}
                }
            });
            // The runtime goes here, and the open connections with it.
        })?;
        // Whoever looks has a thread of their own: no device waits behind a list of all that was received.
        let url = format!("https://{}", reachable(address));
        let looker = Inspection::new(Arc::clone(&state), self.inspection_hosts, url.clone(), ca_pem.clone());
        let looker = Arc::new(looker);
        let inspection_thread = Thread::start("iotda-inspection", move |stopped| {
            inspection_runtime.block_on(async move {
                tokio::select! {
                    () = inspection::serve(inspectors, looker) => {}
                    _ = stopped => {}
                }
            });
        })?;

        Ok(Platform {
            state,
            address,
            url,
            inspection_url: format!("http://{inspection_address}"),
            ca_pem,
            _threads: [devices_thread, inspection_thread],
        })
    }
}

/// The faults that are armed from the start, checked.
fn faults(mut faults: Vec<Fault>, scenario_file: Option<&Path>) -> Result<Vec<Fault>, Error> {
    if let Some(path) = scenario_file {
        let place = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::new(format!("the scenario {place} cannot be read: {error}")))?;
        let read = Fault::from_toml(&text).map_err(|error| Error::new(format!("the scenario {place}: {error}")))?;
        faults.extend(read);
    }
    faults.iter().try_for_each(Fault::check)?;
    Ok(faults)
}

/// A client's own buffer grows with the segments that it may send, so that these are made small too. The connections
/// that are accepted take both over.
fn narrow(listener: &TcpListener) -> std::io::Result<()> {
    let socket = SockRef::from(listener);
    #[cfg(unix)]
    socket.set_tcp_mss(1000)?;
    socket.set_recv_buffer_size(4096)
}

fn listen(address: SocketAddr, whom: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|error: std::io::Error| {
        Error::new(format!("the platform cannot listen for {whom} on {address}: {error}; choose another address"))
    })
}

/// The inspection API's address, if it is one that nobody can reach from outside.
fn loopback(text: &str) -> Result<SocketAddr, Error> {
    let address = crate::address::first(text).ok_or_else(|| {
        Error::new(format!("{text:?} is no address for the inspection API: write one like 127.0.0.1:8080"))
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(Error::new(format!(
        "the inspection API gives away all that was received to whoever can reach it, so it listens on loopback \
         addresses alone: use 127.0.0.1:{} in place of {address}",
        address.port()
    )))
}

/// An address to connect to: not the unspecified one, by which a server listens at all of a machine's.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: PlatformBuilder) -> String {
        builder.start().expect_err("an error").to_string()
    }

    #[test]
    fn the_inspection_api_stays_on_loopback() {
        let outside = error(Platform::builder().inspection("0.0.0.0:8080"));
        assert!(outside.contains("use 127.0.0.1:8080 in place of 0.0.0.0:8080"), "{outside}");
        assert!(error(Platform::builder().inspection("[::]:0")).contains("loopback"));
        assert!(error(Platform::builder().inspection("localhost")).contains("is no address"));
    }

    #[test]
    fn what_cannot_be_set_up_is_said() {
        assert!(error(Platform::builder().token_length(31)).contains("32 to 256"));
        assert!(error(Platform::builder().token_lifetime(Duration::MAX)).contains("lifetime"));
        assert!(error(Platform::builder().registry_file("/nowhere/registry.toml")).contains("/nowhere/registry.toml"));
        assert!(error(Platform::builder().server_name("ä")).contains("certificate"));
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("its address");
        assert!(error(Platform::builder().bind(address)).contains(&address.to_string()));
    }

    #[test]
    fn an_address_for_all_interfaces_is_reached_over_loopback() {
        for (address, expected) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(address.parse().expect("an address")).to_string(), expected);
        }
    }
}
