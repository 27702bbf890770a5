//! The health of this node. It is for probes, which have no credentials: it tells no secrets, is
//! answered from memory, and never waits, so that a node under load is not taken for a dead one.

use std::sync::atomic::Ordering;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::NodeId;

/// The leader as clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderAddress {
    /// The leader.
    pub id: NodeId,
    /// The URL of its API; empty where this node does not know it.
    pub address: String,
}

impl App {
    /// The leader; `None` while no leader has a majority.
    pub fn leader(&self) -> Option<LeaderAddress> {
        let id = self.cluster.leader()?;
        let members = self.cluster.members();
        let member = members.iter().find(|(member, _)| *member == id);
        let address = member.map(|(_, member)| member.address.clone()).unwrap_or_default();
        Some(LeaderAddress { id, address })
    }

    /// The figures of Raft on this node, by Raft's own names.
    pub fn raft_stats(&self) -> Vec<(&'static str, String)> {
        self.cluster.raft_stats()
    }

    /// The figures of this node as `OpenMetrics` text. Those that name destinations are for actors
    /// that may read the cluster.
    pub fn metrics_text(&self, actor: Option<&Actor>) -> String {
        let may = |actor| authorize(actor, Action::ClusterRead, Resource::Any).is_ok();
        self.metrics.encode(actor.is_some_and(may))
    }

    /// Checks that this node can serve: it has not failed, is not about to stop, can read its
    /// state, knows a leader with a majority, and has caught up with the others once, so that the
    /// next node may be restarted.
    ///
    /// # Errors
    ///
    /// `Unavailable` with the reason where it cannot.
    pub fn check_ready(&self) -> Result<(), Error> {
        let not_ready = |reason: &str| Err(Error::unavailable(format!("not ready: {reason}")));
        if self.leaving.load(Ordering::Relaxed) {
            return not_ready("this node is stopping");
        }
        if let Some(reason) = self.cluster.failed().borrow().as_ref() {
            return not_ready(reason);
        }
        if let Some(reason) = self.cluster.install_trouble() {
            return not_ready(reason);
        }
        if let Some(reason) = self.cluster.unfounded() {
            return not_ready(&format!("the cluster is not founded: {reason}"));
        }
        if self.cluster.is_waiting() {
            return not_ready(
                "waiting for the founder, or to be added: run `scheduler0 cluster add` on a member",
            );
        }
        if self.leader().is_none() {
            return not_ready(&self.cluster.no_leader());
        }
        if let Some(trouble) = self.pressure.journal() {
            let message = "this node fires nothing: its journal has no room";
            return not_ready(&format!("{message}: {trouble}"));
        }
        if !self.readiness.is_born() {
            return not_ready("the cluster is being founded");
        }
        if !self.readiness.has_caught_up() {
            return not_ready("this node is catching up with the others");
        }
        Ok(())
    }
}
