//! Reads of the store for the supervisor: what the change feed names, and all that the store has of
//! a shard. Each is one consistent read on a reader thread; `reader` makes them and says when.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::bus_queues::{BusQueue, bus_queue};
use crate::delivery::registry::Registry;
use crate::model::delivery::Overlap;
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::offer::OfferId;
use crate::model::run::{Occurrence, Run};
use crate::model::run_report::RunState;
use crate::model::shard::{Shard, ShardId, shard_of};
use crate::model::{JobId, NodeId};
use crate::store::{Page, cursors, ends, executors, jobs, pending, runs, shards};
use crate::worker::queue::Plans;
use crate::worker::supervisor::{Found, OfferRow, QueueId};

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) shards: bool,
    pub(super) queues: bool,
    pub(super) offers: BTreeSet<OfferId>,
    pub(super) runs: BTreeSet<Occurrence>,
    /// Jobs that were edited: some may be deleted.
    pub(super) edited: BTreeSet<JobId>,
    /// The journal may be recorded further.
    pub(super) recorded: bool,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        let Self { shards, queues, offers, runs, edited, recorded } = self;
        let is_named = !(offers.is_empty() && runs.is_empty() && edited.is_empty());
        !(*shards || *queues || is_named || *recorded)
    }

    /// Adds what another read did not bring.
    pub(super) fn add(&mut self, other: Self) {
        self.shards |= other.shards;
        self.queues |= other.queues;
        self.offers.extend(other.offers);
        self.runs.extend(other.runs);
        self.edited.extend(other.edited);
        self.recorded |= other.recorded;
    }
}

/// What may be a queue.
#[derive(Clone, Debug)]
pub(super) struct QueueFacts {
    /// Its name.
    pub(super) name: String,
    /// The most runs that this owner may have taken; `None` for no bound.
    pub(super) most: Option<u32>,
    /// The broker that its runs go over, if they do.
    pub(super) bus: Option<BusQueue>,
}

/// What may be a queue, by number.
pub(super) type Queues = BTreeMap<QueueId, QueueFacts>;

/// What was read.
#[derive(Debug)]
pub(super) struct News {
    pub(super) shards: Option<Vec<Shard>>,
    /// What may be a queue.
    pub(super) queues: Option<Queues>,
    pub(super) offers: Vec<(OfferId, Option<Box<OfferRow>>)>,
    pub(super) runs: Vec<(Occurrence, Found)>,
    pub(super) gone: Vec<JobId>,
    /// The sequence number up to which the own journal is recorded.
    pub(super) recorded: u64,
}

/// The own journal: its node, and its incarnation.
pub(super) type OwnJournal = (NodeId, u128);

/// Reads what is wanted. Of the occurrences without a run only those of `ends` are searched for
/// their end: for each of the others that takes more than all else that is read of it.
pub(super) fn read(
    conn: &Connection,
    (plans, kinds): (&Plans, &Registry),
    own: OwnJournal,
    wanted: &Wanted,
    ends: &BTreeSet<Occurrence>,
) -> rusqlite::Result<News> {
    let mut offers = Vec::with_capacity(wanted.offers.len());
    for id in &wanted.offers {
        let row = pending::offer(conn, *id)?;
        let row = row.map(|row| offer_row(conn, plans, row)).transpose()?;
        offers.push((*id, row.map(Box::new)));
    }
    let mut found = Vec::with_capacity(wanted.runs.len());
    for of in &wanted.runs {
        found.push((*of, run_of(conn, *of, ends.contains(of))?));
    }
    let edited: Vec<_> = wanted.edited.iter().copied().collect();
    Ok(News {
        shards: if wanted.shards { Some(shards::all(conn)?) } else { None },
        queues: if wanted.queues { Some(queues(conn, kinds)?) } else { None },
        offers,
        runs: found,
        gone: jobs::missing(conn, &edited)?,
        recorded: recorded(conn, own)?,
    })
}

/// What the store has of a shard.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) offers: Vec<OfferRow>,
    pub(super) runs: Vec<Run>,
    pub(super) gone: Vec<JobId>,
    pub(super) recorded: u64,
}

/// Reads all that the store has of a shard.
pub(super) fn of_shard(
    conn: &Connection,
    plans: &Plans,
    own: OwnJournal,
    shard: ShardId,
) -> rusqlite::Result<Stored> {
    let mut offers = Vec::new();
    // Rows of a backlog have the same members, mostly in one run of ids.
    let mut members = BTreeSet::new();
    for row in pending::offers(conn, shard)? {
        members.extend(row.members.runs());
        offers.push(offer_row(conn, plans, row)?);
    }
    let mut gone = BTreeSet::new();
    for (first, n) in members {
        let there = jobs::ids_between(conn, first, n)?;
        if (there.len() as u64) < n {
            gone.extend((first..first + n).filter(|job| there.binary_search(job).is_err()));
        }
    }
    Ok(Stored {
        offers,
        runs: runs::kept(conn, shard)?,
        gone: gone.into_iter().collect(),
        recorded: recorded(conn, own)?,
    })
}

fn recorded(conn: &Connection, (node, incarnation): OwnJournal) -> rusqlite::Result<u64> {
    Ok(cursors::get_incarnation(conn, node, incarnation)?.unwrap_or(0))
}

/// A row with what its jobs say. Those of one row had the same terms when it was made; what an edit
/// has changed since is looked up at the claim.
fn offer_row(conn: &Connection, plans: &Plans, row: Pending) -> rusqlite::Result<OfferRow> {
    let mut definition_id = None;
    if let Some(first) = row.members.iter().next() {
        jobs::range(conn, first, 1, |job| definition_id = Some(job.definition_id))?;
    }
    let definition = definition_id.map(|id| plans.definition(conn, id)).transpose()?.flatten();
    let (asks, is_one_off) = definition.map_or((false, false), |definition| {
        (definition.overlap != Overlap::Allow, definition.is_one_off())
    });
    let once = is_one_off && row.run == 0;
    Ok(OfferRow { asks: asks && !row.forced, once, row })
}

/// What the store has of the run of an occurrence; with `wants_end` also how it ended. One that has
/// begun has no end yet.
fn run_of(conn: &Connection, of: Occurrence, wants_end: bool) -> rusqlite::Result<Found> {
    match runs::get(conn, of)? {
        Some(run) if run.accepted => return Ok(Found::Run(Box::new(run))),
        None if wants_end => {}
        _ => return Ok(Found::Nothing),
    }
    if row_of(conn, of)?.is_some() {
        return Ok(Found::Row);
    }
    let end = ends::of_occurrence(conn, of)?;
    let end = end.and_then(|(verdict, origin)| Some((RunState::of_end(verdict)?, origin)));
    Ok(end.map_or(Found::Nothing, |(state, origin)| Found::End { state, origin }))
}

/// The row that an occurrence is in.
pub(super) fn row_of(conn: &Connection, of: Occurrence) -> rusqlite::Result<Option<Pending>> {
    let members = Members::from_sorted([of.job]);
    let rows = pending::at_occurrence(conn, shard_of(of.job), of.scheduled, of.run, &members)?;
    Ok(rows.into_iter().find(|row| row.members.contains(of.job)))
}

/// Reads the executors that may be queues: those of kinds with settings of their own.
fn queues(conn: &Connection, kinds: &Registry) -> rusqlite::Result<Queues> {
    let mut queues = Queues::new();
    let all = Page { limit: u64::MAX, ..Page::default() };
    executors::each(conn, &all, |executor| {
        if executor.settings.is_some() {
            let (most, bus) = (executor.max_concurrency, bus_queue(kinds, &executor));
            queues.insert(executor.id, QueueFacts { name: executor.name, most, bus });
        }
        Ok(true)
    })?;
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{AttemptRecord, Occurrences, ResultOrigin, Verdict};
    use crate::store::{Store, Tx, attempts};

    #[test]
    fn an_end_is_searched_for_only_where_somebody_has_to_be_told() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        let of = Occurrence { job: 1, scheduled: 50, run: 7 };
        let shard = shard_of(of.job);
        let members = Members::from_sorted([of.job]);
        let its = Occurrences { project: 1, shard, epoch: 1, due: 50, scheduled: 50, members };
        let origin = ResultOrigin::Cancelled;
        let end = AttemptRecord { run: 7, origin, ..AttemptRecord::attempt(its, Verdict::Dead) };
        let insert = |tx: &mut Tx<'_>| attempts::insert(tx, 9, 1, false, 50, &end);
        writer.transaction(insert).unwrap_or_else(|e: rusqlite::Error| panic!("{e}"));
        let found = |wants_end| store.read(|conn| run_of(conn, of, wants_end)).unwrap();
        assert!(matches!(found(true), Found::End { state: RunState::Failed, .. }));
        assert!(matches!(found(false), Found::Nothing));
    }
}
