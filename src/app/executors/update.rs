//! Changes of executors. Fields that a request does not name stay.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::Error;
use crate::app::executors::input::ExecutorInput;
use crate::app::executors::queues::WithRuns;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::Command;
use crate::model::target::Executor;

impl App {
    /// Changes an executor.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such executor; `Invalid` or `Unprocessable` where it could not
    /// be called after the change; `Conflict` where the name is taken, or where jobs use what the
    /// change takes away, or runs are out at the broker that a queue would leave; `Stale` when a
    /// condition does not hold.
    pub async fn update_executor(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: u64,
        input: ExecutorInput,
    ) -> Result<Executor, Error> {
        authorize(actor, Action::ExecutorsWrite, Resource::Any)?;
        let edited = |old: &Executor| input.apply_to(&self.executor_context(), old);
        let edit = |old: &WithRuns| {
            let executor = edited(&old.executor)?;
            old.may_become(Some(&executor), &self.executors)?;
            let expect = Some(old.executor.version);
            Ok(Some(Command::UpdateExecutor { id, expect, executor }))
        };
        // What cannot be changed like that is refused by `edit`.
        let load = || self.load_with_runs(actor, id, |old| edited(old).ok());
        self.update_with_retry(actor, conditions, None, load, edit).await?;
        self.load_executor(actor, id, ReadPhase::AfterWrite).await
    }
}
