//! What was given out and what is done: the watermark W of each part, and which occurrences must
//! not be given out again.
//!
//! The engine tells it of every dispatch and of every result that is safely in the journal. W of a
//! part is the highest instant up to which nothing is undispatched, nothing is unfinished, and up
//! to which all that could still create an occurrence (the log, by its stamps) has been heard. It
//! also remembers what was given out above W, so that a job that is read anew, or a part that is
//! taken over or loaded after a restart, does not fire an occurrence a second time. Pure.
//!
//! An occurrence is known by both its instants: an edit of the jitter can make two occurrences of a
//! job due at the same one.

use std::collections::BTreeMap;

use super::queue::PartKey;
use crate::model::Millis;
use crate::model::members::Members;
use crate::model::shard::{Part, ShardId};

/// The book of all parts; see the head of this file.
#[derive(Debug, Default)]
pub struct Tracker {
    parts: BTreeMap<PartKey, Span>,
    shards: BTreeMap<ShardId, Given>,
}

#[derive(Debug)]
struct Span {
    part: Part,
    /// The last W written to the journal, or the books' when it was loaded.
    stated: Millis,
    /// A closing part that has stated W = H: it does nothing more.
    closed: bool,
}

#[derive(Debug, Default)]
struct Given {
    /// Unfinished dispatches by due instant, under any epoch of this process.
    open: BTreeMap<Millis, u32>,
    /// Occurrences given out or otherwise taken, by due instant, with what they are scheduled for;
    /// above W only.
    taken: BTreeMap<Millis, Vec<(Millis, Members)>>,
    stretches: Vec<Stretch>,
    /// What is due up to here must be checked before it is given out.
    check_until: Millis,
}

/// All occurrences of some jobs that are due in a stretch of time: taken.
#[derive(Debug)]
struct Stretch {
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
    pub fn begin(&mut self, key: PartKey, part: Part) {
        let fresh = Span { part, stated: part.after, closed: false };
        let span = self.parts.entry(key).or_insert(fresh);
        span.part = part;
        span.stated = span.stated.max(part.after);
        let given = self.shards.entry(key.0).or_default();
        given.check_until = given.check_until.max(part.after);
    }

    /// Ends a part that is not this node's any more. What is in flight stays known.
    pub fn end(&mut self, key: PartKey) {
        self.parts.remove(&key);
        if self.parts.keys().any(|(shard, _)| *shard == key.0) {
            return;
        }
        if let Some(given) = self.shards.get_mut(&key.0) {
            given.taken.retain(|due, _| given.open.contains_key(due));
            given.stretches.clear();
        }
    }

    /// The part's bounds, while it is open.
    pub fn part(&self, key: PartKey) -> Option<Part> {
        self.parts.get(&key).map(|span| span.part)
    }

    /// The W that was last stated (the books' one before the first); what a reload starts from.
    pub fn stated(&self, key: PartKey) -> Option<Millis> {
        self.parts.get(&key).map(|span| span.stated)
    }

    /// Whether a closing part has stated its end.
    pub fn is_closed(&self, key: PartKey) -> bool {
        self.parts.get(&key).is_some_and(|span| span.closed)
    }

    /// The open part that an instant of a shard falls into.
    pub fn part_of(&self, shard: ShardId, due: Millis) -> Option<PartKey> {
        let mut parts = self.parts.range((shard, 0)..=(shard, u64::MAX));
        let found = parts.find(|(_, s)| s.part.after < due && due <= s.part.until && !s.closed);
        found.map(|(key, _)| *key)
    }

    /// Something was given out: it holds W below `due` until it is finished or withdrawn.
    pub fn dispatched(&mut self, shard: ShardId, of: Instants, members: &Members) {
        let given = self.shards.entry(shard).or_default();
        *given.open.entry(of.due).or_default() += 1;
        given.taken.entry(of.due).or_default().push((of.scheduled, members.clone()));
    }

    /// As [`Tracker::dispatched`], for all that is due from `since` to `last`.
    pub fn dispatched_range(
        &mut self,
        shard: ShardId,
        since: Millis,
        last: Instants,
        members: &Members,
    ) {
        let given = self.shards.entry(shard).or_default();
        *given.open.entry(since).or_default() += 1;
        given.take(since, last, members);
    }

    /// A dispatch of `due` (or a range that began there) was split into `parts` in all.
    pub fn split(&mut self, shard: ShardId, due: Millis, parts: u32) {
        let open = self.shards.entry(shard).or_default().open.entry(due).or_default();
        *open += parts.saturating_sub(1);
    }

    /// A dispatch is over and its result is in the journal.
    pub fn finished(&mut self, shard: ShardId, due: Millis) {
        let given = self.shards.entry(shard).or_default();
        if let Some(open) = given.open.get_mut(&due) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                given.open.remove(&due);
            }
        }
    }

    /// A dispatch came to nothing: its members may be given out again.
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
        let given = self.shards.entry(shard).or_default();
        given.taken.entry(of.due).or_default().push((of.scheduled, members.clone()));
        given.check_until = given.check_until.max(of.due);
    }

    /// As [`Tracker::exclude`], for all that is due from `since` to `last`.
    pub fn exclude_range(&mut self, shard: ShardId, since: Millis, last: Instants, who: &Members) {
        let given = self.shards.entry(shard).or_default();
        given.take(since, last, who);
        given.check_until = given.check_until.max(last.due);
    }

    /// Members of this shard are read anew: what was given out so far must be checked again.
    pub fn reread(&mut self, shard: ShardId) {
        let given = self.shards.entry(shard).or_default();
        let last = given.taken.last_key_value().map_or(Millis::MIN, |(due, _)| *due);
        let reach = given.stretches.iter().map(|stretch| stretch.due).max();
        given.check_until = given.check_until.max(last).max(reach.unwrap_or(Millis::MIN));
    }

    /// Those of the members whose occurrence, in this part, has not been taken. Up to W
    /// all are: a job that was read anew while W was on its way into the journal is in the queue
    /// from the W before on, and by now nothing else is known of what it had due in between.
    #[must_use]
    pub fn untaken(&self, key: PartKey, of: Instants, members: Members) -> Members {
        let Instants { scheduled, due } = of;
        if self.stated(key).is_some_and(|w| due <= w) {
            return Members::default();
        }
        let Some(given) = self.shards.get(&key.0).filter(|given| due <= given.check_until) else {
            return members;
        };
        let at = given.taken.get(&due).into_iter().flatten();
        let at = at.filter(|(at, _)| *at == scheduled).map(|(_, who)| who);
        let over = given.stretches.iter().filter(|stretch| stretch.covers(of));
        at.chain(over.map(|stretch| &stretch.members)).fold(members, |left, who| left.without(who))
    }

    /// The W that the part may state now, if that is more than it has stated: given its earliest
    /// undispatched instant, scheduler time, the log time up to which all bells were heard, and
    /// the most that its lease lets it state.
    pub fn watermark(
        &self,
        key: PartKey,
        undispatched: Option<Millis>,
        now: Millis,
        heard: Millis,
        most: Millis,
    ) -> Option<Millis> {
        let span = self.parts.get(&key)?;
        let given = self.shards.get(&key.0)?;
        let open = given.open.range(span.part.after.saturating_add(1)..).next();
        let mut w = now.min(heard).min(most).min(span.part.until);
        if let Some((due, _)) = open {
            w = w.min(due - 1);
        }
        if let Some(due) = undispatched {
            w = w.min(due - 1);
        }
        (w > span.stated && !span.closed).then_some(w)
    }

    /// W of a part is in the journal.
    pub fn state(&mut self, key: PartKey, w: Millis) {
        let Some(span) = self.parts.get_mut(&key) else { return };
        span.stated = span.stated.max(w);
        span.closed |= span.part.closing && span.stated >= span.part.until;
        let after = span.part.after;
        let lowest = self.parts.range((key.0, 0)..=(key.0, u64::MAX)).map(|(_, s)| s.stated).min();
        let Some(given) = self.shards.get_mut(&key.0) else { return };
        given.taken.retain(|due, _| *due <= after || *due > w);
        if let Some(lowest) = lowest {
            given.taken = given.taken.split_off(&lowest.saturating_add(1));
            given.stretches.retain(|stretch| stretch.due > lowest);
        }
    }

    /// How many dispatches are unfinished.
    pub fn open(&self) -> u64 {
        self.shards.values().flat_map(|given| given.open.values()).map(|n| u64::from(*n)).sum()
    }

    /// Whether a shard has an unfinished dispatch due up to an instant.
    pub fn is_open(&self, shard: ShardId, until: Millis) -> bool {
        self.shards.get(&shard).is_some_and(|given| given.open.range(..=until).next().is_some())
    }
}

impl Given {
    fn take(&mut self, since: Millis, last: Instants, who: &Members) {
        let Instants { scheduled, due } = last;
        self.stretches.push(Stretch { since, due, scheduled, members: who.clone() });
    }
}

impl Stretch {
    fn covers(&self, of: Instants) -> bool {
        self.since <= of.due && of.due <= self.due && of.scheduled <= self.scheduled
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
