//! The page of one job, and its number of executions. Most records of a shard have many members,
//! and one job is one of them: what is read of a record is its list, until it is known to be on the
//! page.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::filter::{Filter, condition, fits, keyset};
use super::row::{Execution, Total, read};
use crate::model::members::Members;
use crate::model::{JobId, Millis};
use crate::store::history::attempts;
use crate::store::row::id_at;

/// The number of records of a shard that are looked at to count a job's executions; see [`Total`].
const COUNTED: u64 = 4_096;

/// The part of a list that is shown.
pub(super) struct Part {
    pub(super) after: Option<(Millis, u64)>,
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) descending: bool,
}

/// The place of a job in the lists of rows. It keeps the last list, because most are the same as
/// the one before.
#[derive(Default)]
struct Places {
    list: Vec<u8>,
    place: Option<u64>,
}

impl Places {
    /// The place of a job among the members of a row, whose list is null when the job is the only
    /// member.
    fn of(&mut self, row: &Row<'_>, column: usize, job: JobId) -> rusqlite::Result<Option<u64>> {
        let Some(members) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(Some(0)) };
        if members != self.list {
            self.list.clear();
            self.list.extend_from_slice(members);
            self.place = Members::place_in(members, job);
        }
        Ok(self.place)
    }
}

/// The page of one job. It reads the lists of the records of its shard until the page is full, and
/// whole rows only for the page itself.
pub(super) fn page_of_job(
    conn: &Connection,
    job: JobId,
    condition: &str,
    values: &[Value],
    part: &Part,
) -> rusqlite::Result<Vec<Execution>> {
    let way = if part.descending { "DESC" } else { "ASC" };
    let (keyset, paged) = keyset(part.after, part.descending, values.to_vec());
    // For a record with one member the index alone tells enough.
    let mut select = conn.prepare_cached(&format!(
        "SELECT id, due, CASE lone WHEN 0 THEN members END FROM blocks
         WHERE {condition}{keyset} ORDER BY due {way}, id {way}"
    ))?;
    let mut rows = select.query(params_from_iter(paged))?;
    let (mut skip, mut found, mut places) = (part.offset, Vec::new(), Places::default());
    while (found.len() as u64) < part.limit {
        let Some(row) = rows.next()? else { break };
        let Some(ordinal) = places.of(row, 2, job)? else { continue };
        let (id, due) = (id_at(row, 0)?, row.get::<_, Millis>(1)?);
        if let Some(after) = part.after {
            let own = (due, id + ordinal);
            if if part.descending { own >= after } else { own <= after } {
                continue;
            }
        }
        if skip > 0 {
            skip -= 1;
        } else {
            found.push((id, ordinal));
        }
    }
    let mut select =
        conn.prepare_cached(&format!("SELECT {} FROM blocks WHERE id = ?1", attempts::COLUMNS))?;
    let page = found
        .into_iter()
        .map(|(id, ordinal)| select.query_row([id as i64], |row| read(row, ordinal, job)));
    page.collect()
}

/// The number of executions of a job. The newest [`COUNTED`] records of its shard are looked at; of
/// the older ones, which are counted by their index alone, the job is assumed to have the same
/// share.
pub(super) fn total_of_job(
    conn: &Connection,
    job: JobId,
    filter: &Filter,
) -> rusqlite::Result<Total> {
    let (condition, values) =
        condition(&Filter { project: None, kinds: Vec::new(), ..filter.clone() });
    let (fits, project) = (fits(&filter.kinds), values.len() + 1);
    let mut select = conn.prepare_cached(&format!(
        "SELECT due, {fits} AND (?{project} IS NULL OR project = ?{project}),
             CASE lone WHEN 0 THEN members END
         FROM blocks WHERE {condition} ORDER BY due DESC, id DESC"
    ))?;
    let mut asked = values.clone();
    asked.push(filter.project.map_or(Value::Null, |project| (project as i64).into()));
    let mut rows = select.query(params_from_iter(asked))?;
    let (mut looked, mut count, mut places) = (0, 0, Places::default());
    while let Some(row) = rows.next()? {
        if looked == COUNTED {
            // The job has none from before its creation.
            let made = conn
                .prepare_cached("SELECT created FROM jobs WHERE id = ?1")?
                .query_row([job as i64], |row| row.get(0))
                .optional()?;
            let mut values = values;
            values.extend([row.get(0)?, made.unwrap_or(Value::Integer(i64::MIN))]);
            let (due, made) = (values.len() - 1, values.len());
            let older = conn
                .prepare_cached(&format!(
                    "SELECT COUNT(*) FROM blocks
                     WHERE {condition} AND due BETWEEN ?{made} AND ?{due}"
                ))?
                .query_row(params_from_iter(values), |row| id_at(row, 0))?;
            return Ok(Total { count: count + (older * count).div_ceil(COUNTED), exact: false });
        }
        looked += 1;
        if row.get(1)? && places.of(row, 2, job)?.is_some() {
            count += 1;
        }
    }
    Ok(Total { count, exact: true })
}
