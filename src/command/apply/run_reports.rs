//! Rules of reports on runs that workers perform: what a worker, a client or the supervisor says,
//! and what it means for an occurrence in each of its states.
//!
//! | state in the store | what counts |
//! |---|---|
//! | run that was handed out | all; what names another attempt or worker: `Done` only |
//! | row on offer, put off or due | `Done`, `Cancel`, `Started` (its publish was not confirmed) |
//! | row that waits for a retry | `Done`, `Cancel` |
//! | parked row | `Done`, `Cancel` |
//! | run that only began | `Done`, `Cancel`, `Started` |
//! | end | `Done` takes back a dead letter; what was said already is confirmed |
//!
//! `reports` brings the reports of the older command here when a worker performs the run. A report
//! on a run that the store does not have yet is refused with `NotFound`: its record is on its way,
//! and the caller waits for it.

use super::entry::{Applied, Entry, Refusal, cut, refuse};
use super::reports::over;
use super::runs::{deadline, run_of};
use crate::command::outcome::{Outcome, Rejection, RejectionKind, Reported};
use crate::model::attempt::{AttemptRecord, MAX_RESPONSE, ResultOrigin, Verdict, bounded};
use crate::model::delivery::Overlap;
use crate::model::event::RunChange;
use crate::model::job::{PARKED, Pending};
use crate::model::offer::MAX_NAME;
use crate::model::run::{Occurrence, Phase, Run, WorkerRun};
use crate::model::run_report::{MAX_REPORTS, RunReport, RunState, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::store::{jobs, runs};

const UNKNOWN: RejectionKind = RejectionKind::NotFound;
const OVER: RejectionKind = RejectionKind::Conflict;

/// The refusal of a report on a run that the store does not have yet.
const NOT_YET: &str = "no worker is known to have this run: of one that was claimed this moment, \
                       report again in a second";
/// The refusal of a report on an attempt that is over.
const SUPERSEDED: &str = "this attempt of the run is over, or another worker has it: stop working \
                          on it; only that it is complete can still be said";

/// What becomes of a report: the state of the run after it, or why it changed nothing.
type Answer = Result<Reported, Refusal>;

impl Entry<'_, '_> {
    /// Carries out reports, each by itself and in order.
    pub(super) fn report_runs(&mut self, reports: &[RunReport]) -> Applied {
        if reports.len() > MAX_REPORTS {
            let message =
                format!("reports has {} entries: send at most {MAX_REPORTS}", reports.len());
            return Err(refuse(RejectionKind::Invalid, message));
        }
        let told = reports.iter().map(|report| self.report(report));
        Ok(Outcome::Reports(told.collect::<Result<_, _>>()?))
    }

    /// Carries out one report.
    pub(super) fn report(&mut self, report: &RunReport) -> Answer {
        let of = report.occurrence;
        if !self.reaches_occurrence(of)? {
            return refused(None, UNKNOWN, NOT_YET);
        }
        let run = runs::get(self.tx, of)?;
        if let Some(run) = run.as_ref().filter(|run| run.accepted) {
            return self.report_on_run(run, report);
        }
        if let Some(row) = self.row_of(of)? {
            return self.report_on_row(run.as_ref(), &row, report);
        }
        match run {
            Some(run) => self.report_on_begun(&run, report),
            None => self.report_on_end(report),
        }
    }

    fn report_on_run(&mut self, run: &Run, report: &RunReport) -> Answer {
        let now = RunState::of_run(run);
        let fits = run.fits(report.attempt, &report.worker);
        if !fits && !matches!(report.said, Said::Done { .. }) {
            return refused(now, OVER, SUPERSEDED);
        }
        let phase = run.worker.as_deref().map(|kept| kept.phase);
        let state = match &report.said {
            Said::Done { result } => self.complete_run(run, report.attempt, result.clone())?,
            Said::Started { .. } => self.start_run(run, &report.worker)?,
            Said::Failed { error, retry } => {
                self.fail_kept(run, error.clone().map(bounded), *retry)?
            }
            Said::Cancelled => self.end_cancelled(run, true)?,
            Said::Cancel { by } => self.ask_to_cancel(run, by.as_deref())?,
            Said::Released if run.bus() == BusKind::Http => {
                let why = "the receiver of this run cannot give it back: report how it ended";
                return refused(now, OVER, why);
            }
            Said::Released if phase == Some(Phase::Cancelling) => self.end_cancelled(run, true)?,
            Said::Released => self.release_run(run)?,
            Said::Lost { node, epoch } => {
                // A closing owner keeps no runs any more.
                let shard = self.tx.shard(run.shard)?;
                let keeps = shard.is_some_and(|s| (s.owner, s.epoch) == (*node, *epoch));
                if !keeps || phase != Some(Phase::Running) || report.attempt != run.attempt {
                    return refused(now, OVER, "this node does not keep a run like that any more");
                }
                self.lose_run(run)?
            }
        };
        Ok(Reported::Counted(state))
    }

    /// Carries out a report on an occurrence in a row; `held` is its run, which keeps its place.
    fn report_on_row(&mut self, held: Option<&Run>, row: &Pending, report: &RunReport) -> Answer {
        let of = report.occurrence;
        let now = RunState::of_row(row);
        let past = report.attempt != 0 && report.attempt < row.attempt;
        let state = match &report.said {
            Said::Done { result } => {
                // Without a number it is taken for the last attempt that is known to have begun.
                let last = row.attempt.saturating_sub(1).max(1);
                let run = run_of(row, of.job, self.stamp);
                let attempt = if report.attempt == 0 { last } else { report.attempt };
                self.complete_run(&run, attempt, result.clone())?
            }
            Said::Cancel { .. } => {
                self.cancel_run(&run_of(row, of.job, self.stamp))?;
                RunState::Cancelled
            }
            _ if past => return refused(now, OVER, SUPERSEDED),
            Said::Started { .. } if row.next_at == PARKED => {
                let why = "this run waits behind another one of its job and was not handed out";
                return refused(now, OVER, why);
            }
            // Between two attempts it is the word of the one before, told once more.
            Said::Started { .. } if !self.may_be_published(row) => {
                return refused(now, OVER, SUPERSEDED);
            }
            Said::Started { terms } => {
                if held.is_none() && self.must_wait(of)? {
                    let why = "another run of the job is under way, and the job allows one";
                    return refused(now, OVER, why);
                }
                let run = run_of(row, of.job, self.stamp);
                self.begin_unconfirmed(&run, terms, &report.worker)?
            }
            _ => return refused(now, UNKNOWN, NOT_YET),
        };
        Ok(Reported::Counted(state))
    }

    /// Tells whether the attempt of a row can have been published: it is on offer, was put off
    /// because its publish was not confirmed, or is due.
    fn may_be_published(&self, row: &Pending) -> bool {
        row.is_offered() || row.postponed.is_some() || row.next_at <= self.stamp
    }

    /// Carries out a report on a run that has begun, and of which no more is recorded yet.
    fn report_on_begun(&mut self, run: &Run, report: &RunReport) -> Answer {
        let state = match &report.said {
            Said::Done { result } => self.complete_run(run, report.attempt, result.clone())?,
            Said::Cancel { .. } => {
                self.cancel_run(run)?;
                RunState::Cancelled
            }
            Said::Started { terms } if run.fits(report.attempt, &report.worker) => {
                self.begin_unconfirmed(run, terms, &report.worker)?
            }
            _ => return refused(RunState::of_run(run), UNKNOWN, NOT_YET),
        };
        Ok(Reported::Counted(state))
    }

    /// Carries out a report on an occurrence that has neither row nor run.
    fn report_on_end(&mut self, report: &RunReport) -> Answer {
        let of = report.occurrence;
        if let Said::Done { result } = &report.said
            && self.complete_dead(of, result.clone())?
        {
            return Ok(Reported::Counted(RunState::Completed));
        }
        let end = self.end_of(of)?;
        let end =
            end.and_then(|(verdict, origin)| Some((RunState::of_end(verdict)?, verdict, origin)));
        let Some((state, verdict, origin)) = end else {
            return refused(None, UNKNOWN, NOT_YET);
        };
        let said = match report.said {
            Said::Done { .. } => Some(RunState::Completed),
            Said::Failed { .. } => Some(RunState::Failed),
            Said::Cancelled | Said::Cancel { .. } => Some(RunState::Cancelled),
            Said::Started { .. } | Said::Released | Said::Lost { .. } => None,
        };
        // A repetition, because the answer to the first report was lost.
        if Some(state) == said {
            return Ok(Reported::Counted(state));
        }
        refused(state, OVER, over(verdict, origin))
    }

    /// Ends a run as done. `attempt` is the one that did it, as far as the report says.
    pub(super) fn complete_run(
        &mut self,
        run: &Run,
        attempt: u32,
        result: Option<String>,
    ) -> Result<RunState, Refusal> {
        let attempt = if attempt == 0 { run.attempt } else { attempt.min(run.attempt) };
        let run = Run { attempt, ..run.clone() };
        let record = AttemptRecord {
            verdict: Verdict::Delivered,
            origin: ResultOrigin::Reported,
            response: result.map(|result| cut(result, MAX_RESPONSE)),
            ..AttemptRecord::reported(&run, self.stamp)
        };
        self.end_by(&run, &record)?;
        Ok(RunState::Completed)
    }

    /// Makes a run of a worker of one that was published, as its beginning proves. The owner of its
    /// shard keeps it.
    fn begin_unconfirmed(
        &mut self,
        run: &Run,
        terms: &RunTerms,
        worker: &str,
    ) -> Result<RunState, Refusal> {
        let stamp = self.stamp;
        let shard = self.tx.shard(run.shard)?;
        let (node, epoch) = shard.map_or((0, 0), |shard| (shard.owner, shard.epoch));
        let run = Run {
            node,
            epoch,
            accepted: true,
            started: stamp,
            heard: stamp,
            heartbeat_timeout: terms.heartbeat_timeout,
            ends: terms.run_timeout.map(|long| stamp.saturating_add(long)),
            retry: terms.retry,
            worker: Some(Box::new(WorkerRun {
                phase: Phase::Running,
                // Before its begin: it was published before that.
                since: stamp.saturating_sub(1),
                why: None,
                worker: cut(worker.to_owned(), MAX_NAME),
                progress: None,
                message: None,
                terms: terms.clone(),
            })),
            ..run.clone()
        };
        self.run_changed(&run, RunChange::Accepted);
        self.put_run(&Run { deadline: deadline(&run), ..run.clone() })?;
        let record = AttemptRecord::reported(&run, stamp);
        self.close_rows(&record, &record.members)?;
        Ok(RunState::Running)
    }

    /// Tells whether an occurrence without a place may not run beside the runs of its job.
    fn must_wait(&mut self, of: Occurrence) -> Result<bool, Refusal> {
        if !runs::any_of_job(self.tx, of.job)? {
            return Ok(false);
        }
        let job = jobs::get_in(self.tx, of.job)?;
        Ok(job.is_some_and(|job| job.definition.overlap != Overlap::Allow))
    }
}

/// The answer to a report that changes nothing.
#[expect(clippy::unnecessary_wraps, reason = "it ends a rule, which gives a result")]
fn refused(
    state: impl Into<Option<RunState>>,
    kind: RejectionKind,
    why: impl Into<String>,
) -> Answer {
    Ok(Reported::Refused { state: state.into(), why: Rejection::new(kind, why) })
}
