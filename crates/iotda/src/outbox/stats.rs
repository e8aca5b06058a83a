//! What becomes of an outbox's entries, and what is counted of it since it was opened. What is counted of files is in
//! [`super::engine::Counts`].

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Refused,
    UnknownChild,
    /// Refused, or of an unknown child, and there is no dead letter.
    NotKept {
        unknown_child: bool,
    },
    Expired,
    Dropped,
    Damaged,
    Discarded,
}

/// Counters of one outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) delivered: u64,
    pub(crate) requests: u64,
    /// Attempts to deliver entries after an earlier one had failed for another reason than what is in them.
    pub(crate) retries: u64,
    pub(crate) dead: u64,
    /// Dead letters that could not be kept.
    pub(crate) dead_not_kept: u64,
    pub(crate) dropped: u64,
    pub(crate) expired: u64,
    pub(crate) damaged: u64,
    pub(crate) discarded: u64,
    /// A sentence; empty: there was none.
    pub(crate) last_error: String,
}

impl Counters {
    /// Counts entries that were settled.
    pub(crate) fn count(&mut self, fate: Fate, entries: u64) {
        *match fate {
            Fate::Delivered => &mut self.delivered,
            // These are counted with their letters.
            Fate::Refused | Fate::UnknownChild | Fate::NotKept { .. } => return,
            Fate::Expired => &mut self.expired,
            Fate::Dropped => &mut self.dropped,
            Fate::Damaged => &mut self.damaged,
            Fate::Discarded => &mut self.discarded,
        } += entries;
    }
}
