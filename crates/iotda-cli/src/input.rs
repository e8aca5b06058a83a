//! Whole files and the whole standard input (`-`), up to a bound: a report has less than 1 MB.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::exit::Failure;

/// A body is below 1 MB, but a batch may have any number of children: 64 MB hold a quarter of a million.
const LARGEST: u64 = 64 << 20;

/// The bytes of a file, or of the standard input for `-`.
pub fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let shown = file.display();
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    };
    match read {
        Ok(_) if bytes.len() as u64 > LARGEST => {
            Err(Failure::usage(format!("give less, or use iotda stream: {shown} has more than 64 MB")))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(Failure::usage(format!("check the path: {shown} cannot be read: {error}"))),
    }
}

/// The same as text.
pub fn text(file: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes(file)?)
        .map_err(|_| Failure::usage(format!("give text in UTF-8: {} is none", file.display())))
}
