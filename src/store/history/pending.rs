//! Pending rows: occurrences whose next attempt is in the store (retries, one-offs, manual runs).
//! Apply writes; the worker of the shard's owner reads. A row that waits for a worker is an offer:
//! the supervisor reads those apart from the others, by their numbers.
//!
//! An occurrence is in at most one row (*one place*). One that is in a row has no end state.
//! A replay is the exception: its row, whose `base` is not 0, is of an occurrence that was
//! dead-lettered.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{self, JobSearch, MemberSearch};
use crate::model::job::{OFFERED, PARKED, Pending};
use crate::model::members::Members;
use crate::model::offer::OfferId;
use crate::model::on_offer::OnOffer;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};
use crate::store::cache::empty_tables::Table;
use crate::store::db::{Tx, hint};
use crate::store::row::id_at;

const COLUMNS: &str = "id, shard, project, due, scheduled, attempt, next_at, members, run, base, forced, \
                       postponed, since, expires, executor";

/// A row by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Pending>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// All rows of a shard, in the order of their next attempts.
pub fn for_shard(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 ORDER BY next_at, id"
    ))?
    .query_map([shard], read)?
    .collect()
}

/// The rows of a shard that its owner sends or that wait behind a run, in the order of their next
/// attempts: all but the offers.
pub fn to_send(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<Pending>> {
    // Two searches by the index, around the number of offers.
    let mut found = Vec::new();
    for (from, until) in [(Millis::MIN, OFFERED - 1), (PARKED, PARKED)] {
        let mut select = conn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM pending WHERE shard = ?1 AND next_at BETWEEN ?2 AND ?3
             ORDER BY next_at, id"
        ))?;
        for row in select.query_map(params![shard, from, until], read)? {
            found.push(row?);
        }
    }
    Ok(found)
}

/// The offers of a shard, in the order of their numbers.
pub fn offers(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 AND next_at = ?2 ORDER BY id"
    ))?
    .query_map(params![shard, OFFERED], read)?
    .collect()
}

/// The offer of this number; `None` when it is gone, or waits for no worker.
pub fn offer(conn: &Connection, id: OfferId) -> rusqlite::Result<Option<Pending>> {
    Ok(get(conn, id)?.filter(Pending::is_offered))
}

/// The offers that nobody took before an instant, at most `limit`, earliest first.
pub fn expired(conn: &Connection, before: Millis, limit: u32) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE expires < ?1 ORDER BY expires, id LIMIT ?2"
    ))?
    .query_map(params![before, limit], read)?
    .collect()
}

/// The earliest instant after which nobody need take an offer.
pub fn next_expiry(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(expires) FROM pending WHERE expires IS NOT NULL")?
        .query_row([], |row| row.get(0))
}

/// The rows of a shard whose next attempt lies at or before an instant, earliest first, at most
/// `limit` of them.
pub fn ready(
    conn: &Connection,
    shard: ShardId,
    until: Millis,
    limit: u32,
) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 AND next_at <= ?2
         ORDER BY next_at, id LIMIT ?3"
    ))?
    .query_map(params![shard, until, limit], read)?
    .collect()
}

/// The number of rows, and the number of occurrences in them.
pub fn totals(conn: &Connection) -> rusqlite::Result<(u64, u64)> {
    conn.prepare_cached("SELECT COUNT(*), COALESCE(SUM(count), 0) FROM pending")?
        .query_row([], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))
}

/// The rows that may hold some of these members at a scheduled instant, in no particular order.
/// `run` is the number of a manual run, or 0 for the planned occurrence.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<Pending>> {
    static ROWS: LazyLock<MemberSearch> =
        LazyLock::new(|| MemberSearch::by_occurrence(COLUMNS, "pending"));
    ROWS.at_occurrence(conn, (shard, scheduled, run), members, read)
}

/// The rows of a shard scheduled from one instant to another that may hold a job.
pub(in crate::store) fn between(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<Pending>> {
    static ROWS: LazyLock<JobSearch> =
        LazyLock::new(|| JobSearch::by_scheduled(COLUMNS, "pending"));
    ROWS.between(conn, (shard, job), (from, until), read)
}

/// The rows of a shard at a scheduled instant that may hold a job. Rows of other lone jobs at that
/// instant are not passed.
pub(in crate::store) fn of_job_at(
    conn: &Connection,
    (shard, job): (ShardId, JobId),
    scheduled: Millis,
) -> rusqlite::Result<Vec<Pending>> {
    static ROWS: LazyLock<MemberSearch> =
        LazyLock::new(|| MemberSearch::new(COLUMNS, "pending", "shard = ?1 AND scheduled = ?2", 3));
    ROWS.rows(conn, job, params![shard, scheduled, job as i64], read)
}

/// The latest scheduled instant, up to one, of a row of a shard.
pub(in crate::store) fn last_scheduled(
    conn: &Connection,
    shard: ShardId,
    until: Millis,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MAX(scheduled) FROM pending WHERE shard = ?1 AND scheduled <= ?2")?
        .query_row(params![shard, until], |row| row.get(0))
}

/// The index of the rows of a job.
const OF_JOB: &str = "INDEXED BY pending_of_job";

/// The latest scheduled instant, up to one, of a row that holds a job alone.
pub(in crate::store) fn last_of_lone_job(
    conn: &Connection,
    (shard, job): (ShardId, JobId),
    until: Millis,
) -> rusqlite::Result<Option<Millis>> {
    let hint = hint(conn, OF_JOB)?;
    conn.prepare_cached(&format!(
        "SELECT MAX(scheduled) FROM pending {hint}
         WHERE shard = ?1 AND lone = ?2 AND scheduled <= ?3"
    ))?
    .query_row(params![shard, job as i64, until], |row| row.get(0))
}

/// Tells whether there is a row that holds a job alone.
pub fn has_lone_job(conn: &Connection, shard: ShardId, job: JobId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM pending WHERE shard = ?1 AND lone = ?2)")?
        .query_row(params![shard, job.cast_signed()], |row| row.get(0))
}

/// The latest scheduled instant, up to one, of a row that holds a job among others. Such rows of
/// the shard that do not hold it are read on the way.
pub(in crate::store) fn last_group_of_job(
    conn: &Connection,
    (shard, job): (ShardId, JobId),
    until: Millis,
) -> rusqlite::Result<Option<Millis>> {
    let hint = hint(conn, OF_JOB)?;
    let mut found = conn.prepare_cached(&format!(
        "SELECT scheduled, members FROM pending {hint}
         WHERE shard = ?1 AND lone = 0 AND scheduled <= ?2 ORDER BY scheduled DESC"
    ))?;
    let mut rows = found.query(params![shard, until])?;
    while let Some(row) = rows.next()? {
        if Members::from_bytes(row.get(1)?).contains(job) {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

/// The rows with one member of a shard at a scheduled instant after a job and run, by job, at most
/// `limit`.
pub(in crate::store) fn lone_at(
    conn: &Connection,
    (shard, scheduled): (ShardId, Millis),
    (job, run): (JobId, u64),
    limit: usize,
) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending
         WHERE shard = ?1 AND scheduled = ?2 AND lone > 0 AND (lone, run) > (?3, ?4)
         ORDER BY lone, run LIMIT ?5"
    ))?
    .query_map(params![shard, scheduled, job as i64, run as i64, limit as i64], read)?
    .collect()
}

/// The rows with several members of a shard at a scheduled instant.
pub(in crate::store) fn groups_at(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 AND scheduled = ?2 AND lone = 0"
    ))?
    .query_map(params![shard, scheduled], read)?
    .collect()
}

/// The scheduled instant of a manual run of a job, while its row waits.
pub(in crate::store) fn scheduled_of(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    run: u64,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached(
        "SELECT scheduled FROM pending WHERE shard = ?1 AND lone = ?2 AND run = ?3 LIMIT 1",
    )?
    .query_row(params![shard, job as i64, run as i64], |row| row.get(0))
    .optional()
}

/// Adds a row.
pub fn insert(tx: &Tx<'_>, row: &Pending) -> rusqlite::Result<()> {
    tx.mark_occupied(Table::Pending, row.shard);
    tx.prepare_cached(
        "INSERT INTO pending (id, shard, project, due, scheduled, attempt, next_at, members, count,
             lone, run, base, forced, postponed, since, expires, executor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        row.id as i64,
        row.shard,
        row.project as i64,
        row.due,
        row.scheduled,
        row.attempt,
        row.next_at,
        row.members.as_bytes(),
        row.members.len() as i64,
        sql::lone(&row.members) as i64,
        row.run as i64,
        row.base,
        row.forced,
        row.postponed,
        row.on_offer.map(|offer| offer.since),
        row.on_offer.and_then(|offer| offer.expires),
        row.queue.map(|queue| queue as i64),
    ])?;
    Ok(())
}

/// The parked rows of a job: those that wait behind a run of it.
pub fn parked(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<Pending>> {
    // The number is `PARKED`, written out for the index.
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE lone = ?1 AND next_at = 9223372036854775807
         ORDER BY id"
    ))?
    .query_map([job as i64], read)?
    .collect()
}

/// The number of parked rows of a job.
pub fn parked_count(conn: &Connection, job: JobId) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT COUNT(*) FROM pending WHERE lone = ?1 AND next_at = 9223372036854775807",
    )?
    .query_row([job as i64], |row| id_at(row, 0))
}

/// The parked row of a job that was due first.
pub fn oldest_parked(conn: &Connection, job: JobId) -> rusqlite::Result<Option<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE lone = ?1 AND next_at = 9223372036854775807
         ORDER BY due, id LIMIT 1"
    ))?
    .query_row([job as i64], read)
    .optional()
}

/// Parks a row: it waits behind a run from then on ([`PARKED`]).
pub fn park(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE pending SET next_at = ?2, since = NULL, expires = NULL WHERE id = ?1",
    )?
    .execute(params![id as i64, PARKED])?;
    Ok(())
}

/// Releases one parked row: its next attempt is due at an instant.
pub fn release_one(tx: &Tx<'_>, id: u64, at: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE pending SET next_at = ?2 WHERE id = ?1")?
        .execute(params![id as i64, at])?;
    Ok(())
}

/// Lets the wait of all offers that began before an instant begin there.
pub fn restart_offers(tx: &Tx<'_>, at: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE pending SET expires = expires - since + ?1, since = ?1
         WHERE next_at = ?2 AND since < ?1",
    )?
    .execute([at, OFFERED])?;
    Ok(())
}

/// Releases the parked rows of a job: their next attempt is due at an instant. Returns how many.
pub fn release(tx: &Tx<'_>, job: JobId, at: Millis) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE pending SET next_at = ?2 WHERE lone = ?1 AND next_at = 9223372036854775807",
    )?
    .execute(params![job as i64, at])
}

/// Leaves a row with these members only; with none, the row is removed.
pub fn keep(tx: &Tx<'_>, id: u64, members: &Members) -> rusqlite::Result<()> {
    sql::keep(tx, "pending", id, members)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        id: id_at(row, 0)?,
        shard: row.get(1)?,
        project: id_at(row, 2)?,
        due: row.get(3)?,
        scheduled: row.get(4)?,
        attempt: row.get(5)?,
        next_at: row.get(6)?,
        members: Members::from_bytes(row.get(7)?),
        run: id_at(row, 8)?,
        base: row.get(9)?,
        forced: row.get(10)?,
        postponed: row.get(11)?,
        queue: row.get::<_, Option<i64>>(14)?.map(|queue| queue as u64),
        on_offer: match row.get(12)? {
            Some(since) => {
                Some(OnOffer { since, expires: row.get(13)?, executor: id_at(row, 14)? })
            }
            None => None,
        },
    })
}
