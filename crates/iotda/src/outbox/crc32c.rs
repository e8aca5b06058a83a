//! CRC-32C (Castagnoli; RFC 3720, appendix B.4), eight bytes at a step.
//!
//! Of our own, because it is forty lines: the crates that offer it bring code for processors' instructions with
//! `unsafe`, which saves nothing that can be measured beside a write to a device.

/// The polynomial with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[k][b]`: what byte `b` does to the sum when `k` more bytes follow it in the same step.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut more = 1;
    while more < 8 {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[more - 1][byte];
            tables[more][byte] = (sum >> 8) ^ tables[0][(sum & 0xff) as usize];
            byte += 1;
        }
        more += 1;
    }
    tables
}

/// The sum of `bytes`.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    extend(0, bytes)
}

/// The sum of everything that `sum` covers, and `bytes` behind it.
pub(crate) fn extend(sum: u32, bytes: &[u8]) -> u32 {
    let mut sum = !sum;
    let mut steps = bytes.chunks_exact(8);
    for step in &mut steps {
        let low = sum ^ u32::from_le_bytes([step[0], step[1], step[2], step[3]]);
        let [a, b, c, d] = low.to_le_bytes();
        sum = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(step[4])]
            ^ TABLES[2][usize::from(step[5])]
            ^ TABLES[1][usize::from(step[6])]
            ^ TABLES[0][usize::from(step[7])];
    }
    for byte in steps.remainder() {
        sum = (sum >> 8) ^ TABLES[0][usize::from((sum as u8) ^ byte)];
    }
    !sum
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
    fn a_sum_can_be_taken_in_parts() {
        let bytes: Vec<u8> = (0..100_u8).map(|byte| byte.wrapping_mul(7)).collect();
        for cut in 0..bytes.len() {
            assert_eq!(extend(sum(&bytes[..cut]), &bytes[cut..]), sum(&bytes));
        }
    }
}
