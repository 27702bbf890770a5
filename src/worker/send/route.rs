//! Routes: where a job's occurrences go and on what terms, as the store has it now. The target is
//! the job's own `http`, its executor, or its callback URL. Retries and timeout come from the job,
//! else its project, else the configuration.
//!
//! The request builder resolves a route for each definition; jobs with equal routes share batches.
//! Nothing is sent here, and no secret opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::executor::Limits;
use crate::model::delivery::{LONGEST_DELAY, Overlap, Retry};
use crate::model::job::{Casing, JobDefinition};
use crate::model::project::ProjectSettings;
use crate::model::target::{Executor, HttpTarget, SigningSecret, Tls, WEBHOOK_URL};
use crate::model::{Millis, ProjectId};
use crate::store::{executors, projects};

/// The factor by which delays grow where nothing else is set, in thousandths.
const FACTOR: u32 = 2_000;

/// The time that an accepted run may take when neither of its timeouts is set, in milliseconds.
const LONGEST_RUN: Millis = 24 * 3_600_000;

/// The terms where neither job nor project says otherwise.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Defaults {
    /// Retries after the first attempt.
    pub(in crate::worker) retry_max: u32,
    /// The delay before the first retry.
    pub(in crate::worker) retry_delay: Duration,
    /// The timeout of an attempt, answer included.
    pub(in crate::worker) timeout: Duration,
    /// The longest timeout of an attempt, also where more is set.
    pub(in crate::worker) max_timeout: Duration,
}

/// A destination and the terms of delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) struct Route {
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
    /// The executor's limits: calls at a time, and in a second.
    pub(in crate::worker) limits: Limits,
    /// True if the occurrence is the only one of its jobs.
    pub(in crate::worker) once: bool,
}

/// The way in which jobs are delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) enum DeliveryMode {
    /// Jobs share a request.
    Batch {
        /// The target.
        url: String,
        /// `POST` or `PUT`.
        method: String,
        /// The casing of the body.
        casing: Casing,
        /// The target's own TLS settings.
        tls: Option<Box<Tls>>,
    },
    /// Each occurrence has a request of its own.
    Single(Box<SingleTerms>),
    /// There is no target; the reason.
    Undeliverable(String),
}

/// The terms of requests for one occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) struct SingleTerms {
    /// The target.
    pub(in crate::worker) http: HttpTarget,
    /// The behaviour of an occurrence while another run of its job is under way.
    pub(in crate::worker) overlap: Overlap,
    /// The time that an accepted run may take, in milliseconds.
    pub(in crate::worker) run_timeout: Option<Millis>,
    /// The time that an accepted run may be silent, in milliseconds.
    pub(in crate::worker) heartbeat_timeout: Option<Millis>,
}

impl Route {
    /// The URL that names the destination.
    pub(in crate::worker) fn url(&self) -> Option<&str> {
        match &self.mode {
            DeliveryMode::Batch { url, .. } => Some(url),
            DeliveryMode::Single(single) => Some(&single.http.url),
            DeliveryMode::Undeliverable(_) => None,
        }
    }

    /// Host and port (where it is given) of the destination.
    pub(in crate::worker) fn destination(&self) -> &str {
        let url = self.url().unwrap_or_default();
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        &host[..host.find(['/', '?', '#']).unwrap_or(host.len())]
    }

    /// Says whether jobs of both may be deferred as one pending row.
    pub(in crate::worker) fn defers_with(&self, other: &Route) -> bool {
        (self.project, self.once, self.retry) == (other.project, other.once, other.retry)
    }

    /// The statuses that count as success; empty for 2xx.
    pub(in crate::worker) fn codes(&self) -> Arc<[u16]> {
        let codes = self.single().map(|single| single.http.success_codes.as_slice());
        codes.filter(|codes| !codes.is_empty()).map(Into::into).unwrap_or_default()
    }

    /// The target's own TLS settings.
    pub(in crate::worker) fn tls(&self) -> Option<&Tls> {
        match &self.mode {
            DeliveryMode::Batch { tls, .. } => tls.as_deref(),
            DeliveryMode::Single(single) => single.http.tls.as_deref(),
            DeliveryMode::Undeliverable(_) => None,
        }
    }

    /// The terms of requests for one occurrence, if each has one of its own.
    pub(in crate::worker) fn single(&self) -> Option<&SingleTerms> {
        match &self.mode {
            DeliveryMode::Single(single) => Some(single),
            _ => None,
        }
    }
}

/// The projects and executors seen in one read of the store.
pub(in crate::worker) struct Routes<'a> {
    conn: &'a Connection,
    defaults: Defaults,
    projects: HashMap<ProjectId, Arc<ProjectSettings>>,
    executors: HashMap<u64, Option<Arc<Executor>>>,
}

impl<'a> Routes<'a> {
    /// An empty set for one read.
    pub(in crate::worker) fn new(conn: &'a Connection, defaults: Defaults) -> Self {
        Self { conn, defaults, projects: HashMap::new(), executors: HashMap::new() }
    }

    /// The route of a definition's jobs. `once` says that the occurrence is the only one of a
    /// one-off.
    pub(in crate::worker) fn route(
        &mut self,
        definition: &JobDefinition,
        once: bool,
    ) -> rusqlite::Result<Route> {
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
        Ok(Route {
            project: definition.project,
            mode: delivery_mode(
                definition,
                executor.as_ref().map(|(id, executor)| (*id, executor.as_deref())),
            ),
            retry,
            timeout: delivery
                .timeout
                .unwrap_or(self.defaults.timeout.as_millis() as Millis)
                .min(self.defaults.max_timeout.as_millis() as Millis),
            signing: own.unwrap_or(&settings.signing).clone(),
            limits: found.map_or_else(Limits::default, |executor| Limits {
                max_concurrency: executor.max_concurrency,
                rate_per_second: executor.rate_per_second,
            }),
            once,
        })
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
) -> DeliveryMode {
    let single = |http: &HttpTarget| {
        DeliveryMode::Single(Box::new(SingleTerms {
            http: http.clone(),
            overlap: definition.overlap,
            run_timeout: match (definition.run_timeout, definition.heartbeat_timeout) {
                // Otherwise nobody would notice its loss.
                (None, None) => Some(LONGEST_RUN),
                (given, _) => given.filter(|length| *length > 0),
            },
            heartbeat_timeout: definition.heartbeat_timeout,
        }))
    };
    let batch = |url: &str, method: &str, tls: Option<&Tls>| DeliveryMode::Batch {
        tls: tls.cloned().map(Box::new),
        url: url.to_owned(),
        method: if method.is_empty() { "POST" } else { method }.to_owned(),
        casing: definition.casing,
    };
    if let Some(http) = &definition.http {
        return single(http);
    }
    match executor {
        None if definition.callback_url.is_empty() => DeliveryMode::Undeliverable(
            "the job has neither callback_url nor http nor executor".to_owned(),
        ),
        None => batch(&definition.callback_url, "", None),
        Some((id, None)) => {
            DeliveryMode::Undeliverable(format!("executor {id} of the job does not exist"))
        }
        Some((_, Some(executor))) if executor.kind != WEBHOOK_URL => {
            DeliveryMode::Undeliverable(format!(
                "executor {} is of type {}: jobs can be sent to {WEBHOOK_URL} only",
                executor.name, executor.kind
            ))
        }
        Some((_, Some(executor))) => match &executor.http {
            Some(http) => single(http),
            None if executor.webhook_url.is_empty() => DeliveryMode::Undeliverable(format!(
                "executor {} has neither webhook_url nor http: set one of them",
                executor.name
            )),
            None => batch(&executor.webhook_url, &executor.webhook_method, executor.tls.as_deref()),
        },
    }
}
