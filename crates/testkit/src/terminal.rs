//! A pseudo terminal: programs run on one side of it, and the test types and reads on the other.

use crate::process::LIMIT;
use anyhow::Result;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A terminal of 120 columns, with what it was given to show.
pub struct Terminal {
    master: File,
    /// The side that programs have.
    slave: OwnedFd,
    shown: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Terminal {
    /// A terminal that has shown nothing yet. It is no process's controlling terminal: `setsid --ctty` makes it that of one.
    pub fn open() -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })?;
        let master = File::from(master);
        let shown = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (mut from, to) = (master.try_clone()?, Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error: nobody has the other side any more.
            while let Ok(amount @ 1..) = from.read(&mut buffer) {
                to.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..amount]);
                to.1.notify_all();
            }
        });
        Ok(Self { master, slave, shown })
    }

    /// The side for one of a program's standard streams.
    ///
    /// # Panics
    ///
    /// Where no file can be opened any more.
    pub fn side(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().expect("no file can be opened"))
    }

    /// What it has shown, once all of `parts` are in it.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn shows(&self, parts: &[&str]) -> String {
        let has_all = |bytes: &mut Vec<u8>| {
            let text = String::from_utf8_lossy(bytes);
            parts.iter().all(|part| text.contains(part))
        };
        let waited = self.shown.1.wait_timeout_while(self.shown(), LIMIT, |bytes| !has_all(bytes));
        let (shown, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&shown).into_owned();
        let end = text.char_indices().nth_back(1_000).map_or(0, |(at, _)| at);
        assert!(!waited.timed_out(), "{parts:?} are not in what ends so: {:?}", &text[end..]);
        text
    }

    /// Whether it has shown nothing.
    pub fn is_empty(&self) -> bool {
        self.shown().is_empty()
    }

    /// Forgets what it has shown.
    pub fn forget(&self) {
        self.shown().clear();
    }

    fn shown(&self) -> MutexGuard<'_, Vec<u8>> {
        self.shown.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types these keys: `\r` is Enter, `\x03` Ctrl-C.
    pub fn types(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Whether it shows what is typed, and takes Ctrl-C for a signal.
    pub fn is_as_usual(&self) -> bool {
        let usual = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcgetattr(&self.master).is_ok_and(|attributes| attributes.local_modes.contains(usual))
    }
}
