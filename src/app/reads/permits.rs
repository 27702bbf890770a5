//! A fair queue before a fixed number of permits. `reads::queue` and `body_permits` hold one each.
//! It does not know what its permits are for, and measures no time.
//!
//! Permits go round-robin to the principals that wait, in the order in which each began to wait. A
//! principal that has as many as it may have is passed over until it gives one back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::listen::Principal;

/// The principal that a permit is counted by; `None` is everybody that has none.
type Holder = Option<Principal>;

/// The work that a permit starts. Whoever gives a permit back runs the next start on its own
/// thread.
pub(crate) type Start = Box<dyn FnOnce(Permit) + Send>;

/// The sizes of a [`Permits`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Permits in all.
    pub(crate) total: usize,
    /// The most permits of one principal while nobody else waits.
    pub(crate) alone: usize,
    /// The most permits of one principal while others wait.
    pub(crate) shared: usize,
    /// The most that wait, of all principals together.
    pub(crate) waiting: usize,
}

/// The permits and their queue.
pub(crate) struct Permits {
    sizes: Sizes,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Permits by holder; holders of none are not here.
    held: HashMap<Holder, usize>,
    /// The waiters by holder; holders that do not wait are not here.
    waiting: HashMap<Holder, VecDeque<Waiter>>,
    /// The holders of `waiting`, in the order of their turns.
    turns: VecDeque<Holder>,
    next: u64,
}

struct Waiter {
    number: u64,
    start: Start,
}

/// A permit, until it is dropped.
pub(crate) struct Permit {
    permits: Arc<Permits>,
    holder: Holder,
}

/// The starts whose turn it is, each with its permit. They run when the state is not locked any
/// more: the work may be over at once and give its permit back.
#[derive(Default)]
struct Granted(Vec<(Start, Permit)>);

impl Granted {
    fn start(self) {
        for (start, permit) in self.0 {
            start(permit);
        }
    }
}

/// A place in the queue. Its waiter leaves the queue when this is dropped, if it still waits.
pub(crate) struct Queued<'a> {
    permits: &'a Permits,
    holder: Holder,
    number: u64,
}

impl Permits {
    /// Permits of these sizes, all free.
    pub(crate) fn new(sizes: Sizes) -> Arc<Self> {
        Arc::new(Self { sizes, state: Mutex::default() })
    }

    /// Waits for a permit; `None` when the queue is full.
    pub(crate) async fn acquire(self: &Arc<Self>, holder: Holder) -> Option<Permit> {
        let (permit, granted) = oneshot::channel();
        // The waiter may just have gone: then the permit goes back.
        let _queued = self.enqueue(holder, Box::new(move |given| drop(permit.send(given))));
        granted.await.ok()
    }

    /// Queues a start, which runs when it is this holder's turn, perhaps at once. The start is
    /// dropped unrun when the queue is full, or when the returned place is dropped.
    pub(crate) fn enqueue(self: &Arc<Self>, holder: Holder, start: Start) -> Queued<'_> {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.enqueue(holder, Waiter { number, start });
        let granted = state.grant(self);
        let evicted = (state.queued() > self.sizes.waiting).then(|| state.evict());
        drop(state);
        drop(evicted);
        granted.start();
        Queued { permits: self, holder, number }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queued(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn enqueue(&mut self, holder: Holder, waiter: Waiter) {
        let waiters = self.waiting.entry(holder).or_default();
        if waiters.is_empty() {
            self.turns.push_back(holder);
        }
        waiters.push_back(waiter);
    }

    /// Takes the newest waiter of the holder with the most. Dropping the waiter tells it so.
    fn evict(&mut self) -> Option<Waiter> {
        let longest = self.waiting.iter_mut().max_by_key(|(_, waiters)| waiters.len());
        let (holder, newest) = longest.map(|(holder, waiters)| (*holder, waiters.pop_back()))?;
        self.tidy(holder);
        newest
    }

    fn tidy(&mut self, holder: Holder) {
        if self.waiting.get(&holder).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(&holder);
            self.turns.retain(|other| *other != holder);
        }
    }

    /// Gives the free permits to those whose turn it is.
    fn grant(&mut self, permits: &Arc<Permits>) -> Granted {
        let Sizes { total, alone, shared, .. } = permits.sizes;
        let mut granted = Granted::default();
        let mut passed = 0;
        while self.held.values().sum::<usize>() < total && passed < self.turns.len() {
            let Some(holder) = self.turns.pop_front() else { break };
            let most = if self.turns.is_empty() { alone } else { shared };
            if self.held.get(&holder).is_some_and(|held| *held >= most) {
                self.turns.push_back(holder);
                passed += 1;
                continue;
            }
            passed = 0;
            let waiter = self.waiting.get_mut(&holder).and_then(VecDeque::pop_front);
            if self.waiting.get(&holder).is_some_and(|waiters| !waiters.is_empty()) {
                self.turns.push_back(holder);
            } else {
                self.waiting.remove(&holder);
            }
            if let Some(Waiter { start, .. }) = waiter {
                *self.held.entry(holder).or_default() += 1;
                granted.0.push((start, Permit { permits: Arc::clone(permits), holder }));
            }
        }
        granted
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permit").field(&self.holder).finish()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.permits.lock();
        if let Some(held) = state.held.get_mut(&self.holder) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.holder);
            }
        }
        let granted = state.grant(&self.permits);
        drop(state);
        granted.start();
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut state = self.permits.lock();
        let Some(waiters) = state.waiting.get_mut(&self.holder) else { return };
        let place = waiters.iter().position(|waiter| waiter.number == self.number);
        let gone = place.and_then(|place| waiters.remove(place));
        state.tidy(self.holder);
        drop(state);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    const A: Holder = Principal::new(1);
    const B: Holder = Principal::new(2);
    const C: Holder = None;

    fn permits(total: usize, waiting: usize) -> Arc<Permits> {
        Permits::new(Sizes { total, alone: total - 1, shared: total / 2, waiting })
    }

    type Acquiring = BoxFuture<'static, Option<Permit>>;

    /// One more acquisition by a holder.
    fn acquire(permits: &Arc<Permits>, holder: Holder) -> Acquiring {
        let permits = Arc::clone(permits);
        async move { permits.acquire(holder).await }.boxed()
    }

    /// One more acquisition, which gets its permit at once.
    fn acquired(permits: &Arc<Permits>, holder: Holder) -> Permit {
        let permit = acquire(permits, holder).now_or_never().expect("there is a permit");
        permit.expect("the queue has room")
    }

    /// One more acquisition, which has to wait.
    fn waits(permits: &Arc<Permits>, holder: Holder) -> Acquiring {
        let mut acquiring = acquire(permits, holder);
        assert!((&mut acquiring).now_or_never().is_none(), "there is a permit");
        acquiring
    }

    /// Says whether an acquisition has its permit, and never gives that permit back.
    fn has_permit(acquiring: &mut Acquiring) -> bool {
        acquiring.now_or_never().is_some_and(|permit| {
            std::mem::forget(permit.expect("the queue has room"));
            true
        })
    }

    #[test]
    fn one_holder_leaves_a_permit_free_and_half_of_them_when_others_wait() {
        let permits = permits(6, 100);
        let held: Vec<Permit> = (0..5).map(|_| acquired(&permits, A)).collect();
        let mut more: Vec<Acquiring> = (0..9).map(|_| waits(&permits, A)).collect();
        let of_b = acquired(&permits, B);
        let mut waiting = waits(&permits, C);
        let mut held = held.into_iter();
        drop(held.next());
        assert!(has_permit(&mut waiting), "a holder with fewer permits goes first");
        drop(of_b);
        assert!(has_permit(&mut more[0]), "nobody else waits: all but one");
        let mut of_b = [waits(&permits, B), waits(&permits, B)];
        drop(held.next());
        assert!(has_permit(&mut of_b[0]) && !has_permit(&mut more[1]));
        drop(held.next());
        assert!(has_permit(&mut of_b[1]) && !has_permit(&mut more[1]));
        // Nobody else waits any more.
        drop(held.next());
        assert!(has_permit(&mut more[1]));
    }

    #[test]
    fn a_full_queue_loses_the_newest_waiter_of_the_holder_with_the_most() {
        let permits = permits(2, 4);
        let _held = acquired(&permits, A);
        let mut of_a: Vec<Acquiring> = (0..4).map(|_| waits(&permits, A)).collect();
        let _other = acquired(&permits, B);
        let mut of_b = waits(&permits, B);
        let newest = of_a.pop().unwrap().now_or_never();
        assert!(matches!(newest, Some(None)), "it is told at once");
        assert!((&mut of_b).now_or_never().is_none(), "it waits for its turn");
        assert!(of_a.iter_mut().all(|acquiring| acquiring.now_or_never().is_none()));
    }

    #[test]
    fn a_waiter_that_goes_leaves_the_queue_and_gives_its_permit_back() {
        let permits = permits(2, 4);
        let held = acquired(&permits, A);
        let gone = waits(&permits, A);
        let mut next = waits(&permits, A);
        drop(gone);
        assert_eq!(permits.lock().queued(), 1);
        drop(held);
        // Granted, and dropped before it was looked at: the permit is not lost.
        assert_eq!(permits.lock().held.get(&A), Some(&1));
        assert!((&mut next).now_or_never().is_some_and(|permit| permit.is_some()));
        assert!(permits.lock().held.is_empty());
        let granted = acquired(&permits, B);
        let first = waits(&permits, B);
        drop(granted);
        drop(first);
        assert!(permits.lock().held.is_empty() && permits.lock().queued() == 0);
    }
}
