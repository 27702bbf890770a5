//! Attempt records: one row for all jobs that went out as one request, or were skipped as one.
//! Apply writes and drops them; a worker that takes a shard over reads what is done already;
//! `executions` lists them job by job.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{JobSearch, MemberSearch, lone};
use crate::model::attempt::{AttemptRecord, ResultOrigin, Verdict};
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, NodeId};
use crate::store::catalog::meta;
use crate::store::db::Tx;
use crate::store::row::{clamped, id_at, result_at};

/// The columns that [`read`] takes.
pub(in crate::store) const COLUMNS: &str = "id, node, stale, created, project, shard, epoch, due, scheduled, \
                                  since, attempt, verdict, retry_at, http_code, started, duration, \
                                  error, members, count, run, how, \
                                  response";

/// The bytes that a row takes beside its texts and members: fixed columns, index entries, its share
/// of the page. A change of it needs a migration that counts again.
const ROW_BYTES: i64 = 200;

/// An attempt record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttempt {
    /// The execution number of its first member; those of the others follow on.
    pub id: u64,
    /// The node that sent it.
    pub node: NodeId,
    /// It was recorded when its epoch was past: then `dead` is an attempt and no end state.
    pub stale: bool,
    /// The stamp of the entry that recorded it.
    pub created: Millis,
    /// The record; its `pending`, `once` and `accepted` are not kept.
    pub record: AttemptRecord,
}

impl StoredAttempt {
    /// Tells whether it ends its occurrences.
    pub fn is_end(&self) -> bool {
        self.record.verdict.is_end() && !(self.stale && self.record.verdict == Verdict::Dead)
    }
}

/// A record by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<StoredAttempt>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM blocks WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// The records of a shard that were due after an instant, ranges that reach beyond it included, in
/// the order in which they were recorded.
pub fn after(
    conn: &Connection,
    shard: ShardId,
    due: Millis,
) -> rusqlite::Result<Vec<StoredAttempt>> {
    let mut found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM blocks WHERE due > ?1 AND shard = ?2"))?
        .query_map(params![due, shard], read)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found.sort_unstable_by_key(|b| b.id);
    Ok(found)
}

/// The records of a shard that may hold some of these members at a due instant, in the order in
/// which they were recorded. Ranges are not among them, except those that end there.
pub fn at(
    conn: &Connection,
    shard: ShardId,
    due: Millis,
    members: &Members,
) -> rusqlite::Result<Vec<StoredAttempt>> {
    let lone = lone(members);
    let condition = if lone == 0 { "?3 = 0" } else { "lone IN (0, ?3)" };
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM blocks WHERE due = ?1 AND shard = ?2 AND {condition} ORDER BY id"
    ))?
    .query_map(params![due, shard, lone as i64], read)?
    .collect()
}

/// The records of a shard due from one instant to another that may hold a job, in the order in
/// which they were recorded; ranges are not among them.
pub(in crate::store) fn between(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<StoredAttempt>> {
    static RECORDS: LazyLock<JobSearch> =
        LazyLock::new(|| JobSearch::new(COLUMNS, "blocks", "due", "since IS NULL"));
    let mut found = RECORDS.between(conn, (shard, job), (from, until), read)?;
    found.sort_unstable_by_key(|b| b.id);
    Ok(found)
}

/// The ranges of a shard that overlap an interval, in the order in which they were recorded.
pub(in crate::store) fn ranges_over(
    conn: &Connection,
    shard: ShardId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<StoredAttempt>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM blocks
         WHERE shard = ?1 AND due >= ?2 AND since IS NOT NULL AND since <= ?3 ORDER BY id"
    ))?
    .query_map(params![shard, from, until], read)?
    .collect()
}

/// The end states of an occurrence: for each record or range that ended some of these members
/// there, all of its members.
pub fn ended_at(conn: &Connection, record: &AttemptRecord) -> rusqlite::Result<Vec<Members>> {
    // The conditions on verdict and stale are those of `StoredAttempt::is_end`.
    static ENDED: LazyLock<MemberSearch> = LazyLock::new(|| {
        let condition = "due = ?1 AND shard = ?2 AND scheduled = ?3 AND since IS NULL AND run = ?5
             AND verdict NOT IN (1, 3, 4) AND NOT (stale AND verdict BETWEEN 2 AND 9)";
        MemberSearch::new("members", "blocks", condition, 4)
    });
    let lone = lone(&record.members);
    let params =
        params![record.due, record.shard, record.scheduled, lone as i64, record.run as i64];
    let mut ended = ENDED.rows(conn, lone, params, |row| row.get(0).map(Members::from_bytes))?;
    if record.run != 0 {
        return Ok(ended);
    }
    let mut ranges = conn.prepare_cached(
        "SELECT members FROM blocks
         WHERE shard = ?1 AND due >= ?2 AND since IS NOT NULL AND since <= ?2 AND scheduled >= ?3",
    )?;
    let of = params![record.shard, record.due, record.scheduled];
    for members in ranges.query_map(of, |row| row.get(0))? {
        ended.push(Members::from_bytes(members?));
    }
    Ok(ended)
}

/// The end state of a single occurrence, by the records due in `from..=until`; `None` if it has
/// none.
pub fn end_of(
    conn: &Connection,
    of: Occurrence,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Option<(Verdict, ResultOrigin)>> {
    // Of one instant the index leads to the job, however many others were due with it.
    let due = if from == until { "due = ?1 AND ?2 = ?1" } else { "due >= ?1 AND due <= ?2" };
    // Delivered beats what was recorded before and after it.
    conn.prepare_cached(&format!(
        "SELECT verdict, how, members FROM blocks
         WHERE {due} AND shard = ?3 AND lone IN (0, ?4)
             AND scheduled = ?5 AND run = ?6 AND since IS NULL
             AND verdict NOT IN (1, 3, 4) AND NOT (stale AND verdict BETWEEN 2 AND 9)
         ORDER BY verdict = 0 DESC, id DESC"
    ))?
    .query_map(
        params![from, until, shard_of(of.job), of.job as i64, of.scheduled, of.run as i64],
        |row| {
            let members = Members::from_bytes(row.get(2)?);
            let end = (Verdict::from_code(row.get(0)?), ResultOrigin::from_code(row.get(1)?));
            Ok(members.contains(of.job).then_some(end))
        },
    )?
    .find_map(Result::transpose)
    .transpose()
}

/// The records that something else than an answer told of, newest first: ends and failed attempts
/// of runs that a receiver or a worker reported on, that were lost, cancelled or not taken. At most
/// `limit`, those before a due instant and id.
pub fn reported(
    conn: &Connection,
    (due, id): (Millis, u64),
    limit: u32,
) -> rusqlite::Result<Vec<StoredAttempt>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM blocks WHERE how <> 0 AND (due, id) < (?1, ?2)
         ORDER BY due DESC, id DESC LIMIT ?3"
    ))?
    .query_map(params![due, clamped(id), limit], read)?
    .collect()
}

/// The scheduled instant of a manual run of a job, by the newest record of it.
pub(in crate::store) fn scheduled_of(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    run: u64,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached(
        "SELECT scheduled FROM blocks WHERE shard = ?1 AND lone = ?2 AND run = ?3
         ORDER BY due DESC LIMIT 1",
    )?
    .query_row(params![shard, job as i64, run as i64], |row| row.get(0))
    .optional()
}

/// Adds a record under an id; `stamp` is that of the entry that records it.
pub fn insert(
    tx: &mut Tx<'_>,
    id: u64,
    node: NodeId,
    stale: bool,
    stamp: Millis,
    record: &AttemptRecord,
) -> rusqlite::Result<()> {
    let retry_at = match record.verdict {
        Verdict::Retry { at } => Some(at),
        _ => None,
    };
    tx.prepare_cached(
        "INSERT INTO blocks (id, project, shard, node, epoch, stale, due, scheduled, since, attempt,
             verdict, retry_at, http_code, started, duration, count, lone, created, members, error,
             run, how, response)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21, ?22, ?23)",
    )?
    .execute(params![
        id as i64,
        record.project as i64,
        record.shard,
        node as i64,
        record.epoch as i64,
        stale,
        record.due,
        record.scheduled,
        record.since,
        record.attempt,
        record.verdict.code(),
        retry_at,
        record.result.number(),
        record.started,
        record.duration,
        record.members.len() as i64,
        lone(&record.members) as i64,
        stamp,
        record.members.as_bytes(),
        record.error,
        record.run as i64,
        record.origin as i64,
        record.response,
    ])?;
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let variable = record.members.as_bytes().len() + text(&record.error) + text(&record.response);
    tx.add_history_bytes(ROW_BYTES + variable as i64)
}

/// Drops at most `limit` records due before an instant, oldest first. Returns how many it dropped.
pub fn drop_before(tx: &mut Tx<'_>, before: Millis, limit: u32) -> rusqlite::Result<u32> {
    let old: Vec<(i64, u64, Millis, Verdict, i64, i64)> = tx
        .prepare_cached(
            "SELECT id, project, due, verdict, count, length(members)
                 + coalesce(octet_length(error), 0) + coalesce(octet_length(response), 0)
             FROM blocks WHERE due < ?1 ORDER BY due, id LIMIT ?2",
        )?
        .query_map(params![before, limit], |row| {
            let verdict = Verdict::from_code(row.get(3)?);
            Ok((row.get(0)?, id_at(row, 1)?, row.get(2)?, verdict, row.get(4)?, row.get(5)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    {
        let mut delete = tx.prepare_cached("DELETE FROM blocks WHERE id = ?1")?;
        for (id, ..) in &old {
            delete.execute([id])?;
        }
    }
    if let Some((_, _, due, ..)) = old.last() {
        meta::set_history_dropped(tx, *due)?;
    }
    for (_, project, due, verdict, count, variable) in &old {
        tx.count_outcome(*project, *due, *verdict, -count);
        tx.add_history_bytes(-ROW_BYTES - variable)?;
    }
    Ok(old.len() as u32)
}

/// The due instant of the oldest record; `None` when there are none.
pub fn oldest_due(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(due) FROM blocks")?.query_row([], |row| row.get(0))
}

pub(in crate::store) fn read(row: &Row<'_>) -> rusqlite::Result<StoredAttempt> {
    Ok(StoredAttempt {
        id: id_at(row, 0)?,
        node: id_at(row, 1)?,
        stale: row.get(2)?,
        created: row.get(3)?,
        record: AttemptRecord {
            project: id_at(row, 4)?,
            shard: row.get(5)?,
            epoch: id_at(row, 6)?,
            due: row.get(7)?,
            scheduled: row.get(8)?,
            since: row.get(9)?,
            attempt: row.get(10)?,
            verdict: verdict_of(row)?,
            result: result_at(row, 13)?,
            started: row.get(14)?,
            duration: row.get(15)?,
            error: row.get(16)?,
            members: Members::from_bytes(row.get(17)?),
            pending: None,
            run: id_at(row, 19)?,
            once: false,
            origin: ResultOrigin::from_code(row.get(20)?),
            accepted: None,
            response: row.get(21)?,
        },
    })
}

/// The verdict of a row with [`COLUMNS`]: columns 11 and 12 hold its code and the instant of a
/// retry.
pub(in crate::store) fn verdict_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Verdict> {
    Ok(match Verdict::from_code(row.get(11)?) {
        Verdict::Retry { .. } => Verdict::Retry { at: row.get::<_, Option<i64>>(12)?.unwrap_or(0) },
        other => other,
    })
}

/// About how many bytes the records take, counted as they are added and dropped: a rough figure for
/// retention.
pub fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    meta::history_bytes(conn)
}
