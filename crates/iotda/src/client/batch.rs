//! A gateway's reports for its child devices.

use super::Client;
use crate::delivery::call::{CallOptions, Delivery};
use crate::delivery::{BatchError, batch};
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::report::Child;

impl Client {
    /// Reports properties of child devices of this gateway, any number in one call.
    ///
    /// No child holds back another. One that is wrong in itself ([`ErrorKind::InvalidArgument`]), whose
    /// own data passes 1 MB ([`ErrorKind::TooLarge`]), that the platform does not know
    /// ([`ErrorKind::UnknownChild`]) or whose data it refuses ([`ErrorKind::Rejected`]) is left out; the
    /// others are delivered, and the error says of each what became of it. Finding the children that the
    /// platform refuses takes at most about two requests for each. Any other failure, after its retries,
    /// ends the batch: children that were not sent by then have the kind of that failure.
    ///
    /// A child that the platform does not know is remembered for ten minutes (up to 1,024 of them in each
    /// client) and left out without a request in that time. Then it is sent again, after the others.
    ///
    /// The kind of the whole: [`ErrorKind::Partial`] if any child was delivered; otherwise the kind of the
    /// children's failures, and where they differ the one for which the data is to be kept: a failure that
    /// passes with time before one that says nothing about the children, and this before `UnknownChild`,
    /// `Rejected`, `TooLarge` and `InvalidArgument`.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let services = [Service::new("power", r#"{"Watts":12.5}"#)];
    /// let children = [Child::new("meter_0001", &services), Child::new("meter_0002", &services)];
    /// if let Err(error) = client.report_batch(&children, Duration::from_secs(30)) {
    ///     for (index, kind) in error.failed() {
    ///         let is_kept = kind.is_transient();
    ///         eprintln!("{}: {kind:?}, kept: {is_kept}", children[index].device_id);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One or more children were not delivered: the kind of the whole as above, and [`BatchError::children`] says of
    /// each why. Otherwise as [`report_properties`](Self::report_properties); then all children have the kind of the
    /// whole.
    pub fn report_batch(
        &self,
        children: &[Child<'_>],
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::typed(&self.session, &self.device, children, options.into()))
    }

    /// Reports a batch by a request body that the caller wrote, `{"devices":[…]}`, with any number of
    /// children. It is checked; a body that fits into one request is sent as it is.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.report_batch_json(
    ///     r#"{"devices":[{"device_id":"meter_0001","services":[{"service_id":"power","properties":{"Watts":12.5}}]}]}"#,
    ///     Duration::from_secs(30),
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`report_batch`](Self::report_batch). A body that is no batch has no children:
    /// [`ErrorKind::InvalidArgument`].
    pub fn report_batch_json(&self, json: &str, options: impl Into<CallOptions>) -> Result<Delivery, BatchError> {
        self.report_batch_json_if(json, |_| Ok(()), options)
    }

    /// As [`report_batch`](Self::report_batch), for children of which some were found wrong while they were made: such
    /// a child fails with the kind of its error, and the others are sent.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// let services = [Service::new("power", r#"{"Watts":12.5}"#)];
    /// let unreadable = Box::new(iotda::Error::invalid_argument("no value of meter_0002 could be read"));
    /// let children = [Ok(Child::new("meter_0001", &services)), Err(unreadable)];
    /// client.report_checked_batch(&children, Duration::from_secs(30))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`report_batch`](Self::report_batch).
    pub fn report_checked_batch(
        &self,
        children: &[Result<Child<'_>, Box<Error>>],
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::checked(&self.session, &self.device, children, options.into()))
    }

    /// As [`report_batch_json`](Self::report_batch_json). `accept` is given the number of children before anything is
    /// sent; its error refuses all, for example for lack of room for so many statuses.
    ///
    /// # Errors
    ///
    /// As [`report_batch_json`](Self::report_batch_json), and that of `accept`.
    pub fn report_batch_json_if(
        &self,
        json: &str,
        accept: impl FnOnce(usize) -> Result<()>,
        options: impl Into<CallOptions>,
    ) -> Result<Delivery, BatchError> {
        self.note(batch::document(&self.session, &self.device, json, accept, options.into()))
    }

    fn note(&self, result: Result<Delivery, BatchError>) -> Result<Delivery, BatchError> {
        result.inspect_err(|error| self.failed(error.error()))
    }
}
