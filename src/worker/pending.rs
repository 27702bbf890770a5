//! Pending rows: which wait, which are under way, which are done but not yet out of the store.
//!
//! The engine reads a shard's rows whenever the changes says that they changed, and this book makes
//! sure that a row is fired once, however often it is read. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::due_queue::OwnershipKey;
use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, Verdict};
use crate::model::job::{PARKED, Pending};
use crate::model::members::Members;
use crate::model::shard::ShardId;

/// The rows of all shards that this node has a part of.
#[derive(Debug, Default)]
pub(super) struct PendingRows {
    known: HashMap<u64, Row>,
    shards: BTreeMap<ShardId, BTreeSet<u64>>,
    waiting: BTreeMap<ShardId, BTreeSet<(Millis, u64)>>,
    /// The parts that this node has: a `dead` under another epoch settles nothing.
    parts: BTreeSet<OwnershipKey>,
}

#[derive(Debug)]
struct Row {
    pending: Pending,
    state: State,
    /// What of it is in this node's journal.
    done: Vec<RowResult>,
}

/// Members of a row with a result in the journal.
#[derive(Debug)]
pub(super) struct RowResult {
    members: Members,
    /// They were given up, or put off, under this epoch: that counts only as long as it lasts.
    under: Option<u64>,
    /// They were put off to this instant: that counts until the row is moved there.
    deferred_to: Option<Millis>,
}

impl RowResult {
    /// What a record says of the row that it was made for.
    pub(super) fn of(record: &AttemptRecord) -> Self {
        let deferred_to = match record.verdict {
            Verdict::Postponed { at } => Some(at),
            _ => None,
        };
        let under = record.verdict.needs_its_epoch().then_some(record.epoch);
        Self { members: record.members.clone(), under, deferred_to }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// So many requests are unfinished.
    Busy(u32),
    /// Its results are in this node's journal: the row goes when the cluster has them.
    Recorded,
}

impl Row {
    /// The members that still have to go out.
    fn open(&self, parts: &BTreeSet<OwnershipKey>) -> Members {
        let shard = self.pending.shard;
        let next_at = self.pending.next_at;
        let counts = |done: &&RowResult| {
            done.under.is_none_or(|epoch| parts.contains(&(shard, epoch)))
                && done.deferred_to.is_none_or(|at| next_at < at)
        };
        let done = self.done.iter().filter(counts);
        done.fold(self.pending.members.clone(), |open, done| open.without(&done.members))
    }
}

impl PendingRows {
    /// Takes the parts that this node has from now on.
    pub(super) fn set_ownerships(&mut self, parts: BTreeSet<OwnershipKey>) {
        self.parts = parts;
    }

    /// Takes the rows of a shard as the store have them.
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
            // What was put off to here is in the store by now.
            row.done.retain(|done| done.deferred_to.is_none_or(|at| row.pending.next_at < at));
            self.place(id);
        }
    }

    /// Lets a row that is not under way wait, if anything of it still has to go out.
    fn place(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        if matches!(row.state, State::Busy(_)) {
            return;
        }
        let open = row.done.is_empty() || !row.open(&self.parts).is_empty();
        row.state = if open { State::Waiting } else { State::Recorded };
        // A parked row is nobody's until it is released, at an instant after every promise that was
        // kept by then: a part that closes need not wait for it.
        let timed = open && row.pending.next_at != PARKED;
        if timed && let Some(waiting) = self.waiting.get_mut(&row.pending.shard) {
            waiting.insert((row.pending.next_at, id));
        }
    }

    /// Forgets a shard that this node has no part of any more; what is under way, or has a result
    /// in the journal, stays known.
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

    /// A result for this row is in the journal from before this process began.
    pub(super) fn recorded_earlier(&mut self, id: u64, shard: ShardId, done: RowResult) {
        let pending = Pending {
            id,
            shard,
            project: 0,
            due: 0,
            scheduled: 0,
            attempt: 0,
            next_at: 0,
            members: Members::default(),
            run: 0,
            base: 0,
            forced: false,
            postponed: None,
        };
        let row = Row { pending, state: State::Recorded, done: Vec::new() };
        self.known.entry(id).or_insert(row).done.push(done);
        self.shards.entry(shard).or_default().insert(id);
    }

    /// When the next row is due that `ours` accepts.
    pub(super) fn next(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<Millis> {
        self.first(ours).map(|(at, ..)| at)
    }

    /// Takes the next row due by `now` that `ours` accepts; it is under way until it is
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
        let members = row.open(&self.parts);
        Some(Pending { members, ..row.pending.clone() })
    }

    fn first(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<(Millis, u64, ShardId)> {
        let firsts = self.waiting.iter().filter_map(|(shard, waiting)| {
            let first = waiting.iter().find(|(at, _)| ours(*shard, *at))?;
            Some((first.0, first.1, *shard))
        });
        firsts.min()
    }

    /// A row's work was split: one more request is unfinished.
    pub(super) fn piece_started(&mut self, id: u64) {
        if let Some(Row { state: State::Busy(n), .. }) = self.known.get_mut(&id) {
            *n += 1;
        }
    }

    /// One request of the row is finished, its results in the journal; none, if it was not sent.
    /// With the last one, what has no result waits again.
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
        // Gone from the store, or not this node's any more.
        self.known.remove(&id);
        listed.map(|ids| ids.remove(&id));
    }

    /// The store know more of a row than was read: it waits for the next [`PendingRows::reread`].
    pub(super) fn await_reread(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        if let State::Busy(n) = row.state
            && n > 1
        {
            // What else is out of it decides when it waits again.
            row.state = State::Busy(n - 1);
            return;
        }
        row.state = State::Recorded;
    }

    /// Whether no row of a shard due by an instant waits or is under way.
    pub(super) fn is_clear(&self, shard: ShardId, until: Millis) -> bool {
        let open = self.known.values().filter(|row| row.pending.shard == shard);
        !open.into_iter().any(|row| row.state != State::Recorded && row.pending.next_at <= until)
    }

    /// How many rows are under way.
    pub(super) fn busy(&self) -> u64 {
        self.known.values().filter(|row| matches!(row.state, State::Busy(_))).count() as u64
    }

    /// How many rows wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.values().map(|rows| rows.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, next_at: Millis) -> Pending {
        let members = Members::from_sorted([id]);
        Pending {
            id,
            shard: 3,
            project: 1,
            due: 5,
            scheduled: 5,
            attempt: 2,
            next_at,
            members,
            run: 0,
            base: 0,
            forced: false,
            postponed: None,
        }
    }

    fn pair(next_at: Millis) -> Pending {
        Pending { members: Members::from_sorted([1, 2]), ..row(1, next_at) }
    }

    fn done<const N: usize>(members: [u64; N], under: Option<u64>) -> RowResult {
        RowResult { members: Members::from_sorted(members), under, deferred_to: None }
    }

    fn pop(rows: &mut PendingRows) -> Option<Vec<u64>> {
        rows.pop(100, all).map(|row| row.members.iter().collect())
    }

    fn all(_: ShardId, _: Millis) -> bool {
        true
    }

    #[test]
    fn a_row_fires_once_however_often_it_is_read() {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(50));
        assert_eq!(rows.pop(60, all).map(|row| row.id), Some(2));
        assert_eq!(rows.pop(60, all), None, "the other is not due");
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(100), "it is under way");
        rows.piece_finished(2, [done([2], None)]);
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(100), "its result waits in the journal");
        rows.reread(3, vec![row(1, 100), row(3, 90)]);
        assert_eq!(rows.next(all), Some(90), "its next attempt is a new row");
    }

    #[test]
    fn a_closing_part_waits_for_its_rows() {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![row(1, 100), row(2, 200)]);
        assert!(!rows.is_clear(3, 150));
        rows.pop(100, all).unwrap();
        rows.piece_started(1);
        rows.piece_finished(1, None);
        assert!(!rows.is_clear(3, 150), "half of it is under way");
        rows.piece_finished(1, [done([1], None)]);
        assert!(rows.is_clear(3, 150));
        assert!(!rows.is_clear(3, 200));
    }

    #[test]
    fn a_row_that_was_withheld_waits_again_and_a_foreign_one_is_left_alone() {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![row(1, 100)]);
        rows.pop(100, all).unwrap();
        rows.piece_finished(1, None);
        assert_eq!(rows.pop(100, |_, at| at > 100), None);
        assert_eq!(rows.pop(100, all).map(|row| row.id), Some(1));
    }

    #[test]
    fn a_result_of_the_process_before_counts() {
        let mut rows = PendingRows::default();
        rows.recorded_earlier(1, 3, done([1], None));
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(rows.next(all), None);
    }

    #[test]
    fn what_a_crash_left_of_a_row_goes_out_after_it() {
        let mut rows = PendingRows::default();
        rows.recorded_earlier(1, 3, done([1], None));
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![2]), "the other half never got a result");
        rows.piece_finished(1, [done([2], None)]);
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), None);
    }

    #[test]
    fn what_was_withheld_of_a_row_goes_out_again_when_the_rest_is_over() {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![1, 2]));
        rows.piece_started(1);
        rows.piece_finished(1, None);
        assert_eq!(pop(&mut rows), None, "the other half is under way");
        rows.piece_finished(1, [done([1], None)]);
        assert_eq!(pop(&mut rows), Some(vec![2]));
    }

    #[test]
    fn what_was_given_up_under_a_past_epoch_is_tried_under_the_present_one() {
        let mut rows = PendingRows::default();
        rows.set_ownerships(BTreeSet::from([(3, 7)]));
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![1, 2]));
        rows.piece_finished(1, [done([1, 2], Some(7))]);
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), None, "the store will take it for an end");
        rows.drop_shard(3);
        rows.set_ownerships(BTreeSet::from([(3, 9)]));
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![1, 2]));
    }

    #[test]
    fn what_was_put_off_waits_for_the_books_to_move_it() {
        let mut rows = PendingRows::default();
        let deferred_to = |at| RowResult { deferred_to: Some(at), ..done([1, 2], None) };
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![1, 2]));
        rows.piece_finished(1, [deferred_to(150)]);
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), None, "not in the store yet");
        rows.reread(3, vec![pair(150)]);
        assert_eq!(rows.next(all), Some(150));
        assert_eq!(rows.pop(150, all).map(|row| row.members.len()), Some(2));
        rows.piece_finished(
            1,
            [done([1], None), RowResult { deferred_to: Some(190), ..done([2], None) }],
        );
        rows.reread(3, vec![pair(150)]);
        assert_eq!(rows.next(all), None);
        rows.reread(3, vec![pair(190)]);
        assert_eq!(rows.pop(190, all).map(|row| row.members.iter().collect()), Some(vec![2_u64]));
    }

    #[test]
    fn what_was_put_off_under_a_past_epoch_is_tried_under_the_present_one() {
        let mut rows = PendingRows::default();
        rows.set_ownerships(BTreeSet::from([(3, 9)]));
        rows.recorded_earlier(1, 3, RowResult { deferred_to: Some(150), ..done([1, 2], Some(7)) });
        rows.reread(3, vec![pair(100)]);
        assert_eq!(pop(&mut rows), Some(vec![1, 2]), "the store do not take it from there");
    }

    #[test]
    fn a_row_set_aside_waits_for_the_next_read() {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![row(1, 100)]);
        rows.pop(100, all).unwrap();
        rows.await_reread(1);
        assert_eq!(rows.next(all), None);
        rows.reread(3, vec![row(1, Millis::MAX)]);
        assert_eq!(rows.next(|_, at| at < Millis::MAX), None, "it is parked");
        rows.reread(3, vec![row(1, 120)]);
        assert_eq!(rows.pop(120, all).map(|row| row.id), Some(1));
    }
}
