//! The end of runs: by silence, by a cancel, by the end of their job, or by what a report says.

use super::row::SENDER_PATIENCE;
use crate::command::apply::entry::{Applied, Entry, Refusal};
use crate::command::outcome::Outcome;
use crate::model::attempt::{AttemptRecord, ResultOrigin, SkipReason, Verdict};
use crate::model::event::RunChange;
use crate::model::job::{LAST_ATTEMPT, Pending};
use crate::model::run::Run;
use crate::model::run_report::RunState;
use crate::model::run_terms::BusKind;
use crate::model::{JobId, Millis};
use crate::store::runs;

/// The error of a run that took longer than its run timeout.
pub(super) const TOO_LONG: &str = "the run did not end within its run timeout";

impl Entry<'_, '_> {
    /// Ends runs past their deadline, offers that nobody took in time and lapsed one-offs, at most
    /// `limit` of each. Returns the largest of the numbers, so that the proposer knows whether to
    /// go on.
    pub(in crate::command::apply) fn expire(&mut self, limit: u32) -> Applied {
        let lapsed = self.end_lapsed(limit)?;
        let expired = runs::expired(self.tx, self.stamp, limit)?;
        for found in &expired {
            // The end of another one may have deleted its job, and with it this run.
            let Some(run) = &runs::get(self.tx, found.occurrence)? else { continue };
            if let Some(kept) = run.worker.as_deref() {
                self.expire_kept(run, kept)?;
            } else if !run.accepted {
                self.expire_sender(run)?;
            } else if run.ends.is_some_and(|ends| ends <= run.deadline) {
                self.fail_run(run, ResultOrigin::TimedOut, Some(TOO_LONG.into()))?;
            } else {
                let error = "nothing was heard of the run within its heartbeat timeout";
                self.fail_run(run, ResultOrigin::Lost, Some(error.into()))?;
            }
        }
        let untaken = self.expire_offers(limit)?;
        Ok(Outcome::Changed(lapsed.max(expired.len() as u32).max(untaken)))
    }

    /// Ends the wait for a sender that was silent; see the head of `runs`.
    fn expire_sender(&mut self, run: &Run) -> Result<(), Refusal> {
        if self.row_of(run.occurrence)?.is_some() {
            return self.hold(run);
        }
        let passed = self.tx.shard(run.shard)?.is_some_and(|shard| match &shard.closing {
            Some(closing) if run.due <= closing.until => run.due <= closing.watermark,
            _ => run.due <= shard.watermark,
        });
        if !passed {
            let deadline = self.stamp.saturating_add(SENDER_PATIENCE);
            return self.put_run(&Run { deadline, ..run.clone() });
        }
        if self.not_ended(&AttemptRecord::reported(run, self.stamp))?.is_empty() {
            return self.drop_run(run.occurrence);
        }
        self.hold(run)?;
        self.try_again(run, run.attempt, self.stamp)
    }

    /// Records a failed run: it is tried again, or dead-lettered. Returns its state then.
    pub(in crate::command::apply) fn fail_run(
        &mut self,
        run: &Run,
        origin: ResultOrigin,
        error: Option<String>,
    ) -> Result<RunState, Refusal> {
        let Some(delay) = run.retry.after(run.attempt.saturating_sub(run.base)) else {
            self.end_run(run, Verdict::Dead, origin, error)?;
            return Ok(RunState::Failed);
        };
        // Another worker may do what this one did not; a receiver of HTTP is the same as before.
        let at_once = origin == ResultOrigin::Lost && run.bus() != BusKind::Http;
        let delay = if at_once { 0 } else { delay };
        let at = self.stamp.saturating_add(delay).min(LAST_ATTEMPT);
        let record = AttemptRecord {
            verdict: Verdict::Retry { at },
            error,
            origin,
            ..AttemptRecord::reported(run, self.stamp)
        };
        self.keep_record(run.node, false, &record)?;
        if origin == ResultOrigin::Lost {
            self.run_changed(run, RunChange::Lost);
        }
        if !run.accepted {
            self.close_rows(&record, &record.members)?;
        }
        self.hold(run)?;
        self.try_again(run, run.attempt.saturating_add(1), at)?;
        Ok(RunState::Pending)
    }

    pub(super) fn try_again(
        &mut self,
        run: &Run,
        attempt: u32,
        next_at: Millis,
    ) -> Result<(), Refusal> {
        self.add_row(Pending::of_run(run, attempt, next_at))
    }

    /// Cancels a run, for a client or for the next run of its job.
    pub(in crate::command::apply) fn cancel_run(&mut self, run: &Run) -> Result<(), Refusal> {
        self.end_run(run, Verdict::Skipped(SkipReason::Cancelled), ResultOrigin::Cancelled, None)
    }

    /// Ends the occurrence of a run without a record of its sender, and adds a record that says so.
    /// It need not have begun.
    pub(in crate::command::apply) fn end_run(
        &mut self,
        run: &Run,
        verdict: Verdict,
        origin: ResultOrigin,
        error: Option<String>,
    ) -> Result<(), Refusal> {
        let record =
            AttemptRecord { verdict, error, origin, ..AttemptRecord::reported(run, self.stamp) };
        self.end_by(run, &record)
    }

    /// Ends the occurrence of a run by a record that says so.
    pub(in crate::command::apply) fn end_by(
        &mut self,
        run: &Run,
        record: &AttemptRecord,
    ) -> Result<(), Refusal> {
        let id = self.keep_record(run.node, false, record)?;
        match record.origin {
            ResultOrigin::Lost => self.run_changed(run, RunChange::Lost),
            ResultOrigin::Cancelled => self.run_changed(run, RunChange::Cancelled),
            ResultOrigin::Answer | ResultOrigin::Reported | ResultOrigin::TimedOut => {}
        }
        match record.verdict {
            Verdict::Delivered => self.remove_dead_letters(record)?,
            Verdict::Dead => self.add_dead_letter(id, record, &record.members)?,
            _ => {}
        }
        // An accepted run is in no row (*one place*).
        if !run.accepted {
            self.close_rows(record, &record.members)?;
        }
        self.drop_run(run.occurrence)?;
        if record.once && record.run == 0 {
            self.complete_job(run.occurrence.job, record.scheduled, record.verdict)?;
        }
        Ok(())
    }

    /// Skips an occurrence because of another run of its job, under way or waiting.
    pub(super) fn skip_run(&mut self, run: &Run, why: SkipReason) -> Result<(), Refusal> {
        self.end_run(run, Verdict::Skipped(why), ResultOrigin::Answer, None)
    }

    /// Ends the runs of a job that is deleted. No one waits for what a receiver works on; an
    /// attempt that is under way, or waits, ends by its own record.
    pub(in crate::command::apply) fn end_runs_of(&mut self, job: JobId) -> Result<(), Refusal> {
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
