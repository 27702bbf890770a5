//! Rules of plan intervals: from when to when a job fires by one schedule, and where its present
//! stretch begins. Called by the rules of jobs alone.
//!
//! ```text
//!      created          paused until T               T - 1
//!   ------|--- active ------|------- inactive --------|--- active, the job's own row ----->
//!         closed plan       closed plan, may end ahead
//! ```
//!
//! A stretch covers the instants after its beginning, up to and including its end. Its schedule
//! decides about what is scheduled in it, its status about what is due in it: where jitter carries
//! an occurrence beyond the end of its stretch, it is still due then, and fires if the job does.
//! The present stretch has no end and is the job's own row; the others are closed plans, each with
//! a reference to its definition. A stretch of no length is not kept.
//!
//! Of a one-off that is not to be found in any stretch (its instant had come when it was given) a
//! pending row is made, due at once. While the jitter of a one-off runs, the stretch that holds its
//! instant may be a closed plan; the present one does not have the instant then.

use std::collections::BTreeMap;

use super::{Entry, Refusal};
use crate::model::job::{ClosedPlan, Job, JobDefinition, JobStatus, Pending, Timing};
use crate::model::members::Members;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, LAST, Schedule};
use crate::store::meta::Sequence;
use crate::store::{pending, plans};

/// Periods and delays of a second or more count from a whole second.
const SECOND: Millis = 1_000;

/// How a job stands from a stamp on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlanState {
    /// Its status.
    pub(super) status: JobStatus,
    /// Where its present stretch begins; ahead of the stamp: it is paused up to there.
    pub(super) from: Millis,
    /// Its one instant is not ahead: it goes out at once.
    pub(super) overdue: bool,
}

/// The one instant of a one-off, while its instant has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneOffInstant {
    /// What it is scheduled for.
    pub(super) at: Millis,
    /// When it is due.
    pub(super) due: Millis,
    /// A closed plan, or a row, has it: the stretch that begins must not have it too.
    pub(super) held: bool,
}

impl OneOffInstant {
    /// That of a job whose definition is new; an instant that has come is due at once.
    pub(super) fn new(job: JobId, definition: &JobDefinition, at: Millis, stamp: Millis) -> Self {
        let due = if at <= stamp { at } else { due(job, definition, at) };
        Self { at, due, held: false }
    }
}

/// How a job stands after a stamp, given the status that it is to have. With an end of its pause it
/// fires from then on, whatever that says: also what is due at that very instant. `instant` is that
/// of a one-off whose instant has not come.
///
/// A pause with an end that would swallow the one instant of a one-off has none: nothing is left to
/// do after it, and the list should not say otherwise. Where a one-off that does not fire is
/// overdue already, its stretch reaches back to cover the instant.
pub(super) fn plan_state(
    instant: Option<OneOffInstant>,
    stamp: Millis,
    status: JobStatus,
    until: Option<Millis>,
) -> PlanState {
    let status = if until.is_some() { JobStatus::Active } else { status };
    let until = until.filter(|until| *until > stamp);
    let covering =
        |instant: OneOffInstant| if instant.held { stamp } else { stamp.min(instant.at - 1) };
    let (status, from, overdue) = match (instant, until) {
        (Some(instant), Some(until)) if instant.due < until => {
            (JobStatus::Inactive, covering(instant), false)
        }
        (_, Some(until)) => (JobStatus::Active, until - 1, false),
        (Some(instant), None) if status == JobStatus::Active => {
            (status, stamp, instant.at <= stamp && !instant.held)
        }
        (Some(instant), None) => (status, covering(instant), false),
        (None, None) => (status, stamp, false),
    };
    PlanState { status, from, overdue }
}

/// What a schedule that begins at a stamp counts from: jobs created in the same second fall due
/// together. For a one-off after a delay, when it is due.
pub(super) fn anchor(definition: &JobDefinition, stamp: Millis) -> Millis {
    let base = if whole_seconds(definition) { next_whole_second(stamp) } else { stamp };
    base + delay(definition).unwrap_or(0)
}

/// The delay of a one-off that has one, within what instants can be.
pub(super) fn delay(definition: &JobDefinition) -> Option<Millis> {
    match definition.timing {
        Timing::After(delay) => Some(delay.clamp(0, LAST)),
        Timing::Spec | Timing::At => None,
    }
}

/// Whether a definition counts from a whole second.
pub(super) fn whole_seconds(definition: &JobDefinition) -> bool {
    match definition.timing {
        Timing::Spec => definition.period.is_some_and(|period| period >= SECOND),
        Timing::After(delay) => delay >= SECOND,
        Timing::At => false,
    }
}

/// When the one occurrence of a one-off is due.
pub(super) fn due(job: JobId, definition: &JobDefinition, instant: Millis) -> Millis {
    let schedule = Schedule::at(instant);
    Jittered { schedule: &schedule, anchor: instant, job, jitter: definition.jitter }.due(instant)
}

/// When a new one-off that does not fire, with this status from an instant on, is over all the
/// same: its own instant passes. What was due before is ended by its row.
pub(super) fn lapses_at(
    job: JobId,
    definition: &JobDefinition,
    instant: Millis,
    (status, from): (JobStatus, Millis),
) -> Option<Millis> {
    let stopped = !status.fires() && definition.is_one_off();
    stopped.then(|| due(job, definition, instant)).filter(|due| *due > from)
}

/// The stamp, rounded up.
pub(super) fn next_whole_second(stamp: Millis) -> Millis {
    (stamp + SECOND - 1).div_euclid(SECOND) * SECOND
}

/// A job whose present stretch has just begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanInterval {
    /// Which.
    pub(super) id: JobId,
    /// Its project.
    pub(super) project: ProjectId,
    /// The number of its definition.
    pub(super) definition_id: u64,
    /// What it counts from; the instant of a one-off.
    pub(super) anchor: Millis,
    /// How it stands.
    pub(super) state: PlanState,
}

impl PlanInterval {
    /// A job that stands anew.
    pub(super) fn of(job: &Job, state: PlanState) -> Self {
        let (id, project, definition_id) = (job.id, job.definition.project, job.definition_id);
        Self { id, project, definition_id, anchor: job.anchor, state }
    }

    /// Whether there is more to do than to write its row.
    pub(super) fn is_special(&self, stamp: Millis) -> bool {
        self.state.overdue || self.state.from > stamp
    }
}

impl Entry<'_, '_> {
    /// The instant of a one-off that has not come yet.
    pub(super) fn instant_ahead(&mut self, job: &Job) -> Result<Option<OneOffInstant>, Refusal> {
        if !job.definition.is_one_off() {
            return Ok(None);
        }
        let due = self.due_of(job)?;
        let instant = OneOffInstant { at: job.anchor, due, held: job.anchor <= self.stamp };
        Ok(Some(instant).filter(|instant| instant.due > self.stamp))
    }

    /// When the one instant of a job is due: by the jitter of the stretch that holds the instant.
    /// One that no stretch holds had come when it was given, and was due at once.
    fn due_of(&mut self, job: &Job) -> Result<Millis, Refusal> {
        self.due_of_instant(job.id, &job.definition, (job.anchor, job.from))
    }

    /// The same, of a job of which only so much is at hand: its instant, and where its present
    /// stretch begins.
    pub(super) fn due_of_instant(
        &mut self,
        id: JobId,
        definition: &JobDefinition,
        (instant, from): (Millis, Millis),
    ) -> Result<Millis, Refusal> {
        if from < instant {
            return Ok(due(id, definition, instant));
        }
        let closed = plans::of_job_in(self.tx, id)?;
        let holds = |plan: &&ClosedPlan| {
            let spans = plan.from < instant && instant <= plan.until;
            spans && plan.definition.is_one_off() && plan.anchor == instant
        };
        Ok(closed.iter().find(holds).map_or(instant, |plan| due(id, &plan.definition, instant)))
    }

    /// When a one-off that does not fire is over all the same, as [`asleep`] of a new one.
    pub(super) fn lapse_of(&mut self, job: &Job) -> Result<Option<Millis>, Refusal> {
        if job.status.fires() || !job.definition.is_one_off() {
            return Ok(None);
        }
        Ok(Some(self.due_of(job)?).filter(|due| *due > job.from))
    }

    /// Whether the one instant of a job passed while it did not fire: nothing is left of it.
    pub(super) fn has_lapsed(&mut self, job: &Job) -> Result<bool, Refusal> {
        Ok(self.lapse_of(job)?.is_some_and(|due| due <= self.stamp))
    }

    /// Closes the present stretch of a job at the stamp: if it is paused up to an instant ahead,
    /// that pause; else its plan. The job's own reference to its definition stays with the caller.
    pub(super) fn end_interval(&mut self, job: &Job) -> Result<(), Refusal> {
        if job.from > self.stamp {
            for definition in plans::cut(self.tx, job.id, self.stamp)? {
                self.tx.release_definition(definition, 1)?;
            }
        } else if plans::close(self.tx, job, self.stamp)? {
            self.tx.add_definition_uses(job.definition_id, 1)?;
        }
        Ok(())
    }

    /// Begins jobs that stand otherwise than by a plan from the stamp on: keeps the intervals in
    /// which they are paused up to an instant ahead, and sends out what is overdue.
    pub(super) fn begin_intervals(&mut self, intervals: &[PlanInterval]) -> Result<(), Refusal> {
        let mut overdue = Vec::new();
        for job in intervals {
            if job.state.overdue {
                overdue.push(job);
            } else if job.state.from > self.stamp {
                let pause = plans::NewPlan {
                    job: job.id,
                    definition_id: job.definition_id,
                    anchor: job.anchor,
                    from: self.stamp,
                    until: job.state.from,
                    status: JobStatus::Inactive,
                };
                plans::insert(self.tx, &pause)?;
                self.tx.add_definition_uses(job.definition_id, 1)?;
                if self.tx.definition(job.definition_id)?.jitter > 0 {
                    // What is due after the pause fires: its worker has to read the closed plan.
                    self.change.edited.push(job.id);
                }
            }
        }
        self.send_overdue(&overdue)
    }

    /// One-offs that are due at the stamp or before go out at once: their plans begin too late.
    /// What may share a request shares a row.
    fn send_overdue(&mut self, overdue: &[&PlanInterval]) -> Result<(), Refusal> {
        let mut rows: BTreeMap<(ShardId, ProjectId, Millis, JobId), Vec<JobId>> = BTreeMap::new();
        let mut known = None;
        for job in overdue {
            if known.is_none_or(|(definition, _)| definition != job.definition_id) {
                let definition = self.tx.definition(job.definition_id)?;
                known = Some((
                    job.definition_id,
                    definition.http.is_none() && definition.executor.is_none(),
                ));
            }
            let alone = if known.is_some_and(|(_, batched)| batched) { 0 } else { job.id };
            let key = (shard_of(job.id), job.project, job.anchor, alone);
            rows.entry(key).or_default().push(job.id);
        }
        for ((shard, project, instant, _), ids) in rows {
            let row = Pending {
                id: self.tx.take(Sequence::Pending, 1)?,
                shard,
                project,
                due: instant,
                scheduled: instant,
                attempt: 1,
                next_at: self.stamp,
                members: Members::from_sorted(ids),
                run: 0,
                base: 0,
                forced: false,
                postponed: None,
            };
            pending::insert(self.tx, &row)?;
            self.pending_changed(shard);
        }
        Ok(())
    }
}
