//! What can happen to occurrences: a record about them, a row, a dead letter, an end; and what the
//! books know of them. The rules of results, runs and dead letters are made of these moves.

use super::{Entry, Refusal};
use crate::model::attempt::AttemptRecord;
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Run};
use crate::model::shard::shard_of;
use crate::model::{Millis, NodeId};
use crate::store::dead_letters::{self, DeadLetter};
use crate::store::empty_tables::Table;
use crate::store::meta::Sequence;
use crate::store::{attempts, pending, runs};

impl Entry<'_, '_> {
    /// Adds a record to the history; its number.
    pub(super) fn keep_record(
        &mut self,
        node: NodeId,
        stale: bool,
        record: &AttemptRecord,
    ) -> Result<u64, Refusal> {
        let count = record.members.len();
        let id = self.tx.take(Sequence::Execution, count)?;
        attempts::insert(self.tx, id, node, stale, self.stamp, record)?;
        self.tx.count_outcome(record.project, record.due, record.verdict, count as i64);
        self.change.executions = true;
        Ok(id)
    }

    /// Adds a pending row under a new number and rings its bell.
    pub(super) fn add_row(&mut self, row: Pending) -> Result<(), Refusal> {
        let row = Pending { id: self.tx.take(Sequence::Pending, 1)?, ..row };
        pending::insert(self.tx, &row)?;
        self.pending_changed(row.shard);
        Ok(())
    }

    /// Members have reached an end state: they leave their row, their runs are over, and if they
    /// are one-offs, so are they.
    pub(super) fn ended(
        &mut self,
        record: &AttemptRecord,
        members: &Members,
        runs: &[Run],
    ) -> Result<(), Refusal> {
        self.close_rows(record, members)?;
        for run in runs.iter().filter(|run| members.contains(run.occurrence.job)) {
            self.drop_run(run.occurrence)?;
        }
        if record.once && record.run == 0 {
            for job in members.iter() {
                self.complete_job(job, record.scheduled, record.verdict)?;
            }
        }
        Ok(())
    }

    /// One dead letter for all that are given up.
    pub(super) fn add_dead_letter(
        &mut self,
        id: u64,
        record: &AttemptRecord,
        open: &Members,
    ) -> Result<(), Refusal> {
        // Asked before its row and run go.
        let forced = record.run != 0
            && (self.rows(record)?.iter().any(|row| row.forced)
                || self.runs(record)?.iter().any(|run| run.forced));
        let letter = DeadLetter {
            id: self.tx.take(Sequence::DeadLetter, 1)?,
            record: id,
            project: record.project,
            shard: record.shard,
            due: record.due,
            scheduled: record.scheduled,
            attempt: record.attempt,
            http_code: record.http_code,
            error: record.error.clone(),
            created: self.stamp,
            members: open.clone(),
            run: record.run,
            forced,
        };
        dead_letters::insert(self.tx, &letter)?;
        Ok(())
    }

    /// Takes members that have reached an end state out of the pending rows of their occurrence.
    pub(super) fn close_rows(
        &mut self,
        record: &AttemptRecord,
        ended: &Members,
    ) -> Result<(), Refusal> {
        for row in self.rows(record)? {
            let rest = row.members.without(ended);
            if rest != row.members {
                pending::keep(self.tx, row.id, &rest)?;
                self.pending_changed(record.shard);
            }
        }
        Ok(())
    }

    /// Takes what was delivered after all out of the dead letters.
    pub(super) fn remove_dead_letters(&mut self, record: &AttemptRecord) -> Result<(), Refusal> {
        if self.tx.is_empty(Table::DeadLetters, record.shard)? {
            return Ok(());
        }
        let letters = dead_letters::at_occurrence(
            self.tx,
            record.shard,
            record.scheduled,
            record.run,
            &record.members,
        )?;
        for (letter, members) in letters {
            let rest = members.without(&record.members);
            if rest != members {
                dead_letters::keep(self.tx, letter, &rest)?;
            }
        }
        Ok(())
    }

    /// The members that have no end state yet: those in a row, and of first attempts also those of
    /// which the history says nothing; without those that are `held`.
    pub(super) fn open_members(
        &mut self,
        record: &AttemptRecord,
        held: &Members,
    ) -> Result<Members, Refusal> {
        let mut settled = record.members.clone();
        if record.pending.is_none() {
            settled = settled.without(&self.not_ended(record)?);
        }
        for row in self.rows(record)? {
            settled = settled.without(&row.members);
        }
        Ok(record.members.without(&settled).without(held))
    }

    /// The members that no record and no range has ended.
    pub(super) fn not_ended(&mut self, record: &AttemptRecord) -> Result<Members, Refusal> {
        let mut open = record.members.clone();
        for ended in attempts::ended_at(self.tx, record)? {
            open = open.without(&ended);
        }
        Ok(open)
    }

    pub(super) fn rows(&self, record: &AttemptRecord) -> Result<Vec<Pending>, Refusal> {
        if self.tx.is_empty(Table::Pending, record.shard)? {
            return Ok(Vec::new());
        }
        Ok(pending::at_occurrence(
            self.tx,
            record.shard,
            record.scheduled,
            record.run,
            &record.members,
        )?)
    }

    pub(super) fn runs(&self, record: &AttemptRecord) -> Result<Vec<Run>, Refusal> {
        if self.tx.is_empty(Table::Runs, record.shard)? {
            return Ok(Vec::new());
        }
        Ok(runs::at_occurrence(
            self.tx,
            record.shard,
            record.scheduled,
            record.run,
            &record.members,
        )?)
    }

    /// The row that a single occurrence is in.
    pub(super) fn row_of(&self, of: Occurrence) -> Result<Option<Pending>, Refusal> {
        let member = Members::from_sorted([of.job]);
        let shard = shard_of(of.job);
        let rows = pending::at_occurrence(self.tx, shard, of.scheduled, of.run, &member)?;
        Ok(rows.into_iter().find(|row| row.members.contains(of.job)))
    }

    /// A run is over. If it was its job's last, what waits behind it goes on.
    pub(super) fn drop_run(&mut self, of: Occurrence) -> Result<(), Refusal> {
        runs::delete(self.tx, of)?;
        if runs::of_job(self.tx, of.job)?.is_empty() {
            self.release_parked(of.job)?;
        }
        Ok(())
    }

    /// A run waits for its next attempt: it keeps its place, and the row sees to it that it ends.
    pub(super) fn hold(&mut self, run: &Run) -> Result<(), Refusal> {
        let held = Run {
            accepted: false,
            deadline: Millis::MAX,
            heartbeat_timeout: None,
            ends: None,
            ..run.clone()
        };
        Ok(runs::put(self.tx, &held)?)
    }
}

/// Those that a receiver works on.
pub(super) fn held(runs: &[Run]) -> Members {
    Members::from_sorted(runs.iter().filter(|run| run.accepted).map(|run| run.occurrence.job))
}
