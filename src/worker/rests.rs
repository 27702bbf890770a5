//! What of a piece of work has no place at the moment, sorted by what it waits for. `worker::fire`
//! fills one of these while it writes requests, and `worker::waits` takes each part of it further.
//! Data only.

use std::collections::HashMap;
use std::sync::Arc;

use super::lanes::Lane;
use super::route::Route;
use crate::model::JobId;
use crate::model::delivery::Retry;

/// What is beyond its destination's share, or its project's.
pub(super) struct Rest {
    /// Where it waits.
    pub(super) lane: Arc<Lane>,
    /// Which jobs, by route.
    pub(super) parts: Vec<(Arc<Route>, Vec<JobId>)>,
    /// How many requests they make, about.
    pub(super) requests: usize,
}

/// How [`Rest`]s are told apart: lane, whether each is for one occurrence, and what they have in
/// common as they are put off. A batch, which has a number of its own, stays as it is.
type RestKey = (u64, Option<usize>, bool, Retry);

/// What has to wait, so far.
#[derive(Default)]
pub(super) struct Rests {
    pub(super) all: Vec<Rest>,
    places: HashMap<RestKey, usize>,
}

impl Rests {
    /// Waits with one of those, or beside them.
    pub(super) fn add(
        &mut self,
        lane: Arc<Lane>,
        route: Arc<Route>,
        ids: Vec<JobId>,
        requests: usize,
    ) {
        let batch = route.single().is_none().then_some(self.all.len());
        let key = (lane.number(), batch, route.once, route.retry);
        let place = *self.places.entry(key).or_insert(self.all.len());
        if place == self.all.len() {
            self.all.push(Rest { lane, parts: Vec::new(), requests: 0 });
        }
        let rest = &mut self.all[place];
        rest.requests += requests;
        match rest.parts.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &route)) {
            Some((_, known)) => known.extend(ids),
            None => rest.parts.push((route, ids)),
        }
    }
}
