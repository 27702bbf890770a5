//! Read-only views of a fair queue: for the decisions of its owner, the status page and metrics.

use std::collections::VecDeque;

use super::flow::{FlowId, Place};
use super::queue::FairQueue;
use crate::model::ProjectId;

/// The load of a flow, for metrics.
#[derive(Debug)]
pub struct FlowLoad<'a, K, W> {
    /// The project of the flow.
    pub project: ProjectId,
    /// The key of the flow within its project.
    pub key: &'a K,
    /// The number in flight.
    pub in_flight: usize,
    /// Those that wait, the first one first.
    pub waiting: &'a VecDeque<W>,
}

impl<K: Ord + Clone, W, D: Default> FairQueue<K, W, D> {
    /// The number of a flow in flight.
    pub fn in_flight_of(&self, flow: FlowId) -> usize {
        self.flows[flow.0].in_flight
    }

    /// The number in flight, and the number of workers that are taken.
    pub fn load(&self) -> (usize, usize) {
        (self.in_flight, self.workers.in_use())
    }

    /// The project with most in flight among those that have reached their share, and how many it
    /// has in flight; `None` where no project has.
    pub fn over_share(&self) -> Option<(ProjectId, usize)> {
        let (_, _, at) = self.capped.last()?;
        let project = &self.projects[*at];
        Some((project.id, project.in_flight)).filter(|(_, in_flight)| *in_flight > 0)
    }

    /// Whether a project has reached its share, so that what it has waiting must wait on. A project
    /// with nothing in flight has not reached it, though nothing may be free.
    pub fn is_capped(&self, project: ProjectId) -> bool {
        let project = self.ids.get(&project).map(|at| &self.projects[*at]);
        project.is_some_and(|of| of.in_flight > 0 && matches!(of.place, Place::Capped(..)))
    }

    /// The number of projects, up to `most`, that wait with nothing in flight as nothing is free.
    /// Looks at no more than `most` of them.
    pub fn locked_out(&self, most: usize) -> usize {
        if self.in_flight < self.capacity.in_flight {
            return 0;
        }
        self.capped.iter().take(most).take_while(|(need, ..)| *need == 0).count()
    }

    /// All flows in use.
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
