//! The files of a zip, as far as the console's exports need it: stored or deflated, not encrypted, without zip64.

use super::inflate::inflate;

/// The most that is taken out of one, in bytes.
const MOST: usize = 16 * 1_048_576;

/// The names of the files and their contents.
pub(super) fn files(zip: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    read(zip).ok_or_else(|| "it is no zip that can be read here: unpack it and give the folder".to_owned())
}

fn read(zip: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    // The end of the directory is the last of the file, before a comment.
    let end = zip.windows(4).rposition(|part| part == b"PK\x05\x06")?;
    let count = short(zip, end + 10)?;
    let mut at = long(zip, end + 16)?;
    let mut files = Vec::new();
    let mut room = MOST;
    for _ in 0..count {
        if zip.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let (method, packed, length) = (short(zip, at + 10)?, long(zip, at + 20)?, long(zip, at + 24)?);
        let (name, extra, comment) = (short(zip, at + 28)?, short(zip, at + 30)?, short(zip, at + 32)?);
        let start = long(zip, at + 42)?;
        let name_bytes = zip.get(at + 46..at + 46 + name)?;
        room = room.checked_sub(length)?;
        // The name and the extra field stand before the data once more, and need not be as long.
        let data = start + 30 + short(zip, start + 26)? + short(zip, start + 28)?;
        let data = zip.get(data..data.checked_add(packed)?)?;
        let content = match method {
            0 => data.to_vec(),
            8 => inflate(data, length)?,
            _ => return None,
        };
        files.push((String::from_utf8_lossy(name_bytes).into_owned(), content));
        at += 46 + name + extra + comment;
    }
    Some(files)
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    /// Two deflated files and a stored one, by Python's zipfile.
    const ZIP: &str = "504b0304140000000800c7107a5d80db78663d0000005600000024000000772f70726f66696c652f64657669636574797065 \
         2d6361706162696c6974792e6a736f6eab564a492dcb4c4e2d56b28aae562a4e2d0271422a0b529d130b12933273324b3251 \
         e53c5394ac947c1333f39474909503059d128b3393956a63811000504b0304140000000800c7107a5d5d0f94e6b30000006b \
         06000033000000772f736572766963652f42617369632f70726f66696c652f73657276696365747970652d6361706162696c \
         6974792e6a736f6e8dd4bf0ac2301080f177b9b98377e7df8e3e805337710835430635a44528c577b7429c74f8c874f0dd92 \
         1fc92c432ccfd4c741daf3fc1dba294769e51886d44b23b93c722c63aa511da753b87daabc5a926b1843dd4af7515ecd6fa6 \
         2c339639cbd62cdbb06ccbb21dcbf62c3bc0eba50cd0412184420985140a2d146228d450c8a1d0c3a087d177013d0c7a18f4 \
         30e861d0c3a087410f831e0e3d1c7a38fda8a087430f871e0e3d1c7a38f4f07f1e97e5bc01504b0304140000000000000021 \
         000bf9435606000000060000000a000000772f6e6f74652e74787473746f726564504b01021403140000000800c7107a5d80 \
         db78663d00000056000000240000000000000000000000800100000000772f70726f66696c652f646576696365747970652d \
         6361706162696c6974792e6a736f6e504b01021403140000000800c7107a5d5d0f94e6b30000006b06000033000000000000 \
         000000000080017f000000772f736572766963652f42617369632f70726f66696c652f73657276696365747970652d636170 \
         6162696c6974792e6a736f6e504b01021403140000000000000021000bf9435606000000060000000a000000000000000000 \
         0000800183010000772f6e6f74652e747874504b05060000000003000300eb000000b10100000000";

    #[test]
    fn files_are_found_and_what_is_damaged_is_refused() {
        let zip = hex::decode(&ZIP.replace([' ', '\n'], "")).expect("digits");
        let found = files(&zip).expect("a zip");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "w/profile/devicetype-capability.json",
            "w/service/Basic/profile/servicetype-capability.json",
            "w/note.txt",
        ];
        assert_eq!(names, expected);
        assert_eq!(found[2].1, b"stored");
        assert!(found[1].1.starts_with(b"{\"services\":[") && found[1].1.ends_with(b"]}]}"));
        for at in 0..zip.len() {
            let mut damaged = zip.clone();
            damaged[at] ^= 0xff;
            // Whatever comes of it, it comes without a panic.
            let _ = files(&damaged);
        }
        assert!(files(b"PK").is_err() && files(&zip[..zip.len() / 2]).is_err());
    }
}
