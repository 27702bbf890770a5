//! The steps that rules about occurrences are made of: a record, a pending row, a dead letter, an
//! end state; and the questions what the state knows of an occurrence. The rules of results, runs
//! and reports use them.

use super::entry::{Entry, Refusal};
use super::quotas::is_execution;
use crate::model::attempt::AttemptRecord;
use crate::model::event::{LettersChange, RunChange};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Run};
use crate::model::shard::shard_of;
use crate::model::{Millis, NodeId};
use crate::store::counters::OutcomeKind;
use crate::store::dead_letters::{self, DeadLetter};
use crate::store::empty_tables::Table;
use crate::store::meta::Sequence;
use crate::store::{attempts, pending, runs};

impl Entry<'_, '_> {
    /// Adds a record to the history and returns its id.
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
        if is_execution(record.verdict, stale) {
            self.tx.count_executed(record.project, count);
        }
        self.change.executions = true;
        self.change.events.add_results(record, count);
        let what = (record.project, record.due, OutcomeKind::of(record.verdict));
        self.change.minutes.add(id, what, count, self.stamp);
        Ok(id)
    }

    /// Adds a pending row under a new id.
    pub(super) fn add_row(&mut self, row: Pending) -> Result<(), Refusal> {
        let row = Pending { id: self.tx.take(Sequence::Pending, 1)?, ..row };
        pending::insert(self.tx, &row)?;
        self.row_changed(&row);
        Ok(())
    }

    /// Leaves a row with these members only.
    pub(super) fn keep_row(&mut self, row: &Pending, rest: &Members) -> Result<(), Refusal> {
        pending::keep(self.tx, row.id, rest)?;
        self.row_changed(row);
        Ok(())
    }

    /// Carries out what an end state of members means: they leave their row, their runs end, and
    /// one-offs are completed.
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

    /// Adds one dead letter for all members that are dead.
    pub(super) fn add_dead_letter(
        &mut self,
        id: u64,
        record: &AttemptRecord,
        open: &Members,
    ) -> Result<(), Refusal> {
        // Read before the row and the run are removed.
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
            result: record.result,
            error: record.error.clone(),
            created: self.stamp,
            members: open.clone(),
            run: record.run,
            forced,
        };
        dead_letters::insert(self.tx, &letter)?;
        let error = letter.error.as_deref();
        self.change.events.add_letter(letter.project, letter.id, &letter.members, error);
        Ok(())
    }

    /// Removes members that have an end state from the pending rows of their occurrence.
    pub(super) fn close_rows(
        &mut self,
        record: &AttemptRecord,
        ended: &Members,
    ) -> Result<(), Refusal> {
        let rows = self.rows(record)?;
        self.leave(&rows, ended)
    }

    /// Removes members from rows.
    pub(super) fn leave(&mut self, rows: &[Pending], gone: &Members) -> Result<(), Refusal> {
        for row in rows {
            let rest = row.members.without(gone);
            if rest != row.members {
                self.keep_row(row, &rest)?;
            }
        }
        Ok(())
    }

    /// Removes members that were delivered after all from the dead letters.
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
                self.change.events.add_letters(LettersChange::Delivered, 1);
            }
        }
        Ok(())
    }

    /// The members that have no end state yet, without those that are `held`: members in a row, and
    /// for a first attempt also members that the history does not know.
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

    /// The members that neither a record nor a range has ended.
    pub(super) fn not_ended(&mut self, record: &AttemptRecord) -> Result<Members, Refusal> {
        let mut open = record.members.clone();
        for ended in attempts::ended_at(self.tx, record)? {
            open = open.without(&ended);
        }
        Ok(open)
    }

    /// The pending rows that hold members of a record.
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

    /// The runs of members of a record.
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

    /// The row of a single occurrence.
    pub(super) fn row_of(&self, of: Occurrence) -> Result<Option<Pending>, Refusal> {
        let member = Members::from_sorted([of.job]);
        let shard = shard_of(of.job);
        if self.tx.is_empty(Table::Pending, shard)? {
            return Ok(None);
        }
        let rows = pending::at_occurrence(self.tx, shard, of.scheduled, of.run, &member)?;
        Ok(rows.into_iter().find(|row| row.members.contains(of.job)))
    }

    /// Adds a run, or replaces that of its occurrence.
    pub(super) fn put_run(&mut self, run: &Run) -> Result<(), Refusal> {
        runs::put(self.tx, run)?;
        self.change.add_run(run.occurrence);
        Ok(())
    }

    /// Notes a change of a run for the event stream.
    pub(super) fn run_changed(&mut self, run: &Run, change: RunChange) {
        self.change.events.add_run(run.project, run.occurrence, run.attempt, change);
    }

    /// Removes a run. If it was the last of its job, what is parked behind it is released.
    pub(super) fn drop_run(&mut self, of: Occurrence) -> Result<(), Refusal> {
        runs::delete(self.tx, of)?;
        self.change.add_run(of);
        // Behind most runs nothing is parked: then it does not matter whether it was the last.
        if self.tx.is_empty(Table::Pending, shard_of(of.job))?
            || pending::oldest_parked(self.tx, of.job)?.is_none()
            || runs::any_of_job(self.tx, of.job)?
        {
            return Ok(());
        }
        self.release_next(of.job)
    }

    /// Lets a run wait for its next attempt: it keeps its place, and a row brings it to its end.
    pub(super) fn hold(&mut self, run: &Run) -> Result<(), Refusal> {
        let held = Run {
            accepted: false,
            deadline: Millis::MAX,
            heartbeat_timeout: None,
            ends: None,
            worker: None,
            ..run.clone()
        };
        self.put_run(&held)
    }
}

/// The members of accepted runs: a receiver works on them.
pub(super) fn held(runs: &[Run]) -> Members {
    Members::from_sorted(runs.iter().filter(|run| run.accepted).map(|run| run.occurrence.job))
}
