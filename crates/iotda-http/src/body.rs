//! Takes the body of an answer out of what arrives: of a length that was announced, in chunks, or until the
//! connection ends (RFC 9112 sections 6 and 7.1).

/// How a body ends, and how far it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// What comes next, and whether a line ended in LF alone, as curl takes it.
    Chunked(Chunk, bool),
    /// With the connection.
    UntilClose,
}

/// What comes next of a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// The line that says how long the next chunk is.
    Size,
    /// So many bytes more of a chunk.
    Data(u64),
    /// The end of line after a chunk.
    DataEnd,
    /// The fields after the last chunk, and the empty line that ends them.
    Trailer,
    Done,
}

/// The body is not what its framing demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Framing {
    pub(crate) fn chunked() -> Self {
        Framing::Chunked(Chunk::Size, false)
    }

    /// Whether the body has ended.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunk::Done, _))
    }

    /// Whether its lines were as the grammar has them.
    pub(crate) fn is_strict(&self) -> bool {
        !matches!(self, Framing::Chunked(_, true))
    }

    /// Appends what `input` holds of the body to `body`, and returns how much of the input that took. What is
    /// left belongs to a line that is not there yet, or comes after the body.
    pub(crate) fn take(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            Framing::Length(left) => Ok(take_data(left, input, body)),
            Framing::UntilClose => {
                body.extend_from_slice(input);
                Ok(input.len())
            }
            Framing::Chunked(state, bare) => {
                let mut used = 0;
                while let Some(step) = state.step(&input[used..], body, bare)? {
                    used += step;
                }
                Ok(used)
            }
        }
    }
}

impl Chunk {
    /// Takes one step, and returns how much of the input it took; `None`: there is no more to be done.
    fn step(&mut self, input: &[u8], body: &mut Vec<u8>, bare: &mut bool) -> Result<Option<usize>, Malformed> {
        if input.is_empty() {
            return Ok(None);
        }
        let (next, used) = match *self {
            Chunk::Data(mut left) => {
                let used = take_data(&mut left, input, body);
                (if left == 0 { Chunk::DataEnd } else { Chunk::Data(left) }, used)
            }
            Chunk::Done => return Ok(None),
            Chunk::Size | Chunk::DataEnd | Chunk::Trailer => {
                let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
                    // What cannot be right any more need not be waited for.
                    return if *self == Chunk::DataEnd && input != b"\r" { Err(Malformed) } else { Ok(None) };
                };
                let line = input[..end].strip_suffix(b"\r");
                *bare |= line.is_none();
                let line = line.unwrap_or(&input[..end]);
                let next = match (*self, line.is_empty()) {
                    (Chunk::Size, _) => match chunk_size(line).ok_or(Malformed)? {
                        0 => Chunk::Trailer,
                        length => Chunk::Data(length),
                    },
                    (Chunk::DataEnd, true) => Chunk::Size,
                    (Chunk::DataEnd, false) => return Err(Malformed),
                    (_, true) => Chunk::Done,
                    (_, false) => Chunk::Trailer,
                };
                (next, end + 1)
            }
        };
        *self = next;
        Ok(Some(used))
    }
}

/// The length of a chunk: hexadecimal digits before the end of the line, white space or an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let add = |size: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(16)?;
        size.checked_mul(16)?.checked_add(u64::from(digit))
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

fn take_data(left: &mut u64, input: &[u8], body: &mut Vec<u8>) -> usize {
    let amount = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    body.extend_from_slice(&input[..amount]);
    *left -= amount as u64;
    amount
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, whether it has ended, and what is left, when `input` comes in parts of `size` bytes.
    fn taken(mut framing: Framing, input: &[u8], size: usize) -> Result<(String, bool, usize), Malformed> {
        let (mut body, mut rest) = (Vec::new(), Vec::new());
        for part in input.chunks(size) {
            rest.extend_from_slice(part);
            let used = framing.take(&rest, &mut body)?;
            rest.drain(..used);
        }
        Ok((String::from_utf8(body).unwrap(), framing.is_done(), rest.len()))
    }

    #[test]
    fn bodies_in_parts_of_any_size() {
        for size in 1..40 {
            for (framing, input, body, done, left) in [
                (Framing::Length(5), "hello", "hello", true, 0),
                (Framing::Length(5), "hello, more", "hello", true, 6),
                (Framing::Length(9), "hello", "hello", false, 0),
                (Framing::UntilClose, "hello", "hello", false, 0),
                (Framing::chunked(), "5\r\nhello\r\n0\r\n\r\n", "hello", true, 0),
                (Framing::chunked(), "5;a=b\r\nhello\r\n1\r\n!\r\n000\r\nX: y\r\n\r\n", "hello!", true, 0),
                (Framing::chunked(), "A\r\n0123456789\r\n0\r\n\r\nmore", "0123456789", true, 4),
                (Framing::chunked(), "2\nhi\n1 \t;x\n!\r\n0\nX: y\n\nmore", "hi!", true, 4),
                (Framing::chunked(), "2;x\nhi\n0\r\n\r\n", "hi", true, 0),
                (Framing::chunked(), "5\r\nhel", "hel", false, 0),
                (Framing::chunked(), "5\r\nhello\r\n0\r\n", "hello", false, 0),
            ] {
                assert_eq!(taken(framing, input.as_bytes(), size), Ok((body.to_owned(), done, left)), "{input:?}");
            }
        }
    }

    #[test]
    fn lines_that_end_in_lf_alone_are_noticed_wherever_they_are() {
        for (input, strict) in [
            ("2\r\nhi\r\n0\r\nX: y\r\n\r\n", true),
            ("2\nhi\r\n0\r\nX: y\r\n\r\n", false),
            ("2\r\nhi\n0\r\nX: y\r\n\r\n", false),
            ("2\r\nhi\r\n0\r\nX: y\n\r\n", false),
            ("2\r\nhi\r\n0\r\nX: y\r\n\n", false),
            ("2\nhi\n0\r\n\r\n", false),
        ] {
            let (mut framing, mut body) = (Framing::chunked(), Vec::new());
            assert_eq!(framing.take(input.as_bytes(), &mut body), Ok(input.len()));
            assert_eq!((framing.is_done(), framing.is_strict()), (true, strict), "{input:?}");
        }
    }

    #[test]
    fn what_are_no_chunks() {
        for size in 1..10 {
            for input in [
                "x\r\n",
                "0x2\r\nhi",
                "2 2\r\nhi",
                ";\r\n",
                "\r\n",
                "5\r\nhello!\r\n",
                "5\r\nhelloX",
                "-1\r\n",
                "10000000000000000\r\n\r\n",
            ] {
                assert_eq!(taken(Framing::chunked(), input.as_bytes(), size), Err(Malformed), "{input:?}");
            }
        }
    }
}
