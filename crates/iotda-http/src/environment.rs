//! The proxy that the environment names, as curl reads it (its manual, "ENVIRONMENT" and "--noproxy"), and a little more
//! of `no_proxy`, where curl passes over what other programs take: `*.example`, ports, and `*` beside other entries.

use std::ffi::OsString;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::proxy::{Proxy, without_scheme};

/// The port of a proxy that is named without one.
const PORT: u16 = 1080;

impl Proxy {
    /// The proxy for HTTPS to `host` and `port`, by the variables of the environment: `https_proxy`, otherwise
    /// `all_proxy`, unless `no_proxy` exempts the host; each in lower case first, then in upper case. One that is empty
    /// counts as none. The value is `[http://][user:password@]host[:port]`, the port 1080 if none is named; a path is
    /// passed over.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>, host: &str, port: u16) -> Result<Option<Self>> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let exempt = first(&["no_proxy", "NO_PROXY"])
            .is_some_and(|(_, list)| list.to_str().is_some_and(|list| is_exempt(list, host, port)));
        match first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) {
            Some((name, value)) if !exempt => {
                let value = value.into_string().map(Zeroizing::new).ok();
                value.and_then(|value| read(&value)).map(Some).ok_or_else(|| {
                    // Never the value: it may hold a password.
                    Error::config(format!(
                        "check {name}: it takes [http://][user:password@]host[:port] of an HTTP proxy"
                    ))
                })
            }
            _ => Ok(None),
        }
    }
}

fn read(value: &str) -> Option<Proxy> {
    let rest = if value.contains("://") { without_scheme(value)? } else { value };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let url = Zeroizing::new(match has_port {
        true => format!("http://{authority}"),
        false => format!("http://{authority}:{PORT}"),
    });
    Proxy::parse(&url).ok()
}

/// Whether `list`, the value of `no_proxy`, exempts a host: entries behind commas or white space, each a host name (which
/// means what is below it, too), an address, a range of addresses, or `*`.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address: Option<IpAddr> = host.parse().ok();
    let entries = list.split([',', ' ', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
    entries.map(str::to_ascii_lowercase).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((start, bits))) = (address, entry.split_once('/')) {
            return is_in_range(address, unbracketed(start), bits);
        }
        let Some(name) = without_port(&entry, port) else { return false };
        match address {
            Some(address) => unbracketed(name).parse() == Ok(address),
            None => is_below(host, name),
        }
    })
}

fn is_below(host: &str, name: &str) -> bool {
    let name = name.strip_prefix('*').unwrap_or(name);
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some(rest) = host.strip_suffix(name).filter(|_| !name.is_empty()) else { return false };
    rest.is_empty() || rest.ends_with('.')
}

/// An entry without its port; `None` if that is another one.
fn without_port(entry: &str, port: u16) -> Option<&str> {
    match entry.rsplit_once(':') {
        // The colons of an IPv6 address are none of a port's.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            (digits.parse() == Ok(port)).then_some(name)
        }
        _ => Some(entry),
    }
}

fn unbracketed(address: &str) -> &str {
    address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address)
}

fn is_in_range(address: IpAddr, start: &str, bits: &str) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let Ok(start) = start.parse() else { return false };
    let ((address, width), (start, start_width)) = (number(address), number(start));
    // Without a number, the address alone, as curl has it.
    let bits = if bits.is_empty() { Ok(width) } else { bits.parse::<u32>() };
    match bits {
        Ok(bits) if width == start_width && (1..=width).contains(&bits) => (address ^ start) >> (width - bits) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], host: &str) -> Result<Option<(String, u16)>> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        let proxy = Proxy::of_environment(variable, host, 443)?;
        Ok(proxy.map(|proxy| (proxy.host().to_owned(), proxy.port())))
    }

    #[test]
    fn every_way_to_name_a_proxy() {
        // All of them were tried with curl 7.88.
        for (value, host, port) in [
            ("http://p:1", "p", 1),
            ("p:1", "p", 1),
            ("HTTP://p:1", "p", 1),
            ("http://p:1/path?x", "p", 1),
            ("http://p:1#f", "p", 1),
            ("http://p", "p", 1080),
            ("p", "p", 1080),
            ("http://p/", "p", 1080),
            ("u:p@h:1", "h", 1),
            ("http://u:p@[::1]", "::1", 1080),
            ("[::1]:3128", "::1", 3128),
        ] {
            assert_eq!(found(&[("https_proxy", value)], "a.example"), Ok(Some((host.to_owned(), port))), "{value}");
        }
        for value in
            ["http://", "ftp://p:1", "://p:1", "socks5://p:1", "https://u:hunter2@p:1", "http:p:1", "p:", "p:x"]
        {
            let error = found(&[("https_proxy", value)], "a.example").unwrap_err();
            assert!(error.message.contains("check https_proxy") && !error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn which_variable_counts() {
        let proxy = |variables: &[(&str, &str)]| found(variables, "a.example").unwrap().map(|(host, _)| host);
        for (variables, expected) in [
            (&[][..], None),
            (&[("https_proxy", "")], None),
            (&[("http_proxy", "p")], None),
            (&[("https_proxy", "p"), ("HTTPS_PROXY", "q"), ("all_proxy", "r")], Some("p")),
            (&[("https_proxy", ""), ("HTTPS_PROXY", "q")], Some("q")),
            (&[("https_proxy", ""), ("all_proxy", "r")], Some("r")),
            (&[("ALL_PROXY", "s")], Some("s")),
            (&[("https_proxy", "p"), ("no_proxy", "*")], None),
            (&[("https_proxy", "p"), ("no_proxy", ""), ("NO_PROXY", "*")], None),
            (&[("https_proxy", "p"), ("no_proxy", "b"), ("NO_PROXY", "*")], Some("p")),
            // Nobody is stopped by a proxy that is not used.
            (&[("https_proxy", "socks5://p"), ("no_proxy", "a.example")], None),
        ] {
            assert_eq!(proxy(variables).as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_utf_8_is_an_error_and_not_no_proxy() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |name: &str| (name == "HTTPS_PROXY").then(|| OsString::from_vec(b"http://caf\xe9".to_vec()));
        let error = Proxy::of_environment(variable, "a.example", 443).map(drop).unwrap_err();
        assert!(error.message.contains("check HTTPS_PROXY"), "{error}");
    }

    #[test]
    fn exemptions() {
        for (list, host, exempt) in [
            // As curl 7.88 has it.
            ("", "a.example", false),
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("example", "a.example", true),
            (".example", "a.example", true),
            ("b A.Example", "a.example", true),
            ("b\ta.example", "a.example", true),
            ("a.example.", "a.example", true),
            ("a.example", "a.example.", true),
            (".example.", "a.example.", true),
            ("xample", "a.example", false),
            ("..example", "a.example", false),
            (",,", "a", false),
            (".", "a", false),
            ("a.example:8443", "a.example", false),
            ("127.0.0.5", "127.0.0.5", true),
            ("127.0.0.0/8", "127.0.0.5", true),
            ("127.0.0.4/31", "127.0.0.5", true),
            ("127.0.0.6/31", "127.0.0.5", false),
            ("127.0.0.5/32", "127.0.0.5", true),
            ("127.0.0.5/33", "127.0.0.5", false),
            ("127.0.0.5/0", "127.0.0.5", false),
            ("127.0.0.5/", "127.0.0.5", true),
            ("0.0.5", "127.0.0.5", false),
            (".5", "127.0.0.5", false),
            ("*.0.0.5", "127.0.0.5", false),
            ("::1", "::1", true),
            ("127.0.0.0/8", "a.example", false),
            ("::/1", "127.0.0.5", false),
            // What others take.
            ("b,*", "a.example", true),
            ("*.example", "a.example", true),
            ("*.example", "aexample", false),
            ("a.example:443", "a.example", true),
            ("127.0.0.5:443", "127.0.0.5", true),
            ("127.0.0.5:444", "127.0.0.5", false),
            ("[::1]", "::1", true),
            ("[::1]:443", "::1", true),
            ("[::1]:444", "::1", false),
            ("0:0::1", "::1", true),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("[2001:db8::]/32", "2001:db9::", false),
        ] {
            assert_eq!(is_exempt(list, host, 443), exempt, "{list} {host}");
        }
    }
}
