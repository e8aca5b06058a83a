//! The TLS configuration, made once for a client, and what TLS errors mean to a person.
//!
//! Chain and host name are always verified; there is no switch that turns it off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use once_cell::sync::OnceCell;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::roots;

/// TLS sessions kept for resumption; one per server name is used.
const SESSIONS: usize = 4;

/// What TLS is made of.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// Whom to trust.
    pub trust: Trust,
    /// Also offer TLS 1.3; the platform documents TLS 1.2 alone.
    pub tls_1_3: bool,
    /// How the client shows who it is.
    pub client: Option<ClientIdentity>,
    /// Public keys, one of which must be in the server's certificate or in one that came with it.
    pub pins: Vec<Pin>,
}

impl TlsSettings {
    /// Whether TLS 1.3 can be offered is decided when this crate is built.
    pub fn offer_tls_1_3(&mut self, offer: bool) -> Result<()> {
        if offer && !cfg!(feature = "tls13") {
            return Err(Error::config("use TLS 1.2, or a build that has TLS 1.3: this library was built without it"));
        }
        self.tls_1_3 = offer;
        Ok(())
    }
}

/// The authorities to trust.
#[derive(Clone, Default)]
pub enum Trust {
    /// Those that are built in.
    #[default]
    Public,
    /// Those that are built in, and these.
    PublicAnd(RootCertStore),
    /// These and no others.
    Only(RootCertStore),
}

impl Trust {
    /// The authorities of a PEM text, and no others.
    pub fn only(pem: &[u8]) -> Result<Self> {
        Ok(Trust::Only(roots::from_pem(pem)?))
    }

    /// Adds those of a PEM text.
    pub fn add(&mut self, pem: &[u8]) -> Result<()> {
        let more = roots::from_pem(pem)?.roots;
        match self {
            Trust::Only(roots) | Trust::PublicAnd(roots) => roots.roots.extend(more),
            Trust::Public => *self = Trust::PublicAnd(RootCertStore { roots: more }),
        }
        Ok(())
    }

    fn roots(self) -> Result<RootCertStore> {
        match self {
            Trust::Public => roots::public(),
            Trust::Only(roots) => Ok(roots),
            Trust::PublicAnd(more) => {
                let mut roots = roots::public()?;
                roots.roots.extend(more.roots);
                Ok(roots)
            }
        }
    }
}

/// The SHA-256 of a SubjectPublicKeyInfo, as RFC 7469 section 2.4 has it.
pub type Pin = [u8; 32];

/// A certificate chain and its key, by which the client shows who it is.
#[derive(Clone)]
pub struct ClientIdentity(Arc<CertifiedKey>);

impl ClientIdentity {
    /// Reads both from PEM and checks that they belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::config(format!("the client certificate cannot be read: {error}")))?;
        if chain.is_empty() {
            return Err(Error::config("the client certificate's PEM holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| Error::config(format!("the client certificate's private key cannot be read: {error}")))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            Error::config(format!("the client certificate cannot be used with its private key: {error}"))
        })?;
        Ok(ClientIdentity(Arc::new(certified)))
    }
}

/// The cryptography, which is `ring`'s.
fn provider() -> CryptoProvider {
    #[cfg_attr(feature = "tls13", allow(unused_mut))]
    let mut provider = rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "tls13"))]
    {
        use rustls::crypto::ring::cipher_suite as suite;
        // In rustls's own order.
        provider.cipher_suites = vec![
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ];
    }
    provider
}

/// The configuration of TLS, made when it is first needed: a client that is made and not used pays nothing for it.
pub(crate) struct Tls {
    settings: Mutex<Option<TlsSettings>>,
    clock: Arc<dyn Clock>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// Checks what can be checked without making it. Certificates are checked at the time of `clock`.
    pub(crate) fn new(settings: TlsSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        if !matches!(settings.trust, Trust::Only(_)) {
            roots::available()?;
        }
        Ok(Tls { settings: Mutex::new(Some(settings)), clock, config: OnceCell::new() })
    }

    /// The configuration; the first call makes it.
    pub(crate) fn get(&self) -> Result<&Arc<ClientConfig>> {
        self.config.get_or_try_init(|| {
            let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).take();
            client_config(settings.unwrap_or_default(), Arc::clone(&self.clock))
        })
    }
}

fn client_config(settings: TlsSettings, clock: Arc<dyn Clock>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider());
    let fault = |why: String| Error::new(Kind::Internal, format!("TLS could not be set up: {why}"));
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.tls_1_3 {
        #[cfg(feature = "tls13")]
        true => &[&rustls::version::TLS13, &rustls::version::TLS12],
        _ => &[&rustls::version::TLS12],
    };
    let roots = Arc::new(settings.trust.roots()?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| fault(error.to_string()))?;
    let builder = ClientConfig::builder_with_details(provider, Arc::new(CertificateTime(clock)))
        .with_protocol_versions(versions)
        .map_err(|error| fault(error.to_string()))?;
    let builder = if settings.pins.is_empty() {
        builder.with_webpki_verifier(verifier)
    } else {
        // What rustls calls dangerous adds a condition here: everything that it checks is checked first.
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { verifier, pins: settings.pins }))
    };
    let mut config = match settings.client {
        Some(ClientIdentity(key)) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Verifies as usual, and then that one of the pinned keys is there.
#[derive(Debug)]
struct Pinned {
    verifier: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

impl Pinned {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        ParsedCertificate::try_from(certificate).is_ok_and(|certificate| {
            let digest = Sha256::digest(certificate.subject_public_key_info());
            self.pins.iter().any(|pin| pin == digest.as_slice())
        })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if std::iter::once(end_entity).chain(intermediates).any(|certificate| self.is_pinned(certificate)) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
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

/// Why an open connection failed in TLS: whatever it is, a new connection may serve.
pub(crate) fn explain_open(error: &rustls::Error, peer: &str) -> Error {
    Error::new(Kind::Connect, format!("the connection to {peer} broke: {error}"))
}

/// Why TLS with `peer` could not be begun, and what to do about it. What is about certificates, versions and ciphers
/// is the same the next time; anything else is a connection that broke.
pub(crate) fn explain(error: &rustls::Error, peer: &str) -> Error {
    use AlertDescription as Alert;
    let why = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_fault(certificate),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(Alert::ProtocolVersion)
        | rustls::Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
            "check the endpoint and its port: the server does not speak TLS 1.2".to_owned()
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            "the server shares no cipher suite with this client, or demands a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired,
        ) => "check the client certificate: the server did not accept it, or demands one".to_owned(),
        rustls::Error::AlertReceived(Alert::UnrecognisedName) => {
            "check the endpoint: the server does not know its host name".to_owned()
        }
        // What a server of another protocol sends first, such as plain HTTP.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "check the endpoint and its port: the server does not answer in TLS".to_owned()
        }
        _ => return explain_open(error, peer).within("during the TLS handshake"),
    };
    Error::new(Kind::Tls, format!("TLS with {peer} failed: {why}"))
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
        CertificateError::ApplicationVerificationFailure => {
            "the server's certificate has none of the pinned public keys; if the platform's has changed, pin the new one".to_owned()
        }
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}
