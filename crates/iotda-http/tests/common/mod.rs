//! A connection that brings prepared bytes, and what this crate makes of them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use iotda_http::{
    Bounds, Connection, Endpoint, Exchange, Https, KeptConnections, Post, Route, Settings, SystemClock, Timing,
    TlsSettings, Transport, Watch,
};

/// Status and body; `None` if there is no answer.
pub type Outcome = Option<(u16, Vec<u8>)>;

/// What a server sends, in the parts in which it arrives; then the connection ends.
#[derive(Clone, Debug)]
pub struct Parts(pub VecDeque<Vec<u8>>);

impl Parts {
    pub fn new(bytes: &[u8], size: usize) -> Self {
        Parts(bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect())
    }

    pub fn next(&mut self, buffer: &mut [u8]) -> usize {
        let Some(mut part) = self.0.pop_front() else { return 0 };
        let amount = part.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&part[..amount]);
        if amount < part.len() {
            self.0.push_front(part.split_off(amount));
        }
        amount
    }
}

impl Connection for Parts {
    fn send(&mut self, data: &[u8], _timeout: Duration) -> io::Result<usize> {
        Ok(data.len())
    }

    fn receive(&mut self, buffer: &mut [u8], _timeout: Duration) -> io::Result<usize> {
        Ok(self.next(buffer))
    }
}

/// Connects to them.
#[derive(Debug)]
struct Prepared(Parts);

impl Transport for Prepared {
    fn connect(
        &self,
        _: &str,
        _: u16,
        _: Duration,
        _: Option<std::os::fd::BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(self.0.clone()))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

/// What this crate makes of it.
pub fn ours(parts: &Parts) -> Outcome {
    let ten = Duration::from_secs(10);
    let https = Https::new(Settings {
        endpoint: Endpoint::parse("https://iot.example").unwrap(),
        route: Route { proxy: None, transport: Some(Arc::new(Prepared(parts.clone()))) },
        tls: TlsSettings::default(),
        timing: Timing { connect: ten, patience: ten, keepalive: None },
        kept: KeptConnections { most: 1, idle: 0, time: ten },
        clock: Arc::new(SystemClock),
        watch: Arc::new(Watch::default()),
    })
    .unwrap();
    let post = Post { path: ["/v5", "", ""], token: None, body: b"x" };
    let answer = https.post(&post, &Bounds::default()).ok()?;
    Some((answer.status, answer.body.to_vec()))
}
