//! A node's side of its lease: may it fire now, and what has it promised?
//!
//! The engine keeps one [`Holder`], tells it what happens (a renewal goes out, an answer comes in,
//! an entry was applied, a clock jumped), and asks it right before each request's first byte and
//! before each watermark. Pure: no clock, no I/O. It never decides where shards go; that is
//! `coordinator::placement`.
//!
//! A lease counts from *sending* the renewal, ends a tenth early, and may be used only by a node
//! that has applied the assignments that the grant knows of and has built its queues from them. The
//! first one, and one that comes after the last has run out, needs all applied that is committed: a
//! node that was cut off fires by its old store until its lease ends, and not a moment longer.

use std::collections::{BTreeMap, VecDeque};

use crate::model::lease::{
    Answer, Facts, Now, PROMISE_AHEAD, Position, Promise, Refusal, Renewal, Timing,
};
use crate::model::process::Process;
use crate::model::shard::{Ownership, Shard, ShardId};
use crate::model::{Millis, NodeId};

/// How many renewals may be under way; an answer to an older one counts for nothing.
const UNANSWERED: usize = 32;

/// The node's lease, promises and stated watermarks; see the head of this file.
#[derive(Debug)]
pub struct Holder {
    node: NodeId,
    instance: u128,
    boot: u64,
    /// Highest term that the node's own Raft has seen.
    term: u64,
    number: u64,
    /// Renewals under way: (number, boot time of sending).
    sent: VecDeque<(u64, u64)>,
    /// Boot-clock instant at which the lease ends; 0 for none.
    ends: u64,
    ttl: u64,
    log_time: Millis,
    needs_index: u64,
    draining: bool,
    /// What the queues were last built from, and what they must at least be built from.
    built: Option<u64>,
    must_build: u64,
    promises: BTreeMap<(ShardId, u64), Millis>,
    stated: BTreeMap<(ShardId, u64), Millis>,
}

/// What an answer brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The lease was prolonged.
    pub granted: bool,
    /// Why not, if the leader said so.
    pub refused: Option<Refusal>,
    /// New promises: renew at once, so that the leader hears of them.
    pub promised: Vec<Promise>,
}

impl Holder {
    /// A node that was just started, without a lease. `boot` is its durable start number, `term`
    /// the term its Raft has stored, `stated` the watermarks that its journal still holds.
    pub fn new(
        node: NodeId,
        instance: u128,
        boot: u64,
        term: u64,
        stated: impl IntoIterator<Item = ((ShardId, u64), Millis)>,
    ) -> Self {
        let mut highest = BTreeMap::new();
        for (key, w) in stated {
            let seen = highest.entry(key).or_insert(w);
            *seen = w.max(*seen);
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
            promises: BTreeMap::new(),
            stated: highest,
        }
    }

    /// The node's Raft has (durably) seen a term: grants of a lower one are refused from now on.
    /// The lease at hand stays good.
    pub fn saw_term(&mut self, term: u64) {
        self.term = self.term.max(term);
    }

    /// The term that the next renewal will name.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The next renewal, to be sent to the leader of [`Holder::term`] at once.
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
            // The transport knows it.
            process: Process::default(),
        }
    }

    /// Takes an answer: prolongs the lease, and promises away what it is asked to release.
    /// `shards` are the store as applied here.
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
                let ends = sent + Timing::usable(grant.ttl);
                // Without a lease a node may be far behind, after its start or after it was cut off,
                // and the lease is back sooner than the log.
                if now.boot >= self.ends {
                    self.needs_index = self.needs_index.max(grant.commit_index);
                }
                if ends > self.ends {
                    self.ends = ends;
                    self.ttl = grant.ttl;
                }
                self.log_time = self.log_time.max(grant.log_time);
                self.needs_index = self.needs_index.max(grant.needs_index);
            }
        }
        // Only a node that knows the newest assignments can promise sensibly; it is asked again.
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

    /// H lies above all that was stated under this epoch *and* above the store's W: that one may
    /// come from a faster clock than ours, and a hand-over at or below it would never be accepted.
    /// A move for balance starts a whole TTL ahead, so that it delays nothing even if the leader
    /// dies before it has carried it out; a node that pending_reads to stop takes the short way.
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

    /// Whether the lease may be used, by a node that has applied so far.
    pub fn usable(&self, now_boot: u64, applied: Position) -> bool {
        now_boot < self.ends
            && applied.index >= self.needs_index
            && applied.stamp.saturating_add(self.ttl as Millis) >= self.log_time
            && self.built.is_some_and(|built| built >= self.must_build)
    }

    /// How many milliseconds the lease lasts, applied or not.
    pub fn lease_left(&self, now_boot: u64) -> u64 {
        self.ends.saturating_sub(now_boot)
    }

    /// Whether a first attempt may go out now. Ask right before its first byte.
    pub fn may_fire(
        &self,
        now: Now,
        applied: Position,
        shard: ShardId,
        part: &Ownership,
        due: Millis,
    ) -> bool {
        due > part.after && self.may_send(now, applied, shard, part, due)
    }

    /// Whether an attempt of a pending row (a retry, a manual run) may go out now; `due` is the
    /// row's next attempt. The caller takes the part that `Shard::holder_of_pending` names.
    pub fn may_send(
        &self,
        now: Now,
        applied: Position,
        shard: ShardId,
        part: &Ownership,
        due: Millis,
    ) -> bool {
        let key = (shard, part.epoch);
        let closed = part.closing && self.stated.get(&key).is_some_and(|w| *w >= part.until);
        self.usable(now.boot, applied)
            && due <= now.sched
            && due <= part.until
            && self.promises.get(&key).is_none_or(|until| due <= *until)
            && !closed
    }

    /// Asks to state W = `w` for a part, and takes note of it if the answer is yes: from then on
    /// no promise goes below it, so write it to the journal. Ask only when everything of the part
    /// due up to `w` is in the journal; and for `w` = the end of a closing part (the closing
    /// statement), when nothing of it is in flight or unrecorded.
    ///
    /// Under a promise, W stays *below* H until the hand-over is applied here: a W = H in the store
    /// would make the hand-over void, and the shard would be stuck.
    pub fn state_watermark(
        &mut self,
        now: Now,
        applied: Position,
        shard: ShardId,
        part: &Ownership,
        w: Millis,
    ) -> bool {
        let key = (shard, part.epoch);
        let below_promise = part.closing || self.promises.get(&key).is_none_or(|h| w < *h);
        let stated = self.stated.get(&key).copied().unwrap_or(part.after).max(part.after);
        let may = self.usable(now.boot, applied)
            && w > stated
            && w <= part.until
            && w <= applied.stamp
            && w <= now.sched
            && below_promise;
        if may {
            self.stated.insert(key, w);
        }
        may
    }

    /// The instant after which nothing more of this epoch is fired, if that was promised.
    pub fn promised(&self, shard: ShardId, epoch: u64) -> Option<Millis> {
        self.promises.get(&(shard, epoch)).copied()
    }

    /// The store as applied: what was promised or stated under epochs that are over is forgotten.
    pub fn shards_applied(&mut self, shards: &[Shard]) {
        let node = self.node;
        let live = |&(id, epoch): &(ShardId, u64)| {
            shards.iter().any(|shard| shard.id == id && shard.is_live(node, epoch))
        };
        self.promises.retain(|key, _| live(key));
        self.stated.retain(|key, _| live(key));
    }

    /// Wall and boot clock went apart: the lease, and what is asked for, is void.
    pub fn clock_jumped(&mut self) {
        self.ends = 0;
        self.sent.clear();
    }

    /// A snapshot replaced the store at this index: nothing is fired until the queues are built
    /// from it.
    pub fn replaced(&mut self, index: u64) {
        self.must_build = self.must_build.max(index);
    }

    /// The queues are built from the store as of this index (needed once after the start, too).
    pub fn rebuilt(&mut self, index: u64) {
        self.built = self.built.max(Some(index));
    }
}

#[cfg(test)]
#[path = "holder_tests.rs"]
mod tests;
