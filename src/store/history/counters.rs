//! Hourly counters: how many executions are kept by hour, project and kind of outcome, so that
//! totals and charts need not read a week of records. Apply counts through `Tx`
//! (`cache::counters`); the api reads. Minutes are not counted here; they are summed up from the
//! records, by whoever asks or once by `events`.

use rusqlite::{Connection, Row, params};

pub use crate::store::cache::counters::{HOUR, OutcomeKind};

use crate::model::attempt::Verdict;
use crate::model::{Millis, ProjectId};
use crate::store::row::{clamped, id_at};

/// The length of a minute in milliseconds: the grain of sums over records.
pub const MINUTE: Millis = 60_000;

/// One hourly counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourlyCount {
    /// The start of the hour in which the executions were due.
    pub hour: Millis,
    /// The project of the executions.
    pub project: ProjectId,
    /// The kind of outcome.
    pub kind: OutcomeKind,
    /// The number of executions.
    pub count: u64,
}

/// The condition on records that the stored code of their verdict is of a kind.
pub(super) fn condition(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Delivered => "verdict = 0",
        OutcomeKind::Failed => "verdict = 1",
        OutcomeKind::Dead => "verdict = 2",
        OutcomeKind::Running => "verdict = 4",
        OutcomeKind::Skipped => "verdict >= 10",
    }
}

/// The counters of the hours that begin in `from..until`, of one project or of all, in order.
pub fn between(
    conn: &Connection,
    project: Option<ProjectId>,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<HourlyCount>> {
    conn.prepare_cached(
        "SELECT hour, project, sort, count FROM tallies
         WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR project = ?3)
         ORDER BY hour, project, sort",
    )?
    .query_map(
        params![
            from.div_euclid(HOUR) + i64::from(from.rem_euclid(HOUR) > 0),
            until.div_euclid(HOUR) + i64::from(until.rem_euclid(HOUR) > 0),
            project.map(|p| p as i64)
        ],
        |row| {
            Ok(HourlyCount {
                hour: row.get::<_, i64>(0)? * HOUR,
                project: id_at(row, 1)?,
                kind: OutcomeKind::ALL[row.get::<_, i64>(2)?.clamp(0, 4) as usize],
                count: id_at(row, 3)?,
            })
        },
    )?
    .collect()
}

/// The number of executions that were due in each minute of `from..until`, by kind of outcome, of
/// one project or of all. It is summed up from the records; `None` when there are more than `most`.
pub fn by_minute(
    conn: &Connection,
    project: Option<ProjectId>,
    (from, until): (Millis, Millis),
    most: u64,
) -> rusqlite::Result<Option<Vec<(Millis, OutcomeKind, u64)>>> {
    // SQLite reads the index alone for that.
    let records = conn
        .prepare_cached(
            "SELECT COUNT(*) FROM (
                 SELECT 1 FROM blocks WHERE due >= ?1 AND due < ?2 LIMIT ?3)",
        )?
        .query_row(params![from, until, most as i64 + 1], |row| id_at(row, 0))?;
    if records > most {
        return Ok(None);
    }
    let mut select = conn.prepare_cached(
        "SELECT due / 60000, verdict, SUM(count) FROM blocks
         WHERE due >= ?1 AND due < ?2 AND (?3 IS NULL OR project = ?3) GROUP BY 1, 2",
    )?;
    let sums = select.query_map(params![from, until, project.map(|p| p as i64)], |row| {
        let kind = OutcomeKind::of(Verdict::from_code(row.get(1)?));
        Ok((row.get::<_, Millis>(0)? * MINUTE, kind, id_at(row, 2)?))
    })?;
    sums.collect::<rusqlite::Result<_>>().map(Some)
}

/// One record, as sums by the minute need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedRecord {
    /// Its place in the order of due instants.
    pub place: RecordPlace,
    /// The project.
    pub project: ProjectId,
    /// The kind of outcome.
    pub kind: OutcomeKind,
    /// The number of executions.
    pub count: u64,
}

/// The place of a record in the order of due instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordPlace {
    /// The due instant.
    pub due: Millis,
    /// The execution number of its first member.
    pub id: u64,
}

/// The execution number of the record that was added last; 0 when there is none.
pub fn last_record(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COALESCE(MAX(id), 0) FROM blocks")?
        .query_row([], |row| id_at(row, 0))
}

/// The records behind a place, in the order of due instants, at most `most` of them. Those with a
/// number above `last` are left out.
pub fn records_behind(
    conn: &Connection,
    place: RecordPlace,
    last: u64,
    most: usize,
) -> rusqlite::Result<Vec<CountedRecord>> {
    let read = |row: &Row<'_>| {
        Ok(CountedRecord {
            place: RecordPlace { due: row.get(0)?, id: id_at(row, 1)? },
            project: id_at(row, 2)?,
            kind: OutcomeKind::of(Verdict::from_code(row.get(3)?)),
            count: id_at(row, 4)?,
        })
    };
    let mut found = conn
        .prepare_cached(SAME_INSTANT)?
        .query_map(params![place.due, clamped(place.id), clamped(last), most as i64], read)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let left = most - found.len();
    if left > 0 {
        let mut select = conn.prepare_cached(LATER_INSTANTS)?;
        let rows = select.query_map(params![place.due, clamped(last), left as i64], read)?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// The records of one due instant behind a number. They are found by the index, however many there
/// are of that instant.
pub(in crate::store) const SAME_INSTANT: &str =
    "SELECT due, id, project, verdict, count FROM blocks
     WHERE due = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";
/// The records that were due later.
pub(in crate::store) const LATER_INSTANTS: &str =
    "SELECT due, id, project, verdict, count FROM blocks
     WHERE due > ?1 AND id <= ?2 ORDER BY due, id LIMIT ?3";

/// The projects with most executions that were due in an hour from `from` on, the busiest first,
/// at most `most` of them.
pub fn busiest_projects(
    conn: &Connection,
    from: Millis,
    most: usize,
) -> rusqlite::Result<Vec<ProjectId>> {
    conn.prepare_cached(
        "SELECT project FROM tallies WHERE hour >= ?1
         GROUP BY project ORDER BY SUM(count) DESC, project LIMIT ?2",
    )?
    .query_map(params![from.div_euclid(HOUR), most as i64], |row| id_at(row, 0))?
    .collect()
}

/// The number of executions that were due in the hours `first..last`, as numbers since 1970, of one
/// project or of all, of some kinds.
pub fn total_of_hours(
    conn: &Connection,
    project: Option<ProjectId>,
    kinds: &[OutcomeKind],
    (first, last): (i64, i64),
) -> rusqlite::Result<u64> {
    let mut sum = 0;
    for kind in kinds {
        let project = project.map(|project| project as i64);
        sum += conn
            .prepare_cached(
                "SELECT COALESCE(SUM(count), 0) FROM tallies
                 WHERE hour >= ?3 AND hour < ?4 AND sort = ?1 AND (?2 IS NULL OR project = ?2)",
            )?
            .query_row(params![*kind as i64, project, first, last], |row| id_at(row, 0))?;
    }
    Ok(sum)
}

/// The number of executions that are kept, of one project or of all, of some kinds.
pub fn total(
    conn: &Connection,
    project: Option<ProjectId>,
    kinds: &[OutcomeKind],
) -> rusqlite::Result<u64> {
    let mut sum = 0;
    for kind in kinds {
        sum += conn
            .prepare_cached(
                "SELECT COALESCE(SUM(count), 0) FROM tallies
                 WHERE sort = ?1 AND (?2 IS NULL OR project = ?2)",
            )?
            .query_row(params![*kind as i64, project.map(|p| p as i64)], |row| id_at(row, 0))?;
    }
    Ok(sum)
}
