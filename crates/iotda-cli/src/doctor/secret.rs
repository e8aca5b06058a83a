//! What a secret's form shows, without showing the secret: a registered one has 8 to 32 letters, digits, `_` and `-`
//! (vendor's API, `auth_info`).

/// Why this is probably no device secret, as a sentence; `None`: it has the form of one.
pub fn doubt(secret: &[u8]) -> Option<String> {
    const TAKE: &str = "Use the secret shown when the device was registered (8 to 32 characters)";
    let trimmed = secret.trim_ascii();
    if trimmed.is_empty() {
        return Some(format!("The secret is nothing but white space. {TAKE}."));
    }
    if trimmed.len() < secret.len() {
        let what = match secret.last() {
            Some(b'\n' | b'\r') => "ends in a line break",
            _ if secret[0].is_ascii_whitespace() => "begins with white space",
            _ => "ends in white space",
        };
        return Some(format!("The secret {what}, which counts as a part of it. Remove that."));
    }
    if secret.len() == 64 && secret.iter().all(u8::is_ascii_hexdigit) {
        return Some(format!("The secret has 64 hex digits: that is a computed password. {TAKE}."));
    }
    if secret.len() >= 2 && [b'"', b'\''].contains(&secret[0]) && secret.last() == secret.first() {
        return Some("The secret stands in quotes, which count as a part of it. Remove them.".to_owned());
    }
    if secret.len() < 8 || secret.len() > 32 {
        return Some(format!("The secret has {} characters. {TAKE}.", secret.len()));
    }
    if !secret.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)) {
        return Some(format!("The secret holds something other than letters, digits, _ and -. {TAKE}."));
    }
    None
}

/// The same sentence as a line begins.
pub fn in_a_line(doubt: &str) -> String {
    doubt.strip_prefix('T').map_or_else(|| doubt.to_owned(), |rest| format!("t{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_is_the_one_that_helps() {
        let computed = "0123456789abcdef".repeat(4);
        for (secret, part) in [
            (computed.as_str(), "a computed password"),
            (" ", "nothing but white space"),
            ("abcdefgh\n", "ends in a line break"),
            ("abcdefgh\r\n", "ends in a line break"),
            (" abcdefgh", "begins with white space"),
            ("abcdefgh ", "ends in white space"),
            ("\"abcdefgh\"", "in quotes"),
            ("abc", "has 3 characters"),
            ("abcdefghabcdefghabcdefghabcdefghx", "has 33 characters"),
            ("abcdefgh/", "something other than"),
            ("geh\u{e4}use-secret", "something other than"),
        ] {
            let doubt = doubt(secret.as_bytes()).unwrap();
            assert!(doubt.contains(part) && !doubt.contains("abcdefgh"), "{doubt}");
        }
        for secret in ["abcdefgh", "a-b_c-d_0123456789012345678901ab", &"f".repeat(32)] {
            assert_eq!(doubt(secret.as_bytes()), None, "{secret}");
        }
    }
}
