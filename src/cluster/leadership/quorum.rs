//! A leader with a quorum, as opposed to one in name. openraft goes on calling a node the leader
//! that has lost its majority, and a follower's leader is the last one it heard; for people and
//! probes a leader is one whose majority answered, or that was heard, within the longest election
//! timeout. The paths of proposals do not use this: they find out by themselves.

use std::time::Duration;

use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use crate::cluster::inner::Inner;
use crate::model::NodeId;

impl Inner {
    /// The time without a majority: on a leader since the majority last answered it, on another
    /// node since a leader that has one last spoke. `None`: never.
    pub(in crate::cluster) fn without_quorum_for(&self) -> Option<Duration> {
        let silence = self.silence();
        if !self.leadership.borrow().me {
            return silence;
        }
        let metrics = self.raft.metrics();
        let m = metrics.borrow_watched();
        if m.membership_config.membership().voter_ids().count() == 1 {
            return Some(Duration::ZERO);
        }
        let acked = m.last_quorum_acked.as_ref().map(|at| at.elapsed());
        // An election counts as an answer: every voter of it had answered.
        acked.into_iter().chain(silence).min()
    }

    /// The leader, if it has a majority as far as this node can tell.
    pub(in crate::cluster) fn leader_in_effect(&self) -> Option<NodeId> {
        let leader = self.leadership.borrow().leader?;
        let limit = self.options.election * 2 + self.options.heartbeat;
        self.without_quorum_for().is_some_and(|since| since <= limit).then_some(leader)
    }

    /// The reason why there is no leader, for people.
    pub(in crate::cluster) fn no_leader(&self) -> String {
        let since = match self.without_quorum_for() {
            Some(since) => format!(" for {} s", since.as_secs()),
            None => String::new(),
        };
        if self.leadership.borrow().me {
            let voters = self.voters();
            let alive = voters.intersection(&self.live()).count();
            return format!(
                "no quorum{since}: {alive} of {} voters answer; nothing is written, and nothing \
                 fires",
                voters.len()
            );
        }
        format!("no quorum, or an election is under way: no leader was heard{since}; nothing fires")
    }
}
