//! Rules of a restore: what a cluster takes over that begins again from a backup, and what not.
//!
//! `raft::restore` calls it on a state that no node has open, before any entry is applied to it. It
//! is no command, and never in a log.
//!
//! ```text
//!   settled ......... backup ......... the loss ......... now (the stamp)
//!          \_______________________________________________/
//!           skip: nothing due in here is sent, the watermark is now
//!           fire: the watermark stays, all that was missed is caught up on
//! ```
//!
//! Between the backup and the loss the old cluster sent requests and gave numbers that this state
//! does not know. So every sequence and every epoch goes on far above what the old cluster can have
//! reached (*step after a restore*), and by default nothing is sent that the old cluster may have
//! sent already.

use std::collections::BTreeMap;
use std::collections::hash_map::{self, HashMap};

use super::audit_notes::AuditNotes;
use super::entry::{Entry, Refusal};
use crate::command::{Change, Error};
use crate::model::attempt::{AttemptRecord, Occurrences, ResultOrigin, SkipReason, Verdict};
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::members::Members;
use crate::model::reach::Reach;
use crate::model::shard::{SHARDS, Shard, ShardId};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::JobRow;
use crate::store::restore_gaps::RestoreGap;
use crate::store::{Tx, cursors, jobs, nodes, pending, restore_gaps, runs};

/// The step of epochs: more than a shard can have been through since the backup.
const EPOCH_STEP: u64 = 1_000_000_000;

/// The choice for occurrences that were due between a backup and its restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestorePolicy {
    /// They are not sent: skipped, with the restore as the reason.
    #[default]
    Skip,
    /// They are sent by their misfire policies, unless the state knows that they were sent.
    Fire,
}

/// The result of a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reopened {
    /// The instant up to which every shard was accounted for.
    pub settled: Millis,
    /// The number of occurrences that are skipped by a record: they waited for an attempt, or were
    /// the passed instants of one-offs.
    pub skipped: u64,
}

/// Turns the state of a backup into that of a cluster that begins at a stamp: shards without
/// owners, no nodes, sequences beyond all numbers that were given. Log time becomes the stamp, or
/// stays where it is later.
pub fn reopen(tx: &mut Tx<'_>, stamp: Millis, choice: RestorePolicy) -> Result<Reopened, Error> {
    let stamp = tx.advance_log_time(stamp)?;
    let mut change = Change::default();
    let mut entry = Entry {
        tx,
        index: 0,
        stamp,
        actor: None,
        reach: Reach::all(),
        notes: AuditNotes::default(),
        change: &mut change,
    };
    match entry.reopen(choice) {
        Ok(reopened) => Ok(reopened),
        Err(Refusal::Failed(error)) => Err(error),
        // No step refuses anything.
        Err(Refusal::Rejected(why)) => Err(Error::Restore(why.message)),
    }
}

impl Entry<'_, '_> {
    fn reopen(&mut self, choice: RestorePolicy) -> Result<Reopened, Refusal> {
        let settled: Vec<Millis> = self.tx.shards()?.iter().map(Shard::settled).collect();
        nodes::clear(self.tx)?;
        cursors::clear(self.tx)?;
        self.tx.raise_sequences()?;
        let mut skipped = 0;
        if choice == RestorePolicy::Skip {
            skipped += self.skip_rows()?;
            skipped += self.skip_runs()?;
            for shard in 0..SHARDS {
                if let Some(after) = settled.get(usize::from(shard)) {
                    skipped += self.skip_one_offs(shard, *after)?;
                }
            }
        }
        if choice == RestorePolicy::Fire {
            pending::restart_offers(self.tx, self.stamp)?;
        }
        let until = self.stamp;
        for (shard, settled) in (0..SHARDS).zip(&settled) {
            self.tx.change_shard(shard, |shard| {
                shard.last_epoch += EPOCH_STEP;
                shard.epoch = shard.last_epoch;
                shard.owner = 0;
                shard.closing = None;
                shard.watermark = *settled;
                if choice == RestorePolicy::Skip {
                    shard.watermark = until.max(*settled);
                }
                true
            })?;
            if choice == RestorePolicy::Skip && *settled < until {
                restore_gaps::insert(self.tx, &RestoreGap { shard, from: *settled, until })?;
            }
        }
        let settled = settled.into_iter().min().unwrap_or(self.stamp);
        Ok(Reopened { settled, skipped })
    }

    /// Skips rows whose attempt may have gone out since the backup.
    fn skip_rows(&mut self) -> Result<u64, Refusal> {
        let mut skipped = 0;
        for shard in 0..SHARDS {
            for row in pending::for_shard(self.tx, shard)? {
                // What is parked or on offer may have gone out since, too.
                if row.attempt_at().is_some_and(|at| at > self.stamp) {
                    continue;
                }
                skipped += row.members.len();
                let record = AttemptRecord {
                    attempt: row.attempt,
                    pending: Some(row.id),
                    run: row.run,
                    ..self.not_sent(row.project, shard, (row.due, row.scheduled), row.members)
                };
                self.record_attempt(0, &record)?;
            }
        }
        Ok(skipped)
    }

    /// Ends runs whose sender is gone, and runs whose deadline passed without a report. Those that
    /// workers have stand: their workers have a full timeout to be heard in.
    fn skip_runs(&mut self) -> Result<u64, Refusal> {
        let mut skipped = 0;
        for run in runs::all(self.tx)? {
            let over = !run.accepted || (run.worker.is_none() && run.deadline <= self.stamp);
            if over && self.row_of(run.occurrence)?.is_none() {
                let verdict = Verdict::Skipped(SkipReason::Restored);
                self.end_run(&run, verdict, ResultOrigin::Answer, None)?;
                skipped += 1;
            }
        }
        Ok(skipped)
    }

    /// Skips one-offs whose instant has passed: they are over.
    fn skip_one_offs(&mut self, shard: ShardId, after: Millis) -> Result<u64, Refusal> {
        let mut rows: Vec<JobRow> = Vec::new();
        jobs::for_shard(self.tx, shard, |row| {
            if row.status == JobStatus::Active && row.anchor <= self.stamp {
                rows.push(row);
            }
        })?;
        // `None` for a definition of recurring jobs.
        let mut definitions: HashMap<u64, Option<JobDefinition>> = HashMap::new();
        let mut passed: BTreeMap<(ProjectId, Millis, Millis), Vec<JobId>> = BTreeMap::new();
        for row in rows {
            let definition = match definitions.entry(row.definition_id) {
                hash_map::Entry::Occupied(known) => known.into_mut(),
                hash_map::Entry::Vacant(place) => {
                    let definition = self.tx.definition(row.definition_id)?;
                    place.insert(Some(definition).filter(JobDefinition::is_one_off))
                }
            };
            let Some(definition) = definition else { continue };
            let due = self.due_of_instant(row.id, definition, (row.anchor, row.from))?;
            if due > after && due <= self.stamp {
                passed.entry((definition.project, due, row.anchor)).or_default().push(row.id);
            }
        }
        let mut skipped = 0;
        for ((project, due, scheduled), ids) in passed {
            skipped += ids.len() as u64;
            let members = Members::from_sorted(ids);
            let record = self.not_sent(project, shard, (due, scheduled), members);
            self.record_attempt(0, &record)?;
        }
        Ok(skipped)
    }

    /// The record of occurrences that are skipped because of the restore.
    fn not_sent(
        &self,
        project: ProjectId,
        shard: ShardId,
        (due, scheduled): (Millis, Millis),
        members: Members,
    ) -> AttemptRecord {
        let occurrences = Occurrences { project, shard, epoch: 0, due, scheduled, members };
        AttemptRecord {
            once: true, // for members that are no one-offs it has no effect
            ..AttemptRecord::skipped(occurrences, SkipReason::Restored, self.stamp)
        }
    }
}
