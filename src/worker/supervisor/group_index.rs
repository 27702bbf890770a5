//! The places of groups: which of them may have an occurrence, which belong to a shard, and which
//! have everything in common with a member that comes back. No question takes a step for each group
//! of an instant. Pure data; `offers` keeps it in line with the groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{DispatchId, Source};
use super::waiting::Waiting;
use crate::model::run::Occurrence;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};

/// The number of a group.
pub(super) type GroupId = u64;
/// A shard, a scheduled instant and the number of a manual run.
type Instant = (ShardId, Millis, u64);
/// The common facts of a group, and the dispatch that waits for its members.
pub(super) type Common = (Arc<Source>, Option<DispatchId>);

/// The groups by what they are looked for by.
#[derive(Default)]
pub(super) struct GroupIndex {
    /// The groups with members among 64 neighbouring ids, which a block is.
    blocks: BTreeMap<Instant, BTreeSet<(u64, GroupId)>>,
    shards: BTreeSet<(ShardId, GroupId)>,
    alike: BTreeSet<(Common, GroupId)>,
}

fn block(job: JobId) -> u64 {
    job >> 6
}

fn instant(source: &Source) -> Instant {
    (source.shard, source.scheduled, source.run)
}

impl GroupIndex {
    /// Adds a group with its members.
    pub(super) fn add(&mut self, id: GroupId, source: &Source, waiting: &Waiting) {
        self.shards.insert((source.shard, id));
        let its = self.blocks.entry(instant(source)).or_default();
        for (first, length) in waiting.runs() {
            its.extend((block(first)..=block(first + length - 1)).map(|block| (block, id)));
        }
    }

    /// Notes that a member came into a group.
    pub(super) fn add_member(&mut self, id: GroupId, source: &Source, job: JobId) {
        self.blocks.entry(instant(source)).or_default().insert((block(job), id));
    }

    /// Notes that a member left a group, which has these members now.
    pub(super) fn remove_member(
        &mut self,
        id: GroupId,
        source: &Source,
        (job, left): (JobId, &Waiting),
    ) {
        let first = block(job) << 6;
        if !left.has_any(first, first + 63) {
            self.remove_blocks(id, source, [block(job)]);
        }
    }

    /// Notes that all these members left a group.
    pub(super) fn remove_members(&mut self, id: GroupId, source: &Source, gone: &Waiting) {
        let runs = gone.runs();
        let all = runs.flat_map(|(first, length)| block(first)..=block(first + length - 1));
        self.remove_blocks(id, source, all);
    }

    fn remove_blocks(
        &mut self,
        id: GroupId,
        source: &Source,
        blocks: impl IntoIterator<Item = u64>,
    ) {
        let Some(its) = self.blocks.get_mut(&instant(source)) else { return };
        for block in blocks {
            its.remove(&(block, id));
        }
        if its.is_empty() {
            self.blocks.remove(&instant(source));
        }
    }

    /// Forgets a group that has no members any more.
    pub(super) fn forget(&mut self, id: GroupId, source: &Source) {
        self.shards.remove(&(source.shard, id));
    }

    /// Lets members that come back find a group, or no longer; one that takes none back has no
    /// common facts.
    pub(super) fn set_open(&mut self, id: GroupId, common: Option<Common>, is_open: bool) {
        let Some(common) = common else { return };
        if is_open {
            self.alike.insert((common, id));
        } else {
            self.alike.remove(&(common, id));
        }
    }

    /// The first group that members with these common facts may come back to.
    pub(super) fn alike(&self, common: &Common) -> Option<GroupId> {
        let (found, id) = self.alike.range((common.clone(), 0)..).next()?;
        (found == common).then_some(*id)
    }

    /// The groups that may have an occurrence of a shard: those with members among its neighbours.
    pub(super) fn near(&self, shard: ShardId, of: Occurrence) -> impl Iterator<Item = GroupId> {
        let its = self.blocks.get(&(shard, of.scheduled, of.run));
        let range = (block(of.job), 0)..=(block(of.job), GroupId::MAX);
        its.into_iter().flat_map(move |its| its.range(range.clone())).map(|(_, id)| *id)
    }

    /// The groups of a shard.
    pub(super) fn of_shard(&self, shard: ShardId) -> impl Iterator<Item = GroupId> {
        self.shards.range((shard, 0)..=(shard, GroupId::MAX)).map(|(_, id)| *id)
    }

    /// Says whether nothing is in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.shards.is_empty() && self.alike.is_empty()
    }
}
