//! Everything that the store knows of a job at one instant: whether it was due, by which plan, what
//! was recorded, and what is still to come. It is one consistent read; `app::history` puts it into
//! words.

use rusqlite::Connection;

use super::attempts::StoredAttempt;
use super::dead_letters::DeadLetter;
use super::ledger::{Progress, Recorded, State};
use super::runs;
use super::timeline::{FiringState, Planned, Timeline};
use crate::model::job::{PARKED, Pending};
use crate::model::run::{Occurrence, Run};
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis};
use crate::schedule::{LAST, Reading, read_at};
use crate::store::catalog::{executors, meta};

/// The length of a second: an instant that is given to the second means all of it.
const SECOND: Millis = 1_000;

/// The state of a job at an instant.
#[derive(Debug)]
pub struct Explained {
    /// The cluster's id, which is part of execution ids.
    pub cluster: u128,
    /// The job's timeline.
    pub timeline: Timeline,
    /// The index of the plan in force then; `None` before the job was created, after it was
    /// deleted, or when the plan has been dropped with the history.
    pub plan: Option<usize>,
    /// The reading of the instant by that plan's schedule.
    pub reading: Option<Reading>,
    /// The instant lies between the plan's first and last date.
    pub in_bounds: bool,
    /// The planned occurrence, or one that was sent although no plan holds it any more.
    pub account: Option<Account>,
    /// The manual runs of that instant.
    pub manual: Vec<Account>,
    /// The pause of the project that the instant falls into.
    pub project_pause: Option<ProjectPause>,
    /// The occurrence before the instant.
    pub previous: Option<Planned>,
    /// The occurrence after it.
    pub next: Option<Planned>,
    /// The progress of the job's shard.
    pub progress: Progress,
}

/// One occurrence, and all that is recorded of it.
#[derive(Debug)]
pub struct Account {
    /// Job, scheduled instant, and number of a manual run.
    pub occurrence: Occurrence,
    /// The due instant.
    pub due: Millis,
    /// A plan that was active holds it, and no pause of the project covers it. A manual run needs
    /// no plan.
    pub planned: bool,
    /// How it stands now.
    pub state: State,
    /// Its attempts and skips, in the order of recording.
    pub attempts: Vec<StoredAttempt>,
    /// The row that holds its next attempt.
    pub pending: Option<Pending>,
    /// The runs that a parked row waits behind.
    pub behind: Vec<Occurrence>,
    /// The name of the queue whose workers it waits for.
    pub queue: Option<String>,
    /// Its run, while it is under way.
    pub run: Option<Run>,
    /// Its dead letter.
    pub letter: Option<DeadLetter>,
}

/// Looks up an instant of a job; `None` when nothing is known of the job.
pub fn explain(
    conn: &Connection,
    job: JobId,
    at: Millis,
    now: Millis,
) -> rusqlite::Result<Option<Explained>> {
    let Some(timeline) = Timeline::of_job(conn, job)? else { return Ok(None) };
    let progress = Progress::read(conn, job, now)?;
    let end = if at.rem_euclid(SECOND) == 0 { at.saturating_add(SECOND - 1) } else { at };
    let planned = find(&timeline, at, end);
    // The caller may name either of the two instants of an occurrence.
    let longest = timeline.plans.iter().map(|plan| plan.definition.jitter).max().unwrap_or(0);
    let reach = match &planned {
        Some(one) => (at.min(one.scheduled), end.max(timeline.latest_due(one))),
        None => (at.saturating_sub(longest), end.saturating_add(longest)),
    };
    let recorded = Recorded::read(conn, job, reach)?;
    let asked = |instant: Millis| (at..=end).contains(&instant);

    let found = if let Some(one) = planned {
        let state = recorded.state(&timeline, &one, &progress);
        let active = timeline.firing_of(&one) == Some(FiringState::Active);
        let planned = active && timeline.pause_of(one.plan, one.due).is_none();
        Some(account(conn, job, &recorded, (one.scheduled, 0), one.due, (state, planned))?)
    } else {
        // It was sent before its node had applied a change, or under a plan that is not kept any
        // more.
        let sent = recorded.records.iter().find(|((scheduled, run), found)| {
            *run == 0 && (asked(*scheduled) || found.iter().any(|one| asked(one.record.due)))
        });
        match sent {
            None => None,
            Some((key, found)) => {
                let due = found.first().map_or(key.0, |one| one.record.due);
                let state = recorded.recorded_state(*key, due).unwrap_or(State::Forgotten);
                Some(account(conn, job, &recorded, *key, due, (state, false))?)
            }
        }
    };
    let mut keys: Vec<(Millis, u64)> = recorded.records.keys().copied().collect();
    keys.extend(recorded.pending.keys());
    keys.extend(recorded.runs.keys());
    keys.extend(recorded.letters.keys());
    keys.retain(|(scheduled, run)| *run != 0 && asked(*scheduled));
    keys.sort_unstable();
    keys.dedup();
    let mut manual = Vec::new();
    for key in keys {
        let state = recorded.recorded_state(key, key.0).unwrap_or(State::Unrecorded);
        manual.push(account(conn, job, &recorded, key, key.0, (state, true))?);
    }

    let due = planned.map_or(at, |one| one.due);
    let plan = planned.map(|one| one.plan).or_else(|| timeline.at(at));
    let scheduled = planned.map_or(at, |one| one.scheduled);
    let reading = plan.map(|plan| &timeline.plans[plan]).and_then(|plan| {
        let schedule = plan.schedule.as_ref()?;
        Some(read_at(&plan.definition.spec, schedule, plan.zone, plan.anchor, scheduled))
    });
    let (previous, next) = match planned {
        Some(one) => (timeline.before(one.due), timeline.between(one.due, LAST, 1)),
        None => (timeline.before(at), timeline.between(end, LAST, 1)),
    };
    Ok(Some(Explained {
        cluster: meta::cluster_id(conn)?.unwrap_or_default(),
        in_bounds: plan.is_none_or(|plan| timeline.plans[plan].in_bounds(scheduled)),
        project_pause: plan.and_then(|plan| timeline.pause_of(plan, due).copied()),
        plan,
        reading,
        account: found,
        manual,
        previous,
        next: next.first().copied(),
        progress,
        timeline,
    }))
}

/// The occurrence that an interval of at most a second means: one that is scheduled in it, else one
/// that is due in it.
fn find(timeline: &Timeline, at: Millis, end: Millis) -> Option<Planned> {
    let scheduled = timeline.plans.iter().enumerate().find_map(|(place, plan)| {
        let scheduled = plan.schedule.as_ref()?.next(plan.anchor, at.saturating_sub(1))?;
        let due = plan.due(timeline.id, scheduled)?;
        let is_it = scheduled <= end && plan.holds(scheduled) && plan.in_bounds(scheduled);
        is_it.then_some(Planned { plan: place, scheduled, due })
    });
    scheduled.or_else(|| timeline.between(at.saturating_sub(1), end, 1).first().copied())
}

fn account(
    conn: &Connection,
    job: JobId,
    recorded: &Recorded,
    key: (Millis, u64),
    due: Millis,
    (state, planned): (State, bool),
) -> rusqlite::Result<Account> {
    let occurrence = Occurrence { job, scheduled: key.0, run: key.1 };
    let pending = recorded.pending.get(&key).cloned();
    let mut behind = Vec::new();
    if pending.as_ref().is_some_and(|row| row.next_at == PARKED) {
        behind.extend(runs::of_job(conn, job)?.into_iter().map(|run| run.occurrence));
        behind.retain(|other| *other != occurrence);
    }
    let queue = match pending.as_ref().and_then(|row| row.on_offer) {
        None => None,
        Some(offer) => Some(match executors::get(conn, offer.executor)? {
            Some(executor) => executor.name,
            None => format!("{} (deleted)", offer.executor),
        }),
    };
    Ok(Account {
        occurrence,
        due,
        planned,
        state,
        attempts: recorded.attempts(key, due).into_iter().cloned().collect(),
        pending,
        behind,
        queue,
        run: recorded.runs.get(&key).cloned(),
        letter: recorded.letters.get(&key).cloned(),
    })
}
