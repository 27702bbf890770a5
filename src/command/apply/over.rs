//! The end of one-offs, and what follows from it. Whatever ends a one-off (its end state, the lapse
//! of its instant, an edit, a deletion, a caller) comes through [`Entry::over`], in the entry that
//! ends it. There the next instance of its template is inserted, so that a chain needs no watcher:
//! it has one live instance on every node, whoever leads and whoever was restarted.
//!
//! - *Over once*: a job is over once. `template_jobs` says whether it was, so a later delivery of a
//!   dead letter, or the deletion of a completed job, makes no further instance.
//! - *One live instance*: a system template gets another instance only while it has none.

use super::entry::{Entry, Refusal};
use crate::model::event::{JobChange, JobEnd};
use crate::model::job::{Job, JobDefinition};
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::template::Template;
use crate::store::template_jobs::{self, Instance};
use crate::store::{jobs, pending, runs, templates};

/// The most completed instances that go with one that is over. More are there only after
/// `keepCompleted` was lowered.
const DROPPED_AT_ONCE: u32 = 20;
/// The most completed instances that are passed over because they are under way again.
const PASSED_OVER: u64 = 1_000;

impl Entry<'_, '_> {
    /// Notes that a one-off is over: its caller has written or removed it already. `end` is told to
    /// the event stream; a deletion is told by itself. For every other job nothing follows.
    pub(super) fn over(&mut self, old: &Job, end: Option<JobEnd>) -> Result<(), Refusal> {
        if let Some(end) = end {
            self.job_changed(old, JobChange::Terminated(end));
        }
        if old.definition.template.is_none() {
            return Ok(());
        }
        let Some(instance) = template_jobs::get(self.tx, old.id)? else { return Ok(()) };
        let is_gone = jobs::anchor(self.tx, old.id)?.is_none();
        if is_gone {
            template_jobs::remove(self.tx, old.id)?;
        } else if instance.over.is_none() {
            template_jobs::set_over(self.tx, old.id, self.stamp)?;
        }
        if instance.over.is_some() {
            return Ok(());
        }
        let Some(template) = templates::get(self.tx, instance.of.id)? else { return Ok(()) };
        self.renew(&template, old, &instance)?;
        self.drop_completed(&template, DROPPED_AT_ONCE)
    }

    /// Inserts the instance that follows one that is over, if one is to.
    fn renew(&mut self, template: &Template, old: &Job, over: &Instance) -> Result<(), Refusal> {
        if !over.reschedule.unwrap_or(template.reschedule) {
            return self.begin_behind_users(template, over);
        }
        if !template.active {
            return Ok(());
        }
        let next = template.instance(template.renewal());
        if !template.user_triggered {
            return self.insert_system_instance(template, &next);
        }
        self.make_room(template)?;
        let JobDefinition { labels, created_by, .. } = &*old.definition;
        let next = JobDefinition { labels: labels.clone(), created_by: created_by.clone(), ..next };
        self.insert_instance(&next, &old.data, JobChange::Rescheduled)
    }

    /// Inserts the first instance of a template that callers made instances of before it became a
    /// system template: it waited for the last one of theirs.
    fn begin_behind_users(&mut self, template: &Template, over: &Instance) -> Result<(), Refusal> {
        if template.user_triggered || over.reschedule.is_some() {
            return Ok(());
        }
        let made_by = templates::version(self.tx, template.id, over.of.version)?;
        if made_by.is_some_and(|version| version.user_triggered) && self.begins_chain(template)? {
            self.make_room(template)?;
            self.begin_chain(template)?;
        }
        Ok(())
    }

    /// Inserts the instance of a system template, unless it has a live one.
    fn insert_system_instance(
        &mut self,
        template: &Template,
        next: &JobDefinition,
    ) -> Result<(), Refusal> {
        if !template_jobs::live(self.tx, template.id, 1)?.is_empty() {
            return Ok(());
        }
        self.make_room(template)?;
        self.insert_instance(next, &template.data, JobChange::Rescheduled)
    }

    /// Says whether a system template is to get its first instance.
    fn begins_chain(&self, template: &Template) -> Result<bool, Refusal> {
        let is_system = template.active && !template.user_triggered;
        Ok(is_system && template_jobs::live(self.tx, template.id, 1)?.is_empty())
    }

    /// Refuses a system template whose first instance would be beyond the limit of its account.
    pub(super) fn may_begin_chain(&mut self, template: &Template) -> Result<(), Refusal> {
        if self.begins_chain(template)? {
            self.jobs_within_limits([(template.project, 1)])?;
        }
        Ok(())
    }

    /// Makes room for the next instance of a template whose account has as many jobs as it may: the
    /// oldest completed instance goes. Where none can go yet the next one comes all the same: it
    /// takes the place of the one that ended, and a chain must not end by a limit.
    fn make_room(&mut self, template: &Template) -> Result<(), Refusal> {
        if self.has_room_for_job(template.project)? {
            return Ok(());
        }
        self.drop_oldest(template, 1, PASSED_OVER)
    }

    /// Inserts the first instance of a system template that is made, becomes active, or is to be
    /// one without end.
    pub(super) fn begin_chain(&mut self, template: &Template) -> Result<(), Refusal> {
        if !self.begins_chain(template)? {
            return Ok(());
        }
        let first = template.instance(template.start());
        self.insert_instance(&first, &template.data, JobChange::Created)
    }

    /// Removes the completed instances beyond those that a template keeps, the oldest first and at
    /// most `limit`. One that runs again, or is about to, goes with a later end: its receiver would
    /// work for nothing.
    pub(super) fn drop_completed(
        &mut self,
        template: &Template,
        limit: u32,
    ) -> Result<(), Refusal> {
        let over = templates::over_count(self.tx, template.id)?;
        let excess = over.saturating_sub(template.keep_completed.into());
        let most = excess.min(u64::from(limit) + PASSED_OVER);
        self.drop_oldest(template, limit, most)
    }

    /// Removes the oldest completed instances of a template, at most `limit` among `most`.
    fn drop_oldest(&mut self, template: &Template, limit: u32, most: u64) -> Result<(), Refusal> {
        let mut left = limit;
        for id in template_jobs::first_over(self.tx, template.id, most)? {
            if left == 0 {
                break;
            }
            if let Some(old) = jobs::get_in(self.tx, id)?
                && !self.is_under_way(&old)?
            {
                self.remove_job(&old)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Says whether a one-off that is over has a run, or waits for one: a manual run, or the replay
    /// of its dead letter.
    fn is_under_way(&self, job: &Job) -> Result<bool, Refusal> {
        let planned = Occurrence { job: job.id, scheduled: job.anchor, run: 0 };
        Ok(runs::any_of_job(self.tx, job.id)?
            || pending::has_lone_job(self.tx, shard_of(job.id), job.id)?
            || self.row_of(planned)?.is_some())
    }
}
