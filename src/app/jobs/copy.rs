//! Copies of a job: a new job by the definition of another one, with what the request changes. The
//! web UI makes them. Secrets of the target are copied as they are sealed; nobody reads them.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::idempotency::Key;
use crate::app::jobs::create::CreatedJobs;
use crate::app::jobs::input::JobInput;
use crate::app::jobs::validate::batch::NewJobs;
use crate::app::jobs::validate::edit::{EditMode, edited};
use crate::app::jobs::validate::instants::ends_after_it_begins;
use crate::app::state::App;
use crate::app::warnings::Warnings;
use crate::command::NewJob;
use crate::model::JobId;
use crate::model::job::{Casing, Job, JobDefinition, JobStatus};

impl App {
    /// Creates a job from another one. `input` is a merge patch over the definition of the other;
    /// it names the schedule, and `modifiedBy` as the creator. The copy is active, is not paused,
    /// has no external id but its own, and does not belong to a template.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; else as [`App::create_jobs`].
    pub async fn copy_job(
        &self,
        actor: &Actor,
        key: Option<Key>,
        from: JobId,
        input: &JobInput<'_>,
        warnings: &mut Warnings,
    ) -> Result<CreatedJobs, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let source = fresh(self.load_job(actor, from).await?);
        let rules = self.job_rules(Casing::Camel);
        let edit = edited(&rules, &source, input, EditMode::Patch, warnings)?;
        let definition = JobDefinition { created_by: edit.by, ..edit.definition };
        ends_after_it_begins(&rules, &definition)?;
        let job = NewJob {
            definition: 0,
            data: edit.data,
            status: edit.status,
            at: edit.at,
            pause_until: edit.pause_until,
            external_id: edit.external_id,
        };
        self.create_jobs(actor, key, NewJobs { definitions: vec![definition], jobs: vec![job] })
            .await
    }
}

/// A job as one that is new: what it has become, and what only one job can have, is left out.
fn fresh(mut job: Job) -> Job {
    let definition = JobDefinition { template: None, ..(*job.definition).clone() };
    job.definition = definition.into();
    job.external_id = None;
    (job.status, job.from, job.modified) = (JobStatus::Active, job.created, None);
    // No instant that a copy names is one that it had before.
    job.anchor = 0;
    job
}
