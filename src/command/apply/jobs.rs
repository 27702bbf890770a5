//! Rules of new and edited jobs: when their schedule begins to count, and how an edit closes one
//! plan and opens the next. No schedule is read here: apply needs the period only, which comes with
//! the command.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry::{Applied, Entry, Refusal, expected, one_of, refuse};
use super::job_actions::LAPSED;
use super::plan_intervals::{
    OneOffInstant, PlanInterval, PlanState, anchor, due, lapses_at, other_terms, plan_state,
    same_spec,
};
use crate::command::{CreateJobs, JobEdit, Outcome, RejectionKind};
use crate::model::event::{JobChange, JobEnd, JobUpdate, TemplateMark};
use crate::model::job::{Job, JobStatus, Timing};
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::task::{Task, TaskState};
use crate::model::template::{STAYS_INSTANCE, breaks_instance};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::NewRow;
use crate::store::meta::Sequence;
use crate::store::{jobs, pending, plans, staged, tasks, template_jobs};

impl Entry<'_, '_> {
    /// Creates jobs with consecutive ids. A request that is repeated gets the jobs that it created.
    pub(super) fn create_jobs(&mut self, new: &CreateJobs) -> Applied {
        if let Some(task) = tasks::get(self.tx, new.request)? {
            self.notes.repeated();
            return match task.state {
                TaskState::Succeeded => Ok(Outcome::Jobs { request: new.request, jobs: task.jobs }),
                _ => Err(refuse(
                    RejectionKind::Conflict,
                    "request id belongs to a request that is not finished",
                )),
            };
        }
        let uses = self.checked_uses(new, None)?;
        let by_project = self.jobs_may_come(new, &uses, 0)?;
        let definition_ids = self.acquire_definitions(new, &uses)?;
        let n = new.jobs.len() as u64;
        let first = self.tx.take(Sequence::Job, n)?;
        let stamp = self.stamp;
        let anchors: Vec<_> =
            new.definitions.iter().map(|definition| anchor(definition, stamp)).collect();
        let mut special = Vec::new();
        let rows = new.jobs.iter().zip(first..).map(|(job, id)| {
            let place = job.definition as usize;
            let (definition, definition_id) = (&new.definitions[place], definition_ids[place]);
            let instant = definition.is_one_off().then(|| job.at.unwrap_or(anchors[place]));
            let ahead = instant.map(|at| OneOffInstant::new(id, definition, at, stamp));
            let state = plan_state(ahead, stamp, job.status, job.pause_until);
            let anchor = instant.unwrap_or(anchors[place]);
            let interval =
                PlanInterval { id, project: definition.project, definition_id, anchor, state };
            if interval.is_special(stamp) {
                special.push(interval);
            }
            NewRow {
                id,
                project: definition.project,
                definition_id,
                data: &job.data,
                anchor,
                status: state.status,
                from: state.from,
                external_id: job.external_id.as_deref(),
                labelled: !definition.labels.is_empty(),
                lapses_at: lapses_at(id, definition, anchor, (state.status, state.from)),
            }
        });
        jobs::insert(self.tx, stamp, rows)?;
        self.begin_intervals(&special)?;
        for (job, id) in new.jobs.iter().zip(first..) {
            if let Some(of) = new.definitions[job.definition as usize].template {
                template_jobs::insert(self.tx, id, of)?;
            }
        }
        for (project, n) in by_project {
            self.count_jobs(project, n as i64)?;
        }
        let task = Task {
            id: self.tx.take(Sequence::Task, 1)?,
            request: new.request,
            state: TaskState::Succeeded,
            jobs: vec![(first, n)],
            created: stamp,
        };
        let projects = self.kept_projects(new, &uses)?;
        tasks::insert(self.tx, &task, 0, projects.as_deref())?;
        let named = new.definitions.iter().zip(&uses).filter(|(_, uses)| **uses > 0);
        let project = one_of(named.clone().map(|(definition, _)| definition.project));
        self.note_new_jobs(new, project);
        let template = one_of(named.map(|(definition, _)| TemplateMark::of(definition)));
        self.created(project, template.unwrap_or_default(), (first, n));
        Ok(Outcome::Jobs { request: new.request, jobs: task.jobs })
    }

    /// Notes jobs that were created, with their project and template if they have the same.
    pub(super) fn created(
        &mut self,
        project: Option<ProjectId>,
        template: TemplateMark,
        range: (JobId, u64),
    ) {
        self.change.created.push(range);
        self.change.events.add_jobs(project, template, JobChange::Created, range);
    }

    /// The number of jobs that use each definition. Refuses jobs that cannot be created, or cannot
    /// be created beside those that the task has staged before.
    pub(super) fn checked_uses(
        &self,
        new: &CreateJobs,
        task: Option<u64>,
    ) -> Result<Vec<u64>, Refusal> {
        if new.jobs.is_empty() {
            return Err(refuse(RejectionKind::Invalid, "jobs is empty: name at least one job"));
        }
        let mut uses = vec![0; new.definitions.len()];
        let mut named = BTreeSet::new();
        for job in &new.jobs {
            let place = job.definition as usize;
            let Some(definition) = new.definitions.get(place) else {
                let message = format!("jobs refer to shape {place}, which is not there");
                return Err(refuse(RejectionKind::Invalid, message));
            };
            uses[place] += 1;
            if definition.timing == Timing::At && job.at.is_none() {
                return Err(no_instant());
            }
            if !matches!(job.status, JobStatus::Active | JobStatus::Inactive) {
                let message = "status of a new job must be active or inactive";
                return Err(refuse(RejectionKind::Invalid, message));
            }
            if let Some(external_id) = job.external_id.as_deref() {
                let staged = match task {
                    Some(task) => {
                        staged::has_external_id(self.tx, task, definition.project, external_id)?
                    }
                    None => false,
                };
                if staged || !named.insert((definition.project, external_id)) {
                    let message = format!(
                        "externalId {external_id:?} is there twice in the request: it must be \
                         unique in its project"
                    );
                    return Err(refuse(RejectionKind::Conflict, message));
                }
                self.external_id_is_free(definition.project, external_id, None)?;
            }
        }
        let mut last = None;
        for (definition, _) in new.definitions.iter().zip(&uses).filter(|(_, uses)| **uses > 0) {
            if last != Some(definition.project) {
                self.project_exists(definition.project)?;
                last = Some(definition.project);
            }
            self.executor_fits(definition)?;
            self.may_instantiate(definition)?;
        }
        Ok(uses)
    }

    /// The ids of the definitions that are used; 0 for the others.
    pub(super) fn acquire_definitions(
        &mut self,
        new: &CreateJobs,
        uses: &[u64],
    ) -> Result<Vec<u64>, Refusal> {
        let mut ids = vec![0; new.definitions.len()];
        for (i, definition) in new.definitions.iter().enumerate().filter(|(i, _)| uses[*i] > 0) {
            ids[i] = self.tx.acquire_definition(definition, uses[i])?;
        }
        Ok(ids)
    }

    /// Replaces a job's definition. What fell due up to the stamp stands. A plan is closed only if
    /// the edit changes when the job fires, or what becomes of an occurrence that is late.
    pub(super) fn update_job(&mut self, edit: &JobEdit) -> Applied {
        let old = self.job(edit.id)?;
        self.edit_job(&old, edit)?;
        Ok(Outcome::Done)
    }

    /// Edits a job, as [`Entry::update_job`]. Returns `false` where it was so already. It refuses
    /// before it writes.
    pub(super) fn edit_job(&mut self, old: &Job, edit: &JobEdit) -> Result<bool, Refusal> {
        self.check_edit(old, edit)?;
        self.notes.project(old.definition.project);
        let one_off = edit.definition.is_one_off();
        let anchor = anchor_after(old, edit, self.stamp).ok_or_else(no_instant)?;
        let unmoved = old.anchor == anchor
            && if one_off {
                old.definition.is_one_off()
            } else {
                same_spec(&old.definition, &edit.definition)
            };
        let state = self.state_after(old, edit, anchor, unmoved)?;
        let is_over = state.status == JobStatus::Completed;
        if old.status == JobStatus::Completed && !is_over && self.is_instance(old)? {
            let message = "this instance is over: make another one of its template";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        let same_plan = unmoved
            && other_terms(&old.definition) == other_terms(&edit.definition)
            && old.status == state.status
            && old.from.max(self.stamp) == state.from.max(self.stamp);
        let same_job = *old.definition == edit.definition
            && old.data == edit.data
            && old.external_id == edit.external_id;
        if same_plan && same_job {
            return Ok(false);
        }

        let definition_id = self.tx.acquire_definition(&edit.definition, 1)?;
        if !same_plan {
            self.end_interval(old)?;
        }
        self.tx.release_definition(old.definition_id, 1)?;
        let new = Job {
            definition_id,
            definition: Arc::new(edit.definition.clone()),
            data: edit.data.clone(),
            anchor,
            from: if same_plan { old.from } else { state.from },
            status: state.status,
            external_id: edit.external_id.clone(),
            ..old.clone()
        };
        if !same_plan {
            self.begin_intervals(&[PlanInterval::of(&new, state)])?;
        }
        let new = self.touched(new, edit.by.as_deref());
        self.note_job(Some(old), Some(&new));
        self.write_job(&new)?;
        if old.definition.project != edit.definition.project {
            self.count_jobs(old.definition.project, -1)?;
            self.count_jobs(edit.definition.project, 1)?;
            self.job_changed(old, JobChange::Updated(JobUpdate::Edited));
        }
        self.job_changed(&new, JobChange::Updated(JobUpdate::Edited));
        if is_over && old.status != JobStatus::Completed {
            let end = self.end_by_edit(&new)?;
            self.over(&new, Some(end))?;
        }
        Ok(true)
    }

    /// The end of a one-off that an edit completes: that of its instant where it has had it before,
    /// else it lapsed.
    fn end_by_edit(&mut self, new: &Job) -> Result<JobEnd, Refusal> {
        let of = Occurrence { job: new.id, scheduled: new.anchor, run: 0 };
        let end = self.end_of(of)?;
        Ok(end.map_or(LAPSED, |(verdict, _)| JobEnd::of(verdict)))
    }

    /// Refuses an edit that is stale, or refers to what does not exist.
    fn check_edit(&mut self, old: &Job, edit: &JobEdit) -> Result<(), Refusal> {
        expected("job", edit.expect, old.version)?;
        let project = edit.definition.project;
        if old.definition.template != edit.definition.template
            || old.definition.template_type != edit.definition.template_type
        {
            let message = "the template that made a job cannot change";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        if breaks_instance(&old.definition, &edit.definition) && self.is_instance(old)? {
            return Err(refuse(RejectionKind::Conflict, STAYS_INSTANCE));
        }
        if project != old.definition.project {
            self.project_exists(project)?;
            if self.account_of(project)? != self.account_of(old.definition.project)? {
                self.jobs_within_limits([(project, 1)])?;
            }
        }
        self.executor_fits(&edit.definition)?;
        self.job_has_features(&edit.definition, &edit.data)?;
        match edit.external_id.as_deref() {
            Some(external_id) => self.external_id_is_free(project, external_id, Some(old.id)),
            None => Ok(()),
        }
    }

    /// Says whether a job belongs to a template. Those of a template that was deleted do not,
    /// though their definition names it.
    fn is_instance(&self, job: &Job) -> Result<bool, Refusal> {
        let is_marked = job.definition.template.is_some();
        Ok(is_marked && template_jobs::get(self.tx, job.id)?.is_some())
    }

    /// The state of a job after an edit. `Completed` and `Disabled` are results: an edit with one
    /// of them leaves the status as it is. Only another instant, or a schedule, makes a completed
    /// job active again.
    fn state_after(
        &mut self,
        old: &Job,
        edit: &JobEdit,
        anchor: Millis,
        unmoved: bool,
    ) -> Result<PlanState, Refusal> {
        let one_off = edit.definition.is_one_off();
        let had = if unmoved || !one_off || anchor > self.stamp {
            None
        } else {
            self.instant_had(old.id, anchor)?
        };
        let over = if unmoved {
            one_off && (old.status == JobStatus::Completed || self.has_lapsed(old)?)
        } else {
            had.is_some_and(|due| due <= self.stamp)
        };
        if over {
            return Ok(plan_state(None, self.stamp, JobStatus::Completed, None));
        }
        let status = match edit.status {
            JobStatus::Active | JobStatus::Inactive => edit.status,
            _ if old.status == JobStatus::Completed => JobStatus::Active,
            _ => old.status,
        };
        let ahead = match had {
            _ if unmoved => self.instant_ahead(old)?,
            Some(due) => Some(OneOffInstant { at: anchor, due, held: true }),
            None if one_off => {
                Some(OneOffInstant::new(old.id, &edit.definition, anchor, self.stamp))
            }
            None => None,
        };
        Ok(plan_state(ahead, self.stamp, status, edit.pause_until))
    }

    /// The due instant of an instant that the job had before while it fired: it went out, or will.
    fn instant_had(&mut self, id: JobId, instant: Millis) -> Result<Option<Millis>, Refusal> {
        for plan in plans::of_job_in(self.tx, id)? {
            let one = plan.definition.is_one_off() && plan.anchor == instant;
            let due = due(id, &plan.definition, instant);
            let holds = one && plan.from < instant && instant <= plan.until;
            if holds && (plan.status.fires() || due > plan.until) {
                return Ok(Some(due));
            }
        }
        let members = Members::from_sorted([id]);
        let rows = pending::at_occurrence(self.tx, shard_of(id), instant, 0, &members)?;
        Ok((!rows.is_empty()).then_some(instant))
    }

    /// Refuses a client's id that another job of the project has.
    pub(super) fn external_id_is_free(
        &self,
        project: ProjectId,
        external_id: &str,
        but: Option<JobId>,
    ) -> Result<(), Refusal> {
        // Of a project out of reach nothing is told, and it is refused for that.
        if !self.reaches_project(project)? {
            return Ok(());
        }
        match jobs::id_by_external_id(self.tx, project, external_id)? {
            Some(id) if Some(id) != but => Err(external_id_taken(project, external_id)),
            _ => Ok(()),
        }
    }
}

/// The instant that a job's schedule counts from after an edit; of a one-off, its instant. `None`
/// where a one-off is given none.
pub fn anchor_after(old: &Job, edit: &JobEdit, stamp: Millis) -> Option<Millis> {
    match edit.definition.timing {
        Timing::At | Timing::After(_) if edit.at.is_some() => edit.at,
        Timing::At if old.definition.timing == Timing::At => Some(old.anchor),
        Timing::At => None,
        Timing::Spec if same_spec(&old.definition, &edit.definition) => Some(old.anchor),
        Timing::Spec | Timing::After(_) => Some(anchor(&edit.definition, stamp)),
    }
}

/// The refusal of a client's id that another job has.
pub(super) fn external_id_taken(project: ProjectId, external_id: &str) -> Refusal {
    let message = format!(
        "externalId {external_id:?} is taken by another job of project {project}: choose another, \
         or change that job"
    );
    refuse(RejectionKind::Conflict, message)
}

/// The refusal of a one-off without an instant.
fn no_instant() -> Refusal {
    refuse(RejectionKind::Invalid, "at is missing: name the instant of the one-off")
}
