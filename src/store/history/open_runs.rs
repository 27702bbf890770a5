//! What is not over, occurrence by occurrence: the members of pending rows, and the runs. `app`
//! lists runs by it; nothing here writes.
//!
//! The order is newest first: by scheduled instant, then by shard, job and number of the run. An
//! occurrence keeps its place while it goes from a row into a run and back, so that pages behind a
//! place miss none and show none twice. A walk reads instant by instant, as far as it is followed,
//! and of a row with thousands of members only those that it comes to. Of one worker the order
//! within an instant is backwards by job: see `open_parts`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use rusqlite::Connection;

use super::open_parts::{each_of_job, each_of_worker};
pub use super::open_run::OpenRun;
use super::{pending, runs};
use crate::model::job::Pending;
use crate::model::run::Occurrence;
use crate::model::shard::{SHARDS, ShardId, shard_of};
use crate::model::{JobId, Millis};

/// The occurrences of one kind that a walk reads at a time.
const CHUNK: usize = 256;

/// The occurrences of a part of the state that are not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'s> {
    /// All of them.
    All,
    /// Those of one job.
    Job(JobId),
    /// Those that a worker has, of one job or of all.
    Worker(&'s str, Option<JobId>),
}

/// A walk through what is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk<'s> {
    /// The part of the state.
    pub scope: Scope<'s>,
    /// The instant before which the occurrences are scheduled.
    pub before: Millis,
    /// The place behind which it goes on; `None` from the beginning.
    pub after: Option<Occurrence>,
}

/// Walks through what is not over, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    walk: Walk<'_>,
    mut f: impl FnMut(OpenRun) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let Walk { scope, before, after } = walk;
    match scope {
        Scope::All => each_of_all(conn, before, after, &mut f),
        Scope::Job(job) => each_of_job(conn, job, (before, after), &mut f),
        Scope::Worker(worker, job) => each_of_worker(conn, (worker, job), (before, after), &mut f),
    }
}

/// The occurrence of a job's manual run, as long as something is known of it.
pub fn manual(conn: &Connection, job: JobId, run: u64) -> rusqlite::Result<Option<Occurrence>> {
    if i64::try_from(job).is_err() || i64::try_from(run).is_err() {
        return Ok(None);
    }
    let shard = shard_of(job);
    let mut scheduled = runs::scheduled_of(conn, job, run)?;
    if scheduled.is_none() {
        scheduled = pending::scheduled_of(conn, shard, job, run)?;
    }
    if scheduled.is_none() {
        scheduled = super::attempts::scheduled_of(conn, shard, job, run)?;
    }
    Ok(scheduled.map(|scheduled| Occurrence { job, scheduled, run }))
}

fn each_of_all(
    conn: &Connection,
    before: Millis,
    after: Option<Occurrence>,
    f: &mut impl FnMut(OpenRun) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    // The newest instant of each shard that was not walked through.
    let mut next: BinaryHeap<(Millis, Reverse<ShardId>)> = BinaryHeap::new();
    for shard in 0..SHARDS {
        // Of the shards before that of the place, its instant is through.
        let until = after.map_or(Millis::MAX, |of| {
            of.scheduled.saturating_sub(i64::from(shard < shard_of(of.job)))
        });
        next.extend(newest(conn, shard, until.min(before.saturating_sub(1)))?);
    }
    while let Some((scheduled, Reverse(shard))) = next.pop() {
        let at_place = |of: &Occurrence| (of.scheduled, shard_of(of.job)) == (scheduled, shard);
        let begun = after.filter(at_place).map(|of| (of.job, of.run));
        if !each_at(conn, (shard, scheduled), begun, f)? {
            break;
        }
        if let Some(before) = scheduled.checked_sub(1) {
            next.extend(newest(conn, shard, before)?);
        }
    }
    Ok(())
}

/// The newest instant of a shard, up to one, at which something is not over.
fn newest(
    conn: &Connection,
    shard: ShardId,
    until: Millis,
) -> rusqlite::Result<Option<(Millis, Reverse<ShardId>)>> {
    let run = runs::last_scheduled(conn, shard, until)?;
    let row = pending::last_scheduled(conn, shard, until)?;
    Ok(run.max(row).map(|scheduled| (scheduled, Reverse(shard))))
}

/// What is not over of one instant, by job and run.
struct Instant {
    scheduled: Millis,
    open: BTreeMap<(JobId, u64), OpenRun>,
}

impl Instant {
    fn entry(&mut self, job: JobId, run: u64) -> &mut OpenRun {
        let of = Occurrence { job, scheduled: self.scheduled, run };
        self.open.entry((job, run)).or_insert_with(|| OpenRun::empty(of))
    }
}

/// Walks through one instant of a shard. Returns `false` when `f` did.
fn each_at(
    conn: &Connection,
    (shard, scheduled): (ShardId, Millis),
    after: Option<(JobId, u64)>,
    f: &mut impl FnMut(OpenRun) -> rusqlite::Result<bool>,
) -> rusqlite::Result<bool> {
    let groups: Vec<_> =
        pending::groups_at(conn, shard, scheduled)?.into_iter().map(Arc::new).collect();
    let mut after = after.unwrap_or((0, 0));
    loop {
        let mut found = Instant { scheduled, open: BTreeMap::new() };
        // The place up to which nothing is missing: a source that gave a whole chunk may have more.
        let mut whole = None;
        let mut bound = |count: usize, last: Option<(JobId, u64)>| {
            if let Some(last) = last.filter(|_| count == CHUNK) {
                whole = Some(whole.map_or(last, |whole: (JobId, u64)| whole.min(last)));
            }
        };
        let some = runs::scheduled_at(conn, (shard, scheduled), after, CHUNK)?;
        bound(some.len(), some.last().map(|run| (run.occurrence.job, run.occurrence.run)));
        for run in some {
            let Occurrence { job, run: number, .. } = run.occurrence;
            found.entry(job, number).run = Some(run);
        }
        let some = pending::lone_at(conn, (shard, scheduled), after, CHUNK)?;
        let key = |row: &Pending| row.members.bounds().map(|(job, _)| (job, row.run));
        bound(some.len(), some.last().and_then(key));
        for row in some {
            if let Some((job, run)) = key(&row) {
                found.entry(job, run).row = Some(Arc::new(row));
            }
        }
        for row in &groups {
            // The members are above the place, or at it where the number of the run is.
            let from = if row.run > after.1 { after.0.saturating_sub(1) } else { after.0 };
            let some: Vec<_> = row.members.after(from).take(CHUNK).collect();
            bound(some.len(), some.last().map(|job| (*job, row.run)));
            for job in some {
                found.entry(job, row.run).row = Some(Arc::clone(row));
            }
        }
        for (_, open) in
            found.open.into_iter().take_while(|(key, _)| whole.is_none_or(|w| *key <= w))
        {
            if !f(open)? {
                return Ok(false);
            }
        }
        let Some(whole) = whole else { return Ok(true) };
        after = whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::members::Members;
    use crate::model::run::Run;
    use crate::store::{Store, Tx};

    fn run(of: Occurrence) -> Run {
        let shard = shard_of(of.job);
        let row = Pending::new(1, shard, of.scheduled, Members::from_sorted([of.job]));
        Run {
            occurrence: of,
            project: row.project,
            shard,
            due: row.due,
            attempt: 1,
            base: 0,
            node: 1,
            epoch: 1,
            accepted: of.job.is_multiple_of(2),
            started: 1,
            heard: 1,
            deadline: Millis::MAX,
            heartbeat_timeout: None,
            ends: None,
            retry: Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 },
            forced: false,
            worker: None,
        }
    }

    /// Rows with one member and with many, and runs, of several shards and instants; some runs only
    /// keep the place of a row.
    fn fill(tx: &mut Tx<'_>) -> rusqlite::Result<BTreeMap<Occurrence, (bool, bool)>> {
        let mut all: BTreeMap<Occurrence, (bool, bool)> = BTreeMap::new();
        let mut id = 0;
        let mut row = |tx: &Tx<'_>, scheduled, members: Vec<JobId>, run| {
            id += 1;
            let (shard, members) = (shard_of(members[0]), Members::from_sorted(members));
            let row = Pending { id, run, ..Pending::new(1, shard, scheduled, members) };
            pending::insert(tx, &row)
        };
        for scheduled in [10, 20, 30] {
            for shard in [0, 1, 5] {
                let first = shard * 64 + 1;
                // More than a chunk, some in each kind.
                let block = |from: u64| (from..from + 20).map(|n| first + n % 63);
                let groups = [block(0).collect::<Vec<_>>(), (first + 30..first + 34).collect()];
                for group in groups {
                    for job in &group {
                        all.entry(Occurrence { job: *job, scheduled, run: 0 }).or_default().0 =
                            true;
                    }
                    row(tx, scheduled, group, 0)?;
                }
                for job in [first + 40, first + 41] {
                    for number in [0, 7] {
                        let of = Occurrence { job, scheduled, run: number };
                        all.entry(of).or_default().0 = true;
                        row(tx, scheduled, vec![job], number)?;
                    }
                }
                for job in [first + 2, first + 25, first + 41, first + 50] {
                    let of = Occurrence { job, scheduled, run: 0 };
                    all.entry(of).or_default().1 = true;
                    runs::put(tx, &run(of))?;
                }
            }
        }
        // One row of which a walk reads only a part at a time.
        let group: Vec<u64> =
            (0..40).flat_map(|n| 2 * 64 + n * 4_096..2 * 64 + n * 4_096 + 20).collect();
        for job in &group {
            all.entry(Occurrence { job: *job, scheduled: 20, run: 0 }).or_default().0 = true;
        }
        row(tx, 20, group, 0)?;
        Ok(all)
    }

    fn walk(
        conn: &Connection,
        walk: Walk<'_>,
        most: usize,
    ) -> rusqlite::Result<Vec<(Occurrence, (bool, bool))>> {
        let mut found = Vec::new();
        each(conn, walk, |open| {
            found.push((open.occurrence, (open.row.is_some(), open.run.is_some())));
            Ok(found.len() < most)
        })?;
        Ok(found)
    }

    #[test]
    fn a_walk_goes_on_behind_every_place() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        let all = writer.transaction(fill).unwrap_or_else(|e: rusqlite::Error| panic!("{e}"));
        let mut expected: Vec<_> = all.into_iter().collect();
        expected.sort_by_key(|(of, _)| (Reverse(of.scheduled), shard_of(of.job), of.job, of.run));
        let from = |after| Walk { scope: Scope::All, before: Millis::MAX, after };
        let whole = store.read(|c| walk(c, from(None), usize::MAX)).unwrap();
        assert_eq!(whole, expected);
        for (place, (of, _)) in expected.iter().enumerate().step_by(7) {
            let rest = &expected[place + 1..];
            let found = store.read(|c| walk(c, from(Some(*of)), 3)).unwrap();
            assert_eq!(found, rest[..rest.len().min(3)], "behind {of:?}");
        }
        let earlier = Walk { before: 20, ..from(None) };
        let found = store.read(|c| walk(c, earlier, usize::MAX)).unwrap();
        assert_eq!(found, expected[expected.partition_point(|(of, _)| of.scheduled >= 20)..]);
        for job in [3, 42, 26, 63] {
            let found = store
                .read(|c| walk(c, Walk { scope: Scope::Job(job), ..from(None) }, usize::MAX))
                .unwrap();
            let own: Vec<_> = expected.iter().filter(|(of, _)| of.job == job).copied().collect();
            assert_eq!(found, own, "job {job}");
        }
    }
}
