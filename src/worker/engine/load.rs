//! From the store to the due queue: all jobs of an ownership range (take-over, restart, rebuild),
//! or some jobs that changed.
//!
//! Runs on reader threads, each call inside one consistent read. The engine puts the results into
//! place; nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;

use crate::model::attempt::{AttemptRecord, JournalEntry};
use crate::model::job::{ClosedPlan, JobStatus, Pending};
use crate::model::members::Members;
use crate::model::shard::{OwnershipKey, ShardId, shard_of};
use crate::model::{JobId, Millis};
use crate::store::jobs::{self, JobRow};
use crate::store::{attempts, pending, plans as closed, runs};
use crate::worker::queue::{Member, Plan, Plans, ShardQueue};

/// Occurrences that must not be given out.
pub(super) struct Excluded {
    /// The due instant of the first occurrence, for an interval of them.
    pub(super) since: Option<Millis>,
    /// The due instant of the last occurrence.
    pub(super) due: Millis,
    /// The scheduled instant of the last occurrence.
    pub(super) scheduled: Millis,
    /// The jobs that they belong to.
    pub(super) members: Members,
}

impl Excluded {
    fn of(record: AttemptRecord) -> Self {
        let AttemptRecord { since, due, scheduled, members, .. } = record;
        Self { since, due, scheduled, members }
    }
}

/// An ownership range as the store has it.
pub(in crate::worker) struct Loaded {
    /// The jobs with what is due.
    pub(super) queue: ShardQueue,
    /// Occurrences that have an end state, a row, a run or an entry in this node's journal.
    pub(super) excluded: Vec<Excluded>,
}

/// Jobs that were read again, by shard.
#[derive(Default)]
pub(super) struct Reread {
    /// The jobs asked for, ascending. What the queue holds of them is void.
    pub(super) jobs: BTreeMap<ShardId, Vec<JobId>>,
    /// Their plans as they are now.
    pub(super) plans: Vec<(Arc<Plan>, Member)>,
}

/// Reads what is due in a range after `after`. `journal` holds this node's entries that the cluster
/// has not recorded; it must be read *before* the store, so that no entry falls between the two.
pub(super) fn ownership(
    conn: &Connection,
    plans: &Plans,
    key: OwnershipKey,
    after: Millis,
    until: Millis,
    journal: &[JournalEntry],
) -> rusqlite::Result<Loaded> {
    let (shard, epoch) = key;
    let mut queue = ShardQueue::new(after, until);
    let mut rows = PlanReader { plans, conn, last: None };
    let mut failed = None;
    jobs::for_shard(conn, shard, |row| {
        if failed.is_none() {
            failed = rows.current(&row, |plan, member| queue.add(plan, member)).err();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    for plan in closed::of_shard(conn, shard, after)? {
        rows.closed(&plan, |plan, member| queue.add(plan, member))?;
    }
    queue.shrink();
    let mut excluded = Vec::new();
    for recorded in attempts::after(conn, shard, after)? {
        if recorded.is_end() && recorded.record.run == 0 {
            excluded.push(Excluded::of(recorded.record));
        }
    }
    for row in pending::for_shard(conn, shard)? {
        // A manual run is not planned.
        if row.due > after && row.run == 0 {
            let Pending { due, scheduled, members, .. } = row;
            excluded.push(Excluded { since: None, due, scheduled, members });
        }
    }
    for (due, of) in runs::after(conn, shard, after)? {
        let members = Members::from_sorted([of.job]);
        excluded.push(Excluded { since: None, due, scheduled: of.scheduled, members });
    }
    let own = journal.iter().filter_map(|entry| match entry {
        JournalEntry::Attempt(record) if record.shard == shard && counts(record, epoch) => {
            Some(record)
        }
        _ => None,
    });
    excluded.extend(own.filter(|record| record.due > after).cloned().map(Excluded::of));
    Ok(Loaded { queue, excluded })
}

/// Says whether an entry of the own journal settles its occurrences for an epoch (the epoch rule):
/// a dead letter or a deferral under another epoch does not.
fn counts(record: &AttemptRecord, epoch: u64) -> bool {
    record.run == 0 && (record.epoch == epoch || !record.verdict.needs_its_epoch())
}

/// Reads jobs again, as far as they are in one of the shards.
pub(super) fn jobs(
    conn: &Connection,
    plans: &Plans,
    wanted: &[(JobId, u64)],
    with_closed: &BTreeSet<JobId>,
    ours: &BTreeSet<ShardId>,
) -> rusqlite::Result<Reread> {
    let mut found = Reread::default();
    let mut ids: BTreeSet<JobId> = BTreeSet::new();
    for (first, n) in wanted {
        ids.extend((*first..first + n).filter(|id| ours.contains(&shard_of(*id))));
    }
    let mut rows = PlanReader { plans, conn, last: None };
    let mut failed = None;
    for (first, n) in Members::from_sorted(ids.iter().copied()).runs() {
        jobs::range(conn, first, n, |row| {
            if failed.is_none() {
                let keep = |plan: &Arc<Plan>, member| found.plans.push((Arc::clone(plan), member));
                failed = rows.current(&row, keep).err();
            }
        })?;
    }
    failed.map_or(Ok(()), Err)?;
    for id in ids.intersection(with_closed) {
        for plan in closed::of_job(conn, *id)? {
            rows.closed(&plan, |plan, member| found.plans.push((Arc::clone(plan), member)))?;
        }
    }
    for id in ids {
        found.jobs.entry(shard_of(id)).or_default().push(id);
    }
    Ok(found)
}

/// Makes members of rows. Neighbours mostly share a definition, so the last plan is kept.
struct PlanReader<'a> {
    plans: &'a Plans,
    conn: &'a Connection,
    last: Option<(u64, Arc<Plan>)>,
}

impl PlanReader<'_> {
    fn current(
        &mut self,
        row: &JobRow,
        mut add: impl FnMut(&Arc<Plan>, Member),
    ) -> rusqlite::Result<()> {
        if row.status != JobStatus::Active {
            return Ok(());
        }
        let Some(plan) = self.plan(row.definition_id, row.id)? else { return Ok(()) };
        add(&plan, Member::from(row.id, row.anchor, row.from));
        Ok(())
    }

    fn closed(
        &mut self,
        closed: &ClosedPlan,
        mut add: impl FnMut(&Arc<Plan>, Member),
    ) -> rusqlite::Result<()> {
        // An occurrence that is scheduled in a pause fires if it is due after it.
        let due_after = if closed.status.fires() { Millis::MIN } else { closed.until };
        if closed.reach() <= due_after {
            return Ok(());
        }
        let Some(plan) = self.plan(closed.definition_id, closed.job)? else { return Ok(()) };
        let (job, anchor, after, until) = (closed.job, closed.anchor, closed.from, closed.until);
        add(&plan, Member { job, anchor, after, until, due_after });
        Ok(())
    }

    fn plan(&mut self, definition: u64, job: JobId) -> rusqlite::Result<Option<Arc<Plan>>> {
        if let Some((last, plan)) = &self.last
            && *last == definition
        {
            return Ok(Some(Arc::clone(plan)));
        }
        let plan = self.plans.plan(self.conn, definition, job)?;
        self.last = plan.clone().filter(|plan| plan.seed.is_none()).map(|plan| (definition, plan));
        Ok(plan)
    }
}
