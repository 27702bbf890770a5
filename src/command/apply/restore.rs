//! Rules of a restore: what a cluster that begins anew from a backup takes over, and what not.
//! Called by `raft::restore` on books that no node has open, before anything else is applied to
//! them: it is no command, and never in a log.
//!
//! ```text
//!   settled ......... backup ......... the loss ......... now (the stamp)
//!          \_______________________________________________/
//!           skip: nothing due in here goes out; W = now       fire: W stays, it is all made up
//! ```
//!
//! Between the backup and the loss the old cluster has sent things and given numbers that these
//! books know nothing of. So every counter and every epoch goes on far above what it can have
//! reached, and by default nothing is sent that the old cluster may have sent already.

use std::collections::BTreeMap;
use std::collections::hash_map::{self, HashMap};

use super::{Change, Entry, Error, Refusal};
use crate::model::attempt::{AttemptRecord, ResultOrigin, SkipReason, Verdict};
use crate::model::job::{JobDefinition, JobStatus, PARKED};
use crate::model::members::Members;
use crate::model::shard::{SHARDS, Shard, ShardId};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::JobRow;
use crate::store::restore_gaps::RestoreGap;
use crate::store::{Tx, cursors, jobs, nodes, pending, restore_gaps, runs};

/// Epochs that a shard may have been through since the backup.
const EPOCHS: u64 = 1_000_000_000;

/// What becomes of occurrences that were due between a backup and its restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// They are not sent: skipped, with the restore as the reason.
    #[default]
    Skip,
    /// They are sent if the books do not know that they were, as the misfire policies say.
    Fire,
}

/// What a restore came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reopened {
    /// All was accounted for up to here, on every shard.
    pub settled: Millis,
    /// Occurrences that waited for an attempt, or whose one instant passed, and are skipped by
    /// name.
    pub skipped: u64,
}

/// Makes the books of a backup those of a cluster that begins at a stamp: nobody's shards, no
/// nodes, numbers that were never given. Log time is the stamp from here on, or what it was if that
/// is later.
pub fn reopen(tx: &mut Tx<'_>, stamp: Millis, choice: Due) -> Result<Reopened, Error> {
    let stamp = tx.advance_log_time(stamp)?;
    let mut change = Change::default();
    let mut entry = Entry { tx, index: 0, stamp, change: &mut change };
    match entry.reopen(choice) {
        Ok(reopened) => Ok(reopened),
        Err(Refusal::Failed(error)) => Err(error),
        // None of the steps refuses anything.
        Err(Refusal::Rejected(why)) => Err(Error::Restore(why.message)),
    }
}

impl Entry<'_, '_> {
    fn reopen(&mut self, choice: Due) -> Result<Reopened, Refusal> {
        let settled: Vec<Millis> = self.tx.shards()?.iter().map(Shard::settled).collect();
        nodes::clear(self.tx)?;
        cursors::clear(self.tx)?;
        self.tx.raise_sequences()?;
        let mut skipped = 0;
        if choice == Due::Skip {
            skipped += self.skip_rows()?;
            skipped += self.skip_runs()?;
            for shard in 0..SHARDS {
                if let Some(after) = settled.get(usize::from(shard)) {
                    skipped += self.skip_one_offs(shard, *after)?;
                }
            }
        }
        let until = self.stamp;
        for (shard, settled) in (0..SHARDS).zip(&settled) {
            self.tx.change_shard(shard, |shard| {
                shard.last_epoch += EPOCHS;
                shard.epoch = shard.last_epoch;
                shard.owner = 0;
                shard.closing = None;
                shard.watermark = *settled;
                if choice == Due::Skip {
                    shard.watermark = until.max(*settled);
                }
                true
            })?;
            if choice == Due::Skip && *settled < until {
                restore_gaps::insert(self.tx, &RestoreGap { shard, from: *settled, until })?;
            }
        }
        let settled = settled.into_iter().min().unwrap_or(self.stamp);
        Ok(Reopened { settled, skipped })
    }

    /// Rows whose attempt may have gone out meanwhile.
    fn skip_rows(&mut self) -> Result<u64, Refusal> {
        let mut skipped = 0;
        for shard in 0..SHARDS {
            for row in pending::for_shard(self.tx, shard)? {
                if row.next_at > self.stamp && row.next_at != PARKED {
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

    /// Runs of senders that are gone, and those that ended by now if their receivers said nothing
    /// more.
    fn skip_runs(&mut self) -> Result<u64, Refusal> {
        let mut skipped = 0;
        for run in runs::all(self.tx)? {
            let over = !run.accepted || run.deadline <= self.stamp;
            if over && self.row_of(run.occurrence)?.is_none() {
                let verdict = Verdict::Skipped(SkipReason::Restored);
                self.end_run(&run, verdict, ResultOrigin::Answer, None)?;
                skipped += 1;
            }
        }
        Ok(skipped)
    }

    /// One-offs whose instant has passed: they are over.
    fn skip_one_offs(&mut self, shard: ShardId, after: Millis) -> Result<u64, Refusal> {
        let mut rows: Vec<JobRow> = Vec::new();
        jobs::for_shard(self.tx, shard, |row| {
            if row.status == JobStatus::Active && row.anchor <= self.stamp {
                rows.push(row);
            }
        })?;
        // Of those that are no one-offs nothing has to be known but that.
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

    fn not_sent(
        &self,
        project: ProjectId,
        shard: ShardId,
        (due, scheduled): (Millis, Millis),
        members: Members,
    ) -> AttemptRecord {
        AttemptRecord {
            project,
            shard,
            epoch: 0,
            due,
            scheduled,
            since: None,
            attempt: 1,
            verdict: Verdict::Skipped(SkipReason::Restored),
            http_code: 0,
            started: self.stamp,
            duration: 0,
            members,
            error: None,
            pending: None,
            run: 0,
            once: true, // of those that are no one-offs it says nothing
            origin: ResultOrigin::Answer,
            accepted: None,
            response: None,
        }
    }
}
