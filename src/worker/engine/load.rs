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
use crate::model::offer::{Offer, Taken};
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

    fn of_offer(offer: &Offer) -> Self {
        let (due, scheduled, members) = (offer.due, offer.scheduled, offer.members.clone());
        Self { since: None, due, scheduled, members }
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
    let (shard, _) = key;
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
    let own = journal.iter().filter_map(|entry| settled(entry, key));
    excluded.extend(own.filter(|one| one.due > after));
    Ok(Loaded { queue, excluded })
}

/// The planned occurrences that an entry of the own journal settles for a range (the epoch rule): a
/// dead letter, a deferral or an offer under another epoch settles none.
fn settled(entry: &JournalEntry, (shard, epoch): OwnershipKey) -> Option<Excluded> {
    match entry {
        JournalEntry::Attempt(record) => {
            let counts = record.epoch == epoch || !record.verdict.needs_its_epoch();
            let ours = record.shard == shard && record.run == 0;
            (ours && counts).then(|| Excluded::of(record.clone()))
        }
        JournalEntry::Offered(offer) => {
            let ours = offer.shard == shard && offer.run == 0;
            (ours && offer.epoch == epoch).then(|| Excluded::of_offer(offer))
        }
        JournalEntry::Taken(Taken { offer, .. }) => {
            (offer.shard == shard && offer.run == 0).then(|| Excluded::of_offer(offer))
        }
        JournalEntry::Watermarks(_) | JournalEntry::Progress(_) => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::run::Phase;
    use crate::model::run_terms::{BusKind, RunTerms};

    #[test]
    fn an_offer_of_the_own_journal_counts_in_its_epoch_and_a_claim_in_any() {
        let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let offer = Offer {
            project: 1,
            shard: 3,
            epoch: 7,
            due: 6,
            scheduled: 5,
            run: 0,
            attempt: 1,
            pending: None,
            members: Members::from_sorted([200]),
            terms: RunTerms::new(BusKind::Embedded, 9, retry),
        };
        let taken = |offer| {
            let (phase, worker, started) = (Phase::Running, "w".to_owned(), 9);
            JournalEntry::Taken(Taken { offer, phase, worker, started })
        };
        let offered = JournalEntry::Offered(offer.clone());
        let settles = |entry: &JournalEntry, key| {
            settled(entry, key).is_some_and(|one| {
                (one.since, one.due, one.scheduled) == (None, 6, 5) && one.members.contains(200)
            })
        };
        assert!(settles(&offered, (3, 7)) && !settles(&offered, (3, 8)));
        let claim = taken(offer.clone());
        assert!(settles(&claim, (3, 7)) && settles(&claim, (3, 8)) && !settles(&claim, (4, 7)));
        // A manual run is not planned.
        assert!(!settles(&taken(Offer { run: 1, ..offer }), (3, 7)));
        assert!(!settles(&JournalEntry::Progress(Vec::new()), (3, 7)));
    }
}
