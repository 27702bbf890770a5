//! A plan: a definition's schedule with its bounds, its jitter and its misfire policy.
//!
//! `plans` makes plans from the store, the due queue keeps jobs by them, and the request builder
//! asks them once more before it writes a request. Pure.

use crate::model::delivery::Misfire;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, Schedule};

/// The plan that all jobs of a definition fire by.
#[derive(Debug)]
pub struct Plan {
    /// The number of the definition.
    pub definition: u64,
    /// The project of the jobs.
    pub project: ProjectId,
    /// The schedule, parsed once for all jobs of the definition.
    pub schedule: Schedule,
    /// The job that the schedule was parsed for, if each job needs its own (`H` in the spec).
    pub seed: Option<JobId>,
    /// The first instant at which an occurrence may be scheduled.
    pub start: Option<Millis>,
    /// The last instant at which an occurrence may be scheduled.
    pub end: Option<Millis>,
    /// The bound of the jitter, in milliseconds: occurrences are due less than this after they are
    /// scheduled.
    pub jitter: Millis,
    /// The policy for occurrences that are too late.
    pub misfire: Misfire,
}

/// A job's share of a plan: the occurrences that are scheduled in one interval and due after an
/// instant. Plans judge the scheduled instant, pauses the due one; jitter makes them differ.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The id of the job.
    pub job: JobId,
    /// The instant that `@every` counts from; the instant of a one-off.
    pub anchor: Millis,
    /// Occurrences are scheduled after this instant.
    pub after: Millis,
    /// The last instant at which an occurrence is scheduled.
    pub until: Millis,
    /// Occurrences are due after this instant. Something scheduled in a pause fires if it is due
    /// after it.
    pub due_after: Millis,
}

impl Member {
    /// A job's present plan: everything scheduled after `after`.
    pub fn from(job: JobId, anchor: Millis, after: Millis) -> Self {
        Self { job, anchor, after, until: Millis::MAX, due_after: Millis::MIN }
    }
}

/// The key of a group: jobs with the same key have the same occurrences.
pub(in crate::worker) type Key = (u64, Millis);

impl Plan {
    /// The part of an anchor that occurrences depend on: the phase of `@every`, the instant of a
    /// one-off. It may stand for the anchor in every call here.
    pub(in crate::worker) fn phase(&self, anchor: Millis) -> Millis {
        match self.schedule.period() {
            Some(period) => anchor.rem_euclid(period),
            None if self.schedule.is_once() => anchor,
            None => 0,
        }
    }

    /// The key of a job's group. With jitter or `H` each job has a key of its own.
    pub(in crate::worker) fn key(&self, phase: Millis, job: JobId) -> Key {
        let own = self.jitter > 0 || self.seed.is_some();
        (self.definition, if own { job as Millis } else { phase })
    }

    /// The occurrences of a job without the bounds of plan and member.
    pub(in crate::worker) fn of(&self, anchor: Millis, job: JobId) -> Jittered<'_> {
        Jittered { schedule: &self.schedule, anchor, job, jitter: self.jitter }
    }

    /// A member's first occurrence due after `floor` and after its `due_after`, as (scheduled,
    /// due). It may lie beyond the member's end.
    pub(in crate::worker) fn first(
        &self,
        member: &Member,
        floor: Millis,
    ) -> Option<(Millis, Millis)> {
        let floor = floor.max(member.due_after);
        let (phase, lower) = (self.phase(member.anchor), self.lower(member));
        if self.jitter <= 0 {
            return self.schedule.next(phase, floor.max(lower)).map(|at| (at, at));
        }
        let of = self.of(phase, member.job);
        let found = of.next(floor)?;
        if found.0 > lower {
            return Some(found);
        }
        let scheduled = self.schedule.next(phase, lower)?;
        Some((scheduled, of.due(scheduled)))
    }

    /// The instant after which a member's occurrences are scheduled.
    pub(in crate::worker) fn lower(&self, member: &Member) -> Millis {
        let anchored = self.schedule.period().map_or(Millis::MIN, |_| member.anchor);
        let start = self.start.map_or(Millis::MIN, |start| start - 1);
        member.after.max(anchored).max(start)
    }

    /// The instant at which a member's occurrence of a scheduled instant is due; `None` if it has
    /// none. Its `due_after` is not asked.
    pub(in crate::worker) fn due_of(&self, member: &Member, scheduled: Millis) -> Option<Millis> {
        let is_planned = self.lower(member) < scheduled
            && scheduled <= self.last().min(member.until)
            && self.schedule.next(member.anchor, scheduled - 1) == Some(scheduled);
        is_planned.then(|| self.of(member.anchor, member.job).due(scheduled))
    }

    /// The instant by which all of a member's occurrences are due. Occurrences of one plan are due
    /// in the order in which they are scheduled, so this bound equals the member's end.
    pub(in crate::worker) fn due_by(&self, member: &Member) -> Millis {
        let end = self.last().min(member.until);
        if self.jitter <= 0 || end == Millis::MAX {
            return end;
        }
        let of = self.of(self.phase(member.anchor), member.job);
        of.schedule.prev(of.anchor, end).map_or(Millis::MIN, |scheduled| of.due(scheduled))
    }

    /// Says whether the occurrences of a job depend on its anchor.
    pub(in crate::worker) fn is_anchored(&self) -> bool {
        self.schedule.period().is_some() || self.schedule.is_once()
    }

    /// The last instant at which an occurrence may be scheduled.
    pub(in crate::worker) fn last(&self) -> Millis {
        self.end.unwrap_or(Millis::MAX)
    }
}
