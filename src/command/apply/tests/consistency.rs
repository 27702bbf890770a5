//! A log that is applied in other transactions, and the counts of a state that must agree with its
//! rows. Tests of random logs use both.

use super::*;
use crate::model::FIRST_ACCOUNT;
use crate::model::account::Counted;
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::store::{accounts, meta};

/// The party that asks for an entry of a log: an operator for every other one.
pub(super) fn asked(index: u64) -> (Option<&'static ActorRef>, Option<&'static RequestOrigin>) {
    const ORIGIN: RequestOrigin = RequestOrigin { node: 2, address: None };
    if index.is_multiple_of(2) { (None, None) } else { (Some(&ActorRef::Operator), Some(&ORIGIN)) }
}

/// Applies a part of a log in transactions of the given lengths, over and over. `asked` says who
/// asks for an entry.
pub(super) fn replay(
    state: &mut ApplyFixture,
    log: &[(Millis, Command)],
    chunks: &[usize],
    asked: impl Fn(u64) -> (Option<&'static ActorRef>, Option<&'static RequestOrigin>),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut rest = log;
    let mut lengths = chunks.iter().cycle();
    while !rest.is_empty() {
        let n = lengths.next().copied().unwrap_or(1).min(rest.len());
        let (chunk, after) = rest.split_at(n);
        rest = after;
        let done: Result<(), Error> = state.writer.transaction(|tx| {
            for (stamp, command) in chunk {
                state.index += 1;
                outcomes.push(apply(
                    tx,
                    state.index,
                    *stamp,
                    asked(state.index),
                    command,
                    &mut state.change,
                )?);
            }
            meta::set_applied(tx, &state.index.to_be_bytes())?;
            Ok(())
        });
        done.unwrap();
    }
    outcomes
}

/// The counts that do not agree: definitions whose references are not the number of rows that refer
/// to them, projects that miscount their jobs, in all or by status, labels without a definition,
/// jobs whose mark of labels differs from their definition, plans that end ahead and are not the
/// pauses of jobs.
pub(super) fn definition_references(state: &ApplyFixture) -> Vec<(i64, i64, i64)> {
    state.read(|c| {
        c.prepare(
            "SELECT id, refs, uses FROM (
                 SELECT id, refs, (SELECT COUNT(*) FROM jobs WHERE shape_id = shapes.id)
                     + (SELECT COUNT(*) FROM staged_jobs WHERE shape_id = shapes.id)
                     + (SELECT COUNT(*) FROM closed_plans WHERE shape_id = shapes.id) AS uses
                 FROM shapes)
             WHERE refs <> uses OR refs = 0
             UNION ALL
             SELECT -id, jobs, uses FROM (
                 SELECT id, jobs, (SELECT COUNT(*) FROM jobs WHERE project_id = projects.id) AS uses
                 FROM projects)
             WHERE jobs <> uses
             UNION ALL
             SELECT -project, n, uses FROM (
                 SELECT project, n, (SELECT COUNT(*) FROM jobs
                     WHERE project_id = project AND jobs.status = counts.status) AS uses
                 FROM counts)
             WHERE n <> uses OR n = 0
             UNION ALL
             SELECT -project_id, status, -4 FROM jobs
             WHERE NOT EXISTS (SELECT 1 FROM counts
                 WHERE project = project_id AND counts.status = jobs.status)
             GROUP BY project_id, status
             UNION ALL
             SELECT shape_id, COUNT(*), -1 FROM shape_labels
             WHERE shape_id NOT IN (SELECT id FROM shapes) GROUP BY shape_id
             UNION ALL
             SELECT id, labelled, -2 FROM jobs
             WHERE labelled <> (shape_id IN (SELECT shape_id FROM shape_labels))
             UNION ALL
             SELECT job, until, -3 FROM closed_plans LEFT JOIN jobs ON id = job
             WHERE until > (SELECT value FROM meta WHERE key = 'log_time')
                 AND (closed_plans.status <> 1 OR jobs.plan_from IS NOT until OR jobs.status <> 0)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
    })
}

/// What accounts have, by their counters, where that is not the number of rows: (kind, counted,
/// rows). All rows are the first account's.
pub(super) fn account_counts(state: &ApplyFixture) -> Vec<(String, u64, u64)> {
    let accounts = state.read(accounts::all);
    let mut wrong = Vec::new();
    for kind in Counted::ALL {
        let (rows, table) = (state.count(kind.name()), kind.name().to_owned());
        let first = accounts.iter().find(|account| account.id == FIRST_ACCOUNT);
        let counted = first.map_or(u64::MAX, |account| account.held.of(kind));
        if counted != rows {
            wrong.push((table, counted, rows));
        }
    }
    wrong
}
