//! What is not over of one job, or at one worker. `open_runs` walks through it; nothing here
//! writes.
//!
//! Both walks read as far as they are followed, and no further: a page of a job with ten thousand
//! runs reads about as many rows as it shows.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::open_run::OpenRun;
use super::{pending, runs};
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis};

/// Walks through what is not over of a job, scheduled before an instant: newest first, by number of
/// the run within an instant. It goes on behind a place, until `f` returns `false`.
pub(super) fn each_of_job(
    conn: &Connection,
    job: JobId,
    (before, after): (Millis, Option<Occurrence>),
    f: &mut impl FnMut(OpenRun) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let shard = shard_of(job);
    let last = before.saturating_sub(1);
    let mut until = after.map_or(last, |of| of.scheduled.min(last));
    // A look for the next group passes those of other jobs, so each look counts until its row is
    // reached.
    let mut group = pending::last_group_of_job(conn, (shard, job), until)?;
    loop {
        let run = runs::last_of_job(conn, job, until)?;
        let lone = pending::last_of_lone_job(conn, (shard, job), until)?;
        let Some(scheduled) = run.max(lone).max(group) else { return Ok(()) };
        for open in at_instant(conn, job, scheduled)? {
            let place = |of: Occurrence| (Reverse(of.scheduled), of.run);
            if after.is_some_and(|after| place(open.occurrence) <= place(after)) {
                continue;
            }
            if !f(open)? {
                return Ok(());
            }
        }
        let Some(next) = scheduled.checked_sub(1) else { return Ok(()) };
        until = next;
        if group == Some(scheduled) {
            group = pending::last_group_of_job(conn, (shard, job), until)?;
        }
    }
}

/// What is not over of a job at one instant, by number of the run.
fn at_instant(conn: &Connection, job: JobId, scheduled: Millis) -> rusqlite::Result<Vec<OpenRun>> {
    let mut found: BTreeMap<u64, OpenRun> = BTreeMap::new();
    for run in runs::of_job_at(conn, job, scheduled)? {
        let of = run.occurrence;
        found.insert(of.run, OpenRun { run: Some(run), ..OpenRun::empty(of) });
    }
    for row in pending::of_job_at(conn, (shard_of(job), job), scheduled)? {
        if row.members.contains(job) {
            let of = Occurrence { job, scheduled, run: row.run };
            let open = found.entry(of.run).or_insert_with(|| OpenRun::empty(of));
            open.row = Some(Arc::new(row));
        }
    }
    Ok(found.into_values().collect())
}

/// Walks through the runs that a worker has, of one job or of all, scheduled before an instant:
/// newest first, and backwards by job within an instant. It goes on behind a place, until `f`
/// returns `false`.
pub(super) fn each_of_worker(
    conn: &Connection,
    of: (&str, Option<JobId>),
    place: (Millis, Option<Occurrence>),
    f: &mut impl FnMut(OpenRun) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    runs::each_of_worker(conn, of, place, |run| {
        let of = run.occurrence;
        f(OpenRun { run: Some(run), ..OpenRun::empty(of) })
    })
}

#[cfg(test)]
#[path = "open_parts_tests.rs"]
mod tests;
