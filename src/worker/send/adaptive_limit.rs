//! The adaptive in-flight limit: how many requests a project may have to one destination, built or
//! under way. A destination that hangs or fails can then neither fill the queue of built requests
//! (`MaxQueue`) nor cause work for nothing. The sender asks for each request; the executor has
//! queues of its own for its workers.
//!
//! A limit begins with little more than what can be under way at one time. It grows by a place with
//! each request that was answered, up to its share of the queue, and shrinks by one with each that
//! was turned away. A request needs a place in its limit, up to its answer, and one in the queue
//! ([`Admission`]), up to its first byte. A request without a place waits unbuilt (the place rule):
//! for its own limit when that is full, for its project's limit in the queue
//! ([`AdaptiveLimits::project_wide`]) when only the queue is.
//!
//! A place is one for a request, however many jobs are in it: a chunk of a thousand messages takes
//! one of `MaxQueue` and one of `MaxWorkers`, as a batch does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admission::{Admission, Admitted, Target};
use crate::delivery::destination::Destination;
use crate::model::ProjectId;

/// The number of waiters of one project-wide limit that have places at one time.
const PROJECT_WIDE_WRITERS: usize = 4;

/// Above this number, limits that nobody uses are forgotten.
const KEPT: usize = 1_024;

/// The limits of all projects and destinations.
pub(in crate::worker) struct AdaptiveLimits {
    least: usize,
    share: usize,
    stride: usize,
    admission: Admission,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    limits: HashMap<ProjectId, HashMap<Box<str>, Arc<AdaptiveLimit>>>,
    count: usize,
    /// The number of limits at which unused ones are forgotten next.
    prune_at: usize,
    /// The number of the newest limit.
    number: Target,
}

impl Known {
    fn prune(&mut self) {
        if self.count < self.prune_at.max(KEPT) {
            return;
        }
        self.limits.retain(|_, limits| {
            limits.retain(|_, limit| Arc::strong_count(limit) > 1);
            !limits.is_empty()
        });
        self.count = self.limits.values().map(HashMap::len).sum();
        self.prune_at = 2 * self.count;
    }
}

/// The limit of one project and destination.
pub(in crate::worker) struct AdaptiveLimit {
    project: ProjectId,
    number: Target,
    is_project_wide: bool,
    places: Arc<Semaphore>,
    /// The number of places, taken ones included.
    width: AtomicUsize,
    least: usize,
    share: usize,
    stride: usize,
    admission: Admission,
}

/// Places of a limit, held from before a request is built until its answer, each with a place in
/// the queue until its first byte.
pub(in crate::worker) struct LimitPlaces {
    limit: Arc<AdaptiveLimit>,
    permit: OwnedSemaphorePermit,
    queued: Option<Admitted>,
}

/// A number of held places and their limit.
pub(in crate::worker) struct HeldPlaces {
    limit: Arc<AdaptiveLimit>,
    places: usize,
}

impl HeldPlaces {
    /// The number of places that count for a limit, and for the queue.
    pub(in crate::worker) fn of(&self, limit: &Arc<AdaptiveLimit>) -> (usize, usize) {
        if Arc::ptr_eq(&self.limit, limit) {
            (self.places, self.places)
        } else if self.limit.is_project_wide && self.limit.project == limit.project {
            (0, self.places)
        } else {
            (0, 0)
        }
    }

    /// The number of places.
    pub(in crate::worker) fn places(&self) -> usize {
        self.places
    }
}

impl AdaptiveLimits {
    /// Limits for a queue of this length, with so many calls to a destination at one time. Where
    /// all of them hang, other destinations still have a quarter of the queue, and at least one
    /// place. With a queue of one, nothing is built that its destination does not take at once.
    pub(in crate::worker) fn new(max_queue: usize, at_most: usize) -> Self {
        let (at_most, admission) = (at_most.max(1), Admission::new(max_queue));
        let waiting = max_queue - max_queue.div_ceil(4);
        let stride = ((at_most + waiting) / 16).clamp(1, 64);
        let share = at_most + waiting.min(admission.room(0, 0));
        let least = (at_most + stride).min(share);
        Self { least, share, stride, admission, known: Mutex::default() }
    }

    /// The number of places that a waiter takes at one time: requests are built for several at
    /// once.
    pub(in crate::worker) fn stride(&self) -> usize {
        self.stride
    }

    /// The limit of a project for any destination: only the queue bounds it.
    pub(in crate::worker) fn project_wide(&self, project: ProjectId) -> Arc<AdaptiveLimit> {
        self.named(project, "")
    }

    /// The number of requests that are built and wait for their first byte.
    pub(in crate::worker) fn built(&self) -> usize {
        self.admission.held()
    }

    /// The limit of a project to a destination.
    pub(in crate::worker) fn of(
        &self,
        project: ProjectId,
        destination: &Destination,
    ) -> Arc<AdaptiveLimit> {
        self.named(project, destination.as_str())
    }

    /// The limit of a project by the name of a destination, which is empty for any.
    fn named(&self, project: ProjectId, name: &str) -> Arc<AdaptiveLimit> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = known.limits.get(&project).and_then(|limits| limits.get(name)) {
            return Arc::clone(limit);
        }
        // A project-wide limit bounds how many of its waiters build at one time.
        let width = if name.is_empty() { PROJECT_WIDE_WRITERS * self.stride } else { self.least };
        known.prune();
        known.count += 1;
        known.number += 1;
        let limit = Arc::new(AdaptiveLimit {
            project,
            number: known.number,
            is_project_wide: name.is_empty(),
            places: Arc::new(Semaphore::new(width)),
            width: AtomicUsize::new(width),
            least: self.least,
            share: self.share,
            stride: self.stride,
            admission: self.admission.clone(),
        });
        known.limits.entry(project).or_default().insert(name.into(), Arc::clone(&limit));
        limit
    }
}

impl AdaptiveLimit {
    /// Takes a place, if one is free.
    pub(in crate::worker) fn try_take(self: &Arc<Self>) -> Option<LimitPlaces> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let queued = self.admission.try_take(self.project, self.number)?;
        Some(LimitPlaces { limit: Arc::clone(self), permit, queued: Some(queued) })
    }

    /// Takes a place, if the limit has one, as soon as the queue has one.
    pub(in crate::worker) async fn take_free(self: &Arc<Self>) -> Option<LimitPlaces> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let queued = self.admission.take(self.project, self.number, 1).await?;
        Some(LimitPlaces { limit: Arc::clone(self), permit, queued: Some(queued) })
    }

    /// The number of places that are free, and of requests of this destination that the queue
    /// takes.
    pub(in crate::worker) fn free(&self) -> (usize, usize) {
        (self.places.available_permits(), self.admission.room(self.project, self.number))
    }

    /// Says whether no place is free.
    pub(in crate::worker) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Says whether it is a project's limit for any destination.
    pub(in crate::worker) fn is_project_wide(&self) -> bool {
        self.is_project_wide
    }

    /// The number that tells it from other limits.
    pub(in crate::worker) fn number(&self) -> Target {
        self.number
    }

    /// Waits for places: at most so many, at least one.
    pub(in crate::worker) async fn take(self: &Arc<Self>, places: usize) -> Option<LimitPlaces> {
        let places = places.min(self.least).min(self.stride);
        // The semaphore is never closed.
        let permit = Arc::clone(&self.places).acquire_many_owned(places as u32).await.ok()?;
        let queued = self.admission.take(self.project, self.number, places).await?;
        let mut all = permit;
        let permit = all.split(queued.places())?;
        Some(LimitPlaces { limit: Arc::clone(self), permit, queued: Some(queued) })
    }
}

impl LimitPlaces {
    /// The number of places and their limit.
    pub(in crate::worker) fn held(&self) -> HeldPlaces {
        HeldPlaces { limit: Arc::clone(&self.limit), places: self.permit.num_permits() }
    }

    /// Splits one place off for a limit: the same one, or one of the same project that has a place,
    /// when these are project-wide.
    pub(in crate::worker) fn split(&mut self, limit: &Arc<AdaptiveLimit>) -> Option<Self> {
        let permit = if Arc::ptr_eq(&self.limit, limit) {
            self.permit.split(1)?
        } else if self.limit.is_project_wide && self.limit.project == limit.project {
            let permit = Arc::clone(&limit.places).try_acquire_owned().ok()?;
            drop(self.permit.split(1)?);
            permit
        } else {
            return None;
        };
        let queued = self.queued.as_mut()?.split()?;
        Some(Self { limit: Arc::clone(limit), permit, queued: Some(queued) })
    }

    /// Takes the places in the queue out, to be given back with the first byte.
    pub(in crate::worker) fn take_queued(&mut self) -> Option<Admitted> {
        self.queued.take()
    }

    /// Gives the place back and widens the limit: the request was answered.
    pub(in crate::worker) fn answered(self) {
        let AdaptiveLimit { width, share, places, .. } = &*self.limit;
        let wider = |width: usize| (width < *share).then_some(width + 1);
        if width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider).is_ok() {
            places.add_permits(1);
        }
    }

    /// Narrows the limit: the request was turned away.
    pub(in crate::worker) fn refused(self) {
        let AdaptiveLimit { width, least, .. } = &*self.limit;
        let narrower = |width: usize| (width > *least).then(|| width - 1);
        if width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, narrower).is_ok() {
            self.permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str) -> Destination {
        Destination::new(name)
    }

    fn free(limit: &Arc<AdaptiveLimit>) -> usize {
        limit.places.available_permits()
    }

    #[test]
    fn a_limit_is_a_destinations_and_leaves_room_for_others() {
        let limits = AdaptiveLimits::new(8, 3);
        let limit = limits.of(1, &to("a:1"));
        assert!(Arc::ptr_eq(&limit, &limits.of(1, &to("a:1"))));
        assert!(!Arc::ptr_eq(&limit, &limits.of(1, &to("a:2"))));
        assert!(!Arc::ptr_eq(&limit, &limits.of(2, &to("a:1"))), "each project has its own");
        (0..99).for_each(|_| limit.try_take().unwrap().answered());
        assert_eq!(free(&limit), 3 + 4, "as many as the queue has for one");
        let narrow = [(1, 1), (1, 2), (2, 1)].map(|(queue, workers)| {
            let limit = AdaptiveLimits::new(queue, workers).of(1, &to("a"));
            (0..9).for_each(|_| limit.try_take().unwrap().answered());
            free(&limit)
        });
        assert_eq!(narrow, [1, 2, 2], "one place of the queue is never theirs");
    }

    #[tokio::test]
    async fn a_project_wide_place_is_one_for_any_limit_of_its_project_that_has_room() {
        let limits = AdaptiveLimits::new(64, 2);
        let (limit, other) = (limits.of(1, &to("a")), limits.of(2, &to("a")));
        let mut project_wide = limits.project_wide(1).take(3).await.unwrap();
        assert_eq!(
            (project_wide.held().of(&limit), project_wide.held().of(&other)),
            ((0, 3), (0, 0))
        );
        assert!(project_wide.split(&other).is_none());
        let held: Vec<_> = (0..2).map(|_| project_wide.split(&limit).unwrap()).collect();
        assert_eq!((project_wide.held().places(), limits.built()), (1, 3));
        let rest: Vec<_> = std::iter::from_fn(|| limit.try_take()).collect();
        assert!(limit.is_full() && project_wide.split(&limit).is_none(), "{}", rest.len());
        drop((held, rest, project_wide));
        assert_eq!(limits.built(), 0);
    }

    #[tokio::test]
    async fn a_limit_is_as_wide_as_its_destination_answers() {
        let limits = AdaptiveLimits::new(1_024, 48);
        let limit = limits.of(1, &to("a:1"));
        let least = 48 + limits.stride();
        // All of these have been sent; built requests are bounded elsewhere.
        let sent = |mut places: LimitPlaces| {
            drop(places.take_queued());
            places
        };
        let mut hang = limit.take(limits.stride()).await.unwrap();
        assert_eq!(free(&limit), 48);
        // Without answers it stays narrow, whatever is turned away.
        (0..9).for_each(|_| hang.split(&limit).unwrap().refused());
        assert_eq!(free(&limit), 57);
        drop(hang);
        assert_eq!(free(&limit), least);
        // Each answer widens it by one ...
        let held: Vec<_> = (0..least).map(|_| sent(limit.try_take().unwrap())).collect();
        assert!(limit.try_take().is_none());
        held.into_iter().for_each(LimitPlaces::answered);
        assert_eq!(free(&limit), 2 * least);
        (0..2_000).for_each(|_| limit.try_take().unwrap().answered());
        assert_eq!(free(&limit), 48 + 456, "its share");
        // ... and each request that is turned away narrows it by one.
        let all: Vec<_> = (0..504).map(|_| sent(limit.try_take().unwrap())).collect();
        all.into_iter().for_each(LimitPlaces::refused);
        assert_eq!(free(&limit), least);
    }
}
