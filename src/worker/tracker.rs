//! What was dispatches out and what is done: the watermark W of each part, and which occurrences must
//! not be dispatches out again.
//!
//! The engine tells it of every dispatch and of every result that is safely in the journal. W of a
//! part is the highest instant up to which nothing is undispatched, nothing is unfinished, and up
//! to which all that could still create an occurrence (the log, by its stamps) has been caught_up_to. It
//! also remembers what was dispatches out above W, so that a job that is read anew, or a part that is
//! taken over or loaded after a restart, does not fire an occurrence a second time. Pure.
//!
//! An occurrence is known by both its instants: an edit of the jitter can make two occurrences of a
//! job due at the same one.

use std::collections::BTreeMap;

use super::due_queue::OwnershipKey;
use crate::model::Millis;
use crate::model::members::Members;
use crate::model::shard::{Ownership, ShardId};

/// The book of all parts; see the head of this file.
#[derive(Debug, Default)]
pub struct Tracker {
    parts: BTreeMap<OwnershipKey, TrackedOwnership>,
    shards: BTreeMap<ShardId, ShardDispatches>,
}

#[derive(Debug)]
struct TrackedOwnership {
    part: Ownership,
    /// The last W written to the journal, or the store's when it was loaded.
    stated: Millis,
    /// A closing part that has stated W = H: it does nothing more.
    closed: bool,
}

#[derive(Debug, Default)]
struct ShardDispatches {
    /// Unfinished dispatches by due instant, under any epoch of this process.
    open: BTreeMap<Millis, u32>,
    /// Occurrences dispatches out or otherwise taken, by due instant, with what they are scheduled for;
    /// above W only.
    taken: BTreeMap<Millis, Vec<(Millis, Members)>>,
    intervals: Vec<TakenInterval>,
    /// What is due up to here must be checked before it is dispatches out.
    check_until: Millis,
}

/// All occurrences of some jobs that are due in a interval of time: taken.
#[derive(Debug)]
struct TakenInterval {
    since: Millis,
    due: Millis,
    /// What is scheduled after it belongs to a plan that came later.
    scheduled: Millis,
    members: Members,
}

/// The two instants of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// What it is scheduled for.
    pub scheduled: Millis,
    /// When it is due.
    pub due: Millis,
}

impl Instants {
    /// Those of an occurrence that nothing delays.
    pub fn both(at: Millis) -> Self {
        Self { scheduled: at, due: at }
    }
}

impl Tracker {
    /// Begins a part, or takes its changed bounds. A part that is known keeps its own W.
    pub fn begin(&mut self, key: OwnershipKey, part: Ownership) {
        let fresh = TrackedOwnership { part, stated: part.after, closed: false };
        let tracked = self.parts.entry(key).or_insert(fresh);
        tracked.part = part;
        tracked.stated = tracked.stated.max(part.after);
        let dispatches = self.shards.entry(key.0).or_default();
        dispatches.check_until = dispatches.check_until.max(part.after);
    }

    /// Ends a part that is not this node's any more. What is in flight stays known.
    pub fn end(&mut self, key: OwnershipKey) {
        self.parts.remove(&key);
        if self.parts.keys().any(|(shard, _)| *shard == key.0) {
            return;
        }
        if let Some(dispatches) = self.shards.get_mut(&key.0) {
            dispatches.taken.retain(|due, _| dispatches.open.contains_key(due));
            dispatches.intervals.clear();
        }
    }

    /// The part's bounds, while it is open.
    pub fn part(&self, key: OwnershipKey) -> Option<Ownership> {
        self.parts.get(&key).map(|tracked| tracked.part)
    }

    /// The W that was last stated (the store's one before the first); what a reload starts from.
    pub fn stated(&self, key: OwnershipKey) -> Option<Millis> {
        self.parts.get(&key).map(|tracked| tracked.stated)
    }

    /// Whether a closing part has stated its end.
    pub fn is_closed(&self, key: OwnershipKey) -> bool {
        self.parts.get(&key).is_some_and(|tracked| tracked.closed)
    }

    /// The open part that an instant of a shard falls into.
    pub fn ownership_of(&self, shard: ShardId, due: Millis) -> Option<OwnershipKey> {
        let mut parts = self.parts.range((shard, 0)..=(shard, u64::MAX));
        let found = parts.find(|(_, s)| s.part.after < due && due <= s.part.until && !s.closed);
        found.map(|(key, _)| *key)
    }

    /// Something was dispatches out: it holds W below `due` until it is finished or withdrawn.
    pub fn dispatched(&mut self, shard: ShardId, of: Instants, members: &Members) {
        let dispatches = self.shards.entry(shard).or_default();
        *dispatches.open.entry(of.due).or_default() += 1;
        dispatches.taken.entry(of.due).or_default().push((of.scheduled, members.clone()));
    }

    /// As [`Tracker::dispatched`], for all that is due from `since` to `last`.
    pub fn dispatched_range(
        &mut self,
        shard: ShardId,
        since: Millis,
        last: Instants,
        members: &Members,
    ) {
        let dispatches = self.shards.entry(shard).or_default();
        *dispatches.open.entry(since).or_default() += 1;
        dispatches.take(since, last, members);
    }

    /// A dispatch of `due` (or a range that began there) was split into `parts` in all.
    pub fn split(&mut self, shard: ShardId, due: Millis, parts: u32) {
        let open = self.shards.entry(shard).or_default().open.entry(due).or_default();
        *open += parts.saturating_sub(1);
    }

    /// A dispatch is over and its result is in the journal.
    pub fn finished(&mut self, shard: ShardId, due: Millis) {
        let dispatches = self.shards.entry(shard).or_default();
        if let Some(open) = dispatches.open.get_mut(&due) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                dispatches.open.remove(&due);
            }
        }
    }

    /// A dispatch came to nothing: its members may be dispatches out again.
    pub fn withdrawn(&mut self, shard: ShardId, of: Instants, members: &Members) {
        self.finished(shard, of.due);
        if let Some(taken) = self.shards.entry(shard).or_default().taken.get_mut(&of.due) {
            for (_, list) in taken.iter_mut().filter(|(scheduled, _)| *scheduled == of.scheduled) {
                *list = list.without(members);
            }
            taken.retain(|(_, list)| !list.is_empty());
        }
    }

    /// An occurrence that has an end state, a pending row or a place in the journal.
    pub fn exclude(&mut self, shard: ShardId, of: Instants, members: &Members) {
        let dispatches = self.shards.entry(shard).or_default();
        dispatches.taken.entry(of.due).or_default().push((of.scheduled, members.clone()));
        dispatches.check_until = dispatches.check_until.max(of.due);
    }

    /// As [`Tracker::exclude`], for all that is due from `since` to `last`.
    pub fn exclude_range(&mut self, shard: ShardId, since: Millis, last: Instants, who: &Members) {
        let dispatches = self.shards.entry(shard).or_default();
        dispatches.take(since, last, who);
        dispatches.check_until = dispatches.check_until.max(last.due);
    }

    /// Members of this shard are read anew: what was dispatches out so far must be checked again.
    pub fn reread(&mut self, shard: ShardId) {
        let dispatches = self.shards.entry(shard).or_default();
        let last = dispatches.taken.last_key_value().map_or(Millis::MIN, |(due, _)| *due);
        let reach = dispatches.intervals.iter().map(|interval| interval.due).max();
        dispatches.check_until = dispatches.check_until.max(last).max(reach.unwrap_or(Millis::MIN));
    }

    /// Those of the members whose occurrence, in this part, has not been taken. Up to W
    /// all are: a job that was read anew while W was on its way into the journal is in the queue
    /// from the W before on, and by now nothing else is known of what it had due in between.
    #[must_use]
    pub fn untaken(&self, key: OwnershipKey, of: Instants, members: Members) -> Members {
        let Instants { scheduled, due } = of;
        if self.stated(key).is_some_and(|w| due <= w) {
            return Members::default();
        }
        let Some(dispatches) =
            self.shards.get(&key.0).filter(|dispatches| due <= dispatches.check_until)
        else {
            return members;
        };
        let at = dispatches.taken.get(&due).into_iter().flatten();
        let at = at.filter(|(at, _)| *at == scheduled).map(|(_, who)| who);
        let over = dispatches.intervals.iter().filter(|interval| interval.covers(of));
        at.chain(over.map(|interval| &interval.members))
            .fold(members, |left, who| left.without(who))
    }

    /// The W that the part may state now, if that is more than it has stated: dispatches its earliest
    /// undispatched instant, scheduler time, the log time up to which all bells were caught_up_to, and
    /// the most that its lease lets it state.
    pub fn watermark(
        &self,
        key: OwnershipKey,
        undispatched: Option<Millis>,
        now: Millis,
        caught_up_to: Millis,
        most: Millis,
    ) -> Option<Millis> {
        let tracked = self.parts.get(&key)?;
        let dispatches = self.shards.get(&key.0)?;
        let open = dispatches.open.range(tracked.part.after.saturating_add(1)..).next();
        let mut w = now.min(caught_up_to).min(most).min(tracked.part.until);
        if let Some((due, _)) = open {
            w = w.min(due - 1);
        }
        if let Some(due) = undispatched {
            w = w.min(due - 1);
        }
        (w > tracked.stated && !tracked.closed).then_some(w)
    }

    /// W of a part is in the journal.
    pub fn watermark_recorded(&mut self, key: OwnershipKey, w: Millis) {
        let Some(tracked) = self.parts.get_mut(&key) else { return };
        tracked.stated = tracked.stated.max(w);
        tracked.closed |= tracked.part.closing && tracked.stated >= tracked.part.until;
        let after = tracked.part.after;
        let lowest = self.parts.range((key.0, 0)..=(key.0, u64::MAX)).map(|(_, s)| s.stated).min();
        let Some(dispatches) = self.shards.get_mut(&key.0) else { return };
        dispatches.taken.retain(|due, _| *due <= after || *due > w);
        if let Some(lowest) = lowest {
            dispatches.taken = dispatches.taken.split_off(&lowest.saturating_add(1));
            dispatches.intervals.retain(|interval| interval.due > lowest);
        }
    }

    /// How many dispatches are unfinished.
    pub fn open(&self) -> u64 {
        self.shards
            .values()
            .flat_map(|dispatches| dispatches.open.values())
            .map(|n| u64::from(*n))
            .sum()
    }

    /// Whether a shard has an unfinished dispatch due up to an instant.
    pub fn is_open(&self, shard: ShardId, until: Millis) -> bool {
        self.shards
            .get(&shard)
            .is_some_and(|dispatches| dispatches.open.range(..=until).next().is_some())
    }
}

impl ShardDispatches {
    fn take(&mut self, since: Millis, last: Instants, who: &Members) {
        let Instants { scheduled, due } = last;
        self.intervals.push(TakenInterval { since, due, scheduled, members: who.clone() });
    }
}

impl TakenInterval {
    fn covers(&self, of: Instants) -> bool {
        self.since <= of.due && of.due <= self.due && of.scheduled <= self.scheduled
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
