//! The supervisor behind its lock. The task makes the steps; the engine asks whether an epoch is
//! drained, and gateways ask what is known of a run.
//!
//! One lock makes the last statement of a closing range right (*drained*). Each step asks the lease
//! whether a shard is promised away while it holds the lock, and the engine asks
//! [`SharedSupervisor::is_drained`] under the same lock, long after the promise was made. A claim
//! that was popped before the promise is seen there as under way; one that comes later sees the
//! promise.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::model::NodeId;
use crate::model::claim::QueueCounts;
use crate::model::run::Occurrence;
use crate::model::shard::ShardId;
use crate::worker::supervisor::Supervisor;

/// The supervisor of a node, shared; see the head of this file.
pub(in crate::worker) struct SharedSupervisor {
    supervisor: Mutex<Supervisor>,
    /// The task runs and takes questions.
    runs: AtomicBool,
    /// Effects that other threads carry out: reads and writes of the journal.
    busy: AtomicU64,
    offers: AtomicU64,
    taken: AtomicU64,
}

impl SharedSupervisor {
    /// A supervisor that knows nothing yet, and whose task does not run.
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            supervisor: Mutex::new(Supervisor::new(node)),
            runs: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            offers: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// The supervisor. A panic under the lock ends the task, and with it the worker: the node
    /// renews its lease no longer, and what is left in here is asked by nobody that acts on it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether nothing of an epoch is on its way to the journal. The engine states the end of
    /// a closing range only then. It must not wait: during a step the answer is no, and it asks
    /// again.
    pub(in crate::worker) fn is_drained(&self, shard: ShardId, epoch: u64) -> bool {
        match self.supervisor.try_lock() {
            Ok(supervisor) => supervisor.is_drained(shard, epoch),
            Err(TryLockError::Poisoned(left)) => left.into_inner().is_drained(shard, epoch),
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// Those of some occurrences of which the supervisor has to know how they ended.
    pub(super) fn ask_for_ends(&self, all: &BTreeSet<Occurrence>) -> BTreeSet<Occurrence> {
        let supervisor = self.lock();
        all.iter().copied().filter(|of| supervisor.asks_for_end(*of)).collect()
    }

    /// Says whether the task takes questions.
    pub(super) fn runs(&self) -> bool {
        self.runs.load(Ordering::SeqCst)
    }

    /// Takes questions until the guard is dropped, also by a panic.
    pub(super) fn take_questions(self: Arc<Self>) -> TakesQuestions {
        self.runs.store(true, Ordering::SeqCst);
        TakesQuestions(self)
    }

    /// Notes an effect that is being carried out.
    pub(super) fn begin_effect(&self) {
        self.busy.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that the result of an effect was taken in.
    pub(super) fn end_effect(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    /// Says whether entries are written, or shards read, at this moment.
    pub(in crate::worker) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// Publishes how much waits, and how much workers have.
    pub(super) fn publish(&self, queues: &[QueueCounts]) {
        self.offers.store(queues.iter().map(|queue| queue.offers).sum(), Ordering::Relaxed);
        self.taken.store(queues.iter().map(|queue| queue.taken).sum(), Ordering::Relaxed);
    }

    /// The numbers of occurrences that wait for a worker, and of runs that workers have, as of the
    /// last tick.
    pub(in crate::worker) fn totals(&self) -> (u64, u64) {
        (self.offers.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed))
    }
}

/// The time in which the task takes questions.
pub(super) struct TakesQuestions(Arc<SharedSupervisor>);

impl Drop for TakesQuestions {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_does_not_wait_for_a_step() {
        let supervisor = SharedSupervisor::new(1);
        assert!(supervisor.is_drained(0, 1));
        let step = supervisor.lock();
        assert!(!supervisor.is_drained(0, 1), "a step may take something out");
        drop(step);
        assert!(supervisor.is_drained(0, 1));
    }

    #[test]
    fn after_a_panic_of_the_task_no_question_is_taken() {
        let supervisor = Arc::new(SharedSupervisor::new(1));
        let its = Arc::clone(&supervisor);
        let task = std::thread::spawn(move || {
            let _questions = Arc::clone(&its).take_questions();
            assert!(!its.runs(), "this is the panic");
        });
        assert!(task.join().is_err());
        assert!(!supervisor.runs());
    }
}
