//! Differences of the numbers of jobs by status that are not written yet. `db::tx` owns them, the
//! functions of `catalog::jobs` and `catalog::staged` add to them with each change of a row;
//! `catalog::jobs::counts` reads the table.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::model::ProjectId;
use crate::model::job::JobStatus;

/// Unwritten changes: (project, code of the status) to the difference.
#[derive(Default)]
pub(in crate::store) struct JobCounts(RefCell<BTreeMap<(ProjectId, i64), i64>>);

impl JobCounts {
    /// Adds jobs to a number, or takes them away when `by` is negative.
    pub(in crate::store) fn add(&self, project: ProjectId, status: JobStatus, by: i64) {
        *self.0.borrow_mut().entry((project, status as i64)).or_default() += by;
    }

    /// Writes the differences and forgets them. A number that comes to 0 has no row.
    pub(in crate::store) fn flush(&self, conn: &Connection) -> rusqlite::Result<()> {
        for ((project, status), by) in self.0.take() {
            if by == 0 {
                continue;
            }
            conn.prepare_cached(
                "INSERT INTO counts (project, status, n) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute(params![project as i64, status, by])?;
            if by < 0 {
                conn.prepare_cached(
                    "DELETE FROM counts WHERE project = ?1 AND status = ?2 AND n = 0",
                )?
                .execute(params![project as i64, status])?;
            }
        }
        Ok(())
    }
}
