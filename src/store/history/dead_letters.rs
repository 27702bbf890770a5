//! Dead letters: occurrences whose attempts are used up, one row for all that went out as one.
//! Apply adds them and removes those that are delivered after all; the api lists them.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::letter_targets::TargetSearch;
use super::sql::{self, JobSearch, MemberSearch};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::result_code::ResultCode;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::cache::empty_tables::Table;
use crate::store::db::Tx;
use crate::store::page::{self, After, Page};
use crate::store::row::{clamped, id_at, result_at};

const COLUMNS: &str = "id, block, project, shard, due, scheduled, attempt, http_code, error, \
                       created, members, run, forced";

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, in the order of recording.
    pub id: u64,
    /// The record of the last attempt.
    pub record: u64,
    /// The project of all members.
    pub project: ProjectId,
    /// The shard of all members.
    pub shard: ShardId,
    /// The instant at which they were due.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of the last attempt.
    pub attempt: u32,
    /// The code of the last attempt.
    pub result: ResultCode,
    /// The error of the last attempt.
    pub error: Option<String>,
    /// The stamp of the entry that recorded it.
    pub created: Millis,
    /// The jobs that went out as one in the last attempt, as far as they are still dead.
    pub members: Members,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
    /// A manual run that may overlap with another run.
    pub forced: bool,
}

impl DeadLetter {
    /// The pending row of its replay, which begins a new series of attempts. The row has no id yet.
    pub fn row(&self, next_at: Millis) -> Pending {
        Pending {
            due: self.due,
            attempt: self.attempt.saturating_add(1),
            next_at,
            run: self.run,
            base: self.attempt,
            forced: self.forced,
            ..Pending::new(self.project, self.shard, self.scheduled, self.members.clone())
        }
    }
}

/// The sort keys of dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id; also the order in which they were recorded.
    #[default]
    Id,
    /// The due instant.
    Due,
}

/// The number of dead letters.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    page::count(conn, "dead_letters")
}

/// A dead letter by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM dead_letters WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// The project of a dead letter.
pub fn project_of(conn: &Connection, id: u64) -> rusqlite::Result<Option<ProjectId>> {
    conn.prepare_cached("SELECT project FROM dead_letters WHERE id = ?1")?
        .query_row([clamped(id)], |row| id_at(row, 0))
        .optional()
}

/// The dead letters that are asked for: those that match every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one project.
    pub project: Option<ProjectId>,
    /// Those that hold one job.
    pub job: Option<JobId>,
    /// Those whose jobs go to this target: a URL, or the name of an executor or kind.
    pub target: Option<String>,
    /// Due at or after this instant.
    pub from: Option<Millis>,
    /// Due at or before this instant.
    pub until: Option<Millis>,
    /// Those behind this id in the order of the list: the place where the page before ended. Totals
    /// are counted without it.
    pub after: Option<u64>,
}

/// The number of dead letters that match, and those of a page.
pub fn list(
    conn: &Connection,
    filter: &Filter,
    page: &Page<Order>,
) -> rusqlite::Result<(u64, Vec<DeadLetter>)> {
    let mut found = Vec::new();
    each(conn, filter, page, |letter| {
        found.push(letter);
        Ok(true)
    })?;
    Ok((total(conn, filter)?, found))
}

/// The number of dead letters that match, wherever the page begins.
pub fn total(conn: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    let (condition, values) = condition(filter);
    let Some(mut search) = MembersSearch::of(conn, filter) else {
        return conn
            .prepare_cached(&format!("SELECT COUNT(*) FROM dead_letters WHERE {condition}"))?
            .query_row(params_from_iter(values), |row| id_at(row, 0));
    };
    let mut total = 0;
    for members in conn
        .prepare_cached(&format!("SELECT members FROM dead_letters WHERE {condition}"))?
        .query_map(params_from_iter(values), |row| row.get(0).map(Members::from_bytes))?
    {
        total += u64::from(search.finds(&members?)?);
    }
    Ok(total)
}

/// Reads the dead letters of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    filter: &Filter,
    page: &Page<Order>,
    mut f: impl FnMut(DeadLetter) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let (condition, values) = condition(filter);
    let column = match page.order_by {
        Order::Id => "id",
        Order::Due => "due",
    };
    let after = filter.after.map(|id| After { key: None, id }).or(page.after);
    let mut search = MembersSearch::of(conn, filter);
    let (all, mut skip) = match search {
        // Only the members tell which rows count for the offset and the limit.
        Some(_) => (Page { limit: u64::MAX, offset: 0, after, ..*page }, page.offset),
        None => (Page { after, ..*page }, 0),
    };
    let mut left = page.limit;
    let from = format!("FROM dead_letters WHERE {condition}");
    for id in all.ids(conn, &from, values, column)? {
        if left == 0 {
            break;
        }
        let Some(letter) = get(conn, id)? else { continue };
        if let Some(search) = &mut search
            && !search.finds(&letter.members)?
        {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        left -= 1;
        if !f(letter)? {
            break;
        }
    }
    Ok(())
}

/// The highest id that a dead letter has; 0 when there is none.
pub fn last_id(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COALESCE(MAX(id), 0) FROM dead_letters")?
        .query_row([], |row| id_at(row, 0))
}

/// One part of a walk through the dead letters: id and number of members of those that match.
pub type Walked = page::Walked<(u64, u64)>;

/// Looks at the next `most` dead letters with ids above `after`, up to `last`, and finds those that
/// match; the filter's own `after` is not looked at. So a call takes about as long however few
/// match, and a walk comes to its end although each call has a time limit.
pub fn walk(
    conn: &Connection,
    filter: &Filter,
    (after, last): (u64, u64),
    most: u64,
) -> rusqlite::Result<Walked> {
    let (after, last) = (clamped(after), clamped(last));
    let on = conn
        .prepare_cached(
            "SELECT id FROM dead_letters WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![after, last, clamped(most.saturating_sub(1))], |row| id_at(row, 0))
        .optional()?;
    let (condition, mut values) = condition(filter);
    values.extend([Value::from(after), Value::from(on.map_or(last, clamped))]);
    let n = values.len();
    let mut select = conn.prepare_cached(&format!(
        "SELECT id, count, members FROM dead_letters NOT INDEXED
         WHERE id > ?{} AND id <= ?{n} AND {condition} ORDER BY id",
        n - 1
    ))?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut search = MembersSearch::of(conn, filter);
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let holds = match &mut search {
            Some(search) => search.finds(&Members::from_bytes(row.get(2)?))?,
            None => true,
        };
        if holds {
            found.push((id_at(row, 0)?, id_at(row, 1)?));
        }
    }
    Ok(Walked { found, on })
}

/// What of a filter only the members of a letter tell.
struct MembersSearch<'a> {
    /// A job in a row with others is found in the list of members only.
    job: Option<JobId>,
    target: Option<TargetSearch<'a>>,
}

impl<'a> MembersSearch<'a> {
    /// The search of a filter; `None` where the other columns tell all.
    fn of(conn: &'a Connection, filter: &'a Filter) -> Option<Self> {
        let target = filter.target.as_deref().map(|wanted| TargetSearch::new(conn, wanted));
        (filter.job.is_some() || target.is_some()).then_some(Self { job: filter.job, target })
    }

    fn finds(&mut self, members: &Members) -> rusqlite::Result<bool> {
        if self.job.is_some_and(|job| !members.contains(job)) {
            return Ok(false);
        }
        self.target.as_mut().map_or(Ok(true), |target| target.has(members))
    }
}

fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut compare = |text: &str, value: i64| {
        values.push(value.into());
        parts.push(format!("{text} ?{}", values.len()));
    };
    if let Some(project) = filter.project {
        compare("project =", project as i64);
    }
    if let Some(from) = filter.from {
        compare("due >=", from);
    }
    if let Some(until) = filter.until {
        compare("due <=", until);
    }
    if let Some(job) = filter.job {
        compare("shard =", i64::from(shard_of(job)));
        values.push((job as i64).into());
        parts.push(format!("lone IN (0, ?{})", values.len()));
    }
    (parts.join(" AND "), values)
}

/// Id and members of the dead letters that may hold some of these members at a scheduled instant,
/// in no particular order.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<(u64, Members)>> {
    static LETTERS: LazyLock<MemberSearch> =
        LazyLock::new(|| MemberSearch::by_occurrence("id, members", "dead_letters"));
    LETTERS.at_occurrence(conn, (shard, scheduled, run), members, |row| {
        Ok((id_at(row, 0)?, Members::from_bytes(row.get(1)?)))
    })
}

/// The dead letters of a shard scheduled from one instant to another that may hold a job.
pub(in crate::store) fn between(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<DeadLetter>> {
    static LETTERS: LazyLock<JobSearch> =
        LazyLock::new(|| JobSearch::by_scheduled(COLUMNS, "dead_letters"));
    LETTERS.between(conn, (shard, job), (from, until), read)
}

/// Adds a dead letter.
pub fn insert(tx: &Tx<'_>, letter: &DeadLetter) -> rusqlite::Result<()> {
    tx.mark_occupied(Table::DeadLetters, letter.shard);
    tx.prepare_cached(
        "INSERT INTO dead_letters (id, block, project, shard, due, scheduled, attempt, http_code,
             error, created, members, count, lone, run, forced)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        letter.id as i64,
        letter.record as i64,
        letter.project as i64,
        letter.shard,
        letter.due,
        letter.scheduled,
        letter.attempt,
        letter.result.number(),
        letter.error,
        letter.created,
        letter.members.as_bytes(),
        letter.members.len() as i64,
        sql::lone(&letter.members) as i64,
        letter.run as i64,
        letter.forced,
    ])?;
    Ok(())
}

/// Leaves a dead letter with these members only; with none, it is removed.
pub fn keep(tx: &Tx<'_>, id: u64, members: &Members) -> rusqlite::Result<()> {
    sql::keep(tx, "dead_letters", id, members)
}

/// Removes a dead letter; `false` when there is none.
pub fn delete(tx: &Tx<'_>, id: u64) -> rusqlite::Result<bool> {
    let gone = tx.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([id as i64])?;
    Ok(gone > 0)
}

/// Drops at most `limit` dead letters recorded before an instant, oldest first. Returns how many.
pub fn drop_old(tx: &Tx<'_>, before: Millis, limit: u32) -> rusqlite::Result<u64> {
    let gone = tx
        .prepare_cached(
            "DELETE FROM dead_letters WHERE id IN (
             SELECT id FROM dead_letters WHERE created < ?1 ORDER BY created, id LIMIT ?2)",
        )?
        .execute(params![before, limit])?;
    Ok(gone as u64)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: id_at(row, 0)?,
        record: id_at(row, 1)?,
        project: id_at(row, 2)?,
        shard: row.get(3)?,
        due: row.get(4)?,
        scheduled: row.get(5)?,
        attempt: row.get(6)?,
        result: result_at(row, 7)?,
        error: row.get(8)?,
        created: row.get(9)?,
        members: Members::from_bytes(row.get(10)?),
        run: id_at(row, 11)?,
        forced: row.get(12)?,
    })
}
