//! Recurring jobs that are completed: their schedule has no occurrence left up to their last date.
//!
//! Completion is derived when it is asked for, and never stored. So apply reads no schedule,
//! nothing has to be written when a million jobs end at once, and a later last date makes a job
//! active again by itself. `list` finds such jobs and the api shows them by the same function.

use std::collections::HashMap;

use chrono_tz::Tz;
use rusqlite::{Connection, params};

use super::row::{JobRow, read_row};
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, Schedule, parse_zone};
use crate::store::catalog::{definitions, plans};
use crate::store::row::id_at;

/// The first occurrence of a job's present plan that is due after an instant, as (scheduled, due).
/// Pauses are not looked at.
pub fn first_due(
    row: &JobRow,
    definition: &JobDefinition,
    schedule: &Schedule,
    after: Millis,
) -> Option<(Millis, Millis)> {
    let (anchor, jitter) = (row.anchor, definition.jitter);
    let of = Jittered { schedule, anchor, job: row.id, jitter };
    let lower = row.from.max(definition.start.map_or(Millis::MIN, |start| start.saturating_sub(1)));
    let mut found = of.next(after.max(lower))?;
    if found.0 <= lower {
        let scheduled = schedule.next(anchor, lower)?;
        found = (scheduled, of.due(scheduled));
    }
    Some(found).filter(|(scheduled, _)| definition.end.is_none_or(|end| *scheduled <= end))
}

/// Tells whether the present plan of a recurring job has no occurrence left at an instant. Without
/// a last date there is always one more.
pub fn has_nothing_left(
    row: &JobRow,
    definition: &JobDefinition,
    schedule: &Schedule,
    now: Millis,
) -> bool {
    definition.end.is_some()
        && !definition.is_one_off()
        && first_due(row, definition, schedule, now).is_none()
}

/// Tells whether a recurring job is over at an instant: its present plan has no occurrence left,
/// and no occurrence of a former plan is still to come that jitter delayed beyond the end of that
/// plan.
pub fn is_over(
    conn: &Connection,
    row: &JobRow,
    definition: &JobDefinition,
    schedule: &Schedule,
    now: Millis,
) -> rusqlite::Result<bool> {
    if row.status == JobStatus::Disabled || !has_nothing_left(row, definition, schedule, now) {
        return Ok(false);
    }
    if row.from <= row.created {
        return Ok(true); // it was never changed
    }
    let mut before = plans::of_job(conn, row.id)?;
    before.retain(|plan| plan.definition.jitter > 0 && plan.reach() > now);
    Ok(!before.iter().any(|plan| {
        let Some(schedule) = parse(&plan.definition, row.id) else { return false };
        let (anchor, jitter) = (plan.anchor, plan.definition.jitter);
        let of = Jittered { schedule: &schedule, anchor, job: row.id, jitter };
        let end = plan.until.min(plan.definition.end.unwrap_or(Millis::MAX));
        let last = schedule.prev(anchor, end).filter(|last| *last > plan.from);
        last.is_some_and(|last| of.due(last) > now)
    }))
}

/// The schedule of a definition for a job; `None` when its text cannot be parsed.
pub fn parse(definition: &JobDefinition, job: JobId) -> Option<Schedule> {
    if definition.is_one_off() {
        return Some(Schedule::once());
    }
    let zone: Tz = parse_zone(&definition.timezone).ok()?;
    Schedule::stored(&definition.spec, zone, definition.dst, job).ok()
}

/// The occurrences left to the jobs of a definition whose plan has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Each job has one.
    More,
    /// No job has one.
    Nothing,
    /// Each job has to be looked at.
    Unknown,
}

impl Left {
    /// Derives it from one look at the schedule of a definition with a last date, for all its jobs.
    /// `schedule` is `None` when each job has a schedule of its own.
    fn of(definition: &JobDefinition, schedule: Option<&Schedule>, now: Millis) -> Self {
        let end = definition.end.unwrap_or(Millis::MAX);
        let jitter = definition.jitter.max(0);
        if end.saturating_add(jitter) <= now {
            return Self::Nothing;
        }
        let Some(schedule) = schedule else { return Self::Unknown };
        let after = now.max(definition.start.map_or(Millis::MIN, |start| start.saturating_sub(1)));
        if let Some(period) = schedule.period() {
            let more = after.saturating_add(period) <= end;
            return if more { Self::More } else { Self::Unknown };
        }
        match schedule.next(0, after) {
            Some(next) if next <= end => Self::More,
            // Jitter may still delay the last one.
            _ if jitter > 0 => Self::Unknown,
            _ => Self::Nothing,
        }
    }
}

/// A definition with a last date.
struct Bounded {
    definition: JobDefinition,
    /// `None` when each job has its own, which depends on its id.
    schedule: Option<Schedule>,
    left: Left,
}

impl Bounded {
    /// Reads a definition; `None` where it is that of a one-off.
    fn read(conn: &Connection, id: u64, now: Millis) -> rusqlite::Result<Option<Self>> {
        let found = definitions::get(conn, id)?.filter(|definition| !definition.is_one_off());
        Ok(found.map(|definition| {
            let own = Schedule::is_seed_dependent(&definition.spec);
            let schedule = if own { None } else { parse(&definition, 0) };
            let left = Left::of(&definition, schedule.as_ref(), now);
            Self { definition, schedule, left }
        }))
    }
}

/// The recurring jobs that are over at an instant, of one project or of all; with `among`, of those
/// jobs only. A schedule is evaluated once for each definition with a last date, and once more only
/// for each job about which that does not tell enough.
pub(super) fn completed(
    conn: &Connection,
    project: Option<ProjectId>,
    among: Option<&[JobId]>,
    now: Millis,
) -> rusqlite::Result<Vec<JobId>> {
    let among = among.map(json);
    let bounded = bounded(conn, project, among.as_deref(), now)?;
    if bounded.is_empty() {
        return Ok(Vec::new());
    }
    let some = bounded.iter().filter(|(_, one)| one.left != Left::More).map(|(id, _)| id);
    let mut found = Vec::new();
    // A plan that begins later may have no occurrence even where others have one.
    let these = match &among {
        Some(_) => "id IN (SELECT value FROM json_each(?5))",
        None => "?5 IS NULL",
    };
    let mut select = conn.prepare_cached(&format!(
        "SELECT id, shape_id, created, anchor, plan_from, status FROM jobs
         WHERE status IN (0, 1) AND (?1 IS NULL OR project_id = ?1) AND {these}
             AND (shape_id IN (SELECT value FROM json_each(?2))
                 OR plan_from > ?4 AND shape_id IN (SELECT value FROM json_each(?3)))
         ORDER BY id"
    ))?;
    let project = project.map(|project| project as i64);
    let (some, all) = (json(some), json(bounded.keys()));
    let mut rows = select.query(params![project, some, all, now, among])?;
    while let Some(row) = rows.next()? {
        let row = read_row(row)?;
        let Some(Bounded { definition, schedule, left }) = bounded.get(&row.definition_id) else {
            continue;
        };
        let over = if *left == Left::Nothing && row.from <= row.created.min(now) {
            true
        } else if let Some(schedule) = schedule {
            is_over(conn, &row, definition, schedule, now)?
        } else {
            match parse(definition, row.id) {
                Some(own) => is_over(conn, &row, definition, &own, now)?,
                None => false,
            }
        };
        if over {
            found.push(row.id);
        }
    }
    Ok(found)
}

/// The definitions with a last date, of one project or of all. They are found by an index that has
/// only those.
const WITH_END: &str = "SELECT id, refs FROM shapes
     WHERE json_extract(body, '$.end') IS NOT NULL
         AND (?1 IS NULL OR json_extract(body, '$.project') = ?1) AND ?2 IS NULL";

/// About the number of the recurring jobs that are over at an instant, of one project or of all, by
/// one look at each definition with a last date; and `true` if it is exact, since no job is.
/// `paused` is the number of jobs in a timed pause.
pub(super) fn ending(
    conn: &Connection,
    project: Option<ProjectId>,
    paused: u64,
    now: Millis,
) -> rusqlite::Result<(u64, bool)> {
    let mut select = conn.prepare_cached(WITH_END)?;
    let mut rows = select.query(params![project.map(|project| project as i64), None::<&str>])?;
    let (mut number, mut exact) = (0, true);
    while let Some(row) = rows.next()? {
        if let Some(bounded) = Bounded::read(conn, id_at(row, 0)?, now)? {
            // A plan that begins only when a pause is over may have no occurrence even so.
            exact &= bounded.left == Left::More && paused == 0;
            // Plans that were closed refer to it, too.
            number += if bounded.left == Left::Nothing { id_at(row, 1)? } else { 0 };
        }
    }
    Ok((number, exact))
}

/// The definitions with a last date, by id: of one project or of all, or of some jobs (as JSON).
fn bounded(
    conn: &Connection,
    project: Option<ProjectId>,
    among: Option<&str>,
    now: Millis,
) -> rusqlite::Result<HashMap<u64, Bounded>> {
    let sql = match among {
        Some(_) => {
            "SELECT id FROM shapes
             WHERE id IN (SELECT shape_id FROM jobs
                     WHERE id IN (SELECT value FROM json_each(?2))
                         AND (?1 IS NULL OR project_id = ?1))
                 AND json_extract(body, '$.end') IS NOT NULL"
        }
        None => WITH_END,
    };
    let ids: Vec<u64> = conn
        .prepare_cached(sql)?
        .query_map(params![project.map(|project| project as i64), among], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut bounded = HashMap::new();
    for id in ids {
        bounded.extend(Bounded::read(conn, id, now)?.map(|one| (id, one)));
    }
    Ok(bounded)
}

/// Ids as SQLite's `json_each` reads them.
pub(super) fn json<'a>(ids: impl IntoIterator<Item = &'a u64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(u64::to_string).collect();
    format!("[{}]", ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::DstRule;

    const T0: Millis = 1_763_700_000_000;
    const DAY: Millis = 86_400_000;

    #[test]
    fn one_look_at_a_definition_answers_for_its_jobs() {
        let left = |spec: &str, jitter, end| {
            let (timezone, end) = ("UTC".into(), Some(T0 + end));
            let definition = JobDefinition {
                spec: spec.into(),
                timezone,
                jitter,
                end,
                ..JobDefinition::default()
            };
            let own = Schedule::is_seed_dependent(spec);
            let read = || Schedule::parse(spec, Tz::UTC, DstRule::default(), 0).unwrap();
            let schedule = (!own).then(read);
            Left::of(&definition, schedule.as_ref(), T0)
        };
        for jitter in [0, 50_000] {
            for spec in ["@every 1m", "@every 7h", "* * * * * *", "0 12 * * *"] {
                assert_eq!(left(spec, jitter, 3 * DAY), Left::More, "{spec}");
            }
            for spec in ["@every 7h", "* * * * * *", "H H * * *"] {
                assert_eq!(left(spec, jitter, -jitter), Left::Nothing, "{spec}");
            }
        }
        assert_eq!(left("0 0 1 1 *", 0, 3 * DAY), Left::Nothing);
        // These depend on the job: on its hash, its anchor, its delay.
        assert_eq!(left("H H * * *", 0, DAY), Left::Unknown);
        assert_eq!(left("@every 7h", 0, 60_000), Left::Unknown);
        assert_eq!(left("0 0 1 1 *", 50_000, 3 * DAY), Left::Unknown);
    }
}
