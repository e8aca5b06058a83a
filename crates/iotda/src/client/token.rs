//! A client's token, for programs that keep it over a restart or share it between processes.

use std::time::Duration;

use super::Client;
use crate::delivery::saved_token::{self, SavedToken};
use crate::delivery::session::{Device, Session};
use crate::delivery::token::Token;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::monitor::Level;

impl Client {
    /// The token, to be kept over a restart: a device that wakes, reports and sleeps then authenticates once a day.
    /// Give it to [`Config::token`](crate::Config::token), [`open_device_with_token`](Self::open_device_with_token) or
    /// [`import_token`](Self::import_token). It is as secret as the device's secret, and not wiped when it is dropped.
    /// `None`: there is none that is valid.
    ///
    /// The text of one token is always the same; [`tokens_issued`](Self::tokens_issued) says when there is another.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// if let Some(token) = client.export_token() {
    ///     std::fs::write("/run/sensor/token", token).expect("there is room");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn export_token(&self) -> Option<String> {
        saved_token::save(&self.device.token, self.session.owner(&self.device), self.session.clock.monotonic())
    }

    /// Puts a token to use that [`export_token`](Self::export_token) or [`Config::on_token`](crate::Config::on_token)
    /// gave, in this process or in another, instead of the present one: for processes that share a device's token.
    /// Calls that wait for an authentication go on with it; one that is under way goes on, and its token replaces this
    /// one. Never blocks.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Service};
    /// # use std::time::Duration;
    /// # fn report(client: &Client) -> iotda::Result<()> {
    /// client.import_token(&std::fs::read_to_string("/run/sensor/token").expect("another process wrote it"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for one that is damaged, expired, another device's or of another endpoint; the
    /// present token then stays. [`ErrorKind::Forked`].
    pub fn import_token(&self, saved: &str) -> Result<()> {
        self.noting(|| {
            self.session.check_process()?;
            let token = read(&self.session, &self.device, saved).map_err(|why| {
                Error::invalid(format!(
                    "import a token that device \"{}\" exported at this endpoint, or authenticate: this one {why}",
                    self.device_id()
                ))
            })?;
            self.device.token.set(token);
            Ok(())
        })
    }

    /// For how long the present token will still be valid. `None`: there is none, or the platform did not say how long
    /// it lasts.
    ///
    /// ```no_run
    /// # fn look(client: &iotda::Client) {
    /// if client.token_remaining().is_some_and(|left| left.as_secs() < 600) {
    ///     println!("the token is renewed soon");
    /// }
    /// # }
    /// ```
    pub fn token_remaining(&self) -> Option<Duration> {
        let now = self.session.clock.monotonic();
        self.device.token.valid(now)?.remaining(now)
    }

    /// How many tokens this device was issued since its client was made: when it has changed after a call, there is a
    /// new token to be kept.
    ///
    /// ```no_run
    /// # fn keep(client: &iotda::Client, kept: u64) {
    /// if client.tokens_issued() != kept {
    ///     println!("keep this one: {:?}", client.export_token().is_some());
    /// }
    /// # }
    /// ```
    pub fn tokens_issued(&self) -> u64 {
        self.device.token.issued()
    }
}

/// Puts a saved token to use, if it is one of this device; it is never worth failing for.
pub(super) fn restore(session: &Session, device: &Device, saved: &str) {
    match read(session, device, saved) {
        Ok(token) => device.token.set(token),
        Err(why) => session
            .monitor
            .log(Level::Warning, || format!("device \"{}\" starts without its saved token: it {why}", device.id())),
    }
}

/// The token of a text that was saved for this device; `Err` says what is wrong with it.
fn read(session: &Session, device: &Device, saved: &str) -> Result<Token, &'static str> {
    let saved = SavedToken::parse(saved, session.owner(device))?;
    saved.valid(session.clock.unix_ms(), session.clock.monotonic()).ok_or("has expired")
}
