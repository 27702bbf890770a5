//! From the store to the queue: a whole part (take-over, restart, rebuild), or some jobs that
//! changed. Runs on blocking threads, inside one consistent read; the engine puts the results in
//! place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::due_queue::OwnershipKey;
use super::plan::{Member, Plan};
use super::plans::Plans;
use super::shard_queue::ShardQueue;
use crate::model::attempt::{AttemptRecord, JournalEntry};
use crate::model::job::{ClosedPlan, JobStatus, Pending};
use crate::model::members::Members;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis};
use crate::store::jobs::{self, JobRow};
use crate::store::{attempts, pending, plans as closed, runs};

/// Occurrences that must not be given out.
pub(super) struct Excluded {
    /// Of a range, when the first of them is due.
    pub(super) since: Option<Millis>,
    /// When they are due, or the last of a range is.
    pub(super) due: Millis,
    /// What they, or the last of a range, are scheduled for.
    pub(super) scheduled: Millis,
    /// Whose.
    pub(super) members: Members,
}

impl Excluded {
    fn of(record: AttemptRecord) -> Self {
        let AttemptRecord { since, due, scheduled, members, .. } = record;
        Self { since, due, scheduled, members }
    }
}

/// A part as the store have it.
pub(super) struct Loaded {
    /// Its queue.
    pub(super) queue: ShardQueue,
    /// What is done, pending or in this node's journal already.
    pub(super) excluded: Vec<Excluded>,
}

/// Jobs read anew: all that are theirs, shard by shard.
#[derive(Default)]
pub(super) struct Reread {
    /// The jobs asked for, ascending; what the queue holds of them is void.
    pub(super) jobs: BTreeMap<ShardId, Vec<JobId>>,
    /// Their plans now.
    pub(super) plans: Vec<(Arc<Plan>, Member)>,
}

/// Reads a part: what is due in it after `after`. `journal` is what this node has recorded and the
/// cluster has not yet, read *before* the store, so that nothing falls between them.
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
        // A manual run is beside the plan.
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

/// Whether an entry of the own journal settles its occurrences for an epoch: a past epoch's `dead`
/// is no end state, and what it put off is nobody's.
fn counts(record: &AttemptRecord, epoch: u64) -> bool {
    record.run == 0 && (record.epoch == epoch || !record.verdict.needs_its_epoch())
}

/// Reads jobs anew, as far as they are in one of the shards.
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

/// PlanReader on their way to members; neighbours mostly share a definition.
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
        // Of what is scheduled in a pause, what is due after it fires.
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
