//! Settings of a client about whom it trusts, and how it shows who it is.

use std::ffi::{c_char, c_void};

use crate::config::iotda_config_t;
use crate::outcome::{Outcome, Stop};
use crate::status::iotda_status_t;

/// The certificate authorities to trust: PEM text with one or more certificates. They replace those that are built in
/// (the authorities of the platform's public certificates, and the public ones), and any that were set or added before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_ca_pem(
    config: *mut iotda_config_t,
    pem: *const c_void,
    len: usize,
) -> iotda_status_t {
    setter!(config.set(Ca), "iotda_config_set_ca_pem", |core| {
        let pem = bytes!(pem, len)?;
        core.ca_pem(pem)
    })
}

/// As iotda_config_set_ca_pem, from a file of at most 4 MB, which is read at once and not again: it may block on the
/// file system. The path is bytes: it need not be UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_ca_file(config: *mut iotda_config_t, path: *const c_char) -> iotda_status_t {
    setter!(config.set(Ca), "iotda_config_set_ca_file", |core| {
        let path = path!(path)?;
        core.ca_file(path)
    })
}

/// Certificate authorities to trust in addition to those that are trusted already (built in, set or added), as PEM
/// text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_add_ca_pem(
    config: *mut iotda_config_t,
    pem: *const c_void,
    len: usize,
) -> iotda_status_t {
    setter!(config.add(Ca), "iotda_config_add_ca_pem", |core| {
        let pem = bytes!(pem, len)?;
        core.add_ca_pem(pem)
    })
}

/// As iotda_config_add_ca_pem, from a file, which is read as by iotda_config_set_ca_file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_add_ca_file(config: *mut iotda_config_t, path: *const c_char) -> iotda_status_t {
    setter!(config.add(Ca), "iotda_config_add_ca_file", |core| {
        let path = path!(path)?;
        core.add_ca_file(path)
    })
}

/// A certificate chain and its private key, both PEM text, by which the client shows who it is in the TLS handshake,
/// where a server or a gateway on the way demands it. They are checked to belong together. It does not replace the
/// secret: over HTTPS the platform knows a device by its secret alone; X.509 log-in is MQTT's. Default: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_client_certificate(
    config: *mut iotda_config_t,
    chain_pem: *const c_void,
    chain_len: usize,
    key_pem: *const c_void,
    key_len: usize,
) -> iotda_status_t {
    setter!(config.set(ClientCertificate), "iotda_config_set_client_certificate", |core| {
        let chain = bytes!(chain_pem, chain_len)?;
        let key = bytes!(key_pem, key_len)?;
        core.client_certificate(chain, key)
    })
}

/// A public key that must be in the path by which the server's certificate was verified, beside everything else that is
/// verified: the server's own, an issuer's, or the authority's; a certificate that comes along and is not needed for
/// the path does not count. It is given as the 32 bytes of the SHA-256 of its SubjectPublicKeyInfo. Called several
/// times, one of the keys must be there: pin the next key before it is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_add_pinned_key(
    config: *mut iotda_config_t,
    sha256: *const c_void,
    sha256_len: usize,
) -> iotda_status_t {
    setter!(config.add(PinnedKeys), "iotda_config_add_pinned_key", |core| {
        let sha256 = bytes!(sha256, sha256_len)?;
        let pin = sha256.try_into().map_err(|_| {
            Stop::Argument(format!("pass the 32 bytes of a SHA-256 as sha256: sha256_len is {sha256_len}"))
        })?;
        Outcome::Ok(core.pin_public_key(pin))
    })
}

/// Whether TLS 1.3 is offered beside 1.2. Default: false; the platform documents TLS 1.2 alone. A library that was
/// built without TLS 1.3 refuses true.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_tls_1_3(config: *mut iotda_config_t, offer: bool) -> iotda_status_t {
    setter!(config.set(TlsVersion), "iotda_config_set_tls_1_3", |core| core.tls_1_3(offer))
}
