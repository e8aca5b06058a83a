//! Where TLS records end in what is received (RFC 5246 section 6.2.1): a type, a version, a length of two bytes, and so
//! many bytes more.
//!
//! rustls does not say whether it holds a part of a record. A part that has come behind an answer is the beginning of
//! something that would be read as the answer to the next request.

use std::io::{self, Read};

const HEADER: usize = 5;

/// Follows the records of one connection.
#[derive(Default)]
pub(crate) struct Records {
    header: [u8; HEADER],
    /// How much of the header has come.
    in_header: usize,
    /// How much of the record's content is still to come.
    left: usize,
}

impl Records {
    /// Whether everything that has come belongs to whole records.
    pub(crate) fn at_boundary(&self) -> bool {
        self.in_header == 0 && self.left == 0
    }

    /// `source`, with what is read from it noted.
    pub(crate) fn watching<'a, R: Read>(&'a mut self, source: &'a mut R) -> Watching<'a, R> {
        Watching(self, source)
    }

    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let content = self.left.min(bytes.len());
                self.left -= content;
                bytes = &bytes[content..];
                continue;
            }
            let amount = (HEADER - self.in_header).min(bytes.len());
            self.header[self.in_header..self.in_header + amount].copy_from_slice(&bytes[..amount]);
            self.in_header += amount;
            bytes = &bytes[amount..];
            if self.in_header == HEADER {
                self.in_header = 0;
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            }
        }
    }
}

/// Reads and notes.
pub(crate) struct Watching<'a, R>(&'a mut Records, &'a mut R);

impl<R: Read> Read for Watching<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.1.read(buffer)?;
        self.0.note(&buffer[..amount]);
        Ok(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(length: usize) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend(u16::try_from(length).unwrap().to_be_bytes());
        record.extend(vec![0; length]);
        record
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_the_bytes_arrive(
            lengths in prop::collection::vec(0usize..40, 0..6),
            size in 1usize..60,
            cut in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
            let ends: Vec<usize> = lengths.iter().scan(0, |end, length| { *end += HEADER + length; Some(*end) }).collect();
            let given = cut.index(whole.len() + 1);
            let mut records = Records::default();
            for mut part in whole[..given].chunks(size) {
                let mut buffer = vec![0; part.len()];
                records.watching(&mut part).read_exact(&mut buffer).unwrap();
            }
            prop_assert_eq!(records.at_boundary(), given == 0 || ends.contains(&given));
        }
    }
}
