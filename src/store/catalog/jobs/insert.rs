//! New jobs. Rows that are alike, as those of a large request are, are added many at a time by one
//! statement. Apply is the only caller.

use std::sync::LazyLock;

use rusqlite::params;

use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;

/// The number of alike rows that one statement adds.
const BATCH_ROWS: usize = 32;

/// A new job's row.
pub struct NewRow<'a> {
    /// The id that the job gets.
    pub id: JobId,
    /// The id of its project.
    pub project: ProjectId,
    /// The number of its definition.
    pub definition_id: u64,
    /// Its data, for its target.
    pub data: &'a str,
    /// The instant that `@every` counts from.
    pub anchor: Millis,
    /// Its status: it fires or not.
    pub status: JobStatus,
    /// Its plan covers instants after this one: the stamp, or the end of its pause.
    pub from: Millis,
    /// The client's own id of it.
    pub external_id: Option<&'a str>,
    /// Its definition has labels.
    pub labelled: bool,
    /// The instant at which a one-off that does not fire is over all the same.
    pub lapses_at: Option<Millis>,
}

impl NewRow<'_> {
    /// Tells whether it differs from the row before it only in its data, and by one in its id.
    fn follows(&self, before: &Self) -> bool {
        let common = |row: &Self| {
            (row.project, row.definition_id, row.anchor, row.status, row.from, row.labelled)
        };
        let plain = |row: &Self| row.external_id.is_none() && row.lapses_at.is_none();
        self.id == before.id + 1 && common(self) == common(before) && plain(self) && plain(before)
    }
}

/// Adds jobs, all created at `stamp`.
pub fn insert<'a>(
    tx: &Tx<'_>,
    stamp: Millis,
    rows: impl Iterator<Item = NewRow<'a>>,
) -> rusqlite::Result<()> {
    let mut rows = rows.peekable();
    let mut alike: Vec<NewRow<'_>> = Vec::new();
    let mut counted = None;
    while let Some(row) = rows.next() {
        count(tx, &mut counted, Some((row.project, row.status)));
        let follows = rows.peek().is_some_and(|next| next.follows(&row));
        if alike.is_empty() && !follows {
            insert_one(tx, stamp, &row)?;
            continue;
        }
        alike.push(row);
        if alike.len() == BATCH_ROWS {
            insert_batch(tx, stamp, &alike)?;
            alike.clear();
        } else if !follows {
            alike.drain(..).try_for_each(|row| insert_one(tx, stamp, &row))?;
        }
    }
    count(tx, &mut counted, None);
    Ok(())
}

/// Counts a row, or the end of all. Rows of one project and status in a row are counted as one.
fn count(
    tx: &Tx<'_>,
    counted: &mut Option<((ProjectId, JobStatus), i64)>,
    row: Option<(ProjectId, JobStatus)>,
) {
    match (counted.as_mut(), row) {
        (Some((same, n)), Some(row)) if *same == row => *n += 1,
        (before, row) => {
            if let Some(((project, status), n)) = before {
                tx.count_jobs(*project, *status, *n);
            }
            *counted = row.map(|row| (row, 1));
        }
    }
}

/// Adds one row, which the caller counts.
fn insert_one(tx: &Tx<'_>, stamp: Millis, row: &NewRow<'_>) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
             external_id, labelled, asleep)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    insert.execute(params![
        row.id as i64,
        row.project as i64,
        row.definition_id as i64,
        row.data,
        stamp,
        row.anchor,
        row.from,
        row.status as i64,
        row.external_id,
        row.labelled,
        row.lapses_at,
    ])?;
    Ok(())
}

/// Adds [`BATCH_ROWS`] rows, each of which follows the one before it, by one statement in which
/// their common values are bound once.
fn insert_batch(tx: &Tx<'_>, stamp: Millis, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let row = |i| format!("(?1 + {i}, ?2, ?3, ?{}, ?4, ?5, ?6, ?7, ?8)", i + 9);
        let rows: Vec<_> = (0..BATCH_ROWS).map(row).collect();
        format!(
            "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
                 labelled)
             VALUES {}",
            rows.join(", ")
        )
    });
    let Some(first) = rows.first() else { return Ok(()) };
    let mut insert = tx.prepare_cached(&SQL)?;
    let common = [
        first.id as i64,
        first.project as i64,
        first.definition_id as i64,
        stamp,
        first.anchor,
        first.from,
        first.status as i64,
        i64::from(first.labelled),
    ];
    for (place, value) in (1..).zip(common) {
        insert.raw_bind_parameter(place, value)?;
    }
    for (place, row) in (1 + common.len()..).zip(rows) {
        insert.raw_bind_parameter(place, row.data)?;
    }
    insert.raw_execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// The rows are the same as [`insert_one`] writes them: rows that differ must not share a
    /// batch.
    #[test]
    fn rows_of_a_batch_are_as_those_that_are_added_one_by_one() {
        let data: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n}}}")).collect();
        let rows = || {
            data.iter().zip(1..).map(|(data, id)| NewRow {
                // A gap, one that differs in each field, and runs shorter, longer and as long as a
                // batch.
                id: id + u64::from(id > 20),
                project: 1 + u64::from(id > 55),
                definition_id: 1 + u64::from(id > 60),
                data,
                anchor: if id > 130 { 7 } else { 5 },
                status: if id == 100 { JobStatus::Inactive } else { JobStatus::Active },
                from: if id == 110 { 9 } else { 6 },
                external_id: (id == 175).then_some("mine"),
                labelled: id > 140,
                lapses_at: (id == 180).then_some(8),
            })
        };
        let written = |add: &dyn Fn(&Tx<'_>) -> rusqlite::Result<()>| {
            let folder = tempfile::tempdir().unwrap();
            let (store, mut writer) = Store::open(folder.path()).unwrap();
            writer.transaction(|tx| add(tx)).unwrap();
            store.read(Store::hash).unwrap()
        };
        let batched = written(&|tx| insert(tx, 4, rows()));
        let one = |tx: &Tx<'_>, row| insert(tx, 4, std::iter::once(row));
        let alone = written(&|tx| rows().try_for_each(|row| one(tx, row)));
        assert_eq!(batched, alone);
        let other = written(&|tx| insert(tx, 4, rows().skip(1)));
        assert_ne!(batched, other, "the hash sees rows");
    }
}
