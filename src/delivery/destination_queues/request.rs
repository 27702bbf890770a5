//! The messages between an executor and the queues of destinations: a request for a permit, the
//! refusal of one, and the options of the queues. Data only; `queues` decides.

use crate::delivery::breaker::Rules;
use crate::delivery::destination::Limits;
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// The options of the queues.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// The most calls under way with a worker: `MaxWorkers`.
    pub max_workers: usize,
    /// The most calls under way beyond those, once they have taken a second (at least 1). No
    /// project has more than half of both together. With fewer than twice `max_workers`, a project
    /// that is alone does not have all workers.
    pub max_hanging: usize,
    /// The operator's limits of each destination: `DestinationConcurrency`,
    /// `DestinationRatePerSecond`.
    pub limits: Limits,
    /// The rules of the breakers: `BreakerFailures`, `BreakerCooldownSeconds`.
    pub breaker: Rules,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            max_workers: 64,
            max_hanging: 1_024,
            limits: Limits::default(),
            breaker: Rules { failures: 5, cooldown: 5_000 },
        }
    }
}

/// A call that asks for a permit. It takes one turn and one worker and is one call for breakers,
/// shares and the operator's `DestinationConcurrency`, however many jobs it has. Only rates count
/// the jobs, where the limits say so.
#[derive(Clone, Copy, Debug, Default)]
pub struct PermitRequest {
    /// A hash of the path at the destination.
    pub path: u64,
    /// The limits of the target.
    pub limits: Limits,
    /// The number of jobs in the call; see [`Limits::by_job`].
    pub jobs: u32,
    /// The project of the call.
    pub project: ProjectId,
    /// Whether the call goes out although the breaker is open.
    pub probe: bool,
}

/// The answer to a call that is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The instant to ask again at, in boot-clock milliseconds.
    pub until: u64,
    /// The reason.
    pub obstacle: Obstacle,
}
