//! The walk through the jobs of an edit: a part of it for each read, so that no read takes long
//! whatever the jobs are like. It runs on the thread that reads.

use rusqlite::Connection;

use crate::app::jobs::bulk_edit::plan::{BulkPlan, Looked};
use crate::model::JobId;
use crate::model::job::Job;
use crate::store::jobs::{self, Filter, Walked};

/// The most jobs that one read looks at, whether they match or not. Each that matches is read
/// whole, and checked.
const MAX_SCANNED: usize = 4_000;
/// The bytes of data and definitions after which a read ends.
const MAX_BYTES: usize = 8 << 20;

/// A walk, and the edit that it is for.
pub(super) struct EditWalk {
    pub(super) plan: BulkPlan,
    filter: Filter,
    last: JobId,
    after: JobId,
    /// All jobs were looked at.
    pub(super) is_over: bool,
}

impl EditWalk {
    /// A walk through the jobs that a filter finds, up to an id.
    pub(super) fn new(plan: BulkPlan, filter: Filter, last: JobId) -> Self {
        Self { plan, filter, last, after: 0, is_over: false }
    }

    /// The same walk from its begin.
    pub(super) fn again(self) -> Self {
        Self { after: 0, is_over: false, ..self }
    }

    /// Looks at the next jobs. `each` says how many bytes it keeps of a job.
    pub(super) fn go_on(
        &mut self,
        conn: &Connection,
        each: impl FnMut(Job, Looked) -> usize,
    ) -> rusqlite::Result<()> {
        let range = (self.after, self.last);
        let Walked { found, on } = jobs::walk(conn, &self.filter, range, MAX_SCANNED)?;
        let on = self.look_at(conn, &found, each)?.or(on);
        self.after = on.unwrap_or(self.last);
        self.is_over = on.is_none();
        Ok(())
    }

    /// Looks at these jobs, in order. Where they are too large for one read, it ends before, and
    /// gives the id of the last one that it has looked at.
    pub(super) fn look_at(
        &mut self,
        conn: &Connection,
        ids: &[JobId],
        mut each: impl FnMut(Job, Looked) -> usize,
    ) -> rusqlite::Result<Option<JobId>> {
        let (mut bytes, mut ended) = (0, None);
        let last = ids.last().copied();
        jobs::each_of(conn, ids, |job| {
            let looked = self.plan.look(conn, &job)?;
            let id = job.id;
            bytes += job.data.len();
            bytes += each(job, looked);
            ended = (bytes > MAX_BYTES && Some(id) != last).then_some(id);
            Ok(ended.is_none())
        })?;
        Ok(ended)
    }
}
