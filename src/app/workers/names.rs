//! The gateway of this node as the use cases of workers need it, and the names of workers.

use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::app::state::App;
use crate::gateway::Gateway;
use crate::model::offer::MAX_NAME;

/// The error of a node whose gateway is not there yet, or cannot read the state.
fn unavailable() -> Error {
    Error::unavailable("this node cannot serve workers at the moment: try again, or ask another")
}

impl App {
    /// The gateway of workers.
    pub(super) fn workers_gateway(&self) -> Result<&Gateway, Error> {
        self.gateway().ok_or_else(unavailable)
    }

    /// The id of the cluster, which ids of runs depend on.
    pub(super) async fn cluster_of_runs(&self) -> Result<u128, Error> {
        read(self.workers_gateway()?.cluster_id().await)
    }
}

/// What a gateway read, or the error for whoever asked.
pub(super) fn read<T>(found: Result<T, String>) -> Result<T, Error> {
    found.map_err(|error| {
        tracing::warn!(%error, "a worker was refused: the state cannot be read");
        unavailable()
    })
}

/// Checks the name of a worker.
pub(super) fn check_worker(worker: &str) -> Result<(), Error> {
    if worker.is_empty() {
        let message = "workerId must be 1 to 255 bytes: a name of this process alone";
        return Err(Error::invalid("workerId", message));
    }
    check_text("workerId", worker, MAX_NAME)
}
