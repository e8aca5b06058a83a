//! Whom TLS trusts: certificate authorities that the user gives as PEM, and those that are built in.
//!
//! Of an authority only what a path is checked with is kept: its name, its key, and its name constraints.

use std::io::BufRead;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, Der, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use crate::error::{Error, Result};
use crate::pem::{self, Fault};

/// Sets of authorities in the library itself.
const BUILT_IN: &[&[TrustAnchor<'static>]] = &[
    #[cfg(feature = "platform-roots")]
    crate::platform_roots::PLATFORM,
    #[cfg(feature = "public-roots")]
    webpki_roots::TLS_SERVER_ROOTS,
];

/// The authorities to trust.
#[derive(Clone)]
pub struct Trust {
    built_in: bool,
    own: Arc<Vec<Authority>>,
}

impl Default for Trust {
    /// Those that are built in.
    fn default() -> Self {
        Trust { built_in: true, own: Arc::default() }
    }
}

impl Trust {
    /// The authorities of a PEM text, and no others.
    ///
    /// A certificate that cannot be read or used is an error that says which one: leaving it out silently would show
    /// much later, as a handshake that fails.
    pub fn only(pem: impl BufRead) -> Result<Self> {
        Ok(Trust { built_in: false, own: Arc::new(from_pem(pem)?) })
    }

    /// Adds those of a PEM text.
    pub fn add(&mut self, pem: impl BufRead) -> Result<()> {
        Arc::make_mut(&mut self.own).append(&mut from_pem(pem)?);
        Ok(())
    }

    pub(crate) fn is_default(&self) -> bool {
        self.built_in && self.own.is_empty()
    }

    /// An error if there are none.
    #[allow(clippy::const_is_empty)] // It depends on the features.
    pub(crate) fn check(&self) -> Result<()> {
        if self.own.is_empty() && BUILT_IN.is_empty() {
            return Err(Error::config(
                "configure the platform's CA (ca_file): this library was built without certificate authorities",
            ));
        }
        Ok(())
    }

    /// Those that are named as an issuer: the others cannot end a path.
    pub(crate) fn named(&self, issuers: &[&[u8]]) -> Vec<TrustAnchor<'_>> {
        let built_in = if self.built_in { BUILT_IN } else { &[] };
        let built_in = built_in.iter().copied().flatten().filter(|anchor| issuers.contains(&anchor.subject.as_ref()));
        let own = self.own.iter().filter(|authority| issuers.contains(&authority.subject()));
        built_in.cloned().chain(own.map(Authority::anchor)).collect()
    }
}

/// An authority that the user gave.
#[derive(Clone)]
struct Authority {
    /// Subject, SubjectPublicKeyInfo and name constraints, one behind the other: one allocation, no more than it needs.
    bytes: Box<[u8]>,
    subject_end: u32,
    key_end: u32,
}

impl Authority {
    fn new(anchor: &TrustAnchor<'_>) -> Self {
        let (subject, key) = (&*anchor.subject, &*anchor.subject_public_key_info);
        let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
        // Certificates are bounded where they are read.
        let (subject_end, key_end) = (subject.len() as u32, (subject.len() + key.len()) as u32);
        Authority { bytes: [subject, key, constraints].concat().into(), subject_end, key_end }
    }

    fn subject(&self) -> &[u8] {
        &self.bytes[..self.subject_end as usize]
    }

    fn anchor(&self) -> TrustAnchor<'_> {
        let constraints = &self.bytes[self.key_end as usize..];
        TrustAnchor {
            subject: self.subject().into(),
            subject_public_key_info: self.bytes[self.subject_end as usize..self.key_end as usize].into(),
            name_constraints: (!constraints.is_empty()).then(|| Der::from_slice(constraints)),
        }
    }
}

/// Why a PEM text is refused.
enum Refusal {
    Pem(Fault),
    /// The certificate of this number is none, or cannot be an authority.
    Unusable(usize),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Pem(fault)
    }
}

fn from_pem(text: impl BufRead) -> Result<Vec<Authority>> {
    let mut authorities = Vec::new();
    let keep = |number, der: &[u8]| {
        let certificate = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| Refusal::Unusable(number))?;
        authorities.push(Authority::new(&anchor));
        Ok(())
    };
    match pem::certificates(text, keep) {
        Ok(_) => Ok(authorities),
        Err(Refusal::Pem(fault)) => Err(Error::config(fault.explain("the CA PEM"))),
        Err(Refusal::Unusable(number)) => Err(Error::config(format!(
            "replace or remove certificate {number} of the CA PEM: it is not a usable CA, but damaged or not X.509"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::fixtures::authority;

    fn count(pem: &[u8]) -> Result<usize> {
        from_pem(pem).map(|authorities| authorities.len())
    }

    #[test]
    fn several_certificates_with_text_around_them() {
        let pem = format!("# first\n{}\nsecond:\n{}", authority(), authority());
        assert_eq!(count(pem.as_bytes()), Ok(2));
    }

    #[test]
    fn what_is_kept_of_an_authority_is_what_webpki_reads() {
        let der = rcgen_with_constraints();
        let certificate = CertificateDer::from(der.as_slice());
        let anchor = anchor_from_trusted_cert(&certificate).unwrap();
        assert!(anchor.name_constraints.is_some());
        assert_eq!(Authority::new(&anchor).anchor(), anchor);
        let plain = TrustAnchor { name_constraints: None, ..anchor };
        assert_eq!(Authority::new(&plain).anchor(), plain);
    }

    fn rcgen_with_constraints() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn faults_name_the_certificate() {
        let good = authority();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = &good[..good.len() / 2];
        for (pem, part) in [
            (String::new(), "no certificate: it is empty"),
            ("hello".to_owned(), "no certificate: it takes text"),
            (broken.replace("CERTIFICATE", "PRIVATE KEY"), "no certificate: it is PEM of another kind"),
            (format!("{good}{broken}"), "certificate 2 of the CA PEM: it is not a usable CA"),
            (format!("{good}{good}{cut}"), "certificate 3 cannot be read, because its END line is missing"),
            (
                format!("{good}{}", broken.replace("AAAA", "A?AA")),
                "certificate 2 cannot be read, because it is not base64",
            ),
        ] {
            let error = count(pem.as_bytes()).unwrap_err();
            assert_eq!(error.kind, Kind::Config);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[allow(clippy::const_is_empty)] // It depends on the features.
    #[test]
    fn what_is_built_in_is_found_by_its_name_unless_the_user_names_others() {
        for anchor in BUILT_IN.iter().copied().flatten() {
            assert!(Trust::default().named(&[b"nobody", &anchor.subject]).contains(anchor));
            assert!(Trust::only(authority().as_bytes()).unwrap().named(&[&anchor.subject]).is_empty());
        }
        assert!(Trust::default().named(&[b"nobody"]).is_empty());
        let expected = if cfg!(feature = "platform-roots") { 4 } else { 0 };
        assert_eq!(BUILT_IN.iter().copied().flatten().count() >= expected + 50, cfg!(feature = "public-roots"));
        assert_eq!(Trust::default().check().is_err(), BUILT_IN.is_empty());
        assert!(Trust::only(authority().as_bytes()).unwrap().check().is_ok());
    }

    /// The system's authorities, as Debian has them in one file.
    #[test]
    fn a_whole_bundle_is_taken() {
        let bundle: String = (0..150).map(|_| authority()).collect();
        let trust = Trust::only(bundle.as_bytes()).unwrap();
        assert_eq!(trust.own.len(), 150);
        assert!(trust.own.iter().map(|authority| authority.bytes.len()).sum::<usize>() < bundle.len() / 3);
    }

    #[test]
    fn authorities_are_added_to_those_that_are_there() {
        let mut trust = Trust::default();
        trust.add(authority().as_bytes()).unwrap();
        assert!(trust.built_in && trust.own.len() == 1);
        let copy = trust.clone();
        trust.add(authority().as_bytes()).unwrap();
        assert_eq!((trust.own.len(), copy.own.len()), (2, 1));
        assert!(trust.add(&b"nonsense"[..]).is_err());
        assert_eq!(trust.own.len(), 2);
        assert!(!Trust::only(authority().as_bytes()).unwrap().built_in);
    }
}
