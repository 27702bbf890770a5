//! The observer of a run: terms, leaders and moves of shards as the leader's status shows them, and
//! the intervals in which this program was not scheduled. It feeds the report, which must tell an
//! eventful run from an empty one, and changes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::hosts::now;
use crate::inject::FaultInjector;

/// A sleep that is longer by this is a stall.
const STALL: Duration = Duration::from_millis(700);

/// The observations so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The first and the last term.
    pub(crate) terms: Option<(u64, u64)>,
    /// The number of changes of the leader.
    pub(crate) leaders: u64,
    /// The number of shards that were handed over in order.
    pub(crate) handed_over: u64,
    /// The number of shards that were taken over from a silent node.
    pub(crate) taken_over: u64,
    /// The intervals in which this program was not scheduled.
    pub(crate) stalls: Vec<(i64, i64)>,
    leader: Option<u64>,
    shards: BTreeMap<u64, (u64, u64)>,
}

/// Observes until the task is ended.
pub(crate) async fn watch(injector: Arc<FaultInjector>, seen: Arc<Mutex<Seen>>) {
    let mut ticker = tokio::time::interval(Duration::from_millis(300));
    loop {
        ticker.tick().await;
        let statuses = injector.statuses().await;
        let mut seen = seen.lock().unwrap();
        for (node, status) in &statuses {
            seen.note(*node, status);
        }
    }
}

/// Notes the intervals in which this task was not scheduled.
pub(crate) async fn note_stalls(seen: Arc<Mutex<Seen>>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gap = last.elapsed();
        last = Instant::now();
        if gap > STALL {
            let at = now();
            seen.lock().unwrap().stalls.push((at - gap.as_millis() as i64, at));
        }
    }
}

impl Seen {
    fn note(&mut self, node: u64, status: &Value) {
        let Some(term) = status["term"].as_u64() else { return };
        let (first, last) = self.terms.unwrap_or((term, term));
        self.terms = Some((first, last.max(term)));
        // Only the leader of the newest term knows the present owners.
        if status["leader"].as_u64() != Some(node) || term < last {
            return;
        }
        if self.leader.replace(node) != Some(node) {
            self.leaders += 1;
        }
        for shard in status["shards"].as_array().into_iter().flatten() {
            let number = |name: &str| shard[name].as_u64().unwrap_or(0);
            let (id, epoch, owner) = (number("id"), number("epoch"), number("owner"));
            let Some((old, was)) = self.shards.insert(id, (epoch, owner)) else { continue };
            if epoch > old && was != 0 {
                let in_order = shard["closing"].as_u64() == Some(was);
                *(if in_order { &mut self.handed_over } else { &mut self.taken_over }) += 1;
            }
        }
    }
}
