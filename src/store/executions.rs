//! Executions as people list them: records, member by member. The api and the ui read; nobody
//! writes. A page decodes only the records that it shows. A job's page is found by walking the records
//! of its shard from where the page begins to where it is full; how many there are beyond is counted
//! as far as that is cheap, and estimated from there on.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::counters::{self, OutcomeKind};
use super::{attempts, id_at};
use crate::model::attempt::{ResultOrigin, Verdict};
use crate::model::members::Members;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, NodeId, ProjectId};

/// So many records of a shard are looked at to count what a job has; see [`Total`].
const COUNTED: u64 = 4_096;

/// How many executions there are in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// That many.
    pub count: u64,
    /// False when the last part of it was estimated: a job's executions are not counted beyond some
    /// thousand records of its shard, each of which would have to be read.
    pub exact: bool,
}

/// Which executions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one project.
    pub project: Option<ProjectId>,
    /// Those of one job.
    pub job: Option<JobId>,
    /// Those of these sorts; empty means all.
    pub kinds: Vec<OutcomeKind>,
    /// Due at or after this instant.
    pub from: Option<Millis>,
    /// Due at or before this instant.
    pub until: Option<Millis>,
    /// Those that come after this one, (due, number), in the order of the list: where the last page
    /// ended. How many there are in all is counted without it.
    pub after: Option<(Millis, u64)>,
}

/// One attempt (or decision not to make one) at one occurrence of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Its number: stable, unique, in the order of recording.
    pub id: u64,
    /// The project.
    pub project: ProjectId,
    /// The job.
    pub job: JobId,
    /// The shard.
    pub shard: ShardId,
    /// The scheduled instant; with the job it makes the execution id.
    pub scheduled: Millis,
    /// When it was due.
    pub due: Millis,
    /// For skips of a range: where the range begins.
    pub since: Option<Millis>,
    /// The node that made it.
    pub node: NodeId,
    /// The epoch it was made under.
    pub epoch: u64,
    /// 1 for the first.
    pub attempt: u32,
    /// What it came to.
    pub verdict: Verdict,
    /// The HTTP status that came back; 0 when none did.
    pub http_code: u16,
    /// When its first byte went out.
    pub started: Millis,
    /// How long it took, in milliseconds.
    pub duration: u32,
    /// What went wrong.
    pub error: Option<String>,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
    /// How the result came about.
    pub origin: ResultOrigin,
    /// The start of the answer.
    pub response: Option<String>,
    /// When it was recorded.
    pub created: Millis,
}

/// How many executions match, and those from `offset` on, at most `limit`, in the order in which
/// they were due. What comes before `offset` is passed over one by one; [`Filter::after`] is not.
pub fn list(
    conn: &Connection,
    filter: &Filter,
    limit: u64,
    offset: u64,
    descending: bool,
) -> rusqlite::Result<(Total, Vec<Execution>)> {
    let (condition, values) = condition(filter);
    let way = if descending { "DESC" } else { "ASC" };
    if let Some(job) = filter.job {
        let part = Part { after: filter.after, limit, offset, descending };
        let page = page_of_job(conn, job, &condition, &values, &part)?;
        return Ok((total_of_job(conn, job, filter)?, page));
    }
    let total = Total { count: total(conn, filter, &condition, &values)?, exact: true };
    let (keyset, paged) = keyset(filter.after, descending, values);
    let mut select = conn.prepare_cached(&format!(
        "SELECT {} FROM blocks WHERE {condition}{keyset} ORDER BY due {way}, id {way}",
        attempts::COLUMNS
    ))?;
    let mut rows = select.query(params_from_iter(paged))?;
    let mut page = Vec::new();
    let mut skip = offset;
    while page.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        let (id, due) = (id_at(row, 0)?, row.get::<_, Millis>(7)?);
        // The members that are not passed yet: a page may have ended in the middle of a record.
        let count = id_at(row, 18)?;
        let (begin, end) = match filter.after.filter(|(at, _)| *at == due) {
            Some((_, last)) if descending => (0, last.saturating_sub(id).min(count)),
            Some((_, last)) => ((last + 1).saturating_sub(id).min(count), count),
            None => (0, count),
        };
        let left_of_it = end - begin;
        if skip >= left_of_it {
            skip -= left_of_it;
            continue;
        }
        let members = Members::from_bytes(row.get(17)?);
        let left = limit as usize - page.len();
        let span = (left_of_it - skip).min(left as u64);
        let first = if descending { end - skip - span } else { begin + skip };
        let shown = page.len();
        for (i, job) in members.iter().skip(first as usize).take(span as usize).enumerate() {
            page.push(read(row, first + i as u64, job)?);
        }
        if descending {
            page[shown..].reverse();
        }
        skip = 0;
    }
    Ok((total, page))
}

/// Which part of a list is shown.
struct Part {
    after: Option<(Millis, u64)>,
    limit: u64,
    offset: u64,
    descending: bool,
}

/// Whether a row's list has a job, remembering the last list: most are the same as the one before.
#[derive(Default)]
struct Places {
    list: Vec<u8>,
    place: Option<u64>,
}

impl Places {
    /// The place of a job among the members of a row; of a lone record none are given.
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

/// The page for one job: the records of its shard are walked until it is full, and of each no more is
/// read than its list. Whole rows are read for the page alone.
fn page_of_job(
    conn: &Connection,
    job: JobId,
    condition: &str,
    values: &[Value],
    part: &Part,
) -> rusqlite::Result<Vec<Execution>> {
    let way = if part.descending { "DESC" } else { "ASC" };
    let (keyset, paged) = keyset(part.after, part.descending, values.to_vec());
    // Of a lone record the index says enough.
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

/// How many executions a job has: the newest are counted; beyond [`COUNTED`] records it is taken to
/// be in as many of the older ones of its shard, of which the index alone is read.
fn total_of_job(conn: &Connection, job: JobId, filter: &Filter) -> rusqlite::Result<Total> {
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
            // It has none from before it was made.
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

/// The records that hold something beyond where the last page ended.
fn keyset(
    after: Option<(Millis, u64)>,
    descending: bool,
    mut values: Vec<Value>,
) -> (String, Vec<Value>) {
    let Some((due, last)) = after else { return (String::new(), values) };
    values.push(due.into());
    values.push((last.min(i64::MAX as u64) as i64).into());
    let (due, last) = (values.len() - 1, values.len());
    let text = if descending {
        format!(" AND due <= ?{due} AND (due < ?{due} OR id < ?{last})")
    } else {
        format!(" AND due >= ?{due} AND (due > ?{due} OR id + count - 1 > ?{last})")
    };
    (text, values)
}

/// An execution by its number.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Execution>> {
    conn.prepare_cached(&format!(
        "SELECT {} FROM blocks WHERE id <= ?1 ORDER BY id DESC LIMIT 1",
        attempts::COLUMNS
    ))?
    .query_row([id.min(i64::MAX as u64) as i64], |row| {
        let ordinal = id - id_at(row, 0)?;
        let members = Members::from_bytes(row.get(17)?);
        let job = members.iter().nth(ordinal.min(usize::MAX as u64) as usize);
        job.map(|job| read(row, ordinal, job)).transpose()
    })
    .optional()
    .map(Option::flatten)
}

/// All that was recorded for one occurrence (ranges that hold it included), in order of recording.
pub fn of_occurrence(
    conn: &Connection,
    job: JobId,
    due: Millis,
) -> rusqlite::Result<Vec<Execution>> {
    let mut found = Vec::new();
    let mut collect = |sql: &str, lone: Option<i64>| -> rusqlite::Result<()> {
        let mut select = conn.prepare_cached(sql)?;
        let mut rows = match lone {
            Some(lone) => select.query(params![shard_of(job), due, lone])?,
            None => select.query(params![shard_of(job), due])?,
        };
        while let Some(row) = rows.next()? {
            if let Some(ordinal) = ordinal_of(row, job)? {
                found.push(read(row, ordinal, job)?);
            }
        }
        Ok(())
    };
    let columns = attempts::COLUMNS;
    collect(
        &format!(
            "SELECT {columns} FROM blocks
             WHERE due = ?2 AND shard = ?1 AND lone IN (0, ?3) AND since IS NULL"
        ),
        Some(job as i64),
    )?;
    collect(
        &format!(
            "SELECT {columns} FROM blocks
             WHERE shard = ?1 AND due >= ?2 AND since IS NOT NULL AND since <= ?2"
        ),
        None,
    )?;
    found.sort_unstable_by_key(|e| e.id);
    Ok(found)
}

fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut compare = |text: &str, value: i64| {
        values.push(value.into());
        parts.push(format!("{text} ?{}", values.len()));
    };
    if let Some(from) = filter.from {
        compare("due >=", from);
    }
    if let Some(until) = filter.until {
        compare("due <=", until);
    }
    if let Some(project) = filter.project {
        compare("project =", project as i64);
    }
    if let Some(job) = filter.job {
        compare("shard =", i64::from(shard_of(job)));
        values.push((job as i64).into());
        parts.push(format!("lone IN (0, ?{})", values.len()));
    }
    if !filter.kinds.is_empty() {
        parts.push(fits(&filter.kinds));
    }
    (parts.join(" AND "), values)
}

/// The condition that a record is of one of these sorts; none mean all.
fn fits(kinds: &[OutcomeKind]) -> String {
    if kinds.is_empty() {
        return "TRUE".to_owned();
    }
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.condition()).collect();
    format!("({})", kinds.join(" OR "))
}

fn total(
    conn: &Connection,
    filter: &Filter,
    condition: &str,
    values: &[Value],
) -> rusqlite::Result<u64> {
    if filter.from.is_none() && filter.until.is_none() {
        let kinds = if filter.kinds.is_empty() { &OutcomeKind::ALL[..] } else { &filter.kinds };
        return counters::total(conn, filter.project, kinds);
    }
    conn.prepare_cached(&format!("SELECT COALESCE(SUM(count), 0) FROM blocks WHERE {condition}"))?
        .query_row(params_from_iter(values), |row| id_at(row, 0))
}

/// The place of a job in a row's list of members.
fn ordinal_of(row: &Row<'_>, job: JobId) -> rusqlite::Result<Option<u64>> {
    Ok(Members::place_in(row.get_ref(17)?.as_blob()?, job))
}

fn read(row: &Row<'_>, ordinal: u64, job: JobId) -> rusqlite::Result<Execution> {
    Ok(Execution {
        id: id_at(row, 0)? + ordinal,
        node: id_at(row, 1)?,
        created: row.get(3)?,
        project: id_at(row, 4)?,
        job,
        shard: row.get(5)?,
        epoch: id_at(row, 6)?,
        due: row.get(7)?,
        scheduled: row.get(8)?,
        since: row.get(9)?,
        attempt: row.get(10)?,
        verdict: super::attempts::verdict_of(row)?,
        http_code: row.get(13)?,
        started: row.get(14)?,
        duration: row.get(15)?,
        error: row.get(16)?,
        run: id_at(row, 19)?,
        origin: ResultOrigin::from_code(row.get(20)?),
        response: row.get(21)?,
    })
}
