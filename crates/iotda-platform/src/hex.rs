//! Bytes as lower-case hexadecimal text, and random text made of it.

use crate::Error;
use sha2::{Digest, Sha256};

pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// The bytes of hexadecimal text, of either case.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect())
}

/// `length` hexadecimal digits that nobody can guess, four random bits each.
pub(crate) fn random(length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length.div_ceil(2)];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(format!("the system gave no random bytes: {error}")))?;
    let mut text = encode(&bytes);
    text.truncate(length);
    Ok(text)
}

/// `length` hexadecimal digits that look random and are the same for the same seed and number.
pub(crate) fn seeded(seed: u64, number: u64, length: usize) -> String {
    let block = |block: u64| encode(&Sha256::digest([seed, number, block].map(u64::to_be_bytes).concat()));
    let mut text: String = (0..).map(block).take(length.div_ceil(64)).collect();
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_place() {
        assert_eq!(encode(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert_eq!(decode("000fA5ff"), Some(vec![0x00, 0x0f, 0xa5, 0xff]));
        assert_eq!((decode(""), decode("0"), decode("0g")), (Some(Vec::new()), None, None));
    }

    #[test]
    fn seeded_text_is_the_same_again_and_another_for_each_number() {
        assert_eq!(seeded(1, 2, 100), seeded(1, 2, 100));
        assert_eq!(seeded(1, 2, 100).len(), 100);
        let some: std::collections::HashSet<_> = (0..50).flat_map(|n| [seeded(1, n, 32), seeded(2, n, 32)]).collect();
        assert_eq!(some.len(), 100);
    }

    #[test]
    fn random_text_has_the_length_asked_for_and_differs() {
        let first = random(33).expect("random bytes");
        assert_eq!(first.len(), 33);
        assert_ne!(first, random(33).expect("random bytes"));
    }
}
