//! The data that a journal returns to its readers: a page of its entries, and its state. Both also
//! travel between nodes.

use serde::{Deserialize, Serialize};

use crate::model::attempt::JournalEntry;

/// A page of a journal: consecutive entries, as the collector fetches them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The incarnation of the journal.
    pub incarnation: u128,
    /// The sequence number of the first entry; of the next one to come, if the page is empty.
    pub first: u64,
    /// The entries from `first` on, without a hole, in the order of writing.
    pub entries: Vec<JournalEntry>,
}

/// The state of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The incarnation of the journal.
    pub incarnation: u128,
    /// The last sequence number on disk; 0 for none.
    pub synced: u64,
    /// The last sequence number that is known to be in the replicated log.
    pub forgotten: u64,
    /// Bytes that are not forgotten yet, rounded up a little.
    pub bytes: u64,
    /// Whether the node may go on firing.
    pub has_room: bool,
    /// The number of syncs since it was opened.
    pub syncs: u64,
    /// Whether a write or a read has failed: it takes no entry until the node is restarted.
    pub failed: bool,
    /// The reason why there is no room, for people.
    pub trouble: Option<String>,
}
