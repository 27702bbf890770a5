//! Notices to other nodes, gathered for a few milliseconds: one message carries all of them. They
//! are bounded, and those that are too many or do not arrive are lost, which costs time only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::messages::{MOST_RUNS, Notices};
use crate::model::NodeId;
use crate::model::claim::{QueueHint, QueueWant, ReportNotice};

#[derive(Default)]
struct Gathered {
    reports: Vec<ReportNotice>,
    wants: BTreeMap<u64, QueueWant>,
    hints: BTreeMap<u64, QueueHint>,
}

/// The notices that wait, by node.
#[derive(Default)]
pub(super) struct Gatherer(Mutex<BTreeMap<NodeId, Gathered>>);

impl Gatherer {
    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Gathered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a report.
    pub(super) fn add_report(&self, to: NodeId, report: ReportNotice) {
        let mut nodes = self.nodes();
        let gathered = nodes.entry(to).or_default();
        if gathered.reports.len() < MOST_RUNS {
            gathered.reports.push(report);
        }
    }

    /// Adds wants.
    pub(super) fn add_wants(&self, to: NodeId, wants: Vec<QueueWant>) {
        let mut nodes = self.nodes();
        let gathered = &mut nodes.entry(to).or_default().wants;
        for want in wants {
            if gathered.len() < MOST_RUNS {
                gathered.insert(want.queue, want);
            }
        }
    }

    /// Adds a hint, in place of an older one of its queue.
    pub(super) fn add_hint(&self, to: NodeId, hint: QueueHint) {
        let mut nodes = self.nodes();
        let gathered = &mut nodes.entry(to).or_default().hints;
        if gathered.len() < MOST_RUNS || gathered.contains_key(&hint.queue) {
            gathered.insert(hint.queue, hint);
        }
    }

    /// Takes all notices out, but for those to `busy` nodes.
    pub(super) fn take(&self, busy: &BTreeSet<NodeId>) -> Vec<(NodeId, Notices)> {
        let mut nodes = self.nodes();
        let (later, now) =
            std::mem::take(&mut *nodes).into_iter().partition(|(to, _)| busy.contains(to));
        *nodes = later;
        drop(nodes);
        let now: BTreeMap<NodeId, Gathered> = now;
        let notices = now.into_iter().map(|(to, gathered)| {
            let Gathered { reports, wants, hints } = gathered;
            let (wants, hints) = (wants.into_values().collect(), hints.into_values().collect());
            (to, Notices { reports, wants, hints })
        });
        notices.filter(|(_, notices)| !notices.is_empty()).collect()
    }
}
