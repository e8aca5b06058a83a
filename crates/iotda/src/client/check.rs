//! What reports would be refused for without being sent.

use super::Client;
use crate::delivery::deliver::Target;
use crate::delivery::{BatchError, batch};
use crate::error::{Error, ErrorKind, Result};
use crate::report::limits::BODY_LIMIT;
use crate::report::{Child, Service, encode, validate};

impl Client {
    /// What [`report_properties`](Self::report_properties) would refuse without sending anything: for a program that
    /// keeps reports to send them later. It contacts nobody and needs no client.
    ///
    /// ```
    /// use iotda::{Client, ErrorKind, Service};
    ///
    /// let error = Client::check_properties(&[Service::new("weather", "21.5")]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`], [`ErrorKind::TooLarge`], and [`ErrorKind::Internal`] where there is no memory.
    pub fn check_properties(services: &[Service<'_>]) -> Result<()> {
        check_size(Target::Properties, &encode::properties_body(services)?)
    }

    /// The same for [`report_properties_json`](Self::report_properties_json).
    ///
    /// ```
    /// iotda::Client::check_properties_json(r#"{"services":[{"service_id":"weather","properties":{}}]}"#)?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`check_properties`](Self::check_properties).
    pub fn check_properties_json(json: &str) -> Result<()> {
        validate::check_properties(json)?;
        check_size(Target::Properties, json.as_bytes())
    }

    /// The same for [`report_message`](Self::report_message).
    ///
    /// ```
    /// iotda::Client::check_message(b"started")?;
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`].
    pub fn check_message(data: &[u8]) -> Result<()> {
        check_size(Target::Message, data)
    }

    /// What of these children [`report_batch`](Self::report_batch) would leave out without sending anything. The error
    /// of the whole is that of the first child that is wrong.
    ///
    /// ```
    /// use iotda::{Child, Client, ErrorKind, Service};
    ///
    /// let services = [Service::new("power", r#"{"Watts":12.5}"#)];
    /// let children = [Child::new("meter 1", &services), Child::new("meter_2", &services)];
    /// let error = Client::check_batch(&children).unwrap_err();
    /// assert_eq!(error.failed().collect::<Vec<_>>(), [(0, ErrorKind::InvalidArgument)]);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`check_properties`](Self::check_properties), for each child.
    pub fn check_batch(children: &[Child<'_>]) -> Result<(), BatchError> {
        batch::check(&children)
    }

    /// The same for [`report_checked_batch`](Self::report_checked_batch).
    ///
    /// # Errors
    ///
    /// As [`check_batch`](Self::check_batch).
    pub fn check_checked_batch(children: &[Result<Child<'_>, Box<Error>>]) -> Result<(), BatchError> {
        batch::check(&children)
    }
}

/// Whether the platform takes a body of this size.
pub(crate) fn check_size(target: Target, body: &[u8]) -> Result<()> {
    if body.len() < BODY_LIMIT {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!(
            "send less at a time: {} has {} bytes, and the platform takes less than {BODY_LIMIT} (1 MB)",
            target.what(),
            body.len()
        ),
    ))
}
