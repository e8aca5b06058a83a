//! Whom TLS trusts: certificate authorities that the user gives as PEM, or the public ones built in.
//!
//! The built-in set (Mozilla's, by `webpki-roots`) dropped one of the authorities that the platform's
//! certificates chain to (protocol notes, "Platform facts"); that is why a PEM can be given.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, Result};

/// The certificates of a PEM text; text around them is passed over, other kinds of PEM too.
///
/// A certificate that cannot be read or used is an error that tells which one: leaving it out silently
/// would show much later, as a handshake that fails.
pub(crate) fn from_pem(pem: &[u8]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let number = index + 1;
        let certificate = certificate
            .map_err(|error| Error::config(format!("certificate {number} of the CA PEM cannot be read: {error}")))?;
        store.add(certificate).map_err(|error| {
            Error::config(format!("certificate {number} of the CA PEM is not a usable CA: {error}"))
        })?;
    }
    if store.is_empty() {
        return Err(Error::config(
            "the CA PEM holds no certificate: it takes text with -----BEGIN CERTIFICATE----- in it",
        ));
    }
    Ok(store)
}

/// The public certificate authorities.
#[cfg(feature = "public-roots")]
pub(crate) fn public() -> Result<RootCertStore> {
    Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// This build has none.
#[cfg(not(feature = "public-roots"))]
pub(crate) fn public() -> Result<RootCertStore> {
    available().map(|()| RootCertStore::empty())
}

/// Whether authorities are built in.
pub(crate) fn available() -> Result<()> {
    if cfg!(feature = "public-roots") {
        return Ok(());
    }
    Err(Error::config("configure the platform's CA: this library was built without public certificate authorities"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::fixtures::authority;

    #[test]
    fn several_certificates_with_text_around_them() {
        let pem = format!("# first\n{}\nsecond:\n{}", authority(), authority());
        assert_eq!(from_pem(pem.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn faults_name_the_certificate() {
        let good = authority();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = &good[..good.len() / 2];
        for (pem, part) in [
            (String::new(), "no certificate"),
            ("hello".to_owned(), "no certificate"),
            (format!("{good}{broken}"), "certificate 2 of the CA PEM is not a usable CA"),
            (format!("{good}{good}{cut}"), "certificate 3 of the CA PEM cannot be read"),
        ] {
            let error = from_pem(pem.as_bytes()).unwrap_err();
            assert_eq!(error.kind, Kind::Config);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[cfg(feature = "public-roots")]
    #[test]
    fn the_public_set_is_there() {
        assert!(public().unwrap().len() > 50);
    }
}
