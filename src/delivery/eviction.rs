//! The calls that hang, by project, so that one of them can be evicted where they take the places
//! of others. `destination_queues` adds a call when it has been under way for a second, removes it
//! when it is over, and says when one is to end. The executor ends it; nothing here aborts a call.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use crate::model::ProjectId;

/// The calls that hang and may be evicted. Every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct EvictableCalls {
    next: u64,
    /// Calls that have not been told to end, by number: the oldest first.
    projects: HashMap<ProjectId, BTreeMap<u64, oneshot::Sender<()>>>,
    /// Projects by their number of calls, and the number of the oldest call.
    order: BTreeSet<(usize, Reverse<u64>, ProjectId)>,
    count: usize,
    evicting: usize,
}

/// One call that hangs.
#[derive(Debug)]
pub(super) struct EvictableCall {
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl EvictableCall {
    /// Returns when the call is to end; never, if it may go on.
    pub(super) async fn evicted(&mut self) {
        if (&mut self.evicted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl EvictableCalls {
    /// Adds a call of a project that begins to hang.
    pub(super) fn add(&mut self, project: ProjectId) -> EvictableCall {
        let number = self.next;
        self.next += 1;
        let (sender, evicted) = oneshot::channel();
        self.change(project, |calls| {
            calls.insert(number, sender);
        });
        self.count += 1;
        EvictableCall { number, evicted }
    }

    /// Removes a call that is over.
    pub(super) fn remove(&mut self, project: ProjectId, call: &EvictableCall) {
        let known = self.change(project, |calls| calls.remove(&call.number));
        match known {
            Some(_) => self.count -= 1,
            None => self.evicting -= 1, // the call was told to end
        }
    }

    /// The number of calls that hang, without those that have been told to end.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The number of calls that have been told to end and are not over yet.
    pub(super) fn evicting(&self) -> usize {
        self.evicting
    }

    /// Tells the oldest call of the project with the most calls to end. Among equal projects it is
    /// the project whose call is older. False if there is no call.
    pub(super) fn evict_one(&mut self) -> bool {
        let Some((_, _, project)) = self.order.last().copied() else { return false };
        let Some((_, end)) = self.change(project, BTreeMap::pop_first) else { return false };
        self.count -= 1;
        self.evicting += 1;
        // A call that is over at this moment is removed by itself.
        let _ = end.send(());
        true
    }

    /// Changes the calls of a project, and lists the project anew.
    fn change<T>(
        &mut self,
        project: ProjectId,
        how: impl FnOnce(&mut BTreeMap<u64, oneshot::Sender<()>>) -> T,
    ) -> T {
        let listed = |calls: &BTreeMap<u64, _>| {
            calls.first_key_value().map(|(oldest, _)| (calls.len(), Reverse(*oldest), project))
        };
        let calls = self.projects.entry(project).or_default();
        let before = listed(calls);
        let result = how(calls);
        let after = listed(calls);
        if let Some(before) = before {
            self.order.remove(&before);
        }
        match after {
            Some(after) => drop(self.order.insert(after)),
            None => drop(self.projects.remove(&project)),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn the_oldest_call_of_the_project_with_the_most_ends_and_of_equals_the_oldest() {
        let mut hanging = EvictableCalls::default();
        assert!(!hanging.evict_one(), "there is none");
        let mut calls: Vec<_> =
            [1, 2, 3, 2, 3].map(|project| (project, hanging.add(project))).into();
        let evicted = |calls: &mut Vec<(ProjectId, EvictableCall)>| -> Vec<usize> {
            let told = |call: &mut EvictableCall| call.evicted().now_or_never().is_some();
            (0..calls.len()).filter(|at| told(&mut calls[*at].1)).collect()
        };
        let mut order = Vec::new();
        while hanging.evict_one() {
            let told = evicted(&mut calls);
            assert_eq!(told.len(), 1);
            assert_eq!(hanging.evicting(), 1);
            let (project, call) = calls.remove(told[0]);
            order.push((project, call.number));
            hanging.remove(project, &call);
            assert_eq!((hanging.evicting(), hanging.count()), (0, calls.len()));
        }
        assert_eq!(order, [(2, 1), (3, 2), (1, 0), (2, 3), (3, 4)]);
        assert!(hanging.projects.is_empty() && hanging.order.is_empty());
    }

    #[test]
    fn a_call_that_is_over_is_forgotten_with_its_project() {
        let mut hanging = EvictableCalls::default();
        let mut call = hanging.add(7);
        assert!(call.evicted().now_or_never().is_none());
        hanging.remove(7, &call);
        assert!(hanging.projects.is_empty() && !hanging.evict_one());
        assert_eq!((hanging.count(), hanging.evicting()), (0, 0));
    }
}
