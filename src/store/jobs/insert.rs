//! New jobs: rows that are alike, as those of a large request are, go in by the dozen. `super` shows it
//! to apply, the only caller.

use std::sync::LazyLock;

use rusqlite::params;

use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::writer::Tx;

/// So many rows that are alike are added by one statement.
const TOGETHER: usize = 32;

/// A new job's row.
pub struct NewRow<'a> {
    /// Its number.
    pub id: JobId,
    /// Its project.
    pub project: ProjectId,
    /// The number of its definition.
    pub definition_id: u64,
    /// What it carries.
    pub data: &'a str,
    /// What `@every` counts from.
    pub anchor: Millis,
    /// Whether it fires.
    pub status: JobStatus,
    /// Its plan covers instants after this one: the stamp, or the end of its pause.
    pub from: Millis,
    /// What the client calls it.
    pub external_id: Option<&'a str>,
    /// Whether its definition has labels.
    pub labelled: bool,
    /// When it is over although it does not fire, if it is such a one-off.
    pub lapses_at: Option<Millis>,
}

impl NewRow<'_> {
    /// Whether it differs from the row before it only in its data, and by one in its number.
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
    while let Some(row) = rows.next() {
        let follows = rows.peek().is_some_and(|next| next.follows(&row));
        if alike.is_empty() && !follows {
            insert_one(tx, stamp, &row)?;
            continue;
        }
        alike.push(row);
        if alike.len() == TOGETHER {
            insert_together(tx, stamp, &alike)?;
            alike.clear();
        } else if !follows {
            alike.drain(..).try_for_each(|row| insert_one(tx, stamp, &row))?;
        }
    }
    Ok(())
}

/// A row like any other.
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

/// [`TOGETHER`] rows, each of which follows the one before it: one statement, in which what they have
/// in common is bound once.
fn insert_together(tx: &Tx<'_>, stamp: Millis, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let row = |i| format!("(?1 + {i}, ?2, ?3, ?{}, ?4, ?5, ?6, ?7, ?8)", i + 9);
        let rows: Vec<_> = (0..TOGETHER).map(row).collect();
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

    /// As [`insert_one`] would write them: what is told apart must not go in together.
    #[test]
    fn rows_that_go_in_together_are_as_those_that_go_in_one_by_one() {
        let data: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n}}}")).collect();
        let rows = || {
            data.iter().zip(1..).map(|(data, id)| NewRow {
                // A gap, another of each sort, and runs shorter, longer and as long as a statement.
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
        let together = written(&|tx| insert(tx, 4, rows()));
        let alone = written(&|tx| rows().try_for_each(|row| insert_one(tx, 4, &row)));
        assert_eq!(together, alone);
        let other = written(&|tx| insert(tx, 4, rows().skip(1)));
        assert_ne!(together, other, "the hash sees rows");
    }
}
