//! A node's report about itself: `view` makes it, `rpc` sends it, `status`, `members` and `stop` of
//! other nodes read it.

use serde::{Deserialize, Serialize};

use crate::delivery::availability::OpenBreaker;

/// A node's state, as it tells the others for their status pages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct NodeReport {
    /// The version of its program, such as `0.1.0`.
    pub(super) version: String,
    /// The last log index it has applied.
    pub(super) applied: u64,
    /// Raft's word for what it is: `Leader`, `Follower`, `Candidate`.
    pub(super) state: String,
    /// Milliseconds that its lease lasts.
    pub(super) lease_left: u64,
    /// Its clock less the median, in milliseconds.
    pub(super) clock_error: i64,
    /// Journal entries that the cluster has not recorded.
    pub(super) journal_depth: u64,
    /// Jobs due and in no request yet.
    pub(super) due: u64,
    /// Requests built and waiting.
    pub(super) built: u64,
    /// Requests under way.
    pub(super) in_flight: u64,
    /// Lag of first attempts, median and 99th percentile, in milliseconds.
    pub(super) lag: Option<(u64, u64)>,
    /// Anonymous memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Destinations that keep failing when it calls them.
    pub(super) failing: Vec<OpenBreaker>,
    /// It is about to stop.
    pub(super) draining: bool,
    /// Warnings for an operator.
    pub(super) warnings: Vec<String>,
}
