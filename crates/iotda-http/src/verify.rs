//! Verifies the server's certificate: a path from it to a trusted authority, its host name, and the pinned keys.
//!
//! rustls's own verifier has no way to say by which path a certificate was accepted, which pins need; and what it
//! says of a refusal is less than a person needs. The checks are `webpki`'s, as they are there.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, spki_for_anchor};

use crate::distinguished_name::{self, common_name};
use crate::roots::Trust;

/// The SHA-256 of a SubjectPublicKeyInfo, as RFC 7469 section 2.4 has it.
pub type Pin = [u8; 32];

/// Verifies as web browsers do, and then that one of the pinned keys, if there are any, is in the verified path.
pub(crate) struct Verifier {
    pub(crate) trust: Trust,
    pub(crate) pins: Vec<Pin>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// What is wrong with a server's certificate, where rustls has no word for it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No authority of this name is trusted.
    Untrusted { issuer: String, self_signed: bool },
    /// An authority of the issuer's name is trusted, but with another key.
    ForeignKey { issuer: String },
    /// It is for another host, such as this one.
    OtherName { example: Option<String> },
    /// It names the host only in its common name, which does not count (RFC 9525 section 2).
    OnlyCommonName,
    /// It is itself the certificate of an authority.
    IsAuthority,
    /// An issuer in the path is no authority.
    IssuerIsNone,
    /// It is for other purposes than to be a server's.
    NotForServers,
    /// It, or one in its path, is signed in a way that is not accepted.
    WeakSignature,
    /// Its authority may not certify this host, or not so deep a path.
    Constrained,
    /// It is no X.509 version 3.
    Unreadable,
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(|error| refusal(&error, None))?;
        let others: Vec<_> = intermediates.iter().filter_map(|other| EndEntityCert::try_from(other).ok()).collect();
        let chain = Chain { certificate: &certificate, others: &others };
        let anchors = self.trust.named(&chain.issuers());
        let unpinned = Cell::new(false);
        let pinned = |path: &VerifiedPath<'_>| {
            if self.pins.is_empty() || self.is_pinned(path) {
                return Ok(());
            }
            unpinned.set(true);
            Err(webpki::Error::UnknownIssuer)
        };
        let usage = KeyUsage::server_auth();
        certificate
            .verify_for_usage(self.algorithms.all, &anchors, intermediates, now, usage, None, Some(&pinned))
            .map_err(|error| match error {
                _ if unpinned.get() => CertificateError::ApplicationVerificationFailure,
                error => refusal(&error, Some((&chain, !anchors.is_empty()))),
            })?;
        certificate.verify_is_valid_for_subject_name(server_name).map_err(|error| match error {
            webpki::Error::CertNotValidForName(_) => chain.other_name(server_name).into(),
            error => refusal(&error, None),
        })
    }

    fn is_pinned(&self, path: &VerifiedPath<'_>) -> bool {
        let is_pin = |key: &[u8]| {
            let digest = Sha256::digest(key);
            self.pins.iter().any(|pin| pin == digest.as_slice())
        };
        is_pin(&path.end_entity().subject_public_key_info())
            || path.intermediate_certificates().any(|certificate| is_pin(&certificate.subject_public_key_info()))
            || is_pin(&spki_for_anchor(path.anchor()))
    }
}

/// What the server sent.
struct Chain<'a> {
    certificate: &'a EndEntityCert<'a>,
    others: &'a [EndEntityCert<'a>],
}

impl Chain<'_> {
    fn issuers(&self) -> Vec<&[u8]> {
        std::iter::once(self.certificate).chain(self.others).map(|certificate| certificate.issuer()).collect()
    }

    /// The name that the path stops at: the issuer that was not sent, or has signed itself.
    fn last_issuer(&self) -> (&[u8], bool) {
        let mut last = self.certificate;
        // Each of the others at most once: a circle has no end.
        for _ in self.others {
            let next = self.others.iter().find(|other| other.subject() == last.issuer());
            let Some(next) = next.filter(|_| last.issuer() != last.subject()) else { break };
            last = next;
        }
        (last.issuer(), last.issuer() == self.certificate.subject())
    }

    fn other_name(&self, wanted: &ServerName<'_>) -> Fault {
        let example = self.certificate.valid_dns_names().next().map(str::to_owned);
        let common_name = common_name(self.certificate.subject());
        if example.is_none() && common_name.is_some_and(|name| name.eq_ignore_ascii_case(&wanted.to_str())) {
            return Fault::OnlyCommonName;
        }
        Fault::OtherName { example }
    }
}

/// What an error of webpki's means. A path that was not found is explained by what was sent, and by whether an
/// authority of a fitting name is trusted.
fn refusal(error: &webpki::Error, chain: Option<(&Chain<'_>, bool)>) -> CertificateError {
    use webpki::Error;
    match *error {
        Error::CertExpired { time, not_after } => return CertificateError::ExpiredContext { time, not_after },
        Error::CertNotValidYet { time, not_before } => {
            return CertificateError::NotValidYetContext { time, not_before };
        }
        _ => {}
    }
    let fault = match (error, chain) {
        (Error::UnknownIssuer | Error::InvalidSignatureForPublicKey, Some((chain, is_named))) => {
            let (issuer, self_signed) = chain.last_issuer();
            let issuer = distinguished_name::shown(issuer);
            if is_named { Fault::ForeignKey { issuer } } else { Fault::Untrusted { issuer, self_signed } }
        }
        (Error::CaUsedAsEndEntity, _) => Fault::IsAuthority,
        (Error::EndEntityUsedAsCa, _) => Fault::IssuerIsNone,
        (Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension, _) => Fault::NotForServers,
        (
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Error::SignatureAlgorithmMismatch,
            _,
        ) => Fault::WeakSignature,
        (Error::NameConstraintViolation | Error::PathLenConstraintViolated, _) => Fault::Constrained,
        _ => Fault::Unreadable,
    };
    fault.into()
}

impl From<Fault> for CertificateError {
    fn from(fault: Fault) -> Self {
        CertificateError::Other(OtherError(Arc::new(fault)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's certificate is not acceptable")
    }
}

impl std::error::Error for Fault {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData,
    };
    use rustls::client::danger::ServerCertVerifier;

    use super::*;
    use crate::error::{Error, Kind};
    use crate::explain::explain;

    /// A certificate with its key.
    struct Made {
        parameters: CertificateParams,
        key: KeyPair,
        der: CertificateDer<'static>,
        pem: String,
    }

    impl Made {
        fn new(parameters: CertificateParams, issuer: Option<&Made>) -> Self {
            let key = KeyPair::generate().unwrap();
            let certificate = match issuer {
                None => parameters.self_signed(&key).unwrap(),
                Some(issuer) => {
                    parameters.signed_by(&key, &Issuer::from_params(&issuer.parameters, &issuer.key)).unwrap()
                }
            };
            Made { der: certificate.der().clone(), pem: certificate.pem(), parameters, key }
        }

        fn pin(&self) -> Pin {
            Sha256::digest(self.key.subject_public_key_info()).into()
        }
    }

    fn named(name: &str, subject_alternatives: &[&str]) -> CertificateParams {
        let names: Vec<String> = subject_alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    }

    fn authority(name: &str) -> CertificateParams {
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    }

    fn verified(pins: Vec<Pin>, trusted: &Made, chain: &[&Made]) -> Result<(), rustls::Error> {
        let verifier = Verifier {
            trust: Trust::only(trusted.pem.as_bytes()).unwrap(),
            pins,
            algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
        };
        let others: Vec<_> = chain[1..].iter().map(|made| made.der.clone()).collect();
        let host = ServerName::try_from("iot.example").unwrap();
        // In 2026; rcgen's certificates are valid from 1975 to 4096 unless they say otherwise.
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        verifier.verify_server_cert(&chain[0].der, &others, &host, &[], now).map(drop)
    }

    #[test]
    fn a_pin_holds_for_the_verified_path_and_for_nothing_beside_it() {
        let root = Made::new(authority("root"), None);
        let intermediate = Made::new(authority("intermediate"), Some(&root));
        let server = Made::new(named("server", &["iot.example"]), Some(&intermediate));
        let other = Made::new(authority("other"), Some(&root));
        for (pin, accepted) in [
            (server.pin(), true),
            (intermediate.pin(), true),
            // Its certificate is not even sent.
            (root.pin(), true),
            // It is sent, as anybody can, but nothing was verified by it.
            (other.pin(), false),
            ([7; 32], false),
        ] {
            let result = verified(vec![pin], &root, &[&server, &intermediate, &other]);
            assert_eq!(result.is_ok(), accepted, "{result:?}");
            if let Err(error) = result {
                assert_eq!(error, CertificateError::ApplicationVerificationFailure.into());
            }
            // Any of several will do, wherever it stands.
            verified(vec![[1; 32], pin, server.pin()], &root, &[&server, &other, &intermediate]).unwrap();
        }
    }

    #[test]
    fn of_two_paths_the_pinned_one_is_found() {
        let root = Made::new(authority("root"), None);
        let shared = Made::new(authority("intermediate"), Some(&root));
        // The same key and name, certified by an intermediate more.
        let above = Made::new(authority("above"), Some(&root));
        let crossed =
            shared.parameters.signed_by(&shared.key, &Issuer::from_params(&above.parameters, &above.key)).unwrap();
        let crossed = Made {
            parameters: shared.parameters.clone(),
            key: KeyPair::generate().unwrap(),
            der: crossed.der().clone(),
            pem: String::new(),
        };
        let server = Made::new(named("server", &["iot.example"]), Some(&shared));
        verified(vec![above.pin()], &root, &[&server, &shared, &crossed, &above]).unwrap();
        verified(vec![above.pin()], &root, &[&server, &crossed, &above, &shared]).unwrap();
    }

    /// A host as long as they get, nearly.
    const PEER: &str = "0123456789.0123456789.0123456789.0123456789.0123456789.0123456789.012345.example:65535";

    fn message(result: Result<(), rustls::Error>) -> String {
        let Error { kind, message, .. } = explain(&result.unwrap_err(), PEER, true);
        assert_eq!(kind, Kind::Tls);
        // With the device's id before it, and its 64 characters.
        assert!(message.len() + r#"device "": "#.len() + 64 < 256, "{}: {message}", message.len());
        message
    }

    #[test]
    fn refusals_say_what_to_do() {
        let root = Made::new(authority("Root"), None);
        let stranger = Made::new(authority(&"Strang\u{e9}r\n".repeat(20)), None);
        let namesake = Made::new(authority("Root"), None);
        let good = |name: &str| named(name, &["iot.example"]);
        let mut for_clients = good("client");
        for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut expired = good("old");
        expired.not_after = rcgen::date_time_ymd(2026, 3, 1);
        let mut early = good("new");
        early.not_before = rcgen::date_time_ymd(2030, 1, 2);
        let mut both = good("both");
        both.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let no_authority = Made::new(named("Leaf", &["leaf.example"]), Some(&root));
        let mut elsewhere = authority("Elsewhere");
        elsewhere.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("elsewhere.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let elsewhere = Made::new(elsewhere, Some(&root));
        let long = format!("{0}.{0}.example", "x".repeat(60));
        for (parameters, issuer, parts) in [
            (
                good("a"),
                Some(&stranger),
                &["give the CA by ca_file", "not signed by a trusted authority", "Strang"][..],
            ),
            (good("a"), None, &["give the CA by ca_file", "not signed by a trusted authority, but by itself"]),
            (good("a"), Some(&namesake), &["give the CA by ca_file", "another key of \"Root\""]),
            (named("iot.example", &[]), Some(&root), &["subjectAltName", "names the host only in its CN"]),
            (named("a", &["b.example"]), Some(&root), &["check the endpoint", "another host name, \"b.example\""]),
            (named("a", &[&long]), Some(&root), &["another host name, \"xxx"]),
            (named("a", &[]), Some(&root), &["check the endpoint", "another host name or address"]),
            (both, Some(&root), &["is itself a CA certificate"]),
            (for_clients, Some(&root), &["not for TLS servers"]),
            (good("a"), Some(&no_authority), &["its issuer is not a CA"]),
            (good("a"), Some(&elsewhere), &["its CA may not certify this host"]),
            (expired, Some(&root), &["set the clock", "expired on 2026-03-01", "the clock says 2027-01-15"]),
            (early, Some(&root), &["set the clock", "not valid before 2030-01-02", "the clock says 2027-01-15"]),
        ] {
            let server = Made::new(parameters, issuer);
            let chain: Vec<&Made> = std::iter::once(&server).chain(issuer).collect();
            let message = message(verified(Vec::new(), &root, &chain));
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn a_refusal_names_the_authority_at_the_end_of_the_path() {
        let trusted = Made::new(authority("Root"), None);
        let far = Made::new(authority("Far"), None);
        let middle = Made::new(authority("Middle"), Some(&far));
        let beside = Made::new(authority("Beside"), Some(&Made::new(authority("Other"), None)));
        let server = Made::new(named("server", &["iot.example"]), Some(&middle));
        let message_of = |chain: &[&Made]| message(verified(Vec::new(), &trusted, chain));
        for chain in
            [&[&server, &beside, &middle][..], &[&server, &middle, &beside], &[&server, &beside, &middle, &far]]
        {
            let message = message_of(chain);
            assert!(message.contains("\"Far\"") && !message.contains("but by itself"), "{message}");
        }
        // One that has signed itself is the end, also if somebody else has certified its name.
        let own = Made::new(named("Own", &["iot.example"]), None);
        let namesake = Made::new(authority("Own"), Some(&far));
        let message = message_of(&[&own, &namesake]);
        assert!(message.contains("but by itself"), "{message}");
    }

    #[test]
    fn a_certificate_that_is_none_is_called_that() {
        let root = Made::new(authority("root"), None);
        let mut server = Made::new(named("server", &["iot.example"]), Some(&root));
        server.der = CertificateDer::from(vec![0x30, 3, 1, 2, 3]);
        assert!(message(verified(Vec::new(), &root, &[&server])).contains("damaged"));
    }
}
