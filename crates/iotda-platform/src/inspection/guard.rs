//! Who may use the inspection API: programs on this machine and the platform's own page, but no page of another site in
//! the browser of whoever works here. A browser says where a request comes from in `Host`, `Origin` and
//! `Sec-Fetch-Site`, and no page can change what it says. A function on values; `inspection` asks it before all else.

/// What of a request the rules go by.
pub(super) struct Caller<'a> {
    pub(super) host: Vec<&'a [u8]>,
    pub(super) origin: Vec<&'a [u8]>,
    pub(super) sec_fetch_site: Vec<&'a [u8]>,
    /// The target names a host itself, which would go before `Host` (RFC 9112 section 3.2.2).
    pub(super) target_has_host: bool,
}

/// The rule that a request breaks, if it breaks one. `also` are the names that are allowed beside this machine's.
pub(super) fn check(caller: &Caller<'_>, also: &[String]) -> Result<(), String> {
    if caller.target_has_host {
        return Err("the request's target must be a path: a host belongs into the header Host alone".to_owned());
    }
    let [host] = caller.host[..] else {
        return Err(format!("there must be exactly one Host header, not {}", caller.host.len()));
    };
    let is_known = |name: &str| {
        let known = ["localhost", "127.0.0.1", "[::1]"].into_iter().chain(also.iter().map(String::as_str));
        known.into_iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    // A name that somebody else's server gives out for this machine's address ("DNS rebinding") stops here.
    let host = std::str::from_utf8(host).ok().filter(|host| name_of(host).is_some_and(is_known)).ok_or_else(|| {
        "the Host header must be localhost, 127.0.0.1 or [::1], with any port; --inspect-host allows one more"
            .to_owned()
    })?;
    match caller.origin[..] {
        [] => {}
        [origin] if origin == format!("http://{host}").as_bytes() => {}
        _ => return Err("the Origin header, where there is one, must be http:// and the Host header".to_owned()),
    }
    match caller.sec_fetch_site[..] {
        [] | [b"same-origin" | b"none"] => Ok(()),
        _ => Err("the Sec-Fetch-Site header, where there is one, must be same-origin or none".to_owned()),
    }
}

/// The name of a `Host` header, if its port is one or is left out.
fn name_of(host: &str) -> Option<&str> {
    let after_brackets = host.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = host[after_brackets..].find(':') else { return Some(host) };
    let (name, port) = host.split_at(after_brackets + colon);
    let is_port = (2..=6).contains(&port.len()) && port[1..].bytes().all(|digit| digit.is_ascii_digit());
    is_port.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(host: &[&str], origin: &[&str], site: &[&str]) -> Result<(), String> {
        fn bytes<'a>(values: &[&'a str]) -> Vec<&'a [u8]> {
            values.iter().map(|value| value.as_bytes()).collect()
        }
        let caller =
            Caller { host: bytes(host), origin: bytes(origin), sec_fetch_site: bytes(site), target_has_host: false };
        check(&caller, &["box.lan".to_owned()])
    }

    #[test]
    fn hosts() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]", "[::1]:65535", "box.lan:80"] {
            assert_eq!(outcome(&[host], &[], &[]), Ok(()), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.:80",
            "localhost.evil.example",
            "evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "127.1",
            "0.0.0.0:80",
            "::1",
            "[::1",
            "[::1]x",
            "localhost:",
            "localhost:80:80",
            "localhost:8a",
            "localhost:123456",
            "user@localhost",
            "localhost, evil.example",
            " localhost",
        ] {
            assert!(outcome(&[host], &[], &[]).unwrap_err().contains("Host"), "{host:?}");
        }
        assert!(outcome(&[], &[], &[]).unwrap_err().contains("exactly one Host"));
        assert!(outcome(&["localhost", "localhost"], &[], &[]).unwrap_err().contains("exactly one Host"));
        let absolute =
            Caller { host: vec![b"localhost"], origin: vec![], sec_fetch_site: vec![], target_has_host: true };
        assert!(check(&absolute, &[]).unwrap_err().contains("target"));
    }

    #[test]
    fn origins() {
        assert_eq!(outcome(&["localhost:80"], &["http://localhost:80"], &[]), Ok(()));
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:81",
            "https://localhost:80",
            "http://127.0.0.1:80",
            "http://evil.example",
            "http://localhost:80/",
        ] {
            assert!(outcome(&["localhost:80"], &[origin], &[]).unwrap_err().contains("Origin"), "{origin}");
        }
        let twice = ["http://localhost:80", "http://localhost:80"];
        assert!(outcome(&["localhost:80"], &twice, &[]).unwrap_err().contains("Origin"));
    }

    #[test]
    fn sites() {
        for site in ["same-origin", "none"] {
            assert_eq!(outcome(&["localhost"], &[], &[site]), Ok(()), "{site}");
        }
        for site in ["cross-site", "same-site", "", "None"] {
            assert!(outcome(&["localhost"], &[], &[site]).unwrap_err().contains("Sec-Fetch-Site"), "{site}");
        }
        assert!(outcome(&["localhost"], &[], &["none", "none"]).unwrap_err().contains("Sec-Fetch-Site"));
    }
}
