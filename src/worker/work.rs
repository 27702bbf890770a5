//! What is due, as it goes from the queue to its requests and back: the jobs, and what they have in
//! common. Data only; `worker::engine` makes it, `worker::builder` reads it.

use std::sync::Arc;

use super::due_queue::OwnershipKey;
use super::misfire::Ticket;
use super::plan::Plan;
use super::tracker::Instants;
use crate::model::attempt::{AttemptRecord, ResultOrigin, Verdict};
use crate::model::members::Members;
use crate::model::postponement::{Obstacle, Postponement};
use crate::model::{JobId, Millis, ProjectId};

/// What is due at one instant of one part (or one pending row): what all its requests share.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The part that fires it.
    pub(super) key: OwnershipKey,
    /// When it was due.
    pub(super) due: Millis,
    /// The scheduled instant.
    pub(super) scheduled: Millis,
    /// The number of a manual run; 0 for planned occurrences.
    pub(super) run: u64,
    /// 1 for the first attempt.
    pub(super) attempt: u32,
    /// Attempts before this series; see `Pending::base`.
    pub(super) base: u32,
    /// Whether it does not care what else is under way.
    pub(super) forced: bool,
    /// The instant that decides who may send it: `due`, or a row's `next_at`.
    pub(super) gate: Millis,
    /// The pending row and its project.
    pub(super) row: Option<(u64, ProjectId)>,
    /// What it waited for, if it was put off.
    pub(super) postponed: Option<Postponement>,
    /// The plans by which it is due; empty for a row.
    pub(super) plans: Vec<Arc<Plan>>,
    /// What is made up gives its place free with the last piece of it.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) ticket: Option<Ticket>,
}

impl Head {
    /// A record about some of it, with nothing said of a request yet.
    pub(super) fn record(
        &self,
        project: ProjectId,
        verdict: Verdict,
        members: Members,
    ) -> AttemptRecord {
        AttemptRecord {
            project,
            shard: self.key.0,
            epoch: self.key.1,
            due: self.due,
            scheduled: self.scheduled,
            since: None,
            attempt: self.attempt,
            verdict,
            http_code: 0,
            started: 0,
            duration: 0,
            members,
            error: None,
            pending: self.row.map(|(id, _)| id),
            run: self.run,
            once: false,
            origin: ResultOrigin::Answer,
            accepted: None,
            response: None,
        }
    }

    /// The two instants of its occurrences.
    pub(super) fn instants(&self) -> Instants {
        Instants { scheduled: self.scheduled, due: self.due }
    }

    /// How many attempts of this series there are, this one included.
    pub(super) fn tried(&self) -> u32 {
        self.attempt.saturating_sub(self.base).max(1)
    }

    /// Whether it goes out although its destination keeps failing: somebody asked for it now.
    pub(super) fn is_probe(&self) -> bool {
        self.run > 0 && self.attempt == 1
    }

    /// How it waits from here on: since it first had to.
    pub(super) fn postpone(&self, obstacle: Obstacle, destination: &str) -> Postponement {
        Postponement::new(obstacle, destination, self.postponed_since())
    }

    /// Since when it waits, if it has to: since its attempt was to be made first.
    pub(super) fn postponed_since(&self) -> Millis {
        self.postponed.as_ref().map_or(self.gate, |before| before.since)
    }

    /// Whether it is the first look at an occurrence that the plan made.
    pub(super) fn is_first(&self) -> bool {
        self.attempt == 1 && self.run == 0
    }
}

/// What is due: ascending jobs, each with the number of its plan in the head.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// What is common.
    pub(super) head: Arc<Head>,
    /// Who.
    pub(super) jobs: Vec<(JobId, u32)>,
}

impl Work {
    /// The part of it that is about these jobs (ascending).
    pub(super) fn only(&self, ids: &[JobId]) -> Work {
        let find = |id: &JobId| {
            let place = self.jobs.binary_search_by_key(id, |(job, _)| *job).ok()?;
            Some(self.jobs[place])
        };
        Work { head: Arc::clone(&self.head), jobs: ids.iter().filter_map(find).collect() }
    }

    /// Takes the first `n` jobs out of it.
    pub(super) fn take(&mut self, n: usize) -> Work {
        let rest = self.jobs.split_off(n.min(self.jobs.len()));
        let jobs = std::mem::replace(&mut self.jobs, rest);
        Work { head: Arc::clone(&self.head), jobs }
    }

    /// Its jobs.
    pub(super) fn members(&self) -> Members {
        Members::from_sorted(self.jobs.iter().map(|(job, _)| *job))
    }

    /// The jobs by plan, as they go back into the queue.
    pub(super) fn by_plan(&self) -> Vec<(Arc<Plan>, Members)> {
        let mut by: Vec<Vec<JobId>> = vec![Vec::new(); self.head.plans.len()];
        for (job, plan) in &self.jobs {
            if let Some(list) = by.get_mut(*plan as usize) {
                list.push(*job);
            }
        }
        let lists = self.head.plans.iter().zip(by).filter(|(_, jobs)| !jobs.is_empty());
        lists.map(|(plan, jobs)| (Arc::clone(plan), Members::from_sorted(jobs))).collect()
    }
}
