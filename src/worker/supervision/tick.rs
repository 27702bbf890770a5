//! The tick of the task, and the figures of runs that it shows. They decide nothing.

use super::figures::{Ending, Phases};
use super::task::Task;
use crate::metrics::QueueFigures;
use crate::model::claim::QueueCounts;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::supervisor::{Event, QueueId};

/// The time between two looks at the phases of all runs, in milliseconds.
const PHASES_MS: u64 = 5_000;

impl<B: StateStore, L: Lease> Task<B, L> {
    /// Lets the supervisor look at the time, and shows what its queues have.
    pub(super) fn tick(&mut self) {
        self.step(Event::Tick);
        let boot = self.time.clock().boot();
        let look = self.phases.at.is_none_or(|at| boot >= at + PHASES_MS);
        let (queues, since) = {
            let supervisor = self.supervisor.lock();
            if look {
                self.phases = Phases { of: supervisor.phases(), at: Some(boot) };
            }
            (supervisor.queues(), supervisor.waiting_since())
        };
        self.supervisor.publish(&queues);
        let now = self.time.now();
        let figures = |counts: QueueCounts| {
            let waited = since.get(&counts.queue).map_or(0, |since| now.saturating_sub(*since));
            let phases = self.phases.of.get(&counts.queue).copied().unwrap_or_default();
            Some(QueueFigures {
                // It is known a moment later.
                queue: self.publisher.name_of(counts.queue)?.to_owned(),
                offers: counts.offers,
                taken: counts.taken,
                phases,
                oldest_seconds: u64::try_from(waited).unwrap_or(0) / 1_000,
            })
        };
        self.metrics.runs.set_queues(queues.into_iter().filter_map(figures));
    }

    /// Counts the end of a run that somebody had from this node.
    pub(super) fn count_end(&self, ending: Ending, queue: QueueId) {
        if let Some(name) = self.publisher.name_of(queue) {
            self.metrics.runs.ended(name, ending.state.name(), ending.origin.name());
        }
    }
}
