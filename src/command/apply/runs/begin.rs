//! The begin of runs: a sender asks for leave, or a receiver accepts what it was sent.

use super::row::{NO_RETRY, SENDER_PATIENCE, deadline, run_of};
use crate::command::apply::entry::{Applied, Entry, Refusal};
use crate::command::outcome::Outcome;
use crate::model::attempt::{AttemptRecord, SkipReason};
use crate::model::delivery::Overlap;
use crate::model::event::RunChange;
use crate::model::job::{JobStatus, PARKED, Pending};
use crate::model::members::Members;
use crate::model::run::{Accepted, BeginRun, Begun, Occurrence, Run};
use crate::model::shard::shard_of;
use crate::model::{Millis, NodeId};
use crate::store::{jobs, pending, runs};

impl Entry<'_, '_> {
    /// Decides whether an attempt may go out that must not overlap with another run of its job.
    pub(in crate::command::apply) fn begin_run(&mut self, begin: &BeginRun) -> Applied {
        let of = begin.occurrence;
        let live = self.tx.shard(begin.shard)?.is_some_and(|s| s.is_live(begin.node, begin.epoch));
        let own = runs::get(self.tx, of)?;
        let run = self.run_to_begin(begin, own.as_ref());
        let row = self.row_of(of)?;
        let open = match begin.pending {
            Some(id) => row.as_ref().is_some_and(|row| row.id == id),
            None => {
                row.is_none()
                    && !self.not_ended(&AttemptRecord::reported(&run, self.stamp))?.is_empty()
            }
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
        // With a run of its own it is the same occurrence once more: a retry, or its sender died.
        if own.is_none() {
            let others = runs::of_job(self.tx, of.job)?;
            match begin.overlap {
                _ if others.is_empty() => {}
                Overlap::Allow => {}
                Overlap::Skip => {
                    self.skip_run(&run, SkipReason::Overlap)?;
                    return Ok(Outcome::Begun(Begun::Skipped));
                }
                Overlap::QueueOne => {
                    self.queue(&run, row)?;
                    return Ok(Outcome::Begun(Begun::Queued));
                }
                Overlap::Queue { most } => return self.queue_up(&run, row, most),
                Overlap::CancelPrevious => {
                    for other in &others {
                        self.cancel_run(other)?;
                    }
                }
            }
        }
        let deadline = match begin.pending {
            Some(_) => Millis::MAX,
            None => self.stamp.saturating_add(begin.timeout.max(0)).saturating_add(SENDER_PATIENCE),
        };
        let base = row.map_or(run.base, |row| row.base);
        self.put_run(&Run { base, deadline, ..run })?;
        Ok(Outcome::Begun(Begun::Go))
    }

    /// Tells whether the job was stopped before the instant, and its sender did not know that yet.
    fn is_stopped(&mut self, begin: &BeginRun) -> Result<bool, Refusal> {
        if begin.pending.is_some() {
            return Ok(false); // an occurrence in a row is sent although its job was stopped since
        }
        Ok(jobs::get_in(self.tx, begin.occurrence.job)?.is_some_and(|job| {
            matches!(job.status, JobStatus::Inactive | JobStatus::Disabled) && job.from < begin.due
        }))
    }

    /// The run that a sender asks to begin, with what its former run has.
    fn run_to_begin(&self, begin: &BeginRun, own: Option<&Run>) -> Run {
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
            worker: None,
        }
    }

    /// Parks an occurrence behind its job's run. One that is parked already is skipped for it.
    fn queue(&mut self, run: &Run, row: Option<Pending>) -> Result<(), Refusal> {
        let job = run.occurrence.job;
        let own = row.as_ref().map(|row| row.id);
        for waiting in pending::parked(self.tx, job)?.iter().filter(|row| Some(row.id) != own) {
            let other =
                Run { node: run.node, epoch: run.epoch, ..run_of(waiting, job, self.stamp) };
            self.skip_run(&other, SkipReason::Overlap)?;
        }
        self.park(run, row)
    }

    /// Parks an occurrence behind its job's run and behind those that wait already; beyond the most
    /// that may wait it is skipped.
    fn queue_up(&mut self, run: &Run, row: Option<Pending>, most: u32) -> Applied {
        let waits = row.as_ref().is_some_and(|row| row.next_at == PARKED);
        let others = pending::parked_count(self.tx, run.occurrence.job)?;
        if !waits && others >= u64::from(most) {
            self.skip_run(run, SkipReason::QueueFull)?;
            return Ok(Outcome::Begun(Begun::Skipped));
        }
        self.park(run, row)?;
        Ok(Outcome::Begun(Begun::Queued))
    }

    /// Parks an occurrence: in its row if it has one of its own, else in a new one.
    fn park(&mut self, run: &Run, row: Option<Pending>) -> Result<(), Refusal> {
        match row {
            Some(row) if row.members.len() == 1 => {
                pending::park(self.tx, row.id)?;
                self.row_changed(&row);
                self.pending_changed(row.shard);
                Ok(())
            }
            // It leaves the row that it shares with others.
            Some(row) => {
                let lone = Members::from_sorted([run.occurrence.job]);
                self.keep_row(&row, &row.members.without(&lone))?;
                self.add_row(Pending { members: lone, next_at: PARKED, on_offer: None, ..row })
            }
            None => self.add_row(Pending { base: 0, ..Pending::of_run(run, run.attempt, PARKED) }),
        }
    }

    /// Turns the open members of a record into accepted runs: their receiver reports later.
    pub(in crate::command::apply) fn accept(
        &mut self,
        live: bool,
        node: NodeId,
        record: &AttemptRecord,
        open: &Members,
        known: &[Run],
    ) -> Result<(), Refusal> {
        let silent = Accepted { run_timeout: None, heartbeat_timeout: None, retry: NO_RETRY };
        let accepted = record.accepted.as_deref().copied().unwrap_or(silent);
        let answered = record.started.saturating_add(record.duration.into());
        let rows = self.rows(record)?;
        for job in open.iter() {
            let own = known.iter().find(|run| run.occurrence.job == job);
            if own.is_some_and(|own| own.accepted) && !live {
                continue; // two senders had it accepted: that of the owner counts
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
                // No one can report on it before it is in the store.
                heard: answered.max(self.stamp),
                deadline: Millis::MAX,
                heartbeat_timeout: accepted.heartbeat_timeout,
                ends: accepted.run_timeout.map(|long| answered.saturating_add(long)),
                retry: accepted.retry,
                forced: forced.unwrap_or(false),
                worker: None,
            };
            self.run_changed(&run, RunChange::Accepted);
            self.put_run(&Run { deadline: deadline(&run), ..run })?;
            self.close_rows(record, &Members::from_sorted([job]))?;
        }
        Ok(())
    }
}
