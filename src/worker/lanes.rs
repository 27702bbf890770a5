//! How many requests one destination may have, built or under way, so that one that hangs or fails
//! cannot fill the queue of built requests (`MaxQueue`), nor make work for nothing. Asked by
//! `worker::fire` for each request; the executor has lanes of its own, for the workers.
//!
//! A lane is as wide as the destination deserves: it begins with little more than what can be under
//! way at once, wins a place with each request that was answered, up to its share of the queue, and
//! loses one with each that was turned away. What has no place waits unwritten, and is put off as one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lanes without anybody in them are forgotten above this number.
const KEPT: usize = 1_024;

/// See the head of this file.
pub(super) struct Lanes {
    least: usize,
    share: usize,
    known: Mutex<HashMap<Box<str>, Arc<Lane>>>,
}

/// That of one destination.
pub(super) struct Lane {
    places: Arc<Semaphore>,
    /// How many places there are, taken ones included.
    width: AtomicUsize,
    least: usize,
    share: usize,
}

/// Some places in a lane, held from before a request is built until its answer is there.
pub(super) struct Places {
    lane: Arc<Lane>,
    permit: OwnedSemaphorePermit,
}

impl Lanes {
    /// Lanes for a queue of this length, when so many calls to one destination are made at once.
    /// Where all of them hang, others still have a quarter of the queue, and at least one place:
    /// with a queue of one, nothing is built that its destination does not take at once.
    pub(super) fn new(max_queue: usize, at_most: usize) -> Self {
        let waiting = max_queue - max_queue.div_ceil(4);
        let share = at_most.max(1) + waiting;
        Self { least: (at_most.max(1) + stride(share)).min(share), share, known: Mutex::default() }
    }

    /// How many places those who wait take at a time: bodies are written for several at once.
    pub(super) fn stride(&self) -> usize {
        stride(self.share)
    }

    /// The lane of a URL's scheme, host and port.
    pub(super) fn of(&self, url: &str) -> Arc<Lane> {
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = known.get(&url[..end]) {
            return Arc::clone(lane);
        }
        if known.len() >= KEPT {
            known.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let Self { least, share, .. } = *self;
        let places = Arc::new(Semaphore::new(least));
        let lane = Arc::new(Lane { places, width: AtomicUsize::new(least), least, share });
        known.insert(url[..end].into(), Arc::clone(&lane));
        lane
    }
}

fn stride(share: usize) -> usize {
    (share / 16).clamp(1, 64)
}

impl Lane {
    /// A place, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Places> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Places { lane: Arc::clone(self), permit })
    }

    /// How many are free at the moment.
    pub(super) fn free(&self) -> usize {
        self.places.available_permits()
    }

    /// Waits for so many places.
    pub(super) async fn take(self: &Arc<Self>, places: usize) -> Option<Places> {
        let places = places.min(self.least) as u32;
        // The semaphore is never closed.
        let permit = Arc::clone(&self.places).acquire_many_owned(places).await.ok()?;
        Some(Places { lane: Arc::clone(self), permit })
    }
}

impl Places {
    /// How many they are, and of which lane.
    pub(super) fn held(&self) -> (Arc<Lane>, usize) {
        (Arc::clone(&self.lane), self.permit.num_permits())
    }

    /// One of them, if it is of that lane.
    pub(super) fn split(&mut self, lane: &Arc<Lane>) -> Option<Self> {
        let permit = Arc::ptr_eq(&self.lane, lane).then(|| self.permit.split(1)).flatten()?;
        Some(Self { lane: Arc::clone(lane), permit })
    }

    /// Gives it back, and one more: its request was answered.
    pub(super) fn answered(self) {
        let Lane { width, share, places, .. } = &*self.lane;
        let wider = |width: usize| (width < *share).then_some(width + 1);
        if width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider).is_ok() {
            places.add_permits(1);
        }
    }

    /// Gives it up: its request was turned away.
    pub(super) fn refused(self) {
        let Lane { width, least, .. } = &*self.lane;
        let narrower = |width: usize| (width > *least).then(|| width - 1);
        if width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, narrower).is_ok() {
            self.permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(lane: &Arc<Lane>) -> usize {
        lane.places.available_permits()
    }

    #[test]
    fn a_lane_is_a_destination_and_leaves_room_for_others() {
        let lanes = Lanes::new(8, 3);
        let lane = lanes.of("http://a:1/x?y");
        assert!(Arc::ptr_eq(&lane, &lanes.of("http://a:1/z")));
        assert!(!Arc::ptr_eq(&lane, &lanes.of("http://a:2")));
        (0..99).for_each(|_| lane.try_take().unwrap().answered());
        assert_eq!(free(&lane), 3 + 6);
        let narrow = [(1, 1), (1, 2), (2, 1)].map(|(queue, workers)| {
            let lane = Lanes::new(queue, workers).of("http://a");
            (0..9).for_each(|_| lane.try_take().unwrap().answered());
            free(&lane)
        });
        assert_eq!(narrow, [1, 2, 2], "one place of the queue is never theirs");
    }

    #[tokio::test]
    async fn a_lane_is_as_wide_as_its_destination_answers() {
        let lanes = Lanes::new(1_024, 48);
        let lane = lanes.of("http://a:1");
        let least = 48 + lanes.stride();
        let mut hang = lane.take(lanes.stride()).await.unwrap();
        assert_eq!(free(&lane), 48);
        // Nothing is answered: it stays narrow, whatever is turned away.
        (0..9).for_each(|_| hang.split(&lane).unwrap().refused());
        assert_eq!(free(&lane), 57);
        drop(hang);
        assert_eq!(free(&lane), least);
        // Each answer makes room for one more ...
        let held: Vec<_> = (0..least).map(|_| lane.try_take().unwrap()).collect();
        assert!(lane.try_take().is_none());
        held.into_iter().for_each(Places::answered);
        assert_eq!(free(&lane), 2 * least);
        (0..2_000).for_each(|_| lane.try_take().unwrap().answered());
        assert_eq!(free(&lane), 48 + 768, "its share");
        // ... and each that is turned away takes it again.
        let all: Vec<_> = (0..816).map(|_| lane.try_take().unwrap()).collect();
        all.into_iter().for_each(Places::refused);
        assert_eq!(free(&lane), least);
    }
}
