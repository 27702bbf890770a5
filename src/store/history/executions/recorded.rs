//! The attempts at one job in the order in which they were recorded, for readers that follow them.

use rusqlite::{Connection, OptionalExtension};

use super::row::{Execution, read};
use crate::model::members::Members;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis};
use crate::store::history::attempts;
use crate::store::row::id_at;

/// The part of the history that is read.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// Records of entries whose log time is this instant or later ...
    pub since: Millis,
    /// ... behind the execution of this id; 0 for the first.
    pub seen: u64,
    /// The most records that are looked at.
    pub looked_at: u32,
}

/// What was found in a part of the history.
#[derive(Debug)]
pub struct RecordedPart {
    /// The executions, in the order of recording.
    pub found: Vec<Execution>,
    /// There are more of them than were asked for.
    pub more: bool,
    /// The last id that was looked at, where records behind it were not: the next part begins
    /// there. `None` when the end was reached.
    pub looked_to: Option<u64>,
}

/// The executions of a job in a part of the history, at most `most`.
pub fn recorded_of_job(
    conn: &Connection,
    job: JobId,
    part: &Recorded,
    most: usize,
) -> rusqlite::Result<RecordedPart> {
    let start = first_since(conn, part.since)?.max(part.seen + 1);
    let end = conn
        .prepare_cached("SELECT id FROM blocks WHERE id >= ?1 ORDER BY id LIMIT 1 OFFSET ?2")?
        .query_row([start as i64, part.looked_at.into()], |row| id_at(row, 0))
        .optional()?;
    // By the id alone: through the index of the shard, all of its history would be sorted.
    let mut select = conn.prepare_cached(&format!(
        "SELECT {} FROM blocks
         WHERE id >= ?1 AND id < ?2 AND +shard = ?3 AND +lone IN (0, ?4) ORDER BY id",
        attempts::COLUMNS
    ))?;
    let (shard, until) = (i64::from(shard_of(job)), end.map_or(i64::MAX, |end| end as i64));
    let mut rows = select.query([start as i64, until, shard, job as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let place = Members::place_in(row.get_ref(17)?.as_blob()?, job);
        let Some(place) = place else { continue };
        if found.len() == most {
            return Ok(RecordedPart { found, more: true, looked_to: None });
        }
        found.push(read(row, place, job)?);
    }
    Ok(RecordedPart { found, more: false, looked_to: end.map(|end| end - 1) })
}

/// The id of the first record whose entry has this log time or a later one. Ids and log time go
/// forward together.
fn first_since(conn: &Connection, since: Millis) -> rusqlite::Result<u64> {
    let last = conn
        .prepare_cached("SELECT COALESCE(MAX(id), 0) FROM blocks")?
        .query_row([], |row| id_at(row, 0))?;
    let mut select = conn
        .prepare_cached("SELECT id, created FROM blocks WHERE id <= ?1 ORDER BY id DESC LIMIT 1")?;
    // Records before `low` are too old, those from `high` on are not.
    let (mut low, mut high) = (0, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found =
            select.query_row([middle as i64], |row| Ok((id_at(row, 0)?, row.get::<_, Millis>(1)?)));
        match found.optional()? {
            Some((id, created)) if created >= since => high = id,
            _ => low = middle + 1,
        }
    }
    Ok(high)
}
