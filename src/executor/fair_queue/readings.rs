//! How a fair queue stands: for its owner's decisions, the status page and metrics. Changes
//! nothing.

use std::collections::VecDeque;

use super::{FairQueue, FlowId, Place};
use crate::model::ProjectId;

/// How a flow stands, for metrics.
#[derive(Debug)]
pub struct FlowLoad<'a, K, W> {
    /// Whose it is.
    pub project: ProjectId,
    /// Which.
    pub key: &'a K,
    /// How many are in flight.
    pub in_flight: usize,
    /// Who waits.
    pub waiting: &'a VecDeque<W>,
}

impl<K: Ord + Clone, W, D: Default> FairQueue<K, W, D> {
    /// How many of a flow are in flight.
    pub fn in_flight_of(&self, flow: FlowId) -> usize {
        self.flows[flow.0].in_flight
    }

    /// How many are in flight, and how many of them have a worker.
    pub fn load(&self) -> (usize, usize) {
        (self.in_flight, self.workers)
    }

    /// The project with the largest share of what is in flight among those that have reached their
    /// share, if any has, and how much that is.
    pub fn over_share(&self) -> Option<(ProjectId, usize)> {
        let (_, _, at) = self.capped.last()?;
        let project = &self.projects[*at];
        Some((project.id, project.in_flight)).filter(|(_, in_flight)| *in_flight > 0)
    }

    /// Whether a project has reached its share, so that what it has waiting must wait on. Who has
    /// nothing in flight has not, though nothing may be free.
    pub fn is_capped(&self, project: ProjectId) -> bool {
        let project = self.ids.get(&project).map(|at| &self.projects[*at]);
        project.is_some_and(|of| of.in_flight > 0 && matches!(of.place, Place::Capped(..)))
    }

    /// How many projects, up to a number, wait with nothing in flight as nothing is free. Looks at
    /// no more than so many of them.
    pub fn locked_out(&self, most: usize) -> usize {
        if self.in_flight < self.capacity.in_flight {
            return 0;
        }
        self.capped.iter().take(most).take_while(|(need, ..)| *need == 0).count()
    }

    /// All flows in use, for metrics.
    pub fn flows(&self) -> impl Iterator<Item = FlowLoad<'_, K, W>> {
        self.flows.iter().filter_map(|flow| {
            Some(FlowLoad {
                project: self.projects[flow.project].id,
                key: flow.key.as_ref()?,
                in_flight: flow.in_flight,
                waiting: &flow.waiting,
            })
        })
    }
}
