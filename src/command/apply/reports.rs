//! Rules of reports: what a receiver or a client says of a run.
//!
//! A report is accepted for every run, also for one whose answer is not recorded yet: a receiver
//! may be done before the record of its answer is applied. Without a run, three reports still
//! count:
//!
//! - that the occurrence is done: delivered beats everything, so a receiver that was taken for lost
//!   makes its retry, or its dead letter, unnecessary;
//! - that it is done, once more;
//! - that the caller cancels an occurrence that waits for its next attempt.

use super::entry::{Applied, Entry, Refusal, refuse};
use super::runs::{deadline, run_of};
use crate::command::{Outcome, RejectionKind, Reported};
use crate::model::Millis;
use crate::model::attempt::{ResultOrigin, SkipReason, Verdict};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Report, Run};
use crate::model::run_report::{RunReport, RunState, Said};
use crate::model::shard::shard_of;
use crate::store::{attempts, dead_letters, ends, jobs, plans, runs};

/// The time after the scheduled instant in which the end of a job with jitter is searched, in
/// milliseconds, where its due instant cannot be reckoned. Only the words of a refusal depend on
/// it.
const SEARCHED: Millis = 60_000;

impl Entry<'_, '_> {
    /// Carries out a report on an occurrence.
    pub(super) fn report_run(&mut self, of: Occurrence, report: &Report) -> Applied {
        if !self.reaches_occurrence(of)? {
            return Err(no_run());
        }
        let run = runs::get(self.tx, of)?;
        let by_worker = match run.as_ref().filter(|run| run.accepted) {
            Some(run) => run.worker.is_some(),
            None => self.row_of(of)?.is_some_and(|row| row.queue.is_some()),
        };
        if by_worker {
            return self.report_of_worker(of, report);
        }
        // What only has a place, and no sender yet, has not been sent.
        let Some(run) = run.filter(|run| run.accepted || run.node != 0) else {
            return self.report_late(of, report);
        };
        match report {
            Report::Complete => {
                self.end_run(&run, Verdict::Delivered, ResultOrigin::Reported, None)?;
            }
            Report::Fail { error, retry: true } => {
                self.fail_run(&run, ResultOrigin::Reported, error.clone())?;
            }
            Report::Fail { error, retry: false } => {
                self.end_run(&run, Verdict::Dead, ResultOrigin::Reported, error.clone())?;
            }
            Report::Heartbeat => {
                let mut run = Run { heard: self.stamp.max(run.heard), ..run };
                if run.accepted {
                    run.deadline = deadline(&run);
                }
                self.put_run(&run)?;
            }
            Report::Cancel => self.cancel_run(&run)?,
        }
        Ok(Outcome::Done)
    }

    /// Carries out a report on a run that a worker performs; the outcome is that of `ReportRuns`.
    /// Heartbeats are the supervisor's, and change nothing here.
    fn report_of_worker(&mut self, of: Occurrence, report: &Report) -> Applied {
        let said = match report {
            Report::Complete => Said::Done { result: None },
            Report::Fail { error, retry } => Said::Failed { error: error.clone(), retry: *retry },
            Report::Cancel => Said::Cancel { by: None },
            Report::Heartbeat => return self.heartbeat_of_worker(of),
        };
        let report = RunReport { occurrence: of, attempt: 0, worker: String::new(), said };
        match self.report(&report)? {
            Reported::Refused { why, .. } => Err(Refusal::Rejected(why)),
            counted @ Reported::Counted(_) => Ok(Outcome::Reports(vec![counted])),
        }
    }

    fn heartbeat_of_worker(&mut self, of: Occurrence) -> Applied {
        let run = runs::get(self.tx, of)?.filter(|run| run.accepted);
        let Some(run) = run else {
            let why = "no worker has this run now: stop working on it";
            return Err(refuse(RejectionKind::Conflict, why));
        };
        Ok(Outcome::Reports(vec![Reported::Counted(RunState::of_run(&run))]))
    }

    /// Carries out a report on an occurrence without a run.
    fn report_late(&mut self, of: Occurrence, report: &Report) -> Applied {
        if let Some(row) = self.row_of(of)? {
            return self.report_waiting(of, &row, report);
        }
        if *report == Report::Complete && self.complete_dead(of, None)? {
            return Ok(Outcome::Done);
        }
        match self.end_of(of)? {
            // A repetition, because the answer to the first report was lost.
            Some((Verdict::Delivered, _)) if *report == Report::Complete => Ok(Outcome::Done),
            Some((verdict, origin)) => Err(refuse(RejectionKind::Conflict, over(verdict, origin))),
            None => Err(no_run()),
        }
    }

    /// The end of an occurrence without row or run, as far as its history is kept.
    pub(super) fn end_of(
        &mut self,
        of: Occurrence,
    ) -> Result<Option<(Verdict, ResultOrigin)>, Refusal> {
        let end = attempts::end_of(self.tx, of, of.scheduled, of.scheduled)?;
        if end.is_some() || of.run != 0 {
            return Ok(end);
        }
        // A history is searched by due instants. Those that the job's plans give are looked at one
        // by one.
        let job = jobs::get_in(self.tx, of.job)?.map(|job| job.definition);
        let closed = plans::of_job_in(self.tx, of.job)?.into_iter().map(|plan| plan.definition);
        for definition in job.into_iter().chain(closed) {
            let Some(due) = ends::due_by(of, &definition) else { continue };
            if let Some(end) = attempts::end_of(self.tx, of, due, due)? {
                return Ok(Some(end));
            }
            let latest = of.scheduled.saturating_add(definition.jitter.min(SEARCHED));
            if let Some(end) = attempts::end_of(self.tx, of, of.scheduled, latest)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Carries out a report on an occurrence that waits for an attempt.
    fn report_waiting(&mut self, of: Occurrence, row: &Pending, report: &Report) -> Applied {
        let run = run_of(row, of.job, self.stamp);
        let message = match report {
            Report::Cancel => {
                self.cancel_run(&run)?;
                return Ok(Outcome::Done);
            }
            Report::Complete if row.attempt > 1 => {
                let last = Run { attempt: row.attempt - 1, ..run };
                self.end_run(&last, Verdict::Delivered, ResultOrigin::Reported, None)?;
                return Ok(Outcome::Done);
            }
            _ if row.attempt > 1 => {
                "this run counts as failed or lost: its next attempt will tell; only that it is \
                 complete, or cancelled, can be said of it"
            }
            _ => "this run has not been sent yet: it can only be cancelled",
        };
        Err(refuse(RejectionKind::Conflict, message))
    }

    /// Completes an occurrence that was dead-lettered, if its dead letter is still there. The
    /// result is kept as that of any other run.
    pub(super) fn complete_dead(
        &mut self,
        of: Occurrence,
        result: Option<String>,
    ) -> Result<bool, Refusal> {
        let (shard, member) = (shard_of(of.job), Members::from_sorted([of.job]));
        let letters = dead_letters::at_occurrence(self.tx, shard, of.scheduled, of.run, &member)?;
        let Some((id, _)) = letters.into_iter().find(|(_, members)| members.contains(of.job))
        else {
            return Ok(false);
        };
        let Some(letter) = dead_letters::get(self.tx, id)? else { return Ok(false) };
        let run = run_of(&letter.row(self.stamp), of.job, self.stamp);
        let node = attempts::get(self.tx, letter.record)?.map_or(0, |record| record.node);
        let last = Run { attempt: letter.attempt, node, ..run };
        self.complete_run(&last, letter.attempt, result)?;
        Ok(true)
    }
}

/// Says that a run is over, and how.
pub(super) fn over(verdict: Verdict, origin: ResultOrigin) -> String {
    match (verdict, origin) {
        (Verdict::Delivered, _) => "this run is over: it was delivered".into(),
        (Verdict::Skipped(SkipReason::Cancelled), _) => {
            "this run was cancelled: stop working on it".into()
        }
        (_, ResultOrigin::Cancelled) => {
            "this run was cancelled, its job was deleted: stop working on it".into()
        }
        (Verdict::Skipped(reason), _) => {
            format!("this run is over: it was skipped ({})", reason.name())
        }
        _ => "this run is over: it was given up".into(),
    }
}

/// The refusal of a run that nothing is known of.
fn no_run() -> Refusal {
    refuse(
        RejectionKind::NotFound,
        "no run of this id is under way: check the id; of one that was accepted this moment, \
         report again in a second",
    )
}
