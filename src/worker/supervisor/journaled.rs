//! What follows when entries are synced in the own journal: dispatches are finished, offers may be
//! handed out, claims are answered. Nothing of that happens before.

use std::sync::Arc;

use super::event::{AppendId, ClaimId, Effect, Handed, Moment};
use super::offers::GroupId;
use super::state::{Supervisor, Taking};
use super::taken::TakenRun;
use crate::model::run::Phase;

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
        if let Some((claim, runs)) = following.claim {
            self.take_claimed(at, (claim, seq), runs, out);
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
    /// taken by a worker that does not know of it, and counts as lost when it is not heard of.
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
                heard: at.now.boot,
                has_spoken: !hand.is_claim,
                is_recorded: false,
                said_end: false,
            };
            self.taken.put(of, run, at.now.boot);
            self.taken.note_journaled(seq, of);
            if has_lease && is_current {
                let (project, due) = (source.project, source.due);
                handed.push(Handed { of, attempt: source.attempt, project, due, terms });
            }
        }
        if hand.is_claim {
            self.answer(at, claim, hand.worker, hand.key, handed, out);
        }
    }
}
