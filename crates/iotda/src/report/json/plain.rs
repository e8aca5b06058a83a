//! Steps over the plain bytes of JSON strings, eight at a time.
//!
//! Long strings (base64, logs) are most of what a large report holds, and nearly all their bytes are plain. One
//! word of eight bytes is tested with a dozen instructions, without `unsafe` and without vector instructions.

const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// How many bytes at the start of `bytes` a JSON string may hold as they are: up to the first quote, backslash or
/// control character (RFC 8259 section 7).
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
    };
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*eight));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    // Fewer than eight are left: read with some of those before them, which are plain.
    match marks(u64::from_le_bytes(*last)) {
        0 => bytes.len(),
        marks => bytes.len() - 8 + (marks.trailing_zeros() / 8) as usize,
    }
}

/// The top bit of the first byte of `word` that is not plain, counted from the least significant one; 0 if all
/// are plain.
///
/// A byte below 0x20 borrows when 0x20 is subtracted, and a byte that the exclusive or has made zero when 1 is:
/// that sets its top bit. Bytes of 0x80 and more are plain, so their top bits are masked. A borrow may mark the
/// next byte too; the bits above the lowest one mean nothing.
fn marks(word: u64) -> u64 {
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let borrowed = word.wrapping_sub(ONES * 0x20) | quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES);
    borrowed & !word & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(bytes: &[u8]) -> usize {
        bytes.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
    }

    /// Every byte at every offset around three words, behind and before the bytes that could disturb a borrow.
    #[test]
    fn every_byte_at_every_offset() {
        for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0x9f, 0xa2, 0xdc, 0xff] {
            for length in 0..=25 {
                for at in 0..length {
                    let mut bytes = vec![filler; length];
                    for byte in 0..=255 {
                        bytes[at] = byte;
                        assert_eq!(plain(&bytes), one_by_one(&bytes), "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_is_found() {
        for first in [b'"', b'\\', 0, 0x1f] {
            for second in 0..=255 {
                for at in 0..15 {
                    let mut bytes = [b'x'; 16];
                    (bytes[at], bytes[at + 1]) = (first, second);
                    assert_eq!(plain(&bytes), at, "{bytes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_byte_by_byte(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for from in 0..=bytes.len() {
                prop_assert_eq!(plain(&bytes[from..]), one_by_one(&bytes[from..]));
            }
        }
    }
}
