//! Deletion of a job, by its id or by the name that clients have for it.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::jobs::external_id::JobName;
use crate::app::jobs::read::{missing_job, version_of};
use crate::app::jobs::update::busy;
use crate::app::state::App;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, Outcome};
use crate::model::JobId;

impl App {
    /// Deletes a job.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; `Stale` when a condition does not hold.
    pub async fn delete_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
    ) -> Result<(), Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let command = |expect| Command::DeleteJob { id, expect };
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_job, command).await? {
            rejected @ Outcome::Rejected(_) => Err(refused(rejected)),
            _ => Ok(()),
        }
    }

    /// Deletes the job of a name.
    ///
    /// # Errors
    ///
    /// As [`App::delete_job`]; `Unavailable` while others change it all the time.
    pub async fn delete_job_by_name(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        name: &JobName,
    ) -> Result<(), Error> {
        authorize(actor, Action::JobsWrite, Resource::Project(name.project))?;
        for _ in 0..ATTEMPTS {
            self.linearize().await?;
            let job = self.find_job(actor, name).await?.ok_or_else(missing_job)?;
            conditions.check(Some(job.version))?;
            let expect = conditions.expect(job.version);
            match self.propose(actor, Command::DeleteJob { id: job.id, expect }).await? {
                outcome if is_stale(&outcome) => {}
                rejected @ Outcome::Rejected(_) => return Err(refused(rejected)),
                _ => return Ok(()),
            }
        }
        Err(busy())
    }
}
