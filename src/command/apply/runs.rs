//! Rules of runs: occurrences that others may have to wait for. They begin when their sender asks
//! or when a receiver accepts them, and end with their occurrence: by its record (`record`), by a
//! report (`reports`), or here, by silence. Called by `apply` alone.
//!
//! What keeps a run from staying for ever is its deadline, and that depends on who has to move
//! next:
//!
//! - The receiver (an accepted run): it ends with its timeout, or after too long a silence.
//! - A pending row (between two attempts, or while one is made for a row): there is no deadline.
//!   The row brings the run to its end, also when its sender dies, because the next owner fires it.
//! - A sender that asked for a first attempt from the plan, and from which nothing came. While W is
//!   before the instant, the next owner fires it again (`begin_run` lets the same occurrence begin
//!   again), so the run keeps its place a little longer. If W has passed, its owner says that the
//!   occurrence is accounted for. Where no end state bears that out (it fell into the pause of its
//!   project, say), it becomes a pending row: not lost, and not doubled, because nobody fires what
//!   lies before W.

use super::{Applied, Entry, Refusal};
use crate::command::Outcome;
use crate::model::attempt::{AttemptRecord, ResultOrigin, SkipReason, Verdict};
use crate::model::delivery::{Overlap, Retry};
use crate::model::job::{JobStatus, PARKED, Pending};
use crate::model::members::Members;
use crate::model::run::{Accepted, BeginRun, Begun, Occurrence, Run};
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis, NodeId};
use crate::store::{jobs, pending, runs};

/// A sender of which nothing is heard has so long more than its attempt may take, in milliseconds:
/// a journal is recorded later than it is written.
const PATIENCE: Millis = 30_000;

impl Entry<'_, '_> {
    /// Whether an attempt may go out that must not overlap with another of its job.
    pub(super) fn begin_run(&mut self, begin: &BeginRun) -> Applied {
        let of = begin.occurrence;
        let live = self.tx.shard(begin.shard)?.is_some_and(|s| s.is_live(begin.node, begin.epoch));
        let own = runs::get(self.tx, of)?;
        let run = self.begun(begin, own.as_ref());
        let row = self.row_of(of)?;
        let open = match begin.pending {
            Some(id) => row.as_ref().is_some_and(|row| row.id == id),
            None => row.is_none() && !self.not_ended(&record_of(&run, self.stamp))?.is_empty(),
        };
        let accepted = own.as_ref().is_some_and(|own| own.accepted);
        if !live
            || !open
            || accepted
            || shard_of(of.job) != begin.shard
            || self.is_stopped(begin)?
        {
            return Ok(Outcome::Begun(Begun::NotYours));
        }
        // The same occurrence once more: a retry, or its sender died.
        if own.is_none() {
            let others = runs::of_job(self.tx, of.job)?;
            match begin.overlap {
                _ if others.is_empty() => {}
                Overlap::Allow => {}
                Overlap::Skip => {
                    self.end_run(
                        &run,
                        Verdict::Skipped(SkipReason::Overlap),
                        ResultOrigin::Answer,
                        None,
                    )?;
                    return Ok(Outcome::Begun(Begun::Skipped));
                }
                Overlap::QueueOne => {
                    self.queue(&run, row)?;
                    return Ok(Outcome::Begun(Begun::Queued));
                }
                Overlap::CancelPrevious => {
                    for other in &others {
                        self.cancel_run(other)?;
                    }
                }
            }
        }
        let deadline = match begin.pending {
            Some(_) => Millis::MAX,
            None => self.stamp.saturating_add(begin.timeout.max(0)).saturating_add(PATIENCE),
        };
        let base = row.map_or(run.base, |row| row.base);
        runs::put(self.tx, &Run { base, deadline, ..run })?;
        Ok(Outcome::Begun(Begun::Go))
    }

    /// Whether the job was stopped before the instant: its sender had not heard of it.
    fn is_stopped(&mut self, begin: &BeginRun) -> Result<bool, Refusal> {
        if begin.pending.is_some() {
            return Ok(false); // what is in a row stands
        }
        Ok(jobs::get_in(self.tx, begin.occurrence.job)?.is_some_and(|job| {
            matches!(job.status, JobStatus::Inactive | JobStatus::Disabled) && job.from < begin.due
        }))
    }

    fn begun(&self, begin: &BeginRun, own: Option<&Run>) -> Run {
        Run {
            occurrence: begin.occurrence,
            project: begin.project,
            shard: begin.shard,
            due: begin.due,
            attempt: begin.attempt,
            base: own.map_or(0, |own| own.base),
            node: begin.node,
            epoch: begin.epoch,
            accepted: false,
            started: self.stamp,
            heard: self.stamp,
            deadline: Millis::MAX,
            heartbeat_timeout: None,
            ends: None,
            retry: begin.retry,
            forced: own.is_some_and(|own| own.forced),
        }
    }

    /// Lets an occurrence wait behind its job's run; one that waits already gives way to it.
    fn queue(&mut self, run: &Run, row: Option<Pending>) -> Result<(), Refusal> {
        let job = run.occurrence.job;
        let own = row.as_ref().map(|row| row.id);
        for waiting in pending::parked(self.tx, job)?.iter().filter(|row| Some(row.id) != own) {
            let other =
                Run { node: run.node, epoch: run.epoch, ..run_of(waiting, job, self.stamp) };
            self.end_run(
                &other,
                Verdict::Skipped(SkipReason::Overlap),
                ResultOrigin::Answer,
                None,
            )?;
        }
        match row {
            Some(row) if row.members.len() == 1 => {
                pending::park(self.tx, row.id)?;
                self.pending_changed(row.shard);
                Ok(())
            }
            // It leaves the others that it went out with before.
            Some(row) => {
                let lone = Members::from_sorted([job]);
                pending::keep(self.tx, row.id, &row.members.without(&lone))?;
                self.add_row(Pending { members: lone, next_at: PARKED, ..row })
            }
            None => self.add_row(Pending {
                id: 0,
                shard: run.shard,
                project: run.project,
                due: run.due,
                scheduled: run.occurrence.scheduled,
                attempt: run.attempt,
                next_at: PARKED,
                members: Members::from_sorted([job]),
                run: run.occurrence.run,
                base: 0,
                forced: false,
                postponed: None,
            }),
        }
    }

    /// A receiver has accepted what it was sent: of those that are open, runs that end later.
    pub(super) fn accept(
        &mut self,
        live: bool,
        node: NodeId,
        record: &AttemptRecord,
        open: &Members,
        known: &[Run],
    ) -> Result<(), Refusal> {
        let no_retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let silent = Accepted { run_timeout: None, heartbeat_timeout: None, retry: no_retry };
        let accepted = record.accepted.as_deref().copied().unwrap_or(silent);
        let answered = record.started.saturating_add(record.duration.into());
        let rows = self.rows(record)?;
        for job in open.iter() {
            let own = known.iter().find(|run| run.occurrence.job == job);
            if own.is_some_and(|own| own.accepted) && !live {
                continue; // accepted from two senders: the owner's counts
            }
            let row = rows.iter().find(|row| row.members.contains(job));
            if row.is_some_and(|row| row.attempt > record.attempt) {
                continue; // its failure was reported before its answer was recorded
            }
            let base = row.map(|row| row.base).or(own.map(|own| own.base));
            let forced = row.map(|row| row.forced).or(own.map(|own| own.forced));
            let run = Run {
                occurrence: Occurrence { job, scheduled: record.scheduled, run: record.run },
                project: record.project,
                shard: record.shard,
                due: record.due,
                attempt: record.attempt,
                base: base.unwrap_or(0),
                node,
                epoch: record.epoch,
                accepted: true,
                started: record.started,
                // Nobody can report on it before it is in the books.
                heard: answered.max(self.stamp),
                deadline: Millis::MAX,
                heartbeat_timeout: accepted.heartbeat_timeout,
                ends: accepted.run_timeout.map(|long| answered.saturating_add(long)),
                retry: accepted.retry,
                forced: forced.unwrap_or(false),
            };
            runs::put(self.tx, &Run { deadline: deadline(&run), ..run })?;
            self.close_rows(record, &Members::from_sorted([job]))?;
        }
        Ok(())
    }

    /// Ends what is past its deadline, a bounded part at a time. Says how much there was of the one
    /// or the other, so that the caller knows whether to go on.
    pub(super) fn expire(&mut self, limit: u32) -> Applied {
        let lapsed = self.end_lapsed(limit)?;
        let expired = runs::expired(self.tx, self.stamp, limit)?;
        for run in &expired {
            if !run.accepted {
                self.expire_sender(run)?;
            } else if run.ends.is_some_and(|ends| ends <= run.deadline) {
                let error = "the run did not end within its run timeout";
                self.fail_run(run, ResultOrigin::TimedOut, Some(error.into()))?;
            } else {
                let error = "nothing was heard of the run within its heartbeat timeout";
                self.fail_run(run, ResultOrigin::Lost, Some(error.into()))?;
            }
        }
        Ok(Outcome::Changed(lapsed.max(expired.len() as u32)))
    }

    /// Nothing came of a first attempt; see above.
    fn expire_sender(&mut self, run: &Run) -> Result<(), Refusal> {
        if self.row_of(run.occurrence)?.is_some() {
            return self.hold(run);
        }
        let passed = self.tx.shard(run.shard)?.is_some_and(|shard| match &shard.closing {
            Some(closing) if run.due <= closing.until => run.due <= closing.watermark,
            _ => run.due <= shard.watermark,
        });
        if !passed {
            let deadline = self.stamp.saturating_add(PATIENCE);
            return Ok(runs::put(self.tx, &Run { deadline, ..run.clone() })?);
        }
        if self.not_ended(&record_of(run, self.stamp))?.is_empty() {
            return self.drop_run(run.occurrence);
        }
        self.hold(run)?;
        self.try_again(run, run.attempt, self.stamp)
    }

    /// A run has failed: it is tried again, or given up.
    pub(super) fn fail_run(
        &mut self,
        run: &Run,
        origin: ResultOrigin,
        error: Option<String>,
    ) -> Result<(), Refusal> {
        let Some(delay) = run.retry.after(run.attempt.saturating_sub(run.base)) else {
            return self.end_run(run, Verdict::Dead, origin, error);
        };
        let at = self.stamp.saturating_add(delay).min(PARKED - 1);
        let record = AttemptRecord {
            verdict: Verdict::Retry { at },
            error,
            origin,
            ..record_of(run, self.stamp)
        };
        self.keep_record(run.node, false, &record)?;
        self.close_rows(&record, &record.members)?;
        self.hold(run)?;
        self.try_again(run, run.attempt.saturating_add(1), at)
    }

    fn try_again(&mut self, run: &Run, attempt: u32, next_at: Millis) -> Result<(), Refusal> {
        self.add_row(Pending {
            id: 0,
            shard: run.shard,
            project: run.project,
            due: run.due,
            scheduled: run.occurrence.scheduled,
            attempt,
            next_at,
            members: Members::from_sorted([run.occurrence.job]),
            run: run.occurrence.run,
            base: run.base,
            forced: false, // its run has the place already
            postponed: None,
        })
    }

    /// Somebody does not want a run any more.
    pub(super) fn cancel_run(&mut self, run: &Run) -> Result<(), Refusal> {
        self.end_run(run, Verdict::Skipped(SkipReason::Cancelled), ResultOrigin::Cancelled, None)
    }

    /// The books themselves end an occurrence, with or without a run, and say so in the history.
    pub(super) fn end_run(
        &mut self,
        run: &Run,
        verdict: Verdict,
        origin: ResultOrigin,
        error: Option<String>,
    ) -> Result<(), Refusal> {
        let record = AttemptRecord { verdict, error, origin, ..record_of(run, self.stamp) };
        let id = self.keep_record(run.node, false, &record)?;
        match verdict {
            Verdict::Delivered => self.remove_dead_letters(&record)?,
            Verdict::Dead => self.add_dead_letter(id, &record, &record.members)?,
            _ => {}
        }
        self.ended(&record, &record.members, std::slice::from_ref(run))
    }

    /// A job is gone, and with it its runs: what a receiver works on is not waited for; an attempt
    /// that is under way, or waits, ends by its own record.
    pub(super) fn end_runs_of(&mut self, job: JobId) -> Result<(), Refusal> {
        for run in runs::of_job(self.tx, job)? {
            if run.accepted {
                self.end_run(
                    &run,
                    Verdict::Skipped(SkipReason::Ended),
                    ResultOrigin::Cancelled,
                    None,
                )?;
            } else {
                self.drop_run(run.occurrence)?;
            }
        }
        Ok(())
    }
}

/// When a run is lost.
pub(super) fn deadline(run: &Run) -> Millis {
    let silent = run.heartbeat_timeout.map(|long| run.heard.saturating_add(long));
    silent.into_iter().chain(run.ends).min().unwrap_or(Millis::MAX)
}

/// The occurrence of a row as a run that has not begun.
pub(super) fn run_of(row: &Pending, job: JobId, stamp: Millis) -> Run {
    Run {
        occurrence: Occurrence { job, scheduled: row.scheduled, run: row.run },
        project: row.project,
        shard: row.shard,
        due: row.due,
        attempt: row.attempt,
        base: row.base,
        node: 0,
        epoch: 0,
        accepted: false,
        started: stamp,
        heard: stamp,
        deadline: Millis::MAX,
        heartbeat_timeout: None,
        ends: None,
        retry: Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 },
        forced: row.forced,
    }
}

/// What the books have to say of a run; whoever says it puts in the verdict.
fn record_of(run: &Run, stamp: Millis) -> AttemptRecord {
    AttemptRecord {
        project: run.project,
        shard: run.shard,
        epoch: run.epoch,
        due: run.due,
        scheduled: run.occurrence.scheduled,
        since: None,
        attempt: run.attempt,
        verdict: Verdict::Running,
        http_code: 0,
        started: run.started,
        duration: (stamp - run.started).clamp(0, u32::MAX.into()) as u32,
        members: Members::from_sorted([run.occurrence.job]),
        error: None,
        pending: None,
        run: run.occurrence.run,
        once: true, // if it is no one-off, that changes nothing
        origin: ResultOrigin::Answer,
        accepted: None,
        response: None,
    }
}
