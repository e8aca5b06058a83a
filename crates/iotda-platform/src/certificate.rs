//! The platform's certificate, and the certificate authority that signs it: both made when the platform is started,
//! and gone with it, unless the authority is kept in a file.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Which certificate the platform shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateKind {
    /// One that a client should accept.
    #[default]
    Valid,
    /// One whose time is over.
    Expired,
    /// One for another host, `wrong-name.invalid`.
    WrongName,
}

pub(crate) struct Certificate {
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What a client must trust, in PEM.
    pub(crate) pem: String,
    /// The private key of the certificates that it signs, in PEM; `None` for a new one each time.
    leaf_key: Option<String>,
}

/// The name of the platform's own authority.
const OWN_NAME: &str = "IoTDA stand-in platform authority";

impl Authority {
    /// One of this name: two of the same would be taken for one another.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let made = KeyPair::generate().and_then(|key| Self::build(name, key, None));
        made.map_err(|error| Error::new(format!("no certificate authority could be made: {error}")))
    }

    /// The platform's own, of files if they are given. A file that is not there is made, so that the next start finds
    /// the same authority; one that holds a key alone gets the certificate added.
    pub(crate) fn own(file: Option<&Path>, leaf_key: Option<&Path>) -> Result<Self, Error> {
        let mut authority = match file {
            None => Self::new(OWN_NAME)?,
            Some(path) => Self::of_file(path)
                .map_err(|error| Error::new(format!("the authority's file {}: {error}", path.display())))?,
        };
        if let Some(path) = leaf_key {
            let wrong = |error: String| Error::new(format!("the server's key {}: {error}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            KeyPair::from_pem(&text).map_err(|error| wrong(format!("it is no private key in PKCS #8: {error}")))?;
            authority.leaf_key = Some(text);
        }
        Ok(authority)
    }

    fn of_file(path: &Path) -> Result<Self, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        let section = |kind: &str| {
            let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
            let start = text.find(&begin)?;
            let length = text[start..].find(&end)? + end.len();
            Some(format!("{}\n", &text[start..start + length]))
        };
        let key = match section("PRIVATE KEY") {
            Some(key) => KeyPair::from_pem(&key).map_err(|error| format!("its private key cannot be used: {error}"))?,
            None if text.trim().is_empty() => KeyPair::generate().map_err(|error| error.to_string())?,
            None => return Err("there is no private key in PKCS #8 (BEGIN PRIVATE KEY) in it".to_owned()),
        };
        let certificate = section("CERTIFICATE");
        let key_text = section("PRIVATE KEY").unwrap_or_else(|| key.serialize_pem());
        let is_new = certificate.is_none();
        let authority = Self::build(OWN_NAME, key, certificate).map_err(|error| error.to_string())?;
        if is_new {
            write_for_owner(path, &format!("{key_text}{}", authority.pem))
                .map_err(|error| format!("it cannot be written: {error}"))?;
        }
        authority.check().map_err(|error| {
            format!("its certificate and its key are not of one authority that iotda-platform has made: {error}")
        })?;
        Ok(authority)
    }

    /// Whether a client that trusts the certificate accepts what the key signs.
    fn check(&self) -> Result<(), String> {
        let text = |error: rustls::Error| error.to_string();
        let leaf = self.build_leaf(CertificateKind::Valid, &[]).map_err(|error| error.to_string())?.leaf;
        let mut roots = RootCertStore::empty();
        let anchor = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|error| error.to_string())?;
        roots.add(anchor).map_err(text)?;
        let leaf = ParsedCertificate::try_from(&leaf).map_err(text)?;
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
        let within = UnixTime::since_unix_epoch(Duration::from_secs(1_577_836_800));
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &[], within, algorithms).map_err(text)
    }

    fn build(name: &str, key: KeyPair, pem: Option<String>) -> Result<Self, rcgen::Error> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut ca, CertificateKind::Valid);
        let pem = match pem {
            Some(pem) => pem,
            None => ca.self_signed(&key)?.pem(),
        };
        Ok(Self { issuer: Issuer::new(ca, key), pem, leaf_key: None })
    }

    /// Signs a certificate for `localhost`, the two loopback addresses and `more_names`.
    pub(crate) fn sign(&self, kind: CertificateKind, more_names: &[String]) -> Result<Certificate, Error> {
        self.build_leaf(kind, more_names)
            .map_err(|error| Error::new(format!("no certificate for the names {more_names:?} could be made: {error}")))
    }

    fn build_leaf(&self, kind: CertificateKind, more_names: &[String]) -> Result<Certificate, rcgen::Error> {
        let names: Vec<String> = match kind {
            CertificateKind::WrongName => vec!["wrong-name.invalid".to_owned()],
            CertificateKind::Valid | CertificateKind::Expired => {
                let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
                own.into_iter().chain(more_names.iter().cloned()).collect()
            }
        };
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name.push(DnType::CommonName, "IoTDA stand-in platform");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Strict verifiers demand it of what a CA has signed.
        leaf.use_authority_key_identifier_extension = true;
        set_validity(&mut leaf, kind);
        let key = match &self.leaf_key {
            Some(pem) => KeyPair::from_pem(pem)?,
            None => KeyPair::generate()?,
        };
        let signed = leaf.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            leaf: signed.der().clone(),
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn write_for_owner(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// A client under test may live at another time than this machine: the years are wide.
fn set_validity(params: &mut CertificateParams, kind: CertificateKind) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = match kind {
        CertificateKind::Expired => date_time_ymd(2001, 1, 2),
        CertificateKind::Valid | CertificateKind::WrongName => date_time_ymd(2049, 12, 31),
    };
}
