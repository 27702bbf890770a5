//! The node's half of the lease: may it fire now, and what has it promised?
//!
//! The lease guard keeps one [`Holder`], tells it what happens (a renewal goes out, an answer comes
//! in, an entry is applied, a clock jumps), and asks it before each request's first byte and before
//! each watermark. Pure: no clock, no I/O. Placement of shards is `coordinator::placement`'s.
//!
//! A lease counts from *sending* the renewal and ends a tenth early. It may be used only by a node
//! that has applied the assignments that the grant names and has built its queues from them. The
//! first lease, and one after a gap, also needs everything applied that was committed at the grant:
//! a node that was cut off fires by its old state until its lease ends, and no longer.

use std::collections::{BTreeMap, VecDeque};

use crate::model::attempt::JournalEntry;
use crate::model::lease::{
    Answer, Facts, Now, PROMISE_AHEAD, Position, Promise, Refusal, Renewal, Timing,
};
use crate::model::process::Process;
use crate::model::shard::{Ownership, Shard, ShardId};
use crate::model::{Millis, NodeId};

/// The most renewals under way. An answer to an older one counts for nothing.
const UNANSWERED: usize = 32;

/// The node's lease, promises and stated watermarks; see the head of this file.
#[derive(Debug)]
pub struct Holder {
    node: NodeId,
    instance: u128,
    boot: u64,
    /// The highest term that the node's own Raft has seen.
    term: u64,
    number: u64,
    /// Renewals under way: (number, boot time of sending).
    sent: VecDeque<(u64, u64)>,
    /// The boot-clock instant at which the lease ends; 0 for none.
    ends: u64,
    ttl: u64,
    log_time: Millis,
    needs_index: u64,
    draining: bool,
    /// The index from which the queues were last built, and the least that they must be built from.
    built: Option<u64>,
    must_build: u64,
    /// The boot-clock instant from which the lease has been usable without a lapse, as far as
    /// anybody looked.
    usable_since: Option<u64>,
    promises: BTreeMap<(ShardId, u64), Millis>,
    stated: BTreeMap<(ShardId, u64), Millis>,
}

/// The effect of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The lease was prolonged.
    pub granted: bool,
    /// The reason of a refusal.
    pub refused: Option<Refusal>,
    /// New promises. The caller renews at once, so that the leader hears of them.
    pub promised: Vec<Promise>,
}

impl Holder {
    /// A node that was just started, without a lease. `boot` is its durable start number, `term`
    /// the term that its Raft has stored, `stated` the watermarks that its journal still holds.
    pub fn new(
        node: NodeId,
        instance: u128,
        boot: u64,
        term: u64,
        stated: impl IntoIterator<Item = ((ShardId, u64), Millis)>,
    ) -> Self {
        let mut highest = BTreeMap::new();
        for (key, watermark) in stated {
            let seen = highest.entry(key).or_insert(watermark);
            *seen = watermark.max(*seen);
        }
        Self {
            node,
            instance,
            boot,
            term,
            number: 0,
            sent: VecDeque::new(),
            ends: 0,
            ttl: 0,
            log_time: Millis::MIN,
            needs_index: 0,
            draining: false,
            built: None,
            must_build: 0,
            usable_since: None,
            promises: BTreeMap::new(),
            stated: highest,
        }
    }

    /// Notes a term that the node's Raft has (durably) seen. Grants of a lower term are refused
    /// from now on; the present lease stays good.
    pub fn saw_term(&mut self, term: u64) {
        self.term = self.term.max(term);
    }

    /// The term that the next renewal will name.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The next renewal, to be sent at once to the leader of [`Holder::term`].
    pub fn renewal(&mut self, now: Now, facts: Facts) -> Renewal {
        self.number += 1;
        self.draining = facts.draining || !facts.has_room;
        self.sent.push_back((self.number, now.boot));
        if self.sent.len() > UNANSWERED {
            self.sent.pop_front();
        }
        Renewal {
            node: self.node,
            instance: self.instance,
            boot: self.boot,
            number: self.number,
            term: self.term,
            clock: now.sched,
            facts,
            promises: self
                .promises
                .iter()
                .map(|(&(shard, epoch), &until)| Promise { shard, epoch, until })
                .collect(),
            // The transport knows the process.
            process: Process::default(),
        }
    }

    /// Takes an answer: prolongs the lease, and promises the shards that it is asked to release.
    /// `shards` are the shards as applied here.
    pub fn answered(
        &mut self,
        now: Now,
        applied: Position,
        answer: &Answer,
        shards: &[Shard],
    ) -> Answered {
        let mut result = Answered::default();
        if answer.boot != self.boot || answer.term < self.term {
            return result;
        }
        let Some(at) = self.sent.iter().position(|(number, _)| *number == answer.number) else {
            return result;
        };
        let Some((_, sent)) = self.sent.remove(at) else { return result };
        match answer.verdict {
            Err(refusal) => result.refused = Some(refusal),
            Ok(grant) => {
                result.granted = true;
                // Whoever asks only now would not see that the lease had ended.
                self.usable_since(now.boot, applied);
                let ends = sent + Timing::usable(grant.ttl);
                // After its start, or after it was cut off, a node may be far behind, and the lease
                // is back sooner than the log.
                if now.boot >= self.ends {
                    self.needs_index = self.needs_index.max(grant.commit_index);
                }
                if ends > self.ends {
                    self.ends = ends;
                    self.ttl = grant.ttl;
                }
                self.log_time = self.log_time.max(grant.log_time);
                self.needs_index = self.needs_index.max(grant.needs_index);
                self.usable_since(now.boot, applied);
            }
        }
        // Only a node that knows the newest assignments can promise sensibly. It is asked again.
        if self.usable(now.boot, applied) {
            for &(shard, epoch) in &answer.release {
                let owned = |s: &&Shard| s.id == shard && s.owner == self.node && s.epoch == epoch;
                if let Some(shard) = shards.iter().find(owned)
                    && let Some(promise) = self.promise(now, shard)
                {
                    result.promised.push(promise);
                }
            }
        }
        result
    }

    /// Promises a hand-over instant for a shard, unless it has.
    ///
    /// The instant lies above everything stated under this epoch *and* above the replicated
    /// watermark: that one may come from a faster clock than ours, and a hand-over at or below it
    /// would never be accepted. A move for balance starts a whole TTL ahead, so that it delays
    /// nothing even if the leader dies before it has carried it out. A node that is to stop takes
    /// the shortest way.
    fn promise(&mut self, now: Now, shard: &Shard) -> Option<Promise> {
        let key = (shard.id, shard.epoch);
        if self.promises.contains_key(&key) {
            return None;
        }
        let ahead =
            if self.draining { PROMISE_AHEAD } else { PROMISE_AHEAD.max(self.ttl as Millis) };
        let stated = self.stated.get(&key).copied().unwrap_or(Millis::MIN);
        let until = (now.sched + ahead)
            .max(stated.saturating_add(1))
            .max(shard.watermark.saturating_add(1));
        self.promises.insert(key, until);
        Some(Promise { shard: shard.id, epoch: shard.epoch, until })
    }

    /// Says whether a node that has applied so far may use the lease.
    pub fn usable(&self, now_boot: u64, applied: Position) -> bool {
        now_boot < self.ends
            && applied.index >= self.needs_index
            && applied.stamp.saturating_add(self.ttl as Millis) >= self.log_time
            && self.built.is_some_and(|built| built >= self.must_build)
    }

    /// The instant of the boot clock from which the lease has been usable without a lapse; `None`
    /// while it may not be used. Whatever happens to the lease between two questions is noted, so
    /// that a lapse is seen that nobody asked in.
    pub fn usable_since(&mut self, now_boot: u64, applied: Position) -> Option<u64> {
        if !self.usable(now_boot, applied) {
            self.usable_since = None;
            return None;
        }
        Some(*self.usable_since.get_or_insert(now_boot))
    }

    /// The time that the lease lasts, in milliseconds, whether it may be used or not.
    pub fn lease_left(&self, now_boot: u64) -> u64 {
        self.ends.saturating_sub(now_boot)
    }

    /// Says whether a first attempt may go out now. To be asked before its first byte (the lease
    /// rule).
    pub fn may_fire(
        &self,
        now: Now,
        applied: Position,
        shard: ShardId,
        ownership: &Ownership,
        due: Millis,
    ) -> bool {
        due > ownership.after && self.may_send(now, applied, shard, ownership, due)
    }

    /// Says whether an attempt of a pending row (a retry, a manual run) may go out now. `due` is
    /// the instant of the row's next attempt, and the caller takes the range that
    /// `Shard::holder_of_pending` names.
    pub fn may_send(
        &self,
        now: Now,
        applied: Position,
        shard: ShardId,
        ownership: &Ownership,
        due: Millis,
    ) -> bool {
        let key = (shard, ownership.epoch);
        let closed = ownership.closing
            && self.stated.get(&key).is_some_and(|watermark| *watermark >= ownership.until);
        self.usable(now.boot, applied)
            && due <= now.sched
            && due <= ownership.until
            && self.promises.get(&key).is_none_or(|until| due <= *until)
            && !closed
    }

    /// Asks to state a watermark for a range, and notes it if the answer is yes: no later promise
    /// goes below it, so the caller must write it to the journal.
    ///
    /// The caller asks only when everything of the range due up to the watermark is in the journal
    /// (the watermark rule). It asks for the end of a closing range only when nothing of the range
    /// is in flight or unrecorded.
    ///
    /// Under a promise the watermark stays *below* the hand-over instant until the hand-over is
    /// applied here. A replicated watermark at that instant would make the hand-over void, and the
    /// shard could never move.
    pub fn state_watermark(
        &mut self,
        now: Now,
        applied: Position,
        shard: ShardId,
        ownership: &Ownership,
        watermark: Millis,
    ) -> bool {
        let key = (shard, ownership.epoch);
        let below_promise = ownership.closing
            || self.promises.get(&key).is_none_or(|handover_at| watermark < *handover_at);
        let stated = self.stated.get(&key).copied().unwrap_or(ownership.after).max(ownership.after);
        let may = self.usable(now.boot, applied)
            && watermark > stated
            && watermark <= ownership.until
            && watermark <= applied.stamp
            && watermark <= now.sched
            && below_promise;
        if may {
            self.stated.insert(key, watermark);
        }
        may
    }

    /// The promised instant after which nothing more of this epoch is fired.
    pub fn promised(&self, shard: ShardId, epoch: u64) -> Option<Millis> {
        self.promises.get(&(shard, epoch)).copied()
    }

    /// Takes the shards as applied: promises and watermarks of epochs that are over are forgotten.
    pub fn shards_applied(&mut self, shards: &[Shard]) {
        let node = self.node;
        let live = |&(id, epoch): &(ShardId, u64)| {
            shards.iter().any(|shard| shard.id == id && shard.is_live(node, epoch))
        };
        self.promises.retain(|key, _| live(key));
        self.stated.retain(|key, _| live(key));
    }

    /// Voids the lease and the renewals under way, since wall and boot clock went apart.
    pub fn clock_jumped(&mut self) {
        self.ends = 0;
        self.usable_since = None;
        self.sent.clear();
    }

    /// Notes that a snapshot replaced the state at this index: nothing is fired until the queues
    /// are built from it.
    pub fn replaced(&mut self, index: u64) {
        self.must_build = self.must_build.max(index);
        if self.built.is_none_or(|built| built < self.must_build) {
            self.usable_since = None;
        }
    }

    /// Notes that the queues are built from the state at this index. Needed once after the start,
    /// too.
    pub fn rebuilt(&mut self, index: u64) {
        self.built = self.built.max(Some(index));
    }
}

/// The watermarks that a journal's entries state, the highest of each epoch. A [`Holder`] must know
/// them from its start.
pub fn stated_watermarks(
    entries: &[(u64, JournalEntry)],
) -> impl Iterator<Item = ((ShardId, u64), Millis)> {
    let mut highest: BTreeMap<(ShardId, u64), Millis> = BTreeMap::new();
    for (_, entry) in entries {
        if let JournalEntry::Watermarks(marks) = entry {
            for mark in marks {
                let seen = highest.entry((mark.shard, mark.epoch)).or_insert(mark.at);
                *seen = mark.at.max(*seen);
            }
        }
    }
    highest.into_iter()
}

#[cfg(test)]
#[path = "holder_tests.rs"]
mod tests;
