//! What a program puts into an outbox: checked, encoded, and handed over as entries.

use super::Outbox;
use crate::client::{Client, check_size};
use crate::delivery::batch::{no_children, written_id};
use crate::delivery::call::{Call, CallOptions};
use crate::delivery::deliver::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::outbox::attached::{child_payload, hash, payload_of, properties_payload};
use crate::outbox::book::Entry;
use crate::outbox::frame::{LaneKey, frame_bytes, kind};
use crate::outbox::opened::Refused;
#[allow(unused_imports, reason = "for the documentation")]
use crate::outbox::options::OutboxOptions;
use crate::outbox::space::UNSYNCED_MAX;
use crate::report::calendar::LAST_MS;
use crate::report::encode::Place;
use crate::report::identifier::check_device_id;
use crate::report::limits::BODY_LIMIT;
use crate::report::{Child, Service, validate};

/// The most children of a batch that is put at once: as many numbers are reserved ahead.
const CHILDREN_MAX: usize = 10_000;

impl Outbox {
    /// Puts properties of a device; returns the entry's id. A service without an event time gets the time of the put.
    /// The device is attached.
    ///
    /// The data is checked as [`Client::report_properties`] checks it. With
    /// [`sync_within`](OutboxOptions::sync_within) it returns at once unless 256 KiB wait to be written; otherwise it
    /// blocks for as long as the storage does, up to the call's time.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let weather = Service::new("weather", r#"{"Temperature":21.5}"#);
    /// let id = outbox.put_properties(client, &[weather], Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]. [`ErrorKind::TooLarge`]: 1 MB or more, or above a quarter of
    /// [`max_bytes`](OutboxOptions::max_bytes). [`ErrorKind::Full`]. [`ErrorKind::Storage`]. [`ErrorKind::Timeout`].
    /// [`ErrorKind::Cancelled`] (before it began). [`ErrorKind::Forked`]. After an error this process does not deliver
    /// it; if the process then crashes, it may be delivered.
    pub fn put_properties(
        &self,
        device: &Client,
        services: &[Service<'_>],
        options: impl Into<CallOptions>,
    ) -> Result<u64> {
        self.putting(device, options.into(), &mut |call| {
            let now_ms = self.now_ms();
            let payload = fitting(payload_of(None, services, Place::Device, now_ms)?)?;
            self.own(device, kind::PROPERTIES, &payload, now_ms, call)
        })
    }

    /// Puts properties by a request body that the caller wrote, as [`Client::report_properties_json`] takes it.
    /// Otherwise as [`put_properties`](Self::put_properties).
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let body = r#"{"services":[{"service_id":"weather","properties":{"Temperature":21.5}}]}"#;
    /// outbox.put_properties_json(client, body, Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`put_properties`](Self::put_properties).
    pub fn put_properties_json(&self, device: &Client, json: &str, options: impl Into<CallOptions>) -> Result<u64> {
        self.putting(device, options.into(), &mut |call| {
            validate::check_properties(json)?;
            check_size(Target::Properties, json.as_bytes())?;
            let now_ms = self.now_ms();
            let payload = fitting(properties_payload(json, now_ms))?;
            self.own(device, kind::PROPERTIES, &payload, now_ms, call)
        })
    }

    /// Puts a message: any bytes, also none. Otherwise as [`put_properties`](Self::put_properties).
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// outbox.put_message(client, b"started", Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`put_properties`](Self::put_properties).
    pub fn put_message(&self, device: &Client, data: &[u8], options: impl Into<CallOptions>) -> Result<u64> {
        self.putting(device, options.into(), &mut |call| {
            check_size(Target::Message, data)?;
            self.own(device, kind::MESSAGE, data, self.now_ms(), call)
        })
    }

    /// Puts readings of children of a gateway, all or none, up to 10,000 in a call; returns the id of the first one's
    /// entry, and the others follow in order. They are delivered in batches, together with what else waits; a child
    /// that the platform does not know holds back no other.
    ///
    /// Otherwise as [`put_properties`](Self::put_properties). Above 256 KiB in all it blocks until they are written.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let services = [Service::new("power", r#"{"Watts":12.5}"#)];
    /// outbox.put_batch(client, &[Child::new("meter_0001", &services)], Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`put_properties`](Self::put_properties); a child that is wrong in itself refuses all.
    pub fn put_batch(&self, gateway: &Client, children: &[Child<'_>], options: impl Into<CallOptions>) -> Result<u64> {
        self.putting(gateway, options.into(), &mut |call| {
            check_count(children.len())?;
            let now_ms = self.now_ms();
            let mut payloads = Vec::with_capacity(children.len());
            for (index, child) in children.iter().enumerate() {
                check_device_id(child.device_id, &format_args!("children[{index}].device_id"))?;
                let payload = payload_of(Some(child.device_id), child.services, Place::Child(index), now_ms)?;
                payloads.push((hash(child.device_id), fitting(payload)?));
            }
            self.readings(gateway, &payloads, now_ms, call)
        })
    }

    /// Puts a batch by a request body that the caller wrote, as [`Client::report_batch_json`] takes it. A child that is
    /// wrong in itself refuses all. Otherwise as [`put_batch`](Self::put_batch).
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let services = r#"[{"service_id":"power","properties":{"Watts":12.5}}]"#;
    /// let body = format!(r#"{{"devices":[{{"device_id":"meter_0001","services":{services}}}]}}"#);
    /// outbox.put_batch_json(client, &body, Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`put_batch`](Self::put_batch).
    pub fn put_batch_json(&self, gateway: &Client, json: &str, options: impl Into<CallOptions>) -> Result<u64> {
        self.putting(gateway, options.into(), &mut |call| {
            let children = validate::children(json)?;
            check_count(children.len())?;
            let now_ms = self.now_ms();
            let mut payloads = Vec::with_capacity(children.len());
            for child in children {
                child.check.map_err(|error| *error)?;
                let id = written_id(child.text).unwrap_or_default();
                payloads.push((hash(id), fitting(child_payload(id, child.text, now_ms))?));
            }
            self.readings(gateway, &payloads, now_ms, call)
        })
    }

    /// What every put does first, and logs if it fails. Not generic: one copy of it does for all.
    fn putting(&self, device: &Client, options: CallOptions, put: &mut dyn FnMut(&Call) -> Result<u64>) -> Result<u64> {
        device.noting(|| put(&self.start(device.parts().0, options, true)?))
    }

    /// An entry of a device itself.
    fn own(&self, device: &Client, kind: u8, payload: &[u8], now_ms: i64, call: &Call) -> Result<u64> {
        let (session, device) = device.parts();
        let own = self.attached(session, device)?;
        let lane = LaneKey { sender: own, reported: own };
        self.put(&[Entry { lane, kind, payload }], now_ms, call)
    }

    fn readings(&self, gateway: &Client, payloads: &[(u64, Vec<u8>)], now_ms: i64, call: &Call) -> Result<u64> {
        let (session, device) = gateway.parts();
        let sender = self.attached(session, device)?;
        let entries: Vec<_> = payloads
            .iter()
            .map(|(reported, payload)| Entry {
                lane: LaneKey { sender, reported: *reported },
                kind: kind::CHILD,
                payload,
            })
            .collect();
        self.put(&entries, now_ms, call)
    }

    fn put(&self, entries: &[Entry<'_>], now_ms: i64, call: &Call) -> Result<u64> {
        let bytes: u64 = entries.iter().map(|entry| frame_bytes(entry.payload.len()) as u64).sum();
        if bytes > self.most {
            return Err(Refused::TooLarge(self.most).into());
        }
        let first = self.opened.put(entries, now_ms, call.deadline)?;
        if bytes > UNSYNCED_MAX && !self.sync_at_put {
            // More than may wait in memory. If it cannot be written now it is kept there: that is what the put says, and
            // the next one reports the failure.
            let _ = self.opened.sync(call.deadline);
        }
        Ok(first)
    }

    fn now_ms(&self) -> i64 {
        self.session.clock.unix_ms().clamp(0, LAST_MS)
    }
}

/// A payload that the platform takes once its times are in it.
pub(super) fn fitting(payload: Option<Vec<u8>>) -> Result<Vec<u8>> {
    payload.filter(|payload| payload.len() < BODY_LIMIT - 256).ok_or_else(|| {
        Error::new(
            ErrorKind::TooLarge,
            "send less at a time: a report with its event times has 1 MB or more, or more than 65,535 services",
        )
    })
}

fn check_count(children: usize) -> Result<()> {
    match children {
        0 => Err(no_children()),
        1..=CHILDREN_MAX => Ok(()),
        _ => Err(Error::new(
            ErrorKind::TooLarge,
            format!("put less at a time: the batch has {children} children, and an outbox takes {CHILDREN_MAX}"),
        )),
    }
}
