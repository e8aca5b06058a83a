//! The password of a device authentication (HTTPS access page, parameter `password`).
//!
//! Lower-case hex of HMAC-SHA256 with the *timestamp as the key* and the *device secret as the data*.
//! Any bytes may be in either; the digest is never treated as a C string (protocol notes, "Password").

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a password: 32 bytes in hex.
pub(crate) const PASSWORD_LEN: usize = 64;

/// Signs `secret` with `timestamp` (`YYYYMMDDHH`).
pub(crate) fn password(secret: &[u8], timestamp: &[u8]) -> Zeroizing<String> {
    // HMAC takes a key of any length, so this cannot fail; an empty digest would only be refused.
    let digest =
        <Hmac<Sha256> as Mac>::new_from_slice(timestamp).map(|mac| mac.chain_update(secret).finalize().into_bytes());
    let mut hex = Zeroizing::new(String::with_capacity(PASSWORD_LEN));
    for byte in digest.into_iter().flatten() {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every vector of the protocol notes, the one whose digest holds a zero byte among them.
    #[test]
    fn published_and_computed_vectors() {
        for (secret, timestamp, expected) in [
            ("123456789", "202012222200", "c0fefa1341fb0647290e93f641a9bcea74cd32111668cdc5f7418553640a55cc"),
            ("secret", "2019120219", "2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860"),
            ("12345678", "2018072417", "cda20ea47ca2e8f01d9dd8aa9eb7e7937562f5be6982ea82d46c582c4a476b3f"),
            ("secret-00000004", "2025073104", "08a4f3d44c01ab90bf006883600986d070a1800abfb32c325ff3c763997198ea"),
        ] {
            assert_eq!(*password(secret.as_bytes(), timestamp.as_bytes()), expected);
        }
    }

    #[test]
    fn any_bytes_can_be_a_secret() {
        let all: Vec<u8> = (0..=255).collect();
        let signed = password(&all, b"2025073104");
        assert_eq!(signed.len(), PASSWORD_LEN);
        assert_ne!(*signed, *password(&all[1..], b"2025073104"));
    }
}
