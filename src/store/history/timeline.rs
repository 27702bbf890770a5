//! The timeline of a job: the plans that it had and has, the pauses of its projects, and the
//! occurrences that follow from them. `ledger` compares them with what was recorded. It only reads,
//! also for a job that is long gone: closed plans are kept as long as the history.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use chrono_tz::Tz;
use rusqlite::Connection;

use crate::model::job::{Job, JobDefinition, JobStatus, LATE_CHANGE};
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, LAST, Schedule, parse_zone};
use crate::store::catalog::{jobs, plans, projects};

/// Everything that decided when a job had to fire, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The id of the job, which may be deleted.
    pub id: JobId,
    /// Its row, if it is still there.
    pub job: Option<Job>,
    /// Its plans, oldest first. They do not overlap, but an occurrence that jitter delays may be
    /// due in a later one.
    pub plans: Vec<Plan>,
    /// The pauses of the projects it was in.
    pauses: BTreeMap<ProjectId, Vec<ProjectPause>>,
}

/// An interval in which a job had one schedule and one firing state. The schedule decides what is
/// scheduled in it, the firing state decides about what is due in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The definition of the job in it.
    pub definition: Arc<JobDefinition>,
    /// The instant that its `@every` counted from; the instant of a one-off.
    pub anchor: Millis,
    /// It covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one; `None` for the current one.
    pub until: Option<Millis>,
    /// The firing state of the job in it.
    pub firing: FiringState,
    /// Its schedule; `None` when this version cannot parse the spec.
    pub schedule: Option<Schedule>,
    /// The time zone in which its instants are shown.
    pub zone: Tz,
    /// It is of a one-off that was due when it was created: its occurrence lies before the plan.
    overdue: bool,
}

/// The firing state of a job in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiringState {
    /// It fires.
    Active,
    /// It is paused.
    Paused,
    /// It is disabled: its target was gone for good.
    Disabled,
}

impl FiringState {
    fn of(status: JobStatus) -> Self {
        match status {
            // A one-off that is over did fire while it was not.
            JobStatus::Active | JobStatus::Completed => Self::Active,
            JobStatus::Inactive => Self::Paused,
            JobStatus::Disabled => Self::Disabled,
        }
    }
}

/// An occurrence that a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The index of its plan in [`Timeline::plans`].
    pub plan: usize,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The due instant: the scheduled one plus jitter.
    pub due: Millis,
}

impl Timeline {
    /// The timeline of a job; `None` when nothing is known of the job.
    pub fn of_job(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Self>> {
        let job = jobs::get(conn, id)?;
        let mut found = Vec::new();
        for plan in plans::of_job(conn, id)? {
            let firing = FiringState::of(plan.status);
            let until = Some(plan.until);
            found.push(Plan::new(id, plan.definition, plan.anchor, (plan.from, until), firing));
        }
        if let Some(job) = &job {
            let (definition, firing) = (Arc::clone(&job.definition), FiringState::of(job.status));
            found.push(Plan::new(id, definition, job.anchor, (job.from, None), firing));
        }
        if found.is_empty() {
            return Ok(None);
        }
        found.sort_by_key(|plan| plan.from);
        let mut pauses = BTreeMap::new();
        for i in 0..found.len() {
            let met = |plan: &Plan| plan.definition.is_one_off() && plan.anchor == found[i].anchor;
            found[i].overdue = found[i].definition.is_one_off()
                && found[i].anchor <= found[i].from
                && !found[..i].iter().any(met);
            let project = found[i].definition.project;
            if let btree_map::Entry::Vacant(place) = pauses.entry(project) {
                place.insert(projects::pauses(conn, project)?);
            }
        }
        Ok(Some(Self { id, job, plans: found, pauses }))
    }

    /// The plan in force for what is due at an instant.
    pub fn at(&self, due: Millis) -> Option<usize> {
        self.plans.iter().position(|plan| plan.holds(due))
    }

    /// The firing state of the job when an occurrence is due; `None` when that is not kept, or when
    /// the job is gone by then.
    pub fn firing_of(&self, one: &Planned) -> Option<FiringState> {
        let own = self.plans.get(one.plan)?;
        let then =
            if own.holds(one.due) { Some(own) } else { self.at(one.due).map(|at| &self.plans[at]) };
        then.map(|plan| plan.firing)
    }

    /// Tells whether the job was deleted before an instant.
    pub fn is_gone_by(&self, due: Millis) -> bool {
        self.job.is_none()
            && self.plans.iter().all(|plan| plan.until.is_some_and(|until| until < due))
    }

    /// The first occurrences due after an instant, up to and including another, in the order of
    /// their due instants: at most `limit`, and any others due at the same instant as the last of
    /// them.
    pub fn between(&self, after: Millis, until: Millis, limit: usize) -> Vec<Planned> {
        let mut found: Vec<Planned> = Vec::new();
        for (place, plan) in self.plans.iter().enumerate() {
            let last = limit.checked_sub(1).and_then(|last| found.get(last)).map(|one| one.due);
            if limit == 0 || last.is_some_and(|last| last <= plan.from) {
                break;
            }
            let one = |(scheduled, due)| Planned { plan: place, scheduled, due };
            let ordered = found.len();
            found.extend(plan.between(self.id, after, until).take(limit).map(one));
            if ordered > 0
                && found.get(ordered).is_some_and(|new| new.due <= found[ordered - 1].due)
            {
                // Jitter delayed the last one of a former plan beyond the first of this one.
                found.sort_by_key(|one| (one.due, one.scheduled));
            }
            if let Some(last) = found.get(limit - 1).map(|one| one.due) {
                found.truncate(found.partition_point(|one| one.due <= last));
            }
        }
        found
    }

    /// The first occurrences due after an instant that will fire as far as is known now: no pause
    /// and no disabled target stops them. At most `limit`, in the order of their due instants. An
    /// interval in which the job does not fire costs one step, however many occurrences lie in it.
    pub fn to_fire(&self, after: Millis, limit: usize) -> Vec<Planned> {
        let mut found: Vec<Planned> = Vec::new();
        for (place, plan) in self.plans.iter().enumerate() {
            let last = limit.checked_sub(1).and_then(|last| found.get(last)).map(|one| one.due);
            if limit == 0 || last.is_some_and(|last| last <= plan.from) {
                break;
            }
            let (mut after, mut own) = (after, 0);
            while own < limit {
                let next = plan.between(self.id, after, LAST).next();
                let Some((scheduled, due)) = next else { break };
                let one = Planned { plan: place, scheduled, due };
                match self.barred_until(&one) {
                    None => {
                        found.push(one);
                        (after, own) = (due, own + 1);
                    }
                    Some(until) if until < LAST => after = due.max(until),
                    Some(_) => break,
                }
            }
            // Jitter may delay an occurrence of a former plan beyond the first of this one.
            found.sort_by_key(|one| (one.due, one.scheduled));
            found.truncate(limit);
        }
        found
    }

    /// The instant up to which nothing of an occurrence's plan fires, counted from the instant at
    /// which the occurrence is due. `Millis::MAX` when that has no end, `None` when the occurrence
    /// fires.
    fn barred_until(&self, one: &Planned) -> Option<Millis> {
        let own = self.plans.get(one.plan).filter(|own| own.holds(one.due));
        match own.or_else(|| self.at(one.due).map(|at| &self.plans[at])) {
            Some(plan) if plan.firing == FiringState::Active => {}
            Some(plan) => return Some(plan.until.unwrap_or(Millis::MAX)),
            None => {
                let later = self.plans.iter().map(|plan| plan.from);
                return Some(later.filter(|from| *from >= one.due).min().unwrap_or(Millis::MAX));
            }
        }
        self.pause_of(one.plan, one.due).map(|pause| pause.until.unwrap_or(Millis::MAX))
    }

    /// The latest instant at which an occurrence may have been sent as due: its own one, or that of
    /// a plan which a change replaced so shortly before that its owner did not know of it yet.
    pub(in crate::store) fn latest_due(&self, one: &Planned) -> Millis {
        let since = one.scheduled.saturating_sub(LATE_CHANGE);
        let is_replaced = |plan: &&Plan| {
            plan.until.is_some_and(|until| until >= since && until < one.scheduled)
                && plan.schedules(one.scheduled)
        };
        let before = self.plans.iter().take(one.plan).filter(is_replaced);
        let due = before.filter_map(|plan| plan.due(self.id, one.scheduled));
        due.fold(one.due, Millis::max)
    }

    /// The occurrence due last before an instant.
    pub fn before(&self, instant: Millis) -> Option<Planned> {
        let mut found: Option<Planned> = None;
        for (place, plan) in self.plans.iter().enumerate().rev() {
            let beaten = |best: &Planned| plan.reach().is_some_and(|reach| reach <= best.due);
            if found.as_ref().is_some_and(beaten) {
                continue;
            }
            let Some((scheduled, due)) = plan.last_before(self.id, instant) else { continue };
            if found.is_none_or(|best| best.due < due) {
                found = Some(Planned { plan: place, scheduled, due });
            }
        }
        found
    }

    /// The pause that an occurrence falls into, by the project in which it was planned.
    pub fn pause_of(&self, plan: usize, due: Millis) -> Option<&ProjectPause> {
        let project = self.plans.get(plan)?.definition.project;
        self.pauses.get(&project)?.iter().find(|pause| pause.covers(due))
    }
}

impl Plan {
    fn new(
        job: JobId,
        definition: Arc<JobDefinition>,
        anchor: Millis,
        (from, until): (Millis, Option<Millis>),
        firing: FiringState,
    ) -> Self {
        let zone = parse_zone(&definition.timezone).unwrap_or(Tz::UTC);
        let schedule = if definition.is_one_off() {
            Some(Schedule::once())
        } else {
            Schedule::stored(&definition.spec, zone, definition.dst, job).ok()
        };
        Self { definition, anchor, from, until, firing, schedule, zone, overdue: false }
    }

    /// Tells whether it covers an instant: its schedule decides what is scheduled then, its firing
    /// state decides about what is due then.
    pub fn holds(&self, instant: Millis) -> bool {
        (self.from < instant && self.until.is_none_or(|until| instant <= until))
            || (self.overdue && instant == self.anchor)
    }

    /// Tells whether its schedule has an instant, whenever the plan ends.
    fn schedules(&self, instant: Millis) -> bool {
        let next = self.schedule.as_ref().and_then(|of| of.next(self.anchor, instant - 1));
        next == Some(instant) && self.in_bounds(instant)
    }

    /// The instant after which no occurrence of it is due; `None` for the current plan.
    fn reach(&self) -> Option<Millis> {
        self.until.map(|until| until.saturating_add(self.definition.jitter.max(0)))
    }

    /// Tells whether an instant lies between the job's first and last date.
    pub(in crate::store) fn in_bounds(&self, scheduled: Millis) -> bool {
        self.definition.start.is_none_or(|start| start <= scheduled)
            && self.definition.end.is_none_or(|end| scheduled <= end)
    }

    /// The instant after which nothing of it is scheduled.
    fn last(&self) -> Millis {
        self.until.unwrap_or(Millis::MAX).min(self.definition.end.unwrap_or(Millis::MAX))
    }

    fn between(
        &self,
        job: JobId,
        after: Millis,
        until: Millis,
    ) -> impl Iterator<Item = (Millis, Millis)> {
        let overdue = Some((self.anchor, self.anchor))
            .filter(|_| self.overdue && after < self.anchor && self.anchor <= until);
        let start = self.definition.start.map_or(Millis::MIN, |start| start.saturating_sub(1));
        let mut last = after.max(self.from).max(start);
        let regular = std::iter::from_fn(move || {
            loop {
                let (scheduled, due) = self.jittered(job)?.next(last)?;
                last = due;
                if due > until || scheduled > self.last() {
                    return None;
                }
                if scheduled > self.from && self.in_bounds(scheduled) {
                    return Some((scheduled, due));
                }
            }
        });
        overdue.into_iter().chain(regular)
    }

    fn last_before(&self, job: JobId, instant: Millis) -> Option<(Millis, Millis)> {
        if self.overdue {
            return Some((self.anchor, self.anchor)).filter(|(_, due)| *due < instant);
        }
        let of = self.jittered(job)?;
        let (mut scheduled, mut due) = of.prev(instant - 1)?;
        if scheduled > self.last() {
            scheduled = of.schedule.prev(of.anchor, self.last())?;
            due = of.due(scheduled);
        }
        let is_one = scheduled > self.from && self.in_bounds(scheduled);
        is_one.then_some((scheduled, due))
    }

    /// The due instant of a scheduled one; an overdue one-off is not delayed.
    pub(in crate::store) fn due(&self, job: JobId, scheduled: Millis) -> Option<Millis> {
        if self.overdue {
            return Some(scheduled);
        }
        Some(self.jittered(job)?.due(scheduled))
    }

    fn jittered(&self, job: JobId) -> Option<Jittered<'_>> {
        let schedule = self.schedule.as_ref()?;
        Some(Jittered { schedule, anchor: self.anchor, job, jitter: self.definition.jitter })
    }
}
