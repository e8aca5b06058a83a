//! The platform's address as the user gives it: `https://host[:port]` and nothing more.
//!
//! The host is never derived from a region (protocol notes, "Platform facts"): it differs between instances and editions.
//! Custom domains are no reason: they are for MQTT alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Result};

/// Where HTTPS is spoken if the URL names no port.
const HTTPS_PORT: u16 = 443;

/// A checked `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name, an IPv4 address, or an IPv6 address without its brackets; lower case.
    pub host: String,
    /// From 1 up.
    pub port: u16,
}

impl Endpoint {
    /// Reads a URL as the user gives it.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::config(format!("write the endpoint as https://host or https://host:port: \"{}\" {why}", shown(url)))
        };
        if url.trim().is_empty() {
            return Err(Error::config("set the endpoint: it is empty, and takes https://host or https://host:port"));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(refuse("has no scheme"));
        };
        if scheme.eq_ignore_ascii_case("http") {
            return Err(refuse("is not encrypted; the platform speaks HTTPS alone"));
        }
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(refuse("is not an HTTPS address"));
        }
        // One slash after the authority is how browsers copy it; a path would be lost silently.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(refuse("holds a user name; a device is named by its id and secret"));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(refuse("has a path or a query, which the library adds itself"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| refuse("has no valid host and port"))?;
        let port = match port {
            None => HTTPS_PORT,
            Some(digits) => parse_port(digits).ok_or_else(|| refuse("has no valid port (1 to 65535)"))?,
        };
        if !is_host(host) {
            return Err(refuse("has no valid host name or address"));
        }
        Ok(Endpoint { host: host.to_ascii_lowercase(), port })
    }

    /// `host[:port]` as it stands in URLs and in the `Host` header; the default port is left out.
    pub fn authority(&self) -> String {
        if self.port == HTTPS_PORT { self.bracketed_host() } else { self.authority_with_port() }
    }

    /// `host:port`, as a proxy is asked for it.
    pub fn authority_with_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// The part of a wrong URL that a message may show: nothing before an `@`, where a password may stand, and not much.
fn shown(url: &str) -> String {
    const BYTES_MAX: usize = 100;
    let url = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let mut shown = String::new();
    for character in url.chars().map(char::escape_debug) {
        if shown.len() + character.clone().count() > BYTES_MAX {
            break;
        }
        shown.extend(character);
    }
    shown
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; the brackets are taken off.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match after {
            "" => Some((host, None)),
            _ => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|port| all_digits && *port != 0)
}

fn is_host(host: &str) -> bool {
    if host.contains(':') {
        return true; // Checked as an IPv6 address where the brackets were taken off.
    }
    let looks_numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if looks_numeric {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    // RFC 1123 section 2.1, with '_' as names in the field have it.
    host.len() <= 253
        && host.strip_suffix('.').unwrap_or(host).split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn reads_hosts_and_ports() {
        for (url, host, port, authority) in [
            ("https://iot.example.com", "iot.example.com", 443, "iot.example.com"),
            ("https://iot.example.com/", "iot.example.com", 443, "iot.example.com"),
            ("https://Iot.Example.com:443", "iot.example.com", 443, "iot.example.com"),
            (
                "HTTPS://a1.st1.iotda-device.cn-north-4.myhuaweicloud.com:8943",
                "a1.st1.iotda-device.cn-north-4.myhuaweicloud.com",
                8943,
                "a1.st1.iotda-device.cn-north-4.myhuaweicloud.com:8943",
            ),
            ("https://127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"),
            ("https://[::1]:65535", "::1", 65535, "[::1]:65535"),
            ("https://[2001:db8::1]", "2001:db8::1", 443, "[2001:db8::1]"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{url}");
            assert_eq!(endpoint.authority(), authority);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for url in [
            "iot.example.com",
            "http://iot.example.com",
            "mqtts://h",
            "https://",
            "https:///",
            "https://:443",
            "https://h:",
            "https://h:0",
            "https://h:65536",
            "https://h:+1",
            "https://h:12a",
            "https://h/path",
            "https://h?q",
            "https://h#f",
            "https://user:pw@h",
            "https://a b",
            "https://h\r\nX: y",
            "https://-h",
            "https://a..b",
            "https://256.1.1.1",
            "https://[::1",
            "https://[::g]",
            "https://[::1]x",
            "https://::1",
            "https://a:1:2",
            "https://gerät",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert_eq!(error.kind, Kind::Config, "{url}");
            assert!(error.message.contains("https://host"), "{error}");
        }
    }

    #[test]
    fn an_empty_endpoint_is_called_that_and_a_long_one_is_cut() {
        for url in ["", "  "] {
            let message = Endpoint::parse(url).unwrap_err().message;
            assert!(message.contains("it is empty"), "{message}");
        }
        for url in ["x".repeat(300), format!("https://{}:0", "x".repeat(300)), "\u{7f}".repeat(300)] {
            let message = Endpoint::parse(&url).unwrap_err().message;
            assert!(message.len() < 256 && message.starts_with("write the endpoint as"), "{message}");
            let beginning = url.chars().take(10).map(char::escape_debug);
            assert!(message.contains(&beginning.map(|c| c.to_string()).collect::<String>()), "{message}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_repeated() {
        let message = Endpoint::parse("https://user:hunter2@host").unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
