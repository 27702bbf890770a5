//! The heartbeats that wait for an order to stop one of their runs, by occurrence: a change of the
//! store wakes those that it concerns, and no others. `heartbeats` waits, `run` tells of
//! changes. A heartbeat that is woken reads the store again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::command::Change;
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
    runs: Vec<Occurrence>,
    wake: Arc<Notify>,
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

    /// Watches runs from now on.
    pub(super) fn add(&self, runs: Vec<Occurrence>) -> Watch {
        let woken = Arc::new(Notify::new());
        let mut inner = self.inner();
        inner.last += 1;
        let number = inner.last;
        for of in &runs {
            inner.by_run.entry(*of).or_default().push(number);
        }
        inner.watches.insert(number, Watched { runs, wake: Arc::clone(&woken) });
        drop(inner);
        Watch { all: self.clone(), number, woken }
    }

    /// Wakes those whose runs a change names.
    pub(super) fn take_change(&self, change: &Change) {
        if change.replaced {
            return self.wake_all();
        }
        let inner = self.inner();
        for of in &change.runs {
            for number in inner.by_run.get(of).into_iter().flatten() {
                inner.watches.get(number).into_iter().for_each(|one| one.wake.notify_one());
            }
        }
        if !change.crowded.is_empty() {
            let is_crowded = |of: &Occurrence| change.crowded.contains(&shard_of(of.job));
            let concerned = inner.watches.values().filter(|one| one.runs.iter().any(is_crowded));
            concerned.for_each(|one| one.wake.notify_one());
        }
    }

    /// Wakes all: changes were missed.
    pub(super) fn wake_all(&self) {
        self.inner().watches.values().for_each(|one| one.wake.notify_one());
    }
}

impl Watch {
    /// Waits until one of the runs may have changed. A change since the last wait counts.
    pub(super) async fn changed(&self) {
        self.woken.notified().await;
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
        let both = watches.add(vec![run(1), run(70)]);
        let one = watches.add(vec![run(1)]);
        let is_woken = |watch: &Watch| watch.changed().now_or_never().is_some();
        let told = |change: &Change| {
            watches.take_change(change);
            [is_woken(&both), is_woken(&one)]
        };
        let runs = |runs| Change { runs, ..Change::default() };
        assert_eq!(told(&runs(vec![run(70), run(3)])), [true, false]);
        assert_eq!(told(&runs(vec![run(1)])), [true, true]);
        assert_eq!(told(&runs(vec![Occurrence { run: 1, ..run(1) }])), [false, false]);
        let crowded = Change { crowded: vec![shard_of(70)], ..Change::default() };
        assert_eq!(told(&crowded), [true, false]);
        assert_eq!(told(&Change { replaced: true, ..Change::default() }), [true, true]);
        drop((both, one));
        let inner = watches.inner();
        assert!(inner.by_run.is_empty() && inner.watches.is_empty());
    }
}
