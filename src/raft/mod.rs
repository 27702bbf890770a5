//! openraft with this project's types: the log on disk, the state machine, the snapshots.
//!
//! ```text
//!   cluster --> Raft (openraft's core) --> log/      segments, one sync for many appends
//!                                     \-> machine/   one transaction of many, the change feed
//! ```
//! Started by `cluster`, which also brings the network (it stands above `peer`). Nobody else speaks
//! to it.

pub mod backup;
pub mod failures;
pub mod installing;
pub mod log;
pub mod machine;
pub mod snapshot;
pub mod types;
