//! One segment file: its name, its bytes with unreadable pages left out, and the frames in them.

use std::hash::{BuildHasher, RandomState};
use std::io;

use super::crc32c;
use super::frame::{ALIGNMENT, HEADER, Header, read_header, u64_at};
use super::sorted::Sorted;
use super::storage::{Storage, Stored, read_full};

/// What a device reads and writes at once; lengths of files are counted in these.
pub(crate) const PAGE: u64 = 4096;

/// What was never written to is passed at this pace.
const ZEROS: [u8; 256] = [0; 256];

/// The name of a segment: the first number that it may hold, and its salt. Of two with the same number the one that was made
/// later has the higher salt.
pub(crate) fn name(number: u64, salt: u32) -> String {
    format!("{number:016x}-{salt:08x}.seg")
}

/// What makes the frames of a new file its own. The upper half is for [`salt_after`].
pub(crate) fn new_salt(number: u64) -> u32 {
    RandomState::new().hash_one(number) as u32 >> 1
}

/// The salt of a new file for `number`, when the one before it had this number and salt.
pub(crate) fn salt_after(before: (u64, u32), number: u64) -> u32 {
    if before.0 == number { before.1.saturating_add(1) } else { new_salt(number) }
}

/// The files whose names `parse` knows, with their lengths, in the order of their numbers.
pub(crate) fn in_order(
    storage: &dyn Storage,
    parse: fn(&str) -> Option<(u64, u32)>,
) -> io::Result<Sorted<(u64, u32), (String, u64)>> {
    let mut names = Sorted::default();
    for (name, length) in storage.list()? {
        if let Some(number_and_salt) = parse(&name) {
            names.insert(number_and_salt, (name, length));
        }
    }
    Ok(names)
}

/// Number and salt from the name of a segment.
pub(crate) fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (number, salt) = name.strip_suffix(".seg")?.split_once('-')?;
    let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if number.len() != 16 || salt.len() != 8 || !lower_hex(number) || !lower_hex(salt) {
        return None;
    }
    Some((u64::from_str_radix(number, 16).ok()?, u32::from_str_radix(salt, 16).ok()?))
}

/// Reads a whole file, `length` bytes at most. Pages that cannot be read become zeros; `true`: there were some.
///
/// A byte is read twice at most: once with the whole file, and once with its page if that failed.
pub(crate) fn read(file: &dyn Stored, length: u64) -> io::Result<(Vec<u8>, bool)> {
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(length, 0);
    match read_full(file, &mut bytes, 0) {
        Ok(read) => {
            bytes.truncate(read);
            Ok((bytes, false))
        }
        Err(_) => {
            let mut unreadable = false;
            for (page, bytes) in bytes.chunks_mut(PAGE as usize).enumerate() {
                if read_full(file, bytes, page as u64 * PAGE).is_err() {
                    bytes.fill(0);
                    unreadable = true;
                }
            }
            Ok((bytes, unreadable))
        }
    }
}

/// What stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Frame {
        at: usize,
        header: Header,
        payload: &'a [u8],
    },
    /// The header is right and the payload is not.
    Damaged {
        header: Header,
    },
    /// Bytes that are neither zeros nor a frame.
    Noise,
}

/// The items of a segment in their order. Bytes are looked at once, but for headers that turn out to be none.
pub(crate) struct Items<'a> {
    bytes: &'a [u8],
    salt: u32,
    at: usize,
    /// The end of the last item that was a frame, damaged or not.
    pub(crate) end: usize,
}

/// The items of the segment with these bytes.
pub(crate) fn items(bytes: &[u8], salt: u32) -> Items<'_> {
    Items { bytes, salt, at: 0, end: 0 }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let mut noise = false;
        while self.at + HEADER <= self.bytes.len() {
            let at = self.at;
            let rest = &self.bytes[at..];
            // No frame has the number 0, so zeros are passed without a sum.
            let header = if u64_at(rest, 8) == 0 { None } else { read_header(rest, self.salt, at as u64) };
            let Some(header) = header.filter(|header| header.frame_bytes() <= rest.len()) else {
                if rest.starts_with(&ZEROS) {
                    self.at += ZEROS.len();
                    continue;
                }
                noise |= u64_at(rest, 0) != 0;
                self.at += ALIGNMENT;
                continue;
            };
            if noise {
                return Some(Item::Noise);
            }
            self.at += header.frame_bytes();
            self.end = self.at;
            let payload = header.payload(rest).unwrap_or_default();
            if crc32c::sum(payload) == header.payload_sum {
                return Some(Item::Frame { at, header, payload });
            }
            return Some(Item::Damaged { header });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{append, kind};
    use super::super::tests::simulated::Simulated;
    use super::*;

    fn file() -> Vec<u8> {
        let mut out = Vec::new();
        for number in 1..=3 {
            let payload = [number as u8; 20];
            append(&mut out, &Header::new(kind::MESSAGE, number, &payload), &payload, 7, 0);
        }
        out.resize(1000, 0);
        out
    }

    fn numbers(bytes: &[u8]) -> Vec<String> {
        items(bytes, 7)
            .map(|item| match item {
                Item::Frame { header, .. } => header.number.to_string(),
                Item::Damaged { header } => format!("{}!", header.number),
                Item::Noise => "noise".to_owned(),
            })
            .collect()
    }

    #[test]
    fn names_come_back_and_others_are_none() {
        assert_eq!(parse_name(&name(0x1234, 0xff)), Some((0x1234, 0xff)));
        for other in [
            "outbox",
            "dead-0000000000001234-000000ff.seg",
            "0000000000001234-000000FF.seg",
            "0000000000001234-0000ff.seg",
            "00000000001234-000000ff.seg",
            "1-2.seg",
            "é-.seg",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_damaged_frame_costs_that_frame_alone() {
        assert_eq!(numbers(&file()), ["1", "2", "3"]);
        let length = file().len();
        for at in 0..length {
            let mut bytes = file();
            bytes[at] ^= 0x10;
            let found = numbers(&bytes);
            let whole = found.iter().filter(|item| item.parse::<u64>().is_ok()).count();
            assert!(whole >= 2, "byte {at}: {found:?}");
            if (76..80).contains(&at) || at >= 3 * 80 {
                assert_eq!(whole, 3, "padding and what was never written matter to nobody: byte {at}");
            }
        }
    }

    #[test]
    fn a_copy_of_a_frame_in_a_payload_is_no_frame() {
        let mut inner = Vec::new();
        append(&mut inner, &Header::new(kind::MESSAGE, 9, b"x"), b"x", 7, 0);
        let mut bytes = Vec::new();
        append(&mut bytes, &Header::new(kind::MESSAGE, 1, &inner), &inner, 7, 0);
        bytes[0] ^= 1;
        assert_eq!(numbers(&bytes), Vec::<String>::new());
    }

    #[test]
    fn a_length_beyond_the_file_is_no_frame() {
        let mut bytes = Vec::new();
        append(&mut bytes, &Header::new(kind::MESSAGE, 1, &[1; 100]), &[1; 100], 7, 0);
        bytes.truncate(120);
        assert_eq!(numbers(&bytes), Vec::<String>::new());
    }

    #[test]
    fn what_is_neither_zeros_nor_a_frame_is_noise_once_before_the_next_frame() {
        let between = |gap: &[u64]| {
            let mut out = Vec::new();
            append(&mut out, &Header::new(kind::MESSAGE, 1, b"x"), b"x", 7, 0);
            gap.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
            append(&mut out, &Header::new(kind::MESSAGE, 2, b"y"), b"y", 7, 0);
            numbers(&out)
        };
        for zeros in [&[][..], &[0], &[0; 100]] {
            assert_eq!(between(zeros), ["1", "2"]);
        }
        for noise in [&[9][..], &[9, 0], &[0, 9, 0, 9, 0], &[9; 100]] {
            assert_eq!(between(noise), ["1", "noise", "2"]);
        }
    }

    #[test]
    fn of_a_file_with_an_unreadable_page_all_others_are_read() {
        let bytes: Vec<u8> = (1..=5).flat_map(|page| [page; PAGE as usize]).chain([6; 100]).collect();
        let storage = Simulated::with([("a".to_owned(), bytes.clone())].into());
        let file = storage.open("a").unwrap();
        let length = bytes.len() as u64;
        assert_eq!(read(&*file, length).unwrap(), (bytes.clone(), false));
        storage.spoil("a", 2);
        let mut expected = bytes;
        expected[2 * PAGE as usize..3 * PAGE as usize].fill(0);
        assert_eq!(read(&*file, length).unwrap(), (expected, true));
    }
}
