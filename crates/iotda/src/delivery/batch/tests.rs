//! Which children of a batch are sent, and how the ones that are not are named.

use super::*;
use crate::delivery::fixtures::{answer, authenticated, device, recording};
use crate::report::Service;

/// The body of a batch for these children, each with the same reading.
fn body(ids: &[&str]) -> String {
    let child = |id| format!(r#"{{"device_id":"{id}","services":[{{"service_id":"s","properties":{{"v":1}}}}]}}"#);
    format!(r#"{{"devices":[{}]}}"#, ids.iter().map(child).collect::<Vec<_>>().join(","))
}

/// Children that were found wrong while they were made fail with their own error, and the others go.
#[test]
fn children_that_were_wrong_from_the_start_are_left_out() {
    let (session, bodies) = recording();
    let services = [Service::new("s", r#"{"v":1}"#)];
    let unreadable = || Box::new(Error::new(ErrorKind::Rejected, "no value of it could be read"));
    let good = |id| Ok(Child::new(id, &services));
    let children = [good("first"), Err(unreadable()), good("not an id"), good("last")];
    let error = checked(&session, &device(), &children, CallOptions::default()).unwrap_err();
    let failed = [(1, ErrorKind::Rejected), (2, ErrorKind::InvalidArgument)];
    assert_eq!((error.kind(), error.failed().collect::<Vec<_>>()), (ErrorKind::Partial, failed.to_vec()));
    assert_eq!(*bodies.lock().unwrap(), [body(&["first", "last"])]);
    // The same without being sent; the failure of the whole is that of the first.
    let error = crate::Client::check_checked_batch(&children).unwrap_err();
    assert_eq!((error.kind(), error.failed().collect::<Vec<_>>()), (ErrorKind::Rejected, failed.to_vec()));
    crate::Client::check_checked_batch(&[good("a"), good("b")]).unwrap();
    // None that is right: nothing is sent; all right: all go.
    let error = checked(&session, &device(), &[Err(unreadable())], CallOptions::default()).unwrap_err();
    assert_eq!((error.kind(), bodies.lock().unwrap().len()), (ErrorKind::Rejected, 1));
    let delivery = checked(&session, &device(), &[good("a"), good("b")], CallOptions::default()).unwrap();
    assert_eq!((delivery.attempts, delivery.http_status), (1, 200));
    assert_eq!(bodies.lock().unwrap()[1], body(&["a", "b"]));
}

#[test]
fn an_error_of_a_batch_reads_as_that_of_the_whole() {
    let whole = Error::new(ErrorKind::Partial, "one of two children was not delivered");
    let error = BatchError::new(whole.clone(), vec![Ok(()), Err(ErrorKind::Rejected)]);
    assert_eq!(error.to_string(), whole.to_string());
    assert_eq!(Error::from(error).kind(), ErrorKind::Partial);
}

#[test]
fn a_child_that_the_platform_refuses_is_named_by_its_id() {
    let session = authenticated(|_, _| answer(400, r#"{"error_code":"IOTDA.000006"}"#));
    let services = [Service::new("s", r#"{"v":1}"#)];
    let good = |id| Ok(Child::new(id, &services));
    let wrong = Err(Box::new(Error::invalid("services is empty")));
    let error = checked(&session, &device(), &[wrong, good("meter_0001")], CallOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().contains("children[1] \"meter_0001\""), "{error}");
}

#[test]
fn of_a_document_what_is_wrong_in_itself_is_left_out() {
    let (session, bodies) = recording();
    let text = body(&["first", "not an id", "last"]);
    let error = document(&session, &device(), &text, |_| Ok(()), CallOptions::default()).unwrap_err();
    assert_eq!(error.failed().collect::<Vec<_>>(), [(1, ErrorKind::InvalidArgument)]);
    assert_eq!(*bodies.lock().unwrap(), [body(&["first", "last"])]);
}
