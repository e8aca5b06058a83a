//! The password of the device authentication API. Functions on values; what a wrong one leads to belongs to
//! `pipeline`.

use crate::hex;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Lower-case hex of HMAC-SHA256 with the timestamp as the key and the device secret as the data.
fn password(secret: &[u8], timestamp: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(timestamp.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(secret);
    hex::encode(&mac.finalize().into_bytes())
}

/// Whether `given` is the password that `secret` makes at `timestamp`, in a time that does not show how much of it is
/// right.
pub(crate) fn is_right(given: &str, secret: &[u8], timestamp: &str) -> bool {
    password(secret, timestamp).as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the protocol notes; the first is the vendor's own, the last has a zero byte in its digest.
    const VECTORS: [(&str, &str, &str); 4] = [
        ("123456789", "202012222200", "c0fefa1341fb0647290e93f641a9bcea74cd32111668cdc5f7418553640a55cc"),
        ("secret", "2019120219", "2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860"),
        ("12345678", "2018072417", "cda20ea47ca2e8f01d9dd8aa9eb7e7937562f5be6982ea82d46c582c4a476b3f"),
        ("secret-00000004", "2025073104", "08a4f3d44c01ab90bf006883600986d070a1800abfb32c325ff3c763997198ea"),
    ];

    #[test]
    fn published_vectors() {
        for (secret, timestamp, expected) in VECTORS {
            assert!(is_right(expected, secret.as_bytes(), timestamp), "{secret} at {timestamp}");
        }
    }

    #[test]
    fn anything_else_is_wrong() {
        let (secret, timestamp, right) = VECTORS[1];
        assert!(!is_right(&right.to_uppercase(), secret.as_bytes(), timestamp));
        assert!(!is_right(&right[..63], secret.as_bytes(), timestamp));
        assert!(!is_right("", secret.as_bytes(), timestamp));
        assert!(!is_right(right, b"secret2", timestamp));
        assert!(!is_right(right, secret.as_bytes(), "2019120220"));
        // Key and data the other way round: what a client gets that has read the rule too fast.
        assert!(!is_right(&password(timestamp.as_bytes(), secret), secret.as_bytes(), timestamp));
    }
}
