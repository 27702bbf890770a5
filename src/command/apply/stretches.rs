//! Rules of stretches: from when to when a job fires by one schedule, and where its present stretch
//! begins. Called by the rules of jobs alone.
//!
//! ```text
//!      created          paused until T                T
//!   ------|--- active ------|------- inactive --------|--- active, the job's own row ----->
//!         closed plan       closed plan, may end ahead
//! ```
//!
//! A stretch is a half-open interval of *scheduled* instants: after its beginning, up to and
//! including its end. The present one has no end and is the job's own row; the others are closed
//! plans, each with a reference to its shape. A stretch of no length is not kept.

use super::{Entry, Refusal};
use crate::model::Millis;
use crate::model::job::{ClosedPlan, Job, JobShape, JobStatus, Timing};
use crate::schedule::LAST;
use crate::store::plans;

/// Periods and delays of a second or more count from a whole second.
const SECOND: Millis = 1_000;

/// How a job stands from a stamp on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its status.
    pub(super) status: JobStatus,
    /// Where its present stretch begins; ahead of the stamp: it is paused up to there.
    pub(super) from: Millis,
    /// Its one instant is not ahead: it goes out at once.
    pub(super) overdue: bool,
}

/// How a job stands after a stamp, given the status that it is to have and the end of its pause, if
/// that is known. `instant` is that of a one-off whose turn has not come.
///
/// A pause with an end that would swallow the one instant of a one-off has none: nothing is left to
/// do after it, and the list should not say otherwise. Where a one-off that does not fire is overdue
/// already, its stretch reaches back to cover the instant.
pub(super) fn standing(
    instant: Option<Millis>,
    stamp: Millis,
    status: JobStatus,
    until: Option<Millis>,
) -> Standing {
    let until = until.filter(|until| *until > stamp);
    let covering = |at: Millis| stamp.min(at.saturating_sub(1));
    let (status, from, overdue) = match (instant, until) {
        (Some(at), Some(until)) if at <= until => (JobStatus::Inactive, covering(at), false),
        (_, Some(until)) => (JobStatus::Active, until, false),
        (Some(at), None) if status == JobStatus::Active => (status, stamp, at <= stamp),
        (Some(at), None) => (status, covering(at), false),
        (None, None) => (status, stamp, false),
    };
    Standing { status, from, overdue }
}

/// What a schedule that begins at a stamp counts from: jobs created in the same second fall due
/// together. For a one-off after a delay, when it is due.
pub(super) fn anchor(shape: &JobShape, stamp: Millis) -> Millis {
    let base = if whole_seconds(shape) { next_whole_second(stamp) } else { stamp };
    base + delay(shape).unwrap_or(0)
}

/// The delay of a one-off that has one, within what instants can be.
pub(super) fn delay(shape: &JobShape) -> Option<Millis> {
    match shape.timing {
        Timing::After(delay) => Some(delay.clamp(0, LAST)),
        Timing::Spec | Timing::At => None,
    }
}

/// Whether a shape counts from a whole second.
pub(super) fn whole_seconds(shape: &JobShape) -> bool {
    match shape.timing {
        Timing::Spec => shape.period.is_some_and(|period| period >= SECOND),
        Timing::After(delay) => delay >= SECOND,
        Timing::At => false,
    }
}

/// The stamp, rounded up.
pub(super) fn next_whole_second(stamp: Millis) -> Millis {
    (stamp + SECOND - 1).div_euclid(SECOND) * SECOND
}

impl Entry<'_, '_> {
    /// The instant of a one-off that is still ahead.
    pub(super) fn instant_ahead(&self, job: &Job) -> Option<Millis> {
        (job.shape.is_one_off() && job.anchor > self.stamp).then_some(job.anchor)
    }

    /// Whether the one instant of a job passed while it did not fire: nothing is left of it.
    pub(super) fn slept_through(&self, job: &Job) -> bool {
        job.shape.is_one_off()
            && matches!(job.status, JobStatus::Inactive | JobStatus::Disabled)
            && job.from < job.anchor
            && job.anchor <= self.stamp
    }

    /// Closes the present stretch of a job at the stamp: if it is paused up to an instant ahead, that
    /// pause; else its plan. The job's own reference to its shape stays with the caller.
    pub(super) fn end_stretch(&mut self, job: &Job) -> Result<(), Refusal> {
        if job.from > self.stamp {
            for shape in plans::cut(self.tx, job.id, self.stamp)? {
                self.tx.release_shape(shape, 1)?;
            }
        } else if plans::close(self.tx, job, self.stamp)? {
            self.tx.add_shape_uses(job.shape_id, 1)?;
        }
        Ok(())
    }

    /// Keeps the stretch from the stamp to the beginning of a job's plan, if that lies ahead: it is
    /// paused there.
    pub(super) fn begin_pause(&mut self, job: &Job) -> Result<(), Refusal> {
        if job.from <= self.stamp {
            return Ok(());
        }
        let pause = ClosedPlan {
            job: job.id,
            shape: job.shape.clone(),
            shape_id: job.shape_id,
            anchor: job.anchor,
            from: self.stamp,
            until: job.from,
            active: false,
        };
        plans::insert(self.tx, &pause)?;
        self.tx.add_shape_uses(job.shape_id, 1)?;
        Ok(())
    }
}
