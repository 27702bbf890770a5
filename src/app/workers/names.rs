//! The names that workers say: their own, those of queues, and the ids of runs.

use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::app::state::App;
use crate::gateway::Gateway;
use crate::model::attempt::{occurrence_id, parse_execution_id};
use crate::model::offer::MAX_NAME;
use crate::model::run_id::{RunName, parse_run_id};

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

/// The run that an id means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// A run of this cluster.
    Run(RunName, Option<crate::model::run::Occurrence>),
    /// A run of another cluster.
    Foreign,
}

/// Reads the id of a run: its execution id or its run id. `None` for a text that is neither.
pub(super) fn meant(cluster: u128, id: &str) -> Option<Meant> {
    if let Some(name) = parse_run_id(cluster, id) {
        return Some(Meant::Run(name, None));
    }
    let of = parse_execution_id(id).filter(|of| i64::try_from(of.job).is_ok())?;
    let is_ours = occurrence_id(cluster, of) == id;
    Some(if is_ours { Meant::Run(RunName::of(of), Some(of)) } else { Meant::Foreign })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Occurrence;
    use crate::model::run_id::run_id;

    const CLUSTER: u128 = 0xdead_beef << 96 | 7;

    #[test]
    fn a_run_is_meant_by_either_of_its_ids() {
        for run in [0, 26] {
            let of = Occurrence { job: 77, scheduled: 1_763_700_000_000, run };
            let name = RunName::of(of);
            let (id, long) = (run_id(CLUSTER, of), occurrence_id(CLUSTER, of));
            assert_eq!(meant(CLUSTER, &id), Some(Meant::Run(name, None)));
            assert_eq!(meant(CLUSTER, &long), Some(Meant::Run(name, Some(of))));
            assert_eq!(meant(1, &long), Some(Meant::Foreign));
        }
        for id in ["", "7", "x", "deadbeef-4d", "zz"] {
            assert_eq!(meant(CLUSTER, id), None, "{id}");
        }
    }
}
