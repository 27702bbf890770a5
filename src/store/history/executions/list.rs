//! A page of executions, and their number.

use rusqlite::{Connection, params_from_iter};

use super::filter::{Filter, condition, keyset};
use super::of_job::{Part, page_of_job, total_of_job};
use super::row::{Execution, Total, read};
use super::total::total;
use crate::model::members::Members;
use crate::model::{JobId, Millis};
use crate::store::history::attempts;
use crate::store::row::id_at;

/// The number of executions that match, and those from `offset` on, at most `limit`, in the order
/// in which they were due. Those before `offset` are passed over one by one, those before
/// [`Filter::after`] are not read at all.
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
    let total = total(conn, filter)?;
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
        // The members that no page has shown yet: a page may have ended in the middle of a record.
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

/// The executions of a job that match, behind [`Filter::after`], newest first, at most `limit`.
/// They are not counted, which may cost more than to read them.
pub fn newest_of_job(
    conn: &Connection,
    job: JobId,
    filter: &Filter,
    limit: u64,
) -> rusqlite::Result<Vec<Execution>> {
    let (condition, values) = condition(filter);
    let part = Part { after: filter.after, limit, offset: 0, descending: true };
    page_of_job(conn, job, &condition, &values, &part)
}
