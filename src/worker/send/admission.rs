//! Fair admission: a fixed number of places that senders of all projects share, given out by a
//! [`FairQueue`]. The sender takes one for each request before it is built (`MaxQueue`), up to its
//! first byte; `wait` takes one for each question to the cluster whether a run may begin.
//!
//! No project ever holds more than half of the places, nor one destination of it more than its part
//! of that: some are free for the next one, however many requests hang. Those that wait are served
//! in turn: the project that holds the fewest first, within it the destination that holds the
//! fewest. The executor shares out its workers in the same way (`delivery::destination_queues`).
//! Nothing here sends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::delivery::fair_queue::{Capacity, FairQueue, FlowId, Stage};
use crate::model::ProjectId;

/// The number of a destination within its project.
pub(in crate::worker) type Target = u64;

/// The places. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub(in crate::worker) struct Admission(Arc<Mutex<FairQueue<Target, Waiter>>>);

struct Waiter {
    /// The most places that are taken at one time.
    wanted: usize,
    sender: oneshot::Sender<Admitted>,
}

/// Places, held until dropped.
pub(in crate::worker) struct Admitted {
    admission: Admission,
    flow: FlowId,
    /// 0 only where the places could not be handed over.
    places: usize,
}

impl Admission {
    /// An admission of so many places, at least one.
    pub(in crate::worker) fn new(places: usize) -> Self {
        let places = places.max(1);
        let capacity = Capacity { workers: places, in_flight: places, flow: places };
        Self(Arc::new(Mutex::new(FairQueue::new(capacity))))
    }

    /// The number of places held.
    pub(in crate::worker) fn held(&self) -> usize {
        self.lock().load().0
    }

    /// The number of places that a destination of a project could take now.
    pub(in crate::worker) fn room(&self, project: ProjectId, target: Target) -> usize {
        self.lock().room(project, &target)
    }

    /// Takes a place, if one is free for this destination.
    pub(in crate::worker) fn try_take(
        &self,
        project: ProjectId,
        target: Target,
    ) -> Option<Admitted> {
        let mut queue = self.lock();
        if queue.room(project, &target) == 0 {
            return None;
        }
        let flow = Self::flow(&mut queue, project, target);
        queue.begin(flow);
        Some(Admitted { admission: self.clone(), flow, places: 1 })
    }

    /// Waits for at least one place, and takes as many as are free for this destination, up to
    /// `wanted`.
    pub(in crate::worker) async fn take(
        &self,
        project: ProjectId,
        target: Target,
        wanted: usize,
    ) -> Option<Admitted> {
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut queue = self.lock();
            let flow = Self::flow(&mut queue, project, target);
            while queue.first(flow).is_some_and(|first| first.sender.is_closed()) {
                queue.pop(flow);
            }
            queue.push(flow, Waiter { wanted: wanted.max(1), sender });
            self.grant(&mut queue);
        }
        if let Ok(admitted) = receiver.try_recv() {
            return Some(admitted);
        }
        // The queue keeps whoever waits until it is served.
        receiver.await.ok()
    }

    fn flow(queue: &mut FairQueue<Target, Waiter>, project: ProjectId, target: Target) -> FlowId {
        queue.prune(|()| true);
        queue.flow(project, &target)
    }

    fn lock(&self) -> MutexGuard<'_, FairQueue<Target, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves whoever may be served. A destination that holds many places waits until several are
    /// free, since each time that it is served costs a read of the store. Those behind it wait too:
    /// they hold more, or came later.
    fn grant(&self, queue: &mut FairQueue<Target, Waiter>) {
        while let Some(flow) = queue.next_flow() {
            let room = queue.room(queue.project_of(flow), &queue.key(flow).copied().unwrap_or(0));
            let held = queue.in_flight_of(flow);
            if queue.first(flow).is_some_and(|first| room < first.wanted.min(1 + held / 8)) {
                return;
            }
            let Some(first) = queue.pop(flow) else { return };
            let places = first.wanted.min(room.max(1));
            let admitted = Admitted { admission: self.clone(), flow, places };
            match first.sender.send(admitted) {
                Ok(()) => (0..places).for_each(|_| queue.begin(flow)),
                // Its drop must not take the lock that is held here.
                Err(mut admitted) => admitted.places = 0,
            }
        }
    }
}

impl Admitted {
    /// The number of places.
    pub(in crate::worker) fn places(&self) -> usize {
        self.places
    }

    /// Splits one place off.
    pub(in crate::worker) fn split(&mut self) -> Option<Self> {
        self.places = self.places.checked_sub(1)?;
        Some(Self { admission: self.admission.clone(), flow: self.flow, places: 1 })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.places > 0 {
            let mut queue = self.admission.lock();
            (0..self.places).for_each(|_| queue.end(self.flow, Stage::Quick));
            self.admission.grant(&mut queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn no_project_holds_more_than_half_and_the_next_one_finds_a_place() {
        let admission = Admission::new(64);
        let all = |project| -> Vec<Admitted> {
            let take = |target| std::iter::from_fn(move || Some(target));
            let of = (0..64).flat_map(|target| take(target).take(64));
            of.filter_map(|target| admission.try_take(project, target)).collect()
        };
        let held: Vec<Vec<Admitted>> = (1..=5).map(all).collect();
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [32, 16, 8, 4, 2], "half of what is free");
        assert_eq!((admission.held(), admission.room(1, 0), admission.room(6, 0)), (62, 0, 1));
        drop(held);
        assert_eq!((admission.held(), admission.room(1, 0)), (0, 29));
    }

    #[test]
    fn who_waits_is_served_by_project_then_by_destination() {
        let admission = Admission::new(4);
        let held = [admission.try_take(1, 1), admission.try_take(1, 2)].map(Option::unwrap);
        assert!(admission.try_take(1, 3).is_none(), "two of four");
        let mut waits: Vec<_> = [(1, 1), (1, 1), (1, 3), (2, 1), (2, 1)]
            .into_iter()
            .map(|(project, target)| {
                let admission = admission.clone();
                async move { admission.take(project, target, 1).await.map(|a| (project, target, a)) }
                    .boxed()
            })
            .collect();
        let mut order = Vec::new();
        let mut keep = Vec::new();
        let mut look = |order: &mut Vec<(ProjectId, Target)>, keep: &mut Vec<Admitted>| {
            waits.retain_mut(|wait| match wait.now_or_never() {
                None => true,
                Some(done) => {
                    let (project, target, admitted) = done.unwrap();
                    order.push((project, target));
                    keep.push(admitted);
                    false
                }
            });
        };
        look(&mut order, &mut keep);
        assert_eq!(order, [(2, 1)], "the other project at once, up to its own share");
        drop(held);
        look(&mut order, &mut keep);
        while let Some(admitted) = keep.pop() {
            drop(admitted);
            look(&mut order, &mut keep);
        }
        assert_eq!(order.len(), 5, "{order:?}");
        assert_eq!(admission.held(), 0);
    }

    #[tokio::test]
    async fn several_places_are_taken_as_far_as_they_go() {
        let admission = Admission::new(64);
        let mut many = admission.take(1, 1, 9).await.unwrap();
        let one = many.split().unwrap();
        assert_eq!((many.places(), one.places(), admission.held()), (8, 1, 9));
        let rest = admission.take(1, 1, 64).await.unwrap();
        assert!(rest.places() + 9 <= 32, "{}", rest.places());
        // A destination that holds many waits until several are free.
        let mut waits = Box::pin(admission.take(1, 1, 64));
        assert!((&mut waits).now_or_never().is_none());
        drop(one);
        assert!((&mut waits).now_or_never().is_none(), "one is free, and another one will be soon");
        drop(many);
        let more = (&mut waits).now_or_never().flatten().unwrap();
        assert!(more.places() > 2, "{}", more.places());
        // Places for a waiter that is gone come back.
        let mut given_up = Box::pin(admission.take(1, 1, 1));
        assert!((&mut given_up).now_or_never().is_none());
        drop((rest, more));
        drop(given_up);
        assert_eq!(admission.held(), 0);
    }
}
