//! Addresses to listen at, by number or name.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

/// The first address of a text such as `127.0.0.1:8443` or `localhost:8443`; `None` if it has none.
///
/// `localhost` is this machine's (RFC 6761 section 6.3) and is not asked for: the static program finds no names where there
/// is no C library to load, as in a container of Alpine's.
pub(crate) fn first(text: &str) -> Option<SocketAddr> {
    if let Some((name, port)) = text.rsplit_once(':') {
        if name.eq_ignore_ascii_case("localhost") {
            return Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into());
        }
    }
    text.to_socket_addrs().ok()?.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_needs_no_look_up() {
        for (text, expected) in [
            ("localhost:18443", Some("127.0.0.1:18443")),
            ("LocalHost:0", Some("127.0.0.1:0")),
            ("[::1]:8443", Some("[::1]:8443")),
            ("0.0.0.0:8443", Some("0.0.0.0:8443")),
            ("localhost", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("127.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(first(text), expected.map(|address| address.parse().expect("an address")), "{text}");
        }
    }
}
