//! New secrets that sign the calls of an executor.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::Error;
use crate::app::executors::queues;
use crate::app::reads::ReadPhase;
use crate::app::signing::{Rotated, Rotation, RotationInput};
use crate::app::state::App;
use crate::command::Command;
use crate::model::target::Executor;

impl App {
    /// Replaces the secret that signs the calls of an executor. The old one signs too until the
    /// overlap is over.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such executor; `Unprocessable` where it is a queue; `Conflict`
    /// where the given secret is in use; `Stale` when a condition does not hold.
    pub async fn rotate_executor_secret(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: u64,
        input: RotationInput,
        by: Option<String>,
    ) -> Result<Rotated<Executor>, Error> {
        authorize(actor, Action::ExecutorsWrite, Resource::Any)?;
        let key = input.key;
        let rotation = Rotation::new(input, &self.keys);
        let load = || self.load_executor(actor, id, ReadPhase::BeforeWrite);
        self.linearize().await?;
        let old = load().await?;
        queues::check_rotation(&old)?;
        self.check_rotation(actor, &rotation, &old.signing).await?;
        let edit = |old: &Executor| {
            let signing = rotation.apply_to(&old.signing, &self.keys, self.now());
            let executor = Executor { signing, modified_by: by.clone(), ..old.clone() };
            Ok(Some(Command::UpdateExecutor { id, expect: Some(old.version), executor }))
        };
        self.update_with_retry(actor, conditions, key, load, edit).await?;
        let record = self.load_executor(actor, id, ReadPhase::AfterWrite).await?;
        let secret = rotation.secret_to_show(&record.signing, &self.keys);
        Ok(Rotated { record, secret })
    }
}
