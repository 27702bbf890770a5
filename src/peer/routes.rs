//! The routes of peer messages outside `cluster`: their senders are the coordinator, the worker and
//! the status views, and `node` answers them.

/// Renews a lease at the leader.
pub const RENEW: &str = "/peer/renew";
/// Reads a page of a node's journal.
pub const JOURNAL: &str = "/peer/journal";
/// Asks a node for its own status.
pub const STATUS: &str = "/peer/status";
/// Asks a node for the hash of its state at a log index.
pub const CHECKSUM: &str = "/peer/checksum";
