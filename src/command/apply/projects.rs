//! Rules of projects: names are unique, a project that has jobs stays.

use super::entry::{Applied, Entry, Refusal, expected, refuse};
use crate::command::{NewProject, Outcome, ProjectAction, ProjectEdit, RejectionKind};
use crate::model::account::Counted;
use crate::model::event::{JobChange, Noun, RecordChange, TemplateMark};
use crate::model::project::Project;
use crate::model::target::ProjectPause;
use crate::model::{AccountId, FIRST_ACCOUNT, ProjectId};
use crate::store::meta::Sequence;
use crate::store::{jobs, plans, projects, runs, templates};

impl Entry<'_, '_> {
    pub(super) fn create_project(&mut self, new: &NewProject) -> Applied {
        let account = self.reach.account_of_new();
        self.name_is_free(account, &new.name, None)?;
        self.may_pause(new.action)?;
        self.within_limit(account, Counted::Projects, 1)?;
        let id = self.tx.take(Sequence::Project, 1)?;
        let project = Project {
            id,
            name: new.name.clone(),
            description: new.description.clone(),
            created: self.stamp,
            modified: None,
            created_by: new.by.clone(),
            modified_by: None,
            settings: new.settings.clone(),
            version: 1,
        };
        projects::insert(self.tx, account, &project)?;
        self.count_held(account, Counted::Projects, 1)?;
        self.notes.changed(None, Some(&project));
        self.set_pause(id, new.action)?;
        self.change.credentials |= !new.settings.allowed_targets.is_empty();
        self.record_changed(Noun::Project, id, RecordChange::Created);
        Ok(Outcome::Created(id))
    }

    pub(super) fn update_project(&mut self, edit: &ProjectEdit) -> Applied {
        let mut project = self.project(edit.id)?;
        expected("project", edit.expect, project.version)?;
        self.may_pause(edit.action)?;
        let old = project.clone();
        if let Some(name) = &edit.name {
            let account = projects::account(self.tx, edit.id)?.unwrap_or(FIRST_ACCOUNT);
            self.name_is_free(account, name, Some(edit.id))?;
            project.name.clone_from(name);
        }
        if let Some(description) = &edit.description {
            project.description.clone_from(description);
        }
        if let Some(settings) = &edit.settings {
            project.settings.clone_from(settings);
        }
        self.change.targets |= project.settings != old.settings;
        // Whoever holds key pairs holds whether any project has a list.
        self.change.credentials |= project.settings.allowed_targets != old.settings.allowed_targets;
        self.notes.changed(Some(&old), Some(&project));
        self.note_pause(edit.action);
        if !self.set_pause(edit.id, edit.action)? && project == old {
            return Ok(Outcome::Done);
        }
        project.modified = Some(self.stamp);
        project.modified_by.clone_from(&edit.by);
        project.version += 1;
        projects::update(self.tx, &project)?;
        self.record_changed(Noun::Project, edit.id, RecordChange::Updated);
        Ok(Outcome::Done)
    }

    /// Deletes a project. The plans of its jobs are closed like those of any deleted job. Its
    /// pending rows are ended by their senders, which find no jobs. Its pauses are dropped with the
    /// history that they explain.
    pub(super) fn delete_project(
        &mut self,
        id: ProjectId,
        cascade: bool,
        expect: Option<u64>,
    ) -> Applied {
        let old = self.project(id)?;
        expected("project", expect, old.version)?;
        let has_jobs = projects::job_count(self.tx, id)? > 0;
        if has_jobs && !cascade {
            return Err(refuse(RejectionKind::Conflict, "cannot delete project with jobs"));
        }
        if !cascade && !templates::of_project(self.tx, id)?.is_empty() {
            let message = "cannot delete project with templates: delete them first, or use cascade";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        let account = self.account_of(id)?;
        // No instance follows one that is deleted with its project.
        self.forget_templates_of(id)?;
        if has_jobs {
            for job in jobs::paused_beyond(self.tx, id, self.stamp)? {
                for definition in plans::cut(self.tx, job, self.stamp)? {
                    self.tx.release_definition(definition, 1)?;
                }
            }
            for (definition, uses) in plans::close_project(self.tx, id, self.stamp)? {
                self.tx.release_definition(definition, uses)?;
            }
            let runs = runs::of_project(self.tx, id)?;
            let gone = jobs::delete_of_project(self.tx, id)?;
            self.count_held(account, Counted::Jobs, -(gone.len() as i64))?;
            self.notes.fact("jobs", gone.len());
            for run in runs {
                self.end_runs_of(run.occurrence.job)?;
            }
            for job in &gone {
                let template = TemplateMark::Unknown;
                self.change.events.add_job(id, template, JobChange::Deleted, *job);
            }
            self.change.edited.extend(gone);
        }
        if projects::cut_pauses(self.tx, id, self.stamp)? > 0 {
            self.change.targets = true;
        }
        projects::delete(self.tx, id)?;
        self.count_held(account, Counted::Projects, -1)?;
        self.notes.changed(Some(&old), None);
        self.record_changed(Noun::Project, id, RecordChange::Deleted);
        Ok(Outcome::Done)
    }

    /// Notes the end of a pause for the audit.
    fn note_pause(&mut self, action: Option<ProjectAction>) {
        match action {
            Some(ProjectAction::Pause { until }) => self.notes.fact("pausedUntil", until),
            Some(ProjectAction::Resume) => self.notes.fact("resumed", true),
            None => {}
        }
    }

    /// Refuses a pause whose end does not lie ahead.
    fn may_pause(&self, action: Option<ProjectAction>) -> Result<(), Refusal> {
        match action {
            Some(ProjectAction::Pause { until: Some(until) }) if until <= self.stamp => {
                Err(refuse(RejectionKind::Invalid, "pauseUntil must lie in the future"))
            }
            _ => Ok(()),
        }
    }

    /// Pauses or resumes a project. Returns `false` when it is in that state already.
    fn set_pause(&mut self, id: ProjectId, action: Option<ProjectAction>) -> Result<bool, Refusal> {
        let Some(action) = action else { return Ok(false) };
        let wanted = match action {
            ProjectAction::Resume => None,
            ProjectAction::Pause { until } => Some(ProjectPause::before(id, self.stamp, until)),
        };
        let holds = |pause: &&ProjectPause| pause.until.is_none_or(|until| until > self.stamp);
        let all = projects::own_pauses(self.tx, id)?;
        let now = all.iter().find(holds);
        if now.map(|pause| pause.until) == wanted.map(|pause| pause.until) {
            return Ok(false);
        }
        projects::cut_pauses(self.tx, id, self.stamp)?;
        if let Some(pause) = wanted.filter(|pause| !pause.is_empty()) {
            projects::add_pause(self.tx, &pause)?;
        }
        self.change.targets = true;
        Ok(true)
    }

    fn project(&self, id: ProjectId) -> Result<Project, Refusal> {
        let found = if self.reaches_project(id)? { projects::get(self.tx, id)? } else { None };
        found.ok_or_else(|| refuse(RejectionKind::NotFound, "project does not exist"))
    }

    fn name_is_free(
        &self,
        account: AccountId,
        name: &str,
        but: Option<ProjectId>,
    ) -> Result<(), Refusal> {
        match projects::id_in_account(self.tx, account, name)? {
            Some(id) if Some(id) != but => {
                Err(refuse(RejectionKind::Conflict, "project with this name already exists"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses the id of a project that does not exist in reach.
    pub(super) fn project_exists(&self, id: ProjectId) -> Result<(), Refusal> {
        if self.reaches_project(id)? && projects::exists(self.tx, id)? {
            return Ok(());
        }
        Err(refuse(RejectionKind::Invalid, format!("project with id {id} does not exist")))
    }
}
