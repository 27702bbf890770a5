//! The offers that wait for workers: groups of members by queue, first in first out by (due, job).
//!
//! A group holds what one journal entry or one pending row has. Each queue has *lanes*, one for the
//! groups of a shard that this owner made itself and one for those that it read: the supervisor
//! says which lanes are open at the moment, and the oldest member of them is taken. Pure data; the
//! rules are in the files that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{DispatchId, QueueId, Source};
pub(super) use super::group_index::GroupId;
use super::group_index::{Common, GroupIndex};
use super::job_counts::JobCounts;
pub(super) use super::popped::Popped;
use super::popped::{UNSYNCED, is_late};
use super::waiting::Waiting;
use crate::model::offer::OfferId;
use crate::model::run::Occurrence;
use crate::model::run_terms::RunTerms;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};

/// A lane: the shard, and whether this owner made the groups itself.
pub(super) type Lane = (ShardId, bool);
/// The place in a lane: due instant, lowest job, group.
pub(super) type Seat = (Millis, JobId, GroupId);

/// How far a group is on its way into the journal.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Not journaled; the dispatch waits for it.
    Fresh {
        dispatch: DispatchId,
        /// The instant of the boot clock at which it came, in milliseconds.
        since: u64,
        terms: Arc<RunTerms>,
    },
    /// An *Offered* of it is on its way to the journal. It is not handed out meanwhile.
    Offering { dispatch: Option<DispatchId> },
    /// The journal or the store has it.
    Offered,
}

/// Members that wait and have everything else in common.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) source: Arc<Source>,
    pub(super) waiting: Waiting,
    pub(super) stage: Stage,
    /// Made by this process under the present epoch.
    pub(super) own: bool,
    /// `BeginRun` is asked before a hand-out.
    pub(super) asks: bool,
    /// The instant since which it has waited.
    pub(super) since: Millis,
    /// The last instant at which it may be handed out; `None` for no bound.
    pub(super) start_by: Option<Millis>,
    /// The sequence number of its entry in the own journal; 0 where it is not known.
    pub(super) journaled: u64,
    seat: Option<(Lane, Seat)>,
}

impl Group {
    pub(super) fn new(source: Arc<Source>, waiting: Waiting, stage: Stage) -> Self {
        Self {
            since: source.due,
            source,
            waiting,
            stage,
            own: true,
            asks: false,
            start_by: None,
            journaled: 0,
            seat: None,
        }
    }

    /// The group as one that may be handed out up to an instant.
    pub(super) fn starting_by(self, start_by: Option<Millis>) -> Self {
        Self { start_by, ..self }
    }

    /// The group as one that has waited since an instant.
    pub(super) fn waiting_since(self, since: Millis) -> Self {
        Self { since, ..self }
    }

    /// The group as one that somebody else may have made, and with or without `BeginRun`.
    pub(super) fn of(self, own: bool, asks: bool) -> Self {
        Self { own, asks, ..self }
    }

    /// What members that come back must have in common with it; `None` while it takes none back.
    fn common(&self) -> Option<Common> {
        let dispatch = match self.stage {
            Stage::Fresh { dispatch, .. } => Some(dispatch),
            Stage::Offering { .. } => return None,
            Stage::Offered => None,
        };
        Some((Arc::clone(&self.source), dispatch))
    }

    /// The dispatch that waits for the members.
    pub(super) fn dispatch(&self) -> Option<DispatchId> {
        match self.stage {
            Stage::Fresh { dispatch, .. } => Some(dispatch),
            Stage::Offering { dispatch } => dispatch,
            Stage::Offered => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) lanes: BTreeMap<Lane, BTreeSet<Seat>>,
    /// The groups, by the instant since which they have waited.
    groups: BTreeSet<(Millis, GroupId)>,
    count: u64,
    jobs: JobCounts,
}

/// All offers.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) groups: BTreeMap<GroupId, Group>,
    index: GroupIndex,
    rows: BTreeMap<OfferId, GroupId>,
    pub(super) queues: BTreeMap<QueueId, Queue>,
    fresh: BTreeSet<GroupId>,
    /// The groups that are not late, by their last instant.
    pub(super) limits: BTreeSet<(Millis, GroupId)>,
    /// The latest instant that is known here; see [`Offers::close_late`].
    pub(super) now: Millis,
    last: GroupId,
}

impl Offers {
    /// Adds a group; one without members is not added.
    pub(super) fn add(&mut self, group: Group) -> Option<GroupId> {
        if group.waiting.is_empty() {
            return None;
        }
        self.last += 1;
        let (id, source) = (self.last, Arc::clone(&group.source));
        let queue = self.queues.entry(source.queue).or_default();
        queue.groups.insert((group.since, id));
        queue.count += group.waiting.len();
        for (first, length) in group.waiting.runs() {
            queue.jobs.add(first, length);
        }
        self.index.add(id, &source, &group.waiting);
        self.index.set_open(id, group.common(), true);
        if let (Some(row), Stage::Offered) = (source.pending, &group.stage) {
            self.rows.insert(row, id);
        }
        if let Some(start_by) = group.start_by {
            self.limits.insert((start_by, id));
        }
        self.groups.insert(id, group);
        self.seat(id);
        Some(id)
    }

    /// Puts a group into its place, after its members or its stage changed, or its time was over;
    /// an empty one is dropped. One that is late has no place in a lane.
    pub(super) fn seat(&mut self, id: GroupId) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(&id) else { return };
        let queue = self.queues.entry(group.source.queue).or_default();
        if let Some((lane, seat)) = group.seat.take() {
            let emptied = queue.lanes.get_mut(&lane).is_some_and(|seats| {
                seats.remove(&seat);
                seats.is_empty()
            });
            if emptied {
                queue.lanes.remove(&lane);
            }
        }
        if matches!(group.stage, Stage::Fresh { .. }) && !group.waiting.is_empty() {
            self.fresh.insert(id);
        } else {
            self.fresh.remove(&id);
        }
        let Some(first) = group.waiting.first() else { return self.forget(id) };
        if !matches!(group.stage, Stage::Offering { .. }) && !is_late(group.start_by, now) {
            let lane = (group.source.shard, group.own);
            let seat = (group.source.due, first, id);
            queue.lanes.entry(lane).or_default().insert(seat);
            group.seat = Some((lane, seat));
        }
    }

    fn forget(&mut self, id: GroupId) {
        let Some(group) = self.groups.remove(&id) else { return };
        let source = &group.source;
        self.index.set_open(id, group.common(), false);
        self.index.forget(id, source);
        if let Some(start_by) = group.start_by {
            self.limits.remove(&(start_by, id));
        }
        if let Some(row) = source.pending.filter(|row| self.rows.get(row) == Some(&id)) {
            self.rows.remove(&row);
        }
        if let Some(queue) = self.queues.get_mut(&source.queue) {
            queue.groups.remove(&(group.since, id));
            if queue.groups.is_empty() {
                self.queues.remove(&source.queue);
            }
        }
    }

    /// Takes the oldest member of a queue from its open lanes.
    pub(super) fn pop(
        &mut self,
        queue: QueueId,
        mut is_open: impl FnMut(Lane) -> bool,
    ) -> Option<Popped> {
        let lanes = &self.queues.get(&queue)?.lanes;
        let heads = lanes.iter().filter_map(|(lane, seats)| Some((*lane, *seats.first()?)));
        // Of a lane whose head is younger nobody asks whether it is open.
        let older = |oldest: Option<Seat>, (lane, seat)| {
            let is_older = oldest.is_none_or(|oldest| seat < oldest);
            if is_older && is_open(lane) { Some(seat) } else { oldest }
        };
        let (_, _, id) = heads.fold(None, older)?;
        let job = self.groups.get_mut(&id)?.waiting.first()?;
        self.take(id, job)
    }

    pub(super) fn take(&mut self, id: GroupId, job: JobId) -> Option<Popped> {
        let group = self.groups.get_mut(&id)?;
        let taken = if group.waiting.first() == Some(job) {
            group.waiting.pop().is_some()
        } else {
            group.waiting.remove(job)
        };
        if !taken {
            return None;
        }
        self.index.remove_member(id, &group.source, (job, &group.waiting));
        let (dispatch, came) = match &group.stage {
            Stage::Fresh { dispatch, since, terms } => {
                (Some((*dispatch, Arc::clone(terms))), *since)
            }
            _ => (None, 0),
        };
        let source = Arc::clone(&group.source);
        let Group { own, asks, since, start_by, journaled, .. } = *group;
        let popped = Popped { source, job, dispatch, own, asks, since, start_by, came, journaled };
        if let Some(queue) = self.queues.get_mut(&popped.source.queue) {
            queue.count -= 1;
            queue.jobs.remove(job, 1);
        }
        self.seat(id);
        Some(popped)
    }

    /// Puts a member back that was not handed out: into its group, or into a new one, which has
    /// waited for as long.
    pub(super) fn give_back(&mut self, popped: Popped) {
        let dispatch = popped.dispatch.as_ref().map(|(dispatch, _)| *dispatch);
        let found = self.index.alike(&(Arc::clone(&popped.source), dispatch));
        let Some(id) = found else {
            let stage = match popped.dispatch {
                Some((dispatch, terms)) => Stage::Fresh { dispatch, since: popped.came, terms },
                None => Stage::Offered,
            };
            let waiting = Waiting::from_sorted([popped.job]);
            let Popped { source, own, asks, since, start_by, journaled, .. } = popped;
            let group = Group::new(source, waiting, stage).of(own, asks).waiting_since(since);
            self.add(Group { start_by, journaled, ..group });
            return;
        };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.journaled = group.journaled.max(popped.journaled);
        if group.waiting.insert(popped.job)
            && let Some(queue) = self.queues.get_mut(&popped.source.queue)
        {
            queue.count += 1;
            queue.jobs.add(popped.job, 1);
            self.index.add_member(id, &popped.source, popped.job);
        }
        self.seat(id);
    }

    /// The group in which an occurrence of a shard waits.
    pub(super) fn find(&self, shard: ShardId, of: Occurrence) -> Option<(GroupId, &Group)> {
        let near = self.index.near(shard, of);
        let mut groups = near.filter_map(|id| Some((id, self.groups.get(&id)?)));
        groups.find(|(_, group)| group.waiting.contains(of.job))
    }

    /// Takes an occurrence out of the group in which it waits.
    pub(super) fn remove(&mut self, shard: ShardId, of: Occurrence) -> Option<Popped> {
        let (id, _) = self.find(shard, of)?;
        self.take(id, of.job)
    }

    /// The group of the row with this number, while some of its members wait there.
    pub(super) fn of_row(&self, row: OfferId) -> Option<(GroupId, &Group)> {
        let id = *self.rows.get(&row)?;
        Some((id, self.groups.get(&id)?))
    }

    /// Takes all members of the row with this number out; whether this owner made them itself.
    pub(super) fn remove_row(&mut self, row: OfferId) -> Option<bool> {
        let id = self.rows.remove(&row)?;
        self.remove_group(id).map(|group| group.own)
    }

    /// Takes out a group.
    pub(super) fn remove_group(&mut self, id: GroupId) -> Option<Group> {
        let group = self.groups.get_mut(&id)?;
        let all = std::mem::take(&mut group.waiting);
        let taken = Group { waiting: all, ..group.clone() };
        self.index.remove_members(id, &taken.source, &taken.waiting);
        if let Some(queue) = self.queues.get_mut(&taken.source.queue) {
            queue.count -= taken.waiting.len();
            for (first, length) in taken.waiting.runs() {
                queue.jobs.remove(first, length);
            }
        }
        self.seat(id);
        Some(taken)
    }

    /// Sets how far a group is.
    pub(super) fn set_stage(&mut self, id: GroupId, stage: Stage) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        self.index.set_open(id, group.common(), false);
        group.stage = stage;
        self.index.set_open(id, group.common(), true);
        self.seat(id);
    }

    /// Notes that a group is offered by an entry of the own journal.
    pub(super) fn set_offered(&mut self, id: GroupId, journaled: u64) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.journaled = journaled;
        }
        self.set_stage(id, Stage::Offered);
    }

    /// Notes that all entries of a group that were under way are synced, the last one under a
    /// sequence number.
    pub(super) fn note_offered(&mut self, id: GroupId, seq: u64) {
        if let Some(group) = self.groups.get_mut(&id).filter(|it| it.journaled == UNSYNCED) {
            group.journaled = seq;
        }
    }

    /// The groups of a shard that hold.
    pub(super) fn of_shard(
        &self,
        shard: ShardId,
        mut holds: impl FnMut(&Group) -> bool,
    ) -> Vec<GroupId> {
        let all = self.index.of_shard(shard);
        all.filter(|id| self.groups.get(id).is_some_and(&mut holds)).collect()
    }

    /// The groups that are not journaled.
    pub(super) fn fresh(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.fresh.iter().filter_map(|id| Some((*id, self.groups.get(id)?)))
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// The queues that have something.
    pub(super) fn queues(&self) -> impl Iterator<Item = QueueId> {
        self.queues.keys().copied()
    }

    /// The number of unclaimed occurrences of a job in a queue.
    pub(super) fn waiting_of(&self, queue: QueueId, job: JobId) -> usize {
        self.queues.get(&queue).map_or(0, |queue| queue.jobs.get(job))
    }

    /// The instants since which the oldest offer of each queue has waited.
    pub(super) fn waiting_since(&self) -> impl Iterator<Item = (QueueId, Millis)> {
        let oldest = |(queue, its): (&QueueId, &Queue)| Some((*queue, its.groups.first()?.0));
        self.queues.iter().filter_map(oldest)
    }

    /// The number of occurrences that wait in a queue, and the due instant of the oldest that may
    /// be handed out.
    pub(super) fn view(&self, queue: QueueId) -> (u64, Millis) {
        let Some(queue) = self.queues.get(&queue) else { return (0, Millis::MAX) };
        let heads = queue.lanes.values().filter_map(|seats| seats.first());
        (queue.count, heads.map(|seat| seat.0).min().unwrap_or(Millis::MAX))
    }
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
