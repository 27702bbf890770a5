//! The breakers of all destinations that fail: a [`Breaker`] for each project and destination, and
//! what projects share. `destination_queues` asks before each call and reports the outcome.
//!
//! A failed call of a project says something about the paths, timeouts and credentials of that
//! project. So it counts for that project's breaker only. One fact concerns the destination alone:
//! that no connection can be made (refused, unreachable, no such name). Where the breakers of two
//! projects are open for that reason, a project that has not failed there yet may not call either,
//! up to the first probe of those projects. Any answer to any project ends this. A call with a TLS
//! of its own does not count as a witness, nor does a timeout.

use std::collections::{BTreeMap, BTreeSet};

use super::breaker::{Breaker, Decision, FORGET_MS, Rules};
use super::call_outcome::CallOutcome;
use super::destination::Destination;
use crate::model::ProjectId;

/// Idle breakers are forgotten above this number.
const KEPT: usize = 1_024;
/// The most breakers that are kept: the oldest ones go, those that are not open first.
const MOST: usize = 16_384;
/// The number of projects that must have failed to connect before others may not call either.
const WITNESSES: usize = 2;

/// A destination that takes no calls of some project. Instants are boot-clock milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The destination.
    pub destination: Destination,
    /// The instant at which the first breaker opened.
    pub since: u64,
    /// Failures in a row, of the project with most.
    pub failures: u32,
    /// The instant of the first probe.
    pub probe_at: u64,
}

/// The breakers by destination and project.
#[derive(Debug)]
pub(super) struct Breakers {
    rules: Rules,
    known: BTreeMap<(Destination, ProjectId), Breaker>,
    /// The projects whose breaker is open because no connection can be made.
    unreachable: BTreeMap<Destination, BTreeSet<ProjectId>>,
    /// The number of breakers at which idle ones are forgotten.
    prune_at: usize,
}

impl Breakers {
    pub(super) fn new(rules: Rules) -> Self {
        let (known, unreachable) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, known, unreachable, prune_at: KEPT }
    }

    /// Decides about a call to a path; `probe` lets it out although the breaker may be open.
    pub(super) fn ask(
        &mut self,
        (to, project): (&Destination, ProjectId),
        path: u64,
        probe: bool,
        now: u64,
    ) -> Decision {
        if self.known.is_empty() {
            return Decision::Go; // the usual case
        }
        if let Some(until) = self.shared(to, project, now).filter(|_| !probe) {
            return Decision::No(until);
        }
        match self.known.get_mut(&(to.clone(), project)) {
            None => Decision::Go,
            Some(breaker) if probe => breaker.force(now),
            Some(breaker) => breaker.ask(path, now),
        }
    }

    /// The decision that [`Breakers::ask`] would make, without a change of state.
    pub(super) fn look(
        &self,
        (to, project): (&Destination, ProjectId),
        path: u64,
        now: u64,
    ) -> Decision {
        if self.known.is_empty() {
            return Decision::Go;
        }
        if let Some(until) = self.shared(to, project, now) {
            return Decision::No(until);
        }
        let own = self.known.get(&(to.clone(), project));
        own.map_or(Decision::Go, |breaker| breaker.look(path, now))
    }

    /// The instant until which a project may not call since other projects cannot connect. `None`
    /// where the project's own breaker is open: that one decides.
    fn shared(&self, to: &Destination, project: ProjectId, now: u64) -> Option<u64> {
        let witnesses = self.unreachable.get(to).filter(|all| all.len() >= WITNESSES)?;
        let open = |of: ProjectId| self.known.get(&(to.clone(), of))?.open();
        if open(project).is_some() {
            return None;
        }
        let first = witnesses.iter().filter_map(|of| open(*of)).map(|open| open.probe_at).min()?;
        Some(first).filter(|at| *at > now)
    }

    /// The most calls of a project under way at a time on the ramp; `None` where there is no ramp.
    pub(super) fn ramp(&self, to: &Destination, project: ProjectId) -> Option<u32> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&(to.clone(), project))?.ramp()
    }

    /// Whether a project has a breaker for a destination.
    pub(super) fn has(&self, to: &Destination, project: ProjectId) -> bool {
        !self.known.is_empty() && self.known.contains_key(&(to.clone(), project))
    }

    /// Records the outcome of a call: its path, whether it was the probe, and when it began.
    pub(super) fn record(
        &mut self,
        (to, project): (&Destination, ProjectId),
        call: (u64, bool, u64),
        outcome: CallOutcome,
        now: u64,
    ) {
        let failed = matches!(outcome, CallOutcome::Failed { .. });
        if self.known.is_empty() && !failed {
            return;
        }
        if matches!(outcome, CallOutcome::Fine | CallOutcome::Asked { .. }) {
            self.answered(to, project, now);
        }
        let key = (to.clone(), project);
        if failed && self.rules.failures > 0 && !self.known.contains_key(&key) {
            self.prune(now);
            self.known.insert(key.clone(), Breaker::new(to.as_str()));
        }
        let Some(breaker) = self.known.get_mut(&key) else { return };
        let was_open = breaker.open().is_some();
        breaker.record(self.rules, call, outcome, now);
        match (was_open, breaker.open()) {
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
            self.set_witness(to, project, witness);
        }
        let breaker = self.known.get(&key);
        if breaker.is_some_and(|breaker| breaker.is_idle(now)) {
            self.known.remove(&key);
        }
    }

    /// Notes that a project was answered: other projects may call, and those whose breakers are
    /// open because no connection could be made may probe at once.
    fn answered(&mut self, to: &Destination, project: ProjectId, now: u64) {
        let Some(witnesses) = self.unreachable.remove(to) else { return };
        for other in witnesses.into_iter().filter(|other| *other != project) {
            if let Some(breaker) = self.known.get_mut(&(to.clone(), other)) {
                breaker.probe_now(now);
            }
        }
    }

    /// Notes whether a project is among those that cannot connect.
    fn set_witness(&mut self, to: &Destination, project: ProjectId, witness: bool) {
        if witness {
            self.unreachable.entry(to.clone()).or_default().insert(project);
        } else if let Some(all) = self.unreachable.get_mut(to) {
            all.remove(&project);
            if all.is_empty() {
                self.unreachable.remove(to);
            }
        }
    }

    /// Every destination that takes no calls of some project, in order of its name.
    pub(super) fn outages(&mut self, now: u64) -> Vec<Outage> {
        let mut all: Vec<Outage> = Vec::new();
        for ((to, _), breaker) in &self.known {
            let Some(open) = breaker.open().filter(|_| !breaker.is_idle(now)) else { continue };
            match all.last_mut().filter(|last| last.destination == *to) {
                Some(outage) => {
                    outage.since = outage.since.min(open.since);
                    outage.failures = outage.failures.max(open.failures);
                    outage.probe_at = outage.probe_at.min(open.probe_at);
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

    /// Makes room for one more breaker: all of them are looked through when their number has
    /// doubled. A row of failures without a recent failure is forgotten, too.
    fn prune(&mut self, now: u64) {
        if self.known.len() < self.prune_at {
            return;
        }
        let keep = |breaker: &Breaker| {
            !breaker.is_idle(now) && breaker.failed_at().is_none_or(|at| now < at + FORGET_MS)
        };
        self.known.retain(|_, breaker| keep(breaker));
        self.cut(MOST / 4 * 3);
        let known = &self.known;
        self.unreachable.retain(|to, all| {
            all.retain(|project| known.contains_key(&(to.clone(), *project)));
            !all.is_empty()
        });
        let left = self.known.len();
        self.prune_at = (2 * left).clamp(KEPT, MOST.max(left + KEPT));
    }

    /// Forgets the oldest until `most` are left, those that are not open first. Breakers whose
    /// probe is under way, or has just succeeded, stay: calls wait for them.
    fn cut(&mut self, most: usize) {
        let many = self.known.len().saturating_sub(most);
        if many == 0 {
            return;
        }
        let ranks = self.known.iter().filter_map(|(key, of)| Some((of.rank()?, key)));
        let mut all: Vec<_> = ranks.collect();
        if many < all.len() {
            all.select_nth_unstable(many);
        }
        let gone: Vec<_> = all.into_iter().take(many).map(|(_, key)| key.clone()).collect();
        for key in gone {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
