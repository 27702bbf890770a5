//! The request builder: from jobs that are due to requests that can be sent. It reads the jobs as
//! they are now (the fresh-state rule), leaves out what is not planned any more, and has `render`
//! write the requests of each route.
//!
//! The sender calls it on a reader thread, within one read of the store. It sends nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::Connection;

use super::defaults::Defaults;
use super::given_out::{GivenOut, given_out};
use super::offer_terms::OfferTerms;
use super::poison::PoisonRegister;
use super::prepared::{Prepared, UnsentReason};
use super::route::{ByTerms, DeliveryMode, Route, Routes, SingleTerms, Terms};
use super::skip_cause::{SkipCause, skip_cause};
use super::view::SenderView;
use super::work::Head;
use crate::delivery::batch::Instant;
use crate::delivery::destination::Limits;
use crate::delivery::registry::Registry;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::Overlap;
use crate::model::job::JobDefinition;
use crate::model::members::Members;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::Payload;
use crate::store::{jobs, meta, projects};
use crate::worker::queue::{Plan, Plans};

/// About the most bytes of job data that are read for one slice. The data of one job are always
/// read.
const SLICE_BYTES: usize = 16 << 20;

/// Jobs of one route.
pub(super) struct RouteGroup {
    pub(super) route: Arc<Route>,
    /// The objection of the project's pauses to the occurrence.
    pause: Option<SkipCause>,
    /// The definitions of the jobs.
    pub(super) definitions: Vec<Arc<JobDefinition>>,
    pub(super) jobs: Vec<ReadyJob>,
}

/// A job that goes out, the place of its definition in the group, and the planned instant before
/// this one.
pub(super) type ReadyJob = (Payload, usize, Millis);

/// Jobs whose destination takes nothing up to an instant, and the reason.
type Deferred = (Arc<Route>, Millis, Obstacle, Vec<JobId>);

/// A definition seen in this slice: the number of its group, and its place in there.
type CachedDefinition = (usize, usize);

/// Everything that building requests takes.
pub(super) struct RequestBuilder<'a> {
    /// The read of the store.
    pub(super) conn: &'a Connection,
    /// Definitions and plans.
    pub(super) plans: &'a Plans,
    /// What the engine has taken in.
    pub(super) view: &'a SenderView,
    /// The cluster's id, for execution ids.
    pub(super) cluster: u128,
    /// The terms for jobs and projects that name none.
    pub(super) defaults: Defaults,
    /// The kinds of target.
    pub(super) executors: &'a Registry,
    /// The suspects of poison, and the marks of what is being written.
    pub(super) register: &'a PoisonRegister,
    /// The instant up to which a destination takes nothing, and the reason.
    pub(super) closed: &'a dyn Fn(&Route) -> Option<(Millis, Obstacle)>,
    /// The number of requests, of so many, that a destination has places for. Those places are
    /// promised with the answer.
    pub(super) room: &'a dyn Fn(&Route, usize) -> usize,
    /// The operator's limits of each destination.
    pub(super) limits: Limits,
    /// True if `BeginRun` was applied for these occurrences (the begin rule).
    pub(super) begun: bool,
    /// True if it is not due yet: then nothing but requests may come of it.
    pub(super) early: bool,
}

/// The jobs of a slice, sorted.
#[derive(Default)]
struct SortedJobs {
    groups: Vec<RouteGroup>,
    routes: HashMap<ByTerms, usize>,
    definitions: HashMap<(u64, bool), CachedDefinition>,
    lasts: HashMap<u32, Option<Millis>>,
    ended: HashMap<ProjectId, Vec<JobId>>,
    /// Occurrences that do not go out and must be recorded, by project, whether the job is a
    /// one-off, and cause.
    skipped: BTreeMap<(ProjectId, bool, SkipCause), Vec<JobId>>,
    dropped: Vec<JobId>,
    recorded: Vec<JobId>,
    later: Vec<JobId>,
    /// Log time, once it was read.
    log_time: Option<Millis>,
}

impl RequestBuilder<'_> {
    /// Builds the requests of a slice.
    pub(super) fn prepare(
        &self,
        head: &Head,
        slice: &[(JobId, u32)],
    ) -> rusqlite::Result<Prepared> {
        let wanted = Members::from_sorted(slice.iter().map(|(job, _)| *job));
        let (rows, last) = jobs::payloads(self.conn, &wanted, SLICE_BYTES)?;
        // Jobs beyond that many bytes belong to the next slice.
        let taken = last.map_or(slice.len(), |last| slice.partition_point(|(job, _)| *job <= last));
        let slice = &slice[..taken];
        let mut rows = rows.into_iter().peekable();
        let mut routes = Routes::new(self.conn, self.executors, self.defaults);
        let mut sorted = SortedJobs::default();
        for (job, number) in slice {
            let planned = head.plans.get(*number as usize);
            let Some(row) = rows.next_if(|row| row.id == *job) else {
                let project = head.row.map_or_else(|| planned.map_or(0, |p| p.project), |r| r.1);
                sorted.ended.entry(project).or_default().push(*job);
                continue;
            };
            let once = head.run == 0 && row.anchor == head.scheduled;
            let cached = if let Some(cached) = sorted.definitions.get(&(row.definition_id, once)) {
                *cached
            } else {
                let Some(definition) = self.plans.definition(self.conn, row.definition_id)? else {
                    continue;
                };
                let terms = routes.terms(&definition, once && definition.is_one_off())?;
                let number = self.group(head, terms, &mut sorted)?;
                let known = &mut sorted.groups[number].definitions;
                known.push(definition);
                let cached = (number, known.len() - 1);
                sorted.definitions.insert((row.definition_id, once), cached);
                cached
            };
            let RouteGroup { route, pause, .. } = &sorted.groups[cached.0];
            // Plans and pauses are the record of what they stop. Only the end of a row, of a
            // one-off and of a run must be recorded.
            let (cause, told) = match planned {
                Some(plan) => {
                    let cause = skip_cause(
                        (self.conn, self.plans),
                        plan,
                        &row,
                        head,
                        (route.project, *pause),
                    )?;
                    let of_project = cause.is_some_and(SkipCause::is_of_project);
                    (cause, self.begun || (route.once && of_project))
                }
                None => (*pause, true),
            };
            if let Some(cause) = cause {
                let key = (route.project, route.once, cause);
                if !self.is_certain(head, &mut sorted.log_time)? {
                    sorted.later.push(*job);
                } else if told {
                    sorted.skipped.entry(key).or_default().push(*job);
                } else {
                    sorted.dropped.push(*job);
                }
                continue;
            }
            if planned.is_some() {
                let own = || self.view.own(head.key, *job);
                match given_out((self.conn, self.plans), &row, head.instants(), own)? {
                    GivenOut::No => {}
                    GivenOut::Yes => {
                        sorted.recorded.push(*job);
                        continue;
                    }
                    GivenOut::Unknown => {
                        sorted.later.push(*job);
                        continue;
                    }
                }
            }
            let last = self.last(head, *number, planned, &row, &mut sorted.lasts)?;
            sorted.groups[cached.0].jobs.push((row, cached.1, last));
        }
        let mut later = std::mem::take(&mut sorted.later);
        let dropped = std::mem::take(&mut sorted.dropped);
        let recorded = std::mem::take(&mut sorted.recorded);
        let mut done = self.write_groups(head, sorted);
        if self.early {
            done.unsent.drain(..).for_each(|unsent| later.extend(unsent.members.iter()));
        }
        later.sort_unstable();
        (done.undecided, done.dropped, done.recorded) = (later, dropped, recorded);
        done.consumed = taken;
        Ok(done)
    }

    /// Says whether no change can come any more that takes effect before the due instant (the
    /// certainty rule).
    fn is_certain(&self, head: &Head, log_time: &mut Option<Millis>) -> rusqlite::Result<bool> {
        let now = match *log_time {
            Some(known) => known,
            None => *log_time.insert(meta::log_time(self.conn)?),
        };
        Ok(head.due <= now)
    }

    fn write_groups(&self, head: &Head, sorted: SortedJobs) -> Prepared {
        let mut done = Prepared::default();
        for (project, jobs) in sorted.ended {
            let why = UnsentReason::Over(Verdict::Skipped(SkipReason::Ended), None);
            done.unsent(project, false, jobs, why);
        }
        for ((project, once, cause), jobs) in sorted.skipped {
            let why = UnsentReason::Over(Verdict::Skipped(cause.reason()), None);
            done.unsent(project, once, jobs, why);
        }
        let mut put_off: Vec<Deferred> = Vec::new();
        for mut group in sorted.groups.into_iter().filter(|group| !group.jobs.is_empty()) {
            let (project, once) = (group.route.project, group.route.once);
            let ids = || group.jobs.iter().map(|(row, ..)| row.id).collect::<Vec<_>>();
            let blocked = group.route.obstacle().map(|why| Obstacle::Node(why.to_owned()));
            let closed = blocked.map(|why| (head.due, why)).or_else(|| (self.closed)(&group.route));
            if let Some((until, obstacle)) = closed {
                let same = |(known, at, why, _): &&mut Deferred| {
                    (*at, why) == (until, &obstacle)
                        && known.defers_with(&group.route)
                        && known.destination() == group.route.destination()
                };
                match put_off.iter_mut().find(same) {
                    Some((.., jobs)) => jobs.extend(ids()),
                    None => put_off.push((Arc::clone(&group.route), until, obstacle, ids())),
                }
                continue;
            }
            let route = Arc::clone(&group.route);
            match &route.mode {
                DeliveryMode::Blocked(..) => {} // it is put off above
                DeliveryMode::Undeliverable(why) => {
                    let why = UnsentReason::Over(Verdict::Dead, Some(why.clone()));
                    done.unsent(project, once, ids(), why);
                }
                DeliveryMode::Single(_, SingleTerms { overlap, .. })
                | DeliveryMode::Offer(_, OfferTerms { overlap, .. })
                    if *overlap != Overlap::Allow && !head.forced && !self.begun =>
                {
                    done.needs_run.push((Arc::clone(&group.route), ids()));
                }
                DeliveryMode::Offer(..) => done.offers.push((Arc::clone(&group.route), ids())),
                DeliveryMode::Single(target, _) => {
                    let room = (self.room)(&group.route, group.jobs.len());
                    // Without a place it would be written in vain.
                    let later = group.jobs.split_off(room);
                    if !later.is_empty() {
                        let later = later.iter().map(|(row, ..)| row.id).collect();
                        done.no_place.push((Arc::clone(&group.route), later));
                    }
                    self.write(head, &mut group, target, &mut done);
                }
                DeliveryMode::Batch(_) if (self.room)(&group.route, 1) == 0 => {
                    done.no_place.push((Arc::clone(&group.route), ids()));
                }
                DeliveryMode::Batch(target) => self.write(head, &mut group, target, &mut done),
                DeliveryMode::Chunk(target) => {
                    let (jobs, max) = (group.jobs.len(), self.max_jobs(&route));
                    let max = max.unwrap_or(usize::MAX);
                    let room = (self.room)(&route, jobs.div_ceil(max));
                    let later = group.jobs.split_off(room.saturating_mul(max).min(jobs));
                    if !later.is_empty() {
                        let later = later.iter().map(|(row, ..)| row.id).collect();
                        done.no_place.push((Arc::clone(&route), later));
                    }
                    self.write(head, &mut group, target, &mut done);
                }
            }
        }
        for (route, until, obstacle, mut jobs) in put_off {
            jobs.sort_unstable();
            let why = UnsentReason::Deferred(Arc::clone(&route), until, obstacle);
            done.unsent(route.project, route.once, jobs, why);
        }
        done
    }

    /// The most jobs of a request of a route; `None` where only its kind bounds it.
    pub(super) fn max_jobs(&self, route: &Route) -> Option<usize> {
        max_jobs(route, self.limits)
    }

    pub(super) fn instant(&self, head: &Head) -> Instant {
        Instant { cluster: self.cluster, scheduled: head.scheduled, run: head.run }
    }

    /// The number of the group with these terms. A pause covers first attempts only; later attempts
    /// go on.
    fn group(&self, head: &Head, terms: Terms, sorted: &mut SortedJobs) -> rusqlite::Result<usize> {
        if let Some(found) = sorted.routes.get(&terms) {
            return Ok(*found);
        }
        let route = Arc::new(Route::new(terms, self.executors));
        let pause = if head.is_first() {
            SkipCause::of_pauses(&projects::pauses(self.conn, route.project)?, head.due)
        } else {
            None
        };
        let (definitions, jobs) = (Vec::new(), Vec::new());
        sorted.groups.push(RouteGroup { route: Arc::clone(&route), pause, definitions, jobs });
        sorted.routes.insert(ByTerms(route), sorted.groups.len() - 1);
        Ok(sorted.groups.len() - 1)
    }

    /// The planned instant before this one; for the first one the job's creation.
    fn last(
        &self,
        head: &Head,
        number: u32,
        planned: Option<&Arc<Plan>>,
        row: &Payload,
        known: &mut HashMap<u32, Option<Millis>>,
    ) -> rusqlite::Result<Millis> {
        let before = match planned {
            Some(plan) if !plan.is_anchored() => *known
                .entry(number)
                .or_insert_with(|| plan.schedule.prev(row.anchor, head.scheduled - 1)),
            Some(plan) => plan.schedule.prev(row.anchor, head.scheduled - 1),
            None => {
                let plan = self.plans.plan(self.conn, row.definition_id, row.id)?;
                plan.and_then(|plan| plan.schedule.prev(row.anchor, head.scheduled - 1))
            }
        };
        Ok(before.unwrap_or(row.created).max(row.created))
    }
}

/// The most jobs of a request of a route under the operator's limits; `None` where only its kind
/// bounds it. The operator's `max_concurrency` counts calls, whatever is in them.
pub(super) fn max_jobs(route: &Route, operator: Limits) -> Option<usize> {
    if !route.is_chunk() {
        return None;
    }
    let operator = Limits { max_concurrency: None, by_job: true, ..operator };
    let most = [route.limits.max_jobs(), operator.max_jobs()];
    most.into_iter().flatten().min().map(|most| most as usize)
}
