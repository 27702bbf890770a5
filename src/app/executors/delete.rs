//! Deletion of executors.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::executors::read::{missing_executor, version_of};
use crate::app::state::App;
use crate::command::{Command, Outcome};

impl App {
    /// Deletes an executor.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such executor; `Conflict` where jobs use it, or runs of it are
    /// out at a broker; `Stale` when a condition does not hold.
    pub async fn delete_executor(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: u64,
    ) -> Result<(), Error> {
        authorize(actor, Action::ExecutorsWrite, Resource::Any)?;
        self.linearize().await?;
        let old = self.load_with_runs(actor, id, |_| None).await?;
        old.may_become(None, &self.executors)?;
        let command = |expect| Command::DeleteExecutor { id, expect };
        match self.propose_if(actor, conditions, version_of(id), missing_executor, command).await? {
            Outcome::Done => Ok(()),
            other => Err(refused(other)),
        }
    }
}
