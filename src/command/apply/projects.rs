//! Rules of projects: names are unique, jobs keep their project alive. Called by `apply` alone.

use super::{Applied, Entry, Refusal, refuse};
use crate::command::{NewProject, Outcome, ProjectEdit, RejectionKind};
use crate::model::project::Project;
use crate::model::target::ProjectPause;
use crate::model::{Millis, ProjectId};
use crate::store::meta::Counter;
use crate::store::{jobs, plans, projects, runs};

impl Entry<'_, '_> {
    pub(super) fn create_project(&mut self, new: &NewProject) -> Applied {
        self.name_is_free(&new.name, None)?;
        let id = self.tx.take(Counter::Project, 1)?;
        let project = Project {
            id,
            name: new.name.clone(),
            description: new.description.clone(),
            created: self.stamp,
            modified: None,
            created_by: new.by.clone(),
            modified_by: None,
            settings: new.settings.clone(),
        };
        projects::insert(self.tx, &project)?;
        Ok(Outcome::Created(id))
    }

    pub(super) fn update_project(&mut self, edit: &ProjectEdit) -> Applied {
        let mut project = self.project(edit.id)?;
        if let Some(name) = &edit.name {
            self.name_is_free(name, Some(edit.id))?;
            project.name.clone_from(name);
        }
        if let Some(description) = &edit.description {
            project.description.clone_from(description);
        }
        if let Some(settings) = &edit.settings {
            if settings.version != project.settings.version {
                return Err(refuse(
                    RejectionKind::Stale,
                    "project has changed since: read it again and repeat the change",
                ));
            }
            project.settings.clone_from(settings);
            project.settings.version += 1;
            self.change.targets = true;
        }
        project.modified = Some(self.stamp);
        project.modified_by.clone_from(&edit.by);
        projects::update(self.tx, &project)?;
        Ok(Outcome::Done)
    }

    /// Deletes a project. Its jobs' plans are closed like those of any deleted job, their pending
    /// rows are dealt with at sending, where the members are missing, and its pauses go with the
    /// history that they explain.
    pub(super) fn delete_project(&mut self, id: ProjectId, cascade: bool) -> Applied {
        self.project(id)?;
        if projects::job_count(self.tx, id)? > 0 {
            if !cascade {
                return Err(refuse(RejectionKind::Conflict, "cannot delete project with jobs"));
            }
            for job in jobs::paused_beyond(self.tx, id, self.stamp)? {
                for shape in plans::cut(self.tx, job, self.stamp)? {
                    self.tx.release_shape(shape, 1)?;
                }
            }
            for (shape, uses) in plans::close_project(self.tx, id, self.stamp)? {
                self.tx.release_shape(shape, uses)?;
            }
            let runs = runs::of_project(self.tx, id)?;
            let gone = jobs::delete_of_project(self.tx, id)?;
            for run in runs {
                self.end_runs_of(run.occurrence.job)?;
            }
            self.change.edited.extend(gone);
        }
        if projects::cut_pauses(self.tx, id, self.stamp)? > 0 {
            self.change.targets = true;
        }
        projects::delete(self.tx, id)?;
        Ok(Outcome::Done)
    }

    /// Closes the stretch in which the project's jobs fire; a pause that is under way is replaced.
    pub(super) fn pause_project(
        &mut self,
        id: ProjectId,
        until: Option<Millis>,
        by: Option<&str>,
    ) -> Applied {
        let project = self.project(id)?;
        if until.is_some_and(|until| until <= self.stamp) {
            return Err(refuse(RejectionKind::Invalid, "pauseUntil must lie in the future"));
        }
        projects::cut_pauses(self.tx, id, self.stamp)?;
        projects::add_pause(self.tx, &ProjectPause { project: id, from: self.stamp, until })?;
        self.touch_project(project, by)
    }

    /// Ends a pause. A project that is not paused stays as it is.
    pub(super) fn resume_project(&mut self, id: ProjectId, by: Option<&str>) -> Applied {
        let project = self.project(id)?;
        if projects::cut_pauses(self.tx, id, self.stamp)? == 0 {
            return Ok(Outcome::Done);
        }
        self.touch_project(project, by)
    }

    fn touch_project(&mut self, mut project: Project, by: Option<&str>) -> Applied {
        project.modified = Some(self.stamp);
        project.modified_by = by.map(str::to_owned);
        projects::update(self.tx, &project)?;
        self.change.targets = true;
        Ok(Outcome::Done)
    }

    fn project(&self, id: ProjectId) -> Result<Project, Refusal> {
        projects::get(self.tx, id)?
            .ok_or_else(|| refuse(RejectionKind::NotFound, "project does not exist"))
    }

    fn name_is_free(&self, name: &str, but: Option<ProjectId>) -> Result<(), Refusal> {
        match projects::id_by_name(self.tx, name)? {
            Some(id) if Some(id) != but => {
                Err(refuse(RejectionKind::Conflict, "project with this name already exists"))
            }
            _ => Ok(()),
        }
    }

    /// What jobs refer to must exist.
    pub(super) fn project_exists(&self, id: ProjectId) -> Result<(), Refusal> {
        if projects::exists(self.tx, id)? {
            return Ok(());
        }
        Err(refuse(RejectionKind::Invalid, format!("project with id {id} does not exist")))
    }
}
