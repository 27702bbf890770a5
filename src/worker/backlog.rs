//! What of a piece of work has no place at the moment, sorted by what it waits for. `worker::sender`
//! fills one of these while it writes requests, and `worker::wait` takes each part of it further.
//! Data only.

use std::collections::HashMap;
use std::sync::Arc;

use super::adaptive_limit::AdaptiveLimit;
use super::route::Route;
use crate::model::JobId;
use crate::model::delivery::Retry;

/// What is beyond its destination's share, or its project's.
pub(super) struct BacklogEntry {
    /// Where it waits.
    pub(super) limit: Arc<AdaptiveLimit>,
    /// Which jobs, by route.
    pub(super) parts: Vec<(Arc<Route>, Vec<JobId>)>,
    /// How many requests they make, about.
    pub(super) requests: usize,
}

/// How [`BacklogEntry`]s are told apart: limit, whether each is for one occurrence, and what they have in
/// common as they are put off. A batch, which has a number of its own, stays as it is.
type EntryKey = (u64, Option<usize>, bool, Retry);

/// What has to wait, so far.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) all: Vec<BacklogEntry>,
    places: HashMap<EntryKey, usize>,
}

impl Backlog {
    /// Waits with one of those, or beside them.
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
            self.all.push(BacklogEntry { limit, parts: Vec::new(), requests: 0 });
        }
        let entry = &mut self.all[place];
        entry.requests += requests;
        match entry.parts.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &route)) {
            Some((_, known)) => known.extend(ids),
            None => entry.parts.push((route, ids)),
        }
    }
}
