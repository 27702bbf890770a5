//! One job paused, resumed, or run out of turn.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::jobs::read::{missing_job, version_of};
use crate::app::jobs::record::JobRecord;
use crate::app::jobs::validate::instants::pause_until;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, JobAction, Outcome};
use crate::model::attempt::occurrence_id;
use crate::model::{JobId, Millis};
use crate::store::meta;

/// A run out of turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManualRun {
    /// Its execution id.
    pub execution_id: String,
    /// The instant for which it is scheduled: that of the request.
    pub scheduled: Millis,
}

impl App {
    /// Pauses a job, up to an instant or until it is resumed. `until` has the forms of a job's
    /// `at`: a local time is one of the job's zone.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; `Unprocessable` where `until` is no instant in the
    /// future; `Stale` when a condition does not hold.
    pub async fn pause_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
        until: Option<&str>,
        by: Option<String>,
    ) -> Result<JobRecord, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let until = match until {
            None => None,
            Some(text) => {
                let job = self.load_job(actor, id).await?;
                Some(pause_until("until", self.now(), &job.definition, text)?)
            }
        };
        self.toggle_job(actor, conditions, id, JobAction::Pause { until }, by).await
    }

    /// Ends the pause of a job.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; `Stale` when a condition does not hold.
    pub async fn resume_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
        by: Option<String>,
    ) -> Result<JobRecord, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        self.toggle_job(actor, conditions, id, JobAction::Resume, by).await
    }

    /// Runs a job out of turn, once. `forced` runs may overlap with another one.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; `Conflict` where it cannot run; `Stale` when a
    /// condition does not hold.
    pub async fn run_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        key: Option<Key>,
        id: JobId,
        forced: bool,
    ) -> Result<ManualRun, Error> {
        authorize(actor, Action::JobsRun, Resource::Any)?;
        let command =
            |version| Key::wrap(key, Command::RunJob { id, forced }.for_version(id, version));
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_job, command).await? {
            Outcome::Run(occurrence) => {
                let cluster = self.read_at(actor, ReadPhase::AfterWrite, meta::cluster_id).await?;
                let execution_id = occurrence_id(cluster.unwrap_or_default(), occurrence);
                Ok(ManualRun { execution_id, scheduled: occurrence.scheduled })
            }
            other => Err(refused(other)),
        }
    }

    async fn toggle_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
        action: JobAction,
        by: Option<String>,
    ) -> Result<JobRecord, Error> {
        if id == 0 {
            return Err(missing_job());
        }
        // The command leaves a job that is already so as it is. A job that does not exist is
        // missing when it is read.
        let command = |version| {
            let jobs = vec![(id, 1)];
            Command::ChangeJobs { jobs, action, by: by.clone() }.for_version(id, version)
        };
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_job, command).await? {
            Outcome::Changed(_) => self.load_record(actor, id, ReadPhase::AfterWrite).await,
            other => Err(refused(other)),
        }
    }
}
