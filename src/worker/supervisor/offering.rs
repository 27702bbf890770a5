//! Occurrences that fall due, and how they come into the journal: as *Offered* within a second,
//! unless somebody claims them first. One entry holds a whole group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Dispatch, Effect, Moment, QueueId, Source};
use super::offers::{Group, GroupId, Popped, Stage};
use super::state::{Following, Supervisor};
use super::waiting::Waiting;
use crate::model::attempt::{AttemptRecord, JournalEntry, Occurrences, SkipReason, Verdict};
use crate::model::members::Members;
use crate::model::offer::Offer;
use crate::model::postponement::{Obstacle, Postponement};
use crate::model::run_terms::RunTerms;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis};

/// The longest time for which an occurrence waits outside the journal, in milliseconds.
const OFFERED_WITHIN: u64 = 1_000;
/// The time for which a deleted job is remembered, in milliseconds: far longer than anything of it
/// is on its way.
const REMEMBERED: u64 = 60_000;

impl Supervisor {
    /// Takes in occurrences that fell due.
    pub(super) fn take_dispatch(
        &mut self,
        at: &Moment<'_>,
        dispatch: Dispatch,
        out: &mut Vec<Effect>,
    ) {
        let Dispatch { id, source, members, terms, max_waiting } = dispatch;
        self.dispatches.insert(id, members.len());
        let ranges = self.shards.get(&source.shard);
        let closes = ranges.is_some_and(|ranges| ranges.closing == Some(source.epoch));
        if !closes && !self.is_current(source.shard, source.epoch) {
            let count = members.len();
            out.push(Effect::Returned { dispatch: id, members });
            self.settle(id, count, out);
            return;
        }
        let (jobs, full): (Vec<_>, Vec<_>) =
            members.iter().partition(|job| !self.is_full(source.queue, *job, max_waiting));
        self.skip(&source, &full, (SkipReason::QueueFull, Some(id), at), out);
        let source = Arc::new(source);
        self.grew(source.queue);
        let stage = Stage::Fresh { dispatch: id, since: at.now.boot, terms };
        let group = self.offers.add(Group::new(source, Waiting::from_sorted(jobs), stage));
        self.end_gone(group.as_slice(), out);
        self.offer_what_waits(at, out);
    }

    /// Says whether as many occurrences of a job wait as may. A job can have one in a group only,
    /// so with fewer groups nothing is counted.
    fn is_full(&self, queue: QueueId, job: JobId, most: Option<u32>) -> bool {
        let Some(most) = most.map(|most| most as usize) else { return false };
        let in_hand = self.in_hand.iter().filter(|(of, (_, its))| of.job == job && *its == queue);
        if self.offers.groups_of(queue) + self.in_hand.len() < most {
            return false;
        }
        self.offers.waiting_of(queue, job) + in_hand.count() >= most
    }

    /// Journals that jobs' occurrences are skipped.
    fn skip(
        &mut self,
        source: &Source,
        jobs: &[JobId],
        (reason, dispatch, at): (SkipReason, Option<u64>, &Moment<'_>),
        out: &mut Vec<Effect>,
    ) {
        if jobs.is_empty() {
            return;
        }
        let entry = skipped(source, jobs, reason, at.now.sched);
        let settles = dispatch.map(|dispatch| (dispatch, jobs.len() as u64));
        let following = Following {
            settles: settles.into_iter().collect(),
            keys: [(source.shard, source.epoch)].into(),
            ..Following::default()
        };
        self.append(vec![entry], following, out);
    }

    /// Journals what waits outside the journal for too long, and at once what this owner is not to
    /// hand out any more: of an epoch that it closes, or has promised away.
    pub(super) fn offer_what_waits(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        if !at.has_room {
            return;
        }
        let is_due = |group: &Group| {
            let Stage::Fresh { since, .. } = &group.stage else { return false };
            let (shard, epoch) = (group.source.shard, group.source.epoch);
            since.saturating_add(OFFERED_WITHIN) <= at.now.boot
                || !self.is_current(shard, epoch)
                || at.lease.is_promised(shard, epoch)
        };
        let due: Vec<GroupId> =
            self.offers.fresh().filter(|(_, group)| is_due(group)).map(|(id, _)| id).collect();
        let mut entries = Vec::new();
        let mut following = Following::default();
        for id in due {
            let Some(group) = self.offers.get(id) else { continue };
            let Stage::Fresh { dispatch, terms, .. } = &group.stage else { continue };
            let (source, members) = (&group.source, group.waiting.members());
            following.settles.push((*dispatch, members.len()));
            following.offered.push(id);
            following.keys.insert((source.shard, source.epoch));
            entries.push(JournalEntry::Offered(offer(source, members, terms)));
            let dispatch = Some(*dispatch);
            self.offers.set_stage(id, Stage::Offering { dispatch });
        }
        self.append(entries, following, out);
    }

    /// Ends the offers of jobs that do not exist any more.
    pub(super) fn end_offers_of(&mut self, at: &Moment<'_>, gone: &[JobId], out: &mut Vec<Effect>) {
        let until = at.now.boot.saturating_add(REMEMBERED);
        self.gone.extend(gone.iter().map(|job| (*job, until)));
        let shards: BTreeSet<_> = gone.iter().map(|job| shard_of(*job)).collect();
        let holds = |group: &Group| gone.iter().any(|job| group.waiting.contains(*job));
        let groups = shards.into_iter().flat_map(|shard| self.offers.of_shard(shard, holds));
        let groups: Vec<_> = groups.collect();
        self.end_gone(&groups, out);
    }

    /// Ends the members of some groups whose jobs do not exist any more. Those of which an entry is
    /// on its way are looked at again when it is written.
    pub(super) fn end_gone(&mut self, groups: &[GroupId], out: &mut Vec<Effect>) {
        let mut entries = Vec::new();
        let mut following = Following::default();
        for id in groups.iter().filter(|_| !self.gone.is_empty()) {
            let group = self.offers.get(*id);
            let Some(group) = group.filter(|group| !matches!(group.stage, Stage::Offering { .. }))
            else {
                continue;
            };
            let source = Arc::clone(&group.source);
            let its = self.gone.keys().copied().filter(|job| group.waiting.contains(*job));
            let jobs: Vec<_> = its.collect();
            if jobs.is_empty() {
                continue;
            }
            for job in &jobs {
                if let Some(popped) = self.offers.remove(source.shard, source.occurrence(*job)) {
                    note_ended(&popped, &mut following);
                }
            }
            self.changed_queues.insert(source.queue);
            entries.push(skipped(&source, &jobs, SkipReason::Ended, source.due));
        }
        self.append(entries, following, out);
    }

    /// Forgets jobs that were deleted a while ago.
    pub(super) fn forget_gone(&mut self, at: &Moment<'_>) {
        self.gone.retain(|_, until| *until > at.now.boot);
    }
}

/// Notes what follows when the end of a member is journaled.
pub(super) fn note_ended(popped: &Popped, following: &mut Following) {
    following.keys.insert((popped.source.shard, popped.source.epoch));
    if let Some((dispatch, _)) = &popped.dispatch {
        following.settles.push((*dispatch, 1));
    }
}

/// The entry that says that some members wait for a worker.
pub(super) fn offer(source: &Source, members: Members, terms: &RunTerms) -> Offer {
    Offer {
        project: source.project,
        shard: source.shard,
        epoch: source.epoch,
        due: source.due,
        scheduled: source.scheduled,
        run: source.run,
        attempt: source.attempt,
        pending: source.pending,
        members,
        terms: terms.clone(),
    }
}

/// The entry that says that some members are skipped.
pub(super) fn skipped(
    source: &Source,
    jobs: &[JobId],
    reason: SkipReason,
    at: Millis,
) -> JournalEntry {
    record(source, AttemptRecord::skipped(occurrences(source, jobs), reason, at))
}

/// The entry that makes some members rows that the engine sends at once, as the same attempt.
pub(super) fn put_off(source: &Source, jobs: &[JobId], at: Millis) -> JournalEntry {
    let why = Obstacle::Node("its target was no queue any more when a worker asked".to_owned());
    let why = Postponement::new(why, "its queue", source.due);
    let verdict = Verdict::Postponed { at };
    let put_off = AttemptRecord::attempt(occurrences(source, jobs), verdict);
    record(source, AttemptRecord { started: at, error: Some(why.to_text()), ..put_off })
}

fn occurrences(source: &Source, jobs: &[JobId]) -> Occurrences {
    Occurrences {
        project: source.project,
        shard: source.shard,
        epoch: source.epoch,
        due: source.due,
        scheduled: source.scheduled,
        members: Members::from_sorted(jobs.iter().copied()),
    }
}

fn record(source: &Source, record: AttemptRecord) -> JournalEntry {
    JournalEntry::Attempt(AttemptRecord {
        attempt: source.attempt,
        pending: source.pending,
        run: source.run,
        once: source.once,
        ..record
    })
}
