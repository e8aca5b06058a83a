//! CRC-32C (Castagnoli; RFC 3720, appendix B.4): by the processor's instruction where it has one, otherwise a byte at a
//! step.
//!
//! Of our own, because it is thirty lines: the crates that offer it bring tables of 8 kB and more.

/// The polynomial with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each byte does to the sum.
static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// The sum of `bytes`.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    extend(0, bytes)
}

/// The sum of everything that `sum` covers, and `bytes` behind it.
pub(crate) fn extend(sum: u32, bytes: &[u8]) -> u32 {
    !iotda_sys::crc32c::extend(!sum, bytes).unwrap_or_else(|| by_table(!sum, bytes))
}

fn by_table(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| (sum >> 8) ^ TABLE[usize::from((sum as u8) ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert_eq!(sum(b"123456789"), 0xe306_9283);
        // RFC 3720, B.4.
        assert_eq!(sum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(sum(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(sum(&rising), 0x46dd_794e);
    }

    #[test]
    fn table_and_instruction_agree() {
        let bytes: Vec<u8> = (0..100_u8).map(|byte| byte.wrapping_mul(11)).collect();
        for end in 0..bytes.len() {
            assert_eq!(!by_table(!0, &bytes[..end]), sum(&bytes[..end]));
        }
    }

    #[test]
    fn a_sum_can_be_taken_in_parts() {
        let bytes: Vec<u8> = (0..100_u8).map(|byte| byte.wrapping_mul(7)).collect();
        for cut in 0..bytes.len() {
            assert_eq!(extend(sum(&bytes[..cut]), &bytes[cut..]), sum(&bytes));
        }
    }
}
