//! Who a device is, and how it signs its authentications.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::report::identifier::check_device_id;

/// Whether the platform compares the time stamp of an authentication with its own time.
///
/// ```
/// use iotda::SignType;
///
/// assert_eq!(SignType::from_number(1)?, SignType::PasswordAndTime);
/// assert_eq!(SignType::default().number(), 0);
/// # Ok::<(), iotda::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignType {
    /// It does not (`sign_type` 0): works on a device whose clock is wrong.
    #[default]
    PasswordOnly,
    /// It does (`sign_type` 1).
    PasswordAndTime,
}

impl SignType {
    /// As the protocol numbers it.
    pub fn number(self) -> i32 {
        match self {
            SignType::PasswordOnly => 0,
            SignType::PasswordAndTime => 1,
        }
    }

    /// From the protocol's number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): there is none of this number.
    pub fn from_number(number: i32) -> Result<Self> {
        match number {
            0 => Ok(SignType::PasswordOnly),
            1 => Ok(SignType::PasswordAndTime),
            _ => Err(Error::invalid(format!(
                "the sign type is {number}: it takes 0 (password only) or 1 (password and time)"
            ))),
        }
    }
}

/// Who a device is: its id and its secret.
pub(crate) struct Identity {
    pub(crate) device_id: String,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

impl Identity {
    pub(crate) fn new(device_id: &str, secret: &[u8]) -> Result<Self> {
        check_device_id(device_id, &"device_id")?;
        if secret.is_empty() {
            return Err(Error::invalid(format!(
                "the secret of device \"{device_id}\" is empty: it takes the secret that the platform gave the device"
            )));
        }
        // A secret may be as long as the caller likes.
        let mut copy = Zeroizing::new(Vec::new());
        copy.try_reserve_exact(secret.len()).map_err(|_| Error::no_memory(secret.len()))?;
        copy.extend_from_slice(secret);
        Ok(Identity { device_id: device_id.to_owned(), secret: copy })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}
