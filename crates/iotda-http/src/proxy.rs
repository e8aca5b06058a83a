//! HTTP proxies: how one is named, and the request that makes it pass a connection on (RFC 9110 section
//! 9.3.6, CONNECT). Basic authentication is RFC 7617.

use std::fmt;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result, io_error};
use crate::socket::Bounded;

/// A proxy's answer longer than this is none.
const ANSWER_MAX: usize = 8 * 1024;

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
        let refuse = || {
            Error::config(
                "the proxy's address is not valid: it takes http://host:port or http://user:password@host:port",
            )
        };
        let rest = url.strip_prefix("http://").ok_or_else(refuse)?;
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

    /// Lets the proxy pass this connection on to `authority`, which names a port.
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
                format!("{} wants a user and a password, or others than those configured (HTTP 407)", self.name()),
            )),
            Some(status) => Err(Error::new(
                Kind::Connect,
                format!("{} does not pass connections on to {authority} (HTTP {status})", self.name()),
            )),
            None => Err(Error::new(Kind::Protocol, format!("{} does not answer in HTTP", self.name()))),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Whether `no_proxy`, a list as in the environment variable, exempts `host`.
pub fn is_exempt(no_proxy: &str, host: &str) -> bool {
    no_proxy.split(',').map(|entry| entry.trim().trim_start_matches('.').to_ascii_lowercase()).any(|entry| {
        entry == "*"
            || !entry.is_empty() && (host == entry || host.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.')))
    })
}

/// The status of the answer, once all of its header has been read; `None` if it is no HTTP. What follows the
/// header belongs to the tunnel, so it is read byte by byte.
fn read_status(socket: &mut Bounded<'_>) -> io::Result<Option<u16>> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        header.push(byte[0]);
        let is_http = header.iter().zip(b"HTTP/1.").all(|(given, wanted)| given == wanted);
        if !is_http || header.len() > ANSWER_MAX {
            return Ok(None);
        }
    }
    Ok(header.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()))
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

    #[test]
    fn exemptions() {
        for (list, host, exempt) in [
            ("", "a.example", false),
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("example", "a.example", true),
            (".example", "a.example", true),
            ("b.example, A.Example", "a.example", true),
            ("xample", "a.example", false),
            (",,", "a", false),
        ] {
            assert_eq!(is_exempt(list, host), exempt, "{list} {host}");
        }
    }
}
