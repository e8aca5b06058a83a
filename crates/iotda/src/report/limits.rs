//! The platform's limits on one request (HTTPS access page, "Constraints" and "API specifications").

/// A body of this many bytes or more is refused before it is sent. The page says 1 MB and, for a
/// message, *smaller* than 1 MB (protocol notes, "The four calls").
pub const BODY_LIMIT: usize = 1_048_576;

/// A batch is cut so that no request passes this, to be right under either reading of "MB".
pub const BATCH_BODY_MAX: usize = 1_000_000;

/// A batch is cut so that no request holds more children than this.
pub const BATCH_CHILDREN_MAX: usize = 50;
