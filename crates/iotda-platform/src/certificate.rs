//! The platform's certificate, and the certificate authority that signs it: both made when the platform is started,
//! and gone with it.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
}

impl Authority {
    /// One of this name: two of the same would be taken for one another.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        Self::build(name).map_err(|error| Error::new(format!("no certificate authority could be made: {error}")))
    }

    fn build(name: &str) -> Result<Self, rcgen::Error> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut ca, CertificateKind::Valid);
        let key = KeyPair::generate()?;
        let pem = ca.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(ca, key), pem })
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
        let key = KeyPair::generate()?;
        let signed = leaf.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            leaf: signed.der().clone(),
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

/// A client under test may live at another time than this machine: the years are wide.
fn set_validity(params: &mut CertificateParams, kind: CertificateKind) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = match kind {
        CertificateKind::Expired => date_time_ymd(2001, 1, 2),
        CertificateKind::Valid | CertificateKind::WrongName => date_time_ymd(2049, 12, 31),
    };
}
