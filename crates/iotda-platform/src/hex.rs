//! Bytes as lower-case hexadecimal text, and random text made of it.

use crate::Error;

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
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// `length` hexadecimal digits that nobody can guess, four random bits each.
pub(crate) fn random(length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length.div_ceil(2)];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(format!("the system gave no random bytes: {error}")))?;
    let mut text = encode(&bytes);
    text.truncate(length);
    Ok(text)
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
    fn random_text_has_the_length_asked_for_and_differs() {
        let first = random(33).expect("random bytes");
        assert_eq!(first.len(), 33);
        assert_ne!(first, random(33).expect("random bytes"));
    }
}
