//! The runs that a worker has: until when it may go on with each, and what it was told. The record
//! learns what ends here. `worker` and `bus_worker` keep one each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Shared;
use super::record::{Ending, HandOut};
use crate::hosts::now;

/// A run that a worker has.
struct Held {
    /// The place of its hand-out in the record.
    place: usize,
    attempt: u64,
    /// The instant at which the worker has to stop, unless a heartbeat is answered before.
    deadline: i64,
    /// The work is done, and its end is being reported.
    is_done: bool,
    /// Raised when the worker is told to stop.
    stop: Arc<Notify>,
}

/// All runs that a worker has, by a name of the run.
pub(super) struct HeldRuns {
    shared: Arc<Shared>,
    runs: Mutex<BTreeMap<String, Held>>,
}

/// A run as a task of the worker performs it.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// The name of the run: the execution id, or the run id over the broker.
    pub(super) id: String,
    /// The number of the attempt.
    pub(super) attempt: u64,
    /// The place of its hand-out in the record.
    pub(super) place: usize,
    /// Raised when the worker is told to stop.
    pub(super) stop: Arc<Notify>,
}

impl HeldRuns {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), runs: Mutex::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.lock().unwrap().is_empty()
    }

    /// Takes a run that came, until a deadline; `None` for an attempt that the worker has already,
    /// of which this is a copy. An older attempt of it is gone.
    pub(super) fn take(&self, id: &str, one: HandOut, deadline: i64) -> Option<Handed> {
        self.fence();
        let attempt = one.attempt;
        let mut runs = self.runs.lock().unwrap();
        match runs.entry(id.to_owned()) {
            Entry::Occupied(held) if held.get().attempt == attempt => {
                self.shared.add(one.copy());
                return None;
            }
            Entry::Occupied(held) => self.end(&held.remove(), Ending::Gone),
            Entry::Vacant(_) => {}
        }
        let (place, stop) = (self.shared.add(one), Arc::new(Notify::new()));
        let held = Held { place, attempt, deadline, is_done: false, stop: Arc::clone(&stop) };
        runs.insert(id.to_owned(), held);
        Some(Handed { id: id.to_owned(), attempt, place, stop })
    }

    /// The names, attempts and places of all.
    pub(super) fn all(&self) -> Vec<(String, u64, usize)> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|(id, held)| (id.clone(), held.attempt, held.place)).collect()
    }

    /// True while the worker has a run.
    pub(super) fn has(&self, run: &Handed) -> bool {
        self.runs.lock().unwrap().get(&run.id).is_some_and(|held| held.place == run.place)
    }

    /// Lets the worker go on with a run until an instant.
    pub(super) fn extend(&self, id: &str, place: usize, until: i64) {
        if let Some(held) = self.runs.lock().unwrap().get_mut(id).filter(|it| it.place == place) {
            held.deadline = held.deadline.max(until);
        }
    }

    /// Ends a run because the worker was told so, unless its work is done: what is done may be over
    /// before its report is answered.
    pub(super) fn told(&self, id: &str, attempt: Option<u64>, ending: Ending) {
        let mut runs = self.runs.lock().unwrap();
        if let Entry::Occupied(held) = runs.entry(id.to_owned())
            && attempt.is_none_or(|attempt| attempt == held.get().attempt)
            && !held.get().is_done
        {
            self.end(&held.remove(), ending);
        }
    }

    fn end(&self, held: &Held, ending: Ending) {
        let now = now();
        self.shared.note(held.place, |one| {
            one.until = one.until.min(now);
            (one.ending, one.answered) = (ending, now);
        });
        held.stop.notify_one();
    }

    /// Stops what had no answer in time.
    pub(super) fn fence(&self) {
        let now = now();
        self.runs.lock().unwrap().retain(|_, held| {
            if held.deadline > now {
                return true;
            }
            self.shared.note(held.place, |one| {
                if held.is_done {
                    one.overdue = true;
                } else {
                    (one.until, one.ending) = (held.deadline.max(one.from), Ending::Fenced);
                }
            });
            held.is_done
        });
    }

    /// Marks the work on a run as done, if the worker still has it.
    pub(super) fn is_done(&self, run: &Handed) -> bool {
        self.fence();
        let mut runs = self.runs.lock().unwrap();
        let held = runs.get_mut(&run.id).filter(|held| held.place == run.place);
        held.is_some_and(|held| {
            held.is_done = true;
            true
        })
    }

    /// Forgets a run.
    pub(super) fn forget(&self, run: &Handed) {
        let mut runs = self.runs.lock().unwrap();
        if runs.get(&run.id).is_some_and(|held| held.place == run.place) {
            runs.remove(&run.id);
        }
    }

    /// Notes that the process has died at an instant: what it has is silent from then on.
    pub(super) fn die(&self, at: i64) {
        self.fence();
        for held in std::mem::take(&mut *self.runs.lock().unwrap()).into_values() {
            self.shared.note(held.place, |one| {
                one.until = one.until.min(at);
                one.ending = Ending::Silent;
            });
        }
    }
}
