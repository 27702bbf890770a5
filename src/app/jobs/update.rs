//! Edits of a job. An edit is made of the job as it was read, and committed for that version only.
//! Where the job has changed since, it is read and edited again, unless the request's conditions do
//! not hold any more.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, ErrorKind};
use crate::app::jobs::input::JobInput;
use crate::app::jobs::next_runs::ScheduleCache;
use crate::app::jobs::record::JobRecord;
use crate::app::jobs::validate::edit::{EditMode, edited};
use crate::app::jobs::validate::executors::{self, OwnValues};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::warnings::Warnings;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, Outcome, RejectionKind};
use crate::model::job::{Casing, Job};
use crate::model::{JobId, ProjectId};

/// An edit that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// The fields.
    pub input: &'a JobInput<'a>,
    /// The rule for fields that it does not name.
    pub mode: EditMode,
    /// The casing of the callbacks of a job that gets a target.
    pub casing: Casing,
}

impl App {
    /// Edits a job. Warnings about what is valid and probably not meant are added to `warnings`.
    ///
    /// # Errors
    ///
    /// `Invalid`, `Unprocessable` or `TooLarge` where the job would not be valid; `NotFound` where
    /// there is no such job; `Conflict` where its external id is taken; `Stale` when a condition
    /// does not hold; `Unavailable` while others change it all the time.
    pub async fn update_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
        edit: Edit<'_>,
        warnings: &mut Warnings,
    ) -> Result<JobRecord, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        // Fields that the request does not name stay as they are, so the read must be up to date.
        self.linearize().await?;
        for _ in 0..ATTEMPTS {
            let job = self.load_job(actor, id).await?;
            if self.replace_job(actor, conditions, &job, edit, warnings).await? {
                return self.load_changed(actor, id).await;
            }
        }
        Err(busy())
    }

    /// Commits an edit of a job as it was read. `false` means that the job has changed or gone
    /// since, and that the caller may read it again.
    pub(super) async fn replace_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        job: &Job,
        Edit { input, mode, casing }: Edit<'_>,
        warnings: &mut Warnings,
    ) -> Result<bool, Error> {
        let mut edit = edited(&self.job_rules(casing), job, input, mode, warnings)?;
        edit.expect = Some(job.version);
        if mode == EditMode::Put
            && job.definition.retry_max.is_none()
            && edit.definition.retry_max.is_some()
        {
            // A read shows the default where the job has no number of its own. Sent back, the
            // default is no own number.
            let default = self.default_retries(actor, edit.definition.project).await?;
            edit.definition.retry_max = edit.definition.retry_max.filter(|given| *given != default);
        }
        let definitions = std::slice::from_mut(&mut edit.definition);
        let (data, external_id) = (edit.data.as_str(), edit.external_id.as_deref());
        let own = std::iter::once(OwnValues { definition: 0, data, external_id });
        executors::check(self, actor, definitions, own).await.map_err(|(_, error)| error)?;
        conditions.check(Some(job.version))?;
        match self.propose(actor, Command::UpdateJob(Box::new(edit))).await? {
            outcome if is_stale(&outcome) => Ok(false),
            Outcome::Rejected(rejection) => match rejection.kind {
                RejectionKind::Conflict => Err(Error::from(rejection).field("externalId")),
                _ => Err(rejection.into()),
            },
            _ => Ok(true),
        }
    }

    /// The retries of a project's jobs that have no number of their own.
    async fn default_retries(&self, actor: &Actor, project: ProjectId) -> Result<u32, Error> {
        let (now, configured) = (self.now(), self.config.job_execution_retry_max);
        let read = move |conn: &Connection| {
            Ok(ScheduleCache::new(conn, now, configured).project(project)?.retry_max)
        };
        self.read(actor, read).await
    }

    /// Reads a job that was just written.
    pub(super) async fn load_changed(&self, actor: &Actor, id: JobId) -> Result<JobRecord, Error> {
        match self.load_record(actor, id, ReadPhase::AfterWrite).await {
            // `NotFound` would say that nothing was changed, while others may have seen the change.
            Err(gone) if gone.kind() == ErrorKind::NotFound => Err(Error::unavailable(
                "the job was changed, and deleted by another before it could be shown",
            )),
            shown => shown,
        }
    }
}

/// The error where other writes were faster each time.
pub(in crate::app::jobs) fn busy() -> Error {
    Error::unavailable(
        "job is being changed by others all the time, nothing was written: try again",
    )
}
