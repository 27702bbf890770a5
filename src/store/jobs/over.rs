//! Recurring jobs that are over: their schedule has no occurrence left up to their last date. That
//! is derived whenever somebody asks and never stored: no schedule is read below apply, nothing has
//! to be written when a million jobs end at once, and a later last date takes a job back by itself.
//! `list` finds such jobs, the api shows them; both ask the same function.

use std::collections::HashMap;

use chrono_tz::Tz;
use rusqlite::{Connection, params};

use super::JobRow;
use crate::model::job::{JobShape, JobStatus};
use crate::model::{JobId, Millis};
use crate::schedule::{Jittered, Schedule, parse_zone};
use crate::store::{id_at, plans, shapes};

/// The first occurrence that a job's present plan has due after an instant, as (scheduled, due);
/// whatever is paused.
pub fn first_due(
    row: &JobRow,
    shape: &JobShape,
    schedule: &Schedule,
    after: Millis,
) -> Option<(Millis, Millis)> {
    let (anchor, jitter) = (row.anchor, shape.jitter);
    let of = Jittered { schedule, anchor, job: row.id, jitter };
    let lower = row.from.max(shape.start.map_or(Millis::MIN, |start| start.saturating_sub(1)));
    let mut found = of.next(after.max(lower))?;
    if found.0 <= lower {
        let scheduled = schedule.next(anchor, lower)?;
        found = (scheduled, of.due(scheduled));
    }
    Some(found).filter(|(scheduled, _)| shape.end.is_none_or(|end| *scheduled <= end))
}

/// Whether the present plan of a recurring job has nothing left at an instant. Without a last date
/// there is always more.
pub fn has_nothing_left(row: &JobRow, shape: &JobShape, schedule: &Schedule, now: Millis) -> bool {
    shape.end.is_some() && !shape.is_one_off() && first_due(row, shape, schedule, now).is_none()
}

/// Whether a recurring job is over at an instant: nothing is left of its present plan, nor is
/// anything still to come that jitter carried beyond a plan before.
pub fn is_over(
    conn: &Connection,
    row: &JobRow,
    shape: &JobShape,
    schedule: &Schedule,
    now: Millis,
) -> rusqlite::Result<bool> {
    if row.status == JobStatus::Disabled || !has_nothing_left(row, shape, schedule, now) {
        return Ok(false);
    }
    if row.from <= row.created {
        return Ok(true); // it was never changed
    }
    let mut before = plans::of_job(conn, row.id)?;
    before.retain(|plan| plan.shape.jitter > 0 && plan.reach() > now);
    Ok(!before.iter().any(|plan| {
        let Some(schedule) = parse(&plan.shape, row.id) else { return false };
        let (anchor, jitter) = (plan.anchor, plan.shape.jitter);
        let of = Jittered { schedule: &schedule, anchor, job: row.id, jitter };
        let end = plan.until.min(plan.shape.end.unwrap_or(Millis::MAX));
        let last = schedule.prev(anchor, end).filter(|last| *last > plan.from);
        last.is_some_and(|last| of.due(last) > now)
    }))
}

/// What a shape's text means to a job; `None` when it cannot be read.
pub fn parse(shape: &JobShape, job: JobId) -> Option<Schedule> {
    if shape.is_one_off() {
        return Some(Schedule::once());
    }
    let zone: Tz = parse_zone(&shape.timezone).ok()?;
    Schedule::stored(&shape.spec, zone, shape.dst, job).ok()
}

/// A shape with a last date.
struct Bounded {
    shape: JobShape,
    /// `None`: each job has its own, by its number.
    schedule: Option<Schedule>,
    /// Nothing is left for any of its jobs whose plan has begun.
    over: bool,
}

/// The recurring jobs that are over at an instant.
pub(super) fn over(conn: &Connection, now: Millis) -> rusqlite::Result<Vec<JobId>> {
    let mut bounded: HashMap<u64, Bounded> = HashMap::new();
    let ids: Vec<u64> = conn
        .prepare_cached("SELECT id FROM shapes WHERE json_extract(body, '$.end') IS NOT NULL")?
        .query_map([], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in ids {
        let Some(shape) = shapes::get(conn, id)?.filter(|shape| !shape.is_one_off()) else {
            continue;
        };
        let own = Schedule::is_seed_dependent(&shape.spec);
        let schedule = if own { None } else { parse(&shape, 0) };
        let alike = shape.period.is_none() && shape.jitter <= 0;
        let begun = JobRow {
            id: 0,
            shape_id: id,
            created: now,
            anchor: now,
            from: now,
            status: JobStatus::Active,
        };
        let over =
            alike && schedule.as_ref().is_some_and(|s| has_nothing_left(&begun, &shape, s, now));
        bounded.insert(id, Bounded { shape, schedule, over });
    }
    if bounded.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut select = conn.prepare_cached(
        "SELECT id, shape_id, created, anchor, plan_from, status FROM jobs
         WHERE status IN (0, 1) AND shape_id IN (SELECT value FROM json_each(?1)) ORDER BY id",
    )?;
    let mut rows = select.query(params![json(bounded.keys())])?;
    while let Some(row) = rows.next()? {
        let row = super::read_row(row)?;
        let Some(Bounded { shape, schedule, over }) = bounded.get(&row.shape_id) else { continue };
        let over = if *over && row.from <= row.created.min(now) {
            true
        } else if let Some(schedule) = schedule {
            is_over(conn, &row, shape, schedule, now)?
        } else {
            match parse(shape, row.id) {
                Some(own) => is_over(conn, &row, shape, &own, now)?,
                None => false,
            }
        };
        if over {
            found.push(row.id);
        }
    }
    Ok(found)
}

/// Numbers as SQLite's `json_each` reads them.
pub(super) fn json<'a>(ids: impl IntoIterator<Item = &'a u64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(u64::to_string).collect();
    format!("[{}]", ids.join(","))
}
