//! What a program sets: endpoint, proxy, certificates and keys, saved tokens. What is accepted, another reading accepts
//! likewise; what is refused is refused by a message without what is secret in it.

use crate::check_message;
use crate::choices::Choices;
use iotda::{Client, Config};
use iotda_http::{Endpoint, Proxy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// A certificate authority, made for this, with the key of a client.
const AUTHORITY: &str = include_str!("authority.pem");

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(6) {
        0 => endpoint(&String::from_utf8_lossy(choices.rest())),
        1 => proxy(&mut choices),
        2 => certificates(choices.rest()),
        3 => certificate_in_text(&mut choices),
        4 => identity(&mut choices),
        _ => token(&mut choices),
    }
}

fn endpoint(text: &str) {
    let set = Config::new().endpoint(text).map(drop);
    let parsed = Endpoint::parse(text);
    assert_eq!(set.is_ok(), parsed.is_ok(), "{text:?}");
    if let Err(error) = &set {
        check_message(error);
    }
    let Ok(endpoint) = parsed else { return };
    let again = Endpoint::parse(&format!("https://{}", endpoint.authority()));
    assert_eq!(again.as_ref().ok(), Some(&endpoint), "{text:?}");
    let uri: ureq::http::Uri = text.parse().unwrap_or_else(|error| panic!("{text:?} is no URI: {error}"));
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    assert_eq!((host, uri.port_u16().unwrap_or(443)), (endpoint.host.clone(), endpoint.port), "{text:?}");
    assert!(matches!(uri.path(), "" | "/") && uri.query().is_none(), "{text:?}");
}

/// A password that no message has by chance.
const PASSWORD: &str = "Pa55-w0rd";

fn proxy(choices: &mut Choices) {
    let (before, after) = (choices.text(), String::from_utf8_lossy(choices.rest()).into_owned());
    for text in [after.clone(), format!("http://user:{PASSWORD}{after}"), format!("{before}{PASSWORD}{after}")] {
        let set = Config::new().proxy(&text).map(drop);
        let parsed = Proxy::parse(&text);
        // An empty one is none.
        assert_eq!(set.is_ok(), parsed.is_ok() || text.is_empty(), "{text:?}");
        match (&set, &parsed) {
            (Err(error), _) => {
                check_message(error);
                assert!(!error.message().contains(PASSWORD), "{error}");
            }
            (_, Ok(proxy)) => {
                // Where there is no user, it is the host.
                let shown = format!("{proxy:?}");
                assert!(!text.contains('@') || !shown.contains(PASSWORD), "{shown}");
            }
            _ => {}
        }
    }
}

fn certificates(pem: &[u8]) {
    match Config::new().ca_pem(pem) {
        Ok(_) => {
            let theirs = CertificateDer::pem_slice_iter(pem).filter(Result::is_ok).count();
            // They know no lines that end in CR alone, and no blanks before a BEGIN.
            let is_plain = !pem.contains(&b'\r') && pem.is_ascii();
            // To them, an END with another label is none; RFC 7468 section 2 lets a parser disregard it.
            let count = |text: &[u8]| pem.windows(text.len()).filter(|part| *part == text).count();
            let is_plain = is_plain && count(b"-----END ") == count(b"-----END CERTIFICATE-----");
            assert!(theirs > 0 || !is_plain, "{}", pem.escape_ascii());
        }
        Err(error) => check_message(&error),
    }
}

/// Text around certificates is passed over.
fn certificate_in_text(choices: &mut Choices) {
    let mut text = Vec::new();
    let is_text = |part: &[u8]| !part.windows(2).any(|two| two == b"--");
    let before = choices.bytes();
    if is_text(before) && !before.starts_with(&[0xff, 0xfe]) && !before.starts_with(&[0xfe, 0xff]) {
        text.extend_from_slice(before);
        text.push(b'\n');
    }
    text.extend_from_slice(certificate().as_bytes());
    let after = choices.rest();
    if is_text(after) {
        text.extend_from_slice(after);
    }
    let mut config = Config::new();
    config.ca_pem(&text).unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()));
}

fn certificate() -> &'static str {
    AUTHORITY.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap_or_default()
}

fn key() -> &'static str {
    &AUTHORITY[certificate().len()..]
}

fn identity(choices: &mut Choices) {
    let mut damaged = AUTHORITY.as_bytes().to_vec();
    while !choices.is_done() {
        let at = choices.number() as usize % damaged.len();
        match choices.below(3) {
            0 => damaged[at] = choices.byte(),
            1 => drop(damaged.drain(at..(at + choices.below(64)).min(damaged.len() - 1))),
            _ => drop(damaged.splice(at..at, choices.bytes().iter().copied())),
        }
    }
    let begin = damaged.windows(10).position(|ten| ten == b"-----BEGIN").unwrap_or(0);
    let middle = damaged[begin + 1..].windows(10).position(|ten| ten == b"-----BEGIN").map_or(0, |at| begin + 1 + at);
    let (chain, key_pem) = damaged.split_at(middle);
    for (chain, key_pem) in [(chain, key_pem), (certificate().as_bytes(), key_pem), (chain, key().as_bytes())] {
        if let Err(error) = Config::new().client_certificate(chain, key_pem) {
            check_message(&error);
            let secret = key().lines().nth(1).unwrap_or_default();
            assert!(!error.message().contains(&secret[..16]), "{error}");
        }
    }
}

/// A saved token is used and exported again; one that is damaged is not used, which is no error: the device authenticates.
fn token(choices: &mut Choices) {
    const DEVICE: &str = "device";
    let expires = match choices.below(3) {
        0 => "-".to_owned(),
        1 => (choices.number() as i64).to_string(),
        _ => choices.text(),
    };
    let token = choices.text();
    let platform = checksum("iot.example ");
    let sum = checksum(&format!("{DEVICE} {platform} {expires} {token} "));
    let text = format!("iotda-token-3 {DEVICE} {platform} {expires} {sum} {token}");
    let is_token = !token.is_empty() && token.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    match exported(DEVICE, &text) {
        Some(again) => {
            let is_time = expires == "-" || expires.parse::<i64>().is_ok();
            assert!(is_token && is_time, "{text:?} is no saved token");
            // A number may be written in another way: +1, 01.
            let is_same = again.split(' ').next_back() == Some(&token);
            assert!(is_same && exported(DEVICE, &again).as_ref() == Some(&again), "{text:?}: {again:?}");
        }
        // It may have expired.
        None => assert!(expires != "-" || !is_token, "{text:?} is not used"),
    }
    assert_eq!(exported("another", &text), None, "the token of another device is used");
    let mut damaged = text.clone().into_bytes();
    let at = choices.number() as usize % damaged.len();
    damaged[at] ^= 1 << choices.below(7);
    if let Ok(damaged) = String::from_utf8(damaged) {
        // Blanks around it do not count.
        let is_same = damaged.trim_ascii() == text.trim_ascii();
        assert!(is_same || exported(DEVICE, &damaged).is_none(), "{damaged:?} for {text:?}");
    }
}

/// The first eight digits of the hash.
fn checksum(text: &str) -> String {
    Sha256::digest(text)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a client that was given a saved token exports.
fn exported(device: &str, saved: &str) -> Option<String> {
    let mut config = Config::new();
    config.endpoint("https://iot.example").expect("an endpoint").device(device, b"secret").expect("a device");
    config.ca_pem(certificate().as_bytes()).expect("a certificate").token(saved).expect("memory");
    Client::new(&config).expect("a client").export_token()
}
