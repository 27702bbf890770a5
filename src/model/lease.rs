//! The messages about leases between a node and the leader, and the lengths of time that both count
//! with.
//!
//! `worker::lease` writes renewals and reads answers, `coordinator::leases` the other way round;
//! the peer route between them carries these messages and decides nothing. Lease time is each
//! node's own boot clock and never crosses the wire: only lengths of time do.

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::shard::ShardId;
use super::{Millis, NodeId};

/// The largest difference between a clock and the median of the live nodes at which its node may
/// fire, in milliseconds.
pub const CLOCK_TOLERANCE: Millis = 1_000;

/// The distance behind log time at which an owner may have applied and still get more shards, in
/// milliseconds.
pub const LAG_TOLERANCE: Millis = 1_000;

/// The least distance of a promised hand-over instant from the owner's now, in milliseconds.
pub const PROMISE_AHEAD: Millis = 1_000;

/// The lengths of time of the protocol, all in milliseconds. They follow from the election timing,
/// so all nodes of a cluster must be configured alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The length of a grant, as the leader counts it. The node counts a tenth less, from sending.
    /// It outlives a leader's lease, an election and one split vote.
    pub ttl: u64,
    /// The greatest age, from its sending, of the newest round acknowledged by a quorum at which
    /// the leader grants.
    pub fresh: u64,
    /// The time between two renewals.
    pub renew_every: u64,
    /// The time for which the set of able nodes must have been the same before shards move for
    /// balance.
    pub settle: u64,
}

impl Timing {
    /// The timing from Raft's heartbeat interval and its shortest election timeout. The longest
    /// timeout is twice that, and a follower waits as long again before it lets the old leader go.
    pub fn from(heartbeat_ms: u64, election_ms: u64) -> Self {
        let longest = 2 * election_ms.max(1);
        let ttl = 2 * (longest + longest);
        let fresh = 500.max(3 * heartbeat_ms);
        Self { ttl, fresh, renew_every: (ttl / 8).max(1), settle: ttl }
    }

    /// The time without a grant after which an owner counts as dead.
    pub fn dead_after(&self) -> u64 {
        self.ttl + self.fresh
    }

    /// The time for which a node may use a grant of this length, from sending its renewal: a tenth
    /// less, for clocks that run at different speeds.
    pub fn usable(ttl: u64) -> u64 {
        ttl - ttl / 10
    }
}

/// The two clocks of a node, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The boot clock, in milliseconds.
    pub boot: u64,
    /// Scheduler time.
    pub sched: Millis,
}

/// A position in the log that a node has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The index of the last applied entry.
    pub index: u64,
    /// Log time after that entry.
    pub stamp: Millis,
}

/// The facts that a node states about itself with every renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its applied position.
    pub applied: Position,
    /// True if its journal takes results.
    pub has_room: bool,
    /// True if it is to be stopped or taken out of service: it gets no shards, and those it has
    /// move.
    pub draining: bool,
    /// Its memory, in percent of `MaxMemory`.
    pub memory: u8,
    /// The last synced entry of its journal, which tells the collector that there is something to
    /// read.
    pub journaled: u64,
}

/// A promise of an owner to fire nothing of a shard that is due after an instant. It never lapses
/// while the epoch lasts: the owner repeats it in each renewal, and whichever leader reads it moves
/// the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The number of the shard that is handed over.
    pub shard: ShardId,
    /// The owner's epoch.
    pub epoch: u64,
    /// The hand-over instant, above every watermark that it has stated under this epoch.
    pub until: Millis,
}

/// A node asks the leader for its lease to be prolonged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The node that asks.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// The number of its start; durable.
    pub boot: u64,
    /// The number of the renewal within this start, from 1.
    pub number: u64,
    /// The term of the leader that it asks, as its own Raft (durably) knows it.
    pub term: u64,
    /// Its scheduler time at sending.
    pub clock: Millis,
    /// The facts about it.
    pub facts: Facts,
    /// All its promises that are not carried out yet.
    pub promises: Vec<Promise>,
    /// The process that asks. It travels in the headers of every message between nodes; the
    /// receiver of the renewal fills it in from there.
    #[serde(skip)]
    pub process: Process,
}

/// The reply to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The node asked does not lead; the leader, if known.
    NotLeader(Option<NodeId>),
    /// The leader's answer.
    Answer(Answer),
}

/// The leader's answer to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The leader's term.
    pub term: u64,
    /// The start number of the renewal.
    pub boot: u64,
    /// The number of the renewal.
    pub number: u64,
    /// The lease, or the reason of a refusal.
    pub verdict: Result<Grant, Refusal>,
    /// The shards, with their epochs, that the node is asked to promise away.
    pub release: Vec<(ShardId, u64)>,
    /// The node's clock less the median of the live nodes, in milliseconds.
    pub clock_error: Millis,
}

/// A lease as the leader grants it: with it a node may fire for its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The length in milliseconds, from the grant.
    pub ttl: u64,
    /// The index of the newest assignment. The lease is worth nothing until that is applied.
    pub needs_index: u64,
    /// The leader's commit index. A node without a lease must have applied it first.
    pub commit_index: u64,
    /// The leader's log time. A node that is a whole TTL behind it may not fire.
    pub log_time: Millis,
}

/// The reasons of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The renewal was meant for another term than the answering leader's.
    Term,
    /// A newer renewal, or a newer start, of this node was seen before.
    Stale,
    /// The leader may not grant at the moment: it is new and has not heard enough, or has no
    /// quorum. The node asks again.
    NotYet,
    /// The node's clock is too far from the others'.
    Clock,
    /// Shards are being taken from this node. It asks again when that is done.
    Moving,
    /// The node has applied too little of the log to use a lease. Without one it counts as dead
    /// after a while, and its shards move.
    Behind,
    /// Another process of this node, on another copy of its data folder, asked lately and may hold
    /// a lease. The node asks again when that lease must have ended.
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
        // The leader's lease, the longest timeout, and once more for a split vote, after the oldest
        // renewal.
        let left = Timing::usable(timing.ttl) - timing.renew_every;
        assert!(left >= 1_000 + 1_000 + 1_000, "{left}");
        assert_eq!(Timing::from(400, 1_000).fresh, 1_200, "some heartbeats must fit");
    }
}
