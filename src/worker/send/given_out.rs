//! Moved occurrences: those that a change has moved to a later due instant. A node that did not
//! know of the change yet may have sent one when it was due by the plan before, which is the same
//! occurrence under the same execution id.
//!
//! The request builder asks before it gives such an occurrence a request. The answer is in the
//! store once everything due by the plan before is accounted for there, whoever sent it: this
//! process, the one before it, or another owner. An occurrence that a change moves to an earlier
//! instant is the tracker's to recognize.

use rusqlite::Connection;

use super::known_changes::KnownChange;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::LATE_CHANGE;
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::{Ownership, shard_of};
use crate::model::{JobId, Millis};
use crate::store::jobs::Payload;
use crate::store::ledger::Progress;
use crate::store::{attempts, pending, plans as closed, runs};
use crate::worker::queue::{Instants, Member, Plans};

/// The time, in milliseconds, for which an occurrence is given out before it is due, and more.
const AHEAD: Millis = 1_000;

/// The answer to the question whether an occurrence was given out before a change moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenOut {
    /// It was not: it goes out now.
    No,
    /// It was, and has an end, a row or a run.
    Yes,
    /// That is not known yet.
    Unknown,
}

/// What this node knows itself of a job: the ownership range that asks, and the change of the job
/// that its due queue took in last.
pub(super) type Own = (Option<Ownership>, Option<KnownChange>);

/// Answers for a planned occurrence of a job, by the plans that a change has replaced a short time
/// before the scheduled instant.
pub(super) fn given_out(
    (conn, plans): (&Connection, &Plans),
    row: &Payload,
    of: Instants,
    own: impl FnOnce() -> Own,
) -> rusqlite::Result<GivenOut> {
    let Instants { scheduled, due } = of;
    // The usual case, in one comparison: no plan began a short time before.
    let is_quiet = row.from < scheduled.saturating_sub(LATE_CHANGE);
    if is_quiet || row.from == row.created {
        return Ok(GivenOut::No);
    }
    let mut found = Vec::new();
    for plan in closed::of_job(conn, row.id)? {
        let is_replaced = plan.until < scheduled && plan.until >= scheduled - LATE_CHANGE;
        if !is_replaced || !plan.status.fires() {
            continue;
        }
        let member = Member::from(row.id, plan.anchor, plan.from);
        let replaced = plans.plan(conn, plan.definition_id, row.id)?;
        let then = replaced.and_then(|plan| plan.due_of(&member, scheduled));
        found.extend(then.filter(|then| *then < due));
    }
    let Some(earliest) = found.iter().copied().min() else { return Ok(GivenOut::No) };
    if knew_in_time(own(), earliest) {
        return Ok(GivenOut::No);
    }
    let progress = Progress::read(conn, row.id, due)?;
    if found.iter().any(|then| progress.watermark(*then) < *then) {
        return Ok(GivenOut::Unknown);
    }
    Ok(if is_recorded(conn, row.id, scheduled, &found)? { GivenOut::Yes } else { GivenOut::No })
}

/// Tells whether this node knew of the change before it could have given the occurrence out by the
/// plan before, and nobody else could: it had the range then that it has now.
fn knew_in_time((ownership, known): Own, then: Millis) -> bool {
    let (Some(ownership), Some(known)) = (ownership, known) else { return false };
    known.epoch == ownership.epoch && ownership.after < then && known.at + AHEAD < then
}

/// Tells whether the store knows of an occurrence as one that was due at one of these instants.
fn is_recorded(
    conn: &Connection,
    job: JobId,
    scheduled: Millis,
    due: &[Millis],
) -> rusqlite::Result<bool> {
    let of = Occurrence { job, scheduled, run: 0 };
    if runs::get(conn, of)?.is_some_and(|run| run.accepted) {
        return Ok(true);
    }
    let lone = Members::from_sorted([job]);
    let rows = pending::at_occurrence(conn, shard_of(job), scheduled, 0, &lone)?;
    if rows.iter().any(|row| row.members.contains(job)) {
        return Ok(true);
    }
    for then in due {
        let end = attempts::end_of(conn, of, *then, *then)?;
        // The change itself ended what was about to go out: it goes out when it is due now.
        if end.is_some_and(|(verdict, _)| verdict != Verdict::Skipped(SkipReason::Edited)) {
            return Ok(true);
        }
    }
    Ok(false)
}
