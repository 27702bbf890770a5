//! The pending rows of this node's shards: which wait, which are under way, which have a result in
//! the journal and are not yet gone from the store.
//!
//! The engine reads the rows of a shard again whenever a change names it. The once rule is kept
//! here: a row is given out once, however often it is read. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, JournalEntry, Verdict};
use crate::model::job::{PARKED, Pending};
use crate::model::members::Members;
use crate::model::offer::Offer;
use crate::model::shard::{OwnershipKey, ShardId};

/// The rows of all shards in which this node has an ownership range.
#[derive(Debug, Default)]
pub(in crate::worker) struct PendingRows {
    known: HashMap<u64, Row>,
    shards: BTreeMap<ShardId, BTreeSet<u64>>,
    waiting: BTreeMap<ShardId, BTreeSet<(Millis, u64)>>,
    /// The ranges of this node: a dead letter under another epoch settles nothing (the epoch rule).
    ownerships: BTreeSet<OwnershipKey>,
}

#[derive(Debug)]
struct Row {
    pending: Pending,
    state: State,
    /// The results in this node's journal.
    done: Vec<RowResult>,
}

/// Members of a row with a result in the journal.
#[derive(Debug)]
pub(super) struct RowResult {
    members: Members,
    /// The epoch of a dead letter, a deferral or an offer. The result counts only as long as this
    /// node has that epoch.
    under: Option<u64>,
    /// The instant of a deferral. The result counts until the row in the store has moved there.
    deferred_to: Option<Millis>,
    /// The members wait for a worker.
    is_offer: bool,
}

impl RowResult {
    /// The result that a record holds for its row.
    pub(super) fn of(record: &AttemptRecord) -> Self {
        let deferred_to = match record.verdict {
            Verdict::Postponed { at } => Some(at),
            _ => None,
        };
        let under = record.verdict.needs_its_epoch().then_some(record.epoch);
        Self { members: record.members.clone(), under, deferred_to, is_offer: false }
    }

    /// The row that an entry is about, its shard, and the result for it; `None` for an entry about
    /// no row.
    fn of_entry(entry: &JournalEntry) -> Option<(u64, ShardId, Self)> {
        let of_offer = |offer: &Offer, under: Option<u64>| {
            let (members, is_offer) = (offer.members.clone(), under.is_some());
            let done = Self { members, under, deferred_to: None, is_offer };
            Some((offer.pending?, offer.shard, done))
        };
        match entry {
            JournalEntry::Attempt(record) => {
                Some((record.pending?, record.shard, Self::of(record)))
            }
            JournalEntry::Offered(offer) => of_offer(offer, Some(offer.epoch)),
            JournalEntry::Taken(taken) => of_offer(&taken.offer, None),
            JournalEntry::Watermarks(_) | JournalEntry::Progress(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// The number of unfinished requests.
    Busy(u32),
    /// The results are in this node's journal. The row goes when the cluster has them.
    Recorded,
}

impl Row {
    /// The members that still have to go out.
    fn open(&self, ownerships: &BTreeSet<OwnershipKey>) -> Members {
        let shard = self.pending.shard;
        let next_at = self.pending.next_at;
        let counts = |done: &&RowResult| {
            done.under.is_none_or(|epoch| ownerships.contains(&(shard, epoch)))
                && done.deferred_to.is_none_or(|at| next_at < at)
        };
        let done = self.done.iter().filter(counts);
        done.fold(self.pending.members.clone(), |open, done| open.without(&done.members))
    }
}

impl PendingRows {
    /// The rows with a result in this node's journal from before this process began.
    pub(in crate::worker) fn from_journal(unforgotten: &[(u64, JournalEntry)]) -> Self {
        let mut rows = Self::default();
        for (_, entry) in unforgotten {
            if let Some((id, shard, done)) = RowResult::of_entry(entry) {
                rows.recorded_earlier(id, shard, done);
            }
        }
        rows
    }

    /// Takes the ranges that this node has from now on.
    pub(super) fn set_ownerships(&mut self, ownerships: BTreeSet<OwnershipKey>) {
        self.ownerships = ownerships;
    }

    /// Takes the rows of a shard as the store has them.
    pub(super) fn reread(&mut self, shard: ShardId, rows: Vec<Pending>) {
        let found: BTreeSet<u64> = rows.iter().map(|row| row.id).collect();
        let listed = self.shards.entry(shard).or_default();
        let waiting = self.waiting.entry(shard).or_default();
        for id in listed.difference(&found) {
            if let Some(row) = self.known.get(id)
                && !matches!(row.state, State::Busy(_))
            {
                waiting.remove(&(row.pending.next_at, *id));
                self.known.remove(id);
            }
        }
        *listed = found;
        for pending in rows {
            let id = pending.id;
            let row = self.known.entry(id).or_insert_with(|| Row {
                pending: pending.clone(),
                state: State::Waiting,
                done: Vec::new(),
            });
            if let Some(waiting) = self.waiting.get_mut(&shard) {
                waiting.remove(&(row.pending.next_at, id));
            }
            row.pending = pending;
            // A deferral up to here is in the store by now. A row that was parked meanwhile does
            // not become an offer.
            let next_at = row.pending.next_at;
            row.done.retain(|done| {
                let is_refused = done.is_offer && next_at == PARKED;
                !is_refused && done.deferred_to.is_none_or(|at| next_at < at)
            });
            self.place(id);
        }
    }

    /// Lets a row wait that is not under way, if anything of it still has to go out.
    fn place(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        if matches!(row.state, State::Busy(_)) {
            return;
        }
        let open = row.done.is_empty() || !row.open(&self.ownerships).is_empty();
        row.state = if open { State::Waiting } else { State::Recorded };
        // A parked row belongs to nobody until it is released, at an instant after the hand-over
        // instant of every hand-over before. A closing range need not wait for it.
        let timed = open && row.pending.next_at != PARKED;
        if timed && let Some(waiting) = self.waiting.get_mut(&row.pending.shard) {
            waiting.insert((row.pending.next_at, id));
        }
    }

    /// Forgets a shard in which this node has no range any more. Rows that are under way, or have a
    /// result in the journal, stay known.
    pub(super) fn drop_shard(&mut self, shard: ShardId) {
        self.waiting.remove(&shard);
        let Some(listed) = self.shards.get_mut(&shard) else { return };
        listed.retain(|id| {
            let Some(row) = self.known.get_mut(id) else { return false };
            if row.state == State::Waiting && row.done.is_empty() {
                self.known.remove(id);
                return false;
            }
            if row.state == State::Waiting {
                row.state = State::Recorded;
            }
            true
        });
    }

    /// Adds a result from before this process began.
    fn recorded_earlier(&mut self, id: u64, shard: ShardId, done: RowResult) {
        let pending = Pending { id, attempt: 0, ..Pending::new(0, shard, 0, Members::default()) };
        let row = Row { pending, state: State::Recorded, done: Vec::new() };
        self.known.entry(id).or_insert(row).done.push(done);
        self.shards.entry(shard).or_default().insert(id);
    }

    /// Notes an entry about a row that the supervisor has written to the own journal.
    pub(super) fn note_journaled(&mut self, entry: &JournalEntry) {
        let Some((id, shard, done)) = RowResult::of_entry(entry) else { return };
        let Some(row) = self.known.get_mut(&id) else { return };
        let next_at = row.pending.next_at;
        if !(done.is_offer && next_at == PARKED) {
            row.done.push(done);
        }
        if let Some(waiting) = self.waiting.get_mut(&shard) {
            waiting.remove(&(next_at, id));
        }
        self.place(id);
    }

    /// The instant of the next row that `ours` accepts.
    pub(super) fn next(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<Millis> {
        self.first(ours).map(|(at, ..)| at)
    }

    /// Takes the next row due by `now` that `ours` accepts. It is under way until the last
    /// [`PendingRows::piece_finished`].
    pub(super) fn pop(
        &mut self,
        now: Millis,
        ours: impl Fn(ShardId, Millis) -> bool,
    ) -> Option<Pending> {
        let (at, id, shard) = self.first(ours).filter(|(at, ..)| *at <= now)?;
        self.waiting.get_mut(&shard)?.remove(&(at, id));
        let row = self.known.get_mut(&id)?;
        row.state = State::Busy(1);
        let members = row.open(&self.ownerships);
        Some(Pending { members, ..row.pending.clone() })
    }

    fn first(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<(Millis, u64, ShardId)> {
        let firsts = self.waiting.iter().filter_map(|(shard, waiting)| {
            let first = waiting.iter().find(|(at, _)| ours(*shard, *at))?;
            Some((first.0, first.1, *shard))
        });
        firsts.min()
    }

    /// Counts one more unfinished request of a row.
    pub(super) fn piece_started(&mut self, id: u64) {
        if let Some(Row { state: State::Busy(n), .. }) = self.known.get_mut(&id) {
            *n += 1;
        }
    }

    /// Counts a request of the row as finished, with its results in the journal, or none if it was
    /// not sent. After the last one, members without a result wait again.
    pub(super) fn piece_finished(&mut self, id: u64, done: impl IntoIterator<Item = RowResult>) {
        let Some(row) = self.known.get_mut(&id) else { return };
        row.done.extend(done);
        if let State::Busy(n) = row.state
            && n > 1
        {
            row.state = State::Busy(n - 1);
            return;
        }
        row.state = State::Recorded;
        let shard = row.pending.shard;
        let listed = self.shards.get_mut(&shard);
        if listed.as_ref().is_some_and(|ids| ids.contains(&id)) && self.waiting.contains_key(&shard)
        {
            self.place(id);
            return;
        }
        if !row.done.is_empty() && listed.as_ref().is_some_and(|ids| ids.contains(&id)) {
            // The shard is being read again, or is not this node's any more. As long as the store
            // lacks the results, the row must not be taken for a new one.
            return;
        }
        // The row is gone from the store, or not this node's any more.
        self.known.remove(&id);
        listed.map(|ids| ids.remove(&id));
    }

    /// Lets a row wait for the next [`PendingRows::reread`], since the store knows more of it than
    /// was read.
    pub(super) fn await_reread(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        if let State::Busy(n) = row.state
            && n > 1
        {
            // The other requests of the row decide when it waits again.
            row.state = State::Busy(n - 1);
            return;
        }
        row.state = State::Recorded;
    }

    /// Says whether no row of a shard due by an instant waits or is under way.
    pub(super) fn is_clear(&self, shard: ShardId, until: Millis) -> bool {
        let open = self.known.values().filter(|row| row.pending.shard == shard);
        !open.into_iter().any(|row| row.state != State::Recorded && row.pending.next_at <= until)
    }

    /// The number of rows under way.
    pub(super) fn busy(&self) -> u64 {
        self.known.values().filter(|row| matches!(row.state, State::Busy(_))).count() as u64
    }

    /// The number of rows that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.values().map(|rows| rows.len() as u64).sum()
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
