//! Runs under way: occurrences that others may have to wait for. Apply writes; the api lists them,
//! the worker reads which occurrences are taken, the coordinator reads the next deadline.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Phase, Run, WorkerRun};
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::cache::empty_tables::Table;
use crate::store::db::{Tx, hint};
use crate::store::row::{from_json, id_at, to_json};

const COLUMNS: &str = "job, scheduled, run, project, shard, due, attempt, base, node, epoch, \
                       accepted, started, heard, deadline, heartbeat_timeout, ends, retry, \
                       forced, kept, phase, since, why, worker, executor, progress, message, \
                       terms";

/// The run of an occurrence.
pub fn get(conn: &Connection, of: Occurrence) -> rusqlite::Result<Option<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE job = ?1 AND scheduled = ?2 AND run = ?3"
    ))?
    .query_row(params![of.job as i64, of.scheduled, of.run as i64], read)
    .optional()
}

/// The runs of a job, oldest first.
pub fn of_job(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE job = ?1 ORDER BY scheduled, run"
    ))?
    .query_map([job as i64], read)?
    .collect()
}

/// The runs of these members at a scheduled instant.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<Run>> {
    // One job is found by the key, however many others run since the same instant.
    let lone = sql::lone(members);
    if lone != 0 {
        let found = get(conn, Occurrence { job: lone, scheduled, run })?;
        return Ok(found.into_iter().collect());
    }
    // Of a group of thousands a few are asked for at a time.
    let (first, last) = members.bounds().unwrap_or_default();
    let mut found: Vec<Run> = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runs
             WHERE shard = ?1 AND scheduled = ?2 AND job >= ?3 AND job <= ?4 AND run = ?5
             ORDER BY job"
        ))?
        .query_map(params![shard, scheduled, first as i64, last as i64, run as i64], read)?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|found| members.contains(found.occurrence.job));
    Ok(found)
}

/// The runs of planned occurrences of a shard that were due in `from..=until`, by job.
pub fn due_between(
    conn: &Connection,
    shard: ShardId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE shard = ?1 AND run = 0 AND due >= ?2 AND due <= ?3
         ORDER BY job, scheduled"
    ))?
    .query_map(params![shard, from, until], read)?
    .collect()
}

/// The planned occurrences of a shard, due after an instant, that a receiver has accepted and not
/// yet ended, with their due instants. They are neither pending nor over, and a worker that takes
/// the shard over must not fire them again. A run that only began is fired again, because its
/// sender may have died before the first byte.
pub fn after(
    conn: &Connection,
    shard: ShardId,
    due: Millis,
) -> rusqlite::Result<Vec<(Millis, Occurrence)>> {
    conn.prepare_cached(
        "SELECT due, job, scheduled FROM runs
         WHERE shard = ?1 AND run = 0 AND accepted <> 0 AND due > ?2 ORDER BY due, job",
    )?
    .query_map(params![shard, due], |row| {
        let of = Occurrence { job: id_at(row, 1)?, scheduled: row.get(2)?, run: 0 };
        Ok((row.get(0)?, of))
    })?
    .collect()
}

/// The runs of a shard that workers have been handed, by job: those that its supervisor keeps.
pub fn kept(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE shard = ?1 AND kept <> 0 ORDER BY job, scheduled, run"
    ))?
    .query_map([shard], read)?
    .collect()
}

/// The number of runs that workers of a queue have been handed and that are not over. It goes
/// through all runs.
pub fn count_of_queue(conn: &Connection, executor: u64) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COUNT(*) FROM runs WHERE kept <> 0 AND executor = ?1")?
        .query_row([executor as i64], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// Goes through the runs of a worker, of one job or of all, scheduled before an instant and behind
/// an occurrence: newest first, and backwards by job and number of the run within an instant. It
/// reads as far as `f` returns `true`.
pub(in crate::store) fn each_of_worker(
    conn: &Connection,
    (worker, job): (&str, Option<JobId>),
    (before, behind): (Millis, Option<Occurrence>),
    mut f: impl FnMut(Run) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let behind = behind.map(|of| (of.scheduled, of.job as i64, of.run as i64));
    let (scheduled, last, run) =
        behind.unwrap_or((Millis::MAX, i64::MAX, i64::MAX)).min((before, i64::MIN, i64::MIN));
    let of_job = if job.is_some() { "AND job = ?5" } else { "AND ?5 IS NULL" };
    let hint = hint(conn, "INDEXED BY runs_of_worker")?;
    let mut found = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs {hint}
         WHERE worker = ?1 AND (scheduled, job, run) < (?2, ?3, ?4) {of_job}
         ORDER BY scheduled DESC, job DESC, run DESC"
    ))?;
    let mut rows = found.query(params![worker, scheduled, last, run, job.map(|job| job as i64)])?;
    while let Some(row) = rows.next()? {
        if !f(read(row)?)? {
            break;
        }
    }
    Ok(())
}

/// The runs of a job at a scheduled instant.
pub(in crate::store) fn of_job_at(
    conn: &Connection,
    job: JobId,
    scheduled: Millis,
) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE job = ?1 AND scheduled = ?2 ORDER BY run"
    ))?
    .query_map(params![job as i64, scheduled], read)?
    .collect()
}

/// The latest scheduled instant, up to one, of a run of a job.
pub(in crate::store) fn last_of_job(
    conn: &Connection,
    job: JobId,
    until: Millis,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MAX(scheduled) FROM runs WHERE job = ?1 AND scheduled <= ?2")?
        .query_row(params![job as i64, until], |row| row.get(0))
}

/// The latest scheduled instant, up to one, of a run of a shard.
pub(in crate::store) fn last_scheduled(
    conn: &Connection,
    shard: ShardId,
    until: Millis,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MAX(scheduled) FROM runs WHERE shard = ?1 AND scheduled <= ?2")?
        .query_row(params![shard, until], |row| row.get(0))
}

/// The runs of a shard at a scheduled instant after a job and run, by job, at most `limit`.
pub(in crate::store) fn scheduled_at(
    conn: &Connection,
    (shard, scheduled): (ShardId, Millis),
    (job, run): (JobId, u64),
    limit: usize,
) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
         WHERE shard = ?1 AND scheduled = ?2 AND (job, run) > (?3, ?4)
         ORDER BY job, run LIMIT ?5"
    ))?
    .query_map(params![shard, scheduled, job as i64, run as i64, limit as i64], read)?
    .collect()
}

/// The scheduled instant of a manual run of a job, while it is under way.
pub(in crate::store) fn scheduled_of(
    conn: &Connection,
    job: JobId,
    run: u64,
) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT scheduled FROM runs WHERE job = ?1 AND run = ?2")?
        .query_row([job as i64, run as i64], |row| row.get(0))
        .optional()
}

/// Tells whether a job has a run.
pub fn any_of_job(conn: &Connection, job: JobId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE job = ?1)")?
        .query_row([job as i64], |row| row.get(0))
}

/// The runs of a project's jobs, by job.
pub fn of_project(conn: &Connection, project: ProjectId) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
         WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job AND jobs.project_id = ?1)
         ORDER BY job, scheduled, run"
    ))?
    .query_map([project as i64], read)?
    .collect()
}

/// The runs whose deadline lies before an instant, at most `limit`, earliest first.
pub fn expired(conn: &Connection, before: Millis, limit: u32) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE deadline < ?1
         ORDER BY deadline, job, scheduled, run LIMIT ?2"
    ))?
    .query_map(params![before, limit], read)?
    .collect()
}

/// All runs.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM runs ORDER BY job, scheduled, run"))?
        .query_map([], read)?
        .collect()
}

/// The earliest deadline.
pub fn next_deadline(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(deadline) FROM runs")?.query_row([], |row| row.get(0))
}

/// Adds a run, or replaces it.
pub fn put(tx: &Tx<'_>, run: &Run) -> rusqlite::Result<()> {
    tx.mark_occupied(Table::Runs, run.shard);
    let retry = to_json(&run.retry)?;
    let worker = run.worker.as_deref();
    tx.prepare_cached(&format!(
        "INSERT OR REPLACE INTO runs ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)"
    ))?
    .execute(params![
        run.occurrence.job as i64,
        run.occurrence.scheduled,
        run.occurrence.run as i64,
        run.project as i64,
        run.shard,
        run.due,
        run.attempt,
        run.base,
        run.node as i64,
        run.epoch as i64,
        run.accepted,
        run.started,
        run.heard,
        run.deadline,
        run.heartbeat_timeout,
        run.ends,
        retry,
        run.forced,
        worker.is_some(),
        // A run without a worker has the value that a row from before the schema step got.
        worker.map_or(Phase::Running, |kept| kept.phase) as i64,
        worker.map(|kept| kept.since),
        worker.and_then(|kept| kept.why.as_ref()).map(to_json).transpose()?,
        worker.map(|kept| kept.worker.as_str()),
        worker.map(|kept| kept.terms.executor as i64),
        worker.and_then(|kept| kept.progress),
        worker.and_then(|kept| kept.message.as_deref()),
        worker.map(|kept| to_json(&kept.terms)).transpose()?,
    ])?;
    Ok(())
}

/// Removes the run of an occurrence.
pub fn delete(tx: &Tx<'_>, of: Occurrence) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM runs WHERE job = ?1 AND scheduled = ?2 AND run = ?3")?
        .execute(params![of.job as i64, of.scheduled, of.run as i64])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        occurrence: Occurrence { job: id_at(row, 0)?, scheduled: row.get(1)?, run: id_at(row, 2)? },
        project: id_at(row, 3)?,
        shard: row.get(4)?,
        due: row.get(5)?,
        attempt: row.get(6)?,
        base: row.get(7)?,
        node: id_at(row, 8)?,
        epoch: id_at(row, 9)?,
        accepted: row.get(10)?,
        started: row.get(11)?,
        heard: row.get(12)?,
        deadline: row.get(13)?,
        heartbeat_timeout: row.get(14)?,
        ends: row.get(15)?,
        retry: from_json(row.get_ref(16)?.as_str()?, 16)?,
        forced: row.get(17)?,
        worker: if row.get(18)? { Some(Box::new(read_worker(row)?)) } else { None },
    })
}

fn read_worker(row: &Row<'_>) -> rusqlite::Result<WorkerRun> {
    let why = row.get_ref(21)?.as_str_or_null()?;
    Ok(WorkerRun {
        phase: Phase::from_code(row.get(19)?),
        since: row.get(20)?,
        why: why.map(|why| from_json(why, 21)).transpose()?,
        worker: row.get(22)?,
        progress: row.get(24)?,
        message: row.get(25)?,
        terms: from_json(row.get_ref(26)?.as_str()?, 26)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, Writer, pending};

    fn within<T>(writer: &mut Writer, f: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T>) -> T {
        writer.transaction(f).unwrap_or_else(|e: rusqlite::Error| panic!("{e}"))
    }

    /// A node that took the schema step late has rows of the program before it, and the others have
    /// rows that this program wrote of the same entries.
    #[test]
    fn a_row_that_is_no_workers_is_the_same_whichever_program_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        within(&mut writer, |tx| {
            tx.execute_batch(
                "INSERT INTO runs (job, scheduled, run, project, shard, due, attempt, base, node,
                     epoch, accepted, started, heard, deadline, heartbeat_timeout, ends, retry,
                     forced)
                 VALUES (1, 5, 0, 1, 0, 5, 2, 1, 3, 4, 1, 6, 7, 9, 2, 90,
                     '{\"max\":1,\"delay\":5,\"factor\":1000,\"max_delay\":5}', 0);
                 INSERT INTO pending (id, shard, project, due, scheduled, attempt, next_at, members,
                     count, lone, run, base, forced, postponed)
                 VALUES (8, 0, 1, 5, 5, 2, 70, x'0200', 1, 2, 0, 1, 0, 'why');",
            )
        });
        let old = store.read(Store::hash).unwrap();
        let of = Occurrence { job: 1, scheduled: 5, run: 0 };
        let run = store.read(|c| get(c, of)).unwrap().unwrap();
        let row = store.read(|c| pending::get(c, 8)).unwrap().unwrap();
        assert_eq!((run.worker.as_ref(), run.bounded_by()), (None, Some(9)));
        assert_eq!((row.on_offer, row.attempt_at()), (None, Some(70)));
        within(&mut writer, |tx| {
            tx.execute_batch("DELETE FROM runs; DELETE FROM pending")?;
            put(tx, &run)?;
            pending::insert(tx, &row)
        });
        assert_eq!(store.read(Store::hash).unwrap(), old);
    }
}
