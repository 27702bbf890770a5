//! The wait for runs that are on their way into the store. A worker may report on a run before the
//! record of its claim has come from the owner's journal into the state, and a receiver before the
//! record of its own answer.
//!
//! One task follows the change feed for all that wait, while any does, and wakes those of whose
//! occurrences a change names one. It tells which these are, so that a caller that waits for many
//! does not look at all of them with each change. To be woken proves nothing: the caller looks
//! again, unless the run was claimed at this node (`claimed`), which the same task keeps.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::claimed::ClaimedRuns;
use crate::app::error::Error;
use crate::cluster::Cluster;
use crate::command::Change;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

/// The longest wait for a run, in milliseconds.
pub(in crate::app) const PATIENCE_MS: u64 = 3_000;
/// The most occurrences that reports wait for at a node at the same time: some 10 MB.
const MOST: usize = 65_536;

/// Those that wait at a node.
#[derive(Default)]
pub(crate) struct RunArrivals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The waiting reports of an occurrence.
    waits: HashMap<Occurrence, Vec<Arc<Waiter>>>,
    /// Those of them that wait for its row, too.
    for_rows: Vec<(Occurrence, Arc<Waiter>)>,
    /// The number of the occurrences that all of them wait for.
    count: usize,
    /// The runs that were claimed at this node.
    claimed: ClaimedRuns,
    /// A task follows the change feed.
    followed: bool,
}

/// One caller that waits.
#[derive(Default)]
struct Waiter {
    wake: Notify,
    /// What has changed since it was woken last.
    changed: Mutex<Changed>,
}

/// What a caller is to look at again.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) enum Changed {
    /// These of its occurrences.
    These(HashSet<Occurrence>),
    /// All of them: changes were missed.
    All,
}

impl Default for Changed {
    fn default() -> Self {
        Self::These(HashSet::new())
    }
}

impl Changed {
    /// Tells whether an occurrence is to be looked at again.
    pub(in crate::app) fn holds(&self, of: Occurrence) -> bool {
        match self {
            Self::These(these) => these.contains(&of),
            Self::All => true,
        }
    }
}

impl Waiter {
    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_for(&self, of: Occurrence) {
        if let Changed::These(these) = &mut *self.changed() {
            these.insert(of);
        }
        self.wake.notify_one();
    }

    fn wake_for_all(&self) {
        *self.changed() = Changed::All;
        self.wake.notify_one();
    }
}

/// The wait of one caller for one or more runs. It ends when this is dropped.
pub(in crate::app) struct Arrival {
    all: Arc<RunArrivals>,
    of: Vec<Occurrence>,
    waiter: Arc<Waiter>,
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
        let waiter = Arc::new(Waiter::default());
        let mut waiting = self.waiting();
        if waiting.count + of.len() > MOST {
            let message = "too many reports wait for the records of their runs: report again";
            return Err(Error::busy(message));
        }
        waiting.count += of.len();
        for of in &of {
            waiting.waits.entry(*of).or_default().push(Arc::clone(&waiter));
            if rows {
                waiting.for_rows.push((*of, Arc::clone(&waiter)));
            }
        }
        self.ensure_followed(&mut waiting, changes);
        Ok(Arrival { all: Arc::clone(self), of, waiter })
    }

    /// Begins a claim of a worker: the records of the runs that it gets are noticed from here on.
    pub(in crate::app) fn begin_claim(self: &Arc<Self>, cluster: &Cluster) -> OpenClaim {
        let mut waiting = self.waiting();
        waiting.claimed.begin_claim();
        self.ensure_followed(&mut waiting, || cluster.changes());
        OpenClaim(Arc::clone(self))
    }

    /// Says for each run, with the attempt and the worker that a report names, whether its record
    /// has come; `None` for one that was not claimed at this node, or of which more was heard
    /// since.
    pub(super) fn recorded<'r>(
        &self,
        runs: impl Iterator<Item = (Occurrence, u32, &'r str)>,
    ) -> Vec<Option<bool>> {
        let waiting = self.waiting();
        runs.map(|(of, attempt, worker)| waiting.claimed.is_recorded(of, attempt, worker)).collect()
    }

    fn ensure_followed(
        self: &Arc<Self>,
        waiting: &mut Waiting,
        changes: impl FnOnce() -> Receiver<Arc<Change>>,
    ) {
        if !waiting.followed {
            waiting.followed = true;
            tokio::spawn(Arc::clone(self).follow(changes()));
        }
    }

    /// Wakes by the change feed, until nobody waits and no claimed run is known.
    async fn follow(self: Arc<Self>, mut changes: Receiver<Arc<Change>>) {
        loop {
            let change = changes.recv().await;
            let mut waiting = self.waiting();
            match &change {
                Ok(change) if !change.replaced => {
                    // Before anybody looks whether its run is recorded.
                    waiting.claimed.take_change(change);
                    waiting.wake(change);
                }
                // A missed change may be of any run.
                _ => {
                    waiting.claimed.clear();
                    waiting.wake_all();
                }
            }
            let is_over = matches!(change, Err(RecvError::Closed));
            let is_idle = waiting.count == 0 && !waiting.claimed.follows();
            if is_idle || is_over {
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
            self.waits.get(of).into_iter().flatten().for_each(|one| one.wake_for(*of));
        }
        for (of, one) in &self.for_rows {
            // Offers are named by their rows, which nobody who waits for one knows.
            if !change.offers.is_empty() || change.pending.contains(&shard_of(of.job)) {
                one.wake_for(*of);
            }
        }
        if !change.crowded.is_empty() {
            for (of, waits) in &self.waits {
                if change.crowded.contains(&shard_of(of.job)) {
                    for one in waits {
                        one.wake_for(*of);
                    }
                }
            }
        }
    }

    fn wake_all(&self) {
        self.waits.values().flatten().for_each(|one| one.wake_for_all());
    }
}

impl Arrival {
    /// Waits for the next change that may be that of some of the occurrences; says of which.
    pub(in crate::app) async fn changed(&self) -> Changed {
        self.waiter.wake.notified().await;
        std::mem::take(&mut *self.waiter.changed())
    }
}

/// A claim under way at this node, until this is dropped.
pub(in crate::app) struct OpenClaim(Arc<RunArrivals>);

impl OpenClaim {
    /// Notes the runs that the claim got for its worker, each with its attempt.
    pub(in crate::app) fn got(&self, worker: &str, runs: impl Iterator<Item = (Occurrence, u32)>) {
        self.0.waiting().claimed.add(worker, runs);
    }
}

impl Drop for OpenClaim {
    fn drop(&mut self) {
        self.0.waiting().claimed.end_claim();
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting();
        waiting.count -= self.of.len();
        waiting.for_rows.retain(|(_, one)| !Arc::ptr_eq(one, &self.waiter));
        for of in &self.of {
            if let Some(waits) = waiting.waits.get_mut(of) {
                waits.retain(|one| !Arc::ptr_eq(one, &self.waiter));
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
    async fn a_caller_is_told_what_to_look_at_again() {
        let (feed, _) = broadcast::channel(4);
        let all: Arc<RunArrivals> = Arc::default();
        let waits_for = (0..130).map(of).collect();
        let wait = all.begin(|| feed.subscribe(), waits_for, false).unwrap();
        for job in [7, 9] {
            publish(&feed, Change { runs: vec![of(job), of(500)], ..Change::default() }).await;
        }
        let these = |jobs: &[u64]| Changed::These(jobs.iter().copied().map(of).collect());
        assert_eq!(wait.changed().await, these(&[7, 9]));
        publish(&feed, Change { crowded: vec![shard_of(3)], ..Change::default() }).await;
        let crowded: Vec<_> = (0..130).filter(|job| shard_of(*job) == shard_of(3)).collect();
        assert_eq!(wait.changed().await, these(&crowded));
        publish(&feed, Change { runs: vec![of(7)], ..Change::default() }).await;
        publish(&feed, Change { replaced: true, ..Change::default() }).await;
        assert_eq!(wait.changed().await, Changed::All);
    }

    #[tokio::test]
    async fn who_is_woken_for_a_claimed_run_finds_it_recorded() {
        let (feed, _) = broadcast::channel(4);
        let all: Arc<RunArrivals> = Arc::default();
        let wait = all.begin(|| feed.subscribe(), vec![of(1)], false).unwrap();
        all.waiting().claimed.begin_claim();
        let claim = OpenClaim(Arc::clone(&all));
        claim.got("w", [(of(1), 1)].into_iter());
        let recorded = || all.recorded([(of(1), 1, "w"), (of(2), 1, "w")].into_iter());
        assert_eq!(recorded(), [Some(false), None]);
        publish(&feed, Change { runs: vec![of(1)], ..Change::default() }).await;
        wait.changed().await;
        assert_eq!(recorded(), [Some(true), None]);
        drop((wait, claim));
        publish(&feed, Change::default()).await;
        assert_eq!(feed.receiver_count(), 1, "its end is still to be noticed");
        publish(&feed, Change { replaced: true, ..Change::default() }).await;
        assert_eq!((recorded(), feed.receiver_count()), (vec![None, None], 0));
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
