//! Work: what is due, on its way from the queue to its requests and back. The engine makes it,
//! senders take it apart. Data only.

use std::sync::Arc;

use crate::model::attempt::{AttemptRecord, Occurrences, Verdict};
use crate::model::members::Members;
use crate::model::postponement::{Obstacle, Postponement};
use crate::model::shard::OwnershipKey;
use crate::model::{JobId, Millis, ProjectId};
use crate::worker::queue::{Instants, Plan, Ticket};
use crate::worker::supervisor::Dispatch;

/// The common part of all requests of a work: one instant of one ownership range, or one pending
/// row.
#[derive(Debug, Default)]
pub(in crate::worker) struct Head {
    /// The range that fires it.
    pub(in crate::worker) key: OwnershipKey,
    /// The due instant.
    pub(in crate::worker) due: Millis,
    /// The scheduled instant.
    pub(in crate::worker) scheduled: Millis,
    /// The number of a manual run; 0 for planned occurrences.
    pub(in crate::worker) run: u64,
    /// The number of the attempt, from 1.
    pub(in crate::worker) attempt: u32,
    /// Attempts before this series; see `Pending::base`.
    pub(in crate::worker) base: u32,
    /// True if it goes out whatever else is under way.
    pub(in crate::worker) forced: bool,
    /// The instant that decides which range may send it: `due`, or a row's `next_at`.
    pub(in crate::worker) attempt_at: Millis,
    /// The pending row and its project.
    pub(in crate::worker) row: Option<(u64, ProjectId)>,
    /// The deferral so far.
    pub(in crate::worker) postponed: Option<Postponement>,
    /// The plans by which it is due; empty for a row.
    pub(in crate::worker) plans: Vec<Arc<Plan>>,
    /// The place among the catch-up instants of its group, free again with the last piece.
    #[expect(dead_code, reason = "held, not read")]
    pub(in crate::worker) ticket: Option<Ticket>,
}

impl Head {
    /// A record about some of the jobs, with nothing said of a request yet.
    pub(in crate::worker) fn record(
        &self,
        project: ProjectId,
        verdict: Verdict,
        members: Members,
    ) -> AttemptRecord {
        let ((shard, epoch), Instants { scheduled, due }) = (self.key, self.instants());
        let occurrences = Occurrences { project, shard, epoch, due, scheduled, members };
        AttemptRecord {
            attempt: self.attempt,
            started: 0,
            pending: self.row.map(|(id, _)| id),
            run: self.run,
            ..AttemptRecord::attempt(occurrences, verdict)
        }
    }

    /// The two instants of its occurrences.
    pub(in crate::worker) fn instants(&self) -> Instants {
        Instants { scheduled: self.scheduled, due: self.due }
    }

    /// The number of attempts of this series, this one included.
    pub(in crate::worker) fn tried(&self) -> u32 {
        self.attempt.saturating_sub(self.base).max(1)
    }

    /// Says whether it goes out although its destination keeps failing: somebody asked for it now.
    pub(in crate::worker) fn is_probe(&self) -> bool {
        self.run > 0 && self.attempt == 1
    }

    /// The deferral from here on.
    pub(in crate::worker) fn postpone(
        &self,
        obstacle: Obstacle,
        destination: &str,
    ) -> Postponement {
        Postponement::new(obstacle, destination, self.postponed_since())
    }

    /// The instant since which it waits, if it has to: that of the first try.
    pub(in crate::worker) fn postponed_since(&self) -> Millis {
        self.postponed.as_ref().map_or(self.attempt_at, |before| before.since)
    }

    /// Says whether it is the first look at a planned occurrence.
    pub(in crate::worker) fn is_first(&self) -> bool {
        self.attempt == 1 && self.run == 0
    }
}

/// Ascending jobs, each with the number of its plan in the head.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Work {
    /// The common part.
    pub(in crate::worker) head: Arc<Head>,
    /// The jobs.
    pub(in crate::worker) jobs: Vec<(JobId, u32)>,
}

/// A piece of work that a sender hands over to the supervisor, which reports its end to the engine.
#[derive(Debug)]
pub(in crate::worker) struct Handover {
    /// The occurrences. The supervision gives the dispatch its number.
    pub(in crate::worker) dispatch: Dispatch,
    /// The piece.
    pub(in crate::worker) piece: Work,
}

impl Work {
    /// The part of the work that is about these jobs (ascending).
    pub(in crate::worker) fn only(&self, ids: &[JobId]) -> Work {
        let find = |id: &JobId| {
            let place = self.jobs.binary_search_by_key(id, |(job, _)| *job).ok()?;
            Some(self.jobs[place])
        };
        Work { head: Arc::clone(&self.head), jobs: ids.iter().filter_map(find).collect() }
    }

    /// Takes the first `n` jobs out.
    pub(in crate::worker) fn take(&mut self, n: usize) -> Work {
        let rest = self.jobs.split_off(n.min(self.jobs.len()));
        let jobs = std::mem::replace(&mut self.jobs, rest);
        Work { head: Arc::clone(&self.head), jobs }
    }

    /// The ids of the jobs.
    pub(in crate::worker) fn members(&self) -> Members {
        Members::from_sorted(self.jobs.iter().map(|(job, _)| *job))
    }

    /// The jobs by plan, as they go back into the queue.
    pub(in crate::worker) fn by_plan(&self) -> Vec<(Arc<Plan>, Members)> {
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
