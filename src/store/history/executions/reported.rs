//! The executions that something else than an answer told of: ends and failed attempts of runs that
//! a receiver or a worker reported on, that were lost, cancelled or not taken.

use rusqlite::Connection;

use super::one::of_occurrence;
use super::row::Execution;
use crate::model::Millis;
use crate::model::attempt::Verdict;
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::store::history::{attempts, pending, runs};

/// The executions behind a place (due instant, id), newest first, about `limit` of them: members of
/// one record are not split.
pub fn reported(
    conn: &Connection,
    after: Option<(Millis, u64)>,
    limit: usize,
) -> rusqlite::Result<Vec<Execution>> {
    let place = after.unwrap_or((Millis::MAX, u64::MAX));
    let mut found = Vec::new();
    for record in attempts::reported(conn, place, u32::try_from(limit).unwrap_or(u32::MAX))? {
        if found.len() >= limit {
            break;
        }
        // A page may have ended in the middle of the first record.
        let most =
            if record.record.due == place.0 { place.1.saturating_sub(record.id) } else { u64::MAX };
        let shown = found.len();
        let members = record.record.members.iter().zip(0..most);
        found.extend(members.map(|(job, ordinal)| Execution::of(&record, ordinal, job)));
        found[shown..].reverse();
    }
    Ok(found)
}

/// Tells whether an occurrence has gone on after an execution that was its end: it is under way
/// again, or came to another end later.
pub fn has_gone_on(conn: &Connection, end: &Execution) -> rusqlite::Result<bool> {
    let of = Occurrence { job: end.job, scheduled: end.scheduled, run: end.run };
    if runs::get(conn, of)?.is_some() {
        return Ok(true);
    }
    let (shard, member) = (shard_of(of.job), Members::from_sorted([of.job]));
    let rows = pending::at_occurrence(conn, shard, of.scheduled, of.run, &member)?;
    if rows.iter().any(|row| row.members.contains(of.job)) {
        return Ok(true);
    }
    let all = of_occurrence(conn, of.job, end.due)?;
    let mut others = all.iter().filter(|one| (one.scheduled, one.run) == (of.scheduled, of.run));
    Ok(others.any(|one| {
        let later = one.id > end.id && one.verdict.is_end();
        one.id != end.id && (later || one.verdict == Verdict::Delivered)
    }))
}
