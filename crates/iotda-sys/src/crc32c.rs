//! CRC-32C (Castagnoli) by an instruction of the processor: SSE 4.2 on x86-64, the CRC extension on 64-bit ARM.

/// What `bytes` make of a sum, which is inverted neither before nor after; `None`: the processor has no instruction for it.
pub fn extend(sum: u32, bytes: &[u8]) -> Option<u32> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has what the function is compiled for.
        return Some(unsafe { by_instruction(sum, bytes) });
    }
    #[cfg(all(target_arch = "aarch64", target_endian = "little", not(miri)))]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the processor has what the function is compiled for.
        return Some(unsafe { by_instruction(sum, bytes) });
    }
    let _ = (sum, bytes);
    None
}

/// # Safety
///
/// The processor has SSE 4.2.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse4.2")]
#[allow(unused_unsafe, reason = "with Rust 1.85 the intrinsics are unsafe, later not")]
unsafe fn by_instruction(sum: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    let step = |sum, word: &[u8]| {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // SAFETY: the instructions are there, as the caller promises; they touch no memory.
        unsafe { _mm_crc32_u64(sum, word) }
    };
    let sum = words.fold(u64::from(sum), step) as u32;
    // SAFETY: as above.
    rest.iter().fold(sum, |sum, byte| unsafe { _mm_crc32_u8(sum, *byte) })
}

/// # Safety
///
/// The processor has the CRC extension.
#[cfg(all(target_arch = "aarch64", target_endian = "little", not(miri)))]
#[target_feature(enable = "crc")]
#[allow(unused_unsafe, reason = "with Rust 1.85 the intrinsics are unsafe, later not")]
unsafe fn by_instruction(sum: u32, bytes: &[u8]) -> u32 {
    use std::arch::aarch64::{__crc32cb, __crc32cd};
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    let step = |sum, word: &[u8]| {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // SAFETY: the instructions are there, as the caller promises; they touch no memory.
        unsafe { __crc32cd(sum, word) }
    };
    let sum = words.fold(sum, step);
    // SAFETY: as above.
    rest.iter().fold(sum, |sum, byte| unsafe { __crc32cb(sum, *byte) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bit at a step, as RFC 3720 defines it.
    fn by_definition(sum: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(sum, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 })
        })
    }

    #[test]
    fn the_instruction_computes_what_is_defined() {
        let bytes: Vec<u8> = (0..100_u8).map(|byte| byte.wrapping_mul(167)).collect();
        for start in 0..20 {
            for end in start..bytes.len() {
                let part = &bytes[start..end];
                // A processor without it has nothing to compare.
                let sum = extend(!0, part).unwrap_or_else(|| by_definition(!0, part));
                assert_eq!(sum, by_definition(!0, part), "{start} to {end}");
            }
        }
    }
}
