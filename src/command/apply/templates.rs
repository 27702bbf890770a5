//! Rules of job templates: types are unique in a project, an edit touches no instance that exists,
//! and an instance is made by the version that the template has then.

use super::entry::{Applied, Entry, Refusal, expected, refuse};
use super::plan_intervals::{OneOffInstant, PlanInterval, anchor, plan_state};
use crate::command::{Outcome, RejectionKind};
use crate::model::event::{JobChange, Noun, RecordChange, TemplateMark};
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::template::Template;
use crate::model::{JobId, ProjectId};
use crate::store::jobs::NewRow;
use crate::store::meta::Sequence;
use crate::store::{jobs, template_jobs, templates};

/// The most completed instances that an edit drops.
const DROPPED_BY_EDIT: u32 = 1_000;

impl Entry<'_, '_> {
    pub(super) fn create_template(&mut self, new: &Template) -> Applied {
        self.project_exists(new.project)?;
        self.template_fits(new, None)?;
        self.may_begin_chain(new)?;
        let id = self.tx.take(Sequence::Template, 1)?;
        let template =
            Template { id, created: self.stamp, modified: None, version: 1, ..new.clone() };
        templates::put(self.tx, &template)?;
        self.notes.project(template.project);
        self.notes.changed(None, Some(&template));
        self.record_changed(Noun::Template, id, RecordChange::Created);
        self.begin_chain(&template)?;
        Ok(Outcome::Created(id))
    }

    /// Replaces all of a template. Its instances stay as they are; a system template that becomes
    /// active, or whose instances come again from now on, gets its first one.
    pub(super) fn update_template(
        &mut self,
        id: u64,
        expect: Option<u64>,
        new: &Template,
    ) -> Applied {
        let old = self.template(id)?;
        expected("template", expect, old.version)?;
        if new.project != old.project {
            let message = "projectId of a template cannot change: make another template";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        self.template_fits(new, Some(id))?;
        let template = Template {
            id,
            created: old.created,
            created_by: old.created_by.clone(),
            modified: Some(self.stamp),
            version: old.version + 1,
            ..new.clone()
        };
        self.notes.project(template.project);
        if template.content() == old.content() {
            return Ok(Outcome::Done);
        }
        let comes_again = template.reschedule && !old.reschedule;
        let may_begin = !old.active || old.user_triggered || comes_again;
        if may_begin {
            self.may_begin_chain(&template)?;
        }
        templates::put(self.tx, &template)?;
        self.notes.changed(Some(&old), Some(&template));
        self.record_changed(Noun::Template, id, RecordChange::Updated);
        if may_begin {
            self.begin_chain(&template)?;
        }
        self.drop_completed(&template, DROPPED_BY_EDIT)?;
        Ok(Outcome::Done)
    }

    /// Deletes a template. It becomes inactive first, so that no instance follows those that end
    /// with it.
    pub(super) fn delete_template(
        &mut self,
        id: u64,
        expect: Option<u64>,
        terminate: bool,
        limit: u32,
    ) -> Applied {
        let old = self.template(id)?;
        expected("template", expect, old.version)?;
        self.notes.project(old.project);
        let live = template_jobs::live(self.tx, id, limit.saturating_add(1))?;
        if !live.is_empty() && !terminate {
            let message = "template has instances that are not over: wait for them, or delete it \
                           with terminate=true, which ends them";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        if live.len() as u64 > u64::from(limit) {
            if old.active {
                let (version, modified) = (old.version + 1, Some(self.stamp));
                let inactive = Template { active: false, version, modified, ..old };
                templates::put(self.tx, &inactive)?;
                self.record_changed(Noun::Template, id, RecordChange::Updated);
            }
            let some = &live[..limit as usize];
            self.end_instances(some)?;
            // A worker on a broker is only asked to stop, and its job is over later. It is no
            // instance any more, so that the next entry goes on behind it and the deletion ends.
            for job in some {
                if template_jobs::get(self.tx, *job)?.is_some_and(|one| one.over.is_none()) {
                    template_jobs::remove(self.tx, *job)?;
                }
            }
            return Ok(Outcome::Changed(limit));
        }
        self.notes.fact("ended", live.len());
        self.notes.changed(Some(&old), None);
        // Without their template, none that is ended here has a successor.
        self.forget_template(id)?;
        self.end_instances(&live)?;
        Ok(Outcome::Done)
    }

    fn end_instances(&mut self, live: &[JobId]) -> Result<(), Refusal> {
        for job in live {
            if let Some(job) = jobs::get_in(self.tx, *job)? {
                self.end_early(&job, Some("its template was deleted"))?;
            }
        }
        Ok(())
    }

    /// Removes a template. Its jobs stay, and are instances no more.
    fn forget_template(&mut self, id: u64) -> Result<(), Refusal> {
        template_jobs::remove_all(self.tx, id)?;
        templates::delete(self.tx, id)?;
        self.record_changed(Noun::Template, id, RecordChange::Deleted);
        Ok(())
    }

    /// Removes the templates of a project that is deleted. The caller deletes its jobs.
    pub(super) fn forget_templates_of(&mut self, project: ProjectId) -> Result<(), Refusal> {
        for id in templates::of_project(self.tx, project)? {
            self.forget_template(id)?;
        }
        Ok(())
    }

    /// Inserts one instance, created at the stamp: it is live from here on.
    pub(super) fn insert_instance(
        &mut self,
        definition: &JobDefinition,
        data: &str,
        how: JobChange,
    ) -> Result<(), Refusal> {
        // Only definitions that a template made come here.
        let Some(of) = definition.template else { return Ok(()) };
        let (stamp, project) = (self.stamp, definition.project);
        let definition_id = self.tx.acquire_definition(definition, 1)?;
        let id = self.tx.take(Sequence::Job, 1)?;
        let anchor = anchor(definition, stamp);
        let ahead = OneOffInstant::new(id, definition, anchor, stamp);
        let state = plan_state(Some(ahead), stamp, JobStatus::Active, None);
        let row = NewRow {
            id,
            project,
            definition_id,
            data,
            anchor,
            status: state.status,
            from: state.from,
            external_id: None,
            labelled: !definition.labels.is_empty(),
            lapses_at: None,
        };
        jobs::insert(self.tx, stamp, std::iter::once(row))?;
        let interval = PlanInterval { id, project, definition_id, anchor, state };
        if interval.is_special(stamp) {
            self.begin_intervals(&[interval])?;
        }
        self.count_jobs(project, 1)?;
        template_jobs::insert(self.tx, id, of)?;
        self.change.created.push((id, 1));
        self.change.events.add_jobs(Some(project), TemplateMark::One(of.id), how, (id, 1));
        Ok(())
    }

    /// Refuses an instance that its template does not make now: the request was checked against
    /// another version, or the template makes its instances itself.
    pub(super) fn may_instantiate(&self, definition: &JobDefinition) -> Result<(), Refusal> {
        let Some(of) = definition.template else { return Ok(()) };
        let template = self.template(of.id)?;
        expected("template", Some(of.version), template.version)?;
        if template.project != definition.project || !definition.is_one_off() {
            let message = "an instance is a one-off in the project of its template";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        if !template.active || !template.user_triggered {
            let message = "template is inactive, or makes its instances itself";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        Ok(())
    }

    /// Refuses a template that has another one's type, or whose jobs have nowhere to go.
    fn template_fits(&mut self, new: &Template, but: Option<u64>) -> Result<(), Refusal> {
        match templates::id_by_type(self.tx, new.project, &new.kind)? {
            Some(id) if Some(id) != but => {
                let message = format!(
                    "type {} is that of template {id} in project {}: change that one, or choose \
                     another type",
                    new.kind, new.project
                );
                return Err(refuse(RejectionKind::Conflict, message));
            }
            _ => {}
        }
        if new.definition.project != new.project {
            let message = "the definition of a template is in its project";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        if new.active && !new.has_target() {
            let message = "target is missing: an active template needs one";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        self.executor_fits(&new.definition)?;
        self.job_has_features(&new.definition, &new.data)
    }

    fn template(&self, id: u64) -> Result<Template, Refusal> {
        let missing = || refuse(RejectionKind::NotFound, "template does not exist");
        let found = templates::get(self.tx, id)?.ok_or_else(missing)?;
        if self.reaches_project(found.project)? { Ok(found) } else { Err(missing()) }
    }
}
