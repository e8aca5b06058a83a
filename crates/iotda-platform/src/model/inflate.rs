//! Deflate, as RFC 1951 has it: written here because a zip is the only thing of the kind that is ever read.

/// Extra bits and first values of the lengths 257 to 285, and of the distances (section 3.2.5).
const LENGTH_BITS: [u32; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const LENGTHS: [usize; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const DISTANCES: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
];
/// The order in which the lengths of the code for code lengths come (section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST: usize = 15;

/// What was deflated, if it has exactly this length.
pub(super) fn inflate(data: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bits = Bits { data, at: 0 };
    let mut out = Vec::new();
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                block(&mut bits, &mut out, &Code::new(&lengths)?, &Code::new(&[5; 30])?, length)?;
            }
            2 => {
                let (literals, distances) = codes(&mut bits)?;
                block(&mut bits, &mut out, &literals, &distances, length)?;
            }
            _ => return None,
        }
        if out.len() > length {
            return None;
        }
        if is_last {
            return (out.len() == length).then_some(out);
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<usize> {
        let mut value = 0;
        for bit in 0..count {
            let byte = usize::from(*self.data.get(self.at / 8)?);
            value |= ((byte >> (self.at % 8)) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }
}

/// A Huffman code, by the canonical order that it is in.
struct Code {
    /// How many symbols have a code of each length.
    counts: [usize; LONGEST + 1],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0; LONGEST + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| (lengths[*symbol], *symbol));
        Some(Self { counts, symbols })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return self.symbols.get(index + code.checked_sub(first)?).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    bits.at = bits.at.next_multiple_of(8);
    let length = bits.take(16)?;
    if bits.take(16)? != length ^ 0xffff {
        return None;
    }
    let start = bits.at / 8;
    out.extend_from_slice(bits.data.get(start..start + length)?);
    bits.at += length * 8;
    Some(())
}

fn codes(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    let (literals, distances, count) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut lengths = [0; 19];
    for place in &ORDER[..count] {
        lengths[*place] = u8::try_from(bits.take(3)?).ok()?;
    }
    let code = Code::new(&lengths)?;
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (u8::try_from(length).ok()?, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    let (literals, distances) = lengths.get(..literals + distances)?.split_at(literals);
    Some((Code::new(literals)?, Code::new(distances)?))
}

fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Code, distances: &Code, most: usize) -> Option<()> {
    loop {
        match literals.read(bits)? {
            256 => return Some(()),
            literal @ 0..256 => out.push(u8::try_from(literal).ok()?),
            symbol => {
                let length = LENGTHS.get(symbol - 257)? + bits.take(LENGTH_BITS[symbol - 257])?;
                let symbol = distances.read(bits)?;
                let more = u32::try_from(symbol.saturating_sub(2) / 2).ok()?;
                let distance = DISTANCES.get(symbol)? + bits.take(more)?;
                for _ in 0..length {
                    out.push(*out.get(out.len().checked_sub(distance)?)?);
                }
            }
        }
        if out.len() > most {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    /// What zlib 1.2 makes of [`text`] with its fixed code, and with codes of its own.
    const FIXED: &str = "ab562a4e2d2acb4c4e2d56b28aae8671422a0b5295ac949c128b33939574940a8af20b528b4a32a18aa0dc4abfc45c90aa02 \
         03a09294c49244a8aeccbc12a55a1d4c6586c42933224e993171ca4c8853664a9c3233e2949913a7cc8238659644062fb1d1 \
         40643c181219118644c6842191516148645c181219198644c6862191d16148647c1811191f46c4e60b22e3c388c8f8302232 \
         3e8c888c0f2322e3c388c8f83022323e8c888c0f6322e3c398c8f83026b6a022323e8c898c0f6322e3c398c8f83026323e8c \
         898c0f636cf1110b8400";
    const OWN: &str = "8dd4bf0ac2301080f177b9b98377e7df8e3e805337710835430635a44528c577b7429c74f8c874f0dd921fc92c432ccfd4c7 \
         41daf3fc1dba294769e51886d44b23b93c722c63aa511da753b87daabc5a926b1843dd4af7515ecd6fa62c339639cbd62cdb \
         b06ccbb21dcbf62c3bc0eba50cd0412184420985140a2d146228d450c8a1d0c3a087d177013d0c7a18f430e861d0c3a08741 \
         0f831e0e3d1c7a38fda8a087430f871e0e3d1c7a38f4f07f1e97e5bc01";

    pub fn text() -> Vec<u8> {
        let properties: Vec<_> = (0..40).map(|n| format!(r#"{{"propertyName":"p{n}","dataType":"int"}}"#)).collect();
        format!(r#"{{"services":[{{"serviceType":"Basic","properties":[{}]}}]}}"#, properties.join(",")).into_bytes()
    }

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(&digits.replace([' ', '\n'], "")).expect("digits")
    }

    #[test]
    fn each_kind_of_block() {
        let text = text();
        let length = u16::try_from(text.len()).expect("short");
        let stored = [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), &text].concat();
        for deflated in [bytes(FIXED), bytes(OWN), stored] {
            assert_eq!(inflate(&deflated, text.len()).as_deref(), Some(text.as_slice()));
            assert_eq!(inflate(&deflated, text.len() - 1), None);
            assert_eq!(inflate(&deflated, text.len() + 1), None);
            // What is damaged gives an answer all the same: no panic, and nothing longer than was said.
            for at in 0..deflated.len() {
                let mut damaged = deflated.clone();
                damaged[at] ^= 0x55;
                assert!(inflate(&damaged, text.len()).is_none_or(|out| out.len() == text.len()));
                assert_eq!(inflate(&deflated[..at], text.len()), None);
            }
        }
    }
}
