//! Claims of other nodes that this one must not take part: another data folder is registered under
//! its node id, it was removed, it is a copy. The whole token is in each message, so a claim proves
//! little: one node alone must not be able to end another.
//!
//! - A claim that comes **in** ends nothing. It raises a doubt ([`Claims::doubted`]), and `cluster`
//!   asks the members at the addresses that it has for them.
//! - A claim that comes as an **answer** from such an address counts. A node ends when the leader
//!   of the current term says so, or more than half of the other members within [`WINDOW`].
//!
//! Wherever a cluster has a quorum, more than half of the others of any node are up: a node that
//! must end does. Pure but for the clock; it calls nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::model::NodeId;
use crate::telemetry::LogLimit;

/// The time within which claims of different nodes add up.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// The claims against this node, by member.
#[derive(Debug, Default)]
pub(super) struct Claims {
    against: Mutex<BTreeMap<NodeId, Instant>>,
    doubt: Notify,
    lines: LogLimit<NodeId>,
}

impl Claims {
    fn against(&self) -> MutexGuard<'_, BTreeMap<NodeId, Instant>> {
        // A panic while it was held leaves whole entries.
        self.against.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a claim that came in a message.
    pub(super) fn doubt(&self, by: NodeId, why: &str) {
        self.log(by, why, "the other members are asked");
        self.doubt.notify_one();
    }

    /// Waits for the next doubt; one that came before this was called counts too.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Takes the answer of a member, at its own address, that this node must not take part. True if
    /// that is enough to end. `leads`: it is the leader of the current term; `others`: how many
    /// other members there are.
    pub(super) fn accuse(&self, by: NodeId, why: &str, leads: bool, others: usize) -> bool {
        let accusers = {
            let mut against = self.against();
            against.insert(by, Instant::now());
            against.retain(|_, at| at.elapsed() < WINDOW);
            against.len()
        };
        let enough = leads || accusers * 2 > others;
        if !enough {
            self.log(by, why, "it ends when the leader says so, or most of the other members");
        }
        enough
    }

    /// Takes the answer of a member that serves this node as one of its own.
    pub(super) fn acquit(&self, by: NodeId) {
        self.against().remove(&by);
    }

    fn log(&self, by: NodeId, why: &str, then: &str) {
        if let Some(unsaid) = self.lines.admit(by) {
            tracing::warn!(
                by,
                unsaid,
                "another node says that this one must not take part: {why}; {then}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_or_most_of_the_others_end_a_node_and_one_alone_does_not() {
        for (others, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (6, 4)] {
            let claims = Claims::default();
            for by in 1..enough {
                assert!(!claims.accuse(by, "why", false, others), "{by} of {others}");
                assert!(!claims.accuse(by, "why", false, others), "the same one again");
            }
            assert!(claims.accuse(enough, "why", false, others), "{enough} of {others}");
        }
        let claims = Claims::default();
        assert!(claims.accuse(3, "why", true, 4), "the leader");
        let claims = Claims::default();
        assert!(!claims.accuse(2, "why", false, 2));
        claims.acquit(2);
        assert!(!claims.accuse(3, "why", false, 2), "node 2 has changed its mind");
    }
}
