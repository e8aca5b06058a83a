//! The TLS configuration, made once for a client. What its errors mean is said in `explain`.
//!
//! Chain and host name are always verified; there is no switch that turns it off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use once_cell::sync::OnceCell;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::identity::ClientIdentity;
use crate::roots::Trust;
use crate::verify::{Pin, Verifier};

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
    /// Public keys, one of which must be in the verified path: the server's certificate, its issuers, or the authority.
    pub pins: Vec<Pin>,
}

impl TlsSettings {
    /// Whether nothing was set.
    pub fn is_default(&self) -> bool {
        self.trust.is_default() && !self.tls_1_3 && self.client.is_none() && self.pins.is_empty()
    }

    /// Whether TLS 1.3 can be offered is decided when this crate is built.
    pub fn offer_tls_1_3(&mut self, offer: bool) -> Result<()> {
        if offer && !cfg!(feature = "tls13") {
            return Err(Error::config("use TLS 1.2, or a build that has TLS 1.3: this library was built without it"));
        }
        self.tls_1_3 = offer;
        Ok(())
    }
}

/// The cryptography, which is `ring`'s.
pub(crate) fn provider() -> CryptoProvider {
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
        settings.trust.check()?;
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
    with_verifier(settings, clock, |verifier| Arc::new(verifier))
}

/// The configuration that `settings` make, with what `wrap` makes of their verifier in it.
pub(crate) fn with_verifier(
    settings: TlsSettings,
    clock: Arc<dyn Clock>,
    wrap: impl FnOnce(Verifier) -> Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.tls_1_3 {
        #[cfg(feature = "tls13")]
        true => &[&rustls::version::TLS13, &rustls::version::TLS12],
        _ => &[&rustls::version::TLS12],
    };
    let verifier =
        Verifier { trust: settings.trust, pins: settings.pins, algorithms: provider.signature_verification_algorithms };
    // What rustls calls dangerous takes the place of its own verifier.
    let builder = ClientConfig::builder_with_details(provider, Arc::new(CertificateTime(clock)))
        .with_protocol_versions(versions)
        .map_err(|_| Error::new(Kind::Internal, "TLS could not be set up: no cipher suite fits the versions"))?
        .dangerous()
        .with_custom_certificate_verifier(wrap(verifier));
    let mut config = match settings.client {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0))),
        None => builder.with_no_client_auth(),
    };
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
