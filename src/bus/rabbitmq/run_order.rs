//! The order in which reports are told: those of one run under one name of a job one after the
//! other, each when the one before is settled, all others beside them. What workers of another name
//! say of a run is waited with, and must not hold up what its own workers say. The consumer of a
//! shard keeps one for each channel. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The name of a job on the broker, and the id of a run.
pub(super) type NamedRun = (Arc<str>, String);

/// Reports that are told or wait.
#[derive(Debug)]
pub(super) struct RunOrder<T> {
    /// What waits behind the report of a run that was told.
    runs: HashMap<NamedRun, VecDeque<(u64, T)>>,
    /// The runs of the reports that were told, by delivery tag.
    told: HashMap<u64, NamedRun>,
}

impl<T> Default for RunOrder<T> {
    fn default() -> Self {
        Self { runs: HashMap::new(), told: HashMap::new() }
    }
}

impl<T> RunOrder<T> {
    /// Takes a report in; returns it if it may be told now.
    pub(super) fn arrived(&mut self, run: NamedRun, tag: u64, report: T) -> Option<T> {
        if let Some(waiting) = self.runs.get_mut(&run) {
            waiting.push_back((tag, report));
            return None;
        }
        self.runs.insert(run.clone(), VecDeque::new());
        self.told.insert(tag, run);
        Some(report)
    }

    /// Notes that a report is dealt with; returns the next one of its run.
    pub(super) fn settled(&mut self, tag: u64) -> Option<T> {
        let run = self.told.remove(&tag)?;
        let Some((next, report)) = self.runs.get_mut(&run)?.pop_front() else {
            self.runs.remove(&run);
            return None;
        };
        self.told.insert(next, run);
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_a_run_wait_for_each_other_and_for_nobody_else() {
        let mut order = RunOrder::default();
        let named = |name: &str, run: &str| (Arc::from(name), run.to_owned());
        let mut arrive = |run: &str, tag| order.arrived(named("n", run), tag, tag);
        assert_eq!([arrive("a", 1), arrive("a", 2), arrive("a", 3)], [Some(1), None, None]);
        assert_eq!([arrive("b", 4), arrive("b", 5)], [Some(4), None]);
        assert_eq!(order.settled(2), None, "it was not told");
        assert_eq!([order.settled(1), order.settled(4)], [Some(2), Some(5)]);
        assert_eq!(order.settled(1), None, "once");
        assert_eq!([order.settled(2), order.settled(3), order.settled(5)], [Some(3), None, None]);
        assert!(order.runs.is_empty() && order.told.is_empty());
        assert_eq!(order.arrived(named("n", "a"), 6, 6), Some(6));
        // Of the same run, in the name of another job.
        assert_eq!(order.arrived(named("m", "a"), 7, 7), Some(7));
        assert_eq!(order.arrived(named("n", "a"), 8, 8), None);
        assert_eq!([order.settled(7), order.settled(6)], [None, Some(8)]);
    }
}
