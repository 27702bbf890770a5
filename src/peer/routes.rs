//! The routes of peer messages outside `cluster`: their senders are the coordinator, the worker and
//! the status views, and `node` answers them.

/// Renews a lease at the leader.
pub const RENEW: &str = "/peer/renew";
/// Reads a page of a node's journal.
pub const JOURNAL: &str = "/peer/journal";
/// Asks a node for its own status.
pub const STATUS: &str = "/peer/status";
/// Asks a node for the delay of its firings by the minute. An older node does not know it.
pub const LAG: &str = "/peer/lag";
/// Asks a node for the hash of its state at a log index.
pub const CHECKSUM: &str = "/peer/checksum";
/// Claims of workers at another node.
pub const CLAIMS: &str = "/peer/claims";
/// Heartbeats of workers at another node.
pub const HEARTBEATS: &str = "/peer/heartbeats";
/// Notices between gateways and supervisors: reports on their way, wants, hints.
pub const WORKER_NOTICES: &str = "/peer/worker-notices";
/// Asks an owner for runs as they are at this moment.
pub const LIVE_RUNS: &str = "/peer/live-runs";
/// Asks a node for its view of queues and workers.
pub const NODE_WORKERS: &str = "/peer/node-workers";
/// Asks an owner whether attempts were handed out. A node below level 5 does not know it.
pub const HANDED_OUT: &str = "/peer/handed-out";
