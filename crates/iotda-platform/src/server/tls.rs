//! How the platform speaks TLS: its version, the certificate that it shows, and the ones that a fault shows in its
//! place. The certificates themselves are made in `certificate`.

use crate::Error;
use crate::certificate::{Authority, Certificate, CertificateKind};
use crate::fault::{Kind, ShownCertificate};
use rustls::ServerConfig;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// One configuration for each certificate. A session of one is not resumed by another.
pub(crate) struct Tls {
    own: TlsAcceptor,
    expired: TlsAcceptor,
    wrong_name: TlsAcceptor,
    unknown_ca: TlsAcceptor,
}

impl Tls {
    /// The platform's own certificate is of this kind, and for these names beside those of the machine.
    pub(crate) fn new(authority: &Authority, kind: CertificateKind, names: &[String]) -> Result<Self, Error> {
        let acceptor = |authority: &Authority, kind| {
            Ok::<_, Error>(TlsAcceptor::from(Arc::new(config(authority.sign(kind, names)?)?)))
        };
        Ok(Self {
            own: acceptor(authority, kind)?,
            expired: acceptor(authority, CertificateKind::Expired)?,
            wrong_name: acceptor(authority, CertificateKind::WrongName)?,
            unknown_ca: acceptor(&Authority::new("An authority that nobody knows")?, CertificateKind::Valid)?,
        })
    }

    /// What accepts a connection that has met these faults.
    pub(super) fn acceptor(&self, faults: &[Kind]) -> &TlsAcceptor {
        let shown =
            faults.iter().find_map(|kind| if let Kind::Certificate { show } = kind { Some(*show) } else { None });
        match shown {
            None => &self.own,
            Some(ShownCertificate::Expired) => &self.expired,
            Some(ShownCertificate::WrongName) => &self.wrong_name,
            Some(ShownCertificate::UnknownCa) => &self.unknown_ca,
        }
    }
}

/// TLS 1.2 alone, as the page's table of constraints has it. Sessions can be resumed by tickets, so that thousands of
/// devices can without being remembered, and by session IDs, which rustls offers of itself.
fn config(certificate: Certificate) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls_error = |error: rustls::Error| Error::new(format!("TLS could not be set up: {error}"));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(tls_error)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.leaf], certificate.key)
        .map_err(tls_error)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(tls_error)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client does not see how its session was resumed; only session IDs are seen to be used over the wire.
    #[test]
    fn sessions_are_resumed_by_tickets() {
        let authority = Authority::new("An authority").expect("an authority");
        let certificate = authority.sign(CertificateKind::Valid, &[]).expect("a certificate");
        let config = config(certificate).expect("a configuration");
        assert!(config.ticketer.enabled());
    }
}
