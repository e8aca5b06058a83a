//! Answers, cut anywhere: one by the grammar is read as the grammar says, ureq does not read another one where both read
//! one, and how the bytes are cut makes no difference.

use crate::choices::Choices;
use crate::rfc9112::{self, Reading};
use iotda_http::{
    Bounds, Connection, Endpoint, Exchange, Https, KeptConnections, Post, Route, Settings, SystemClock, Timing,
    TlsSettings, Transport, Watch,
};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport as UreqTransport,
};

/// Status and body; `None` if there is no answer.
type Outcome = Option<(u16, Vec<u8>)>;

/// Larger inputs say nothing more, and reach limits that ureq does not have.
const MOST: usize = 8 * 1024;

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(&data[..data.len().min(MOST)]);
    let size = 1 + choices.below(64);
    let bytes = choices.rest();
    let whole = ours(&Parts::new(bytes, MOST));
    let shown = bytes.escape_ascii();
    let parts = Parts::new(bytes, size);
    assert_eq!(ours(&parts), whole, "in parts of {size}: {shown}");
    if let Reading::Whole { status, body, .. } = rfc9112::read(bytes) {
        assert_eq!(whole, Some((status, body)), "{shown}");
    }
    if !is_comparable(bytes) {
        return;
    }
    if let (Some((status, body)), Some((their_status, their_body))) = (&whole, ureqs(&parts)) {
        assert_eq!(*status, their_status, "{shown}");
        // Where a body breaks off, one may have taken more of it than the other.
        assert!(body.starts_with(&their_body) || their_body.starts_with(body), "{shown}");
    }
}

/// Not where the two are known to differ: in encodings other than chunks, in HTTP/1.0, or several that contradict one
/// another (the core trusts the connection's end then, as curl does); where a line ends in LF alone, which the core takes.
fn is_comparable(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let count = |name: &str| text.matches(name).count();
    let encodings = count("transfer-encoding");
    let plain = count("\r\ntransfer-encoding: chunked\r\n");
    let are_lines_whole = count("\n") == count("\r\n");
    are_lines_whole
        && encodings + count("content-length") <= 1
        && encodings == plain
        && (encodings == 0 || !text.contains("http/1.0"))
}

/// What a server sends, in the parts in which it arrives; then the connection ends.
#[derive(Clone, Debug)]
struct Parts(VecDeque<Vec<u8>>);

impl Parts {
    fn new(bytes: &[u8], size: usize) -> Self {
        Self(bytes.chunks(size).map(<[u8]>::to_vec).collect())
    }

    fn next(&mut self, buffer: &mut [u8]) -> usize {
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
    fn send(&mut self, data: &[u8], _: Duration) -> io::Result<usize> {
        Ok(data.len())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
        Ok(self.next(buffer))
    }
}

#[derive(Debug)]
struct Prepared(Parts);

impl Transport for Prepared {
    fn connect(&self, _: &str, _: u16, _: Duration, _: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(self.0.clone()))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

fn ours(parts: &Parts) -> Outcome {
    let ten = Duration::from_secs(10);
    let https = Https::new(Settings {
        endpoint: Endpoint::parse("https://iot.example").expect("an endpoint"),
        route: Route { proxy: None, transport: Some(Arc::new(Prepared(parts.clone()))) },
        tls: TlsSettings::default(),
        timing: Timing { connect: ten, patience: ten, keepalive: None },
        kept: KeptConnections { most: 1, idle: 0, time: ten },
        clock: Arc::new(SystemClock),
        watch: Arc::new(Watch::default()),
    })
    .expect("settings without TLS");
    let post = Post { path: ["/v5", "", ""], token: None, body: b"x" };
    let answer = https.post(&post, &Bounds::default()).ok()?;
    Some((answer.status, answer.body.to_vec()))
}

#[derive(Debug)]
struct UreqConnection(LazyBuffers, Parts);

impl UreqTransport for UreqConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.0
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let amount = self.1.next(self.0.input_append_buf());
        self.0.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct UreqConnector(Parts);

impl Connector for UreqConnector {
    type Out = UreqConnection;

    fn connect(&self, _: &ConnectionDetails, _: Option<()>) -> Result<Option<UreqConnection>, ureq::Error> {
        Ok(Some(UreqConnection(LazyBuffers::new(16_384, 16_384), self.0.clone())))
    }
}

#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

fn ureqs(parts: &Parts) -> Outcome {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build();
    let agent = ureq::Agent::with_parts(config, UreqConnector(parts.clone()), NoResolver);
    let response = agent.post("https://iot.example/v5").send(b"x").ok()?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    // What came before an error counts.
    let _ = response.into_body().into_reader().read_to_end(&mut body);
    Some((status, body))
}
