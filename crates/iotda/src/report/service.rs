//! What a caller fills in: the properties of a service, and the services of a child device. They are checked and written
//! by [`crate::report::encode`].

use std::borrow::Cow;
use std::time::SystemTime;

use crate::report::calendar;
use crate::report::properties::Properties;

/// The properties of one service of a device.
///
/// ```
/// use iotda::{Properties, Service};
/// use std::time::SystemTime;
///
/// let written = Service::new("weather", r#"{"Temperature":21.5}"#).event_time(SystemTime::now());
///
/// let mut properties = Properties::new();
/// properties.double("Temperature", 21.5)?.boolean("Raining", false)?;
/// let built = Service::new("weather", &properties).event_time_ms(1_760_000_000_000);
/// assert_eq!(built.properties, r#"{"Temperature":21.5,"Raining":false}"#);
/// # assert_ne!(written, built);
/// # Ok::<(), iotda::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service<'a> {
    /// The service's id in the product model; not empty.
    pub service_id: &'a str,
    /// A JSON object, nested at most 128 levels deep, passed to the platform byte for byte.
    /// [`Properties`] builds one.
    pub properties: Cow<'a, str>,
    /// When the values were measured, in Unix milliseconds (UTC), years 2000 to 9999. `None`: the
    /// platform takes the time at which it receives the report. What looks like another unit, or like a clock that
    /// was never set, is refused.
    pub event_time_ms: Option<i64>,
}

impl<'a> Service<'a> {
    /// A service with its properties, a JSON object: as text, or as [`Properties`]. They are checked when they are
    /// reported.
    pub fn new(service_id: &'a str, properties: impl Into<Cow<'a, str>>) -> Self {
        Service { service_id, properties: properties.into(), event_time_ms: None }
    }

    /// When the values were measured. Milliseconds of it are reported; a time outside of the years 2000 to 9999 is refused
    /// then.
    #[must_use]
    pub fn event_time(self, time: SystemTime) -> Self {
        self.event_time_ms(calendar::unix_ms(time))
    }

    /// The same in Unix milliseconds, UTC.
    #[must_use]
    pub fn event_time_ms(self, unix_ms: i64) -> Self {
        Service { event_time_ms: Some(unix_ms), ..self }
    }
}

impl<'a> From<&'a Properties> for Cow<'a, str> {
    fn from(properties: &'a Properties) -> Self {
        Cow::Borrowed(properties.as_json())
    }
}

impl From<Properties> for Cow<'_, str> {
    fn from(properties: Properties) -> Self {
        Cow::Owned(properties.into_json())
    }
}

/// What a gateway reports for one of its child devices.
///
/// ```
/// use iotda::{Child, Service};
///
/// let services = [Service::new("power", r#"{"Watts":12.5}"#)];
/// let children = [Child::new("meter_0001", &services)];
/// # assert!(iotda::Client::check_batch(&children).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Child<'a> {
    /// The child's device id.
    pub device_id: &'a str,
    /// Not empty.
    pub services: &'a [Service<'a>],
}

impl<'a> Child<'a> {
    /// A child with its services, at least one. They are checked when they are reported.
    pub fn new(device_id: &'a str, services: &'a [Service<'a>]) -> Self {
        Child { device_id, services }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn properties_are_borrowed_or_moved() {
        let mut properties = Properties::new();
        assert_eq!(Service::new("s", properties.clone()).properties, "{}");
        properties.integer("a", 1).unwrap();
        let borrowed = Service::new("s", &properties);
        assert!(matches!(borrowed.properties, Cow::Borrowed(r#"{"a":1}"#)));
        let text = properties.as_json().to_owned();
        assert_eq!(Service::new("s", properties), Service::new("s", text));
    }

    #[test]
    fn a_system_time_is_the_same_as_its_milliseconds() {
        let service = Service::new("s", "{}");
        for (time, unix_ms) in [
            (UNIX_EPOCH + Duration::from_nanos(1_628_849_410_555_999_999), 1_628_849_410_555),
            (UNIX_EPOCH, 0),
            (UNIX_EPOCH - Duration::from_millis(1), -1),
            (UNIX_EPOCH - Duration::from_nanos(1), -1),
            (UNIX_EPOCH + Duration::from_secs(u64::MAX / 2), i64::MAX),
        ] {
            assert_eq!(service.clone().event_time(time).event_time_ms, Some(unix_ms), "{time:?}");
        }
    }
}
