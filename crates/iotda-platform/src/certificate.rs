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
    /// The authority's, in PEM: what a client must trust.
    pub(crate) ca_pem: String,
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Makes an authority, and a certificate for `localhost`, the two loopback addresses and `more_names`.
pub(crate) fn make(kind: CertificateKind, more_names: &[String]) -> Result<Certificate, Error> {
    build(kind, more_names)
        .map_err(|error| Error::new(format!("no certificate for the names {more_names:?} could be made: {error}")))
}

fn build(kind: CertificateKind, more_names: &[String]) -> Result<Certificate, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "IoTDA stand-in platform authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut ca, CertificateKind::Valid);
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();

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
    let leaf_key = KeyPair::generate()?;
    let signed = leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key))?;
    Ok(Certificate {
        ca_pem,
        leaf: signed.der().clone(),
        key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
    })
}

/// A client under test may live at another time than this machine: the years are wide.
fn set_validity(params: &mut CertificateParams, kind: CertificateKind) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = match kind {
        CertificateKind::Expired => date_time_ymd(2001, 1, 2),
        CertificateKind::Valid | CertificateKind::WrongName => date_time_ymd(2049, 12, 31),
    };
}
