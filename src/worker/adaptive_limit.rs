//! How many requests a project may have to one destination, built or under way, so that one that
//! hangs or fails cannot fill the queue of built requests (`MaxQueue`), nor make work for nothing.
//! Asked by `worker::sender` for each request; the executor has queues of its own, for the workers.
//!
//! A limit is as wide as the destination deserves: it begins with little more than what can be under
//! way at once, wins a place with each request that was answered, up to its share of the queue, and
//! loses one with each that was turned away. A request needs a place in its limit, up to its answer,
//! and one in the queue ([`Admission`]), up to its first byte. What has none waits unwritten: in
//! its limit where that is full, in its project's project_wide ([`AdaptiveLimits::project_wide`]) where only the queue is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admission::{Admission, Admitted, Target};
use crate::model::ProjectId;

/// So many of a project's project_wide have what they take at a time.
const PROJECT_WIDE_WRITERS: usize = 4;
/// AdaptiveLimits without anybody in them are forgotten above this number.
const KEPT: usize = 1_024;

/// See the head of this file.
pub(super) struct AdaptiveLimits {
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
    /// At so many, those without anybody in them are forgotten.
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

/// That of one project and destination.
pub(super) struct AdaptiveLimit {
    project: ProjectId,
    number: Target,
    is_project_wide: bool,
    places: Arc<Semaphore>,
    /// How many places there are, taken ones included.
    width: AtomicUsize,
    least: usize,
    share: usize,
    stride: usize,
    admission: Admission,
}

/// Some places in a limit, held from before a request is built until its answer is there, and in the
/// queue, until its first byte.
pub(super) struct LimitPlaces {
    limit: Arc<AdaptiveLimit>,
    permit: OwnedSemaphorePermit,
    queued: Option<Admitted>,
}

/// How many places somebody holds, and of which limit.
pub(super) struct HeldPlaces {
    limit: Arc<AdaptiveLimit>,
    places: usize,
}

impl HeldPlaces {
    /// How many of them are places in a limit, and how many in the queue for it.
    pub(super) fn of(&self, limit: &Arc<AdaptiveLimit>) -> (usize, usize) {
        if Arc::ptr_eq(&self.limit, limit) {
            (self.places, self.places)
        } else if self.limit.is_project_wide && self.limit.project == limit.project {
            (0, self.places)
        } else {
            (0, 0)
        }
    }

    /// How many there are.
    pub(super) fn places(&self) -> usize {
        self.places
    }
}

impl AdaptiveLimits {
    /// AdaptiveLimits for a queue of this length, when so many calls of a limit are made at once. Where all
    /// of them hang, others still have a quarter of the queue, and at least one place: with a queue
    /// of one, nothing is built that its destination does not take at once.
    pub(super) fn new(max_queue: usize, at_most: usize) -> Self {
        let (at_most, admission) = (at_most.max(1), Admission::new(max_queue));
        let waiting = max_queue - max_queue.div_ceil(4);
        let stride = ((at_most + waiting) / 16).clamp(1, 64);
        let share = at_most + waiting.min(admission.room(0, 0));
        let least = (at_most + stride).min(share);
        Self { least, share, stride, admission, known: Mutex::default() }
    }

    /// How many places those who wait take at a time: bodies are written for several at once.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The places of a project in the queue, for whatever destinations: a limit that leads nowhere.
    pub(super) fn project_wide(&self, project: ProjectId) -> Arc<AdaptiveLimit> {
        self.of(project, "")
    }

    /// How many requests are built and wait for their first byte.
    pub(super) fn built(&self) -> usize {
        self.admission.held()
    }

    /// The limit of a project to a URL's scheme, host and port.
    pub(super) fn of(&self, project: ProjectId, url: &str) -> Arc<AdaptiveLimit> {
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = known.limits.get(&project).and_then(|limits| limits.get(&url[..end])) {
            return Arc::clone(limit);
        }
        // Of a project_wide so many write requests at a time.
        let width = if url.is_empty() { PROJECT_WIDE_WRITERS * self.stride } else { self.least };
        known.prune();
        known.count += 1;
        known.number += 1;
        let limit = Arc::new(AdaptiveLimit {
            project,
            number: known.number,
            is_project_wide: url.is_empty(),
            places: Arc::new(Semaphore::new(width)),
            width: AtomicUsize::new(width),
            least: self.least,
            share: self.share,
            stride: self.stride,
            admission: self.admission.clone(),
        });
        known.limits.entry(project).or_default().insert(url[..end].into(), Arc::clone(&limit));
        limit
    }
}

impl AdaptiveLimit {
    /// A place, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<LimitPlaces> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let queued = self.admission.try_take(self.project, self.number)?;
        Some(LimitPlaces { limit: Arc::clone(self), permit, queued: Some(queued) })
    }

    /// A place, if the limit has one, as soon as the queue has.
    pub(super) async fn take_free(self: &Arc<Self>) -> Option<LimitPlaces> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let queued = self.admission.take(self.project, self.number, 1).await?;
        Some(LimitPlaces { limit: Arc::clone(self), permit, queued: Some(queued) })
    }

    /// How many are free at the moment, and how many more requests of its project the queue takes.
    pub(super) fn free(&self) -> (usize, usize) {
        (self.places.available_permits(), self.admission.room(self.project, self.number))
    }

    /// Whether it has no free place.
    pub(super) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Whether it is a project's, for whatever destinations.
    pub(super) fn is_project_wide(&self) -> bool {
        self.is_project_wide
    }

    /// Tells it from others.
    pub(super) fn number(&self) -> Target {
        self.number
    }

    /// Waits for places: at most so many, at least one.
    pub(super) async fn take(self: &Arc<Self>, places: usize) -> Option<LimitPlaces> {
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
    /// How many they are, and of which limit.
    pub(super) fn held(&self) -> HeldPlaces {
        HeldPlaces { limit: Arc::clone(&self.limit), places: self.permit.num_permits() }
    }

    /// One of them, if it is of that limit, or of the project_wide of its project and the limit has a place.
    pub(super) fn split(&mut self, limit: &Arc<AdaptiveLimit>) -> Option<Self> {
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

    /// Its place in the queue, to be given back with the first byte.
    pub(super) fn take_queued(&mut self) -> Option<Admitted> {
        self.queued.take()
    }

    /// Gives it back, and one more: its request was answered.
    pub(super) fn answered(self) {
        let AdaptiveLimit { width, share, places, .. } = &*self.limit;
        let wider = |width: usize| (width < *share).then_some(width + 1);
        if width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider).is_ok() {
            places.add_permits(1);
        }
    }

    /// Gives it up: its request was turned away.
    pub(super) fn refused(self) {
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

    fn free(limit: &Arc<AdaptiveLimit>) -> usize {
        limit.places.available_permits()
    }

    #[test]
    fn a_lane_is_a_destination_and_leaves_room_for_others() {
        let limits = AdaptiveLimits::new(8, 3);
        let limit = limits.of(1, "http://a:1/x?y");
        assert!(Arc::ptr_eq(&limit, &limits.of(1, "http://a:1/z")));
        assert!(!Arc::ptr_eq(&limit, &limits.of(1, "http://a:2")));
        assert!(!Arc::ptr_eq(&limit, &limits.of(2, "http://a:1")), "each project has its own");
        (0..99).for_each(|_| limit.try_take().unwrap().answered());
        assert_eq!(free(&limit), 3 + 4, "as many as the queue has for one");
        let narrow = [(1, 1), (1, 2), (2, 1)].map(|(queue, workers)| {
            let limit = AdaptiveLimits::new(queue, workers).of(1, "http://a");
            (0..9).for_each(|_| limit.try_take().unwrap().answered());
            free(&limit)
        });
        assert_eq!(narrow, [1, 2, 2], "one place of the queue is never theirs");
    }

    #[tokio::test]
    async fn a_place_of_the_crowd_is_one_for_any_lane_of_its_project_that_has_room() {
        let limits = AdaptiveLimits::new(64, 2);
        let (limit, other) = (limits.of(1, "http://a"), limits.of(2, "http://a"));
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
    async fn a_lane_is_as_wide_as_its_destination_answers() {
        let limits = AdaptiveLimits::new(1_024, 48);
        let limit = limits.of(1, "http://a:1");
        let least = 48 + limits.stride();
        // All of these have been sent: what is built is bounded elsewhere.
        let sent = |mut places: LimitPlaces| {
            drop(places.take_queued());
            places
        };
        let mut hang = limit.take(limits.stride()).await.unwrap();
        assert_eq!(free(&limit), 48);
        // Nothing is answered: it stays narrow, whatever is turned away.
        (0..9).for_each(|_| hang.split(&limit).unwrap().refused());
        assert_eq!(free(&limit), 57);
        drop(hang);
        assert_eq!(free(&limit), least);
        // Each answer makes room for one more ...
        let held: Vec<_> = (0..least).map(|_| sent(limit.try_take().unwrap())).collect();
        assert!(limit.try_take().is_none());
        held.into_iter().for_each(LimitPlaces::answered);
        assert_eq!(free(&limit), 2 * least);
        (0..2_000).for_each(|_| limit.try_take().unwrap().answered());
        assert_eq!(free(&limit), 48 + 456, "its share");
        // ... and each that is turned away takes it again.
        let all: Vec<_> = (0..504).map(|_| sent(limit.try_take().unwrap())).collect();
        all.into_iter().for_each(LimitPlaces::refused);
        assert_eq!(free(&limit), least);
    }
}
