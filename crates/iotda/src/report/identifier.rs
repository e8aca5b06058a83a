//! Device identifiers as the platform allows them (HTTPS access page, parameter `device_id`): 1 to 128
//! letters, digits, underscores and hyphens.

use std::fmt::Display;

use crate::error::{Error, Result};

/// The longest device id, in characters.
pub const DEVICE_ID_MAX: usize = 128;

/// Checks a device id; `field` names it in the message, for example `children[3].device_id`.
///
/// No text is made of it for the ids that are right.
#[inline]
pub(crate) fn check_device_id(id: &str, field: &dyn Display) -> Result<()> {
    let is_right = (1..=DEVICE_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| is_allowed(char::from(byte)));
    if is_right { Ok(()) } else { Err(wrong(id, field)) }
}

#[cold]
#[inline(never)]
fn wrong(id: &str, field: &dyn Display) -> Error {
    if id.is_empty() {
        return Error::invalid(format!("give the id that the platform gave the device: {field} is empty"));
    }
    if let Some((position, wrong)) = id.char_indices().find(|(_, c)| !is_allowed(*c)) {
        return Error::invalid(format!(
            "use letters A-Z a-z, digits, '_' and '-' alone: {field} has '{}' at byte {position}",
            wrong.escape_debug()
        ));
    }
    Error::invalid(format!(
        "use the id that the platform gave the device, at most {DEVICE_ID_MAX} characters: {field} has {}",
        id.len()
    ))
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str) -> Result<()> {
        check_device_id(id, &"device_id")
    }

    #[test]
    fn accepts_what_the_page_allows() {
        for id in ["a", "product-1_node_2", "0", &"x".repeat(128)] {
            check(id).unwrap();
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (id, part) in [
            ("", "device_id is empty"),
            ("a b", "device_id has ' ' at byte 1"),
            ("a/../b", "'/' at byte 1"),
            ("gerät", "'ä' at byte 3"),
            ("a\r\nb", r"'\r' at byte 1"),
            (&"x".repeat(129), "device_id has 129"),
        ] {
            let message = check(id).unwrap_err().to_string();
            assert!(
                message.ends_with(part) && message.starts_with(if id.is_empty() { "give" } else { "use" }),
                "{message}"
            );
        }
    }
}
