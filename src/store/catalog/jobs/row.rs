//! The row of a job and how it is read. The other files of `jobs` use it.

use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::model::job::{Job, JobDefinition, JobStatus};
use crate::model::{JobId, Millis};
use crate::store::catalog::definitions::DefinitionCache;
use crate::store::row::id_at;

/// The columns that [`read_job`] takes.
pub(super) const COLUMNS: &str = "id, shape_id, created, anchor, plan_from, status, data, modified, \
                                  modified_by, external_id, version";

/// The part of a job that the due queue needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// The id of the job.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// The stamp of its creation.
    pub created: Millis,
    /// The instant that `@every` counts from.
    pub anchor: Millis,
    /// Its current plan covers instants after this one.
    pub from: Millis,
    /// Its status: it fires or not.
    pub status: JobStatus,
}

/// The part of a job that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The id of the job.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// Its data, for its target.
    pub data: String,
    /// The stamp of its creation.
    pub created: Millis,
    /// The instant that `@every` counts from.
    pub anchor: Millis,
    /// Its current plan covers instants after this one.
    pub from: Millis,
    /// Its status: it fires or not.
    pub status: JobStatus,
}

/// A whole job of a row with [`COLUMNS`].
pub(super) fn read_job(
    conn: &Connection,
    definitions: &mut DefinitionCache,
    row: &Row<'_>,
) -> rusqlite::Result<Job> {
    let head = read_row(row)?;
    let definition = definitions.get(conn, head.definition_id)?;
    whole(head, definition, row)
}

/// A whole job of its row, whose definition the caller has read.
pub(super) fn whole(
    head: JobRow,
    definition: Arc<JobDefinition>,
    row: &Row<'_>,
) -> rusqlite::Result<Job> {
    let JobRow { id, definition_id, created, anchor, from, status } = head;
    Ok(Job {
        id,
        definition_id,
        definition,
        created,
        anchor,
        from,
        status,
        data: row.get(6)?,
        modified: row.get(7)?,
        modified_by: row.get(8)?,
        external_id: row.get(9)?,
        version: id_at(row, 10)?,
    })
}

/// A [`JobRow`] of the first six columns.
pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        id: id_at(row, 0)?,
        definition_id: id_at(row, 1)?,
        created: row.get(2)?,
        anchor: row.get(3)?,
        from: row.get(4)?,
        status: JobStatus::from_code(row.get(5)?),
    })
}
