//! Names of authorities as a person reads them: the common name in a distinguished name (X.501, as RFC 5280 section
//! 4.1.2.4 has it), without its outer SEQUENCE.

/// 2.5.4.x, the attributes of X.520: the third octet is the attribute's.
const ATTRIBUTE: [u8; 2] = [0x55, 0x04];
const COMMON_NAME: u8 = 3;
const ORGANIZATION: u8 = 10;
const UNIT: u8 = 11;

/// The common name, if there is one and it is text.
pub(crate) fn common_name(name: &[u8]) -> Option<String> {
    attribute(name, COMMON_NAME)
}

/// What a message calls it.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = [COMMON_NAME, UNIT, ORGANIZATION].iter().find_map(|wanted| attribute(name, *wanted));
    text.unwrap_or_else(|| "without a name".to_owned())
}

fn attribute(mut name: &[u8], wanted: u8) -> Option<String> {
    // Each is SET { SEQUENCE { OBJECT IDENTIFIER, text } }, where a SET has one, nearly always.
    while let Some((0x31, set, rest)) = element(name) {
        name = rest;
        let Some((0x30, pair, _)) = element(set) else { continue };
        let Some((0x06, [first, second, kind], value)) = element(pair) else { continue };
        if [*first, *second] == ATTRIBUTE && *kind == wanted {
            let (tag, text, _) = element(value)?;
            return text_of(tag, text);
        }
    }
    None
}

/// UTF8String, PrintableString and IA5String, which is what is used; TeletexString as Latin-1.
fn text_of(tag: u8, text: &[u8]) -> Option<String> {
    match tag {
        0x0c | 0x13 | 0x16 => String::from_utf8(text.to_vec()).ok(),
        0x14 => Some(text.iter().copied().map(char::from).collect()),
        _ => None,
    }
}

/// Tag, content and what follows of the first element in DER; lengths up to 65,535.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, rest) = match *input {
        [tag, length @ 0..=0x7f, ref rest @ ..] => (tag, usize::from(length), rest),
        [tag, 0x81, length, ref rest @ ..] => (tag, usize::from(length), rest),
        [tag, 0x82, high, low, ref rest @ ..] => (tag, usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(parts: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, 0x81, content.len() as u8], content].concat();
        let part = |(kind, tag, text): &(u8, u8, &[u8])| {
            wrap(0x31, &wrap(0x30, &[&[6, 3, 0x55, 4, *kind][..], &wrap(*tag, text)].concat()))
        };
        parts.iter().flat_map(part).collect()
    }

    #[test]
    fn the_common_name_or_what_comes_closest() {
        for (parts, expected) in [
            (&[(10, 0x13, &b"Org"[..]), (3, 0x0c, "R\u{e9}".as_bytes())][..], "R\u{e9}"),
            (&[(10, 0x13, b"Org"), (11, 0x13, b"Unit")], "Unit"),
            (&[(10, 0x13, b"Org")], "Org"),
            (&[(3, 0x14, b"caf\xe9")], "caf\u{e9}"),
            (&[(3, 0x0c, b"\xff")], "without a name"),
            (&[], "without a name"),
        ] {
            assert_eq!(shown(&name(parts)), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = shown(&bytes);
        }
    }
}
