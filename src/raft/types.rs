//! The openraft type configuration: what a log entry, a node and an answer are here. Everything
//! that names `Raft<...>` uses these aliases, so that the generics are spelled in one place.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::command::Outcome;
use crate::model::NodeId;

/// The content of a log entry: an encoded [`crate::command::Proposal`] with the leader's stamp.
///
/// The proposal is encoded once, by the node that was asked; log, network and apply pass the same
/// bytes on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryData {
    /// Log time of the entry: the leader's scheduler time, never less than any stamp before it in
    /// the log (apply takes the maximum of this and the last one).
    pub stamp: i64,
    /// The proposal, as [`crate::command::Proposal::encode`] made it.
    pub command: Bytes,
}

impl std::fmt::Debug for EntryData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntryData({} B at {})", self.command.len(), self.stamp)
    }
}

impl std::fmt::Display for EntryData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A member of the cluster, as stored in the Raft membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The address for peers: `host:port` of `RaftAddress`.
    pub raft_address: String,
    /// The address for clients: a URL such as `http://127.0.0.1:9091`.
    pub address: String,
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.raft_address, self.address)
    }
}

openraft::declare_raft_types!(
    /// The types of this project's Raft.
    pub TypeConfig:
        D = EntryData,
        R = Outcome,
        NodeId = NodeId,
        Node = Member,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, NodeId>,
);

/// A log id: leader's term and index.
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// A vote, with standard Raft's one leader a term.
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = openraft::alias::EntryOf<TypeConfig>;
/// The membership as of a log id.
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
/// The part of the log that a snapshot covers.
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
