//! What a certificate says, as far as the doctor speaks of it.

use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::pin::Pin;

/// A certificate, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// As a person calls it: common name, unit or organization.
    pub subject: String,
    pub issuer: String,
    /// Whether it has signed itself, or claims to.
    pub is_root: bool,
    pub is_authority: bool,
    /// In seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// What a pin of its key is.
    pub pin: Pin,
    /// The hosts and addresses that it is for.
    pub names: Vec<String>,
    /// Names as they are encoded, to find who issued what.
    raw_subject: Vec<u8>,
    raw_issuer: Vec<u8>,
}

impl Summary {
    /// `None`: it cannot be read.
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let issuer = certificate.issuer();
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.map(|extension| extension.value.general_names.iter().filter_map(shown).collect());
        Some(Summary {
            subject: called(subject),
            issuer: called(issuer),
            is_root: subject.as_raw() == issuer.as_raw(),
            is_authority: certificate.is_ca(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            pin: Pin::of(certificate.public_key().raw),
            names: names.unwrap_or_default(),
            raw_subject: subject.as_raw().to_vec(),
            raw_issuer: issuer.as_raw().to_vec(),
        })
    }

    /// How many whole days it is valid from `now`, in seconds since 1970; negative when its time is over.
    pub fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now).div_euclid(86_400)
    }

    /// Whether its time has begun and is not over.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// The path that begins with the first certificate: each is issued by the one behind it, as far as they were sent.
pub fn path_of(chain: &[Summary]) -> Vec<&Summary> {
    let mut path: Vec<&Summary> = chain.first().into_iter().collect();
    // Each of the others at most once: a circle has no end.
    while let Some(last) = path.last().filter(|last| !last.is_root && path.len() < chain.len()) {
        let Some(next) = chain.iter().find(|other| other.raw_subject == last.raw_issuer) else { break };
        path.push(next);
    }
    path
}

/// The authority at which a chain ends: who issued the last certificate of the path.
pub fn end_of(chain: &[Summary]) -> Option<&str> {
    path_of(chain).last().map(|last| last.issuer.as_str())
}

/// A day as `2026-11-26`.
pub fn day(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "?".to_owned(), |time| time.date().to_string())
}

fn called(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next();
    let found = common.or_else(|| name.iter_organizational_unit().next()).or_else(|| name.iter_organization().next());
    let text = found.and_then(|attribute| attribute.as_str().ok()).unwrap_or("without a name");
    printable(text)
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable(name)),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        },
        _ => None,
    }
}

/// Whoever made the certificate chose the text: nothing in it may be obeyed by a terminal, or fill it.
fn printable(text: &str) -> String {
    const MOST: usize = 80;
    // Those that are not seen, or turn the direction of what follows.
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().take(MOST).map(|c| if is_hidden(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut parameters = CertificateParams::new(hosts).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    }

    #[test]
    fn a_chain_is_followed_to_the_authority_that_was_not_sent() {
        let keys: Vec<KeyPair> = (0..3).map(|_| KeyPair::generate().unwrap()).collect();
        let mut root = parameters("Root", &[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut middle = parameters("Mid\u{7}dl\u{202e}e", &[]);
        middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut leaf = parameters("leaf", &["iot.example", "10.0.0.1", "::1"]);
        leaf.not_before = date_time_ymd(2026, 1, 1);
        leaf.not_after = date_time_ymd(2026, 12, 31);
        let root_der = root.self_signed(&keys[0]).unwrap().der().to_vec();
        let middle_der = middle.signed_by(&keys[1], &Issuer::from_params(&root, &keys[0])).unwrap().der().to_vec();
        let leaf_der = leaf.signed_by(&keys[2], &Issuer::from_params(&middle, &keys[1])).unwrap().der().to_vec();
        let read = |der: &[Vec<u8>]| -> Vec<Summary> { der.iter().map(|der| Summary::of(der).unwrap()).collect() };
        let whole = read(&[leaf_der.clone(), root_der.clone(), middle_der.clone()]);
        assert_eq!(end_of(&whole), Some("Root"));
        assert_eq!(end_of(&read(&[leaf_der.clone(), middle_der])), Some("Root"));
        let alone = read(&[leaf_der]);
        assert_eq!(end_of(&alone), Some("Mid?dl?e"));
        let leaf = &alone[0];
        assert_eq!(leaf.names, ["iot.example", "10.0.0.1", "::1"]);
        assert_eq!((leaf.is_root, leaf.is_authority), (false, false));
        assert!(whole[1].is_root && whole[1].is_authority && !whole[2].is_root && whole[2].is_authority);
        assert_eq!(day(leaf.not_after), "2026-12-31");
        assert_eq!((leaf.days_left(leaf.not_after - 86_399), leaf.days_left(leaf.not_after + 1)), (0, -1));
        assert!(leaf.is_valid_at(leaf.not_before) && !leaf.is_valid_at(leaf.not_after + 1));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert_eq!(Summary::of(b""), None);
        assert_eq!(Summary::of(&[0x30, 3, 1, 2, 3]), None);
    }
}
