//! Why a call of an outbox fails, as an error with its advice.

use std::path::Path;

use super::directory::Unfit;
use super::engine::Failure;
use super::opened::Refused;
use crate::error::{Error, ErrorKind};

/// A path as messages have it: its end, if it is long.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy().replace(char::is_control, "");
    let mut from = text.len().saturating_sub(60);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let dots = if from > 0 { "…" } else { "" };
    format!("directory \"{dots}{}\"", &text[from..])
}

pub(crate) fn unfit_error(unfit: Unfit, path: &Path) -> Error {
    let path = shown(path);
    let message = match unfit {
        Unfit::InUse => format!("close the other outbox, or give each a directory of its own: {path} is in use"),
        Unfit::Newer => format!("use a newer version of this library: {path} was written by one"),
        Unfit::Io(what, error) => {
            let text = error.to_string();
            let why = why(&text);
            format!("give a directory that can be written: {path} could not be {what}: {why}")
        }
    };
    Error::new(ErrorKind::Storage, message)
}

/// What the system said, without Rust's number.
fn why(text: &str) -> &str {
    let end = text.find(" (os error").unwrap_or(text.len()).min(80);
    (0..=end).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InvalidArgument(message) => Error::invalid(message),
            Refused::TooLarge(most) => Error::new(
                ErrorKind::TooLarge,
                format!("put less at a time, or raise max_bytes: a put may take a quarter of it, {most} bytes"),
            ),
            Refused::Full => Error::new(
                ErrorKind::Full,
                "wait until something is delivered, raise max_bytes, or let it drop the oldest: the outbox is full",
            ),
            Refused::Storage(failure) => storage(&failure),
            Refused::Timeout => {
                Error::new(ErrorKind::Timeout, "allow more time: the call's was over; what waits is kept")
            }
            Refused::Cancelled => Error::new(ErrorKind::Cancelled, "the call was cancelled; what waits is kept"),
            Refused::Forked => Error::new(
                ErrorKind::Forked,
                "open another outbox in the child process, and close this one: it was opened before a fork, in the parent",
            ),
            Refused::Broken(fault) => broken(&fault),
            Refused::Newer => Error::new(
                ErrorKind::Storage,
                "use a newer version of this library: the outbox's files were written by one, and are left as they are",
            ),
        }
    }
}

/// A thread of the outbox met a fault of the library.
pub(crate) fn broken(fault: &str) -> Error {
    let message = format!("close the outbox, open it again, and report this fault of the library: {fault}");
    Error::new(ErrorKind::Internal, message)
}

fn storage(failure: &Failure) -> Error {
    use std::io::ErrorKind as Io;
    let advice = match failure.kind {
        Io::StorageFull | Io::QuotaExceeded => "free space on the device that holds the outbox",
        Io::ReadOnlyFilesystem | Io::PermissionDenied => "make the outbox's directory writable",
        _ => "check the device that holds the outbox",
    };
    Error::new(ErrorKind::Storage, format!("{advice}: its files could not be read or written: {}", why(&failure.text)))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_path_is_shown_by_its_end_and_whole_characters() {
        let shown_of = |text: &str| shown(Path::new(text));
        assert_eq!(shown_of("/var/lib/gateway"), "directory \"/var/lib/gateway\"");
        assert_eq!(shown_of(&"a".repeat(60)), format!("directory \"{}\"", "a".repeat(60)));
        assert_eq!(shown_of(&"a".repeat(61)), format!("directory \"…{}\"", "a".repeat(60)));
        // The sixtieth byte from the end is in the midst of a character.
        assert_eq!(shown_of(&format!("aé{}", "b".repeat(59))), format!("directory \"…{}\"", "b".repeat(59)));
        assert_eq!(shown_of("a\nb\u{7f}c"), "directory \"abc\"");
    }

    #[test]
    fn each_refusal_has_its_kind() {
        for (refused, kind) in [
            (Refused::InvalidArgument("give another"), ErrorKind::InvalidArgument),
            (Refused::TooLarge(65_536), ErrorKind::TooLarge),
            (Refused::Full, ErrorKind::Full),
            (Refused::Timeout, ErrorKind::Timeout),
            (Refused::Cancelled, ErrorKind::Cancelled),
            (Refused::Forked, ErrorKind::Forked),
            (Refused::Broken("a fault".to_owned()), ErrorKind::Internal),
            (Refused::Newer, ErrorKind::Storage),
        ] {
            let error = Error::from(refused.clone());
            assert!(error.kind() == kind && error.message().len() <= 256, "{refused:?}: {error}");
        }
    }

    #[test]
    fn a_failure_of_the_storage_says_what_to_do_and_what_the_system_said() {
        for (number, advice) in [
            (28, "free space on the device"),
            (122, "free space on the device"),
            (30, "make the outbox's directory writable"),
            (13, "make the outbox's directory writable"),
            (5, "check the device"),
        ] {
            let error = io::Error::from_raw_os_error(number);
            let text = error.to_string();
            let said = text.split(" (os error").next().unwrap().to_owned();
            let error = Error::from(Refused::Storage(Failure { kind: error.kind(), text, bound: false }));
            assert_eq!(error.kind(), ErrorKind::Storage);
            assert!(error.message().starts_with(advice) && error.message().ends_with(&said), "{error}");
        }
        let long = Refused::Storage(Failure { kind: io::ErrorKind::Other, text: "é".repeat(500), bound: false });
        assert!(Error::from(long).message().ends_with(&format!("written: {}", "é".repeat(40))));
    }
}
