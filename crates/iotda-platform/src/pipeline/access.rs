//! The steps that stand between a report and the platform: who sends it (authenticate), and may that device report
//! under this path (authorise).

use crate::refusal::Refusal;
use crate::request::Headers;
use crate::tokens::Tokens;

/// Whether the request's access token is valid, and the device's whose path it is.
pub(super) fn check(headers: &Headers, tokens: &Tokens, device_id: &str, now_ms: i64) -> Result<(), Refusal> {
    let holder = authenticate(headers, tokens, now_ms)?;
    authorise(holder, device_id)
}

/// The device to which the request's access token was issued.
fn authenticate<'a>(headers: &Headers, tokens: &'a Tokens, now_ms: i64) -> Result<&'a str, Refusal> {
    let token = headers.single("access_token").map_err(Refusal::invalid_token)?.ok_or_else(|| {
        Refusal::invalid_token("the header access_token is missing; proxies may drop it, as its name has an underscore")
    })?;
    if !(1..=256).contains(&token.len()) {
        return Err(Refusal::invalid_token("the access token has not 1 to 256 characters"));
    }
    tokens.holder(token, now_ms).ok_or_else(|| {
        Refusal::invalid_token("the access token was never issued, has expired, or was followed by a newer one")
    })
}

/// A token is good for the device that it was issued to.
fn authorise(holder: &str, device_id: &str) -> Result<(), Refusal> {
    if holder == device_id {
        return Ok(());
    }
    Err(Refusal::invalid_token(format!("the access token is device {holder:?}'s, the path is {device_id:?}'s")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names_and_values: &[(&str, &str)]) -> Headers {
        Headers(names_and_values.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn tokens() -> Tokens {
        let mut tokens = Tokens::default();
        tokens.issue("good".to_owned(), "device", 1_000, 0);
        tokens
    }

    fn refused(headers: &Headers, device_id: &str, now_ms: i64) -> (u16, &'static str) {
        let refusal = check(headers, &tokens(), device_id, now_ms).expect_err("a refusal");
        (refusal.status, refusal.code)
    }

    #[test]
    fn a_valid_token_of_the_device() {
        assert_eq!(check(&headers(&[("Access_Token", "good")]), &tokens(), "device", 999), Ok(()));
    }

    #[test]
    fn every_other_token_is_invalid() {
        let invalid = (403, "IOTDA.000004");
        let good = headers(&[("access_token", "good")]);
        assert_eq!(refused(&headers(&[]), "device", 0), invalid);
        assert_eq!(refused(&headers(&[("access-token", "good")]), "device", 0), invalid);
        assert_eq!(refused(&headers(&[("access_token", "")]), "device", 0), invalid);
        assert_eq!(refused(&headers(&[("access_token", "wrong")]), "device", 0), invalid);
        assert_eq!(refused(&headers(&[("access_token", &"x".repeat(257))]), "device", 0), invalid);
        assert_eq!(refused(&headers(&[("access_token", "good"), ("access_token", "good")]), "device", 0), invalid);
        assert_eq!(refused(&good, "device", 1_000), invalid);
        assert_eq!(refused(&good, "another", 0), invalid);
    }
}
