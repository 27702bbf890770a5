//! How the run of a report stands in this node's state: whether the report can be proposed, or
//! waits for a record that is on its way. `report` asks it; it decides nothing of what counts.

use rusqlite::Connection;

use super::ids::missing_run;
use super::word::{RunInput, RunWord};
use crate::app::error::Error;
use crate::app::runs::arrivals::PATIENCE_MS;
use crate::model::Millis;
use crate::model::job::{PARKED, Pending};
use crate::model::members::Members;
use crate::model::run::{Occurrence, Phase, Run};
use crate::model::run_report::RunState;
use crate::model::run_terms::RunTerms;
use crate::model::shard::shard_of;
use crate::model::target::WORKER;
use crate::store::{ends, executors, jobs, pending, plans, runs, shards};

/// The time after its scheduled instant in which the first record of a run may be on its way, in
/// milliseconds.
const RECENT: Millis = 24 * 3_600_000;
/// The time by which the clock of an owner may be ahead of this node's, in milliseconds.
const AHEAD: Millis = 60_000;
/// The time after the scheduled instant in which the end of a job with jitter is searched, in
/// milliseconds, where its plans do not give its due instant.
const SEARCHED: Millis = 60_000;

/// How the run of a report stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// The report is to be proposed.
    Present,
    /// The record of the run is on its way; the state without it, if there is anything.
    Awaited(Option<RunState>),
    /// The report says that a run has begun which was published.
    Begins {
        /// The attempt that has begun.
        attempt: u32,
        /// The terms of the run.
        terms: Box<RunTerms>,
    },
    /// The report changes nothing: its answer.
    Answered(Result<RunState, Error>),
}

impl Standing {
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited(_))
    }
}

/// Looks how the run of a report stands.
pub(super) fn standing(
    conn: &Connection,
    of: Occurrence,
    input: &RunInput,
    now: Millis,
) -> rusqlite::Result<Standing> {
    let (attempt, word) = (input.attempt, &input.word);
    let is_begin = *word == RunWord::Running;
    let run = runs::get(conn, of)?;
    if let Some(run) = run.as_ref().filter(|run| run.accepted) {
        // What this node has applied may be older than what the worker was handed.
        if attempt > run.attempt {
            return Ok(Standing::Awaited(Some(RunState::of_run(run))));
        }
        return Ok(if is_begin { begin(run, input) } else { Standing::Present });
    }
    let wanted = matches!(word, RunWord::Cancel { .. });
    if let Some(row) = row_of(conn, of)? {
        let soon = now.saturating_add(PATIENCE_MS.cast_signed());
        let may_be_taken = row.is_offered() || row.next_at <= soon;
        let is_past = row.next_at == PARKED || (attempt != 0 && attempt < row.attempt);
        return Ok(match word {
            RunWord::Cancel { .. } => Standing::Present,
            // That it is done is said of the attempt before, whose record is here.
            RunWord::Completed { .. } if attempt == 0 && row.attempt > 1 => Standing::Present,
            _ if may_be_taken && !is_past => Standing::Awaited(Some(RunState::of_row(&row))),
            RunWord::Running => refused(RunState::of_row(&row)),
            _ => Standing::Present,
        });
    }
    if let Some(run) = run {
        let awaited = Standing::Awaited(Some(RunState::of_run(&run)));
        return Ok(if wanted { Standing::Present } else { awaited });
    }
    if let Some(state) = end_of(conn, of)? {
        return Ok(if is_begin { refused(state) } else { Standing::Present });
    }
    if may_come(conn, of, now)? {
        return Ok(Standing::Awaited(None));
    }
    Ok(if is_begin { Standing::Answered(Err(missing_run())) } else { Standing::Present })
}

/// Says whether the first record of a run may be on its way: for a while after its scheduled
/// instant, and for workers, who may begin late, at any time after it.
pub(in crate::app) fn may_come(
    conn: &Connection,
    of: Occurrence,
    now: Millis,
) -> rusqlite::Result<bool> {
    let age = now.saturating_sub(of.scheduled);
    if age < RECENT {
        return Ok(age >= -AHEAD);
    }
    let executor = jobs::get(conn, of.job)?.and_then(|job| job.definition.executor);
    let Some(executor) = executor else { return Ok(false) };
    Ok(executors::get(conn, executor)?.is_some_and(|executor| executor.kind == WORKER))
}

/// Says whether the shard of a planned occurrence has settled all that was due up to its instant,
/// by the longest jitter of its job's present plan and of those that were closed: what has neither
/// row nor run nor end then never gets one, as far as these plans say. What they do not say is why
/// a report waits, and its owner is asked, all the same. A manual run has a row from its beginning
/// on, so the watermark says nothing of one.
pub(in crate::app) fn is_settled(conn: &Connection, of: Occurrence) -> rusqlite::Result<bool> {
    if of.run != 0 {
        return Ok(false);
    }
    let present = jobs::get(conn, of.job)?.map(|job| job.definition.jitter);
    let closed = plans::of_job(conn, of.job)?.into_iter().map(|plan| plan.definition.jitter);
    let jitter = present.into_iter().chain(closed).max().unwrap_or(0);
    let shard = shards::get(conn, shard_of(of.job))?;
    Ok(shard.is_some_and(|shard| shard.settled() >= of.scheduled.saturating_add(jitter)))
}

/// Says whether a report of a receiver, or a cancellation, would find its run or the end of it now.
pub(in crate::app) fn is_found(
    conn: &Connection,
    of: Occurrence,
    is_cancel: bool,
) -> rusqlite::Result<bool> {
    let run = runs::get(conn, of)?;
    if run.as_ref().is_some_and(|run| run.accepted) {
        return Ok(true);
    }
    if let Some(row) = row_of(conn, of)? {
        // What waits for workers may be taken already.
        return Ok(is_cancel || row.queue.is_none());
    }
    Ok(run.is_some_and(|run| run.node != 0) || end_of(conn, of)?.is_some())
}

/// The standing of a run whose worker says that it has begun.
fn begin(run: &Run, input: &RunInput) -> Standing {
    let state = RunState::of_run(run);
    if !run.fits(input.attempt, &input.worker) {
        return refused(state);
    }
    match run.worker.as_deref() {
        Some(kept) if kept.phase == Phase::Pending => {
            Standing::Begins { attempt: run.attempt, terms: Box::new(kept.terms.clone()) }
        }
        _ => Standing::Answered(Ok(state)),
    }
}

fn refused(state: RunState) -> Standing {
    let message = "this attempt of the run is over, or another worker has it: stop working on it";
    Standing::Answered(Err(Error::conflict(message).in_state(Some(state))))
}

/// The row of an occurrence.
fn row_of(conn: &Connection, of: Occurrence) -> rusqlite::Result<Option<Pending>> {
    let (shard, member) = (shard_of(of.job), Members::from_sorted([of.job]));
    let rows = pending::at_occurrence(conn, shard, of.scheduled, of.run, &member)?;
    Ok(rows.into_iter().find(|row| row.members.contains(of.job)))
}

/// The state of an occurrence that is over, as far as its end is found at once.
fn end_of(conn: &Connection, of: Occurrence) -> rusqlite::Result<Option<RunState>> {
    let end = ends::within(conn, of, SEARCHED)?;
    Ok(end.and_then(|(verdict, _)| RunState::of_end(verdict)))
}
