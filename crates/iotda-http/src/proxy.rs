//! HTTP proxies: how one is named, and the request that makes it pass a connection on (RFC 9110 section
//! 9.3.6, CONNECT). Basic authentication is RFC 7617. What the environment says of proxies is read in `environment`.

use std::fmt;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result, io_error};
use crate::lenient::status_line;
use crate::socket::Bounded;

/// A proxy's answer longer than this is none. Refusals may carry long fields, such as a challenge.
const ANSWER_MAX: usize = 64 * 1024;

/// A proxy, and who we are to it.
#[derive(Clone)]
pub struct Proxy {
    host: String,
    port: u16,
    /// `user:password` in base64.
    credentials: Option<Zeroizing<String>>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the port is 80 if none is named.
    pub fn parse(url: &str) -> Result<Self> {
        // Never the URL itself: it may hold a password.
        let refuse =
            || Error::config("check the proxy's address: it takes http://host:port or http://user:password@host:port");
        let rest = without_scheme(url).ok_or_else(refuse)?;
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        // The rules for hosts and ports are those of the endpoint, but for the port that goes without saying.
        let address = address.strip_suffix('/').unwrap_or(address);
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let endpoint = Endpoint::parse(&format!("https://{address}")).map_err(|_| refuse())?;
        let credentials = match user {
            None => None,
            Some(user) => {
                let user = percent_decoded(user).ok_or_else(refuse)?;
                Some(Zeroizing::new(BASE64_STANDARD.encode(&*user)))
            }
        };
        Ok(Proxy { host: endpoint.host, port: if has_port { endpoint.port } else { 80 }, credentials })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> String {
        format!("the proxy {}:{}", self.host, self.port)
    }

    /// `host:port`, without credentials.
    #[cfg(feature = "probe")]
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Lets the proxy pass this connection on to `authority`, which names a port.
    // Its buffers are not to lie beneath a handshake: a call must fit on a small stack.
    #[inline(never)]
    pub(crate) fn tunnel(&self, socket: &mut Bounded<'_>, authority: &str) -> Result<()> {
        let broken = |error: &io::Error| io_error(error, &self.name());
        let mut request = Zeroizing::new(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"));
        if let Some(credentials) = &self.credentials {
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(credentials);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).map_err(|error| broken(&error))?;
        let status = read_status(socket).map_err(|error| broken(&error))?;
        match status {
            Some(200..=299) => Ok(()),
            Some(407) => Err(Error::new(
                Kind::Config,
                format!("set the proxy's user and password: {} wants them, or others (HTTP 407)", self.name()),
            )),
            Some(status) => Err(Error::new(
                Kind::Connect,
                format!("allow it in the proxy: HTTP {status} of {} for {authority}", self.name()),
            )),
            None => Err(Error::new(
                Kind::Protocol,
                format!("check the proxy's address: {} does not answer in HTTP", self.name()),
            )),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What follows `http://`, in either case.
pub(crate) fn without_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    scheme.eq_ignore_ascii_case("http").then_some(rest)
}

/// The status of the answer, once all of its header has been read; `None` if it is no HTTP. What follows the
/// header belongs to the tunnel, so it is read byte by byte. Lines may end in LF alone.
fn read_status(socket: &mut Bounded<'_>) -> io::Result<Option<u16>> {
    loop {
        let mut header = Vec::new();
        while !header.ends_with(b"\n\r\n") && !header.ends_with(b"\n\n") {
            let mut byte = [0];
            if socket.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            header.push(byte[0]);
            let is_http = header.iter().zip(b"HTTP/1.").all(|(given, wanted)| given.eq_ignore_ascii_case(wanted));
            if !is_http || header.len() > ANSWER_MAX {
                return Ok(None);
            }
        }
        let line = header.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        match status_line(line) {
            // An answer before the answer.
            Some((100..=199, _)) => {}
            status => return Ok(status.map(|(status, _)| status)),
        }
    }
}

fn percent_decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = text.bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        for (url, host, port, credentials) in [
            ("http://proxy.example:3128", "proxy.example", 3128, None),
            ("http://proxy.example/", "proxy.example", 80, None),
            ("HTTP://Proxy.Example:1", "proxy.example", 1, None),
            ("http://[::1]", "::1", 80, None),
            ("http://[::1]:443", "::1", 443, None),
            ("http://user:p%40ss@10.0.0.1:8080", "10.0.0.1", 8080, Some("dXNlcjpwQHNz")),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!((proxy.host.as_str(), proxy.port), (host, port), "{url}");
            assert_eq!(proxy.credentials.as_ref().map(|text| text.as_str()), credentials);
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_showing_it() {
        for url in [
            "",
            "proxy:3128",
            "https://u:hunter2@h:1",
            "socks5://h:1",
            "http://",
            "http://u:hunter2@h:0",
            "http://u:hunter2%4@h",
            "http://h/path",
        ] {
            let error = Proxy::parse(url).unwrap_err();
            assert_eq!(error.kind, Kind::Config, "{url}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
        assert_eq!(format!("{:?}", Proxy::parse("http://u:hunter2@h:1").unwrap()), "the proxy h:1");
    }
}
