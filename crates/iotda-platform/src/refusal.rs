//! The answers other than 200: status, error code and text of each, as the page's error tables have them. Which of
//! them fits a request is for the steps of `pipeline` to say.

use serde::Serialize;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    /// The text of the page's table: what a device gets to see.
    pub(crate) text: String,
    /// What exactly is wrong, for the person who writes the client. It is recorded and never sent: the platform does
    /// not say it either.
    pub(crate) reason: String,
    /// The `Allow` header of a 405.
    pub(crate) allow: Option<&'static str>,
}

/// The body of an answer that is not 200.
#[derive(Serialize)]
struct Body<'a> {
    error_code: &'a str,
    error_msg: &'a str,
}

impl Refusal {
    fn new(status: u16, code: &'static str, text: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { status, code, text: text.into(), reason: reason.into(), allow: None }
    }

    pub(crate) fn invalid_input(reason: impl Into<String>) -> Self {
        Self::new(400, "IOTDA.000006", "Invalid input data.", reason)
    }

    /// The page says nothing about expectations. The status is HTTP's, the code that of invalid input.
    pub(crate) fn expectation_failed(value: &str) -> Self {
        let reason = format!("the header Expect is {value:?}: there is 100-continue alone");
        Self::new(417, "IOTDA.000006", "Invalid input data.", reason)
    }

    pub(crate) fn foreign_children(reason: impl Into<String>) -> Self {
        let text = "Subdevices in the request does not exist or does not belong to the gateway.";
        Self::new(400, "IOTDA.021104", text, reason)
    }

    pub(crate) fn authentication_failed(reason: impl Into<String>) -> Self {
        Self::new(401, "IOTDA.000002", "Authentication failed.", reason)
    }

    pub(crate) fn invalid_token(reason: impl Into<String>) -> Self {
        Self::new(403, "IOTDA.000004", "Invalid access token.", reason)
    }

    pub(crate) fn device_rate(reason: impl Into<String>) -> Self {
        Self::new(403, "IOTDA.021101", "Request reached the maximum rate limit.", reason)
    }

    pub(crate) fn tenant_rate(limit: u32) -> Self {
        let text = format!("The request rate has reached the upper limit of the tenant, limit {limit}.");
        Self::new(403, "IOTDA.021102", text, format!("the tenant's limit is {limit} per second"))
    }

    pub(crate) fn too_many_children(given: usize, limit: usize) -> Self {
        let text = format!("The number of child devices in the request has reached the upper limit ({limit}).");
        Self::new(403, "IOTDA.021103", text, format!("{given} child devices, at most {limit} are allowed"))
    }

    pub(crate) fn too_large(reason: impl Into<String>) -> Self {
        let text = "The content reported in a single request cannot exceed 1 MB.";
        Self::new(403, "IOTDA.021105", text, reason)
    }

    /// The page says nothing about paths that it does not list. The status is HTTP's; the code is our choice, one that
    /// the vendor documents elsewhere for requests that cannot be understood.
    pub(crate) fn no_such_path(path: &str) -> Self {
        let text = "Invalid input. Bad request, for more detail, refer to the error message.";
        Self::new(404, "IOTDA.000008", text, format!("{path:?} is none of the platform's paths"))
    }

    /// As [`Refusal::no_such_path`], for a path that the page lists with POST alone.
    pub(crate) fn wrong_method(method: &str) -> Self {
        let text = "Invalid input. Bad request, for more detail, refer to the error message.";
        let reason = format!("the method is {method}, the path takes POST alone");
        Self { allow: Some("POST"), ..Self::new(405, "IOTDA.000008", text, reason) }
    }

    /// The stand-in itself failed. The code is our choice.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::new(500, "IOTDA.000001", "Internal server error.", reason)
    }

    /// The refusal of a documented code, with the limits of the page in its text.
    pub(crate) fn documented(code: &str) -> Option<Self> {
        let every = [
            Self::invalid_input(""),
            Self::foreign_children(""),
            Self::authentication_failed(""),
            Self::invalid_token(""),
            Self::device_rate(""),
            Self::tenant_rate(10),
            Self::too_many_children(51, 50),
            Self::too_large(""),
        ];
        every.into_iter().find(|refusal| refusal.code == code)
    }

    /// The JSON body that goes with it.
    pub(crate) fn body(&self) -> Vec<u8> {
        Self::body_of(self.code, &self.text)
    }

    /// The JSON body of a code and a text.
    pub(crate) fn body_of(code: &str, text: &str) -> Vec<u8> {
        serde_json::to_vec(&Body { error_code: code, error_msg: text })
            .expect("two strings can always be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_documented_form() {
        let refusal = Refusal::invalid_input("why");
        assert_eq!(refusal.body(), br#"{"error_code":"IOTDA.000006","error_msg":"Invalid input data."}"#);
    }

    #[test]
    fn limits_are_named_in_the_texts() {
        assert!(Refusal::tenant_rate(10).text.ends_with("upper limit of the tenant, limit 10."));
        assert!(Refusal::too_many_children(51, 50).text.ends_with("upper limit (50)."));
    }
}
