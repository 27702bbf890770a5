//! How many executions are kept, by hour, project and sort of verdict: so that totals and charts
//! need not read a week of records. Apply adds and takes away with the records; the api reads.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::id_at;
use super::writer::Tx;
use crate::model::attempt::Verdict;
use crate::model::{Millis, ProjectId};

/// The length of an hour, the grain of the tallies.
pub const HOUR: Millis = 3_600_000;

/// The length of a minute, the grain of what is summed up from records.
pub const MINUTE: Millis = 60_000;

/// The sorts of verdict that people tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutcomeKind {
    /// Accepted by the receiver.
    Delivered = 0,
    /// An attempt that failed and is tried again.
    Failed = 1,
    /// Given up.
    Dead = 2,
    /// Not sent.
    Skipped = 3,
    /// Accepted by the receiver, which reports later.
    Running = 4,
}

impl OutcomeKind {
    /// All of them, in order.
    pub const ALL: [OutcomeKind; 5] = [
        OutcomeKind::Delivered,
        OutcomeKind::Failed,
        OutcomeKind::Dead,
        OutcomeKind::Skipped,
        OutcomeKind::Running,
    ];

    /// The sort of a verdict.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Delivered => OutcomeKind::Delivered,
            Verdict::Retry { .. } => OutcomeKind::Failed,
            // Neither failed nor over: a run that was accepted counts when it ends.
            Verdict::Running | Verdict::Postponed { .. } => OutcomeKind::Running,
            Verdict::Dead => OutcomeKind::Dead,
            Verdict::Skipped(_) => OutcomeKind::Skipped,
        }
    }

    /// The stored verdict codes of this sort, as a condition on records.
    pub(super) fn condition(self) -> &'static str {
        match self {
            OutcomeKind::Delivered => "verdict = 0",
            OutcomeKind::Failed => "verdict = 1",
            OutcomeKind::Dead => "verdict = 2",
            OutcomeKind::Running => "verdict = 4",
            OutcomeKind::Skipped => "verdict >= 10",
        }
    }
}

/// One tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourlyCount {
    /// The start of the hour in which the executions were due.
    pub hour: Millis,
    /// The project.
    pub project: ProjectId,
    /// The sort of verdict.
    pub kind: OutcomeKind,
    /// How many executions.
    pub count: u64,
}

/// Changes not yet written: (hour, project, sort) to the difference.
#[derive(Default)]
pub(super) struct OutcomeCounters(BTreeMap<(i64, ProjectId, OutcomeKind), i64>);

impl OutcomeCounters {
    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for ((hour, project, kind), by) in std::mem::take(&mut self.0) {
            if by == 0 {
                continue;
            }
            let key = params![hour, project as i64, kind as i64, by];
            conn.prepare_cached(
                "INSERT INTO tallies (hour, project, sort, count) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count",
            )?
            .execute(key)?;
            if by < 0 {
                conn.prepare_cached(
                    "DELETE FROM tallies
                     WHERE hour = ?1 AND project = ?2 AND sort = ?3 AND count = 0",
                )?
                .execute(params![hour, project as i64, kind as i64])?;
            }
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Counts executions in (or out, below zero).
    pub fn count_outcome(&mut self, project: ProjectId, due: Millis, verdict: Verdict, by: i64) {
        let key = (due.div_euclid(HOUR), project, OutcomeKind::of(verdict));
        *self.kept.counters.0.entry(key).or_default() += by;
    }
}

/// The tallies of the hours that begin in `from..until`, of one project or of all, in order.
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

/// How many executions were due in each minute of `from..until`, by sort of verdict, of one project
/// or of all: summed up from the records. `None` where that are more than `most` records.
pub fn by_minute(
    conn: &Connection,
    project: Option<ProjectId>,
    (from, until): (Millis, Millis),
    most: u64,
) -> rusqlite::Result<Option<Vec<(Millis, OutcomeKind, u64)>>> {
    // The index alone is read for that.
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

/// How many executions are kept in all, of one project or of all, of some sorts.
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
