//! The jobs of a piece of work that have no place at the moment, sorted by what they wait for. The
//! sender fills a [`Backlog`] while it builds requests, and `wait` takes each entry further. Data
//! only.

use std::collections::HashMap;
use std::sync::Arc;

use super::adaptive_limit::AdaptiveLimit;
use super::route::Route;
use super::work::Work;
use crate::model::JobId;
use crate::model::delivery::Retry;

/// Jobs beyond the share of their destination or their project.
pub(super) struct BacklogEntry {
    /// The limit that they wait for.
    pub(super) limit: Arc<AdaptiveLimit>,
    /// The jobs by route.
    pub(super) by_route: Vec<(Arc<Route>, Vec<JobId>)>,
    /// About the number of requests that they make.
    pub(super) requests: usize,
}

/// The key of an entry: limit, the number of a batch, and what jobs must have in common to be
/// deferred as one. A batch stays an entry of its own.
type EntryKey = (u64, Option<usize>, bool, Retry);

/// The entries so far.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) all: Vec<BacklogEntry>,
    places: HashMap<EntryKey, usize>,
}

impl Backlog {
    /// Adds jobs to the entry that they can wait with, or to a new one.
    pub(super) fn add(
        &mut self,
        limit: Arc<AdaptiveLimit>,
        route: Arc<Route>,
        ids: Vec<JobId>,
        requests: usize,
    ) {
        let batch = route.single().is_none().then_some(self.all.len());
        let key = (limit.number(), batch, route.once, route.retry);
        let place = *self.places.entry(key).or_insert(self.all.len());
        if place == self.all.len() {
            self.all.push(BacklogEntry { limit, by_route: Vec::new(), requests: 0 });
        }
        let entry = &mut self.all[place];
        entry.requests += requests;
        match entry.by_route.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &route)) {
            Some((_, known)) => known.extend(ids),
            None => entry.by_route.push((route, ids)),
        }
    }
}

/// Jobs that wait for their limit.
pub(super) struct WaitingJobs {
    /// The jobs.
    pub(super) piece: Work,
    /// The limit.
    pub(super) limit: Arc<AdaptiveLimit>,
    /// The jobs by route. Those that wait for one limit are deferred as one.
    pub(super) by_route: Vec<(Arc<Route>, Vec<JobId>)>,
    /// About the number of requests that they make.
    pub(super) requests: usize,
    /// See [`Permits::begun`](super::permits::Permits::begun).
    pub(super) begun: Option<u64>,
}
