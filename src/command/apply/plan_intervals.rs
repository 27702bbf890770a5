//! Rules of plan intervals: from when to when a job fires by one schedule, and where its present
//! interval begins. The rules of jobs use them.
//!
//! ```text
//!      created          paused until T               T - 1
//!   ------|--- active ------|------- inactive --------|--- active, the job's own row ----->
//!         closed plan       closed plan, may end ahead
//! ```
//!
//! An interval covers the instants after its beginning, up to and including its end. Its schedule
//! decides what is scheduled in it, its status decides about what is due in it. An occurrence that
//! jitter delays beyond the end of its interval is still due then, and fires if the job does. The
//! present interval has no end and is the job's own row. The others are closed plans, each with a
//! reference to its definition. An interval of no length is not kept.
//!
//! A one-off whose instant had come when it was given is in no interval: a pending row is added for
//! it, due at once. While the jitter of a one-off runs, a closed plan may hold its instant, and the
//! present interval does not.

use std::collections::BTreeMap;

use super::entry::{Entry, Refusal};
use crate::model::job::{ClosedPlan, Job, JobDefinition, JobStatus, Pending, Timing};
use crate::model::members::Members;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, LAST, Schedule};
use crate::store::plans;

/// The length of a second: periods and delays of a second or more count from a whole second.
const SECOND: Millis = 1_000;

/// The state of a job from a stamp on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlanState {
    /// Its status.
    pub(super) status: JobStatus,
    /// The beginning of its present interval. If that is ahead of the stamp, the job is paused up
    /// to it.
    pub(super) from: Millis,
    /// It is a one-off whose instant is not ahead: it is sent at once.
    pub(super) overdue: bool,
}

/// The one instant of a one-off that is not due yet, or was given late.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneOffInstant {
    /// The scheduled instant.
    pub(super) at: Millis,
    /// The due instant.
    pub(super) due: Millis,
    /// A closed plan or a row holds it, so the interval that begins must not hold it too.
    pub(super) held: bool,
}

impl OneOffInstant {
    /// The instant of a job whose definition is new; one that has come is due at once.
    pub(super) fn new(job: JobId, definition: &JobDefinition, at: Millis, stamp: Millis) -> Self {
        let due = if at <= stamp { at } else { due(job, definition, at) };
        Self { at, due, held: false }
    }
}

/// The state of a job after a stamp. `status` is the status that it is asked to have. With the end
/// of a pause (`until`) the job fires from that instant on, whatever `status` is, and also what is
/// due at that very instant. `instant` is that of a one-off that is still to fire.
///
/// A pause that would cover the only instant of a one-off has no end: no occurrence is left after
/// it, and a list must not show an end. The interval of an overdue one-off that does not fire
/// reaches back to cover its instant.
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

/// The instant that a schedule counts from when it begins at a stamp. Jobs that are created in the
/// same second fall due together. For a one-off after a delay it is the due instant.
pub(super) fn anchor(definition: &JobDefinition, stamp: Millis) -> Millis {
    let base = if whole_seconds(definition) { next_whole_second(stamp) } else { stamp };
    base + delay(definition).unwrap_or(0)
}

/// The delay of a one-off that has one, limited to what an instant can be.
pub(super) fn delay(definition: &JobDefinition) -> Option<Millis> {
    match definition.timing {
        Timing::After(delay) => Some(delay.clamp(0, LAST)),
        Timing::Spec | Timing::At => None,
    }
}

/// Tells whether a definition counts from a whole second.
pub(super) fn whole_seconds(definition: &JobDefinition) -> bool {
    match definition.timing {
        Timing::Spec => definition.period.is_some_and(|period| period >= SECOND),
        Timing::After(delay) => delay >= SECOND,
        Timing::At => false,
    }
}

/// The due instant of the only occurrence of a one-off.
pub(super) fn due(job: JobId, definition: &JobDefinition, instant: Millis) -> Millis {
    let schedule = Schedule::at(instant);
    Jittered { schedule: &schedule, anchor: instant, job, jitter: definition.jitter }.due(instant)
}

/// The instant at which a new one-off lapses that does not fire and has this status from an instant
/// on: its own due instant. What was due before is ended by its row.
pub(super) fn lapses_at(
    job: JobId,
    definition: &JobDefinition,
    instant: Millis,
    (status, from): (JobStatus, Millis),
) -> Option<Millis> {
    let stopped = !status.fires() && definition.is_one_off();
    stopped.then(|| due(job, definition, instant)).filter(|due| *due > from)
}

/// The stamp, rounded up to a whole second.
pub(super) fn next_whole_second(stamp: Millis) -> Millis {
    (stamp + SECOND - 1).div_euclid(SECOND) * SECOND
}

/// A present interval that begins at the stamp, or after a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanInterval {
    /// The job.
    pub(super) id: JobId,
    /// Its project.
    pub(super) project: ProjectId,
    /// The id of its definition.
    pub(super) definition_id: u64,
    /// The instant that its schedule counts from; the instant of a one-off.
    pub(super) anchor: Millis,
    /// The state of the job.
    pub(super) state: PlanState,
}

impl PlanInterval {
    /// The interval of a job that gets another state.
    pub(super) fn of(job: &Job, state: PlanState) -> Self {
        let (id, project, definition_id) = (job.id, job.definition.project, job.definition_id);
        Self { id, project, definition_id, anchor: job.anchor, state }
    }

    /// Tells whether there is more to do than to write the row of the job.
    pub(super) fn is_special(&self, stamp: Millis) -> bool {
        self.state.overdue || self.state.from > stamp
    }
}

impl Entry<'_, '_> {
    /// The instant of a one-off, if it is not due yet.
    pub(super) fn instant_ahead(&mut self, job: &Job) -> Result<Option<OneOffInstant>, Refusal> {
        if !job.definition.is_one_off() {
            return Ok(None);
        }
        let due = self.due_of(job)?;
        let instant = OneOffInstant { at: job.anchor, due, held: job.anchor <= self.stamp };
        Ok(Some(instant).filter(|instant| instant.due > self.stamp))
    }

    /// The due instant of a one-off, by the jitter of the interval that holds its instant. One that
    /// no interval holds had come when it was given, and was due at once.
    pub(super) fn due_of(&mut self, job: &Job) -> Result<Millis, Refusal> {
        self.due_of_instant(job.id, &job.definition, (job.anchor, job.from))
    }

    /// The same for a one-off of which only the instant and the beginning of its present interval
    /// are known.
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

    /// The instant at which a one-off lapses, if it does not fire; [`lapses_at`] is for a new one.
    pub(super) fn lapse_of(&mut self, job: &Job) -> Result<Option<Millis>, Refusal> {
        if job.status.fires() || !job.definition.is_one_off() {
            return Ok(None);
        }
        Ok(Some(self.due_of(job)?).filter(|due| *due > job.from))
    }

    /// Tells whether a one-off has lapsed: its instant passed while it did not fire.
    pub(super) fn has_lapsed(&mut self, job: &Job) -> Result<bool, Refusal> {
        Ok(self.lapse_of(job)?.is_some_and(|due| due <= self.stamp))
    }

    /// Closes the present interval of a job at the stamp. If the job is paused up to an instant
    /// ahead, the pause is closed, else its plan. The job's own reference to its definition stays
    /// with the caller.
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

    /// Begins intervals that need more than the row of the job: stores the pauses that end ahead,
    /// and sends what is overdue.
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
                    // An occurrence that is due after the pause fires: the worker has to read the
                    // closed plan.
                    self.change.edited.push(job.id);
                }
            }
        }
        self.send_overdue(&overdue)
    }

    /// Adds pending rows for one-offs that are due at the stamp or before, because their plans
    /// begin too late. Jobs that may share a request share a row.
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
            let row = Pending::new(project, shard, instant, Members::from_sorted(ids));
            self.add_row(row.next_at(self.stamp))?;
        }
        Ok(())
    }
}

/// Tells whether two definitions count by the same spec, so that an edit keeps the phase.
pub(super) fn same_spec(a: &JobDefinition, b: &JobDefinition) -> bool {
    (a.timing, &a.spec, a.period) == (b.timing, &b.spec, b.period)
}

/// The fields beside the spec that decide which instants a job has, when they are due, and what
/// becomes of occurrences that are late or fall into a pause of the project.
pub(super) fn other_terms(definition: &JobDefinition) -> impl PartialEq + '_ {
    let JobDefinition { project, timezone, dst, start, end, jitter, misfire, .. } = definition;
    (project, timezone, dst, start, end, jitter, misfire)
}
