//! Where in a file something is, for a person to find it.

/// The line of a place in a text, counted from 1. The place is given in bytes.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}
