//! Kept inputs: a file of text for each target, an input on each line, in which bytes that are no printable ASCII are
//! written as in a Rust string. Lines that begin with `#` say what the next one is about.

/// The inputs of a file.
///
/// # Panics
///
/// If a line is not in that form.
pub fn read(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter(|line| !line.starts_with('#')).map(unescaped).collect()
}

/// An input as a line of such a file.
pub fn line(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    // Not to be taken for a comment.
    line.strip_prefix('#').map(|rest| format!("\\x23{rest}")).unwrap_or(line)
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut input = Vec::new();
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            input.push(byte);
            continue;
        }
        input.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(byte @ (b'\\' | b'\'' | b'"')) => byte,
            Some(b'x') => {
                let mut digit =
                    || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).expect("two hex digits behind \\x");
                u8::try_from(digit() * 16 + digit()).expect("two digits are a byte")
            }
            other => panic!("no such escape: {other:?} in {line}"),
        });
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_input_is_one_line_that_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        for input in [&all[..], b"", b"#", b"\\x41", b"\"'"] {
            let line = line(input);
            assert!(!line.contains('\n') && !line.starts_with('#'), "{line}");
            assert_eq!(read(&format!("# a comment\n{line}\n")), [input]);
        }
    }
}
