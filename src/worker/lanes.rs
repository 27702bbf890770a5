//! How many requests one destination may have, built or under way, so that one that hangs or fails
//! cannot fill the queue of built requests (`MaxQueue`). Asked by `worker::fire` for each request;
//! the executor has lanes of its own, for the workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Lanes without anybody in them are forgotten above this number.
const KEPT: usize = 1_024;

/// A semaphore a destination: a pass is held from before a request is built until its answer is
/// there.
pub(super) struct Lanes {
    share: usize,
    lanes: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

impl Lanes {
    /// Lanes for a queue of this length, when so many calls to one destination are made at once.
    /// Where all of them hang, others still have a quarter of the queue, and at least one place:
    /// with a queue of one, nothing is built that its destination does not take at once.
    pub(super) fn new(max_queue: usize, at_most: usize) -> Self {
        let waiting = max_queue - max_queue.div_ceil(4);
        Self { share: at_most.max(1) + waiting, lanes: Mutex::default() }
    }

    /// How many places those who wait take at a time: bodies are written for several at once.
    pub(super) fn stride(&self) -> usize {
        (self.share / 16).clamp(1, 64)
    }

    /// The lane of a URL's scheme, host and port.
    pub(super) fn of(&self, url: &str) -> Arc<Semaphore> {
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&url[..end]) {
            return Arc::clone(lane);
        }
        if lanes.len() >= KEPT {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = Arc::new(Semaphore::new(self.share));
        lanes.insert(url[..end].into(), Arc::clone(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_a_destination_and_leaves_room_for_others() {
        let lanes = Lanes::new(8, 3);
        let lane = lanes.of("http://a:1/x?y");
        assert!(Arc::ptr_eq(&lane, &lanes.of("http://a:1/z")));
        assert!(!Arc::ptr_eq(&lane, &lanes.of("http://a:2")));
        assert_eq!(lane.available_permits(), 3 + 6);
        let narrow = [(1, 1), (1, 2), (2, 1)]
            .map(|(queue, workers)| Lanes::new(queue, workers).of("http://a").available_permits());
        assert_eq!(narrow, [1, 2, 2], "one place of the queue is never theirs");
    }
}
