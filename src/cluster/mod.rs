//! The cluster as the rest of the process sees it: everything that changes replicated state goes
//! through [`Cluster::propose`], and everything that reacts to a change reads the change feed,
//! [`Cluster::changes`].
//!
//! ```text
//!            propose                                     changes (the change feed)
//!   api ----------------> leader: stamp, client_write --> log, quorum --> machine --> Change
//!        follower: forward one hop, wait until applied here
//!
//!   handle --> propose, read      what callers use
//!   rpc    --> wire               what other nodes ask
//!   start  --> inner, tasks       made once; membership/, leadership/, snapshots, doubt go on
//! ```
//!
//! All methods may be called from any runtime. Raft itself runs on the runtime that
//! [`Cluster::start`] was called on.

mod doubt;
mod error;
mod handle;
mod inner;
mod leadership;
mod membership;
mod network;
mod options;
mod propose;
mod reachability;
mod read;
mod receive;
mod reversion;
mod rpc;
mod snapshots;
mod start;
mod stats;
mod tasks;
mod wire;

pub use self::error::Error;
pub use self::handle::Cluster;
pub use self::leadership::state::Leadership;
pub use self::membership::recover;
pub use self::options::{MAX_COMMAND, Options};
pub use self::read::BegunRead;
pub use self::wire::MemberChange;
pub use crate::raft::backup;
pub use crate::raft::machine::Applied;
