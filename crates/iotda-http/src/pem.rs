//! Takes certificates out of PEM text (RFC 7468), piece by piece as it is read: a bundle of 150 authorities is
//! never in memory as a whole. What becomes of a certificate is left to the caller.
//!
//! Text around them and other kinds of PEM are passed over, as every tool does that reads such files.

use std::io::{self, BufRead, Read};

/// More than this is no list of certificates; Mozilla's with a readable dump of each has a fifth of it.
pub(crate) const TEXT_MAX: usize = 4 << 20;

/// The characters of a line as every tool writes it (RFC 7468 section 2), but for the last of a certificate.
const WIDTH: usize = 64;

/// The longest line: a certificate of [`DER_MAX`] bytes without line ends.
const LINE_MAX: usize = DER_MAX / 3 * 4 + 4;

/// The largest certificate. Those of authorities have 0.5 to 2 kB.
const DER_MAX: usize = 1 << 16;

/// What is wrong with a text. Certificates are counted from 1.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It has more than [`TEXT_MAX`] bytes.
    TooLong,
    /// It holds no certificate.
    Nothing(Looks),
    /// The certificate has no END line.
    Cut(usize),
    /// What stands between BEGIN and END is not base64, or too long.
    Damaged(usize),
}

impl Fault {
    /// What to do about it; `what` it was found in.
    pub(crate) fn explain(&self, what: &str) -> String {
        match self {
            Fault::Io(error) => format!("{what} cannot be read: {error}"),
            Fault::TooLong => format!("{what} has more than {} MB, which is no list of certificates", TEXT_MAX >> 20),
            Fault::Cut(number) => {
                format!("get {what} anew: certificate {number} cannot be read, because its END line is missing")
            }
            Fault::Damaged(number) => {
                format!("get {what} anew: certificate {number} cannot be read, because it is not base64")
            }
            Fault::Nothing(looks) => {
                let hint = match looks {
                    Looks::Empty => "it is empty",
                    Looks::Der => "it is DER; convert it (openssl x509 -inform der)",
                    Looks::Utf16 => "it is UTF-16; save it as UTF-8",
                    Looks::OtherPem => "it is PEM of another kind, such as a key",
                    Looks::Unknown => "it takes text with -----BEGIN CERTIFICATE----- in it",
                };
                format!("{what} holds no certificate: {hint}")
            }
        }
    }
}

/// What a text without certificates looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    /// Nothing that is known.
    Unknown,
    Empty,
    /// A certificate in binary form.
    Der,
    /// As some editors save what they call Unicode.
    Utf16,
    /// PEM of another kind, such as a key.
    OtherPem,
}

/// Hands each certificate of `text` to `each` with its number, and returns how many there were.
pub(crate) fn certificates<E: From<Fault>>(
    mut text: impl BufRead,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<usize, E> {
    let (mut line, mut der) = (Vec::new(), Vec::new());
    let mut base64 = None::<Base64>;
    let (mut read, mut number, mut looks) = (0, 0, Looks::Empty);
    loop {
        if let Some(decoder) = &base64 {
            read += decoder.decode_usual(&mut text, &mut der).map_err(Fault::Io)?;
            if read > TEXT_MAX {
                return Err(Fault::TooLong.into());
            }
        }
        line.clear();
        let most = (LINE_MAX + 2).min(TEXT_MAX + 1 - read);
        let amount = text.by_ref().take(most as u64).read_until(b'\n', &mut line).map_err(Fault::Io)?;
        if amount == 0 {
            break;
        }
        let is_first = read == 0;
        read += amount;
        if read > TEXT_MAX {
            return Err(Fault::TooLong.into());
        }
        if is_first {
            looks = Looks::of(&line);
        }
        let whole = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first).unwrap_or(&line);
        let whole = whole.trim_ascii();
        // Where lines end in CR alone, the whole text is one line to those who look for LF. Ordinary lines, which have 64
        // characters, are not looked through for it.
        let has_more = whole.len() > 66 && whole.contains(&b'\r');
        let mut rest = Some(whole);
        while let Some(next) = rest {
            let end = if has_more { next.iter().position(|byte| *byte == b'\r') } else { None };
            let line = end.map_or(next, |end| &next[..end]).trim_ascii();
            rest = end.map(|end| &next[end + 1..]);
            if let Some(label) = label(line, b"-----BEGIN ") {
                if base64.is_some() {
                    return Err(Fault::Cut(number).into());
                }
                if label == b"CERTIFICATE" || label == b"X509 CERTIFICATE" {
                    der.clear();
                    number += 1;
                    base64 = Some(Base64::default());
                } else if number == 0 {
                    looks = Looks::OtherPem;
                }
            } else if let Some(decoder) = &mut base64 {
                if label(line, b"-----END ").is_some() {
                    if !decoder.is_complete() {
                        return Err(Fault::Damaged(number).into());
                    }
                    each(number, &der)?;
                    base64 = None;
                } else if der.len() > DER_MAX || !decoder.decode(line, &mut der) {
                    return Err(Fault::Damaged(number).into());
                }
            }
        }
    }
    match number {
        _ if base64.is_some() => Err(Fault::Cut(number).into()),
        0 => Err(Fault::Nothing(looks).into()),
        number => Ok(number),
    }
}

/// What stands between `start` and the five dashes at the end.
fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    // Nearly all lines are base64, which has no dash.
    if line.first() != Some(&b'-') {
        return None;
    }
    line.strip_prefix(start)?.strip_suffix(b"-----")
}

impl Looks {
    fn of(beginning: &[u8]) -> Self {
        match beginning {
            // RFC 5280 section 4.1: a SEQUENCE; of 256 bytes or more, as they all are.
            [0x30, 0x82, ..] => Looks::Der,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Looks::Utf16,
            _ => Looks::Unknown,
        }
    }
}

/// Base64 (RFC 4648 section 4), line by line.
#[derive(Default)]
struct Base64 {
    /// The bits of characters that do not make a byte yet.
    bits: u32,
    /// How many characters they are from: 0 to 3.
    characters: u8,
    /// How many `=` there were.
    padding: u8,
}

/// The value of each character of base64; [`NONE`] for the others.
static VALUES: [i8; 256] = {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as i8;
        value += 1;
    }
    values
};

const NONE: i8 = -1;

impl Base64 {
    /// Appends what a line says; `false` if it is not base64.
    fn decode(&mut self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let rest = if self.characters == 0 && self.padding == 0 { fours(line, out) } else { line };
        rest.iter().all(|character| self.take(*character, out))
    }

    /// Appends what lines of [`WIDTH`] characters say, as far as they lie in the buffer and nothing else comes between, and
    /// takes them out of it: nearly all of a bundle. Returns how many bytes that were.
    fn decode_usual(&self, text: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<usize> {
        if self.characters != 0 || self.padding != 0 {
            return Ok(0);
        }
        let lines = text.fill_buf()?.chunks_exact(WIDTH + 1).take_while(|line| {
            let before = out.len();
            let is_usual = before <= DER_MAX && line[WIDTH] == b'\n' && fours(&line[..WIDTH], out).is_empty();
            if !is_usual {
                out.truncate(before);
            }
            is_usual
        });
        let amount = lines.count() * (WIDTH + 1);
        text.consume(amount);
        Ok(amount)
    }

    fn take(&mut self, character: u8, out: &mut Vec<u8>) -> bool {
        match (character, VALUES[usize::from(character)]) {
            (b' ' | b'\t', _) => {}
            (b'=', _) => self.padding += 1,
            (_, NONE) => return false,
            (_, value) => {
                self.bits = (self.bits << 6) | value as u32;
                self.characters = (self.characters + 1) % 4;
                if self.characters != 1 {
                    // The eight bits above those that are left over: 4, 2 and 0 of them.
                    out.push((self.bits >> ((4 - self.characters) % 4 * 2)) as u8);
                }
                return self.padding == 0;
            }
        }
        self.padding <= 2
    }

    /// Whether it may end here: 2 or 3 characters with the padding that they need, or none.
    fn is_complete(&self) -> bool {
        matches!((self.characters, self.padding), (0, 0) | (2, 2) | (3, 1))
    }
}

/// Decodes the beginning of a line, as far as it has four characters of base64 at a time, which is all of it nearly
/// always, and returns the rest.
fn fours<'a>(line: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let start = out.len();
    out.resize(start + line.len() / 4 * 3, 0);
    let mut decoded = 0;
    for (three, four) in out[start..].chunks_exact_mut(3).zip(line.chunks_exact(4)) {
        // Written out: optimized for size, a loop over them takes twice the instructions.
        let value = |place: usize| VALUES[usize::from(four[place])] as i32;
        // NONE is negative, and stays so: its sign goes into all the bits above.
        let bits = (value(0) << 18) | (value(1) << 12) | (value(2) << 6) | value(3);
        if bits < 0 {
            break;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        three.copy_from_slice(&bytes);
        decoded += 1;
    }
    out.truncate(start + decoded * 3);
    &line[decoded * 4..]
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut all = Vec::new();
        certificates(text, |_, der| {
            all.push(der.to_vec());
            Ok::<_, Fault>(())
        })?;
        Ok(all)
    }

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn every_shape_that_tools_write() {
        for text in [
            ONE.to_owned(),
            format!("\u{feff}{ONE}"),
            ONE.replace('\n', "\r\n"),
            ONE.replace('\n', "\r").replace("AQID", &format!("AQID{}", "\r".repeat(9))),
            ONE.replace("AQID", " AQ\n ID\t"),
            ONE.replace("CERTIFICATE", "X509 CERTIFICATE"),
            format!("# GlobalSign\nkey=value\n{ONE}"),
            format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{ONE}"),
            ONE.trim_end().to_owned(),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), [[1, 2, 3]], "{text:?}");
        }
        assert_eq!(read(format!("{ONE}{ONE}").as_bytes()).unwrap().len(), 2);
        // Lines of the usual length that do not begin where four characters do.
        let usual = "A".repeat(WIDTH);
        let [apart, joined] = ["\n", ""].map(|end| ONE.replace("AQID", &format!("AQI{end}{usual}{end}D")));
        assert_eq!(read(apart.as_bytes()).unwrap(), read(joined.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let usual = format!("{}\n", "A".repeat(WIDTH));
        let fault = |text: &str| format!("{:?}", read(text.as_bytes()).unwrap_err());
        for (text, expected) in [
            (String::new(), "Nothing(Empty)"),
            ("hello".to_owned(), "Nothing(Unknown)"),
            ("0\u{82}".to_owned(), "Nothing(Unknown)"),
            (ONE.replace("CERTIFICATE", "PRIVATE KEY"), "Nothing(OtherPem)"),
            (format!("{ONE}{}", &ONE[..28]), "Cut(2)"),
            (format!("{}{ONE}", &ONE[..28]), "Cut(1)"),
            (ONE.replace("AQID", "AQ-D"), "Damaged(1)"),
            (ONE.replace("AQID", "AQIDA"), "Damaged(1)"),
            (ONE.replace("AQID", "AQI"), "Damaged(1)"),
            (ONE.replace("AQID", "AQ=D"), "Damaged(1)"),
            (ONE.replace("AQID", "AQID===="), "Damaged(1)"),
            (ONE.replace("AQID", &"A".repeat(200_000)), "Damaged(1)"),
            (ONE.replace("AQID", &"AAAA\n".repeat(30_000)), "Damaged(1)"),
            (ONE.replace("AQID", &usual.repeat(10_000)), "Damaged(1)"),
            (ONE.replace("AQID", &format!("{usual}{}\nAQID", usual.trim_end().replacen('A', "-", 1))), "Damaged(1)"),
            (ONE.replace("AQID", &format!("AQ==\n{usual}")), "Damaged(1)"),
            (ONE.replace("AQID", &usual.repeat(1_000)).repeat(70), "TooLong"),
        ] {
            assert_eq!(fault(&text), expected, "{}", &text[..text.len().min(200)]);
        }
        assert!(matches!(read(b"\x30\x82\x01\x00").unwrap_err(), Fault::Nothing(Looks::Der)));
        assert!(matches!(read(b"\xff\xfe-\0").unwrap_err(), Fault::Nothing(Looks::Utf16)));
    }

    /// Counts what is asked of it, and has no end.
    struct Endless(usize, u8);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += buffer.len();
            buffer.fill(self.1);
            Ok(buffer.len())
        }
    }

    #[test]
    fn what_has_no_end_is_not_read_to_its_end() {
        for byte in [0, b'\n'] {
            let mut endless = Endless(0, byte);
            let result = certificates(io::BufReader::new(&mut endless), |_, _| Ok::<_, Fault>(()));
            assert!(matches!(result, Err(Fault::TooLong)), "{result:?}");
            assert!(endless.0 <= TEXT_MAX + (64 << 10), "{}", endless.0);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_base64_crate(der in prop::collection::vec(any::<u8>(), 1..9000), width in prop_oneof![1usize..100, Just(WIDTH)]) {
            let text = BASE64_STANDARD.encode(&der);
            let lines: Vec<&str> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let pem = ONE.replace("AQID", &lines.join("\n"));
            prop_assert_eq!(&read(pem.as_bytes()).unwrap(), &[&der[..]]);
            // As a file is read, of which a piece ends anywhere.
            let mut pieces = Vec::new();
            let read = certificates(io::BufReader::with_capacity(1000, pem.as_bytes()), |_, der| {
                pieces.push(der.to_vec());
                Ok::<_, Fault>(())
            });
            prop_assert_eq!((read.unwrap(), pieces), (1, vec![der]));
        }
    }
}
