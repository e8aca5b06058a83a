//! Answers as this crate reads them, compared with what `ureq` makes of the same bytes.
//!
//! Where ureq has an answer, this crate has the same. Where ureq has none, this crate may have one: it takes what curl
//! takes (`against_curl`). The generator leaves out encodings other than chunks, or in HTTP/1.0.

use std::io::Read;

use proptest::prelude::*;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport as UreqTransport,
};

use common::{Outcome, Parts, ours};

mod common;

#[derive(Debug)]
struct UreqConnection(LazyBuffers, Parts);

impl UreqTransport for UreqConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.0
    }

    fn transmit_output(&mut self, _amount: usize, _timeout: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _timeout: NextTimeout) -> Result<bool, ureq::Error> {
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
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build();
    let agent = Agent::with_parts(config, UreqConnector(parts.clone()), NoResolver);
    let response = agent.post("https://iot.example/v5").send(b"x").ok()?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let _ = response.into_body().into_reader().read_to_end(&mut body);
    Some((status, body))
}

fn in_chunks(body: &str, size: usize) -> String {
    let chunks: Vec<String> = body
        .as_bytes()
        .chunks(size)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
    format!("{}0\r\n\r\n", chunks.concat())
}

/// Any answer, well formed.
fn answer() -> impl Strategy<Value = String> {
    let status = prop::sample::select(vec![101, 200, 200, 201, 204, 302, 304, 307, 400, 403, 503, 999]);
    let fields = prop::collection::vec(
        prop::sample::select(vec![
            "Server: nginx",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "connection: close",
            "Connection: x , Keep-Alive",
            "Location: https://elsewhere.example/",
            "Retry-After: 7",
            "Empty:",
            "X-Text:   caf\u{e9}  ",
        ]),
        0..6,
    );
    (0..4, status, fields, "[a-z{}\": ]{0,60}", 1..20usize, any::<bool>()).prop_map(
        |(framing, status, fields, body, size, interim)| {
            let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
            let fields = fields.iter().map(|field| format!("{field}\r\n")).collect::<Vec<_>>().concat();
            let (version, field, body) = match framing {
                0 => ("1.1", format!("Content-Length: {}\r\n", body.len()), body),
                1 => ("1.1", "Transfer-Encoding: chunked\r\n".to_owned(), in_chunks(&body, size)),
                2 => ("1.1", String::new(), body),
                _ => ("1.0", format!("content-length: {0} , {0}\r\n", body.len()), body),
            };
            format!("{interim}HTTP/{version} {status} Some Text\r\n{fields}{field}\r\n{body}")
        },
    )
}

proptest! {
    #[test]
    fn agrees_on_well_formed_answers(text in answer(), size in 1..200usize) {
        let parts = Parts::new(text.as_bytes(), size);
        let ours = ours(&parts);
        prop_assert!(ours.is_some(), "{}", text);
        prop_assert_eq!(ours, ureqs(&parts), "{}", text);
    }

    #[test]
    fn agrees_on_damaged_answers(text in answer(), size in 1..200usize, at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        let cut = Parts::new(&bytes[..at], size);
        bytes[at] = byte;
        let replaced = Parts::new(&bytes, size);
        for parts in [cut, replaced] {
            let shown = String::from_utf8_lossy(&parts.0.iter().flatten().copied().collect::<Vec<_>>()).into_owned();
            match (ours(&parts), ureqs(&parts)) {
                (Some((status, body)), Some((their_status, their_body))) => {
                    prop_assert_eq!(status, their_status, "{}", &shown);
                    // Where a body breaks off, one may have taken more of it than the other.
                    prop_assert!(body.starts_with(&their_body) || their_body.starts_with(&body), "{}", &shown);
                }
                (_, None) => {}
                (None, theirs) => prop_assert_eq!(None, theirs, "{}", &shown),
            }
        }
    }
}
