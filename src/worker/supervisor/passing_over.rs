//! The oldest members of a queue, past those that rest: runs of a job that nobody listens to do not
//! keep the others from their bus. `publishes` asks it; which jobs rest it does not know by itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::event::QueueId;
use super::offers::{Lane, Offers, Popped};
use crate::model::JobId;

impl Offers {
    /// Takes the oldest members of a queue from its open lanes, as many as `most` at the most, and
    /// none whose job rests.
    pub(super) fn pop_past(
        &mut self,
        queue: QueueId,
        most: usize,
        is_open: impl Fn(Lane) -> bool,
        rests: impl Fn(JobId) -> bool,
    ) -> Vec<Popped> {
        let Some(its) = self.queues.get(&queue) else { return Vec::new() };
        let open = its.lanes.iter().filter(|(lane, _)| is_open(**lane));
        let mut lanes: Vec<_> = open.map(|(_, seats)| seats.iter()).collect();
        // The next member of each group that was reached, and the first group of each lane that
        // was not, with the lane.
        let mut heads = BinaryHeap::new();
        for (n, seats) in lanes.iter_mut().enumerate() {
            heads.extend(seats.next().map(|seat| Reverse((*seat, Some(n)))));
        }
        let mut found = Vec::new();
        while found.len() < most {
            let Some(Reverse(((due, job, id), lane))) = heads.pop() else { break };
            if let Some((n, seats)) = lane.and_then(|n| Some((n, lanes.get_mut(n)?))) {
                heads.extend(seats.next().map(|seat| Reverse((*seat, Some(n)))));
            }
            if !rests(job) {
                found.push((id, job));
            }
            let next = self.groups.get(&id).and_then(|group| group.waiting.after(job));
            heads.extend(next.map(|job| Reverse(((due, job, id), None))));
        }
        found.into_iter().filter_map(|(id, job)| self.take(id, job)).collect()
    }
}
