//! The one door: everything that changes replicated state goes through [`Cluster::propose`], and
//! everything that wants to know of a change hangs on [`Cluster::changes`].
//!
//! ```text
//!            propose                                     changes (the bell)
//!   api ----------------> leader: stamp, client_write --> log, quorum --> machine --> Change
//!        follower: forward one hop, wait until applied here
//! ```
//!
//! All methods may be called from any runtime; Raft itself runs on the runtime that
//! [`Cluster::start`] was called on.

mod error;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

pub use error::Error;

use crate::clock::SchedulerTime;
use crate::command::{Change, Command, Outcome};
use crate::model::{Millis, NodeId};
use crate::peer::Peers;
use crate::raft::types::Member;

/// The longest encoded command, in bytes.
pub const MAX_COMMAND: usize = 1 << 20;

/// What a cluster is started with: the resolved configuration, nothing read elsewhere.
#[derive(Clone)]
pub struct Options {
    /// `DataDir`: log, snapshots and state live in it.
    pub dir: PathBuf,
    /// This node.
    pub node: NodeId,
    /// The random id of `dir`.
    pub instance: u128,
    /// The configured members, this node included.
    pub members: Vec<(NodeId, Member)>,
    /// Whether this node gives birth to the cluster, if it isn't born yet.
    pub bootstrap: bool,
    /// `Keys::peer_token`.
    pub peer_token: Arc<str>,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Shortest silence after which an election begins; the longest is twice it.
    pub election: Duration,
    /// Least time between two snapshots.
    pub snapshot_interval: Duration,
    /// Log entries after which a snapshot is taken (never less than 1,024).
    pub snapshot_threshold: u64,
    /// How long a proposal may wait for a leader and for its own application.
    pub apply_timeout: Duration,
    /// How long connecting to a peer may take.
    pub transport_timeout: Duration,
    /// Idle connections kept a peer.
    pub transport_pool: usize,
    /// Where stamps come from.
    pub time: Arc<SchedulerTime>,
}

/// How far this node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The index of the last applied entry; 0 before the first.
    pub index: u64,
    /// Log time there.
    pub stamp: Millis,
}

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The leader that this node knows of in it.
    pub leader: Option<NodeId>,
    /// Whether it is this node.
    pub me: bool,
    /// Whether this node leads and has applied the first entry of its own term.
    pub first_applied: bool,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    peers: Peers,
}

#[allow(clippy::unused_async, reason = "the bodies follow")]
impl Cluster {
    /// Opens log and state in `options.dir` and starts Raft on the current runtime; returns when
    /// what was committed before is applied, without waiting for a leader. Call
    /// [`Cluster::serve`] next, or no peer can reach this node.
    pub async fn start(_options: Options) -> Result<Self, Error> {
        todo!()
    }

    /// Answers peers on a listener bound to `RaftAddress`: Raft's own routes and `extra` ones of
    /// other parts (under `/peer/...`), all behind the same gate, on the core runtime.
    pub fn serve(&self, _listener: TcpListener, _extra: axum::Router) {
        todo!()
    }

    /// Changes the replicated state: on the leader directly, on a follower by forwarding it (one
    /// hop). Returns when it is applied on this node. A command that changes nothing comes back as
    /// `Ok(Outcome::Rejected)`.
    pub async fn propose(&self, _command: Command) -> Result<Outcome, Error> {
        todo!()
    }

    /// As [`Cluster::propose`], but only if this node leads in that term; for what only a leader
    /// does. Gives the entry's index too.
    pub async fn propose_as_leader(
        &self,
        _term: u64,
        _command: Command,
    ) -> Result<(u64, Outcome), Error> {
        todo!()
    }

    /// Reads this node's state, as far as it is applied here, on a blocking thread.
    pub async fn read<T, F>(&self, _read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        todo!()
    }

    /// Waits until this node has applied all that was committed anywhere when this was called.
    pub async fn linearize(&self) -> Result<(), Error> {
        todo!()
    }

    /// The bell: one [`Change`] for each applied transaction. A receiver that lags looks at the
    /// books as after `Change::replaced`.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        todo!()
    }

    /// How far this node has applied.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        todo!()
    }

    /// Who leads, as this node knows it.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        todo!()
    }

    /// On a leader: the boot-clock instant (ms) at which the newest round of messages that a
    /// quorum acknowledged was *sent*. `None` when not leading or never acknowledged.
    pub fn quorum_acked_boot(&self) -> Option<u64> {
        todo!()
    }

    /// The highest index this node knows to be committed; 0 before the first.
    pub fn commit_index(&self) -> u64 {
        todo!()
    }

    /// The members, ascending.
    pub fn members(&self) -> Vec<(NodeId, Member)> {
        todo!()
    }

    /// `/healthcheck`'s `raftStats`: names and values as the original had them.
    pub fn raft_stats(&self) -> Vec<(&'static str, String)> {
        todo!()
    }

    /// The hash of this node's state at a `Checksum` entry, once computed; the last few are kept.
    pub fn checksum(&self, _index: u64) -> Option<[u8; 32]> {
        todo!()
    }

    /// Hands leadership to a member and returns when it leads, or fails.
    pub async fn transfer_leader(&self, _to: NodeId) -> Result<(), Error> {
        todo!()
    }

    /// The peer client, for the messages of other parts.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Becomes `Some(reason)` when this node cannot go on: a storage error, Raft stopped, a second
    /// instance. The process must report it and exit non-zero.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.peers.failed()
    }

    /// Stops Raft and the peer server, and waits until both are down.
    pub async fn shutdown(&self) {
        todo!()
    }
}
