//! The failure of a batch: an error that knows what became of each child.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Children of a batch were not delivered: the error of the whole, and what became of each of them.
///
/// It converts into an [`Error`], which `?` does by itself.
///
/// ```no_run
/// use iotda::{Child, Client};
///
/// /// Reports for children; returns those whose data is worth keeping.
/// fn report<'a>(gateway: &Client, children: &[Child<'a>]) -> Vec<Child<'a>> {
///     let Err(error) = gateway.report_batch(children, std::time::Duration::from_secs(10)) else { return Vec::new() };
///     eprintln!("{error}");
///     error.failed().filter(|(_, kind)| kind.is_transient()).map(|(index, _)| children[index]).collect()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct BatchError {
    error: Box<Error>,
    children: Vec<Result<(), ErrorKind>>,
}

impl BatchError {
    pub(crate) fn new(error: Error, children: Vec<Result<(), ErrorKind>>) -> Self {
        BatchError { error: Box::new(error), children }
    }

    /// The error of the whole batch: of kind [`ErrorKind::Partial`] if any child was delivered.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The kind of that error.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// For each child, in the caller's order: delivered, or why not. Empty if the batch is a body in which the children
    /// could not be found.
    pub fn children(&self) -> &[Result<(), ErrorKind>] {
        &self.children
    }

    /// The children that were not delivered, by their place in the batch, and why.
    pub fn failed(&self) -> impl Iterator<Item = (usize, ErrorKind)> + '_ {
        self.children.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.err()?)))
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        *error.error
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
