//! The TLS configuration, made once for a client, and what TLS errors mean to a person.
//!
//! Chain and host name are always verified; there is no switch that turns it off.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::failure::Failure;

/// TLS sessions kept for resumption; one per server name is used.
const SESSIONS: usize = 4;

/// TLS 1.2, as the platform documents it, with `roots` as the only authorities.
pub(crate) fn client_config(roots: RootCertStore, clock: Arc<dyn Clock>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(CertificateTime(clock)))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(|error| Error::new(ErrorKind::Internal, format!("TLS could not be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Certificates are checked against the client's clock.
#[derive(Debug)]
struct CertificateTime(Arc<dyn Clock>);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let milliseconds = u64::try_from(self.0.unix_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(milliseconds)))
    }
}

/// Why TLS with `peer` failed, and what to do about it.
pub(crate) fn explain(error: &rustls::Error, peer: &str) -> Failure {
    let why = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_fault(certificate),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server does not speak TLS 1.2; check the endpoint and its port".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server refused the handshake; it shares no cipher suite with this client or demands a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("the server ended TLS with the alert {alert:?}"),
        rustls::Error::InvalidMessage(_) => {
            format!("the server does not answer in TLS; check the endpoint and its port ({error})")
        }
        other => other.to_string(),
    };
    Failure::new(ErrorKind::Tls, format!("TLS with {peer} failed: {why}"))
}

fn certificate_fault(error: &CertificateError) -> String {
    match error {
        // A bad signature is what an authority of the same name with another key looks like.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is not signed by a trusted authority; configure the CA certificate of the platform".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host name; check the endpoint".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; if it has not, check this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check this machine's clock".to_owned()
        }
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}
