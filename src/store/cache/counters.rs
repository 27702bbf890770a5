//! Differences of the hourly counters that are not written yet. `db::tx` owns them, apply adds to
//! them with each record; `history::counters` reads the table.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::model::attempt::Verdict;
use crate::model::{Millis, ProjectId};

/// The length of an hour in milliseconds: the grain of the counters.
pub const HOUR: Millis = 3_600_000;

/// The kinds of outcome that people tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutcomeKind {
    /// Accepted by the receiver.
    Delivered = 0,
    /// An attempt that failed and is tried again.
    Failed = 1,
    /// Dead-lettered.
    Dead = 2,
    /// Not sent.
    Skipped = 3,
    /// Accepted by the receiver, which reports later.
    Running = 4,
}

impl OutcomeKind {
    /// All of them, in the order of their stored numbers.
    pub const ALL: [OutcomeKind; 5] =
        [Self::Delivered, Self::Failed, Self::Dead, Self::Skipped, Self::Running];

    /// The kind of a verdict.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Delivered => Self::Delivered,
            Verdict::Retry { .. } => Self::Failed,
            // Neither failed nor over: an accepted run counts when it ends.
            Verdict::Running | Verdict::Postponed { .. } => Self::Running,
            Verdict::Dead => Self::Dead,
            Verdict::Skipped(_) => Self::Skipped,
        }
    }
}

/// Unwritten changes: (hour, project, kind) to the difference.
#[derive(Default)]
pub(in crate::store) struct OutcomeCounters(BTreeMap<(i64, ProjectId, OutcomeKind), i64>);

impl OutcomeCounters {
    /// Adds executions to a counter, or takes them away when `by` is negative.
    pub(in crate::store) fn add(
        &mut self,
        project: ProjectId,
        due: Millis,
        verdict: Verdict,
        by: i64,
    ) {
        let key = (due.div_euclid(HOUR), project, OutcomeKind::of(verdict));
        *self.0.entry(key).or_default() += by;
    }

    /// Writes the differences and forgets them. A counter that comes to 0 has no row.
    pub(in crate::store) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
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
