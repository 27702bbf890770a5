//! The level of the cluster: what the programs of all its members understand. It is replicated
//! state and only rises. A leader raises it when every member announces a higher one; a proposal
//! that is newer is refused. The rules are in `docs/architecture.md`, "Levels".
//!
//! ```text
//!   answers of members (header) --> leader: least of all > level? --> RaiseLevel --> log
//!   propose: command newer than the level --> leader: raise it? --> yes: proposed as it is
//!                                                  no: UpgradePending
//! ```
//! The level is not what a leader heard lately, but what the log says: so every node knows it, it
//! outlives leaders, and a member that is down cannot take it back.

use std::sync::PoisonError;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::timeout;

use crate::cluster::error::Error;
use crate::cluster::inner::Inner;
use crate::cluster::options::Options;
use crate::command::{Command, Proposal, Rejection, RejectionKind};
use crate::model::NodeId;
use crate::raft::types::Member;

/// The time after its election in which a leader may not have heard all members yet: requests wait
/// for them so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Refuses a program that is older than the cluster's log needs: it must not start, nor go on when
/// it learns the level from the log.
pub(in crate::cluster) fn check_level(options: &Options, level: u32) -> Result<(), Error> {
    if level <= options.level {
        return Ok(());
    }
    Err(Error::Open(format!(
        "the cluster is at level {level}, and this program knows up to {}: use a newer scheduler0",
        options.level
    )))
}

impl Inner {
    /// The level of the cluster, as far as it is applied here.
    pub(in crate::cluster) fn level(&self) -> u32 {
        self.watches.registry.borrow().level
    }

    /// The levels of the members as the leader knows them, with its own; `None` for a member that
    /// has not answered lately. A configured member that was never started is left out: it has no
    /// data, and whatever it is started with finds the level in the log.
    fn member_levels(&self) -> Vec<(NodeId, Option<u32>)> {
        let live = self.live();
        let registry = self.watches.registry.borrow().clone();
        let config = self.membership();
        let level = |&(id, _): &(&NodeId, &Member)| match *id {
            own if own == self.options.node => Some((own, Some(self.options.level))),
            other if live.contains(&other) => Some((other, self.peers.level(other))),
            other => registry.get(other).map(|_| (other, None)),
        };
        config.membership().nodes().filter_map(|member| level(&member)).collect()
    }

    /// A member of the lowest level, as the leader knows it, with that level. A member that has not
    /// answered lately counts as one of level 1, since it may come back with any program.
    fn lowest(&self) -> (NodeId, u32) {
        let levels = self.member_levels().into_iter().map(|(id, level)| (id, level.unwrap_or(1)));
        levels.min_by_key(|(_, level)| *level).unwrap_or((self.options.node, 1))
    }

    /// True while a member has not been heard, and each that has been heard is of this level: only
    /// then can waiting change anything.
    fn may_hear_of(&self, needs: u32) -> bool {
        let levels = self.member_levels();
        levels.iter().any(|(_, level)| level.is_none())
            && levels.iter().all(|(_, level)| level.is_none_or(|level| level >= needs))
    }

    /// Waits while more may be heard of the members. Raft publishes its metrics with each answer of
    /// a member, whose level has been noted by then; the registry has the level once it is raised.
    async fn members_heard(&self, needs: u32) {
        let mut answers = self.raft.metrics();
        let mut registry = self.watches.registry.subscribe();
        while self.level() < needs && self.may_hear_of(needs) {
            let is_over = tokio::select! {
                changed = answers.changed() => changed.is_err(),
                changed = registry.changed() => changed.is_err(),
            };
            if is_over {
                return;
            }
        }
    }

    /// The rest of the time in which a new leader may not have heard all members yet.
    pub(super) fn patience(&self) -> Duration {
        let elected = *self.elected.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = elected.map_or(PATIENCE, |at| at.elapsed());
        PATIENCE.min(self.options.apply_timeout / 2).saturating_sub(passed)
    }

    /// Raises the level, on the leader, so that commands of this one may be proposed; gives the
    /// index up to which a node must have applied to know it.
    pub(in crate::cluster) async fn raise_level(&self, needs: u32) -> Result<u64, Error> {
        let lead = *self.leadership.borrow();
        if !lead.me {
            return Err(Error::NotLeader { leader: lead.leader });
        }
        // What is known by the end of the time decides.
        let _ = timeout(self.patience(), self.members_heard(needs)).await;
        // A turn is short, unless nothing is committed any more.
        let raised = timeout(self.options.apply_timeout, self.write_level(lead.term, needs)).await;
        raised.unwrap_or(Err(Error::NoLeader))
    }

    /// Raises the level, on the leader, as soon as all members allow it.
    pub(in crate::cluster) async fn tend_level(&self) -> Result<(), Error> {
        let (born, known) = {
            let registry = self.watches.registry.borrow();
            (registry.generation != 0, registry.level)
        };
        let (_, level) = self.lowest();
        if born && level > known {
            let term = self.leadership.borrow().term;
            self.write_level(term, level).await?;
        }
        Ok(())
    }

    /// Raises the level to that of the lowest member, if that is enough and nobody has done so
    /// meanwhile. No member is added between the look at the members and the write.
    async fn write_level(&self, term: u64, needs: u32) -> Result<u64, Error> {
        let _turn = self.leveling.lock().await;
        if self.level() >= needs {
            return Ok(self.watches.applied.borrow().index);
        }
        let (node, level) = self.lowest();
        let lead = *self.leadership.borrow();
        if !lead.me || lead.term != term {
            return Err(Error::NotLeader { leader: lead.leader });
        }
        // A leader that has lost its majority hears nobody: it knows nothing of their levels.
        let voters = self.voters();
        if voters.intersection(&self.live()).count() <= voters.len() / 2 {
            return Err(Error::NoLeader);
        }
        if level < needs {
            return Err(Error::UpgradePending { node, level, needs });
        }
        let command = self.encode(&Command::RaiseLevel { level }.into())?;
        let (index, _) = self.write(command, Some(term)).await?;
        tracing::info!(level, "all nodes understand this level from now on");
        Ok(index)
    }

    /// Refuses to add a node of an older level than the cluster's: it could not read the log.
    pub(super) fn check_joiner(&self, node: NodeId) -> Result<(), Error> {
        let (level, least) = (self.peers.level(node).unwrap_or(1), self.level());
        if level >= least {
            return Ok(());
        }
        let message = format!(
            "node {node} runs an older version (level {level}), and the cluster is at level \
             {least}: start the new version there"
        );
        Err(Error::Refused(Rejection::new(RejectionKind::Conflict, message)))
    }

    /// Admits a proposal to the log if the cluster has its level, or can have it. A command is
    /// never weakened to an older one, since that would drop a condition or an authorization in it.
    pub(in crate::cluster) async fn admit(&self, proposal: &Proposal) -> Result<(), Error> {
        let needs = proposal.level();
        if needs <= self.level().max(1) {
            return Ok(());
        }
        self.raise_level_anywhere(needs).await.map_err(|error| match error {
            // Only the level may have been written, and it may be written twice.
            Error::Unavailable(message) => Error::NotRaised(message),
            error => error,
        })
    }
}
