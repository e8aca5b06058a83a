//! A request as the platform's rules see it: values, without connections or streams. Reading one from a connection
//! belongs to `server`.

/// The most that the body of a request may hold, in bytes: the page's 1 MB, read as 1,048,576 bytes.
pub(crate) const BODY_LIMIT: usize = 1_048_576;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it was sent, with its query.
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
    /// The number of the connection that it came over, counted from 1.
    pub(crate) connection: u64,
    /// What is wrong with its head, although it could be read.
    pub(crate) objection: Option<&'static str>,
}

/// The versions of the page's table of constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Complete(Vec<u8>),
    /// More than [`BODY_LIMIT`] bytes: the first of them, and what the sender declared or had sent when the platform
    /// stopped reading.
    TooLarge {
        start: Vec<u8>,
        at_least: u64,
    },
    /// The sender stopped, or broke the form of the transfer, in the middle of it.
    Broken {
        start: Vec<u8>,
        error: String,
    },
}

impl Body {
    /// What was kept of it.
    pub(crate) fn into_kept(self) -> Vec<u8> {
        match self {
            Body::Complete(bytes) | Body::TooLarge { start: bytes, .. } | Body::Broken { start: bytes, .. } => bytes,
        }
    }
}

/// Header fields in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// The values of the fields of this name. Names are compared without regard to case, as HTTP has it.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of a field that may be there once at most. The error says what is wrong.
    pub(crate) fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, String> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(format!("the header {name} is there more than once")),
        }
    }
}
