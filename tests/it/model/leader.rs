//! A term of leadership in the model, with the real `Grantor`. What a leader does is in `leading`.

use scheduler0::coordinator::leases::Grantor;
use scheduler0::model::Millis;

/// A term of leadership.
pub(crate) struct Leader {
    pub(crate) grantor: Grantor,
    /// The length of the log that each node is known to have.
    pub(crate) matched: Vec<usize>,
    /// For each node the boot instant at which the newest round was sent that it has acknowledged.
    pub(crate) acked: Vec<u64>,
    /// The index of the term's first entry.
    pub(crate) first: u64,
    pub(crate) began: Millis,
    pub(crate) round_at: Millis,
    pub(crate) tick_at: Millis,
    pub(crate) collect_at: Millis,
    /// The index of the assignment under way.
    pub(crate) moving: Option<u64>,
    /// The index of the record under way, by node.
    pub(crate) collecting: Vec<u64>,
    pub(crate) arrivals: u64,
}
