//! Reads of the store for who is to be heard on a bus: the jobs of a shard whose queue is at a
//! broker, and the names under which runs are still out. `attaching` makes them, each within one
//! consistent read on a reader thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::bus_queues::BusQueues;
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::members::Members;
use crate::model::run_terms::BusKind;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::{self, JobRow};
use crate::store::runs;
use crate::worker::queue::{Member, Plans};
use crate::worker::supervisor::QueueId;

/// The name of a job on a broker, with its queue.
pub(super) type BusName = (QueueId, Arc<str>);

/// Where the workers of a job are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobAddress {
    pub(super) name: BusName,
    pub(super) project: ProjectId,
    /// The next due instant; [`Millis::MAX`] where there is none.
    pub(super) next_due: Millis,
}

/// What the store has of a shard.
#[derive(Debug, Default)]
pub(super) struct ShardAddresses {
    pub(super) jobs: BTreeMap<JobId, JobAddress>,
    /// The names under which runs are out, with their project.
    pub(super) out: BTreeMap<BusName, ProjectId>,
}

/// Jobs that were read again and exist; `None` for those whose workers are at no broker.
pub(super) type JobsRead = BTreeMap<JobId, Option<JobAddress>>;

/// What the reads go by.
pub(super) struct Known<'a> {
    pub(super) plans: &'a Plans,
    pub(super) queues: &'a BusQueues,
    /// The present scheduler time.
    pub(super) now: Millis,
}

/// Reads a shard whole.
pub(super) fn of_shard(
    conn: &Connection,
    known: &Known<'_>,
    shard: ShardId,
) -> rusqlite::Result<ShardAddresses> {
    let mut reading = Reading::new(conn, known);
    let mut failed = None;
    jobs::for_shard(conn, shard, |row| {
        if failed.is_none() {
            failed = reading.job(&row, false).err();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    let found = reading.finish()?;
    let jobs = found.into_iter().filter_map(|(job, its)| Some((job, its?))).collect();
    Ok(ShardAddresses { jobs, out: out(conn, shard)? })
}

/// Reads jobs again, which are given as ranges (first id, count), as far as they are in one of the
/// shards.
pub(super) fn of_jobs(
    conn: &Connection,
    known: &Known<'_>,
    ranges: &[(JobId, u64)],
    owned: &BTreeSet<ShardId>,
) -> rusqlite::Result<JobsRead> {
    let mut reading = Reading::new(conn, known);
    for (first, n) in ranges {
        let mut failed = None;
        jobs::range(conn, *first, *n, |row| {
            if failed.is_none() && owned.contains(&shard_of(row.id)) {
                failed = reading.job(&row, true).err();
            }
        })?;
        failed.map_or(Ok(()), Err)?;
    }
    reading.finish()
}

/// The names under which runs of a shard are out.
pub(super) fn out(
    conn: &Connection,
    shard: ShardId,
) -> rusqlite::Result<BTreeMap<BusName, ProjectId>> {
    let mut names = BTreeMap::new();
    for run in runs::kept(conn, shard)? {
        let terms = run.worker.as_deref().map(|worker| &worker.terms);
        if let Some(terms) = terms.filter(|terms| terms.bus == BusKind::Rabbitmq) {
            names.insert((terms.executor, terms.name.as_str().into()), run.project);
        }
    }
    Ok(names)
}

struct Reading<'a> {
    conn: &'a Connection,
    known: &'a Known<'a>,
    /// The definition that was read last: neighbours mostly share one.
    last: Option<(u64, Option<Arc<JobDefinition>>)>,
    found: JobsRead,
    /// The jobs that go by the client's id.
    unnamed: Vec<JobId>,
}

impl<'a> Reading<'a> {
    fn new(conn: &'a Connection, known: &'a Known<'a>) -> Self {
        Self { conn, known, last: None, found: JobsRead::new(), unnamed: Vec::new() }
    }

    /// Takes in a job; `all` also those whose workers are at no broker.
    fn job(&mut self, row: &JobRow, all: bool) -> rusqlite::Result<()> {
        let definition = self.definition(row.definition_id)?;
        let queue = definition.as_deref().and_then(|definition| {
            let is_own = definition.http.is_some() || definition.target.is_some();
            definition.executor.filter(|id| !is_own && self.known.queues.contains_key(id))
        });
        let (Some(queue), Some(definition)) = (queue, definition) else {
            if all {
                self.found.insert(row.id, None);
            }
            return Ok(());
        };
        let name = definition.worker_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            self.unnamed.push(row.id);
        }
        let address = JobAddress {
            name: (queue, name.into()),
            project: definition.project,
            next_due: self.next_due(row)?,
        };
        self.found.insert(row.id, Some(address));
        Ok(())
    }

    fn next_due(&self, row: &JobRow) -> rusqlite::Result<Millis> {
        if row.status != JobStatus::Active {
            return Ok(Millis::MAX);
        }
        let plan = self.known.plans.plan(self.conn, row.definition_id, row.id)?;
        let member = Member::from(row.id, row.anchor, row.from);
        let next = plan.and_then(|plan| plan.first(&member, self.known.now));
        Ok(next.map_or(Millis::MAX, |(_, due)| due))
    }

    fn definition(&mut self, id: u64) -> rusqlite::Result<Option<Arc<JobDefinition>>> {
        if let Some((_, known)) = self.last.as_ref().filter(|(last, _)| *last == id) {
            return Ok(known.clone());
        }
        let definition = self.known.plans.definition(self.conn, id)?;
        self.last = Some((id, definition.clone()));
        Ok(definition)
    }

    /// Names those that go by the client's id. Without a name nobody can hear of a job.
    fn finish(mut self) -> rusqlite::Result<JobsRead> {
        self.unnamed.sort_unstable();
        let members = Members::from_sorted(self.unnamed.iter().copied());
        let mut external_ids = jobs::external_ids(self.conn, &members)?;
        for job in self.unnamed {
            let name = external_ids.remove(&job);
            let address = self.found.get_mut(&job).and_then(Option::as_mut);
            match (name, address) {
                (Some(name), Some(address)) => address.name.1 = name.into(),
                _ => drop(self.found.insert(job, None)),
            }
        }
        Ok(self.found)
    }
}
