//! The settings of TLS: whom a client trusts, and how it shows who it is.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use iotda_http::{ClientIdentity, Trust};

use super::Config;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};

impl Config {
    /// The certificate authorities to trust, as PEM text with one or more certificates, instead of those that are built
    /// in (the platform's, by the feature `platform-roots`, and the public ones, by `public-roots`) and of any that
    /// were set before.
    ///
    /// ```no_run
    /// const AUTHORITY: &[u8] = b"-----BEGIN CERTIFICATE-----..."; // such as include_bytes!("ca.pem")
    /// iotda::Config::new().ca_pem(AUTHORITY)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: there is no certificate in it, or one that is damaged or cut off.
    pub fn ca_pem(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.tls.trust = Trust::only(pem)?;
        Ok(self)
    }

    /// Certificate authorities to trust beside those that are trusted already: the ones that are built in, or those of
    /// [`ca_pem`](Self::ca_pem).
    ///
    /// ```no_run
    /// # const AUTHORITY: &[u8] = b"";
    /// iotda::Config::new().add_ca_pem(AUTHORITY)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ca_pem`](Self::ca_pem).
    pub fn add_ca_pem(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.tls.trust.add(pem)?;
        Ok(self)
    }

    /// As [`ca_pem`](Self::ca_pem), from a file of at most 4 MB, which is read now.
    ///
    /// ```no_run
    /// iotda::Config::new().ca_file("/etc/sensor/ca.pem")?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: it cannot be read, or as [`ca_pem`](Self::ca_pem).
    pub fn ca_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        self.tls.trust = with_ca_file(path.as_ref(), Trust::only)?;
        Ok(self)
    }

    /// As [`add_ca_pem`](Self::add_ca_pem), from a file, which is read now.
    ///
    /// ```no_run
    /// iotda::Config::new().add_ca_file("/etc/sensor/company-proxy.pem")?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ca_file`](Self::ca_file).
    pub fn add_ca_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        with_ca_file(path.as_ref(), |pem| self.tls.trust.add(pem))?;
        Ok(self)
    }

    /// A certificate chain and its private key, both as PEM, by which the client shows who it is in the TLS
    /// handshake, where a server or a gateway on the way demands it. They are checked to belong together. It does not
    /// take the secret's place: over HTTPS the platform knows a device by its secret alone, and X.509 log-in is MQTT's.
    ///
    /// ```no_run
    /// let (chain, key) = (std::fs::read("client.pem").unwrap(), std::fs::read("client.key").unwrap());
    /// iotda::Config::new().client_certificate(&chain, &key)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: one of them is damaged, or they do not belong together.
    pub fn client_certificate(&mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<&mut Self> {
        self.tls.client = Some(ClientIdentity::from_pem(chain_pem, key_pem)?);
        Ok(self)
    }

    /// A public key that must be in the path by which the server's certificate was verified, beside everything else
    /// that is verified: the server's own, an issuer's, or the authority's. It is given as the SHA-256 of its
    /// SubjectPublicKeyInfo. With several, one of them must be there. Certificates that come along and that the path
    /// does not need do not count: anybody can add them.
    ///
    /// ```
    /// let backup_key = [0x5a; 32]; // openssl pkey -pubin -in key.pem -outform DER | openssl dgst -sha256
    /// iotda::Config::new().pin_public_key([0xa5; 32]).pin_public_key(backup_key);
    /// ```
    pub fn pin_public_key(&mut self, sha256: [u8; 32]) -> &mut Self {
        self.tls.pins.push(sha256);
        self
    }

    /// Offers TLS 1.3 beside 1.2. Default: it does not; the platform documents TLS 1.2 alone. To ask for it is an
    /// error where this crate was built without its feature `tls13`.
    ///
    /// ```
    /// # #[cfg(feature = "tls13")]
    /// iotda::Config::new().tls_1_3(true)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: this crate was built without the feature `tls13`.
    pub fn tls_1_3(&mut self, offer: bool) -> Result<&mut Self> {
        self.tls.offer_tls_1_3(offer)?;
        Ok(self)
    }
}

/// What is made of a file that is read piece by piece.
fn with_ca_file<T>(path: &Path, make: impl FnOnce(BufReader<File>) -> iotda_http::Result<T>) -> Result<T> {
    let file = File::open(path).map_err(|error| {
        Error::config(format!("check the path: the CA file \"{}\" cannot be read: {error}", shown(path)))
    })?;
    // A page at a time, so that a large bundle takes little memory.
    make(BufReader::with_capacity(4096, file))
        .map_err(|error| Error::config(format!("{error} (CA file \"{}\")", shown(path))))
}

/// The end of a path, short enough for a message.
fn shown(path: &Path) -> String {
    const CHARACTERS_MAX: usize = 80;
    let path = path.display().to_string();
    match path.char_indices().nth_back(CHARACTERS_MAX) {
        Some((start, _)) => format!("...{}", &path[start..]),
        None => path,
    }
}
