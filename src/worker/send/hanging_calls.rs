//! Ends calls that hang when all the jobs of their request are deleted, by themselves or with their
//! project. Nobody waits for the answer then, and the call would hold a descriptor up to its
//! timeout.
//!
//! A call registers here when it hangs (after a second) and leaves when it is over, so calls that
//! are answered in time cost nothing. The engine names the jobs of each change. [`cancel_deleted`],
//! a task of the worker, looks up which of them are deleted and tells their calls. A request with
//! one job that is still there goes on. `response` records what was ended; nothing is recorded or
//! decided here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::model::JobId;
use crate::store::jobs;
use crate::worker::ports::StateStore;

/// Pause after a read that failed, in milliseconds.
const AGAIN_MS: u64 = 250;

/// Pause between two reads, in milliseconds: each goes through all calls that hang, however often
/// jobs change.
const PAUSE_MS: u64 = 25;

/// More changed jobs than this count as a change of all.
const MANY: usize = 65_536;

/// The calls that hang.
#[derive(Default)]
pub(in crate::worker) struct HangingCalls {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    calls: BTreeMap<u64, HangingCall>,
    /// Jobs that changed since the last read.
    changed: Vec<JobId>,
    /// Any job may have changed.
    all_changed: bool,
}

struct HangingCall {
    /// Jobs that are not known to be deleted, ascending.
    jobs: Arc<[JobId]>,
    /// All of them must be looked up.
    unsure: bool,
    end: oneshot::Sender<()>,
}

/// The jobs to look up, ascending, by call.
type Candidates = BTreeMap<u64, Vec<JobId>>;

/// Removes a call when it is over.
struct Registered<'a>(&'a HangingCalls, u64);

impl HangingCalls {
    /// Returns when all of these jobs (ascending) are deleted. `unsure` says whether any may have
    /// changed before this call; it is asked once changes from now on are noted.
    pub(in crate::worker) async fn until_deleted(
        this: Arc<Self>,
        jobs: Arc<[JobId]>,
        unsure: impl FnOnce(&[JobId]) -> bool,
    ) {
        let (end, ended) = oneshot::channel();
        let number = {
            let mut state = this.lock();
            let number = state.next;
            state.next += 1;
            let jobs = Arc::clone(&jobs);
            state.calls.insert(number, HangingCall { jobs, unsure: false, end });
            number
        };
        let known = Registered(&this, number);
        if unsure(&jobs) {
            if let Some(call) = this.lock().calls.get_mut(&number) {
                call.unsure = true;
            }
            this.wake.notify_one();
        }
        drop(jobs);
        let deleted = ended.await.is_ok();
        drop(known);
        if !deleted {
            // The worker ends: its calls are waited for, or dropped.
            std::future::pending::<()>().await;
        }
    }

    /// Notes that these jobs changed in any way.
    pub(in crate::worker) fn changed(&self, jobs: &[JobId]) {
        let mut state = self.lock();
        if state.calls.is_empty() {
            return;
        }
        if state.changed.len() + jobs.len() > MANY {
            state.changed.clear();
            state.all_changed = true;
        } else if !state.all_changed {
            state.changed.extend(jobs);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Notes that any job may have changed.
    pub(in crate::worker) fn any_changed(&self) {
        self.lock().all_changed = true;
        self.wake.notify_one();
    }

    /// Takes the calls and jobs to look up.
    fn candidates(&self) -> Candidates {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.all_changed);
        let mut changed = std::mem::take(&mut state.changed);
        changed.sort_unstable();
        let mut candidates = Candidates::new();
        for (number, call) in &mut state.calls {
            let whole = std::mem::take(&mut call.unsure) || all;
            let jobs = if whole { call.jobs.to_vec() } else { common(&call.jobs, &changed) };
            if !jobs.is_empty() {
                candidates.insert(*number, jobs);
            }
        }
        candidates
    }

    /// Ends the calls of which no job is left. `deleted` is ascending.
    fn end(&self, candidates: &Candidates, deleted: &[JobId]) {
        let mut state = self.lock();
        for (number, jobs) in candidates {
            if common(jobs, deleted).is_empty() {
                continue;
            }
            let Some(call) = state.calls.get_mut(number) else { continue };
            let is_left = |job: &JobId| deleted.binary_search(job).is_err();
            call.jobs = call.jobs.iter().copied().filter(is_left).collect();
            if call.jobs.is_empty()
                && let Some(call) = state.calls.remove(number)
            {
                // The call may be over by now.
                let _ = call.end.send(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids in both of two ascending lists.
fn common(one: &[JobId], other: &[JobId]) -> Vec<JobId> {
    let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let mut common: Vec<JobId> =
        few.iter().copied().filter(|job| many.binary_search(job).is_ok()).collect();
    common.dedup();
    common
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.lock().calls.remove(&self.1);
    }
}

/// Looks up the jobs of hanging calls whenever some of them changed, until dropped.
pub(in crate::worker) async fn cancel_deleted<B: StateStore>(
    store: B,
    hanging_calls: Arc<HangingCalls>,
    clock: Arc<dyn Clock>,
) {
    let pause = |ms| clock.sleep_until(clock.boot() + ms);
    loop {
        hanging_calls.wake.notified().await;
        let candidates = hanging_calls.candidates();
        let mut wanted: Vec<JobId> = candidates.values().flatten().copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            pause(PAUSE_MS).await;
            continue;
        }
        match store.load(move |conn| jobs::missing(conn, &wanted)).await {
            Ok(deleted) => {
                hanging_calls.end(&candidates, &deleted);
                pause(PAUSE_MS).await;
            }
            Err(error) => {
                tracing::error!(%error, "jobs of calls that hang cannot be read; trying again");
                pause(AGAIN_MS).await;
                hanging_calls.any_changed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn watched(
        hanging_calls: &Arc<HangingCalls>,
        jobs: &[JobId],
        unsure: bool,
    ) -> impl Future<Output = ()> + Unpin {
        let mut deleted = Box::pin(HangingCalls::until_deleted(
            Arc::clone(hanging_calls),
            jobs.into(),
            move |_| unsure,
        ));
        assert!((&mut deleted).now_or_never().is_none());
        deleted
    }

    /// The jobs that are looked up; `deleted` are found to be gone.
    fn look(hanging_calls: &HangingCalls, deleted: &[JobId]) -> Vec<Vec<JobId>> {
        let candidates = hanging_calls.candidates();
        hanging_calls.end(&candidates, deleted);
        candidates.into_values().collect()
    }

    #[test]
    fn a_call_is_ended_when_its_last_job_is_gone_and_forgotten_when_it_is_over() {
        let hanging_calls = Arc::new(HangingCalls::default());
        let mut three = watched(&hanging_calls, &[1, 2, 5], false);
        let mut unsure = watched(&hanging_calls, &[2], true);
        assert_eq!(look(&hanging_calls, &[]), [[2]], "it may be deleted already");
        hanging_calls.changed(&[4, 3]);
        assert!(look(&hanging_calls, &[3]).is_empty(), "nobody's");
        hanging_calls.changed(&[5, 4, 1, 5]);
        assert_eq!(look(&hanging_calls, &[5]), [[1, 5]], "one was deleted, one was changed");
        hanging_calls.any_changed();
        assert_eq!(look(&hanging_calls, &[2]), [vec![1, 2], vec![2]]);
        assert!((&mut unsure).now_or_never().is_some());
        assert!((&mut three).now_or_never().is_none(), "one of its jobs is left");
        hanging_calls.changed(&[1]);
        look(&hanging_calls, &[1]);
        assert!((&mut three).now_or_never().is_some());
        let over = watched(&hanging_calls, &[7], false);
        drop(over);
        assert!(hanging_calls.lock().calls.is_empty());
    }

    #[test]
    fn more_changes_than_are_kept_mean_a_look_at_all() {
        let hanging_calls = Arc::new(HangingCalls::default());
        let _call = watched(&hanging_calls, &[1], false);
        hanging_calls.changed(&vec![9; MANY]);
        hanging_calls.changed(&[9]);
        hanging_calls.changed(&[8]);
        assert!(hanging_calls.lock().changed.is_empty());
        assert_eq!(look(&hanging_calls, &[]), [[1]]);
    }
}
