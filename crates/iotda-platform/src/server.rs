//! The edge towards devices: TCP, TLS 1.2 and HTTP/1, from connections to `Request` values and from `Answer` values
//! back. What a request means and what it is answered is for `pipeline`.

use crate::Error;
use crate::calendar;
use crate::certificate::Certificate;
use crate::pipeline::{self, Answer};
use crate::request::{BODY_LIMIT, Body, Headers, Request, Version};
use crate::state::State;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, DATE, EXPECT, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::{HandshakeKind, ServerConfig};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How much of a body that is too large is read and thrown away, so that a client that sends before it reads gets to
/// see the answer. Whatever is longer is cut off.
const DISCARD_LIMIT: u64 = 8 * 1_048_576;

/// TLS 1.2 alone, as the page's table of constraints has it. Sessions can be resumed by tickets, so that thousands of
/// devices can without being remembered, and by session IDs, which rustls offers of itself.
pub(crate) fn tls_config(certificate: Certificate) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls_error = |error: rustls::Error| Error::new(format!("TLS could not be set up: {error}"));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(tls_error)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.leaf], certificate.key)
        .map_err(tls_error)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(tls_error)?;
    Ok(config)
}

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, config: Arc<ServerConfig>, state: Arc<State>) {
    let acceptor = TlsAcceptor::from(config);
    let mut connections = 0;
    loop {
        let Some(stream) = accept(&listener).await else { continue };
        connections += 1;
        state.count(|counters| counters.connections = connections);
        tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&state), connections));
    }
}

/// The next connection, or `None` if there was none to be had: what goes wrong with one is no reason to stop.
pub(crate) async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // An answer is small and complete: nothing is gained by waiting for more of it.
            stream.set_nodelay(true).ok()?;
            Some(stream)
        }
        Err(_) => {
            // Most likely there are too many open files. Closing one takes time.
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>, number: u64) {
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        // Counted before the connection is closed, so that a client that has seen the end finds it counted.
        Err((_, _open)) => return state.count(|counters| counters.handshakes_failed += 1),
    };
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    state.count(|counters| match resumed {
        true => counters.handshakes_resumed += 1,
        false => counters.handshakes_full += 1,
    });
    let service = service_fn(|request| respond(&state, request, number));
    // How a connection ends is the client's business. What it sent in whole has been answered and recorded.
    let _ = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    state: &State,
    request: hyper::Request<Incoming>,
    connection: u64,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let request = receive(request, connection).await;
    let whole = matches!(request.body, Body::Complete(_));
    let answer = pipeline::answer(state, request);
    Ok(response(answer, state.clock.now_ms(), whole))
}

async fn receive(request: hyper::Request<Incoming>, connection: u64) -> Request {
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Request {
        method: head.method.as_str().to_owned(),
        target: head.uri.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        version: if head.version == hyper::Version::HTTP_10 { Version::Http10 } else { Version::Http11 },
        body: receive_body(body, head.headers.contains_key(EXPECT)).await,
        headers: Headers(headers),
        connection,
    }
}

/// Reads a body as far as it may go, and a little further. A client that waits for leave to send
/// (`Expect: 100-continue`) is given none for a body that is too large.
async fn receive_body(mut body: Incoming, client_waits: bool) -> Body {
    let mut kept = Vec::new();
    let mut length = 0;
    let declared = body.size_hint().lower();
    if declared > DISCARD_LIMIT || (client_waits && declared > BODY_LIMIT as u64) {
        return Body::TooLarge { start: kept, at_least: declared };
    }
    while let Some(frame) = body.frame().await {
        let data = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => data,
            // Trailers: none are documented, and nothing hangs on them.
            Ok(Err(_)) => continue,
            Err(error) => return Body::Broken { start: kept, error: error.to_string() },
        };
        length += data.len() as u64;
        let room = BODY_LIMIT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if length > DISCARD_LIMIT {
            break;
        }
    }
    if length > BODY_LIMIT as u64 {
        return Body::TooLarge { start: kept, at_least: length };
    }
    Body::Complete(kept)
}

fn response(answer: Answer, now_ms: i64, keep_alive: bool) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(answer.status).expect("the pipeline's statuses are all HTTP's");
    let headers = response.headers_mut();
    let date = HeaderValue::try_from(calendar::format_http_date(now_ms)).expect("a date is plain ASCII");
    headers.insert(DATE, date);
    if let Some(content_type) = answer.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(allow) = answer.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if !keep_alive {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{self, CertificateKind};

    /// A client cannot tell how its session was resumed; only session IDs are seen to be used over the wire.
    #[test]
    fn sessions_are_resumed_by_tickets() {
        let certificate = certificate::make(CertificateKind::Valid, &[]).expect("a certificate");
        let config = tls_config(certificate).expect("a configuration");
        assert!(config.ticketer.enabled());
    }
}
