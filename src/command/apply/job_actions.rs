//! Rules of jobs that are paused, resumed, disabled, completed, deleted, or run manually. The rules
//! of results call [`Entry::complete_job`] and [`Entry::disable_job`]; what follows from the end of
//! a one-off is in `over`.

use super::entry::{Applied, Entry, Refusal, expected, refuse};
use super::plan_intervals::{PlanInterval, PlanState, plan_state};
use super::runs::run_of;
use crate::command::{JobAction, Outcome, RejectionKind};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::Overlap;
use crate::model::event::{JobChange, JobEnd, JobUpdate, TemplateMark};
use crate::model::job::{Job, JobStatus, Pending};
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis};
use crate::store::meta::Sequence;
use crate::store::{jobs, pending};

/// The end of a one-off whose instant passed while it did not fire.
pub(super) const LAPSED: JobEnd = JobEnd::Skipped(SkipReason::Paused);

impl Entry<'_, '_> {
    /// Changes many jobs alike. Those that do not exist, or are in the wanted state already, are
    /// passed over and not counted.
    pub(super) fn change_jobs(
        &mut self,
        runs: &[(JobId, u64)],
        action: JobAction,
        by: Option<&str>,
    ) -> Applied {
        if let JobAction::Pause { until: Some(until) } = action
            && until <= self.stamp
        {
            return Err(refuse(RejectionKind::Invalid, "pauseUntil must lie in the future"));
        }
        if let JobAction::Pause { until } = action {
            self.notes.fact("pausedUntil", until);
        }
        let mut changed = 0;
        for (first, n) in runs {
            for id in jobs::ids_between(self.tx, *first, *n)? {
                if !self.reaches_job(id)? {
                    continue;
                }
                // The end of another one may have dropped it.
                let Some(old) = jobs::get_in(self.tx, id)? else { continue };
                self.notes.project(old.definition.project);
                let done = match action {
                    JobAction::Pause { until } => self.pause_job(&old, until, by)?,
                    JobAction::Resume => self.resume_job(&old, by)?,
                    JobAction::Delete => {
                        self.remove_job(&old)?;
                        true
                    }
                };
                changed += u32::from(done);
            }
        }
        Ok(Outcome::Changed(changed))
    }

    /// Deletes a job.
    pub(super) fn delete_job(&mut self, id: JobId, expect: Option<u64>) -> Applied {
        let old = self.job(id)?;
        expected("job", expect, old.version)?;
        self.note_job(Some(&old), None);
        self.remove_job(&old)?;
        Ok(Outcome::Done)
    }

    /// Adds a manual run: an occurrence with an id of its own, due at once, whatever the job's
    /// status.
    pub(super) fn run_job(&mut self, id: JobId, forced: bool) -> Applied {
        let job = self.job(id)?;
        self.has_executions(job.definition.project)?;
        self.notes.project(job.definition.project);
        let run = self.tx.take(Sequence::Run, 1)?;
        let (project, member) = (job.definition.project, Members::from_sorted([id]));
        let row = Pending::new(project, shard_of(id), self.stamp, member).next_at(self.stamp);
        self.add_row(Pending { run, forced, ..row })?;
        Ok(Outcome::Run(Occurrence { job: id, scheduled: self.stamp, run }))
    }

    /// Completes a one-off whose planned occurrence (`AttemptRecord::once`, run 0) has an end
    /// state, or deletes it where it asks for that. One that was dead-lettered is kept, completed,
    /// because a replay of its dead letter needs it. A job that is gone, is no one-off any more or
    /// has another instant since is left alone, so that this may be called for every end state.
    pub(super) fn complete_job(
        &mut self,
        id: JobId,
        scheduled: Millis,
        end: Verdict,
    ) -> Result<(), Refusal> {
        // Most ends are of recurring jobs: their anchor tells that without their definition.
        if jobs::anchor(self.tx, id)? != Some(scheduled) {
            return Ok(());
        }
        let Some(old) = jobs::get_in(self.tx, id)? else { return Ok(()) };
        if !old.definition.is_one_off() {
            return Ok(());
        }
        let end_state = JobEnd::of(end);
        if old.definition.delete_after_run && end != Verdict::Dead {
            self.job_changed(&old, JobChange::Terminated(end_state));
            return self.remove_job(&old);
        }
        if old.status == JobStatus::Completed {
            return Ok(());
        }
        let mut new = Job { status: JobStatus::Completed, ..old.clone() };
        if old.from > self.stamp {
            self.end_interval(&old)?;
            new.from = self.stamp;
        }
        let lapses_at = self.lapse_of(&new)?;
        jobs::complete(self.tx, &old, new.from, lapses_at)?;
        self.change.edited.push(id);
        self.over(&old, Some(end_state))
    }

    /// Ends lapsed one-offs, whose instant passed while they did not fire: at most `limit`. Returns
    /// how many it ended.
    pub(super) fn end_lapsed(&mut self, limit: u32) -> Result<u32, Refusal> {
        let lapsed = jobs::lapsed(self.tx, self.stamp, limit)?;
        for id in &lapsed {
            // The end of another one may have dropped it.
            let Some(old) = jobs::get_in(self.tx, *id)? else { continue };
            if old.definition.delete_after_run {
                self.job_changed(&old, JobChange::Terminated(LAPSED));
                self.remove_job(&old)?;
                continue;
            }
            let state = plan_state(None, self.stamp, JobStatus::Completed, None);
            self.begin_interval(&old, state)?;
            let (status, from, version) = (state.status, state.from, old.version + 1);
            self.write_job(&Job { from, status, version, ..old.clone() })?;
            self.over(&old, Some(LAPSED))?;
        }
        Ok(lapsed.len() as u32)
    }

    /// Disables a job whose target is gone for good (410): it does not fire after the stamp, until
    /// it is resumed. A job that is gone, completed or disabled already is left alone.
    pub(super) fn disable_job(&mut self, id: JobId) -> Result<(), Refusal> {
        let Some(old) = jobs::get_in(self.tx, id)? else { return Ok(()) };
        if matches!(old.status, JobStatus::Completed | JobStatus::Disabled) {
            return Ok(());
        }
        self.end_interval(&old)?;
        self.job_changed(&old, JobChange::Updated(JobUpdate::Disabled));
        self.write_job(&Job {
            status: JobStatus::Disabled,
            from: self.stamp,
            version: old.version + 1,
            ..old
        })
    }

    /// Removes a job. Its plan is closed, because what fell due up to the stamp still needs an end
    /// state: the sender of its rows finds that the job is gone, and ends them.
    pub(super) fn remove_job(&mut self, old: &Job) -> Result<(), Refusal> {
        self.end_interval(old)?;
        self.tx.release_definition(old.definition_id, 1)?;
        jobs::delete(self.tx, old.id)?;
        self.count_jobs(old.definition.project, -1)?;
        self.end_runs_of(old.id)?;
        self.release_parked(old.id)?;
        self.change.edited.push(old.id);
        self.job_changed(old, JobChange::Deleted);
        self.over(old, None)
    }

    /// Releases the parked rows of a job: they are due at once.
    pub(super) fn release_parked(&mut self, id: JobId) -> Result<(), Refusal> {
        if pending::release(self.tx, id, self.stamp)? > 0 {
            self.pending_changed(shard_of(id));
        }
        Ok(())
    }

    /// Releases what is parked behind the runs of a job, now that it has none: all rows, or, of a
    /// queue, the first one. That one takes the place of a run at once, so that none that comes
    /// later goes before it, and those behind it have something to wait for.
    pub(super) fn release_next(&mut self, id: JobId) -> Result<(), Refusal> {
        let Some(row) = pending::oldest_parked(self.tx, id)? else { return Ok(()) };
        let job = jobs::get_in(self.tx, id)?;
        if !job.is_some_and(|job| matches!(job.definition.overlap, Overlap::Queue { .. })) {
            return self.release_parked(id);
        }
        pending::release_one(self.tx, row.id, self.stamp)?;
        self.pending_changed(row.shard);
        self.put_run(&run_of(&row, id, self.stamp))
    }

    fn pause_job(
        &mut self,
        old: &Job,
        until: Option<Millis>,
        by: Option<&str>,
    ) -> Result<bool, Refusal> {
        if matches!(old.status, JobStatus::Completed | JobStatus::Disabled) {
            return Ok(false);
        }
        let ahead = self.instant_ahead(old)?;
        let state = plan_state(ahead, self.stamp, JobStatus::Inactive, until);
        let same_end = state.status == JobStatus::Inactive || state.from == old.from;
        if state.status == old.status && same_end {
            return Ok(false);
        }
        self.begin_interval(old, state)?;
        let new = Job { status: state.status, from: state.from, ..old.clone() };
        self.write_job(&self.touched(new, by))?;
        self.job_changed(old, JobChange::Updated(JobUpdate::Paused));
        Ok(true)
    }

    fn resume_job(&mut self, old: &Job, by: Option<&str>) -> Result<bool, Refusal> {
        let fires = old.status == JobStatus::Active && old.from <= self.stamp;
        if fires || old.status == JobStatus::Completed {
            return Ok(false);
        }
        let state = if self.has_lapsed(old)? {
            plan_state(None, self.stamp, JobStatus::Completed, None)
        } else {
            plan_state(self.instant_ahead(old)?, self.stamp, JobStatus::Active, None)
        };
        self.begin_interval(old, state)?;
        let new = Job { status: state.status, from: state.from, ..old.clone() };
        self.write_job(&self.touched(new, by))?;
        if state.status == JobStatus::Completed {
            self.over(old, Some(LAPSED))?;
        } else {
            self.job_changed(old, JobChange::Updated(JobUpdate::Resumed));
        }
        Ok(true)
    }

    /// Notes a change of a job for the event stream.
    pub(super) fn job_changed(&mut self, job: &Job, change: JobChange) {
        let definition = &job.definition;
        let (project, template) = (definition.project, TemplateMark::of(definition));
        self.change.events.add_job(project, template, change, job.id);
    }

    /// Ends a job's present interval and begins another with the same schedule.
    fn begin_interval(&mut self, old: &Job, state: PlanState) -> Result<(), Refusal> {
        self.end_interval(old)?;
        self.begin_intervals(&[PlanInterval::of(old, state)])
    }

    /// A job with the marks of a change that a caller asked for.
    pub(super) fn touched(&self, job: Job, by: Option<&str>) -> Job {
        Job {
            modified: Some(self.stamp),
            modified_by: by.map(str::to_owned),
            version: job.version + 1,
            ..job
        }
    }

    /// Writes a job that changed.
    pub(super) fn write_job(&mut self, job: &Job) -> Result<(), Refusal> {
        let lapses_at = self.lapse_of(job)?;
        jobs::update(self.tx, job, lapses_at)?;
        self.change.edited.push(job.id);
        Ok(())
    }

    /// A job by its id; refused when there is none.
    pub(super) fn job(&mut self, id: JobId) -> Result<Job, Refusal> {
        let found = if self.reaches_job(id)? { jobs::get_in(self.tx, id)? } else { None };
        found.ok_or_else(|| refuse(RejectionKind::NotFound, "job cannot be found"))
    }
}
