//! What is known of destinations that fail: a [`Breaker`] for each project and destination, and a
//! verdict that projects share. `queues` asks before each call and tells what came of it.
//!
//! What a project's calls come to says something about its own paths, timeouts and credentials; so
//! it opens that project's breaker only. One thing is the destination's alone: that no connection
//! can be made (refused, unreachable, no such name). Where the breakers of two projects are open
//! for that, a project that has not failed there yet is kept from calling too, up to the first of
//! their probes, and any answer to anybody ends it. A call with a TLS of its own is no witness, and
//! no timeout is.

use std::collections::{BTreeMap, BTreeSet};

use super::breaker::{Breaker, CallOutcome, Decision, FORGET_MS, Rules};
use super::destination::{Destination, Outage};
use crate::model::ProjectId;

/// Breakers that say nothing are forgotten above this number.
const KEPT: usize = 1_024;
/// No more than so many are kept: the oldest ones go, those that are not open first.
const MOST: usize = 16_384;
/// So many projects must have failed to connect before others believe it.
const WITNESSES: usize = 2;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Breakers {
    rules: Rules,
    breakers: BTreeMap<(Destination, ProjectId), Breaker>,
    /// The projects whose breaker is open as no connection can be made.
    unreachable: BTreeMap<Destination, BTreeSet<ProjectId>>,
    /// At so many, those that say nothing are forgotten.
    prune_at: usize,
}

impl Breakers {
    pub(super) fn new(rules: Rules) -> Self {
        let (breakers, unreachable) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, breakers, unreachable, prune_at: KEPT }
    }

    /// Whether a call may go out; `probe` asks although the breaker may be open.
    pub(super) fn ask(
        &mut self,
        (to, project): (&Destination, ProjectId),
        path: u64,
        probe: bool,
        now: u64,
    ) -> Decision {
        if self.breakers.is_empty() {
            return Decision::Go; // the usual case
        }
        if let Some(until) = self.shared(to, project, now).filter(|_| !probe) {
            return Decision::No(until);
        }
        match self.breakers.get_mut(&(to.clone(), project)) {
            None => Decision::Go,
            Some(breaker) if probe => breaker.force(now),
            Some(breaker) => breaker.ask(path, now),
        }
    }

    /// What [`Breakers::ask`] would say, changing nothing.
    pub(super) fn look(
        &self,
        (to, project): (&Destination, ProjectId),
        path: u64,
        now: u64,
    ) -> Decision {
        if self.breakers.is_empty() {
            return Decision::Go;
        }
        if let Some(until) = self.shared(to, project, now) {
            return Decision::No(until);
        }
        let own = self.breakers.get(&(to.clone(), project));
        own.map_or(Decision::Go, |breaker| breaker.look(path, now))
    }

    /// Until when a project does without a destination since others cannot connect to it. Where it
    /// has found that out itself, its own breaker says when.
    fn shared(&self, to: &Destination, project: ProjectId, now: u64) -> Option<u64> {
        let witnesses = self.unreachable.get(to).filter(|all| all.len() >= WITNESSES)?;
        let open = |of: ProjectId| self.breakers.get(&(to.clone(), of))?.open();
        if open(project).is_some() {
            return None;
        }
        let first = witnesses.iter().filter_map(|of| open(*of)).map(|open| open.probe_at).min()?;
        Some(first).filter(|at| *at > now)
    }

    /// How many calls of a project may be under way at a time; `None` for as many as elsewhere.
    pub(super) fn ramp(&self, to: &Destination, project: ProjectId) -> Option<u32> {
        if self.breakers.is_empty() {
            return None;
        }
        self.breakers.get(&(to.clone(), project))?.ramp()
    }

    /// Whether there is a breaker.
    pub(super) fn has(&self, to: &Destination, project: ProjectId) -> bool {
        !self.breakers.is_empty() && self.breakers.contains_key(&(to.clone(), project))
    }

    /// Takes note of what came of a call to a path that began at an instant, as the probe or not.
    pub(super) fn over(
        &mut self,
        (to, project): (&Destination, ProjectId),
        call: (u64, bool, u64),
        outcome: CallOutcome,
        now: u64,
    ) {
        let failed = matches!(outcome, CallOutcome::Failed { .. });
        if self.breakers.is_empty() && !failed {
            return;
        }
        if matches!(outcome, CallOutcome::Fine | CallOutcome::Asked { .. }) {
            self.answered(to, project, now);
        }
        let key = (to.clone(), project);
        if failed && self.rules.failures > 0 && !self.breakers.contains_key(&key) {
            self.prune(now);
            self.breakers.insert(key.clone(), Breaker::new(to.as_str()));
        }
        let Some(breaker) = self.breakers.get_mut(&key) else { return };
        let was = breaker.open().is_some();
        breaker.over(self.rules, call, outcome, now);
        match (was, breaker.open()) {
            (false, Some(open)) => tracing::warn!(
                destination = to.as_str(),
                project,
                failures = open.failures,
                "a destination keeps failing: it is left alone but for probes"
            ),
            (true, None) => tracing::info!(
                destination = to.as_str(),
                project,
                "a destination that kept failing answers again"
            ),
            _ => {}
        }
        if let CallOutcome::Failed { unreachable, .. } = outcome {
            let witness = unreachable && breaker.open().is_some();
            self.bear_witness(to, project, witness);
        }
        let breaker = self.breakers.get(&key);
        if breaker.is_some_and(|breaker| breaker.is_idle(now)) {
            self.breakers.remove(&key);
        }
    }

    /// Somebody was answered: nobody is told any more that no connection can be made, and those
    /// who found that out themselves may see for themselves.
    fn answered(&mut self, to: &Destination, project: ProjectId, now: u64) {
        let Some(witnesses) = self.unreachable.remove(to) else { return };
        for other in witnesses.into_iter().filter(|other| *other != project) {
            if let Some(breaker) = self.breakers.get_mut(&(to.clone(), other)) {
                breaker.probe_now(now);
            }
        }
    }

    fn bear_witness(&mut self, to: &Destination, project: ProjectId, does: bool) {
        if does {
            self.unreachable.entry(to.clone()).or_default().insert(project);
        } else if let Some(all) = self.unreachable.get_mut(to) {
            all.remove(&project);
            if all.is_empty() {
                self.unreachable.remove(to);
            }
        }
    }

    /// Every destination that takes nothing of some project, in order of its name: since the first
    /// breaker opened, up to the first probe.
    pub(super) fn outages(&mut self, now: u64) -> Vec<Outage> {
        let mut all: Vec<Outage> = Vec::new();
        for ((to, _), breaker) in &self.breakers {
            let Some(open) = breaker.open().filter(|_| !breaker.is_idle(now)) else { continue };
            match all.last_mut().filter(|shut| shut.destination == *to) {
                Some(shut) => {
                    shut.since = shut.since.min(open.since);
                    shut.failures = shut.failures.max(open.failures);
                    shut.probe_at = shut.probe_at.min(open.probe_at);
                }
                None => all.push(Outage {
                    destination: to.clone(),
                    since: open.since,
                    failures: open.failures,
                    probe_at: open.probe_at,
                }),
            }
        }
        all
    }

    /// Makes room for one more: all of them are looked through when their number has doubled. A row
    /// of failures that nothing was added to for long counts as nothing, too.
    fn prune(&mut self, now: u64) {
        if self.breakers.len() < self.prune_at {
            return;
        }
        let keep = |breaker: &Breaker| {
            !breaker.is_idle(now) && breaker.failed_at().is_none_or(|at| now < at + FORGET_MS)
        };
        self.breakers.retain(|_, breaker| keep(breaker));
        self.cut(MOST / 4 * 3);
        let breakers = &self.breakers;
        self.unreachable.retain(|to, all| {
            all.retain(|project| breakers.contains_key(&(to.clone(), *project)));
            !all.is_empty()
        });
        let left = self.breakers.len();
        self.prune_at = (2 * left).clamp(KEPT, MOST.max(left + KEPT));
    }

    /// Forgets the oldest until so many are left, those that are not open first. Those of which
    /// a probe is under way, or has just succeeded, stay: calls wait for them.
    fn cut(&mut self, most: usize) {
        let many = self.breakers.len().saturating_sub(most);
        if many == 0 {
            return;
        }
        let ranks = self.breakers.iter().filter_map(|(key, of)| Some((of.rank()?, key)));
        let mut all: Vec<_> = ranks.collect();
        if many < all.len() {
            all.select_nth_unstable(many);
        }
        let gone: Vec<_> = all.into_iter().take(many).map(|(_, key)| key.clone()).collect();
        for key in gone {
            self.breakers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
