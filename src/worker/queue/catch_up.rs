//! The catch-up queue of one ownership range: groups whose missed occurrences all fire (misfire
//! policy `all`).
//!
//! They wait apart from what is due in time, so that a long outage delays nothing that is due now.
//! `shard_queue` owns the queue; `misfire` decides what goes into it. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::group::ScheduleGroup;
use super::popped::{Fire, Popped, Ticket};
use crate::model::{JobId, Millis};

/// The most catch-up instants of one group that are under way at one time.
const AT_ONCE: usize = 4;

/// The groups that catch up. They take turns, and each has at most [`AT_ONCE`] instants under way:
/// the next one goes out when one of them is over.
#[derive(Debug, Default)]
pub(super) struct CatchUpQueue(VecDeque<(ScheduleGroup, Ticket)>);

impl CatchUpQueue {
    pub(super) fn push(&mut self, group: ScheduleGroup) {
        self.0.push_back((group, Ticket::default()));
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &ScheduleGroup> {
        self.0.iter().map(|(group, _)| group)
    }

    pub(super) fn remove(&mut self, jobs: &[JobId]) {
        self.0.retain_mut(|(group, _)| !group.members.remove(jobs) || !group.members.is_empty());
    }

    /// Takes an instant, due by `limit`, of the next group in turn that has fewer than [`AT_ONCE`]
    /// under way.
    pub(super) fn pop(&mut self, limit: Millis) -> Option<Popped> {
        for _ in 0..self.0.len() {
            let (group, ticket) = self.0.pop_front()?;
            if group.next > limit || Arc::strong_count(&ticket.0) > AT_ONCE {
                self.0.push_back((group, ticket));
                continue;
            }
            let (plan, scheduled, due) = (Arc::clone(&group.plan), group.scheduled(), group.next);
            let members = group.members.members();
            let fire = vec![Fire { plan, scheduled, members, ticket: Some(ticket.clone()) }];
            if let Some(group) = group.advanced(due) {
                self.0.push_back((group, ticket));
            }
            return Some(Popped { due, fire, skipped: Vec::new() });
        }
        None
    }
}
