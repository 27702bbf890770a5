//! Reports on runs that workers perform, and the states that people see of a run.
//!
//! Gateways (`app`) and consumers of brokers make reports from what workers and clients say, the
//! supervisor makes those about silence, and `command::apply` decides what becomes of a run.
//! Reports travel as JSON, so that they may grow. Pure.

use serde::{Deserialize, Serialize};

use super::NodeId;
use super::attempt::{SkipReason, Verdict};
use super::job::{PARKED, Pending};
use super::run::{Occurrence, Phase, Run};
use super::run_terms::RunTerms;

/// The most reports that one command carries.
pub const MAX_REPORTS: usize = 1_000;

/// A report on one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// The occurrence of the run.
    pub occurrence: Occurrence,
    /// The attempt that it is about; 0 for whichever is under way.
    #[serde(default)]
    pub attempt: u32,
    /// The worker that reports; empty for whichever has the run.
    #[serde(default)]
    pub worker: String,
    /// The report.
    pub said: Said,
}

/// The content of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The worker has begun.
    Started {
        /// The terms for a run that the store does not have yet: its publish was not confirmed.
        terms: Box<RunTerms>,
    },
    /// The run is done.
    Done {
        /// The result, at most [`super::attempt::MAX_RESPONSE`] bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<String>,
    },
    /// The run failed.
    Failed {
        /// The reason, at most [`super::attempt::MAX_ERROR`] bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Allows another attempt, if the terms do.
        retry: bool,
    },
    /// The worker has stopped the run without an end.
    Cancelled,
    /// The worker gives the run back without having worked on it.
    Released,
    /// The supervisor has not heard of the worker for too long.
    Lost {
        /// The supervisor's node.
        node: NodeId,
        /// The epoch under which it keeps the run.
        epoch: u64,
    },
    /// A client does not want the run any more.
    Cancel {
        /// The name of the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// The state of a run, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits behind another run of its job.
    Queued,
    /// It waits for a worker, or for the instant of its next attempt.
    Pending,
    /// A worker has it.
    Running,
    /// A worker has it and is to stop.
    Cancelling,
    /// End: done.
    Completed,
    /// End: failed for good.
    Failed,
    /// End: cancelled, not started in time, or its job was deleted.
    Cancelled,
    /// End: it was not to be performed.
    Skipped,
}

impl RunState {
    /// All states, in the order of a run's life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Pending,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// The state of an occurrence in a pending row.
    pub fn of_row(row: &Pending) -> Self {
        if row.next_at == PARKED { Self::Queued } else { Self::Pending }
    }

    /// The state of a run without a pending row.
    pub fn of_run(run: &Run) -> Self {
        match run.worker.as_deref().map(|worker| worker.phase) {
            Some(Phase::Cancelling) => Self::Cancelling,
            Some(Phase::Running) => Self::Running,
            None if run.accepted => Self::Running,
            Some(Phase::Pending) | None => Self::Pending,
        }
    }

    /// The state of an end; `None` for a verdict that is no end.
    pub fn of_end(verdict: Verdict) -> Option<Self> {
        Some(match verdict {
            Verdict::Delivered => Self::Completed,
            Verdict::Dead => Self::Failed,
            Verdict::Skipped(
                SkipReason::Cancelled | SkipReason::NotStarted | SkipReason::Ended,
            ) => Self::Cancelled,
            Verdict::Skipped(_) => Self::Skipped,
            Verdict::Retry { .. } | Verdict::Postponed { .. } | Verdict::Running => return None,
        })
    }

    /// Returns whether the run is over.
    pub fn is_end(self) -> bool {
        self >= Self::Completed
    }

    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::OFFERED;
    use crate::model::members::Members;

    #[test]
    fn a_state_reads_back_from_its_name() {
        for state in RunState::ALL {
            assert_eq!(RunState::from_name(state.name()), Some(state));
        }
        assert_eq!(RunState::from_name("paused"), None);
        let ends = RunState::ALL.into_iter().filter(|state| state.is_end());
        assert_eq!(ends.count(), 4);
    }

    #[test]
    fn rows_and_ends_have_the_states_of_the_api() {
        let row = |next_at| Pending::new(1, 0, 5, Members::from_sorted([1])).next_at(next_at);
        let states = [PARKED, OFFERED, 7].map(|next_at| RunState::of_row(&row(next_at)));
        assert_eq!(states, [RunState::Queued, RunState::Pending, RunState::Pending]);
        let skipped = |reason| RunState::of_end(Verdict::Skipped(reason));
        assert_eq!(skipped(SkipReason::NotStarted), Some(RunState::Cancelled));
        assert_eq!(skipped(SkipReason::QueueFull), Some(RunState::Skipped));
        assert_eq!(RunState::of_end(Verdict::Dead), Some(RunState::Failed));
        assert_eq!(RunState::of_end(Verdict::Running), None);
    }

    #[test]
    fn a_report_of_few_words_is_read() {
        let text = r#"{"occurrence":{"job":1,"scheduled":2,"run":0},"said":{"done":{}}}"#;
        let report: RunReport = serde_json::from_str(text).unwrap();
        assert_eq!((report.attempt, report.worker.as_str()), (0, ""));
        assert_eq!(report.said, Said::Done { result: None });
    }
}
