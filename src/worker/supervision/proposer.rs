//! The proposer of the supervisor's reports: runs whose worker is silent. One command after the
//! other; what finds no place is dropped, since the supervisor says it again after some seconds.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::command::{Command, Outcome, Reported};
use crate::metrics::Metrics;
use crate::model::run_report::{MAX_REPORTS, RunReport};
use crate::worker::ports::StateStore;

/// The most commands that wait.
const WAITING: usize = 16;
/// The most bytes of reports in one command, about.
const MAX_BYTES: usize = 256 << 10;

/// The way to the proposer.
pub(super) struct Proposer(mpsc::Sender<Vec<RunReport>>);

impl Proposer {
    /// The way to the proposer, and the proposer, which runs until the way is dropped.
    pub(super) fn new<B: StateStore>(
        store: B,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut reports) = mpsc::channel::<Vec<RunReport>>(WAITING);
        let proposing = async move {
            while let Some(reports) = reports.recv().await {
                let count = reports.len();
                match store.propose(Command::ReportRuns { reports }).await {
                    Ok(Outcome::Reports(told)) => {
                        let counted = |told: &&Reported| matches!(told, Reported::Counted(_));
                        metrics.runs.lost(told.iter().filter(counted).count());
                    }
                    Ok(outcome) => tracing::warn!(%outcome, count, "reports were refused"),
                    Err(error) => {
                        tracing::debug!(%error, count, "silent runs are reported again later");
                    }
                }
            }
        };
        (Self(sender), proposing)
    }

    /// Proposes reports, in as few commands as they fit into.
    pub(super) fn propose(&self, reports: Vec<RunReport>) {
        for reports in split(reports) {
            match self.0.try_send(reports) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    tracing::debug!("silent runs are reported again later: too many reports wait");
                    return;
                }
                // It has ended by itself: the task notices, and ends.
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}

/// Cuts reports into lists that fit into a command each.
fn split(reports: Vec<RunReport>) -> Vec<Vec<RunReport>> {
    let mut lists: Vec<Vec<RunReport>> = Vec::new();
    let mut bytes = 0;
    for report in reports {
        // A report of the supervisor has a name of a worker, and numbers.
        let own = report.worker.len() + 128;
        let fits = |list: &Vec<RunReport>| list.len() < MAX_REPORTS && bytes + own <= MAX_BYTES;
        if let Some(list) = lists.last_mut().filter(|list| fits(list)) {
            list.push(report);
            bytes += own;
        } else {
            lists.push(vec![report]);
            bytes = own;
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Occurrence;
    use crate::model::run_report::Said;

    #[test]
    fn reports_are_cut_by_number_and_by_bytes() {
        let report = |worker: String, job| {
            let occurrence = Occurrence { job, scheduled: 1, run: 0 };
            RunReport { occurrence, attempt: 1, worker, said: Said::Lost { node: 1, epoch: 2 } }
        };
        let sizes = |reports| split(reports).iter().map(Vec::len).collect::<Vec<_>>();
        let short = (0..2_500).map(|job| report("w".to_owned(), job)).collect();
        assert_eq!(sizes(short), [1_000, 1_000, 500]);
        let long: Vec<_> = (0..1_000).map(|job| report("w".repeat(255), job)).collect();
        let lists = split(long.clone());
        let bytes = |list: &Vec<RunReport>| serde_json::to_vec(list).unwrap().len();
        assert!(lists.len() > 1 && lists.iter().all(|list| bytes(list) <= MAX_BYTES + 4_096));
        assert_eq!(lists.concat(), long, "all of them, in order");
    }
}
