//! The crate log as the sink of a client's log lines (feature `log`).

use crate::{Level, Log};

/// Passes log lines on to the crate [`log`], whose logger the program sets; their target is `iotda`.
///
/// ```
/// use iotda::{Config, Level, LogCrate};
/// use std::sync::Arc;
///
/// let mut config = Config::new();
/// config.log(Level::Info, Arc::new(LogCrate));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogCrate;

impl Log for LogCrate {
    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Error => log::Level::Error,
            Level::Warning => log::Level::Warn,
            Level::Info => log::Level::Info,
            Level::Debug => log::Level::Debug,
        };
        log::log!(target: "iotda", level, "{message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Config};
    use std::sync::{Arc, Mutex};

    /// Keeps the lines of its target.
    #[derive(Default)]
    struct Lines(Mutex<Vec<(log::Level, String)>>);

    static LINES: Lines = Lines(Mutex::new(Vec::new()));

    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            if record.target() == "iotda" {
                self.0.lock().unwrap().push((record.level(), record.args().to_string()));
            }
        }

        fn flush(&self) {}
    }

    // The only test that sets the process's logger.
    #[test]
    fn lines_reach_the_programs_logger_with_their_level() {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        let mut config = Config::new();
        config.log(Level::Debug, Arc::new(LogCrate));
        let error = Client::new(&config).unwrap_err();
        LogCrate.log(Level::Warning, "a {warning}");
        LogCrate.log(Level::Info, "an information");
        LogCrate.log(Level::Debug, "above the maximum");
        let expected = [
            (log::Level::Error, error.message()),
            (log::Level::Warn, "a {warning}"),
            (log::Level::Info, "an information"),
        ];
        let lines = LINES.0.lock().unwrap();
        assert_eq!(lines.iter().map(|(level, line)| (*level, line.as_str())).collect::<Vec<_>>(), expected);
    }
}
