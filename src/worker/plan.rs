//! What makes jobs due: a definition's schedule with its bounds, its jitter and its misfire policy.
//!
//! `worker::plans` makes plans, `worker::shard_queue` keeps jobs by them, `worker::builder` asks once
//! more before a body is written. Pure.

use crate::model::delivery::Misfire;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, Schedule};

/// What a class of jobs fires by.
#[derive(Debug)]
pub struct Plan {
    /// The definition's number.
    pub definition: u64,
    /// The project of its jobs.
    pub project: ProjectId,
    /// The schedule, read once for all that share the definition.
    pub schedule: Schedule,
    /// Whether the schedule was read for one job alone (`H` in its spec), which is then this one.
    pub seed: Option<JobId>,
    /// No occurrence before this instant.
    pub start: Option<Millis>,
    /// No occurrence scheduled after this instant.
    pub end: Option<Millis>,
    /// Occurrences are due by less than this after their scheduled instants, in milliseconds.
    pub jitter: Millis,
    /// What becomes of those that are too late.
    pub misfire: Misfire,
}

/// A job's plan as it goes into the queue: which of its occurrences, by the instants they are
/// scheduled for and due at. Jitter makes the two differ; a plan judges the first, a pause the
/// second.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The job.
    pub job: JobId,
    /// What its `@every` counts from; the instant of a one-off.
    pub anchor: Millis,
    /// Its occurrences are scheduled after this instant ...
    pub after: Millis,
    /// ... up to and including this one, ...
    pub until: Millis,
    /// ... and due after this one: of what is scheduled in a pause, what is due after it fires.
    pub due_after: Millis,
}

impl Member {
    /// A job's present plan: all that is scheduled after an instant.
    pub fn from(job: JobId, anchor: Millis, after: Millis) -> Self {
        Self { job, anchor, after, until: Millis::MAX, due_after: Millis::MIN }
    }
}

/// What tells classes apart.
pub(super) type Key = (u64, Millis);

impl Plan {
    /// As much of an anchor as its occurrences depend on: the phase of `@every`, the instant of a
    /// one-off. To be given wherever this file asks for an anchor, or the anchor itself.
    pub(super) fn phase(&self, anchor: Millis) -> Millis {
        match self.schedule.period() {
            Some(period) => anchor.rem_euclid(period),
            None if self.schedule.is_once() => anchor,
            None => 0,
        }
    }

    /// The jobs of one key have the same occurrences. With jitter or `H` each has its own.
    pub(super) fn key(&self, phase: Millis, job: JobId) -> Key {
        let own = self.jitter > 0 || self.seed.is_some();
        (self.definition, if own { job as Millis } else { phase })
    }

    /// Its occurrences as a job has them, by themselves: without bounds.
    pub(super) fn of(&self, anchor: Millis, job: JobId) -> Jittered<'_> {
        Jittered { schedule: &self.schedule, anchor, job, jitter: self.jitter }
    }

    /// A member's first occurrence that is due after an instant (not before its `due_after`), as
    /// (scheduled, due); it may lie beyond the member's end.
    pub(super) fn first(&self, member: &Member, floor: Millis) -> Option<(Millis, Millis)> {
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

    /// A member's occurrences are scheduled after this instant.
    pub(super) fn lower(&self, member: &Member) -> Millis {
        let anchored = self.schedule.period().map_or(Millis::MIN, |_| member.anchor);
        let start = self.start.map_or(Millis::MIN, |start| start - 1);
        member.after.max(anchored).max(start)
    }

    /// Whether a member has an occurrence scheduled at one instant and due at another, whatever is
    /// asked of the second.
    pub(super) fn is_due(&self, member: &Member, scheduled: Millis, due: Millis) -> bool {
        self.lower(member) < scheduled
            && scheduled <= self.last().min(member.until)
            && self.schedule.next(member.anchor, scheduled - 1) == Some(scheduled)
            && self.of(member.anchor, member.job).due(scheduled) == due
    }

    /// The instant by which all of a member's occurrences are due. One plan's occurrences are due in
    /// the order in which they are scheduled, so that this bound says the same as the member's end.
    pub(super) fn due_by(&self, member: &Member) -> Millis {
        let end = self.last().min(member.until);
        if self.jitter <= 0 || end == Millis::MAX {
            return end;
        }
        let of = self.of(self.phase(member.anchor), member.job);
        of.schedule.prev(of.anchor, end).map_or(Millis::MIN, |scheduled| of.due(scheduled))
    }

    /// Whether the jobs of the definition differ in their anchors, as far as it matters.
    pub(super) fn is_anchored(&self) -> bool {
        self.schedule.period().is_some() || self.schedule.is_once()
    }

    /// No occurrence is scheduled after this instant.
    pub(super) fn last(&self) -> Millis {
        self.end.unwrap_or(Millis::MAX)
    }
}
