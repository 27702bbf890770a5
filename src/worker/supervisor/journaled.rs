//! What follows when entries are synced in the own journal: dispatches are finished, offers may be
//! handed out, claims are answered. Nothing of that happens before.

use std::sync::Arc;

use super::event::{AppendId, ClaimId, Effect, Moment};
use super::in_hand::Taking;
use super::offers::GroupId;
use super::state::Supervisor;
use super::taken::{Record, TakenRun};
use crate::model::run::{Occurrence, Phase};
use crate::model::shard::shard_of;

impl Supervisor {
    /// Takes in that entries are synced, the last of them under a sequence number.
    pub(super) fn take_appended(
        &mut self,
        at: &Moment<'_>,
        id: AppendId,
        seq: u64,
        out: &mut Vec<Effect>,
    ) {
        let Some(following) = self.appends.remove(&id) else { return };
        for (dispatch, count) in following.settles {
            self.settle(dispatch, count, out);
        }
        for group in &following.offered {
            self.take_offered(*group, seq);
        }
        self.end_gone(&following.offered, out);
        for popped in &following.over {
            self.in_hand.remove(popped);
        }
        self.last_seq = self.last_seq.max(seq);
        for of in following.at_bus {
            self.note_offered(of, seq);
        }
        self.take_passed(at, seq, following.published, out);
        if let Some((claim, runs)) = following.claim {
            self.take_claimed(at, (claim, seq), runs, out);
        }
    }

    /// Takes in that the *Offered* of a run that was at its bus then is in the own journal. What
    /// has come back meanwhile waits in a group, of which other entries may be under way yet.
    fn note_offered(&mut self, of: Occurrence, seq: u64) {
        let Some((id, group)) = self.offers.find(shard_of(of.job), of) else { return };
        let is_its = |other: &Occurrence| {
            group.source.occurrence(other.job) == *other && group.waiting.contains(other.job)
        };
        let mut under_way = self.appends.values().flat_map(|following| &following.at_bus);
        if !under_way.any(is_its) {
            self.offers.note_offered(id, seq);
        }
    }

    fn take_offered(&mut self, id: GroupId, seq: u64) {
        let Some(group) = self.offers.get(id) else { return };
        let source = Arc::clone(&group.source);
        if self.is_current(source.shard, source.epoch) {
            self.offers.set_offered(id, seq);
            self.grew(source.queue);
        } else {
            self.offers.remove_group(id);
            self.changed_queues.insert(source.queue);
        }
    }

    /// Hands out what a claim has taken. Without a lease nothing is handed out: the run stays
    /// taken by a worker that does not know of it, and counts as lost when it is not heard of. The
    /// same holds where the disk took so long that the leader may end it first (*not past its start
    /// timeout*).
    fn take_claimed(
        &mut self,
        at: &Moment<'_>,
        (claim, seq): (ClaimId, u64),
        runs: Vec<Taking>,
        out: &mut Vec<Effect>,
    ) {
        let Some(hand) = self.hands.remove(&claim) else { return };
        let has_lease = at.lease.usable_since().is_some();
        let mut handed = Vec::new();
        for Taking { popped, terms } in runs {
            let source = &popped.source;
            let of = source.occurrence(popped.job);
            self.in_hand.remove(&popped);
            if let Some((dispatch, _)) = popped.dispatch {
                self.settle(dispatch, 1, out);
            }
            let ranges = self.shards.get(&source.shard);
            if ranges.is_none_or(|ranges| ranges.current.is_none()) {
                continue;
            }
            // Under another epoch it is not handed out, but the entry counts.
            let is_current = self.is_current(source.shard, source.epoch);
            let run = TakenRun {
                attempt: source.attempt,
                worker: self.taken.worker(&hand.worker),
                terms: Arc::clone(&terms),
                phase: Phase::Running,
                heard: self.missed.now(at),
                has_spoken: !hand.is_claim,
                record: Record::Missing,
                said_end: false,
            };
            self.taken.put(of, run, at.now.boot);
            self.taken.note_journaled(seq, of);
            if has_lease && is_current && !popped.may_be_ended(at.now.sched) {
                handed.push(popped.handed(terms));
            }
        }
        if hand.is_claim {
            self.answer(at, claim, hand.worker, hand.key, handed, out);
        }
    }
}
