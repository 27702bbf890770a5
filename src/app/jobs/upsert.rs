//! The upsert of a job by the name that clients have for it: the job becomes what the request says,
//! whether it existed or not, so that a deployment can be repeated.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, ErrorKind};
use crate::app::jobs::external_id::JobName;
use crate::app::jobs::input::JobInput;
use crate::app::jobs::record::JobRecord;
use crate::app::jobs::update::{Edit, busy};
use crate::app::jobs::validate::batch::Batch;
use crate::app::jobs::validate::edit::EditMode;
use crate::app::jobs::validate::refusals::unprocessable;
use crate::app::state::App;
use crate::app::warnings::Warnings;
use crate::app::write::ATTEMPTS;
use crate::model::job::Casing;

/// The job after an upsert.
#[derive(Clone, Debug)]
pub struct Upserted {
    /// The job.
    pub record: JobRecord,
    /// It did not exist before.
    pub created: bool,
}

impl App {
    /// Makes the job of a name what `input` says. Warnings about what is valid and probably not
    /// meant are added to `warnings`. `casing` is that of its callbacks.
    ///
    /// # Errors
    ///
    /// `Unprocessable` where the input names another job; else as [`App::create_jobs`] and
    /// [`App::update_job`], but `NotFound` only where the project does not exist.
    pub async fn upsert_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        name: &JobName,
        mut input: JobInput<'_>,
        casing: Casing,
        warnings: &mut Warnings,
    ) -> Result<Upserted, Error> {
        authorize(actor, Action::JobsWrite, Resource::Project(name.project))?;
        if input.definition.project.is_some_and(|project| project != name.project) {
            return Err(unprocessable(
                "projectId",
                "job project_id must be that of the path, or left out",
            ));
        }
        if input.external_id.as_ref().is_some_and(|id| *id != *name.external) {
            return Err(unprocessable(
                "externalId",
                "job externalId must be that of the path, or left out",
            ));
        }
        input.definition.project = Some(name.project);
        input.external_id = Some(name.external.clone().into());
        self.linearize().await?;
        // Another request may create or delete the job in the meantime: then it is looked up again.
        for _ in 0..ATTEMPTS {
            let Some(job) = self.find_job(actor, name).await? else {
                let mut batch = Batch::new(self.job_rules(casing));
                batch.add(input.clone())?;
                let said = batch.warnings();
                conditions.check(None)?;
                // The name makes the creation idempotent: a job that exists is not created again.
                let (_, jobs) = match self.commit_jobs(actor, None, batch.finish()?).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => continue,
                    created => created?,
                };
                let id = jobs.first().map_or(0, |(first, _)| *first);
                let record = self.load_changed(actor, id).await?;
                warnings.merge(said);
                return Ok(Upserted { record, created: true });
            };
            let edit = Edit { input: &input, mode: EditMode::Whole, casing };
            match self.replace_job(actor, conditions, &job, edit, warnings).await {
                Ok(true) => {
                    let record = self.load_changed(actor, job.id).await?;
                    return Ok(Upserted { record, created: false });
                }
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy())
    }
}
