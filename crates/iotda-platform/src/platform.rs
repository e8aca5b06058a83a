//! A running platform as a value: what a test asks of it and changes about it. Setting it up is `builder`'s, serving
//! is `server`'s and `inspection`'s, and what is kept is in `state`.

use crate::Error;
use crate::arrivals::{self, Arrival};
use crate::builder::PlatformBuilder;
use crate::counters::Counters;
use crate::fault::{ArmedFault, Fault};
use crate::journal::{Entry, Incident, Report, RequestRecord};
use crate::registry::Registry;
use crate::state::State;
use std::fmt;
use std::net::SocketAddr;
use std::ops::DerefMut;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;

/// A running stand-in platform. Dropping it stops it.
pub struct Platform {
    pub(crate) state: Arc<State>,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) inspection_url: String,
    pub(crate) ca_pem: String,
    /// Held so that it ends with the platform.
    pub(crate) _threads: [Thread; 2],
}

impl Platform {
    /// A platform to be set up.
    pub fn builder() -> PlatformBuilder {
        PlatformBuilder::default()
    }

    /// Where devices connect, such as `https://127.0.0.1:12345`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same under another host name. An IPv6 address takes its brackets.
    pub fn url_for(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// The address that devices connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the inspection API is, such as `http://127.0.0.1:12346`.
    pub fn inspection_url(&self) -> &str {
        &self.inspection_url
    }

    /// The certificate of the platform's own authority, in PEM: what a client must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Every request that was seen, accepted or not, oldest first. One is here before its answer is sent.
    pub fn requests(&self) -> Vec<RequestRecord> {
        let entries = self.state.journal().entries().after(0, usize::MAX);
        let request = |entry: &Entry| match entry {
            Entry::Request(request) => Some(RequestRecord::clone(request)),
            Entry::Incident(_) => None,
        };
        entries.iter().filter_map(request).collect()
    }

    /// What was refused before it was a request, oldest first: handshakes that failed, bytes that are not HTTP.
    pub fn incidents(&self) -> Vec<Incident> {
        let entries = self.state.journal().entries().after(0, usize::MAX);
        let incident = |entry: &Entry| match entry {
            Entry::Request(_) => None,
            Entry::Incident(incident) => Some(Incident::clone(incident)),
        };
        entries.iter().filter_map(incident).collect()
    }

    /// Every report that was accepted, oldest first. One is here before its answer is sent.
    pub fn reports(&self) -> Vec<Report> {
        let reports = self.state.journal().reports().after(0, usize::MAX);
        reports.iter().map(|report| Report::clone(report)).collect()
    }

    /// The entries of those reports, equal ones together, in the order in which each arrived first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        let reports = self.state.journal().reports().after(0, usize::MAX);
        arrivals::of(reports.iter().map(|report| &**report))
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.state.counters()
    }

    /// Forgets the requests and reports that were kept in memory.
    pub fn clear_records(&self) {
        self.state.journal().clear();
    }

    /// The platform's time, in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.state.clock.now_ms()
    }

    /// Moves the platform's clock forward: tokens run out, rates recover.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Sets the platform's clock. If it runs, it goes on from there.
    pub fn set_time(&self, time: SystemTime) {
        self.state.clock.set(time);
    }

    /// Stops the platform's clock where it is: it moves only when it is moved.
    pub fn stop_clock(&self) {
        self.state.clock.stop();
    }

    /// Makes every access token invalid that was issued so far.
    pub fn expire_tokens(&self) {
        self.state.tokens().expire_all();
    }

    /// Arms a fault, after those that are armed already, and gives its number in [`faults`](Self::faults). An error if it
    /// is one that could not be carried out.
    pub fn inject(&self, fault: Fault) -> Result<u64, Error> {
        fault.check()?;
        self.state.faults().add(fault)
    }

    /// Withdraws one fault by its number. Whether there was one.
    pub fn withdraw(&self, id: u64) -> bool {
        self.state.faults().remove(id)
    }

    /// The faults that were injected since they were last cleared, oldest first, with what became of them. A fault is
    /// counted before it is done.
    pub fn faults(&self) -> Vec<ArmedFault> {
        self.state.faults().list().to_vec()
    }

    /// Withdraws all faults. A connection or request that has met one goes on to its end.
    pub fn clear_faults(&self) {
        self.state.faults().clear();
    }

    /// What is registered, to look at and to change. Every request waits while this is held: let it go at once.
    pub fn registry(&self) -> impl DerefMut<Target = Registry> + '_ {
        self.state.registry_mut()
    }

    /// Sets a device's own limit, in reports per second; `None` takes it away, and the limit for all devices holds
    /// again. An error if the device is not registered.
    pub fn set_device_rate(&self, device_id: &str, rate: Option<u32>) -> Result<(), Error> {
        self.state.registry_mut().set_device_rate(device_id, rate)
    }

    /// Sets the tenant's limit, in reports per second of all devices together; `None` takes it away.
    pub fn set_tenant_rate(&self, rate: Option<u32>) {
        self.state.registry_mut().limits_mut().tenant_rate = rate;
    }

    /// Stops the platform and waits until it has stopped. Open connections are closed.
    pub fn shutdown(self) {}
}

/// Shows where it is, and nothing of what it keeps: tokens are among that.
impl fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Platform")
            .field("url", &self.url)
            .field("inspection_url", &self.inspection_url)
            .finish_non_exhaustive()
    }
}

/// The thread that serves, ended and waited for when this is dropped.
pub(crate) struct Thread(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Thread {
    /// Starts a thread that serves until what it is given comes.
    pub(crate) fn start(name: &str, serve: impl FnOnce(oneshot::Receiver<()>) + Send + 'static) -> Result<Self, Error> {
        let (stop, stopped) = oneshot::channel();
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(stopped))
            .map_err(|error| Error::new(format!("the platform's thread could not be started: {error}")))?;
        Ok(Self(Some((stop, handle))))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some((stop, handle)) = self.0.take() else { return };
        // Neither can fail unless the thread has panicked: then its message has been shown, and there is nobody left to
        // stop.
        let _ = stop.send(());
        let _ = handle.join();
    }
}
