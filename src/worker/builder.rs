//! From what is due to ready requests: reads the jobs as they are now, leaves out what is not
//! planned any more, and has `worker::render` write the requests of each route. Runs on a blocking
//! thread within one read of the store; `worker::sender` sends what comes out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use rusqlite::Connection;
use url::Url;

use super::plan::{Member, Plan};
use super::plans::Plans;
use super::poison::PoisonRegister;
use super::route::{Defaults, DeliveryMode, Route, Routes};
use super::secrets::SecretCache;
use super::work::Head;
use crate::executor::payload::{DefinitionText, Instant};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::Overlap;
use crate::model::job::JobStatus;
use crate::model::members::Members;
use crate::model::postponement::Obstacle;
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::{self, Payload};
use crate::store::{meta, plans as closed, projects};

/// About the most bytes of data that are read for one slice; one job's always are.
const SLICE_BYTES: usize = 16 << 20;

/// A request, written.
#[derive(Debug)]
pub(super) struct Request {
    /// Its terms.
    pub(super) route: Arc<Route>,
    /// How.
    pub(super) method: Method,
    /// Where it goes.
    pub(super) url: Arc<str>,
    /// The same, where it is parsed already.
    pub(super) parsed: Option<Url>,
    /// Lines of the target's own.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(super) body: Bytes,
    /// The jobs in it, ascending.
    pub(super) members: Vec<JobId>,
    /// For `webhook-id`.
    pub(super) webhook_id: String,
}

/// Jobs for which no request is made, and why.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) project: ProjectId,
    pub(super) once: bool,
    pub(super) members: Members,
    pub(super) why: UnsentReason,
}

/// Why no request is made.
#[derive(Debug)]
pub(super) enum UnsentReason {
    /// It ends here.
    Over(Verdict, Option<String>),
    /// Its destination takes nothing at the moment, up to an instant.
    Deferred(Arc<Route>, Millis, Obstacle),
}

/// What became of a slice of work.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// To be sent, those of a route together.
    pub(super) requests: Vec<Request>,
    /// To be sent once the store have noted that a run begins.
    pub(super) needs_run: Vec<(Arc<Route>, Vec<JobId>)>,
    /// To be written when their destination has places for them, ascending: a request for each, or a
    /// batch.
    pub(super) no_place: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Not to be sent.
    pub(super) unsent: Vec<Unsent>,
    /// To be looked at once more, ascending: it is not due yet, or the log has not got that far, so
    /// that a change may still come that decides otherwise.
    pub(super) undecided: Vec<JobId>,
    /// How many of the slice's jobs this is about: the rest would be too much at a time.
    pub(super) consumed: usize,
}

/// Jobs of one route.
pub(super) struct RouteGroup {
    pub(super) route: Arc<Route>,
    /// A pause of the project covers the occurrence.
    paused: bool,
    pub(super) jobs: Vec<ReadyJob>,
}

/// A job that goes out, its definition's text, and the planned instant before this one.
pub(super) type ReadyJob = (Payload, Arc<DefinitionText>, Millis);

/// Jobs whose destination takes nothing up to an instant, and why.
type Deferred = (Arc<Route>, Millis, Obstacle, Vec<JobId>);

/// A definition cached in a slice: the number of its group, and its text.
type CachedDefinition = (usize, Arc<DefinitionText>);

/// What is needed to write requests.
pub(super) struct RequestBuilder<'a> {
    /// The store.
    pub(super) conn: &'a Connection,
    /// Definitions and plans.
    pub(super) plans: &'a Plans,
    /// For execution ids.
    pub(super) cluster: u128,
    /// The longest body, in bytes.
    pub(super) max_bytes: usize,
    /// What holds where nobody says otherwise.
    pub(super) defaults: Defaults,
    /// Opens what targets sign in with.
    pub(super) secrets: &'a SecretCache,
    /// What earlier processes died with, and where to say what is written.
    pub(super) register: &'a PoisonRegister,
    /// Until when a destination takes nothing, and why, if it does not.
    pub(super) closed: &'a dyn Fn(&Route) -> Option<(Millis, Obstacle)>,
    /// For how many requests, of so many, a destination has places; they are promised with that.
    pub(super) room: &'a dyn Fn(&Route, usize) -> usize,
    /// The store have noted already that the runs begin.
    pub(super) begun: bool,
    /// It is not due yet: nothing but requests is to come of it.
    pub(super) early: bool,
}

/// What a slice's jobs are sorted into.
#[derive(Default)]
struct SortedJobs {
    groups: Vec<RouteGroup>,
    routes: HashMap<Arc<Route>, usize>,
    definitions: HashMap<(u64, bool), CachedDefinition>,
    lasts: HashMap<u32, Option<Millis>>,
    ended: HashMap<ProjectId, Vec<JobId>>,
    /// What does not go out and has to be told, by project, whether it is all of a one-off, and why.
    skipped: BTreeMap<(ProjectId, bool, SkipCause), Vec<JobId>>,
    later: Vec<JobId>,
    /// Log time, once it was asked for.
    log_time: Option<Millis>,
}

/// Why an occurrence of a job does not go out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SkipCause {
    Paused,
    ProjectPaused,
    Edited,
    Disabled,
}

impl SkipCause {
    /// What a job's status has against what is due under it.
    fn of(status: JobStatus) -> Option<Self> {
        match status {
            JobStatus::Active | JobStatus::Completed => None,
            JobStatus::Inactive => Some(Self::Paused),
            JobStatus::Disabled => Some(Self::Disabled),
        }
    }

    fn reason(self) -> SkipReason {
        match self {
            Self::Paused | Self::ProjectPaused => SkipReason::Paused,
            Self::Edited => SkipReason::Edited,
            Self::Disabled => SkipReason::Disabled,
        }
    }
}

impl RequestBuilder<'_> {
    /// Writes the requests of a slice.
    pub(super) fn prepare(
        &self,
        head: &Head,
        slice: &[(JobId, u32)],
    ) -> rusqlite::Result<Prepared> {
        let wanted = Members::from_sorted(slice.iter().map(|(job, _)| *job));
        let (rows, last) = jobs::payloads(self.conn, &wanted, SLICE_BYTES)?;
        // What is beyond that many bytes is the next slice's.
        let taken = last.map_or(slice.len(), |last| slice.partition_point(|(job, _)| *job <= last));
        let slice = &slice[..taken];
        let mut rows = rows.into_iter().peekable();
        let mut routes = Routes::new(self.conn, self.defaults);
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
                cached.clone()
            } else {
                let Some(definition) = self.plans.definition(self.conn, row.definition_id)? else {
                    continue;
                };
                let route = Arc::new(routes.route(&definition, once && definition.is_one_off())?);
                let group = self.group(head, route, &mut sorted)?;
                let cached = (group, Arc::new(DefinitionText::new(&definition)));
                sorted.definitions.entry((row.definition_id, once)).or_insert(cached).clone()
            };
            let RouteGroup { route, paused, .. } = &sorted.groups[cached.0];
            // The plans are the record of what they do not let go out, and a pause of the project
            // of what it covers. The end of a row, of a one-off and of a run has to be told.
            let (cause, told) = match planned {
                Some(plan) => {
                    let cause = self.skip_cause(plan, &row, head, (route.project, *paused))?;
                    (cause, self.begun || (route.once && cause == Some(SkipCause::ProjectPaused)))
                }
                None => (paused.then_some(SkipCause::ProjectPaused), true),
            };
            if let Some(cause) = cause {
                let key = (route.project, route.once, cause);
                if !self.is_certain(head, &mut sorted.log_time)? {
                    sorted.later.push(*job);
                } else if told {
                    sorted.skipped.entry(key).or_default().push(*job);
                }
                continue;
            }
            let last = self.last(head, *number, planned, &row, &mut sorted.lasts)?;
            sorted.groups[cached.0].jobs.push((row, cached.1, last));
        }
        let mut later = std::mem::take(&mut sorted.later);
        let mut done = self.write(head, sorted);
        if self.early {
            done.unsent.drain(..).for_each(|unsent| later.extend(unsent.members.iter()));
        }
        later.sort_unstable();
        done.undecided = later;
        done.consumed = taken;
        Ok(done)
    }

    /// Whether no change can come any more that takes effect before the instant.
    fn is_certain(&self, head: &Head, log_time: &mut Option<Millis>) -> rusqlite::Result<bool> {
        let now = match *log_time {
            Some(known) => known,
            None => *log_time.insert(meta::log_time(self.conn)?),
        };
        Ok(head.due <= now)
    }

    fn write(&self, head: &Head, sorted: SortedJobs) -> Prepared {
        let mut done = Prepared::default();
        for (project, jobs) in sorted.ended {
            let why = UnsentReason::Over(Verdict::Skipped(SkipReason::Ended), None);
            done.unsent(project, false, jobs, why);
        }
        for ((project, once, cause), jobs) in sorted.skipped {
            let why = UnsentReason::Over(Verdict::Skipped(cause.reason()), None);
            done.unsent(project, once, jobs, why);
        }
        let mut closed: Vec<Deferred> = Vec::new();
        for mut group in sorted.groups.into_iter().filter(|group| !group.jobs.is_empty()) {
            let (project, once) = (group.route.project, group.route.once);
            let ids = || group.jobs.iter().map(|(row, ..)| row.id).collect::<Vec<_>>();
            if let Some((until, obstacle)) = (self.closed)(&group.route) {
                let same = |(known, at, why, _): &&mut Deferred| {
                    (*at, why) == (until, &obstacle)
                        && known.defers_with(&group.route)
                        && known.destination() == group.route.destination()
                };
                match closed.iter_mut().find(same) {
                    Some((.., jobs)) => jobs.extend(ids()),
                    None => closed.push((Arc::clone(&group.route), until, obstacle, ids())),
                }
                continue;
            }
            let route = Arc::clone(&group.route);
            match &route.mode {
                DeliveryMode::Undeliverable(why) => {
                    let why = UnsentReason::Over(Verdict::Dead, Some(why.clone()));
                    done.unsent(project, once, ids(), why);
                }
                DeliveryMode::Single(single)
                    if single.overlap != Overlap::Allow && !head.forced && !self.begun =>
                {
                    done.needs_run.push((Arc::clone(&group.route), ids()));
                }
                DeliveryMode::Single(single) => self.singles(head, &mut group, single, &mut done),
                // What has no place would be written in vain.
                DeliveryMode::Batch { .. } if (self.room)(&group.route, 1) == 0 => {
                    done.no_place.push((Arc::clone(&group.route), ids()));
                }
                DeliveryMode::Batch { url, method, .. } => {
                    self.batch(head, &mut group, (url, method), &mut done);
                }
            }
        }
        for (route, until, obstacle, mut jobs) in closed {
            jobs.sort_unstable();
            let why = UnsentReason::Deferred(Arc::clone(&route), until, obstacle);
            done.unsent(route.project, route.once, jobs, why);
        }
        done
    }

    pub(super) fn instant(&self, head: &Head) -> Instant {
        Instant { cluster: self.cluster, scheduled: head.scheduled, run: head.run }
    }

    /// The number of a route's group. A pause covers first attempts only: what came after stands.
    fn group(
        &self,
        head: &Head,
        route: Arc<Route>,
        sorted: &mut SortedJobs,
    ) -> rusqlite::Result<usize> {
        if let Some(found) = sorted.routes.get(&route) {
            return Ok(*found);
        }
        let covers = |pause: &ProjectPause| pause.covers(head.due);
        let paused =
            head.is_first() && projects::pauses(self.conn, route.project)?.iter().any(covers);
        sorted.groups.push(RouteGroup { route: Arc::clone(&route), paused, jobs: Vec::new() });
        sorted.routes.insert(route, sorted.groups.len() - 1);
        Ok(sorted.groups.len() - 1)
    }

    /// Why the store, as they are now, do not let an occurrence of a job go out, if they do not: an
    /// edit or a pause may not have reached the queue yet, or came while its jitter ran.
    ///
    /// The plan that holds the scheduled instant says whether there is such an occurrence, and the
    /// plan that holds the due instant whether the job fires then. `project` is the job's project
    /// and whether a pause of it covers the due instant; an occurrence that was planned in another
    /// one follows the pauses of that.
    fn skip_cause(
        &self,
        plan: &Plan,
        row: &Payload,
        head: &Head,
        (project, paused): (ProjectId, bool),
    ) -> rusqlite::Result<Option<SkipCause>> {
        let (job, scheduled, due) = (row.id, head.scheduled, head.due);
        let pause = |paused: bool| paused.then_some(SkipCause::ProjectPaused);
        if row.from < scheduled {
            let cause = SkipCause::of(row.status);
            if cause.is_some() || (row.definition_id == plan.definition && !plan.is_anchored()) {
                return Ok(cause.or_else(|| pause(paused)));
            }
            let member = Member::from(job, row.anchor, row.from);
            let is_due = if row.definition_id == plan.definition {
                plan.is_due(&member, scheduled, due)
            } else {
                let now = self.plans.plan(self.conn, row.definition_id, job)?;
                now.is_some_and(|plan| plan.is_due(&member, scheduled, due))
            };
            return Ok(if is_due { pause(paused) } else { Some(SkipCause::Edited) });
        }
        let closed = closed::of_job(self.conn, job)?;
        let holding =
            |instant| closed.iter().find(move |plan| plan.from < instant && instant <= plan.until);
        let Some(planned) = holding(scheduled) else {
            return Ok(SkipCause::of(row.status).or(Some(SkipCause::Edited)));
        };
        let (anchor, after, until) = (planned.anchor, planned.from, planned.until);
        let member = Member { until, ..Member::from(job, anchor, after) };
        let then = self.plans.plan(self.conn, planned.definition_id, job)?;
        if !then.is_some_and(|plan| plan.is_due(&member, scheduled, due)) {
            return Ok(Some(SkipCause::Edited));
        }
        let status = match holding(due) {
            Some(plan) if row.from >= due => plan.status,
            _ => row.status,
        };
        if let Some(cause) = SkipCause::of(status) {
            return Ok(Some(cause));
        }
        let then = planned.definition.project;
        if then == project {
            return Ok(pause(paused));
        }
        Ok(pause(projects::pauses(self.conn, then)?.iter().any(|pause| pause.covers(due))))
    }

    /// The planned instant before this one; the job's creation for the first.
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

impl Prepared {
    /// Adds jobs, ascending, for which no request is made.
    pub(super) fn unsent(
        &mut self,
        project: ProjectId,
        once: bool,
        jobs: Vec<JobId>,
        why: UnsentReason,
    ) {
        self.unsent.push(Unsent { project, once, members: Members::from_sorted(jobs), why });
    }
}
