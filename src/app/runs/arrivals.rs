//! The wait for runs that are on their way into the store. A worker may report on a run before the
//! record of its claim has come from the owner's journal into the state, and a receiver before the
//! record of its own answer.
//!
//! One task follows the change feed for all that wait, while any does, and wakes those of whose
//! occurrences a change names one. To be woken proves nothing: the caller looks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::error::Error;
use crate::cluster::Cluster;
use crate::command::Change;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

/// The longest wait for a run, in milliseconds.
pub(in crate::app) const PATIENCE_MS: u64 = 3_000;
/// The most that wait at a node at the same time.
const MOST: usize = 10_000;

/// Those that wait at a node.
#[derive(Default)]
pub(crate) struct RunArrivals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The waiting reports of an occurrence.
    waits: HashMap<Occurrence, Vec<Arc<Notify>>>,
    /// Those of them that wait for its row, too.
    for_rows: Vec<(Occurrence, Arc<Notify>)>,
    /// The number of the occurrences that all of them wait for.
    count: usize,
    /// A task follows the change feed.
    followed: bool,
}

/// The wait of one caller for one or more runs. It ends when this is dropped.
pub(in crate::app) struct Arrival {
    all: Arc<RunArrivals>,
    of: Vec<Occurrence>,
    woken: Arc<Notify>,
}

impl RunArrivals {
    /// Begins a wait for runs, and with `rows` also for their rows. From here on no change of them
    /// is missed.
    ///
    /// # Errors
    ///
    /// `Busy` when too many wait already.
    pub(in crate::app) fn expect(
        self: &Arc<Self>,
        cluster: &Cluster,
        of: Vec<Occurrence>,
        rows: bool,
    ) -> Result<Arrival, Error> {
        self.begin(|| cluster.changes(), of, rows)
    }

    fn begin(
        self: &Arc<Self>,
        changes: impl FnOnce() -> Receiver<Arc<Change>>,
        of: Vec<Occurrence>,
        rows: bool,
    ) -> Result<Arrival, Error> {
        let woken = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        if waiting.count + of.len() > MOST {
            let message = "too many reports wait for the records of their runs: report again";
            return Err(Error::busy(message));
        }
        waiting.count += of.len();
        for of in &of {
            waiting.waits.entry(*of).or_default().push(Arc::clone(&woken));
            if rows {
                waiting.for_rows.push((*of, Arc::clone(&woken)));
            }
        }
        if !waiting.followed {
            waiting.followed = true;
            tokio::spawn(Arc::clone(self).follow(changes()));
        }
        Ok(Arrival { all: Arc::clone(self), of, woken })
    }

    /// Wakes by the change feed, until nobody waits.
    async fn follow(self: Arc<Self>, mut changes: Receiver<Arc<Change>>) {
        loop {
            let change = changes.recv().await;
            let mut waiting = self.waiting();
            match &change {
                Ok(change) if !change.replaced => waiting.wake(change),
                // A missed change may be of any run.
                _ => waiting.wake_all(),
            }
            let is_over = matches!(change, Err(RecvError::Closed));
            if waiting.count == 0 || is_over {
                waiting.followed = false;
                return;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Wakes those whose run or whose row may have come.
    fn wake(&self, change: &Change) {
        for of in &change.runs {
            self.waits.get(of).into_iter().flatten().for_each(|one| one.notify_one());
        }
        for (of, one) in &self.for_rows {
            // Offers are named by their rows, which nobody who waits for one knows.
            if !change.offers.is_empty() || change.pending.contains(&shard_of(of.job)) {
                one.notify_one();
            }
        }
        if !change.crowded.is_empty() {
            let waits =
                self.waits.iter().filter(|(of, _)| change.crowded.contains(&shard_of(of.job)));
            waits.flat_map(|(_, waits)| waits).for_each(|one| one.notify_one());
        }
    }

    fn wake_all(&self) {
        self.waits.values().flatten().for_each(|one| one.notify_one());
    }
}

impl Arrival {
    /// Waits for the next change that may be that of one of the occurrences.
    pub(in crate::app) async fn changed(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting();
        waiting.count -= self.of.len();
        waiting.for_rows.retain(|(_, one)| !Arc::ptr_eq(one, &self.woken));
        for of in &self.of {
            if let Some(waits) = waiting.waits.get_mut(of) {
                waits.retain(|one| !Arc::ptr_eq(one, &self.woken));
                if waits.is_empty() {
                    waiting.waits.remove(of);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::broadcast;

    use super::*;

    fn of(job: u64) -> Occurrence {
        Occurrence { job, scheduled: 5, run: 0 }
    }

    /// Publishes a change and lets the task that follows see it.
    async fn publish(feed: &broadcast::Sender<Arc<Change>>, change: Change) {
        feed.send(Arc::new(change)).unwrap();
        while !feed.is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_wait_is_woken_by_what_may_be_of_it_and_by_nothing_else() {
        let (feed, _) = broadcast::channel(4);
        let all: Arc<RunArrivals> = Arc::default();
        let wait =
            |job, rows| all.begin(|| feed.subscribe(), vec![of(job), of(job + 9)], rows).unwrap();
        let (named, other, for_row) = (wait(1, false), wait(64, false), wait(65, true));
        let woken = |one: &Arrival| one.changed().now_or_never().is_some();
        let states = || [woken(&named), woken(&other), woken(&for_row)];
        publish(&feed, Change { runs: vec![of(1), of(7)], ..Change::default() }).await;
        assert_eq!(states(), [true, false, false]);
        publish(&feed, Change { pending: vec![1], ..Change::default() }).await;
        assert_eq!(states(), [false, false, true]);
        publish(&feed, Change { offers: vec![77], ..Change::default() }).await;
        assert_eq!(states(), [false, false, true], "a row that came to wait for workers");
        publish(&feed, Change { runs: vec![of(10)], ..Change::default() }).await;
        assert_eq!(states(), [true, false, false], "another run of the same wait");
        publish(&feed, Change { crowded: vec![1], ..Change::default() }).await;
        assert_eq!(states(), [false, true, true]);
        publish(&feed, Change { replaced: true, ..Change::default() }).await;
        assert_eq!(states(), [true; 3]);
        // A missed change may have been of any run.
        (0..9).for_each(|_| drop(feed.send(Arc::default())));
        publish(&feed, Change::default()).await;
        assert_eq!(states(), [true; 3]);
    }

    #[tokio::test]
    async fn a_node_follows_the_feed_only_while_somebody_waits_and_bounds_who_does() {
        let (feed, _) = broadcast::channel(4);
        let all: Arc<RunArrivals> = Arc::default();
        let waits: Vec<_> = (0..MOST as u64)
            .map(|job| all.begin(|| feed.subscribe(), vec![of(job)], job < 2).unwrap())
            .collect();
        assert_eq!(feed.receiver_count(), 1);
        assert!(all.begin(|| feed.subscribe(), vec![of(1)], false).is_err());
        drop(waits);
        let waiting = || {
            let waiting = all.waiting();
            (waiting.count, waiting.waits.len(), waiting.for_rows.len(), waiting.followed)
        };
        assert_eq!(waiting(), (0, 0, 0, true));
        publish(&feed, Change::default()).await;
        assert_eq!((waiting(), feed.receiver_count()), ((0, 0, 0, false), 0));
    }
}
