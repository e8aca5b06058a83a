//! The first step: which of the four calls a request is. What it may do is left to the later ones.

use crate::journal::ReportKind;
use crate::refusal::Refusal;
use crate::registry::is_device_id;
use crate::request::{Request, Version};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Authentication,
    /// A report, and the device of its path: for a batch, the gateway.
    Report {
        kind: ReportKind,
        device_id: String,
    },
}

pub(super) fn route(request: &Request) -> Result<Route, Refusal> {
    if let Some(objection) = request.objection {
        return Err(Refusal::invalid_input(objection));
    }
    check_expect(request)?;
    let (kind, device_id) = find(&request.path).ok_or_else(|| Refusal::no_such_path(&request.path))?;
    if request.method != "POST" {
        return Err(Refusal::wrong_method(&request.method));
    }
    check_host(request)?;
    if request.query.is_some() {
        return Err(Refusal::invalid_input("the path is followed by a query: none is documented"));
    }
    let Some(kind) = kind else { return Ok(Route::Authentication) };
    if !is_device_id(device_id) {
        let reason = format!(
            "the path's device ID {device_id:?} is none: it takes 1 to 128 letters, digits, underscores and hyphens"
        );
        return Err(Refusal::invalid_input(reason));
    }
    Ok(Route::Report { kind, device_id: device_id.to_owned() })
}

/// The kind of report and the device of a path; no kind for the authentication.
pub(super) fn find(path: &str) -> Option<(Option<ReportKind>, &str)> {
    if path == "/v5/device-auth" {
        return Some((None, ""));
    }
    let (device_id, call) = path.strip_prefix("/v5/devices/")?.split_once('/')?;
    let kind = match call {
        "sys/messages/up" => ReportKind::Message,
        "sys/properties/report" => ReportKind::Properties,
        "sys/gateway/sub-devices/properties/report" => ReportKind::Batch,
        _ => return None,
    };
    Some((Some(kind), device_id))
}

/// HTTP/1.1 demands one `Host` header, and a 400 where it is missing (RFC 9112 section 3.2).
fn check_host(request: &Request) -> Result<(), Refusal> {
    let host = request.headers.single("host").map_err(Refusal::invalid_input)?;
    match (request.version, host) {
        (Version::Http11, None) => Err(Refusal::invalid_input("the header Host is missing: HTTP/1.1 demands it")),
        _ => Ok(()),
    }
}

/// HTTP knows one expectation (RFC 9110 section 10.1.1).
fn check_expect(request: &Request) -> Result<(), Refusal> {
    match request.headers.all("expect").find(|value| !value.eq_ignore_ascii_case("100-continue")) {
        None => Ok(()),
        Some(value) => Err(Refusal::expectation_failed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Body, Headers};

    fn request(method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: path.to_owned(),
            path: path.to_owned(),
            query: None,
            version: Version::Http11,
            headers: Headers(vec![("host".to_owned(), "localhost".to_owned())]),
            body: Body::Complete(Vec::new()),
            connection: 1,
            objection: None,
        }
    }

    fn status(request: &Request) -> u16 {
        route(request).expect_err("a refusal").status
    }

    #[test]
    fn the_four_calls() {
        assert_eq!(route(&request("POST", "/v5/device-auth")), Ok(Route::Authentication));
        for (path, kind) in [
            ("/v5/devices/d-1_A/sys/messages/up", ReportKind::Message),
            ("/v5/devices/d-1_A/sys/properties/report", ReportKind::Properties),
            ("/v5/devices/d-1_A/sys/gateway/sub-devices/properties/report", ReportKind::Batch),
        ] {
            let device_id = "d-1_A".to_owned();
            assert_eq!(route(&request("POST", path)), Ok(Route::Report { kind, device_id }), "{path}");
        }
    }

    #[test]
    fn other_paths() {
        for path in [
            "/",
            "*",
            "",
            "/v5/device-auth/",
            "/V5/device-auth",
            "//v5/device-auth",
            "/v5/devices/d/sys/messages/up/",
            "/v5/devices/d/e/sys/messages/up",
            "/v5/devices/d/sys/gateway/sub_devices/properties/report",
            "/v5/devices/sys/properties/report",
        ] {
            assert_eq!(status(&request("POST", path)), 404, "{path}");
        }
    }

    #[test]
    fn other_methods() {
        for method in ["GET", "PUT", "HEAD", "OPTIONS", "post", "PROPFIND"] {
            let refusal = route(&request(method, "/v5/device-auth")).expect_err("a refusal");
            assert_eq!((refusal.status, refusal.allow), (405, Some("POST")), "{method}");
        }
    }

    #[test]
    fn device_ids_that_are_none() {
        for id in ["", "a%20b", "a.b", &"x".repeat(129)] {
            assert_eq!(status(&request("POST", &format!("/v5/devices/{id}/sys/messages/up"))), 400, "{id}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_head_goes_before_all_else() {
        let mut bent = request("GET", "/nothing");
        bent.objection = Some("bent");
        let refusal = route(&bent).expect_err("a refusal");
        assert_eq!((refusal.status, refusal.reason.as_str()), (400, "bent"));
    }

    #[test]
    fn expectations() {
        for (value, expected) in [("100-continue", None), ("100-Continue", None), ("nonsense", Some(417))] {
            let mut expecting = request("POST", "/v5/device-auth");
            expecting.headers.0.push(("expect".to_owned(), value.to_owned()));
            assert_eq!(route(&expecting).err().map(|refusal| refusal.status), expected, "{value}");
        }
    }

    #[test]
    fn a_query_is_refused() {
        let mut with_query = request("POST", "/v5/device-auth");
        with_query.query = Some(String::new());
        assert_eq!(status(&with_query), 400);
    }

    #[test]
    fn http_1_1_needs_one_host() {
        let mut without = request("POST", "/v5/device-auth");
        without.headers = Headers::default();
        assert_eq!(status(&without), 400);
        without.version = Version::Http10;
        assert_eq!(route(&without), Ok(Route::Authentication));
        let mut twice = request("POST", "/v5/device-auth");
        twice.headers.0.push(("Host".to_owned(), "other".to_owned()));
        assert_eq!(status(&twice), 400);
    }
}
