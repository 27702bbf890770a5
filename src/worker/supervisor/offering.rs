//! Occurrences that fall due, and how they come into the journal: as *Offered* within a second,
//! unless somebody claims them first. One entry holds a whole group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Dispatch, Effect, Moment, QueueId, Source};
use super::offers::{Group, GroupId, Popped, Stage};
use super::state::{Following, Supervisor};
use super::waiting::Waiting;
use crate::model::attempt::{
    AttemptRecord, JournalEntry, Occurrences, ResultOrigin, SkipReason, Verdict,
};
use crate::model::members::Members;
use crate::model::offer::Offer;
use crate::model::postponement::{Obstacle, Postponement};
use crate::model::run_terms::RunTerms;
use crate::model::shard::{ShardId, shard_of};
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
        // Read again by the engine, it may come a second time: what somebody has, or waits, is in
        // the journal, or another dispatch waits for it.
        let open = self.untaken(&source, members.iter());
        let open: Vec<_> =
            open.into_iter().filter(|job| !self.is_on_offer(&source, *job)).collect();
        let known = members.len() - open.len() as u64;
        let unsynced = members.iter().filter(|job| {
            let holding = self.in_hand.get(source.occurrence(*job));
            holding.is_some_and(|holding| holding.is_of_other_epoch(&source))
        });
        let unsynced = Members::from_sorted(unsynced);
        if !unsynced.is_empty() {
            out.push(Effect::Returned { dispatch: id, members: unsynced });
        }
        let (jobs, full): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|job| !self.is_full(source.queue, *job, max_waiting));
        self.skip(&source, &full, (SkipReason::QueueFull, Some(id), at), out);
        let source = Arc::new(source);
        self.grew(source.queue);
        let start_by = terms.start_timeout.map(|long| at.now.sched.saturating_add(long));
        let stage = Stage::Fresh { dispatch: id, since: at.now.boot, terms };
        let group = Group::new(source, Waiting::from_sorted(jobs), stage).starting_by(start_by);
        let group = self.offers.add(group.waiting_since(at.now.sched));
        self.end_gone(group.as_slice(), out);
        self.offer_groups(at, group, out);
        if known > 0 {
            self.settle(id, known, out);
        }
    }

    /// Says whether an occurrence waits already, under this epoch and attempt or a later one.
    fn is_on_offer(&self, source: &Source, job: JobId) -> bool {
        let found = self.offers.find(source.shard, source.occurrence(job));
        found.is_some_and(|(_, group)| {
            group.source.epoch == source.epoch && group.source.attempt >= source.attempt
        })
    }

    /// Says whether as many occurrences of a job wait as may.
    fn is_full(&self, queue: QueueId, job: JobId, most: Option<u32>) -> bool {
        let Some(most) = most.map(|most| most as usize) else { return false };
        self.offers.waiting_of(queue, job) + self.in_hand.of_job(queue, job) >= most
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
        let fresh: Vec<GroupId> = self.offers.fresh().map(|(id, _)| id).collect();
        self.offer_groups(at, fresh, out);
    }

    /// As [`Supervisor::offer_what_waits`], of these groups.
    fn offer_groups(
        &mut self,
        at: &Moment<'_>,
        groups: impl IntoIterator<Item = GroupId>,
        out: &mut Vec<Effect>,
    ) {
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
        let is_due = |id: &GroupId| self.offers.get(*id).is_some_and(&is_due);
        let due: Vec<GroupId> = groups.into_iter().filter(is_due).collect();
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
        let has = |shard: ShardId| {
            let ranges = self.shards.get(&shard);
            ranges.is_some_and(|ranges| ranges.current.is_some() || ranges.closing.is_some())
        };
        // Nothing of other shards is ever on its way here.
        let gone: Vec<_> = gone.iter().copied().filter(|job| has(shard_of(*job))).collect();
        let shards: BTreeSet<_> = gone.iter().map(|job| shard_of(*job)).collect();
        self.gone.extend(gone.into_iter().map(|job| (job, until)));
        let holds = |group: &Group| self.gone_of(group).next().is_some();
        let groups = shards.into_iter().flat_map(|shard| self.offers.of_shard(shard, holds));
        let groups: Vec<_> = groups.collect();
        self.end_gone(&groups, out);
        self.withdraw_gone_jobs(out);
    }

    /// The members of a group whose jobs do not exist any more.
    fn gone_of(&self, group: &Group) -> impl Iterator<Item = JobId> {
        let runs = group.waiting.runs();
        runs.flat_map(move |(first, length)| self.gone.range(first..first + length))
            .map(|(job, _)| *job)
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
            let jobs: Vec<_> = self.gone_of(group).collect();
            if jobs.is_empty() {
                continue;
            }
            for job in &jobs {
                if let Some(popped) = self.offers.remove(source.shard, source.occurrence(*job)) {
                    note_ended(&popped, &mut following);
                }
            }
            self.changed_queues.insert(source.queue);
            let ended =
                AttemptRecord::skipped(occurrences(&source, &jobs), SkipReason::Ended, source.due);
            // As for runs that somebody has: these are over because their jobs were deleted.
            let ended = AttemptRecord { origin: ResultOrigin::Cancelled, ..ended };
            entries.push(record(&source, ended));
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

/// The entry that says that some members are over, since they can never be handed out.
pub(super) fn dead(source: &Source, jobs: &[JobId], error: String, at: Millis) -> JournalEntry {
    let dead = AttemptRecord::attempt(occurrences(source, jobs), Verdict::Dead);
    record(source, AttemptRecord { started: at, error: Some(error), ..dead })
}

/// The entry that makes some members rows that the engine sends at once, as the same attempt.
pub(super) fn put_off(source: &Source, jobs: &[JobId], at: Millis) -> JournalEntry {
    let why =
        Obstacle::Node("its target was no queue any more when it was to be handed out".to_owned());
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
