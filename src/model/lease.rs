//! What a node and the leader say to each other about leases, and the times that both reckon with.
//!
//! `worker::lease` writes renewals and reads answers, `coordinator::leases` the other way round;
//! the peer route between them carries these messages and decides nothing. Lease time is each
//! node's own boot clock and never crosses the wire: only lengths of time do.

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::shard::ShardId;
use super::{Millis, NodeId};

/// How far a clock may be from the median of the live nodes before its node may not fire.
pub const CLOCK_TOLERANCE: Millis = 1_000;

/// How far behind log time an owner may have applied before it is given no more shards.
pub const LAG_TOLERANCE: Millis = 1_000;

/// The shortest way ahead of its now at which an owner may promise to stop.
pub const PROMISE_AHEAD: Millis = 1_000;

/// The lengths of time of the protocol, all in milliseconds. They follow from the election timing,
/// so all nodes of a cluster must be configured alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a grant lasts, as the leader counts it; the node counts a tenth less, and from
    /// sending. It outlives a leader's lease, an election and one split vote.
    pub ttl: u64,
    /// F: how old, from its sending, the newest round acknowledged by a quorum may be for a grant.
    pub fresh: u64,
    /// How often a node renews.
    pub renew_every: u64,
    /// How long the set of able nodes must have stood still before shards move for balance.
    pub settle: u64,
}

impl Timing {
    /// From Raft's heartbeat interval and its shortest election timeout (the longest is twice
    /// that, and a follower waits as long again before it lets the old leader go).
    pub fn from(heartbeat_ms: u64, election_ms: u64) -> Self {
        let longest = 2 * election_ms.max(1);
        let ttl = 2 * (longest + longest);
        let fresh = 500.max(3 * heartbeat_ms);
        Self { ttl, fresh, renew_every: (ttl / 8).max(1), settle: ttl }
    }

    /// After how long without a grant an owner counts as dead.
    pub fn dead_after(&self) -> u64 {
        self.ttl + self.fresh
    }

    /// How long a node may count on a grant of this length, from sending its renewal: a tenth
    /// less, for clocks that run at different speeds.
    pub fn usable(ttl: u64) -> u64 {
        ttl - ttl / 10
    }
}

/// A node's two clocks, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of its boot clock.
    pub boot: u64,
    /// Its scheduler time.
    pub sched: Millis,
}

/// How far a node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The index of the last entry.
    pub index: u64,
    /// Log time after it.
    pub stamp: Millis,
}

/// How a node is, as it says itself with every renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How far it has applied.
    pub applied: Position,
    /// Its journal takes results.
    pub has_room: bool,
    /// It is to be stopped, or taken out of service: give it nothing, take what it has.
    pub draining: bool,
    /// Its memory, in percent of what it may have (`MaxMemory`).
    pub memory: u8,
    /// The last record of its journal that is fsynced: the collector's bell.
    pub journaled: u64,
}

/// An owner's word to fire nothing of a shard that is due after an instant. It never lapses while
/// the epoch lasts: the owner repeats it in each renewal, and whichever leader reads it moves the
/// shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The shard.
    pub shard: ShardId,
    /// The owner's epoch.
    pub epoch: u64,
    /// H, above every W that it has stated under this epoch.
    pub until: Millis,
}

/// A node asks the leader for its lease to be prolonged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Who asks.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// How many times it has been started; durable.
    pub boot: u64,
    /// Counts the renewals of this boot, from 1.
    pub number: u64,
    /// The term of the leader that it asks, as its own Raft (durably) knows it.
    pub term: u64,
    /// Its scheduler time at sending.
    pub clock: Millis,
    /// How it is.
    pub facts: Facts,
    /// All its promises that are not carried out yet.
    pub promises: Vec<Promise>,
    /// The process that asks. It travels in the headers of every message between nodes, and whoever
    /// takes the renewal in fills it in from there.
    #[serde(skip)]
    pub process: Process,
}

/// What comes back on a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Not the leader; who is, if known.
    NotLeader(Option<NodeId>),
    /// The leader's answer.
    Answer(Answer),
}

/// What the leader says to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The leader's term.
    pub term: u64,
    /// The boot number of the renewal.
    pub boot: u64,
    /// The number of the renewal.
    pub number: u64,
    /// The lease, or why not.
    pub verdict: Result<Grant, Refusal>,
    /// Shards, with their epochs, that the node is asked to promise away.
    pub release: Vec<(ShardId, u64)>,
    /// How far the node's clock was from the median of the live nodes, in milliseconds.
    pub clock_error: Millis,
}

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its length in milliseconds, from the grant.
    pub ttl: u64,
    /// The index of the newest assignment: the lease is worth nothing until it is applied.
    pub needs_index: u64,
    /// The leader's commit index: a node that has no lease right then needs that applied.
    pub commit_index: u64,
    /// The leader's log time: a node that is a whole TTL behind it may not fire.
    pub log_time: Millis,
}

/// Why a renewal got no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It was meant for another term than the answering leader's.
    Term,
    /// A newer renewal, or a newer start, of this node was seen before.
    Stale,
    /// The leader may not grant at the moment (a new leader that has not heard enough, or one
    /// without its quorum): ask again.
    NotYet,
    /// The node's clock is too far from the others'.
    Clock,
    /// Shards are being taken from this node; ask again when that is done.
    Moving,
    /// The node has applied so little of the log that it could not use the lease. Without one it
    /// counts as dead after a while, and its shards move.
    Behind,
    /// Another process of this node, on another copy of its data folder, asked lately and may hold
    /// a lease: ask again when that one must have ended.
    Other,
}

impl Refusal {
    /// The reason, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::Term => "it asked the leader of another term",
            Refusal::Stale => "a newer start of this node, or a newer question, was seen",
            Refusal::NotYet => "the leader is new, or has not heard from a quorum lately",
            Refusal::Clock => "its clock is more than 1 s off the others': check its time service",
            Refusal::Moving => "shards are being taken from it",
            Refusal::Behind => "it is behind the others' log by more than a lease lasts",
            Refusal::Other => {
                "another process of this node, on another copy of its data folder, may hold one"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_outlives_an_election_with_a_split_vote() {
        let timing = Timing::from(150, 500);
        assert_eq!((timing.ttl, timing.fresh, timing.renew_every), (4_000, 500, 500));
        // Leader lease + longest timeout, once more for a split vote, after the oldest renewal.
        let left = Timing::usable(timing.ttl) - timing.renew_every;
        assert!(left >= 1_000 + 1_000 + 1_000, "{left}");
        assert_eq!(Timing::from(400, 1_000).fresh, 1_200, "some heartbeats must fit");
    }
}
