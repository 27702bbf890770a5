//! Pending rows: which wait, which are under way, which are done but not yet out of the books.
//!
//! The engine reads a shard's rows whenever the bell says that they changed, and this book makes
//! sure that a row is fired once, however often it is read. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Millis;
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::shard::ShardId;

/// The rows of all shards that this node has a part of.
#[derive(Debug, Default)]
pub(super) struct Rows {
    known: HashMap<u64, Row>,
    shards: BTreeMap<ShardId, BTreeSet<u64>>,
    waiting: BTreeMap<ShardId, BTreeSet<(Millis, u64)>>,
}

#[derive(Debug)]
struct Row {
    pending: Pending,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// So many requests are unfinished.
    Busy(u32),
    /// Its result is in this node's journal: the row goes when the cluster has it.
    Recorded,
}

impl Rows {
    /// Takes the rows of a shard as the books have them.
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
            match self.known.get_mut(&pending.id) {
                Some(row) if row.state == State::Waiting => {
                    waiting.remove(&(row.pending.next_at, pending.id));
                    waiting.insert((pending.next_at, pending.id));
                    row.pending = pending;
                }
                Some(_) => {}
                None => {
                    waiting.insert((pending.next_at, pending.id));
                    self.known.insert(pending.id, Row { pending, state: State::Waiting });
                }
            }
        }
    }

    /// Forgets a shard that this node has no part of any more; what is under way stays known.
    pub(super) fn drop_shard(&mut self, shard: ShardId) {
        self.waiting.remove(&shard);
        for id in self.shards.remove(&shard).unwrap_or_default() {
            if self.known.get(&id).is_some_and(|row| row.state == State::Waiting) {
                self.known.remove(&id);
            }
        }
    }

    /// A result for this row is in the journal from before this process began.
    pub(super) fn recorded_before(&mut self, id: u64, shard: ShardId) {
        let pending = Pending {
            id,
            shard,
            project: 0,
            due: 0,
            scheduled: 0,
            attempt: 0,
            next_at: 0,
            members: Members::default(),
        };
        self.known.insert(id, Row { pending, state: State::Recorded });
        self.shards.entry(shard).or_default().insert(id);
    }

    /// When the next row is due that `ours` accepts.
    pub(super) fn next(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<Millis> {
        self.first(ours).map(|(at, ..)| at)
    }

    /// Takes the next row due by `now` that `ours` accepts; it is under way until it is
    /// [`Rows::over`] or [`Rows::released`].
    pub(super) fn pop(
        &mut self,
        now: Millis,
        ours: impl Fn(ShardId, Millis) -> bool,
    ) -> Option<Pending> {
        let (at, id, shard) = self.first(ours).filter(|(at, ..)| *at <= now)?;
        self.waiting.get_mut(&shard)?.remove(&(at, id));
        let row = self.known.get_mut(&id)?;
        row.state = State::Busy(1);
        Some(row.pending.clone())
    }

    fn first(&self, ours: impl Fn(ShardId, Millis) -> bool) -> Option<(Millis, u64, ShardId)> {
        let firsts = self.waiting.iter().filter_map(|(shard, waiting)| {
            let first = waiting.iter().find(|(at, _)| ours(*shard, *at))?;
            Some((first.0, first.1, *shard))
        });
        firsts.min()
    }

    /// A row's work was split: one more request is unfinished.
    pub(super) fn opened(&mut self, id: u64) {
        if let Some(Row { state: State::Busy(n), .. }) = self.known.get_mut(&id) {
            *n += 1;
        }
    }

    /// One request of the row is finished, its result in the journal.
    pub(super) fn over(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        row.state = match row.state {
            State::Busy(n) if n > 1 => State::Busy(n - 1),
            _ => State::Recorded,
        };
        let (shard, done) = (row.pending.shard, row.state == State::Recorded);
        if done && !self.shards.get(&shard).is_some_and(|ids| ids.contains(&id)) {
            self.known.remove(&id);
        }
    }

    /// A request of the row was not sent: the row waits again. What its other requests came to is
    /// out of the books by the time it is read; the receiver knows the rest by its id.
    pub(super) fn released(&mut self, id: u64) {
        let Some(row) = self.known.get_mut(&id) else { return };
        row.state = State::Waiting;
        if let Some(waiting) = self.waiting.get_mut(&row.pending.shard) {
            waiting.insert((row.pending.next_at, id));
        } else {
            self.known.remove(&id);
        }
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
        Pending { id, shard: 3, project: 1, due: 5, scheduled: 5, attempt: 2, next_at, members }
    }

    fn all(_: ShardId, _: Millis) -> bool {
        true
    }

    #[test]
    fn a_row_fires_once_however_often_it_is_read() {
        let mut rows = Rows::default();
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(50));
        assert_eq!(rows.pop(60, all).map(|row| row.id), Some(2));
        assert_eq!(rows.pop(60, all), None, "the other is not due");
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(100), "it is under way");
        rows.over(2);
        rows.reread(3, vec![row(1, 100), row(2, 50)]);
        assert_eq!(rows.next(all), Some(100), "its result waits in the journal");
        rows.reread(3, vec![row(1, 100), row(3, 90)]);
        assert_eq!(rows.next(all), Some(90), "its next attempt is a new row");
    }

    #[test]
    fn a_closing_part_waits_for_its_rows() {
        let mut rows = Rows::default();
        rows.reread(3, vec![row(1, 100), row(2, 200)]);
        assert!(!rows.is_clear(3, 150));
        rows.pop(100, all).unwrap();
        rows.opened(1);
        rows.over(1);
        assert!(!rows.is_clear(3, 150), "half of it is under way");
        rows.over(1);
        assert!(rows.is_clear(3, 150));
        assert!(!rows.is_clear(3, 200));
    }

    #[test]
    fn a_row_that_was_withheld_waits_again_and_a_foreign_one_is_left_alone() {
        let mut rows = Rows::default();
        rows.reread(3, vec![row(1, 100)]);
        rows.pop(100, all).unwrap();
        rows.released(1);
        assert_eq!(rows.pop(100, |_, at| at > 100), None);
        assert_eq!(rows.pop(100, all).map(|row| row.id), Some(1));
    }

    #[test]
    fn a_result_of_the_process_before_counts() {
        let mut rows = Rows::default();
        rows.recorded_before(1, 3);
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(rows.next(all), None);
    }
}
