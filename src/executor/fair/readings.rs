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
        let (_, at) = self.capped.last()?;
        let project = &self.projects[*at];
        Some((project.id, project.in_flight))
    }

    /// Whether a project has reached its share, so that what it has waiting must wait on.
    pub fn is_capped(&self, project: ProjectId) -> bool {
        let at = self.ids.get(&project);
        at.is_some_and(|at| matches!(self.projects[*at].place, Place::Capped(_)))
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
