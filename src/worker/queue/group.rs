//! A schedule group: jobs that share a plan and their next due instant. The queue holds groups, so
//! a schedule is evaluated once for a group and instant, never for a job. Pure.

use std::sync::Arc;

use super::id_set::IdSet;
use super::plan::{Key, Plan};
use crate::model::Millis;

/// Jobs of one plan and phase that wait for the same occurrence.
#[derive(Debug)]
pub(super) struct ScheduleGroup {
    pub(super) plan: Arc<Plan>,
    pub(super) phase: Millis,
    /// There is no occurrence between this instant and `next`, both excluded.
    pub(super) base: Millis,
    /// The next due instant.
    pub(super) next: Millis,
    /// The jitter of that occurrence: it is scheduled so many milliseconds before `next`.
    pub(super) delay: u32,
    /// The last instant at which anything of the group is due.
    pub(super) until: Millis,
    pub(super) regular: bool,
    /// True if the group was given out before and came back unsent: the misfire policy does not
    /// judge it again.
    pub(super) returned: bool,
    pub(super) members: IdSet,
}

impl ScheduleGroup {
    pub(super) fn key(&self) -> Key {
        self.plan.key(self.phase, self.members.first())
    }

    pub(super) fn detached_key(&self, key: Key) -> DetachedKey {
        (key, self.phase, self.next, self.delay, self.until)
    }

    /// The first occurrence due after an instant, as (scheduled, due).
    pub(super) fn after(&self, due: Millis) -> Option<(Millis, Millis)> {
        let found = self.plan.of(self.phase, self.members.first()).next(due);
        found.filter(|(_, due)| *due <= self.until)
    }

    /// The last occurrence due by an instant, as (scheduled, due).
    pub(super) fn by(&self, due: Millis) -> Option<(Millis, Millis)> {
        self.plan.of(self.phase, self.members.first()).prev(due)
    }

    /// The group as it goes on after an instant; `None` when nothing follows.
    pub(super) fn advanced(mut self, over: Millis) -> Option<Self> {
        let next = self.after(over)?;
        self.base = over;
        self.go_to(next);
        Some(self)
    }

    pub(super) fn go_to(&mut self, (scheduled, due): (Millis, Millis)) {
        self.next = due;
        // Jitter is bounded far below that: see `Jittered`.
        self.delay = (due - scheduled) as u32;
    }

    pub(super) fn scheduled(&self) -> Millis {
        self.next - Millis::from(self.delay)
    }

    /// A group of its own with the instants up to one of them.
    pub(super) fn split(&self, until: Millis) -> Self {
        let (plan, members) = (Arc::clone(&self.plan), self.members.clone());
        Self { plan, members, until, regular: false, ..*self }
    }
}

/// The identity of a detached group: key, phase, next, delay and end. With jitter one key may have
/// two occurrences that are due at once and were scheduled apart.
pub(super) type DetachedKey = (Key, Millis, Millis, u32, Millis);
