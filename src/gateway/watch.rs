//! The heartbeats that wait for an order to stop one of their runs, by occurrence: a change of the
//! store wakes those that it concerns, and no others. `heartbeats` waits, `run` tells of
//! changes. A heartbeat that is woken reads the store again for the runs that may have changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::command::Change;
use crate::model::claim::ReportNotice;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

/// The heartbeats that wait.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    last: u64,
    watches: BTreeMap<u64, Watched>,
    by_run: HashMap<Occurrence, Vec<u64>>,
}

struct Watched {
    worker: String,
    runs: Vec<Occurrence>,
    /// What may have changed since the last wait.
    changed: Changed,
    /// The runs whose end the worker itself reported: it need not be told of it.
    ended: BTreeSet<Occurrence>,
    wake: Arc<Notify>,
}

/// What may have changed.
#[derive(Debug, PartialEq, Eq)]
enum Changed {
    These(BTreeSet<Occurrence>),
    All,
}

/// A heartbeat that waits until this is dropped.
pub(super) struct Watch {
    all: Watches,
    number: u64,
    woken: Arc<Notify>,
}

impl Watches {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches runs of a worker from now on.
    pub(super) fn add(&self, worker: &str, runs: Vec<Occurrence>) -> Watch {
        let woken = Arc::new(Notify::new());
        let mut inner = self.inner();
        inner.last += 1;
        let number = inner.last;
        for of in &runs {
            inner.by_run.entry(*of).or_default().push(number);
        }
        let (worker, wake) = (worker.to_owned(), Arc::clone(&woken));
        let changed = Changed::These(BTreeSet::new());
        let watched = Watched { worker, runs, changed, ended: BTreeSet::new(), wake };
        inner.watches.insert(number, watched);
        drop(inner);
        Watch { all: self.clone(), number, woken }
    }

    /// Wakes those whose runs a change names.
    pub(super) fn take_change(&self, change: &Change) {
        if change.replaced {
            return self.wake_all();
        }
        let mut inner = self.inner();
        let Inner { watches, by_run, .. } = &mut *inner;
        for of in &change.runs {
            for number in by_run.get(of).into_iter().flatten() {
                if let Some(one) = watches.get_mut(number) {
                    one.note([*of]);
                }
            }
        }
        if !change.crowded.is_empty() {
            let is_crowded = |of: &Occurrence| change.crowded.contains(&shard_of(of.job));
            for one in watches.values_mut() {
                let its: Vec<_> = one.runs.iter().copied().filter(is_crowded).collect();
                one.note(its);
            }
        }
    }

    /// Notes that workers reported ends of their runs: those who wait are not told of them.
    pub(super) fn note_reports(&self, reports: &[ReportNotice]) {
        let mut inner = self.inner();
        let Inner { watches, by_run, .. } = &mut *inner;
        for report in reports.iter().filter(|report| report.ends) {
            for number in by_run.get(&report.occurrence).into_iter().flatten() {
                let one = watches.get_mut(number).filter(|one| one.worker == report.worker);
                if let Some(one) = one {
                    one.ended.insert(report.occurrence);
                }
            }
        }
    }

    /// Wakes all: changes were missed.
    pub(super) fn wake_all(&self) {
        for one in self.inner().watches.values_mut() {
            one.changed = Changed::All;
            one.wake.notify_one();
        }
    }
}

impl Watched {
    fn note(&mut self, runs: impl IntoIterator<Item = Occurrence>) {
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_none() {
            return;
        }
        if let Changed::These(changed) = &mut self.changed {
            changed.extend(runs);
        }
        self.wake.notify_one();
    }
}

impl Watch {
    /// Waits until some of the runs may have changed, and returns them. A change since the last
    /// wait counts; an end that the worker reported itself does not.
    pub(super) async fn changed(&self) -> BTreeSet<Occurrence> {
        self.woken.notified().await;
        let mut inner = self.all.inner();
        let Some(watched) = inner.watches.get_mut(&self.number) else { return BTreeSet::new() };
        let none = Changed::These(BTreeSet::new());
        let mut changed = match std::mem::replace(&mut watched.changed, none) {
            Changed::These(changed) => changed,
            Changed::All => watched.runs.iter().copied().collect(),
        };
        changed.retain(|of| !watched.ended.contains(of));
        changed
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.all.inner();
        let Some(watched) = inner.watches.remove(&self.number) else { return };
        for of in watched.runs {
            if let Some(numbers) = inner.by_run.get_mut(&of) {
                numbers.retain(|number| *number != self.number);
                if numbers.is_empty() {
                    inner.by_run.remove(&of);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn run(job: u64) -> Occurrence {
        Occurrence { job, scheduled: 5, run: 0 }
    }

    #[tokio::test]
    async fn a_change_wakes_those_that_it_concerns() {
        let watches = Watches::default();
        let both = watches.add("a", vec![run(1), run(70)]);
        let one = watches.add("b", vec![run(1)]);
        let woken = |watch: &Watch| {
            let changed = watch.changed().now_or_never()?;
            Some(changed.into_iter().map(|of| of.job).collect::<Vec<_>>())
        };
        let told = |change: &Change| {
            watches.take_change(change);
            [woken(&both), woken(&one)]
        };
        let runs = |runs| Change { runs, ..Change::default() };
        assert_eq!(told(&runs(vec![run(70), run(3)])), [Some(vec![70]), None]);
        assert_eq!(told(&runs(vec![run(1)])), [Some(vec![1]), Some(vec![1])]);
        assert_eq!(told(&runs(vec![Occurrence { run: 1, ..run(1) }])), [None, None]);
        let crowded = Change { crowded: vec![shard_of(70)], ..Change::default() };
        assert_eq!(told(&crowded), [Some(vec![70]), None]);
        let all = Change { replaced: true, ..Change::default() };
        assert_eq!(told(&all), [Some(vec![1, 70]), Some(vec![1])]);
        // What a worker said itself it is not told.
        let report =
            |ends| ReportNotice { occurrence: run(1), attempt: 1, worker: "a".into(), ends };
        watches.note_reports(&[report(false)]);
        assert_eq!(told(&runs(vec![run(1)])), [Some(vec![1]), Some(vec![1])]);
        watches.note_reports(&[report(true)]);
        assert_eq!(told(&runs(vec![run(1)])), [Some(vec![]), Some(vec![1])]);
        assert_eq!(told(&all), [Some(vec![70]), Some(vec![1])]);
        drop((both, one));
        let inner = watches.inner();
        assert!(inner.by_run.is_empty() && inner.watches.is_empty());
    }
}
