//! The tracker: what was given out and what is finished. It knows the watermark of each ownership
//! range, and which occurrences must not be given out again.
//!
//! The engine tells it of every dispatch, and of every result that is synced in the journal. The
//! watermark of a range is the highest instant up to which nothing waits in the queue, nothing is
//! unfinished, and every change has been read (the watermark rule). Above the watermark the tracker
//! remembers what was given out (the once rule), so that a job that is read again, or a range that
//! is taken over or loaded after a restart, fires no occurrence twice. Pure.
//!
//! An occurrence is known by both its instants: an edit of the jitter can make two occurrences of a
//! job due at the same one. A change may also move an occurrence to an earlier due instant after it
//! was given out under a later one: it is the same occurrence, and is not given out again. Where a
//! change moves it to a later one, the request builder decides (`send/given_out`).

use std::collections::BTreeMap;

use crate::model::Millis;
use crate::model::members::Members;
use crate::model::shard::{Ownership, OwnershipKey, ShardId};
use crate::worker::queue::Instants;

/// The dispatches and watermarks of all ownership ranges; see the head of this file.
#[derive(Debug, Default)]
pub struct Tracker {
    ownerships: BTreeMap<OwnershipKey, TrackedOwnership>,
    shards: BTreeMap<ShardId, ShardDispatches>,
}

#[derive(Debug)]
struct TrackedOwnership {
    ownership: Ownership,
    /// The last watermark that is in the journal; before the first, the one of the store.
    stated: Millis,
    /// A closing range that has stated its hand-over instant: it does nothing more.
    closed: bool,
}

#[derive(Debug, Default)]
struct ShardDispatches {
    /// Unfinished dispatches by due instant, under any epoch of this process.
    open: BTreeMap<Millis, u32>,
    /// Occurrences that must not be given out, by due instant, each with its scheduled instant.
    /// Only those above the watermark are kept.
    taken: BTreeMap<Millis, Vec<(Millis, Members)>>,
    intervals: Vec<TakenInterval>,
    /// The last due instant that must be checked against `taken` before it is given out.
    check_until: Millis,
    /// Due instants that count as unfinished because of what was given out under later ones.
    held: Vec<Held>,
}

/// Occurrences that a change moved to an earlier due instant after they were given out.
#[derive(Debug)]
struct Held {
    /// The instants under which they were given out.
    given_out: Instants,
    /// The earlier due instant, which is held open for them.
    due: Millis,
    /// Those of them that are still under way.
    members: Members,
}

/// All occurrences of some jobs that are due in one interval: none must be given out.
#[derive(Debug)]
struct TakenInterval {
    since: Millis,
    due: Millis,
    /// An occurrence that is scheduled after this instant belongs to a later plan.
    scheduled: Millis,
    members: Members,
}

impl Tracker {
    /// Begins a range, or takes its changed bounds. A range that is known keeps its watermark.
    pub fn begin(&mut self, key: OwnershipKey, ownership: Ownership) {
        let fresh = TrackedOwnership { ownership, stated: ownership.after, closed: false };
        let tracked = self.ownerships.entry(key).or_insert(fresh);
        tracked.ownership = ownership;
        tracked.stated = tracked.stated.max(ownership.after);
        let dispatches = self.shards.entry(key.0).or_default();
        dispatches.check_until = dispatches.check_until.max(ownership.after);
    }

    /// Ends a range that is not this node's any more. What is in flight stays known.
    pub fn end(&mut self, key: OwnershipKey) {
        self.ownerships.remove(&key);
        if self.ownerships.keys().any(|(shard, _)| *shard == key.0) {
            return;
        }
        if let Some(dispatches) = self.shards.get_mut(&key.0) {
            dispatches.taken.retain(|due, _| dispatches.open.contains_key(due));
            dispatches.intervals.clear();
        }
    }

    /// The bounds of a range, while it is open.
    pub fn ownership(&self, key: OwnershipKey) -> Option<Ownership> {
        self.ownerships.get(&key).map(|tracked| tracked.ownership)
    }

    /// The last stated watermark; before the first, the one of the store. A reload starts from it.
    pub fn stated(&self, key: OwnershipKey) -> Option<Millis> {
        self.ownerships.get(&key).map(|tracked| tracked.stated)
    }

    /// Says whether a closing range has stated its hand-over instant.
    pub fn is_closed(&self, key: OwnershipKey) -> bool {
        self.ownerships.get(&key).is_some_and(|tracked| tracked.closed)
    }

    /// The open range that covers a due instant of a shard.
    pub fn ownership_of(&self, shard: ShardId, due: Millis) -> Option<OwnershipKey> {
        let mut ownerships = self.ownerships.range((shard, 0)..=(shard, u64::MAX));
        let found = ownerships
            .find(|(_, s)| s.ownership.after < due && due <= s.ownership.until && !s.closed);
        found.map(|(key, _)| *key)
    }

    /// Notes a dispatch. It holds the watermark below `due` until it is finished or withdrawn.
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

    /// Notes that a dispatch of `due` (or of an interval that began there) is now `pieces` in all.
    pub fn split(&mut self, shard: ShardId, due: Millis, pieces: u32) {
        let open = self.shards.entry(shard).or_default().open.entry(due).or_default();
        *open += pieces.saturating_sub(1);
    }

    /// Notes that a dispatch is over and its result is in the journal.
    pub fn finished(&mut self, shard: ShardId, due: Millis) {
        self.shards.entry(shard).or_default().finish(due);
    }

    /// Notes that a dispatch came to nothing: its members may be given out again. Says whether the
    /// jobs must be read again for that, see [`Tracker::dropped`].
    pub fn withdrawn(&mut self, shard: ShardId, of: Instants, members: &Members) -> bool {
        let must_read = self.dropped(shard, of, members);
        self.finished(shard, of.due);
        must_read
    }

    /// Notes that some members of a dispatch are not sent, since no plan has them at these instants
    /// any more: they may be given out at others. Says whether the jobs must be read again for
    /// that: an occurrence due earlier may have been left out because of this one.
    pub fn dropped(&mut self, shard: ShardId, of: Instants, members: &Members) -> bool {
        let dispatches = self.shards.entry(shard).or_default();
        if let Some(taken) = dispatches.taken.get_mut(&of.due) {
            for (_, list) in taken.iter_mut().filter(|(scheduled, _)| *scheduled == of.scheduled) {
                *list = list.without(members);
            }
            taken.retain(|(_, list)| !list.is_empty());
        }
        dispatches.release(of, members)
    }

    /// Notes that some members of a dispatch have a result in the journal or the store. The rest of
    /// it may wait for a watermark, so nothing earlier is held open for these any longer.
    pub fn settled(&mut self, shard: ShardId, of: Instants, members: &Members) {
        if let Some(dispatches) = self.shards.get_mut(&shard) {
            dispatches.release(of, members);
        }
    }

    /// Holds a due instant open for members that were left out of it, while they are under way
    /// under a later one. If that comes to nothing, the next owner must still find them above the
    /// watermark. What else is under way there counts for nothing: it may be waiting for just this
    /// watermark.
    pub fn hold(&mut self, shard: ShardId, of: Instants, members: &Members) {
        let dispatches = self.shards.entry(shard).or_default();
        let later = dispatches.taken.range(of.due.saturating_add(1)..);
        let later = later.filter(|(due, _)| dispatches.open.contains_key(due));
        let mut held = Vec::new();
        for (due, taken) in later {
            for (_, list) in taken.iter().filter(|(scheduled, _)| *scheduled == of.scheduled) {
                let members = list.common(members);
                if !members.is_empty() {
                    let given_out = Instants { scheduled: of.scheduled, due: *due };
                    held.push(Held { given_out, due: of.due, members });
                }
            }
        }
        if !held.is_empty() {
            *dispatches.open.entry(of.due).or_default() += held.len() as u32;
            dispatches.held.append(&mut held);
        }
    }

    /// Notes an occurrence that has an end state, a pending row, a run or a place in the journal.
    pub fn exclude(&mut self, shard: ShardId, of: Instants, members: &Members) {
        let dispatches = self.shards.entry(shard).or_default();
        dispatches.taken.entry(of.due).or_default().push((of.scheduled, members.clone()));
        dispatches.check_until = dispatches.check_until.max(of.due);
    }

    /// As [`Tracker::exclude`], for all that is due from `since` to `last`.
    pub fn exclude_range(
        &mut self,
        shard: ShardId,
        since: Millis,
        last: Instants,
        members: &Members,
    ) {
        let dispatches = self.shards.entry(shard).or_default();
        dispatches.take(since, last, members);
        dispatches.check_until = dispatches.check_until.max(last.due);
    }

    /// Notes that jobs of this shard are read again: everything given out so far must be checked
    /// from now on.
    pub fn reread(&mut self, shard: ShardId) {
        let dispatches = self.shards.entry(shard).or_default();
        let last = dispatches.taken.last_key_value().map_or(Millis::MIN, |(due, _)| *due);
        let reach = dispatches.intervals.iter().map(|interval| interval.due).max();
        dispatches.check_until = dispatches.check_until.max(last).max(reach.unwrap_or(Millis::MIN));
    }

    /// Says whether occurrences due at this instant must be compared with what was given out.
    pub fn is_checked(&self, key: OwnershipKey, due: Millis) -> bool {
        self.stated(key).is_none_or(|watermark| due > watermark)
            && self.shards.get(&key.0).is_some_and(|dispatches| due <= dispatches.check_until)
    }

    /// The members whose occurrence in this range may be given out.
    ///
    /// Up to the watermark there are none. A job that was read again while a watermark was on its
    /// way into the journal is in the queue from the watermark before on, and by now nothing else
    /// is known of what it had due in between.
    #[must_use]
    pub fn untaken(&self, key: OwnershipKey, of: Instants, members: Members) -> Members {
        let Instants { scheduled, due } = of;
        if self.stated(key).is_some_and(|watermark| due <= watermark) {
            return Members::default();
        }
        let Some(dispatches) =
            self.shards.get(&key.0).filter(|dispatches| due <= dispatches.check_until)
        else {
            return members;
        };
        // Those due later were given out before a change moved them here.
        let at = dispatches.taken.range(due..).flat_map(|(_, taken)| taken);
        let at = at.filter(|(at, _)| *at == scheduled).map(|(_, members)| members);
        let over = dispatches.intervals.iter().filter(|interval| interval.covers(of));
        at.chain(over.map(|interval| &interval.members))
            .fold(members, |left, members| left.without(members))
    }

    /// The watermark that the range may state now, if that is more than it has stated.
    /// `undispatched` is its earliest instant in the queue, `caught_up_to` the log time up to which
    /// all changes are read, `most` the limit that the lease sets.
    pub fn watermark(
        &self,
        key: OwnershipKey,
        undispatched: Option<Millis>,
        now: Millis,
        caught_up_to: Millis,
        most: Millis,
    ) -> Option<Millis> {
        let tracked = self.ownerships.get(&key)?;
        let dispatches = self.shards.get(&key.0)?;
        let open = dispatches.open.range(tracked.ownership.after.saturating_add(1)..).next();
        let mut watermark = now.min(caught_up_to).min(most).min(tracked.ownership.until);
        if let Some((due, _)) = open {
            watermark = watermark.min(due - 1);
        }
        if let Some(due) = undispatched {
            watermark = watermark.min(due - 1);
        }
        (watermark > tracked.stated && !tracked.closed).then_some(watermark)
    }

    /// Notes that a watermark of a range is in the journal.
    pub fn watermark_recorded(&mut self, key: OwnershipKey, watermark: Millis) {
        let Some(tracked) = self.ownerships.get_mut(&key) else { return };
        tracked.stated = tracked.stated.max(watermark);
        tracked.closed |= tracked.ownership.closing && tracked.stated >= tracked.ownership.until;
        let after = tracked.ownership.after;
        let lowest =
            self.ownerships.range((key.0, 0)..=(key.0, u64::MAX)).map(|(_, s)| s.stated).min();
        let Some(dispatches) = self.shards.get_mut(&key.0) else { return };
        dispatches.taken.retain(|due, _| *due <= after || *due > watermark);
        if let Some(lowest) = lowest {
            dispatches.taken = dispatches.taken.split_off(&lowest.saturating_add(1));
            dispatches.intervals.retain(|interval| interval.due > lowest);
        }
    }

    /// The number of unfinished dispatches.
    pub fn open(&self) -> u64 {
        self.shards
            .values()
            .flat_map(|dispatches| dispatches.open.values())
            .map(|n| u64::from(*n))
            .sum()
    }

    /// Says whether a shard has an unfinished dispatch due up to an instant.
    pub fn is_open(&self, shard: ShardId, until: Millis) -> bool {
        self.shards
            .get(&shard)
            .is_some_and(|dispatches| dispatches.open.range(..=until).next().is_some())
    }
}

impl ShardDispatches {
    /// Ends one of the dispatches of a due instant, and with the last of them what they hold.
    fn finish(&mut self, due: Millis) {
        let Some(open) = self.open.get_mut(&due) else { return };
        *open = open.saturating_sub(1);
        if *open > 0 {
            return;
        }
        self.open.remove(&due);
        let is_held = |held: &mut Held| held.given_out.due == due;
        for held in self.held.extract_if(.., is_held).collect::<Vec<_>>() {
            self.finish(held.due); // it lies before `due`, so this ends
        }
    }

    /// Ends what is held open for these members of a dispatch. Says whether anything was.
    fn release(&mut self, of: Instants, members: &Members) -> bool {
        let mut any = false;
        let mut over = Vec::new();
        for held in self.held.iter_mut().filter(|held| held.given_out == of) {
            let left = held.members.without(members);
            any |= left.len() < held.members.len();
            held.members = left;
        }
        over.extend(self.held.extract_if(.., |held| held.members.is_empty()));
        for held in over {
            self.finish(held.due);
        }
        any
    }

    fn take(&mut self, since: Millis, last: Instants, members: &Members) {
        let Instants { scheduled, due } = last;
        self.intervals.push(TakenInterval { since, due, scheduled, members: members.clone() });
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
