//! Asks a person for a secret on the terminal, and shows nothing of what is typed.
//!
//! The terminal is switched over to single bytes, Ctrl-C among them: as a signal that would end the process in the middle and
//! leave the terminal mute.

use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// What came of it.
pub enum Typed {
    Line(Zeroizing<Vec<u8>>),
    /// Ctrl-C.
    Interrupted,
}

/// A terminal that shows nothing, until this is dropped.
struct Mute {
    original: Termios,
}

impl Mute {
    /// The standard input's. What was typed before is forgotten, since it was no answer to the question.
    fn start() -> io::Result<Self> {
        let stdin = io::stdin();
        let original = tcgetattr(&stdin)?;
        let mut mute = original.clone();
        mute.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        mute.special_codes[SpecialCodeIndex::VMIN] = 1;
        mute.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Flush, &mute)?;
        Ok(Mute { original })
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        // It fails for a terminal that is gone, which needs nothing any more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.original);
    }
}

/// Asks on the standard error, and reads a line of at most `most` bytes from the standard input; both are terminals.
pub fn ask(question: &str, most: usize) -> io::Result<Typed> {
    let mute = Mute::start()?;
    let mut screen = io::stderr().lock();
    write!(screen, "{question}")?;
    screen.flush()?;
    let typed = read_typed(io::stdin().lock(), most);
    drop(mute);
    writeln!(screen)?;
    typed
}

/// A line as it is typed: with the keys that take something back.
fn read_typed(mut keys: impl Read, most: usize) -> io::Result<Typed> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACES: [u8; 2] = [8, 127];
    const CLEAR: u8 = 21;
    let mut line = Zeroizing::new(Vec::with_capacity(most));
    let mut key = Zeroizing::new([0]);
    loop {
        match keys.read(&mut *key) {
            Ok(0) => return Ok(Typed::Line(line)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match key[0] {
            b'\r' | b'\n' | END => return Ok(Typed::Line(line)),
            INTERRUPT => return Ok(Typed::Interrupted),
            CLEAR => line.clear(),
            back if BACKSPACES.contains(&back) => {
                // A whole character of UTF-8.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if line.len() < most => line.push(byte),
            _ => return Err(io::Error::other(format!("it has more than {most} bytes"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<Vec<u8>> {
        match read_typed(keys, 8).unwrap() {
            Typed::Line(line) => Some(line.to_vec()),
            Typed::Interrupted => None,
        }
    }

    #[test]
    fn keys_that_take_something_back_do() {
        for (keys, expected) in [
            (&b"secret\r"[..], &b"secret"[..]),
            (b"secret\nmore", b"secret"),
            (b"a\x7fb\x08\x08c\r", b"c"),
            ("a\u{20ac}\u{7f}b\r".as_bytes(), b"ab"),
            (b"wrong\x15right\r", b"right"),
            (b"end\x04", b"end"),
            (b"\x04", b""),
            (b"", b""),
        ] {
            assert_eq!(typed(keys).as_deref(), Some(expected), "{keys:?}");
        }
        assert_eq!(typed(b"sec\x03ret\r"), None);
        assert!(read_typed(&b"123456789\r"[..], 8).is_err());
    }
}
