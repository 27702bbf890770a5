//! Rules of results: what a batch of a journal does to occurrences.
//!
//! ```text
//!   attempt recorded ---+--> delivered (or skipped, or dead in a live epoch): the end
//!                       +--> failed: one pending row for all that failed as one
//!                       +--> accepted: a run, which ends by a report or by silence (`runs`)
//!   not attempted ---------> postponed: a pending row with the same number of the attempt
//!   offered, taken --------> `offers`
//! ```
//!
//! An occurrence is (job, scheduled instant, number of a manual run). Every branch keeps three
//! rules, and relies on them:
//!
//! - *One place*: it is in at most one pending row, or in an accepted run, never in both.
//! - *No row after the end*: one that is in a row or in an accepted run has no end state. A replay
//!   is the exception (a row whose `base` is not 0, and the run that comes of it): its history has
//!   a `dead`, whose letter is gone, and no other end state.
//! - *Parked behind a run*: a run of an occurrence that is over is gone, and a row is parked only
//!   while its job has a run. Of several that are parked, the first takes a run's place when it is
//!   released.
//!
//! So an attempt that was made for a row needs no search in the history: members that are still in
//! a row are open, all others are settled.
//!
//! Delivered beats everything, also from a past epoch (*delivered wins*); else the first end state
//! stands. A `dead` of a past epoch is an attempt and no end state, because the present owner of
//! the shard has not given the occurrence up. The same holds for a `dead` that arrives while a
//! receiver works on the occurrence: the receiver will report on it.

use super::entry::{Applied, Entry, Refusal, refuse};
use super::occurrences::held;
use crate::command::{Outcome, RejectionKind};
use crate::model::attempt::{AttemptRecord, JournalBatch, JournalEntry, Verdict};
use crate::model::job::{LAST_ATTEMPT, Pending};
use crate::model::members::Members;
use crate::model::on_offer::OnOffer;
use crate::model::result_code::ResultCode;
use crate::model::run::Run;
use crate::model::{Millis, NodeId};
use crate::store::{cursors, jobs, pending, runs};

/// The HTTP status of a target that is gone for good.
const GONE: ResultCode = ResultCode::Http(410);

impl Entry<'_, '_> {
    /// Records a batch of a journal: skips entries that are recorded already, refuses a gap.
    pub(super) fn record(&mut self, batch: &JournalBatch) -> Applied {
        let known = cursors::get_incarnation(self.tx, batch.node, batch.incarnation)?;
        let expected = known.map_or(1, |seq| seq + 1);
        if batch.first > expected || batch.first == 0 {
            return Err(refuse(
                RejectionKind::Conflict,
                format!(
                    "journal of node {} goes on at {}, expected sequence {expected}",
                    batch.node, batch.first
                ),
            ));
        }
        let skip = (expected - batch.first).min(batch.entries.len() as u64);
        let fresh = &batch.entries[skip as usize..];
        if fresh.is_empty() {
            return Ok(Outcome::Done);
        }
        for entry in fresh {
            match entry {
                JournalEntry::Attempt(record) => self.record_attempt(batch.node, record)?,
                JournalEntry::Offered(offer) => self.record_offer(batch.node, offer)?,
                JournalEntry::Taken(taken) => self.record_taken(batch.node, taken)?,
                JournalEntry::Progress(progress) => self.record_progress(batch.node, progress)?,
                JournalEntry::Watermarks(marks) => {
                    for mark in marks {
                        let advanced = self.tx.change_shard(mark.shard, |shard| {
                            let closing = shard.closing.is_some();
                            let changed = shard.advance(batch.node, mark.epoch, mark.at);
                            // The coordinator waits for the end of a hand-over.
                            self.change.shards |= closing != shard.closing.is_some();
                            changed
                        });
                        advanced?;
                    }
                }
            }
        }
        let last = expected + fresh.len() as u64 - 1;
        cursors::set(self.tx, batch.node, batch.incarnation, last, self.index)?;
        Ok(Outcome::Done)
    }

    /// Records one attempt or skip.
    pub(super) fn record_attempt(
        &mut self,
        node: NodeId,
        record: &AttemptRecord,
    ) -> Result<(), Refusal> {
        if record.members.is_empty() {
            return Ok(());
        }
        let live = self.tx.shard(record.shard)?.is_some_and(|s| s.is_live(node, record.epoch));
        if let (Verdict::Skipped(_), Some(since)) = (record.verdict, record.since) {
            self.keep_record(node, !live, record)?;
            return self.end_range(record, since);
        }
        let runs = self.runs(record)?;
        match record.verdict {
            Verdict::Delivered => {
                self.keep_record(node, !live, record)?;
                self.ended(record, &record.members, &runs)?;
                self.remove_dead_letters(record)?;
            }
            Verdict::Retry { at } => {
                self.keep_record(node, !live, record)?;
                self.wait(record, at, &runs)?;
            }
            // One of a past epoch is ignored: nothing was sent, and the present owner knows the
            // occurrence from the plan or from its row.
            Verdict::Postponed { at } if live => self.wait(record, at, &runs)?,
            Verdict::Postponed { .. } => {}
            Verdict::Running => {
                let open = self.open_members(record, &Members::default())?;
                self.keep_record(node, !live, record)?;
                self.accept(live, node, record, &open, &runs)?;
            }
            Verdict::Dead => {
                let held = held(&runs);
                let single = record.members.len() == 1;
                let dead = record.members.without(&held);
                let attempted = record.members.without(&dead);
                if !attempted.is_empty() {
                    self.keep_record(
                        node,
                        true,
                        &AttemptRecord { members: attempted, ..record.clone() },
                    )?;
                }
                if !dead.is_empty() {
                    let record = AttemptRecord { members: dead, ..record.clone() };
                    let over = self.dead_letter(node, live, &record, &runs)?;
                    if over && single {
                        self.disable_gone(&record)?;
                    }
                }
            }
            Verdict::Skipped(_) => {
                let open = self.open_members(record, &held(&runs))?;
                if open.is_empty() {
                    return Ok(()); // all have an end state: nothing was sent or is recorded
                }
                self.ended(record, &open, &runs)?;
                self.keep_record(node, !live, &AttemptRecord { members: open, ..record.clone() })?;
            }
        }
        Ok(())
    }

    /// Records dead members. Only a live owner dead-letters them. Returns whether it did.
    fn dead_letter(
        &mut self,
        node: NodeId,
        live: bool,
        record: &AttemptRecord,
        runs: &[Run],
    ) -> Result<bool, Refusal> {
        let nobody = Members::default();
        let open = if live { self.open_members(record, &nobody)? } else { nobody };
        let id = self.keep_record(node, !live, record)?;
        if open.is_empty() {
            return Ok(false);
        }
        self.add_dead_letter(id, record, &open)?;
        self.ended(record, &open, runs)?;
        Ok(true)
    }

    /// Carries out a range. It holds for occurrences that had neither end state nor row nor
    /// accepted run when it was decided; it is stored as it is, and readers apply that condition.
    /// Runs whose sender died before an answer end with it.
    fn end_range(&mut self, record: &AttemptRecord, since: Millis) -> Result<(), Refusal> {
        for run in runs::due_between(self.tx, record.shard, since, record.due)? {
            let job = run.occurrence.job;
            if !run.accepted
                && record.spans(run.occurrence.scheduled, run.due)
                && record.members.contains(job)
                && self.row_of(run.occurrence)?.is_none()
            {
                self.drop_run(run.occurrence)?;
            }
        }
        for job in record.members.iter().filter(|_| record.once && record.run == 0) {
            let Some(found) = jobs::get_in(self.tx, job)? else { continue };
            let earliest = since.saturating_sub(found.definition.jitter);
            if (earliest..=record.due).contains(&found.anchor) {
                self.complete_job(job, found.anchor, record.verdict)?;
            }
        }
        Ok(())
    }

    /// Disables a single job whose target is gone for good, unless the job was changed after the
    /// request went out: then the answer may be about its former target.
    fn disable_gone(&mut self, record: &AttemptRecord) -> Result<(), Refusal> {
        let Some(job) = record.members.iter().next() else { return Ok(()) };
        if record.result != GONE || (record.once && record.run == 0) {
            return Ok(());
        }
        match jobs::get_in(self.tx, job)? {
            Some(found) if found.modified.is_none_or(|at| at < record.started) => {
                self.disable_job(job)
            }
            _ => Ok(()),
        }
    }

    /// Adds one new row for the open members that failed or were postponed.
    fn wait(&mut self, record: &AttemptRecord, at: Millis, runs: &[Run]) -> Result<(), Refusal> {
        let Some(left) = self.leave_rows(record, runs)? else { return Ok(()) };
        let tried = u32::from(matches!(record.verdict, Verdict::Retry { .. }));
        self.add_row(Pending {
            due: record.due,
            attempt: record.attempt.saturating_add(tried).max(1),
            next_at: at.min(LAST_ATTEMPT),
            run: record.run,
            base: left.base,
            forced: left.forced,
            postponed: record.error.clone().filter(|_| tried == 0),
            queue: left.queue,
            ..Pending::new(record.project, record.shard, record.scheduled, left.members)
        })
    }

    /// Takes the open members of a record out of the row that it was made for, if it was made for
    /// one, and lets their runs wait. `None` when none is open: the caller adds a row for the
    /// others.
    pub(super) fn leave_rows(
        &mut self,
        record: &AttemptRecord,
        runs: &[Run],
    ) -> Result<Option<Left>, Refusal> {
        let left = if let Some(row) = record.pending {
            let Some(row) = pending::get(self.tx, row)? else { return Ok(None) };
            let rest = row.members.without(&record.members);
            let members = row.members.without(&rest);
            if !members.is_empty() {
                self.keep_row(&row, &rest)?;
            }
            let Pending { attempt, base, forced, queue, on_offer, .. } = row;
            Left { members, attempt, base, forced, queue, on_offer }
        } else {
            let mut members = self.not_ended(record)?.without(&held(runs));
            for row in self.rows(record)? {
                members = members.without(&row.members);
            }
            let (attempt, base, forced, queue, on_offer) = (1, 0, false, None, None);
            Left { members, attempt, base, forced, queue, on_offer }
        };
        if left.members.is_empty() {
            return Ok(None);
        }
        for run in runs.iter().filter(|run| left.members.contains(run.occurrence.job)) {
            self.hold(run)?;
        }
        Ok(Some(left))
    }
}

/// Open members on their way from one row, or from the plan, to another row.
pub(super) struct Left {
    pub(super) members: Members,
    /// The attempt of their row: the next one is no lower.
    pub(super) attempt: u32,
    pub(super) base: u32,
    pub(super) forced: bool,
    pub(super) queue: Option<u64>,
    pub(super) on_offer: Option<OnOffer>,
}
