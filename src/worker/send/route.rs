//! Routes: where a job's occurrences go and on what terms, as the store has it now. Job and
//! executor give the target, whose kind says where that is. Retries and timeout come from the job,
//! else its project, else the configuration. `offer_terms` resolves those of runs of workers.
//!
//! The request builder resolves a route for each definition; jobs with equal routes share batches.
//! Nothing is sent here, and no secret opened.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;

use super::defaults::Defaults;
use super::offer_terms::{OfferTerms, offer_terms};
use crate::delivery::destination::{Address, Limits};
use crate::delivery::executor::Grouping;
use crate::delivery::registry::Registry;
use crate::model::call_target::CallTarget;
use crate::model::delivery::{LONGEST_DELAY, Overlap, Retry};
use crate::model::job::JobDefinition;
use crate::model::project::ProjectSettings;
use crate::model::target::{Executor, SigningSecret};
use crate::model::target_pattern::{NOT_ALLOWED, TargetPattern};
use crate::model::{Millis, ProjectId};
use crate::store::{executors, projects};

/// The factor by which delays grow where nothing else is set, in thousandths.
const FACTOR: u32 = 2_000;

/// The time that an accepted run may take when neither of its timeouts is set, in milliseconds.
const LONGEST_RUN: Millis = 24 * 3_600_000;

/// A target with the terms of delivery, and where its calls go.
#[derive(Debug)]
pub(in crate::worker) struct Route {
    /// The terms.
    terms: Terms,
    /// Where calls go; `None` if there is no target, and for a queue.
    address: Option<Address>,
    /// Why this node cannot say where they go, although there is a target.
    obstacle: Option<String>,
}

/// The terms of delivery, the target included. Jobs with equal terms share a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) struct Terms {
    /// The project of the jobs.
    pub(in crate::worker) project: ProjectId,
    /// The way of delivery, with the target.
    pub(in crate::worker) mode: DeliveryMode,
    /// The retry terms.
    pub(in crate::worker) retry: Retry,
    /// The timeout of an attempt, in milliseconds.
    pub(in crate::worker) timeout: Millis,
    /// The secrets that sign requests.
    pub(in crate::worker) signing: Vec<SigningSecret>,
    /// Where jobs of the project may call; `None` for everywhere that the node allows.
    pub(in crate::worker) allowed: Option<Arc<[TargetPattern]>>,
    /// The executor's limits: calls at a time, and in a second.
    pub(in crate::worker) limits: Limits,
    /// True if the occurrence is the only one of its jobs.
    pub(in crate::worker) once: bool,
}

/// The way in which jobs are delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) enum DeliveryMode {
    /// Jobs share a request to the target.
    Batch(CallTarget),
    /// Jobs share a request to the target, in which each is a message of its own.
    Chunk(CallTarget),
    /// Each occurrence has a request of its own to the target.
    Single(CallTarget, SingleTerms),
    /// Each occurrence is a run, which waits in a queue until a worker takes it.
    Offer(CallTarget, OfferTerms),
    /// This node cannot say how the target is called, and why: another program may.
    Blocked(CallTarget, String),
    /// There is no target; the reason.
    Undeliverable(String),
}

/// The terms of requests for one occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) struct SingleTerms {
    /// The behaviour of an occurrence while another run of its job is under way.
    pub(in crate::worker) overlap: Overlap,
    /// The time that an accepted run may take, in milliseconds.
    pub(in crate::worker) run_timeout: Option<Millis>,
    /// The time that an accepted run may be silent, in milliseconds.
    pub(in crate::worker) heartbeat_timeout: Option<Millis>,
}

impl Deref for Route {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

/// A route in a set of routes with different terms.
#[derive(Debug)]
pub(in crate::worker) struct ByTerms(pub(in crate::worker) Arc<Route>);

impl Borrow<Terms> for ByTerms {
    fn borrow(&self) -> &Terms {
        &self.0.terms
    }
}

impl PartialEq for ByTerms {
    fn eq(&self, other: &Self) -> bool {
        self.0.terms == other.0.terms
    }
}

impl Eq for ByTerms {}

impl Hash for ByTerms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.terms.hash(state);
    }
}

impl Route {
    /// The route of these terms. `executors` know where calls to the target go.
    pub(in crate::worker) fn new(terms: Terms, executors: &Registry) -> Self {
        let (mut address, mut obstacle) = (None, None);
        match &terms.mode {
            DeliveryMode::Blocked(_, why) => obstacle = Some(why.clone()),
            DeliveryMode::Undeliverable(_) | DeliveryMode::Offer(..) => {}
            DeliveryMode::Batch(target)
            | DeliveryMode::Chunk(target)
            | DeliveryMode::Single(target, _) => {
                let executor = executors.get(target.kind());
                match executor.map(|executor| ask(target, || executor.address(target))) {
                    Some(Ok(known)) => address = Some(known),
                    Some(Err(why)) => obstacle = Some(why),
                    None => {}
                }
            }
        }
        Self { terms, address, obstacle }
    }

    /// The kind of the target; empty if there is none.
    pub(in crate::worker) fn kind(&self) -> &str {
        self.terms.target().map_or("", CallTarget::kind)
    }

    /// Where calls go; `None` if there is no target, and for a queue.
    pub(in crate::worker) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Why this node cannot call the target although there is one.
    pub(in crate::worker) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_deref()
    }

    /// The name of the destination for people: for a queue its own; the kind of the target where it
    /// is not known.
    pub(in crate::worker) fn destination(&self) -> &str {
        if let Some(offer) = self.terms.offer() {
            return &offer.terms.queue;
        }
        self.address.as_ref().map_or(self.kind(), |address| &address.name)
    }

    /// Says whether jobs of both may be deferred as one pending row.
    pub(in crate::worker) fn defers_with(&self, other: &Route) -> bool {
        (self.project, self.once, self.retry) == (other.project, other.once, other.retry)
    }
}

impl Terms {
    /// The target.
    pub(in crate::worker) fn target(&self) -> Option<&CallTarget> {
        match &self.mode {
            DeliveryMode::Batch(target)
            | DeliveryMode::Chunk(target)
            | DeliveryMode::Blocked(target, _)
            | DeliveryMode::Offer(target, _)
            | DeliveryMode::Single(target, _) => Some(target),
            DeliveryMode::Undeliverable(_) => None,
        }
    }

    /// Whether each job of a request is a message of its own.
    pub(in crate::worker) fn is_chunk(&self) -> bool {
        matches!(self.mode, DeliveryMode::Chunk(_))
    }

    /// The terms of requests for one occurrence, if each has one of its own.
    pub(in crate::worker) fn single(&self) -> Option<&SingleTerms> {
        match &self.mode {
            DeliveryMode::Single(_, single) => Some(single),
            _ => None,
        }
    }

    /// The behaviour of an occurrence while another run of its job is under way; `None` where that
    /// is not asked.
    pub(in crate::worker) fn overlap(&self) -> Option<Overlap> {
        let single = self.single().map(|single| single.overlap);
        single.or_else(|| Some(self.offer()?.overlap))
    }

    /// The terms on which occurrences are offered to workers, if the target is a queue.
    pub(in crate::worker) fn offer(&self) -> Option<&OfferTerms> {
        match &self.mode {
            DeliveryMode::Offer(_, offer) => Some(offer),
            _ => None,
        }
    }
}

/// The projects and executors seen in one read of the store.
pub(in crate::worker) struct Routes<'a> {
    conn: &'a Connection,
    /// The kinds of target.
    kinds: &'a Registry,
    defaults: Defaults,
    projects: HashMap<ProjectId, Arc<ProjectSettings>>,
    executors: HashMap<u64, Option<Arc<Executor>>>,
}

impl<'a> Routes<'a> {
    /// An empty set for one read.
    pub(in crate::worker) fn new(
        conn: &'a Connection,
        kinds: &'a Registry,
        defaults: Defaults,
    ) -> Self {
        Self { conn, kinds, defaults, projects: HashMap::new(), executors: HashMap::new() }
    }

    /// The terms of a definition's jobs. `once` says that the occurrence is the only one of a
    /// one-off.
    pub(in crate::worker) fn terms(
        &mut self,
        definition: &JobDefinition,
        once: bool,
    ) -> rusqlite::Result<Terms> {
        let settings = self.settings(definition.project)?;
        let executor = match definition.executor {
            Some(id) if definition.http.is_none() => Some((id, self.executor(id)?)),
            _ => None,
        };
        let delivery = definition.delivery.or(settings.delivery);
        let retry = Retry {
            max: definition.retry_max.or(delivery.retry_max).unwrap_or(self.defaults.retry_max),
            delay: delivery.retry_delay.unwrap_or(self.defaults.retry_delay.as_millis() as Millis),
            factor: delivery.retry_factor.unwrap_or(FACTOR),
            max_delay: delivery.retry_max_delay.unwrap_or(LONGEST_DELAY),
        };
        let found = executor.as_ref().and_then(|(_, executor)| executor.as_deref());
        let own = found.map(|executor| &executor.signing).filter(|signing| !signing.is_empty());
        let mode = delivery_mode(
            definition,
            executor.as_ref().map(|(id, executor)| (*id, executor.as_deref())),
            self.kinds,
            (retry, &self.defaults),
        );
        let mode = self.within(mode, &settings.allowed_targets);
        Ok(Terms {
            project: definition.project,
            limits: Limits {
                max_concurrency: found.and_then(|executor| executor.max_concurrency),
                rate_per_second: found.and_then(|executor| executor.rate_per_second),
                by_job: matches!(mode, DeliveryMode::Chunk(_)),
            },
            mode,
            retry,
            timeout: delivery
                .timeout
                .unwrap_or(self.defaults.timeout.as_millis() as Millis)
                .min(self.defaults.max_timeout.as_millis() as Millis),
            signing: own.unwrap_or(&settings.signing).clone(),
            allowed: (!settings.allowed_targets.is_empty())
                .then(|| settings.allowed_targets.as_slice().into()),
            once,
        })
    }

    /// The mode, unless it is a queue at a broker that the project's list does not name. Calls are
    /// judged when they are made; runs of a queue are only published.
    fn within(&self, mode: DeliveryMode, allowed: &[TargetPattern]) -> DeliveryMode {
        let DeliveryMode::Offer(target, _) = &mode else { return mode };
        if allowed.is_empty() {
            return mode;
        }
        let kind = self.kinds.get(target.kind());
        let address = kind.and_then(|kind| kind.call_address(target));
        if address.is_none_or(|address| address.is_named_by(allowed, false)) {
            return mode;
        }
        DeliveryMode::Undeliverable(format!(
            "{NOT_ALLOWED}: the broker of its queue is not among the targets that jobs of its \
             project may call (allowedTargets)"
        ))
    }

    fn settings(&mut self, project: ProjectId) -> rusqlite::Result<Arc<ProjectSettings>> {
        if let Some(known) = self.projects.get(&project) {
            return Ok(Arc::clone(known));
        }
        let found = projects::get(self.conn, project)?.map(|found| found.settings);
        let settings = Arc::new(found.unwrap_or_default());
        self.projects.insert(project, Arc::clone(&settings));
        Ok(settings)
    }

    fn executor(&mut self, id: u64) -> rusqlite::Result<Option<Arc<Executor>>> {
        if let Some(known) = self.executors.get(&id) {
            return Ok(known.clone());
        }
        let found = executors::get(self.conn, id)?.map(Arc::new);
        self.executors.insert(id, found.clone());
        Ok(found)
    }
}

fn delivery_mode(
    definition: &JobDefinition,
    executor: Option<(u64, Option<&Executor>)>,
    executors: &Registry,
    (retry, defaults): (Retry, &Defaults),
) -> DeliveryMode {
    let target = match CallTarget::of(definition, executor) {
        Ok(target) => target,
        Err(why) => return DeliveryMode::Undeliverable(why),
    };
    let Some(kind) = executors.get(target.kind()) else {
        // A node with a newer program, or this one after an upgrade, may know it.
        let why = format!("its program does not know type {}: upgrade it", target.kind());
        return DeliveryMode::Blocked(target, why);
    };
    let grouping = match ask(&target, || kind.grouping(&target)) {
        Ok(grouping) => grouping,
        Err(why) => return DeliveryMode::Blocked(target, why),
    };
    match grouping {
        Grouping::Batch => DeliveryMode::Batch(target),
        Grouping::Chunk => DeliveryMode::Chunk(target),
        Grouping::Single => {
            let single = SingleTerms {
                overlap: definition.overlap,
                run_timeout: match (definition.run_timeout, definition.heartbeat_timeout) {
                    // Otherwise nobody would notice its loss.
                    (None, None) => Some(LONGEST_RUN),
                    (given, _) => given.filter(|length| *length > 0),
                },
                heartbeat_timeout: definition.heartbeat_timeout,
            };
            DeliveryMode::Single(target, single)
        }
        Grouping::Offer => {
            let Some((_, Some(queue))) = executor else {
                let why = "a queue of workers is an executor: give the job its executorId";
                return DeliveryMode::Undeliverable(why.to_owned());
            };
            match ask(&target, || kind.queue(&target)) {
                Ok(Some(settings)) => {
                    let offer = offer_terms(definition, queue, &settings, retry, defaults);
                    DeliveryMode::Offer(target, offer)
                }
                Ok(None) => {
                    let why = "its program cannot read the settings of this queue: upgrade it";
                    DeliveryMode::Blocked(target, why.to_owned())
                }
                Err(why) => DeliveryMode::Blocked(target, why),
            }
        }
    }
}

/// Asks the executor of a target something that it should always have an answer to. Where it panics
/// instead, the jobs of the target are put off with this reason: they would fail at every look, and
/// the jobs that are read with them would never go out.
fn ask<T>(target: &CallTarget, question: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(question)).map_err(|_| {
        let kind = target.kind();
        tracing::error!(kind, "an executor panicked at the settings of a target");
        format!("its program fails at these settings of type {kind}: see its log, upgrade it")
    })
}
