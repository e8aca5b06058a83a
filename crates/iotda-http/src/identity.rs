//! How a client shows who it is in the TLS handshake: a certificate chain and its private key, from PEM.

use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::{Error, Result};
use crate::pem::{Fault, certificates};
use crate::tls::provider;

/// A certificate chain and its key, by which the client shows who it is.
#[derive(Clone)]
pub struct ClientIdentity(pub(crate) Arc<CertifiedKey>);

impl ClientIdentity {
    /// Reads both from PEM and checks that they belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self> {
        let mut certificate_chain = Vec::new();
        certificates(chain, |_, der| {
            certificate_chain.push(CertificateDer::from(der.to_vec()));
            Ok::<_, Fault>(())
        })
        .map_err(|fault| Error::config(fault.explain("the client certificate's PEM")))?;
        let certified = CertifiedKey::from_der(certificate_chain, private_key(key)?, &provider()).map_err(|error| {
            Error::config(match error {
                rustls::Error::InconsistentKeys(_) => {
                    "give the key of the client certificate: this private key does not belong to the certificate"
                }
                rustls::Error::InvalidCertificate(_) => {
                    "replace the client certificate: it is damaged, or not X.509 version 3"
                }
                _ => {
                    "use a key of RSA (2048 bits or more), ECDSA P-256 or P-384, or Ed25519 for the client certificate"
                }
            })
        })?;
        Ok(ClientIdentity(Arc::new(certified)))
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    // RFC 7468 section 11, and what OpenSSL wrote before (RFC 1421 section 4.6.1.1).
    let is_encrypted = [&b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| text.windows(mark.len()).any(|part| part == *mark));
    if is_encrypted {
        return Err(Error::config(
            "decrypt the client certificate's key (openssl pkey): the private key is encrypted, and no password can be given",
        ));
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        Error::config(match error {
            pem::Error::NoItemsFound => {
                "give the client certificate's private key as PEM: there is no -----BEGIN ... PRIVATE KEY----- in it"
            }
            _ => "get the client certificate's private key anew: its PEM is damaged",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn made() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["device".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_with_or_without_a_byte_order_mark() {
        let (certificate, key) = made();
        for mark in ["", "\u{feff}"] {
            let (certificate, key) = (format!("{mark}{certificate}"), format!("{mark}{key}"));
            ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_libraries_words() {
        let ((certificate, key), (other, _)) = (made(), made());
        let wrapped = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        let old = wrapped("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA");
        for (certificate, key, part) in [
            (&other, &key, "does not belong to the certificate"),
            (&certificate, &wrapped("ENCRYPTED PRIVATE KEY", "AAAA"), "the private key is encrypted"),
            (&certificate, &old, "the private key is encrypted"),
            (&certificate, &certificate, "no -----BEGIN ... PRIVATE KEY-----"),
            (&certificate, &String::new(), "no -----BEGIN ... PRIVATE KEY-----"),
            (&certificate, &wrapped("PRIVATE KEY", "A-AA"), "its PEM is damaged"),
            (&certificate, &key[..60].to_owned(), "its PEM is damaged"),
            (&certificate, &wrapped("PRIVATE KEY", "AAAA"), "use a key of RSA"),
            (&key, &key, "holds no certificate: it is PEM of another kind"),
            (&String::new(), &key, "holds no certificate: it is empty"),
            (&wrapped("CERTIFICATE", "AAAA"), &key, "replace the client certificate"),
        ] {
            let error = ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).map(drop).unwrap_err();
            assert_eq!(error.kind, Kind::Config);
            assert!(error.message.contains(part), "{error}");
            assert!(
                !error.message.contains(['(', '{'])
                    || error.message.contains("(openssl")
                    || error.message.contains("(2048"),
                "{error}"
            );
        }
    }
}
