//! The last look at an occurrence before its request is built: an edit or a pause may have come
//! after it was queued. The request builder asks; nothing is recorded here.

use super::work::Head;
use rusqlite::Connection;

use crate::model::attempt::SkipReason;
use crate::model::job::JobStatus;
use crate::model::target::ProjectPause;
use crate::model::{Millis, ProjectId};
use crate::store::jobs::Payload;
use crate::store::{plans as closed, projects};
use crate::worker::queue::{Instants, Member, Plan, Plans};

/// The cause why an occurrence of a job does not go out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) enum SkipCause {
    Paused,
    ProjectPaused,
    Quota,
    Edited,
    Disabled,
}

impl SkipCause {
    /// The objection of a job's status.
    pub(super) fn of(status: JobStatus) -> Option<Self> {
        match status {
            JobStatus::Active | JobStatus::Completed => None,
            JobStatus::Inactive => Some(Self::Paused),
            JobStatus::Disabled => Some(Self::Disabled),
        }
    }

    /// The objection of the pauses of a project to an occurrence that is due at an instant. One
    /// that somebody asked for comes before that of the account.
    pub(in crate::worker) fn of_pauses(pauses: &[ProjectPause], due: Millis) -> Option<Self> {
        let pause = pauses.iter().find(|pause| pause.covers(due))?;
        Some(if pause.by_quota { Self::Quota } else { Self::ProjectPaused })
    }

    /// Says whether it is a pause of the project.
    pub(super) fn is_of_project(self) -> bool {
        matches!(self, Self::ProjectPaused | Self::Quota)
    }

    pub(in crate::worker) fn reason(self) -> SkipReason {
        match self {
            Self::Paused | Self::ProjectPaused => SkipReason::Paused,
            Self::Quota => SkipReason::Quota,
            Self::Edited => SkipReason::Edited,
            Self::Disabled => SkipReason::Disabled,
        }
    }
}

/// The cause why an occurrence does not go out by the present state; `None` if it does. An edit or
/// a pause may not have reached the queue yet, or came while the jitter ran.
///
/// The plan that holds the scheduled instant says whether there is such an occurrence. The plan
/// that holds the due instant says whether the job fires then. The last argument is the job's
/// project and the objection of its pauses to the due instant; an occurrence that was planned in
/// another project follows the pauses of that one.
pub(super) fn skip_cause(
    (conn, plans): (&Connection, &Plans),
    plan: &Plan,
    row: &Payload,
    head: &Head,
    (project, pause): (ProjectId, Option<SkipCause>),
) -> rusqlite::Result<Option<SkipCause>> {
    let of = Instants { scheduled: head.scheduled, due: head.due };
    if row.from < head.scheduled && row.definition_id == plan.definition && !plan.is_anchored() {
        return Ok(SkipCause::of(row.status).or(pause));
    }
    skip_cause_now((conn, plans), row, of, (project, pause))
}

/// As [`skip_cause`], where the plan is not known by which the occurrence fell due.
pub(in crate::worker) fn skip_cause_now(
    (conn, plans): (&Connection, &Plans),
    row: &Payload,
    Instants { scheduled, due }: Instants,
    (project, pause): (ProjectId, Option<SkipCause>),
) -> rusqlite::Result<Option<SkipCause>> {
    let job = row.id;
    // What a change has moved ahead is late, and goes out as it was given out.
    let is_due = |planned: Option<Millis>| planned.is_some_and(|planned| planned <= due);
    if row.from < scheduled {
        if let Some(cause) = SkipCause::of(row.status) {
            return Ok(Some(cause));
        }
        let member = Member::from(job, row.anchor, row.from);
        let now = plans.plan(conn, row.definition_id, job)?;
        let now = now.and_then(|plan| plan.due_of(&member, scheduled));
        return Ok(if is_due(now) { pause } else { Some(SkipCause::Edited) });
    }
    let closed = closed::of_job(conn, job)?;
    let holding =
        |instant| closed.iter().find(move |plan| plan.from < instant && instant <= plan.until);
    let Some(planned) = holding(scheduled) else {
        return Ok(SkipCause::of(row.status).or(Some(SkipCause::Edited)));
    };
    let (anchor, after, until) = (planned.anchor, planned.from, planned.until);
    let member = Member { until, ..Member::from(job, anchor, after) };
    let then = plans.plan(conn, planned.definition_id, job)?;
    if !is_due(then.and_then(|plan| plan.due_of(&member, scheduled))) {
        return Ok(Some(SkipCause::Edited));
    }
    let status = match holding(due) {
        Some(plan) if row.from >= due => plan.status,
        _ => row.status,
    };
    if let Some(cause) = SkipCause::of(status) {
        return Ok(Some(cause));
    }
    let then = planned.definition.project;
    if then == project {
        return Ok(pause);
    }
    Ok(SkipCause::of_pauses(&projects::pauses(conn, then)?, due))
}
