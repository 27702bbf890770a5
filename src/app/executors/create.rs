//! Creation of executors.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::executors::input::ExecutorInput;
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::target::Executor;

impl App {
    /// Creates an executor.
    ///
    /// # Errors
    ///
    /// `Invalid` or `Unprocessable` where the fields make no executor that can be called;
    /// `Conflict` where its name is taken.
    pub async fn create_executor(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: ExecutorInput,
    ) -> Result<Executor, Error> {
        authorize(actor, Action::ExecutorsWrite, Resource::Any)?;
        let new = input.create(&self.executor_context())?;
        match self.propose(actor, Key::wrap(key, Command::CreateExecutor(new))).await? {
            Outcome::Created(id) => self.load_executor(actor, id, ReadPhase::AfterWrite).await,
            other => Err(refused(other)),
        }
    }
}
