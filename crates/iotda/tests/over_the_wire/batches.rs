//! A gateway's batches.

use iotda::{BatchError, CallOptions, Child, Delivery, ErrorKind, Service};
use iotda_platform::{Device, Platform, ReportKind};

use crate::device::{ID, authentications, client, platform, registry, reports};

const OPTIONS: CallOptions = CallOptions::new();

/// `ids` with a property each of `size` bytes.
struct Children {
    ids: Vec<String>,
    properties: String,
}

impl Children {
    fn new(count: usize, size: usize) -> Self {
        Children {
            ids: (0..count).map(|n| format!("child_{n:04}")).collect(),
            properties: format!(r#"{{"t":"{}"}}"#, "x".repeat(size)),
        }
    }

    fn report(&self, client: &iotda::Client) -> Result<Delivery, BatchError> {
        let service = [Service::new("s", &self.properties)];
        let children: Vec<_> = self.ids.iter().map(|id| Child::new(id, &service)).collect();
        client.report_batch(&children, OPTIONS)
    }
}

/// The number of children in each request, as the stand-in's record of the body shows.
fn sizes(platform: &Platform) -> Vec<usize> {
    let count = |body: &[u8]| String::from_utf8_lossy(body).matches("\"device_id\"").count();
    reports(platform).iter().map(|request| count(&request.body)).collect()
}

#[test]
fn the_body_is_the_pages() {
    let platform = platform();
    let speed = [Service::new("serviceId", r#"{"Height":124,"Speed":23.24}"#).event_time_ms(1_628_849_410_555)];
    let children = ["deviceId_0001", "deviceId_0002"].map(|device_id| Child::new(device_id, &speed));
    let report = client(&platform).report_batch(&children, OPTIONS);
    assert_eq!(report.unwrap().attempts, 1);
    let request = &reports(&platform)[0];
    assert_eq!(request.target, format!("/v5/devices/{ID}/sys/gateway/sub-devices/properties/report"));
    let service = r#"[{"service_id":"serviceId","properties":{"Height":124,"Speed":23.24},"event_time":"2021-08-13T10:10:10.555Z"}]"#;
    assert_eq!(
        String::from_utf8(request.body.clone()).unwrap(),
        format!(
            r#"{{"devices":[{{"device_id":"deviceId_0001","services":{service}}},{{"device_id":"deviceId_0002","services":{service}}}]}}"#
        )
    );
    assert!(platform.reports().iter().all(|report| report.kind == ReportKind::Batch && report.reporter == ID));
}

#[test]
fn a_hundred_and_twenty_children_are_three_requests_in_order() {
    let platform = platform();
    let children = Children::new(120, 10);
    let report = children.report(&client(&platform));
    assert_eq!(report.unwrap().attempts, 3);
    assert_eq!(sizes(&platform), [50, 50, 20]);
    let arrived: Vec<_> = platform.reports().into_iter().map(|report| report.device_id).collect();
    assert_eq!(arrived, children.ids);
    assert_eq!(authentications(&platform), 1);
}

#[test]
fn large_children_are_cut_by_bytes() {
    let platform = platform();
    let report = Children::new(5, 400_000).report(&client(&platform));
    report.unwrap();
    assert_eq!(sizes(&platform), [2, 2, 1]);
    assert!(reports(&platform).iter().all(|request| request.body.len() <= 1_000_000));
}

#[test]
fn a_child_over_the_limit_fails_alone_and_before_anything_is_sent() {
    let platform = platform();
    let huge = format!(r#"{{"t":"{}"}}"#, "x".repeat(1_048_576));
    let small = [Service::new("s", "{}")];
    let large = [Service::new("s", &huge)];
    let children =
        [("a", &small), ("b", &large), ("c", &small)].map(|(device_id, services)| Child::new(device_id, services));
    let report = client(&platform).report_batch(&children, OPTIONS).unwrap_err();
    assert_eq!(report.children(), [Ok(()), Err(ErrorKind::TooLarge), Ok(())]);
    assert_eq!(report.failed().collect::<Vec<_>>(), [(1, ErrorKind::TooLarge)]);
    let error = report.error();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Partial, 1));
    assert!(error.message().starts_with("send less at a time for children[1] \"b\", "), "{error}");
    let only = client(&platform).report_batch(&children[1..2], OPTIONS);
    assert_eq!(only.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(sizes(&platform), [2]);
}

#[test]
fn wrong_children_fail_alone_and_before_anything_is_sent() {
    let platform = platform();
    let fine = [Service::new("s", "{}")];
    let children = [Child::new("a", &fine), Child::new("b", &[])];
    let report = client(&platform).report_batch(&children, OPTIONS).unwrap_err();
    assert_eq!(report.children(), [Ok(()), Err(ErrorKind::InvalidArgument)]);
    let error = report.error();
    assert_eq!((error.kind(), error.attempts(), error.http_status()), (ErrorKind::Partial, 1, Some(200)));
    assert!(error.message().contains("children[1].services is empty"), "{error}");
    assert!(error.message().ends_with("1 of 2 child devices were not delivered"), "{error}");
    platform.clear_records();
    let all = client(&platform).report_batch(&children[1..], OPTIONS).unwrap_err();
    assert_eq!(all.children(), [Err(ErrorKind::InvalidArgument)]);
    assert_eq!(all.kind(), ErrorKind::InvalidArgument);
    let none = client(&platform).report_batch(&[], OPTIONS);
    assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(platform.requests().len(), 0);
}

/// A gateway that owns `count` children, but for those in `foreign`.
fn with_foreign(count: usize, foreign: &[usize]) -> Platform {
    let mut registry = registry();
    registry.add_device(Device::new("owner").with_secret("s")).unwrap();
    for n in (0..count).filter(|n| !foreign.contains(n)) {
        registry.add_device(Device::new(format!("child_{n:04}")).with_gateway("owner")).unwrap();
    }
    Platform::builder().registry(registry).start().unwrap()
}

#[test]
fn foreign_children_are_found_and_all_others_delivered_once() {
    let foreign = [3, 77, 480];
    let platform = with_foreign(500, &foreign);
    let children = Children::new(500, 10);
    let report = children.report(&client(&platform).open_device("owner", b"s").unwrap()).unwrap_err();
    for (index, outcome) in report.children().iter().enumerate() {
        let expected = if foreign.contains(&index) { Err(ErrorKind::UnknownChild) } else { Ok(()) };
        assert_eq!(*outcome, expected, "child {index}");
    }
    let error = iotda::Error::from(report);
    assert_eq!(error.kind(), ErrorKind::Partial);
    assert_eq!((error.http_status(), error.platform_code()), (Some(400), Some("IOTDA.021104")));
    assert!(error.message().contains("3 of 500") && error.message().contains("children[3] \"child_0003\""), "{error}");
    let mut arrived: Vec<_> = platform.reports().into_iter().map(|report| report.device_id).collect();
    assert_eq!(arrived.len(), 497);
    arrived.dedup();
    assert_eq!(arrived.len(), 497);
    assert!(reports(&platform).len() <= 10 + 3 * 8, "{} requests", reports(&platform).len());
}

#[test]
fn a_single_foreign_child_is_unknown_and_not_partial() {
    let platform = with_foreign(1, &[0]);
    let report = Children::new(1, 10).report(&client(&platform).open_device("owner", b"s").unwrap());
    assert_eq!(report.unwrap_err().kind(), ErrorKind::UnknownChild);
    assert_eq!(reports(&platform).len(), 1);
}

#[test]
fn a_smaller_limit_of_the_platform_is_learnt() {
    let platform = platform();
    platform.registry().limits_mut().children_per_batch = 20;
    let report = Children::new(100, 10).report(&client(&platform));
    report.unwrap();
    assert_eq!(sizes(&platform), [50, 20, 20, 20, 20, 20]);
    assert_eq!(platform.reports().len(), 100);
}

#[test]
fn a_batch_that_the_caller_wrote_is_sent_as_it_is_or_divided() {
    let platform = platform();
    let client = client(&platform);
    let child = |n: usize| {
        format!(
            "{{ \"services\":[{{\"service_id\":\"s\", \"properties\":{{\"n\":{n}.0}}}}],\n \"device_id\" : \"c{n}\" }}"
        )
    };
    let document =
        |count: usize| format!("{{\n\"devices\" : [ {} ]\n}}", (0..count).map(child).collect::<Vec<_>>().join(" , "));
    client.report_batch_json(&document(50), OPTIONS).unwrap();
    assert_eq!(reports(&platform)[0].body, document(50).as_bytes());
    platform.clear_records();
    client.report_batch_json(&document(51), OPTIONS).unwrap();
    assert_eq!(sizes(&platform), [50, 1]);
    let last = format!("{{\"devices\":[{}]}}", child(50));
    assert_eq!(String::from_utf8_lossy(&reports(&platform)[1].body), last);
    let error = client.report_batch_json(r#"{"devices":[]}"#, OPTIONS).unwrap_err();
    assert!(error.children().is_empty());
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn an_expired_token_in_the_middle_of_a_batch_is_replaced() {
    let platform = platform();
    let client = client(&platform);
    client.authenticate(OPTIONS).unwrap();
    platform.expire_tokens();
    let report = Children::new(120, 10).report(&client);
    assert_eq!(report.unwrap().attempts, 4);
    assert_eq!(platform.reports().len(), 120);
    assert_eq!(authentications(&platform), 2);
}

#[test]
fn a_failure_on_the_way_tells_what_arrived() {
    let platform = platform();
    let client = client(&platform);
    client.authenticate(OPTIONS).unwrap();
    platform.stop_clock();
    platform.set_device_rate(ID, Some(2)).unwrap();
    let report = Children::new(120, 10).report(&client).unwrap_err();
    let error = report.error();
    assert_eq!((error.kind(), error.platform_code()), (ErrorKind::Partial, Some("IOTDA.021101")));
    let delivered = report.children().iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(delivered, platform.reports().len());
    assert!(report.children()[delivered..].iter().all(|outcome| *outcome == Err(ErrorKind::RateLimited)));
    assert_eq!(authentications(&platform), 1);
}
