//! Rules of reports on runs that workers perform: what a worker, a client or the supervisor says,
//! and what it means for an occurrence in each of its states.
//!
//! | state in the store | what counts |
//! |---|---|
//! | run that was handed out | all; what names another attempt or worker: `Done` only |
//! | row on offer or timed | `Done`, `Cancel`, `Started` (its publish was not confirmed) |
//! | parked row | `Done`, `Cancel` |
//! | run that only began | `Done`, `Cancel`, `Started` |
//! | end | `Done` takes back a dead letter; what was said already is confirmed |
//!
//! `reports` brings the reports of the older command here when a worker performs the run. A report
//! on a run that the store does not have yet is refused with `NotFound`: its record is on its way,
//! and the caller waits for it.

use super::entry::{Applied, Entry, Refusal, refuse};
use super::offers::cut;
use super::reports::over;
use super::runs::{deadline, run_of};
use crate::command::outcome::{Outcome, RejectionKind, Reported};
use crate::model::attempt::{AttemptRecord, MAX_RESPONSE, ResultOrigin, Verdict, bounded};
use crate::model::delivery::Overlap;
use crate::model::job::{PARKED, Pending};
use crate::model::run::{Occurrence, Phase, Run, WorkerRun};
use crate::model::run_report::{MAX_REPORTS, RunReport, RunState, Said};
use crate::model::run_terms::RunTerms;
use crate::store::{jobs, runs};

/// The refusal of a report on a run that the store does not have yet.
const NOT_YET: &str = "no worker is known to have this run: of one that was claimed this moment, \
                       report again in a second";
/// The refusal of a report on an attempt that is over.
const SUPERSEDED: &str = "this attempt of the run is over, or another worker has it: stop working \
                          on it; only that it is complete can still be said";

impl Entry<'_, '_> {
    /// Carries out reports, each by itself and in order.
    pub(super) fn report_runs(&mut self, reports: &[RunReport]) -> Applied {
        if reports.len() > MAX_REPORTS {
            let message =
                format!("reports has {} entries: send at most {MAX_REPORTS}", reports.len());
            return Err(refuse(RejectionKind::Invalid, message));
        }
        let mut told = Vec::with_capacity(reports.len());
        for report in reports {
            told.push(match self.report(report) {
                Ok(state) => Reported::Counted(state),
                Err(Refusal::Rejected(why)) => {
                    Reported::Refused { state: self.state_of(report.occurrence)?, why }
                }
                Err(failed) => return Err(failed),
            });
        }
        Ok(Outcome::Reports(told))
    }

    /// Carries out one report; gives the state of the run after it.
    pub(super) fn report(&mut self, report: &RunReport) -> Result<RunState, Refusal> {
        let of = report.occurrence;
        let run = runs::get(self.tx, of)?;
        if let Some(run) = run.as_ref().filter(|run| run.accepted) {
            self.report_on_run(run, report)?;
        } else if let Some(row) = self.row_of(of)? {
            self.report_on_row(run.as_ref(), &row, report)?;
        } else if let Some(run) = run {
            self.report_on_begun(&run, report)?;
        } else {
            return self.report_on_end(report);
        }
        let state = self.state_of(of)?;
        // An occurrence that just had a run or a row has a state; should its history have been
        // dropped at once, it is over by what was said.
        Ok(state.unwrap_or(RunState::Completed))
    }

    /// The state of an occurrence; `None` where nothing is known of it.
    pub(super) fn state_of(&mut self, of: Occurrence) -> Result<Option<RunState>, Refusal> {
        let run = runs::get(self.tx, of)?;
        if let Some(run) = run.as_ref().filter(|run| run.accepted) {
            return Ok(Some(RunState::of_run(run)));
        }
        if let Some(row) = self.row_of(of)? {
            return Ok(Some(RunState::of_row(&row)));
        }
        if let Some(run) = run {
            return Ok(Some(RunState::of_run(&run)));
        }
        Ok(self.end_of(of)?.and_then(|(verdict, _)| RunState::of_end(verdict)))
    }

    fn report_on_run(&mut self, run: &Run, report: &RunReport) -> Result<(), Refusal> {
        let fits = run.fits(report.attempt, &report.worker);
        if !fits && !matches!(report.said, Said::Done { .. }) {
            return Err(refuse(RejectionKind::Conflict, SUPERSEDED));
        }
        let phase = run.worker.as_deref().map(|kept| kept.phase);
        match &report.said {
            Said::Done { result } => self.complete_run(run, report.attempt, result.clone()),
            Said::Started { .. } => self.start_run(run, &report.worker),
            Said::Failed { error, retry } => {
                self.fail_kept(run, error.clone().map(bounded), *retry)
            }
            Said::Cancelled => self.end_cancelled(run, true),
            Said::Cancel { by } => self.ask_to_cancel(run, by.as_deref()),
            Said::Released => match phase {
                Some(Phase::Cancelling) => self.end_cancelled(run, true),
                Some(_) => self.release_run(run),
                None => {
                    let why = "the receiver of this run cannot give it back: report how it ended";
                    Err(refuse(RejectionKind::Conflict, why))
                }
            },
            Said::Lost { node, epoch } => {
                let live = self.is_live(run.shard, *node, *epoch)?;
                if !live || phase != Some(Phase::Running) || report.attempt != run.attempt {
                    let why = "this node does not keep a run like that any more";
                    return Err(refuse(RejectionKind::Conflict, why));
                }
                self.lose_run(run)
            }
        }
    }

    /// Carries out a report on an occurrence in a row; `held` is its run, which keeps its place.
    fn report_on_row(
        &mut self,
        held: Option<&Run>,
        row: &Pending,
        report: &RunReport,
    ) -> Result<(), Refusal> {
        let of = report.occurrence;
        let past = report.attempt != 0 && report.attempt < row.attempt;
        match &report.said {
            Said::Done { result } => {
                // Without a number it is taken for the last attempt that is known to have begun.
                let last = row.attempt.saturating_sub(1).max(1);
                let run = Run { attempt: row.attempt, ..run_of(row, of.job, self.stamp) };
                let attempt = if report.attempt == 0 { last } else { report.attempt };
                self.complete_run(&run, attempt, result.clone())
            }
            Said::Cancel { .. } => self.cancel_run(&run_of(row, of.job, self.stamp)),
            _ if past => Err(refuse(RejectionKind::Conflict, SUPERSEDED)),
            Said::Started { .. } if row.next_at == PARKED => {
                let why = "this run waits behind another one of its job and was not handed out";
                Err(refuse(RejectionKind::Conflict, why))
            }
            Said::Started { terms } => {
                if held.is_none() && self.must_wait(of)? {
                    let why = "another run of the job is under way, and the job allows one";
                    return Err(refuse(RejectionKind::Conflict, why));
                }
                let run = run_of(row, of.job, self.stamp);
                self.begin_unconfirmed(run, terms, &report.worker)
            }
            _ => Err(refuse(RejectionKind::NotFound, NOT_YET)),
        }
    }

    /// Carries out a report on a run that has begun, and of which no more is recorded yet.
    fn report_on_begun(&mut self, run: &Run, report: &RunReport) -> Result<(), Refusal> {
        match &report.said {
            Said::Done { result } => self.complete_run(run, report.attempt, result.clone()),
            Said::Cancel { .. } => self.cancel_run(run),
            Said::Started { terms } if run.fits(report.attempt, &report.worker) => {
                self.begin_unconfirmed(run.clone(), terms, &report.worker)
            }
            _ => Err(refuse(RejectionKind::NotFound, NOT_YET)),
        }
    }

    /// Carries out a report on an occurrence that has neither row nor run.
    fn report_on_end(&mut self, report: &RunReport) -> Result<RunState, Refusal> {
        let of = report.occurrence;
        let done = matches!(report.said, Said::Done { .. });
        if done && self.complete_dead(of)? {
            return Ok(RunState::Completed);
        }
        let Some((verdict, origin)) = self.end_of(of)? else {
            return Err(refuse(RejectionKind::NotFound, NOT_YET));
        };
        let said = match report.said {
            Said::Done { .. } => Some(RunState::Completed),
            Said::Failed { .. } => Some(RunState::Failed),
            Said::Cancelled | Said::Cancel { .. } => Some(RunState::Cancelled),
            Said::Started { .. } | Said::Released | Said::Lost { .. } => None,
        };
        // A repetition, because the answer to the first report was lost.
        match RunState::of_end(verdict).filter(|state| Some(*state) == said) {
            Some(state) => Ok(state),
            None => Err(refuse(RejectionKind::Conflict, over(verdict, origin))),
        }
    }

    /// Ends a run as done. `attempt` is the one that did it, as far as the report says.
    fn complete_run(
        &mut self,
        run: &Run,
        attempt: u32,
        result: Option<String>,
    ) -> Result<(), Refusal> {
        let attempt = if attempt == 0 { run.attempt } else { attempt.min(run.attempt) };
        let run = Run { attempt, ..run.clone() };
        let record = AttemptRecord {
            verdict: Verdict::Delivered,
            origin: ResultOrigin::Reported,
            response: result.map(|result| cut(result, MAX_RESPONSE)),
            ..AttemptRecord::reported(&run, self.stamp)
        };
        self.end_by(&run, &record)
    }

    /// Makes a run of a worker of one that was published, as its beginning proves. The owner of its
    /// shard keeps it.
    fn begin_unconfirmed(
        &mut self,
        run: Run,
        terms: &RunTerms,
        worker: &str,
    ) -> Result<(), Refusal> {
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
                since: stamp,
                why: None,
                worker: worker.to_owned(),
                progress: None,
                message: None,
                terms: terms.clone(),
            })),
            ..run
        };
        self.put_run(&Run { deadline: deadline(&run), ..run.clone() })?;
        let record = AttemptRecord::reported(&run, stamp);
        self.close_rows(&record, &record.members)
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
