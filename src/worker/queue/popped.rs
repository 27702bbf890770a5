//! The output of the due queue, and the circumstances under which it is asked. Data only.

use std::sync::Arc;

use super::pauses::Pauses;
use super::plan::Plan;
use crate::model::Millis;
use crate::model::members::Members;

/// The circumstances under which the queue is asked for what is due.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The last due instant that is taken.
    pub until: Millis,
    /// Scheduler time.
    pub now: Millis,
    /// The log time up to which all changes have reached the queue.
    pub caught_up_to: Millis,
    /// The grace of plans that name none, in milliseconds.
    pub grace: Millis,
    /// The pauses of projects.
    pub pauses: &'a Pauses,
}

/// The occurrences due at one instant of one ownership range.
#[derive(Debug)]
pub struct Popped {
    /// The due instant.
    pub due: Millis,
    /// The occurrences that fire.
    pub fire: Vec<Fire>,
    /// The occurrences that are too late.
    pub skipped: Vec<Skip>,
}

/// Members of a group that fire.
#[derive(Debug)]
pub struct Fire {
    /// The plan that they fire by.
    pub plan: Arc<Plan>,
    /// The instant that they were scheduled for; with jitter it lies before the due instant.
    pub scheduled: Millis,
    /// The jobs that fire.
    pub members: Members,
    /// Held until the occurrences are over, when the group catches up.
    pub ticket: Option<Ticket>,
}

/// All occurrences of some jobs that are due in one interval and too late by their misfire policy.
#[derive(Clone, Debug)]
pub struct Skip {
    /// The plan that they were due by.
    pub plan: Arc<Plan>,
    /// The phase of the group.
    pub phase: Millis,
    /// The due instant of the first occurrence.
    pub since: Millis,
    /// The due instant of the last occurrence.
    pub due: Millis,
    /// The scheduled instant of the last occurrence.
    pub scheduled: Millis,
    /// The jobs that are skipped.
    pub members: Members,
}

/// A place among the catch-up instants of a group, held while the instant is under way.
#[derive(Clone, Debug, Default)]
pub struct Ticket(pub(super) Arc<()>);
