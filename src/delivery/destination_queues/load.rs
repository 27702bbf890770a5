//! Read-only views of the queues of destinations, for the status page and metrics.

use std::collections::BTreeMap;

use super::state::State;
use crate::delivery::destination::Destination;
use crate::model::ProjectId;

/// The load of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationLoad {
    /// The destination.
    pub destination: Destination,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for their turn.
    pub queued: usize,
}

/// The calls of all projects, against the capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Calls under way without a worker.
    pub hanging: usize,
    /// The most calls that may be under way, with a worker or without.
    pub capacity: usize,
    /// A project whose calls wait since it has its share, if there is one, and the number of its
    /// calls under way.
    pub over_share: Option<(ProjectId, usize)>,
}

impl<P> State<P> {
    /// Every destination with a call under way or waiting, in order of its name.
    pub(super) fn load(&self) -> Vec<DestinationLoad> {
        let mut loads: BTreeMap<Destination, (usize, usize)> = BTreeMap::new();
        for flow in self.queue.flows() {
            let queued = flow.waiting.iter().filter(|w| !w.sender.is_closed()).count();
            if flow.in_flight + queued > 0 {
                let load = loads.entry(flow.key.0.clone()).or_default();
                *load = (load.0 + flow.in_flight, load.1 + queued);
            }
        }
        let load =
            |(destination, (in_flight, queued))| DestinationLoad { destination, in_flight, queued };
        loads.into_iter().map(load).collect()
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let (in_flight, workers) = self.queue.load();
        Occupancy {
            hanging: in_flight - workers,
            capacity: self.capacity.in_flight,
            over_share: self.queue.over_share(),
        }
    }
}
