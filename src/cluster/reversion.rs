//! Detection of nodes whose log is older than what they have acknowledged: a data folder that was
//! put back to an older copy. Raft rests on acknowledged entries staying; such a node must not go
//! on. `network` keeps what each follower has acknowledged to this leader, finds the contradiction,
//! and tells the node (`rpc`), which looks at its own log and ends. It repairs nothing.
//!
//! A leader knows only what was acknowledged to itself: a node that was put back while no leader
//! was in office that remembers it gets what it lacks, as a node does that was down for as long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use super::wire::Acknowledged;
use crate::model::NodeId;
use crate::raft::types::{TypeConfig, Vote};

/// The entries that each follower has acknowledged to this leader.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<BTreeMap<NodeId, Follower>>);

#[derive(Debug)]
struct Follower {
    vote: Vote,
    /// The data folder: another one under the same node id has acknowledged nothing.
    instance: u128,
    index: u64,
    reverted: bool,
}

/// The meaning of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing out of the ordinary.
    Sound,
    /// The follower does not have what it acknowledged; `first` when that was not seen before.
    Reverted { acknowledged: Acknowledged, first: bool },
}

impl Record {
    fn followers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Follower>> {
        // A panic while it was held leaves whole entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a follower's answer to a message of this leader.
    pub(super) fn take(
        &self,
        node: NodeId,
        instance: u128,
        sent: &Sent,
        answer: &AppendEntriesResponse<TypeConfig>,
    ) -> Finding {
        let mut followers = self.followers();
        let fresh = Follower { vote: sent.vote, instance, index: 0, reverted: false };
        let follower = followers.entry(node).or_insert(fresh);
        if follower.vote != sent.vote || follower.instance != instance {
            *follower = Follower { vote: sent.vote, instance, index: 0, reverted: false };
        }
        let reached = match answer {
            AppendEntriesResponse::Success => sent.last,
            AppendEntriesResponse::PartialSuccess(upto) => upto.as_ref().map_or(0, |id| id.index),
            AppendEntriesResponse::Conflict if sent.prev <= follower.index && sent.prev > 0 => {
                let first = !follower.reverted;
                follower.reverted = true;
                let term = sent.vote.leader_id.term;
                let acknowledged = Acknowledged { term, index: follower.index };
                return Finding::Reverted { acknowledged, first };
            }
            _ => return Finding::Sound,
        };
        follower.index = follower.index.max(reached);
        follower.reverted = false;
        Finding::Sound
    }

    /// The nodes whose logs are older than what they acknowledged, with the last entry of that.
    pub(super) fn reverted(&self) -> Vec<(NodeId, u64)> {
        let followers = self.followers();
        let reverted = followers.iter().filter(|(_, follower)| follower.reverted);
        reverted.map(|(node, follower)| (*node, follower.index)).collect()
    }
}

/// The part of a message that the judgement needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    vote: Vote,
    /// The index that the receiver must have to take the entries.
    prev: u64,
    /// The index that it has afterwards.
    last: u64,
}

impl Sent {
    pub(super) fn of(rpc: &AppendEntriesRequest<TypeConfig>) -> Self {
        let prev = rpc.prev_log_id.as_ref().map_or(0, |id| id.index);
        let last = rpc.entries.last().map_or(prev, |entry| entry.log_id.index);
        Self { vote: rpc.vote, prev, last }
    }
}

/// The message with which a node on such a log ends.
pub(super) fn message(node: NodeId, last: u64, acknowledged: u64) -> String {
    format!(
        "the data folder of node {node} is older than what this node has acknowledged: its log ends \
         at entry {last}, and entry {acknowledged} was acknowledged; it was put back to an older copy, \
         or lost writes. Start it on its newest folder; if that is lost, `scheduler0 cluster \
         remove {node} --force` on a member, then `cluster add` with an empty DataDir under a new \
         NodeId, or `cluster add {node} --replace`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(term: u64, prev: u64, last: u64) -> Sent {
        Sent { vote: Vote::new_committed(term, 1), prev, last }
    }

    #[test]
    fn a_follower_that_lacks_what_it_acknowledged_is_found_once_and_nobody_else_is() {
        use AppendEntriesResponse::{Conflict, Success};
        let record = Record::default();
        let take = |sent: Sent, answer| record.take(3, 7, &sent, &answer);
        // A new leader looks for where the logs agree: that is no reversion.
        assert_eq!(take(sent(5, 90, 90), Conflict), Finding::Sound);
        assert_eq!(take(sent(5, 60, 70), Success), Finding::Sound);
        assert_eq!(take(sent(5, 70, 158), Success), Finding::Sound);
        assert_eq!(take(sent(5, 158, 158), Success), Finding::Sound);
        let acknowledged = Acknowledged { term: 5, index: 158 };
        let found = |first| Finding::Reverted { acknowledged, first };
        assert_eq!(take(sent(5, 158, 160), Conflict), found(true));
        assert_eq!(take(sent(5, 158, 161), Conflict), found(false));
        assert_eq!(record.reverted(), [(3, 158)]);
        // Another folder under the same id starts from nothing, and so does a new term.
        assert_eq!(record.take(3, 8, &sent(5, 158, 161), &Conflict), Finding::Sound);
        assert!(record.reverted().is_empty());
        assert_eq!(take(sent(6, 158, 161), Conflict), Finding::Sound);
    }
}
