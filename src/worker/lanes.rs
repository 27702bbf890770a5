//! How much of the queue of built requests (`MaxQueue`) one destination may fill. Asked by
//! `worker::fire` for each request; the executor has lanes of its own, for the workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Lanes without anybody in them are forgotten above this number.
const KEPT: usize = 1_024;

/// A semaphore a destination.
pub(super) struct Lanes {
    share: usize,
    lanes: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

impl Lanes {
    /// Lanes for a queue of this length.
    pub(super) fn new(max_queue: usize) -> Self {
        Self { share: (max_queue - max_queue / 4).max(1), lanes: Mutex::default() }
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
        let lanes = Lanes::new(8);
        let lane = lanes.of("http://a:1/x?y");
        assert!(Arc::ptr_eq(&lane, &lanes.of("http://a:1/z")));
        assert!(!Arc::ptr_eq(&lane, &lanes.of("http://a:2")));
        assert_eq!(lane.available_permits(), 6);
        assert_eq!(Lanes::new(1).of("http://a").available_permits(), 1);
    }
}
