//! The renewal loop: keeps this node's lease alive by asking the leader every TTL/8, and carries
//! what the answers say to the
//! [`LeaseGuard`]. Started by the node; it decides nothing about leases
//! (that is `worker::holder`) and fires nothing.
//!
//! It also watches the node's clock: alone, a step of the wall clock is followed; in a cluster it is
//! followed when the other nodes' median says that the wall clock is right and scheduler time wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::guard::LeaseGuard;
use crate::clock::{STEP_MS, SchedulerTime};
use crate::cluster::Cluster;
use crate::model::lease::{Answer, CLOCK_TOLERANCE, Facts, Refusal, Renewal, Reply, Timing};
use crate::model::{Millis, NodeId};
use crate::peer::routes::RENEW;

/// How soon a node asks again that got no answer, or none that another moment would not change, in
/// milliseconds: a new leader must hear of everybody long before the leases end.
const SOON_MS: u64 = 50;

/// How the lease stands, for the status page and for whoever waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// Grows with every answer that changed anything.
    pub version: u64,
    /// Why the last renewal brought nothing.
    pub refused: Option<Refusal>,
    /// This node's clock less the median, in milliseconds, at the last answer.
    pub clock_error: Millis,
    /// Since when there were only refusals, by the boot clock.
    refused_since: Option<u64>,
    /// What was logged last: a lease, or none.
    last_logged: Option<bool>,
}

impl LeaseState {
    /// Whether an answer is worth a line: a lease after none, or refusals for a while. Each change of
    /// the leader, and each start, brings a few that mean nothing.
    fn is_news(&mut self, now: u64, patience: u64, refused: Option<Refusal>) -> bool {
        if refused.is_none() {
            self.refused_since = None;
            return self.last_logged.replace(true) != Some(true);
        }
        let since = *self.refused_since.get_or_insert(now);
        now >= since + patience && self.last_logged.replace(false) != Some(false)
    }
}

/// The loop and what it needs.
pub struct Renewer {
    /// The door.
    pub cluster: Cluster,
    /// This node.
    pub node: NodeId,
    /// Scheduler time.
    pub time: Arc<SchedulerTime>,
    /// The lease.
    pub guard: Arc<LeaseGuard>,
    /// How the node is at the moment; `applied` is filled in by the guard.
    pub facts: Arc<dyn Fn() -> Facts + Send + Sync>,
    /// Whether this node can ever finish what it has. One that cannot lets its lease run out: what
    /// it promised to finish would else be nobody's.
    pub able: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The leader's half when this node leads.
    pub coordinator: Arc<dyn Fn(&Renewal) -> Reply + Send + Sync>,
    /// The protocol's lengths of time.
    pub timing: Timing,
    /// Rung by others to renew at once (a drain began, the journal grew much).
    pub nudge: Arc<Notify>,
    /// Tells others of each change of the lease.
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
                    // Nobody waits for a leader that is none any more.
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

    /// One renewal; says in how many milliseconds the next one is due.
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

    /// A step of the wall clock voids the lease. A node alone follows it; forward it counts as
    /// downtime, backward scheduler time waits.
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

    /// When the others say that scheduler time is off, and the wall clock is where they say that
    /// it should be, the wall clock was mended after this node's start.
    fn watch_cluster_clock(&self, answer: &Answer) {
        let off = answer.clock_error;
        self.cluster.clock_judged(off.abs() <= CLOCK_TOLERANCE);
        if off.abs() <= CLOCK_TOLERANCE {
            return;
        }
        // `off` is scheduler time less median, `error` is wall clock less scheduler time.
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
