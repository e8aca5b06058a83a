//! What a server shows in the handshake, kept also when it is not accepted. The verdict is `verify`'s.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::verify::{Fault, Verifier};

/// What is wrong with a server's certificate, as far as the advice differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// No authority of the name that the path stops at is trusted.
    Untrusted,
    /// As before, and the certificate is signed by itself.
    SelfSigned,
    /// An authority of that name is trusted, but with another key.
    ForeignKey,
    /// It is for other hosts.
    OtherName,
    /// By the client's clock its time is over, or that of one in its path.
    Expired,
    /// By the client's clock its time has not begun, or that of one in its path.
    NotYetValid,
    /// None of the pinned keys is in the verified path.
    Unpinned,
    /// Anything else; the error says what.
    Other,
}

impl CertificateFault {
    fn of(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(error) = error else { return None };
        Some(match error {
            CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::ApplicationVerificationFailure => Self::Unpinned,
            CertificateError::Other(other) => match other.0.downcast_ref() {
                Some(Fault::Untrusted { self_signed: true, .. }) => Self::SelfSigned,
                Some(Fault::Untrusted { .. }) => Self::Untrusted,
                Some(Fault::ForeignKey { .. }) => Self::ForeignKey,
                Some(Fault::OtherName { .. } | Fault::OnlyCommonName) => Self::OtherName,
                _ => Self::Other,
            },
            _ => Self::Other,
        })
    }
}

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) fault: Option<CertificateFault>,
}

/// Verifies by `verifier`, and notes what it is given and what it says.
pub(super) struct Witness {
    pub(super) verifier: Verifier,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let chain = std::iter::once(end_entity).chain(intermediates).map(|certificate| certificate.to_vec()).collect();
        let fault = verdict.as_ref().err().and_then(CertificateFault::of);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { chain, fault };
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Verifies nothing: for the server's time alone, see [`Probe::unverified_time`](super::Probe::unverified_time).
pub(super) struct Unverified(pub(super) Verifier);

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
