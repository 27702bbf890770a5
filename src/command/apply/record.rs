//! Rules of results: what a stretch of a journal does to occurrences. Called by `apply` alone.
//!
//! ```text
//!   attempt recorded ---+--> delivered (or skipped, or dead in a live epoch): the end
//!                       +--> failed: one pending row for all that failed as one
//! ```
//!
//! Two facts are kept true by every branch, and each branch leans on them: an occurrence is in at
//! most one pending row, and one that is in a row has no end state. So an attempt that was made for
//! a row needs no look at the history: what is still in a row is open, what is not, is settled.
//!
//! An occurrence is (job, scheduled instant). Delivered beats everything, also from a past epoch;
//! else the first end state stands. A `dead` of a past epoch is an attempt and no end state: whoever
//! owns the shard now has not given up.

use super::{Applied, Entry, Refusal, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::block::{Block, JournalEntry, Record, Verdict};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::{Millis, NodeId};
use crate::store::dead_letters::{self, DeadLetter};
use crate::store::meta::Counter;
use crate::store::{blocks, cursors, pending};

impl Entry<'_, '_> {
    /// Takes a stretch of a journal: skips what is recorded already, refuses a gap.
    pub(super) fn record(&mut self, record: &Record) -> Applied {
        let known = cursors::get_incarnation(self.tx, record.node, record.incarnation)?;
        let expected = known.map_or(1, |seq| seq + 1);
        if record.first > expected || record.first == 0 {
            return Err(refuse(
                RejectionKind::Conflict,
                format!(
                    "journal of node {} goes on at {}, expected sequence {expected}",
                    record.node, record.first
                ),
            ));
        }
        let skip = (expected - record.first).min(record.entries.len() as u64);
        let fresh = &record.entries[skip as usize..];
        if fresh.is_empty() {
            return Ok(Outcome::Done);
        }
        for entry in fresh {
            match entry {
                JournalEntry::Block(block) => self.record_block(record.node, block)?,
                JournalEntry::Watermarks(marks) => {
                    for mark in marks {
                        let advanced = self.tx.change_shard(mark.shard, |shard| {
                            let closing = shard.closing.is_some();
                            let changed = shard.advance(record.node, mark.epoch, mark.at);
                            // The end of a hand-over is news to the coordinator.
                            self.change.shards |= closing != shard.closing.is_some();
                            changed
                        });
                        advanced?;
                    }
                }
            }
        }
        let last = expected + fresh.len() as u64 - 1;
        cursors::set(self.tx, record.node, record.incarnation, last, self.index)?;
        Ok(Outcome::Done)
    }

    fn record_block(&mut self, node: NodeId, block: &Block) -> Result<(), Refusal> {
        if block.members.is_empty() {
            return Ok(());
        }
        let live = self.tx.shard(block.shard)?.is_some_and(|s| s.is_live(node, block.epoch));
        match block.verdict {
            Verdict::Delivered => {
                self.keep_block(node, !live, block)?;
                self.close_rows(block, &block.members)?;
                self.revive_dead(block)?;
            }
            Verdict::Retry { at } => {
                self.keep_block(node, !live, block)?;
                self.retry(block, at)?;
            }
            Verdict::Postponed { .. } | Verdict::Running => {}
            Verdict::Dead => {
                let open = if live { self.open_members(block)? } else { Members::default() };
                let id = self.keep_block(node, !live, block)?;
                if !open.is_empty() {
                    self.give_up_on(id, block, open)?;
                }
            }
            // A range holds for what had neither end state nor row when it was decided; it is kept
            // as it is, and read with that in mind.
            Verdict::Skipped(_) if block.since.is_some() => {
                self.keep_block(node, !live, block)?;
            }
            Verdict::Skipped(_) => {
                let open = self.open_members(block)?;
                if open.is_empty() {
                    return Ok(()); // decided otherwise before: nothing was sent, nothing is told
                }
                self.close_rows(block, &open)?;
                self.keep_block(node, !live, &Block { members: open, ..block.clone() })?;
            }
        }
        Ok(())
    }

    /// Adds a block to the history; its number.
    fn keep_block(&mut self, node: NodeId, stale: bool, block: &Block) -> Result<u64, Refusal> {
        let count = block.members.len();
        let id = self.tx.take(Counter::Execution, count)?;
        blocks::insert(self.tx, id, node, stale, self.stamp, block)?;
        self.tx.tally(block.project, block.due, block.verdict, count as i64);
        self.change.executions = true;
        Ok(id)
    }

    /// One new row for those whose failure is news.
    fn retry(&mut self, block: &Block, at: Millis) -> Result<(), Refusal> {
        let failed = if let Some(row) = block.pending {
            let Some(row) = pending::get(self.tx, row)? else { return Ok(()) };
            let rest = row.members.without(&block.members);
            let failed = row.members.without(&rest);
            if !failed.is_empty() {
                pending::keep(self.tx, row.id, &rest)?;
            }
            failed
        } else {
            let mut open = self.not_ended(block)?;
            let rows = self.rows(block)?;
            for row in rows {
                open = open.without(&row.members);
            }
            open
        };
        if failed.is_empty() {
            return Ok(());
        }
        let row = Pending {
            id: self.tx.take(Counter::Pending, 1)?,
            shard: block.shard,
            project: block.project,
            due: block.due,
            scheduled: block.scheduled,
            attempt: block.attempt.saturating_add(1),
            next_at: at,
            members: failed,
            run: block.run,
            base: 0,
            forced: false,
        };
        pending::insert(self.tx, &row)?;
        self.pending_changed(block.shard);
        Ok(())
    }

    /// The end of those that are not settled otherwise: one dead letter for all of them.
    fn give_up_on(&mut self, id: u64, block: &Block, open: Members) -> Result<(), Refusal> {
        self.close_rows(block, &open)?;
        let letter = DeadLetter {
            id: self.tx.take(Counter::DeadLetter, 1)?,
            block: id,
            project: block.project,
            shard: block.shard,
            due: block.due,
            scheduled: block.scheduled,
            attempt: block.attempt,
            http_code: block.http_code,
            error: block.error.clone(),
            created: self.stamp,
            members: open,
            run: block.run,
        };
        dead_letters::insert(self.tx, &letter)?;
        Ok(())
    }

    /// Takes members that have reached an end state out of the pending rows of their occurrence.
    fn close_rows(&mut self, block: &Block, ended: &Members) -> Result<(), Refusal> {
        for row in self.rows(block)? {
            let rest = row.members.without(ended);
            if rest != row.members {
                pending::keep(self.tx, row.id, &rest)?;
                self.pending_changed(block.shard);
            }
        }
        Ok(())
    }

    /// Takes what was delivered after all out of the dead letters.
    fn revive_dead(&mut self, block: &Block) -> Result<(), Refusal> {
        let letters = dead_letters::at_occurrence(
            self.tx,
            block.shard,
            block.scheduled,
            block.run,
            &block.members,
        )?;
        for (letter, members) in letters {
            let rest = members.without(&block.members);
            if rest != members {
                dead_letters::keep(self.tx, letter, &rest)?;
            }
        }
        Ok(())
    }

    /// The members that have no end state yet: those in a row, and of first attempts also those of
    /// which the history says nothing.
    fn open_members(&mut self, block: &Block) -> Result<Members, Refusal> {
        let mut settled = block.members.clone();
        if block.pending.is_none() {
            settled = settled.without(&self.not_ended(block)?);
        }
        for row in self.rows(block)? {
            settled = settled.without(&row.members);
        }
        Ok(block.members.without(&settled))
    }

    /// The members that no block and no range has ended.
    fn not_ended(&mut self, block: &Block) -> Result<Members, Refusal> {
        let mut open = block.members.clone();
        for ended in blocks::ended_at(self.tx, block)? {
            open = open.without(&ended);
        }
        Ok(open)
    }

    fn rows(&self, block: &Block) -> Result<Vec<Pending>, Refusal> {
        Ok(pending::at_occurrence(
            self.tx,
            block.shard,
            block.scheduled,
            block.run,
            &block.members,
        )?)
    }
}
