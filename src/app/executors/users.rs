//! The jobs that go to an executor.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::JobId;
use crate::store::jobs;

/// The newest jobs that are looked at. There is no index from an executor to its jobs.
pub const MOST_LOOKED_AT: u64 = 100_000;

impl App {
    /// Finds the newest jobs that go to an executor, at most `limit`, among the newest
    /// [`MOST_LOOKED_AT`] jobs.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn executor_users(
        &self,
        actor: &Actor,
        id: u64,
        limit: u64,
    ) -> Result<Vec<JobId>, Error> {
        authorize(actor, Action::ExecutorsRead, Resource::Any)?;
        authorize(actor, Action::JobsRead, Resource::Any)?;
        self.read(actor, move |conn| jobs::of_executor(conn, id, (MOST_LOOKED_AT, limit))).await
    }
}
