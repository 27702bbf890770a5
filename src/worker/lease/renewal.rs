//! The renewal loop: keeps this node's lease alive by asking the leader every TTL/8, and brings the
//! answers to the [`LeaseGuard`]. The node starts it. It decides nothing about leases (`holder`
//! does) and fires nothing.
//!
//! It also watches the node's clock. A node alone follows a step of the wall clock. In a cluster it
//! does so when the other nodes' median says that the wall clock is right and scheduler time wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::guard::LeaseGuard;
use crate::clock::{STEP_MS, SchedulerTime};
use crate::cluster::Cluster;
use crate::model::lease::{Answer, CLOCK_TOLERANCE, Facts, Refusal, Renewal, Reply, Timing};
use crate::model::{Millis, NodeId};
use crate::peer::routes::RENEW;

/// Pause before the next renewal after no answer, or after a refusal that may be over soon, in
/// milliseconds. A new leader must hear of every node long before the leases end.
const SOON_MS: u64 = 50;

/// The state of the lease, for the status page and for everybody who waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// Grows with each answer that changed anything.
    pub version: u64,
    /// The reason of the last refusal; `None` after a grant.
    pub refused: Option<Refusal>,
    /// This node's clock less the median, in milliseconds, at the last answer.
    pub clock_error: Millis,
    /// The boot-clock instant since which there were only refusals.
    refused_since: Option<u64>,
    /// The last line in the log: a lease, or none.
    last_logged: Option<bool>,
}

impl LeaseState {
    /// Says whether an answer is worth a line in the log: a lease after none, or refusals for
    /// `patience` ms. Each start and each change of leader brings a few refusals that mean nothing.
    fn is_news(&mut self, now: u64, patience: u64, refused: Option<Refusal>) -> bool {
        if refused.is_none() {
            self.refused_since = None;
            return self.last_logged.replace(true) != Some(true);
        }
        let since = *self.refused_since.get_or_insert(now);
        now >= since + patience && self.last_logged.replace(false) != Some(false)
    }
}

/// The renewal loop and what it needs.
pub struct Renewer {
    /// The cluster: leadership and peers.
    pub cluster: Cluster,
    /// This node.
    pub node: NodeId,
    /// Scheduler time.
    pub time: Arc<SchedulerTime>,
    /// The lease that the renewals prolong, with the ranges that it covers.
    pub guard: Arc<LeaseGuard>,
    /// The facts about this node at the moment. The guard fills in `applied`.
    pub facts: Arc<dyn Fn() -> Facts + Send + Sync>,
    /// True if this node can ever finish its work. A node that cannot lets its lease run out, so
    /// that other nodes take over what it promised to finish.
    pub able: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The leader's half, for when this node leads.
    pub coordinator: Arc<dyn Fn(&Renewal) -> Reply + Send + Sync>,
    /// The lengths of time of the protocol.
    pub timing: Timing,
    /// Notified by others to renew at once: a drain began, the journal grew much.
    pub nudge: Arc<Notify>,
    /// Publishes each change of the lease.
    pub state: watch::Sender<LeaseState>,
}

impl Renewer {
    /// Renews until dropped.
    pub async fn run(self) {
        let mut leadership = self.cluster.leadership();
        let mut jumped = false;
        loop {
            self.watch_wall_clock(&mut jumped);
            let leads = *leadership.borrow_and_update();
            let mut pause = self.timing.renew_every;
            if let Some(leader) = leads.leader.filter(|_| (self.able)()) {
                pause = tokio::select! {
                    pause = self.renew(leads.term, leader) => pause,
                    // A leader of an older term is not waited for.
                    moved = leadership.wait_for(|now| now.term != leads.term) => match moved {
                        Ok(_) => continue,
                        Err(_) => return,
                    },
                };
            }
            let next = self.time.clock().boot() + pause;
            tokio::select! {
                () = self.time.clock().sleep_until(next) => {}
                () = self.nudge.notified() => {}
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Renews once. Returns the pause before the next renewal, in milliseconds.
    async fn renew(&self, term: u64, leader: NodeId) -> u64 {
        let soon = SOON_MS.min(self.timing.renew_every);
        let mut renewal = self.guard.renewal(term, (self.facts)());
        renewal.process = self.cluster.peers().identity().process;
        let reply = if leader == self.node {
            (self.coordinator)(&renewal)
        } else {
            let patience = Duration::from_millis(self.timing.ttl / 4);
            match self.cluster.peers().call(leader, RENEW, &renewal, patience).await {
                Ok(reply) => reply,
                Err(error) => {
                    tracing::debug!(leader, %error, "a renewal got no answer");
                    return soon;
                }
            }
        };
        let Reply::Answer(answer) = reply else { return soon };
        let term = self.cluster.leadership().borrow().term;
        let answered = self.guard.answered(term, &answer);
        if answered.granted {
            self.cluster.clock_agrees();
        }
        self.watch_cluster_clock(&answer);
        self.state.send_modify(|state| {
            let now = self.time.clock().boot();
            let news = state.is_news(now, self.timing.ttl / 2, answered.refused);
            match (news, answered.refused) {
                (true, Some(why)) if renewal.facts.draining => {
                    // A node that stops last has no quorum, and nothing that needs a lease.
                    tracing::info!(leader, why = why.reason(), "draining, and without a lease");
                }
                (true, Some(why)) => {
                    tracing::warn!(leader, why = why.reason(), "this node gets no lease");
                }
                (true, None) => tracing::info!(leader, "this node holds a lease"),
                (false, _) => {}
            }
            state.version += 1;
            state.refused = answered.refused;
            state.clock_error = answer.clock_error;
        });
        match answered.refused {
            // The leader is to hear of a promise at once.
            _ if !answered.promised.is_empty() => 0,
            Some(
                Refusal::NotYet
                | Refusal::Moving
                | Refusal::Term
                | Refusal::Behind
                | Refusal::Other,
            ) => soon,
            _ => self.timing.renew_every,
        }
    }

    /// Voids the lease after a step of the wall clock. A node alone follows the step: forward it
    /// counts as downtime, backward scheduler time waits.
    fn watch_wall_clock(&self, jumped: &mut bool) {
        let error = self.time.error();
        if error.abs() < STEP_MS {
            *jumped = false;
            return;
        }
        if self.cluster.members().len() == 1 {
            // While scheduler time waits for a clock that was set back, there is nothing new.
            if self.time.follow_wall() {
                tracing::warn!(step_ms = error, "the wall clock was set: this node follows it");
                self.guard.clock_jumped();
            }
        } else if !*jumped {
            tracing::warn!(
                step_ms = error,
                "the wall clock was set: this node keeps its scheduler time until the others agree"
            );
            self.guard.clock_jumped();
            *jumped = true;
        }
    }

    /// Follows the wall clock when the other nodes say that scheduler time is off and the wall
    /// clock is right: then it was corrected after this node's start.
    fn watch_cluster_clock(&self, answer: &Answer) {
        let off = answer.clock_error;
        self.cluster.clock_judged(off.abs() <= CLOCK_TOLERANCE);
        if off.abs() <= CLOCK_TOLERANCE {
            return;
        }
        // `off` is scheduler time less the median, `error` is the wall clock less scheduler time.
        if (self.time.error() + off).abs() <= CLOCK_TOLERANCE / 2 {
            if self.time.follow_wall() {
                tracing::warn!(
                    off_ms = off,
                    "scheduler time was off and the wall clock is right again"
                );
                self.guard.clock_jumped();
            }
        } else {
            tracing::error!(
                off_ms = off,
                "this node's clock differs from the others': it fires nothing until they agree; \
                 check its time service"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_when_they_last_and_a_lease_when_it_comes() {
        let mut state = LeaseState::default();
        let refused = Some(Refusal::NotYet);
        assert!(!state.is_news(1_000, 2_000, refused), "a start");
        assert!(state.is_news(1_050, 2_000, None));
        assert!(!state.is_news(1_500, 2_000, None));
        assert!(!state.is_news(2_000, 2_000, refused), "a new leader");
        assert!(!state.is_news(2_050, 2_000, None), "nothing was last_logged of it");
        assert!(!state.is_news(3_000, 2_000, refused));
        assert!(!state.is_news(4_999, 2_000, Some(Refusal::Clock)));
        assert!(state.is_news(5_000, 2_000, refused));
        assert!(!state.is_news(9_000, 2_000, refused));
        assert!(state.is_news(9_100, 2_000, None));
    }
}
