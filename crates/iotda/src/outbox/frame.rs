//! Format 1 of the outbox's files: what a frame is, written and read. Functions on values.
//!
//! Which frames stand where is the business of [`super::segment`]; what is done with those that are damaged, of
//! [`super::repair`].
//!
//! # The files
//!
//! All numbers are little-endian; names are in lower-case hexadecimal.
//!
//! | name | holds |
//! |---|---|
//! | `<number, 16 digits>-<salt, 8 digits>.seg` | frames, one behind the other. No frame of it that holds an entry written for the first time has a number below the one in the name. |
//! | `dead-<number>-<salt>.seg` | frames of dead letters; at most two such files |
//! | `outbox` | 64 bytes for people and for versions: see [`super::directory`] |
//!
//! # A frame
//!
//! It begins at a multiple of 8 and is padded with zeros to one. What lies between two frames is no frame: zeros,
//! or the remains of a write that power cut short.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | CRC-32C of the salt (4 bytes), the frame's offset in its file (8 bytes) and the header's bytes 4 to 55 |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | number: of the entry, or of the next one where the kind is no entry's |
//! | 16 | 8 | sending device: the first 8 bytes of the SHA-256 of its id |
//! | 24 | 8 | device reported for, likewise |
//! | 32 | 8 | Unix time of the put in milliseconds, as this machine's clock had it |
//! | 40 | 6 | time since the machine's start in milliseconds |
//! | 46 | 1 | kind |
//! | 47 | 1 | flags |
//! | 48 | 4 | number of the machine's start ("boot") |
//! | 52 | 4 | CRC-32C of the payload |
//! | 56 | | payload |
//!
//! Salt and offset make a frame of a file that had the same blocks earlier, and a copy of a frame in the payload
//! of another, no frames.
//!
//! # Kinds
//!
//! | kind | payload |
//! |---|---|
//! | 1 properties | elements of `services[]`, separated by commas; then the places of event times (below) |
//! | 2 message | the bytes |
//! | 3 child reading | 1 byte: length of the child's id; the id; the rest as for properties |
//! | 16 settled | the first number that may not be settled (8 bytes), numbers below this are taken (8), count (4), 4 zeros; then for each lane: sending device (8), device reported for (8), all up to this number are settled (8) |
//! | 17 reservation | numbers below this are taken (8) |
//! | 18 boot | number (4), 4 zeros, the kernel's id of the start (16), the platform's Unix time in milliseconds when the machine started (8; 0: not known) |
//! | 19 end | none: nothing follows in this file |
//! | 32 dead letter | see [`super::dead`] |
//! | 33 dead letters forgotten | up to this number (8) |
//!
//! Kinds from 128 on may be skipped by whoever does not know them. An unknown kind below 128 was written by a newer
//! version: the files must be left as they are.
//!
//! Flag 1: the clock was known to be right at the put. Flag 2, of "settled": all lanes are named, not those alone
//! that changed.
//!
//! # Places of event times
//!
//! Behind the elements of kinds 1 and 3 stand the offsets (4 bytes each, from the start of the elements) of those
//! `event_time` values, 24 bytes without quotes, that were stamped at the put since the report had none; then their
//! count (2 bytes). Only these may be corrected when the report is sent.

use super::crc32c;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 56;

/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

/// What a frame holds.
pub(crate) mod kind {
    pub(crate) const PROPERTIES: u8 = 1;
    pub(crate) const MESSAGE: u8 = 2;
    pub(crate) const CHILD: u8 = 3;
    pub(crate) const SETTLED: u8 = 16;
    pub(crate) const RESERVATION: u8 = 17;
    pub(crate) const BOOT: u8 = 18;
    pub(crate) const END: u8 = 19;
    pub(crate) const DEAD: u8 = 32;
    pub(crate) const FORGOTTEN: u8 = 33;
    /// From here on, a kind that is not known may be skipped.
    pub(crate) const SKIPPABLE: u8 = 128;

    /// Whether a frame of this kind is something to deliver.
    pub(crate) fn is_entry(kind: u8) -> bool {
        matches!(kind, PROPERTIES | MESSAGE | CHILD)
    }
}

/// The clock was known to be right at the put.
pub(crate) const FLAG_TRUSTED: u8 = 1;
/// All lanes are named.
pub(crate) const FLAG_ALL: u8 = 2;

/// First in, first out holds within a lane: who sends, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneKey {
    pub(crate) sender: u64,
    pub(crate) reported: u64,
}

/// When an entry was put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// As this machine's clock had it.
    pub(crate) wall_ms: i64,
    /// Since the machine's start.
    pub(crate) boot_ms: u64,
    /// The number of that start.
    pub(crate) boot: u32,
    /// The clock was known to be right.
    pub(crate) trusted: bool,
}

/// The header of a frame, but for its own sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: u32,
    pub(crate) number: u64,
    pub(crate) lane: LaneKey,
    pub(crate) stamp: Stamp,
    pub(crate) kind: u8,
    /// Without [`FLAG_TRUSTED`], which is the stamp's.
    pub(crate) flags: u8,
    pub(crate) payload_sum: u32,
}

/// The bytes that a frame takes in a file.
pub(crate) const fn frame_bytes(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(ALIGNMENT)
}

impl Header {
    /// A header for `payload`.
    pub(crate) fn new(kind: u8, number: u64, payload: &[u8]) -> Self {
        Header {
            kind,
            number,
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            payload_sum: crc32c::sum(payload),
            ..Header::default()
        }
    }

    /// The bytes that the whole frame takes.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.length as usize)
    }

    /// The payload of this header's frame; `None` if the frame is cut off.
    pub(crate) fn payload<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        frame.get(HEADER..HEADER + self.length as usize)
    }

    /// The header's bytes; its own sum is zero until [`seal`] sets it.
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..24].copy_from_slice(&self.lane.sender.to_le_bytes());
        out[24..32].copy_from_slice(&self.lane.reported.to_le_bytes());
        out[32..40].copy_from_slice(&self.stamp.wall_ms.to_le_bytes());
        out[40..46].copy_from_slice(&self.stamp.boot_ms.to_le_bytes()[..6]);
        out[46] = self.kind;
        out[47] = self.flags | if self.stamp.trusted { FLAG_TRUSTED } else { 0 };
        out[48..52].copy_from_slice(&self.stamp.boot.to_le_bytes());
        out[52..56].copy_from_slice(&self.payload_sum.to_le_bytes());
        out
    }

    /// Reads a header without looking at its own sum.
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Self {
        Header {
            length: u32_at(bytes, 4),
            number: u64_at(bytes, 8),
            lane: LaneKey { sender: u64_at(bytes, 16), reported: u64_at(bytes, 24) },
            stamp: Stamp {
                wall_ms: u64_at(bytes, 32) as i64,
                boot_ms: u64_at(bytes, 40) & 0xffff_ffff_ffff,
                boot: u32_at(bytes, 48),
                trusted: bytes[47] & FLAG_TRUSTED != 0,
            },
            kind: bytes[46],
            flags: bytes[47] & !FLAG_TRUSTED,
            payload_sum: u32_at(bytes, 52),
        }
    }
}

/// The header that stands at offset `at` of a file with this salt; `None` if it is none.
pub(crate) fn read_header(bytes: &[u8], salt: u32, at: u64) -> Option<Header> {
    let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
    (u32_at(bytes, 0) == header_sum(bytes, salt, at)).then(|| Header::decode(bytes))
}

/// Sets the sum of the header that `bytes` begin with, for its place in a file.
pub(crate) fn seal(bytes: &mut [u8], salt: u32, at: u64) {
    if let Some(header) = bytes.first_chunk::<HEADER>() {
        let sum = header_sum(header, salt, at);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Appends a frame to `out`, whose first byte will stand at offset `base` of a file with this salt.
pub(crate) fn append(out: &mut Vec<u8>, header: &Header, payload: &[u8], salt: u32, base: u64) {
    let at = out.len();
    append_unsealed(out, header, payload);
    seal(&mut out[at..], salt, base + at as u64);
}

/// Appends a frame whose place in a file is not known yet.
pub(crate) fn append_unsealed(out: &mut Vec<u8>, header: &Header, payload: &[u8]) {
    let end = out.len() + header.frame_bytes();
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
    out.resize(end, 0);
}

fn header_sum(header: &[u8; HEADER], salt: u32, at: u64) -> u32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&salt.to_le_bytes());
    place[4..].copy_from_slice(&at.to_le_bytes());
    crc32c::extend(crc32c::sum(&place), &header[4..])
}

/// The number at `at`; zero where the bytes end before it.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The number at `at`; zero where the bytes end before it.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            lane: LaneKey { sender: 0x0102_0304_0506_0708, reported: 0x1112_1314_1516_1718 },
            stamp: Stamp { wall_ms: -5, boot_ms: 0xffff_ffff_ffff, boot: 7, trusted: true },
            flags: FLAG_ALL,
            ..Header::new(kind::CHILD, u64::MAX - 1, b"payload")
        }
    }

    #[test]
    fn a_frame_comes_back_and_only_at_its_place() {
        let mut file = vec![0; 8];
        append(&mut file, &header(), b"payload", 9, 4096);
        assert_eq!(file.len(), 8 + 64);
        assert_eq!(read_header(&file[8..], 9, 4104), Some(header()));
        assert_eq!(&file[8 + HEADER..8 + HEADER + 7], b"payload");
        assert_eq!(read_header(&file[8..], 9, 4096), None, "another offset");
        assert_eq!(read_header(&file[8..], 8, 4104), None, "another file");
        assert_eq!(read_header(&file[8..60], 9, 4104), None, "cut off");
        assert_eq!(read_header(&[0; HEADER], 0, 0), None, "zeros");
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        let mut file = Vec::new();
        append(&mut file, &header(), b"payload", 9, 0);
        for bit in 0..HEADER * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_header(&file, 9, 0), None, "bit {bit}");
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }

    proptest! {
        #[test]
        fn headers_survive(number: u64, sender: u64, reported: u64, wall_ms: i64, boot_ms in 0_u64..1 << 48, boot: u32,
                           trusted: bool, kind: u8, flags in prop::sample::select(vec![0, FLAG_ALL]), length: u32, sum: u32) {
            let header = Header {
                length, number, lane: LaneKey { sender, reported },
                stamp: Stamp { wall_ms, boot_ms, boot, trusted }, kind, flags, payload_sum: sum,
            };
            prop_assert_eq!(Header::decode(&header.encode()), header);
        }
    }
}
