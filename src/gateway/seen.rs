//! The workers that a gateway heard of within the last minute, and the nodes that claims with keys
//! went to. Pure data, bounded: what does not fit is not remembered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::messages::SeenWorker;
use crate::model::NodeId;

/// The time for which both are remembered, in milliseconds.
pub(super) const REMEMBERED: u64 = 60_000;
/// The most workers.
const WORKERS: usize = 20_000;
/// The most queues of one worker that are remembered.
const QUEUES: usize = 64;
/// The most claims with keys.
const KEYS: usize = 20_000;

#[derive(Debug, Default)]
struct Worker {
    /// The queues, with the instants of the last claims from them.
    queues: BTreeMap<u64, u64>,
    /// The instant of the last claim.
    claimed: u64,
    runs: Option<u32>,
    seen: u64,
}

impl Worker {
    fn is_fresh(&self, now: u64) -> bool {
        self.seen + REMEMBERED > now
    }

    /// The queues that it works for: those of the claims of a minute. A worker that is busy sends
    /// heartbeats only, which keep those of its last claim.
    fn queues(&self, now: u64) -> impl Iterator<Item = u64> {
        let holds = move |at: u64| at == self.claimed || at + REMEMBERED > now;
        self.queues.iter().filter(move |(_, at)| holds(**at)).map(|(queue, _)| *queue)
    }
}

/// The workers of a gateway. Instants are milliseconds of the boot clock.
#[derive(Debug, Default)]
pub(super) struct SeenWorkers {
    workers: HashMap<String, Worker>,
    keys: HashMap<(String, String), (NodeId, u64)>,
}

impl SeenWorkers {
    fn worker(&mut self, name: &str, now: u64) -> Option<&mut Worker> {
        if name.is_empty() {
            return None;
        }
        if !self.workers.contains_key(name) {
            if self.workers.len() >= WORKERS {
                return None;
            }
            self.workers.insert(name.to_owned(), Worker::default());
        }
        let worker = self.workers.get_mut(name)?;
        worker.seen = now;
        Some(worker)
    }

    /// Notes a claim.
    pub(super) fn note_claim(&mut self, name: &str, queues: &[u64], now: u64) {
        if let Some(worker) = self.worker(name, now) {
            worker.claimed = now;
            worker.queues.retain(|_, at| *at + REMEMBERED > now);
            for queue in queues {
                if worker.queues.len() < QUEUES || worker.queues.contains_key(queue) {
                    worker.queues.insert(*queue, now);
                }
            }
        }
    }

    /// Notes a heartbeat of so many runs. One without a name came by an older route, and is of a
    /// run rather than of a worker.
    pub(super) fn note_heartbeat(&mut self, name: &str, runs: usize, now: u64) {
        if let Some(worker) = self.worker(name, now) {
            worker.runs = Some(u32::try_from(runs).unwrap_or(u32::MAX));
        }
    }

    /// Notes that a claim with a key goes to a node. The minute counts from the first time: a claim
    /// that is repeated for longer at a node that is down goes elsewhere then.
    pub(super) fn note_key(&mut self, worker: &str, key: &str, node: NodeId, now: u64) {
        let key = (worker.to_owned(), key.to_owned());
        let known = self.keys.get(&key);
        if known.is_some_and(|(its, at)| *its == node && at + REMEMBERED > now) {
            return;
        }
        if self.keys.len() < KEYS || known.is_some() {
            self.keys.insert(key, (node, now));
        }
    }

    /// The node that a claim with this key went to.
    pub(super) fn node_of_key(&self, worker: &str, key: &str, now: u64) -> Option<NodeId> {
        let (node, at) = self.keys.get(&(worker.to_owned(), key.to_owned()))?;
        (at + REMEMBERED > now).then_some(*node)
    }

    /// Forgets what is old.
    pub(super) fn tick(&mut self, now: u64) {
        self.workers.retain(|_, worker| worker.is_fresh(now));
        self.keys.retain(|_, (_, at)| *at + REMEMBERED > now);
    }

    /// The queues that workers which are remembered have claimed from.
    pub(super) fn asked(&self, now: u64) -> BTreeSet<u64> {
        let fresh = self.workers.values().filter(|worker| worker.is_fresh(now));
        fresh.flat_map(|worker| worker.queues(now)).collect()
    }

    /// The workers that are remembered, in no particular order.
    pub(super) fn all(&self, now: u64) -> Vec<SeenWorker> {
        let fresh = self.workers.iter().filter(|(_, worker)| worker.is_fresh(now));
        fresh
            .map(|(name, worker)| SeenWorker {
                worker: name.clone(),
                queues: worker.queues(now).collect(),
                runs: worker.runs,
                seen_ms_ago: now.saturating_sub(worker.seen),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_remembered_for_a_minute() {
        let mut seen = SeenWorkers::default();
        seen.note_claim("a", &[7, 8], 1_000);
        seen.note_claim("a", &[7, 9], 2_000);
        seen.note_heartbeat("b", 3, 3_000);
        let mut all = seen.all(61_999);
        all.sort_unstable_by(|one, other| one.worker.cmp(&other.worker));
        assert_eq!((all[0].queues.as_slice(), all[0].runs), (&[7, 9][..], None));
        assert_eq!((all[1].runs, all[1].seen_ms_ago), (Some(3), 58_999));
        assert_eq!(seen.asked(60_999), [7, 8, 9].into());
        assert_eq!(seen.asked(61_999), [7, 9].into());
        assert_eq!((seen.all(62_000).len(), seen.asked(62_000)), (1, BTreeSet::new()));
        seen.tick(63_000);
        assert!(seen.workers.is_empty());
    }

    #[test]
    fn a_queue_that_is_claimed_from_no_more_is_forgotten_after_a_minute() {
        let mut seen = SeenWorkers::default();
        seen.note_claim("a", &[7], 1_000);
        seen.note_claim("a", &[8], 31_000);
        seen.note_heartbeat("a", 1, 60_999);
        assert_eq!(seen.asked(60_999), [7, 8].into());
        assert_eq!(seen.asked(61_000), [8].into());
        // It is busy for long: what it claimed last is its own still.
        seen.note_heartbeat("a", 1, 110_000);
        assert_eq!(seen.asked(110_000), [8].into());
        seen.note_claim("a", &[9], 111_000);
        assert_eq!(seen.asked(111_000), [9].into());
        assert_eq!(seen.all(111_000)[0].queues, [9]);
    }

    #[test]
    fn a_heartbeat_that_names_no_worker_shows_none() {
        let mut seen = SeenWorkers::default();
        seen.note_heartbeat("", 1, 1_000);
        assert_eq!(seen.all(1_000), []);
    }

    #[test]
    fn a_key_leads_to_its_node_for_a_minute_and_for_its_own_worker() {
        let mut seen = SeenWorkers::default();
        seen.note_key("a", "k", 2, 1_000);
        seen.note_key("a", "k", 3, 1_500);
        seen.note_key("a", "k", 3, 30_000);
        assert_eq!(seen.node_of_key("a", "k", 61_499), Some(3));
        assert_eq!(seen.node_of_key("b", "k", 2_000), None);
        assert_eq!(seen.node_of_key("a", "k", 61_500), None);
        seen.tick(61_500);
        assert!(seen.keys.is_empty());
    }
}
