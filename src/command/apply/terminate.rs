//! Rules of the end of a one-off before its time. What it waits for is skipped, a run that is under
//! way is cancelled, and the job is over by the same steps as after any other end.
//!
//! A worker on a broker, or one that has to confirm, is asked to stop first: the job is over when
//! that run is.

use super::audit_diff::shortened;
use super::entry::{Applied, Entry, Refusal, refuse};
use super::runs::run_of;
use crate::command::{Outcome, RejectionKind};
use crate::model::JobId;
use crate::model::attempt::{ResultOrigin, SkipReason, Verdict};
use crate::model::job::{Job, JobStatus, Pending};
use crate::model::members::Members;
use crate::model::run::{Occurrence, Run};
use crate::model::run_terms::BusKind;
use crate::model::shard::shard_of;
use crate::store::{jobs, pending, runs, template_jobs};

impl Entry<'_, '_> {
    /// Ends a one-off. One that is over is left alone.
    pub(super) fn terminate_job(
        &mut self,
        id: JobId,
        reschedule: Option<bool>,
        reason: Option<&str>,
    ) -> Applied {
        let old = self.job(id)?;
        self.notes.project(old.definition.project);
        if !old.definition.is_one_off() {
            let message = "job is recurring and never over by itself: pause or delete it";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        if old.status == JobStatus::Completed {
            return Ok(Outcome::Changed(0));
        }
        if let Some(reason) = reason {
            self.notes.fact("reason", shortened(reason));
        }
        if let Some(reschedule) = reschedule {
            self.notes.fact("reschedule", reschedule);
            template_jobs::set_reschedule(self.tx, id, reschedule)?;
        }
        self.end_early(&old, reason)?;
        Ok(Outcome::Changed(1))
    }

    /// Ends the runs of a one-off, what waits behind them, and its planned occurrence.
    pub(super) fn end_early(&mut self, old: &Job, reason: Option<&str>) -> Result<(), Refusal> {
        // What is parked would take the place of a run that ends.
        for row in pending::parked(self.tx, old.id)? {
            self.end_run_early(&run_of(&row, old.id, self.stamp), reason)?;
        }
        for found in runs::of_job(self.tx, old.id)? {
            // The end of another one may have ended this one, too.
            let Some(run) = runs::get(self.tx, found.occurrence)? else { continue };
            if run.accepted && run.worker.is_some() && run.bus() != BusKind::Http {
                self.ask_to_cancel(&run, reason)?;
            } else {
                self.end_run_early(&run, reason)?;
            }
        }
        let Some(job) = jobs::get_in(self.tx, old.id)? else { return Ok(()) };
        let planned = Occurrence { job: job.id, scheduled: job.anchor, run: 0 };
        if job.status == JobStatus::Completed || runs::get(self.tx, planned)?.is_some() {
            return Ok(());
        }
        let row = if let Some(row) = self.row_of(planned)? {
            row
        } else {
            // It is ahead, or on its way out this moment.
            let due = self.due_of(&job)?;
            let (project, members) = (job.definition.project, Members::from_sorted([job.id]));
            Pending { due, ..Pending::new(project, shard_of(job.id), job.anchor, members) }
        };
        self.end_run_early(&run_of(&row, job.id, self.stamp), reason)
    }

    fn end_run_early(&mut self, run: &Run, reason: Option<&str>) -> Result<(), Refusal> {
        let verdict = Verdict::Skipped(SkipReason::Cancelled);
        self.end_run(run, verdict, ResultOrigin::Cancelled, reason.map(str::to_owned))
    }
}
